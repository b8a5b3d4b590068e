"""Plan a data set: check its whole table, and find the shards that hold its rows.

Labelling starts after this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.config import digest
from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import write_text
from vacuagym.tables.feature_schema import SCHEMA, ColumnBeside, FeatureColumns
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.parquet import TableWriter, write_table
from vacuagym.tables.plan import MOST_SHARDS
from vacuagym.tables.shard_digest import ShardDigest
from vacuagym.tables.shard_sizes import ShardSize
from vacuagym.tables.threefold_content import require_content

# ids of a shard, the shards, the number of their rows, and the largest (id, namespace)
Shards = tuple[int, list[dict[str, Any]], int, tuple[int, str | None] | None]
MODULI_ABSENT = (
    "{path} has no column {column!r}: every geometry gets the least number of moduli; "
    "set `moduli` of the data set to a column of the table, or to null if that is intended"
)


def plan(
    dataset: str,
    table: FeatureTable,
    *,
    shard_size: ShardSize,
    n_limit: int | None,
    output: Path,
    columns: Sequence[str] = (),
    groups: Sequence[str] = (),
    beside: Sequence[ColumnBeside] = (),
    origin: str | None = None,
    source: str | None = None,
) -> None:
    """Check every row of ``table`` and write the plan of the data set.

    Of a table without an id column only footers are read; jobs check its rows.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    shard_size : int or "auto"
        Ids of a shard. auto: the rows of the table decide, and not ``n_limit``.
    n_limit : int, optional
        Largest number of rows. All if None.
    columns : sequence of str
        Columns to publish. They are checked now, before anything is labelled.
    groups : sequence of str
        Columns that identify duplicates.
    beside : sequence of ColumnBeside
        Columns of other data sets that are published together with ``columns``.
    origin : str, optional
        What geometry that is computed from the carried columns depends on besides. The digest of
        a shard then covers the values of these columns and ``origin``.
    source : str, optional
        What the carried columns hold: "weight_systems", "polytopes" or "cicy".

    Raises
    ------
    ConfigError
        The ids lie in too many shards, or a column cannot be published.
    InputError
        The table cannot be used.
    """
    table.require_columns(columns, groups)
    if source is not None:
        require_content(table.path, source, table.fields(table.carried))
    if columns:
        # Imported here, because the import takes time and only some plans need it.
        from vacuagym.publish.shared_types import published_types

        published_types(dataset, table, columns, beside)
    copy = _Copy(output)
    with copy:
        size, shards, selected, until = (
            _of_ids(table, shard_size, n_limit, origin, copy)
            if table.id is not None
            else _of_files(table, shard_size, n_limit, origin)
        )
    # The moduli counts of a table without an id column were not read yet.
    counts = [table.moduli] if table.id is None and table.moduli and not table.moduli_absent else []
    # Columns beside computed geometry are read with it, and not by jobs of their own.
    named = [*table.hodge, *columns, *groups] if origin is None else []
    checked = list(dict.fromkeys([*named, *counts]))
    document = {
        "dataset": dataset,
        "table": {
            "path": [*table.paths] if isinstance(table.paths, list) else str(table.paths),
            "id": table.id,
            "namespace": table.namespace,
            "moduli": table.moduli,
        },
        "shard_size": size,
        "n_limit": n_limit,
        "rows": table.rows,
        "selected": selected,
        "until": until if selected < table.rows else None,
        "id_ranges": table.id_ranges or [],
        "sorted_ranges": copy.ranges,
        "computed": origin is not None,
        "files": [[its.path, its.namespace, its.state, [*its.groups]] for its in table.files],
        "parts": table.parts(checked, until if selected < table.rows else None) if checked else [],
        "warning": MODULI_ABSENT.format(path=table.path, column=table.moduli)
        if table.moduli_absent
        else None,
        "shards": shards,
    }
    write_text(output, json.dumps(document, indent=1) + "\n")


class _Copy(ExitStack):
    """The sorted rows of a scattered table beside its plan.

    Each shard job would read the whole table without it.

    Attributes
    ----------
    ranges : list of (int, int)
        Least and largest id of each row group.
    """

    def __init__(self, plan: Path) -> None:
        super().__init__()
        self.folder = plan.parent
        self.ranges: list[tuple[int, int]] = []
        self._path = plan.with_suffix(".sorted.parquet")
        self._writer: TableWriter | None = None

    def write(self, rows: pa.Table) -> None:
        """Append the next rows."""
        if self._writer is None:
            self._writer = self.enter_context(write_table(self._path, SCHEMA, {}))
        self._writer.write(rows.select(SCHEMA.names))
        ids = rows["geometry_id"]
        self.ranges.append((ids[0].as_py(), ids[-1].as_py()))


def _of_ids(
    table: FeatureTable,
    wanted_size: ShardSize,
    n_limit: int | None,
    origin: str | None,
    copy: _Copy,
) -> Shards:
    """Return the shards of a table with ids. Every row is read; a scattered table is copied."""
    shards: list[dict[str, Any]] = []
    shard_size, selected, until = 0, 0, None
    carried = [FeatureColumns.carried_name(place) for place in range(len(table.carried))]
    content = ShardDigest(carried, origin)
    for chunk in table.ordered(spill=copy.folder):  # The first one comes after a whole scan.
        shard_size = table.chosen_shard_size() if wanted_size == "auto" else wanted_size
        wanted = chunk if n_limit is None else chunk.slice(0, n_limit - selected)
        selected += len(wanted)
        if len(wanted) and origin is None and table.is_scattered:
            copy.write(wanted)
        for first, rows in _cut(wanted, shard_size):
            if not shards or shards[-1]["first"] != first:
                content = ShardDigest(carried, origin)
                shards.append({"first": first, "last": first + shard_size - 1, "rows": 0})
                if len(shards) > MOST_SHARDS:
                    raise _too_many_shards(table, shard_size)
            content.update(rows)
            shards[-1]["rows"] += len(rows)
            shards[-1]["digest"] = content.hexdigest()
            until = rows["geometry_id"][-1].as_py(), rows["namespace"][-1].as_py()
    return shard_size, shards, selected, until


def _of_files(
    table: FeatureTable, wanted_size: ShardSize, n_limit: int | None, origin: str | None
) -> Shards:
    """Return the shards of a table without ids: ranges of rows of each file. Only footers are read.

    A limit takes as many rows of each file as there are, the first ones.
    """
    shard_size = table.chosen_shard_size() if wanted_size == "auto" else wanted_size
    counts = [sum(file.groups) for file in table.files]
    taken, until = _limited(counts, n_limit)
    if sum(-(-count // shard_size) for count in taken) > MOST_SHARDS:
        raise _too_many_shards(table, shard_size)
    shards: list[dict[str, Any]] = [
        {
            "first": first,
            "last": first + shard_size - 1,
            "rows": (rows := min(shard_size, count - first)),
            "digest": digest(
                file.state, file.namespace, table.moduli, table.carried, origin, first, rows
            ),
            "namespace": file.namespace,
        }
        for file, count in zip(table.files, taken, strict=True)
        for first in range(0, count, shard_size)
    ]
    last = None if until is None else (until[0], table.files[until[1]].namespace)
    return shard_size, shards, sum(taken), last


def _limited(
    counts: Sequence[int], n_limit: int | None
) -> tuple[list[int], tuple[int, int] | None]:
    """Return how many rows of each file a limit takes: those with the lowest (row, file).

    Also return the largest (row, file) that is taken, None if there is no limit.
    """
    if n_limit is None or n_limit >= sum(counts):
        return list(counts), None
    low, high = 0, n_limit  # rows of each file that fit
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(min(count, middle) for count in counts) <= n_limit
        low, high = (middle, high) if fits else (low, middle - 1)
    taken = [min(count, low) for count in counts]
    longer = [place for place, count in enumerate(counts) if count > low]
    more = longer[: n_limit - sum(taken)]
    for place in more:
        taken[place] += 1
    if more:
        return taken, (low, more[-1])
    return taken, (low - 1, max(place for place, count in enumerate(counts) if count >= low))


def _cut(rows: pa.Table, shard_size: int) -> Iterator[tuple[int, pa.Table]]:
    """Cut ordered rows at the multiples of ``shard_size``.

    Yield the first id of each shard and its rows. The id is a Python integer of any size.
    """
    if not len(rows):
        return
    ids = rows["geometry_id"].to_numpy()
    # A shard size beyond 64 bits gives two shards: ids below zero, and the others.
    number = np.floor_divide(ids, shard_size) if shard_size < 2**63 else np.where(ids < 0, -1, 0)
    edges = np.flatnonzero(np.diff(number)) + 1
    for start, end in zip([0, *edges], [*edges, len(rows)], strict=True):
        yield int(number[start]) * shard_size, rows.slice(start, end - start)


def _too_many_shards(table: FeatureTable, shard_size: int) -> ConfigError:
    """Return the error for a table with more than :data:`MOST_SHARDS` shards."""
    low, high = table.id_bounds() if table.id is not None else (0, table.rows)
    return ConfigError(
        f"{table.path}: with shard_size {shard_size} the ids from {low} to {high} lie in more "
        f"than {MOST_SHARDS} shards; Snakemake cannot plan more; set shard_size to "
        f"{max(2 * shard_size, (high - low) // (MOST_SHARDS // 10))} or more"
    )
