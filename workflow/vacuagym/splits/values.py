"""The values of rows that set test folds, and how many rows have each.

A test fold beyond the training range has the rows of largest value. Its threshold depends on all
rows, but only through these counts, which add up over the files of a large table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.splits.rows import usable
from vacuagym.tables.feature_schema import HODGE

_BIN_BITS = 16  # each value below 2¹⁶ has its own bin
_Integers = npt.NDArray[np.int64]
Counts = dict[str, dict[str, int]]  # rows in each bin, by the name of the threshold and the bin


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


class ValueCounts:
    """Counts of usable rows by the bin of each value; negative values do not count."""

    def __init__(self) -> None:
        self._counts = {name: np.zeros(0, np.int64) for name in VALUES}

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows with the column ``stability``, and columns that some values need."""
        rows = rows.filter(pa.array(usable(rows.column("stability"))))
        for name, needs in NEEDS.items():
            if set(needs) <= set(rows.schema.names):
                values = VALUES[name](rows)
                here = np.bincount(_bins(values[values >= 0]))
                before = self._counts[name]
                both = np.zeros(max(len(here), len(before)), np.int64)
                both[: len(before)] += before
                both[: len(here)] += here
                self._counts[name] = both

    def counts(self) -> Counts:
        """Return the rows of each bin that has any."""
        return {
            name: {str(number): int(counts[number]) for number in np.flatnonzero(counts)}
            for name, counts in self._counts.items()
        }


def threshold(counts: Mapping[str, int], share: float) -> tuple[int, float]:
    """Return the least value of a test row, and the share of the test rows.

    The threshold is the value whose share is closest to ``share``. Rows with equal values are in
    one fold, so that the test fold lies outside the training range. If all rows have the same
    value, the test fold is empty. Values of one bin count as equal.

    Parameters
    ----------
    counts : mapping of str to int
        Rows in each bin.
    """
    bins = np.array(sorted(map(int, counts)), np.int64)
    if len(bins) < 2:
        return _least_of_bin(int(bins[0]) + 1) if len(bins) else 0, 0.0
    rows = np.array([counts[str(number)] for number in bins])
    tails = rows[::-1].cumsum()[::-1] / rows.sum()
    best = 1 + int(np.argmin(np.abs(tails[1:] - share)))
    return _least_of_bin(int(bins[best])), float(tails[best])


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
