"""Check configuration matrices and Hodge numbers of CICY threefolds, and find products.

Nothing is corrected. A row that is no CICY threefold is refused, and the message names it.
"""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Coefficients of the top polynomial of one matrix times the number of its columns, which bounds
# memory and time. The published list needs at most 699,840.
_MOST_TERMS = 1 << 26
# A bound on all sums must stay below this, which leaves one bit of int64 unused. No matrix
# reaches it: its column sums, each less 1, sum to m + 3, and m is small by `_MOST_TERMS`.
_MOST_SUM = 1 << 62
_NO_MATRIX = "no matrix of degrees"
_TOO_LARGE = "too large"


class ConfigurationError(ValueError):
    """A matrix is no CICY threefold; `problem` says why in a few words."""

    def __init__(self, message: str, problem: str) -> None:
        super().__init__(message)
        self.problem = problem


def checked_matrix(row: int, matrix: ArrayLike) -> Ints:
    """Return a configuration matrix as integers, or refuse it.

    Parameters
    ----------
    row : int
        Place of the matrix in its table, for the message.
    matrix : (m, K) integers

    Returns
    -------
    (m, K) int64

    Raises
    ------
    ConfigurationError
        If the matrix is no CICY threefold, needs too much memory or could overflow int64.
    """
    try:
        q = np.asarray(matrix)
    except ValueError:  # NumPy: inhomogeneous shape
        q = np.zeros(0)
    if q.ndim != 2 or not q.size:
        found = "the configuration matrix is no rectangle of integers"
        _refuse(row, found, "give (m, K) integers", _NO_MATRIX)
    if q.dtype.kind not in "iu":
        _refuse(row, f"the degrees are of type {q.dtype}", "give 64-bit integers", _NO_MATRIX)
    least, most = int(q.min()), int(q.max())
    if least < 0 or most > _MOST_TERMS:
        found = f"one degree is {least if least < 0 else most}"
        problem = _NO_MATRIX if least < 0 else _TOO_LARGE
        _refuse(row, found, f"each must be at least 0 and at most {_MOST_TERMS}", problem)
    q = q.astype(np.int64)
    sizes, degrees = q.sum(axis=1).tolist(), q.sum(axis=0).tolist()
    if min(sizes) < 2:
        place = sizes.index(min(sizes))
        found = f"row {place} of the matrix sums to {sizes[place]}"
        _refuse(row, found, "each must sum to n + 1 >= 2 for a factor P^n")
    if min(degrees) < 1:
        _refuse(row, f"column {degrees.index(0)} of the matrix is zero", "leave it out")
    dimension = sum(sizes) - len(sizes) - len(degrees)
    if dimension != 3:
        _refuse(row, f"the configuration has dimension {dimension}", "give threefolds only")
    terms = math.prod(sizes) * len(degrees)
    if terms > _MOST_TERMS:
        found = f"the matrix needs {terms} terms of polynomials"
        remedy = f"at most {_MOST_TERMS} are possible; use an equivalent matrix"
        _refuse(row, found, remedy, _TOO_LARGE)
    # Each kappa is at most prod_a sum_r q_ra, and |3 c3^rst| sums to at most `chern`.
    chern = sum(degree**3 for degree in degrees) + sum(sizes)
    if math.prod(degrees) * chern > _MOST_SUM:
        found = "the intersection numbers may not fit 64 bits"
        _refuse(row, found, "use smaller degrees", _TOO_LARGE)
    return q


def checked_hodge(total: int, h11: ArrayLike | None, h21: ArrayLike | None) -> Ints:
    """Return the Hodge numbers of `total` matrices as columns, (B, 2), or (B, 0) without them.

    Raises
    ------
    ValueError
        If only one is given, or either is no list of `total` integers.
    """
    if h11 is None and h21 is None:
        return np.zeros((total, 0), dtype=np.int64)
    if h11 is None or h21 is None:
        raise ValueError("h11, h21: only one is given; give both or none")
    hodge = [np.asarray(h11), np.asarray(h21)]
    for name, one in zip(("h11", "h21"), hodge, strict=True):
        if one.shape != (total,) or (total and one.dtype.kind not in "iu"):
            found = f"{name}: found {one.dtype} of shape {one.shape}"
            raise ValueError(f"{found}; {total} integers are required, one for each matrix")
    return np.column_stack(hodge).astype(np.int64)


def check_euler(euler: Ints, hodge: Ints) -> None:
    """Check Hodge numbers (B, 2) against Euler numbers (B,): chi = 2 (h11 - h21).

    Raises
    ------
    ValueError
        If they differ or a Hodge number is negative. The message names the first row.
    """
    if hodge.shape[1] == 0:
        return
    wrong = (hodge < 0).any(axis=1) | (euler != 2 * (hodge[:, 0] - hodge[:, 1]))
    for row in np.flatnonzero(wrong)[:1].tolist():
        h11, h21 = hodge[row].tolist()
        found = f"h11 = {h11} and h21 = {h21}, but the matrix has Euler number {euler[row]}"
        remedy = "it must be 2 (h11 - h21) with h11, h21 >= 0; correct the table"
        raise ValueError(f"row {row}: {found}; {remedy}")


def are_products(rows: Ints, q: Ints) -> Bools:
    """Return whether each matrix has several blocks, (B,), and refuse blocks without a manifold.

    A block is a connected component of the graph that joins row r to column a if q[r, a] > 0.

    Parameters
    ----------
    rows : (B,) int64
        Places of the matrices in their table, for the message.
    q : (B, m, K) int64
        Matrices that `checked_matrix` accepted.

    Returns
    -------
    (B,) bool

    Raises
    ------
    ConfigurationError
        If a block has dimension 0 or less. The message names the row.

    Notes
    -----
    Consider a subset S of the columns and the sheaf O(-sum of S). Its cohomology vanishes unless
    each row of S is zero or full, so unless S is a union of blocks. By the Koszul complex, a
    block of dimension d >= 1 is connected, with h^i(O) = 0 for 0 < i < d: a torus, a K3 surface
    or a Calabi-Yau threefold. A block of dimension 0 is two points, below that it is empty.
    """
    filled = q > 0
    joined = filled @ filled.transpose(0, 2, 1)
    for _ in range(q.shape[1].bit_length()):  # paths of twice the length each time
        joined = joined @ joined
    ambient = (joined @ (q.sum(axis=2, keepdims=True) - 1))[:, :, 0]
    dimension = ambient - (joined @ filled).sum(axis=2)
    for place in np.flatnonzero((dimension < 1).any(axis=1))[:1].tolist():
        least = int(dimension[place].min())
        result = "empty" if least < 0 else "not connected"
        found = f"a block of the matrix has dimension {least}, so the threefold is {result}"
        _refuse(int(rows[place]), found, "each block must have dimension 1, 2 or 3")
    return np.logical_not(joined[:, 0].all(axis=1))


def _refuse(row: int, found: str, remedy: str, problem: str = "no threefold") -> NoReturn:
    raise ConfigurationError(f"row {row}: {found}; {remedy}", problem)
