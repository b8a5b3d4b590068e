"""Derive the KKLT label of one geometry a second time, in rational numbers from the definition.

This checks `vacuagym.theories.kklt` and imports nothing from it. Speed does not matter here. A
candidate is a vertex w of the polyhedron {w : Q_b w >= c_b for every rigid divisor b}, where Q are
the classes of the toric divisors in a basis of the divisor classes; v = Q w are the volumes.

Up to 8 moduli all n-subsets of the rigid divisors are solved with `fractions.Fraction`. Above that
the vertices are visited along the edges of the polyhedron, by exact pivots. This finds all of them,
because the edges of a polyhedron with a vertex connect its vertices (G. B. Dantzig; see
A. Schrijver, Theory of Linear and Integer Programming, chapter 11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import lcm

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

Vector = tuple[Fraction, ...]
Matrix = list[list[Fraction]]

# C(12, 8) = 495 subsets at most: about a second in fractions.
_MAX_MODULI_FOR_SUBSETS = 8


def label(points: ArrayLike, rigid: ArrayLike, coxeter: ArrayLike | None = None) -> str:
    """Return the label of a favourable geometry: no_span, no_point, boundary, point or failed.

    Parameters
    ----------
    points : (p, 4) integers
        Lattice points of the divisors.
    rigid : (p,) bool
        Which divisors are rigid.
    coxeter : (p,) integers, optional
        Dual Coxeter numbers, 1 by default.
    """
    return label_of(candidates(points, rigid, coxeter))


def label_of(found: Sequence[Vector] | None) -> str:
    """Return the label that the candidates of a geometry give; None if no span."""
    if found is None:
        return "no_span"
    if not found:
        return "failed"
    least = max(min(v) for v in found)
    return "point" if least > 0 else "boundary" if least == 0 else "no_point"


def candidates(
    points: ArrayLike, rigid: ArrayLike, coxeter: ArrayLike | None = None
) -> list[Vector] | None:
    """Return all candidates v, sorted, or None if the rigid divisors do not span.

    Each is a tuple of p fractions, the volumes of the divisors. Arguments as for `label`.
    """
    rows = [[int(x) for x in row] for row in np.asarray(points).tolist()]
    chosen = [bool(x) for x in np.asarray(rigid).tolist()]
    given = [1] * len(rows) if coxeter is None else np.asarray(coxeter).tolist()
    numbers = [int(c) if b else 0 for c, b in zip(given, chosen, strict=True)]
    classes = divisor_classes(rows)
    num_moduli = len(classes[0])
    if rank([classes[i] for i in range(len(rows)) if chosen[i]]) < num_moduli:
        return None
    if num_moduli <= _MAX_MODULI_FOR_SUBSETS:
        return sorted(_by_subsets(classes, chosen, numbers))
    return sorted(_by_pivots(rows, chosen, numbers))


def disagreements(
    points: ArrayLike,
    rigid: ArrayLike,
    row: Mapping[str, object],
    coxeter: ArrayLike | None = None,
) -> list[str]:
    """Return the differences from the label of one favourable geometry as texts, or no text.

    Parameters
    ----------
    points, rigid, coxeter
        As for `label`.
    row : mapping
        The columns `stability` (the name of the class), `num_candidates`, `num_positive`, `tight`,
        `v` (p integers or None) and `v_scale` of the geometry.
    """
    return differences_of(candidates(points, rigid, coxeter), rigid, row, coxeter)


def differences_of(
    found: Sequence[Vector] | None,
    rigid: ArrayLike,
    row: Mapping[str, object],
    coxeter: ArrayLike | None = None,
) -> list[str]:
    """Return what `disagreements` returns, from the candidates of a geometry."""
    positive = sorted(v for v in found or () if min(v) > 0)
    expected: dict[str, object] = {
        "stability": label_of(found),
        "num_candidates": len(found or ()),
        "num_positive": len(positive),
    }
    if positive:
        numbers = [1] * len(positive[0]) if coxeter is None else np.asarray(coxeter).tolist()
        chosen = np.asarray(rigid).tolist()
        expected["tight"] = sum(
            b and v == c for v, b, c in zip(positive[0], chosen, numbers, strict=True)
        )
        scale = lcm(*(x.denominator for x in positive[0]))
        expected["v_scale"] = scale
        expected["v"] = [int(x * scale) for x in positive[0]]
    return [
        f"{name}: {row[name]} in the row, {value} by the definition"
        for name, value in expected.items()
        if row[name] != value
    ]


def divisor_classes(points: Sequence[Sequence[int]]) -> Matrix:
    """Return Q, (p, n): a rational basis, in columns, of all v with sum_p v_p p = 0."""
    relations = kernel([[Fraction(point[i]) for point in points] for i in range(4)])
    return [list(own) for own in zip(*relations, strict=True)]


def rank(matrix: Matrix) -> int:
    """Return the rank of a rational matrix."""
    return len(_echelon(matrix)[1])


def solve(matrix: Matrix, right: Sequence[Fraction]) -> list[Fraction] | None:
    """Return the solution of a square rational system, or None if the matrix is singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    reduced, pivots = _echelon(rows)
    if pivots != list(range(len(matrix))):
        return None
    return [row[-1] for row in reduced]


def kernel(matrix: Matrix) -> list[Vector]:
    """Return a basis of the x with matrix x = 0."""
    reduced, pivots = _echelon(matrix)
    free = [j for j in range(len(matrix[0])) if j not in pivots]
    basis = []
    for j in free:
        x = [Fraction(int(i == j)) for i in range(len(matrix[0]))]
        for row, pivot in zip(reduced, pivots, strict=False):
            x[pivot] = -row[j]
        basis.append(tuple(x))
    return basis


def _echelon(matrix: Matrix) -> tuple[Matrix, list[int]]:
    """Return the reduced row echelon form and its pivot columns."""
    rows = [list(row) for row in matrix]
    pivots: list[int] = []
    for column in range(len(rows[0]) if rows else 0):
        top = len(pivots)
        pivot = next((i for i in range(top, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[top], rows[pivot] = rows[pivot], rows[top]
        scale = rows[top][column]
        rows[top] = [x / scale for x in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column]:
                factor = row[column]
                rows[i] = [x - factor * y for x, y in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return rows, pivots


def _by_subsets(classes: Matrix, rigid: list[bool], coxeter: list[int]) -> set[Vector]:
    """Return the candidates from all n-subsets of the rigid divisors."""
    found = set()
    members = [i for i, one in enumerate(rigid) if one]
    for subset in combinations(members, len(classes[0])):
        right = [Fraction(coxeter[i]) for i in subset]
        w = solve([classes[i] for i in subset], right)
        if w is None:
            continue
        v = tuple(sum(q * x for q, x in zip(row, w, strict=True)) for row in classes)
        if all(v[b] >= coxeter[b] for b in members):
            found.add(tuple(Fraction(x) for x in v))
    return found


def _by_pivots(points: list[list[int]], rigid: list[bool], coxeter: list[int]) -> set[Vector]:
    """Return the candidates reached by exact pivots from one that linear programming proposes.

    The unknowns are x >= 0 on rigid points and free x on the others, with sum_p x_p p = -s.
    """
    right = [
        -Fraction(sum(c * point[i] for c, point in zip(coxeter, points, strict=True)))
        for i in range(4)
    ]
    free = [i for i, one in enumerate(rigid) if not one]
    start = _feasible_basis(points, rigid, right)
    if start is None:
        return set()
    found, todo, seen = set(), [start], {start}
    while todo:
        basis = todo.pop()
        columns = [[Fraction(points[j][i]) for j in basis] for i in range(4)]
        x = solve(columns, right)
        assert x is not None
        volumes = [Fraction(c) for c in coxeter]
        for j, value in zip(basis, x, strict=True):
            volumes[j] += value
        found.add(tuple(volumes))
        for entering in set(range(len(points))) - set(basis):
            step = solve(columns, [Fraction(a) for a in points[entering]])
            assert step is not None
            ratios = {
                j: value / change
                for j, value, change in zip(basis, x, step, strict=True)
                if j not in free and change > 0
            }
            for leaving, ratio in ratios.items():
                if ratio == min(ratios.values()):
                    new = tuple(sorted({*basis, entering} - {leaving}))
                    if new not in seen:
                        seen.add(new)
                        todo.append(new)
    return found


def _feasible_basis(
    points: list[list[int]], rigid: list[bool], right: list[Fraction]
) -> tuple[int, ...] | None:
    """Return four points, all non-rigid ones among them, whose solution has x >= 0 where rigid."""
    bounds = [(0, None) if one else (None, None) for one in rigid]
    matrix = np.array(points, dtype=float).T
    cost = np.array(rigid, dtype=float)
    proposal = linprog(cost, A_eq=matrix, b_eq=np.array(right, dtype=float), bounds=bounds)
    order = list(range(len(points)))
    if proposal.status == 0:
        order.sort(key=lambda i: (rigid[i], -proposal.x[i]))
    free = [i for i in order if not rigid[i]]
    for subset in combinations([i for i in order if rigid[i]], 4 - len(free)):
        basis = tuple(sorted([*free, *subset]))
        x = solve([[Fraction(points[j][i]) for j in basis] for i in range(4)], right)
        if x is not None and all(
            value >= 0 or not rigid[j] for j, value in zip(basis, x, strict=True)
        ):
            return basis
    return None
