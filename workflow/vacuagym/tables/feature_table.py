"""Read feature tables: the used columns of a Parquet table, checked and in order.

Rows may be in any order and in any number of row groups. Columns that are not used are never read.
Repeated scans bring the rows into order. Each scan keeps the lowest rows that were not yet given,
up to a fixed number of bytes, so memory does not depend on the table. A table of up to a million
rows takes one scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.config import digest
from vacuagym.errors import InputError
from vacuagym.runtime.memory import CHUNK_BYTES
from vacuagym.tables.content_digest import ColumnDigests
from vacuagym.tables.feature_schema import FeatureColumns
from vacuagym.tables.footers import table_state
from vacuagym.tables.parquet import (
    BATCH_ROWS,
    ContentCheck,
    group_bytes,
    open_parquet,
    read_batches,
    row_bytes,
)
from vacuagym.tables.plan import Plan

_ORDER = [("geometry_id", "ascending"), ("namespace", "ascending")]

# A part is a range of row groups that one job checks.
_PART_ROWS = 2**18
_PART_BYTES = 2**28  # before compression
_MOST_PARTS = 32  # each label job waits for all parts of its table

Key = tuple[int, str | None]


@dataclass
class Window:
    """Rows with first ≤ id ≤ last and after < (id, namespace) ≤ until. None is no bound."""

    first: int | None = None
    last: int | None = None
    after: Key | None = None
    until: Key | None = None

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


@dataclass
class FeatureTable:
    """A feature table and the names of its used columns.

    Attributes
    ----------
    id : str
        Integer column with the ids.
    namespace : str, optional
        Column that, with the id, makes a row unique.
    moduli : str, optional
        Column of moduli counts.
    id_ranges : list of (int, int), optional
        Least and largest id of each row group. The first scan finds them. Later scans skip row
        groups outside the window.
    hodge : sequence of str
        Columns of h11 and h21.
    carried : sequence of str
        Columns of any type that pass unchanged.
    state : list, optional
        State of the table when it was planned. The table is compared with it at the start and after
        each scan.
    keep_digests : bool
        Whether scans keep the digest of the used columns of each row group in ``digests``.
    rows : int
        Number of rows.
    """

    path: Path
    id: str
    namespace: str | None = None
    moduli: str | None = None
    id_ranges: list[tuple[int, int]] | None = None
    hodge: Sequence[str] = ()
    carried: Sequence[str] = ()
    state: list[int | str] | None = None
    keep_digests: bool = False
    rows: int = field(default=0, init=False)
    digests: dict[int, str] = field(default_factory=dict, init=False)

    @classmethod
    def from_plan(
        cls,
        plan: Plan,
        *,
        hodge: Sequence[str] = (),
        carried: Sequence[str] = (),
        keep_digests: bool = False,
    ) -> FeatureTable:
        """Return the table of a plan with its known ranges of ids and its state."""
        return cls(
            **plan.table,
            id_ranges=plan.id_ranges,
            hodge=hodge,
            carried=carried,
            state=plan.state,
            keep_digests=keep_digests,
        )

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        self.state = self.state or table_state(self.path)
        self._file = open_parquet(self.path)
        self._require_unchanged()
        self.rows = self._file.metadata.num_rows
        if not self.rows:
            raise InputError(
                f"{self.path}: the table has no rows; at least one is required; name another table"
            )
        names = self._file.schema_arrow.names
        self.moduli_absent = self.moduli is not None and self.moduli not in names
        self._columns = FeatureColumns(
            self.path, self.id, self.namespace, self.moduli, self.hodge, self.carried
        )
        self._columns.check(self._file.schema_arrow)
        self._names = self._columns.names(self._file.schema_arrow)
        self.schema = self._columns.schema(self._file.schema_arrow)

    def require_columns(self, columns: Sequence[str], groups: Sequence[str] = ()) -> None:
        """Check names and types of columns and read their first rows.

        Parameters
        ----------
        columns : sequence of str
            Columns of any type.
        groups : sequence of str
            Columns whose values must be comparable.

        Raises
        ------
        InputError
            A column is missing, cannot be read, or cannot be compared.
        """
        names = [*columns, *groups]
        replace(self._columns, carried=names, groups=groups).check(self._file.schema_arrow)
        row_bytes(self._file, self.path, names)

    def fields(self, names: Sequence[str]) -> pa.Schema:
        """Return names and types of some columns, as the file has them."""
        return pa.schema([self._file.schema_arrow.field(name) for name in names])

    def row_bytes(self) -> int:
        """Return the average bytes of the used columns of a row."""
        return row_bytes(self._file, self.path, self._names)

    def parts(self, names: Sequence[str], until: Key | None = None) -> list[tuple[int, int]]:
        """Return first and last row group of each part in which to read the named columns.

        The boundaries of the parts do not depend on ``until``. Parts without rows up to ``until``
        are left out.
        """
        ranges = self._known_ranges()
        groups = range(self._file.num_row_groups)
        rows = [self._file.metadata.row_group(group).num_rows for group in groups]
        sizes = group_bytes(self._file, names)
        shares = [
            max(count / _PART_ROWS, size / _PART_BYTES)
            for count, size in zip(rows, sizes, strict=True)
        ]
        most = max(1.0, sum(shares) / _MOST_PARTS)
        parts: list[list[int]] = []
        filled = 0.0
        for group in groups:
            if not parts or filled + shares[group] > most:
                parts.append([])
                filled = 0.0
            parts[-1].append(group)
            filled += shares[group]
        window = Window(until=until)
        wanted = (part for part in parts if any(window.overlaps(ranges[group]) for group in part))
        return [(part[0], part[-1]) for part in wanted]

    def id_bounds(self) -> tuple[int, int]:
        """Return the least and the largest id of a table that was scanned."""
        ranges = self._known_ranges()
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def _known_ranges(self) -> list[tuple[int, int]]:
        if self.id_ranges is None:
            raise ValueError(f"{self.path}: no ranges of ids; they need one whole scan; scan first")
        return self.id_ranges

    def rows_before(self, group: int) -> int:
        """Return the number of rows before a row group."""
        return sum(self._file.metadata.row_group(before).num_rows for before in range(group))

    def changed(self) -> InputError:
        """Return the error for a table that has changed since it was planned."""
        return InputError(
            f"{self.path}: the table has changed since it was planned; run the same command again "
            "to renew the plan"
        )

    def _require_unchanged(self) -> None:
        if table_state(self.path) != self.state:
            raise self.changed()

    def ordered(
        self, first: int | None = None, last: int | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[pa.Table]:
        """Yield the rows with first ≤ id ≤ last, ordered by id and then by namespace.

        Parameters
        ----------
        chunk_bytes : int
            Approximate largest size of a table.

        Raises
        ------
        InputError
            A value cannot be used, a (namespace, id) occurs twice, or the table has changed.
        """
        window, more = Window(first, last), True
        while more:
            chunk, more = self._lowest(window, chunk_bytes)
            if len(chunk):
                window = Window(first, last, after=_key(chunk, -1))
                yield chunk

    def _lowest(self, window: Window, chunk_bytes: int) -> tuple[pa.Table, bool]:
        """Scan once; return the lowest rows of the window in order, and whether more exist."""
        kept: list[pa.Table] = []
        size, more = 0, False
        for batch in self._scan(window):
            rows = window.select(batch)
            kept.append(rows)
            size += rows.nbytes
            if size > 2 * chunk_bytes:
                table = self._sorted(kept)
                lowest = _compact(table.slice(0, max(1, len(table) * chunk_bytes // size)))
                kept, size, more, window.until = [lowest], lowest.nbytes, True, _key(lowest, -1)
        return self._sorted(kept), more

    def _sorted(self, tables: list[pa.Table]) -> pa.Table:
        table = pa.concat_tables(tables) if tables else self.schema.empty_table()
        table = table.sort_by(_ORDER).combine_chunks()
        self._refuse_repeats(table)
        return table

    def scan(self, window: Window, groups: range | None = None) -> Iterator[pa.Table]:
        """Yield the rows of a window in the order of the file, in tables of bounded size.

        With ``groups``, only these row groups are read.
        """
        for table in self._scan(window, groups):
            yield window.select(table)

    def _scan(self, window: Window, groups: range | None = None) -> Iterator[pa.Table]:
        """Yield checked batches in the order of the file.

        The first scan of a table reads every row and finds the ids of each row group.
        """
        known = (
            self.id_ranges
            if self.id_ranges and len(self.id_ranges) == self._file.num_row_groups
            else None
        )
        ranges: list[tuple[int, int]] = []
        batch_rows = (
            max(1, min(BATCH_ROWS, CHUNK_BYTES // self.row_bytes())) if self.carried else BATCH_ROWS
        )
        start = 0
        check = ContentCheck(self._file, self.path, self._names) if known is None else None
        for group in range(self._file.num_row_groups):
            low, high = 2**63, -(2**63) - 1
            rows = self._file.metadata.row_group(group).num_rows
            digests = ColumnDigests(self.schema.names if self.keep_digests else [])
            if groups is not None:
                wanted = group in groups
            else:
                wanted = known is None or window.overlaps(known[group])
            if wanted:
                batches = read_batches(
                    self._file, self.path, self._names, row_groups=[group], batch_rows=batch_rows
                )
                for batch in batches:
                    if check:
                        check.update(batch)
                    table = self._columns.checked(batch, start)
                    start += len(table)
                    rows -= len(table)
                    bounds = pc.min_max(table["geometry_id"]).as_py()
                    low, high = min(low, bounds["min"]), max(high, bounds["max"])
                    yield table
                    digests.update(table)
                if self.keep_digests:
                    self.digests[group] = digest(digests.hexdigests())
            start += rows
            ranges.append((low, high))
        self._require_unchanged()
        if check:
            check.finish()
            self.id_ranges = ranges

    def _refuse_repeats(self, table: pa.Table) -> None:
        if len(table) < 2:
            return
        here, following = table.slice(0, len(table) - 1), table.slice(1)
        same = pc.equal(here["geometry_id"], following["geometry_id"])
        if self.namespace is not None:
            same = pc.and_(same, pc.equal(here["namespace"], following["namespace"]))
        if pc.any(same).as_py():
            repeated = here.filter(same).slice(0, 5).to_pylist()
            keys = ", ".join(
                str(r["geometry_id"])
                if self.namespace is None
                else f"({r['namespace']}, {r['geometry_id']})"
                for r in repeated
            )
            columns = self.id if self.namespace is None else f"{self.namespace}, {self.id}"
            remedy = (
                "name the column that makes these rows unique as `namespace`, or drop"
                if self.namespace is None
                else "drop"
            )
            raise InputError(
                f"{self.path}: column {columns}: more than one row for {keys}; rows must be "
                f"unique; {remedy} the repeated rows"
            )


def _key(table: pa.Table, row: int) -> Key:
    """Return the (id, namespace) of a row."""
    return table["geometry_id"][row].as_py(), table["namespace"][row].as_py()


def _compact(table: pa.Table) -> pa.Table:
    """Return a copy that does not keep the buffers of a larger table alive."""
    return table.take(pa.array(np.arange(len(table))))
