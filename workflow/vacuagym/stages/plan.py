"""Plan a data set: check its whole table, and find the shards that hold its rows. Nothing is labelled before this has passed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import ConfigError, InputError
from vacuagym.feature_tables import FeatureTable
from vacuagym.parquet import open_parquet
from vacuagym.planning import MOST_SHARDS
from vacuagym.whole_files import write_text

MODULI_ABSENT = (
    "{path} has no column {column!r}: every geometry gets the least number of moduli; "
    "set `moduli` of the data set to a column of the table, or to null if that is intended"
)


class ShardDigest:
    """Fingerprint of a shard's rows, in order, however they are cut into pieces on the way."""

    def __init__(self) -> None:
        self._numbers = hashlib.blake2b(digest_size=16)
        self._names = hashlib.blake2b(digest_size=16)

    def update(self, rows: pa.Table) -> None:
        """Add rows with the columns of :data:`vacuagym.feature_columns.SCHEMA`."""
        numbers = [rows["geometry_id"].to_numpy(), pc.fill_null(rows["moduli"], -1).to_numpy()]
        self._numbers.update(np.stack(numbers, axis=1).astype("<i8").tobytes())
        if rows["namespace"].null_count < len(rows):
            self._names.update("".join(f"{len(name)}:{name}" for name in rows["namespace"].to_pylist()).encode())

    def hexdigest(self) -> str:
        """The fingerprint so far, 16 hexadecimal digits."""
        return hashlib.blake2b(self._numbers.digest() + self._names.digest(), digest_size=8).hexdigest()


def plan(
    dataset: str,
    table: FeatureTable,
    shard_size: int,
    n_limit: int | None,
    output: Path,
    columns: Sequence[str] = (),
    groups: Sequence[str] = (),
    beside: Sequence[tuple[str, str | None, str]] = (),
) -> None:
    """Check every row of ``table`` and write the plan of the data set: its shards, at most ``n_limit`` rows in all.

    ``columns`` will go into the data set and ``groups`` into the splits, once there are labels; whether they can is known now. Those
    ``beside`` them are of other data sets, and of types that must fit: each is a data set, its table (None: the toric bases) and a name.
    """
    table.require_columns(columns, groups)
    published_types(dataset, table, columns, beside)
    shards: list[dict] = []
    selected, until = 0, None
    content = ShardDigest()
    for chunk in table.ordered():
        wanted = chunk if n_limit is None else chunk.slice(0, n_limit - selected)
        selected += len(wanted)
        for first, rows in _cut(wanted, shard_size):
            if not shards or shards[-1]["first"] != first:
                content = ShardDigest()
                shards.append({"first": first, "last": first + shard_size - 1, "rows": 0})
                _refuse_too_many(dataset, shards, table, shard_size)
            content.update(rows)
            shards[-1]["rows"] += len(rows)
            shards[-1]["digest"] = content.hexdigest()
            until = rows["geometry_id"][-1].as_py(), rows["namespace"][-1].as_py()
    checked = list(dict.fromkeys([*table.hodge, *columns, *groups]))
    document = {
        "dataset": dataset,
        "table": {"path": str(table.path), "id": table.id, "namespace": table.namespace, "moduli": table.moduli},
        "shard_size": shard_size,
        "n_limit": n_limit,
        "rows": table.rows,
        "selected": selected,
        "until": until if selected < table.rows else None,
        "id_ranges": table.id_ranges,
        "computed": False,
        "state": table.state,
        "parts": table.parts(checked, until if selected < table.rows else None) if checked else [],
        "warning": MODULI_ABSENT.format(path=table.path, column=table.moduli) if table.moduli_absent else None,
        "shards": shards,
    }
    write_text(output, json.dumps(document, indent=1) + "\n")


def published_types(
    dataset: str, table: FeatureTable, columns: Sequence[str], beside: Sequence[tuple[str, str | None, str]]
) -> dict[str, pa.DataType]:
    """Return the types that columns are published as, with those of other data sets ``beside`` them.

    :class:`ConfigError` if one cannot be published.
    """
    if not columns:
        return {}
    from vacuagym.publication import published_columns  # takes a while, and only some plans need it

    if internal := [name for name in columns if name == "key" or name.startswith("_")]:
        raise ConfigError(f"{table.path}: column {internal[0]!r}: the names key and _… are taken; rename it or leave it out")
    paths, fields = {dataset: table.path}, {dataset: list(table.fields(columns))}
    schemas = {path: _schema(path) for path in {path for _, path, _ in beside}}
    for other, path, column in beside:
        # What is missing or ambiguous in the other table, its own plan tells.
        if column in columns and schemas[path].names.count(column) == 1:
            paths[other] = Path(path or "")
            fields.setdefault(other, []).append(schemas[path].field(column))
    published = published_columns(paths, {name: pa.schema(own) for name, own in fields.items()})
    return {column.name: column.type for column in published if column.name in columns}


def _schema(path: str | None) -> pa.Schema:
    if path is None:
        from vacuagym.stages.geometry import SCHEMA

        return SCHEMA
    try:
        return open_parquet(path).schema_arrow
    except InputError:
        return pa.schema([])


def _cut(rows: pa.Table, shard_size: int) -> Iterator[tuple[int, pa.Table]]:
    """Cut ordered rows at the multiples of ``shard_size``; gives the first id of each shard as a Python integer of any size."""
    if not len(rows):
        return
    ids = rows["geometry_id"].to_numpy()
    # A shard size beyond 64 bits leaves two shards, below zero and above.
    number = np.floor_divide(ids, shard_size) if shard_size < 2**63 else np.where(ids < 0, -1, 0)
    edges = np.flatnonzero(np.diff(number)) + 1
    for start, end in zip([0, *edges], [*edges, len(rows)], strict=True):
        yield int(number[start]) * shard_size, rows.slice(start, end - start)


def _refuse_too_many(dataset: str, shards: list[dict], table: FeatureTable, shard_size: int) -> None:
    if len(shards) > MOST_SHARDS:
        low, high = min(ids[0] for ids in table.id_ranges), max(ids[1] for ids in table.id_ranges)
        raise ConfigError(
            f"{table.path}: with shard_size {shard_size} the ids from {low} to {high} lie in more than {MOST_SHARDS} shards, more than "
            f"Snakemake can handle; set shard_size to {max(2 * shard_size, (high - low) // (MOST_SHARDS // 10))} or more"
        )
