"""Fine regular star triangulation of N, its Mori rows, bases of divisors and Kaehler points.

The triangulation uses the points of N that are divisors of X and the heights of the 2-faces. Each
facet is triangulated by a lower hull that Qhull proposes; all checks are exact.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import linprog, nnls

from vacuagym.geometry.polytopes.divisors import ToricDivisors
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import (
    FloatArray,
    IntArray,
    determinants,
    five_point_relations,
    hermite_transform,
    largest,
    multiply,
    require_int64,
)
from vacuagym.geometry.polytopes.two_faces import (
    MOST_TIES,
    FaceTriangulation,
    point_heights,
    propose_lower_hull,
)

# Up to this h^{1,1} the Kaehler point is that of least norm; above, a linear program is solved.
_LEAST_NORM_LIMIT = 100
# Curve volumes at the Kaehler point may fall below 1 by rounding errors only.
_CONE_TOLERANCE = 1e-6


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


def divisor_basis(divisors: ToricDivisors, simplices: IntArray) -> tuple[IntArray, IntArray]:
    """Return divisors that form a Z-basis of all classes, and all divisors in this basis.

    Parameters
    ----------
    divisors
        The P points and their D components.
    simplices
        The star triangulation, (T, 4), where a suitable simplex is looked for first.

    Returns
    -------
    basis
        Numbers (D - 4,) of the divisors of the basis, ascending.
    charges
        Integers (D - 4, D): divisor d has the class sum_a charges[a, d] D_basis[a], modulo
        torsion. Each row is a linear relation of the points.

    Notes
    -----
    Four points are left out whose determinant is the index of the lattice that all points span;
    it is 1 unless X has a fundamental group.
    """
    omitted = _omitted_points(divisors.points, simplices)
    points = divisors.points[divisors.point_of_divisor]
    left_out = divisors.first[omitted]
    basis = np.setdiff1d(np.arange(len(points)), left_out)
    corners = divisors.points[omitted]
    # Coordinates of all points in the lattice of the four corners: points = combos @ corners.
    combinations_of_corners = _solved(points, corners)
    charges = np.zeros((len(basis), len(points)), dtype=np.int64)
    charges[np.arange(len(basis)), basis] = 1
    charges[:, left_out] = -combinations_of_corners[basis]
    require_int64(
        len(points) * largest(charges) * largest(points), "linear relations of the points"
    )
    if (charges @ points).any():
        raise TriangulationError("basis of divisors: a linear relation fails")
    return basis, charges


def _omitted_points(points: IntArray, simplices: IntArray) -> IntArray:
    """Return four points (4,) whose determinant is the index of the lattice of all points."""
    four: IntArray
    volume = np.abs(determinants(points[simplices]))
    possible = np.flatnonzero(volume == 1)
    if len(possible):
        four = simplices[possible[0]]
        return four
    index = _lattice_index(points)
    possible = np.flatnonzero(volume == index)
    if len(possible):
        four = simplices[possible[0]]
        return four
    for first in range(len(points) - 3):
        rest = np.array(list(combinations(range(first + 1, min(len(points), 60)), 3)))
        if len(rest) == 0:
            break
        candidates = np.column_stack([np.full(len(rest), first), rest])
        found = np.flatnonzero(np.abs(determinants(points[candidates])) == index)
        if len(found):
            four = candidates[found[0]]
            return four
    raise TriangulationError(
        "basis of divisors: no four points can be left out; use the divisors without a basis"
    )


def _lattice_index(points: IntArray) -> int:
    """Return the index in Z^4 of the lattice that points (P, 4) span."""
    columns = points.T.tolist()
    transform, _ = hermite_transform(columns, len(points))
    head = multiply(points.T, [list(column) for column in zip(*transform, strict=True)], "index")
    return abs(int(determinants(head[:, :4])))


def _solved(points: IntArray, corners: IntArray) -> IntArray:
    """Return the integers X, (D, 4), with points (D, 4) = X @ corners, (4, 4)."""
    transform, _ = hermite_transform(corners.tolist(), 4)
    columns = [list(column) for column in zip(*transform, strict=True)]
    # In these coordinates the corners are lower triangular: substitute backwards.
    triangular = multiply(corners, columns, "corners of a simplex")
    remaining = multiply(points, columns, "points of a simplex")
    solution = np.zeros_like(points)
    for i in reversed(range(4)):
        solution[:, i] = remaining[:, i] // triangular[i, i]
        remaining = remaining - solution[:, i, None] * triangular[i]
    if remaining.any():
        raise TriangulationError("basis of divisors: a class is no integer; report the polytope")
    return solution


def kaehler_point(rows: IntArray) -> FloatArray:
    """Return a point of the cone {t : rows @ t >= 1}.

    Parameters
    ----------
    rows
        Relations (R, n) of the walls, in a basis of n toric divisors.

    Returns
    -------
    ndarray
        t (n,). For n <= 100 the point of least norm (C. L. Lawson and R. J. Hanson, Solving Least
        Squares Problems, chapter 23); above, the point of the least sum of all curve volumes.

    Raises
    ------
    TriangulationError
        If the solver finds no point of the cone.
    """
    number, size = rows.shape
    point: FloatArray | None = None
    if size <= _LEAST_NORM_LIMIT:
        point = _least_norm_point(rows.astype(float))
    if point is None or not (rows @ point).min() > 0.5:
        answer = linprog(
            rows.sum(axis=0) / number,
            A_ub=-rows.astype(float),
            b_ub=-np.ones(number),
            bounds=(None, None),
            method="highs",
        )
        if answer.status != 0:
            raise TriangulationError(f"Kaehler cone: no point found; {answer.message}")
        point = np.asarray(answer.x)
    least = float((rows @ point).min())
    if not least > 1 - _CONE_TOLERANCE:
        raise TriangulationError(f"Kaehler cone: the least curve volume is {least}, not 1")
    return point / min(least, 1.0)


def _least_norm_point(rows: FloatArray) -> FloatArray | None:
    """Return the t of least norm with rows @ t >= 1 by non-negative least squares."""
    number, size = rows.shape
    matrix = np.vstack([rows.T, np.ones(number)])
    target = np.zeros(size + 1)
    target[size] = 1
    try:
        weights, _ = nnls(matrix, target, maxiter=50 * (number + size))
    except RuntimeError:
        return None
    residual = matrix @ weights - target
    if residual[size] >= 0:
        return None
    point: FloatArray = -residual[:size] / residual[size]
    return point
