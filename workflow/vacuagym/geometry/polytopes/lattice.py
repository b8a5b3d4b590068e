"""Reflexive lattice polytopes in four dimensions: facets, vertices, lattice points, duality.

M is the Newton polytope and N = {n : <n, m> >= -1 for all m in M} its dual. Both are lattice
polytopes exactly if M is reflexive (V. V. Batyrev, arXiv:alg-geom/9310003). Qhull proposes the
facets in floating point; every statement about them is then checked in integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from vacuagym.geometry.polytopes.errors import (
    CoordinateRangeError,
    DimensionError,
    PolytopeError,
    VertexError,
)
from vacuagym.geometry.polytopes.integers import (
    BoolArray,
    IntArray,
    IntRows,
    exact_gram,
    largest,
    multiply,
    reducing_transform,
    spanned_by_members,
    unimodular_inverse,
)

# Coordinates in reduced bases stay below this bound, so that no product of two overflows.
_LARGEST_COORDINATE = 1 << 20
# Columns of lattice points looked at in one enumeration.
_MOST_COLUMNS = 5_000_000
# A facet normal from Qhull may differ from an integer vector by this much.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ReflexivePair:
    """A reflexive polytope M, its dual N, and the lattice points of both, all int64.

    `vertices_m` (VM, 4), `points_m` (PM, 4), `vertices_n` (VN, 4), `points_n` (PN, 4). The bases
    of the two lattices are dual to each other.
    """

    vertices_m: IntArray
    points_m: IntArray
    vertices_n: IntArray
    points_n: IntArray

    def swapped(self) -> ReflexivePair:
        """Return the pair with the roles of M and N exchanged."""
        return ReflexivePair(self.vertices_n, self.points_n, self.vertices_m, self.points_m)

    def transformed(self, matrix: IntRows) -> ReflexivePair:
        """Return the pair in the coordinates n' = U n and m' = U^-t m.

        Parameters
        ----------
        matrix
            Unimodular U, (4, 4), of Python integers.

        Returns
        -------
        ReflexivePair
            All arrays in ascending lexicographic order.
        """
        on_n = [list(column) for column in zip(*matrix, strict=True)]
        on_m = unimodular_inverse(matrix)
        return ReflexivePair(
            *(_moved(points, on_m) for points in (self.vertices_m, self.points_m)),
            *(_moved(points, on_n) for points in (self.vertices_n, self.points_n)),
        )


def _moved(points: IntArray, matrix: IntRows) -> IntArray:
    """Return points (P, 4) times a (4, 4) matrix, in lexicographic order."""
    moved = multiply(points, matrix, "lattice points")
    _require_small(moved)
    return moved[np.lexsort(moved.T[::-1])]


def _require_small(points: IntArray) -> None:
    """Raise `CoordinateRangeError` if a coordinate is too large for exact products."""
    if largest(points) > _LARGEST_COORDINATE:
        raise CoordinateRangeError(
            f"polytope: a coordinate of size {largest(points)} in a reduced basis; at most "
            f"{_LARGEST_COORDINATE} is supported; check the input for unusually large numbers"
        )


def pair_from_newton_points(points: npt.NDArray[Any]) -> ReflexivePair:
    """Return the reflexive pair whose M is the hull of all its lattice points.

    Parameters
    ----------
    points
        All lattice points of M, (P, 4), in any basis; integers of any size.

    Raises
    ------
    PolytopeError
        If M is no reflexive polytope.
    """
    return _pair(points, complete=True)


def pair_from_vertices(vertices: npt.ArrayLike) -> ReflexivePair:
    """Return the reflexive pair whose M is the hull of the given lattice points.

    Parameters
    ----------
    vertices
        Integer points, (V, 4), in any basis. Repeated points and points that are no vertices do
        no harm.

    Raises
    ------
    VertexError
        If the array has another shape or holds no integers.
    PolytopeError
        If M is no reflexive polytope.
    """
    try:
        array = np.asarray(vertices)
    except ValueError:  # NumPy: inhomogeneous shape
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 4 or len(array) < 5:
        raise VertexError(
            f"vertices: an array of shape {array.shape}; at least 5 rows of 4 integers are "
            "required; give one vertex a row"
        )
    exact = {tuple(_lattice_coordinate(entry) for entry in row) for row in array.tolist()}
    return _pair(np.array(sorted(exact), dtype=object), complete=False)


def _lattice_coordinate(value: object) -> int:
    """Return a coordinate as a Python integer, or raise `PolytopeError`."""
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise VertexError(
        f"vertices: the coordinate {value!r}; all coordinates must be integers; "
        "give lattice points in a basis of their lattice"
    )


def _pair(points: npt.NDArray[Any], *, complete: bool) -> ReflexivePair:
    """Return the pair for the hull M of points (P, 4); `complete` if these are all its points."""
    reduced = multiply(points, reducing_transform(_form(points)), "points of M")
    _require_small(reduced)
    vertices_n = facet_normals(reduced)
    _require_small(vertices_n)
    # Shorten the basis once more for N, whose points are to be enumerated.
    basis = reducing_transform(exact_gram(vertices_n))
    dual = [list(column) for column in zip(*unimodular_inverse(basis), strict=True)]
    vertices_n = multiply(vertices_n, basis, "vertices of N")
    points_m = multiply(reduced, dual, "points of M")
    _require_small(vertices_n)
    _require_small(points_m)
    vertices_m = points_m[_vertex_rows(points_m @ vertices_n.T == -1)]
    if not complete:
        points_m = lattice_points(vertices_m, vertices_n)
    return ReflexivePair(vertices_m, points_m, vertices_n, lattice_points(vertices_n, vertices_m))


def _form(points: npt.NDArray[Any]) -> IntRows:
    """Return the Gram matrix of the coordinates, or raise if it is not positive definite."""
    gram = exact_gram(points)
    rows = [list(map(int, row)) for row in gram]
    # Fraction-free elimination: the leading minors of a Gram matrix are positive or it is singular.
    previous = 1
    for k in range(4):
        if rows[k][k] <= 0:
            raise DimensionError(
                "polytope: the points lie in a subspace of dimension below 4; a polytope around "
                "the origin in four dimensions is required; check the input"
            )
        for i in range(k + 1, 4):
            for j in range(3, k - 1, -1):
                product = rows[i][j] * rows[k][k] - rows[i][k] * rows[k][j]
                rows[i][j] = product // previous
        previous = rows[k][k]
    return gram


def facet_normals(points: IntArray) -> IntArray:
    """Return the normals n of all facets of the hull of the points.

    Parameters
    ----------
    points
        Lattice points, (P, 4), with the origin inside their hull.

    Returns
    -------
    ndarray
        Normals (F, 4), in lexicographic order, such that <n, p> >= -1 for all points, with
        equality on the facet.

    Raises
    ------
    PolytopeError
        If the origin is not inside, or a facet has no such integer normal.
    """
    try:
        equations = ConvexHull(points.astype(float)).equations
    except QhullError:
        raise DimensionError(
            "polytope: the points span no four-dimensional polytope; the origin must lie inside; "
            "check the input"
        ) from None
    if (equations[:, 4] >= -1e-12).any():
        raise PolytopeError(
            "polytope: the origin is not in its interior; a reflexive polytope has the origin as "
            "its only interior point; shift or correct the points"
        )
    proposed = equations[:, :4] / equations[:, 4:]
    if np.abs(proposed).max() > _LARGEST_COORDINATE:
        raise _not_reflexive()
    rounded = np.rint(proposed)
    if np.abs(proposed - rounded).max() > _ROUNDING:
        raise _not_reflexive()
    normals = _distinct_rows(rounded.astype(np.int64))
    pairing = points @ normals.T
    if pairing.min() < -1 or not spanned_by_members(points, pairing == -1).all():
        raise _not_reflexive()
    return normals


def _not_reflexive() -> PolytopeError:
    return PolytopeError(
        "polytope: a facet is not at lattice distance 1 from the origin; all facets of a "
        "reflexive polytope are; check the input"
    )


def _distinct_rows(rows: IntArray) -> IntArray:
    """Return the distinct rows of an array (R, 4), in lexicographic order."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[new]


def _vertex_rows(incidence: BoolArray) -> IntArray:
    """Return the rows of vertices, given which point lies on which facet, (P, F).

    A vertex is a point whose facets contain no other point in common.
    """
    candidates = np.flatnonzero(incidence.sum(axis=1) >= 4)
    rows = incidence[candidates].astype(np.float32)
    contained = rows @ rows.T == rows.sum(axis=1)[:, None]
    vertices: IntArray = candidates[contained.sum(axis=1) == 1]
    return vertices


def lattice_points(vertices: IntArray, normals: IntArray) -> IntArray:
    """Return all lattice points of a polytope.

    Parameters
    ----------
    vertices
        Its vertices, (V, 4); they bound the three narrowest coordinates.
    normals
        Its facets, (F, 4): the points p with <n, p> >= -1 for every normal n.

    Returns
    -------
    ndarray
        Points (P, 4). The bounds of the widest coordinate are exact for every choice of the
        other three.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    by_width = np.argsort(high - low, kind="stable")
    narrow, wide = by_width[:3], int(by_width[3])
    sizes = [int(high[i] - low[i] + 1) for i in narrow]
    if sizes[0] * sizes[1] * sizes[2] > _MOST_COLUMNS:
        raise CoordinateRangeError(
            f"polytope: a box of {sizes} lattice points even in a reduced basis; at most "
            f"{_MOST_COLUMNS} are supported; check the input for unusually large numbers"
        )
    axes = [np.arange(low[i], high[i] + 1) for i in narrow]
    columns = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    slack = columns @ normals[:, narrow].T + 1
    slope = normals[:, wide]
    inside = (slack[:, slope == 0] >= 0).all(axis=1)
    columns, slack = columns[inside], slack[inside]
    start = (-(slack[:, slope > 0] // slope[slope > 0])).max(axis=1)
    stop = (slack[:, slope < 0] // -slope[slope < 0]).min(axis=1)
    count = np.maximum(stop - start + 1, 0)
    owner = np.repeat(np.arange(len(count)), count)
    points = np.empty((len(owner), 4), dtype=np.int64)
    points[:, narrow] = columns[owner]
    points[:, wide] = (
        start[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    )
    return points


def reduced_coordinates(vertices: IntArray) -> IntRows:
    """Return the unimodular matrix U of reduced coordinates n' = U n for vertices (V, 4)."""
    transform = reducing_transform(exact_gram(vertices))
    return [list(column) for column in zip(*transform, strict=True)]
