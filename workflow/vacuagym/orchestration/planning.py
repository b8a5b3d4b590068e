"""Plans in Snakemake's own process: which shards a data set has.

A child process reads a table of the user. Its plan belongs to one state of the table (size, time
of change, footer), one shard size and one limit. A table that the pipeline computes has rows
numbered from 0, and their number is known. So its plan needs no table. The name of a plan file
identifies what the plan belongs to, so a dry run with another limit cannot disturb a run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vacuagym.config import digest
from vacuagym.errors import ConfigError, InputError, VacuagymError, printable
from vacuagym.orchestration.code_fingerprint import code_fingerprint
from vacuagym.paths import PLANS
from vacuagym.runtime.atomic_files import write_text
from vacuagym.runtime.memory import table_memory_mb
from vacuagym.tables.plan import MOST_SHARDS, Plan
from vacuagym.tables.shard_sizes import ShardSize, size_for
from vacuagym.tables.table_files import needs_arrow, shown, table_files, table_states

TableState = list[list[object]] | None


class PlanError(VacuagymError):
    """The child process that plans a data set failed. The error has its message and exit code."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def plan_dataset(
    dataset: str, entry: Mapping[str, Any], shard_size: ShardSize, n_limit: int | None
) -> Plan:
    """Return the plan of a table of the user; make it if it is not on disk.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    entry : mapping
        The table: ``path``, ``id``, ``namespace``, ``moduli`` and the columns for features.
    shard_size : int or "auto"
        Length of the range of ids of a shard. auto: the rows of the table decide.
    n_limit : int or None
        Number of rows to plan. None: all.

    Raises
    ------
    PlanError
        If the child process refuses the table.
    InputError
        If the table changes while it is planned.
    """
    plan = known_plan(dataset, entry, shard_size, n_limit)
    if plan is None:
        table, path, _ = _plan_file(dataset, entry, shard_size, n_limit)
        # If the table is absent, the child process says so.
        path = path or Path(PLANS) / f"{dataset}.json"
        beside = [json.dumps(column) for column in entry.get("beside", [])]
        _make(
            path,
            dataset,
            {**table, **_planned_columns(entry), "beside": beside},
            shard_size=shard_size,
            n_limit=n_limit,
        )
        plan = Plan.read(path)
        if plan.state != _state(table["path"]):
            raise InputError(
                f"{shown(table['path'])}: the table has changed while it was planned; it must stay "
                "the same during a run; run the same command again"
            )
    if plan.warning:
        print(f"warning: data set {dataset}: {printable(plan.warning)}", file=sys.stderr)
    return plan


def computed_plan(
    dataset: str,
    entry: Mapping[str, Any],
    origin: Sequence[Any],
    *,
    rows: int,
    shard_size: ShardSize,
    n_limit: int | None,
) -> Plan:
    """Return the plan of a table that the pipeline computes; write it if it is absent.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    entry : mapping
        The table: ``path``, ``id``, ``namespace`` and ``moduli``.
    origin : sequence
        What the rows are computed from: settings and the fingerprint of the code.
    rows : int
        Number of rows. Their ids are 0, 1, ….
    shard_size : int or "auto"
        Length of the range of ids of a shard. auto: ``rows`` decides.
    n_limit : int or None
        Number of rows to plan. None: all.

    Raises
    ------
    ConfigError
        If there are more shards than Snakemake can plan.
    """
    table = _columns(entry)
    shard_size = size_for(rows) if shard_size == "auto" else shard_size
    rows = rows if n_limit is None else min(n_limit, rows)
    if rows > MOST_SHARDS * shard_size:
        raise ConfigError(
            f"shard_size: with {shard_size}, the {rows} rows of {dataset} lie in more than "
            f"{MOST_SHARDS} shards; Snakemake cannot plan more; set shard_size to "
            f"{-(-rows // 1000)} or more"
        )
    shards = []
    for first in range(0, rows, shard_size):
        count = min(shard_size, rows - first)
        of = digest(*origin, table["moduli"], first, count)
        shards.append({"first": first, "last": first + shard_size - 1, "rows": count, "digest": of})
    document = {
        "dataset": dataset,
        "table": table,
        "shard_size": shard_size,
        "rows": rows,
        "until": (rows - 1, None),  # The table may have more rows.
        "id_ranges": [],
        "warning": None,
        "computed": True,
        "files": [],
        "parts": [],
        "shards": shards,
    }
    path = Path(PLANS) / f"{dataset}-{digest(code_fingerprint('plan'), document)}.json"
    try:
        return Plan.read(path)
    except (FileNotFoundError, InputError):
        write_text(path, json.dumps(document, indent=1) + "\n")
        return Plan.read(path)


def known_plan(
    dataset: str, entry: Mapping[str, Any], shard_size: ShardSize, n_limit: int | None
) -> Plan | None:
    """Return the plan of a table if it is on disk and current, else None.

    The parameters are those of :func:`plan_dataset`.
    """
    _, path, state = _plan_file(dataset, entry, shard_size, n_limit)
    try:
        plan = None if path is None else Plan.read(path)
    except (FileNotFoundError, InputError):
        return None
    return plan if plan is not None and plan.state == state else None


def _plan_file(
    dataset: str, entry: Mapping[str, Any], shard_size: ShardSize, n_limit: int | None
) -> tuple[dict[str, Any], Path | None, TableState]:
    """Return the columns of a table, the file of its plan, and the states of the files.

    The last two are None if the table is absent.
    """
    table = _columns(entry)
    state = _state(table["path"])
    if state is None:
        return table, None, None
    beside = [(*column, column[1] and _state(column[1])) for column in entry.get("beside", [])]
    identity = digest(
        code_fingerprint("plan"), table, _planned_columns(entry), beside, state, shard_size, n_limit
    )
    return table, Path(PLANS) / f"{dataset}-{identity}.json", state


def _state(paths: str | list[str]) -> TableState:
    """Return the states of the files of a table, None if it is absent or unreadable.

    Only a child process may open a file system for which Arrow is needed.
    """
    if needs_arrow(paths):
        child = _vacuagym("table-state", {"table": paths})
        return json.loads(child.stdout) if child.returncode == 0 else None
    try:
        return table_states(table_files(paths))
    except InputError:
        return None


def _columns(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("path", "id", "namespace", "moduli")}


def feature_columns(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the feature columns of a table, as options of ``vacuagym plan`` and ``features``.

    The pipeline checks these columns first, and uses them after the labels are computed.
    """
    h11, h21 = entry.get("hodge") or (None, None)
    return {
        "h11": h11,
        "h21": h21,
        "column": entry.get("columns", []),
        "group": sorted(entry.get("group", [])),
    }


def _planned_columns(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are planned: features, and those that geometry is computed from."""
    names = ("content", "origin", "source") if "origin" in entry else ()
    return {**feature_columns(entry), **{name: entry[name] for name in names}}


def _make(
    path: Path,
    dataset: str,
    table: Mapping[str, Any],
    *,
    shard_size: ShardSize,
    n_limit: int | None,
) -> None:
    """Write a plan in a child process, which reads the table."""
    options = {
        **table,
        "table": table["path"],
        "dataset": dataset,
        "shard-size": shard_size,
        "n-limit": n_limit,
        "output": path,
    }
    del options["path"]
    child = _vacuagym("plan", options)
    if child.returncode:
        raise PlanError(
            f"data set {dataset}: {child.stderr.strip().removeprefix('error: ')}", child.returncode
        )


def _vacuagym(stage: str, options: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run a stage that reads a table of the user in a process of its own."""
    command = [sys.executable, "-P", "-m", "vacuagym", stage, f"--mem-mb={table_memory_mb()}"]
    return subprocess.run([*command, *command_options(options)], capture_output=True, text=True)


def command_options(options: Mapping[str, Any]) -> list[str]:
    """Return ``--name=value`` for each option, and for each value of a list.

    Options that are None are left out. A value may begin with a dash.
    """
    pairs = (
        (name, value)
        for name, values in options.items()
        for value in (values if isinstance(values, list) else [values])
    )
    return [f"--{name}={value}" for name, value in pairs if value is not None]
