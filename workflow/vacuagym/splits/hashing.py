"""Draw a number for each row that depends on its key only, for folds and samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.theories.toy.random_streams import Purpose, stream_key, uniforms


def row_hashes(seed: int, use: str, rows: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Return a uniform number in (0, 1) for each row, shape (rows,).

    It is a keyed hash of (seed, use, data set, namespace, id).

    Parameters
    ----------
    use : str
        Numbers of different uses are independent.
    rows : pa.RecordBatch
        Rows with the columns dataset, namespace and geometry_id of the label table.
    """
    datasets = rows.column("dataset").dictionary_decode().to_pylist()
    places = list(zip(datasets, rows.column("namespace").to_pylist(), strict=True))
    known = {place: stream_key(seed, use, *place) for place in set(places)}
    keys = np.array([known[place] for place in places], dtype=np.uint64).reshape(-1, 2)
    ids = rows.column("geometry_id").to_numpy()
    return uniforms(keys, ids, np.zeros(len(ids), int), purpose=Purpose.FOLD, count=1)[:, 0]
