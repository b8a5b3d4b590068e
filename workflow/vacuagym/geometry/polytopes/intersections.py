"""Intersection numbers and second Chern class of X from the triangulated 2-faces of N.

Three different divisors meet on X exactly if their points are the corners of a triangle of a
2-face. The linear relations sum_d <m, p_d> D_d = 0 then give all numbers with repeated divisors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vacuagym.geometry.polytopes.divisors import ToricDivisors
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import (
    BoolArray,
    FloatArray,
    IntArray,
    largest,
    require_int64,
)
from vacuagym.geometry.polytopes.two_faces import FaceTriangulation


@dataclass(frozen=True)
class IntersectionNumbers:
    """Intersection numbers of the D divisors of X, exact.

    `index` (K, 3) holds i <= j <= k in lexicographic order and `value` (K,) the numbers that are
    not 0; `c2` (D,) is the second Chern class on each divisor; `euler` is c_3.
    """

    index: IntArray
    value: IntArray
    c2: IntArray
    euler: int

    @property
    def size(self) -> int:
        """The number of divisors D."""
        return len(self.c2)

    def dense(self, divisors: IntArray | None = None) -> IntArray:
        """Return all numbers as a symmetric array (n, n, n).

        Parameters
        ----------
        divisors
            The divisors to keep, (n,), in this order; all by default.
        """
        chosen = np.arange(self.size) if divisors is None else np.asarray(divisors)
        place = np.full(self.size, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        index = place[self.index]
        kept = (index >= 0).all(axis=1)
        (i, j, k), value = index[kept].T, self.value[kept]
        result = np.zeros((len(chosen),) * 3, dtype=np.int64)
        for a, b, c in ((i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)):
            result[a, b, c] = value
        return result

    def cubic(self, t: FloatArray) -> tuple[float, FloatArray]:
        """Return kappa_ijk t_i t_j t_k and its gradient (D,) for coefficients t, (D,)."""
        i, j, k = self.index.T
        orders = np.where((i < j) & (j < k), 6, np.where(i == k, 1, 3))
        weight = orders * self.value
        gradient = np.zeros(self.size)
        for a, b, c in ((i, j, k), (j, i, k), (k, i, j)):
            gradient += np.bincount(a, weights=weight * t[b] * t[c], minlength=self.size)
        return float(gradient @ t) / 3, gradient


def intersection_numbers(divisors: ToricDivisors, faces: FaceTriangulation) -> IntersectionNumbers:
    """Return the intersection numbers of X.

    Parameters
    ----------
    divisors
        The P points and their D components.
    faces
        Triangulations of the 2-faces.

    Raises
    ------
    TriangulationError
        If a linear relation does not hold exactly.

    Notes
    -----
    c_2 D_i = sum over p < q of kappa_pqi, and 3 c_3 = sum of kappa_ppp - (sum of all D)^3.
    """
    points = divisors.points[divisors.point_of_divisor]
    triples, number = _distinct_triples(divisors, faces)
    ends, once_twice, twice_once = _edge_numbers(points, triples, number)
    cubes = _cubes(points, ends, once_twice, twice_once)
    size = len(points)
    c2 = np.zeros(size, dtype=np.int64)
    for place in range(3):
        np.add.at(c2, triples[:, place], number)
    # kappa_jjk enters c_2 D_j and kappa_jkk enters c_2 D_k.
    np.add.at(c2, ends[:, 0], twice_once)
    np.add.at(c2, ends[:, 1], once_twice)
    mixed = 6 * int(number.sum()) + 3 * int(twice_once.sum() + once_twice.sum())
    if mixed % 3:
        raise TriangulationError("intersection numbers: c_3 is no integer; report the polytope")
    j, k = ends.T
    every = np.arange(size)
    index = np.concatenate(
        [
            triples,
            np.column_stack([j, j, k]),
            np.column_stack([j, k, k]),
            np.column_stack([every, every, every]),
        ]
    )
    value = np.concatenate([number, twice_once, once_twice, cubes])
    index, value = index[value != 0], value[value != 0]
    order = np.lexsort(index.T[::-1])
    return IntersectionNumbers(index[order], value[order], c2, -mixed // 3)


def _distinct_triples(
    divisors: ToricDivisors, faces: FaceTriangulation
) -> tuple[IntArray, IntArray]:
    """Return the triples of different components that meet, (T, 3), and their numbers, (T,).

    A triangle of a 2-face with dual edge of length L meets X in L points. A corner interior to
    the face has L components; each of the points lies on one of them.
    """
    inner = divisors.interior_to_two_face
    repeats = faces.multiplicity
    triangles = np.repeat(faces.triangles, repeats, axis=0)
    sheet = np.arange(len(triangles)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    components = divisors.first[triangles] + np.where(inner[triangles], sheet[:, None], 0)
    components.sort(axis=1)
    size = int(divisors.copies.sum())
    require_int64(size**3, "numbers of the triples of divisors")
    code = (components[:, 0] * size + components[:, 1]) * size + components[:, 2]
    code, number = np.unique(code, return_counts=True)
    triples = np.column_stack([code // size**2, code // size % size, code % size])
    return triples, number.astype(np.int64)


def _edge_numbers(
    points: IntArray, triples: IntArray, number: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the edges (E, 2), j < k, with kappa_jkk and kappa_jjk, (E,) each.

    For an edge, p_j kappa_jjk + p_k kappa_jkk + sum_i p_i kappa_ijk = 0: two unknowns, solved by
    Cramer's rule in integers; the other equations are checked.
    """
    size = len(points)
    i, j, k = triples.T
    code = np.concatenate([i * size + j, i * size + k, j * size + k])
    third = np.concatenate([k, j, i])
    code, edge = np.unique(code, return_inverse=True)
    require_int64(int(number.sum()) * largest(points), "sums of lattice points along edges")
    rest = np.zeros((len(code), 4), dtype=np.int64)
    np.add.at(rest, edge, np.tile(number, 3)[:, None] * points[third])
    ends = np.column_stack([code // size, code % size])
    u, v = points[ends[:, 0]], points[ends[:, 1]]
    require_int64(32 * largest(points) ** 3 * largest(rest), "Cramer's rule for the edges")
    uu, uv, vv = (u * u).sum(axis=1), (u * v).sum(axis=1), (v * v).sum(axis=1)
    ru, rv = (rest * u).sum(axis=1), (rest * v).sum(axis=1)
    determinant = uu * vv - uv * uv
    twice_once = (rv * uv - ru * vv) // determinant
    once_twice = (ru * uv - rv * uu) // determinant
    if (u * twice_once[:, None] + v * once_twice[:, None] + rest).any():
        raise TriangulationError(
            "intersection numbers: a relation of two divisors fails; report the polytope"
        )
    return ends, once_twice, twice_once


def _cubes(
    points: IntArray, ends: IntArray, once_twice: IntArray, twice_once: IntArray
) -> IntArray:
    """Return kappa_jjj (D,) from p_j kappa_jjj + sum_k p_k kappa_jjk = 0."""
    j, k = ends.T
    bound = max(largest(once_twice), largest(twice_once)) * largest(points) * len(points)
    require_int64(4 * bound * largest(points), "cubes of divisors")
    rest = np.zeros((len(points), 4), dtype=np.int64)
    np.add.at(rest, j, twice_once[:, None] * points[k])
    np.add.at(rest, k, once_twice[:, None] * points[j])
    cubes: IntArray = -(rest * points).sum(axis=1) // (points * points).sum(axis=1)
    if (points * cubes[:, None] + rest).any():
        raise TriangulationError(
            "intersection numbers: a relation of one divisor fails; report the polytope"
        )
    return cubes


def linear_relations(divisors: ToricDivisors, numbers: IntersectionNumbers) -> IntArray:
    """Return sum_d p_d kappa_dij for all pairs that meet, (E, 4): zero by linear equivalence."""
    points = divisors.points[divisors.point_of_divisor]
    size = numbers.size
    i, j, k = numbers.index.T
    # Each way to single out one of the three divisors, once for each different result.
    parts = [
        (i, j, k, np.ones(len(i), dtype=bool)),
        (j, i, k, i != j),
        (k, i, j, j != k),
    ]
    code = np.concatenate([(a * size + b)[kept] for _, a, b, kept in parts])
    single = np.concatenate([one[kept] for one, _, _, kept in parts])
    value = np.concatenate([numbers.value[kept] for *_, kept in parts])
    code, pair = np.unique(code, return_inverse=True)
    total = np.zeros((len(code), 4), dtype=np.int64)
    np.add.at(total, pair, value[:, None] * points[single])
    return total


def second_chern_of_sum(numbers: IntersectionNumbers, classes: IntArray) -> tuple[int, int]:
    """Return D^3 and c_2 D of the class sum_d n_d D_d, for integers n_d, (D,)."""
    i, j, k = (numbers.index[:, place] for place in range(3))
    orders = np.where((i < j) & (j < k), 6, np.where(i == k, 1, 3))
    bound = 6 * largest(numbers.value) * largest(classes) ** 3 * max(1, len(numbers.value))
    require_int64(bound, "cube of a class")
    cube = (orders * numbers.value * classes[i] * classes[j] * classes[k]).sum()
    return int(cube), int(numbers.c2 @ classes)


def is_diagonal_del_pezzo(numbers: IntersectionNumbers, rigid: BoolArray) -> BoolArray:
    """Return which divisors are diagonal del Pezzo surfaces, (D,) Boolean.

    Parameters
    ----------
    numbers
        Intersection numbers of the D divisors.
    rigid
        Whether each divisor is rigid, (D,).

    Notes
    -----
    A rigid divisor s with kappa_sss > 0 and kappa_sss kappa_sij = kappa_ssi kappa_ssj for all
    i, j: its volume is a perfect square of one curve volume (M. Cicoli, D. Ciupke,
    C. Mayrhofer, P. Shukla, arXiv:1801.05434).
    """
    index, value = numbers.index, numbers.value
    cubes = np.zeros(numbers.size, dtype=np.int64)
    cubes[index[index[:, 0] == index[:, 2], 0]] = value[index[:, 0] == index[:, 2]]
    result = np.zeros(numbers.size, dtype=bool)
    for s in np.flatnonzero(rigid & (cubes > 0)).tolist():
        rows = np.flatnonzero((index == s).any(axis=1))
        triples = index[rows].tolist()
        # The quadratic form kappa_sij by pairs i <= j; s is taken out of each triple once.
        form: dict[tuple[int, int], int] = {}
        for triple, number in zip(triples, value[rows].tolist(), strict=True):
            triple.remove(s)
            form[triple[0], triple[1]] = number
        line = {a + b - s: number for (a, b), number in form.items() if s in (a, b)}
        cube = line[s]
        touched = sorted({entry for pair in form for entry in pair})
        result[s] = all(
            cube * form.get((a, b), 0) == line.get(a, 0) * line.get(b, 0)
            for place, a in enumerate(touched)
            for b in touched[place:]
        )
    return result
