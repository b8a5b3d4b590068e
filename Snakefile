"""VacuaGym: from feature tables of string geometries to stability labels and splits.

Run `snakemake --cores 2 --resources mem_mb=12000`; the same command resumes after any crash. Settings: config.yaml.
"""

import os
import socket
import sys
from contextlib import nullcontext

# Jobs find the package and this interpreter whether or not the environment is activated.
PACKAGE = os.path.join(workflow.basedir, "workflow")
sys.path.insert(0, PACKAGE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PACKAGE, os.environ.get("PYTHONPATH")]))
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])

from vacuagym import orphans
from vacuagym import pipeline as paths
from vacuagym.config import read_config
from vacuagym.errors import VacuagymError
from vacuagym.pipeline import Pipeline
from vacuagym.run_lock import hold_run_lock, holder, turn_to_start
from vacuagym.stale_files import settle
from vacuagym.torn_files import discard_torn


configfile: os.path.join(workflow.basedir, "config.yaml")


report: "workflow/report/workflow.rst"


if workflow.is_main_process:
    os.environ |= {orphans.PARENT: str(os.getpid()), orphans.HOST: socket.gethostname()}

try:
    for path in workflow.configfiles:
        read_config(path)  # Snakemake's own reader takes the last of two equal keys
    run = Pipeline(config)
    # Dry runs, and whoever looks while another run is at work, leave the folder as it is.
    real = workflow.is_main_process and not workflow.output_settings.dryrun
    with turn_to_start() if real else nullcontext():
        alone = real and holder() is None
        if workflow.is_main_process:
            granted = workflow.global_resources.get("mem_mb")
            run.require_machine(granted and granted.value)
        if alone:
            discard_torn()
        for name in run.datasets:  # bad tables stop the run here, before any job
            run.plan(name)
        if alone:
            settle(run)
        if workflow.is_main_process:
            run.stamp_settings(change=alone)
except VacuagymError as error:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code)


wildcard_constraints:
    dataset="|".join(run.datasets),
    first="-?[0-9]+",
    last="-?[0-9]+",
    split="[A-Za-z0-9_-]+",


include: "workflow/rules/geometry.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/report.smk"


onstart:
    try:
        run.require_folders()
        hold_run_lock()
    except VacuagymError as error:
        raise WorkflowError(str(error))
    run.record_settings()
    # Snakemake's limit of 100 new jobs a second sets a timer at every step, and each timer makes a step: after a thousand jobs it would
    # look for new ones a thousand times a second. On this machine nothing needs the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


rule all:
    """Labels of every data set, the splits, the report of the run, the verdict of its checks, and the data set to publish."""
    default_target: True
    input:
        paths.LABEL_TABLE,
        expand(paths.SPLIT, split=run.splits()),
        paths.VERIFICATION,
        paths.VALIDATION,
        paths.REPORT,
        paths.VERDICT,
        paths.DATASET,
