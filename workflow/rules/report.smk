"""What a person looks at."""


rule report:
    """Show the run on one page: verdict, figures, checks, settings."""
    input:
        validation=paths.VALIDATION,
        counts=paths.COUNTS,
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
        # Written at each start, so no input; what of it matters here comes with the validation.
        configuration=paths.CONFIGURATION,
    shell:
        "exec python -P -m vacuagym report --validation={input.validation:q} --counts={input.counts:q}"
        " --configuration={params.configuration:q} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
