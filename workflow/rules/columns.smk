"""Read what is named of the tables of the user, before anything is labelled."""


rule columns:
    """Read every value of the named columns in a range of row groups; refuse values that cannot be used."""
    input:
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
    output:
        paths.COLUMNS,
    log:
        "logs/columns/{dataset}/{first}-{last}.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        columns=lambda wildcards: run.column_options(wildcards.dataset),
        fingerprint=lambda wildcards: run.columns_fingerprint(wildcards.dataset),
    shell:
        "exec python -P -m vacuagym columns --plan={input.plan:q} --first={wildcards.first:q} --last={wildcards.last} {params.columns}"
        " --fingerprint={params.fingerprint} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
