"""Cut the feature tables into shards by ranges of ids."""


rule shard:
    """Copy the id, namespace and moduli columns of one range of ids."""
    input:
        table=lambda wildcards: run.table_of_shard(**wildcards),
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
    output:
        paths.SHARD,
    log:
        "logs/shard/{dataset}/{first}-{last}.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        digest=lambda wildcards: run.shard_digest(**wildcards),
        computed=lambda wildcards: run.shard_options(**wildcards),
    shell:
        "exec python -P -m vacuagym shard --plan={input.plan:q} --first={wildcards.first:q}"
        " {params.computed} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
