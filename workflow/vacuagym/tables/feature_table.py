"""Read feature tables: the used columns of a Parquet table, checked and in order.

A table may lie in several files. Rows may be in any order and in any number of row groups. Columns
that are not used are never read. Repeated scans bring the rows into order. Each scan keeps the
lowest rows that were not yet given, up to a fixed number of bytes, so memory does not depend on the
table. A table of up to a million rows takes one scan. A table without an id column is in order: the
id of a row is its position in its file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vacuagym.config import digest
from vacuagym.errors import InputError
from vacuagym.runtime.memory import CHUNK_BYTES
from vacuagym.tables.content_digest import ColumnDigests
from vacuagym.tables.external_sort import IdSample, externally_sorted
from vacuagym.tables.feature_schema import FeatureColumns
from vacuagym.tables.parquet import BATCH_ROWS, ContentCheck, read_batches, row_bytes
from vacuagym.tables.plan import Plan
from vacuagym.tables.shard_sizes import LEAST_SIZE, OccupiedRanges, size_for
from vacuagym.tables.table_files import TableFile, TablePath, shown
from vacuagym.tables.table_parts import Group, TableParts, changed
from vacuagym.tables.window import Key, Window

_ORDER = [("geometry_id", "ascending"), ("namespace", "ascending")]

# A part is a range of row groups that one job checks.
_PART_ROWS = 2**18
_PART_BYTES = 2**28  # before compression
_MOST_PARTS = 32  # each label job waits for all parts of its table
_SCATTERED_ROWS = 2**20  # more rows in the groups that may hold one id make a table scattered
_NO_ROWS = (2**63, -(2**63) - 1)  # range of ids of an empty row group


@dataclass
class FeatureTable:
    """A feature table and the names of its used columns.

    Attributes
    ----------
    paths : path or sequence of str
        File, folder, glob or URI, or several of them.
    id : str, optional
        Integer column with the ids. None: the id of a row is its position in its file, and its
        namespace is that of the file.
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
    files : sequence of TableFile
        The files and their states when the table was planned. Each file is compared with its state
        when it is opened and when it was read. Empty: the files of now.
    keep_digests : bool
        Whether scans keep the digest of the used columns of each row group in ``digests``.
    path : str
        The path as messages name it.
    rows : int
        Number of rows.
    """

    paths: TablePath
    id: str | None
    namespace: str | None = None
    moduli: str | None = None
    id_ranges: list[tuple[int, int]] | None = None
    hodge: Sequence[str] = ()
    carried: Sequence[str] = ()
    files: Sequence[TableFile] = ()
    keep_digests: bool = False
    path: str = field(default="", init=False)
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
        """Return the table of a plan with its known files and ranges of ids."""
        return cls(
            plan.table["path"],
            plan.table["id"],
            plan.table["namespace"],
            plan.table["moduli"],
            id_ranges=plan.id_ranges,
            hodge=hodge,
            carried=carried,
            files=plan.files,
            keep_digests=keep_digests,
        )

    def __post_init__(self) -> None:
        self.path = shown(self.paths)
        self._sample, self._occupied = IdSample(), OccupiedRanges()
        self._parts = TableParts(self.paths, self.files)
        first = self._parts.schema
        path = self._parts.files[0].path
        self._columns = FeatureColumns(
            path, self.id, self.namespace, self.moduli, self.hodge, self.carried
        )
        self._columns.check(first)
        self._names = self._columns.names(first)
        if not self.files:
            self._parts.require_same_types([*self._names, *([self.moduli] if self.moduli else [])])
        self.files = self._parts.files
        self.rows = self._parts.rows
        if not self.rows:
            raise InputError(
                f"{self.path}: the table has no rows; at least one is required; name another table"
            )
        self.moduli_absent = self.moduli is not None and self.moduli not in first.names
        self.schema = self._columns.schema(first)

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
        replace(self._columns, carried=names, groups=groups).check(self._parts.schema)
        self._parts.require_same_types(names)
        row_bytes(self._parts.file(0), self._parts.files[0].path, names)

    def fields(self, names: Sequence[str]) -> pa.Schema:
        """Return names and types of some columns, as the files have them."""
        return pa.schema([self._parts.schema.field(name) for name in names])

    def row_bytes(self) -> int:
        """Return the average bytes of the used columns of a row, in the file with the largest."""
        return max(map(self._row_bytes, range(len(self._parts.files))))

    def _row_bytes(self, place: int) -> int:
        if not self._names:
            return 24  # an id, a namespace and a count
        return row_bytes(self._parts.file(place), self._parts.files[place].path, self._names)

    def parts(self, names: Sequence[str], until: Key | None = None) -> list[tuple[int, int]]:
        """Return first and last row group of each part in which to read the named columns.

        The boundaries of the parts do not depend on ``until``. Parts without rows up to ``until``
        are left out.
        """
        ranges = self._known_ranges()
        rows = [group.rows for group in self._parts.groups]
        shares = [
            max(count / _PART_ROWS, size / _PART_BYTES)
            for count, size in zip(rows, self._parts.sizes(names), strict=True)
        ]
        most = max(1.0, sum(shares) / _MOST_PARTS)
        parts: list[list[int]] = []
        filled = 0.0
        for group in range(len(rows)):
            if not parts or filled + shares[group] > most:
                parts.append([])
                filled = 0.0
            parts[-1].append(group)
            filled += shares[group]
        window = Window(until=until)
        wanted = (part for part in parts if any(window.overlaps(ranges[group]) for group in part))
        return [(part[0], part[-1]) for part in wanted]

    @property
    def is_scattered(self) -> bool:
        """Return whether an id may lie in many row groups: each range of ids takes long to read.

        The table must have been scanned.
        """
        return self.id is not None and self._overlaps_widely(self._known_ranges())

    def _overlaps_widely(self, ranges: list[tuple[int, int]]) -> bool:
        """Return whether many rows are in row groups whose ranges of ids have an id in common."""
        ends: list[tuple[int, int, int]] = []
        for (low, high), group in zip(ranges, self._parts.groups, strict=True):
            ends += [(low, 0, group.rows), (high, 1, -group.rows)] if group.rows else []
        covering = accumulate(rows for _, _, rows in sorted(ends))
        return max(covering, default=0) > _SCATTERED_ROWS

    def _statistics(self) -> list[tuple[int, int]]:
        """Return the ranges of ids as the footers have them, empty ones where they have none."""
        found = self._parts.statistics(str(self.id))
        return [_NO_ROWS if its is None else its for its in found]

    def id_bounds(self) -> tuple[int, int]:
        """Return the least and the largest id of a table that was scanned."""
        ranges = self._known_ranges()
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def chosen_shard_size(self) -> int:
        """Return the shard size for ``auto``. A table with ids must have been scanned."""
        return size_for(self.rows) if self.id is None else self._occupied.size

    def _known_ranges(self) -> list[tuple[int, int]]:
        if self.id is None:
            return [
                (group.start, group.last) if group.rows else _NO_ROWS
                for group in self._parts.groups
            ]
        if self.id_ranges is None:
            raise ValueError(f"{self.path}: no ranges of ids; they need one whole scan; scan first")
        return self.id_ranges

    def rows_before(self, group: int) -> int:
        """Return the number of rows before a row group."""
        return sum(its.rows for its in self._parts.groups[:group])

    def row(self, number: int) -> tuple[str, int]:
        """Return the file of a row of the table, and the row in that file."""
        return self._parts.row(number)

    def changed(self) -> InputError:
        """Return the error for a table that has changed since it was planned."""
        return changed(self.path)

    def ordered(
        self,
        first: int | None = None,
        last: int | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        *,
        namespace: str | None = None,
        spill: Path | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the rows with first ≤ id ≤ last, ordered by id and then by namespace.

        A table without an id column is given file by file.

        Parameters
        ----------
        namespace : str, optional
            Of a table without an id column: only the rows of this file.
        spill : Path, optional
            Folder for a spill file. With it, a table in no order of any size is read twice.
        chunk_bytes : int
            Approximate largest size of a table.

        Raises
        ------
        InputError
            A value cannot be used, a (namespace, id) occurs twice, or the table has changed.
        """
        if self.id is None:
            yield from filter(len, self.scan(Window(first, last, namespace=namespace)))
            return
        window, more = Window(first, last), True
        if spill is not None and not self.id_ranges and self._overlaps_widely(self._statistics()):
            size = sum(table.nbytes for table in self.scan(Window()))
            yield from self._externally_sorted(window, size // chunk_bytes + 1, spill)
            return
        while more:
            chunk, more = self._lowest(window, chunk_bytes)
            if len(chunk):
                window = Window(first, last, after=_key(chunk, -1))
                yield chunk
            if more and spill is not None and self.is_scattered:
                yield from self._externally_sorted(window, self.rows // len(chunk) + 1, spill)
                return

    def _externally_sorted(self, window: Window, buckets: int, spill: Path) -> Iterator[pa.Table]:
        """Yield the rows of a window in order, after a scan of the table."""
        spill.mkdir(parents=True, exist_ok=True)
        edges, rows = self._sample.edges(buckets), self.scan(window)
        yield from externally_sorted(rows, edges, self._sorted, self.schema, CHUNK_BYTES, spill)

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
        """Yield checked batches in the order of the files.

        The first scan of a table reads every row and finds the ids of each row group.
        """
        all_groups = self._parts.groups
        first = self.id is not None and len(self.id_ranges or []) != len(all_groups)
        if first:
            self._sample, self._occupied = IdSample(), OccupiedRanges()
        known = None if first else self._known_ranges()
        ranges = [_NO_ROWS] * len(all_groups)
        for place, members in groupby(enumerate(all_groups), lambda item: item[1].file):
            wanted = {
                number: group
                for number, group in members
                if (groups is None or number in groups)
                and (groups is not None or known is None or window.overlaps(known[number]))
                and window.namespace in (None, self._parts.files[place].namespace)
            }
            if wanted or first:
                yield from self._scan_file(place, wanted, window, ranges if first else None)
        if first:
            self.id_ranges = ranges

    def _scan_file(
        self,
        place: int,
        groups: dict[int, Group],
        window: Window,
        ranges: list[tuple[int, int]] | None,
    ) -> Iterator[pa.Table]:
        """Yield checked batches of row groups of one file, by their numbers in the table.

        The first scan fills ``ranges``.
        """
        about, file = self._parts.files[place], self._parts.file(place)
        columns = replace(self._columns, path=about.path, file_namespace=about.namespace)
        check = None if ranges is None else ContentCheck(file, about.path, self._names)
        limited = self.id is None and not self.keep_digests
        low = -1 if window.first is None or not limited else window.first
        high = 2**63 if window.last is None or not limited else window.last
        most = BATCH_ROWS
        if self.carried:
            most = max(1, min(BATCH_ROWS, CHUNK_BYTES // self._row_bytes(place)))
        for number, group in groups.items():
            start = group.start
            digests = ColumnDigests(self.schema.names if self.keep_digests else [])
            for batch in self._batches(file, about.path, group, most):
                if start > high:
                    break
                start += len(batch)
                if start <= low:
                    continue
                if check:
                    check.update(batch)
                table = columns.checked(batch, start - len(batch))
                if ranges is not None:
                    self._sample.update(table["geometry_id"])
                    ranges_of_ids = np.unique(table["geometry_id"].to_numpy() // LEAST_SIZE)
                    self._occupied.update(ranges_of_ids.tolist())
                    bounds = pc.min_max(table["geometry_id"]).as_py()
                    least, largest = ranges[number]
                    ranges[number] = min(least, bounds["min"]), max(largest, bounds["max"])
                yield table
                digests.update(table)
            if self.keep_digests:
                self.digests[number] = digest(digests.hexdigests())
        self._parts.require_unchanged(place)
        if check:
            check.finish()

    def _batches(
        self, file: pq.ParquetFile, path: str, group: Group, most: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the used columns of a row group in batches of at most ``most`` rows."""
        if self._names:
            yield from read_batches(
                file, path, self._names, row_groups=[group.number], batch_rows=most
            )
            return
        none = pa.array([{}] * min(group.rows, most), pa.struct([]))
        for start in range(0, group.rows, most):
            yield pa.RecordBatch.from_struct_array(none.slice(0, min(most, group.rows - start)))

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
            columns = str(self.id) if self.namespace is None else f"{self.namespace}, {self.id}"
            remedy = (
                "name the column that makes these rows unique as `namespace`"
                if self.namespace is None
                else "name other columns"
            )
            raise InputError(
                f"{self.path}: column {columns}: more than one row for {keys}; rows must be "
                f"unique; {remedy}, or leave out `id`: each row is then named by its position in "
                "its file"
            )


def _key(table: pa.Table, row: int) -> Key:
    """Return the (id, namespace) of a row."""
    return table["geometry_id"][row].as_py(), table["namespace"][row].as_py()


def _compact(table: pa.Table) -> pa.Table:
    """Return a copy that does not keep the buffers of a larger table alive."""
    return table.take(pa.array(np.arange(len(table))))
