"""Define a check: a statement about results, and the first rows that break it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ENOUGH = 100  # rows; the shares of fewer rows scatter too much to be checked


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
                pa.array(np.flatnonzero(wrong)[: 5 - len(self.examples)])
            ).to_pylist()
