"""Check one split: its keys, its folds and their labels, and the scores of a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.check import ENOUGH, Check, Thresholds
from vacuagym.splits.rows import GROUP, TRAITS, usable_rows
from vacuagym.splits.rules import RUNGS, TEST, TRAIN
from vacuagym.splits.values import VALUES
from vacuagym.tables.aligned import feed
from vacuagym.tables.label_table import category_codes
from vacuagym.tables.parquet import file_metadata, open_parquet
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.registry import STABILITY, THEORIES

MOST_MODULI = 491  # the largest h11 of a hypersurface; the toy theory has fewer
_Integers = npt.NDArray[np.int64]
_COLUMNS = ("moduli", "n_moduli", "stability", "theory", *TRAITS.names)
_MOST_GROUPS = 50_000  # groups that are followed; a sample if there are more


def check_split(
    path: Path, labels: Path, features: Sequence[Path], thresholds: Thresholds
) -> tuple[dict[str, Any], list[Check]]:
    """Return figures and checks of one split file.

    Parameters
    ----------
    path : Path
        Split file.
    labels : Path
        Label table.
    features : sequence of Path
        Feature files of all data sets, or none.
    """
    file = open_parquet(path)
    about = file_metadata(file)
    keys = Check(
        f"keys of {path.stem}",
        "keys are those of the usable rows that are not left out, in the order of the label table",
    )
    together = Check(
        f"groups of {path.stem}", "no group of rows that are the same geometry lies in two folds"
    )
    apart = Check(
        f"test fold of {path.stem}",
        "rows at or above the threshold are test rows, and no others are",
    )
    known = [(about[name], value) for name, value in VALUES.items() if name in about]
    shape = (len(FOLDS), len(THEORIES), MOST_MODULI + 1, len(STABILITY))
    of_theories = np.zeros(shape, np.int64)
    ladder = np.zeros(len(RUNGS), np.int64)
    groups = _Groups(file.metadata.num_rows)
    for rows, folds, shares in _side_by_side(
        labels, features, path, check=keys, left_out=about["left_out"]
    ):
        np.add.at(
            of_theories,
            (
                folds,
                category_codes(rows.column("theory")),
                rows.column("n_moduli").to_numpy(),
                category_codes(rows.column("stability")),
            ),
            1,
        )
        ladder += np.bincount(np.searchsorted(RUNGS, shares[folds == TRAIN]), minlength=len(RUNGS))
        groups.note(rows, folds, together)
        for least, value in known:
            apart.note((value(rows) >= least) != (folds == TEST), rows.column("key"))
    counts = of_theories.sum(axis=1)
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
            fold: dict(zip(STABILITY, counts[i].sum(axis=0).tolist(), strict=True))
            for i, fold in enumerate(FOLDS)
        },
        "n": {fold: _range(counts[i].sum(axis=1)) for i, fold in enumerate(FOLDS)},
        "drift": round(float(np.abs(by_label[0] - by_label[2]).sum() / 2), 6)
        if sizes[0] and sizes[2]
        else None,
        "baseline": baseline(*(of_theories[i].reshape(-1, len(STABILITY)) for i in (0, 2))),
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
    # The hash divides groups, not rows, so with groups the shares of the rows scatter more.
    if path.stem == "iid" and not groups.known:
        checks.append(_share_check(sizes, about["shares"], thresholds))
    return figures, checks


def _range(by_n: _Integers) -> list[int] | None:
    """Return the least and the largest n that occurs, None if there are no rows."""
    found = np.flatnonzero(by_n)
    return [int(found[0]), int(found[-1])] if len(found) else None


def _share_check(sizes: _Integers, wanted: dict[str, float], thresholds: Thresholds) -> Check:
    """Return the check of the shares of the folds."""
    shares = sizes / max(1, sizes.sum())
    off = round(float(np.abs(shares[:2] - [wanted["train"], wanted["validation"]]).max()), 6)
    # The hash scatters. In a small table four standard deviations are allowed.
    allowed = max(thresholds.fold_tolerance, 4.0 * 0.5 / max(1.0, float(np.sqrt(sizes.sum()))))
    return Check(
        "folds of iid",
        f"shares of the folds are as configured within {allowed:.3g}",
        off <= allowed,
        off,
    )


def _side_by_side(
    labels: Path, features: Sequence[Path], split: Path, *, check: Check, left_out: int
) -> Iterator[tuple[pa.RecordBatch, _Integers, _Integers]]:
    """Yield the rows of the label table that are in the split, their folds and shares.

    Keys that the label table does not have in this order are noted in ``check``.
    """
    assigned = feed(split, ("key", "fold", "train_share"))
    missing = 0
    for rows in usable_rows(labels, features, _COLUMNS):
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
    """The fold in which each group was first seen. Of many groups, a sample is followed."""

    def __init__(self, rows: int) -> None:
        self.known = False
        self._every = np.uint64(max(1, rows // _MOST_GROUPS))
        self._folds: dict[int, int] = {}

    def note(self, rows: pa.RecordBatch, folds: _Integers, check: Check) -> None:
        """Note rows whose group was seen in another fold."""
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


def baseline(train: _Integers, test: _Integers) -> dict[str, float] | None:
    """Return the scores of a baseline that knows n and the theory alone, on the test fold.

    The baseline predicts the label frequencies at each n of the training fold. For an n that is not
    in the training fold, it predicts the frequencies over all n.

    Parameters
    ----------
    train, test : array of int
        Counts of both folds, shape (n, labels), the n of each theory one after another.

    Returns
    -------
    dict of str to float, optional
        ``accuracy``, ``balanced_accuracy``, and ``log_loss`` in nats with one pseudo-count for each
        label. None if a fold is empty.
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
