"""Check the types of the columns from which the geometry of threefolds is computed."""

from __future__ import annotations

import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.tables.arrow_values import plain_type


def require_content(path: str, source: str, fields: pa.Schema) -> None:
    """Require that columns have types which can hold the inputs of a source.

    Parameters
    ----------
    path : str
        The table, for messages.
    source : "weight_systems", "polytopes" or "cicy"
    fields : Schema
        The columns: of weight systems, of vertices, or of matrices and then of Hodge numbers.

    Raises
    ------
    InputError
        If a type cannot hold them.
    """
    for place, field in enumerate(fields):
        kind = plain_type(field.type)
        if source == "weight_systems" and len(fields) > 1:
            good, needed = pa.types.is_integer(kind), "integers, one weight of each row"
        elif source == "weight_systems":
            good = _is_text(kind) or pa.types.is_integer(_entries(kind, 1))
            needed = 'text "d w1 … wn", or lists of integers'
        elif place:
            good, needed = _is_number(kind), "numbers, a Hodge number of each row"
        elif source == "polytopes":
            good, needed = _is_number(_entries(kind, 2)), "lists of points: lists of 4 integers"
        else:
            good, needed = pa.types.is_integer(_entries(kind, 2)), "lists of lists of integers"
        # A column of nulls holds no geometry, but no wrong value.
        if not good and not pa.types.is_null(kind):
            raise InputError(
                f"{path}: column {field.name!r} has the type {field.type}; {source} needs "
                f"{needed}; name another column, or write it with another type"
            )


def _entries(kind: pa.DataType, depth: int) -> pa.DataType:
    """Return the type of the entries of lists of lists, or null if it is not as deep."""
    for _ in range(depth):
        if not (
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        ):
            return pa.binary()
        kind = kind.value_type
    return kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
