"""Count the rows of the label table in fixed bins, in memory that does not grow with rows.

Counts of segments add up to those of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.label_table import category_codes, rows_with
from vacuagym.theories.toy.classes import LABELS, METHODS

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]

MOST_MODULI, MOST_STEPS = 256, 512
LINEAR = 0.1  # The axis of the least eigenvalue is linear below this value, and then logarithmic.
_LN10 = np.log(10.0)
COLUMNS = (
    *(
        "n_moduli",
        "stability",
        "minimization_success",
        "potential_value",
        "grad_norm",
        "min_eigenvalue",
        "eigenvalues",
    ),
    *("barrier_height", "method", "n_iterations"),
)


class Histogram:
    """Counts of each series in the bins between ``edges``.

    A value outside is counted in the outermost bin. NaN is counted in ``missing``.
    """

    def __init__(self, edges: Floats, series: int = 1) -> None:
        self.edges = edges
        self.counts: Counts = np.zeros((series, len(edges) - 1), np.int64)
        self.missing = 0

    def add(self, values: Floats, series: Codes | None = None) -> None:
        """Count values (rows,), each in its series (rows,)."""
        there = ~np.isnan(values)
        bins = self.counts.shape[1]
        places = np.clip(np.searchsorted(self.edges, values[there], side="right") - 1, 0, bins - 1)
        places = places if series is None else places + bins * series[there].astype(np.int64)
        self.counts += np.bincount(places, minlength=self.counts.size).reshape(self.counts.shape)
        self.missing += int(np.count_nonzero(~there))

    def append(self, other: Histogram) -> None:
        """Add the counts of other values."""
        self.counts += other.counts
        self.missing += other.missing

    def occupied(self) -> slice:
        """Return the bins from the first to the last non-empty one; all, if all are empty."""
        filled = np.flatnonzero(self.counts.sum(axis=0))
        return (
            slice(int(filled[0]), int(filled[-1]) + 1)
            if len(filled)
            else slice(0, self.counts.shape[1])
        )

    def quantile(self, share: float) -> float:
        """Return the value below which a share of all counts lies, accurate to a bin."""
        below = np.concatenate([[0], self.counts.sum(axis=0).cumsum()])
        return float(np.interp(share * below[-1], below, self.edges))


_MOST_HODGE = 512  # of h11 and h21 in the Hodge plot; the largest known are 491


class HodgeCounts:
    """Counts of geometries by label, h11 and h21.

    Attributes
    ----------
    labels : sequence of str
        Labels that are told apart. Empty if none are.
    grid : (labels + 1, 512, 512) integers
        Counts by label, h11 and h21. The last label stands for none.
    others : int
        Number of geometries with larger Hodge numbers.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.labels = labels
        self.grid = np.zeros((len(labels) + 1, _MOST_HODGE, _MOST_HODGE), np.int32)
        self.others = 0

    def add(self, h11: Floats, h21: Floats, label: Codes | None = None) -> None:
        """Count Hodge numbers (rows,) with codes of labels (rows,), −1 for none. Leave out NaN."""
        known = ~(np.isnan(h11) | np.isnan(h21))
        first, second = h11[known].astype(np.int64), h21[known].astype(np.int64)
        inside = (first < _MOST_HODGE) & (second < _MOST_HODGE)
        self.others += int(np.count_nonzero(~inside))
        series = np.full(len(h11), -1) if label is None else label
        places = series[known][inside], first[inside], second[inside]
        np.add.at(self.grid, places, 1)

    def add_rows(self, rows: pa.RecordBatch) -> None:
        """Count rows by their Hodge numbers and their column ``stability``."""
        h11, h21 = (rows.column(name).to_numpy(zero_copy_only=False) for name in HODGE)
        if not self.labels:
            self.add(h11, h21)
            return
        names = rows.column("stability").dictionary.to_pylist()
        places = [self.labels.index(name) if name in self.labels else -1 for name in names]
        # The code of null is −1, so it takes the last place.
        self.add(h11, h21, np.array([*places, -1])[category_codes(rows.column("stability"))])

    def append(self, other: HodgeCounts) -> None:
        """Add the counts of other geometries."""
        self.grid += other.grid
        self.others += other.others


@dataclass
class Distributions:
    """The counts of one pass over the label table.

    The histograms count rows with a critical point only. :attr:`steps` counts all rows.
    """

    # symmetric_log, by label
    least: Histogram = field(
        default_factory=lambda: Histogram(np.linspace(-7.0, 7.0, 141), len(LABELS))
    )
    # log10, by method
    gradient: Histogram = field(
        default_factory=lambda: Histogram(np.linspace(-17.0, 3.0, 81), len(METHODS))
    )
    # λ / max|λ|, by label
    spectra: Histogram = field(
        default_factory=lambda: Histogram(np.linspace(-1.0, 1.0, 81), len(LABELS))
    )
    # log10
    barriers: Histogram = field(default_factory=lambda: Histogram(np.linspace(-12.0, 12.0, 241)))
    # n, method, steps
    steps: Counts = field(
        default_factory=lambda: np.zeros((MOST_MODULI + 1, len(METHODS), MOST_STEPS + 1), np.int64)
    )
    # of each data set with Hodge numbers
    hodge: dict[str, HodgeCounts] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count rows of the label table once; they have the columns :data:`COLUMNS`.

        For the data sets of :attr:`hodge`, they have ``dataset`` and Hodge numbers too.
        """
        for name, counts in self.hodge.items():
            counts.add_rows(rows_with(batch, "dataset", name))
        own = batch.column("method").is_valid()  # the rows of the toy theory
        batch = batch.select(COLUMNS)
        batch = batch if own.true_count == len(batch) else batch.filter(own)
        method = batch.column("method").indices.to_numpy()
        steps = np.minimum(batch.column("n_iterations").to_numpy(), MOST_STEPS)
        np.add.at(self.steps, (batch.column("n_moduli").to_numpy(), method, steps), 1)
        found = batch.filter(batch.column("minimization_success"))
        column = {
            name: found.column(name).to_numpy(zero_copy_only=False)
            for name in ("potential_value", "grad_norm", "min_eigenvalue", "barrier_height")
        }
        label = found.column("stability").indices.to_numpy()
        self.least.add(symmetric_log(column["min_eigenvalue"]), label)
        self.gradient.add(
            _log10(column["grad_norm"] / (1.0 + np.abs(column["potential_value"]))),
            found.column("method").indices.to_numpy(),
        )
        self.barriers.add(_log10(column["barrier_height"]))
        self.spectra.add(*_relative_eigenvalues(found.column("eigenvalues"), label))

    def append(self, other: Distributions) -> None:
        """Add the counts of other rows."""
        for name in _HISTOGRAMS:
            getattr(self, name).append(getattr(other, name))
        self.steps += other.steps
        for dataset, counts in other.hodge.items():
            self.hodge.setdefault(dataset, HodgeCounts(counts.labels)).append(counts)

    @property
    def state(self) -> dict[str, Any]:
        """Return all counts as arrays, nested."""
        histograms = {name: getattr(self, name) for name in _HISTOGRAMS}
        return {
            "histograms": {name: [own.counts, own.missing] for name, own in histograms.items()},
            "steps": self.steps,
            "hodge": {name: [own.labels, own.grid, own.others] for name, own in self.hodge.items()},
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Distributions:
        """Return what was stored."""
        found = cls(steps=state["steps"])
        for name, (counts, missing) in state["histograms"].items():
            histogram = getattr(found, name)
            histogram.counts, histogram.missing = counts, missing
        for dataset, (labels, grid, others) in state["hodge"].items():
            found.hodge[dataset] = hodge = HodgeCounts(tuple(labels))
            hodge.grid, hodge.others = grid, others
        return found


_HISTOGRAMS = ("least", "gradient", "spectra", "barriers")


def count_rows(batches: Iterable[pa.RecordBatch]) -> Distributions:
    """Count every row of the label table once; ``batches`` have the columns :data:`COLUMNS`."""
    counts = Distributions()
    for batch in batches:
        counts.add(batch)
    return counts


def symmetric_log(values: Floats) -> Floats:
    """Return places on a logarithmic scale through zero: sign · log10(1 + |value| / LINEAR)."""
    places: Floats = np.sign(values) * np.log1p(np.abs(values) / LINEAR) / _LN10
    return places


def from_symmetric_log(places: Floats) -> Floats:
    """Return the values at places of the scale of :func:`symmetric_log`."""
    values: Floats = np.sign(places) * LINEAR * np.expm1(np.abs(places) * _LN10)
    return values


def _log10(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values)


def _relative_eigenvalues(spectra: pa.ListArray, labels: Codes) -> tuple[Floats, Codes]:
    """Return eigenvalues in units of the largest |λ| of their row, and their labels.

    The largest eigenvalue of each row is left out.
    """
    lengths = np.diff(spectra.offsets.to_numpy())
    values = spectra.flatten().to_numpy()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    some = lengths > 0
    first, last = starts[some], (starts + lengths - 1)[some]
    # The eigenvalues ascend.
    largest = np.where(np.abs(values[first]) > np.abs(values[last]), first, last)
    scale = np.zeros(len(lengths))
    scale[some] = np.abs(values[largest])
    others = np.ones(len(values), bool)
    others[largest] = False
    with np.errstate(divide="ignore", invalid="ignore"):
        return values[others] / scale[owner[others]], labels[owner[others]]
