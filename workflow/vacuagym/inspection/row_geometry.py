"""The geometry of a labelled threefold: of its run, or of the columns of a published data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vacuagym.errors import InputError
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.inspection.rebuild import Geometry
from vacuagym.paths import GEOMETRY
from vacuagym.tables.threefold_rows import geometry_rows

OF_LABEL = ("points", "divisor_h1", "divisor_h2")
OF_POINT = ("basis", "charges", "kaehler_point", "euler")
_CONTENT = {"weights": Threefold.from_weights, "vertices": Threefold.from_vertices}


def geometry_of(geometry: Geometry, folder: Path) -> Mapping[str, Any]:
    """Return the computed geometry of a row of a theory that reads it.

    In the folder of a run it stands in a table. A published data set has the row's own columns:
    the geometry itself, or the weight system or the vertices from which it is computed again.

    Parameters
    ----------
    geometry : Geometry
        A labelled row.
    folder : Path
        The folder of the run or of the data set.

    Returns
    -------
    mapping
        ``favourable`` and the columns :data:`OF_LABEL` and :data:`OF_POINT`. The latter are None
        where the row has no full data, or the data set does not hold them.

    Raises
    ------
    InputError
        If neither is there, or the columns are not those of the label.
    """
    path = folder / GEOMETRY.format(dataset=geometry.dataset)
    identity = geometry.namespace, geometry.geometry_id
    if path.exists():
        rows = geometry_rows(path, {identity}, ["favourable", *geometry.theory.reads])
        if identity in rows:
            return rows[identity]
    given = {name: geometry.beside.get(name) for name in (*OF_LABEL, *OF_POINT)}
    known = {name for name, value in given.items() if value is not None}
    full = is_full(geometry)
    if known >= {*OF_LABEL, *(OF_POINT if full else ())}:
        return given | {"favourable": True} | (dict.fromkeys(OF_POINT) if not full else {})
    for name, make in _CONTENT.items():
        if geometry.beside.get(name) is not None:
            return _columns(_computed(geometry, name, make), full)
    if known >= {*OF_LABEL}:
        return given | {"favourable": True} | dict.fromkeys(OF_POINT)
    raise InputError(
        f"{geometry.key}: no computed geometry: neither {path} nor the columns "
        f"{' or '.join(_CONTENT)} or {', '.join(OF_LABEL)} of a published data set; the row is "
        "read from its geometry; work in the folder of the run, or publish one of these: name it "
        f"in datasets.{geometry.dataset}.columns"
    )


def is_full(geometry: Geometry) -> bool:
    """Return whether a row was labelled with full data of its geometry."""
    return geometry.row is not None and geometry.row["kklt_num_points"] is not None


def _computed(geometry: Geometry, name: str, make: Any) -> Threefold:
    """Return the threefold of a published weight system, or of vertices.

    Its side is the one with the row's h11 and, if published, ``geometry_hash`` and ``side``.
    """
    assert geometry.row is not None
    given = geometry.beside
    found: dict[str, Threefold] = {}
    for side in [given["side"]] if given.get("side") else ["weights", "mirror"]:
        try:
            one = make(given[name], side)
        except ValueError as error:
            raise InputError(f"{geometry.key}, column {name}: {error}") from error
        if one.h11 == geometry.n and given.get("geometry_hash") in (None, one.geometry_hash):
            found[one.geometry_hash] = one
    if len(found) == 1:
        return next(iter(found.values()))
    which = "both sides have" if found else "no side has"
    raise InputError(
        f"{geometry.key}, column {name}: {which} h11 = {geometry.n} and what else is published; "
        "exactly one must; publish the columns side and geometry_hash too"
    )


def _columns(threefold: Threefold, full: bool) -> dict[str, Any]:
    """Return the columns of a favourable threefold."""
    columns: dict[str, Any] = {"favourable": threefold.favourable, **dict.fromkeys(OF_POINT)}
    for name in (*OF_LABEL, *(OF_POINT if full else ())):
        value = getattr(threefold, name)
        columns[name] = value.tolist() if hasattr(value, "tolist") else value
    return columns
