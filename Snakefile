"""VacuaGym: from feature tables of string geometries to stability labels and splits.

Run `snakemake --cores 2 --resources mem_mb=12000`; the same command resumes after any crash. Settings: config.yaml.
"""

from vacuagym import paths
from vacuagym.orchestration.start import begin, start


configfile: os.path.join(workflow.basedir, "config.yaml")


report: "workflow/report/workflow.rst"


run = start(workflow, config)


wildcard_constraints:
    dataset="|".join(run.datasets),
    # A shard of a table without ids lies in the folder of its file.
    first="(?:[^/]+/)?-?[0-9]+",
    last="-?[0-9]+",
    split="[A-Za-z0-9_-]+",
    segment="|".join(run.segments) or "(?!)",


include: "workflow/rules/geometry.smk"
include: "workflow/rules/columns.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/report.smk"


onstart:
    begin(workflow, run)


rule all:
    """Labels of every data set, the splits, the report of the run, the verdict of its checks, and the data set to publish."""
    default_target: True
    input:
        run.label_tables(),
        run.split_tables(*run.splits()),
        paths.VERIFICATION,
        paths.VALIDATION,
        paths.REPORT,
        paths.VERDICT,
        paths.DATASET,
