"""Splits by Hodge numbers, groups that no fold boundary parts, the ladder of small training sets,
and the lists of row numbers.
"""

import contextlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rules import COUNT, SHARES, geometries, stored, taken, within_scatter

from vacuagym.checks.check import Check, Thresholds
from vacuagym.checks.split_checks import COLUMNS, FOLD_COLUMNS, SplitChecks
from vacuagym.errors import ConfigError, InputError
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.splits import rules
from vacuagym.splits.rows import TRAITS, usable_rows
from vacuagym.splits.rules import TestGroups
from vacuagym.stages.split import split
from vacuagym.tables.aligned import feed
from vacuagym.tables.parquet import METADATA_KEY, file_metadata
from vacuagym.tables.split_schema import FOLDS

THRESHOLDS = Thresholds(0.95, 0.001, 0.02)


@pytest.fixture(scope="module")
def rows():
    return geometries()


@pytest.fixture(scope="module")
def traits(rows):
    """Hodge numbers of three rows in four, and groups of all of them: about 2,000, of both data
    sets.
    """
    dice = np.random.default_rng(3)
    h11 = [None if i % 4 == 0 else int(n) for i, n in enumerate(dice.geometric(0.05, COUNT))]
    return {
        "_h11": h11,
        "_h21": dice.geometric(0.05, COUNT).tolist(),
        "_group": dice.integers(1, 2000, COUNT).tolist(),
    }


@pytest.fixture(scope="module")
def labels(rows, tmp_path_factory):
    return stored(tmp_path_factory.mktemp("labels") / "labels.parquet", rows)


@pytest.fixture(scope="module")
def features(labels, traits):
    """The feature files of both data sets, the later one first."""
    return list(reversed(feature_files(labels, traits)))


def feature_files(labels, traits):
    table = pq.read_table(labels, columns=["key", "dataset"])
    datasets = np.array(table["dataset"].to_pylist())
    files, folder = [], labels.parent / "-".join(traits)
    folder.mkdir(exist_ok=True)
    for name in sorted(set(datasets.tolist())):
        here = np.flatnonzero(datasets == name)
        columns = [
            table["key"].take(pa.array(here)),
            *([traits[f.name][i] for i in here] for f in TRAITS if f.name in traits),
        ]
        fields = [f for f in TRAITS if f.name == "key" or f.name in traits]
        schema = pa.schema(fields, {METADATA_KEY: json.dumps({"dataset": name}).encode()})
        files.append(folder / f"{name}.parquet")
        pq.write_table(
            pa.table(
                [
                    pa.array(c, f.type) if isinstance(c, list) else c
                    for c, f in zip(columns, fields, strict=True)
                ],
                schema,
            ),
            files[-1],
        )
    return files


def divided(labels, features, name, shares=SHARES):
    """The split as columns beside those of the label table; rows in no fold have the fold None."""
    output, index = labels.parent / f"{name}.parquet", labels.parent / f"{name}.json"
    with contextlib.redirect_stdout(io.StringIO()):
        split(labels, name, seed=42, shares=shares, output=output, features=features, index=index)
    found = pq.read_table(output)
    fold = dict(zip(found["key"].to_pylist(), found["fold"].to_pylist(), strict=True))
    share = dict(zip(found["key"].to_pylist(), found["train_share"].to_pylist(), strict=True))
    table = pq.read_table(labels, columns=["key", "dataset", "n_moduli", "stability"]).to_pydict()
    table |= {
        "fold": [fold.get(key) for key in table["key"]],
        "train_share": [share.get(key) for key in table["key"]],
    }
    return {name: np.array(values, object) for name, values in table.items()}, file_metadata(
        pq.ParquetFile(output)
    )


def test_the_test_fold_by_hodge_numbers_lies_beyond_all_others(labels, features, traits):
    table, about = divided(
        labels,
        feature_files(labels, {name: traits[name] for name in ("_h11", "_h21")}),
        "ood_hodge",
    )
    sums = np.array(
        [
            -1 if h11 is None else h11 + h21
            for h11, h21 in zip(traits["_h11"], traits["_h21"], strict=True)
        ]
    )
    usable = table["stability"] != "failed"
    assert set(table["fold"][usable & (sums >= 0)]) == set(FOLDS)
    assert set(table["fold"][~usable | (sums < 0)]) == {None}, (
        "without Hodge numbers a row is in no fold"
    )
    test = table["fold"] == "test"
    assert sums[test].min() > sums[usable & ~test].max()
    assert about["least_hodge_sum"] == sums[test].min()
    assert about["left_out"] == np.count_nonzero(usable & (sums < 0))
    assert abs(test.sum() / np.count_nonzero(usable & (sums >= 0)) - SHARES.hodge) < 0.02


def test_without_hodge_numbers_there_is_no_such_split(labels, traits, tmp_path):
    files = feature_files(labels, {"_group": traits["_group"]})
    for given_files in ([], files):
        with pytest.raises(ConfigError, match="hodge"):
            split(
                labels,
                "ood_hodge",
                seed=42,
                shares=SHARES,
                output=tmp_path / "out.parquet",
                features=given_files,
            )
    assert list(tmp_path.iterdir()) == []


def test_where_no_hodge_number_is_known_every_row_is_left_out(labels):
    files = feature_files(labels, {"_h11": [None] * COUNT, "_h21": [1] * COUNT})
    table, about = divided(labels, files, "ood_hodge")
    assert set(table["fold"]) == {None}
    assert about["left_out"] == np.count_nonzero(table["stability"] != "failed")


@pytest.mark.parametrize("name", ["iid", "ood_complexity", "ood_hodge", "ood_dataset_ks"])
def test_no_group_lies_in_two_folds(labels, features, traits, name):
    table, about = divided(labels, features, name)
    folds = {}
    for group, fold in zip(traits["_group"], table["fold"], strict=True):
        if fold is not None:
            folds.setdefault(group, set()).add(fold)
    assert {len(found) for found in folds.values()} == {1}
    if name == "iid":
        assert about["left_out"] == 0
        shares = [sum(found == {fold} for found in folds.values()) for fold in FOLDS]
        assert within_scatter(shares[0], sum(shares), 0.70)
        assert within_scatter(shares[1], sum(shares), 0.15)


def test_only_rows_that_share_a_group_with_a_test_row_are_left_out(labels, traits):
    few = [None if i % 3 else group for i, group in enumerate(traits["_group"])]
    grouped, about = divided(labels, feature_files(labels, {"_group": few}), "ood_complexity")
    alone, _ = divided(labels, [], "ood_complexity")
    assert (grouped["fold"] == "test").tolist() == (alone["fold"] == "test").tolist(), (
        "groups do not change what is tested"
    )
    usable = alone["stability"] != "failed"
    tested = {few[i] for i in np.flatnonzero(alone["fold"] == "test")} - {None}
    leak = np.array([group in tested for group in few]) & usable & (alone["fold"] != "test")
    assert leak.any()
    assert (usable & (grouped["fold"] == None)).tolist() == leak.tolist()  # noqa: E711 - an array
    assert about["left_out"] == leak.sum()
    ungrouped = usable & np.array([group is None for group in few])
    assert (grouped["fold"][ungrouped] == alone["fold"][ungrouped]).all(), (
        "rows without a group stay where they were"
    )


@pytest.mark.parametrize("name", ["iid", "ood_complexity"])
def test_rungs_of_the_ladder_are_nested_and_have_their_shares(labels, name):
    table, _ = divided(labels, [], name)
    train = table["fold"] == "train"
    assert set(table["train_share"][~train]) == {None}
    assert set(table["train_share"][train]) == {1, 10, 100}
    total = train.sum()
    for rung in (1, 10):
        assert within_scatter(
            np.count_nonzero(table["train_share"][train] <= rung), total, rung / 100
        )
    label = table["stability"][train]
    for each in ("stable", "saddle"):
        assert within_scatter(
            np.count_nonzero(table["train_share"][train][label == each] <= 10),
            (label == each).sum(),
            0.10,
        )


def test_rows_that_are_added_move_no_row_to_another_rung(rows, labels, tmp_path):
    table, _ = divided(labels, [], "iid")
    half = taken(rows, np.arange(0, COUNT, 2))
    fewer, _ = divided(stored(tmp_path / "labels.parquet", half), [], "iid")
    before = dict(zip(table["key"], table["train_share"], strict=True))
    assert [before[key] for key in fewer["key"]] == fewer["train_share"].tolist()


@pytest.mark.parametrize("name", ["iid", "ood_hodge"])
def test_the_lists_of_row_numbers_are_those_of_the_folds(labels, features, name):
    table, _ = divided(labels, features, name)
    lists = json.loads((labels.parent / f"{name}.json").read_text())
    assert list(lists) == ["train", "val", "test"]
    for key, fold in zip(lists, FOLDS, strict=True):
        assert lists[key] == np.flatnonzero(table["fold"] == fold).tolist()


def test_empty_folds_are_empty_lists(tmp_path):
    path = stored(
        tmp_path / "labels.parquet",
        taken(geometries(10), np.array([], int)) | {"stability": np.zeros(0, int)},
    )
    with contextlib.redirect_stdout(io.StringIO()):
        split(
            path,
            "iid",
            seed=42,
            shares=SHARES,
            output=tmp_path / "iid.parquet",
            features=[],
            index=tmp_path / "iid.json",
        )
    assert json.loads((tmp_path / "iid.json").read_text()) == {"train": [], "val": [], "test": []}


def test_a_large_table_has_no_lists_of_row_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = {"datasets": {"fth6d": {"source": "toric_bases"}, "ws5": None}, "n_limit": 100}
    assert Pipeline({**entry, "table_rows": 99}).index_files() == {}
    assert list(Pipeline({**entry, "table_rows": 100}).index_files()) == ["index"]


def test_features_of_other_rows_are_refused(labels, features, tmp_path):
    with pytest.raises(InputError, match="its rows are not those of"):
        split(
            labels,
            "iid",
            seed=42,
            shares=SHARES,
            output=tmp_path / "out.parquet",
            features=features[:1],
        )
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(
    st.sets(st.integers(0, 2**64 - 1), max_size=200),
    st.sets(st.integers(0, 2**64 - 1), max_size=200),
)
def test_no_test_group_is_ever_forgotten(added, others):
    def batch(groups):
        return pa.RecordBatch.from_arrays([pa.array([*groups, None], pa.uint64())], ["_group"])

    groups = TestGroups()
    groups.add(batch(added), np.ones(len(added) + 1, bool))
    groups.add(batch(others), np.zeros(len(others) + 1, bool))
    assert groups.has(batch(added)).tolist() == [True] * len(added) + [False]
    assert groups.has(batch(others - added)).tolist() == [False] * (len(others - added) + 1)


def test_the_checks_find_groups_in_two_folds_and_rows_that_are_missing(
    labels, features, monkeypatch
):
    def checks(path, own_features=features) -> dict[str, Check]:
        found = SplitChecks("iid", file_metadata(pq.ParquetFile(path)), COUNT)
        assigned = feed(path, FOLD_COLUMNS)
        for batch in usable_rows(labels, own_features, COLUMNS):
            found.add(batch, assigned)
        found.finish(assigned)
        return {check.name: check for check in found.results(THRESHOLDS)[1]}

    divided(labels, features, "iid")
    path = labels.parent / "iid.parquet"
    assert all(check.passed for check in checks(path).values())
    assert "groups of iid" in checks(path)
    monkeypatch.setattr(rules, "split_hashes", rules.row_hashes)
    with contextlib.redirect_stdout(io.StringIO()):
        monkeypatch.setattr("vacuagym.stages.split.split_hashes", rules.row_hashes)
        split(labels, "iid", seed=42, shares=SHARES, output=path, features=features)
    assert not checks(path)["groups of iid"].passed
    table = pq.read_table(path).replace_schema_metadata(
        {METADATA_KEY: pq.ParquetFile(path).metadata.metadata[METADATA_KEY]}
    )
    for change in (
        table.slice(1),
        table.slice(0, 500),
        pa.concat_tables([table, table.slice(3, 1)]),
        table.take(pa.array([1, 0, 2])),
    ):
        pq.write_table(change, path)
        check = checks(path)["keys of iid"]
        assert not check.passed
        assert check.found


SPELLINGS = {
    "lists of integers and floats": (
        [[i, -i] for i in range(60)],
        pa.list_(pa.int64()),
        pa.list_(pa.float64()),
    ),
    "minus zero in lists": (
        [[i % 7, 0] for i in range(60)],
        pa.list_(pa.int64()),
        pa.list_(pa.float64()),
    ),
    "structs": (
        [{"a": i} for i in range(60)],
        pa.struct([("a", pa.int64())]),
        pa.struct([("a", pa.float64())]),
    ),
    "texts and bytes": ([f"g{i}" for i in range(60)], pa.string(), pa.large_binary()),
    "booleans and integers": ([i % 2 for i in range(60)], pa.int64(), pa.bool_()),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_equal_values_of_other_types_are_never_parted(workspace, kind):
    values, one, other = SPELLINGS[kind]
    entries = {}
    for name, arrow in (("a", one), ("b", other)):
        spelt = {pa.large_binary(): str.encode, pa.bool_(): bool}.get(arrow, lambda value: value)
        column = pa.array(map(spelt, values), arrow)
        workspace.table(f"{name}.parquet", range(60), [2] * 60, w=column)
        entries[name] = {
            "source": "table",
            "path": f"{name}.parquet",
            "id": "id",
            "moduli": "moduli",
        }
    workspace.configure(entries, split_groups={"a": ["w"], "b": ["w"]})
    workspace.snakemake(target="results/splits/iid.parquet")
    folds = pq.read_table(workspace.folder / "results/splits/iid.parquet").to_pylist()
    by_id = {}
    for row in folds:
        by_id.setdefault(row["geometry_id"], set()).add(row["fold"])
    assert all(len(found) == 1 for found in by_id.values())
    assert len({fold for found in by_id.values() for fold in found}) > 1 or kind.startswith(
        "booleans"
    )
