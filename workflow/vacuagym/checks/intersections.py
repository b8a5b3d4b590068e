"""Check intersection numbers, Chern numbers and cones of a Calabi-Yau hypersurface.

Nothing here is shared with `vacuagym.geometry`, and no triangulation is made. The checks are
identities that true numbers obey, at random classes: modulo the prime 2^31 - 1, or modulo 12 for
the theorem of Riemann and Roch. X is anticanonical, so its Chern class is
prod_D (1 + D) / (1 + K), with K the sum of all toric divisors D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_PRIME = (1 << 31) - 1
_ROUNDING = 1e-6  # of volumes of curves at the Kaehler point
_CLASSES = 3  # random classes for each identity


@dataclass(frozen=True)
class Claim:
    """What a table says about one threefold; P points, D divisors (components of points).

    Attributes
    ----------
    points : (P, 4) int64
    copies, h1, h2 : (P,) int64
    charges : (h11, D) int64
    basis : (h11,) int64
    c2 : (D,) int64
    index : (N, 3) int64
    value : (N,) int64
    mori : (R, P) int64
    kaehler_point : (h11,) float64
    diagonal_dp : (D,) bool
    euler : int
    """

    points: Ints
    copies: Ints
    h1: Ints
    h2: Ints
    charges: Ints
    basis: Ints
    c2: Ints
    index: Ints
    value: Ints
    mori: Ints
    kaehler_point: NDArray[np.float64]
    diagonal_dp: NDArray[np.bool_]
    euler: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the claim of a row of a table of threefolds."""
        points = np.array(row["points"], dtype=np.int64)

        def table(name: str, width: int) -> Ints:
            return np.array(row[name], dtype=np.int64).reshape(-1, width)

        copies = np.array(row["copies"], dtype=np.int64)
        return cls(
            points=points,
            copies=copies,
            h1=np.array(row["divisor_h1"], dtype=np.int64),
            h2=np.array(row["divisor_h2"], dtype=np.int64),
            charges=table("charges", int(copies.sum())),
            basis=np.array(row["basis"], dtype=np.int64),
            c2=np.array(row["c2"], dtype=np.int64),
            index=table("kappa_index", 3),
            value=np.array(row["kappa_value"], dtype=np.int64),
            mori=table("mori", len(points)),
            kaehler_point=np.array(row["kaehler_point"], dtype=np.float64),
            diagonal_dp=np.array(row["diagonal_dp"], dtype=np.bool_),
            euler=int(row["euler"]),
        )


def intersection_problems(claim: Claim, points_m: int, seed: int = 0) -> list[str]:
    """Return what is wrong with a claim, a sentence each, or an empty list.

    Parameters
    ----------
    claim : Claim
        Its points, copies, h1 and h2 are known to be right.
    points_m : int
        Number of lattice points of M, which are the sections of the anticanonical class.
    seed : int
        Seed of the random classes.
    """
    shape = (len(claim.basis), int(claim.copies.sum()))
    sizes = [claim.charges.shape == shape, len(claim.kaehler_point) == shape[0]]
    sizes += [len(claim.c2) == shape[1], len(claim.diagonal_dp) == shape[1]]
    sizes += [0 <= min(claim.basis) <= max(claim.basis) < shape[1]]
    if not all(sizes) or shape[0] != shape[1] - 4:
        return ["the lists have wrong lengths"]
    if len(claim.index) and not (
        (np.diff(claim.index, axis=1) >= 0).all()
        and len(np.unique(claim.index, axis=0)) == len(claim.index)
        and 0 <= claim.index.min() <= claim.index.max() < shape[1]
    ):
        return ["kappa_index: the triples are not distinct with i <= j <= k"]
    owner = np.repeat(np.arange(len(claim.points)), claim.copies)
    problems = []
    if (claim.charges @ claim.points[owner]).any() or (
        claim.charges[:, claim.basis] != np.eye(shape[0], dtype=np.int64)
    ).any():
        return ["charges: they are not the classes of the divisors in the basis"]
    form = _Form(claim.index, claim.value)
    random = np.random.default_rng(seed)
    problems += _linear_problems(claim, form, random)
    problems += _chern_problems(claim, form, points_m)
    problems += _riemann_roch_problems(claim, form, owner, random)
    problems += _cone_problems(claim, form, owner)
    problems += _del_pezzo_problems(claim, owner)
    return problems


class _Form:
    """The trilinear form kappa on vectors (D,) of coefficients of divisors."""

    def __init__(self, index: Ints, value: Ints) -> None:
        orders = np.array(sorted(set(permutations(range(3)))))
        every = np.column_stack([index[:, orders].reshape(-1, 3), np.repeat(value, 6)])
        distinct = np.unique(every, axis=0)
        self.index, self.value = distinct[:, :3], distinct[:, 3]

    def modulo(self, modulus: int, x: Ints, y: Ints, z: Ints) -> int:
        """Return kappa(x, y, z) modulo a number below 2^31."""
        terms = self.value % modulus
        for place, vector in enumerate((x, y, z)):
            terms = terms * (vector % modulus)[self.index[:, place]] % modulus
        return int(terms.sum() % modulus)

    def quadratic(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the matrix kappa_ijk t_k, (D, D)."""
        matrix = np.zeros((len(t), len(t)))
        i, j, k = self.index.T
        np.add.at(matrix, (i, j), self.value * t[k])
        return matrix


def _lift(claim: Claim, classes: Ints) -> Ints:
    """Return coefficients of divisors, (D,), of a class in the basis, (h11,)."""
    lifted = np.zeros(claim.charges.shape[1], dtype=np.int64)
    lifted[claim.basis] = classes
    return lifted


def _class_of(claim: Claim, vector: Ints, modulus: int) -> Ints:
    """Return the class of a vector of coefficients, (h11,), modulo a number below 2^31."""
    reduced: Ints = ((claim.charges % modulus) * (vector % modulus) % modulus).sum(axis=1)
    return reduced % modulus


def _linear_problems(claim: Claim, form: _Form, random: np.random.Generator) -> list[str]:
    """Check that equal classes have equal numbers, at random vectors."""
    problems = set()
    for _ in range(_CLASSES):
        x, y, z = random.integers(0, _PRIME, (3, claim.charges.shape[1]))
        same = [_lift(claim, _class_of(claim, vector, _PRIME)) for vector in (x, y, z)]
        if form.modulo(_PRIME, x, y, z) != form.modulo(_PRIME, *same):
            problems.add("kappa: linearly equivalent divisors have different numbers")
        if _c2(claim, x, _PRIME) != _c2(claim, same[0], _PRIME):
            problems.add("c2: linearly equivalent divisors have different numbers")
    return sorted(problems)


def _c2(claim: Claim, vector: Ints, modulus: int) -> int:
    """Return c2.D modulo a number below 2^31."""
    return int(((claim.c2 % modulus) * (vector % modulus) % modulus).sum() % modulus)


def _chern_problems(claim: Claim, form: _Form, points_m: int) -> list[str]:
    """Check c2 and the Euler number from the Chern class, and the sections of K."""
    count = claim.charges.shape[1]
    unit, whole = np.eye(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    third = sum(form.modulo(_PRIME, one, one, one) for one in unit)
    cube = form.modulo(_PRIME, whole, whole, whole)
    problems = []
    if (third - cube - 3 * claim.euler) % _PRIME:
        problems.append("the integral of c3 is not the Euler number")
    test = np.arange(1, count + 1)  # one generic divisor
    squares = sum(form.modulo(_PRIME, one, one, test) for one in unit)
    if (form.modulo(_PRIME, whole, whole, test) - squares - 2 * _c2(claim, test, _PRIME)) % _PRIME:
        problems.append("c2 is not the second Chern class")
    if (2 * cube + _c2(claim, whole, _PRIME) - 12 * (points_m - 1)) % _PRIME:
        problems.append("Riemann and Roch do not give the number of points of M")
    return problems


def _riemann_roch_problems(
    claim: Claim, form: _Form, owner: Ints, random: np.random.Generator
) -> list[str]:
    """Check that 2 D^3 + c2.D is 12 chi(O_D), and divisible by 12 in a random unimodular basis."""
    problems = []
    count = claim.charges.shape[1]
    expected = 12 * (1 - claim.h1 + claim.h2)[owner]
    cubes = np.zeros(count, dtype=np.int64)
    alike = (claim.index == claim.index[:, :1]).all(axis=1)
    cubes[claim.index[alike, 0]] = claim.value[alike]
    if (2 * cubes + claim.c2 != expected).any():
        problems.append("2 D^3 + c2.D is not 12 (1 - h1 + h2) for some divisor D")
    basis = _unimodular(claim.charges.shape[0], random)
    for number, row in enumerate(basis):
        for other in (np.zeros_like(row), basis[number - 1]):
            vector = _lift(claim, row + other)
            if (2 * form.modulo(12, vector, vector, vector) + _c2(claim, vector, 12)) % 12:
                problems.append("2 D^3 + c2.D is not divisible by 12 in another basis")
                return problems
    return problems


def _unimodular(size: int, random: np.random.Generator) -> Ints:
    """Return a random unimodular matrix: unit triangular ones, multiplied modulo 12."""
    lower = np.tril(random.integers(0, 12, (size, size)), -1) + np.eye(size, dtype=np.int64)
    upper = np.triu(random.integers(0, 12, (size, size)), 1) + np.eye(size, dtype=np.int64)
    product: Ints = lower @ upper % 12
    return product


def _cone_problems(claim: Claim, form: _Form, owner: Ints) -> list[str]:
    """Check the Mori rows and the Kaehler point, whose signature is (1, h11 - 1)."""
    if (claim.mori @ claim.points).any():
        return ["mori: a row is no relation of the points"]
    t = np.zeros(claim.charges.shape[1])
    t[claim.basis] = claim.kaehler_point
    of_points = t[np.cumsum(claim.copies) - claim.copies]
    if (of_points[owner] != t).any():
        return ["kaehler_point: components of one point differ"]
    volumes = claim.mori @ of_points
    if (volumes < 1 - _ROUNDING * max(1.0, np.abs(t).max())).any():
        return ["kaehler_point: a curve of mori has a volume below 1"]
    matrix = form.quadratic(t)[np.ix_(claim.basis, claim.basis)]
    scale = np.sqrt(np.abs(np.diag(matrix)) + np.abs(matrix).max(axis=1))
    values = np.linalg.eigvalsh(matrix / np.outer(scale, scale))
    limit = 1e-9 * np.abs(values).max()
    if (values > limit).sum() != 1 or t @ form.quadratic(t) @ t <= 0:
        return ["kaehler_point: the signature of kappa there is not (1, h11 - 1)"]
    return []


def _del_pezzo_problems(claim: Claim, owner: Ints) -> list[str]:
    """Check which rigid divisors s have kappa_sss > 0 and kappa_sss kappa_sij = k_ssi k_ssj."""
    rigid = ((claim.h1 == 0) & (claim.h2 == 0))[owner]
    for s in range(len(owner)):
        matrix = np.zeros((len(owner), len(owner)), dtype=np.int64)
        for triple, value in zip(claim.index, claim.value, strict=True):
            rest = triple.tolist()
            if s in rest:
                rest.remove(s)
                matrix[rest[0], rest[1]] = matrix[rest[1], rest[0]] = value
        cube = matrix[s, s]
        diagonal = cube > 0 and (cube * matrix == np.outer(matrix[s], matrix[s])).all()
        if bool(rigid[s] and diagonal) != bool(claim.diagonal_dp[s]):
            return ["diagonal_dp: a divisor is flagged wrongly"]
    return []


def rank(rows: list[list[int]]) -> int:
    """Return the rank of integer vectors, by elimination without fractions."""
    reduced: list[tuple[int, list[int]]] = []
    for vector in rows:
        row = list(vector)
        for pivot, known in reduced:
            row = [known[pivot] * a - row[pivot] * b for a, b in zip(row, known, strict=True)]
        if any(row):
            reduced.append((next(i for i, x in enumerate(row) if x), row))
    return len(reduced)
