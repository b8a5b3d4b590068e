"""Check one split: its keys, its folds and their labels, and the scores of a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.check import ENOUGH, SHOWN, Check, Thresholds, count_at
from vacuagym.splits.rows import GROUP, TRAITS
from vacuagym.splits.rules import RUNGS, TEST, TRAIN
from vacuagym.splits.values import VALUES
from vacuagym.tables.aligned import Feed
from vacuagym.tables.label_table import category_codes
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.registry import STABILITY, THEORIES

MOST_MODULI = 491  # the largest h11 of a hypersurface; the toy theory has fewer
COLUMNS = ("moduli", "n_moduli", "stability", "theory", *TRAITS.names)
FOLD_COLUMNS = ("key", "fold", "train_share")
_Integers = npt.NDArray[np.int64]
_MOST_GROUPS = 50_000  # groups that are followed; a sample if there are more
_MOST_PAIRS = 2 * _MOST_GROUPS  # pairs of group and fold that wait to be counted together


class SplitChecks:
    """The checks of one split, and counts of its rows.

    Rows are added in their order. What was found in a segment can be stored (:attr:`state`), and
    added to what was found in the segments before it (:meth:`append`).

    Parameters
    ----------
    name : str
        Name of the split.
    about : mapping
        Metadata of the split file.
    rows : int
        Number of rows of the whole label table.
    """

    def __init__(self, name: str, about: Mapping[str, Any], rows: int) -> None:
        self._name = name
        self._about = {
            key: about[key]
            for key in about
            if key in ("left_out", "share", "shares") or key.startswith("least_")
        }
        self._keys = Check(
            f"keys of {name}",
            "keys are those of the usable rows that are not left out, in the order of the label "
            "table",
        )
        self._apart = Check(
            f"test fold of {name}",
            "rows at or above the threshold are test rows, and no others are",
        )
        self._known = [(about[key], value) for key, value in VALUES.items() if key in about]
        shape = (len(FOLDS), len(THEORIES), MOST_MODULI + 1, len(STABILITY))
        self._counts = np.zeros(shape, np.int64)
        self._ladder = np.zeros(len(RUNGS), np.int64)
        self._groups = Groups(rows)
        self._missing = 0

    def add(self, rows: pa.RecordBatch, assigned: Feed) -> None:
        """Check the next usable rows of the label table; ``assigned`` are the rows of the split."""
        inside, taken = assigned.take_among(rows.column("key"))
        here = rows if len(taken) == len(rows) else rows.filter(inside)
        self._missing += len(rows) - len(here)
        differ = pc.not_equal(here.column("key"), taken["key"].combine_chunks())
        self._keys.note(differ.to_numpy(zero_copy_only=False), here.column("key"))
        folds = taken["fold"].combine_chunks().indices.to_numpy().astype(np.int64)
        shares = pc.fill_null(taken["train_share"], 0).to_numpy()
        count_at(
            self._counts,
            folds,
            category_codes(here.column("theory")),
            here.column("n_moduli").to_numpy(),
            category_codes(here.column("stability")),
        )
        rungs = np.searchsorted(RUNGS, shares[folds == TRAIN])
        self._ladder += np.bincount(rungs, minlength=len(RUNGS))
        self._groups.add(here, folds)
        for least, value in self._known:
            self._apart.note((value(here) >= least) != (folds == TEST), here.column("key"))

    def finish(self, assigned: Feed) -> None:
        """Compare the number of rows after the last row of the label table."""
        extra = assigned.take(SHOWN)["key"].to_pylist()
        differ = len(extra) + abs(self._missing - self._about["left_out"])
        self._keys.add(Check("", "", not differ, differ, extra))

    def append(self, later: SplitChecks) -> None:
        """Add what was found in the rows that follow."""
        self._keys.add(later._keys)
        self._apart.add(later._apart)
        self._counts += later._counts
        self._ladder += later._ladder
        self._groups.append(later._groups)
        self._about["left_out"] += later._about["left_out"]

    @property
    def state(self) -> dict[str, Any]:
        """Return all that was found: texts, numbers and arrays, nested."""
        return {
            "about": self._about,
            "keys": asdict(self._keys),
            "apart": asdict(self._apart),
            "counts": self._counts,
            "ladder": self._ladder,
            "groups": self._groups.state,
        }

    @classmethod
    def of_state(cls, name: str, state: Mapping[str, Any]) -> SplitChecks:
        """Return what was stored."""
        found = cls(name, state["about"], 0)
        found._keys, found._apart = Check(**state["keys"]), Check(**state["apart"])
        found._counts, found._ladder = state["counts"], state["ladder"]
        found._groups = Groups.of_state(state["groups"])
        return found

    def results(self, thresholds: Thresholds) -> tuple[dict[str, Any], list[Check]]:
        """Return the figures and the checks of the split."""
        about, name, of_theories = self._about, self._name, self._counts
        counts = of_theories.sum(axis=1)
        sizes = counts.sum(axis=(1, 2))
        by_label = counts.sum(axis=1) / np.maximum(1, sizes)[:, None]
        rule = {key: about[key] for key in about if key.startswith("least_") or key == "share"}
        figures = {
            "folds": dict(zip(FOLDS, sizes.tolist(), strict=True)),
            "left_out": about["left_out"],
            "rule": rule,
            "ladder": dict(zip(map(str, RUNGS), np.cumsum(self._ladder).tolist(), strict=True)),
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
        together = self._groups.check(f"groups of {name}")
        checks = [self._keys, *([self._apart] if self._known else []), *together]
        if sizes.sum() >= ENOUGH:
            train = int(sizes[0])
            text = "the training fold is not empty"
            checks.append(Check(f"train of {name}", text, bool(train), train))
        # The hash divides groups, not rows, so with groups the shares of the rows scatter more.
        if name == "iid" and not together:
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


class Groups:
    """The folds in which the rows of a group lie. Of many groups, a sample is followed.

    Parameters
    ----------
    rows : int
        Number of rows of the whole label table.
    """

    def __init__(self, rows: int) -> None:
        self._known = False
        self._every = np.uint64(max(1, rows // _MOST_GROUPS))
        self._rows = 0
        # Of each pair of group and fold: its number of rows, and place and key of the first.
        self._pairs = _PAIRS.empty_table()
        self._waiting: list[pa.Table] = []

    def add(self, rows: pa.RecordBatch, folds: _Integers) -> None:
        """Add the next rows of the split, with their folds, shape (rows,)."""
        column = rows.column(GROUP)
        self._known |= column.null_count < len(column)
        groups = pc.fill_null(column, pa.scalar(0, pa.uint64())).to_numpy()
        followed = groups % self._every == 0
        if column.null_count:
            followed &= column.is_valid().to_numpy(zero_copy_only=False)
        own = np.flatnonzero(followed)
        if len(own):
            self._add(
                groups[own],
                folds[own],
                np.ones(len(own), np.int64),
                self._rows + own,
                rows.column("key").take(pa.array(own)),
            )
        self._rows += len(rows)

    def append(self, later: Groups) -> None:
        """Add the groups of the rows that follow."""
        pairs = later._together()
        place = pc.add(pairs["place"], self._rows)
        self._waiting.append(pairs.set_column(_PAIRS.get_field_index("place"), "place", place))
        self._known |= later._known
        self._rows += later._rows
        self._shorten()

    @property
    def state(self) -> dict[str, Any]:
        """Return all groups and their folds as arrays."""
        pairs = self._together()
        columns = {name: pairs[name].to_numpy() for name in _PAIRS.names if name != "key"}
        columns["key"] = pairs["key"].to_pylist()
        return {"known": self._known, "total": self._rows, **columns}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Groups:
        """Return what was stored."""
        found = cls(0)
        found._known, found._rows = state["known"], state["total"]
        found._add(*(state[name] for name in _PAIRS.names))
        return found

    def check(self, name: str) -> list[Check]:
        """Return the check that each group lies in one fold; none if there are no groups.

        Its examples are the first rows in a further fold.
        """
        if not self._known:
            return []
        check = Check(name, "no group of rows that are the same geometry lies in two folds")
        pairs = self._together().sort_by("place")
        first = np.unique(pairs["group"].to_numpy(), return_index=True)[1]
        wrong = pairs.take(pa.array(np.setdiff1d(np.arange(len(pairs)), first)))
        if len(wrong):
            keys = wrong["key"].slice(0, SHOWN).to_pylist()
            check.add(Check("", "", False, pc.sum(wrong["rows"]).as_py(), keys))
        return [check]

    def _add(self, *columns: Any) -> None:
        self._waiting.append(pa.table(list(columns), schema=_PAIRS))
        self._shorten()

    def _shorten(self) -> None:
        if sum(map(len, self._waiting)) > max(_MOST_PAIRS, len(self._pairs)):
            self._together()

    def _together(self) -> pa.Table:
        """Return the pairs of group and fold, each once."""
        if self._waiting:
            every = pa.concat_tables([self._pairs, *self._waiting])
            grouped = every.group_by(["group", "fold"], use_threads=False)
            found = grouped.aggregate([("rows", "sum"), ("place", "min"), ("key", "first")])
            self._pairs, self._waiting = found.rename_columns(_PAIRS.names), []
        return self._pairs


_PAIRS = pa.schema(
    [
        ("group", pa.uint64()),
        ("fold", pa.int8()),
        ("rows", pa.int64()),
        ("place", pa.int64()),
        ("key", pa.string()),
    ]
)


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
