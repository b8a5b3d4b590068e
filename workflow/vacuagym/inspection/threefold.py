"""One threefold as an object: of a key of a run, or of a weight system, vertices or a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from vacuagym.errors import ConfigError, InputError
from vacuagym.geometry.cicy.threefold import Cicy
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.inspection.rebuild import parse_key
from vacuagym.orchestration.threefolds import THREEFOLDS, content_columns, is_enumerated
from vacuagym.runtime.atomic_files import read_json
from vacuagym.tables.feature_schema import FeatureColumns
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.table_files import below
from vacuagym.tables.weight_system_table import WeightSystemTable

Side = Literal["weights", "mirror"]


def threefold(
    key: str | None = None,
    *,
    weights: str | Iterable[int] | None = None,
    vertices: npt.ArrayLike | None = None,
    matrix: npt.ArrayLike | None = None,
    side: Side = "weights",
    folder: str | Path = ".",
) -> Threefold | Cicy:
    """Return a Calabi–Yau threefold. Its data are computed when they are first used.

    Give exactly one of ``key``, ``weights``, ``vertices`` and ``matrix``.

    Parameters
    ----------
    key : str, optional
        Key of a geometry of a run, whose data set is one of threefolds.
    weights : str or iterable of int, optional
        A weight system: blocks "d w1 … wn", such as "18 1 1 1 6 9".
    vertices : (v, 4) integers, optional
        Vertices of the Newton polytope M.
    matrix : (m, K) integers, optional
        A configuration matrix. Rows are projective spaces.
    side : "weights" or "mirror"
        Whose divisors are taken: points of the dual of M, or of M. With a key, the side is that
        of the data set.
    folder : str or Path
        The folder of the run of the key.

    Returns
    -------
    Threefold or Cicy
        Of a polytope: ``points``, ``charges``, ``heights``, ``simplices``, ``kappa``, ``c2``,
        ``mori``, ``kaehler_point``, ``volume(t)``, ``divisor_volumes(t)``, ``curve_volumes(t)``
        and more. Of a matrix: ``kappa``, ``c2``, ``euler``, ``volume(t)``.

    Raises
    ------
    ValueError
        If the input is no threefold, or not exactly one input is given.
    VacuagymError
        If the run has no such key.

    Examples
    --------
    >>> import vacuagym
    >>> X = vacuagym.threefold(weights="18 1 1 1 6 9")
    >>> X.h11, X.h21, X.euler
    (2, 272, -540)
    >>> vacuagym.threefold(matrix=[[5]]).kappa.item()
    5
    """
    given = [value for value in (key, weights, vertices, matrix) if value is not None]
    if len(given) != 1:
        raise ValueError(f"{len(given)} inputs; give one of key, weights, vertices and matrix")
    if key is not None:
        return _of_key(key, Path(folder))
    if weights is not None:
        return Threefold.from_weights(weights, side)
    if vertices is not None:
        return Threefold.from_vertices(vertices, side)
    assert matrix is not None
    return Cicy.from_matrix(matrix)


def _of_key(key: str, folder: Path) -> Threefold | Cicy:
    dataset, namespace, geometry_id = parse_key(key)
    entries = read_json(folder / "results/configuration.json")["datasets"]
    entry = entries.get(dataset)
    if entry is None or entry["source"] not in THREEFOLDS:
        known = [name for name, other in entries.items() if other["source"] in THREEFOLDS]
        raise ConfigError(
            f"{key}: {dataset!r} is no data set of threefolds; there are "
            f"{', '.join(known) or 'none'}"
        )
    value = _content(key, entry, folder, namespace, geometry_id)
    if entry["source"] == "cicy":
        return Cicy.from_matrix(value)
    if entry["source"] == "polytopes":
        return Threefold.from_vertices(value, entry["side"])
    return Threefold.from_weights(value, entry["side"])


def _content(
    key: str, entry: Mapping[str, Any], folder: Path, namespace: str | None, geometry_id: int
) -> Any:
    """Return the weight system, the vertices or the matrix of a row."""
    columns = content_columns(entry)
    table = (
        WeightSystemTable(columns)
        if is_enumerated(entry)
        else FeatureTable(
            below(folder, entry["path"]), entry["id"], entry["namespace"], carried=columns
        )
    )
    for chunk in table.ordered(geometry_id, geometry_id, namespace=namespace):
        for row in chunk.to_pylist():
            if row["namespace"] == namespace:
                values = [row[FeatureColumns.carried_name(i)] for i in range(len(columns))]
                return values[0] if len(values) == 1 else [sum(values), *values]
    raise InputError(f"{table.path}: no geometry {key}; the key must name a row of this table")
