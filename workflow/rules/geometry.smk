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
    params:
        limit=lambda wildcards: run.geometry_limit(wildcards.dataset),
        code=run.geometry_code,
    shell:
        "exec python -P -m vacuagym geometry --limit={params.limit} --output={output:q}" + run.job_options
