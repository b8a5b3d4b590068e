"""Label the geometries, one single-threaded job a shard."""


rule label:
    """Draw fluxes, search critical points and classify every geometry of one shard."""
    input:
        shard=lambda wildcards: run.shard_of_labels(**wildcards, touch=workflow.touch),
        physics=ancient(lambda wildcards: run.physics_file(wildcards.dataset)),
        columns=ancient(lambda wildcards: run.columns_before_labels(**wildcards)),
    output:
        paths.LABELS,
    log:
        "logs/label/{dataset}/{first}-{last}.log",
    wildcard_constraints:
        dataset="|".join(n for n in run.datasets if n not in run.by_geometry) or "(?!)",
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
        fingerprint=lambda wildcards: run.fingerprint(wildcards.dataset),
        shard=paths.SHARD,
        digest=lambda wildcards: run.shard_digest(**wildcards),
    shell:
        "exec python -P -m vacuagym label --shard={params.shard:q} --physics={input.physics:q} --fingerprint={params.fingerprint}"
        " --batch-mb={resources.batch_mb} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule label_threefolds:
    """Label every threefold of one shard by what its geometry decides."""
    input:
        geometry=lambda wildcards: run.shard_of_labels(**wildcards, touch=workflow.touch),
        physics=ancient(lambda wildcards: run.physics_file(wildcards.dataset)),
        columns=ancient(lambda wildcards: run.columns_before_labels(**wildcards)),
    output:
        paths.LABELS,
    log:
        "logs/label/{dataset}/{first}-{last}.log",
    wildcard_constraints:
        dataset="|".join(run.by_geometry) or "(?!)",
    threads: 1
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        theory=lambda wildcards: run.theory(wildcards.dataset).name,
        geometry=paths.GEOMETRY_SHARD,
        fingerprint=lambda wildcards: run.fingerprint(wildcards.dataset),
        digest=lambda wildcards: run.shard_digest(**wildcards),
    shell:
        "exec python -P -m vacuagym label-threefolds --theory={params.theory} --geometry={params.geometry:q}"
        " --physics={input.physics:q} --fingerprint={params.fingerprint} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
