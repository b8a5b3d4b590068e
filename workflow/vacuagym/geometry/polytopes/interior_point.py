"""Decide for many sets of integer points at once whether the origin is inside their hull.

Let P be a set of points that spans the space, and s its sum. The origin is inside the hull of P
exactly if -s lies in the cone of P: then 0 = Σ p + Σ c_p p with c_p >= 0, and all coefficients are
positive. The simplex method decides this, for all sets at once and with integers only: the columns
of a basis are points, and Cramer's rule gives the coordinates of -s. G. B. Dantzig, Linear
Programming and Extensions (1963); R. G. Bland, Math. Oper. Res. 2, 103 (1977).
"""

from __future__ import annotations

import numpy as np

from vacuagym.geometry.polytopes.integers import BoolArray, IntArray

# The pivot with the largest gain needs about 12 steps, but may cycle. Bland's rule cannot.
_STEPS_BEFORE_BLAND = 60
_PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def origin_is_inside(points: IntArray, sizes: IntArray) -> BoolArray:
    """Return whether the origin is in the interior of the hull of each set of points.

    Parameters
    ----------
    points
        All sets, one after the other, (N, 4), int64.
    sizes
        Number of points of each set, (B,), all positive.

    Returns
    -------
    ndarray
        One answer a set, (B,). False too for sets that do not span four dimensions.

    Notes
    -----
    Nothing overflows if all points have norm up to 102 and a set has up to 10,000 points: minors
    of two, three and four points are below 1.1e4, 1.1e6 and 1.1e8, the sum of a set is below
    1.1e6, and its determinant with three points below 1.2e12.
    """
    sets = np.arange(len(sizes))
    inside = np.zeros(len(sizes), dtype=bool)
    starts = np.cumsum(sizes) - sizes
    target = -np.add.reduceat(points, starts, axis=0)
    # The first basis is artificial: unit vectors with the signs of -s. Their names are negative.
    basis = np.where(target < 0, -1, 1)[:, :, None] * np.eye(4, dtype=np.int64)
    names = np.tile(np.arange(-4, 0), (len(sets), 1))
    step = 0
    while len(sets):
        adjugate, determinant = _adjugate(basis)
        adjugate *= np.sign(determinant)[:, None, None]
        levels = _dot(adjugate, target)
        artificial = names < 0
        feasible = (levels * artificial).sum(axis=1) == 0
        spans = ~artificial.any(axis=1)
        inside[sets[feasible & spans]] = True
        # Before -s is in the cone of the basis, a point enters that lowers the artificial part.
        # After that, a point enters that replaces an artificial vector of level 0. If none can, the
        # points do not span: removed · s = 0, so a point with removed · p < 0 would need another
        # with removed · p > 0.
        removed = adjugate[np.arange(len(sets)), np.argmax(artificial, axis=1)]
        gradient = np.where(feasible[:, None], removed, (adjugate * artificial[:, :, None]).sum(1))
        gain = (np.repeat(gradient, sizes, axis=0) * points).sum(axis=1)
        best = np.maximum.reduceat(gain, starts)
        goes_on = np.flatnonzero(~(feasible & spans) & (best > 0))
        least = np.repeat(best if step < _STEPS_BEFORE_BLAND else np.minimum(best, 1), sizes)
        rows = np.where(gain >= least, np.arange(len(gain)), len(gain))
        entering = np.minimum.reduceat(rows, starts)[goes_on]
        column = points[entering]
        leaving = np.where(
            feasible[goes_on],
            np.argmax(artificial[goes_on], axis=1),
            _leaving(levels[goes_on], _dot(adjugate[goes_on], column), names[goes_on]),
        )
        basis, names, target = basis[goes_on], names[goes_on], target[goes_on]
        basis[np.arange(len(goes_on)), :, leaving] = column
        names[np.arange(len(goes_on)), leaving] = entering - starts[goes_on]
        kept = np.zeros(len(sets), dtype=bool)
        kept[goes_on] = True
        points, sets, sizes = points[np.repeat(kept, sizes)], sets[goes_on], sizes[goes_on]
        starts = np.cumsum(sizes) - sizes
        step += 1
    return inside


def _dot(matrices: IntArray, vectors: IntArray) -> IntArray:
    """Return matrices (B, 4, 4) times vectors (B, 4)."""
    product: IntArray = (matrices * vectors[:, None, :]).sum(axis=2)
    return product


def _leaving(levels: IntArray, slopes: IntArray, names: IntArray) -> IntArray:
    """Return the place of the vector that leaves each basis: the least level / slope of slope > 0.

    Of equal ratios the least name decides. Ratios are compared by their whole and their rest.
    """
    rising = slopes > 0
    slope = np.where(rising, slopes, 1)
    whole, rest = np.divmod(levels, slope)
    most = np.iinfo(np.int64).max
    best = np.zeros(len(levels), dtype=np.int64)
    found = rising[:, 0].copy()
    at = np.arange(len(levels))
    for place in range(1, levels.shape[1]):
        first, second = np.where(found, whole[at, best], most), whole[:, place]
        mine, other = rest[:, place] * slope[at, best], rest[at, best] * slope[:, place]
        tied = (second == first) & (mine == other)
        better = (second < first) | ((second == first) & (mine < other))
        better |= tied & (names[:, place] < names[at, best])
        better &= rising[:, place]
        best = np.where(better, place, best)
        found |= rising[:, place]
    return best


def _adjugate(matrices: IntArray) -> tuple[IntArray, IntArray]:
    """Return adjugates (B, 4, 4) and determinants (B,) of matrices, by minors of two rows."""
    rows = [[matrices[:, i, j] for j in range(4)] for i in range(4)]
    upper = {p: rows[0][p[0]] * rows[1][p[1]] - rows[0][p[1]] * rows[1][p[0]] for p in _PAIRS}
    lower = {p: rows[2][p[0]] * rows[3][p[1]] - rows[2][p[1]] * rows[3][p[0]] for p in _PAIRS}
    adjugate = np.empty_like(matrices)
    for place in range(4):
        # Cofactors of column `place`, without one row of a pair; the minor is of the other pair.
        a, b, c = (j for j in range(4) if j != place)
        sign = -1 if place % 2 else 1
        for i, (other, minors) in enumerate(((1, lower), (0, lower), (3, upper), (2, upper))):
            row = rows[other]
            cofactor = row[a] * minors[b, c] - row[b] * minors[a, c] + row[c] * minors[a, b]
            adjugate[:, place, i] = cofactor * (sign if i % 2 == 0 else -sign)
    determinant = sum(rows[0][j] * adjugate[:, j, 0] for j in range(4))
    return adjugate, np.asarray(determinant)
