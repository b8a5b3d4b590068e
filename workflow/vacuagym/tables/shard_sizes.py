"""Choose how many ids a shard has where the configuration says ``shard_size: auto``.

The size is 10,000 ids, doubled until the data set has at most 500 shards. So a data set of any size
has few jobs, and a killed label job loses a small share of its work. All rows of the table count,
also those beyond ``n_limit``: a limit that is raised keeps the labels. This module does not import
Arrow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

ShardSize = int | Literal["auto"]
LEAST_SIZE = 10_000
# Three data sets of any size and kind stay below 10,000 jobs: 3 jobs a shard, 10 a segment (there
# are about 100), 64 that check columns, and 1000 that verify.
MOST_CHOSEN = 500


def size_for(rows: int) -> int:
    """Return the shard size of a data set whose rows are numbered, by their number.

    A table of several files has at most one shard more for each file.
    """
    size = LEAST_SIZE
    while rows > MOST_CHOSEN * size:
        size *= 2
    return size


class OccupiedRanges:
    """The ranges of ids that hold a row, counted while a table is scanned.

    Ids may be far apart, and may repeat in other namespaces. So their number of rows does not
    decide, but the number of ranges, which does not depend on the order of the rows.
    """

    def __init__(self) -> None:
        self._doubled = 0
        self._numbers: set[int] = set()

    @property
    def size(self) -> int:
        """Return the least size for which the rows so far lie in few enough shards."""
        return LEAST_SIZE << self._doubled

    def update(self, numbers: Iterable[int]) -> None:
        """Add the ids of more rows, each divided by :data:`LEAST_SIZE` and rounded down."""
        self._numbers.update(number >> self._doubled for number in numbers)
        while len(self._numbers) > MOST_CHOSEN:
            self._doubled += 1
            self._numbers = {number >> 1 for number in self._numbers}
