"""Label the geometries, one single-threaded job a shard."""


rule label:
    """Draw fluxes, search critical points and classify every geometry of one shard."""
    input:
        paths.SHARD,
    output:
        paths.LABELS,
    log:
        "logs/label/{dataset}/{first}-{last}.log",
    conda:
        "../../envs/vacuagym.yaml"
    threads: 1
    resources:
        mem_mb=run.label_memory_mb(),
    params:
        physics=run.physics_file,
        fingerprint=run.fingerprint,
        digest=lambda wildcards: run.shard_digest(wildcards.dataset, wildcards.first),
    shell:
        "exec python -m vacuagym label --shard={input:q} --physics={params.physics:q} --fingerprint={params.fingerprint}"
        f" --batch-mb={run.config['memory']['batch_mb']}"
        " --mem-mb={resources.mem_mb} --output={output:q} --log={log:q}"
