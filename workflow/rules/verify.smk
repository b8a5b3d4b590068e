"""Trust, but verify: labels derived a second time."""


rule verify:
    """Derive a random sample of the labels again, by code that shares nothing with the search; a disagreement fails the run."""
    input:
        paths.LABEL_TABLE,
    output:
        paths.VALIDATION,
    log:
        "logs/verify/labels.log",
    conda:
        "../../envs/vacuagym.yaml"
    resources:
        mem_mb=run.table_memory_mb(),
    params:
        code=run.verify_code,
        sample=" ".join(f"--{key.replace('_', '-')}={value}" for key, value in run.config["verify"].items()),
    shell:
        "exec python -m vacuagym verify --labels={input:q} {params.sample} --output={output:q}" + run.job_options
