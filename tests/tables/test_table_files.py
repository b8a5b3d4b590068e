"""The files of a table: which there are, which namespaces they give, and how they must agree."""

import os
import re
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vacuagym.errors import InputError
from vacuagym.stages.columns import columns
from vacuagym.stages.plan import _limited, plan
from vacuagym.stages.shard import shard
from vacuagym.tables import external_sort, feature_table
from vacuagym.tables.feature_schema import Wanted
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan
from vacuagym.tables.table_files import folder_of, table_files


def written(path, start=0, rows=3, **others) -> Path:
    """A file with ids from ``start`` on, and as many moduli."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = pa.array(range(start, start + rows), pa.int32())
    pq.write_table(pa.table({"id": ids, "m": ids, **others}), path, row_group_size=2)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def namespaces(paths) -> dict:
    return {file.namespace: file.path for file in table_files(paths)}


def planned(paths, *, id=None, shard_size=2, n_limit=None, moduli="m", **about) -> Plan:
    table = FeatureTable(paths, id, None, moduli)
    output = Path("plan.json")
    plan("t", table, shard_size=shard_size, n_limit=n_limit, output=output, **about)
    return Plan.read(output)


def shard_rows(made: Plan) -> list[tuple]:
    """Namespace, id and moduli of the rows of all shard files of a plan, in their order."""
    rows = []
    for its in made.shards:
        shard(made, its.start, Path("shard.parquet"))
        assert len(pq.read_table("shard.parquet")) == its.rows
        found = pq.read_table("shard.parquet").to_pylist()
        rows += [(row.get("namespace"), row["geometry_id"], row["moduli"]) for row in found]
    return rows


# Which files


def test_a_folder_stands_for_the_parquet_files_below_it():
    for name in ("b.parquet", "a.parquet", "deep/er/c.parquet", "x.y.parquet"):
        written(Path("d", name))
    for name in ("d/.hidden.parquet", "d/_made/e.parquet", "d/.cache/f.parquet"):
        written(name)
    Path("d/README.md").write_text("text")
    expected = ["a", "b", "deep/er/c", "x.y"]
    for path in ("d", "d/", "./d", str(Path("d").resolve()), f"file://{Path('d').resolve()}"):
        assert list(namespaces(path)) == expected, path


def test_a_glob_and_a_list_name_files_below_their_common_folder():
    for name in ("d/ks-05.parquet", "d/ks-06.parquet", "d/e/ks-07.parquet", "d/rest.parquet"):
        written(name)
    assert list(namespaces("d/ks-*.parquet")) == ["ks-05", "ks-06"]
    assert list(namespaces("d/**/ks-*.parquet")) == ["e/ks-07", "ks-05", "ks-06"]
    assert list(namespaces(["d/rest.parquet", "d/ks-05.parquet"])) == ["ks-05", "rest"]
    assert list(namespaces(["d/rest.parquet", "d/e"])) == ["e/ks-07", "rest"]
    assert list(namespaces("d/e/*")) == ["ks-07"], "a glob of one file may come to have more"


def test_one_named_file_has_no_namespace():
    written("d/a[1].parquet")
    for path in ("d/a[1].parquet", ["d/a[1].parquet"], Path("d/a[1].parquet")):
        assert list(namespaces(path)) == [None]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ("empty", "empty: no file in it ends in .parquet"),
        ("d/*.csv", r"d/\*.csv: no file matches"),
        (["d/a.parquet", "d/a.pq"], "d/a.pq: beside d/a.parquet; .* here 'a'; .* rename one"),
        (["d", "d/a.parquet"], "d/a.parquet: named twice"),
        (["d/a.parquet", "d/gone.parquet"], "d/gone.parquet: no such file"),
        ("text", "text/t.parquet: .*Parquet"),
        ("odd", "printable text"),
    ],
)
def test_files_that_cannot_be_a_table_are_named(paths, told):
    for name in ("d/a.parquet", "d/a.pq", "odd/a\tb.parquet"):
        written(name)
    for name in ("empty", "text"):
        Path(name).mkdir()
    Path("text/t.parquet").write_text("no Parquet file at all")
    with pytest.raises(InputError, match=told) as refused:
        FeatureTable(paths, "id")
    assert refused.value.exit_code == 3


def test_each_namespace_has_a_folder_of_its_own():
    names = ["a", "a/b", "a%2Fb", "a b", "ä", ".a", "..", "—", " 14", "x" * 200, "x" * 199]
    names += ["é" * 100, "日" * 66]
    folders = [folder_of(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all("/" not in name and not name.startswith(".") for name in folders)
    assert all(len(name.encode()) < 255 for name in folders)


# Agreement


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"m": pa.array([1, 2], pa.int64())}, r"b.parquet: column 'm': int64; .*a.parquet: int32"),
        ({"m": ["1", "2"]}, r"b.parquet: column 'm': string; .*a.parquet: int32"),
        ({}, r"b.parquet: column 'm': absent; .*a.parquet: int32"),
        (
            {"m": pa.array([1, 2], pa.int32()), "x": pa.array([[1], [2]], pa.list_(pa.int8()))},
            r"b.parquet: column 'x': list<element: int8>; .*a.parquet: list<element: int16>",
        ),
    ],
)
def test_files_that_differ_in_a_named_column_are_refused(others, told):
    written("d/a.parquet", x=pa.array([[1]] * 3, pa.list_(pa.int16())))
    pq.write_table(pa.table({"id": pa.array([7, 8], pa.int32()), **others}), "d/b.parquet")
    with pytest.raises(InputError, match=told):
        planned("d", id="id", columns=["x"])


def test_files_may_differ_in_columns_that_are_not_named():
    written("d/a.parquet", x=[1, 2, 3])
    written("d/b.parquet", 3, x=["a", "b", "c"])
    assert len(shard_rows(planned("d", id="id"))) == 6


# Tables with ids


def test_rows_of_several_files_are_those_of_one_file():
    rng = np.random.default_rng(1)
    ids = rng.permutation(60)
    for part, name in enumerate("cab"):
        own = ids[20 * part : 20 * (part + 1)]
        Path("d").mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": own, "m": own % 7}), f"d/{name}.parquet", row_group_size=6)
    pq.write_table(pa.table({"id": ids, "m": ids % 7}), "whole.parquet")
    several, one = (
        planned("d", id="id", shard_size=9),
        planned("whole.parquet", id="id", shard_size=9),
    )
    assert several.shards == one.shards
    assert shard_rows(several) == shard_rows(one) == [(None, i, i % 7) for i in range(60)]


def test_an_id_that_two_files_have_is_refused():
    written("d/a.parquet")
    written("d/b.parquet", 2)
    with pytest.raises(InputError, match="d: column id: more than one row for 2"):
        planned("d", id="id")


def test_a_bad_value_is_named_by_its_row_in_its_file():
    written("d/a.parquet", rows=5)
    pq.write_table(
        pa.table({"id": pa.array([9, 8, 7], pa.int32()), "m": [1, -2, 3]}).cast(
            pa.schema({"id": pa.int32(), "m": pa.int32()})
        ),
        "d/b.parquet",
    )
    with pytest.raises(InputError, match=r"^d/b.parquet: column m: row 1: -2"):
        planned("d", id="id")


# Tables in no order


@st.composite
def scattered(draw):
    """Ids in no order, with namespaces or without, and the sizes of row groups and of a chunk."""
    keys = draw(
        st.lists(
            st.tuples(st.integers(-30, 30), st.sampled_from("ab")),
            min_size=1,
            max_size=60,
            unique=True,
        )
    )
    named = draw(st.booleans())
    if not named:
        keys = list({number: (number, None) for number, _ in keys}.values())
    return keys, named, draw(st.integers(1, 20)), draw(st.sampled_from([1, 64, 300, 10**6]))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scattered(), st.integers(1, 9), st.booleans(), st.sampled_from([None, 1, 7, 100]))
def test_a_table_in_no_order_is_planned_and_cut_like_a_sorted_one(
    monkeypatch, table, shard_size, statistics, limit
):
    monkeypatch.setattr(external_sort, "_STRIDE", 2)
    keys, named, group, chunk_bytes = table
    for name, rows in (
        ("scattered", keys),
        ("sorted", sorted(keys, key=lambda key: (key[0], key[1] or ""))),
    ):
        ids, names = zip(*rows, strict=True)
        columns = {"id": ids, "m": [abs(i) for i in ids], **({"source": names} if named else {})}
        path = f"{name}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=group, write_statistics=statistics)

    def made(name, most):
        monkeypatch.setattr(feature_table, "_SCATTERED_ROWS", most)
        table = FeatureTable(f"{name}.parquet", "id", "source" if named else None, "m")
        whole = table.ordered
        table.ordered = lambda **about: whole(chunk_bytes=chunk_bytes, **about)
        plan("t", table, shard_size=shard_size, n_limit=limit, output=Path(f"{name}.json"))
        return Plan.read(f"{name}.json")

    one, other = made("scattered", 0), made("sorted", 10**9)
    assert one.shards == other.shards
    assert one.until == other.until
    assert one.sorted_ranges
    assert one.copy.exists()
    assert not other.sorted_ranges
    rows = shard_rows(one)
    assert rows == shard_rows(other)
    one.copy.unlink()
    assert shard_rows(one) == rows, "without the copy the table itself is read"


def test_a_shard_of_a_scattered_table_reads_its_own_part(monkeypatch):
    monkeypatch.setattr(feature_table, "_SCATTERED_ROWS", 100)
    monkeypatch.setattr(external_sort, "_STRIDE", 3)
    ids = np.random.default_rng(3).permutation(500)
    pq.write_table(pa.table({"id": ids, "m": ids}), "t.parquet", row_group_size=50)
    table = FeatureTable("t.parquet", "id", None, "m")
    whole = table.ordered
    table.ordered = lambda **about: whole(chunk_bytes=400, **about)
    plan("t", table, shard_size=25, n_limit=None, output=Path("new/plan.json"))
    made = Plan.read("new/plan.json")
    assert len(made.sorted_ranges) > 5
    read = []
    batches = feature_table.read_batches

    def noted(file, path, names, **about):
        read.append((Path(path).name, *about["row_groups"]))
        return batches(file, path, names, **about)

    monkeypatch.setattr(feature_table, "read_batches", noted)
    shard(made, 100, Path("shard.parquet"))
    assert {path for path, _ in read} == {"plan.sorted.parquet"}
    assert len(read) <= 6
    rows = pq.read_table("shard.parquet").to_pylist()
    assert [row["geometry_id"] for row in rows] == list(range(100, 125))


def test_a_repeated_id_of_a_scattered_table_is_found(monkeypatch):
    monkeypatch.setattr(feature_table, "_SCATTERED_ROWS", 10)
    ids = [*range(50, 0, -1), 7]
    pq.write_table(pa.table({"id": ids}), "t.parquet", row_group_size=5)
    with pytest.raises(InputError, match="more than one row for 7"):
        list(FeatureTable("t.parquet", "id").ordered(chunk_bytes=100, spill=Path(".")))


# Tables without ids


def test_a_row_is_named_by_its_file_and_its_place_there():
    written("d/b.parquet", 10, 5)
    written("d/a.parquet", 50, 3)
    made = planned("d")
    assert [its.start for its in made.shards] == ["a/0", "a/2", "b/0", "b/2", "b/4"]
    assert [its.last for its in made.shards] == [1, 3, 1, 3, 5]
    expected = [("a", i, 50 + i) for i in range(3)] + [("b", i, 10 + i) for i in range(5)]
    assert shard_rows(made) == expected


def test_rows_of_one_named_file_have_no_namespace():
    made = planned(written("a.parquet", 50, 3))
    assert [its.start for its in made.shards] == ["0", "2"]
    assert shard_rows(made) == [(None, i, 50 + i) for i in range(3)]


def test_a_table_may_have_no_columns_that_count():
    written("d/a.parquet", 0, 5)
    assert shard_rows(planned("d", moduli=None)) == [("a", i, None) for i in range(5)]


def test_a_file_that_is_added_or_changed_leaves_the_shards_of_others():
    for name in "ac":
        written(f"d/{name}.parquet", rows=5)
    before = planned("d").shards
    written("d/b.parquet", rows=5)
    after = planned("d").shards
    assert [its for its in after if its.namespace != "b"] == list(before)
    assert len(after) == len(before) + 3
    os.utime("d/c.parquet", ns=(1, 1))
    again = planned("d").shards
    assert [one == other for one, other in zip(again, after, strict=True)] == [True] * 6 + [
        False
    ] * 3


def test_planning_reads_footers_only_and_a_shard_its_own_row_groups(monkeypatch):
    for name in "ab":
        written(f"d/{name}.parquet", rows=20)
    read = []
    whole = feature_table.read_batches

    def noted(file, path, names, **about):
        read.append((path, *about["row_groups"]))
        return whole(file, path, names, **about)

    monkeypatch.setattr(feature_table, "read_batches", noted)
    made = planned("d", shard_size=6)
    assert read == []
    shard(made, "b/6", Path("shard.parquet"))
    assert read == [("d/b.parquet", group) for group in (3, 4, 5)]
    assert made.parts == ((0, 19),), "the counts are checked by jobs"


def test_counts_that_are_no_counts_are_found_by_the_checks_of_columns():
    written("d/a.parquet", rows=5)
    written("d/b.parquet", -3, rows=4)
    made = planned("d")
    assert made.parts == ((0, 4),)
    with pytest.raises(InputError, match=r"^d/b.parquet: column m: row 0: -3, row 1: -2: a count"):
        columns(made, (0, 4), Wanted(), Path("c.json"))


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=5), limit=st.integers(1, 50))
def test_a_limit_takes_the_lowest_rows_of_all_files(counts, limit):
    lowest = sorted((row, file) for file, count in enumerate(counts) for row in range(count))[
        :limit
    ]
    taken, until = _limited(counts, limit)
    assert taken == [sum(file == place for _, file in lowest) for place in range(len(counts))]
    assert until == (lowest[-1] if limit < sum(counts) else None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 8])
def test_a_limited_plan_has_exactly_these_rows(limit):
    for name, rows in (("a", 2), ("b", 5), ("c", 1)):
        written(f"d/{name}.parquet", rows=rows)
    made = planned("d", n_limit=limit)
    every = sorted(
        (row, name) for name, rows in (("a", 2), ("b", 5), ("c", 1)) for row in range(rows)
    )
    assert sorted((row, name) for name, row, _ in shard_rows(made)) == every[:limit]


def test_a_file_that_is_gone_or_changed_since_the_plan_is_told():
    for name in "ab":
        written(f"d/{name}.parquet", rows=5)
    made = planned("d")
    written("d/b.parquet", 7, rows=5)
    with pytest.raises(
        InputError, match=r"d/b.parquet: the table has changed since it was planned"
    ):
        shard(made, "b/0", Path("shard.parquet"))
    shard(made, "a/0", Path("shard.parquet"))
    Path("d/b.parquet").unlink()
    with pytest.raises(InputError, match=r"d/b.parquet: no such file"):
        shard(made, "b/0", Path("shard.parquet"))


# URIs


@pytest.fixture
def memory():
    """The file system memory:// of this process, empty at the end."""
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def upload(system, name, **table):
    path = written("upload.parquet", **table)
    system.pipe(name, path.read_bytes())


def test_files_of_another_file_system_are_found_and_read(memory):
    for name, start in (("a", 0), ("b", 10), ("deep/c", 20), ("_d", 30)):
        upload(memory, f"/ks/{name}.parquet", start=start, rows=5)
    memory.pipe("/ks/README.md", b"text")
    expected = {"a": "a", "b": "b", "deep/c": "deep/c"}
    for path in ("memory://ks", "memory://ks/", "memory:///ks/**/[abc].parquet"):
        assert list(namespaces(path)) == list(expected), path
    assert list(namespaces("memory://ks/*.parquet")) == ["_d", "a", "b"]
    assert list(namespaces(["memory://ks/b.parquet", "memory://ks/a.parquet"])) == ["a", "b"]
    assert list(namespaces("memory://ks/a.parquet")) == [None]
    rows = shard_rows(planned("memory://ks"))
    starts = {"a": 0, "b": 10, "deep/c": 20}
    assert rows == [(name, i, start + i) for name, start in starts.items() for i in range(5)]
    assert len(shard_rows(planned("memory://ks", id="id"))) == 15


def test_a_file_of_another_file_system_that_changes_is_told(memory):
    upload(memory, "/ks/a.parquet", rows=5)
    made = planned("memory://ks")
    upload(memory, "/ks/a.parquet", rows=5)
    with pytest.raises(InputError, match=r"memory:///ks/a.parquet: the table has changed"):
        shard(made, "a/0", Path("shard.parquet"))
    memory.rm("/ks/a.parquet")
    with pytest.raises(InputError, match=r"memory:///ks/a.parquet: no such file"):
        shard(made, "a/0", Path("shard.parquet"))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("memory://empty", "memory://empty: no such file; correct the URI"),
        ("memory://empty/*.parquet", "no file matches"),
        ("nosuch://a/b", "cannot be opened .*; install the package"),
        ("memory://text/a.parquet", "not a whole Parquet file"),
    ],
)
def test_uris_that_cannot_be_used_are_named(memory, uri, told):
    memory.pipe("/text/a.parquet", b"no Parquet file at all")
    with pytest.raises(InputError, match=told) as refused:
        FeatureTable(uri, "id")
    assert re.sub("/+", "/", uri) in re.sub("/+", "/", str(refused.value))
