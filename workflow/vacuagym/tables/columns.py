"""What a column of a table is: name, type, meaning, and where it is null. The reference in docs/
is written from these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

CATEGORY = pa.dictionary(pa.int8(), pa.string())
DATASET = pa.dictionary(pa.int16(), pa.string())


@dataclass(frozen=True)
class Column:
    """A column of a Parquet table; ``null`` says where it has no value, and is empty where it
    always has one.
    """

    name: str
    type: pa.DataType
    meaning: str
    categories: tuple[str, ...] = ()
    null: str = ""


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """The Arrow schema of a table with these columns."""
    return pa.schema([(column.name, column.type) for column in columns])
