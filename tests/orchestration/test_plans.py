"""Plans and shards: ranges of ids that lie on multiples of the shard size, so that more rows add
shards and never move one.
"""

import contextlib
import io
import json
import os
import random
import re
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vacuagym.errors import ConfigError, InputError
from vacuagym.orchestration.planning import Plan, PlanError, plan_dataset
from vacuagym.stages import plan as plan_stage
from vacuagym.stages.plan import ShardDigest, plan
from vacuagym.stages.shard import shard
from vacuagym.tables.feature_schema import SCHEMA
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.label_schema import geometry_keys
from vacuagym.tables.parquet import file_metadata

LEAST, LARGEST = -(2**63), 2**63 - 1
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def stored(folder, rows, name="table.parquet", **options) -> Path:
    """A feature table of rows (id, namespace, moduli); without a namespace column where all are
    None.
    """
    columns = {
        "id": pa.array([row[0] for row in rows], pa.int64()),
        "h21": pa.array([row[2] for row in rows], pa.int64()),
    }
    if any(row[1] is not None for row in rows):
        columns["source"] = pa.array([row[1] for row in rows])
    path = Path(folder) / name
    pq.write_table(pa.table(columns), path, **options)
    return path


def planned(path, shard_size, n_limit=None) -> Plan:
    namespace = "source" if "source" in pq.read_schema(path).names else None
    output = path.with_suffix(".json")
    plan(
        "ks",
        FeatureTable(path, "id", namespace, "h21"),
        shard_size=shard_size,
        n_limit=n_limit,
        output=output,
    )
    return Plan.read(output)


def order(row):
    return row[0], row[1] or ""


def cut(plan_, first, folder) -> list[tuple]:
    """The rows of a shard's file."""
    output = Path(folder) / "shards" / f"{first}.parquet"
    with contextlib.redirect_stdout(io.StringIO()):
        shard(plan_, first, output)
    table = pq.read_table(output)
    assert table.schema.names == [
        name for name in SCHEMA.names if name != "namespace" or plan_.table["namespace"]
    ]
    names = (
        table["namespace"].to_pylist() if "namespace" in table.schema.names else [None] * len(table)
    )
    about = file_metadata(pq.ParquetFile(output))
    its = plan_.shard(first)
    assert about == {
        "dataset": "ks",
        "first": first,
        "last": its.last,
        "rows": its.rows,
        "digest": its.digest,
    }
    return list(
        zip(table["geometry_id"].to_pylist(), names, table["moduli"].to_pylist(), strict=True)
    )


@st.composite
def any_rows(draw):
    ids = (
        st.integers(-30, 30)
        | st.integers(LEAST, LARGEST)
        | st.sampled_from([LEAST, LEAST + 1, LARGEST, -1, 0, 1])
    )
    names = draw(st.sampled_from([[None], ["a", "b", "w5.ip.gz", "é"]]))
    keys = draw(
        st.lists(st.tuples(ids, st.sampled_from(names)), min_size=1, max_size=30, unique=True)
    )
    return [(*key, draw(st.none() | st.integers(0, 500))) for key in keys]


SIZES = st.integers(1, 50) | st.sampled_from(
    [1, 7, 10_000, 2**31, 2**62, 2**63 - 1, 2**63, 2**64, 10**30]
)


@QUICK
@given(any_rows(), SIZES, st.none() | st.integers(1, 40), st.integers(1, 9))
def test_shards_lie_on_multiples_and_hold_exactly_the_lowest_rows(
    tmp_path, rows, shard_size, n_limit, group
):
    the_plan = planned(stored(tmp_path, rows, row_group_size=group), shard_size, n_limit)
    wanted = sorted(rows, key=order)[:n_limit]
    assert [its.first for its in the_plan.shards] == sorted(
        {row[0] // shard_size * shard_size for row in wanted}
    )
    assert all(its.last == its.first + shard_size - 1 for its in the_plan.shards)
    found = [cut(the_plan, its.first, tmp_path) for its in the_plan.shards]
    assert [len(part) for part in found] == [its.rows for its in the_plan.shards]
    assert [row for part in found for row in part] == wanted
    assert (the_plan.until is None) == (len(wanted) == len(rows))


def test_a_shard_that_is_not_the_first_needs_its_own_rows_only(tmp_path):
    rows = [(i, None, i % 5) for i in range(-500, 500)]
    path = stored(tmp_path, rows, row_group_size=50)
    the_plan = planned(path, 100)
    assert the_plan.id_ranges == [(low, low + 49) for low in range(-500, 500, 50)]
    assert [row[0] for row in cut(the_plan, 200, tmp_path)] == list(range(200, 300))


def test_the_limit_takes_the_lowest_ids_and_ties_in_the_order_of_namespaces(tmp_path):
    rows = [(5, "b", 1), (5, "a", 2), (-3, "b", 3), (5, "c", 4), (-3, "a", 5), (9, "a", 6)]
    the_plan = planned(stored(tmp_path, rows), 10, 4)
    assert cut(the_plan, -10, tmp_path) == [(-3, "a", 5), (-3, "b", 3)]
    assert cut(the_plan, 0, tmp_path) == [(5, "a", 2), (5, "b", 1)]
    assert the_plan.until == (5, "b")
    assert len(the_plan.shards) == 2


@pytest.mark.parametrize("n_limit", [1, 9, 10, 11, 25, 39])
def test_the_limit_counts_over_the_chunks_of_a_table(tmp_path, n_limit):
    path = stored(tmp_path, [(i, None, 1) for i in range(40)])
    table = FeatureTable(path, "id", None, "h21")
    whole = table.ordered
    table.ordered = lambda **about: whole(chunk_bytes=100, **about)
    plan("ks", table, shard_size=10, n_limit=n_limit, output=tmp_path / "plan.json")
    the_plan = Plan.read(tmp_path / "plan.json")
    assert sum(its.rows for its in the_plan.shards) == n_limit
    assert the_plan.until == (n_limit - 1, None)
    assert the_plan.shards == planned(path, 10, n_limit).shards


def test_a_limit_of_no_less_than_all_rows_is_no_limit(tmp_path):
    rows = [(i, None, 1) for i in range(20)]
    path = stored(tmp_path, rows)
    whole = planned(path, 7)
    for limit in (20, 21, 10**12):
        limited = planned(path, 7, limit)
        assert limited.shards == whole.shards
        assert limited.until is None


def test_a_row_beyond_the_limit_is_checked_all_the_same(tmp_path):
    with pytest.raises(InputError, match="row 2: -1"):
        planned(stored(tmp_path, [(0, None, 1), (1, None, 1), (2, None, -1)]), 10, 1)
    with pytest.raises(InputError, match="more than one row for 9"):
        planned(stored(tmp_path, [(0, None, 1), (9, None, 1), (9, None, 1)]), 10, 1)


@QUICK
@given(any_rows(), st.integers(1, 50), st.integers(0, 2**32), st.data())
def test_appended_rows_leave_other_shards_as_they_are(tmp_path, rows, shard_size, seed, data):
    path = stored(tmp_path, rows)
    before = {its.first: its for its in planned(path, shard_size).shards}
    has_names = rows[0][1] is not None
    taken = {row[:2] for row in rows}
    new = st.tuples(
        st.integers(-100, 100) | st.integers(LEAST, LARGEST),
        st.just("z") if has_names else st.none(),
        st.integers(0, 9),
    )
    more = [
        row
        for row in data.draw(st.lists(new, min_size=1, max_size=5, unique_by=lambda row: row[:2]))
        if row[:2] not in taken
    ]
    mixed = [*rows, *more]
    random.Random(seed).shuffle(mixed)
    after = {its.first: its for its in planned(stored(tmp_path, mixed), shard_size).shards}
    touched = {row[0] // shard_size * shard_size for row in more}
    for first, its in before.items():
        if first in touched:
            assert after[first].digest != its.digest
            assert after[first].rows > its.rows
        else:
            assert after[first] == its
    assert set(after) == set(before) | touched


def test_every_column_of_a_shard_counts_in_its_digest(tmp_path):
    rows = [(0, "a", 1), (1, "a", None), (2, "b", 0)]
    others = [
        [(0, "a", 1), (1, "a", None), (3, "b", 0)],
        [(0, "a", 2), (1, "a", None), (2, "b", 0)],
        [(0, "a", 1), (1, "a", 0), (2, "b", 0)],
        [(0, "a", 1), (1, "a", None), (2, "b", None)],
        [(0, "a", 1), (1, "b", None), (2, "b", 0)],
        [(0, "a", 1), (1, "ab", None), (2, "", 0)],
        [(0, "a", 1), (1, "a", None)],
        [(0, None, 1), (1, None, None), (2, None, 0)],
    ]
    digests = {planned(stored(tmp_path, table), 10).shards[0].digest for table in [rows, *others]}
    assert len(digests) == 1 + len(others)
    assert (
        planned(stored(tmp_path, rows), 10).content
        != planned(stored(tmp_path, others[0]), 10).content
    )


@QUICK
@given(any_rows(), st.randoms(use_true_random=False), st.integers(1, 20), st.integers(1, 500))
def test_digests_do_not_depend_on_row_order_row_groups_or_chunks(
    tmp_path, rows, dice, group, chunk_bytes
):
    before = planned(stored(tmp_path, rows), 20)
    mixed = list(rows)
    dice.shuffle(mixed)
    path = stored(tmp_path, mixed, row_group_size=group)
    table = FeatureTable(path, "id", before.table["namespace"], "h21")
    whole = table.ordered
    table.ordered = lambda **about: whole(chunk_bytes=chunk_bytes, **about)
    plan("ks", table, shard_size=20, n_limit=None, output=tmp_path / "chunks.json")
    after = Plan.read(tmp_path / "chunks.json")
    assert after.shards == before.shards
    assert after.content == before.content


@QUICK
@given(any_rows(), st.lists(st.integers(0, 30), max_size=5))
def test_a_digest_does_not_depend_on_how_its_rows_are_cut(rows, borders):
    columns = [[row[1] for row in rows], [row[0] for row in rows], [row[2] for row in rows]]
    table = pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )
    whole, pieces = ShardDigest(), ShardDigest()
    whole.update(table)
    edges = sorted({0, len(rows), *(border for border in borders if border < len(rows))})
    for start, end in pairwise(edges):
        pieces.update(table.slice(start, end - start))
    assert pieces.hexdigest() == whole.hexdigest()
    assert re.fullmatch("[0-9a-f]{16}", whole.hexdigest())


def test_the_boundary_of_names_counts_in_a_digest():
    def of(names):
        digest = ShardDigest()
        digest.update(
            pa.table([pa.array(names), pa.array([1, 2]), pa.array([0, 0])], schema=SCHEMA)
        )
        return digest.hexdigest()

    assert (
        len(
            {
                of(names)
                for names in (["a", "bc"], ["ab", "c"], ["abc", ""], ["", "abc"], ["1:a", "bc"])
            }
        )
        == 5
    )


@pytest.mark.parametrize(
    "ids",
    [
        range(0, 40, 2),
        [LEAST, -1, 0, LARGEST, *range(100, 120)],
        [3 * 10**9 * i for i in range(-10, 10)],
        range(-19, 1),
    ],
    ids=["dense", "extreme", "sparse", "negative"],
)
def test_too_many_shards_are_refused_and_the_suggested_size_works(tmp_path, monkeypatch, ids):
    monkeypatch.setattr(plan_stage, "MOST_SHARDS", 10)
    path = stored(tmp_path, [(i, None, 1) for i in ids])
    with pytest.raises(ConfigError) as refused:
        planned(path, 1)
    message = str(refused.value)
    assert refused.value.exit_code == 2
    for told in (
        str(path),
        "shard_size 1 ",
        f"from {min(ids)} to {max(ids)}",
        "more than 10 shards",
    ):
        assert told in message
    assert not path.with_suffix(".json").exists()
    size = int(re.search(r"set shard_size to (\d+) or more", message)[1])
    the_plan = planned(path, size)
    assert len(the_plan.shards) <= 10
    assert sum(its.rows for its in the_plan.shards) == len(ids)


def test_as_many_shards_as_are_allowed_are_not_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_stage, "MOST_SHARDS", 10)
    path = stored(tmp_path, [(i, None, 1) for i in range(11)])
    with pytest.raises(ConfigError):
        planned(path, 1)
    assert len(planned(path, 1, 10).shards) == 10


def test_ten_thousand_ids_from_end_to_end_of_64_bits_follow_the_suggestion(tmp_path):
    step = 2**64 // 10_050
    path = stored(tmp_path, [(LEAST + step * i, None, None) for i in range(10_050)])
    with pytest.raises(ConfigError) as refused:
        planned(path, 10_000)
    size = int(re.search(r"set shard_size to (\d+) or more", str(refused.value))[1])
    assert 1 < len(planned(path, size).shards) <= 10_000


@pytest.mark.parametrize(
    "changed",
    [
        [(0, None, 1), (1, None, 3), (12, None, 1)],
        [(0, None, 1), (1, None, None), (12, None, 1)],
        [(0, None, 1), (2, None, 2), (12, None, 1)],
        [(0, None, 1), (12, None, 1)],
        [(-1, None, 5), (0, None, 1), (1, None, 3), (12, None, 1), (13, None, 1)],
        [(12, None, 1)],
    ],
    ids=["a count", "a count lost", "an id", "a row lost", "rows beside", "all rows lost"],
)
@pytest.mark.parametrize("group", [1, 2, 100])
def test_a_shard_of_a_table_that_has_changed_is_refused_and_nothing_is_written(
    tmp_path, changed, group
):
    the_plan = planned(
        stored(tmp_path, [(0, None, 1), (1, None, 2), (12, None, 1)], row_group_size=2), 10
    )
    path = stored(tmp_path, changed, row_group_size=group)
    with pytest.raises(
        InputError, match=re.escape(f"{path}: the table has changed since it was planned")
    ):
        cut(the_plan, 0, tmp_path)
    assert list((tmp_path / "shards").glob("*")) == []


@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_a_shard_of_a_table_that_has_grown_is_as_planned_or_refused(tmp_path, group):
    the_plan = planned(
        stored(tmp_path, [(0, None, 1), (1, None, 2), (12, None, 1)], row_group_size=2), 10
    )
    stored(
        tmp_path,
        [(0, None, 1), (1, None, 2), (5, None, 1), (12, None, 1), (13, None, 1)],
        row_group_size=group,
    )
    with contextlib.suppress(InputError):
        assert cut(the_plan, 0, tmp_path) == [(0, None, 1), (1, None, 2)]


def test_a_shard_of_a_table_in_another_order_is_that_shard_or_refused(tmp_path):
    rows = [(i, None, i) for i in range(30)]
    the_plan = planned(stored(tmp_path, rows, row_group_size=5), 10)
    random.Random(3).shuffle(rows)
    for group in (1, 5, 30):
        stored(tmp_path, rows, row_group_size=group)
        with contextlib.suppress(InputError):
            assert cut(the_plan, 10, tmp_path) == [(i, None, i) for i in range(10, 20)]


def test_an_existing_shard_survives_a_refusal(tmp_path):
    the_plan = planned(stored(tmp_path, [(0, None, 1), (1, None, 2)]), 10)
    before = cut(the_plan, 0, tmp_path)
    stored(tmp_path, [(0, None, 1)])
    with pytest.raises(InputError):
        cut(the_plan, 0, tmp_path)
    assert pq.read_table(tmp_path / "shards" / "0.parquet").num_rows == len(before)


def test_a_plan_warns_of_a_moduli_column_that_is_not_there(tmp_path):
    path = stored(tmp_path, [(0, None, 1)])
    plan(
        "ks",
        FeatureTable(path, "id", None, "h11"),
        shard_size=10,
        n_limit=None,
        output=tmp_path / "plan.json",
    )
    warning = Plan.read(tmp_path / "plan.json").warning
    assert str(path) in warning
    assert "'h11'" in warning
    assert "`moduli`" in warning
    assert planned(path, 10).warning is None


def test_the_plan_of_a_table_in_a_file(tmp_path):
    the_plan = planned(stored(tmp_path, [(0, "a", 1), (25, "b", 2)]), 10)
    document = json.loads(the_plan.path.read_text())
    assert document["rows"] == document["selected"] == 2
    assert document["dataset"] == the_plan.dataset == "ks"
    assert [its.first for its in the_plan.shards] == [0, 20]
    assert the_plan.shard(20).rows == 1
    assert the_plan.table == {
        "path": str(tmp_path / "table.parquet"),
        "id": "id",
        "namespace": "source",
        "moduli": "h21",
    }


# The side of Snakemake: a child process makes a plan once for each state of a table


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plan_is_made_once_and_again_when_the_table_has_changed(folder, monkeypatch):
    hostile = "a b;$(touch x) '\"*.parquet"
    stored(folder, [(1, None, 3), (2, None, 4)], name=hostile)
    entry = {"source": "table", "path": hostile, "id": "id", "moduli": "h21"}
    first = plan_dataset("ks", entry, 10, None)
    assert [its.rows for its in first.shards] == [2]
    assert sorted(path.name for path in folder.iterdir()) == sorted([hostile, "results"]), (
        "nothing was executed"
    )
    stamp = first.path.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(
            "subprocess.run", lambda *arguments, **options: pytest.fail("a table was planned again")
        )
        again = plan_dataset("ks", entry, 10, None)
    assert again == first
    assert again.path.stat().st_mtime_ns == stamp

    other = plan_dataset("ks", entry, 10, 1)
    assert other.path != first.path, "a dry run with another limit leaves the plan of a run alone"
    assert [its.rows for its in other.shards] == [1]
    assert first.path.stat().st_mtime_ns == stamp

    stored(folder, [(1, None, 3), (2, None, 4), (30, None, 5)], name=hostile)
    changed = plan_dataset("ks", entry, 10, None)
    assert changed.path != first.path
    assert [its.first for its in changed.shards] == [0, 30]
    assert changed.shards[0] == first.shards[0]


def test_a_table_of_the_same_size_and_another_time_is_planned_again(folder, monkeypatch):
    path = stored(folder, [(1, None, 3)])
    made = []

    def make(output, dataset, table, *, shard_size, n_limit):
        made.append((dataset, shard_size, n_limit))
        plan(
            dataset,
            FeatureTable(*(table[key] for key in ("path", "id", "namespace", "moduli"))),
            shard_size=shard_size,
            n_limit=n_limit,
            output=output,
        )

    monkeypatch.setattr("vacuagym.orchestration.planning._make", make)
    entry = {"path": str(path), "id": "id", "moduli": "h21"}
    plan_dataset("ks", entry, 10, None)
    plan_dataset("ks", entry, 10, None)
    assert len(made) == 1
    os.utime(path, ns=(1, 1))
    plan_dataset("ks", entry, 10, None)
    assert len(made) == 2
    for question in (
        ("other", entry, 10, None),
        ("ks", entry, 11, None),
        ("ks", entry, 10, 1),
        ("ks", {**entry, "moduli": None}, 10, None),
    ):
        plan_dataset(*question)
        plan_dataset(*question)
    assert len(made) == 6


def test_a_table_that_cannot_be_used_is_refused_with_the_message_and_exit_code_of_the_child(folder):
    with pytest.raises(PlanError) as refused:
        plan_dataset("ks", {"path": "-absent.parquet", "id": "--id"}, 10, None)
    assert refused.value.exit_code == 3
    message = str(refused.value)
    assert message.startswith("data set ks: -absent.parquet: no such file")
    assert "error:" not in message
    assert "Traceback" not in message


def test_the_warning_of_a_plan_is_told_every_time(folder, capsys):
    stored(folder, [(1, None, 3)])
    for _ in range(2):
        plan_dataset("ks", {"path": "table.parquet", "id": "id", "moduli": "-h 11"}, 10, None)
        warning = capsys.readouterr().err
        assert warning.startswith("warning: data set ks: ")
        assert "'-h 11'" in warning


def test_keys_of_geometries():
    assert geometry_keys("fth6d", [None, None], [123, -5]) == ["fth6d:123", "fth6d:-5"]
    assert geometry_keys("ks", ["w5.ip.gz", "a:b", ""], [123, LEAST, 0]) == [
        "ks:w5.ip.gz:123",
        f"ks:a:b:{LEAST}",
        "ks::0",
    ]


@QUICK
@given(
    st.lists(
        st.tuples(st.none() | st.text(":1a", max_size=3), st.integers(-20, 20)),
        unique=True,
        max_size=40,
    )
)
def test_keys_are_unique_for_any_namespaces(rows):
    named = [row for row in rows if row[0] is not None]
    keys = geometry_keys("ks", [name for name, _ in named], [number for _, number in named])
    assert len(set(keys)) == len(named)
