"""Features: what splits and the data set need of a feature table besides the label, in the order
of the label table.

The rows of a table may lie in any order and be of any width; they pass through a scratch file, cut
at every so many rows of the label table, and each cut is sorted by itself.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.runtime.memory import CHUNK_BYTES, peak_memory_mb
from vacuagym.splits.rows import GROUP
from vacuagym.tables.aligned import Feed
from vacuagym.tables.arrow_values import spelled
from vacuagym.tables.column_checks import checked_content, read_checks
from vacuagym.tables.feature_schema import HODGE, FeatureColumns, Wanted
from vacuagym.tables.feature_table import FeatureTable, Window
from vacuagym.tables.label_schema import SCHEMA
from vacuagym.tables.parquet import open_parquet, read_batches, write_table
from vacuagym.tables.plan import Plan
from vacuagym.tables.spill import LABEL_ORDER, regrouped

_MOST_ROWS = 65536  # of a cut
_KEYS = pa.schema([SCHEMA.field(name) for name in ("key", "namespace", "geometry_id")])


def features(
    plan: Plan, labels: Path, wanted: Wanted, output: Path, checked: Sequence[Path] = ()
) -> None:
    """Write key, Hodge numbers, group and columns of every labelled row of a data set; columns
    that begin with _ are for splits only.

    The values must be those that were ``checked`` before anything was labelled.
    """
    carried = wanted.carried()
    expected = read_checks(checked)
    metadata = {"dataset": plan.dataset} | (
        {"content": checked_content(expected)} if checked else {}
    )
    known = {"id_ranges": plan.id_ranges, "state": plan.state, "keep_digests": bool(checked)}
    table = FeatureTable(**plan.table, **known, hodge=wanted.hodge, carried=carried)
    names = {name: FeatureColumns.carried_name(position) for position, name in enumerate(carried)}
    kinds = [pa.field(name, table.schema.field(names[name]).type) for name in wanted.columns]
    hodge = [pa.field(name, pa.int32()) for name in HODGE[: len(wanted.hodge)]]
    schema = pa.schema(
        [("key", pa.string()), *hodge, *([(GROUP, pa.uint64())] if wanted.group else []), *kinds]
    )
    cut = max(1, min(_MOST_ROWS, CHUNK_BYTES // table.row_bytes()))
    starts = _starts(labels, plan.dataset, cut)
    labelled = Feed(_KEYS, _labelled(labels, plan.dataset))
    with write_table(output, schema, metadata) as writer:
        placed = (
            (rows, _places(rows, starts)) for rows in _batches(table, Window(until=plan.until))
        )
        for pieces in regrouped(placed, len(starts), table.schema, output.parent):
            rows = pa.Table.from_batches(pieces, table.schema).sort_by(LABEL_ORDER).combine_chunks()
            keys = labelled.take(cut)
            if not _same(rows, keys):
                raise table.changed()
            group = (
                [_groups(wanted.group, [rows[names[name]] for name in wanted.group])]
                if wanted.group
                else []
            )
            own = [rows[field.name].cast(field.type) for field in hodge]
            columns = [keys["key"], *own, *group, *(rows[names[name]] for name in wanted.columns)]
            writer.write(pa.Table.from_arrays(columns, schema=schema))
        if checked and any(
            expected.get(group) != digest for group, digest in table.digests.items()
        ):
            raise table.changed()
    print(
        f"{writer.rows} rows, {len(wanted.columns)} columns to publish, peak "
        f"{peak_memory_mb():.0f} MB"
    )


def _labelled(labels: Path, dataset: str) -> Iterator[pa.RecordBatch]:
    """The keys of a data set's rows, in the order of the label table."""
    for batch in read_batches(open_parquet(labels), labels, ["dataset", *_KEYS.names]):
        yield batch.filter(
            pc.equal(batch.column("dataset").dictionary_decode(), dataset)
        ).drop_columns(["dataset"])


def _starts(labels: Path, dataset: str, cut: int) -> list[tuple[str, int]]:
    """(namespace, id) of every ``cut``-th row of a data set."""
    starts, row = [], 0
    for batch in _labelled(labels, dataset):
        first = batch.take(pa.array(range(-row % cut, len(batch), cut), pa.int64()))
        starts += zip(
            [name or "" for name in first.column("namespace").to_pylist()],
            first.column("geometry_id").to_pylist(),
            strict=True,
        )
        row += len(batch)
    return starts


def _places(rows: pa.RecordBatch, starts: Sequence[tuple[str, int]]) -> np.ndarray:
    """For each row, which cut of the label table it belongs to."""
    keys = zip(
        rows.column("namespace").to_pylist(), rows.column("geometry_id").to_pylist(), strict=True
    )
    return np.array(
        [max(0, bisect_right(starts, (name or "", number)) - 1) for name, number in keys],
        dtype=np.int64,
    )


def _batches(table: FeatureTable, window: Window) -> Iterator[pa.RecordBatch]:
    for rows in table.scan(window):
        yield from rows.combine_chunks().to_batches()


def _same(rows: pa.Table, keys: pa.Table) -> bool:
    return len(rows) == len(keys) and all(
        rows[name].to_pylist() == keys[name].to_pylist() for name in ("namespace", "geometry_id")
    )


def _groups(names: Sequence[str], columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Return fingerprints of the rows' values, equal for equal values of columns of equal names in
    any data set; null where a value is.
    """
    rows = zip(*(spelled(column.combine_chunks()) for column in columns), strict=True)
    return pa.array(
        [None if None in row else _fingerprint(names, row) for row in rows], pa.uint64()
    )


def _fingerprint(names: Sequence[str], row: Sequence[str | None]) -> int:
    return int.from_bytes(
        hashlib.blake2b(json.dumps([list(names), row]).encode(), digest_size=8).digest()
    )
