"""Bring the columns for splits and the data set into the order of the label table.

The rows of a table may have any order and any width. They pass through a spill file in buckets,
each with a fixed number of rows of the label table. Each bucket is sorted by itself.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.runtime.memory import CHUNK_BYTES, peak_memory_mb
from vacuagym.splits.rows import GROUP
from vacuagym.splits.values import ValueCounts
from vacuagym.tables.aligned import Feed
from vacuagym.tables.arrow_values import plain, spelled
from vacuagym.tables.column_checks import checked_content, read_checks
from vacuagym.tables.feature_schema import HODGE, FeatureColumns, Wanted
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.label_schema import SCHEMA
from vacuagym.tables.label_table import SCHEMA as LABELS
from vacuagym.tables.parquet import open_parquet, read_batches, write_table
from vacuagym.tables.plan import Plan
from vacuagym.tables.spill import LABEL_ORDER, regrouped
from vacuagym.tables.window import Window

_MOST_ROWS = 65536  # rows of a bucket
_Integers = npt.NDArray[np.int64]
_KEYS = pa.schema([SCHEMA.field(name) for name in ("key", "namespace", "geometry_id")])
# columns of the labels on which counts of values depend
_LABELLED = pa.schema([*_KEYS, SCHEMA.field("moduli"), LABELS.field("stability")])


def features(
    plan: Plan, labels: Path, wanted: Wanted, output: Path, *, checked: Sequence[Path] = ()
) -> None:
    """Write the features of every labelled row of a data set, or of a segment of it.

    The columns are key, Hodge numbers, group and columns to publish. Columns whose names begin with
    _ are for splits only. The footer has the counts of the values that set test folds.

    Parameters
    ----------
    labels : Path
        Label table, or the segment of it that has the rows of the plan.
    checked : sequence of Path
        Output of the column checks. The values must be the same as then.

    Raises
    ------
    InputError
        The table has changed since it was planned or checked.
    """
    carried = wanted.carried()
    expected = read_checks(checked)
    metadata: dict[str, Any] = {"dataset": plan.dataset}
    if checked:
        metadata["content"] = checked_content(expected)
    table = FeatureTable.from_plan(
        plan, hodge=wanted.hodge, carried=carried, keep_digests=bool(checked)
    )
    names = {name: FeatureColumns.carried_name(position) for position, name in enumerate(carried)}
    kinds = [pa.field(name, table.schema.field(names[name]).type) for name in wanted.columns]
    hodge = [pa.field(name, pa.int32()) for name in HODGE[: len(wanted.hodge)]]
    schema = pa.schema(
        [("key", pa.string()), *hodge, *([(GROUP, pa.uint64())] if wanted.group else []), *kinds]
    )
    bucket_rows = max(1, min(_MOST_ROWS, CHUNK_BYTES // table.row_bytes()))
    starts = _starts(labels, plan.dataset, bucket_rows)
    labelled = Feed(_LABELLED, _labelled(labels, plan.dataset, _LABELLED.names))
    counts = ValueCounts()
    with write_table(output, schema, metadata) as writer:
        placed = ((rows, _places(rows, starts)) for rows in _batches(table, _windows(plan)))
        for pieces in regrouped(placed, len(starts), table.schema, output.parent):
            rows = pa.Table.from_batches(pieces, table.schema).sort_by(LABEL_ORDER).combine_chunks()
            keys = labelled.take(bucket_rows)
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
            values = dict(zip([f.name for f in hodge], own, strict=True))
            values |= {name: keys[name] for name in ("moduli", "stability")}
            for batch in pa.table(values).combine_chunks().to_batches():
                counts.add(batch)
        if checked and any(
            expected.get(group) != digest for group, digest in table.digests.items()
        ):
            raise table.changed()
        metadata["values"] = counts.counts()
    print(
        f"{writer.rows} rows, {len(wanted.columns)} columns to publish, peak "
        f"{peak_memory_mb():.0f} MB"
    )


def _windows(plan: Plan) -> list[Window]:
    """Return the windows of the rows of a plan."""
    if not plan.is_segment:
        return [Window(until=plan.until)]
    windows = []
    for namespace, shards in groupby(plan.shards, key=lambda shard: shard.namespace):
        own = list(shards)
        window = Window(own[0].first, own[-1].last, until=plan.until, namespace=namespace)
        windows.append(window)
    return windows


def _labelled(labels: Path, dataset: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns of a data set's rows in the order of the label table."""
    for batch in read_batches(open_parquet(labels), labels, ["dataset", *names]):
        yield batch.filter(
            pc.equal(batch.column("dataset").dictionary_decode(), dataset)
        ).drop_columns(["dataset"])


def _starts(labels: Path, dataset: str, bucket_rows: int) -> list[tuple[str, int]]:
    """Return the (namespace, id) of the first row of each bucket."""
    starts: list[tuple[str, int]] = []
    row = 0
    for batch in _labelled(labels, dataset, _KEYS.names):
        firsts = range(-row % bucket_rows, len(batch), bucket_rows)
        first = batch.take(pa.array(firsts, pa.int64()))
        starts += zip(
            [name or "" for name in first.column("namespace").to_pylist()],
            first.column("geometry_id").to_pylist(),
            strict=True,
        )
        row += len(batch)
    return starts


def _places(rows: pa.RecordBatch, starts: Sequence[tuple[str, int]]) -> _Integers:
    """Return the bucket of each row, shape (rows,)."""
    names, first_ids = [name for name, _ in starts], np.array([number for _, number in starts])
    ids = rows.column("geometry_id").to_numpy()
    namespaces = rows.column("namespace").dictionary_encode("encode")
    codes = namespaces.indices.to_numpy()
    places = np.zeros(len(rows), np.int64)
    for code, name in enumerate(namespaces.dictionary.to_pylist()):
        own = slice(bisect_left(names, name or ""), bisect_right(names, name or ""))
        here = codes == code
        places[here] = own.start + np.searchsorted(first_ids[own], ids[here], side="right") - 1
    return np.maximum(places, 0)


def _batches(table: FeatureTable, windows: Sequence[Window]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of windows as record batches."""
    for window in windows:
        for rows in table.scan(window):
            yield from rows.combine_chunks().to_batches()


def _same(rows: pa.Table, keys: pa.Table) -> bool:
    """Return whether rows and keys have equal namespaces and ids."""
    return len(rows) == len(keys) and all(
        rows[name].cast(keys[name].type).equals(keys[name]) for name in ("namespace", "geometry_id")
    )


def _groups(names: Sequence[str], columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Return a hash of the values of each row, null if one of them is null.

    Equal values in columns of equal names have equal hashes, in any data set. Rows with equal
    values are hashed once.
    """
    encoded = [_encoded(column.combine_chunks()) for column in columns]
    known = np.all([codes >= 0 for codes, _ in encoded], axis=0)
    combined = np.zeros(np.count_nonzero(known), np.int64)
    for codes, texts in encoded:
        combined = np.unique(combined * len(texts) + codes[known], return_inverse=True)[1]
    _, firsts, same = np.unique(combined, return_index=True, return_inverse=True)
    # JSON of [names, texts]; the JSON of a text that occurs often is made once.
    quoted = [[json.dumps(text) for text in texts] for _, texts in encoded]
    rows = zip(
        *(
            [texts[code] for code in codes[known][firsts].tolist()]
            for (codes, _), texts in zip(encoded, quoted, strict=True)
        ),
        strict=True,
    )
    head = json.dumps(list(names))
    hashes = [_fingerprint(f"[{head}, [{', '.join(row)}]]") for row in rows]
    groups = np.zeros(len(known), np.uint64)
    groups[known] = np.array(hashes, np.uint64)[same]
    return pa.array(groups, mask=~known)


def _encoded(values: pa.Array) -> tuple[_Integers, list[str | None]]:
    """Return a code for each value and the text of each code. The code of a null is negative."""
    values = plain(values)
    if pa.types.is_nested(values.type):
        encoded = pa.array(spelled(values), pa.string()).dictionary_encode()
        texts = encoded.dictionary.to_pylist()
    else:
        encoded = values.dictionary_encode()
        texts = spelled(encoded.dictionary)
    codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    unknown = [code for code, text in enumerate(texts) if text is None]
    codes[np.isin(codes, unknown)] = -1
    return codes, texts


def _fingerprint(row: str) -> int:
    """Return a hash of the JSON of one row, 64 bits."""
    return int.from_bytes(hashlib.blake2b(row.encode(), digest_size=8).digest())
