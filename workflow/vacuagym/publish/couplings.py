"""Compute the configuration ``potential`` of a published data set.

It has, for each row, the couplings of the potential of its label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.publish.metadata import PublishedColumn

POTENTIAL = "potential"
OF_LABELS = ("key", "n_moduli", "stability")
COLUMNS = (
    PublishedColumn(
        "K", pa.list_(pa.float64()), "upper triangle of K, row by row: n(n+1)/2 numbers"
    ),
    PublishedColumn("b", pa.list_(pa.float64()), "b: n numbers"),
    *(
        PublishedColumn(name, pa.float64(), f"{name} of the potential")
        for name in ("A", "a", "D", "p", "gamma", "delta")
    ),
)
# columns of the label table that identify a draw
NEEDED = ("dataset", "namespace", "geometry_id", "n_moduli", "sample_idx")


def bytes_of_row(n: int) -> int:
    """Return the bytes for drawing the potential of a geometry with ``n`` moduli."""
    return 8 * (4 * n * n + 8 * n)


def coupling_columns(physics: Mapping[str, Any], rows: pa.Table) -> dict[str, pa.Array]:
    """Return the couplings of rows of the label table.

    Parameters
    ----------
    physics : mapping
        Settings of the labels.
    rows : pa.Table
        Rows with the columns :data:`NEEDED`.

    Returns
    -------
    dict of str to pa.Array
        The columns :data:`COLUMNS`, shape (rows,).
    """
    # Imported here, because only a data set with couplings needs SciPy.
    from vacuagym.theories.toy.ensemble import draw_fluxes
    from vacuagym.theories.toy.labelling import Physics
    from vacuagym.theories.toy.random_streams import Streams, stream_key

    settings = Physics.from_mapping(physics)
    names = list(
        zip(
            rows["dataset"].cast(pa.string()).to_pylist(),
            rows["namespace"].to_pylist(),
            strict=True,
        )
    )
    streams = {name: stream_key(settings.seed, *name) for name in set(names)}
    keys = np.array([streams[name] for name in names], dtype=np.uint64).reshape(-1, 2)
    ids, draws, sizes = (
        rows[name].to_numpy().astype(np.int64) for name in ("geometry_id", "sample_idx", "n_moduli")
    )
    offsets = {
        name: np.concatenate([[0], np.cumsum(lengths)])
        for name, lengths in (("K", sizes * (sizes + 1) // 2), ("b", sizes))
    }
    flat = {name: np.empty(ends[-1]) for name, ends in offsets.items()}
    scalars = {name: np.empty(len(rows)) for name in ("A", "a", "D", "p", "gamma", "delta")}
    for n in np.unique(sizes):
        own = np.flatnonzero(sizes == n)
        potential = draw_fluxes(
            settings.ensemble, int(n), Streams(keys[own], ids[own], draws[own])
        ).potential
        upper = np.triu_indices(n)
        for name, values in (("K", potential.K[:, upper[0], upper[1]]), ("b", potential.b)):
            flat[name][offsets[name][own][:, None] + np.arange(values.shape[1])] = values
        for name, values in scalars.items():
            values[own] = getattr(potential, name)
    lists = {
        name: pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat[name])
        for name, ends in offsets.items()
    }
    return lists | {name: pa.array(values) for name, values in scalars.items()}
