"""From label files to the data set: one table, its splits, and what is published of them."""


rule merge:
    """Put the labels of all shards into one table, sorted by data set, namespace and id; of a large run, into its segments."""
    input:
        settings=paths.SETTINGS.format(of="table"),
        plans=ancient(lambda wildcards: run.segment_plans(wildcards)),
        labels=run.segment_labels,
    output:
        run.of_segment(paths.LABEL_TABLE),
    log:
        run.of_segment("logs/merge/labels.log"),
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        content={name: run.plan(name).content for name in run.datasets},
        fingerprints=run.fingerprints(),
        code=run.merge_code,
        segment=run.segment_options,
    shell:
        "exec python -P -m vacuagym merge --plans {input.plans:q} {params.segment} --fingerprints {params.fingerprints}"
        " --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule features:
    """Bring what splits and the data set need of a feature table into the order of the labels."""
    input:
        table=lambda wildcards: run.table_of_features(**wildcards),
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
        checked=ancient(lambda wildcards: run.column_files(wildcards.dataset)),
        labels=run.of_segment(paths.LABEL_TABLE),
        settings=paths.SETTINGS.format(of="features"),
    output:
        run.of_segment(paths.FEATURES),
    log:
        run.of_segment("logs/features/{dataset}.log"),
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.features_code,
        columns=lambda wildcards: run.feature_options(wildcards.dataset),
        table=lambda wildcards: run.table_options(**wildcards),
        segment=run.segment_options,
    shell:
        "exec python -P -m vacuagym features --plan={input.plan:q} {params.segment} --labels={input.labels:q} {params.table} {params.columns}"
        " --checked {input.checked:q}"
        " --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


if run.segments:

    rule survey:
        """Find what the folds of all segments depend on besides the row: counts of values, and test groups."""
        input:
            labels=run.label_tables(),
            features=run.feature_tables(),
            settings=paths.SETTINGS.format(of="splits"),
        output:
            paths.SURVEY,
        log:
            "logs/survey/splits.log",
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.split_code,
            labels=lambda wildcards: paths.LABEL_TABLE,
            features=expand(paths.FEATURES, dataset=run.datasets),
            names=run.splits(),
            shares=run.section_options("splits"),
        shell:
            "exec python -P -m vacuagym survey --labels={params.labels:q} --features {params.features:q} --names {params.names:q}"
            " {params.shares} --output={output:q}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule split:
    """Assign every usable geometry to a fold."""
    input:
        labels=run.of_segment(paths.LABEL_TABLE),
        features=run.segment_features,
        survey=[paths.SURVEY] if run.segments else [],
        settings=paths.SETTINGS.format(of="splits"),
    output:
        **run.index_files(),
        folds=run.of_segment(paths.SPLIT),
    log:
        run.of_segment("logs/split/{split}.log"),
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.split_code,
        seed=run.config["seed"],
        shares=run.section_options("splits"),
        whole=lambda wildcards: (
            f"--survey={paths.SURVEY}"
            if run.segments
            else f"--index={paths.INDEX.format(split=wildcards.split)}"
        ),
    shell:
        "exec python -P -m vacuagym split --labels={input.labels:q} --features {input.features:q} --name={wildcards.split}"
        " --seed={params.seed} {params.shares} {params.whole} --output={output.folds:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


if run.segments:

    rule dataset_layout:
        """Find what all parts of the data set share: its columns, and the folders of its files; only if all checks have passed."""
        input:
            labels=run.label_tables(),
            features=run.feature_tables(),
            splits=run.split_tables(*run.splits()),
            validation=paths.VALIDATION,
            verdict=paths.VERDICT,
            settings=paths.SETTINGS.format(of="dataset"),
        output:
            paths.DATASET_LAYOUT,
        log:
            "logs/dataset/layout.log",
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.dataset_code,
            labels=paths.LABEL_TABLE,
            features=expand(paths.FEATURES, dataset=run.datasets),
            splits=expand(paths.SPLIT, split=run.splits()),
            configuration=paths.CONFIGURATION,
            publish="--potential" if run.config["publish"]["potential"] else "",
        shell:
            "exec python -P -m vacuagym dataset-layout --labels={params.labels:q} --splits {params.splits:q} --features {params.features:q}"
            " --validation={input.validation:q}"
            " --configuration={params.configuration:q} {params.publish} --output={output:q}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"

    rule dataset_part:
        """Write the data files of some segments."""
        input:
            layout=paths.DATASET_LAYOUT,
            rows=lambda wildcards: run.files_of_part(wildcards.part),
        output:
            paths.DATASET_PART,
        log:
            "logs/dataset/{part}.log",
        wildcard_constraints:
            part="[^/]+-[0-9]+",
        resources:
            mem_mb=run.table_memory_mb(),
            stall_minutes=run.config["stall_minutes"],
        params:
            code=run.dataset_code,
            tables=lambda wildcards: run.tables_of_part(wildcards.part),
            segments=lambda wildcards: run.data_parts()[wildcards.part],
            folder=os.path.dirname(paths.DATASET),
        shell:
            "exec python -P -m vacuagym dataset-part --layout={input.layout:q} --labels={params.tables[labels]:q}"
            " --splits {params.tables[splits]:q} --features {params.tables[features]:q} --segments {params.segments:q}"
            " --part={wildcards.part} --folder={params.folder:q} --output={output:q}"
            " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule dataset:
    """Write labels and splits as a data set that other libraries load in one line; only if all checks have passed."""
    input:
        parts=run.data_part_files(),
        labels=run.label_tables(),
        features=run.feature_tables(),
        splits=run.split_tables(*run.splits()),
        validation=paths.VALIDATION,
        verdict=paths.VERDICT,
        settings=paths.SETTINGS.format(of="dataset"),
    output:
        paths.DATASET,
    log:
        "logs/dataset/dataset.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.dataset_code,
        labels=lambda wildcards: paths.LABEL_TABLE,
        features=expand(paths.FEATURES, dataset=run.datasets),
        splits=expand(paths.SPLIT, split=run.splits()),
        # Written at the start of every run, so not an input; what the data set takes from it is in its settings file.
        configuration=paths.CONFIGURATION,
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        parts=lambda wildcards, input: " ".join(["--parts", *input.parts] if run.segments else []),
        publish="--potential" if run.config["publish"]["potential"] else "",
    shell:
        "exec python -P -m vacuagym dataset --labels={params.labels:q} --splits {params.splits:q} --features {params.features:q}"
        " --validation={input.validation:q}"
        " --configuration={params.configuration:q} {params.publish} {params.parts} --output={params.folder:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
