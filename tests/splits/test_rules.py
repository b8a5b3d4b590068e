"""Splits: the key of a row decides its fold. Other rows may be added, dropped or reordered."""

import contextlib
import io
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vacuagym.errors import ConfigError, InputError
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.splits.rules import SplitShares
from vacuagym.splits.values import _bins, _least_of_bin
from vacuagym.stages.split import split
from vacuagym.tables import parquet
from vacuagym.tables.label_schema import SCHEMA, categorical
from vacuagym.tables.parquet import file_metadata
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.toy.classes import FAILED, LABELS

SHARES = SplitShares(0.70, 0.15, 0.30)
WEIGHTS = [0.2, 0.15, 0.3, 0.1, 0.05, 0.15, 0.05]
COUNT = 20_000


def geometries(count=COUNT, seed=0):
    """Fabricated rows: arrays of data set, namespace, id, count of moduli and label, in the order
    of the label table.

    Of the counts 6% are missing, and 39% are clamped to n = 32.
    """
    dice = np.random.default_rng(seed)
    fth6d = count // 3
    ks = np.arange(count - fth6d)
    each = -(-len(ks) // 5)  # geometries of a namespace; namespaces share ids
    rows = {
        "dataset": ["fth6d"] * fth6d + ["ks"] * (count - fth6d),
        "namespace": [None] * fth6d + [f"w{i}.ip.gz" for i in ks // each],
        "geometry_id": [*range(fth6d), *(ks % each - 700)],
        "moduli": np.array(
            [None if count < 3 else count for count in dice.geometric(0.03, count).tolist()], object
        ),
        "stability": dice.choice(len(LABELS), count, p=WEIGHTS),
    }
    return {
        name: np.asarray(values, object if name in ("namespace", "moduli") else None)
        for name, values in rows.items()
    }


def taken(rows, positions):
    return {name: values[positions] for name, values in rows.items()}


def joined(one, other):
    return {name: np.concatenate([one[name], other[name]]) for name in one}


def stored(path, rows, row_group_size=4096):
    """A label table in which the columns that no split looks at are null."""
    count = len(rows["geometry_id"])
    datasets = sorted(set(rows["dataset"].tolist()))
    keys = [
        f"{dataset}:{number}" if name is None else f"{dataset}:{name}:{number}"
        for dataset, name, number in zip(
            *(rows[name].tolist() for name in ("dataset", "namespace", "geometry_id")), strict=True
        )
    ]
    codes = [datasets.index(dataset) for dataset in rows["dataset"]]
    columns = {
        "key": pa.array(keys),
        "dataset": pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int16()), pa.array(datasets, pa.string())
        ),
        "namespace": pa.array(rows["namespace"].tolist(), pa.string()),
        "geometry_id": pa.array(rows["geometry_id"].tolist(), pa.int64()),
        "moduli": pa.array(rows["moduli"].tolist(), pa.int64()),
        "n_moduli": pa.array(
            [min(max(count or 0, 2), 32) for count in rows["moduli"].tolist()], pa.int16()
        ),
        "stability": categorical(rows["stability"].tolist(), "stability"),
    }
    table = pa.table(
        [columns.get(field.name, pa.nulls(count, field.type)) for field in SCHEMA], schema=SCHEMA
    )
    theory = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int8()), pa.array(["toy"]))
    table = table.append_column("theory", theory)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def divided(labels, name="iid", seed=42, shares=SHARES) -> pa.Table:
    output = labels.parent / f"{name}.split.parquet"
    with contextlib.redirect_stdout(io.StringIO()):
        split(labels, name, seed=seed, shares=shares, output=output)
    return pq.read_table(output)


def folds(table) -> dict[str, str]:
    return dict(zip(table["key"].to_pylist(), table["fold"].to_pylist(), strict=True))


def within_scatter(found, total, share):
    """Whether a count is within five standard deviations of a binomial distribution."""
    return abs(found - total * share) <= 5 * math.sqrt(total * share * (1 - share)) + 1


@pytest.fixture(scope="module")
def rows():
    return geometries()


@pytest.fixture(scope="module")
def labels(rows, tmp_path_factory):
    return stored(tmp_path_factory.mktemp("labels") / "labels.parquet", rows)


NAMES = ["iid", "ood_complexity", "ood_dataset_fth6d", "ood_dataset_ks"]


@pytest.mark.parametrize("name", NAMES)
def test_every_usable_key_is_in_one_fold_and_no_failed_one_in_any(labels, name):
    table = divided(labels, name)
    assert table.schema.names == ["key", "dataset", "geometry_id", "fold", "train_share"]
    whole = pq.read_table(labels, columns=["key", "dataset", "geometry_id", "stability"])
    usable = whole.filter(pa.array([label != "failed" for label in whole["stability"].to_pylist()]))
    assert 0 < len(usable) < len(whole)
    for column in ("key", "dataset", "geometry_id"):
        assert table[column].to_pylist() == usable[column].to_pylist()
    assert len(set(table["key"].to_pylist())) == len(table)
    assert set(table["fold"].to_pylist()) == set(FOLDS) == {"train", "validation", "test"}


@pytest.mark.parametrize("name", NAMES)
def test_the_file_tells_what_it_is(labels, name):
    table = divided(labels, name)
    about = file_metadata(pq.ParquetFile(labels.parent / f"{name}.split.parquet"))
    assert about["split"] == name
    assert about["seed"] == 42
    assert about["folds"] == {fold: table["fold"].to_pylist().count(fold) for fold in FOLDS}


@pytest.mark.parametrize(
    "shares", [SHARES, SplitShares(0.5, 0.25, 0.3), SplitShares(0.1, 0.8, 0.3)], ids=str
)
def test_iid_folds_have_their_shares_overall_and_for_every_label_and_data_set(labels, shares):
    table = divided(labels, shares=shares)
    fold = np.array(table["fold"].to_pylist())
    whole = pq.read_table(labels, columns=["stability", "n_moduli"])
    label = np.array(whole["stability"].to_pylist())
    keep = label != "failed"
    groups = [np.full(len(fold), True)]
    groups += [label[keep] == name for name in LABELS if name != "failed"]
    groups += [np.array(table["dataset"].to_pylist()) == name for name in ("fth6d", "ks")]
    groups += [np.array(whole["n_moduli"].to_pylist())[keep] == n for n in (3, 5, 10)]
    wanted = {
        "train": shares.train,
        "validation": shares.validation,
        "test": 1 - shares.train - shares.validation,
    }
    for group in groups:
        assert group.sum() > 100
        for name, share in wanted.items():
            assert within_scatter((fold[group] == name).sum(), group.sum(), share)


@pytest.mark.parametrize("name", NAMES)
def test_folds_do_not_depend_on_row_order_row_groups_or_batches(
    rows, labels, tmp_path, monkeypatch, name
):
    expected = folds(divided(labels, name))
    order = np.random.default_rng(1).permutation(COUNT)
    mixed = stored(tmp_path / "mixed.parquet", taken(rows, order), row_group_size=777)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 500)
    assert folds(divided(mixed, name)) == expected


@pytest.mark.parametrize("name", ["iid", "ood_dataset_fth6d", "ood_dataset_ks"])
def test_rows_and_data_sets_that_are_added_move_nothing(rows, labels, tmp_path, name):
    expected = folds(divided(labels, name))
    more = {
        "dataset": np.array(["cicy"] * 500 + ["ks"] * 500),
        "namespace": np.array([None] * 500 + ["w9.ip.gz"] * 500, object),
        "geometry_id": np.concatenate([np.arange(500), np.arange(10**9, 10**9 + 500)]),
        "moduli": np.full(1000, 7, object),
        "stability": np.zeros(1000, int),
    }
    grown = folds(divided(stored(tmp_path / "grown.parquet", joined(more, rows)), name))
    assert len(grown) == len(expected) + 1000
    assert {key: grown[key] for key in expected} == expected
    assert not any(
        fold == "test" for key, fold in grown.items() if key.startswith("cicy") and name != "iid"
    )


def test_rows_that_are_added_do_not_mix_train_and_validation_of_the_complexity_split(
    rows, labels, tmp_path
):
    expected = folds(divided(labels, "ood_complexity"))
    more = {name: values.copy() for name, values in taken(rows, np.arange(3000)).items()}
    more["geometry_id"] += 10**6
    more["moduli"][:] = 300
    grown = folds(divided(stored(tmp_path / "grown.parquet", joined(rows, more)), "ood_complexity"))
    moved = {(expected[key], grown[key]) for key in expected if expected[key] != grown[key]}
    assert ("train", "validation") not in moved
    assert ("validation", "train") not in moved


def test_a_fold_depends_on_the_key_and_not_on_label_or_moduli(rows, labels, tmp_path):
    other = dict(rows, moduli=rows["moduli"][::-1], stability=rows["stability"][::-1])
    here, there = folds(divided(labels)), folds(divided(stored(tmp_path / "other.parquet", other)))
    common = here.keys() & there.keys()
    assert len(common) > COUNT // 2
    assert all(here[key] == there[key] for key in common)


def independent(one, other):
    """Whether training rows of one split are spread over the folds of another by chance alone."""
    keys = [key for key in one if key in other and "test" not in (one[key], other[key])]
    train = np.array([one[key] == "train" for key in keys])
    again = np.array([other[key] == "train" for key in keys])
    assert len(keys) > 1000
    return within_scatter((train & again).sum(), train.sum(), again.mean())


def test_the_hashes_of_different_splits_seeds_and_data_sets_are_independent(labels):
    found = {name: folds(divided(labels, name)) for name in NAMES}
    assert independent(found["iid"], found["ood_complexity"])
    assert independent(found["iid"], found["ood_dataset_ks"])
    assert independent(found["ood_complexity"], found["ood_dataset_ks"])
    assert independent(found["ood_complexity"], found["ood_dataset_fth6d"])
    assert independent(found["iid"], folds(divided(labels, seed=43)))
    shifted = {key.replace("w0", "w1"): fold for key, fold in found["iid"].items() if ":w0" in key}
    assert independent(shifted, found["iid"])
    assert folds(divided(labels)) == found["iid"]


def complexity(path, share=0.30):
    """Pairs (count of moduli, fold) of the complexity split, and its metadata; a missing count is
    0.
    """
    table = divided(path, "ood_complexity", shares=SplitShares(0.70, 0.15, share))
    whole = pq.read_table(path, columns=["key", "moduli"])
    count_of = dict(zip(whole["key"].to_pylist(), whole["moduli"].to_pylist(), strict=True))
    pairs = [(count_of[key] or 0, fold) for key, fold in folds(table).items()]
    return pairs, file_metadata(pq.ParquetFile(path.parent / "ood_complexity.split.parquet"))


def check_complexity(pairs, about, share):
    test = [n for n, fold in pairs if fold == "test"]
    rest = [n for n, fold in pairs if fold != "test"]
    values = sorted({n for n, _ in pairs})
    if len(values) < 2:
        assert test == []
        return
    assert test
    assert rest, "something is left to train with"
    assert min(test) > max(rest), (
        "ties stay together, and nothing of the test fold lies within the training range"
    )
    assert about["least_moduli"] == min(test)
    assert about["share"] == pytest.approx(len(test) / len(pairs))
    tails = [sum(n >= value for n, _ in pairs) / len(pairs) for value in values[1:]]
    assert abs(len(test) / len(pairs) - share) == pytest.approx(
        min(abs(tail - share) for tail in tails)
    )


@pytest.mark.parametrize("share", [0.30, 0.02, 0.5, 0.98])
def test_the_complexity_split_tests_the_largest_moduli_at_the_closest_possible_share(labels, share):
    pairs, about = complexity(labels, share)
    check_complexity(pairs, about, share)
    rest = [fold for _, fold in pairs if fold != "test"]
    assert within_scatter(rest.count("train"), len(rest), 0.70 / 0.85)


def table_of_counts(path, moduli, stability=0):
    count = len(moduli)
    return stored(
        path,
        {
            "dataset": np.array(["ks"] * count),
            "namespace": np.array([None] * count, object),
            "geometry_id": np.arange(count),
            "moduli": np.asarray(moduli, object),
            "stability": np.broadcast_to(stability, count),
        },
    )


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.none() | st.integers(0, 256), min_size=1, max_size=60)
    | st.lists(st.integers(2, 4), min_size=1, max_size=60)
    | st.lists(st.integers(2**15, 2**16 - 1), min_size=1, max_size=60)
    | st.lists(
        st.none() | st.sampled_from([2**power for power in range(54)]), min_size=1, max_size=60
    ),
    st.floats(0.05, 0.95),
)
def test_the_complexity_split_of_any_moduli(tmp_path, moduli, share):
    check_complexity(
        *complexity(table_of_counts(tmp_path / "labels.parquet", moduli), share), share
    )


def test_beyond_the_cap_the_largest_true_counts_are_tested(tmp_path):
    """All of these have n = 32, and the test fold is still those with the most moduli; a missing
    count is the least.
    """
    pairs, about = complexity(
        table_of_counts(tmp_path / "labels.parquet", [None] * 100 + [40] * 600 + [50] * 300)
    )
    assert sorted(count for count, fold in pairs if fold == "test") == [50] * 300
    assert about["least_moduli"] == 50
    pairs, about = complexity(
        table_of_counts(tmp_path / "labels.parquet", [None] * 700 + [1] * 300)
    )
    assert sorted(count for count, fold in pairs if fold == "test") == [1] * 300


@given(st.lists(st.integers(0, 2**53) | st.integers(0, 2**20), min_size=2, max_size=50))
def test_bins_keep_the_order_and_their_least_value_is_their_own(values):
    ordered = np.array(sorted(values), np.int64)
    bins = _bins(ordered)
    assert (np.diff(bins) >= 0).all()
    assert bins.max() < 1_300_000
    for value, own in zip(ordered.tolist(), bins.tolist(), strict=True):
        least = _least_of_bin(own)
        assert least <= value < _least_of_bin(own + 1)
        assert value - least <= value >> 15
        assert least == value or value >= 2**16


def test_where_all_moduli_are_equal_nothing_is_out_of_distribution(tmp_path):
    pairs, about = complexity(table_of_counts(tmp_path / "labels.parquet", [7] * 500))
    assert {fold for _, fold in pairs} == {"train", "validation"}
    assert about["share"] == 0.0
    assert about["folds"]["test"] == 0


def test_failed_rows_do_not_count_in_the_complexity_threshold(tmp_path):
    moduli = [2] * 70 + [3] * 30 + [9] * 900
    stability = np.array([0] * 100 + [FAILED] * 900)
    pairs, about = complexity(table_of_counts(tmp_path / "labels.parquet", moduli, stability))
    assert about["least_moduli"] == 3
    assert len(pairs) == 100


@pytest.mark.parametrize("dataset", ["fth6d", "ks"])
def test_a_data_set_left_out_is_exactly_the_test_fold(labels, dataset):
    table = divided(labels, f"ood_dataset_{dataset}")
    for name, fold in zip(table["dataset"].to_pylist(), table["fold"].to_pylist(), strict=True):
        assert (fold == "test") == (name == dataset)
    rest = [fold for fold in table["fold"].to_pylist() if fold != "test"]
    assert within_scatter(rest.count("train"), len(rest), 0.70 / 0.85)


@pytest.mark.parametrize("dataset", ["a", "ood_dataset_a", "a-b_c", "0"])
def test_data_sets_of_any_name_can_be_left_out(rows, tmp_path, dataset):
    few = taken(rows, np.arange(0, COUNT, 50))
    few["dataset"] = np.array([dataset if name == "ks" else name + "0" for name in few["dataset"]])
    table = divided(stored(tmp_path / "labels.parquet", few), f"ood_dataset_{dataset}")
    assert {
        name
        for name, fold in zip(table["dataset"].to_pylist(), table["fold"].to_pylist(), strict=True)
        if fold == "test"
    } == {dataset}


@pytest.mark.parametrize("name", ["iid", "ood_complexity", "ood_dataset_ks"])
@pytest.mark.parametrize("usable", [0, 1])
def test_a_table_with_hardly_any_usable_row(tmp_path, name, usable):
    path = table_of_counts(
        tmp_path / "labels.parquet", [5] * 4, np.array([0] * usable + [FAILED] * (4 - usable))
    )
    table = divided(path, name)
    assert len(table) == usable
    assert table.schema.names == ["key", "dataset", "geometry_id", "fold", "train_share"]


@pytest.mark.parametrize("name", ["iid", "ood_complexity", "ood_dataset_ks"])
def test_a_long_stretch_of_failed_rows_in_between(tmp_path, monkeypatch, name):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 10)
    path = table_of_counts(
        tmp_path / "labels.parquet", [2, 3] * 50, np.array([0] * 15 + [FAILED] * 70 + [0] * 15)
    )
    assert divided(path, name)["geometry_id"].to_pylist() == [*range(15), *range(85, 100)]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "IID",
        "iid ",
        "random",
        "ood",
        "ood_dataset_",
        "ood_dataset",
        "ood_complexity_2",
        "../iid",
    ],
)
def test_a_split_that_there_is_not(labels, tmp_path, name):
    with pytest.raises(ConfigError) as refused:
        split(labels, name, seed=42, shares=SHARES, output=tmp_path / "out.parquet")
    assert refused.value.exit_code == 2
    message = str(refused.value)
    assert repr(name) in message
    for known in ("iid", "ood_complexity", "ood_dataset_"):
        assert known in message
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_that_is_not_in_the_table_cannot_be_left_out(labels, tmp_path):
    """A misspelt name must not become a split without a test fold."""
    with pytest.raises(ConfigError, match="fth6"):
        split(labels, "ood_dataset_fth6", seed=42, shares=SHARES, output=tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_label_table_that_is_not_there_or_not_whole(labels, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        split(
            tmp_path / "labels.parquet",
            "iid",
            seed=42,
            shares=SHARES,
            output=tmp_path / "out.parquet",
        )
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(labels.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"broken\.parquet"):
        split(broken, "iid", seed=42, shares=SHARES, output=tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.parquet"]


def test_the_same_split_is_the_same_file(labels):
    divided(labels)
    before = (labels.parent / "iid.split.parquet").read_bytes()
    divided(labels)
    assert (labels.parent / "iid.split.parquet").read_bytes() == before


def test_which_splits_there_are():
    table = {"source": "table", "path": "a.parquet", "id": "i"}
    assert Pipeline({"datasets": {"ks": table}}).splits() == ["iid", "ood_complexity"]
    assert Pipeline({"datasets": {"ks": {**table, "hodge": ["h11", "h21"]}}}).splits() == [
        "iid",
        "ood_complexity",
        "ood_hodge",
    ]
    both = Pipeline({"datasets": {"ks": table, "fth6d": {"source": "toric_bases"}}})
    assert both.splits() == [
        "iid",
        "ood_complexity",
        "ood_hodge",
        "ood_dataset_fth6d",
        "ood_dataset_ks",
    ]
