"""Digests of column values: equal for equal values however they are cut, and different for any
other value.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vacuagym.errors import DamagedFileError
from vacuagym.tables.content_digest import ColumnDigests
from vacuagym.tables.parquet import (
    DIGESTS_KEY,
    METADATA_KEY,
    file_metadata,
    open_parquet,
    read_batches,
    write_table,
)

TEXT = st.none() | st.text(max_size=4)
NUMBER = st.none() | st.integers(-(2**63), 2**63 - 1)
REAL = st.none() | st.floats()
AMOUNT = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=9**9)
KINDS = {
    "int": (pa.int64(), NUMBER),
    "small": (pa.int8(), st.none() | st.integers(-128, 127)),
    "real": (pa.float64(), REAL),
    "text": (pa.string(), TEXT),
    "bytes": (pa.binary(), st.none() | st.binary(max_size=4)),
    "bool": (pa.bool_(), st.none() | st.booleans()),
    "list": (pa.list_(pa.float64()), st.none() | st.lists(REAL, max_size=3)),
    "lists": (
        pa.list_(pa.list_(pa.int64())),
        st.none() | st.lists(st.none() | st.lists(NUMBER, max_size=2), max_size=2),
    ),
    "pair": (pa.list_(pa.int64(), 2), st.none() | st.lists(NUMBER, min_size=2, max_size=2)),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        st.none() | st.fixed_dictionaries({"a": NUMBER, "b": TEXT}),
    ),
    "time": (pa.timestamp("us"), st.none() | st.datetimes(allow_imaginary=False)),
    "decimal": (
        pa.decimal128(20, 2),
        st.none() | AMOUNT,
    ),
}


def digest(table: pa.Table) -> str:
    digests = ColumnDigests(["x"])
    digests.update(table)
    return digests.hexdigests()["x"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_cuts_do_not_matter_and_values_do(kind, data):
    arrow, values = KINDS[kind]
    column = data.draw(st.lists(values, min_size=1, max_size=12))
    table = pa.table({"x": pa.array(column, arrow)})
    cut = data.draw(st.integers(0, len(column)))
    pieces = ColumnDigests(["x"])
    pieces.update(table.slice(0, cut))
    pieces.update(table.slice(cut).combine_chunks())
    assert pieces.hexdigests()["x"] == digest(table)
    row, other = data.draw(st.integers(0, len(column) - 1)), data.draw(values)
    changed = pa.table({"x": pa.array([*column[:row], other, *column[row + 1 :]], arrow)})
    if repr(changed["x"].to_pylist()) != repr(table["x"].to_pylist()):
        assert digest(changed) != digest(table)


def test_categories_count_in_their_order():
    one = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["a", "b"]))
    other = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["b", "a"]))
    assert digest(pa.table({"x": one})) != digest(pa.table({"x": other}))


def test_a_value_that_is_altered_with_the_footer_kept_is_noticed(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"x": np.arange(10.0), "y": [[i] for i in range(10)], "z": ["a"] * 10})
    with write_table(path, table.schema, {"seed": 1}) as writer:
        writer.write(table.slice(0, 3))
        writer.write(table.slice(3))
    assert len(list(read_batches(open_parquet(path), path, ["x", "z"]))) == 2
    metadata = pq.ParquetFile(path).metadata.metadata
    changed = table.set_column(1, "y", pa.array([[i] for i in range(9)] + [[1000]]))
    pq.write_table(
        changed.replace_schema_metadata(
            {key: metadata[key] for key in (METADATA_KEY, DIGESTS_KEY)}
        ),
        path,
    )
    assert file_metadata(open_parquet(path))["seed"] == 1
    assert list(read_batches(open_parquet(path), path, ["x"])), "other columns are as they were"
    with pytest.raises(DamagedFileError, match="column y: altered") as caught:
        list(read_batches(open_parquet(path), path, ["x", "y"]))
    assert caught.value.paths == [path]
