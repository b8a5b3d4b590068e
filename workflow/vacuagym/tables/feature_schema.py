"""The columns of a feature table: which there must be, and what their values may be; whatever else
there is, is refused with its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import InputError
from vacuagym.tables.arrow_values import bad_text, is_comparable, plain, plain_type
from vacuagym.tables.columns import Column, schema_of

COLUMNS = (
    Column(
        "namespace",
        pa.string(),
        "namespace of the row, as text",
        null="the data set has no namespaces",
    ),
    Column("geometry_id", pa.int64(), "id of the row"),
    Column("moduli", pa.int64(), "count of moduli", null="missing in the table"),
)
SCHEMA = schema_of(COLUMNS)
HODGE = ("_h11", "_h21")  # what the Hodge numbers are called, whatever their columns are
MOST_HODGE = 100_000  # far beyond any known Calabi–Yau manifold
_LARGEST_COUNT = 2**53  # of moduli: beyond it a float column cannot hold every integer
_LONGEST_NAMESPACE = 200  # bytes; a namespace is part of every key


@dataclass(frozen=True)
class FeatureColumns:
    """The names of the columns that are used, and what they become: :data:`SCHEMA`, then
    :data:`HODGE`, then the carried ones.

    ``carried`` columns may have any type; they pass unchanged, named by :meth:`carried_name`,
    because their own names may be anything. Those of them that are ``groups`` are checked for
    values that can be compared.
    """

    path: Path
    id: str
    namespace: str | None
    moduli: str | None
    hodge: Sequence[str] = ()
    carried: Sequence[str] = ()
    groups: Sequence[str] = ()

    def names(self, schema: pa.Schema) -> list[str]:
        """The columns to read; a column of moduli may be absent."""
        named = dict.fromkeys((self.id, self.namespace, self.moduli, *self.hodge, *self.carried))
        return [name for name in named if name is not None and name in schema.names]

    @staticmethod
    def carried_name(position: int) -> str:
        """What a carried column is called."""
        return f"carried {position}"

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns of :meth:`checked` for a table with these columns."""
        counts = [pa.field(name, pa.int64()) for name in HODGE[: len(self.hodge)]]
        carried = [
            pa.field(self.carried_name(i), plain_type(schema.field(name).type))
            for i, name in enumerate(self.carried)
        ]
        return pa.schema([*SCHEMA, *counts, *carried])

    def check(self, schema: pa.Schema) -> None:
        """Raise :class:`InputError` if a column is missing, ambiguous, or of an unusable type."""
        roles = [("id", self.id), ("namespace", self.namespace), ("moduli", self.moduli)]
        roles += [
            *(("hodge", name) for name in self.hodge),
            *(("feature", name) for name in self.carried),
        ]
        roles += [("group", name) for name in self.groups]
        for role, name in roles:
            if name is None or (role == "moduli" and name not in schema.names):
                continue
            if name not in schema.names:
                raise InputError(
                    f"{self.path}: {role} column {name!r} is not in the table; "
                    f"{_suggestion(name, schema.names)}"
                )
            if schema.names.count(name) > 1:
                raise InputError(
                    f"{self.path}: {role} column {name!r} occurs {schema.names.count(name)} "
                    "times; names must be unique"
                )
            usable, needed = _ROLES[role]
            if not usable(schema.field(name).type):
                raise InputError(
                    f"{self.path}: {role} column {name!r} has the type "
                    f"{short(schema.field(name).type)}; {needed} is needed"
                )

    def checked(self, batch: pa.RecordBatch, start: int) -> pa.Table:
        """The columns of a batch whose first row is row ``start`` of the file; :class:`InputError`
        names the first rows that are wrong.
        """
        ids = self._ids(batch.column(self.id), start)
        if self.namespace is None:
            namespaces = pa.nulls(len(ids), pa.string())
        else:
            namespaces = self._namespaces(batch.column(self.namespace), start)
        if self.moduli is None or self.moduli not in batch.schema.names:
            moduli = pa.nulls(len(ids), pa.int64())
        else:
            moduli = self._counts(
                batch.column(self.moduli), start, self.moduli, _LARGEST_COUNT, "a count of moduli"
            )
        hodge = [
            self._counts(batch.column(name), start, name, MOST_HODGE, "a Hodge number")
            for name in self.hodge
        ]
        carried = [self._texts(plain(batch.column(name)), start, name) for name in self.carried]
        return pa.table(
            [namespaces, ids, moduli, *hodge, *carried], schema=self.schema(batch.schema)
        )

    def _ids(self, column: pa.Array, start: int) -> pa.Array:
        self._refuse(
            pc.is_null(column),
            column,
            start,
            self.id,
            "ids must not be null; drop these rows or number them",
        )
        if pa.types.is_uint64(column.type):
            too_large = pc.greater(column, pa.scalar(2**63 - 1, pa.uint64()))
            self._refuse(
                too_large,
                column,
                start,
                self.id,
                "ids must fit into 64 bits with a sign; number the rows anew",
            )
        return column.cast(pa.int64())

    def _namespaces(self, column: pa.Array, start: int) -> pa.Array:
        column = plain(column)
        self._refuse(
            pc.is_null(column),
            column,
            start,
            self.namespace,
            "namespaces must not be null; fill them in",
        )
        names = self._texts(column.cast(pa.string()), start, self.namespace)
        long = pc.greater(pc.binary_length(names), _LONGEST_NAMESPACE)
        self._refuse(
            long,
            names,
            start,
            self.namespace,
            f"namespaces may have at most {_LONGEST_NAMESPACE} bytes; shorten them",
        )
        return names

    def _texts(self, column: pa.Array, start: int, name: str | None) -> pa.Array:
        """Return the column, whose texts are all UTF-8: Arrow checks the text of a file only when
        it is asked to.
        """
        if rows := bad_text(column):
            raw = column.cast(pa.binary()) if pa.types.is_string(column.type) else None
            found = ", ".join(
                f"row {start + row}" + ("" if raw is None else f": {raw[row].as_py()!r:.60}")
                for row in rows
            )
            raise InputError(
                f"{self.path}: column {name}: {found}: text must be UTF-8; write the column again "
                "as UTF-8, or leave it out"
            )
        return column

    def _counts(self, column: pa.Array, start: int, name: str, largest: int, what: str) -> pa.Array:
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), pa.int64())
        remedy = (
            f"{what} is a whole number from 0 to {'2^53' if largest == 2**53 else largest}, or "
            "null where it is not known"
        )
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), None, column)
            known = pc.fill_null(column, 0.0)
            self._refuse(pc.not_equal(pc.floor(known), known), column, start, name, remedy)
        known = pc.fill_null(column, pa.scalar(0, column.type))
        wrong = pc.or_(
            pc.less(known, pa.scalar(0, column.type)),
            pc.greater(known.cast(pa.float64(), safe=False), float(largest)),
        )
        self._refuse(wrong, column, start, name, remedy)
        return column.cast(pa.int64())

    def _refuse(
        self, wrong: pa.Array, column: pa.Array, start: int, name: str | None, remedy: str
    ) -> None:
        if pc.any(wrong).as_py():
            rows = pc.indices_nonzero(wrong)[:5].to_pylist()
            found = ", ".join(f"row {start + row}: {column[row].as_py()!r:.60}" for row in rows)
            raise InputError(f"{self.path}: column {name}: {found}: {remedy}")


def short(text: object, most: int = 80) -> str:
    """Return a text that is cut where it is long."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[:most]}…"


def _is_text(kind: pa.DataType) -> bool:
    kind = plain_type(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)


def _is_count(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)


_ROLES = {
    "id": (pa.types.is_integer, "an integer column"),
    "namespace": (_is_text, "a column of text or integers"),
    "moduli": (_is_count, "a column of integers or floats"),
    "hodge": (_is_count, "a column of integers or floats"),
    "feature": (lambda kind: True, ""),
    "group": (
        is_comparable,
        "one whose values can be compared (numbers, texts, times, lists and structs of them)",
    ),
}


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    return (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"its columns are {short(', '.join(names), 300)}"
    )


@dataclass(frozen=True)
class Wanted:
    """Columns of a feature table: the Hodge numbers (h11, h21), those that make a group, those
    that go into the data set.
    """

    hodge: Sequence[str] = ()
    group: Sequence[str] = ()
    columns: Sequence[str] = ()

    def carried(self) -> list[str]:
        """The columns to read besides the Hodge numbers, each once."""
        return list(dict.fromkeys([*self.group, *self.columns]))
