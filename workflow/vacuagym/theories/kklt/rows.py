"""From one row of a table of threefolds to the KKLT columns beyond the label.

The row is any mapping with the columns of level `full` of a table of reflexive polytopes. The
facets of the polytope are found from the points of its divisors: all vertices are among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull

from vacuagym.theories.kklt.candidates import Ints
from vacuagym.theories.kklt.points import (
    PANEL_W0,
    REFERENCE_W0,
    Geometry,
    KkltPoints,
    find_kklt_points,
)

_NAMES = tuple(field.name for field in fields(KkltPoints) if field.name != "vacuum")
# A facet normal from Qhull may differ from an integer vector by this much.
_ROUNDING = 1e-6


def panel_column(w0: float) -> str:
    """Return the name of the column of a further W0, such as `vacuum_1e40` for 1e-40."""
    digits, _, exponent = f"{w0:e}".partition("e")
    return f"vacuum_{float(digits):g}e{-int(exponent)}"


def point_columns(
    row: Mapping[str, Any],
    reference: float = REFERENCE_W0,
    panel: Sequence[float] = PANEL_W0,
) -> dict[str, Any]:
    """Return the columns on the toric part and on exact points of one geometry.

    Parameters
    ----------
    row : mapping
        `favourable`, `points` (p, 4), `divisor_h1` and `divisor_h2` (p,), `basis` (n,), `charges`
        (n, p), `kaehler_point` (n,) and `euler` of a table of threefolds.
    reference : float
        The |W0| of all columns but those of the panel.
    panel : sequence of float
        Further values of |W0|.

    Returns
    -------
    dict
        The attributes of `KkltPoints` by name. `vacuum` is the one at the reference, and each W0 of
        the panel has its own, named by `panel_column`. All values are None where the geometry has
        no full data or is not favourable.

    Raises
    ------
    ValueError
        If the points are not those of a reflexive polytope, or the class is in no Kaehler cone.
    """
    names = ("vacuum", *map(panel_column, panel))
    if not row["favourable"] or row["kaehler_point"] is None:
        return dict.fromkeys((*_NAMES, *names))
    found = find_kklt_points(geometry_of(row), reference, panel)
    columns = {name: getattr(found, name) for name in _NAMES}
    return columns | dict(zip(names, found.vacuum or (None,) * len(names), strict=True))


def geometry_of(row: Mapping[str, Any]) -> Geometry:
    """Return the geometry of a row with full data; arguments as for `point_columns`."""
    points, charges = _integers(row["points"]), _integers(row["charges"])
    rigid = (_integers(row["divisor_h1"]) == 0) & (_integers(row["divisor_h2"]) == 0)
    return Geometry(
        points,
        facet_normals(points),
        rigid,
        _integers(row["basis"]),
        charges.T,
        np.array(row["kaehler_point"], dtype=np.float64),
        int(row["euler"]),
    )


def facet_normals(points: Ints) -> Ints:
    """Return the vertices (F, 4) of the dual polytope, in lexicographic order.

    Parameters
    ----------
    points : (p, 4) int64
        Points of a reflexive polytope, its vertices among them.

    Raises
    ------
    ValueError
        If a facet has not <m, p> = -1 with an integer m.
    """
    equations = ConvexHull(points.astype(float)).equations
    proposed = equations[:, :4] / equations[:, 4:]
    normals = np.unique(np.rint(proposed).astype(np.int64), axis=0)
    pairing = points @ normals.T
    if np.abs(proposed - np.rint(proposed)).max() > _ROUNDING or pairing.min() < -1:
        raise ValueError("points: not those of a reflexive polytope; all facets need <m, p> = -1")
    return normals


def _integers(values: Any) -> Ints:
    return np.array(values, dtype=np.int64)
