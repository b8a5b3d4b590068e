"""Arrow types of the columns that a theory describes as plain data, and values in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from vacuagym.tables.columns import CATEGORY, Column
from vacuagym.tables.label_schema import COLUMNS as TOY_COLUMNS
from vacuagym.theories.theory import Column as PlainColumn

# What every label table has of a geometry: key, dataset, namespace, geometry_id, moduli.
IDENTITY = TOY_COLUMNS[: [column.name for column in TOY_COLUMNS].index("n_moduli")]
_LIST = "list<"


def arrow_type(text: str) -> pa.DataType:
    """Return the type that a text names, such as "int16", "list<int64>" or "category"."""
    if text == "category":
        return CATEGORY
    if text.startswith(_LIST):
        return pa.list_(arrow_type(text.removeprefix(_LIST).removesuffix(">")))
    return pa.type_for_alias(text)


def columns_of(described: Iterable[PlainColumn]) -> tuple[Column, ...]:
    """Return the columns of a theory with their Arrow types."""
    return tuple(
        Column(c.name, arrow_type(c.type), c.meaning, c.categories, null=c.null) for c in described
    )


def label_columns(labels: Sequence[str], described: Iterable[PlainColumn]) -> tuple[Column, ...]:
    """Return the columns of a label file of a theory that reads computed geometry.

    Parameters
    ----------
    labels : sequence of str
        The labels of the theory, in the order of their codes.
    described : iterable of theories.theory.Column
        The columns that only this theory has.
    """
    return (
        *IDENTITY,
        Column("n_moduli", pa.int16(), "n, moduli of the theory"),
        Column("stability", CATEGORY, "label", tuple(labels), null="no label"),
        *columns_of(described),
    )


def arrow_column(column: Column, values: Sequence[Any]) -> pa.Array:
    """Return values as Arrow holds them. Values of a column of categories are codes."""
    if column.categories:
        codes = pa.array(values, pa.int8())
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.categories))
    return pa.array(values, column.type)
