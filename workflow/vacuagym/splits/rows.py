"""Read the rows that a split may use.

These are the rows of the label table that have a label, and not the label failed, with the Hodge
numbers and groups of their features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.tables.aligned import Feed
from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.label_table import FAILED, category_codes
from vacuagym.tables.stored import StoredTable

GROUP = "_group"  # hash of the columns of `split_groups`; null if one of them is null
ROW = "_row"  # number of the row in the label table
TRAITS = pa.schema(
    [("key", pa.string()), *((name, pa.int32()) for name in HODGE), (GROUP, pa.uint64())]
)


def usable_rows(
    labels: Path, features: Sequence[Path], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the usable rows with the named columns and :data:`ROW`.

    The parameters and errors are those of :func:`rows_with_traits`; ``stability`` must be among
    the columns.
    """
    for batch in rows_with_traits(labels, features, columns):
        if len(rows := usable_of(batch)):
            yield rows


def usable_of(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the usable ones of some rows, by their column ``stability``."""
    here = usable(rows.column("stability"))
    return rows if here.all() else rows.filter(pa.array(here))


def rows_with_traits(
    labels: Path, features: Sequence[Path], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield all rows of the label table with the named columns and :data:`ROW`.

    Parameters
    ----------
    labels : Path
        Label table, or a segment of it.
    features : sequence of Path
        Feature files of all data sets of the table, or none. Without a feature file the traits are
        null.
    columns : sequence of str
        Columns of the label table, and traits. If ``key`` is among them, the keys of both are
        compared.

    Raises
    ------
    InputError
        The rows of the feature files are not those of the table.
    """
    own = [name for name in columns if name not in TRAITS.names or name == "key"]
    wanted = pa.schema([field for field in TRAITS if field.name in columns])
    traits = Feed(wanted, _traits(features, wanted))
    without = pa.schema([field for field in wanted if field.name != "key"])
    beside = bool(features) and len(without) > 0
    start = 0
    for batch in StoredTable(labels).batches(own):
        if beside:
            rows = traits.take(len(batch)).combine_chunks()
            same = rows["key"].equals(_chunked(batch, "key")) if "key" in columns else True
            if len(rows) != len(batch) or not same:
                raise InputError(
                    f"{labels}: its rows are not those of {', '.join(map(str, features))}; both "
                    "must have the same rows in the same order; run the same command again"
                )
        else:
            rows = pa.table([pa.nulls(len(batch), field.type) for field in wanted], schema=wanted)
        arrays = [
            *batch.columns,
            pa.array(np.arange(start, start + len(batch))),
            *(rows[name].combine_chunks() for name in without.names),
        ]
        names = [*batch.schema.names, ROW, *without.names]
        start += len(batch)
        yield pa.RecordBatch.from_arrays(arrays, names)


def usable(stability: pa.DictionaryArray) -> npt.NDArray[np.bool_]:
    """Return whether each row has a label, and not the label failed, shape (rows,)."""
    codes = category_codes(stability)
    rows: npt.NDArray[np.bool_] = (codes >= 0) & (codes != FAILED)
    return rows


def _chunked(batch: pa.RecordBatch, name: str) -> pa.ChunkedArray:
    return pa.chunked_array([batch.column(name)])


def _traits(features: Sequence[Path], wanted: pa.Schema) -> Iterator[pa.Table]:
    """Yield the wanted traits of all data sets in the order of the label table."""
    tables = [StoredTable(path) for path in features]
    for table in sorted(tables, key=lambda each: str(each.about["dataset"])):
        names = [name for name in wanted.names if name in table.schema.names]
        # A file without any of them still has rows.
        for batch in table.batches(names or ["key"]):
            columns = [
                batch.column(f.name) if f.name in names else pa.nulls(len(batch), f.type)
                for f in wanted
            ]
            yield pa.Table.from_arrays(columns, schema=wanted)


def any_has(features: Sequence[Path], *columns: str) -> bool:
    """Return whether one of the feature files has all of these columns."""
    return any(set(columns) <= set(StoredTable(path).schema.names) for path in features)
