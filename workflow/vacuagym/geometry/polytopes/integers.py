"""Exact integer linear algebra: Hermite transforms, basis reduction, determinants, range checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vacuagym.geometry.polytopes.errors import CoordinateRangeError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntRows = list[list[int]]

# Sums and products below this bound fit into 64-bit integers, with one bit to spare.
_SAFE_BOUND = 1 << 62
# Laplace expansion of a 4 x 4 matrix along two columns: pairs of rows, complements and signs.
_ROW_PAIRS = (
    (0, 1, 2, 3, 1),
    (0, 2, 1, 3, -1),
    (0, 3, 1, 2, 1),
    (1, 2, 0, 3, 1),
    (1, 3, 0, 2, -1),
    (2, 3, 0, 1, 1),
)

# Two primes for ranks: products of two residues and sums of six of them fit into int64.
_PRIMES = (1_000_003, 998_244_353)


def largest(array: npt.NDArray[Any]) -> int:
    """Return the largest absolute value in an integer array as a Python integer, 0 if empty."""
    return max(abs(int(array.max())), abs(int(array.min()))) if array.size else 0


def require_int64(bound: int, what: str) -> None:
    """Raise `CoordinateRangeError` if `bound`, of absolute values, does not fit into int64."""
    if bound >= _SAFE_BOUND:
        raise CoordinateRangeError(
            f"{what}: values may reach {bound}, which must be below {_SAFE_BOUND}; "
            "check the input for unusually large numbers"
        )


def to_int64(rows: Sequence[Sequence[int]], what: str) -> IntArray:
    """Return rows of Python integers as an int64 array, or raise `CoordinateRangeError`."""
    require_int64(max((abs(entry) for row in rows for entry in row), default=0), what)
    return np.array(rows, dtype=np.int64)


def hermite_transform(vectors: Sequence[Sequence[int]], size: int) -> tuple[IntRows, int]:
    """Return the unimodular matrix that brings a list of column vectors into Hermite form.

    Parameters
    ----------
    vectors
        Integer vectors of length `size`, read in order.
    size
        Length of every vector.

    Returns
    -------
    transform
        Unimodular (size, size) matrix U of Python integers. The matrix with columns U v is in
        row-style Hermite normal form: positive pivots, entries above a pivot in [0, pivot).
    rank
        Rank of the vectors. The rows of U from `rank` on vanish on all of them. U is unique if
        the rank is `size`.

    Notes
    -----
    H. Cohen, A Course in Computational Algebraic Number Theory, section 2.4.
    """
    transform = [[int(i == j) for j in range(size)] for i in range(size)]
    rank = 0
    for vector in vectors:
        if rank == size:
            break
        column = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in transform]
        rank += _eliminate(column, transform, rank)
    return transform, rank


def _eliminate(column: list[int], transform: IntRows, top: int) -> bool:
    """Clear `column` below row `top` by row operations; return whether a pivot is left."""
    below = range(top + 1, len(column))
    while True:
        live = [i for i in range(top, len(column)) if column[i]]
        if not live:
            return False
        pivot = min(live, key=lambda i: abs(column[i]))
        column[top], column[pivot] = column[pivot], column[top]
        transform[top], transform[pivot] = transform[pivot], transform[top]
        if column[top] < 0:
            column[top] = -column[top]
            transform[top] = [-entry for entry in transform[top]]
        _subtract_multiples(column, transform, top, below)
        if not any(column[i] for i in below):
            _subtract_multiples(column, transform, top, range(top))
            return True


def _subtract_multiples(
    column: list[int], transform: IntRows, pivot: int, rows: Sequence[int]
) -> None:
    """Reduce the entries of `column` in `rows` modulo the pivot, with the rows of `transform`."""
    for i in rows:
        factor = column[i] // column[pivot]
        if factor:
            column[i] -= factor * column[pivot]
            transform[i] = [
                a - factor * b for a, b in zip(transform[i], transform[pivot], strict=True)
            ]


def exact_gram(points: npt.NDArray[Any]) -> IntRows:
    """Return the matrix of sums of p_i p_j over the points (P, n), as Python integers."""
    narrow = points.shape[0] * largest(points) ** 2 < _SAFE_BOUND
    exact = points.astype(np.int64 if narrow else object)
    gram: IntRows = (exact.T @ exact).tolist()
    return gram


def reducing_transform(gram: IntRows) -> IntRows:
    """Return a unimodular matrix that shortens a basis for a positive quadratic form.

    Parameters
    ----------
    gram
        Symmetric positive definite (n, n) matrix of Python integers.

    Returns
    -------
    list of list of int
        Unimodular T, (n, n), such that T^t gram T has a small diagonal. Pairs of basis vectors
        are size-reduced until no subtraction shortens any of them.
    """
    size = len(gram)
    form = [list(row) for row in gram]
    basis = [[int(i == j) for j in range(size)] for i in range(size)]
    changed = True
    while changed:
        changed = False
        for i in range(size):
            for j in range(size):
                if i != j:
                    changed |= _shorten(form, basis, i, j)
    return [list(column) for column in zip(*basis, strict=True)]


def _shorten(form: IntRows, basis: IntRows, i: int, j: int) -> bool:
    """Subtract the best multiple of basis vector j from vector i if that shortens vector i."""
    factor = (2 * form[i][j] + form[j][j]) // (2 * form[j][j])
    if factor == 0 or factor * (factor * form[j][j] - 2 * form[i][j]) >= 0:
        return False
    basis[i] = [a - factor * b for a, b in zip(basis[i], basis[j], strict=True)]
    form[i] = [a - factor * b for a, b in zip(form[i], form[j], strict=True)]
    for row in form:
        row[i] -= factor * row[j]
    return True


def unimodular_inverse(matrix: IntRows) -> IntRows:
    """Return the inverse of a unimodular (n, n) matrix of Python integers.

    The Hermite form of a unimodular matrix is the identity, so its transform is the inverse.
    """
    columns = [list(column) for column in zip(*matrix, strict=True)]
    inverse, rank = hermite_transform(columns, len(matrix))
    product = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns]
        for row in inverse
    ]
    if rank < len(matrix) or any(
        entry != int(i == j) for i, row in enumerate(product) for j, entry in enumerate(row)
    ):
        raise ArithmeticError("the matrix is not unimodular")
    return inverse


def multiply(points: npt.NDArray[Any], matrix: IntRows, what: str) -> IntArray:
    """Return points (P, n) times an (n, k) matrix of Python integers, exactly, as int64."""
    bound = max(sum(abs(entry) for entry in column) for column in zip(*matrix, strict=True))
    if largest(points) * bound < _SAFE_BOUND and bound < _SAFE_BOUND:
        return points.astype(np.int64) @ np.array(matrix, dtype=np.int64)
    product = points.astype(object) @ np.array(matrix, dtype=object)
    return to_int64(product.tolist(), what)


def determinants(matrices: IntArray) -> IntArray:
    """Return the exact determinants (...,) of 4 x 4 integer matrices (..., 4, 4).

    Laplace expansion along the first two columns, checked against overflow.
    """
    require_int64(24 * largest(matrices) ** 4, "determinant of four lattice points")
    left, right = _minors(matrices[..., :2]), _minors(matrices[..., 2:])
    total = np.zeros(matrices.shape[:-2], dtype=np.int64)
    for a, b, c, d, sign in _ROW_PAIRS:
        total += sign * left[a, b] * right[c, d]
    return total


def _minors(columns: IntArray) -> dict[tuple[int, int], IntArray]:
    """Return the 2 x 2 minors of two columns (..., r, 2), keyed by their pair of rows."""
    x, y = columns[..., 0], columns[..., 1]
    return {
        (i, j): x[..., i] * y[..., j] - x[..., j] * y[..., i]
        for i in range(columns.shape[-2])
        for j in range(i + 1, columns.shape[-2])
    }


def five_point_relations(points: IntArray) -> IntArray:
    """Return the primitive linear relation among five points of Z^4.

    Parameters
    ----------
    points
        Integer points, (R, 5, 4), each five of rank 4.

    Returns
    -------
    ndarray
        Coefficients (R, 5) with sum_i c_i p_i = 0, coprime, and c_3 >= 0.
    """
    require_int64(24 * largest(points) ** 4, "relation of five lattice points")
    left, right = _minors(points[..., :2]), _minors(points[..., 2:])
    relation = np.zeros(points.shape[:-1], dtype=np.int64)
    for omitted in range(5):
        rows = [i for i in range(5) if i != omitted]
        for a, b, c, d, sign in _ROW_PAIRS:
            minor = left[rows[a], rows[b]] * right[rows[c], rows[d]]
            relation[:, omitted] += (-1) ** omitted * sign * minor
    relation *= np.where(relation[:, 3] < 0, -1, 1)[:, None]
    divisor = np.gcd.reduce(relation, axis=1)
    if not divisor.all():
        raise ArithmeticError("five points span no 4-dimensional space")
    primitive: IntArray = relation // divisor[:, None]
    return primitive


def spanned_by_members(points: IntArray, incidence: BoolArray) -> BoolArray:
    """Return which sets of points span four dimensions; False if that is not proved.

    Parameters
    ----------
    points
        Points, (P, 4).
    incidence
        Members of each set, (P, F).

    Notes
    -----
    A Gram determinant that does not vanish modulo some prime does not vanish.
    """
    proved = np.zeros(incidence.shape[1], dtype=bool)
    squares = (points[:, :, None] * points[:, None, :]).reshape(len(points), 16)
    for prime in _PRIMES:
        gram = (incidence.T.astype(np.int64) @ (squares % prime)).reshape(-1, 4, 4) % prime
        proved |= _determinant_modulo(gram, prime) != 0
        if proved.all():
            break
    return proved


def _determinant_modulo(matrices: IntArray, prime: int) -> IntArray:
    """Return the determinants (B,) of 4 x 4 matrices (B, 4, 4) modulo a prime below 2^30."""
    a, b, c, d = (matrices[:, i] for i in range(4))

    def minor(x: IntArray, y: IntArray, i: int, j: int) -> IntArray:
        result: IntArray = (x[:, i] * y[:, j] - x[:, j] * y[:, i]) % prime
        return result

    pairs = ((0, 1, 2, 3, 1), (0, 2, 1, 3, -1), (0, 3, 1, 2, 1))
    total = np.zeros(len(matrices), dtype=np.int64)
    for i, j, k, m, sign in pairs:
        total += sign * (minor(a, b, i, j) * minor(c, d, k, m) % prime)
        total += sign * (minor(a, b, k, m) * minor(c, d, i, j) % prime)
    residues: IntArray = total % prime
    return residues
