"""Linear algebra on stacks of small systems.

A stack has vectors (…, B, n) and matrices (…, B, n, n) of B systems with up to some dozens of
moduli. NumPy and LAPACK spend more time on each small vector or matrix than on its numbers. So up
to :data:`NARROW` moduli a stack lies in memory with the systems side by side. Then the operations
run over components, each along all systems. For more moduli they are NumPy's, on contiguous
vectors.

:func:`arranged` returns this memory order. In it, the result of a system depends only on its own
numbers, to the last bit: n fixes the order of every sum. In another order the results are correct,
but slow, and BLAS may round them differently in other stacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]  # indices of systems
Codes = npt.NDArray[np.integer[Any]]  # indices of names, ids or counts

NARROW = 5
# Up to this number of moduli, elimination along the systems beats LAPACK, even with a copy into
# that order.
_ELIMINATED = 8
# Systems that this copy takes at a time. With eight moduli their matrices have 32 KB, the size of
# a first-level cache.
_TURNED = 64


def arranged(array: Floats) -> Floats:
    """Return an array (B, n) or (B, n, n) in the memory order for its n, copied if necessary."""
    return np.asarray(array, order="F" if array.shape[-1] <= NARROW else "C")


def row_sums(rows: Floats) -> Floats:
    """Return sums along the last axis; for short rows several times faster than ``sum``."""
    total: Floats
    if not _narrow(rows):
        total = np.einsum("...i->...", rows)
        return total
    total = rows[..., 0].copy()
    for i in range(1, rows.shape[-1]):
        total += rows[..., i]
    return total


def dot(x: Floats, y: Floats) -> Floats:
    """Return x·y along the last axis."""
    product: Floats = row_sums(x * y) if _narrow(x) else np.vecdot(x, y)
    return product


def norm(vectors: Floats) -> Floats:
    """Return the Euclidean length along the last axis."""
    return np.sqrt(dot(vectors, vectors))


def apply(matrices: Floats, vectors: Floats) -> Floats:
    """Return Ax for symmetric A."""
    product: Floats = (
        row_sums(matrices * vectors[..., None, :])
        if _narrow(vectors)
        else np.matvec(matrices, vectors)
    )
    return product


def square(matrices: Floats) -> Floats:
    """Return A² for symmetric A."""
    if not _narrow(matrices):
        return matrices @ matrices
    total: Floats = matrices[..., :, 0, None] * matrices[..., None, 0, :]
    for i in range(1, matrices.shape[-1]):
        total += matrices[..., :, i, None] * matrices[..., None, i, :]
    return total


def dyads(u: Floats, x: Floats, v: Floats, y: Floats) -> Floats:
    """Return u xxᵀ + v yyᵀ, exactly symmetric, shape (…, B, n, n).

    The weights u, v are (…, B), and the vectors x, y are (…, B, n).
    """
    total: Floats
    if _narrow(x):
        total = x[..., :, None] * x[..., None, :]
        total *= u[..., None, None]
        other = y[..., :, None] * y[..., None, :]
        other *= v[..., None, None]
        total += other
        return total
    # Both terms are one product of n × 2 matrices. Roots of the weights on both sides keep it
    # symmetric to the last bit.
    factors = np.stack(
        [np.sqrt(np.abs(u))[..., None] * x, np.sqrt(np.abs(v))[..., None] * y], axis=-2
    )
    signs = np.stack([np.sign(u), np.sign(v)], axis=-1)
    total = np.matmul((signs[..., None] * factors).swapaxes(-1, -2), factors)
    return total


def diagonal_of(matrices: Floats) -> Floats:
    """Return the diagonals (…, n) of a stack of matrices (…, n, n), as a writable view."""
    diagonals: Floats = np.einsum("...ii->...i", matrices)
    return diagonals


def solve(matrices: Floats, vectors: Floats) -> Floats:
    """Return the solutions x (B, n) of Ax = v.

    Small matrices are eliminated without pivoting. This is stable for positive definite A. For
    others it may give a bad step, which the step test refuses.

    Parameters
    ----------
    matrices : array, shape (B, n, n)
        A, symmetric.
    vectors : array, shape (B, n)
        v.

    Returns
    -------
    array, shape (B, n)
        x. It is not finite where A is singular; the step test refuses such a step.
    """
    if vectors.shape[-1] <= _ELIMINATED:
        return _eliminated(matrices, vectors)
    try:
        solution = np.linalg.solve(matrices, vectors[..., None])[..., 0]
        return solution.astype(np.float64, copy=False)
    except np.linalg.LinAlgError:  # One singular member makes NumPy refuse the whole stack.
        return np.stack(
            [_solve_one(matrix, vector) for matrix, vector in zip(matrices, vectors, strict=True)]
        )


def _narrow(array: Floats) -> bool:
    return bool(0 < array.shape[-1] <= NARROW)


def _eliminated(matrices: Floats, vectors: Floats) -> Floats:
    """Solve by Gaussian elimination without pivoting, for all systems side by side.

    The axes are row, column, system. The right-hand side is the last column.
    """
    n = vectors.shape[1]
    rows = np.empty((n, n + 1, len(vectors)))
    rows[:, n] = vectors.T
    for few in range(0, len(vectors), _TURNED):
        rows[:, :n, few : few + _TURNED] = matrices[few : few + _TURNED].transpose(1, 2, 0)
    for i in range(n - 1):
        factors = rows[i + 1 :, i] / rows[i, i]
        rows[i + 1 :, i + 1 :] -= factors[:, None] * rows[i, i + 1 :]
    solution = rows[:, n]
    for i in reversed(range(n)):
        solution[i] /= rows[i, i]
        solution[:i] -= rows[:i, i] * solution[i]
    return arranged(solution.T)


def _solve_one(matrix: Floats, vector: Floats) -> Floats:
    try:
        return np.linalg.solve(matrix, vector).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        return np.full(len(vector), np.nan)
