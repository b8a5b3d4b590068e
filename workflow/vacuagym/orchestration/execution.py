"""Prepare a run for its executor, before Snakemake creates the executor.

Snakemake chooses the executor after it has read the Snakefile, and it has no hook between the two.
So this module puts itself before ``Workflow.execute``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from vacuagym.errors import VacuagymError, printable
from vacuagym.orchestration.lock import hold_run_lock
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.orchestration.requirements import require_folders
from vacuagym.runtime.lease import RUN, require_lease

# Two Snakemake processes beside a job on another host. Measured on Slurm: 168 MB resident each, of
# which 105 MB are private. The rest is of libraries. A memory cgroup counts it once, and a sum of
# resident memory counts it once a process. The figure covers both.
BESIDE_MB = 350
# In the environment of jobs: the user forces rules, so no job keeps a result because it is current.
FORCED = "VACUAGYM_FORCED"


def prepare_execution(workflow: Any, pipeline: Pipeline) -> None:
    """Make Snakemake call :func:`_before_run` or :func:`_before_job` before it executes anything.

    A dry run executes nothing.
    """
    execute = workflow.execute

    def prepared(**settings: Any) -> Any:
        executor = settings["executor_plugin"].common_settings
        if workflow.is_main_process and not (executor.dryrun_exec or executor.touch_exec):
            _before_run(workflow, local=not executor.non_local_exec)
        elif not workflow.is_main_process:
            _before_job(workflow, pipeline)
        return execute(**settings)

    workflow.execute = prepared


def _before_run(workflow: Any, local: bool) -> None:
    """Take the lock of the folder, and adapt the declarations of jobs on other hosts."""
    try:
        require_folders()
        hold_run_lock()
    except VacuagymError as error:
        end_process(str(error), error.exit_code)
    except OSError as error:
        end_process(system_message(error), 1)
    if not local:
        asked = workflow.dag_settings
        os.environ[FORCED] = "1" if asked.forcerun or asked.forceall or asked.forcetargets else ""
        # A job of a dead run would remove what the jobs of the present run have written.
        workflow.execution_settings.keep_incomplete = True
        for rule in workflow.rules:
            _declare_more_memory(rule)


def _before_job(workflow: Any, pipeline: Pipeline) -> None:
    """Leave current results alone, and leave repetitions to the main process.

    There, the next attempt has smaller batches. Results of rules that the user forces are
    recomputed.
    """
    if not os.environ.get(FORCED) and _has_current_results(workflow, pipeline):
        raise SystemExit(0)
    for rule in workflow.rules:
        rule.restart_times = 0


def _has_current_results(workflow: Any, pipeline: Pipeline) -> bool:
    """Return whether a job on another host finds whole results of its rows, settings and code.

    Slurm or Snakemake repeat the job of a node that does not answer, although it may have finished
    its file. Snakemake would remove the file before it runs the job again.
    """
    asked = [
        (target.rulename, target.wildcards_dict)
        for target in (workflow.dag_settings.target_jobs if workflow.remote_exec else ())
    ]
    return bool(asked) and all(pipeline.is_current(rule, **names) for rule, names in asked)


def _declare_more_memory(rule: Any) -> None:
    """Add what Snakemake itself takes beside a job. The job is still held to its own figure."""
    if "mem_mb" in rule.resources:
        own = rule.resources["mem_mb"]
        rule.resources["mem_mb"] = own._convert_units(lambda megabytes: megabytes + BESIDE_MB)


def require_run(workflow: Any) -> None:
    """Refuse a job on another host that belongs to a dead run, or does not know its run.

    Raises
    ------
    VacuagymError
        If another run has begun in the folder, or the environment of the run is missing.
    """
    if workflow.is_main_process:
        return
    require_lease()
    if workflow.remote_exec and RUN not in os.environ:
        raise VacuagymError(
            f"{RUN}: not in the environment of this job; the environment of the run must reach its "
            "jobs (Slurm: --export=ALL, which the plugin sets); allow it, or use another executor"
        )


def end_process(message: str, exit_code: int) -> NoReturn:
    """End Snakemake's process with one message."""
    print(f"error: {printable(message)}", file=sys.stderr)
    raise SystemExit(exit_code)


def system_message(error: OSError) -> str:
    """Return the message of an error of the system at the start."""
    where = error.filename or Path.cwd()
    return (
        f"{where}: {error.strerror or error}; nothing was done; the path must be usable; correct "
        "it, or run in another folder, and run the same command again"
    )
