"""Feature tables: the rows of any Parquet table come checked, in order and once, or the table is
refused with a remedy.
"""

import base64
import os
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vacuagym.errors import InputError
from vacuagym.tables import feature_table
from vacuagym.tables.feature_schema import SCHEMA
from vacuagym.tables.feature_table import FeatureTable

LEAST, LARGEST = -(2**63), 2**63 - 1
QUICK = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def stored(folder, columns, name="table.parquet", **options) -> Path:
    """A Parquet file of these columns: a table, or a mapping of names to values or arrays."""
    path = Path(folder) / name
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def in_groups(folder, table, sizes, **options) -> Path:
    """A Parquet file whose row groups have these sizes in turn; zero is a size too."""
    path = Path(folder) / "groups.parquet"
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        start, turn = 0, 0
        while start < len(table):
            size = sizes[turn % len(sizes)] or (turn % len(sizes) == 0 and 1) or 0
            piece = table.slice(start, size)
            writer.write_table(piece, row_group_size=max(1, len(piece)))
            start, turn = start + size, turn + 1
    return path


def rows_of(chunks) -> list[tuple]:
    rows = []
    for chunk in chunks:
        assert chunk.schema == SCHEMA
        assert len(chunk)
        rows += zip(
            *(chunk[name].to_pylist() for name in ("geometry_id", "namespace", "moduli")),
            strict=True,
        )
    return rows


def order(row):
    return row[0], row[1] or ""


def refusal(path, id="id", namespace=None, moduli=None, **reading) -> str:
    """The message with which a table is refused, at the latest when all of its rows have been
    read.
    """
    with pytest.raises(InputError) as refused:
        rows_of(FeatureTable(path, id, namespace, moduli).ordered(**reading))
    assert refused.value.exit_code == 3
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# Order


@st.composite
def tables(draw, repeats=False):
    """Rows (id, namespace, moduli) and how they are stored."""
    kind = draw(
        st.sampled_from(
            [
                pa.int8(),
                pa.int16(),
                pa.int32(),
                pa.int64(),
                pa.uint8(),
                pa.uint16(),
                pa.uint32(),
                pa.uint64(),
            ]
        )
    )
    bits = kind.bit_width
    low, high = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if pa.types.is_signed_integer(kind)
        else (0, min(2**bits - 1, LARGEST))
    )
    ids = (
        st.integers(low, high)
        | st.integers(max(low, -4), min(high, 4))
        | st.sampled_from([low, high])
    )
    names = draw(
        st.sampled_from(
            [None, ["a", "b", "ab", ""], ["w5.ip.gz", "w10.ip.gz", "é", "日本"], [0, 1, 10, 9]]
        )
    )
    spaces = st.sampled_from(names) if names else st.none()
    keys = draw(st.lists(st.tuples(ids, spaces), min_size=1, max_size=40, unique=True))
    if repeats:
        keys = draw(st.permutations([*keys, draw(st.sampled_from(keys))]))
    floats = draw(st.booleans())
    some = [None, 0, 1, 12, 491, 2**53]
    counts = draw(
        st.lists(
            st.sampled_from([*some, float("nan")] if floats else some),
            min_size=len(keys),
            max_size=len(keys),
        )
    )
    columns = {"id": pa.array([key[0] for key in keys], kind)}
    if names:
        text = draw(
            st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
        )
        columns["source"] = pa.array(
            [key[1] for key in keys], pa.int32() if isinstance(names[0], int) else text
        )
    whole = draw(st.sampled_from([pa.int64(), pa.uint64()]))
    columns["h21"] = pa.array(counts, draw(st.sampled_from([pa.float64()])) if floats else whole)
    rows = [
        (
            number,
            None if name is None else str(name),
            None if count is None or count != count else int(count),
        )
        for (number, name), count in zip(keys, counts, strict=True)
    ]
    sizes = draw(st.lists(st.integers(0, 7), min_size=1, max_size=4) | st.just([1000]))
    return rows, pa.table(columns), sizes


CHUNKS = st.integers(1, 200) | st.sampled_from([1, 1000, 2**23])


@QUICK
@given(tables(), CHUNKS, st.data())
def test_rows_come_sorted_by_id_and_namespace_each_once(tmp_path, stored_table, chunk_bytes, data):
    rows, table, sizes = stored_table
    path = in_groups(tmp_path, table, sizes)
    named = {
        "id": "id",
        "namespace": "source" if "source" in table.column_names else None,
        "moduli": "h21",
    }
    features = FeatureTable(path, **named)
    assert features.rows == len(rows)
    expected = sorted(rows, key=order)
    assert rows_of(features.ordered(chunk_bytes=chunk_bytes)) == expected
    ranges = features.id_ranges
    assert len(ranges) == pq.ParquetFile(path).num_row_groups

    bound = (
        st.none()
        | st.integers(LEAST, LARGEST)
        | st.sampled_from([row[0] for row in rows])
        | st.integers(-5, 5)
    )
    first, last = data.draw(bound), data.draw(bound)
    within = [
        row
        for row in expected
        if (first is None or row[0] >= first) and (last is None or row[0] <= last)
    ]
    assert rows_of(features.ordered(first, last, chunk_bytes)) == within, (
        "after a scan that has noted the ids of the row groups"
    )
    assert rows_of(FeatureTable(path, **named).ordered(first, last, chunk_bytes)) == within, (
        "in the first scan"
    )
    assert (
        rows_of(FeatureTable(path, **named, id_ranges=ranges).ordered(first, last, chunk_bytes))
        == within
    ), "with ids known before"


@QUICK
@given(tables(repeats=True), CHUNKS)
def test_a_repeated_key_is_always_found(tmp_path, stored_table, chunk_bytes):
    rows, table, sizes = stored_table
    keys = [row[:2] for row in rows]
    number, name = next(key for key in keys if keys.count(key) > 1)
    path = in_groups(tmp_path, table, sizes)
    message = refusal(
        path, namespace=None if name is None else "source", moduli="h21", chunk_bytes=chunk_bytes
    )
    assert f"more than one row for {number if name is None else f'({name}, {number})'}" in message
    assert "leave out `id`" in message


@QUICK
@given(st.integers(2, 60), st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 9))
@example(count=40, seed=1, chunk_bytes=16, group=1)
def test_repeats_that_lie_far_apart_in_the_file_and_at_borders_of_chunks_are_found(
    tmp_path, count, seed, chunk_bytes, group
):
    ids = [*range(count), seed % count]
    random.Random(seed).shuffle(ids)
    path = stored(tmp_path, {"id": ids}, row_group_size=group)
    assert f"more than one row for {seed % count};" in refusal(path, chunk_bytes=chunk_bytes)


def test_memory_is_bounded_by_the_chunk_whatever_the_table(tmp_path):
    ids = np.random.default_rng(1).permutation(20_000)
    path = stored(tmp_path, {"id": ids}, row_group_size=500)
    chunks = list(FeatureTable(path, "id").ordered(chunk_bytes=20_000))
    assert len(chunks) > 10
    assert max(chunk.nbytes for chunk in chunks) <= 2 * 20_000 + 500 * 30
    assert [row[0] for row in rows_of(chunks)] == list(range(20_000))


def test_integer_namespaces_are_names_and_sort_as_such(tmp_path):
    path = stored(tmp_path, {"id": [1, 1, 1], "source": [9, 10, 1]})
    assert rows_of(FeatureTable(path, "id", "source").ordered()) == [
        (1, "1", None),
        (1, "10", None),
        (1, "9", None),
    ]


def test_row_groups_without_wanted_ids_are_not_read_again(tmp_path, monkeypatch):
    path = stored(tmp_path, {"id": range(100)}, row_group_size=10)
    features = FeatureTable(path, "id")
    rows_of(features.ordered())
    assert features.id_ranges == [(10 * group, 10 * group + 9) for group in range(10)]
    read = []
    whole = feature_table.read_batches

    def noted(file, path, columns, **about):
        read.extend(about["row_groups"])
        return whole(file, path, columns, **about)

    monkeypatch.setattr(feature_table, "read_batches", noted)
    assert len(rows_of(features.ordered(35, 54))) == 20
    assert read == [3, 4, 5]


# Files


def test_a_file_that_is_not_there(tmp_path):
    message = refusal(tmp_path / "absent.parquet")
    assert "no such file" in message
    assert str(Path.cwd()) in message, "a relative path is relative to somewhere"


@pytest.mark.parametrize(
    "path", ["$HOME/data.parquet", "data/$NAME.parquet", "~/data.parquet", "~somebody/t.parquet"]
)
def test_a_path_is_taken_as_it_is_written_and_the_message_says_so(monkeypatch, tmp_path, path):
    monkeypatch.setenv("HOME", str(tmp_path))
    stored(tmp_path, {"id": [1]}, "data.parquet")
    assert "variables and ~ are not expanded" in refusal(path)


def test_nothing_is_said_of_variables_where_there_is_none(tmp_path):
    assert "expanded" not in refusal(tmp_path / "a~b.parquet")


@pytest.mark.parametrize("name", ["$HOME.parquet", "~.parquet", "a b.parquet", "ä*?.parquet"])
def test_a_file_may_have_any_name(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    assert rows_of(FeatureTable(stored(".", {"id": [1]}, name), "id").ordered()) == [
        (1, None, None)
    ]


def test_a_folder(tmp_path):
    assert "folder" in refusal(tmp_path)


def test_a_path_that_no_file_can_have(tmp_path):
    assert "name too long" in refusal(tmp_path / ("a" * 300)).lower()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission(tmp_path):
    path = stored(tmp_path, {"id": [1]})
    path.chmod(0)
    assert "permission" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1PAR1", b"id,h21\n1,2\n", b"\0" * 4096, b"PAR1" + b"\xff" * 100 + b"PAR1"],
)
def test_a_file_that_is_not_parquet(tmp_path, content):
    path = tmp_path / "table.parquet"
    path.write_bytes(content)
    message = refusal(path)
    assert "not a whole Parquet file" in message
    assert "write it again" in message


def test_a_table_without_rows(tmp_path):
    assert "no rows" in refusal(stored(tmp_path, {"id": pa.array([], pa.int64())}))


def test_a_file_cut_short_anywhere(tmp_path):
    path = stored(tmp_path, {"id": range(50), "h21": range(50)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert "not a whole Parquet file" in refusal(path, moduli="h21")


def test_a_file_with_another_magic_number(tmp_path):
    path = stored(tmp_path, {"id": [1, 2]})
    path.write_bytes(path.read_bytes()[:-4] + b"PAR2")
    refusal(path)


class Keys(pe.KmsClient):
    """A key server without secrets."""

    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key, master_key_identifier):
        return base64.b64decode(wrapped_key)


def encrypted(folder, column, plaintext_footer) -> Path:
    """A table with the columns id, h21 and secret, one of them (and the footer, unless it is
    plain) encrypted.
    """
    path, table = (
        Path(folder) / "table.parquet",
        pa.table({"id": range(9), "h21": [3] * 9, "secret": range(9)}),
    )
    settings = pe.EncryptionConfiguration(
        footer_key="f", column_keys={"c": [column]}, plaintext_footer=plaintext_footer
    )
    factory = pe.CryptoFactory(lambda connection: Keys())
    with pq.ParquetWriter(
        path,
        table.schema,
        encryption_properties=factory.file_encryption_properties(
            pe.KmsConnectionConfig(), settings
        ),
    ) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize("plaintext_footer", [False, True])
@pytest.mark.parametrize("column", ["id", "h21"])
def test_an_encrypted_table_is_refused_as_such(tmp_path, column, plaintext_footer):
    message = refusal(encrypted(tmp_path, column, plaintext_footer), moduli="h21")
    assert "encrypted" in message
    assert "without encryption" in message
    assert not plaintext_footer or column in message
    assert "damaged" not in message


def test_an_encrypted_column_that_is_not_named_is_not_in_the_way(tmp_path):
    path = encrypted(tmp_path, "secret", plaintext_footer=True)
    assert rows_of(FeatureTable(path, "id", None, "h21").ordered()) == [
        (number, None, 3) for number in range(9)
    ]


def test_features_are_read_beside_encrypted_columns_and_refused_if_they_are_encrypted(tmp_path):
    path = encrypted(tmp_path, "secret", plaintext_footer=True)
    table = FeatureTable(path, "id", carried=["h21"])
    table.require_columns(["h21"])
    assert table.row_bytes() >= 1
    for ask in (
        lambda: table.require_columns(["secret"]),
        FeatureTable(path, "id", carried=["secret"]).row_bytes,
    ):
        with pytest.raises(InputError, match=r"secret.*encrypted"):
            ask()


def test_a_run_with_an_encrypted_table_ends_with_the_exit_code_of_bad_input(workspace):
    table = encrypted(workspace.folder, "id", plaintext_footer=True)
    workspace.configure({"t": {"source": "table", "path": table.name, "id": "id"}})
    run = workspace.snakemake(check=False)
    assert run.returncode == 3
    assert f"data set t: {table.name}: " in run.stdout
    assert "encrypted" in run.stdout
    assert "Traceback" not in run.stdout


def pages(path, column):
    """First and last byte of a column's pages in each row group."""
    metadata = pq.ParquetFile(path).metadata
    position = [
        metadata.row_group(0).column(i).path_in_schema for i in range(metadata.num_columns)
    ].index(column)
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(position)
        start = (
            chunk.data_page_offset
            if chunk.dictionary_page_offset is None
            else chunk.dictionary_page_offset
        )
        yield start, start + chunk.total_compressed_size


@pytest.mark.parametrize(
    "options",
    [{"compression": "none"}, {"compression": "zstd"}, {"use_dictionary": False}],
    ids=str,
)
def test_flipped_bytes_end_in_a_clear_error_or_in_rows_of_the_same_number(tmp_path, options):
    table = {
        "id": [*range(40)],
        "source": ["w5.ip.gz", "w10.ip.gz"] * 20,
        "h21": [None, 3, 7, 491] * 10,
    }
    path = stored(tmp_path, table, row_group_size=20, **options)
    whole = path.read_bytes()
    dice = random.Random(5)
    for column in table:
        for start, end in pages(path, column):
            for _ in range(40):
                damaged = bytearray(whole)
                damaged[dice.randrange(start, end)] ^= 1 << dice.randrange(8)
                path.write_bytes(damaged)
                try:
                    rows = rows_of(FeatureTable(path, "id", "source", "h21").ordered())
                except InputError as error:
                    message = str(error)
                else:
                    message = f"{path}" if len(rows) == 40 else "rows were lost without a word"
                assert str(path) in message
    path.write_bytes(whole)


def test_pages_with_checksums_are_held_to_them(tmp_path):
    table = {"id": [*range(40)], "h21": [*range(40)]}
    path = stored(
        tmp_path, table, compression="none", use_dictionary=False, write_page_checksum=True
    )
    expected = rows_of(FeatureTable(path, "id", None, "h21").ordered())
    whole = path.read_bytes()
    for column in table:
        ((_, end),) = pages(path, column)
        for position in range(end - 8 * 40, end, 16):  # 40 values of 8 bytes end the page
            damaged = bytearray(whole)
            damaged[position] ^= 1
            path.write_bytes(damaged)
            try:
                found = rows_of(FeatureTable(path, "id", None, "h21").ordered())
            except InputError as error:
                found, message = expected, str(error)
                assert "h21" in message or "id" in message
            assert found == expected, (
                f"byte {position} was changed in the file, and a wrong number came out"
            )


def test_columns_that_are_not_named_are_never_read(tmp_path):
    rows = 1000
    table = {
        "id": range(rows),
        "picture": [bytes([i % 256]) * 50 for i in range(rows)],
        "source": ["a"] * rows,
        "h21": [3] * rows,
        "id.x": range(rows),
        "x": range(rows),
        "id2": range(rows),
        "idx": range(rows),
        "lists": [[1, 2]] * rows,
    }
    path = stored(tmp_path, table, row_group_size=100)
    damaged = bytearray(path.read_bytes())
    for column in ("picture", "id.x", "x", "id2", "idx", "lists.list.element"):
        for start, end in pages(path, column):
            damaged[start:end] = b"\xff" * (end - start)
    path.write_bytes(damaged)
    assert rows_of(FeatureTable(path, "id", "source", "h21").ordered()) == [
        (i, "a", 3) for i in range(rows)
    ]
    message = refusal(path, id="x")
    assert "damaged while reading x" in message
    assert "write it again" in message


def test_only_the_named_columns_are_asked_for(tmp_path, monkeypatch):
    path = stored(tmp_path, {"id": [2, 1], "source": ["a", "b"], "h21": [1, 2], "rest": [0, 0]})
    asked = []
    whole = pq.ParquetFile.iter_batches

    def noted(self, *arguments, columns=None, **options):
        asked.append(columns)
        return whole(self, *arguments, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    for named, columns in (
        (("id",), ["id"]),
        (("id", "source"), ["id", "source"]),
        (("id", None, "h21"), ["id", "h21"]),
        (("id", "source", "h21"), ["id", "source", "h21"]),
        (("id", "source", "absent"), ["id", "source"]),
        (("id", None, "id"), ["id"]),
    ):
        asked.clear()
        rows_of(FeatureTable(path, *named).ordered())
        assert asked
        assert all(names == columns for names in asked)


# Ids


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.0, 2.0], "double"),
        (["1", "2"], "string"),
        ([True, False], "bool"),
        ([[1], [2]], "list<element: int64>"),
        ([{"a": 1}, {"a": 2}], "struct<a: int64>"),
        ([None, None], "null"),
        ([b"1", b"2"], "binary"),
        (pa.array([1, 2], pa.decimal128(5, 0)), r"decimal128(5, 0)"),
        (pa.array([1, 2], pa.timestamp("s")), "timestamp[ms]"),
    ],
    ids=str,
)
def test_an_id_column_that_does_not_hold_integers(tmp_path, values, kind):
    message = refusal(stored(tmp_path, {"id": values}))
    assert "id column 'id'" in message
    assert kind in message
    assert "integer" in message


def test_an_id_column_that_is_not_there(tmp_path):
    path = stored(tmp_path, {"polytope_id": [1], "h21": [2]})
    message = refusal(path, id="polytop_id")
    assert "id column 'polytop_id' is not in the table" in message
    assert "did you mean polytope_id?" in message
    message = refusal(path, id="zzz")
    assert "its columns are polytope_id, h21" in message
    many = stored(tmp_path, {f"x{i}": [1] for i in range(2000)})
    assert len(refusal(many, id="zzz")) < 1000


def test_ids_that_are_null_are_named_by_their_rows(tmp_path):
    ids = [0 if i not in (3, 9, 12, 13, 14, 15) else None for i in range(20)]
    message = refusal(stored(tmp_path, {"id": ids}, row_group_size=5))
    assert "column id" in message
    assert "row 3" in message
    assert "must not be null" in message
    message = refusal(
        stored(tmp_path, {"id": [i if i < 12 else None for i in range(20)]}, row_group_size=5)
    )
    assert "row 12: None, row 13: None, row 14: None" in message


def test_rows_are_numbered_in_the_file_even_where_row_groups_are_skipped(tmp_path):
    path = stored(tmp_path, {"id": range(20), "h21": [1] * 17 + [-1] * 3}, row_group_size=5)
    ranges = [(low, low + 4) for low in range(0, 20, 5)]
    with pytest.raises(InputError, match="row 17: -1, row 18: -1, row 19: -1"):
        rows_of(FeatureTable(path, "id", None, "h21", id_ranges=ranges).ordered(15))


def test_no_more_than_five_rows_are_named(tmp_path):
    message = refusal(stored(tmp_path, {"id": pa.array([None] * 100, pa.int64())}))
    assert message.count("row ") <= 7
    assert "row 4" in message
    assert "row 5" not in message


def test_ids_beyond_signed_64_bits(tmp_path):
    fits = stored(tmp_path, {"id": pa.array([0, LARGEST], pa.uint64())})
    assert [row[0] for row in rows_of(FeatureTable(fits, "id").ordered())] == [0, LARGEST]
    message = refusal(
        stored(tmp_path, {"id": pa.array([0, LARGEST, LARGEST + 1, 2**64 - 1], pa.uint64())})
    )
    assert f"row 2: {2**63}, row 3: {2**64 - 1}" in message
    assert "64 bits" in message


def test_repeated_ids_are_named_with_the_remedy(tmp_path):
    path = stored(tmp_path, {"id": [5, 7, 5, 7, 7, 1], "source": list("abcacb"), "h21": [1] * 6})
    message = refusal(path)
    assert "column id: more than one row for 5, 7" in message
    assert "namespace" in message
    assert "leave out `id`" in message
    assert len(rows_of(FeatureTable(path, "id", "source").ordered())) == 6
    twice = stored(tmp_path, {"id": [5, 5, 5], "source": ["a", "b", "a"]})
    message = refusal(twice, namespace="source")
    assert "column source, id: more than one row for (a, 5)" in message
    assert "as `namespace`" not in message, "there is one already"


# Namespaces


def test_a_namespace_column_that_is_not_there(tmp_path):
    message = refusal(stored(tmp_path, {"id": [1], "source_file": ["a"]}), namespace="source_fil")
    assert "namespace column 'source_fil'" in message
    assert "did you mean source_file?" in message


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.int16()],
    ids=str,
)
def test_namespaces_that_are_null(tmp_path, kind):
    values = ["1", None, "2", None] if not pa.types.is_integer(kind) else [1, None, 2, None]
    message = refusal(
        stored(tmp_path, {"id": [1, 2, 3, 4], "source": pa.array(values, kind)}), namespace="source"
    )
    assert "column source: row 1: None, row 3: None" in message
    assert "null" in message


@pytest.mark.parametrize(
    "values",
    [[["a"], ["b"]], [1.0, 2.0], [True, False], [b"a", b"b"], [None, None], [{"a": 1}, {"a": 2}]],
    ids=str,
)
def test_a_namespace_column_of_another_type(tmp_path, values):
    message = refusal(stored(tmp_path, {"id": [1, 2], "source": values}), namespace="source")
    assert "namespace column 'source' has the type" in message
    assert "text or integers" in message


@pytest.mark.parametrize(
    ("longest", "longer"),
    [("a" * 200, "a" * 201), ("é" * 100, "é" * 101)],
    ids=["bytes", "characters"],
)
def test_namespaces_of_more_than_200_bytes(tmp_path, longest, longer):
    assert rows_of(
        FeatureTable(stored(tmp_path, {"id": [1], "s": [longest]}), "id", "s").ordered()
    ) == [(1, longest, None)]
    message = refusal(stored(tmp_path, {"id": [1, 2], "s": ["a", longer]}), namespace="s")
    assert "column s: row 1" in message
    assert "200 bytes" in message
    assert len(message) < 600, "what was found is cut short"


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
def test_namespaces_of_any_text_type_are_the_same(tmp_path, kind):
    path = stored(tmp_path, {"id": [1, 1, 0], "source": pa.array(["b", "a", "b"], kind)})
    assert rows_of(FeatureTable(path, "id", "source").ordered()) == [
        (0, "b", None),
        (1, "a", None),
        (1, "b", None),
    ]


def test_namespaces_may_hold_any_text(tmp_path):
    names = ["", " ", "a:b", "a/b", "..", "a\nb", "\0", "'", '"', "$(x)", "日本", "é", "e\u0301"]
    path = stored(tmp_path, {"id": [7] * len(names), "source": names})
    assert rows_of(FeatureTable(path, "id", "source").ordered()) == [
        (7, name, None) for name in sorted(names)
    ]


def test_a_namespace_that_is_not_utf8(tmp_path):
    offsets, text = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff\xfe")
    names = pa.Array.from_buffers(pa.string(), 3, [None, offsets, text])
    path = stored(tmp_path, {"id": [1, 2, 3], "source": names})
    for chunk_bytes in (1, 2**20):
        message = refusal(path, namespace="source", chunk_bytes=chunk_bytes)
        assert "source" in message


# Counts of moduli


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, -1, 3, -7], ["row 1: -1, row 3: -7"]),
        (pa.array([1, -1], pa.int8()), ["row 1: -1"]),
        ([1.0, 2.5, None, -0.5], ["row 1: 2.5, row 3: -0.5"]),
        ([1.0, -3.0], ["row 1: -3.0"]),
        ([1.0, float("inf"), float("-inf")], ["row 1: inf", "row 2: -inf"]),
        ([1.0, float("-inf")], ["row 1: -inf"]),
        ([1.0, 1e300], ["row 1: 1e+300"]),
        ([1.0, 2.0**53 + 2], ["row 1: 9007199254740994.0"]),
        ([1, 2**53 + 2], ["row 1: 9007199254740994"]),
        (pa.array([1, 2**64 - 1], pa.uint64()), ["row 1: 18446744073709551615"]),
        (pa.array([1, 1.5], pa.float32()), ["row 1: 1.5"]),
        (pa.array([1, 1.5], pa.float16()), ["row 1: 1.5"]),
    ],
    ids=str,
)
def test_counts_that_are_no_counts_are_named_by_their_rows(tmp_path, values, told):
    message = refusal(stored(tmp_path, {"id": range(len(values)), "h21": values}), moduli="h21")
    assert "column h21" in message
    for words in told:
        assert words in message
    assert "whole number" in message


@pytest.mark.parametrize(
    "values",
    [[True, False], ["1", "2"], [[1], [2]], [b"1", b"2"], pa.array([1, 2], pa.decimal128(3, 0))],
    ids=str,
)
def test_a_moduli_column_of_another_type(tmp_path, values):
    message = refusal(stored(tmp_path, {"id": [1, 2], "h21": values}), moduli="h21")
    assert "moduli column 'h21' has the type" in message
    assert "integers or floats" in message


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([0, 2**53], [0, 2**53]),
        ([None, 3], [None, 3]),
        ([float("nan"), 3.0], [None, 3]),
        ([None, float("nan")], [None, None]),
        ([float("nan")] * 2, [None, None]),
        ([-0.0, 2.0**53], [0, 2**53]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([None, None], pa.int32()), [None, None]),
        (pa.array([None, 255], pa.uint8()), [None, 255]),
        (pa.array([12.0, None], pa.float16()), [12, None]),
        (pa.array([491.0, float("nan")], pa.float32()), [491, None]),
    ],
    ids=str,
)
def test_counts_may_be_missing(tmp_path, values, counts):
    table = FeatureTable(stored(tmp_path, {"id": [0, 1], "h21": values}), "id", None, "h21")
    assert not table.moduli_absent
    assert [row[2] for row in rows_of(table.ordered())] == counts


def test_a_moduli_column_that_is_not_there_leaves_all_counts_missing_and_a_mark(tmp_path):
    path = stored(tmp_path, {"id": [0, 1], "h11": [5, 6]})
    table = FeatureTable(path, "id", None, "h21")
    assert table.moduli_absent
    assert rows_of(table.ordered()) == [(0, None, None), (1, None, None)]
    assert not FeatureTable(path, "id").moduli_absent


# Names and numbers of columns


NAMES = [
    "an id",
    " id",
    "ïd",
    "数",
    "a.b",
    "a/b",
    "a'b",
    'a"b',
    "a`b",
    "a\\b",
    "a,b",
    "a;b",
    "$(x)",
    "--id",
    "*",
    "",
    "id\n",
    "list.element",
]


@pytest.mark.parametrize("name", NAMES)
def test_columns_may_have_any_name(tmp_path, name):
    table = {"other": [9, 9], name: [2, 1], name + "!": ["x", "y"], name + "?": [3, 4]}
    path = stored(tmp_path, table)
    assert rows_of(FeatureTable(path, name, name + "!", name + "?").ordered()) == [
        (1, "y", 4),
        (2, "x", 3),
    ]


def test_names_that_are_prefixes_of_others(tmp_path):
    table = pa.table(
        {"a.b.c": [5, 6], "a.b": [3, 4], "a": [2, 1], "a.": [7, 8], ".a": [0, 0], "A": [9, 9]}
    )
    path = stored(tmp_path, table)
    for number, name, count in (
        ("a", "a.b", "a.b.c"),
        ("a.b", "a", "a."),
        ("a.b.c", "a.", "a"),
        ("a.", "a.b.c", "a.b"),
    ):
        values = zip(*(table[column].to_pylist() for column in (number, name, count)), strict=True)
        expected = sorted((i, str(text), moduli) for i, text, moduli in values)
        assert rows_of(FeatureTable(path, number, name, count).ordered()) == expected


def test_nested_columns_beside_do_no_harm(tmp_path):
    table = {
        "s": [{"id": 8, "h21": 8}, {"id": 9, "h21": 9}],
        "id": [2, 1],
        "s.id": [4, 3],
        "h21": [5, 6],
        "l": [[{"id": 1}], []],
        "m": pa.array([[("id", 1)], []], pa.map_(pa.string(), pa.int64())),
    }
    path = stored(tmp_path, table)
    assert rows_of(FeatureTable(path, "id", None, "h21").ordered()) == [(1, None, 6), (2, None, 5)]
    assert rows_of(FeatureTable(path, "s.id", "id", "h21").ordered()) == [(3, "1", 6), (4, "2", 5)]
    assert "is not in the table" in refusal(path, id="l.id")


@pytest.mark.parametrize("role", ["id", "namespace", "moduli"])
def test_a_named_column_that_occurs_twice(tmp_path, role):
    table = pa.Table.from_arrays(
        [pa.array([1, 2]), pa.array([1, 2]), pa.array([1, 2])], names=["twice", "once", "twice"]
    )
    path = stored(tmp_path, table)
    named = {"id": "once", role: "twice"}
    assert f"{role} column 'twice' occurs 2 times" in refusal(path, **named)
    if role != "id":
        other = pa.Table.from_arrays([pa.array([1, 2])] * 3, names=["beside", "once", "beside"])
        assert len(rows_of(FeatureTable(stored(tmp_path, other), "once", "once").ordered())) == 2


def test_two_thousand_columns(tmp_path):
    table = {f"f{i}": [i, i] for i in range(2000)} | {"id": [2, 1], "h21": [4, None]}
    assert rows_of(FeatureTable(stored(tmp_path, table), "id", None, "h21").ordered()) == [
        (1, None, None),
        (2, None, 4),
    ]


def test_one_row_group_of_everything_and_one_per_row_are_the_same(tmp_path):
    ids = np.random.default_rng(2).permutation(3000) - 1500
    table = {"id": ids, "source": [f"w{i % 7}" for i in ids], "h21": ids % 9}
    named = ("id", "source", "h21")
    whole = rows_of(
        FeatureTable(stored(tmp_path, table, name="one", row_group_size=3000), *named).ordered()
    )
    scattered = rows_of(
        FeatureTable(stored(tmp_path, table, name="many", row_group_size=3), *named).ordered(
            chunk_bytes=10_000
        )
    )
    assert whole == scattered
    assert [row[0] for row in whole] == list(range(-1500, 1500))


def test_row_groups_without_rows(tmp_path):
    path = tmp_path / "table.parquet"
    rows, none = (
        pa.table({"id": [3, 1], "source": ["a", "b"]}),
        pa.table({"id": pa.array([], pa.int64()), "source": pa.array([], pa.string())}),
    )
    with pq.ParquetWriter(path, rows.schema) as writer:
        for piece in (none, rows, none):
            writer.write_table(piece)
    table = FeatureTable(path, "id", "source")
    for _ in range(2):
        assert rows_of(table.ordered()) == [(1, "b", None), (3, "a", None)]


def test_a_refusal_reads_as_one_line_with_file_column_rows_and_remedy(tmp_path):
    message = refusal(stored(tmp_path, {"id": [1, 2, 3], "h21": [1, -4, 2]}), moduli="h21")
    assert re.fullmatch(
        r".*table\.parquet: column h21: row 1: -4: a count of moduli must be a whole number .*",
        message,
    )
