"""Exact supersymmetric points of a geometry, from its leading-log points down to given W0.

The path starts at L = ln(1 / W0) = 1e5, where the leading-log point of `toric_walk` is nearly
exact. The n terms of a basis S of tight divisors come first. Then the other terms are switched on,
and then L falls. On the way the class passes through flops. One path serves all W0.

Different bases S of a tie, and different axions, give different branches. The axions theta make all
sigma_b = exp(i Q_b . theta) real, with sigma_a = -sign(s_a) on S. So theta = pi Q_S^-1 (v + 2 k),
where v_a = [s_a > 0] and k runs through Z^n / Q_S Z^n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from vacuagym.theories.kklt.chambers import Chamber
from vacuagym.theories.kklt.classes import CAUSES, STATUSES
from vacuagym.theories.kklt.supersymmetry import (
    LARGEST_RESIDUAL,
    TWO_PI,
    Floats,
    Ints,
    Superpotential,
    newton,
    plain_residual,
    superpotential_ratio,
    volumes,
)
from vacuagym.theories.kklt.toric_walk import SMALLEST_CURVE, Chambers, Walk

VACUUM, SINGULAR, LOST = STATUSES
# Why a branch is lost: it leaves the toric Kaehler cone, ends in a fold, has no real axions, has no
# start, or solves the logarithmic form only.
CONE, FOLD, PHASES, START, SPURIOUS = CAUSES

_FIRST_LOG = 1e5
# Coefficients s_a below this share of the largest vanish at leading log: both signs are tried.
_ZERO = 1e-7
_MOST_ZEROS = 6
# ln of the weights of the other terms: from here to 0.
_FIRST_WEIGHT, _LARGEST_STEP, _LEAST_STEP = -40.0, 8.0, 1e-3
# Ratios of successive L: the usual one, the boldest one, and the one where the path ends.
_RATIO, _BOLDEST_RATIO, _LEAST_RATIO = 0.6, 0.3, 0.98
_LARGEST_TURN = 0.3
_PREDICTOR_STEPS = 2
_MOST_FLOPS = 4
# On a flop wall a curve may be this much below 0, relative to t, by rounding.
_FLOP_TOLERANCE = 1e-9
_SAME_POINT = 1e-5


@dataclass(frozen=True)
class ExactPoint:
    """A supersymmetric point at one W0, or why there is none.

    Attributes
    ----------
    status : str
        `vacuum`: all curves of X have positive size. `singular`: some curve has size 0, at most
        1e-6 Vol^(1/3), and a flop lies beyond. `lost`: there is no point on this branch; one with a
        curve of size 0 that is no flop curve is on the boundary of the toric Kaehler cone.
    cause : str
        One of `classes.CAUSES` if the branch is lost, else empty.
    w0 : float
    terms : Superpotential or None
        The terms with the signs of the branch.
    t : (n,) float64 or None
        Kaehler class in the basis, Einstein frame, in units of l_s^2.
    kappa : (n, n, n) float64 or None
        Intersection numbers there.
    curves : (R, n) float64 or None
        Curves of X there: t has the curve volumes curves @ t.
    min_curve, volume, ratio, residual : float
        The smallest curve of X, Vol, W / W0 and the residual of D W = 0; NaN without a point.
    """

    status: str
    cause: str
    w0: float
    terms: Superpotential | None = None
    t: Floats | None = None
    kappa: Floats | None = None
    curves: Floats | None = None
    min_curve: float = np.nan
    volume: float = np.nan
    ratio: float = np.nan
    residual: float = np.nan

    @property
    def gravitino_mass(self) -> float:
        """m_3/2 = W / Vol in units of M_p, up to the factor from K_cs and g_s."""
        return self.w0 * self.ratio / self.volume

    @property
    def potential(self) -> float:
        """V = -3 m_3/2^2 at the supersymmetric point."""
        return -3.0 * self.gravitino_mass**2


def find_points(
    chambers: Chambers,
    charges: Ints,
    tight: Ints,
    start: Walk,
    w0s: Sequence[float],
    rate: float = TWO_PI,
) -> list[list[ExactPoint]]:
    """Return the exact points of all branches from one leading-log point.

    Parameters
    ----------
    chambers : callable
        Returns the chamber of a Kaehler class, or None.
    charges : (m, n) int64
        Classes of all rigid divisors in the basis of t.
    tight : (k,) int64
        Rows of `charges`: the rigid divisors of least volume at the leading-log point, k >= n.
    start : Walk
        The leading-log point.
    w0s : sequence of float
        Values of |W0|, 1e-100 < W0 < 1.
    rate : float
        a = 2 pi / c.

    Returns
    -------
    list of lists of ExactPoint
        One list a branch, with one point for each of `w0s`.
    """
    found: list[list[ExactPoint]] = []
    known: list[Floats] = []
    for basis in _bases(charges, tight):
        any_signs = False
        for signs in _branches(charges, basis, start.t):
            any_signs = True
            terms = Superpotential(charges.astype(float), signs, basis, rate)
            path = _Path(chambers, terms, start.chamber, start.t)
            cause = path.begin()
            if cause is not None:
                found.append([ExactPoint(LOST, cause, w0) for w0 in w0s])
                continue
            mark = np.concatenate([signs, path.t / np.abs(path.t).max()])
            if any(np.abs(mark - other).max() < _SAME_POINT for other in known):
                continue
            known.append(mark)
            found.append(path.descend(w0s))
        if not any_signs:
            found.append([ExactPoint(LOST, PHASES, w0) for w0 in w0s])
    return found


def best_points(branches: Sequence[Sequence[ExactPoint]]) -> list[ExactPoint]:
    """Return one point for each W0: a vacuum if any branch has one, else singular, else lost."""
    return [
        min(points, key=lambda point: STATUSES.index(point.status))
        for points in zip(*branches, strict=True)
    ]


def real_signs(charges: Ints, basis: Ints, odd: Ints) -> list[Ints]:
    """Return the sign vectors of all axions that make every term real.

    Parameters
    ----------
    charges : (m, n) int64
        Classes of the rigid divisors.
    basis : (n,) int64
        Independent rows S of `charges`.
    odd : (n,) int64
        v: 1 where sigma = -1 on S, and 0 where sigma = 1.

    Returns
    -------
    list of (m,) int64
        Entries 1 and -1, without repetition. Exactly one vector if |det Q_S| = 1, possibly none
        if the determinant is even.
    """
    return [signs for signs, _ in _real_terms(charges, basis, odd)]


def real_axions(charges: Ints, signs: Ints) -> Floats | None:
    """Return axions theta (n,) in [0, 2 pi) with exp(i Q_b . theta) = sigma_b, or None.

    Parameters
    ----------
    charges : (m, n) int64
        Classes of the rigid divisors; they span all classes.
    signs : (m,) int64
        sigma_b, 1 or -1.
    """
    basis = next(_bases(charges, np.arange(len(charges))))
    found = _real_terms(charges, basis, (signs[basis] < 0).astype(np.int64))
    return next((axions for own, axions in found if np.array_equal(own, signs)), None)


def _real_terms(charges: Ints, basis: Ints, odd: Ints) -> list[tuple[Ints, Floats]]:
    """Return sign vectors (m,) as `real_signs` does, each with its axions (n,)."""
    own = charges[basis]
    determinant = round(float(np.linalg.det(own.astype(float))))
    adjugate = np.rint(np.linalg.inv(own.astype(float)) * determinant).astype(np.int64)
    if not (own @ adjugate == determinant * np.eye(len(own), dtype=np.int64)).all():
        raise OverflowError("charges: the inverse of a basis is not exact in double precision")
    index = abs(determinant)
    adjugate *= np.sign(determinant)
    units = np.eye(len(own), dtype=np.int64)
    classes, todo = {}, [np.zeros(len(own), dtype=np.int64)]
    while todo:
        k = todo.pop()
        key = tuple((adjugate @ k % index).tolist())
        if key not in classes:
            classes[key] = k
            todo += list(k + units)
    found = {}
    for k in classes.values():
        halves = adjugate @ (odd + 2 * k)  # theta times index / pi
        phases = charges @ halves
        if not (phases % index).any():
            signs = 1 - 2 * (phases // index % 2)
            found[tuple(signs.tolist())] = signs, np.pi * (halves % (2 * index)) / index
    return list(found.values())


def _bases(charges: Ints, tight: Ints) -> Iterator[Ints]:
    """Yield all independent n-subsets of the tight divisors."""
    for subset in combinations(tight.tolist(), charges.shape[1]):
        basis = np.array(subset, dtype=np.int64)
        if abs(np.linalg.det(charges[basis].astype(float))) > 0.5:
            yield basis


def _branches(charges: Ints, basis: Ints, t: Floats) -> Iterator[Floats]:
    """Yield the sign vectors (m,) of the branches of one basis."""
    s = np.linalg.solve(charges[basis].T.astype(float), t)
    zero = np.flatnonzero(np.abs(s) < _ZERO * np.abs(s).max())
    choices = product((0, 1), repeat=len(zero)) if len(zero) <= _MOST_ZEROS else [()]
    for choice in choices:
        odd = (s > 0).astype(np.int64)
        odd[zero[: len(choice)]] = choice
        for signs in real_signs(charges, basis, odd):
            yield signs.astype(float)


class _Path:
    """One branch: the terms, the chamber and the class t, which move together."""

    def __init__(self, chambers: Chambers, terms: Superpotential, chamber: Chamber, t: Floats):
        self.chambers, self.terms, self.chamber, self.t = chambers, terms, chamber, t
        tau = volumes(chamber.kappa, t)[1]
        # The volumes of the candidate: 1 on every divisor of least volume.
        self.candidate = tau / (terms.charges[terms.basis] @ tau).mean()

    def begin(self) -> str | None:
        """Move to the exact point at L = 1e5 with all terms; return a cause if there is none."""
        t = self._with_small_coefficients(self._scaled())
        found = self._newton(0.0, t)
        if found is None:
            return START
        t, log_weight, step = found, -np.inf, _LARGEST_STEP
        if not len(self.terms.others):
            log_weight = 0.0
        while log_weight < 0:
            following = min(0.0, max(log_weight + step, _FIRST_WEIGHT))
            found = self._newton(np.exp(following), t)
            if found is not None:
                t, log_weight, step = found, following, min(_LARGEST_STEP, 1.5 * step)
            elif log_weight == -np.inf or step < _LEAST_STEP:
                return START
            else:
                step *= 0.4
        self.t = t
        return None if self._inside_or_next(t) else CONE

    def _newton(self, weight: float, t: Floats) -> Floats | None:
        return newton(self.terms, self.chamber.kappa, _FIRST_LOG, t, weight)

    def _scaled(self) -> Floats:
        """Return the leading-log point at a tau_a = L."""
        tau = volumes(self.chamber.kappa, self.t)[1]
        own = self.terms.charges[self.terms.basis] @ tau
        return np.asarray(self.t * np.sqrt(_FIRST_LOG / (self.terms.rate * own.mean())))

    def _with_small_coefficients(self, t: Floats) -> Floats:
        """Return t with the next order of the coefficients s_a that vanish at leading log."""
        s = self.terms.in_basis(t)
        zero = np.abs(s) < _ZERO * np.abs(s).max()
        if not zero.any():
            return t
        own = self.terms.charges[self.terms.basis]
        response = own @ (self.chamber.kappa @ t) @ own.T
        size = np.where(zero, 1e-3 * np.abs(s).max() / np.sqrt(_FIRST_LOG), np.abs(s))
        shift = -(np.log(size) - np.log(np.abs(s[~zero])).mean()) / self.terms.rate
        return np.asarray(own.T @ np.where(zero, np.linalg.solve(response, shift), s))

    def _inside(self, t: Floats) -> bool:
        """Return whether t is in the chamber; flop curves may be 0 up to rounding."""
        curves = self.chamber.rows @ t
        flop = self.chamber.crossable
        least = -_FLOP_TOLERANCE * float(np.abs(t).max())
        return bool((curves[flop] > least).all() and (curves[~flop] > 0).all())

    def _inside_or_next(self, t: Floats) -> bool:
        """Move to the chamber of t; return False outside the toric Kaehler cone."""
        if self._inside(t):
            return True
        found = self.chambers(t)
        if found is None:
            return bool((self.chamber.rows[self.chamber.relevant] @ t > 0).all())
        if not found.contains(t):
            return False
        self.chamber = found
        return True

    def descend(self, w0s: Sequence[float]) -> list[ExactPoint]:
        """Follow the branch to all W0."""
        found: dict[float, ExactPoint] = {}
        log, ratio, cause = _FIRST_LOG, _RATIO, FOLD
        for w0 in sorted(w0s):
            goal = -np.log(w0)
            while log > goal and ratio < _LEAST_RATIO:
                following = max(goal, log * ratio)
                chamber = self.chamber
                t, cause = self._corrected(following, self._predicted(log, following))
                if t is None:
                    self.chamber = chamber
                    t, cause = self._corrected(following, self.t * np.sqrt(following / log))
                if t is None:
                    self.chamber, ratio = chamber, ratio**0.4
                    continue
                self.t, log = t, following
                ratio = max(_BOLDEST_RATIO, ratio**1.5) if ratio > _RATIO else _RATIO
            found[w0] = self._point(w0) if log <= goal else ExactPoint(LOST, cause, w0)
        return [found[w0] for w0 in w0s]

    def _predicted(self, log: float, following: float) -> Floats:
        """Return the class at another L at which the least divisors keep their y_b.

        Scaling t alone would change every y_b by a factor, and terms of both signs then no longer
        balance.
        """
        t, kappa = self.t, self.chamber.kappa
        goal = volumes(kappa, t)[1] + (following - log) / self.terms.rate * self.candidate
        t = t * np.sqrt(following / log)
        for _ in range(_PREDICTOR_STEPS):
            contracted, tau, _ = volumes(kappa, t)
            try:
                t = t + np.linalg.solve(contracted, goal - tau)
            except np.linalg.LinAlgError:
                break
        return np.asarray(t)

    def _corrected(self, log: float, guess: Floats) -> tuple[Floats | None, str]:
        """Return the point at L near a guess, through flops if needed, or None and the cause."""
        t = newton(self.terms, self.chamber.kappa, log, guess)
        if t is None or self._turn(t) > _LARGEST_TURN:
            return None, FOLD
        for _ in range(_MOST_FLOPS):
            if self._inside(t):
                return t, ""
            if not self._inside_or_next(t):
                return None, CONE
            t = newton(self.terms, self.chamber.kappa, log, t)
            if t is None:
                return None, FOLD
            if (self.chamber.rows[self.chamber.relevant] @ t > 0).all():
                return t, ""
        return None, FOLD

    def _turn(self, t: Floats) -> float:
        return float(np.abs(t / np.linalg.norm(t) - self.t / np.linalg.norm(self.t)).max())

    def _point(self, w0: float) -> ExactPoint:
        terms, kappa, t = self.terms, self.chamber.kappa, self.t
        log = -np.log(w0)
        residual = plain_residual(terms, kappa, log, t)
        if residual > LARGEST_RESIDUAL:
            return ExactPoint(LOST, SPURIOUS, w0)
        volume = volumes(kappa, t)[2]
        curves, flop = self.chamber.rows[self.chamber.relevant], self.chamber.crossable
        sizes, smallest = curves @ t, SMALLEST_CURVE * volume ** (1 / 3)
        if (sizes[~flop[self.chamber.relevant]] <= smallest).any():
            return ExactPoint(LOST, CONE, w0)
        least = float(sizes.min())
        status = VACUUM if least > smallest else SINGULAR
        ratio = superpotential_ratio(terms, kappa, log, t)
        return ExactPoint(status, "", w0, terms, t, kappa, curves, least, volume, ratio, residual)
