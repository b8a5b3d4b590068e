"""Check the topology of CICY threefolds by a second method, one matrix at a time.

Nothing here is shared with `vacuagym.geometry`. No polynomial is expanded. Integrals over the
ambient space are sums over the fixed points of a torus action with integer weights w:

    integral of F(J) over P^n = sum_i F(w_i) / prod_(j != i) (w_i - w_j),

for homogeneous F of the right degree (M. F. Atiyah and R. Bott, Topology 23 (1984) 1). Chern
classes are taken from the power series of the total class, and not from a closed formula. All
arithmetic is modulo the prime 2^31 - 1, at random weights and on a random divisor D. A wrong
entry of kappa or c2 then goes unseen with a probability of at most 2e-9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacuagym.checks.reflexive import TooLarge

Ints = NDArray[np.int64]

_PRIME = (1 << 31) - 1
_MOST_FIXED_POINTS = 1 << 19


@dataclass(frozen=True)
class CicyClaim:
    """What a table says about one threefold.

    Attributes
    ----------
    c2 : (m,) int64
        c2.J_i for each divisor.
    kappa_index : (N, 3) int64
        Triples i <= j <= k, counted from 0. All others have kappa_ijk = 0.
    kappa_value : (N,) int64
    euler : int
    """

    c2: Ints
    kappa_index: Ints
    kappa_value: Ints
    euler: int


def cicy_problems(matrix: Ints, claim: CicyClaim, seed: int = 0) -> list[str]:
    """Return what is wrong with a claim, one sentence for each quantity, or an empty list.

    Parameters
    ----------
    matrix : (m, K) int64
        Configuration matrix.
    claim : CicyClaim
    seed : int
        Seed of the random weights and of D.

    Returns
    -------
    list of str
    """
    generator = np.random.default_rng(seed)
    divisor = generator.integers(1, _PRIME, len(matrix))
    cubic, linear, euler = _integrals(matrix, divisor, generator)
    index, value = claim.kappa_index, claim.kappa_value
    cubes = np.zeros(len(matrix), dtype=np.int64)
    diagonal = (index[:, 0] == index[:, 1]) & (index[:, 1] == index[:, 2])
    cubes[index[diagonal, 0]] = value[diagonal]
    problems = []
    if len(np.unique(index, axis=0)) < len(index) or (np.diff(index, axis=1) < 0).any():
        problems.append("the triples of kappa are not distinct with i <= j <= k")
    if _cubic_form(index, value, divisor) != cubic:
        problems.append("kappa differs from the second computation")
    if int(_product(claim.c2 % _PRIME, divisor).sum() % _PRIME) != linear:
        problems.append("c2 differs from the second computation")
    if claim.euler % _PRIME != euler:
        problems.append("the Euler number differs from the second computation")
    # The Euler characteristic of the line bundle of J_i is an integer (Riemann and Roch).
    if ((2 * cubes + claim.c2) % 12).any():
        problems.append("2 kappa_iii + c2.J_i is not divisible by 12 for some i")
    return problems


def cicy_row_problems(content: Any, row: Mapping[str, Any], seed: int = 0) -> list[str]:
    """Return what is wrong with a row of a table of CICY threefolds, a sentence each.

    Parameters
    ----------
    content : list of lists of int, or None
        Configuration matrix.
    row : mapping
        The row.
    seed : int
        Seed of random weights and classes.

    Raises
    ------
    TooLarge
        If the second derivation would take too much memory.
    """
    blocks = _blocks(content)
    if row["problem"]:
        good = row["problem"] == "too large" or blocks == 0
        return [] if good else ["the matrix is a threefold"]
    if blocks == 0:
        return ["the matrix is no threefold"]
    matrix = np.array(content, dtype=np.int64)
    if math.prod(matrix.sum(axis=1).tolist()) > _MOST_FIXED_POINTS:
        raise TooLarge(f"more than {_MOST_FIXED_POINTS} fixed points")
    claim = CicyClaim(
        c2=np.array(row["c2"], dtype=np.int64),
        kappa_index=np.array(row["kappa_index"], dtype=np.int64).reshape(-1, 3),
        kappa_value=np.array(row["kappa_value"], dtype=np.int64),
        euler=row["euler"],
    )
    if len(claim.c2) != len(matrix):
        return ["c2 has another length than the matrix"]
    derived: dict[str, Any] = {"num_divisors": len(matrix), "product": blocks > 1}
    if row["h11"] is not None:
        derived["favourable"] = row["h11"] == len(matrix)
        derived["euler"] = 2 * (row["h11"] - row["h21"])
    return cicy_problems(matrix, claim, seed) + [
        f"{name} is {row[name]}, the second derivation gives {value}"
        for name, value in derived.items()
        if row[name] != value
    ]


def _blocks(content: Any) -> int:
    """Return the number of blocks of a CICY threefold's matrix, 0 for any other matrix."""
    if not content or any(not row or None in row or min(row) < 0 for row in content):
        return 0
    columns = list(zip(*content, strict=False))
    if len({len(row) for row in content}) > 1 or any(sum(row) < 2 for row in content):
        return 0
    blocks: list[tuple[set[int], set[int]]] = []  # rows and columns
    for place, column in enumerate(columns):
        rows = {row for row, degree in enumerate(column) if degree}
        joined = [block for block in blocks if block[0] & rows]
        blocks = [block for block in blocks if not block[0] & rows]
        blocks.append(
            (rows.union(*(own for own, _ in joined)), {place}.union(*(own for _, own in joined)))
        )
    dimensions = [
        sum(sum(content[row]) - 1 for row in rows) - len(places) for rows, places in blocks
    ]
    return len(blocks) if sum(dimensions) == 3 and min(dimensions) > 0 else 0


def _integrals(matrix: Ints, divisor: Ints, generator: np.random.Generator) -> tuple[int, int, int]:
    """Return D^3, c2.D and the Euler number of the threefold modulo the prime."""
    sizes = matrix.sum(axis=1)  # n_r + 1, and also the fixed points of factor r
    weights = [generator.choice(_PRIME, int(size), replace=False) for size in sizes]
    points = np.stack(np.meshgrid(*weights, indexing="ij")).reshape(len(sizes), -1)
    local = np.stack(np.meshgrid(*map(_residues, weights), indexing="ij"))
    measure = np.ones(points.shape[1], dtype=np.int64)
    for factor in local.reshape(len(sizes), -1):
        measure = _product(measure, factor)
    # Total Chern class 1 + c1 + c2 + c3 at each point, as a truncated power series.
    chern = np.zeros((4, points.shape[1]), dtype=np.int64)
    chern[0] = 1
    for column in matrix.T:
        root = _form(column, points)
        measure = _product(measure, root)
        for degree in range(1, 4):  # divide by 1 + root
            chern[degree] = (chern[degree] - _product(chern[degree - 1], root)) % _PRIME
    for size, root in zip(sizes.tolist(), points, strict=True):
        for _ in range(size):  # multiply by 1 + root
            chern[1:] = (chern[1:] + _product(chern[:-1], root)) % _PRIME
    value = _form(divisor, points)
    cube = _product(_product(value, value), value)
    integrands = np.stack([cube, _product(chern[2], value), chern[3]])
    cubic, linear, euler = (_product(integrands, measure).sum(axis=1) % _PRIME).tolist()
    return cubic, linear, euler


def _residues(weights: Ints) -> Ints:
    """Return 1 / prod_(j != i) (w_i - w_j) for each i, modulo the prime."""
    found = []
    for weight in weights.tolist():
        product = 1
        for other in weights.tolist():
            product = product * (weight - other) % _PRIME if other != weight else product
        found.append(pow(product, -1, _PRIME))
    return np.array(found, dtype=np.int64)


def _form(coefficients: Ints, points: Ints) -> Ints:
    """Return a linear form, (m,), at points (m, P), modulo the prime."""
    total: Ints = _product(coefficients[:, None] % _PRIME, points).sum(axis=0)
    return total % _PRIME


def _cubic_form(index: Ints, value: Ints, divisor: Ints) -> int:
    """Return kappa_ijk d_i d_j d_k, summed over all orders of each triple, modulo the prime."""
    total = 0
    for triple, kappa in zip(index.tolist(), value.tolist(), strict=True):
        i, j, k = divisor[triple].tolist()
        total += {1: 1, 2: 3, 3: 6}[len(set(triple))] * kappa * i * j * k
    return total % _PRIME


def _product(left: Ints, right: Ints) -> Ints:
    """Return the product modulo the prime of numbers below it, which int64 holds."""
    return left * right % _PRIME
