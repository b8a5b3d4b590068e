"""The checks of one split: its keys against the label table's, its folds and their labels, and
what n alone predicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.check import ENOUGH, Check, Thresholds
from vacuagym.splits.rows import GROUP, usable_rows
from vacuagym.splits.rules import RUNGS, TEST, TRAIN, VALUES
from vacuagym.tables.aligned import feed
from vacuagym.tables.parquet import file_metadata, open_parquet
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.toy.classes import LABELS

MOST_MODULI = 256
_MOST_GROUPS = 50_000  # that are followed; of more, an even sample


def check_split(
    path: Path, labels: Path, features: Sequence[Path], thresholds: Thresholds
) -> tuple[dict[str, Any], list[Check]]:
    """Figures and checks of one split file."""
    file = open_parquet(path)
    about = file_metadata(file)
    keys = Check(
        f"keys of {path.stem}",
        "keys are usable ones of the label table in its order, each once; missing are those left "
        "out",
    )
    together = Check(
        f"groups of {path.stem}", "no group of rows that are the same geometry lies in two folds"
    )
    apart = Check(
        f"test fold of {path.stem}",
        "its rows have the largest values of what sets it, and no others have",
    )
    known = [(about[name], value) for name, value in VALUES.items() if name in about]
    counts = np.zeros((len(FOLDS), MOST_MODULI + 1, len(LABELS)), np.int64)
    ladder = np.zeros(len(RUNGS), np.int64)
    groups = _Groups(file.metadata.num_rows)
    for rows, folds, shares in _side_by_side(labels, features, path, keys, about["left_out"]):
        np.add.at(
            counts,
            (
                folds,
                rows.column("n_moduli").to_numpy(),
                rows.column("stability").indices.to_numpy(),
            ),
            1,
        )
        ladder += np.bincount(np.searchsorted(RUNGS, shares[folds == TRAIN]), minlength=len(RUNGS))
        groups.note(rows, folds, together)
        for least, value in known:
            apart.note((value(rows) >= least) != (folds == TEST), rows.column("key"))
    sizes = counts.sum(axis=(1, 2))
    by_label = counts.sum(axis=1) / np.maximum(1, sizes)[:, None]
    figures = {
        "folds": dict(zip(FOLDS, sizes.tolist(), strict=True)),
        "left_out": about["left_out"],
        "rule": {
            key: value for key, value in about.items() if key.startswith("least_") or key == "share"
        },
        "ladder": dict(zip(map(str, RUNGS), np.cumsum(ladder).tolist(), strict=True)),
        "by_label": {
            fold: dict(zip(LABELS, counts[i].sum(axis=0).tolist(), strict=True))
            for i, fold in enumerate(FOLDS)
        },
        "n": {fold: _range(counts[i].sum(axis=1)) for i, fold in enumerate(FOLDS)},
        "drift": round(float(np.abs(by_label[0] - by_label[2]).sum() / 2), 6)
        if sizes[0] and sizes[2]
        else None,
        "baseline": baseline(counts[0], counts[2]),
    }
    checks = [keys, *([apart] if known else []), *([together] if groups.known else [])]
    if sizes.sum() >= ENOUGH:
        checks.append(
            Check(
                f"train of {path.stem}",
                "the training fold is not empty",
                bool(sizes[0]),
                int(sizes[0]),
            )
        )
    if (
        path.stem == "iid" and not groups.known
    ):  # chance divides groups, not rows: their shares scatter more
        checks.append(_share_check(sizes, about["shares"], thresholds))
    return figures, checks


def _range(by_n: np.ndarray) -> list[int] | None:
    """Return the least and the largest n that occurs, None if none does."""
    found = np.flatnonzero(by_n)
    return [int(found[0]), int(found[-1])] if len(found) else None


def _share_check(sizes: np.ndarray, wanted: dict[str, float], thresholds: Thresholds) -> Check:
    shares = sizes / max(1, sizes.sum())
    off = round(float(np.abs(shares[:2] - [wanted["train"], wanted["validation"]]).max()), 6)
    # The hash scatters: four standard deviations are no fault of it in a small table.
    allowed = max(thresholds.fold_tolerance, 4.0 * 0.5 / max(1.0, float(np.sqrt(sizes.sum()))))
    return Check(
        "folds of iid",
        f"shares of the folds are as configured within {allowed:.3g}",
        off <= allowed,
        off,
    )


def _side_by_side(
    labels: Path, features: Sequence[Path], split: Path, check: Check, left_out: int
) -> Iterator[tuple[pa.RecordBatch, np.ndarray, np.ndarray]]:
    """Rows of the label table that are in the split, their folds and shares; notes keys that the
    table does not have in that order.
    """
    assigned = feed(split, ("key", "fold", "train_share"))
    missing = 0
    for rows in usable_rows(labels, features, ("key", "moduli", "n_moduli", "stability")):
        inside, taken = assigned.take_among(rows.column("key"))
        here = rows.filter(inside)
        missing += len(rows) - len(here)
        differ = pc.not_equal(here.column("key"), taken["key"].combine_chunks())
        check.note(differ.to_numpy(zero_copy_only=False), here.column("key"))
        folds = taken["fold"].combine_chunks().indices.to_numpy()
        yield here, folds.astype(np.int64), pc.fill_null(taken["train_share"], 0).to_numpy()
    extra = assigned.take(5)["key"].to_pylist()
    if extra or missing != left_out:
        check.passed, check.examples = False, [*check.examples, *extra][:5]
        check.found += len(extra) + abs(missing - left_out)


class _Groups:
    """Which fold each group was first seen in; of many groups, of an even sample."""

    def __init__(self, rows: int):
        self.known = False
        self._every = np.uint64(max(1, rows // _MOST_GROUPS))
        self._folds: dict[int, int] = {}

    def note(self, rows: pa.RecordBatch, folds: np.ndarray, check: Check) -> None:
        """Note rows whose group has been seen in another fold."""
        column = rows.column(GROUP)
        self.known |= column.null_count < len(column)
        groups = pc.fill_null(column, pa.scalar(0, pa.uint64())).to_numpy()
        followed = np.flatnonzero(
            (groups % self._every == 0) & column.is_valid().to_numpy(zero_copy_only=False)
        )
        wrong = np.zeros(len(rows), bool)
        wrong[followed] = [
            self._folds.setdefault(groups[row].item(), folds[row]) != folds[row] for row in followed
        ]
        check.note(wrong, rows.column("key"))


def baseline(train: np.ndarray, test: np.ndarray) -> dict[str, float] | None:
    """What the label frequencies at each n of the training fold score on the test fold; ``train``,
    ``test`` (n, labels) counts.

    An n that training has not seen is predicted by the frequencies over all n; log loss in nats,
    with one pseudo-count per label.
    """
    if not train.sum() or not test.sum():
        return None
    overall = train.sum(axis=0)
    seen = np.where(train.sum(axis=1, keepdims=True) > 0, train, overall)
    guess = seen.argmax(axis=1)
    right = test[np.arange(len(test)), guess]
    recall = [
        right[guess == label].sum() / test[:, label].sum()
        for label in np.flatnonzero(test.sum(axis=0))
    ]
    probability = (seen + 1.0) / (seen + 1.0).sum(axis=1, keepdims=True)
    figures = {
        "accuracy": right.sum() / test.sum(),
        "balanced_accuracy": float(np.mean(recall)),
        "log_loss": -(test * np.log(probability)).sum() / test.sum(),
    }
    return {name: round(float(value), 6) for name, value in figures.items()}
