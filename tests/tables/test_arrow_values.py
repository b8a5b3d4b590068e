"""Equal values have equal texts in any Arrow type. Written columns have types that other libraries
read.
"""

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vacuagym.tables.arrow_values import bad_text, is_comparable, plain, plain_type, spelled

DAY = datetime.date(2020, 2, 29)
NOON = datetime.datetime(2020, 2, 29, 12, 0, 0, 5000)
UTC, TOKYO = datetime.UTC, datetime.timezone(datetime.timedelta(hours=9))
EQUAL = [  # values with their types: each row is one value in several spellings
    [
        (3, pa.int8()),
        (3, pa.uint64()),
        (3.0, pa.float32()),
        (3.0, pa.float64()),
        (Decimal("3.00"), pa.decimal128(5, 2)),
        (Decimal(3), pa.decimal256(5, 0)),
    ],
    [(1, pa.int64()), (True, pa.bool_()), (1.0, pa.float16())],
    [(0.0, pa.float64()), (-0.0, pa.float64()), (0, pa.int8()), (False, pa.bool_())],
    [(0.5, pa.float32()), (0.5, pa.float64()), (Decimal("0.50"), pa.decimal128(4, 2))],
    [(2**53 + 1, pa.int64()), (2**53 + 1, pa.uint64()), (Decimal(2**53 + 1), pa.decimal128(20, 0))],
    [
        ("é", pa.string()),
        ("é", pa.large_string()),
        ("é", pa.string_view()),
        ("é".encode(), pa.binary()),
        ("é".encode(), pa.large_binary()),
        ("é".encode(), pa.binary_view()),
        ("é".encode(), pa.binary(2)),
        ("é", pa.dictionary(pa.int8(), pa.string())),
    ],
    [(DAY, pa.date32()), (DAY, pa.date64()), (DAY, pa.timestamp("s")), (DAY, pa.timestamp("ns"))],
    [
        (NOON, pa.timestamp("ms")),
        (NOON, pa.timestamp("us")),
        (NOON.replace(tzinfo=UTC), pa.timestamp("ns", "UTC")),
        (NOON.replace(tzinfo=UTC).astimezone(TOKYO), pa.timestamp("ms", "Asia/Tokyo")),
    ],
    [
        ([1, None], pa.list_(pa.int64())),
        ([1.0, None], pa.list_(pa.float64())),
        ([1, None], pa.large_list(pa.int8())),
        ([1, None], pa.list_(pa.int16(), 2)),
        ([1, None], pa.list_view(pa.int64())),
        ([1, None], pa.large_list_view(pa.uint8())),
    ],
    [
        ([0.0], pa.list_(pa.float64())),
        ([-0.0], pa.list_(pa.float64())),
        ([0], pa.list_(pa.int64())),
    ],
    [
        ({"a": 1, "b": "x"}, pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ({"b": "x", "a": 1.0}, pa.struct([("b", pa.string_view()), ("a", pa.float64())])),
    ],
    [
        ([("k", 1)], pa.map_(pa.string(), pa.int64())),
        ([("k", 1.0)], pa.map_(pa.string(), pa.float64())),
    ],
    [([[DAY]], pa.list_(pa.list_(pa.date32()))), ([[DAY]], pa.list_(pa.list_(pa.timestamp("us"))))],
]


def one(value, kind):
    if pa.types.is_timestamp(kind) and type(value) is datetime.date:
        value = datetime.datetime(value.year, value.month, value.day)
    if (
        pa.types.is_list(kind)
        and pa.types.is_list(kind.value_type)
        and pa.types.is_timestamp(kind.value_type.value_type)
    ):
        value = [
            [datetime.datetime(each.year, each.month, each.day) for each in inner]
            for inner in value
        ]
    return pa.array([None, value, None], kind).slice(1, 1)


@pytest.mark.parametrize("number", range(len(EQUAL)))
def test_equal_values_are_spelled_alike(number):
    texts = {str(kind): spelled(one(value, kind)) for value, kind in EQUAL[number]}
    assert len({text[0] for text in texts.values()}) == 1, texts
    others = {spelled(one(*EQUAL[other][0]))[0] for other in range(len(EQUAL)) if other != number}
    assert next(iter(texts.values()))[0] not in others


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.none() | st.lists(st.none() | st.integers(-(2**53), 2**53), max_size=3), max_size=6
    ),
    st.integers(0, 3),
)
def test_lists_of_integers_and_floats_are_equal_exactly_where_their_values_are(rows, cut):
    integers = pa.array(rows, pa.list_(pa.int64())).slice(cut)
    floats = pa.array(rows, pa.large_list(pa.float64())).slice(cut)
    assert spelled(integers) == spelled(floats)
    texts, values = spelled(integers), integers.to_pylist()
    for i, value in enumerate(values):
        for j, other in enumerate(values):
            assert (texts[i] == texts[j]) == (value == other)


def test_unknown_values_are_none_and_equal_inside_others():
    assert spelled(pa.array([None, float("nan"), 1.0])) == [None, None, "1"]
    nan, null = spelled(pa.array([[float("nan")], [None]]))
    assert nan == null
    assert spelled(pa.nulls(2)) == [None, None]


def test_what_cannot_be_compared_is_known_by_its_type():
    assert is_comparable(pa.list_(pa.struct([("a", pa.timestamp("ns"))])))
    for kind in (
        pa.month_day_nano_interval(),
        pa.sparse_union([pa.field("a", pa.int8())]),
        pa.list_(pa.month_day_nano_interval()),
        pa.uuid(),
    ):
        assert not is_comparable(kind)


@pytest.mark.parametrize(
    ("kind", "expected", "values"),
    [
        (pa.string_view(), pa.string(), ["a", None, "é" * 20]),
        (pa.list_(pa.string_view()), pa.list_(pa.string()), [["a", None], None, []]),
        (pa.list_view(pa.int64()), pa.list_(pa.int64()), [[1], None, [2, None]]),
        (pa.large_list_view(pa.string_view()), pa.list_(pa.string()), [["a"], None, []]),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), ["a", None, "a"]),
        (
            pa.list_(pa.dictionary(pa.int8(), pa.string())),
            pa.list_(pa.string()),
            [["a", "b"], None, ["a"]],
        ),
        (
            pa.struct([("x", pa.string_view())]),
            pa.struct([("x", pa.string())]),
            [{"x": "a"}, None, {"x": None}],
        ),
    ],
)
def test_views_and_dictionaries_become_plain(kind, expected, values):
    assert plain_type(kind) == expected
    inner = pa.dictionary(pa.int8(), pa.string())
    if kind == pa.list_(inner):
        flat = (
            pa.array([text for row in values for text in row or []]).dictionary_encode().cast(inner)
        )
        lengths = [0, *[len(row or []) for row in values]]
        offsets = [sum(lengths[: i + 1]) for i in range(len(lengths))]
        array = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), flat, mask=pa.array([row is None for row in values])
        )
    else:
        array = pa.array(values, kind)
    assert plain(array).type == expected
    assert plain(array).to_pylist() == values
    assert plain(array.slice(1)).to_pylist() == values[1:]
    plain(array.slice(1)).validate(full=True)


def test_text_that_is_not_utf8_is_found_at_any_depth():
    raw = pa.array([b"good", b"\xff\xfe", None, b"x\x80"])
    broken = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    assert bad_text(broken) == [1, 3]
    assert bad_text(broken.slice(2)) == [1]
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 3, 4], pa.int32()), broken)
    assert bad_text(lists) == [1, 2]
    assert bad_text(pa.StructArray.from_arrays([broken], ["a"])) == [1, 3]
    assert bad_text(pa.array(["a", "é", None])) == []
