"""The triangulation and the intersection numbers of one Kaehler class, by other methods.

For checks of `vacuagym.theories.kklt`, of which nothing is imported. The fan of a class is the
normal fan of its polytope {m : <m, p> >= -t_p}, found as one hull in four dimensions. Intersection
numbers are sums over the fixed points of a torus action, one for each cone, exact at integer
weights (M. F. Atiyah and R. Bott, Topology 23 (1984) 1): with z_i the weights of the cone's rays,

    kappa_pqr = sum over cones of z_p z_q z_r (sum_i z_i) / (|det| prod_i z_i).

This holds for every complete simplicial fan, also beyond the triangulations of the polytope. So the
volume of X extends to all classes, and 1/3 of its power is concave (mixed volumes of convex bodies;
R. Schneider, Convex Bodies, chapter 7).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, QhullError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Weights of the torus action: no cone of a small polytope has a vanishing one, else the next try.
_WEIGHTS = ((10007, -20011, 30011, 40009), (50021, 60013, -70001, 80021), (1, 1009, -9973, 99991))
_EXACT = 1e-6  # rounding of a facet normal


@dataclass(frozen=True)
class Curve:
    """The curve of a wall: its pairings with the divisors, and what kind of wall it is.

    Attributes
    ----------
    pairings : (p,) int64
        Primitive; the two divisors beside the wall have positive entries.
    flop : bool
        Another triangulation of the polytope lies beyond the wall.
    in_threefold : bool
        The curve may lie in X.
    """

    pairings: Ints
    flop: bool
    in_threefold: bool


class Polytope:
    """The points of the toric divisors, and a basis of their classes.

    Parameters
    ----------
    points : (p, 4) integers
    basis : (n,) integers
        Divisors whose classes are the basis. Classes t refer to it.
    """

    def __init__(self, points: ArrayLike, basis: ArrayLike):
        self.points = np.array(points, dtype=np.int64)
        self.basis = np.array(basis, dtype=np.int64)
        equations = ConvexHull(self.points.astype(float)).equations
        normals = equations[:, :4] / equations[:, 4:]
        if np.abs(normals - np.rint(normals)).max() > _EXACT:
            raise ValueError("points: not those of a reflexive polytope")
        facets = np.unique(np.rint(normals).astype(np.int64), axis=0)
        self.on_facet = self.points @ facets.T == -1
        omitted = np.setdiff1d(np.arange(len(self.points)), self.basis)
        self.classes = np.zeros((len(self.points), len(self.basis)))
        self.classes[self.basis] = np.eye(len(self.basis))
        self.classes[omitted] = -np.linalg.solve(
            self.points[omitted].T.astype(float), self.points[self.basis].T.astype(float)
        )
        self._fans: dict[bytes, Fan] = {}
        self._deepest = np.array([0.0, 0.0, 0.0, 0.0, np.inf])

    def tightened(self, t: Floats) -> Floats:
        """Return the class with the same polytope whose missing rays touch it."""
        fan = self.fan(t)
        if fan is None or fan.has_all_rays:
            return t
        heights = np.zeros(len(self.points))
        heights[self.basis] = t
        corners = np.linalg.solve(
            self.points[fan.cones].astype(float), -heights[fan.cones][..., None]
        )[..., 0]
        missing = np.setdiff1d(np.arange(len(self.points)), fan.cones)
        heights[missing] = -(corners @ self.points[missing].T).min(axis=0)
        return np.asarray(self.classes.T @ heights)

    def fan(self, t: Floats) -> Fan | None:
        """Return the fan of the class t (n,), or None if its polytope has no interior."""
        heights = np.zeros(len(self.points))
        heights[self.basis] = t
        distances = heights + self.points @ self._deepest[:4]
        if distances.min() < 0.5 * self._deepest[4]:
            # The point m that is deepest inside {m : <m, p> >= -t_p}, with its depth.
            slopes = np.hstack([-self.points, np.ones((len(self.points), 1))])
            bounds = [(None, None)] * 5
            deepest = linprog([0, 0, 0, 0, -1], A_ub=slopes, b_ub=heights, bounds=bounds)
            if deepest.status != 0 or not deepest.x[4] > 0:
                return None
            self._deepest = deepest.x
            distances = heights + self.points @ deepest.x[:4]
        try:
            hull = ConvexHull(self.points / distances[:, None])
        except QhullError:
            return None
        cones = np.sort(hull.simplices.astype(np.int64), axis=1)
        determinants = np.rint(np.linalg.det(self.points[cones].astype(float)))
        cones = np.unique(cones[determinants != 0], axis=0)
        return self._fans.setdefault(cones.tobytes(), Fan(self, cones))


@dataclass(frozen=True)
class Fan:
    """A complete simplicial fan whose rays are points of the polytope; cones (T, 4) ascending."""

    polytope: Polytope
    cones: Ints

    @cached_property
    def complete(self) -> bool:
        """Whether every wall has two sides."""
        return all(len(sides) == 2 for sides in self._walls().values())

    @cached_property
    def has_all_rays(self) -> bool:
        """Whether all points are rays."""
        return len(np.unique(self.cones)) == len(self.polytope.points)

    @cached_property
    def triangulates(self) -> bool:
        """Whether it comes from a fine star triangulation of the polytope."""
        return bool(
            self.has_all_rays and self.polytope.on_facet[self.cones].all(axis=1).any(axis=1).all()
        )

    @cached_property
    def kappa(self) -> dict[tuple[int, int, int], Fraction]:
        """Intersection numbers of X in the basis, for i <= j <= k, without zeros; exact."""
        place = {int(p): i for i, p in enumerate(self.polytope.basis)}
        for weights in _WEIGHTS:
            found: dict[tuple[int, int, int], Fraction] = defaultdict(Fraction)
            try:
                for cone in self.cones.tolist():
                    corners = self.polytope.points[cone].tolist()
                    z, determinant = _cramer(corners, weights)
                    factor = Fraction(sum(z), abs(determinant) * z[0] * z[1] * z[2] * z[3])
                    inside = [(place[p], x) for p, x in zip(cone, z, strict=True) if p in place]
                    for one, two, three in product(inside, repeat=3):
                        if one[0] <= two[0] <= three[0]:
                            key = (one[0], two[0], three[0])
                            found[key] += factor * one[1] * two[1] * three[1]
            except ZeroDivisionError:
                continue
            return {key: value for key, value in found.items() if value}
        raise ValueError("fan: all weights of the torus action vanish on some cone")

    @cached_property
    def dense(self) -> Floats:
        """kappa (n, n, n) in double precision."""
        size = len(self.polytope.basis)
        dense = np.zeros((size,) * 3)
        for (i, j, k), value in self.kappa.items():
            for place in {(i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)}:
                dense[place] = float(value)
        return dense

    @cached_property
    def curves(self) -> list[Curve]:
        """The curves of all walls, without repetition."""
        points, found = self.polytope.points, {}
        for wall, sides in self._walls().items():
            if len(sides) != 2:
                continue
            five = [*wall, *sides]
            corners = points[five].tolist()
            relation = [
                (-1) ** i * _determinant([row for j, row in enumerate(corners) if j != i])
                for i in range(5)
            ]
            pairings = np.zeros(len(points), dtype=np.int64)
            pairings[five] = np.array(relation) * (1 if relation[3] > 0 else -1)
            pairings //= np.gcd.reduce(pairings)
            found[pairings.tobytes()] = pairings
        return [self._curve(pairings) for pairings in found.values()]

    def _curve(self, pairings: Ints) -> Curve:
        negative = pairings < 0
        flat, number = bool(pairings.sum() == 0), int(negative.sum())
        # Points lie in a common 2-face exactly if two facets contain them all.
        in_face = int(self.polytope.on_facet[negative].all(axis=0).sum()) >= 2
        return Curve(pairings, flat and number >= 2, in_face and not (flat and number == 3))

    def _walls(self) -> dict[tuple[int, ...], list[int]]:
        walls: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for cone in self.cones.tolist():
            for wall in combinations(cone, 3):
                walls[wall] += set(cone) - set(wall)
        return walls

    def sizes(self, t: Floats) -> Iterator[tuple[Curve, float]]:
        """Yield each curve with its volume at the class t (n,)."""
        for curve in self.curves:
            yield curve, float(curve.pairings[self.polytope.basis] @ t)


def _determinant(rows: list[list[int]]) -> int:
    """Return a determinant by expansion along the first row, in Python integers."""
    if len(rows) == 1:
        return rows[0][0]
    return sum(
        (-1) ** j * x * _determinant([row[:j] + row[j + 1 :] for row in rows[1:]])
        for j, x in enumerate(rows[0])
        if x
    )


def _cramer(rows: list[list[int]], right: tuple[int, ...]) -> tuple[list[Any], int]:
    """Return z times the determinant, with sum_i z_i row_i = right, and the determinant."""
    determinant = _determinant(rows)
    z = [_determinant([*rows[:i], list(right), *rows[i + 1 :]]) for i in range(len(rows))]
    return z, determinant
