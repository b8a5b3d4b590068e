"""What a person looks at."""


rule report:
    """Show the run on one page: verdict, figures, checks, settings."""
    input:
        labels=run.label_tables(),
        validation=paths.VALIDATION,
        features=run.feature_tables(),
        settings=paths.SETTINGS.format(of="report"),
    output:
        report(
            paths.REPORT,
            caption="../report/report.rst",
            category="Report",
            labels={"of": "the run", "kind": "page"},
        ),
    log:
        "logs/report/report.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.report_code,
        labels=lambda wildcards: paths.LABEL_TABLE,
        features=expand(paths.FEATURES, dataset=run.datasets),
        # Written at each start, so no input; what of it matters here comes with the labels and the validation.
        configuration=paths.CONFIGURATION,
    shell:
        "exec python -P -m vacuagym report --labels={params.labels:q} --validation={input.validation:q}"
        " --features {params.features:q}"
        " --configuration={params.configuration:q} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
