"""Write the feature table of the smooth toric bases of 6D F-theory models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.errors import VacuagymError
from vacuagym.geometry import SMOOTH_TORIC_BASES
from vacuagym.geometry.non_higgsable import (
    euler_numbers,
    extra_blow_ups,
    gauge_algebras,
    hodge_numbers,
)
from vacuagym.geometry.toric_bases import ToricBases, enumerate_bases
from vacuagym.geometry.weierstrass import canonical_square, has_smooth_weierstrass
from vacuagym.runtime.memory import geometry_table_memory_mb, hold_to_memory, peak_memory_mb
from vacuagym.tables.parquet import write_table
from vacuagym.tables.toric_schema import SCHEMA


def geometry(limit: int | None, granted_mb: int | None, output: Path) -> None:
    """Enumerate the bases, all or the first ``limit``, into ``output``.

    A row group holds the bases with equal numbers of rays.

    Parameters
    ----------
    granted_mb : int, optional
        Memory of the job in MB.

    Raises
    ------
    MemoryDeclarationError
        The job needs more memory than it was granted.
    """
    hold_to_memory(geometry_table_memory_mb(), granted_mb)
    metadata: dict[str, Any] = {"source": "toric_bases", "limit": limit}
    with write_table(output, SCHEMA, metadata) as writer:
        for bases in enumerate_bases(limit):
            writer.write(_rows(bases, first_id=writer.rows))
            print(
                f"{bases.rays.shape[1]} rays: {len(bases)} bases, {writer.rows} in all, peak "
                f"{peak_memory_mb():.0f} MB",
                flush=True,
            )
        expected = SMOOTH_TORIC_BASES if limit is None else min(limit, SMOOTH_TORIC_BASES)
        if writer.rows != expected:  # the plan of the table has this number of rows
            raise VacuagymError(
                f"{output}: enumerated {writer.rows} bases; {expected} are known; nothing is "
                "written; this is a defect of the pipeline: report it"
            )
        metadata |= {"rows": writer.rows, "peak_mb": round(peak_memory_mb(), 1)}


def _rows(bases: ToricBases, first_id: int) -> pa.Table:
    """Return bases as rows of the table."""
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
        "rays": pa.ListArray.from_arrays(
            pa.array(np.arange(0, count * rays + 1, rays, dtype=np.int32)), pairs
        ),
        "ord_f": _lists(bases.ord_f, pa.int8()),
        "ord_g": _lists(bases.ord_g, pa.int8()),
        "num_f": bases.num_f,
        "num_g": bases.num_g,
        "euler": euler_numbers(bases.self_intersections),
        "k2": canonical_square(bases.self_intersections),
        "smooth_weierstrass": has_smooth_weierstrass(bases.self_intersections),
        "extra_blow_ups": extra_blow_ups(bases.self_intersections),
        "gauge_algebras": pa.array(gauge_algebras(bases.self_intersections).tolist()),
    }
    return pa.Table.from_arrays(
        [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for field, column in zip(SCHEMA, columns.values(), strict=True)
        ],
        schema=SCHEMA,
    )


def _lists(matrix: npt.NDArray[np.int_], kind: pa.DataType) -> pa.ListArray:
    """Return a matrix (rows, length) as a column of lists."""
    rows, length = matrix.shape
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, rows * length + 1, length, dtype=np.int32)),
        pa.array(matrix.reshape(-1), kind, safe=True),
    )
