"""``shard_size: auto``: 10,000 ids, doubled until a data set has few shards."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vacuagym.stages.plan import plan
from vacuagym.tables import feature_table, shard_sizes
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan
from vacuagym.tables.shard_sizes import LEAST_SIZE, MOST_CHOSEN, OccupiedRanges, size_for

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
IDS = st.integers(-(10**6), 10**6) | st.integers(-(2**63), 2**63 - 1)


def least_size(ids, least=LEAST_SIZE, most=MOST_CHOSEN) -> int:
    """The statement itself: the least of ``least`` · 2ᵏ that cuts the ids into few ranges."""
    size = least
    while len({number // size for number in ids}) > most:
        size *= 2
    return size


@QUICK
@given(st.integers(1, 10**13))
def test_the_size_is_the_least_that_gives_few_shards_and_is_ten_thousand_for_small_tables(rows):
    size = size_for(rows)
    assert size in {LEAST_SIZE << doubled for doubled in range(60)}
    assert -(-rows // size) <= MOST_CHOSEN
    assert size == LEAST_SIZE or 2 * rows > MOST_CHOSEN * size
    assert (size == LEAST_SIZE) == (rows <= 5_000_000)


def test_a_billion_rows_lie_in_391_shards():
    assert size_for(10**9) == 2_560_000
    assert -(-(10**9) // size_for(10**9)) == 391


@QUICK
@given(st.lists(st.lists(IDS, max_size=20), max_size=5), st.integers(2, 9), st.randoms())
def test_ids_far_apart_and_ids_that_repeat_are_counted_by_the_ranges_that_hold_them(
    monkeypatch, pieces, most, dice
):
    monkeypatch.setattr(shard_sizes, "MOST_CHOSEN", most)
    expected = least_size([number for piece in pieces for number in piece], most=most)
    for _ in range(2):
        occupied = OccupiedRanges()
        for piece in pieces:
            occupied.update([number // LEAST_SIZE for number in piece])
        assert occupied.size == expected
        dice.shuffle(pieces)


@QUICK
@given(st.integers(1, 10**8))
def test_ids_without_gaps_give_the_size_that_their_number_gives(rows):
    occupied = OccupiedRanges()
    occupied.update(range(-(-rows // LEAST_SIZE)))
    assert occupied.size == size_for(rows)


def planned(path, size, *, id=None, namespace=None, limit=None) -> Plan:
    table = FeatureTable(path, id, namespace)
    plan("t", table, shard_size=size, n_limit=limit, output=Path("plan.json"))
    return Plan.read("plan.json")


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A folder to work in; sizes are 10, 20, 40, … so that at most three shards are chosen."""
    monkeypatch.chdir(tmp_path)
    for module in (shard_sizes, feature_table):
        monkeypatch.setattr(module, "LEAST_SIZE", 10)
    monkeypatch.setattr(shard_sizes, "MOST_CHOSEN", 3)


@QUICK
@given(
    st.lists(st.tuples(IDS, st.sampled_from("ab")), min_size=1, max_size=30, unique=True),
    st.booleans(),
    st.integers(1, 9),
)
def test_a_plan_has_the_chosen_size_and_the_shards_of_that_size(few, keys, scattered, group):
    ids, names = zip(*keys, strict=True)
    pq.write_table(pa.table({"id": ids, "n": names}), "t.parquet", row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_table, "_SCATTERED_ROWS", 0 if scattered else 10**9)
        patch.setattr(feature_table, "CHUNK_BYTES", 100)
        chosen = planned("t.parquet", "auto", id="id", namespace="n")
        limited = planned("t.parquet", "auto", id="id", namespace="n", limit=1)
    assert chosen.shard_size == least_size(ids, 10, 3)
    assert len(chosen.shards) <= 3
    numbered = planned("t.parquet", chosen.shard_size, id="id", namespace="n")
    assert chosen.shards == numbered.shards
    assert limited.shard_size == chosen.shard_size, "a limit that is raised keeps the shards"


@QUICK
@given(st.lists(st.integers(1, 200), min_size=1, max_size=5), st.none() | st.integers(1, 100))
def test_the_rows_of_all_files_choose_one_size(few, counts, limit):
    for number in range(5):
        Path(f"{number}.parquet").unlink(missing_ok=True)
    for number, count in enumerate(counts):
        pq.write_table(pa.table({"m": pa.nulls(count, pa.int8())}), f"{number}.parquet")
    made = planned(".", "auto", limit=limit)
    assert made.shard_size == least_size(range(sum(counts)), 10, 3)
    assert len(made.shards) < 3 + len(counts) + 1
    assert made.shards == planned(".", made.shard_size, limit=limit).shards
