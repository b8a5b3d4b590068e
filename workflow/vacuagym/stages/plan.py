"""Plan a data set: check its whole table, and find the shards that hold its rows. Nothing is
labelled before this has passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import write_text
from vacuagym.tables.feature_schema import FeatureColumns
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import MOST_SHARDS
from vacuagym.tables.shard_digest import ShardDigest

MODULI_ABSENT = (
    "{path} has no column {column!r}: every geometry gets the least number of moduli; "
    "set `moduli` of the data set to a column of the table, or to null if that is intended"
)


def plan(
    dataset: str,
    table: FeatureTable,
    shard_size: int,
    n_limit: int | None,
    output: Path,
    columns: Sequence[str] = (),
    groups: Sequence[str] = (),
    beside: Sequence[tuple[str, str | None, str]] = (),
    origin: str | None = None,
) -> None:
    """Check every row of ``table`` and write the plan of the data set: its shards, at most
    ``n_limit`` rows in all.

    ``columns`` will go into the data set and ``groups`` into the splits, once there are labels;
    whether they can is known now. Those ``beside`` them are of other data sets, and of types that
    must fit: each is a data set, its table (None: the toric bases) and a name.

    With ``origin``, the geometry is computed from the columns that the table carries. The digest
    of a shard then covers their values and ``origin``: what else the geometry depends on.
    """
    table.require_columns(columns, groups)
    if columns:
        from vacuagym.publish.shared_types import (
            published_types,
        )  # takes a while, and only some plans need it

        published_types(dataset, table, columns, beside)
    shards: list[dict] = []
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
                _refuse_too_many(dataset, shards, table, shard_size)
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
    """Cut ordered rows at the multiples of ``shard_size``; gives the first id of each shard as a
    Python integer of any size.
    """
    if not len(rows):
        return
    ids = rows["geometry_id"].to_numpy()
    # A shard size beyond 64 bits leaves two shards, below zero and above.
    number = np.floor_divide(ids, shard_size) if shard_size < 2**63 else np.where(ids < 0, -1, 0)
    edges = np.flatnonzero(np.diff(number)) + 1
    for start, end in zip([0, *edges], [*edges, len(rows)], strict=True):
        yield int(number[start]) * shard_size, rows.slice(start, end - start)


def _refuse_too_many(
    dataset: str, shards: list[dict], table: FeatureTable, shard_size: int
) -> None:
    if len(shards) > MOST_SHARDS:
        low, high = min(ids[0] for ids in table.id_ranges), max(ids[1] for ids in table.id_ranges)
        raise ConfigError(
            f"{table.path}: with shard_size {shard_size} the ids from {low} to {high} lie in more "
            f"than {MOST_SHARDS} shards, more than "
            "Snakemake can handle; set shard_size to "
            f"{max(2 * shard_size, (high - low) // (MOST_SHARDS // 10))} or more"
        )
