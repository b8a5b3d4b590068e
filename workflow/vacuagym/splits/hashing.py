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
    places, codes = _places(rows)
    known = [stream_key(seed, use, *place) for place in places]
    keys = np.array(known, dtype=np.uint64).reshape(-1, 2)[codes]
    ids = rows.column("geometry_id").to_numpy()
    return uniforms(keys, ids, np.zeros(len(ids), int), purpose=Purpose.FOLD, count=1)[:, 0]


def _places(rows: pa.RecordBatch) -> tuple[list[tuple[str, str | None]], npt.NDArray[np.int64]]:
    """Return the pairs of data set and namespace, and the position of each row's pair in them."""
    columns = [
        rows.column("dataset").dictionary_decode().dictionary_encode("encode"),
        rows.column("namespace").dictionary_encode("encode"),
    ]
    names = [column.dictionary.to_pylist() for column in columns]
    first, second = (column.indices.to_numpy().astype(np.int64) for column in columns)
    known, codes = np.unique(first * len(names[1]) + second, return_inverse=True)
    pairs = (divmod(int(code), len(names[1])) for code in known)
    return [(names[0][dataset], names[1][place]) for dataset, place in pairs], codes
