"""Sort rows that do not fit into memory by their ids: two passes, and a spill file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.tables.spill import regrouped

_STRIDE = 997  # the sample has every 997th id


class IdSample:
    """Every 997th id of a table, in the order of its rows."""

    def __init__(self) -> None:
        self._ids: list[npt.NDArray[np.int64]] = []
        self._rows = 0

    def update(self, ids: pa.ChunkedArray) -> None:
        """Add the ids of the next rows."""
        self._ids.append(ids.to_numpy()[-self._rows % _STRIDE :: _STRIDE].copy())
        self._rows += len(ids)

    def edges(self, buckets: int) -> npt.NDArray[np.int64]:
        """Return ids that cut the table into buckets of about equal size, at most ``buckets``."""
        ids = np.sort(np.concatenate(self._ids))
        places = np.arange(1, buckets) * len(ids) // buckets
        found: npt.NDArray[np.int64] = np.unique(ids[places])
        return found


def externally_sorted(
    tables: Iterator[pa.Table],
    edges: npt.NDArray[np.int64],
    sort: Callable[[list[pa.Table]], pa.Table],
    schema: pa.Schema,
    chunk_bytes: int,
    folder: Path,
) -> Iterator[pa.Table]:
    """Yield the rows in the order of ids, bucket by bucket.

    Parameters
    ----------
    tables : iterator of pa.Table
        Rows in any order, with the column ``geometry_id``.
    edges : array
        The first id of each bucket but the first, ascending.
    sort : callable
        Sorts the rows of a bucket, which come in pieces.
    chunk_bytes : int
        Bytes that are cut into buckets at once.
    folder : Path
        Folder of the spill file, which has no name.
    """
    placed = (
        (batch, np.searchsorted(edges, batch.column("geometry_id").to_numpy(), side="right"))
        for batch in _gathered(tables, chunk_bytes)
    )
    for pieces in regrouped(placed, len(edges) + 1, schema, folder):
        rows = sort([pa.Table.from_batches([piece]) for piece in pieces])
        if len(rows):
            yield rows


def _gathered(tables: Iterator[pa.Table], most: int) -> Iterator[pa.RecordBatch]:
    """Yield rows in batches of about ``most`` bytes: larger pieces in the spill file."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(table)
        size += table.nbytes
        if size > most:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting, size = [], 0
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()
