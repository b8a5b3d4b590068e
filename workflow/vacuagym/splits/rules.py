"""Define the rules of the splits, as functions of the properties of a row and of its hash.

Rows of a group have one hash, so chance does not part them. If a property sets the test fold, rows
that share a group with a test row, but are no test rows themselves, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import ConfigError
from vacuagym.splits.hashing import row_hashes
from vacuagym.splits.rows import GROUP
from vacuagym.splits.values import NEEDS, VALUES, Counts, threshold
from vacuagym.theories.toy.random_streams import Purpose, stream_key, uniforms

TRAIN, VALIDATION, TEST = range(3)
LEFT_OUT = -1
# the value that sets the test fold of a split
THRESHOLDS = {
    "ood_complexity": "least_moduli",
    "ood_hodge": "least_hodge_sum",
    "ood_euler": "least_euler",
}
RUNGS = (1, 10, 100)  # percent of the training fold, each rung within the next
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


def fold_rule(
    name: str, shares: SplitShares, counts: Counts, datasets: Collection[str]
) -> FoldRule:
    """Return the rule of a split.

    Parameters
    ----------
    counts : dict
        Counts of the values that set test folds, for a split of :data:`THRESHOLDS`.
    datasets : collection of str
        Data sets of the label table; empty if it has no rows.

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
    if name in THRESHOLDS:
        share = shares.complexity if name == "ood_complexity" else shares.hodge
        return _beyond(THRESHOLDS[name], shares, share, counts)
    if match := re.fullmatch("ood_dataset_(.+)", name):
        dataset = match[1]
        if datasets and dataset not in datasets:
            raise ConfigError(
                f"split {name!r}: the label table has no data set {dataset!r}; it has "
                f"{', '.join(sorted(datasets))}; name one of them"
            )
        return FoldRule(shares, lambda batch: _is_of(batch, dataset), needs=("dataset",))
    raise ConfigError(
        f"split {name!r}: unknown; splits are iid, ood_complexity, ood_hodge, ood_euler and "
        "ood_dataset_NAME; name one of them"
    )


def _beyond(name: str, shares: SplitShares, share: float, counts: Counts) -> FoldRule:
    """Return the rule whose test rows have at least a value, of the key ``name`` of VALUES."""
    value = VALUES[name]
    least, found = threshold(counts[name], share)
    return FoldRule(
        shares,
        lambda batch: value(batch) >= least,
        lambda batch: value(batch) >= 0,
        NEEDS[name],
        {name: least, "share": found},
    )


def _is_of(rows: pa.RecordBatch, dataset: str) -> _Mask:
    """Return whether each row is of a data set."""
    same = pc.equal(rows.column("dataset").dictionary_decode(), dataset)
    mask: _Mask = same.to_numpy(zero_copy_only=False)
    return mask


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
    """The groups that have a test row, as a Bloom filter.

    It never misses a group. With a million groups in 16 MB it takes one in a million other groups
    for a test group. The rows of that group are left out needlessly.

    Parameters
    ----------
    rows : int
        Number of rows. Up to ten million, the filter has 16 MB; then it grows, up to 128 MB.
    bits : array of uint8, optional
        The filter of :attr:`bits` of other groups, shape (bytes,).
    """

    __test__ = False  # pytest collects classes of this name otherwise
    _LEAST, _MOST = 27, 30  # binary logarithm of the number of bits
    _FACTORS = np.array(
        [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64
    )

    def __init__(self, rows: int = 0, bits: npt.NDArray[np.uint8] | None = None) -> None:
        size = min(max(self._LEAST, (13 * rows).bit_length()), self._MOST)
        self.bits = np.zeros(2 ** (size - 3), np.uint8) if bits is None else bits
        self._size = np.uint64(len(self.bits).bit_length() + 2)

    def add(self, rows: pa.RecordBatch, test: _Mask) -> None:
        """Add the groups of the rows where ``test`` is true, shape (rows,)."""
        places, bits = self._probes(
            rows.column(GROUP).filter(pa.array(test)).drop_null().to_numpy()
        )
        np.bitwise_or.at(self.bits, places, bits)

    def has(self, rows: pa.RecordBatch) -> _Mask:
        """Return whether the group of each row has a test row, shape (rows,).

        Rows without a group have none.
        """
        groups = rows.column(GROUP)
        places, bits = self._probes(pc.fill_null(groups, pa.scalar(0, pa.uint64())).to_numpy())
        grouped: _Mask = groups.is_valid().to_numpy(zero_copy_only=False)
        found: _Mask = np.all(self.bits[places] & bits, axis=0) & grouped
        return found

    def _probes(self, groups: npt.NDArray[np.uint64]) -> tuple[_Integers, npt.NDArray[np.uint8]]:
        """Return byte and bit of each probe of each group, shape (probes, groups)."""
        with np.errstate(over="ignore"):
            numbers = (self._FACTORS[:, None] * groups[None, :]) >> (np.uint64(64) - self._size)
        places = (numbers >> np.uint64(3)).astype(np.int64)
        return places, np.uint8(1) << (numbers & np.uint64(7)).astype(np.uint8)
