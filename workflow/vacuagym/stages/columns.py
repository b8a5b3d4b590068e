"""Check the named columns of a feature table before anything is labelled.

A job reads every value in a range of row groups, and writes the digest of each row group. Stages
that read the columns later compare the digests, and so find values that have changed.
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
from vacuagym.tables.feature_schema import ColumnBeside, FeatureColumns, Wanted
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan
from vacuagym.tables.table_files import shown
from vacuagym.tables.window import Window

_MOST_NAMED = 5  # rows in a message


def columns(
    plan: Plan,
    groups: tuple[int, int],
    wanted: Wanted,
    output: Path,
    *,
    beside: Sequence[ColumnBeside] = (),
    fingerprint: str | None = None,
) -> None:
    """Check the wanted columns in a range of row groups, and write the digest of each.

    Parameters
    ----------
    groups : (int, int)
        First and last row group.
    output : Path
        JSON file to write.
    beside : sequence of ColumnBeside
        Columns of other data sets that are published together with columns of this one.
    fingerprint : str, optional
        Fingerprint of table, settings and code, for the output.

    Raises
    ------
    InputError
        A value cannot be used or published, or the table has changed.
    """
    carried = wanted.carried()
    table = FeatureTable.from_plan(plan, hodge=wanted.hodge, carried=carried, keep_digests=True)
    types = published_types(plan.dataset, table, wanted.columns, beside)
    names = {name: FeatureColumns.carried_name(position) for position, name in enumerate(carried)}
    start = first = table.rows_before(groups[0])
    for rows in table.scan(Window(), range(groups[0], groups[1] + 1)):
        for name, kind in types.items():
            values = rows[names[name]].combine_chunks()
            if not _fits(values, kind):
                file, row = table.row(start)
                raise InputError(
                    f"{file}: column {name}: {_misfits(values, kind, row)}: "
                    f"{_remedy(name, kind, beside)}"
                )
        start += len(rows)
    digests = {str(group): digest for group, digest in sorted(table.digests.items())}
    document = {"dataset": plan.dataset, "fingerprint": fingerprint, "digests": digests}
    write_text(output, json.dumps(document, indent=1) + "\n")
    print(
        f"{start - first} rows, {len(carried) + len(wanted.hodge)} columns, peak "
        f"{peak_memory_mb():.0f} MB"
    )


def _remedy(name: str, kind: pa.DataType, beside: Sequence[ColumnBeside]) -> str:
    """Return what is required of a published column, and what to do."""
    others = [
        f"{dataset} ({shown(path) if path else 'toric bases'})"
        for dataset, path, column in beside
        if column == name
    ]
    shared = f" together with that of data set {' and '.join(others)}" if others else ""
    return (
        f"published as {kind}{shared}; this type does not hold these values; write the tables with "
        "one type, rename one of the columns, or leave it out of columns"
    )


def _misfits(values: pa.Array, kind: pa.DataType, start: int) -> str:
    """Return the first rows whose values a type does not hold."""
    wrong = list(
        islice(
            (row for row in range(len(values)) if not _fits(values.slice(row, 1), kind)),
            _MOST_NAMED,
        )
    )
    return ", ".join(f"row {start + row}: {values[row].as_py()!r:.60}" for row in wrong)


def _fits(values: pa.Array, kind: pa.DataType) -> bool:
    """Return whether a type holds all values."""
    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
