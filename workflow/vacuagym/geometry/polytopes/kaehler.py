"""A point inside the Kaehler cone that the Mori rows of a triangulation define."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog, nnls

from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import FloatArray, IntArray

# Up to this h^{1,1} the Kaehler point is that of least norm; above, a linear program is solved.
_LEAST_NORM_LIMIT = 100
# A solver's answer counts if no curve volume is below this; it is then scaled to 1 or more.
_LEAST_VOLUME = 0.5


def kaehler_point(rows: IntArray) -> FloatArray:
    """Return a point of the cone {t : rows @ t >= 1}.

    Parameters
    ----------
    rows
        Relations (R, n) of the walls, in a basis of n toric divisors.

    Returns
    -------
    ndarray
        t (n,). For n <= 100 the point of least norm (C. L. Lawson and R. J. Hanson, Solving Least
        Squares Problems, chapter 23); above, the point of the least sum of all curve volumes. The
        solver's relative errors, 1e-5 at most on the published weight systems, are scaled away:
        no curve volume is below 1 by more than rounding.

    Raises
    ------
    TriangulationError
        If the solver finds no point of the cone.
    """
    number, size = rows.shape
    point: FloatArray | None = None
    if size <= _LEAST_NORM_LIMIT:
        point = _least_norm_point(rows.astype(float))
    if point is None or not (rows @ point).min() > _LEAST_VOLUME:
        answer = linprog(
            rows.sum(axis=0) / number,
            A_ub=-rows.astype(float),
            b_ub=-np.ones(number),
            bounds=(None, None),
            method="highs",
        )
        if answer.status != 0:
            raise TriangulationError(f"Kaehler cone: no point found; {answer.message}")
        point = np.asarray(answer.x)
    least = float((rows @ point).min())
    if not least > _LEAST_VOLUME:
        raise TriangulationError(f"Kaehler cone: the least curve volume is {least}, not 1")
    return point / min(least, 1.0)


def _least_norm_point(rows: FloatArray) -> FloatArray | None:
    """Return the t of least norm with rows @ t >= 1, or None if the solver fails."""
    number, size = rows.shape
    matrix = np.vstack([rows.T, np.ones(number)])
    target = np.zeros(size + 1)
    target[size] = 1
    try:
        weights, _ = nnls(matrix, target, maxiter=50 * (number + size))
    except RuntimeError:
        return None
    residual = matrix @ weights - target
    if residual[size] >= 0:
        return None
    point: FloatArray = -residual[:size] / residual[size]
    return point
