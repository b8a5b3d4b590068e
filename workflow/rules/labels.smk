"""Label the geometries, one single-threaded job a shard."""


rule label:
    """Draw fluxes, search critical points and classify every geometry of one shard."""
    input:
        shard=lambda wildcards: run.shard_of_labels(**wildcards, touch=workflow.touch),
        physics=ancient(run.physics_file),
        columns=ancient(lambda wildcards: run.columns_before_labels(**wildcards)),
    output:
        paths.LABELS,
    log:
        "logs/label/{dataset}/{first}-{last}.log",
    retries: 1
    threads: 1
    resources:
        mem_mb=run.label_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
        # A job that met its memory limit is tried again with a smaller batch, not with the same.
        batch_mb=lambda wildcards, attempt: max(
            1, run.config["memory"]["batch_mb"] >> 2 * (attempt - 1)
        ),
    params:
        fingerprint=run.fingerprint,
        shard=paths.SHARD,
        digest=lambda wildcards: run.shard_digest(**wildcards),
    shell:
        "exec python -P -m vacuagym label --shard={params.shard:q} --physics={input.physics:q} --fingerprint={params.fingerprint}"
        " --batch-mb={resources.batch_mb} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
