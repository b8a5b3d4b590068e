"""Show the progress of a run from its files.

This works during a run, after a crash and before the first run. It changes nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vacuagym.errors import ConfigError, InputError, VacuagymError
from vacuagym.orchestration.lock import command, holder, started
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.orchestration.stale_files import ASIDE
from vacuagym.paths import (
    CONFIGURATION,
    DATASET,
    FEATURES,
    GEOMETRY_VERIFICATION,
    JOBS,
    LABEL_TABLE,
    LABELS,
    REPORT,
    SPLIT,
    VALIDATION,
    VERDICT,
    VERIFICATION,
)
from vacuagym.runtime.atomic_files import read_json
from vacuagym.runtime.lease import read_lease
from vacuagym.runtime.log_tail import last_lines
from vacuagym.tables.parquet import file_metadata, open_parquet
from vacuagym.tables.plan import Shard

# Rules by their results, if the names differ.
_RULES = {
    "labels": "merge",
    "splits": "split",
    "verification": "verify",
    "validation": "validate",
    "verdict": "gate",
    "SHA256SUMS": "dataset",
}
COMMAND = "snakemake --cores 2 --resources mem_mb=12000"  # before the first run


@dataclass
class DatasetStatus:
    """The numbers of shards of a data set by state, and the cost of the finished ones."""

    name: str
    planned: bool = False
    done: int = 0
    stale: int = 0
    running: int = 0
    failed: list[str] = field(default_factory=list)  # their logs
    waiting: int = 0
    rows_done: int = 0
    rows: int = 0
    seconds: float = 0.0  # sum over all finished jobs
    peak_mb: float = 0.0  # largest memory of a finished job


def dataset_status(pipeline: Pipeline, name: str, since: float | None) -> DatasetStatus:
    """Return the state of the planned shards of a data set.

    Parameters
    ----------
    pipeline : Pipeline
        The pipeline of the last run.
    name : str
        The data set.
    since : float or None
        When the run at work began, in seconds since the epoch. Older logs belong to earlier runs.
        None: no run is at work.
    """
    status = DatasetStatus(name)
    plan = pipeline.known_plan(name)
    if plan is None:
        return status
    status.planned = True
    for shard in plan.shards:
        status.rows += shard.rows
        path = Path(LABELS.format(dataset=name, first=shard.start, last=shard.last))
        log = _log(pipeline, name, shard, since)
        about = _label_metadata(path)
        made = about.get("digest"), about.get("fingerprint")
        if made == (shard.digest, pipeline.fingerprint(name)):
            status.done += 1
            status.rows_done += shard.rows
            status.seconds += about["wall_seconds"]
            status.peak_mb = max(status.peak_mb, about["peak_mb"])
        elif since is None and (about or path.with_name(ASIDE.format(path.name)).exists()):
            status.stale += 1
        elif since is not None and not _written_since(log, since):
            status.waiting += 1
        elif _failed(log):
            status.failed.append(str(log))
        elif since is not None and not path.exists():
            status.running += 1
        else:
            status.waiting += 1
    return status


def _log(pipeline: Pipeline, dataset: str, shard: Shard, since: float | None) -> Path:
    """Return the log of the last job of a shard: of its labels, or before them of its geometry."""
    log = Path(f"logs/label/{dataset}/{shard.name}.log")
    labelling = log.exists() and (since is None or _written_since(log, since))
    geometry = dataset in pipeline.derived and not labelling
    if geometry and not pipeline.has_current_geometry(dataset, shard):
        return Path(f"logs/threefolds/{dataset}/{shard.name}.log")
    return log


def print_status() -> None:
    """Print the progress of the last run in this folder, with the settings that it recorded."""
    try:
        pipeline = read_json(
            CONFIGURATION, lambda config: Pipeline({"seed": config["seed"], **config})
        )
    except FileNotFoundError:
        print(f"nothing has run in {Path.cwd()} yet; start with: {COMMAND}")
        return
    except (InputError, ConfigError):
        print(f"{CONFIGURATION}: the file is torn; write it again with: {command() or COMMAND}")
        return
    who = holder()
    print(f"run: {who}" if who else "run: none at work in this folder")
    since = started() if who else None
    statuses = [dataset_status(pipeline, name, since) for name in pipeline.datasets]
    print(
        "data set         shards   done running waiting failed  stale  rows done  rows/s  peak MB"
    )
    for status in statuses:
        if not status.planned:
            print(
                f"{status.name:<16} not planned yet: its table is not computed yet, or has changed"
            )
            continue
        total = status.done + status.running + status.waiting + len(status.failed) + status.stale
        speed = f"{status.rows_done / status.seconds:.0f}" if status.seconds else "-"
        peak = f"{status.peak_mb:.0f}" if status.done else "-"
        counts = (
            f"{total:>6} {status.done:>6} {status.running:>7} {status.waiting:>7} "
            f"{len(status.failed):>6} {status.stale:>6}"
        )
        print(f"{status.name:<16} {counts} {status.rows_done:>10} {speed:>7} {peak:>8}")
    print(f"declared for each label job: {pipeline.label_memory_mb()} MB")
    _print_stages(at_work=who is not None)
    for log in [log for status in statuses for log in status.failed][:5]:
        print(f"failed: {log}")
    _print_outlook(statuses, pipeline, since)


def _print_stages(at_work: bool) -> None:
    """Print the jobs of the last run by rule, and what Slurm has of them in its queue."""
    try:
        counts = read_json(JOBS)
        lines = [
            (rule, *(int(found[key]) for key in ("total", "done", "begun", "failed")))
            for rule, found in counts["rules"].items()
        ]
    except (OSError, VacuagymError, LookupError, TypeError, ValueError, AttributeError):
        return
    if counts.get("run") != read_lease().get("run"):
        return  # It is of an earlier run.
    begun_as = "begun" if at_work else "cut off"
    print(f"jobs of the last run  total   done {begun_as:>7} waiting failed")
    for rule, total, done, begun, failed in lines:
        waiting = max(0, total - done - begun - failed)
        print(f"{rule:<20} {total:>6} {done:>6} {begun:>7} {waiting:>7} {failed:>6}")
    queue = _queue([rule for rule, *_ in lines]) if at_work else {}
    for state, jobs in sorted(queue.items()):
        named = ", ".join(f"{name} {count}" for name, count in sorted(jobs.items()))
        print(f"Slurm: {state.lower()}: {sum(jobs.values())} ({named})")


def _queue(rules: list[str]) -> dict[str, Counter[str]]:
    """Return the jobs of this folder in Slurm's queue, by state, or reason to wait, and by rule.

    The plugin of Snakemake writes the rule of a job into its comment. For a group, that is the name
    of the group and then its rules.
    """
    longest_first = sorted(rules, key=len, reverse=True)
    asked = ["squeue", "--me", "--noheader", "--format=%T|%r|%k|%Z"]
    try:
        lines = subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    queue: dict[str, Counter[str]] = {}
    for line in lines.splitlines():
        state, reason, comment, folder = [*line.split("|", 3), "", "", ""][:4]
        if folder == os.getcwd() and comment.startswith("rule_"):
            rule = comment.removeprefix("rule_").partition("_wildcards_")[0]
            if rule not in rules:
                while found := [name for name in longest_first if rule.endswith(f"_{name}")]:
                    rule = rule.removesuffix(f"_{found[0]}")
                rule = f"group {rule}"
            waits = f"{state} for {reason}" if state == "PENDING" else state
            queue.setdefault(waits, Counter())[rule] += 1
    return queue


def _print_outlook(statuses: list[DatasetStatus], pipeline: Pipeline, since: float | None) -> None:
    rows, done = sum(s.rows for s in statuses), sum(s.rows_done for s in statuses)
    seconds = sum(s.seconds for s in statuses)
    if since is not None and 0 < done < rows and seconds:
        cores = max(1, sum(s.running for s in statuses))
        left = (rows - done) * seconds / done / cores
        print(
            f"labels: {100 * done // rows}% of the planned rows, about {_clock(left)} left with "
            f"{cores} at work"
        )
    complete = done == rows and all(s.planned for s in statuses)
    missing = _missing(pipeline) if complete else []
    if complete:
        made = "" if LABEL_TABLE in missing else f"; the table is {LABEL_TABLE}"
        print(f"labels: all done{made}")
    if missing and since is not None:
        print(f"then: {_at_work(missing, since) or 'waiting'}; still to come: {', '.join(missing)}")
    elif since is None and (missing or not complete):
        print(
            f"missing: {', '.join(missing)}"
            if missing
            else "missing: labels, and all results that depend on them"
        )
        print(f"next: {command() or COMMAND} computes what is missing")
    elif complete:
        print(f"all done; look at {REPORT}")


def _missing(pipeline: Pipeline) -> list[str]:
    """Return the results after the labels that are absent or older than the label table."""
    tables = {LABEL_TABLE: pipeline.label_tables()}
    tables |= {FEATURES.format(dataset=n): pipeline.feature_tables(n) for n in pipeline.datasets}
    tables |= {SPLIT.format(split=name): pipeline.split_tables(name) for name in pipeline.splits()}
    tables |= {path: [path] for path in (VERIFICATION, VALIDATION, REPORT, VERDICT, DATASET)}
    newest = max([1.0, *map(_time, tables[LABEL_TABLE])])
    beside = [GEOMETRY_VERIFICATION.format(dataset=name) for name in pipeline.with_geometry]
    absent = [path for path in beside if not _time(path)]
    labels = [LABEL_TABLE] if not all(map(_time, tables.pop(LABEL_TABLE))) else []
    behind = [name for name, files in tables.items() if min(map(_time, files)) < newest]
    return [*labels, *behind, *absent]


def _at_work(missing: list[str], since: float) -> str:
    """Return the rules of this run that have begun, by their logs, and lack their results."""
    folders = {"features": "features", "splits": "splits", "verification": "verify_geometry"}
    rules = {folders.get(Path(path).parent.name, Path(path).stem) for path in missing}
    names = sorted(_RULES.get(rule, rule) for rule in rules)
    begun = [
        name
        for name in names
        if any(log.stat().st_mtime >= since for log in Path("logs", name).rglob("*.log"))
    ]
    return ", ".join(begun) + " at work" if begun else ""


def _time(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def watch_status(seconds: float) -> None:
    """Print the status every ``seconds`` until interrupted."""
    while True:
        print("\033[2J\033[H" if os.isatty(1) else "", end="")
        print(time.strftime("%H:%M:%S"))
        print_status()
        sys.stdout.flush()
        time.sleep(seconds)


def _label_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a label file; empty if it is absent or damaged."""
    if not path.exists():
        return {}
    try:
        return file_metadata(open_parquet(path))
    except (VacuagymError, json.JSONDecodeError):
        return {}


def _written_since(log: Path, moment: float) -> bool:
    try:
        return log.stat().st_mtime >= moment
    except OSError:
        return False


def _failed(log: Path) -> bool:
    """Return whether the log of a job ends with an error."""
    with suppress(OSError), open(log, "rb") as file:
        return any(line.startswith("error: ") for line in last_lines(file, 20, 4096))
    return False


def _clock(seconds: float) -> str:
    minutes = -(-int(seconds) // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
