"""Say which rows of a table are wanted: a range of (id, namespace)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

Key = tuple[int, str | None]


@dataclass
class Window:
    """Rows with first ≤ id ≤ last and after < (id, namespace) ≤ until. None is no bound.

    ``namespace`` chooses a file of a table without an id column. It does not choose rows.
    """

    first: int | None = None
    last: int | None = None
    after: Key | None = None
    until: Key | None = None
    namespace: str | None = None

    def overlaps(self, ids: tuple[int, int]) -> bool:
        """Return whether rows with ids from ``ids[0]`` to ``ids[1]`` can be in the window."""
        lows = [bound for bound in (self.first, self.after and self.after[0]) if bound is not None]
        highs = [bound for bound in (self.last, self.until and self.until[0]) if bound is not None]
        return all(ids[1] >= low for low in lows) and all(ids[0] <= high for high in highs)

    def select(self, table: pa.Table) -> pa.Table:
        """Return the rows of a table that are in the window.

        The table has at least the columns of :data:`vacuagym.tables.feature_schema.SCHEMA`.
        """
        ids = table["geometry_id"]
        wanted = []
        if self.first is not None:
            wanted.append(pc.greater_equal(ids, _id(self.first)))
        if self.last is not None:
            wanted.append(pc.less_equal(ids, _id(self.last)))
        if self.after is not None:
            wanted.append(_beyond(table, self.after))
        if self.until is not None:
            wanted.append(pc.invert(_beyond(table, self.until)))
        return table.filter(reduce(pc.and_, wanted)) if wanted else table


def _beyond(table: pa.Table, key: Key) -> pa.ChunkedArray:
    """Return whether the (id, namespace) of each row is larger than ``key``."""
    number, name = _id(key[0]), key[1]
    beyond = pc.greater(table["geometry_id"], number)
    if name is None:
        return beyond
    return pc.or_(
        beyond,
        pc.and_(pc.equal(table["geometry_id"], number), pc.greater(table["namespace"], name)),
    )


def _id(number: int) -> pa.Scalar:
    """Return an id as an Arrow number, clamped to 64 bits."""
    return pa.scalar(min(max(number, -(2**63)), 2**63 - 1), pa.int64())
