"""Find the KKLT point of a candidate: walk through flops of the extended toric Kaehler cone.

At leading logarithm the point of a candidate w has tau(t) proportional to w. It is the minimum of

    f(t) = w . t - 3 ln Vol(t),

because grad f = w - 3 tau / Vol. On a nef cone f is convex (Hodge index; Khovanskii and Teissier),
and across a flop it is twice continuously differentiable: Vol changes by a cube of the curve that
shrinks. At the minimum w . t = 9 by homogeneity. The same idea serves M. Demirtas, M. Kim,
L. McAllister, J. Moritz and A. Rios-Tascon, arXiv:2107.09064, section 5.

Each round has two parts. Damped Newton steps re-triangulate where they leave the chamber. Where
they get stuck, a logarithmic barrier finds the minimum of the chamber; its multipliers say which
walls hold it. The walk crosses such a wall, or stops with the multipliers as its certificate: f
cannot fall further in the toric part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from vacuagym.theories.kklt.chambers import Chamber
from vacuagym.theories.kklt.classes import OUTCOMES
from vacuagym.theories.kklt.supersymmetry import Floats, volumes

Chambers = Callable[[Floats], Chamber | None]

INSIDE, BOUNDARY, OUTSIDE, FAILED = OUTCOMES
# A curve of X below this times Vol^(1/3) has size 0. Sizes of exactly 0 are common.
SMALLEST_CURVE = 1e-6

# The decrement^2 of Newton's method at a minimum; f is then exact to rounding.
_CONVERGED = 1e-22
# Newton's steps stop this far before walls that cannot be crossed.
_TO_THE_WALL = 0.9
_ARMIJO = 1e-4
_ROUNDING = 1e-14
_MAX_ITERATIONS = 4000
_MAX_CHAMBERS = 80
# Newton gives up for the barrier: distance to a wall, length of a step, number of short steps.
_STUCK_DISTANCE, _SHORT_STEP, _MAX_SHORT_STEPS = 0.01, 0.2, 6
_BACKTRACK, _MAX_BACKTRACKS = 0.4, 6
_BARRIERS = 10.0 ** -np.arange(8.0)
_MIDDLE_BARRIER = 2
# Walls with large multipliers and small curves hold the minimum of the barrier.
_ACTIVE_MULTIPLIER, _ACTIVE_CURVE = 1e-3, 1e-2
# w is outside the Mori cone if the residual is above this, and on its boundary if a small shift is.
_OUTSIDE_CONE, _SHIFT = 1e-10, 1e-7
# A critical point that a barrier walk finds on a wall may be this far beyond it, by rounding.
_ON_THE_WALL = 1e-7


@dataclass(frozen=True)
class Walk:
    """The end of a walk.

    Attributes
    ----------
    outcome : str
        `inside`: t is the leading-log point. `boundary`: it is, and a curve of X that is no flop
        curve has size 0. `outside`: the toric part has no point. `failed`: the walk ended early.
    t : (n,) float64
        The last Kaehler class, scaled to w . t = 9 at a minimum.
    chamber : Chamber
        Its chamber.
    margin : float
        The smallest curve of X on a wall that is no flop, over Vol^(1/3).
    flips, chambers : int
        Changes of the triangulation, and chambers in which a barrier was needed.
    unbounded : bool
        Whether f falls without bound; then `outside` holds in every model that has this chamber.
    """

    outcome: str
    t: Floats
    chamber: Chamber
    margin: float
    flips: int
    chambers: int
    unbounded: bool = False


def walk(chambers: Chambers, w: Floats, t: Floats, chamber: Chamber) -> Walk:
    """Look for the leading-log point of one candidate.

    Parameters
    ----------
    chambers : callable
        Returns the chamber of a Kaehler class, or None; see `chambers.ToricChambers`.
    w : (n,) float64
        The candidate: the volumes of the divisors of the basis, up to a factor.
    t : (n,) float64
        A class inside `chamber`, the start.
    chamber : Chamber
        The chamber where the walk starts. The outcome does not depend on it.
    """
    return _Walker(chambers, w, t, chamber).run()


def objective(kappa: Floats, w: Floats, t: Floats) -> float:
    """Return f(t) = w . t - 3 ln Vol(t), infinite where Vol <= 0."""
    volume = volumes(kappa, t)[2]
    return float(w @ t - 3.0 * np.log(volume)) if volume > 0 else np.inf


def derivatives(kappa: Floats, w: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Return the gradient (n,) and the Hessian (n, n) of f."""
    contracted, tau, volume = volumes(kappa, t)
    gradient = w - 3.0 * tau / volume
    return gradient, -3.0 * contracted / volume + 3.0 * np.outer(tau, tau) / volume**2


def smallest_point(rows: Floats) -> Floats | None:
    """Return the t of least norm with rows @ t >= 1, or None.

    By non-negative least squares (C. L. Lawson and R. J. Hanson, Solving Least Squares Problems,
    chapter 23).
    """
    number, size = rows.shape
    target = np.zeros(size + 1)
    target[size] = 1.0
    try:
        weights, _ = nnls(
            np.vstack([rows.T, np.ones(number)]), target, maxiter=50 * (number + size)
        )
    except RuntimeError:
        return None
    residual = np.vstack([rows.T, np.ones(number)]) @ weights - target
    if residual[size] >= 0:
        return None
    t = -residual[:size] / residual[size]
    return t if (rows @ t > 0).all() else None


def _newton_step(hessian: Floats, gradient: Floats) -> Floats:
    scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    matrix = hessian * scale[:, None] * scale
    try:
        step = np.linalg.solve(matrix, gradient * scale)
    except np.linalg.LinAlgError:
        step = np.linalg.lstsq(matrix, gradient * scale, rcond=None)[0]
    return np.asarray(-scale * step)


def _distance(curves: Floats, change: Floats) -> float:
    """Return the step at which the first of the shrinking curves vanishes, or infinity."""
    shrinking = change < 0
    return float(np.min(-curves[shrinking] / change[shrinking])) if shrinking.any() else np.inf


@dataclass(frozen=True)
class _Barrier:
    """The minimum with a barrier on all walls: `t`, the one of a stronger barrier, multipliers."""

    t: Floats
    middle: Floats
    multipliers: Floats


class _Walker:
    def __init__(self, chambers: Chambers, w: Floats, t: Floats, chamber: Chamber):
        self.chambers, self.w, self.chamber = chambers, w, chamber
        self.t = t * (9.0 / (w @ t)) if w @ t > 0 else t
        self.flips = self.iterations = self.visited = 0
        self.seen: set[bytes] = set()

    def run(self) -> Walk:
        if self._unbounded():
            return self._end(OUTSIDE, unbounded=True)
        while self.iterations < _MAX_ITERATIONS and self.visited < _MAX_CHAMBERS:
            if self._descend():
                return self._end(INSIDE)
            if self._unbounded():
                return self._end(OUTSIDE, unbounded=True)
            outcome = self._next_chamber()
            if outcome is not None:
                return self._end(outcome)
        return self._end(FAILED)

    def _end(self, outcome: str, unbounded: bool = False) -> Walk:
        chamber = self.chamber
        walls = chamber.relevant & ~chamber.crossable
        volume = volumes(chamber.kappa, self.t)[2]
        margin = np.inf
        if walls.any() and volume > 0:
            margin = float((chamber.rows[walls] @ self.t).min() / volume ** (1 / 3))
        if outcome == INSIDE and margin < SMALLEST_CURVE:
            outcome = BOUNDARY
        return Walk(outcome, self.t, chamber, margin, self.flips, self.visited, unbounded)

    def _unbounded(self) -> bool:
        """Return whether w is not inside the Mori cone: then f falls along a nef ray."""
        rows = self.chamber.rows
        inward = rows.sum(axis=0) / np.linalg.norm(rows.sum(axis=0))
        size = np.linalg.norm(self.w)
        for shift in (0.0, _SHIFT):
            target = self.w - shift * size * inward
            if nnls(rows.T, target, maxiter=100 * sum(rows.shape))[1] > _OUTSIDE_CONE * size:
                return True
        return False

    def _descend(self) -> bool:
        """Take Newton steps through chambers; return whether they reach the minimum."""
        short = 0
        while self.iterations < _MAX_ITERATIONS and short < _MAX_SHORT_STEPS:
            self.iterations += 1
            chamber = self.chamber
            gradient, hessian = derivatives(chamber.kappa, self.w, self.t)
            step = _newton_step(hessian, gradient)
            decrement = -float(step @ gradient)
            if not decrement >= 0:
                return False
            if decrement < _CONVERGED:
                return True
            fixed = chamber.rows[~chamber.crossable]
            distance = _distance(fixed @ self.t, fixed @ step)
            if distance < _STUCK_DISTANCE:
                return False
            length = self._step(step, min(1.0, _TO_THE_WALL * distance), decrement)
            if length is None:
                return False
            short = short + 1 if length < _SHORT_STEP else 0
        return False

    def _step(self, step: Floats, length: float, decrement: float) -> float | None:
        """Move along `step` so that f falls; return the length, or None if no step does."""
        before = objective(self.chamber.kappa, self.w, self.t)
        for _ in range(_MAX_BACKTRACKS):
            trial = self.t + length * step
            limit = before - _ARMIJO * length * decrement
            if self.chamber.contains(trial):
                found: Chamber | None = self.chamber
                limit += _ROUNDING * abs(before)
            else:
                found = self.chambers(trial)
            if (
                found is not None
                and found.contains(trial)
                and objective(found.kappa, self.w, trial) <= limit
            ):
                self._enter(found, trial)
                return length
            length *= _BACKTRACK
        return None

    def _enter(self, chamber: Chamber, t: Floats) -> None:
        self.flips += chamber is not self.chamber
        self.chamber, self.t = chamber, t

    def _next_chamber(self) -> str | None:
        """Cross a wall that holds the minimum of this chamber, or return the outcome."""
        self.visited += 1
        chamber = self.chamber
        key = chamber.rows.tobytes()
        again = key in self.seen
        self.seen.add(key)
        tip = smallest_point(chamber.rows)
        if tip is None or not self.w @ tip > 0:
            return FAILED
        # Half-way to the tip: from t itself, near a wall, the barrier fails in 0.3% of the walks.
        barrier = self._barrier(0.5 * self.t + 0.5 * tip * (9.0 / (self.w @ tip)))
        if barrier is None:
            return FAILED
        self.t = barrier.t
        curves, weight = chamber.rows @ self.t, barrier.multipliers
        active = (weight > _ACTIVE_MULTIPLIER * weight.max()) & (
            curves < _ACTIVE_CURVE * np.median(curves)
        )
        gradient, hessian = derivatives(chamber.kappa, self.w, self.t)
        step = _newton_step(hessian, gradient)
        if 0 <= -(step @ gradient) < 0.1 and chamber.contains(self.t + step):
            return None  # An interior minimum after all.
        held = OUTSIDE if (active & ~chamber.crossable).any() else FAILED
        crossable = active & chamber.crossable
        if again:
            return held
        if crossable.any():
            return None if self._cross(barrier, crossable, hessian) else held
        return self._on_the_wall()

    def _cross(self, barrier: _Barrier, walls: NDArray[np.bool_], hessian: Floats) -> bool:
        """Go through the walls, at once or one by one; return whether one gives way."""
        rows = self.chamber.rows
        ranked = np.flatnonzero(walls)[np.argsort(-barrier.multipliers[walls])]
        attempts = [(barrier.t, walls), (barrier.middle, walls)]
        attempts += [(barrier.middle, np.arange(len(rows)) == wall) for wall in ranked]
        for base, chosen in attempts:
            curves, others = rows @ base, ~chosen
            scaled = rows[others] / curves[others, None]
            step = -np.linalg.solve(hessian + 1e-3 * scaled.T @ scaled, rows[chosen].sum(axis=0))
            change = rows @ step
            if (change[chosen] >= 0).any():
                continue
            first = float(np.max(-curves[chosen] / change[chosen]))
            limit = min(_distance(curves[others], change[others]), 3.0 * first)
            if first >= limit:
                continue
            trial = base + step * (first + 0.3 * (limit - first))
            found = self.chambers(trial)
            if found is not None and found.contains(trial):
                self._enter(found, trial)
                return True
        return False

    def _on_the_wall(self) -> str:
        """Return whether the critical point lies on the walls, with multipliers zero, or beyond."""
        t, decrement = self.t, np.inf
        for _ in range(30):
            gradient, hessian = derivatives(self.chamber.kappa, self.w, t)
            step = _newton_step(hessian, gradient)
            decrement = -float(step @ gradient)
            if not 0 <= decrement < 1e4:
                return OUTSIDE
            if decrement < 1e-20:
                break
            t = t + (1.0 if decrement <= 0.06 else 1.0 / (1.0 + np.sqrt(decrement))) * step
        volume = volumes(self.chamber.kappa, t)[2]
        if decrement < 1e-18 and volume > 0:
            least = float((self.chamber.rows @ t).min()) / volume ** (1 / 3)
            if least > -_ON_THE_WALL:
                self.t = t
                return INSIDE
        return OUTSIDE

    def _barrier(self, t: Floats) -> _Barrier | None:
        """Minimise f with logarithmic barriers on all walls, from strong to weak."""
        rows, kappa = self.chamber.rows, self.chamber.kappa
        middle = t
        for place, strength in enumerate(_BARRIERS):
            for _ in range(60):
                self.iterations += 1
                gradient, hessian = derivatives(kappa, self.w, t)
                curves = rows @ t
                scaled = rows / curves[:, None]
                gradient = gradient - strength * scaled.sum(axis=0)
                step = _newton_step(hessian + strength * scaled.T @ scaled, gradient)
                decrement = -float(step @ gradient)
                if not decrement >= 0:
                    return None
                if decrement < 1e-3 * strength:
                    break
                length = min(1.0, 0.95 * _distance(curves, rows @ step))
                before = objective(kappa, self.w, t) - strength * np.log(curves).sum()
                for _ in range(30):
                    trial = t + length * step
                    after = objective(kappa, self.w, trial)
                    after -= strength * np.log(np.maximum(rows @ trial, 1e-300)).sum()
                    slack = _ARMIJO * length * decrement - 1e-13 * abs(before)
                    if after <= before - slack:
                        break
                    length *= 0.5
                t = t + length * step
            if place == _MIDDLE_BARRIER:
                middle = t
        return _Barrier(t, middle, _BARRIERS[-1] / (rows @ t))
