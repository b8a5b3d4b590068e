"""Topology of complete intersection Calabi-Yau (CICY) threefolds in products of projective spaces.

A configuration matrix q has one row for each factor P^n of the ambient space and one column for
each polynomial. q[r, a] is the degree of polynomial a in the coordinates of factor r. The first
Chern class vanishes, so each row sums to n_r + 1. The divisor J_r is the hyperplane class of
factor r, restricted to the threefold.

The numbers follow from P(J) = prod_a sum_r q[r, a] J_r, truncated at J_r^(n_r):

- kappa_ijk is the coefficient of J^(n - e_i - e_j - e_k) in P;
- c2.J_i = sum_rs c2^rs kappa_rsi, with 2 c2^rs = sum_a q_ra q_sa - (n_r + 1) delta_rs;
- chi = sum_rst c3^rst kappa_rst, with 3 c3^rst = (n_r + 1) delta_rst - sum_a q_ra q_sa q_ta.

Sources: P. Candelas, A. M. Dale, C. A. Luetken and R. Schimmrigk, Nucl. Phys. B298 (1988) 493;
T. Huebsch, Calabi-Yau Manifolds (World Scientific, 1992). Hodge numbers are not computed here.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vacuagym.geometry.cicy.configurations import (
    Bools,
    Ints,
    are_products,
    check_euler,
    checked_hodge,
    checked_matrix,
)
from vacuagym.geometry.permutation_hash import permutation_hash

# Coefficients of P and entries of kappa handled at once, in 8 bytes each.
_CHUNK = 1 << 17


@dataclass(frozen=True)
class CicyTopologies:
    """Topology of B CICY threefolds, in the order of their configuration matrices.

    Lists of different lengths are concatenated. Row b owns the entries from `c2_offsets[b]` to
    `c2_offsets[b + 1]` of `c2`, and likewise of `kappa_index` and `kappa_value`.

    Attributes
    ----------
    num_divisors : (B,) int64
        Number m of divisors J_i, which is the number of rows of the matrix.
    euler : (B,) int64
        Euler number chi.
    product : (B,) bool
        Whether the threefold is a torus times a K3 surface, or a product of three tori. Such a
        product has no effective theory with N = 1 supersymmetry.
    favourable : (B,) bool, or None
        Whether h11 = m. Then the J_i span all of H^2, otherwise kappa covers a sublattice. None
        without Hodge numbers.
    geometry_hash : (B,) uint64
        Hash of (h11, h21, chi, c2, kappa) that ignores the order of rows and columns.
    c2 : (sum m,) int64
        c2.J_i for each divisor.
    c2_offsets : (B + 1,) int64
    kappa_index : (N, 3) int64
        The triples i <= j <= k with kappa_ijk != 0, in lexicographic order, counted from 0.
    kappa_value : (N,) int64
    kappa_offsets : (B + 1,) int64
    """

    num_divisors: Ints
    euler: Ints
    product: Bools
    favourable: Bools | None
    geometry_hash: NDArray[np.uint64]
    c2: Ints
    c2_offsets: Ints
    kappa_index: Ints
    kappa_value: Ints
    kappa_offsets: Ints

    def __len__(self) -> int:
        return len(self.euler)

    def c2_of(self, row: int) -> Ints:
        """Return c2.J_i of one threefold, (m,)."""
        return self.c2[self.c2_offsets[row] : self.c2_offsets[row + 1]]

    def kappa_of(self, row: int) -> Ints:
        """Return kappa_ijk of one threefold as a symmetric array, (m, m, m)."""
        own = slice(self.kappa_offsets[row], self.kappa_offsets[row + 1])
        kappa = np.zeros((int(self.num_divisors[row]),) * 3, dtype=np.int64)
        for places in itertools.permutations(self.kappa_index[own].T):
            kappa[places] = self.kappa_value[own]
        return kappa


def cicy_topologies(
    matrices: Sequence[ArrayLike],
    h11: ArrayLike | None = None,
    h21: ArrayLike | None = None,
) -> CicyTopologies:
    """Return the topology of CICY threefolds from their configuration matrices.

    Parameters
    ----------
    matrices : sequence of B integer matrices, each (m, K)
        m and K may differ from matrix to matrix.
    h11, h21 : (B,) integers, optional
        Known Hodge numbers, either both or none. The published list has h11 = h21 = 0 for
        products.

    Returns
    -------
    CicyTopologies

    Raises
    ------
    ConfigurationError
        If a matrix describes no CICY threefold, needs too much memory or could overflow int64.
        The message names the row.
    ValueError
        If the Euler number is not 2 (h11 - h21). The message names the row.

    Notes
    -----
    A generic complete intersection of this kind is smooth by Bertini's theorem.
    """
    checked = [checked_matrix(row, matrix) for row, matrix in enumerate(matrices)]
    num_divisors = np.array([len(matrix) for matrix in checked], dtype=np.int64)
    hodge = checked_hodge(len(checked), h11, h21)
    euler = np.zeros(len(checked), dtype=np.int64)
    product = np.zeros(len(checked), dtype=np.bool_)
    geometry_hash = np.zeros(len(checked), dtype=np.uint64)
    c2_offsets = np.r_[0, np.cumsum(num_divisors)]
    c2 = np.zeros(c2_offsets[-1], dtype=np.int64)
    entries = [_Entries(c2[:0], np.zeros((0, 3), dtype=np.int64), c2[:0])]
    for dims, rows in _chunks(checked):
        q = np.stack([checked[row] for row in rows])
        product[rows] = are_products(rows, q)
        kappa = _intersections(q, dims)
        own_c2, euler[rows] = _chern_numbers(q, kappa)
        c2[c2_offsets[rows, None] + np.arange(len(dims))] = own_c2
        invariants = np.column_stack([hodge[rows], euler[rows]])
        geometry_hash[rows] = permutation_hash(kappa, own_c2, invariants)
        entries.append(_Entries.of(rows, kappa))
    check_euler(euler, hodge)
    owner = np.concatenate([part.row for part in entries])
    by_row = np.argsort(owner, kind="stable")
    return CicyTopologies(
        num_divisors=num_divisors,
        euler=euler,
        product=product,
        favourable=None if h11 is None else hodge[:, 0] == num_divisors,
        geometry_hash=geometry_hash,
        c2=c2,
        c2_offsets=c2_offsets,
        kappa_index=np.concatenate([part.triple for part in entries])[by_row],
        kappa_value=np.concatenate([part.value for part in entries])[by_row],
        kappa_offsets=np.r_[0, np.cumsum(np.bincount(owner, minlength=len(checked)))],
    )


@dataclass(frozen=True)
class _Entries:
    """The N entries of kappa that are not zero: their rows (N,), triples (N, 3), values (N,)."""

    row: Ints
    triple: Ints
    value: Ints

    @classmethod
    def of(cls, rows: Ints, kappa: Ints) -> _Entries:
        triples = _triples(kappa.shape[1])
        values = kappa[:, *triples.T]
        row, triple = np.nonzero(values)
        return cls(rows[row], triples[triple], values[row, triple])


def _triples(m: int) -> Ints:
    """Return all triples i <= j <= k below m in lexicographic order, (T, 3)."""
    return np.array(list(itertools.combinations_with_replacement(range(m), 3)), dtype=np.int64)


def _chunks(matrices: list[Ints]) -> Iterator[tuple[tuple[int, ...], Ints]]:
    """Yield the dimensions n in ascending order, with the places (B,) of some matrices with these.

    All matrices of a chunk have the same number of columns.
    """
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, matrix in enumerate(matrices):
        # The number of columns is the sum of the dimensions less 3.
        groups[tuple(sorted((matrix.sum(axis=1) - 1).tolist()))].append(row)
    for dims, rows in groups.items():
        size = max(1, _CHUNK // (math.prod(n + 1 for n in dims) + len(dims) ** 3))
        for start in range(0, len(rows), size):
            yield dims, np.array(rows[start : start + size], dtype=np.int64)


def _intersections(q: Ints, dims: tuple[int, ...]) -> Ints:
    """Return kappa, (B, m, m, m), of matrices (B, m, K) whose sorted dimensions are `dims`."""
    order = np.argsort(q.sum(axis=2), axis=1, kind="stable")
    coefficients = _truncated_product(np.take_along_axis(q, order[:, :, None], axis=1), dims)
    m = len(dims)
    triples = _triples(m)
    exponents = dims - np.eye(m, dtype=np.int64)[triples].sum(axis=1)
    possible = (exponents >= 0).all(axis=1)
    values = np.zeros((len(q), len(triples)), dtype=np.int64)
    values[:, possible] = coefficients[:, *exponents[possible].T]
    number = np.zeros((m, m, m), dtype=np.int64)
    for axes in itertools.permutations(triples.T):
        number[axes] = np.arange(len(triples))
    # Back to the order of the rows of each matrix.
    place = np.argsort(order, axis=1)
    wanted = number[place[:, :, None, None], place[:, None, :, None], place[:, None, None, :]]
    return values[np.arange(len(q))[:, None, None, None], wanted]


def _truncated_product(q: Ints, dims: tuple[int, ...]) -> Ints:
    """Return the coefficients of prod_a sum_r q_ra J_r up to J_r^(n_r), (B, n_1 + 1, ...)."""
    batch, m, columns = q.shape
    product = np.zeros((batch, *(n + 1 for n in dims)), dtype=np.int64)
    product[:, *(0,) * m] = 1
    for a in range(columns):
        grown = np.zeros_like(product)
        for r in np.flatnonzero(q[:, :, a].any(axis=0)).tolist():
            degree = q[:, r, a].reshape(batch, *(1,) * m)
            before = (slice(None),) * (r + 1)
            grown[*before, 1:] += degree * product[*before, :-1]
        product = grown
    return product


def _chern_numbers(q: Ints, kappa: Ints) -> tuple[Ints, Ints]:
    """Return c2.J_i, (B, m), and chi, (B,), of matrices (B, m, K) with kappa (B, m, m, m)."""
    batch, m, columns = q.shape
    sizes = q.sum(axis=2)  # n_r + 1
    diagonal = np.arange(m)
    second = q @ q.transpose(0, 2, 1)
    pairs = (q[:, :, None] * q[:, None]).reshape(batch, m * m, columns)
    third = -(pairs @ q.transpose(0, 2, 1)).reshape(batch, m, m, m)
    second[:, diagonal, diagonal] -= sizes
    third[:, diagonal, diagonal, diagonal] += sizes
    # Both divisions are exact, because Chern classes are integral.
    c2 = np.einsum("brs,brsi->bi", second, kappa) // 2
    return c2, np.einsum("brst,brst->b", third, kappa) // 3
