"""Define a column of a table: its name, type and meaning, and where it is null.

The reference of the columns in docs/ is written from these definitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

CATEGORY = pa.dictionary(pa.int8(), pa.string())
DATASET = pa.dictionary(pa.int16(), pa.string())


@dataclass(frozen=True)
class Column:
    """A column of a Parquet table.

    Attributes
    ----------
    meaning : str
        What the reference says about the column.
    categories : tuple of str
        Values of a dictionary column, in the order of their codes.
    null : str
        Where the column is null. Empty if it never is.
    """

    name: str
    type: pa.DataType
    meaning: str
    categories: tuple[str, ...] = ()
    null: str = ""


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema of a table with these columns."""
    return pa.schema([(column.name, column.type) for column in columns])
