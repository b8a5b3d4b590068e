"""The columns of the label table, which holds the labels of all theories.

A label file has the columns of one theory. The table has those of every theory: a row is null in
the columns of the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.tables import label_schema
from vacuagym.tables.columns import CATEGORY, Column, schema_of
from vacuagym.tables.theory_schema import IDENTITY, columns_of, label_columns
from vacuagym.theories.registry import STABILITY, THEORIES
from vacuagym.theories.theory import Theory

TOY = "toy"  # the theory of a label file that names none
FAILED = STABILITY.index("failed")
_OF_TOY = len(IDENTITY) + 2  # position of the first column that only the toy theory has


def _own_columns(theory: Theory) -> tuple[Column, ...]:
    """Return the columns that only one theory has, null in the rows of others."""
    own = columns_of(theory.columns) if theory.reads else label_schema.COLUMNS[_OF_TOY:]
    other = f"theory is not {theory.name}"
    return tuple(replace(c, null=f"{c.null}; or {other}" if c.null else other) for c in own)


COLUMNS = (
    *IDENTITY,
    Column("theory", CATEGORY, "the theory that the label is of", tuple(THEORIES)),
    Column(
        "n_moduli",
        pa.int16(),
        "n, real moduli of the theory: of the toy theory the count, mapped and clamped; else h11",
        null="the row is no threefold, and the theory needs one",
    ),
    Column(
        "stability",
        CATEGORY,
        "label: of the toy theory what the search found in the deciding draw; of others what the "
        "geometry decides",
        STABILITY,
        null="the theory says nothing about this geometry; such rows are in no split",
    ),
    *(column for theory in THEORIES.values() for column in _own_columns(theory)),
)
SCHEMA = schema_of(COLUMNS)
# The theory of each column that only one theory has.
THEORY_OF = {
    column.name: name for name, theory in THEORIES.items() for column in _own_columns(theory)
}
CATEGORIES = {column.name: column.categories for column in COLUMNS if column.categories}
# The columns of a label file of each theory.
FILE_COLUMNS = {
    name: label_columns(tuple(theory.classes), theory.columns)
    if theory.reads
    else label_schema.COLUMNS
    for name, theory in THEORIES.items()
}


def widened(batch: pa.RecordBatch, theory: str) -> pa.RecordBatch:
    """Return rows of a label file of a theory as rows of the label table.

    Their column ``dataset`` is as in the file.
    """
    code = list(THEORIES).index(theory)
    names = pa.array(np.full(len(batch), code, np.int8))
    places = pa.array([STABILITY.index(label) for label in THEORIES[theory].classes], pa.int8())
    given = {name: batch.column(name) for name in batch.schema.names} | {
        "theory": pa.DictionaryArray.from_arrays(names, pa.array(CATEGORIES["theory"])),
        "stability": pa.DictionaryArray.from_arrays(
            places.take(batch.column("stability").indices), pa.array(STABILITY)
        ),
    }
    arrays = [given.get(c.name, None) for c in COLUMNS]
    filled = [
        _nulls(column, len(batch)) if array is None else array
        for column, array in zip(COLUMNS, arrays, strict=True)
    ]
    return pa.RecordBatch.from_arrays(filled, schema=SCHEMA)


def _nulls(column: Column, rows: int) -> pa.Array:
    """Return null in all rows; a column of categories keeps its dictionary."""
    if not column.categories:
        return pa.nulls(rows, column.type)
    return pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int8()), pa.array(column.categories))


def category_codes(column: pa.Array) -> npt.NDArray[np.int8]:
    """Return the codes of a dictionary column, shape (rows,); −1 for null."""
    codes: npt.NDArray[np.int8] = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    return codes


def rows_with(batch: pa.RecordBatch, name: str, value: str) -> pa.RecordBatch:
    """Return the rows with a value in a column of categories."""
    column = batch.column(name)
    code = pc.index(column.dictionary, value).as_py()
    codes = column.indices.to_numpy()
    own = codes == code
    return batch if own.all() else batch.filter(pa.array(own))
