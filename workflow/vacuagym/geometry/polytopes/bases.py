"""Integral bases of the classes of divisors of X, and the charges of all divisors."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from vacuagym.geometry.polytopes.divisors import ToricDivisors
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import (
    IntArray,
    determinants,
    hermite_transform,
    largest,
    multiply,
    require_int64,
)

# Points tried in fours if no simplex of the triangulation can be left out.
_MOST_POINTS_TRIED = 60


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
        rest = np.array(
            list(combinations(range(first + 1, min(len(points), _MOST_POINTS_TRIED)), 3))
        )
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
