"""Label the geometries, one single-threaded job a shard."""


rule label:
    """Draw fluxes, search critical points and classify every geometry of one shard."""
    input:
        shard=paths.SHARD,
        settings=paths.SETTINGS.format(of="labels"),
    output:
        paths.LABELS,
    log:
        "logs/label/{dataset}/{first}-{last}.log",
    retries: 1
    conda:
        "../../envs/vacuagym.yaml"
    threads: 1
    resources:
        mem_mb=run.label_memory_mb(),
        # A job that met its memory limit is tried again with a smaller batch, not with the same.
        batch_mb=lambda wildcards, attempt: max(1, run.config["memory"]["batch_mb"] >> 2 * (attempt - 1)),
    params:
        physics=run.physics_file,
        fingerprint=run.fingerprint,
        digest=lambda wildcards: run.shard_digest(wildcards.dataset, wildcards.first),
    shell:
        "exec python -m vacuagym label --shard={input.shard:q} --physics={params.physics:q} --fingerprint={params.fingerprint}"
        " --batch-mb={resources.batch_mb} --output={output:q}" + run.job_options
