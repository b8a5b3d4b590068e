"""Values of an Arrow column as NumPy arrays, one a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def arrays_of(column: pa.Array) -> list[Any]:
    """Return the rows of a column: a list becomes an array, null becomes None.

    Lists of lists of equal lengths become matrices.
    """
    kind = column.type
    if not pa.types.is_list(kind):
        values: list[Any] = column.to_pylist()
        return values
    inner, width = kind.value_type, 0
    if pa.types.is_fixed_size_list(inner):
        inner, width = inner.value_type, inner.list_size
    if pa.types.is_nested(inner):
        return [None if row is None else np.array(row) for row in column.to_pylist()]
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    flat = column.flatten().flatten() if width else column.flatten()
    numbers = flat.to_numpy(zero_copy_only=False)
    numbers = numbers.reshape(-1, width) if width else numbers
    rows = np.split(numbers, np.cumsum(lengths)[:-1])
    return [
        row if valid else None
        for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
    ]
