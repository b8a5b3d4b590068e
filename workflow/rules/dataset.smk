"""From label files to the data set: one table, its splits, and what is published of them."""


rule merge:
    """Put the labels of all shards into one table, sorted by data set, namespace and id."""
    input:
        settings=paths.SETTINGS.format(of="table"),
        plans=ancient(run.plan_files()),
        labels=[path for name in run.datasets for path in run.label_files(name)],
    output:
        paths.LABEL_TABLE,
    log:
        "logs/merge/labels.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        content={name: run.plan(name).content for name in run.datasets},
        fingerprints=run.fingerprints(),
        code=run.merge_code,
    shell:
        "exec python -P -m vacuagym merge --plans {input.plans:q} --fingerprints {params.fingerprints}"
        " --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule features:
    """Bring what splits and the data set need of a feature table into the order of the labels."""
    input:
        table=lambda wildcards: run.computed_table(wildcards.dataset),
        plan=ancient(lambda wildcards: run.plan_file(wildcards.dataset)),
        checked=ancient(lambda wildcards: run.column_files(wildcards.dataset)),
        labels=paths.LABEL_TABLE,
        settings=paths.SETTINGS.format(of="features"),
    output:
        paths.FEATURES,
    log:
        "logs/features/{dataset}.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.features_code,
        columns=lambda wildcards: run.feature_options(wildcards.dataset),
    shell:
        "exec python -P -m vacuagym features --plan={input.plan:q} --labels={input.labels:q} {params.columns}"
        " --checked {input.checked:q}"
        " --output={output:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule split:
    """Assign every usable geometry to a fold."""
    input:
        labels=paths.LABEL_TABLE,
        features=expand(paths.FEATURES, dataset=run.datasets),
        settings=paths.SETTINGS.format(of="splits"),
    output:
        **run.index_files(),
        folds=paths.SPLIT,
    log:
        "logs/split/{split}.log",
    resources:
        mem_mb=run.table_memory_mb(),
        stall_minutes=run.config["stall_minutes"],
    params:
        code=run.split_code,
        seed=run.config["seed"],
        shares=run.section_options("splits"),
        index=lambda wildcards: paths.INDEX.format(split=wildcards.split),
    shell:
        "exec python -P -m vacuagym split --labels={input.labels:q} --features {input.features:q} --name={wildcards.split}"
        " --seed={params.seed} {params.shares} --index={params.index:q} --output={output.folds:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"


rule dataset:
    """Write labels and splits as a data set that other libraries load in one line; only if all checks have passed."""
    input:
        labels=paths.LABEL_TABLE,
        features=expand(paths.FEATURES, dataset=run.datasets),
        splits=expand(paths.SPLIT, split=run.splits()),
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
        # Written at the start of every run, so not an input; what the data set takes from it is in its settings file.
        configuration=paths.CONFIGURATION,
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        publish="--potential" if run.config["publish"]["potential"] else "",
    shell:
        "exec python -P -m vacuagym dataset --labels={input.labels:q} --splits {input.splits:q} --features {input.features:q}"
        " --validation={input.validation:q}"
        " --configuration={params.configuration:q} {params.publish} --output={params.folder:q}"
        " --mem-mb={resources.mem_mb} --stall-minutes={resources.stall_minutes} --log={log:q}"
