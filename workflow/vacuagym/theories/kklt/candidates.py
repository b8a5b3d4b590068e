"""Candidates for KKLT points, from lattice points alone and in exact integers.

Notation. P is the set of lattice points of a reflexive polytope that are divisors of a favourable
Calabi-Yau hypersurface with n = h11 = |P| - 4 Kaehler moduli. Some of the divisors are rigid. A
rigid divisor b has the dual Coxeter number c_b of its gauge group (1 for a D3-brane instanton).

At leading logarithm the volumes v_p of the divisors obey

    sum_p v_p p = 0   (the linear relations among divisor classes),

and a KKLT point has v_b = c_b on n independent rigid divisors and v_b >= c_b on all rigid ones
(S. Kachru, R. Kallosh, A. Linde and S. Trivedi, hep-th/0301240; M. Demirtas, M. Kim, L. McAllister,
J. Moritz and A. Rios-Tascon, arXiv:2107.09064). Such a v is a *candidate*. It is *positive* if all
v_p > 0, and *marginal* if all v_p >= 0 and some v_p = 0.

Write v_p = c_p + x_p on rigid divisors and v_p = x_p on the others. Then

    sum_p x_p p = -s,   s = sum over rigid b of c_b b,   x_b >= 0 on rigid b.

The candidates are the vertices of this polyhedron. A vertex has a basis of four points: all k
non-rigid ones and 4 - k rigid ones, and x vanishes elsewhere. With the points of the basis in
positions 0 ... 3, Cramer's rule gives

    x_i = (-1)^(i + 1) det(s, the three other points) / det(all four points).

So the signs of the determinants with s are computed once for each set of three points, and most
bases are excluded by these signs alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Bases times geometries examined at once: bounds the temporaries to a few megabytes.
_CHUNK_BASES = 1 << 18
# Bases that are solved at once.
_CHUNK_SOLVED = 1 << 14
# A 4 x 4 determinant of columns bounded by a, h, h, h has partial sums of at most 24 a h^3. The
# limit leaves a factor of 2 below 2^63, far more than the rounding of the bound itself.
_LARGEST_DETERMINANT = 2.0**62
# Ratios of 64-bit integers agree in double precision to 1e-15: closer pairs are compared exactly.
_CLOSE = 1e-12


@dataclass(frozen=True)
class Candidates:
    """The candidates of G geometries with equal numbers p of points and k of non-rigid points.

    Attributes
    ----------
    num_candidates, num_positive : (G,) int64
        Numbers of candidates and of positive candidates.
    num_marginal : (G,) int64
        Number of marginal candidates.
    tight : (G,) int64
        Number of rigid divisors with v_b = c_b at the first positive candidate; -1 without one.
    numerators : (G, p) int64
        v of the first positive candidate times `scale`, in the order of the points given. The
        first is the least in lexicographic order of v as a vector of rationals.
    scale : (G,) int64
        The least common denominator of v; 0 without a positive candidate.
    """

    num_candidates: Ints
    num_positive: Ints
    num_marginal: Ints
    tight: Ints
    numerators: Ints
    scale: Ints


def fits_int64(points: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether all determinants of a geometry fit into 64 bits.

    Parameters
    ----------
    points : (G,) float64
        The largest absolute coordinate h of each geometry's points.
    total : (G,) float64
        A bound of the absolute coordinates of s.

    Returns
    -------
    (G,) bool
        Whether 24 max(total, h) h^3 stays below 2^62, so that no sum can overflow.
    """
    return np.maximum(points, total) * points**3 * 24.0 < _LARGEST_DETERMINANT


def find_candidates(points: Ints, coxeter: Ints) -> Candidates:
    """Return the candidates of geometries with equal numbers of points and of non-rigid points.

    Parameters
    ----------
    points : (G, p, 4) int64 or object
        Lattice points. Python integers (dtype object) are needed where `fits_int64` fails.
    coxeter : (G, p) int64 or object
        Dual Coxeter numbers c_b > 0 of the rigid divisors, and 0 for the others. Each geometry has
        the same number k <= 4 of zeros.

    Returns
    -------
    Candidates
        Counts of zero where the non-rigid points are dependent.

    Raises
    ------
    OverflowError
        If a reduced coordinate of a candidate does not fit into 64 bits.
    """
    num_nonrigid = int((coxeter[0] == 0).sum())
    num_bases = comb(points.shape[1] - num_nonrigid, 4 - num_nonrigid)
    step = max(1, _CHUNK_BASES // max(1, num_bases))
    parts = [
        _chunk_candidates(points[i : i + step], coxeter[i : i + step], num_nonrigid)
        for i in range(0, len(points), step)
    ]
    return Candidates(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(parts[0])
        )
    )


def positive_candidates(points: Ints, coxeter: Ints) -> tuple[Ints, Ints]:
    """Return all positive candidates of one geometry.

    Parameters
    ----------
    points : (p, 4) int64 or object
    coxeter : (p,) int64 or object
        Dual Coxeter numbers of the rigid divisors, and 0 for the others, at most four.

    Returns
    -------
    numerators : (N, p) int64
        v times the common denominator, in lexicographic order of v.
    scale : (N,) int64
        The least common denominators.
    """
    kept = _positive_vertices(points[None], coxeter[None], int((coxeter == 0).sum()))[1]
    volumes = kept.volumes(coxeter[None])
    order = sorted(
        range(len(volumes)),
        key=lambda row: [Fraction(int(x), int(kept.denominators[row])) for x in volumes[row]],
    )
    return volumes[order].astype(np.int64), kept.denominators[order]


def independent(points: Ints) -> NDArray[np.bool_]:
    """Return whether the k <= 4 integer vectors of each geometry, (G, k, 4), are independent."""
    size = points.shape[1]
    if size == 0:
        return np.ones(len(points), dtype=bool)
    if size == 1:
        return np.asarray((points != 0).any(axis=(1, 2)))
    if size == 2:
        return np.asarray((_minors(points[:, 0], points[:, 1]) != 0).any(axis=1))
    if size == 3:
        units = np.eye(4, dtype=np.int64).astype(points.dtype)[None]
        columns = (points[:, i, None, :] for i in range(3))
        return np.asarray((determinants(units, *columns) != 0).any(axis=1))
    return np.asarray(determinants(*points.transpose(1, 0, 2)) != 0)


def _minors(a: Ints, b: Ints) -> Ints:
    """Return the six 2 x 2 minors of vectors `a` and `b`, (..., 4), in the order of `_PAIRS`."""
    first, second = a[..., _PAIRS[0]], a[..., _PAIRS[1]]
    return first * b[..., _PAIRS[1]] - second * b[..., _PAIRS[0]]


_PAIRS = np.array([[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]])
# Laplace's expansion along two rows: the sign of each pair with its complement, pair 5 - i.
_LAPLACE = np.array([1, -1, 1, 1, -1, 1])


def determinants(a: Ints, b: Ints, c: Ints, d: Ints) -> Ints:
    """Return the determinants of the vectors `a`, `b`, `c`, `d`, each (..., 4), exactly."""
    return np.asarray((_LAPLACE * _minors(a, b) * _minors(c, d)[..., ::-1]).sum(axis=-1))


# A table of 2^20 bases takes 8 MB as subsets and 16 MB as faces: only the latest are kept.
@lru_cache(maxsize=8)
def _subsets(m: int, size: int) -> NDArray[np.int16]:
    """Return the subsets of {0 ... m - 1} of one size, (N, size), in colexicographic order."""
    if size == 0:
        return np.zeros((1, 0), dtype=np.int16)
    smaller = _subsets(m, size - 1)
    counts = np.array([comb(last, size - 1) for last in range(m)], dtype=np.int64)
    prefix = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.column_stack([smaller[prefix], np.repeat(np.arange(m, dtype=np.int16), counts)])


@lru_cache(maxsize=2)
def _faces(m: int, size: int) -> NDArray[np.int32]:
    """Return where the faces of the subsets stand, (N, size).

    Entry i is the place of the subset without its element i among the subsets of size - 1.
    """
    subsets = _subsets(m, size)
    faces = np.zeros(subsets.shape, dtype=np.int32)
    for i in range(size):
        for place, element in enumerate(np.delete(np.arange(size), i)):
            binomials = np.array([comb(j, place + 1) for j in range(m)], dtype=np.int32)
            faces[:, i] += binomials[subsets[:, element]]
    return faces


def _chunk_candidates(points: Ints, coxeter: Ints, k: int) -> Candidates:
    """Do the work of `find_candidates` for a few geometries."""
    (num_candidates, num_positive, num_marginal), vertices = _positive_vertices(points, coxeter, k)
    tight, numerators, scale = _first_candidate(vertices, coxeter)
    return Candidates(num_candidates, num_positive, num_marginal, tight, numerators, scale)


def _positive_vertices(
    points: Ints, coxeter: Ints, k: int
) -> tuple[tuple[Ints, Ints, Ints], _Vertices]:
    """Return the counts of all, positive and marginal candidates, and the positive ones."""
    # From here on the k non-rigid points stand first; `order` leads back to the caller's order.
    order = np.argsort(coxeter != 0, axis=1, kind="stable")
    sorted_points = np.take_along_axis(points, order[:, :, None], axis=1)
    total = (coxeter[:, :, None] * points).sum(axis=1)
    owner, basis = _possible_bases(sorted_points, total, k)
    parts = [
        _solved(sorted_points, total, owner[i : i + _CHUNK_SOLVED], basis[i : i + _CHUNK_SOLVED], k)
        for i in range(0, max(1, len(owner)), _CHUNK_SOLVED)
    ]
    owner, basis, solution, determinant = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    # A candidate is known by the rigid points where x > 0: with the non-rigid ones they are
    # independent. Bases that differ only in points where x = 0 are the same candidate.
    support = np.sort(np.where(solution[:, k:] != 0, basis[:, k:], -1), axis=1)
    rows = np.column_stack([owner, support])
    kept = np.unique(rows, axis=0, return_index=True)[1]
    owner, solution = owner[kept], solution[kept]
    nonnegative = np.asarray((solution[:, :k] >= 0).all(axis=1))
    positive = np.asarray((solution[:, :k] > 0).all(axis=1))
    counts = (
        np.bincount(owner, minlength=len(points)),
        np.bincount(owner[positive], minlength=len(points)),
        np.bincount(owner[nonnegative & ~positive], minlength=len(points)),
    )
    kept, owner = kept[positive], owner[positive]
    vertices = _Vertices.reduced(
        owner, order[owner[:, None], basis[kept]], solution[positive], determinant[kept]
    )
    return counts, vertices


def _solved(
    points: Ints, total: Ints, owner: Ints, basis: Ints, k: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the bases with x >= 0 on rigid points: owner, basis, x times det > 0, and det."""
    corners = points[owner[:, None], basis]
    determinant = determinants(*corners.transpose(1, 0, 2))
    solution = np.empty(basis.shape, dtype=points.dtype)
    for i in range(4):
        others = np.delete(corners, i, axis=1).transpose(1, 0, 2)
        solution[:, i] = (-1) ** (i + 1) * determinants(total[owner], *others)
    solution = np.where((determinant < 0)[:, None], -solution, solution)
    kept = np.asarray((determinant != 0) & (solution[:, k:] >= 0).all(axis=1))
    return owner[kept], basis[kept], solution[kept], np.abs(determinant[kept])


def _possible_bases(points: Ints, total: Ints, k: int) -> tuple[Ints, Ints]:
    """Return the bases that the signs of the determinants with s leave: owners (N,), points (N, 4).

    A sign excludes a basis if two of its rigid points would need determinants of different signs.
    """
    num_geometries, num_rigid = len(points), points.shape[1] - k
    fixed = np.arange(k)
    if k == 4:
        return np.arange(num_geometries), np.tile(fixed, (num_geometries, 1))
    faces = _subsets(num_rigid, 3 - k) + k
    vectors = [points[:, i, None, :] for i in fixed] + [points[:, row] for row in faces.T]
    values = determinants(total[:, None, :], *vectors)
    signs = (values > 0).astype(np.int8) - (values < 0).astype(np.int8)
    place = _faces(num_rigid, 4 - k)
    least = greatest = (-1) ** (k + 1) * signs[:, place[:, 0]]
    for i in range(1, 4 - k):
        sign = (-1) ** (k + i + 1) * signs[:, place[:, i]]
        least, greatest = np.minimum(least, sign), np.maximum(greatest, sign)
    owner, subset = np.nonzero((least >= 0) | (greatest <= 0))
    rigid = _subsets(num_rigid, 4 - k)[subset] + k
    return owner, np.column_stack([np.broadcast_to(fixed, (len(owner), k)), rigid])


@dataclass(frozen=True)
class _Vertices:
    """N vertices x of the geometries `owner`, (N,), in lowest terms.

    x is `numerators` (N, 4) / `denominators` (N,) on the points `basis` (N, 4), and zero elsewhere.
    """

    owner: Ints
    basis: Ints
    numerators: Ints
    denominators: Ints

    @classmethod
    def reduced(cls, owner: Ints, basis: Ints, numerators: Ints, denominators: Ints) -> _Vertices:
        """Return the vertices in lowest terms; OverflowError if they do not fit into 64 bits."""
        divisor = np.gcd(np.gcd.reduce(numerators, axis=1), denominators)
        numerators, denominators = numerators // divisor[:, None], denominators // divisor
        # The conversion of larger Python integers raises OverflowError.
        return cls(owner, basis, numerators.astype(np.int64), denominators.astype(np.int64))

    def take(self, rows: Ints | NDArray[np.bool_]) -> _Vertices:
        """Return the vertices `rows`."""
        return _Vertices(
            self.owner[rows], self.basis[rows], self.numerators[rows], self.denominators[rows]
        )

    def volumes(self, coxeter: Ints) -> Ints:
        """Return v times the denominators, (N, p), in Python integers; `coxeter` is (G, p)."""
        volumes: Ints = (
            coxeter[self.owner].astype(object) * self.denominators.astype(object)[:, None]
        )
        there = np.take_along_axis(volumes, self.basis, axis=1) + self.numerators
        np.put_along_axis(volumes, self.basis, there, axis=1)
        return volumes


def _first_candidate(vertices: _Vertices, coxeter: Ints) -> tuple[Ints, Ints, Ints]:
    """Return `tight`, `numerators` and `scale` of `Candidates` from all positive vertices."""
    num_geometries, num_points = coxeter.shape
    for point in range(num_points):
        if len(np.unique(vertices.owner)) == len(vertices.owner):
            break
        here = np.where(vertices.basis == point, vertices.numerators, 0).sum(axis=1)
        divisor = np.gcd(here, vertices.denominators)
        least = _least_ratios(vertices.owner, here // divisor, vertices.denominators // divisor)
        vertices = vertices.take(least)
    owner, scale = vertices.owner, np.zeros(num_geometries, dtype=np.int64)
    numerators = np.zeros((num_geometries, num_points), dtype=np.int64)
    tight = np.full(num_geometries, -1)
    scale[owner] = vertices.denominators
    volumes = vertices.volumes(coxeter)
    numerators[owner] = volumes.astype(np.int64)
    equal = volumes == coxeter[owner] * vertices.denominators.astype(object)[:, None]
    tight[owner] = (equal & (coxeter[owner] != 0)).sum(axis=1)
    return tight, numerators, scale


def _least_ratios(owner: Ints, numerators: Ints, denominators: Ints) -> NDArray[np.bool_]:
    """Return which of the fractions in lowest terms, (N,), are the least of their owner."""
    ratios = numerators / denominators
    least = np.full(owner.max() + 1, np.inf)
    np.minimum.at(least, owner, ratios)
    least = least[owner]
    near = ratios <= least + _CLOSE * (1.0 + np.abs(least))
    # In lowest terms equal fractions are equal pairs. Other pairs need exact arithmetic.
    place = np.zeros(owner.max() + 1, dtype=np.int64)
    place[owner[near]] = np.flatnonzero(near)
    other = place[owner]
    differs = (numerators != numerators[other]) | (denominators != denominators[other])
    for one in np.unique(owner[near & differs]):
        rows = np.flatnonzero(near & (owner == one))
        exact = [Fraction(int(numerators[row]), int(denominators[row])) for row in rows]
        near[rows] = [value == min(exact) for value in exact]
    return near
