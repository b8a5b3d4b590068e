"""Compute the geometry of the rows of one shard of a table of threefolds.

Equal polytopes of a shard are computed once: the canonical form is found first. An input that is no
threefold gets a row that names the problem. A number that breaks an identity is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.geometry.cicy.configurations import ConfigurationError
from vacuagym.geometry.cicy.topologies import cicy_topologies
from vacuagym.geometry.polytopes.errors import PolytopeError
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.runtime.stall import beat
from vacuagym.tables.arrow_values import plain_type
from vacuagym.tables.feature_schema import FeatureColumns
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.parquet import write_table
from vacuagym.tables.plan import Plan
from vacuagym.tables.threefold_schema import (
    CICY_SCHEMA,
    DIVISORS,
    FULL,
    IDENTITY,
    POLYTOPE_SCHEMA,
)
from vacuagym.tables.weight_system_table import WeightSystemTable
from vacuagym.tables.window import Window

Source = Literal["weight_systems", "polytopes", "cicy"]
_BATCH_ROWS = 256
_BATCH_BYTES = 8 * 2**20  # of computed data that wait to be written
_KEPT_BYTES = 32 * 2**20  # of data of distinct polytopes, kept for the rows to come
_RECORD_BYTES = 2**11  # of such data beside the numbers: a record without arrays takes memory too
_MOST_HODGE = 10_000
_MOST_TOLD = 5  # rows that are no threefolds, in the log of a shard
_FAR = {column.name: None for column in (*DIVISORS, *FULL)}


@dataclass(frozen=True)
class ThreefoldColumns:
    """Where the geometry stands in a table, and how much of it is computed.

    Attributes
    ----------
    source : "weight_systems", "polytopes" or "cicy"
    content : sequence of str
        The column of weight systems, vertices or matrices; or the columns of the single weights.
    side : "weights" or "mirror"
    divisors, full : int
        The largest h11 with data of divisors, and with full data. 0 means no rows.
    hodge : sequence of str
        For CICYs, the columns of h11 and h21. Empty without them.
    copied : sequence of str
        Columns of the table that are copied unchanged.
    """

    source: Source
    content: Sequence[str]
    side: Literal["weights", "mirror"] = "weights"
    divisors: int = 64
    full: int = 10
    hodge: Sequence[str] = ()
    copied: Sequence[str] = ()


def threefolds(
    plan: Plan, first: int | str, columns: ThreefoldColumns, fingerprint: str | None, output: Path
) -> None:
    """Write the geometry of the rows of a shard.

    Parameters
    ----------
    plan : Plan
        The plan of the data set, of the table of the user. Without a path, the rows are enumerated
        weight systems.
    first : int or str
        The first id of the shard, after the folder of its namespace if it has one.
    columns : ThreefoldColumns
        What is read and what is computed.
    fingerprint : str or None
        Fingerprint of settings and code, kept in the file's metadata.
    output : Path
        The Parquet file to write.

    Raises
    ------
    InputError
        If a computed number breaks an identity, or a given Hodge number is wrong. The row is
        named.
    """
    planned = plan.shard(first)
    carried = [*columns.content, *columns.hodge, *columns.copied]
    table = (
        WeightSystemTable(carried)
        if plan.table["path"] is None
        else FeatureTable.from_plan(plan, carried=carried)
    )
    schema = CICY_SCHEMA if columns.source == "cicy" else POLYTOPE_SCHEMA
    copied = table.fields(columns.copied)
    if taken := sorted({*copied.names} & {*schema.names}):
        raise InputError(
            f"{table.path}: column {taken[0]!r} has the name of a computed column; "
            "rename it in the table, or leave it out of columns"
        )
    for field in copied:
        schema = schema.append(pa.field(field.name, plain_type(field.type)))
    compute = _cicys if columns.source == "cicy" else _polytopes(columns)
    metadata = {
        "dataset": plan.dataset,
        "first": planned.first,
        "last": planned.last,
        "digest": planned.digest,
        "fingerprint": fingerprint,
    }
    within = Window(until=plan.until)
    problems: Counter[str] = Counter()
    with write_table(output, schema, metadata) as writer:
        for chunk in table.ordered(planned.first, planned.last, namespace=planned.namespace):
            rows = within.select(chunk)
            for start in range(0, len(rows), _BATCH_ROWS):
                batch, done = rows.slice(start, _BATCH_ROWS), 0
                for records in _pieces(_records(batch, columns, compute, table.path)):
                    _tell_problems(records, problems)
                    piece = batch.slice(done, len(records))
                    writer.write(_table(piece, records, columns, schema))
                    done += len(records)
                print(
                    f"{writer.rows} of {planned.rows} rows, peak {peak_memory_mb():.0f} MB",
                    flush=True,
                )
        metadata |= {"rows": writer.rows}
        if problems:
            print(f"rows that are no threefolds: {dict(problems)}", flush=True)
        if writer.rows != planned.rows:
            raise table.changed()


Compute = Callable[[list[tuple[Any, ...]], list[str]], Iterator[dict[str, Any]]]


def _records(
    rows: pa.Table, columns: ThreefoldColumns, compute: Compute, path: str
) -> Iterator[dict[str, Any]]:
    """Yield what is computed for each row."""
    count = len(columns.content) + len(columns.hodge)
    names = [FeatureColumns.carried_name(place) for place in range(count)]
    inputs = list(zip(*(rows[name].to_pylist() for name in names), strict=True))
    places = [
        f"{path}: row {_key(row)}, column {', '.join(columns.content)}"
        for row in rows.select(["namespace", "geometry_id"]).to_pylist()
    ]
    return compute(inputs, places)


def _tell_problems(records: list[dict[str, Any]], problems: Counter[str]) -> None:
    """Count the rows that are no threefolds, and print the first ones of the shard."""
    for record in records:
        if "problem" in record:
            if problems.total() < _MOST_TOLD:
                print(record["told"], flush=True)
            problems[record["problem"]] += 1


def _pieces(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield records in lists of a bounded size in bytes."""
    waiting: list[dict[str, Any]] = []
    size = 0
    for record in records:
        beat()
        waiting.append(record)
        size += _bytes(record)
        if size > _BATCH_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _bytes(record: dict[str, Any]) -> int:
    return sum(value.nbytes for value in record.values() if isinstance(value, np.ndarray))


def _table(
    rows: pa.Table, records: list[dict[str, Any]], columns: ThreefoldColumns, schema: pa.Schema
) -> pa.Table:
    """Return rows of the geometry table for rows of the given one."""
    count = len(columns.content) + len(columns.hodge)
    identity = [column.name for column in IDENTITY]
    arrays = [
        rows[name].combine_chunks()
        if name in identity
        else pa.array([_plain(record.get(name)) for record in records], schema.field(name).type)
        for name in schema.names[: len(schema) - len(columns.copied)]
    ]
    carried = (FeatureColumns.carried_name(count + i) for i in range(len(columns.copied)))
    arrays += [rows[name].combine_chunks() for name in carried]
    return pa.table(arrays, schema=schema)


def _plain(value: Any) -> Any:
    """Return a value as Arrow takes it: a matrix as a list of its rows."""
    return list(value) if isinstance(value, np.ndarray) and value.ndim > 1 else value


def _key(row: dict[str, Any]) -> str:
    namespace, number = row["namespace"], row["geometry_id"]
    return str(number) if namespace is None else f"{namespace}:{number}"


def _polytopes(columns: ThreefoldColumns) -> Compute:
    """Return the function that computes rows of polytopes. It computes equal polytopes once."""
    kept: dict[str, dict[str, Any]] = {}
    size = 0

    def record(values: tuple[Any, ...], place: str) -> dict[str, Any]:
        nonlocal size
        try:
            threefold = _threefold(values, columns)
        except (_Null, PolytopeError) as error:
            return _no_threefold(error.problem, place, error)
        try:
            light = _light(threefold, columns.side)
            known = kept.get(threefold.geometry_hash)
            if known is None:
                known = _divisors_and_full(threefold, columns)
                kept[threefold.geometry_hash] = known
                size += _RECORD_BYTES + _bytes(known)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{place}: {error}") from error
        while len(kept) > 1 and size > _KEPT_BYTES:
            size -= _RECORD_BYTES + _bytes(kept.pop(next(iter(kept))))
        return light | known

    return lambda inputs, places: map(record, inputs, places)


class _Null(Exception):
    """A row has no input."""

    problem = "null"


def _no_threefold(problem: str, place: str, error: Exception) -> dict[str, Any]:
    """Return the row of an input that is no threefold, with what the log tells about it."""
    return {"problem": problem, "told": f"{place}: {error}"}


def _threefold(values: tuple[Any, ...], columns: ThreefoldColumns) -> Threefold:
    if any(value is None for value in values):
        raise _Null("a geometry is needed")
    if columns.source == "polytopes":
        return Threefold.from_vertices(values[0], columns.side)
    weights = values[0] if len(columns.content) == 1 else [sum(values), *values]
    return Threefold.from_weights(weights, columns.side)


def _light(threefold: Threefold, side: str) -> dict[str, Any]:
    names = ("geometry_hash", "h11", "h21", "euler", "favourable")
    counts = ("num_points_m", "num_vertices_m", "num_points_n", "num_vertices_n")
    return {name: getattr(threefold, name) for name in (*names, *counts)} | {"side": side}


def _divisors_and_full(threefold: Threefold, columns: ThreefoldColumns) -> dict[str, Any]:
    """Return the data beyond the light ones, as far as the limits on h11 allow."""
    data: dict[str, Any] = dict(_FAR)
    if threefold.h11 <= max(columns.divisors, columns.full):
        names = ("points", "copies", "divisor_h1", "divisor_h2")
        data |= {name: getattr(threefold, name) for name in names}
        data["rigid_span"] = threefold.rigid_span
    if threefold.h11 <= columns.full:
        full = ("basis", "charges", "c2", "mori", "kaehler_point", "diagonal_dp")
        data |= {name: np.asarray(getattr(threefold, name)) for name in full}
        data["kappa_index"] = threefold.kappa.index
        data["kappa_value"] = threefold.kappa.value
    return data


def _cicys(inputs: list[tuple[Any, ...]], places: list[str]) -> Iterator[dict[str, Any]]:
    try:
        yield from _cicy_batch(inputs)
    except (_Null, ValueError, OverflowError):  # before the first row
        yield from map(_cicy, inputs, places)


def _cicy(values: tuple[Any, ...], place: str) -> dict[str, Any]:
    """Return one row, without Hodge numbers if one of them is null."""
    matrix, *hodge = values
    try:
        return _cicy_batch([(matrix,) if None in hodge else values])[0]
    except (_Null, ConfigurationError) as error:
        return _no_threefold(error.problem, place, error)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{place}: {error}") from error


def _cicy_batch(inputs: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    if any(value is None for values in inputs for value in values):
        raise _Null("a matrix is needed")
    hodge = [np.array(numbers) for numbers in zip(*(values[1:] for values in inputs), strict=True)]
    for numbers in hodge:
        if not (np.abs(numbers) <= _MOST_HODGE).all() or (numbers % 1).any():
            raise ValueError(f"h11, h21: whole numbers up to {_MOST_HODGE} are needed")
    whole = [numbers.astype(np.int64) for numbers in hodge]
    return list(_cicy_records(cicy_topologies([values[0] for values in inputs], *whole), whole))


def _cicy_records(found: Any, hodge: list[Any]) -> Iterator[dict[str, Any]]:
    for row in range(len(found)):
        own = slice(found.kappa_offsets[row], found.kappa_offsets[row + 1])
        yield {
            "geometry_hash": f"{int(found.geometry_hash[row]):016x}",
            "h11": int(hodge[0][row]) if hodge else None,
            "h21": int(hodge[1][row]) if hodge else None,
            "euler": int(found.euler[row]),
            "num_divisors": int(found.num_divisors[row]),
            "favourable": None if found.favourable is None else bool(found.favourable[row]),
            "product": bool(found.product[row]),
            "c2": found.c2_of(row).tolist(),
            "kappa_index": found.kappa_index[own].tolist(),
            "kappa_value": found.kappa_value[own].tolist(),
        }
