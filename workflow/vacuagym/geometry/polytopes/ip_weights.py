"""Enumerate weight systems of five weights whose Newton polytope has the origin inside.

The Newton polytope M is the hull of the exponents of all monomials of degree d = w_1 + ... + w_5,
moved so that x_1 ... x_5 is the origin. If the origin is inside, M is reflexive, so that each
weight system gives a Calabi-Yau threefold. M. Kreuzer and H. Skarke, arXiv:hep-th/0002240;
H. Skarke, arXiv:alg-geom/9603007.
"""

from __future__ import annotations

import numpy as np

from vacuagym.geometry.polytopes.integers import BoolArray, IntArray
from vacuagym.geometry.polytopes.interior_point import origin_is_inside
from vacuagym.geometry.polytopes.weight_counts import LARGEST_DEGREE, LEAST_DEGREE

# Candidates handled at once: their monomials take a few tens of megabytes.
_CHUNK = 1024


def ip_weight_systems(degree: int) -> IntArray:
    """Return all weight systems of a degree with the origin inside their Newton polytope.

    Parameters
    ----------
    degree
        From 5 to 100. Beyond, products of coordinates may leave the range of 64-bit integers.

    Returns
    -------
    ndarray
        Ascending weights (R, 5) without a common divisor, in lexicographic order.

    Raises
    ------
    ValueError
        If the degree is out of range.
    """
    if not LEAST_DEGREE <= degree <= LARGEST_DEGREE:
        raise ValueError(f"degree {degree}; it must lie in {LEAST_DEGREE}..{LARGEST_DEGREE}")
    weights = _candidates(degree)
    chunks = (weights[start : start + _CHUNK] for start in range(0, len(weights), _CHUNK))
    found = [chunk[_has_interior_point(chunk)] for chunk in chunks]
    return np.concatenate([np.empty((0, 5), dtype=np.int64), *found])


def _candidates(degree: int) -> IntArray:
    """Return all ascending weights (C, 5) of a degree that may have the property.

    They have no common divisor. None exceeds half the degree: its exponent in all monomials would
    be 0 or 1, and the origin would lie on a face.
    """
    weights = np.arange(1, degree // 5 + 1)[:, None]
    for missing in (4, 3, 2):
        least, most = weights[:, -1], (degree - weights.sum(axis=1)) // missing
        owner, step = _counted(np.maximum(most - least + 1, 0))
        weights = np.column_stack([weights[owner], least[owner] + step])
    weights = np.column_stack([weights, degree - weights.sum(axis=1)])
    small = 2 * weights[:, -1] <= degree
    found: IntArray = weights[small & (np.gcd.reduce(weights, axis=1) == 1)]
    return found


def _counted(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return the owner and the rank, from 0, of the items of owners with these counts."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _has_interior_point(weights: IntArray) -> BoolArray:
    """Return whether the origin is inside the Newton polytope of each row of (C, 5)."""
    exponents, owner = _exponents(weights)
    # The first coordinate follows from the others, and would have the largest numbers.
    return origin_is_inside(exponents - 1, np.bincount(owner, minlength=len(weights)))


def _exponents(weights: IntArray) -> tuple[IntArray, IntArray]:
    """Return the exponents of all monomials but that of the first weight, and their rows.

    Parameters
    ----------
    weights
        Ascending weights, (C, 5).

    Returns
    -------
    exponents : ndarray
        Exponents of the last four coordinates, (P, 4), grouped by rows.
    owner : ndarray
        The row of each monomial, (P,).
    """
    owner, left = np.arange(len(weights)), weights.sum(axis=1)
    exponents = np.zeros((len(weights), 0), dtype=np.int64)
    divisors = np.gcd.accumulate(weights, axis=1)
    for place in (4, 3, 2, 1):
        weight = weights[owner, place]
        parent, exponent = _counted(left // weight + 1)
        left = left[parent] - exponent * weight[parent]
        # The smaller weights must be able to make the rest of the degree.
        kept = np.flatnonzero(left % divisors[owner[parent], place - 1] == 0)
        parent, exponent, left = parent[kept], exponent[kept], left[kept]
        exponents = np.column_stack([exponent, exponents[parent]])
        owner = owner[parent]
    return exponents, owner
