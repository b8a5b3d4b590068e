"""Tables computed from first principles. A checkpoint: which shards such a table has is known when it is there."""


checkpoint geometry:
    """Enumerate the smooth toric bases of 6D F-theory models."""
    input:
        settings=paths.SETTINGS.format(of="geometry"),
    output:
        paths.GEOMETRY,
    log:
        "logs/geometry/{dataset}.log",
    wildcard_constraints:
        dataset="|".join(run.computed) or "(?!)",
    # First of all: while it runs nobody knows how many shards there will be.
    priority: 10
    conda:
        "../../envs/vacuagym.yaml"
    resources:
        mem_mb=run.geometry_memory_mb(),
    params:
        limit=("" if run.config["n_limit"] is None else f"--limit={run.config['n_limit']}"),
        code=run.geometry_code,
    shell:
        "exec python -m vacuagym geometry {params.limit} --output={output:q}" + run.job_options


def plan_of(dataset):
    """The plan of a data set, once its table is there."""
    if dataset in run.computed:
        checkpoints.geometry.get(dataset=dataset)
    try:
        return run.plan(dataset)
    except VacuagymError as error:
        raise WorkflowError(str(error))
