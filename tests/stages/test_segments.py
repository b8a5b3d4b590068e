"""A large table is a folder of segments: however it is cut, they have the rows, folds and figures
of the one file.
"""

import contextlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vacuagym.config import checked_config, physics_sections
from vacuagym.errors import DamagedFileError, InputError
from vacuagym.orchestration.segments import segments_of
from vacuagym.splits.rules import SplitShares, TestGroups
from vacuagym.splits.values import ValueCounts, threshold
from vacuagym.stages.features import Wanted, features
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.plan import plan
from vacuagym.stages.shard import shard
from vacuagym.stages.split import split
from vacuagym.stages.survey import Survey, survey
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan, Shard, label_file
from vacuagym.tables.stored import StoredTable
from vacuagym.theories.registry import STABILITY

SHARES = SplitShares(0.6, 0.2, 0.15, 0.15)
SPLITS = ("iid", "ood_complexity", "ood_hodge", "ood_dataset_b")
# Data set a is shuffled and has two namespaces that share ids; b has none.
ROWS = {
    "a": [(i // 2, ("x", "a:b")[i % 2], i % 7) for i in np.random.default_rng(3).permutation(60)],
    "b": [(i, None, i % 5) for i in range(30)],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Labels of two data sets in shards of 5 ids, and the tables that are one file each."""
    folder = tmp_path_factory.mktemp("whole")
    sections = physics_sections(checked_config({"moduli": {"max": 4}}))
    with contextlib.redirect_stdout(io.StringIO()):
        for name, rows in ROWS.items():
            ids, namespaces, moduli = zip(*rows, strict=True)
            columns = {"id": ids, "h": moduli, "h11": moduli, "h21": np.array(ids) % 4}
            columns["g"] = np.array(ids) % 13
            columns |= {"source": pa.array(namespaces, pa.string())} if name == "a" else {}
            pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=7)
            source = "source" if name == "a" else None
            table = FeatureTable(folder / f"{name}.parquet", "id", source, "h")
            plan(name, table, shard_size=5, n_limit=None, output=folder / f"{name}.json")
            planned = Plan.read(folder / f"{name}.json")
            for piece in planned.shards:
                shard(planned, piece.first, folder / "shard.parquet")
                target = label_file(folder / "labels", name, piece)
                label(folder / "shard.parquet", sections, "f", 16, None, target)
        make(folder, folder / "labels.parquet", None)
    return folder


def plans(folder: Path) -> dict[str, Plan]:
    return {name: Plan.read(folder / f"{name}.json") for name in ROWS}


def make(folder: Path, labels: Path, table_rows: int | None) -> None:
    """Make the tables of labels, features and splits beside ``labels``, by segments if given."""
    every = plans(folder)
    segments = {} if table_rows is None else segments_of(every, table_rows)
    pieces = {
        f"/{name}.parquet": [every[s.dataset].of_segment(s.first, s.last)]
        for name, s in segments.items()
    } or {"": list(every.values())}
    out = labels.parent
    wanted = Wanted(hodge=("h11", "h21"), group=("g",), columns=("h",))
    tables = {name: out / f"features/{name}.parquet" for name in every}
    with contextlib.redirect_stdout(io.StringIO()):
        for ending, own in pieces.items():
            merge(own, folder / "labels", dict.fromkeys(ROWS, "f"), Path(f"{labels}{ending}"))
            for one in own:
                path = Path(f"{tables[one.dataset]}{ending}")
                features(one, Path(f"{labels}{ending}"), wanted, path)
        found = out / "survey.npz" if segments else None
        if found:
            survey(SPLITS, SHARES, labels, [*tables.values()], found)
        for ending, own in pieces.items():
            beside = [Path(f"{tables[one.dataset]}{ending}") for one in own]
            for name in SPLITS:
                split(
                    Path(f"{labels}{ending}"),
                    name,
                    seed=42,
                    shares=SHARES,
                    output=Path(f"{out}/splits/{name}.parquet{ending}"),
                    features=beside,
                    survey=found,
                )


def rows_of(path: Path) -> dict:
    """The rows of a file or folder by key."""
    table = StoredTable(path)
    rows = [row for batch in table.batches(table.schema.names) for row in batch.to_pylist()]
    assert len({row["key"] for row in rows}) == len(rows) == table.rows
    return {row["key"]: row for row in rows}


@pytest.mark.parametrize("table_rows", [1, 80, 89])
def test_segments_have_the_rows_folds_and_figures_of_one_file(whole, tmp_path, table_rows):
    make(whole, tmp_path / "labels.parquet", table_rows)
    tables = [f"features/{name}.parquet" for name in ROWS]
    tables += [f"splits/{name}.parquet" for name in SPLITS]
    for name in ("labels.parquet", *tables):
        assert (tmp_path / name).is_dir()
        assert rows_of(tmp_path / name) == rows_of(whole / name)
        segments, file = StoredTable(tmp_path / name), StoredTable(whole / name)
        assert segments.schema == file.schema
        assert segments.about == file.about
    # A split that leaves rows out because of their group, in other segments than their group.
    assert StoredTable(whole / "splits/ood_complexity.parquet").about["left_out"] > 0


def test_segments_of_a_table_without_namespaces_have_its_order(whole, tmp_path):
    make(whole, tmp_path / "labels.parquet", 50)
    ordered = [key for key in rows_of(whole / "labels.parquet") if key.startswith("b:")]
    assert [k for k in rows_of(tmp_path / "labels.parquet") if k.startswith("b:")] == ordered
    names = [file.name for file in StoredTable(tmp_path / "labels.parquet").files]
    assert names == sorted(names)


def test_a_folder_without_segments_is_refused(tmp_path):
    (tmp_path / "labels.parquet").mkdir()
    (tmp_path / "labels.parquet/.b-00000.parquet.1.tmp").touch()
    with pytest.raises(InputError, match="the folder has no Parquet files"):
        StoredTable(tmp_path / "labels.parquet")


def a_plan(name: str, sizes: list[int]) -> Plan:
    shards = tuple(Shard(n * 10, n * 10 + 9, rows, "d") for n, rows in enumerate(sizes))
    return Plan(Path("p"), name, {"id": "id", "namespace": None}, None, [], shards)


@given(
    st.dictionaries(
        st.sampled_from(["a", "a-b", "b"]),
        st.lists(st.integers(1, 10), min_size=1, max_size=12),
        min_size=1,
    ),
    st.integers(1, 200),
)
def test_each_shard_is_in_one_segment_and_none_is_too_large(sizes, table_rows):
    every = {name: a_plan(name, rows) for name, rows in sizes.items()}
    segments = segments_of(every, table_rows)
    total = sum(map(sum, sizes.values()))
    assert bool(segments) == (total > table_rows)
    found = [
        (s.dataset, position) for s in segments.values() for position in range(s.first, s.last + 1)
    ]
    if segments:
        assert found == [(name, n) for name in sorted(sizes) for n in range(len(sizes[name]))]
    for segment in segments.values():
        rows = sum(sizes[segment.dataset][segment.first : segment.last + 1])
        assert rows <= max(1, table_rows // 10) or segment.first == segment.last


VALUES = st.one_of(st.none(), st.integers(0, 40), st.integers(0, 2**53))


@given(st.lists(st.lists(VALUES, max_size=30), max_size=4), st.floats(0.01, 0.99))
def test_counts_of_values_add_up_to_the_same_threshold(pieces, share):
    def counted(values):
        counts = ValueCounts()
        label = pa.DictionaryArray.from_arrays(np.zeros(len(values), np.int8), list(STABILITY))
        counts.add(pa.record_batch([label, pa.array(values, pa.int64())], ["stability", "moduli"]))
        return counts.counts()["least_moduli"]

    every = counted([value for piece in pieces for value in piece])
    added: dict[str, int] = {}
    for own in map(counted, pieces):
        added = {name: added.get(name, 0) + own.get(name, 0) for name in {**added, **own}}
    assert added == every
    assert threshold(added, share) == threshold(every, share)


def test_the_filter_of_test_groups_grows_with_the_rows():
    sizes = [len(TestGroups(rows).bits) for rows in (0, 10**7, 2 * 10**7, 10**12)]
    assert sizes == [2**24, 2**24, 2**25, 2**27]
    groups = TestGroups(2 * 10**7)
    batch = pa.record_batch([pa.array(range(1000), pa.uint64())], ["_group"])
    groups.add(batch, np.arange(1000) < 500)
    again = TestGroups(bits=groups.bits)
    assert again.has(batch).tolist() == [number < 500 for number in range(1000)]


@pytest.mark.parametrize("keep", [0, 100, -1000, -1])
def test_a_survey_that_was_cut_off_is_refused(whole, tmp_path, keep):
    tables = [whole / f"features/{name}.parquet" for name in ROWS]
    path = tmp_path / "survey.npz"
    with contextlib.redirect_stdout(io.StringIO()):
        survey(SPLITS, SHARES, whole / "labels.parquet", tables, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedFileError, match="not as the pipeline writes it"):
        Survey.read(path, "ood_complexity")


def test_a_survey_of_a_split_without_groups_has_no_filter(whole, tmp_path):
    tables = [whole / f"features/{name}.parquet" for name in ROWS]
    with contextlib.redirect_stdout(io.StringIO()):
        survey(SPLITS, SHARES, whole / "labels.parquet", tables, tmp_path / "survey.npz")
    found = {name: Survey.read(tmp_path / "survey.npz", name) for name in SPLITS}
    assert found["iid"].groups is None
    assert found["ood_hodge"].groups is not None
    assert sorted(found["iid"].datasets) == ["a", "b"]


@settings(deadline=None)
@given(st.integers(1, 10**10), st.integers(1, 3000), st.integers(1, 10**7))
def test_a_table_of_any_size_has_few_segments(rows, size, table_rows):
    size = max(size, -(-rows // 500))
    shards = tuple(
        Shard(first, first + size - 1, min(size, rows - first), "d")
        for first in range(0, rows, size)
    )
    made = Plan(Path("p.json"), "t", {}, None, [], shards)
    segments = list(segments_of({"t": made}, table_rows).values())
    assert len(segments) <= 2 * 100 + 1
    if not segments:
        assert rows <= table_rows
        return
    assert [segment.first for segment in segments] == [
        0,
        *(segment.last + 1 for segment in segments[:-1]),
    ]
    assert segments[-1].last == len(shards) - 1
    held = [sum(s.rows for s in shards[s.first : s.last + 1]) for s in segments]
    most = max(table_rows // 10, 1)
    assert all(count <= max(most, rows // 50, size) for count in held)
