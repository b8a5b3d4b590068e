"""Define the columns of a feature table, and check their values.

:class:`InputError` names the first bad rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
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
# a column of another data set with the same name: data set, table (None: toric bases), name
ColumnBeside = tuple[str, str | list[str] | None, str]
HODGE = ("_h11", "_h21")  # names of the Hodge numbers; the columns of the table have other names
MOST_HODGE = 100_000  # far beyond any known Calabi–Yau manifold
_LARGEST_COUNT = 2**53  # of moduli: beyond it a float column cannot hold every integer
_LONGEST_NAMESPACE = 200  # bytes; a namespace is part of every key


@dataclass(frozen=True)
class FeatureColumns:
    """Names of the used columns of a feature table.

    The checked columns are :data:`SCHEMA`, then :data:`HODGE`, then the carried columns.

    Attributes
    ----------
    hodge : sequence of str
        Columns of h11 and h21.
    carried : sequence of str
        Columns of any type that pass unchanged. :meth:`carried_name` renames them, because their
        own names may clash.
    groups : sequence of str
        Carried columns whose values must be comparable.
    file_namespace : str, optional
        Namespace of all rows of the file, if there is no column of ids.
    """

    path: str
    id: str | None
    namespace: str | None
    moduli: str | None
    hodge: Sequence[str] = ()
    carried: Sequence[str] = ()
    groups: Sequence[str] = ()
    file_namespace: str | None = None

    def names(self, schema: pa.Schema) -> list[str]:
        """Return the columns to read. The column of moduli may be absent."""
        named = dict.fromkeys((self.id, self.namespace, self.moduli, *self.hodge, *self.carried))
        return [name for name in named if name is not None and name in schema.names]

    @staticmethod
    def carried_name(position: int) -> str:
        """Return the name of the carried column at a position."""
        return f"carried {position}"

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of :meth:`checked` for a table with this schema."""
        counts = [pa.field(name, pa.int64()) for name in HODGE[: len(self.hodge)]]
        carried = [
            pa.field(self.carried_name(i), plain_type(schema.field(name).type))
            for i, name in enumerate(self.carried)
        ]
        return pa.schema([*SCHEMA, *counts, *carried])

    def check(self, schema: pa.Schema) -> None:
        """Check that all columns exist once and have usable types.

        Raises
        ------
        InputError
            A column is missing, ambiguous, or of another type.
        """
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
                    "times; names must be unique; rename or drop the others"
                )
            usable, needed = _ROLES[role]
            if not usable(schema.field(name).type):
                raise InputError(
                    f"{self.path}: {role} column {name!r} has the type "
                    f"{short(schema.field(name).type)}; {needed} is needed; name another column, "
                    "or write it with another type"
                )

    def checked(self, batch: pa.RecordBatch, start: int) -> pa.Table:
        """Return the checked columns of a batch.

        Parameters
        ----------
        start : int
            Row of the file with the first row of the batch.

        Raises
        ------
        InputError
            Some values cannot be used. The message names the first rows.
        """

        def values(name: str) -> _Values:
            return _Values(self.path, name, start, batch.column(name))

        if self.id is None:
            ids = pa.array(np.arange(start, start + len(batch), dtype=np.int64))
        else:
            ids = values(self.id).ids()
        if self.id is None:
            namespaces = pa.repeat(pa.scalar(self.file_namespace, pa.string()), len(ids))
        elif self.namespace is None:
            namespaces = pa.nulls(len(ids), pa.string())
        else:
            namespaces = values(self.namespace).namespaces()
        if self.moduli is None or self.moduli not in batch.schema.names:
            moduli = pa.nulls(len(ids), pa.int64())
        else:
            moduli = values(self.moduli).counts(_LARGEST_COUNT, "a count of moduli")
        hodge = [values(name).counts(MOST_HODGE, "a Hodge number") for name in self.hodge]
        carried = [values(name).plain().texts() for name in self.carried]
        return pa.table(
            [namespaces, ids, moduli, *hodge, *carried], schema=self.schema(batch.schema)
        )


@dataclass(frozen=True)
class _Values:
    """Values of one column in a batch; ``start`` is the row of the file with the first value."""

    path: str
    name: str
    start: int
    column: pa.Array

    def plain(self) -> _Values:
        """Return the values in their plain type."""
        return replace(self, column=plain(self.column))

    def ids(self) -> pa.Array:
        """Return the values as ids."""
        self._refuse(
            pc.is_null(self.column), "ids must not be null; drop these rows or number them"
        )
        if pa.types.is_uint64(self.column.type):
            self._refuse(
                pc.greater(self.column, pa.scalar(2**63 - 1, pa.uint64())),
                "ids must fit into 64 bits with a sign; give the rows other numbers",
            )
        return self.column.cast(pa.int64())

    def namespaces(self) -> pa.Array:
        """Return the values as namespaces."""
        given = self.plain()
        given._refuse(pc.is_null(given.column), "namespaces must not be null; fill them in")
        texts = replace(given, column=given.column.cast(pa.string()))
        names = texts.texts()
        texts._refuse(
            pc.greater(pc.binary_length(names), _LONGEST_NAMESPACE),
            f"namespaces may have at most {_LONGEST_NAMESPACE} bytes; shorten them",
        )
        return names

    def texts(self) -> pa.Array:
        """Return the values, whose texts are all UTF-8.

        Arrow does not check the texts of a file by itself.
        """
        if rows := bad_text(self.column):
            raw = self.column.cast(pa.binary()) if pa.types.is_string(self.column.type) else None
            found = ", ".join(
                f"row {self.start + row}" + ("" if raw is None else f": {raw[row].as_py()!r:.60}")
                for row in rows
            )
            raise InputError(
                f"{self.path}: column {self.name}: {found}: text must be UTF-8; write the column "
                "again as UTF-8, or leave it out"
            )
        return self.column

    def counts(self, largest: int, what: str) -> pa.Array:
        """Return the values as integers from 0 to ``largest``; ``what`` names them in messages."""
        column = self.column
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), pa.int64())
        requirement = (
            f"{what} must be a whole number from 0 to "
            f"{'2^53' if largest == 2**53 else largest}, or null if it is unknown; correct these "
            "rows"
        )
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), None, column)
            known = pc.fill_null(column, 0.0)
            replace(self, column=column)._refuse(pc.not_equal(pc.floor(known), known), requirement)
        known = pc.fill_null(column, pa.scalar(0, column.type))
        wrong = pc.or_(
            pc.less(known, pa.scalar(0, column.type)),
            pc.greater(known.cast(pa.float64(), safe=False), float(largest)),
        )
        replace(self, column=column)._refuse(wrong, requirement)
        return column.cast(pa.int64())

    def _refuse(self, wrong: pa.Array, requirement: str) -> None:
        """Raise :class:`InputError` with the first rows where ``wrong`` is true."""
        if pc.any(wrong).as_py():
            rows = pc.indices_nonzero(wrong)[:5].to_pylist()
            found = ", ".join(
                f"row {self.start + row}: {self.column[row].as_py()!r:.60}" for row in rows
            )
            raise InputError(f"{self.path}: column {self.name}: {found}: {requirement}")


def short(text: object, most: int = 80) -> str:
    """Return a text, cut after ``most`` characters."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[:most]}…"


def _is_text(kind: pa.DataType) -> bool:
    kind = plain_type(kind)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
    )


def _is_count(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


# for each role of a column: whether a type can be used, and which types can
_ROLES: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
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
    """Columns of a feature table that splits and the published data set need.

    Attributes
    ----------
    hodge : sequence of str
        Columns of h11 and h21.
    group : sequence of str
        Columns that identify duplicates.
    columns : sequence of str
        Columns to publish.
    """

    hodge: Sequence[str] = ()
    group: Sequence[str] = ()
    columns: Sequence[str] = ()

    def carried(self) -> list[str]:
        """Return the columns to read besides the Hodge numbers, without duplicates."""
        return list(dict.fromkeys([*self.group, *self.columns]))
