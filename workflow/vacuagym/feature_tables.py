"""Feature tables: the two or three columns of a Parquet table that the pipeline uses, checked, and in order.

A table may be in any order, have one row group or thousands, and carry columns of any size beside the named ones, which are never
read. Order comes from repeated scans that each keep the lowest rows not yet seen, as many as fit into a fixed number of bytes: memory
does not depend on the table. A table of up to a million rows takes one scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import InputError
from vacuagym.limits import CHUNK_BYTES
from vacuagym.parquet import open_parquet, read_batches

SCHEMA = pa.schema([("namespace", pa.string()), ("geometry_id", pa.int64()), ("moduli", pa.int64())])
_ORDER = [("geometry_id", "ascending"), ("namespace", "ascending")]
_LARGEST_COUNT = 2**53  # of moduli: beyond it a float column cannot hold every integer
_LONGEST_NAMESPACE = 200  # bytes; a namespace is part of every key

Key = tuple[int, str | None]


@dataclass
class Window:
    """The rows that a scan wants: first ≤ id ≤ last and after < (id, namespace) ≤ until, each bound None where there is none."""

    first: int | None = None
    last: int | None = None
    after: Key | None = None
    until: Key | None = None

    def overlaps(self, ids: tuple[int, int]) -> bool:
        """Whether rows with ids from ids[0] to ids[1] can be wanted."""
        lows = [bound for bound in (self.first, self.after and self.after[0]) if bound is not None]
        highs = [bound for bound in (self.last, self.until and self.until[0]) if bound is not None]
        return all(ids[1] >= low for low in lows) and all(ids[0] <= high for high in highs)

    def select(self, table: pa.Table) -> pa.Table:
        """The wanted rows of a table with the columns of :data:`SCHEMA`."""
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
    """Whether each row's (id, namespace) is larger than ``key``."""
    number, name = _id(key[0]), key[1]
    beyond = pc.greater(table["geometry_id"], number)
    if name is None:
        return beyond
    return pc.or_(beyond, pc.and_(pc.equal(table["geometry_id"], number), pc.greater(table["namespace"], name)))


def _id(number: int) -> pa.Scalar:
    return pa.scalar(min(max(number, -(2**63)), 2**63 - 1), pa.int64())


@dataclass
class FeatureTable:
    """A Parquet table and the names of its columns; ``namespace`` and ``moduli`` may be None.

    ``id_ranges`` (least and largest id of each row group) is filled by the first scan, or given by who knows it, and spares later
    scans the row groups that hold nothing they want.
    """

    path: Path
    id: str
    namespace: str | None = None
    moduli: str | None = None
    id_ranges: list[tuple[int, int]] | None = None
    rows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        self._file = open_parquet(self.path)
        self.rows = self._file.metadata.num_rows
        if not self.rows:
            raise InputError(f"{self.path}: the table has no rows")
        names = self._file.schema_arrow.names
        self.moduli_absent = self.moduli is not None and self.moduli not in names
        self._columns = [name for name in dict.fromkeys((self.id, self.namespace, self.moduli)) if name is not None and name in names]
        self._check_columns()

    def ordered(self, first: int | None = None, last: int | None = None, chunk_bytes: int = CHUNK_BYTES) -> Iterator[pa.Table]:
        """The rows with first ≤ id ≤ last, by id and then namespace, in tables of at most about ``chunk_bytes``.

        Raises :class:`InputError` at the first (namespace, id) that occurs twice.
        """
        window, more = Window(first, last), True
        while more:
            chunk, more = self._lowest(window, chunk_bytes)
            if len(chunk):
                window = Window(first, last, after=_key(chunk, -1))
                yield chunk

    def _lowest(self, window: Window, chunk_bytes: int) -> tuple[pa.Table, bool]:
        """One scan: the lowest rows of the window, in order, and whether there are more of them."""
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
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        table = table.sort_by(_ORDER).combine_chunks()
        self._refuse_repeats(table)
        return table

    def _scan(self, window: Window) -> Iterator[pa.Table]:
        """Checked batches in the file's order; the first scan of a table reads every row and notes the ids of each row group."""
        known = self.id_ranges if self.id_ranges and len(self.id_ranges) == self._file.num_row_groups else None
        ranges: list[tuple[int, int]] = []
        start = 0
        for group in range(self._file.num_row_groups):
            low, high = 2**63, -(2**63) - 1
            rows = self._file.metadata.row_group(group).num_rows
            if known is None or window.overlaps(known[group]):
                for batch in read_batches(self._file, self.path, self._columns, [group]):
                    table = self._checked(batch, start)
                    start += len(table)
                    rows -= len(table)
                    bounds = pc.min_max(table["geometry_id"]).as_py()
                    low, high = min(low, bounds["min"]), max(high, bounds["max"])
                    yield table
            start += rows
            ranges.append((low, high))
        if known is None:
            self.id_ranges = ranges

    def _checked(self, batch: pa.RecordBatch, start: int) -> pa.Table:
        ids = self._ids(batch.column(self.id), start)
        if self.namespace is None:
            namespaces = pa.nulls(len(ids), pa.string())
        else:
            namespaces = self._namespaces(batch.column(self.namespace), start)
        if self.moduli is None or self.moduli_absent:
            moduli = pa.nulls(len(ids), pa.int64())
        else:
            moduli = self._counts(batch.column(self.moduli), start)
        return pa.table([namespaces, ids, moduli], schema=SCHEMA)

    def _ids(self, column: pa.Array, start: int) -> pa.Array:
        self._refuse(pc.is_null(column), column, start, self.id, "ids must not be null; drop these rows or number them")
        if pa.types.is_uint64(column.type):
            too_large = pc.greater(column, pa.scalar(2**63 - 1, pa.uint64()))
            self._refuse(too_large, column, start, self.id, "ids must fit into 64 bits with a sign; number the rows anew")
        return column.cast(pa.int64())

    def _namespaces(self, column: pa.Array, start: int) -> pa.Array:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        self._refuse(pc.is_null(column), column, start, self.namespace, "namespaces must not be null; fill them in")
        names = column.cast(pa.string())
        raw = names.cast(pa.binary())
        self._refuse(_not_utf8(raw), raw, start, self.namespace, "namespaces must be UTF-8 text; write the file again")
        long = pc.greater(pc.binary_length(names), _LONGEST_NAMESPACE)
        self._refuse(long, names, start, self.namespace, f"namespaces may have at most {_LONGEST_NAMESPACE} bytes; shorten them")
        return names

    def _counts(self, column: pa.Array, start: int) -> pa.Array:
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), pa.int64())
        remedy = "a count of moduli is a whole number from 0 to 2^53, or null where it is not known"
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), None, column)
            known = pc.fill_null(column, 0.0)
            self._refuse(pc.not_equal(pc.floor(known), known), column, start, self.moduli, remedy)
        known = pc.fill_null(column, pa.scalar(0, column.type))
        wrong = pc.or_(pc.less(known, pa.scalar(0, column.type)), pc.greater(known.cast(pa.float64(), safe=False), float(_LARGEST_COUNT)))
        self._refuse(wrong, column, start, self.moduli, remedy)
        return column.cast(pa.int64())

    def _refuse(self, wrong: pa.Array, column: pa.Array, start: int, name: str | None, remedy: str) -> None:
        if pc.any(wrong).as_py():
            rows = pc.indices_nonzero(wrong)[:5].to_pylist()
            found = ", ".join(f"row {start + row}: {column[row].as_py()!r:.60}" for row in rows)
            raise InputError(f"{self.path}: column {name}: {found}: {remedy}")

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
                str(r["geometry_id"]) if self.namespace is None else f"({r['namespace']}, {r['geometry_id']})" for r in repeated
            )
            columns = self.id if self.namespace is None else f"{self.namespace}, {self.id}"
            remedy = "name the column that tells these rows apart as `namespace`, or drop" if self.namespace is None else "drop"
            raise InputError(f"{self.path}: column {columns}: more than one row for {keys}: {remedy} the repeated rows")

    def _check_columns(self) -> None:
        schema = self._file.schema_arrow
        for role, name in (("id", self.id), ("namespace", self.namespace)):
            if name is not None and name not in schema.names:
                raise InputError(f"{self.path}: {role} column {name!r} is not in the table; {_suggestion(name, schema.names)}")
        for role, name in (("id", self.id), ("namespace", self.namespace), ("moduli", self.moduli)):
            if name is None or name not in schema.names:
                continue
            if schema.names.count(name) > 1:
                raise InputError(f"{self.path}: {role} column {name!r} occurs {schema.names.count(name)} times; names must be unique")
            kind = schema.field(name).type
            if not _ROLES[role][0](kind):
                raise InputError(f"{self.path}: {role} column {name!r} has the type {kind}; {_ROLES[role][1]} is needed")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_integer(kind)


def _is_count(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)


_ROLES = {
    "id": (pa.types.is_integer, "an integer column"),
    "namespace": (_is_text, "a column of text or integers"),
    "moduli": (_is_count, "a column of integers or floats"),
}


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"its columns are {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"


def _not_utf8(raw: pa.Array) -> pa.Array:
    """Which strings are none; Arrow checks the text of a file only when it is asked to."""
    try:
        raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([name.decode(errors="ignore").encode() != name for name in raw.to_pylist()])
    return pa.array(np.zeros(len(raw), bool))


def _key(table: pa.Table, row: int) -> Key:
    return table["geometry_id"][row].as_py(), table["namespace"][row].as_py()


def _compact(table: pa.Table) -> pa.Table:
    """A copy that does not hold on to the buffers that the table is a slice of."""
    return table.take(pa.array(np.arange(len(table))))
