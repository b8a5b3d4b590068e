"""Derive a reflexive polytope, its dual and the lattice points of both a second time.

Nothing here is shared with `vacuagym.geometry`, and no floating-point number occurs. Facets come
from the double description method (T. S. Motzkin et al., 1953; K. Fukuda and A. Prodon, LNCS 1120
(1996) 91) in Python integers. Lattice points come from a box: four lattice points of the dual
polytope take integer values on them between known bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Vector = tuple[int, ...]

_MOST_MONOMIALS = 20_000
_BOX = 1 << 18  # points of a box looked at in one step
_MOST_BOX = 1 << 28


class NoThreefold(Exception):
    """The input describes no Calabi-Yau threefold; the message says why."""


class TooLarge(Exception):
    """The second derivation would take too long."""


@dataclass(frozen=True)
class Pair:
    """A reflexive polytope M and its dual N, in dual bases; all arrays (., 4)."""

    points_m: Ints
    vertices_m: Ints
    points_n: Ints
    vertices_n: Ints

    def swapped(self) -> Pair:
        """Return the pair with M and N exchanged."""
        return Pair(self.points_n, self.vertices_n, self.points_m, self.vertices_m)


def pair_of_weights(numbers: Sequence[int]) -> Pair:
    """Return the pair of a weight system, given as blocks d, w_1, ..., w_n in one list.

    Raises
    ------
    NoThreefold
        If it is no weight system, or its Newton polytope is not reflexive.
    TooLarge
        If it has far more monomials than a reflexive polytope has points.
    """
    counts = [k for k in range(1, 10) if k * (k + 5) == len(numbers)]
    if not counts or min(numbers) < 0:
        raise NoThreefold("no weight system")
    width = counts[0] + 5
    blocks = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    if any(block[0] != sum(block[1:]) or not block[0] for block in blocks):
        raise NoThreefold("no weight system")
    weights = [list(block[1:]) for block in blocks]
    if not all(any(column) for column in zip(*weights, strict=True)):
        raise NoThreefold("no weight system")
    basis, pivots = _kernel(weights)
    points = []
    for monomial in _monomials(weights, [block[0] for block in blocks]):
        points.append(_coordinates([power - 1 for power in monomial], basis, pivots))
        if len(points) > _MOST_MONOMIALS:
            raise TooLarge(f"more than {_MOST_MONOMIALS} monomials")
    return _pair(points, complete=True)


def pair_of_vertices(vertices: Sequence[Sequence[int]]) -> Pair:
    """Return the pair whose M is the hull of lattice points with 4 coordinates.

    Raises
    ------
    NoThreefold
        If they are no such points, or their hull is not reflexive.
    """
    if any(
        len(point) != 4 or any(entry is None or entry != int(entry) for entry in point)
        for point in vertices
    ):
        raise NoThreefold("no list of vertices")
    return _pair(sorted({tuple(int(entry) for entry in point) for point in vertices}), False)


def _monomials(weights: list[list[int]], degrees: list[int]) -> Iterator[Vector]:
    """Yield all exponents x >= 0 with weights . x = degrees."""
    columns = list(zip(*weights, strict=True))
    order = sorted(range(len(columns)), key=lambda place: -sum(columns[place]))
    powers = [0] * len(columns)

    def fill(depth: int, left: tuple[int, ...]) -> Iterator[Vector]:
        column = columns[order[depth]]
        most = min(rest // weight for rest, weight in zip(left, column, strict=True) if weight)
        last = depth == len(order) - 1
        for power in range(most if last else 0, most + 1):
            rest = tuple(r - power * weight for r, weight in zip(left, column, strict=True))
            powers[order[depth]] = power
            if not last:
                yield from fill(depth + 1, rest)
            elif not any(rest):
                yield tuple(powers)

    return fill(0, tuple(degrees))


def _kernel(weights: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Return a Z-basis of the integer x with weights . x = 0, in echelon form, and its pivots."""
    size = len(weights[0])
    rows = [
        [*(weights[k][i] for k in range(len(weights))), *(int(i == j) for j in range(size))]
        for i in range(size)
    ]
    pivots = _echelon(rows)
    start = sum(pivot < len(weights) for pivot in pivots)
    kernel = [row[len(weights) :] for row in rows[start:]]
    if len(kernel) != 4:
        raise NoThreefold("no weight system")
    return kernel, [pivot - len(weights) for pivot in pivots[start:]]


def _echelon(rows: list[list[int]]) -> list[int]:
    """Bring integer rows into echelon form in place, by Euclid's algorithm; return the pivots."""
    pivots: list[int] = []
    for column in range(len(rows[0]) if rows else 0):
        top = len(pivots)
        while len(live := [row for row in range(top, len(rows)) if rows[row][column]]) > 1:
            least = min(live, key=lambda row: abs(rows[row][column]))
            for row in live:
                if row != least:
                    factor = rows[row][column] // rows[least][column]
                    rows[row] = [
                        a - factor * b for a, b in zip(rows[row], rows[least], strict=True)
                    ]
        if live:
            rows[top], rows[live[0]] = rows[live[0]], rows[top]
            pivots.append(column)
        if len(pivots) == len(rows):
            break
    return pivots


def _coordinates(vector: list[int], basis: list[list[int]], pivots: list[int]) -> Vector:
    """Return a lattice vector in an echelon basis."""
    found = []
    for row, pivot in zip(basis, pivots, strict=True):
        factor, rest = divmod(vector[pivot], row[pivot])
        assert rest == 0
        vector = [a - factor * b for a, b in zip(vector, row, strict=True)]
        found.append(factor)
    return tuple(found)


def _pair(points: Sequence[Vector], complete: bool) -> Pair:
    """Return the pair of the hull M of points; `complete` if these are all its points."""
    facets, vertices = hull(points)
    if any(facet[4] <= 0 for facet in facets):
        raise NoThreefold("the origin is not inside")
    if any(facet[4] != 1 for facet in facets):
        raise NoThreefold("not reflexive")
    normals, corners = _array([facet[:4] for facet in facets]), _array(vertices)
    points_m = _array(points) if complete else _lattice_points(corners, normals, normals)
    return Pair(points_m, corners, _lattice_points(normals, corners, points_m), normals)


def _array(rows: Sequence[Sequence[int]]) -> Ints:
    """Return integers below 2^30 as an array: then a sum of products fits 64 bits."""
    array = np.array(rows, dtype=object)
    if largest(array) >= 1 << 30:
        raise TooLarge("coordinates beyond 30 bits")
    return array.astype(np.int64)


def largest(array: NDArray[Any]) -> int:
    """Return the largest absolute value of integers, as a Python integer."""
    return int(max(map(abs, array.ravel().tolist()), default=0))


def hull(points: Sequence[Vector]) -> tuple[list[Vector], list[Vector]]:
    """Return facets and vertices of the hull of distinct lattice points in four dimensions.

    Returns
    -------
    facets
        Primitive (a, b), five integers each: a . p + b >= 0 for all points p.
    vertices

    Raises
    ------
    NoThreefold
        If the hull has a dimension below 4.
    """
    ordered = sorted(points, key=lambda point: (-sum(x * x for x in point), point))
    lifted = [(*point, 1) for point in ordered]
    start = _independent(lifted)
    facets: dict[Vector, int] = {}  # with the points on each, as bits
    for left_out in start:
        others = [lifted[place] for place in start if place != left_out]
        normal = _orthogonal(others)
        sign = 1 if _dot(normal, lifted[left_out]) > 0 else -1
        facets[tuple(sign * x for x in normal)] = sum(
            1 << place for place in start if place != left_out
        )
    for place, point in enumerate(lifted):
        if place not in start:
            _add(facets, point, 1 << place)
    common = dict.fromkeys(range(len(ordered)), -1)
    for on_facet in facets.values():
        for place in _bits(on_facet):
            common[place] &= on_facet
    vertices = [ordered[place] for place in common if common[place] == 1 << place]
    return list(facets), vertices


def _add(facets: dict[Vector, int], point: Vector, bit: int) -> None:
    """Replace the facets of a hull by those of its hull with one more point."""
    values = {facet: _dot(facet, point) for facet in facets}
    behind = [facet for facet, value in values.items() if value < 0]
    for facet, value in values.items():
        if value == 0:
            facets[facet] |= bit
    if not behind:
        return
    created: dict[Vector, int] = {}
    for facet, value in values.items():
        for other in behind if value > 0 else ():
            shared = facets[facet] & facets[other]
            # Both are adjacent if no third facet has all points that they share.
            if shared.bit_count() >= 3 and (
                sum(shared & ~on_facet == 0 for on_facet in facets.values()) == 2
            ):
                mixed = [value * b - values[other] * a for a, b in zip(facet, other, strict=True)]
                created[_primitive(mixed)] = shared | bit
    for facet in behind:
        del facets[facet]
    facets.update(created)


def _independent(vectors: Sequence[Vector]) -> list[int]:
    """Return the places of the first five linearly independent vectors of five entries."""
    reduced: list[list[int]] = []
    chosen = []
    for place, vector in enumerate(vectors):
        row = list(vector)
        for known in reduced:
            pivot = next(i for i, x in enumerate(known) if x)
            row = [known[pivot] * a - row[pivot] * b for a, b in zip(row, known, strict=True)]
        if any(row):
            reduced.append(list(_primitive(row)))
            chosen.append(place)
            if len(chosen) == 5:
                return chosen
    raise NoThreefold("the points span no four-dimensional polytope")


def _orthogonal(vectors: Sequence[Vector]) -> Vector:
    """Return the primitive vector, up to its sign, that is orthogonal to four of five entries."""
    minors = [(-1) ** i * _determinant([[*v[:i], *v[i + 1 :]] for v in vectors]) for i in range(5)]
    return _primitive(minors)


def _determinant(rows: Sequence[Sequence[int]]) -> int:
    """Return a determinant by expansion along the first row."""
    if len(rows) == 1:
        return rows[0][0]
    return sum(
        (-1) ** i * entry * _determinant([[*row[:i], *row[i + 1 :]] for row in rows[1:]])
        for i, entry in enumerate(rows[0])
        if entry
    )


def _primitive(vector: Sequence[int]) -> Vector:
    divisor = math.gcd(*vector)
    return tuple(entry // divisor for entry in vector)


def _dot(left: Vector, right: Vector) -> int:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _bits(number: int) -> Iterator[int]:
    """Yield the places of the bits that are set."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _lattice_points(vertices: Ints, normals: Ints, functionals: Ints) -> Ints:
    """Return the points p with <n, p> >= -1 for all normals n of a polytope with these vertices.

    Four independent functionals of the narrowest range over the vertices make a box.
    """
    values = vertices @ functionals.T
    low, high = values.min(axis=0), values.max(axis=0)
    chosen: list[list[int]] = []
    places: list[int] = []
    for place in np.argsort(high - low, kind="stable").tolist():
        row = functionals[place].tolist()
        if any(row) and _rank([*chosen, row]) > len(chosen):
            chosen.append(row)
            places.append(place)
        if len(chosen) == 4:
            break
    determinant = _determinant(chosen)
    adjugate = _array(_adjugate(chosen))
    sizes = [int(high[place] - low[place] + 1) for place in places]
    if math.prod(sizes) > _MOST_BOX:
        raise TooLarge(f"a box of {sizes} lattice points")
    size = 4 * largest(adjugate) * max(largest(low[places]), largest(high[places]))
    if 4 * size * largest(normals) >= 1 << 63:
        raise TooLarge("coordinates beyond 64 bits")
    found = []
    for start in range(0, math.prod(sizes), _BOX):
        number = np.arange(start, min(start + _BOX, math.prod(sizes)))
        box = np.stack(np.unravel_index(number, sizes), axis=1) + low[places]
        scaled = box @ adjugate.T
        whole = scaled[(scaled % determinant == 0).all(axis=1)] // determinant
        found.append(whole[(whole @ normals.T >= -1).all(axis=1)])
    return np.concatenate(found)


def _rank(rows: list[list[int]]) -> int:
    return len(_echelon([list(row) for row in rows]))


def _adjugate(matrix: list[list[int]]) -> list[list[int]]:
    """Return the adjugate: its product with the matrix is the determinant."""
    size = range(len(matrix))
    return [
        [
            (-1) ** (i + j)
            * _determinant([[*r[:i], *r[i + 1 :]] for k, r in enumerate(matrix) if k != j])
            for j in size
        ]
        for i in size
    ]
