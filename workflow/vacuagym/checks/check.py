"""A check of results: a statement, whether it holds, and the first rows for which it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

ENOUGH = 100  # rows: shares of fewer say nothing


@dataclass(frozen=True)
class Thresholds:
    """The ``validation`` section of the configuration."""

    largest_class: float
    failed_share: float
    fold_tolerance: float


@dataclass
class Check:
    """One statement about the results, and the first rows for which it does not hold."""

    name: str
    meaning: str
    passed: bool = True
    found: Any = 0
    examples: list[str] = field(default_factory=list)

    def note(self, wrong: np.ndarray, keys: pa.Array) -> None:
        """Count rows where ``wrong`` (rows,) is true."""
        count = int(np.count_nonzero(wrong))
        if count:
            self.passed = False
            self.found += count
            self.examples += keys.take(
                pa.array(np.flatnonzero(wrong)[: 5 - len(self.examples)])
            ).to_pylist()
