"""Plans: which shards a data set has. This is the side that Snakemake's own process sees.

A table of the user is read by a child process. Its plan belongs to one state of the table (size,
time of change, footer), one cut (shard size) and one limit. The plan of a table that the pipeline
computes is known without the table: its rows are numbered from 0, and their number is known. The
file of a plan is named by what it belongs to, so a dry run with another limit cannot disturb a run
at work.
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
from vacuagym.tables.footers import table_state
from vacuagym.tables.plan import MOST_SHARDS, Plan


class PlanError(VacuagymError):
    """The child process that plans a data set failed; its message is ours, and so is its exit
    code.
    """

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def plan_dataset(
    dataset: str, entry: Mapping[str, Any], shard_size: int, n_limit: int | None
) -> Plan:
    """The plan of a data set whose table is ``entry`` (path, id, namespace, moduli, …): the one on
    disk, or a new one.
    """
    plan = known_plan(dataset, entry, shard_size, n_limit)
    if plan is None:
        table, path = _whereabouts(dataset, entry, shard_size, n_limit)
        path = path or Path(PLANS) / f"{dataset}.json"  # the table is absent: the child explains it
        beside = [json.dumps(column) for column in entry.get("beside", [])]
        _make(
            path,
            dataset,
            {**table, **feature_columns(entry), "beside": beside},
            shard_size,
            n_limit,
        )
        plan = Plan.read(path)
        if plan.state != table_state(table["path"]):
            raise InputError(
                f"{table['path']}: the table has changed while it was planned; run the same "
                "command again"
            )
    if plan.warning:
        print(f"warning: data set {dataset}: {printable(plan.warning)}", file=sys.stderr)
    return plan


def computed_plan(
    dataset: str, entry: Mapping[str, Any], origin: Sequence[Any], rows: int, shard_size: int
) -> Plan:
    """Return the plan of a table of ``rows`` rows that the pipeline computes, with the ids 0, 1,
    …; write it where it is absent.

    ``origin`` is what the rows are computed from: settings and the fingerprint of the code.
    """
    table = _columns(entry)
    if rows > MOST_SHARDS * shard_size:
        raise ConfigError(
            f"shard_size {shard_size}: the {rows} rows of {dataset} lie in more than "
            f"{MOST_SHARDS} shards, more than Snakemake can "
            f"handle; set shard_size to {-(-rows // 1000)} or more"
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
        "until": (rows - 1, None),  # the table may have more
        "id_ranges": [],
        "warning": None,
        "computed": True,
        "state": None,
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
    dataset: str, entry: Mapping[str, Any], shard_size: int, n_limit: int | None
) -> Plan | None:
    """The plan of a data set if there is a whole one on disk; makes nothing."""
    table, path = _whereabouts(dataset, entry, shard_size, n_limit)
    try:
        plan = None if path is None else Plan.read(path)
    except (FileNotFoundError, InputError):
        return None
    return plan if plan is not None and plan.state == table_state(table["path"]) else None


def _whereabouts(
    dataset: str, entry: Mapping[str, Any], shard_size: int, n_limit: int | None
) -> tuple[dict[str, Any], Path | None]:
    """The columns of a table, and the file of its plan; None where there is no table."""
    table = _columns(entry)
    state = table_state(table["path"])
    if state is None:
        return table, None
    beside = [(*column, column[1] and table_state(column[1])) for column in entry.get("beside", [])]
    identity = digest(
        code_fingerprint("plan"), table, feature_columns(entry), beside, state, shard_size, n_limit
    )
    return table, Path(PLANS) / f"{dataset}-{identity}.json"


def _columns(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("path", "id", "namespace", "moduli")}


def feature_columns(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are checked now and used once there are labels: options of the commands
    ``plan`` and ``features``.
    """
    h11, h21 = entry.get("hodge") or (None, None)
    return {
        "h11": h11,
        "h21": h21,
        "column": entry.get("columns", []),
        "group": sorted(entry.get("group", [])),
    }


def _make(
    path: Path, dataset: str, table: Mapping[str, Any], shard_size: int, n_limit: int | None
) -> None:
    options = {
        **table,
        "table": table["path"],
        "dataset": dataset,
        "shard-size": shard_size,
        "n-limit": n_limit,
        "output": path,
    }
    del options["path"]
    command = [
        sys.executable,
        "-P",
        "-m",
        "vacuagym",
        "plan",
        f"--mem-mb={table_memory_mb()}",
        *command_options(options),
    ]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        raise PlanError(
            f"data set {dataset}: {child.stderr.strip().removeprefix('error: ')}", child.returncode
        )


def command_options(options: Mapping[str, Any]) -> list[str]:
    """``--name=value`` for each option that is not None, and for each value of a list; a value may
    begin with a dash.
    """
    pairs = (
        (name, value)
        for name, values in options.items()
        for value in (values if isinstance(values, list) else [values])
    )
    return [f"--{name}={value}" for name, value in pairs if value is not None]
