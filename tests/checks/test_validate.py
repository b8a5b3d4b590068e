"""The checks of a run notice what is wrong with its labels and splits, and the gate fails with the
reason.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ROWS, edit_label, first_row_with
from vacuagym.checks.check import Thresholds
from vacuagym.checks.label_checks import _balance_checks, _Counts, label_bits
from vacuagym.checks.split_checks import baseline
from vacuagym.cli.main import main
from vacuagym.splits.rules import SplitShares
from vacuagym.stages.check_segment import SegmentFiles, find
from vacuagym.stages.gate import ChecksFailed, gate
from vacuagym.stages.split import split
from vacuagym.stages.validate import Inputs, validate
from vacuagym.tables.plan import Plan
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.toy.classes import LABELS as NAMES

LABELS, SPLITS = (
    Path("results/labels.parquet"),
    [Path(f"results/splits/{name}.parquet") for name in ("iid", "ood_complexity")],
)


@pytest.fixture
def checked(run):
    """A labelled run with its splits, and a function that validates it and gives the document."""
    for path in SPLITS:
        split(LABELS, path.stem, seed=42, shares=SplitShares(0.7, 0.15, 0.3), output=path)
    Path("verification.json").write_text('{"disagreements": {}}')

    def check(**thresholds) -> dict:
        limits = Thresholds(
            **({"largest_class": 0.95, "failed_share": 0.001, "fold_tolerance": 0.02} | thresholds)
        )
        plans = [Plan.read("plan.json")]
        files = SegmentFiles(
            labels=LABELS,
            plans=plans,
            splits=SPLITS,
            features=[],
            label_files=Path("results/labels"),
        )
        inputs = Inputs(plans=plans, verification=Path("verification.json"))
        validate([find(files, ROWS)], inputs, limits, Path("v.json"))
        return json.loads(Path("v.json").read_text())

    return check


def test_an_honest_run_passes(checked):
    document = checked()
    assert document["verdict"] == {"passed": True, "failed": []}
    assert document["labels"]["t"]["rows"] == ROWS
    assert sum(document["labels"]["t"]["by_label"].values()) == ROWS
    assert sum(document["splits"]["iid"]["folds"].values()) == ROWS
    assert sum(job["rows"] for job in document["memory"]) == ROWS
    assert all(job["peak_mb"] > 0 for job in document["memory"])
    gate(Path("v.json"), Path("verdict.txt"))
    assert Path("verdict.txt").read_text().startswith("passed: all ")


@pytest.mark.parametrize(
    ("label", "column", "value", "check"),
    [
        ("stable", "stability", "saddle", "signs"),
        ("saddle", "stability", "stable", "signs"),
        ("stable", "stability", "metastable", "signs"),
        ("stable", "stability", "runaway", "signs"),
        ("stable", "potential_value", float("nan"), "finite"),
        ("saddle", "phi_norm", None, "finite"),
        ("stable", "grad_norm", 1e-3, "gradient"),
        ("stable", "n_negative", 1, "index"),
        ("stable", "trials_stable", 10, "trials"),
        ("stable", "draws_failed", 1, "draws"),
        ("metastable", "barrier_height", None, "barriers"),
        ("stable", "barrier_height", 0.1, "barriers"),
        ("stable", "geometry_id", 10**6, "order"),
        ("stable", "key", "t:other:1", "keys of iid"),
    ],
)
def test_what_is_wrong_with_a_row_is_found_and_named(checked, label, column, value, check):
    edit_label(column, first_row_with(label), value)
    document = checked()
    assert check in document["verdict"]["failed"]
    with pytest.raises(ChecksFailed, match=check):
        gate(Path("v.json"), Path("verdict.txt"))
    assert not Path("verdict.txt").exists()


def test_labels_are_counted_by_regime_and_by_the_sign_of_gamma(checked):
    counts = checked()["labels"]["t"]
    rows = pq.read_table(LABELS, columns=["stability", "regime", "gamma", "n_moduli"]).to_pylist()
    signs = {
        "negative": lambda gamma: gamma < 0,
        "zero": lambda gamma: gamma == 0,
        "positive": lambda gamma: gamma > 0,
    }
    for label in counts["by_label"]:
        own = [row for row in rows if row["stability"] == label]
        for regime, found in counts["by_regime"].items():
            assert found[label] == sum(row["regime"] == regime for row in own)
        for sign, found in counts["by_gamma"].items():
            assert found[label] == sum(signs[sign](row["gamma"]) for row in own)
    assert counts["by_gamma"]["negative"]["saddle"]
    assert counts["by_gamma"]["positive"]["saddle"]
    assert counts["bits"] == label_bits(
        np.array([list(row.values()) for row in counts["by_n"].values()])
    )


def test_what_n_tells_of_a_label():
    nothing = label_bits(np.array([[30, 10], [60, 20]]))
    assert nothing["label"] == pytest.approx(0.811278, abs=1e-6)
    assert nothing["label_and_n"] == 0.0
    assert nothing["chance"] == pytest.approx(1 / (2 * 120 * np.log(2)), abs=1e-6)
    assert label_bits(np.array([[8, 0], [0, 8]]))["label_and_n"] == 1.0
    assert label_bits(np.zeros((0, 7), int)) == {"label": 0.0, "label_and_n": 0.0, "chance": 0.0}
    dice = np.random.default_rng(0)
    found = [label_bits(dice.multinomial(50, [[0.5, 0.3, 0.2]] * 8)) for _ in range(200)]
    assert np.mean([bits["label_and_n"] for bits in found]) == pytest.approx(
        np.mean([bits["chance"] for bits in found]), rel=0.1
    )


def test_a_row_that_belongs_into_the_test_fold_and_is_not_there_is_found(checked):
    folds = pq.read_table(SPLITS[1])["fold"].to_pylist()
    assert checked()["splits"]["ood_complexity"]["rule"]["least_moduli"] > 0
    for fold, other in (("test", "train"), ("train", "test")):
        moved = list(folds)
        moved[moved.index(fold)] = other
        codes = pa.array([FOLDS.index(fold) for fold in moved], pa.int8())
        column = pa.DictionaryArray.from_arrays(codes, pa.array(FOLDS))
        _rewrite(
            SPLITS[1],
            lambda table, column=column: table.set_column(3, table.schema.field("fold"), column),
        )
        assert checked()["verdict"]["failed"] == ["test fold of ood_complexity"]


def _rewrite(path: Path, change) -> None:
    metadata = pq.ParquetFile(path).metadata.metadata
    table = change(pq.read_table(path))
    pq.write_table(table.replace_schema_metadata({b"vacuagym": metadata[b"vacuagym"]}), path)


def test_lost_and_repeated_rows_are_found(checked):
    _rewrite(LABELS, lambda table: table.slice(1))
    assert {"coverage", "keys of iid", "keys of ood_complexity"} <= set(
        checked()["verdict"]["failed"]
    )
    _rewrite(LABELS, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    assert "order" in checked()["verdict"]["failed"]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.slice(1),
        lambda t: t.slice(0, 30),
        lambda t: pa.concat_tables([t, t.slice(0, 1)]),
    ],
)
def test_a_split_with_other_keys_than_the_labels_is_found(checked, change):
    _rewrite(SPLITS[0], change)
    assert checked()["verdict"]["failed"] == ["keys of iid"]


def test_folds_of_the_wrong_size_are_found(checked):
    only_test = pa.DictionaryArray.from_arrays(
        pa.array([2] * ROWS, pa.int8()), pa.array(["train", "validation", "test"])
    )
    _rewrite(SPLITS[0], lambda table: table.set_column(3, table.schema.field("fold"), only_test))
    assert checked()["verdict"]["failed"] == ["folds of iid"]


def test_a_disagreement_of_the_second_derivation_fails_the_gate(checked):
    Path("verification.json").write_text('{"disagreements": {"t:a:b:1:3": ["stability: …"]}}')
    checked()
    assert main(["gate", "--validation=v.json", "--output=verdict.txt"]) == 1
    with pytest.raises(ChecksFailed, match=r"verification: found 1.*t:a:b:1:3"):
        gate(Path("v.json"), Path("verdict.txt"))


def test_thresholds_are_of_use_only_with_enough_rows(checked, monkeypatch):
    assert checked(largest_class=0.1)["verdict"]["passed"]
    monkeypatch.setattr("vacuagym.checks.label_checks.ENOUGH", 10)
    assert checked(largest_class=0.1)["verdict"]["failed"] == ["balance of t"]


@pytest.mark.parametrize(
    ("rows", "failed", "passes"),
    [
        (80, 68, False),
        (80, 2, False),
        (80, 1, True),
        (80, 0, True),
        (1, 1, False),
        (100_000, 100, True),
        (100_000, 101, False),
    ],
)
def test_failed_rows_count_in_small_tables_too(rows, failed, passes):
    counts = _Counts("toy")
    counts.by_n[2, NAMES.index("failed")], counts.by_n[2, 0] = failed, rows - failed
    checks = {
        check.name: check for check in _balance_checks({"t": counts}, Thresholds(1.0, 0.001, 0.02))
    }
    assert checks["failures of t"].passed == passes


def test_the_baseline_is_that_of_the_frequencies_at_each_n():
    train, test = np.zeros((5, 7), int), np.zeros((5, 7), int)
    train[2, 0], train[2, 2], train[3, 2] = 6, 2, 4
    test[2, 0], test[2, 2], test[3, 2], test[4, 0] = 3, 1, 5, 1
    figures = baseline(train, test)
    # n = 2 is guessed stable, 3 saddle, and 4, which training has not seen, by all rows: a tie of
    # 6 and 6 that the first label wins.
    assert figures["accuracy"] == pytest.approx(9 / 10)
    assert figures["balanced_accuracy"] == pytest.approx((4 / 4 + 5 / 6) / 2, abs=1e-6)
    loss = -(3 * np.log(7 / 15) + np.log(3 / 15) + 5 * np.log(5 / 11) + np.log(7 / 19)) / 10
    assert figures["log_loss"] == pytest.approx(loss, abs=1e-6)
    assert baseline(train, np.zeros((5, 7), int)) is None
