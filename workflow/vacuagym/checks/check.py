"""Define a check: a statement about results, and the first rows that break it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ENOUGH = 100  # rows; the shares of fewer rows scatter too much to be checked
SHOWN = 5  # wrong rows of which a check keeps the keys


@dataclass(frozen=True)
class Thresholds:
    """The section ``validation`` of the configuration."""

    largest_class: float
    failed_share: float
    fold_tolerance: float


@dataclass
class Check:
    """One statement about the results.

    Attributes
    ----------
    meaning : str
        The statement.
    found : number or dict
        What was found: the number of wrong rows, or a figure.
    examples : list of str
        Keys of the first five wrong rows.
    """

    name: str
    meaning: str
    passed: bool = True
    found: Any = 0
    examples: list[str] = field(default_factory=list)

    def note(self, wrong: npt.NDArray[np.bool_], keys: pa.Array) -> None:
        """Count the rows where ``wrong`` is true, shape (rows,), and keep the first keys."""
        count = int(np.count_nonzero(wrong))
        if count:
            self.passed = False
            self.found += count
            self.examples += keys.take(
                pa.array(np.flatnonzero(wrong)[: SHOWN - len(self.examples)])
            ).to_pylist()

    def add(self, later: Check) -> None:
        """Add what the same check found in later rows."""
        self.passed = self.passed and later.passed
        self.found += later.found
        self.examples = [*self.examples, *later.examples][:SHOWN]


def count_at(counts: npt.NDArray[np.int64], *places: npt.NDArray[Any]) -> None:
    """Add 1 to ``counts`` at each place; ``places`` are an index of each axis, shape (rows,)."""
    flat = np.ravel_multi_index([axis.astype(np.intp) for axis in places], counts.shape)
    counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
