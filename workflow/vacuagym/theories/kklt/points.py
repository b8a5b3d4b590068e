"""All that is computed about the KKLT points of one geometry with a positive candidate.

The label of `labels` does not depend on any of this. Here stand the toric part of the answer, where
the points lie, and the exact supersymmetric points at a few values of W0.

What is a choice: Pfaffians 1, equal dual Coxeter numbers, the tree-level Kaehler potential, and W0
as a free number, with frozen complex structure and dilaton. There is no orientifold and no tadpole.
Most curves are below string size, so these are candidates and not controlled vacua.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacuagym.theories.kklt.candidates import positive_candidates
from vacuagym.theories.kklt.chambers import ToricChambers
from vacuagym.theories.kklt.exact_point import LOST, ExactPoint, best_points, find_points
from vacuagym.theories.kklt.supersymmetry import (
    TWO_PI,
    Floats,
    Ints,
    mass_eigenvalues,
    volumes,
)
from vacuagym.theories.kklt.toric_walk import BOUNDARY, FAILED, INSIDE, OUTSIDE, walk
from vacuagym.theories.kklt.uplift import Potential, lift

REFERENCE_W0 = 1e-8
PANEL_W0 = (1e-2, 1e-40)
# The string coupling of `alpha_ratio`.
STRING_COUPLING = 0.1
_ZETA_3 = 1.2020569031595942


@dataclass(frozen=True)
class Geometry:
    """A favourable Calabi-Yau hypersurface with p toric divisors and n = p - 4 moduli.

    Attributes
    ----------
    points : (p, 4) int64
        Lattice points of the divisors.
    normals : (F, 4) int64
        Vertices of the dual polytope.
    rigid : (p,) bool
        Rigid divisors.
    basis : (n,) int64
        Divisors that form a basis of all classes.
    charges : (p, n) int64
        Classes of all divisors in this basis.
    kaehler_point : (n,) float64
        A class inside the Kaehler cone of some phase.
    euler : int
        Euler characteristic.
    """

    points: Ints
    normals: Ints
    rigid: NDArray[np.bool_]
    basis: Ints
    charges: Ints
    kaehler_point: Floats
    euler: int


@dataclass(frozen=True)
class KkltPoints:
    """The columns of sections on the toric part and on exact points; None where there is no value.

    Attributes
    ----------
    toric : str or None
        `inside`, `boundary`, `outside` or `failed`: the best over all positive candidates. None
        without a positive candidate. `outside` speaks of the toric part only: a flop beyond it may
        have the point.
    num_points : int
        Leading-log points inside.
    margin, flips, chambers
        Of the first walk with that outcome; see `toric_walk.Walk`.
    vacuum : tuple of str, or None
        For the reference W0 and the panel: `vacuum`, `singular` or `lost`.
    cause : str or None
        Why the reference point is lost; see `classes.CAUSES`.
    kaehler : (n,) float64 or None
        Exact class at the reference W0, in units of l_s^2, Einstein frame, for g_s c = 1. Multiply
        curves by sqrt(g_s c).
    min_curve, volume, tau_min, tau_max : float or None
        The smallest curve of X, Vol, and the smallest and largest rigid divisor there.
    log10_m32, log10_v_ads : float or None
        log10 of m_3/2 and of |V| in units of M_p, up to the factor of g_s and K_cs.
    signs : (m,) int64 or None
        Signs of the terms.
    lambda_min : float or None
        The smallest |lambda| of `supersymmetry.mass_eigenvalues`; above 2 all is a minimum.
    tachyons_bf : int or None
        Squared masses below 0, all above the Breitenlohner-Freedman bound.
    uplift : str or None
        See `classes.UPLIFTS`; with power 4/3.
    alpha_ratio : float or None
        |xi| g_s^(-3/2) / (2 Vol) at g_s = 0.1, the size of the first alpha' correction
        (K. Becker, M. Becker, M. Haack and J. Louis, hep-th/0204254).
    """

    toric: str | None = None
    num_points: int = 0
    margin: float | None = None
    flips: int | None = None
    chambers: int | None = None
    vacuum: tuple[str, ...] | None = None
    cause: str | None = None
    kaehler: Floats | None = None
    min_curve: float | None = None
    volume: float | None = None
    tau_min: float | None = None
    tau_max: float | None = None
    log10_m32: float | None = None
    log10_v_ads: float | None = None
    signs: Ints | None = None
    lambda_min: float | None = None
    tachyons_bf: int | None = None
    uplift: str | None = None
    alpha_ratio: float | None = None


def find_kklt_points(
    geometry: Geometry,
    reference: float = REFERENCE_W0,
    panel: Sequence[float] = PANEL_W0,
    coxeter: int = 1,
) -> KkltPoints:
    """Locate the KKLT points of one geometry in the toric part, and solve for the exact ones.

    Parameters
    ----------
    geometry : Geometry
    reference : float
        The |W0| of all columns but `vacuum`.
    panel : sequence of float
        Further values of |W0| for `vacuum`.
    coxeter : int
        The dual Coxeter number c of all rigid divisors.
    """
    if (~geometry.rigid).sum() > 4:
        return KkltPoints()
    numbers = geometry.rigid.astype(np.int64)
    numerators, scale = positive_candidates(geometry.points, numbers)
    if not len(scale):
        return KkltPoints()
    chambers = ToricChambers(geometry.points, geometry.normals, geometry.basis)
    start = chambers(geometry.kaehler_point)
    if start is None or not start.contains(geometry.kaehler_point):
        raise ValueError("kaehler_point: it has no fine triangulation; pass an interior point")
    walks = [
        walk(chambers, v[geometry.basis] / one, geometry.kaehler_point, start)
        for v, one in zip(numerators, scale, strict=True)
    ]
    order = (INSIDE, BOUNDARY, FAILED, OUTSIDE)
    best = min(walks, key=lambda one: order.index(one.outcome))
    inside = [i for i, one in enumerate(walks) if one.outcome == INSIDE]
    columns: dict[str, Any] = {
        "toric": best.outcome,
        "num_points": len(inside),
        "margin": best.margin,
        "flips": best.flips,
        "chambers": best.chambers,
    }
    if not inside:
        return KkltPoints(**columns)
    branches: list[list[ExactPoint]] = []
    rows = geometry.charges[geometry.rigid]
    for i in inside:
        tight = np.flatnonzero(numerators[i][geometry.rigid] == scale[i])
        branches += find_points(
            chambers, rows, tight, walks[i], (reference, *panel), TWO_PI / coxeter
        )
    points = best_points(branches)
    columns["vacuum"] = tuple(point.status for point in points)
    columns["cause"] = points[0].cause or None
    if points[0].status == LOST:
        return KkltPoints(**columns)
    return KkltPoints(**columns, **_described(points[0], geometry.euler))


def _described(point: ExactPoint, euler: int) -> dict[str, Any]:
    """Return the columns of one exact point."""
    terms, kappa, t = point.terms, point.kappa, point.t
    assert terms is not None
    assert kappa is not None
    assert t is not None
    assert point.curves is not None
    log = -np.log(point.w0)
    tau = terms.charges @ volumes(kappa, t)[1]
    eigenvalues = mass_eigenvalues(terms, kappa, log, t)
    masses = np.concatenate([eigenvalues**2 - eigenvalues, eigenvalues**2 + eigenvalues]) - 2.0
    xi = abs(euler) * _ZETA_3 / (2.0 * TWO_PI**3)
    return {
        "kaehler": t,
        "min_curve": point.min_curve,
        "volume": point.volume,
        "tau_min": float(tau.min()),
        "tau_max": float(tau.max()),
        "log10_m32": float(np.log10(point.gravitino_mass)),
        "log10_v_ads": float(np.log10(3.0) + 2.0 * np.log10(point.gravitino_mass)),
        "signs": terms.signs.astype(np.int64),
        "lambda_min": float(np.abs(eigenvalues).min()),
        "tachyons_bf": int((masses < 0).sum()),
        "uplift": lift(Potential(terms, kappa, log), t, point.curves).outcome,
        "alpha_ratio": xi * STRING_COUPLING**-1.5 / (2.0 * point.volume),
    }
