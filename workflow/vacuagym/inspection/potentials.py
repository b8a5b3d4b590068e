"""Rebuild many potentials from keys: stacks of systems with equal n."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import InputError
from vacuagym.inspection.label_files import label_files
from vacuagym.paths import LABEL_TABLE
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.theories.registry import THEORIES
from vacuagym.theories.toy.ensemble import draw_fluxes
from vacuagym.theories.toy.labelling import Physics
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import Streams, stream_key

_COLUMNS = ("key", "dataset", "namespace", "geometry_id", "n_moduli", "sample_idx", "theory")


def potentials(
    keys: Iterable[str], folder: str | Path = ".", draw: int | None = None
) -> dict[int, tuple[list[str], ToyPotential]]:
    """Rebuild the potentials of many geometries.

    Parameters
    ----------
    keys : iterable of str
        Keys of labelled geometries, such as "fth6d:123"; each counts once.
    folder : str or Path
        The folder of a run, or of a data set that the pipeline has published.
    draw : int, optional
        The flux draw, 0 or larger. By default the draw that decided the label of each geometry.

    Returns
    -------
    dict of int to (list of str, ToyPotential)
        For each number of moduli n: the B keys in their order, and the stack of their potentials.
        The couplings are ``K`` (B, n, n), ``b`` (B, n), ``A``, ``a``, ``D``, ``p``, ``gamma``
        (B,) and ``delta``, all dimensionless. ``value``, ``gradient`` and ``hessian`` take φ of
        shape (…, B, n): a point for each system.

    Raises
    ------
    InputError
        If a key has no label there or no toy potential, or the folder holds no labels.
    ValueError
        If ``draw`` is negative.

    Examples
    --------
    >>> import numpy as np, vacuagym
    >>> for n, (keys, V) in vacuagym.potentials(["fth6d:0", "fth6d:1"]).items():
    ...     print(n, len(keys), V.value(np.zeros((len(keys), n))).shape)
    2 2 (2,)
    """
    if draw is not None and draw < 0:
        raise ValueError(f"draw: {draw}; draws are numbered from 0; give 0 or larger")
    wanted = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    physics, rows = _find(wanted, Path(folder))
    streams = {
        place: stream_key(physics.seed, *place)
        for place in {(row["dataset"], row["namespace"]) for row in rows}
    }
    by_n: dict[int, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: wanted[row["key"]]):
        by_n.setdefault(row["n_moduli"], []).append(row)
    stacks = {}
    for n, own in sorted(by_n.items()):
        stream = np.array(
            [streams[row["dataset"], row["namespace"]] for row in own], dtype=np.uint64
        )
        ids = np.array([row["geometry_id"] for row in own])
        draws = np.array([row["sample_idx"] if draw is None else draw for row in own])
        stacks[n] = (
            [row["key"] for row in own],
            draw_fluxes(physics.ensemble, n, Streams(stream, ids, draws)).potential,
        )
    return stacks


def _find(wanted: Mapping[str, int], folder: Path) -> tuple[Physics, list[dict[str, Any]]]:
    """Return the physics of the labels in a folder, and the rows of the wanted keys."""
    names = pa.array(list(wanted), pa.string())
    rows: list[dict[str, Any]] = []
    physics: Mapping[str, Any] | None = None
    for path in label_files(folder):
        file = open_parquet(path)
        physics = file_metadata(file).get("physics", physics)
        for batch in read_batches(file, path, _COLUMNS):
            rows += batch.filter(pc.is_in(batch.column("key"), value_set=names)).to_pylist()
    if physics is None:
        raise InputError(
            f"{folder.absolute()}: holds neither {LABEL_TABLE} nor a published data set; one of "
            "the two is required; name the folder of a run or of a data set"
        )
    found = {row["key"]: row for row in rows}
    if missing := [key for key in wanted if key not in found]:
        raise InputError(
            f"{folder.absolute()}: no label of {', '.join(map(repr, missing[:5]))}; every key must "
            "have a label; give keys of its label table"
        )
    if others := [key for key, row in found.items() if THEORIES[row["theory"]].reads]:
        raise InputError(
            f"{folder.absolute()}: {', '.join(map(repr, others[:5]))}: labels that the geometry "
            "decides have no drawn potential; give keys with theory toy, or rebuild them one by one"
        )
    return Physics.from_mapping(physics), list(found.values())
