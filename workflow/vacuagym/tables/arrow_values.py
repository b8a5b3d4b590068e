"""Compare values of Arrow columns independently of their encoding.

A writer chooses between dictionaries, views, large and fixed-size variants, units and precisions.
The choice is no property of the value. :func:`plain_type` gives the type to write. :func:`spelled`
gives texts that are equal where values are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DAY = 86_400 * 10**9


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type without dictionaries and views at any depth, as other libraries read it."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if _is_list_view(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(plain_type(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    return kind


def plain(values: pa.Array) -> pa.Array:
    """Return the same values in their plain type."""
    kind = values.type
    if plain_type(kind) == kind:
        return values
    if pa.types.is_dictionary(kind):
        return plain(values.dictionary_decode())
    if _is_list_view(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        container = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
        width = np.int64 if pa.types.is_large_list(kind) else np.int32
        lists = container.from_arrays(
            pa.array(offsets.astype(width)), plain(values.flatten()), mask=values.is_null()
        )
        return lists.cast(plain_type(kind))
    return values.cast(plain_type(kind))


def bad_text(values: pa.Array) -> list[int]:
    """Return the first rows of a batch, at most five, that hold text that is not UTF-8.

    Text inside lists and structs counts.
    """
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return list(_bad_rows(values))
    return []


def _bad_rows(values: pa.Array) -> Iterator[int]:
    """Yield at most five rows with text that is not UTF-8."""
    found = 0
    for row in range(len(values)):
        try:
            # A copy of one row: the check of a slice would look at the rows around it.
            values.take(pa.array([row])).validate(full=True)
        except pa.ArrowInvalid:
            yield row
            found += 1
            if found == 5:
                return


def is_comparable(kind: pa.DataType) -> bool:
    """Return whether :func:`spelled` can compare values of a type."""
    kind = plain_type(kind)
    if kind.num_fields:
        nested = pa.types.is_nested(kind) and not pa.types.is_union(kind)
        return nested and all(is_comparable(kind.field(i).type) for i in range(kind.num_fields))
    return not isinstance(kind, pa.BaseExtensionType) and kind != pa.month_day_nano_interval()


def spelled(values: pa.Array) -> list[str | None]:
    """Return a text for each value; texts are equal where values are equal.

    Parameters
    ----------
    values : pa.Array
        Values of a type for which :func:`is_comparable` holds.

    Returns
    -------
    list of (str or None)
        None for null and for NaN.

    Notes
    -----
    Integers, floats, decimals and booleans are compared exactly as numbers. Times are compared as
    instants: a date counts as its midnight, and a time without a zone counts as UTC. Bytes are
    compared as the text that they encode. Inside lists and structs null equals null and NaN equals
    NaN.
    """
    values = plain(values)
    kind = values.type
    known = values.is_valid().to_pylist()
    texts: list[str]
    if pa.types.is_map(kind):
        pairs = list(zip(_inner(values.keys), _inner(values.items), strict=True))
        texts = [
            "{" + ",".join(sorted(f"{key}:{item}" for key, item in part)) + "}"
            for part in _parts(values, pairs)
        ]
    elif pa.types.is_struct(kind):
        fields = sorted((kind.field(i).name, i) for i in range(kind.num_fields))
        flat = values.flatten()
        columns = [[f"{name!r}={text}" for text in _inner(flat[i])] for name, i in fields]
        texts = (
            ["(" + ",".join(row) + ")" for row in zip(*columns, strict=True)]
            if columns
            else ["()"] * len(values)
        )
    elif kind.num_fields:
        texts = ["[" + ",".join(part) + "]" for part in _parts(values, _inner(values.flatten()))]
    elif (
        pa.types.is_timestamp(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_time(kind)
        or pa.types.is_date(kind)
    ):
        texts = _spelled_times(values)
    else:
        return [None if value is None else _spelled(value) for value in values.to_pylist()]
    return [text if valid else None for text, valid in zip(texts, known, strict=True)]


def _inner(values: pa.Array) -> list[str]:
    """Return texts of values inside lists or structs, where null and NaN are values."""
    return ["~" if text is None else text for text in spelled(values)]


def _parts(values: pa.Array, flat: list[Any]) -> Iterator[list[Any]]:
    """Yield the flat values of each row of lists or maps."""
    lengths = (
        [entry[1] - entry[0] for entry in pairwise(values.offsets.to_pylist())]
        if pa.types.is_map(values.type)
        else None
    )
    if lengths is None:
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_pylist()
    start = 0
    for length in lengths:
        yield flat[start : start + length]
        start += length


def _spelled_times(values: pa.Array) -> list[str]:
    """Return a letter for the kind of time, and the number of nanoseconds."""
    kind = values.type
    if pa.types.is_date32(kind):
        name, unit, raw = "t", _DAY, values.cast(pa.int32())
    elif pa.types.is_date64(kind):
        name, unit, raw = "t", 10**6, values.cast(pa.int64())
    else:
        name = "t" if pa.types.is_timestamp(kind) else "d" if pa.types.is_duration(kind) else "o"
        unit, raw = (
            _NANOSECONDS[kind.unit],
            values.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64()),
        )
    return [f"{name}{(number or 0) * unit}" for number in raw.to_pylist()]


def _spelled(value: Any) -> str | None:
    """Return the text of a scalar, None for null and NaN."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return f"b{value.hex()}"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, float | Decimal):
        if value != value:
            return None
        if value in (float("inf"), float("-inf")):
            return str(float(value))
        return str(Fraction(value))  # 3.0 and 3 are "3"
    return str(int(value))


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))
