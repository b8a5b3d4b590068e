"""Columns: read every value of the named columns of a table before anything is labelled, a range
of row groups a job.

The digests of the row groups are kept: whoever reads the columns later finds out whether the
values are still the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.publish.shared_types import published_types
from vacuagym.runtime.atomic_files import write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.feature_schema import FeatureColumns, Wanted
from vacuagym.tables.feature_table import FeatureTable, Window
from vacuagym.tables.plan import Plan

_MOST_NAMED = 5  # rows in a message


def columns(
    plan: Plan,
    groups: tuple[int, int],
    wanted: Wanted,
    output: Path,
    beside: Sequence[tuple[str, str | None, str]] = (),
    fingerprint: str | None = None,
) -> None:
    """Check the wanted columns in the row groups from ``groups[0]`` to ``groups[1]``; write the
    digest of each.

    ``beside`` are columns of other data sets that become one with columns of this one, as for a
    plan. ``fingerprint`` is of table, settings and code.
    """
    carried = wanted.carried()
    known = {"id_ranges": plan.id_ranges, "state": plan.state, "keep_digests": True}
    table = FeatureTable(**plan.table, **known, hodge=wanted.hodge, carried=carried)
    types = published_types(plan.dataset, table, wanted.columns, beside)
    names = {name: FeatureColumns.carried_name(position) for position, name in enumerate(carried)}
    start = first = table.rows_before(groups[0])
    for rows in table.scan(Window(), range(groups[0], groups[1] + 1)):
        for name, kind in types.items():
            _require_fit(
                rows[names[name]].combine_chunks(),
                kind,
                f"{table.path}: column {name}",
                start,
                _remedy(name, kind, beside),
            )
        start += len(rows)
    digests = {str(group): digest for group, digest in sorted(table.digests.items())}
    document = {"dataset": plan.dataset, "fingerprint": fingerprint, "digests": digests}
    write_text(output, json.dumps(document, indent=1) + "\n")
    print(
        f"{start - first} rows, {len(carried) + len(wanted.hodge)} columns, peak "
        f"{peak_memory_mb():.0f} MB"
    )


def _remedy(name: str, kind: pa.DataType, beside: Sequence[tuple[str, str | None, str]]) -> str:
    others = [
        f"{dataset} ({path or 'toric bases'})" for dataset, path, column in beside if column == name
    ]
    shared = (
        f", for the column is one with that of data set {' and '.join(others)}" if others else ""
    )
    return (
        f"published as {kind}{shared}, which does not hold these values; "
        "write the tables with one type, rename one of the columns, or leave it out of columns"
    )


def _require_fit(values: pa.Array, kind: pa.DataType, column: str, start: int, remedy: str) -> None:
    """Raise :class:`InputError` with the first rows that cannot be published as a type."""
    if _fits(values, kind):
        return
    wrong = list(
        islice(
            (row for row in range(len(values)) if not _fits(values.slice(row, 1), kind)),
            _MOST_NAMED,
        )
    )
    found = ", ".join(f"row {start + row}: {values[row].as_py()!r:.60}" for row in wrong)
    raise InputError(f"{column}: {found}: {remedy}")


def _fits(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
