"""All that happens while Snakemake reads the Snakefile: check, tidy up, plan. And what happens
when a run begins.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vacuagym.config.file import read_config
from vacuagym.errors import VacuagymError, printable
from vacuagym.orchestration.lock import hold_run_lock, holder, turn_to_start
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.orchestration.stale_files import remove_data_set, settle
from vacuagym.orchestration.torn_files import discard_torn
from vacuagym.runtime import parent_death


def start(workflow: Any, config: Mapping[str, Any]) -> Pipeline:
    """Return the pipeline of a configuration, with all plans made; end the process with one
    message if that is impossible.

    A dry run, and whoever looks while another run is at work, leaves the folder as it is.
    """
    try:
        _require_own_package(Path(workflow.basedir))
        _prepare_jobs(workflow)
        return _prepared(workflow, config)
    except VacuagymError as error:
        _end(str(error), error.exit_code)
    except OSError as error:
        _end(_told(error), 1)


def begin(workflow: Any, pipeline: Pipeline) -> None:
    """Take the lock of the folder and record the settings: a real run begins."""
    try:
        pipeline.require_folders()
        hold_run_lock()
        pipeline.record_settings()
    except VacuagymError as error:
        raise workflow_error(str(error)) from error
    except OSError as error:
        raise workflow_error(_told(error)) from error
    # Snakemake's limit of 100 new jobs a second sets a timer at every step, and each timer makes a
    # step: after a thousand jobs it would look for new ones a thousand times a second. On this
    # machine nothing needs the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def workflow_error(message: str) -> Exception:
    """Return the exception that Snakemake shows as a message."""
    from snakemake.exceptions import WorkflowError

    return WorkflowError(message)


def _require_own_package(folder: Path) -> None:
    """Refuse code of another tree: its fingerprints and its jobs would not be those of this
    Snakefile.
    """
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
    """Let jobs find this interpreter, whether or not its environment is activated, and the process
    that they belong to.
    """
    os.environ["PATH"] = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    )
    if workflow.is_main_process:
        os.environ[parent_death.PARENT] = str(os.getpid())
        os.environ[parent_death.HOST] = socket.gethostname()


def _prepared(workflow: Any, config: Mapping[str, Any]) -> Pipeline:
    files = {
        os.path.relpath(path): read_config(path) for path in workflow.configfiles
    }  # Snakemake's reader takes the last of two equal keys
    pipeline = Pipeline(config, files)
    real = workflow.is_main_process and not workflow.output_settings.dryrun
    with turn_to_start() if real else nullcontext():
        alone = real and holder() is None
        if workflow.is_main_process:
            granted = workflow.global_resources.get("mem_mb")
            pipeline.require_machine(granted and granted.value)
        if alone:
            discard_torn()
        for name in pipeline.datasets:  # bad tables stop the run here, before any job
            pipeline.plan(name)
        if alone:
            settle(pipeline)
            if any(
                option.startswith("--delete-a") for option in sys.argv
            ):  # --delete-all-output, which argparse lets users shorten
                remove_data_set()
        if workflow.is_main_process:
            pipeline.stamp_settings(change=alone)
    return pipeline


def _told(error: OSError) -> str:
    where = error.filename or Path.cwd()
    return (
        f"{where}: {error.strerror or error}; nothing was done: mend that, or run in another "
        "folder, and type the same command again"
    )


def _end(message: str, exit_code: int) -> None:
    print(f"error: {printable(message)}", file=sys.stderr)
    raise SystemExit(exit_code)
