"""Rows brought into another order through an unnamed scratch file, so that memory holds one bucket
of them at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

LABEL_ORDER = [
    ("namespace", "ascending"),
    ("geometry_id", "ascending"),
]  # of the rows of a data set in the label table


def regrouped(
    batches: Iterable[tuple[pa.RecordBatch, np.ndarray]],
    buckets: int,
    schema: pa.Schema,
    folder: Path,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """The rows bucket by bucket, those of a bucket in the order in which they came.

    ``batches`` gives rows with the columns of ``schema`` and for each the number of its bucket, 0
    … ``buckets`` − 1. The scratch file lies in ``folder`` and is gone with the process, however it
    ends.
    """
    pieces: list[list[int]] = [[] for _ in range(buckets)]
    with tempfile.TemporaryFile(dir=folder) as scratch:
        count = 0
        with pa.ipc.new_file(
            scratch, schema, options=pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        ) as spill:
            for batch, where in batches:
                order = np.argsort(where, kind="stable")
                edges = [*np.flatnonzero(np.diff(where[order], prepend=-1)), len(order)]
                for start, end in pairwise(edges):
                    spill.write_batch(batch.take(pa.array(order[start:end])))
                    pieces[where[order[start]]].append(count)
                    count += 1
        scratch.seek(0)
        with pa.ipc.open_file(scratch, options=pa.ipc.IpcReadOptions(use_threads=False)) as spilled:
            for own in pieces:
                yield map(spilled.get_batch, own)
