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

NAMES = (*(field.name for field in fields(KkltPoints)), "vacuum_panel")
# A facet normal from Qhull may differ from an integer vector by this much.
_ROUNDING = 1e-6


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
        The |W0| of all columns but `vacuum_panel`.
    panel : sequence of float
        Further values of |W0|.

    Returns
    -------
    dict
        The attributes of `KkltPoints` by name, where `vacuum` is the one at the reference and
        `vacuum_panel` the list of those of the panel. All values are None where the geometry has
        no full data or is not favourable.

    Raises
    ------
    ValueError
        If the points are not those of a reflexive polytope, or the class is in no Kaehler cone.
    """
    if not row["favourable"] or row["kaehler_point"] is None:
        return dict.fromkeys(NAMES)
    found = find_kklt_points(geometry_of(row), reference, panel)
    columns = {field.name: getattr(found, field.name) for field in fields(found)}
    first, *others = found.vacuum or (None,)
    return columns | {"vacuum": first, "vacuum_panel": others or None}


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
