"""Plan a data set: check its whole table, and find the shards that hold its rows.

Labelling starts after this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import write_text
from vacuagym.tables.feature_schema import ColumnBeside, FeatureColumns
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import MOST_SHARDS
from vacuagym.tables.shard_digest import ShardDigest
from vacuagym.tables.threefold_content import require_content

MODULI_ABSENT = (
    "{path} has no column {column!r}: every geometry gets the least number of moduli; "
    "set `moduli` of the data set to a column of the table, or to null if that is intended"
)


def plan(
    dataset: str,
    table: FeatureTable,
    *,
    shard_size: int,
    n_limit: int | None,
    output: Path,
    columns: Sequence[str] = (),
    groups: Sequence[str] = (),
    beside: Sequence[ColumnBeside] = (),
    origin: str | None = None,
    source: str | None = None,
) -> None:
    """Check every row of ``table`` and write the plan of the data set.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    shard_size : int
        Ids of a shard.
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
    shards: list[dict[str, Any]] = []
    selected, until = 0, None
    carried = [FeatureColumns.carried_name(place) for place in range(len(table.carried))]
    content = ShardDigest(carried, origin)
    for chunk in table.ordered():
        wanted = chunk if n_limit is None else chunk.slice(0, n_limit - selected)
        selected += len(wanted)
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
    checked = list(dict.fromkeys([*table.hodge, *columns, *groups]))
    document = {
        "dataset": dataset,
        "table": {
            "path": str(table.path),
            "id": table.id,
            "namespace": table.namespace,
            "moduli": table.moduli,
        },
        "shard_size": shard_size,
        "n_limit": n_limit,
        "rows": table.rows,
        "selected": selected,
        "until": until if selected < table.rows else None,
        "id_ranges": table.id_ranges,
        "computed": origin is not None,
        "state": table.state,
        "parts": table.parts(checked, until if selected < table.rows else None) if checked else [],
        "warning": MODULI_ABSENT.format(path=table.path, column=table.moduli)
        if table.moduli_absent
        else None,
        "shards": shards,
    }
    write_text(output, json.dumps(document, indent=1) + "\n")


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
    low, high = table.id_bounds()
    return ConfigError(
        f"{table.path}: with shard_size {shard_size} the ids from {low} to {high} lie in more "
        f"than {MOST_SHARDS} shards; Snakemake cannot plan more; set shard_size to "
        f"{max(2 * shard_size, (high - low) // (MOST_SHARDS // 10))} or more"
    )
