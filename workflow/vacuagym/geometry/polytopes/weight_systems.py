"""Weight systems of Calabi-Yau hypersurfaces and the lattice points of their Newton polytopes.

A weight system is one or more blocks (d, w_1, ..., w_n), all with the same n. With k blocks,
n - k = 4. Each block grades the coordinates of the ambient space; a monomial x^a is allowed if
its degree is d in every block. M. Kreuzer and H. Skarke, arXiv:hep-th/0002240.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vacuagym.geometry.polytopes.errors import (
    CoordinateRangeError,
    DimensionError,
    WeightSystemError,
)
from vacuagym.geometry.polytopes.integers import IntArray, hermite_transform, largest, to_int64

DIMENSION = 4
_MOST_BLOCKS = 4
# The largest degree of a single reflexive weight system is 3,486 (arXiv:hep-th/0002240).
_LARGEST_DEGREE = 1 << 20
# Partial monomials kept at once. Reflexive polytopes in four dimensions have at most 680 points.
_MOST_PARTIAL_MONOMIALS = 1_000_000


@dataclass(frozen=True)
class WeightSystem:
    """k gradings of n = k + 4 coordinates: `degrees` (k,) and `weights` (k, n), both int64."""

    degrees: IntArray
    weights: IntArray


def parse_weight_system(source: str | Iterable[int]) -> WeightSystem:
    """Read a weight system from text or from a list of integers.

    Parameters
    ----------
    source
        Blocks 'd w_1 ... w_n', one after the other, in one list.

    Returns
    -------
    WeightSystem
        The number of blocks k follows from the number of integers, k (k + 5).

    Raises
    ------
    WeightSystemError
        If the entries are no integers, their number fits no k, a weight is negative, a degree is
        not the sum of its weights, or a coordinate has no weight at all.
    """
    entries = source.split() if isinstance(source, str) else list(source)
    try:
        numbers = [_integer(entry) for entry in entries]
    except (TypeError, ValueError):
        raise WeightSystemError(
            f"weight system {_shown(entries)}: not all entries are integers; "
            "write it as 'd w1 ... wn', all integers"
        ) from None
    blocks = next((k for k in range(1, _MOST_BLOCKS + 1) if k * (k + 5) == len(numbers)), 0)
    if blocks == 0:
        raise WeightSystemError(
            f"weight system {_shown(entries)}: {len(numbers)} integers; 6, 14, 24 or 36 are "
            "required for 1, 2, 3 or 4 blocks of a threefold; check that no number is missing"
        )
    if min(numbers) < 0 or max(numbers) > _LARGEST_DEGREE:
        raise WeightSystemError(
            f"weight system {_shown(entries)}: an entry is outside 0..{_LARGEST_DEGREE}; "
            "weights and degrees must lie in this range; correct the entry"
        )
    table = np.array(numbers, dtype=np.int64).reshape(blocks, -1)
    system = WeightSystem(table[:, 0], table[:, 1:])
    if (system.weights.sum(axis=1) != system.degrees).any() or not system.degrees.all():
        raise WeightSystemError(
            f"weight system {_shown(entries)}: a degree is not the sum of its weights; "
            "for a Calabi-Yau hypersurface it must be; check the order 'd w1 ... wn'"
        )
    if not system.weights.any(axis=0).all():
        raise WeightSystemError(
            f"weight system {_shown(entries)}: a coordinate has weight 0 in every block; "
            "each coordinate needs a positive weight; check the columns of the blocks"
        )
    return system


def _integer(entry: object) -> int:
    """Return an integer entry; a fraction or a flag raises `ValueError`."""
    if isinstance(entry, str):
        return int(entry)
    if isinstance(entry, bool) or not isinstance(entry, int | np.integer):
        raise ValueError(entry)
    return int(entry)


def _shown(entries: list[int] | list[str]) -> str:
    """Return the entries for a message, cut after 120 characters."""
    text = " ".join(str(entry) for entry in entries)
    return repr(text if len(text) <= 120 else text[:117] + "...")


def monomials(system: WeightSystem) -> IntArray:
    """Return the exponents of all monomials of the right degrees.

    Parameters
    ----------
    system
        The gradings.

    Returns
    -------
    ndarray
        Exponents (P, n) >= 0 with weights @ exponents = degrees.

    Notes
    -----
    Coordinates are filled in the order of descending weight. A partial monomial is dropped when
    the gcd of the remaining weights does not divide the remaining degree.
    """
    order = np.argsort(-system.weights.sum(axis=0), kind="stable")
    weights = system.weights[:, order]
    exponents = np.zeros((1, 0), dtype=np.int64)
    remaining = system.degrees[None].copy()
    for place in range(weights.shape[1]):
        weight, later = weights[:, place], weights[:, place + 1 :]
        carried = weight > 0
        most = (remaining[:, carried] // weight[carried]).min(axis=1)
        if int((most + 1).sum()) > _MOST_PARTIAL_MONOMIALS:
            raise CoordinateRangeError(
                f"weight system of degrees {system.degrees.tolist()}: more than "
                f"{_MOST_PARTIAL_MONOMIALS} partial monomials; a reflexive polytope has at most "
                "680 points; check the weights"
            )
        owner = np.repeat(np.arange(len(most)), most + 1)
        exponent = np.arange(len(owner)) - np.repeat(np.cumsum(most + 1) - most - 1, most + 1)
        remaining = remaining[owner] - exponent[:, None] * weight
        # The gcd of no weights at all is 0: then nothing may remain.
        divisor = np.gcd.reduce(later, axis=1)
        kept = np.where(divisor == 0, remaining, remaining % np.maximum(divisor, 1)) == 0
        rows = np.flatnonzero(kept.all(axis=1))
        exponents = np.column_stack([exponents[owner[rows]], exponent[rows]])
        remaining = remaining[rows]
    return exponents[:, np.argsort(order)]


def kernel_basis(weights: IntArray) -> IntArray:
    """Return a Z-basis (n - k, n) of the integer vectors x with weights @ x = 0.

    Raises
    ------
    WeightSystemError
        If the k blocks are linearly dependent.
    """
    blocks, size = weights.shape
    transform, rank = hermite_transform(weights.tolist(), size)
    if rank != blocks:
        raise WeightSystemError(
            f"weight system: {blocks} blocks of rank {rank}; the blocks must be linearly "
            "independent; leave out the redundant block"
        )
    return to_int64(transform[rank:], "kernel of the weights")


def newton_points(system: WeightSystem) -> IntArray:
    """Return the lattice points (P, 4) of the Newton polytope M in some basis of its lattice.

    The monomial x_1 ... x_n, which has the right degrees, is the origin.

    Raises
    ------
    DimensionError
        If the monomials are too few for a polytope in four dimensions.
    CoordinateRangeError
        If the computation might not be exact.
    """
    shifted = monomials(system) - 1
    if len(shifted) <= DIMENSION:
        raise DimensionError(
            f"weight system of degrees {system.degrees.tolist()}: {len(shifted)} monomials; "
            "a polytope around the origin needs at least 6; check the weights"
        )
    basis = kernel_basis(system.weights)
    solution = np.linalg.lstsq(basis.T.astype(float), shifted.T.astype(float), rcond=None)[0]
    points: IntArray = np.rint(solution).astype(np.int64).T
    # Below these bounds the rounding errors and the products are harmless; the check is exact.
    if largest(points) * largest(basis) > 1 << 50 or (points @ basis != shifted).any():
        raise CoordinateRangeError(
            f"weight system of degrees {system.degrees.tolist()}: its lattice coordinates "
            "are not exact in double precision; smaller weights are required; check the weights"
        )
    return points
