"""Check, tidy up and plan while Snakemake reads the Snakefile, and begin a run."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vacuagym.config.file import read_config
from vacuagym.errors import VacuagymError
from vacuagym.orchestration.execution import (
    end_process,
    prepare_execution,
    require_run,
    system_message,
)
from vacuagym.orchestration.lock import forget_run, holder, turn_to_start
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.orchestration.requirements import require_machine
from vacuagym.orchestration.settings_files import record_settings, stamp_settings
from vacuagym.orchestration.stale_files import remove_data_set, settle
from vacuagym.orchestration.torn_files import discard_torn
from vacuagym.runtime import parent_death


def start(workflow: Any, config: Mapping[str, Any]) -> Pipeline:
    """Return the pipeline of a configuration, with all plans.

    If that fails, end the process with one message. A dry run, and a start while another run is at
    work, change nothing in the folder except missing plans and settings.
    """
    try:
        _require_own_package(Path(workflow.basedir))
        require_run(workflow)
        _prepare_jobs(workflow)
        pipeline = _prepared(workflow, config)
        prepare_execution(workflow, pipeline)
    except VacuagymError as error:
        end_process(str(error), error.exit_code)
    except OSError as error:
        end_process(system_message(error), 1)
    return pipeline


def begin(workflow: Any, pipeline: Pipeline) -> None:
    """Begin a real run: record its settings."""
    try:
        record_settings(pipeline)
    except OSError as error:
        end_process(system_message(error), 1)
    # Snakemake limits new jobs to 100 a second. The limit sets a timer at every step, and each
    # timer makes a step. So after a thousand jobs Snakemake would look for new ones a thousand
    # times a second. Local jobs do not need the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def _require_own_package(folder: Path) -> None:
    """Refuse a package of another tree: its fingerprints and jobs do not fit this Snakefile."""
    own = (folder / "workflow").resolve()
    for name in ("vacuagym", "snakemake_logger_plugin_vacuagym"):
        module = sys.modules.get(name)
        if module is not None and own != (
            loaded := Path(str(module.__file__)).resolve().parents[1]
        ):
            raise VacuagymError(
                f"{folder / 'Snakefile'}: this environment has the package of {loaded}; the one "
                f"of {own} is needed; "
                f"use the environment of {folder} (make setup), or install it: pip install "
                f"--no-deps -e {folder}"
            )


def _prepare_jobs(workflow: Any) -> None:
    """Set the environment of jobs: this interpreter comes first, and they know their parent."""
    os.environ["PATH"] = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    )
    if workflow.is_main_process:
        forget_run()
        os.environ[parent_death.PARENT] = str(os.getpid())
        os.environ[parent_death.HOST] = socket.gethostname()


def _prepared(workflow: Any, config: Mapping[str, Any]) -> Pipeline:
    # The files are read again: Snakemake's reader takes the last of two equal keys.
    files = {os.path.relpath(path): read_config(path) for path in workflow.configfiles}
    pipeline = Pipeline(config, files)
    real = workflow.is_main_process and not workflow.output_settings.dryrun
    with turn_to_start() if real else nullcontext():
        alone = real and holder() is None
        if workflow.is_main_process:
            granted = workflow.global_resources.get("mem_mb")
            # Nodes are given if jobs go to other hosts. This host says nothing of theirs.
            elsewhere = workflow.global_resources["_nodes"].value is not None
            require_machine(pipeline, granted and granted.value, here=not elsewhere)
        if alone:
            discard_torn()
        for name in pipeline.datasets:  # A bad table stops the run here, before any job.
            pipeline.plan(name)
        if alone:
            settle(pipeline)
            # argparse accepts shorter forms of --delete-all-output.
            if any(option.startswith("--delete-a") for option in sys.argv):
                remove_data_set()
        if workflow.is_main_process:
            stamp_settings(pipeline, change=alone)
    return pipeline
