"""Read the computed geometry of a few threefolds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vacuagym.tables.parquet import open_parquet, read_batches
from vacuagym.tables.stored import stored_files
from vacuagym.tables.threefold_names import IDENTITY_NAMES

Identity = tuple[str | None, int]  # namespace and id
_Integers = npt.NDArray[np.int64]


def geometry_rows(
    table: Path, wanted: Collection[Identity], columns: Sequence[str]
) -> dict[Identity, dict[str, Any]]:
    """Return the named columns of some rows of a table of computed geometry, by identity.

    The parameters are those of :func:`wanted_rows`; ``table`` may be a folder of segments.
    """
    found: dict[Identity, dict[str, Any]] = {}
    for batch in wanted_rows(stored_files(table), wanted, columns):
        for row in batch.to_pylist():
            found[row.pop("namespace"), row.pop("geometry_id")] = row
    return found


def wanted_rows(
    tables: Iterable[Path],
    wanted: Collection[Identity],
    columns: Sequence[str],
    batch_rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield some rows of tables of computed geometry in their order, with their identities.

    Parameters
    ----------
    tables : iterable of Path
        Tables, or files of shards. Of a row group without any of the rows at most the ids are
        read.
    wanted : collection of (namespace, id)
        The rows. Those that the tables do not have are left out.
    columns : sequence of str
        The columns to yield besides.
    batch_rows : int, optional
        Largest number of rows that are read at once.
    """
    ids = np.unique(np.array([number for _, number in wanted], np.int64))
    names = [*IDENTITY_NAMES, *columns]
    for path in tables:
        file = open_parquet(path)
        for group in range(file.num_row_groups):
            own = _places(file, path, group, ids, wanted)
            start = 0
            for batch in (
                read_batches(file, path, names, row_groups=[group], batch_rows=batch_rows)
                if len(own)
                else ()
            ):
                here = own[slice(*np.searchsorted(own, [start, start + len(batch)]))] - start
                if len(here):
                    yield batch.select(names).take(pa.array(here))
                start += len(batch)


def _places(
    file: pq.ParquetFile, path: Path, group: int, ids: _Integers, wanted: Collection[Identity]
) -> _Integers:
    """Return the numbers of the wanted rows of a row group in ascending order, shape (rows,)."""
    column = file.schema_arrow.names.index("geometry_id")
    bounds = file.metadata.row_group(group).column(column).statistics
    if bounds is not None and bounds.has_min_max:
        low = np.searchsorted(ids, bounds.min)
        if low == np.searchsorted(ids, bounds.max, side="right"):
            return np.zeros(0, np.int64)
    found: list[int] = []
    start = 0
    for batch in read_batches(file, path, IDENTITY_NAMES, row_groups=[group]):
        near = np.flatnonzero(np.isin(batch.column("geometry_id").to_numpy(), ids))
        rows = batch.take(pa.array(near)).to_pylist()
        found += [
            start + place
            for place, row in zip(near.tolist(), rows, strict=True)
            if (row["namespace"], row["geometry_id"]) in wanted
        ]
        start += len(batch)
    return np.array(found, np.int64)
