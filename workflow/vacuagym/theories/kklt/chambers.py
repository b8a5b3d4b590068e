"""The triangulation, the intersection numbers and the Kaehler cone of a Kaehler class.

The extended toric Kaehler cone is the union of the nef cones of all fine regular star
triangulations of the polytope. A Kaehler class J = sum_p t_p D_p names its own triangulation: the
regular one with heights t_p (the secondary fan; I. M. Gelfand, M. M. Kapranov and A. V. Zelevinsky,
Discriminants, Resultants and Multidimensional Determinants, chapter 7). So a walk through flops
needs no list of triangulations.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from vacuagym.theories.kklt.candidates import Ints, determinants

Floats = NDArray[np.float64]

# Normals of lower facets, with heights scaled to one, point down by more than this.
_LOWER = -1e-10


@dataclass(frozen=True)
class Chamber:
    """One nef cone: what is constant between two flops.

    Attributes
    ----------
    kappa : (n, n, n) float64
        Triple intersection numbers in the basis, exact integers.
    rows : (R, n) float64
        Curves: the nef cone is rows @ t >= 0.
    crossable : (R,) bool
        Walls to another fine star triangulation: a flop, or no change of X at all.
    relevant : (R,) bool
        Curves that may lie in X, not only in the toric variety.
    """

    kappa: Floats
    rows: Floats
    crossable: NDArray[np.bool_]
    relevant: NDArray[np.bool_]

    def contains(self, t: Floats) -> bool:
        """Return whether the class t (n,) is inside the nef cone."""
        return bool((self.rows @ t > 0).all())


@dataclass(frozen=True)
class _Facet:
    """Points of a facet, (q,), in coordinates (q, 3), and six times its volume."""

    members: Ints
    solid: Ints
    volume: int


class ToricChambers:
    """All chambers of the extended toric Kaehler cone of a favourable hypersurface.

    Parameters
    ----------
    points : (p, 4) int64
        Lattice points of the divisors.
    normals : (F, 4) int64
        Vertices of the dual polytope: <m, p> >= -1, with equality on the facet of m.
    basis : (n,) int64
        Divisors that form a basis of all classes. Classes t refer to it.
    """

    def __init__(self, points: Ints, normals: Ints, basis: Ints):
        self.points, self.basis = points, basis
        on_facet = points @ normals.T == -1
        self._facets = [_facet(points, np.flatnonzero(column)) for column in on_facet.T]
        # Two facets meet in a 2-face exactly if no third one contains all their common points.
        masks, lengths = [], []
        for one, other in combinations(range(len(normals)), 2):
            common = on_facet[:, one] & on_facet[:, other]
            if common.any() and on_facet[common].all(axis=0).sum() == 2:
                masks.append(common)
                lengths.append(np.gcd.reduce(normals[one] - normals[other]))
        self._faces, self._lengths = np.array(masks), np.array(lengths)

    def __call__(self, t: Floats) -> Chamber | None:
        """Return the chamber of the class t (n,), or None if t has no fine star triangulation."""
        heights = np.zeros(len(self.points))
        heights[self.basis] = t
        try:
            parts = [_facet_simplices(facet, heights) for facet in self._facets]
            relations = wall_relations(self.points, np.sort(np.concatenate(parts), axis=1))
            kappa = self._intersections(np.concatenate(parts))
        except (QhullError, _NotFineError):
            return None
        chosen = np.ix_(self.basis, self.basis, self.basis)
        negative = relations < 0
        within = (negative[:, None] & ~self._faces[None]).any(axis=2)
        relevant = ~within.all(axis=1)
        flat = relations.sum(axis=1) == 0
        return Chamber(
            kappa[chosen].astype(float),
            relations[:, self.basis].astype(float),
            flat & (negative.sum(axis=1) >= 2),
            relevant & ~(flat & (negative.sum(axis=1) == 3)),
        )

    def _intersections(self, simplices: Ints) -> Ints:
        """Return kappa of all divisors, (p, p, p), from the triangles of the 2-faces.

        Three divisors meet in as many points as the dual edge has unit segments. The other numbers
        follow from the linear relations sum_p p kappa_pij = 0.
        """
        number, x = len(self.points), self.points
        sides = np.concatenate([simplices[:, list(kept)] for kept in combinations(range(4), 3)])
        triangles = np.unique(np.sort(sides, axis=1), axis=0)
        on_face = self._faces[:, triangles].all(axis=2)
        triangles, length = triangles[on_face.any(axis=0)], self._lengths @ on_face
        kappa = np.zeros((number,) * 3, dtype=np.int64)
        for order in permutations(range(3)):
            kappa[tuple(triangles[:, order].T)] = length[on_face.any(axis=0)]
        j, k = np.nonzero(np.triu(kappa.any(axis=0)))
        rest = kappa[j, k] @ x
        u, v = x[j], x[k]
        uu, vv, uv = (u * u).sum(axis=1), (v * v).sum(axis=1), (u * v).sum(axis=1)
        ru, rv = (rest * u).sum(axis=1), (rest * v).sum(axis=1)
        determinant = uu * vv - uv * uv
        jjk = _quotient(rv * uv - ru * vv, determinant)
        jkk = _quotient(ru * uv - rv * uu, determinant)
        for one, other, value in ((j, k, jjk), (k, j, jkk)):
            kappa[one, one, other] = kappa[one, other, one] = kappa[other, one, one] = value
        diagonal = np.arange(number)
        # kappa_jjj is still zero here.
        rest = kappa[diagonal, diagonal] @ x
        cubes = _quotient(-(rest * x).sum(axis=1), (x * x).sum(axis=1))
        kappa[diagonal, diagonal, diagonal] = cubes
        if (kappa @ x).any():
            raise _NotFineError
        return kappa


class _NotFineError(Exception):
    """Some heights do not give a fine star triangulation."""


def _quotient(numerators: Ints, denominators: Ints) -> Ints:
    """Return exact quotients; `_NotFineError` if one is not an integer."""
    if (numerators % denominators).any():
        raise _NotFineError
    return numerators // denominators


def _solid_determinants(edges: Ints) -> Ints:
    """Return the determinants of integer 3 x 3 matrices, (N, 3, 3)."""
    return np.asarray((edges[:, 0] * np.cross(edges[:, 1], edges[:, 2])).sum(axis=1))


def _facet(points: Ints, members: Ints) -> _Facet:
    local = points[members] - points[members[0]]
    gram = (local.T @ local).astype(float)
    # Leave out the coordinate that the others determine best.
    kept = max(combinations(range(4), 3), key=lambda c: float(np.linalg.det(gram[np.ix_(c, c)])))
    solid = local[:, kept]
    volume = round(6 * ConvexHull(solid).volume) if len(members) > 4 else 0
    return _Facet(members, solid, volume)


def _facet_simplices(facet: _Facet, heights: Floats) -> Ints:
    """Return the regular triangulation of one facet, (T, 4) points; `_NotFineError` if not fine."""
    members, solid = facet.members, facet.solid
    if len(members) == 4:
        return members[None]
    # Without its best linear part the lift keeps Qhull well conditioned.
    linear = np.column_stack([solid, np.ones(len(members))])
    lift = heights[members] - heights[members].mean()
    lift = lift - linear @ np.linalg.lstsq(linear, lift, rcond=None)[0]
    size = float(np.abs(lift).max())
    hull = ConvexHull(np.column_stack([solid - solid.mean(axis=0), lift / (size or 1.0)]))
    local = hull.simplices[hull.equations[:, 3] < _LOWER].astype(np.int64)
    volume = _solid_determinants(solid[local[:, 1:]] - solid[local[:, :1]])
    local, volume = local[volume != 0], volume[volume != 0]
    if np.abs(volume).sum() != facet.volume or len(np.unique(local)) != len(members):
        raise _NotFineError
    return np.asarray(members[local])


def wall_relations(points: Ints, simplices: Ints) -> Ints:
    """Return the distinct primitive relations (R, p) of the five points around each wall.

    Parameters
    ----------
    points : (p, 4) int64
    simplices : (T, 4) int64
        A complete star triangulation; each row ascending.

    Raises
    ------
    _NotFineError
        If a wall has not exactly two sides.
    """
    number = len(points)
    walls = np.concatenate([np.delete(simplices, i, axis=1) for i in range(4)])
    apexes = np.concatenate([simplices[:, i] for i in range(4)])
    code = (walls[:, 0] * number + walls[:, 1]) * number + walls[:, 2]
    order = np.argsort(code, kind="stable")
    code = code[order]
    paired = len(code) % 2 == 0 and bool((code[::2] == code[1::2]).all())
    if not paired or (code[2::2] == code[1:-1:2]).any():
        raise _NotFineError
    five = np.column_stack([walls[order[::2]], apexes[order[::2]], apexes[order[1::2]]])
    corners = points[five]
    relation = np.stack(
        [
            (-1) ** i * determinants(*np.delete(corners, i, axis=1).transpose(1, 0, 2))
            for i in range(5)
        ],
        axis=1,
    )
    relation *= np.sign(relation[:, 3])[:, None]
    if (relation[:, 3:] <= 0).any():
        raise _NotFineError
    relation //= np.gcd.reduce(relation, axis=1)[:, None]
    rows = np.zeros((len(relation), number), dtype=np.int64)
    np.put_along_axis(rows, five, relation, axis=1)
    return np.unique(rows, axis=0)
