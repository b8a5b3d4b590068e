"""Bring rows into another order with a spill file.

Memory holds one bucket of rows at a time.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# order of the rows of a data set in the label table
LABEL_ORDER = [("namespace", "ascending"), ("geometry_id", "ascending")]
_BUFFER = 2**20  # bytes that are written at once


def regrouped(
    batches: Iterable[tuple[pa.RecordBatch, npt.NDArray[np.int64]]],
    buckets: int,
    schema: pa.Schema,
    folder: Path,
    *,
    compressed: bool = True,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Yield the rows bucket by bucket; rows of a bucket keep their order.

    Parameters
    ----------
    batches : iterable of (pa.RecordBatch, array)
        Rows with the columns of ``schema``, and the bucket of each row, shape (rows,), from 0 to
        ``buckets`` − 1.
    buckets : int
        Number of buckets.
    folder : Path
        Folder of the spill file. The file has no name, so it disappears with the process.
    compressed : bool
        Whether the spill file is compressed. Numbers of labels hardly are, and it takes time.

    Yields
    ------
    iterator of pa.RecordBatch
        The rows of the next bucket.
    """
    pieces: list[list[int]] = [[] for _ in range(buckets)]
    options = pa.ipc.IpcWriteOptions(compression="lz4" if compressed else None, use_threads=False)
    with tempfile.TemporaryFile(buffering=_BUFFER, dir=folder) as scratch:
        count = 0
        with pa.ipc.new_file(scratch, schema, options=options) as spill:
            for batch, where in batches:
                order = np.argsort(where, kind="stable")
                edges = [*np.flatnonzero(np.diff(where[order], prepend=-1)), len(order)]
                ordered = batch.take(pa.array(order))
                for start, end in pairwise(edges):
                    spill.write_batch(ordered.slice(start, end - start))
                    pieces[where[order[start]]].append(count)
                    count += 1
        scratch.flush()
        # Pieces are read as they lie, not through the buffer.
        pieces_file = io.FileIO(scratch.fileno(), closefd=False)
        with pa.ipc.open_file(
            pieces_file, options=pa.ipc.IpcReadOptions(use_threads=False)
        ) as spilled:
            for own in pieces:
                yield map(spilled.get_batch, own)
