"""Divisors of a Calabi-Yau hypersurface: components, Hodge numbers, cohomology, rigidity.

X is the generic anticanonical hypersurface of the toric variety whose rays are the lattice points
of N outside the interiors of facets. A point of N is a divisor of X. If the point is interior to
a 2-face, the divisor has as many components as the dual edge has segments (V. V. Batyrev,
arXiv:alg-geom/9310003). The components are called divisors here, and copies of the point.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from vacuagym.geometry.polytopes.integers import BoolArray, IntArray, hermite_transform


@dataclass(frozen=True)
class ToricDivisors:
    """The P points of N that are divisors of X, in the order of `points_n`.

    `points` (P, 4); `on_facet` (P, F), whether the point lies on the facet dual to each vertex
    of M; `copies` (P,), the number of components of each divisor.
    """

    points: IntArray
    on_facet: BoolArray
    copies: IntArray

    @property
    def interior_to_two_face(self) -> BoolArray:
        """Whether each point is interior to a 2-face, (P,): it lies on exactly two facets."""
        result: BoolArray = self.on_facet.sum(axis=1) == 2
        return result

    @property
    def first(self) -> IntArray:
        """The number of the first component of each point, (P,), among all components."""
        start: IntArray = np.cumsum(self.copies) - self.copies
        return start

    @property
    def point_of_divisor(self) -> IntArray:
        """The point of each component, (D,)."""
        return np.repeat(np.arange(len(self.points)), self.copies)


def toric_divisors(points_n: IntArray, vertices_m: IntArray) -> ToricDivisors:
    """Return the divisors of X.

    Parameters
    ----------
    points_n
        All lattice points of N, (PN, 4).
    vertices_m
        Vertices of M, (F, 4), the normals of the facets of N.

    Returns
    -------
    ToricDivisors
        Without the origin and the points interior to facets.
    """
    on_facet = points_n @ vertices_m.T == -1
    number = on_facet.sum(axis=1)
    kept = number >= 2
    on_facet, number = on_facet[kept], number[kept]
    copies = np.ones(len(number), dtype=np.int64)
    inner = np.flatnonzero(number == 2)
    if len(inner):
        # Both facets of a point interior to a 2-face are the ends of the dual edge of M.
        ends = np.nonzero(on_facet[inner])[1].reshape(-1, 2)
        copies[inner] = np.gcd.reduce(vertices_m[ends[:, 0]] - vertices_m[ends[:, 1]], axis=1)
    return ToricDivisors(points_n[kept], on_facet, copies)


def picard_number(divisors: ToricDivisors) -> int:
    """Return h^{1,1} of X: the number of components less the four linear relations."""
    return int(divisors.copies.sum()) - 4


def divisor_cohomology(
    divisors: ToricDivisors, points_m: IntArray, vertices_n: IntArray, vertices_m: IntArray
) -> tuple[IntArray, IntArray]:
    """Return h^1 and h^2 of the structure sheaf of a component of each divisor.

    Parameters
    ----------
    divisors
        The P divisors of X.
    points_m
        All lattice points of M, (PM, 4).
    vertices_n, vertices_m
        Vertices of N, (V, 4), and of M, (F, 4).

    Returns
    -------
    h1, h2
        Dimensions, both (P,). A vertex of N has h^2 = number of points interior to the dual
        facet; a point interior to an edge has h^1 = number of points interior to the dual
        2-face; all else is 0.

    Notes
    -----
    V. I. Danilov and A. G. Khovanskii, Math. USSR Izv. 29 (1987) 279.
    """
    missing = (vertices_n @ vertices_m.T != -1).astype(np.float32)
    # The smallest face with a point has the vertices that lie on all facets of the point.
    in_face = divisors.on_facet.astype(np.float32) @ missing.T == 0
    dimension = np.where(divisors.interior_to_two_face, 2, np.minimum(in_face.sum(axis=1), 2) - 1)
    interior = Counter(_row_keys(points_m @ vertices_n.T == -1))
    dual_points = np.array([interior[key] for key in _row_keys(in_face)], dtype=np.int64)
    return np.where(dimension == 1, dual_points, 0), np.where(dimension == 0, dual_points, 0)


def _row_keys(rows: BoolArray) -> list[bytes]:
    """Return one hashable key for each row of a Boolean matrix."""
    return [row.tobytes() for row in np.packbits(rows, axis=1)]


def rigid_divisors(h1: IntArray, h2: IntArray) -> BoolArray:
    """Return which points have rigid components, (P,): h^1 = h^2 = 0 of their structure sheaf."""
    rigid: BoolArray = (h1 == 0) & (h2 == 0)
    return rigid


def rigid_divisors_span(divisors: ToricDivisors, rigid: BoolArray) -> bool:
    """Return whether the classes of the rigid components span the second cohomology of X.

    The D components have four relations, sum_d <m, p_d> D_d = 0. The rigid ones span all D - 4
    classes exactly if the points of the others are linearly independent.
    """
    others = divisors.points[~rigid]
    if len(others) > 4 or (divisors.copies[~rigid] > 1).any():
        return False
    return hermite_transform(others.tolist(), 4)[1] == len(others)
