"""Cut the feature tables into shards by ranges of ids."""


rule shard:
    """Copy the id, namespace and moduli columns of one range of ids.

    The table is `ancient`: rows appended to it change its time, but only shards whose rows differ are cut again.
    """
    input:
        table=ancient(lambda wildcards: run.table_file(wildcards.dataset)),
        plan=ancient(lambda wildcards: str(plan_of(wildcards.dataset).path)),
    output:
        paths.SHARD,
    log:
        "logs/shard/{dataset}/{first}-{last}.log",
    conda:
        "../../envs/vacuagym.yaml"
    resources:
        mem_mb=run.table_memory_mb(),
    params:
        digest=lambda wildcards: run.shard_digest(wildcards.dataset, wildcards.first),
    shell:
        "exec python -m vacuagym shard --plan={input.plan:q} --first={wildcards.first} --output={output:q}" + run.job_options
