"""Fine regular star triangulation of N and its Mori rows.

The triangulation uses the points of N that are divisors of X and the heights of the 2-faces. Each
facet is triangulated by a lower hull that Qhull proposes; all checks are exact.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from vacuagym.geometry.polytopes.divisors import ToricDivisors
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import (
    IntArray,
    determinants,
    five_point_relations,
    largest,
    require_int64,
)
from vacuagym.geometry.polytopes.two_faces import (
    MOST_TIES,
    FaceTriangulation,
    point_heights,
    propose_lower_hull,
)


def star_triangulation(
    divisors: ToricDivisors, faces: FaceTriangulation
) -> tuple[IntArray, IntArray]:
    """Return a fine regular star triangulation that contains the triangles of the 2-faces.

    Parameters
    ----------
    divisors
        The P divisors of X, in canonical coordinates.
    faces
        Triangulations of the 2-faces with the heights that made them.

    Returns
    -------
    simplices
        The four points (T, 4), ascending, of each simplex; the fifth corner is the origin.
    mori
        Primitive relations (R, P) of the walls; see `mori_rows`.

    Raises
    ------
    TriangulationError
        If an exact check fails.
    """
    failure = TriangulationError("triangulation: not found")
    for ties in range(faces.ties, MOST_TIES + 1):
        heights = faces.heights if ties == faces.ties else point_heights(divisors.points, ties)
        try:
            simplices = propose_simplices(divisors, heights)
            mori = mori_rows(divisors.points, simplices)
            verify_triangulation(divisors, faces, simplices, mori, heights)
        except TriangulationError as error:
            # Tied heights: what Qhull returns for them is arbitrary. Refine and try again.
            failure = error
            continue
        return simplices, mori
    raise failure


def propose_simplices(divisors: ToricDivisors, heights: IntArray) -> IntArray:
    """Return the simplices (T, 4) of the lower hulls of all facets, for heights (P,); unchecked."""
    parts = [
        _facet_simplices(np.flatnonzero(column), divisors.points, heights)
        for column in divisors.on_facet.T
    ]
    return np.sort(np.concatenate(parts), axis=1)


def _facet_simplices(members: IntArray, points: IntArray, heights: IntArray) -> IntArray:
    """Return the lower hull of one facet as simplices (T, 4) of indices; `members` is (Q,)."""
    if len(members) == 4:
        return members[None]
    local = points[members] - points[members[0]]
    gram = (local.T @ local).astype(float)
    # Leave out the coordinate that the others determine best.
    omitted = max(range(4), key=lambda c: np.linalg.det(np.delete(np.delete(gram, c, 0), c, 1)))
    solid = np.delete(local, omitted, axis=1)
    simplices = propose_lower_hull(solid, heights[members])
    corners: IntArray = members[simplices]
    solid_corners: IntArray = corners[determinants(points[corners]) != 0]
    return solid_corners


def mori_rows(points: IntArray, simplices: IntArray) -> IntArray:
    """Return the linear relations of the five points around each wall.

    Parameters
    ----------
    points
        The P points, (P, 4).
    simplices
        Their star triangulation, (T, 4), ascending.

    Returns
    -------
    ndarray
        Distinct primitive relations (R, P), positive on the two points that the wall parts: the
        intersection numbers of the curve of the wall with the toric divisors, up to a factor.
        They generate the Mori cone of the toric variety.

    Raises
    ------
    TriangulationError
        If a wall has not exactly two simplices, or both are on the same side.
    """
    size = len(points)
    require_int64(size**3, "numbers of the walls")
    columns = [[i for i in range(4) if i != omitted] for omitted in range(4)]
    walls = np.concatenate([simplices[:, kept] for kept in columns])
    apexes = np.concatenate([simplices[:, omitted] for omitted in range(4)])
    code = (walls[:, 0] * size + walls[:, 1]) * size + walls[:, 2]
    order = np.argsort(code, kind="stable")
    code = code[order]
    paired = len(code) % 2 == 0 and (code[::2] == code[1::2]).all()
    if not paired or (code[2::2] == code[:-2:2]).any():
        raise TriangulationError(
            "triangulation: a wall has not exactly two simplices; report the polytope"
        )
    one, two = order[::2], order[1::2]
    five = np.column_stack([walls[one], apexes[one], apexes[two]])
    try:
        relation = five_point_relations(points[five])
    except ArithmeticError:
        raise TriangulationError(
            "triangulation: a simplex has no volume; report the polytope"
        ) from None
    if (relation[:, 3:] <= 0).any():
        raise TriangulationError("triangulation: two simplices overlap; report the polytope")
    rows = np.zeros((len(relation), size), dtype=np.int64)
    np.put_along_axis(rows, five, relation, axis=1)
    return rows[_first_of_equal(five, relation)]


def _first_of_equal(five: IntArray, relation: IntArray) -> IntArray:
    """Return one row for each distinct relation, (R,), in an order that the relations fix."""
    place = np.argsort(np.where(relation == 0, np.iinfo(np.int64).max, five), axis=1)
    members = np.take_along_axis(np.where(relation == 0, -1, five), place, axis=1)
    key = np.column_stack([members, np.take_along_axis(relation, place, axis=1)])
    order = np.lexsort(key.T[::-1])
    key = key[order]
    new = np.ones(len(key), dtype=bool)
    new[1:] = (key[1:] != key[:-1]).any(axis=1)
    chosen: IntArray = order[new]
    return chosen


def verify_triangulation(
    divisors: ToricDivisors,
    faces: FaceTriangulation,
    simplices: IntArray,
    mori: IntArray,
    heights: IntArray,
) -> None:
    """Check exactly that a triangulation is fine, complete and regular.

    Parameters
    ----------
    divisors
        The P divisors of X.
    faces
        Triangulations of the 2-faces, which must be part of it.
    simplices, mori
        The triangulation (T, 4) and its relations (R, P).
    heights
        Integer heights (P,).

    Raises
    ------
    TriangulationError
        If it is not, or if heights tie.

    Notes
    -----
    Every wall has a simplex on each side, so all generic points lie in equally many simplices;
    one of them is counted. Each relation r has sum r > 0 across a ridge of N, where the convexity
    of N bends the heights, or sum r = 0 and r @ heights > 0 within a facet. Then the heights,
    plus a large constant on all points but the origin, are strictly convex.
    """
    points = divisors.points
    if len(np.unique(simplices)) != len(points):
        raise TriangulationError("triangulation: not fine; report the polytope")
    if not _covers_once(points, simplices):
        raise TriangulationError("triangulation: simplices cover the space twice")
    sides = np.concatenate([simplices[:, list(kept)] for kept in combinations(range(4), 3)])
    if not np.isin(_triangle_codes(faces.triangles, points), _triangle_codes(sides, points)).all():
        raise TriangulationError("triangulation: a triangle of a 2-face is not part of it")
    require_int64(5 * largest(mori) * largest(heights), "regularity of the triangulation")
    total, bend = mori.sum(axis=1), mori @ heights
    if (total < 0).any() or ((total == 0) & (bend <= 0)).any():
        raise TriangulationError("triangulation: not strictly regular; report the polytope")


def _triangle_codes(triangles: IntArray, points: IntArray) -> IntArray:
    """Return one number for each triangle (T, 3) of ascending indices."""
    codes: IntArray = (triangles[:, 0] * len(points) + triangles[:, 1]) * len(points)
    return codes + triangles[:, 2]


def _covers_once(points: IntArray, simplices: IntArray) -> bool:
    """Return whether exactly one cone contains a point inside the first cone, and no wall does."""
    inside = points[simplices[0]].sum(axis=0)
    corners = points[simplices]
    volume = determinants(corners)
    within = np.ones(len(simplices), dtype=bool)
    for corner in range(4):
        replaced = corners.copy()
        replaced[:, corner] = inside
        within &= determinants(replaced) * np.sign(volume) >= 0
    return bool(volume.all()) and int(within.sum()) == 1
