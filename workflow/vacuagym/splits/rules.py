"""Define the rules of the splits, as functions of the properties of a row and of its hash.

Rows of a group have one hash, so chance does not part them. If a property sets the test fold, rows
that share a group with a test row, but are no test rows themselves, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
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
_BIN_BITS = 16  # each value below 2¹⁶ has its own bin

Rows = Callable[[Sequence[str]], Iterable[pa.RecordBatch]]
_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitShares:
    """Shares of the folds.

    Attributes
    ----------
    train, validation : float
        Shares of all rows. The rest is test.
    complexity, hodge : float
        Shares of the test folds of ood_complexity, and of ood_hodge and ood_euler.
    """

    train: float
    validation: float
    complexity: float
    hodge: float = 0.3


@dataclass(frozen=True)
class FoldRule:
    """The rule of a split.

    Attributes
    ----------
    test : callable, optional
        Which rows are test rows, shape (rows,). If None, these are the rows of the highest hashes.
    known : callable, optional
        Which rows take part, shape (rows,). All if None.
    needs : tuple of str
        Columns that ``test`` and ``known`` read.
    about : dict
        Metadata of the split: threshold and share of its test fold.
    """

    shares: SplitShares
    test: Callable[[pa.RecordBatch], _Mask] | None = None
    known: Callable[[pa.RecordBatch], _Mask] | None = None
    needs: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def folds(
        self, rows: pa.RecordBatch, hashes: _Floats, test_groups: TestGroups | None = None
    ) -> _Integers:
        """Return the fold of each row, shape (rows,).

        Parameters
        ----------
        hashes : array of float
            Hashes of the rows in (0, 1), shape (rows,).
        test_groups : TestGroups, optional
            Groups whose rows are left out unless they are test rows.

        Returns
        -------
        array of int
            :data:`TRAIN`, :data:`VALIDATION`, :data:`TEST` or :data:`LEFT_OUT`, shape (rows,).
        """
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
    """Return the rule of a split.

    Parameters
    ----------
    rows : callable
        Gives the named columns of the usable rows, once for each call.

    Raises
    ------
    ConfigError
        No split has this name, or a share is out of range.
    """
    if not (shares.train > 0 and shares.validation > 0 and shares.train + shares.validation < 1):
        raise ConfigError(
            f"splits: train={shares.train}, validation={shares.validation}; both must be > 0 and "
            "their sum < 1; change one of them"
        )
    if not (0 < shares.complexity < 1 and 0 < shares.hodge < 1):
        raise ConfigError(
            f"splits: share of the test fold: ood_complexity={shares.complexity}, "
            f"ood_hodge={shares.hodge}; both must be > 0 and < 1; change the wrong one"
        )
    if name == "iid":
        return FoldRule(shares)
    if name == "ood_complexity":
        least, share = _threshold(rows, "least_moduli", shares.complexity)
        return FoldRule(
            shares,
            lambda batch: _moduli(batch) >= least,
            needs=NEEDS["least_moduli"],
            about={"least_moduli": least, "share": share},
        )
    if name == "ood_hodge":
        least, share = _threshold(rows, "least_hodge_sum", shares.hodge)
        about = {"least_hodge_sum": least, "share": share}
        return FoldRule(
            shares,
            lambda batch: _hodge_sums(batch) >= least,
            lambda batch: _hodge_sums(batch) >= 0,
            NEEDS["least_hodge_sum"],
            about,
        )
    if name == "ood_euler":
        least, share = _threshold(rows, "least_euler", shares.hodge)
        return FoldRule(
            shares,
            lambda batch: _eulers(batch) >= least,
            lambda batch: _eulers(batch) >= 0,
            NEEDS["least_euler"],
            {"least_euler": least, "share": share},
        )
    if match := re.fullmatch("ood_dataset_(.+)", name):
        dataset, known = match[1], set()
        for batch in rows(["dataset", "stability"]):
            known |= set(batch.column("dataset").dictionary.to_pylist())
        if known and dataset not in known:
            raise ConfigError(
                f"split {name!r}: the label table has no data set {dataset!r}; it has "
                f"{', '.join(sorted(known))}; name one of them"
            )
        return FoldRule(shares, lambda batch: _is_of(batch, dataset), needs=("dataset",))
    raise ConfigError(
        f"split {name!r}: unknown; splits are iid, ood_complexity, ood_hodge, ood_euler and "
        "ood_dataset_NAME; name one of them"
    )


def _is_of(rows: pa.RecordBatch, dataset: str) -> _Mask:
    """Return whether each row is of a data set."""
    same = pc.equal(rows.column("dataset").dictionary_decode(), dataset)
    mask: _Mask = same.to_numpy(zero_copy_only=False)
    return mask


def _moduli(rows: pa.RecordBatch) -> _Integers:
    """Return the moduli count of each row as found, 0 where it is missing."""
    counts: _Integers = pc.fill_null(rows.column("moduli"), 0).to_numpy(zero_copy_only=False)
    return counts


def _hodge_sums(rows: pa.RecordBatch) -> _Integers:
    """Return h11 + h21 of each row, −1 where one is unknown."""
    h11, h21 = (rows.column(name).cast(pa.int64()) for name in HODGE)
    sums: _Integers = pc.fill_null(pc.add(h11, h21), -1).to_numpy(zero_copy_only=False)
    return sums


def _eulers(rows: pa.RecordBatch) -> _Integers:
    """Return |χ| = 2 |h11 − h21| of each row, −1 where a Hodge number is unknown."""
    h11, h21 = (rows.column(name).cast(pa.int64()) for name in HODGE)
    difference = pc.abs(pc.subtract(h11, h21))
    eulers: _Integers = pc.fill_null(pc.multiply(difference, 2), -1).to_numpy(zero_copy_only=False)
    return eulers


# the value that sets a test fold, by the name of its threshold in the metadata of a split
VALUES: dict[str, Callable[[pa.RecordBatch], _Integers]] = {
    "least_moduli": _moduli,
    "least_hodge_sum": _hodge_sums,
    "least_euler": _eulers,
}
# the columns of that value
NEEDS: dict[str, tuple[str, ...]] = {
    "least_moduli": ("moduli",),
    "least_hodge_sum": HODGE,
    "least_euler": HODGE,
}


def _threshold(rows: Rows, name: str, share: float) -> tuple[int, float]:
    """Return the least value of a test row, and the share of the test rows.

    ``name`` is a key of :data:`VALUES`.

    The threshold is the value whose share is closest to ``share``. Rows with equal values are in
    one fold, so that the test fold lies outside the training range. If all rows have the same
    value, the test fold is empty. Negative values do not count. Values of one bin count as equal.
    """
    counts = np.zeros(1, int)
    for batch in rows(["stability", *NEEDS[name]]):
        values = VALUES[name](batch)
        here = np.bincount(_bins(values[values >= 0]), minlength=len(counts))
        here[: len(counts)] += counts
        counts = here
    bins = np.flatnonzero(counts)
    if len(bins) < 2:
        return _least_of_bin(len(counts)) if len(bins) else 0, 0.0
    tails = counts[::-1].cumsum()[::-1] / counts.sum()
    least = min(bins[1:].tolist(), key=lambda each: abs(tails[each] - share))
    return _least_of_bin(least), float(tails[least])


def _bins(values: _Integers) -> _Integers:
    """Return a bin for each value from 0 to 2⁵³, in the order of the values.

    Each value below 2¹⁶ has its own bin. Larger values share a bin if they differ by less than 1
    part in 2¹⁵. So there are at most 1.3 million bins.
    """
    exponents = np.frexp(values.astype(float))[1]
    dropped = np.maximum(exponents - _BIN_BITS, 0).astype(np.int64)  # bits of each value
    bins: _Integers = (dropped << (_BIN_BITS - 1)) + (values >> dropped)
    return bins


def _least_of_bin(number: int) -> int:
    """Return the least value of a bin."""
    dropped = max((number >> (_BIN_BITS - 1)) - 1, 0)
    return (number - (dropped << (_BIN_BITS - 1))) << dropped


def split_hashes(seed: int, name: str, rows: pa.RecordBatch) -> _Floats:
    """Return a uniform number in (0, 1) for each row, equal within a group, shape (rows,)."""
    hashes = row_hashes(seed, name, rows)
    grouped = rows.column(GROUP).is_valid().to_numpy(zero_copy_only=False)
    groups = rows.column(GROUP).drop_null().to_numpy().view(np.int64)
    if len(groups):
        keys = np.tile(stream_key(seed, name, "group"), (len(groups), 1))
        hashes[grouped] = uniforms(
            keys, groups, np.zeros(len(groups), int), purpose=Purpose.FOLD, count=1
        )[:, 0]
    return hashes


def rungs(seed: int, name: str, rows: pa.RecordBatch) -> _Integers:
    """Return the smallest of :data:`RUNGS` that has each row, if it is a training row.

    The shape is (rows,).
    """
    hashes = row_hashes(seed, f"ladder of {name}", rows)
    return np.array(RUNGS)[np.searchsorted(np.array(RUNGS[:-1]) / 100, hashes, side="right")]


class TestGroups:
    """The groups that have a test row, as a Bloom filter of 16 MB.

    It never misses a group. With a million groups it takes one in a million other groups for a test
    group. The rows of that group are left out needlessly.
    """

    __test__ = False  # pytest collects classes of this name otherwise
    _BITS = 27
    _FACTORS = np.array(
        [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64
    )

    def __init__(self) -> None:
        self._bytes = np.zeros(2 ** (self._BITS - 3), np.uint8)

    def add(self, rows: pa.RecordBatch, test: _Mask) -> None:
        """Add the groups of the rows where ``test`` is true, shape (rows,)."""
        places, bits = self._probes(
            rows.column(GROUP).filter(pa.array(test)).drop_null().to_numpy()
        )
        np.bitwise_or.at(self._bytes, places, bits)

    def has(self, rows: pa.RecordBatch) -> _Mask:
        """Return whether the group of each row has a test row, shape (rows,).

        Rows without a group have none.
        """
        groups = rows.column(GROUP)
        places, bits = self._probes(pc.fill_null(groups, pa.scalar(0, pa.uint64())).to_numpy())
        grouped: _Mask = groups.is_valid().to_numpy(zero_copy_only=False)
        found: _Mask = np.all(self._bytes[places] & bits, axis=0) & grouped
        return found

    def _probes(self, groups: npt.NDArray[np.uint64]) -> tuple[_Integers, npt.NDArray[np.uint8]]:
        """Return byte and bit of each probe of each group, shape (probes, groups)."""
        with np.errstate(over="ignore"):
            numbers = (self._FACTORS[:, None] * groups[None, :]) >> np.uint64(64 - self._BITS)
        places = (numbers >> np.uint64(3)).astype(np.int64)
        return places, np.uint8(1) << (numbers & np.uint64(7)).astype(np.uint8)
