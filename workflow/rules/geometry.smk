"""Tables computed from first principles."""


rule geometry:
    """Enumerate the smooth toric bases of 6D F-theory models."""
    input:
        settings=paths.SETTINGS.format(of="geometry"),
    output:
        paths.GEOMETRY,
    log:
        "logs/geometry/{dataset}.log",
    wildcard_constraints:
        dataset="|".join(run.computed) or "(?!)",
    # First of all: the shards of such a table wait for it.
    priority: 10
    resources:
        mem_mb=run.geometry_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        limit=lambda wildcards: run.geometry_limit(wildcards.dataset),
        code=run.geometry_code,
    shell:
        "exec python -P -m vacuagym geometry --limit={params.limit} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule threefolds:
    """Compute the geometry of the threefolds of one range of ids."""
    input:
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
    output:
        paths.GEOMETRY_SHARD,
    log:
        "logs/threefolds/{dataset}/{first}-{last}.log",
    wildcard_constraints:
        dataset="|".join(run.derived) or "(?!)",
    threads: 1
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        digest=lambda wildcards: run.shard_digest(**wildcards),
        fingerprint=lambda wildcards: run.threefolds_fingerprint(wildcards.dataset),
        columns=lambda wildcards: run.threefold_options(wildcards.dataset),
    shell:
        "exec python -P -m vacuagym threefolds --plan={input.plan:q} --first={wildcards.first:q}"
        " {params.columns} --fingerprint={params.fingerprint}"
        " --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule threefold_table:
    """Put the geometry of all shards of a data set into one table; of a large run, into its segments."""
    input:
        shards=lambda wildcards: run.geometry_shards(**wildcards),
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
        settings=paths.SETTINGS.format(of="threefolds"),
    output:
        run.of_segment(paths.GEOMETRY),
    log:
        run.of_segment("logs/threefold_table/{dataset}.log"),
    wildcard_constraints:
        dataset="|".join(run.derived) or "(?!)",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        folder=lambda wildcards: f"results/geometry/{wildcards.dataset}",
        segment=run.segment_options,
    shell:
        "exec python -P -m vacuagym threefold-table --plan={input.plan:q} {params.segment}"
        " --shards={params.folder:q} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule verify_geometry:
    """Derive a random sample of the computed geometry again, by code that shares nothing with it."""
    input:
        table=lambda wildcards: run.geometry_tables(wildcards.dataset),
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
        settings=paths.SETTINGS.format(of="geometry_verification"),
    output:
        paths.GEOMETRY_VERIFICATION,
    log:
        "logs/verify_geometry/{dataset}.log",
    wildcard_constraints:
        dataset="|".join(run.with_geometry) or "(?!)",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        table=paths.GEOMETRY,
        columns=lambda wildcards: run.geometry_options(wildcards.dataset),
        seed=run.config["seed"],
        sample=run.section_options("verify"),
    shell:
        "exec python -P -m vacuagym verify-geometry --dataset={wildcards.dataset} --table={params.table:q}"
        " {params.columns} --seed={params.seed} {params.sample} --record-only --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
