"""Trust, but verify: labels derived a second time."""

if run.segments:

    rule sample_segment:
        """Find the rows of a segment of a large run that may be in the sample that is verified."""
        input:
            labels=run.of_segment(paths.LABEL_TABLE),
            geometry=run.segment_geometry,
            settings=paths.SETTINGS.format(of="sample"),
        output:
            paths.CANDIDATES,
            paths.CANDIDATE_GEOMETRY,
        log:
            "logs/sample_segment/{segment}.log",
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.sample_code,
            seed=run.sample_seed(),
            sample=run.section_options("verify"),
            rows=run.rows,
            geometry=lambda wildcards, input: "--geometry" if input.geometry else "",
            folder=os.path.dirname(os.path.dirname(paths.CANDIDATES)),
        shell:
            "exec python -P -m vacuagym sample-segment --labels={input.labels:q} {params.geometry} {input.geometry:q} {params.sample}"
            " --seed={params.seed} --rows={params.rows} --output={params.folder}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"

    rule check_segment:
        """Check and count every row of a segment of a large run, for the validation and the report."""
        input:
            plans=ancient(lambda wildcards: run.segment_plans(wildcards)),
            labels=run.of_segment(paths.LABEL_TABLE),
            features=run.segment_features,
            splits=expand(run.of_segment(paths.SPLIT), split=run.splits(), allow_missing=True),
            settings=paths.SETTINGS.format(of="check_segment"),
        output:
            paths.SEGMENT_CHECKS,
        log:
            "logs/check_segment/{segment}.log",
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.check_segment_code,
            segment=run.segment_options,
            rows=run.rows,
        shell:
            "exec python -P -m vacuagym check-segment --labels={input.labels:q} --plans {input.plans:q} {params.segment}"
            " --splits {input.splits:q} --features {input.features:q} --rows={params.rows} --output={output:q}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


if run.verified_parts():

    rule sample:
        """Draw the random sample of the labels that are verified, in parts."""
        input:
            candidates=run.candidates(),
            labels=run.label_tables(),
            geometry=[] if run.segments else run.geometry_tables(*run.by_geometry),
            settings=paths.SETTINGS.format(of="verification"),
        output:
            sample=paths.SAMPLE,
            geometry=expand(paths.SAMPLE_GEOMETRY, dataset=run.by_geometry),
        log:
            "logs/sample/labels.log",
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.verify_code,
            labels=lambda wildcards: paths.LABEL_TABLE,
            sample=run.section_options("verify"),
            parts=len(run.verified_parts()),
            candidates=(
                f"--candidates={os.path.dirname(os.path.dirname(paths.CANDIDATES))}"
                if run.segments
                else ""
            ),
        shell:
            "exec python -P -m vacuagym sample --labels={params.labels:q} {params.candidates} {params.sample} --parts={params.parts}"
            " --output={output.sample:q}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"

    rule verify_part:
        """Derive the labels of one part of the sample again, by code that shares nothing with the search."""
        input:
            sample=paths.SAMPLE,
            geometry=expand(paths.SAMPLE_GEOMETRY, dataset=run.by_geometry),
        output:
            paths.VERIFIED_PART,
        log:
            "logs/verify_part/{part}.log",
        wildcard_constraints:
            part="[0-9]+",
        threads: 1
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.verify_code,
        shell:
            "exec python -P -m vacuagym verify-part --sample={input.sample:q} --part={wildcards.part} --output={output:q}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule verify:
    """Derive a random sample of the labels again, by code that shares nothing with the search; the gate judges what differs."""
    input:
        labels=run.label_tables(),
        geometry=[] if run.verified_parts() else run.geometry_tables(*run.by_geometry),
        parts=run.verified_parts(),
        settings=paths.SETTINGS.format(of="verification"),
    output:
        report(
            paths.VERIFICATION,
            caption="../report/verification.rst",
            category="Checks",
            labels={"of": "a random sample", "kind": "figures"},
        ),
    log:
        "logs/verify/labels.log",
    # With parts, it adds up small files. On a cluster, a job costs more.
    localrule: bool(run.verified_parts())
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.verify_code,
        labels=lambda wildcards: paths.LABEL_TABLE,
        sample=run.section_options("verify"),
        parts="--parts" if run.verified_parts() else "",
    shell:
        "exec python -P -m vacuagym verify --labels={params.labels:q} {params.sample} {params.parts} {input.parts:q}"
        " --record-only --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule validate:
    """Check every row of labels and splits; measure what predicting from the number of moduli alone scores."""
    input:
        plans=ancient(run.plan_files()),
        labels=run.label_tables(),
        segments=run.segment_checks(),
        features=[] if run.segments else run.feature_tables(),
        splits=[] if run.segments else run.split_tables(*run.splits()),
        verification=paths.VERIFICATION,
        geometry=run.geometry_verifications(),
        settings=paths.SETTINGS.format(of="validation"),
    output:
        report(
            paths.VALIDATION,
            caption="../report/validation.rst",
            category="Checks",
            labels={"of": "every row", "kind": "figures"},
        ),
        counts=paths.COUNTS,
    log:
        "logs/validate/labels.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.validate_code,
        labels=lambda wildcards: paths.LABEL_TABLE,
        features=expand(paths.FEATURES, dataset=run.datasets),
        splits=expand(paths.SPLIT, split=run.splits()),
        segments=f"--segments={os.path.dirname(paths.SEGMENT_CHECKS)}" if run.segments else "",
        thresholds=run.section_options("validation"),
    shell:
        "exec python -P -m vacuagym validate --labels={params.labels:q} --plans {input.plans:q} --splits {params.splits:q}"
        " --features {params.features:q} {params.segments}"
        " --verification={input.verification:q} --geometry {input.geometry:q} {params.thresholds} --counts={output.counts:q} --output={output[0]:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule gate:
    """Fail the run if a check has failed. The report is made in any case: a failed job does not stop the others."""
    input:
        validation=paths.VALIDATION,
    output:
        paths.VERDICT,
    log:
        "logs/gate/verdict.log",
    # On a cluster, a job costs more than to read one file.
    localrule: True
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    shell:
        "exec python -P -m vacuagym gate --validation={input.validation:q} --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
