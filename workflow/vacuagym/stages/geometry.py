"""Geometry: write the feature table of the smooth toric bases of 6D F-theory models, enumerated from first principles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from vacuagym.columns import Column, schema_of
from vacuagym.errors import VacuagymError
from vacuagym.geometry import SMOOTH_TORIC_BASES
from vacuagym.geometry.non_higgsable import hodge_numbers
from vacuagym.geometry.toric_bases import ToricBases, enumerate_bases
from vacuagym.limits import geometry_table_memory_mb, hold_to_memory, peak_memory_mb
from vacuagym.parquet import write_table

_INTEGERS = pa.list_(pa.int8())
COLUMNS = (
    Column("base_id", pa.int64(), "id of the base: its place in the order by number of rays, then canonical form"),
    Column("num_nodes", pa.int16(), "rays of the fan, which are also the curves of the toric divisor"),
    Column("T", pa.int16(), "tensor multiplets: num_nodes − 3, and 3, 2, 1 more for each curve of −9, −10, −11 (points to blow up on it)"),
    Column("h11", pa.int16(), "Hodge number of the generic elliptic Calabi–Yau threefold over the base"),
    Column("h21", pa.int16(), "the other Hodge number of it"),
    Column("self_intersections", _INTEGERS, "of the curves, in canonical form; the lists below are in its order"),
    Column("rays", pa.list_(pa.list_(pa.int32(), 2)), "the rays of the fan, as pairs of integers"),
    Column("ord_f", _INTEGERS, "order of vanishing of the Weierstrass coefficient f along each curve"),
    Column("ord_g", _INTEGERS, "order of vanishing of the Weierstrass coefficient g along each curve"),
    Column("num_f", pa.int16(), "monomials of f"),
    Column("num_g", pa.int16(), "monomials of g"),
)
SCHEMA = schema_of(COLUMNS)


def geometry(limit: int | None, granted_mb: int | None, output: Path) -> None:
    """Enumerate the bases, all or the first ``limit``, into ``output``; a row group holds those with equal numbers of rays."""
    hold_to_memory(geometry_table_memory_mb(), granted_mb)
    metadata: dict = {"source": "toric_bases", "limit": limit}
    with write_table(output, SCHEMA, metadata) as writer:
        for bases in enumerate_bases(limit):
            writer.write(_rows(bases, first_id=writer.rows))
            print(f"{bases.rays.shape[1]} rays: {len(bases)} bases, {writer.rows} in all, peak {peak_memory_mb():.0f} MB", flush=True)
        expected = SMOOTH_TORIC_BASES if limit is None else min(limit, SMOOTH_TORIC_BASES)
        if writer.rows != expected:  # the plan of the table counts on it
            raise VacuagymError(f"{output}: enumerated {writer.rows} bases where there are {expected}; nothing is written")
        metadata |= {"rows": writer.rows, "peak_mb": round(peak_memory_mb(), 1)}


def _rows(bases: ToricBases, first_id: int) -> pa.Table:
    h11, h21 = hodge_numbers(bases.self_intersections)
    count, rays = bases.self_intersections.shape
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(bases.rays.reshape(-1), pa.int32()), 2)
    columns = {
        "base_id": np.arange(first_id, first_id + count),
        "num_nodes": np.full(count, rays),
        "T": bases.tensors,
        "h11": h11,
        "h21": h21,
        "self_intersections": _lists(bases.self_intersections, pa.int8()),
        "rays": pa.ListArray.from_arrays(pa.array(np.arange(0, count * rays + 1, rays, dtype=np.int32)), pairs),
        "ord_f": _lists(bases.ord_f, pa.int8()),
        "ord_g": _lists(bases.ord_g, pa.int8()),
        "num_f": bases.num_f,
        "num_g": bases.num_g,
    }
    return pa.Table.from_arrays(
        [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for field, column in zip(SCHEMA, columns.values(), strict=True)
        ],
        schema=SCHEMA,
    )


def _lists(matrix: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    rows, length = matrix.shape
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, rows * length + 1, length, dtype=np.int32)), pa.array(matrix.reshape(-1), kind, safe=True)
    )
