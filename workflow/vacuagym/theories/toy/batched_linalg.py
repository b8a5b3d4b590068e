"""Linear algebra on stacks: vectors (…, B, n) and matrices (…, B, n, n) of B systems with few to
some dozens of moduli.

NumPy and LAPACK spend more on each small vector or matrix than on its numbers. So up to
:data:`NARROW` moduli a stack lies in memory with the systems side by side, and the operations here
run over components, each along all systems; beyond, they are NumPy's, on contiguous vectors.
:func:`arranged` sees to that order. In it, a system's result depends on nothing but its own
numbers, to the last bit: the order of every sum is fixed by n. In the other order results are
right, but slow, and BLAS may round them differently alone and among others.
"""

from __future__ import annotations

import numpy as np

NARROW = 5
# up to so many moduli elimination along the systems beats LAPACK, a copy into that order included
_ELIMINATED = 8
# systems that this copy takes at a time: with eight moduli their matrices are 32 KB, what the
# first cache holds
_TURNED = 64


def arranged(array: np.ndarray) -> np.ndarray:
    """``array`` (B, n) or (B, n, n) in the memory order that suits its n, copied if need be."""
    return np.asarray(array, order="F" if array.shape[-1] <= NARROW else "C")


def row_sums(rows: np.ndarray) -> np.ndarray:
    """Sums along the last axis; for short rows several times faster than ``sum``."""
    if not _narrow(rows):
        return np.einsum("...i->...", rows)
    total = rows[..., 0].copy()
    for i in range(1, rows.shape[-1]):
        total += rows[..., i]
    return total


def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x·y along the last axis."""
    return row_sums(x * y) if _narrow(x) else np.vecdot(x, y)


def norm(vectors: np.ndarray) -> np.ndarray:
    """Euclidean length along the last axis."""
    return np.sqrt(dot(vectors, vectors))


def apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Ax for symmetric A."""
    return (
        row_sums(matrices * vectors[..., None, :])
        if _narrow(vectors)
        else np.matvec(matrices, vectors)
    )


def square(matrices: np.ndarray) -> np.ndarray:
    """A² for symmetric A."""
    if not _narrow(matrices):
        return matrices @ matrices
    total = matrices[..., :, 0, None] * matrices[..., None, 0, :]
    for i in range(1, matrices.shape[-1]):
        total += matrices[..., :, i, None] * matrices[..., None, i, :]
    return total


def dyads(u: np.ndarray, x: np.ndarray, v: np.ndarray, y: np.ndarray) -> np.ndarray:
    """u xxᵀ + v yyᵀ with weights u, v (…, B) and vectors x, y (…, B, n): exactly symmetric."""
    if _narrow(x):
        total = x[..., :, None] * x[..., None, :]
        total *= u[..., None, None]
        other = y[..., :, None] * y[..., None, :]
        other *= v[..., None, None]
        total += other
        return total
    # Both as one product of n × 2 matrices. Roots of the weights on both sides keep it symmetric
    # to the last bit.
    factors = np.stack(
        [np.sqrt(np.abs(u))[..., None] * x, np.sqrt(np.abs(v))[..., None] * y], axis=-2
    )
    signs = np.stack([np.sign(u), np.sign(v)], axis=-1)
    return np.matmul((signs[..., None] * factors).swapaxes(-1, -2), factors)


def diagonal_of(matrices: np.ndarray) -> np.ndarray:
    """The diagonals of a stack of square matrices (…, n, n), as a writable view (…, n)."""
    return np.einsum("...ii->...i", matrices)


def solve(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """x of Ax = v, (B, n, n) and (B, n); not finite where A is singular, which a step test then
    refuses.

    Small matrices are eliminated without pivoting: stable if they are positive definite, and if
    not, a bad step at worst, which the step test refuses.
    """
    if vectors.shape[-1] <= _ELIMINATED:
        return _eliminated(matrices, vectors)
    try:
        return np.linalg.solve(matrices, vectors[..., None])[..., 0]
    except np.linalg.LinAlgError:  # NumPy gives up the whole stack for one singular member
        return np.stack(
            [_solve_one(matrix, vector) for matrix, vector in zip(matrices, vectors, strict=True)]
        )


def _narrow(array: np.ndarray) -> bool:
    return 0 < array.shape[-1] <= NARROW


def _eliminated(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Gauss without pivoting, for all systems side by side: rows and columns come first, the right
    side is the last column.
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


def _solve_one(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(matrix, vector)
    except np.linalg.LinAlgError:
        return np.full(len(vector), np.nan)
