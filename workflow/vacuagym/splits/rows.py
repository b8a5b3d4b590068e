"""Read the rows that a split may use.

These are the rows of the label table that are not labelled failed, with the Hodge numbers and
groups of their features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.tables.aligned import Feed
from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.theories.toy.classes import FAILED

GROUP = "_group"  # hash of the columns of `split_groups`; null if one of them is null
ROW = "_row"  # number of the row in the label table
TRAITS = pa.schema(
    [("key", pa.string()), *((name, pa.int32()) for name in HODGE), (GROUP, pa.uint64())]
)


def usable_rows(
    labels: Path, features: Sequence[Path], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the usable rows with the named columns, :data:`ROW` and the traits.

    Parameters
    ----------
    features : sequence of Path
        Feature files of all data sets of the table, or none. Without a feature file the traits are
        null.
    columns : sequence of str
        Columns of the label table, with ``key`` and ``stability`` among them.

    Raises
    ------
    InputError
        The rows of the feature files are not those of the table.
    """
    traits = Feed(TRAITS, _traits(features))
    start = 0
    for batch in read_batches(open_parquet(labels), labels, columns):
        if features:
            own = traits.take(len(batch))
            if not own["key"].combine_chunks().equals(batch.column("key")):
                raise InputError(
                    f"{labels}: its rows are not those of {', '.join(map(str, features))}; both "
                    "must have the same rows in the same order; run the same command again"
                )
        else:
            own = TRAITS.empty_table().take(pa.nulls(len(batch), pa.int64()))
        rows = np.arange(start, start + len(batch))
        arrays = [
            *batch.columns,
            pa.array(rows),
            *(own[name].combine_chunks() for name in TRAITS.names[1:]),
        ]
        whole = pa.RecordBatch.from_arrays(arrays, [*batch.schema.names, ROW, *TRAITS.names[1:]])
        start += len(batch)
        usable = whole.filter(pa.array(batch.column("stability").indices.to_numpy() != FAILED))
        if len(usable):
            yield usable


def _traits(features: Sequence[Path]) -> Iterator[pa.Table]:
    """Yield the traits of all data sets in the order of the label table."""
    files = [(open_parquet(path), path) for path in features]
    for file, path in sorted(files, key=lambda each: file_metadata(each[0])["dataset"]):
        names = [name for name in TRAITS.names if name in file.schema_arrow.names]
        for batch in read_batches(file, path, names):
            columns = [
                batch.column(f.name) if f.name in names else pa.nulls(len(batch), f.type)
                for f in TRAITS
            ]
            yield pa.Table.from_arrays(columns, schema=TRAITS)


def any_has(features: Sequence[Path], *columns: str) -> bool:
    """Return whether one of the feature files has all of these columns."""
    return any(set(columns) <= set(open_parquet(path).schema_arrow.names) for path in features)
