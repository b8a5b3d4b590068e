"""Which fold a row belongs to: the rules of the splits, as functions of a row's own properties and
of its hash.

Geometries that are the same (equal groups) have one hash, so chance does not divide them. Where a
property sets the test fold, rows that share a group with a test row and are none themselves are
left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import ConfigError
from vacuagym.splits.hashing import row_hashes
from vacuagym.splits.rows import GROUP
from vacuagym.tables.feature_schema import HODGE
from vacuagym.theories.toy.random_streams import Purpose, stream_key, uniforms

TRAIN, VALIDATION, TEST = range(3)
LEFT_OUT = -1
RUNGS = (1, 10, 100)  # percent of the training fold, each rung within the next
_BIN_BITS = 16  # values below 2¹⁶ have a bin of their own

Rows = Callable[[], Iterable[pa.RecordBatch]]


@dataclass(frozen=True)
class SplitShares:
    """Shares of the folds: ``train`` and ``validation`` of all rows (the rest is test),
    ``complexity`` and ``hodge`` of test folds.
    """

    train: float
    validation: float
    complexity: float
    hodge: float = 0.3


@dataclass(frozen=True)
class FoldRule:
    """A split: which rows are in its test fold (None: those of the highest hashes), and which take
    part at all.
    """

    shares: SplitShares
    test: Callable[[pa.RecordBatch], np.ndarray] | None = None
    known: Callable[[pa.RecordBatch], np.ndarray] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def folds(
        self, rows: pa.RecordBatch, hashes: np.ndarray, test_groups: TestGroups | None = None
    ) -> np.ndarray:
        """Codes of :data:`FOLDS`, or :data:`LEFT_OUT`, shape (rows,)."""
        shares = self.shares
        if self.test is None:
            return np.searchsorted(
                np.array([shares.train, shares.train + shares.validation]), hashes, side="right"
            )
        rest = np.where(
            hashes < shares.train / (shares.train + shares.validation), TRAIN, VALIDATION
        )
        if test_groups is not None:
            rest[test_groups.has(rows)] = LEFT_OUT
        folds = np.where(self.test(rows), TEST, rest)
        if self.known is not None:
            folds[~self.known(rows)] = LEFT_OUT
        return folds


def fold_rule(name: str, shares: SplitShares, rows: Rows) -> FoldRule:
    """Return the rule of a split; :class:`ConfigError` if there is no such split."""
    if not (shares.train > 0 and shares.validation > 0 and shares.train + shares.validation < 1):
        raise ConfigError(
            f"the shares {shares} cannot be: each is above 0, and train and validation leave "
            "something for test"
        )
    if not (0 < shares.complexity < 1 and 0 < shares.hodge < 1):
        raise ConfigError(f"the shares {shares} cannot be: each is above 0 and below 1")
    if name == "iid":
        return FoldRule(shares)
    if name == "ood_complexity":
        least, share = _threshold(rows, _moduli, shares.complexity)
        return FoldRule(
            shares,
            lambda batch: _moduli(batch) >= least,
            about={"least_moduli": least, "share": share},
        )
    if name == "ood_hodge":
        least, share = _threshold(rows, _hodge_sums, shares.hodge)
        about = {"least_hodge_sum": least, "share": share}
        return FoldRule(
            shares,
            lambda batch: _hodge_sums(batch) >= least,
            lambda batch: _hodge_sums(batch) >= 0,
            about,
        )
    if match := re.fullmatch("ood_dataset_(.+)", name):
        dataset, known = match[1], set()
        for batch in rows():
            known |= set(batch.column("dataset").dictionary.to_pylist())
        if known and dataset not in known:
            raise ConfigError(
                f"there is no split {name!r}: the table has no data set {dataset!r}, only "
                f"{', '.join(sorted(known))}"
            )
        return FoldRule(
            shares,
            lambda batch: pc.equal(batch.column("dataset").dictionary_decode(), dataset).to_numpy(
                zero_copy_only=False
            ),
        )
    raise ConfigError(
        f"there is no split {name!r}; there are iid, ood_complexity, ood_hodge and ood_dataset_NAME"
    )


def _moduli(rows: pa.RecordBatch) -> np.ndarray:
    """Return the count of moduli of each row as found, before any map or clamp; 0, the least,
    where it is missing.
    """
    return pc.fill_null(rows.column("moduli"), 0).to_numpy(zero_copy_only=False)


def _hodge_sums(rows: pa.RecordBatch) -> np.ndarray:
    """h11 + h21 of each row, −1 where one is not known."""
    sums = pc.add(*(rows.column(name).cast(pa.int64()) for name in HODGE))
    return pc.fill_null(sums, -1).to_numpy(zero_copy_only=False)


VALUES = {
    "least_moduli": _moduli,
    "least_hodge_sum": _hodge_sums,
}  # what sets a test fold, by what a split's file calls its least


def _threshold(
    rows: Rows, value: Callable[[pa.RecordBatch], np.ndarray], share: float
) -> tuple[int, float]:
    """Return the value from which on rows are test rows, and their share: of all values the one
    that comes closest to ``share``.

    Geometries with equal values stay together, or the test fold would not lie outside the training
    range. Where all have the same value, nothing does, and the test fold is empty. Negative values
    do not count. Values of one bin count as equal.
    """
    counts = np.zeros(1, int)
    for batch in rows():
        values = value(batch)
        here = np.bincount(_bins(values[values >= 0]), minlength=len(counts))
        here[: len(counts)] += counts
        counts = here
    bins = np.flatnonzero(counts)
    if len(bins) < 2:
        return _least_of_bin(len(counts)) if len(bins) else 0, 0.0
    tails = counts[::-1].cumsum()[::-1] / counts.sum()
    least = min(bins[1:].tolist(), key=lambda each: abs(tails[each] - share))
    return _least_of_bin(least), float(tails[least])


def _bins(values: np.ndarray) -> np.ndarray:
    """Return a bin for each value from 0 to 2⁵³, in their order.

    Values below 2¹⁶ have their own. Larger ones share a bin with those that differ by less than 1
    part in 2¹⁵. So there are at most 1.3 million bins.
    """
    dropped = np.maximum(np.frexp(values.astype(float))[1] - _BIN_BITS, 0).astype(
        np.int64
    )  # bits of a value
    return (dropped << (_BIN_BITS - 1)) + (values >> dropped)


def _least_of_bin(number: int) -> int:
    dropped = max((number >> (_BIN_BITS - 1)) - 1, 0)
    return (number - (dropped << (_BIN_BITS - 1))) << dropped


def split_hashes(seed: int, name: str, rows: pa.RecordBatch) -> np.ndarray:
    """A uniform number in (0, 1) for each row, equal for rows of equal groups, shape (rows,)."""
    hashes = row_hashes(seed, name, rows)
    grouped = rows.column(GROUP).is_valid().to_numpy(zero_copy_only=False)
    groups = rows.column(GROUP).drop_null().to_numpy().view(np.int64)
    if len(groups):
        keys = np.tile(stream_key(seed, name, "group"), (len(groups), 1))
        hashes[grouped] = uniforms(
            keys, groups, np.zeros(len(groups), int), purpose=Purpose.FOLD, count=1
        )[:, 0]
    return hashes


def rungs(seed: int, name: str, rows: pa.RecordBatch) -> np.ndarray:
    """The smallest of :data:`RUNGS` that each row would be in as a training row, shape (rows,)."""
    hashes = row_hashes(seed, f"ladder of {name}", rows)
    return np.array(RUNGS)[np.searchsorted(np.array(RUNGS[:-1]) / 100, hashes, side="right")]


class TestGroups:
    """The groups that have a test row, in 16 MB however many they are: a Bloom filter, which
    forgets none.

    One in a million other groups is taken for a test group where these are a million; its rows are
    left out needlessly.
    """

    __test__ = False  # for pytest, which would take it for a test
    _BITS = 27
    _FACTORS = np.array(
        [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64
    )

    def __init__(self) -> None:
        self._bytes = np.zeros(2 ** (self._BITS - 3), np.uint8)

    def add(self, rows: pa.RecordBatch, test: np.ndarray) -> None:
        """Remember the groups of the rows where ``test`` (rows,) is true."""
        places, bits = self._probes(
            rows.column(GROUP).filter(pa.array(test)).drop_null().to_numpy()
        )
        np.bitwise_or.at(self._bytes, places, bits)

    def has(self, rows: pa.RecordBatch) -> np.ndarray:
        """Whether each row's group has a test row, shape (rows,); false where there is no group."""
        groups = rows.column(GROUP)
        places, bits = self._probes(pc.fill_null(groups, pa.scalar(0, pa.uint64())).to_numpy())
        return np.all(self._bytes[places] & bits, axis=0) & groups.is_valid().to_numpy(
            zero_copy_only=False
        )

    def _probes(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(over="ignore"):
            numbers = (self._FACTORS[:, None] * groups[None, :]) >> np.uint64(64 - self._BITS)
        return (numbers >> np.uint64(3)).astype(np.int64), np.uint8(1) << (
            numbers & np.uint64(7)
        ).astype(np.uint8)
