"""Hodge numbers from counts of lattice points: a second derivation, apart from the first.

V. V. Batyrev, arXiv:alg-geom/9310003, Theorem 4.3.7 and Corollary 4.5.1. Nothing of the main path
uses this module; it shares no code with `divisors` and `intersections`.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np

from vacuagym.geometry.polytopes.integers import IntArray

_Face = frozenset[int]


def hodge_numbers(
    points_m: IntArray, vertices_m: IntArray, points_n: IntArray, vertices_n: IntArray
) -> tuple[int, int]:
    """Return h^{1,1} and h^{2,1} of the hypersurface X whose divisors are points of N.

    Parameters
    ----------
    points_m, points_n
        All lattice points of M and of N, (PM, 4) and (PN, 4).
    vertices_m, vertices_n
        Vertices of M and of N, (VM, 4) and (VN, 4), in dual bases.

    Returns
    -------
    h11, h21
        h^{1,1} = l(N) - 5 - sum over facets of l*(F) + sum over 2-faces of l*(F) l*(F dual), and
        h^{2,1} is the same with M and N exchanged. l counts points, l* interior points.
    """
    interior_n = _interior_counts(points_n, vertices_m)
    interior_m = _interior_counts(points_m, vertices_n)
    return (
        _count(len(points_n), vertices_n, vertices_m, interior_n, interior_m),
        _count(len(points_m), vertices_m, vertices_n, interior_m, interior_n),
    )


def _interior_counts(points: IntArray, normals: IntArray) -> Counter[_Face]:
    """Return the number of points in the relative interior of each face, named by its facets."""
    return Counter(frozenset(np.flatnonzero(row).tolist()) for row in points @ normals.T == -1)


def _count(
    points: int,
    vertices: IntArray,
    normals: IntArray,
    interior: Counter[_Face],
    dual_interior: Counter[_Face],
) -> int:
    """Return the sum of Batyrev's formula for the polytope with these vertices and facets."""
    facets = [frozenset(np.flatnonzero(row).tolist()) for row in normals @ vertices.T == -1]
    total = points - 5 - sum(interior[frozenset([facet])] for facet in range(len(facets)))
    for a, b in combinations(range(len(facets)), 2):
        face = facets[a] & facets[b]
        if len(face) >= 3 and sum(face <= facet for facet in facets) == 2:
            # The dual edge has the ends a and b; its interior points lie on the facets `face`.
            total += interior[frozenset([a, b])] * dual_interior[face]
    return total
