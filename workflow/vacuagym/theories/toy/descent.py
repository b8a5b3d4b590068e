"""Descent: where a trial rolls from its start, to a minimum of V or out of the field range.

Newton's method with a trust region kept by regularisation, (H + μ) d = −∇V (Nocedal and Wright,
Numerical Optimization, 2nd ed., chapter 4): a step is taken only if it lowers V as its quadratic
model says. One linear solve a step is much cheaper than the spectrum that would certify H + μ > 0.
A solution that climbs shows that it is not, and its reverse leads down along negative modes; and
the spectrum is taken where it decides: a trial that arrives at a critical point with a negative
mode is pushed off along it, downhill, and goes on.
"""

from __future__ import annotations

import numpy as np

from vacuagym.theories.toy.active_set import ActiveStack, SearchSettings, Trials
from vacuagym.theories.toy.batched_linalg import diagonal_of, dot, norm, solve
from vacuagym.theories.toy.potential import Potential

_FIRST_DAMPING = 15.0
_LEAST_DAMPING = 1e-12  # not zero: a Hessian with an exactly flat direction must stay solvable
# damping in units of the largest diagonal entry of H: a step this short along −∇V must lower V,
# but for rounding
_STUCK = 100.0
_PUSHES = np.array([1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3])


def descend(potential: Potential, starts: np.ndarray, settings: SearchSettings) -> Trials:
    """Follow V downhill from ``starts`` (B, n), one for each of the B systems."""
    stack = ActiveStack(
        potential, starts, settings, "descent", damping=np.full(len(starts), _FIRST_DAMPING)
    )
    for _ in range(settings.descent_steps):
        if not stack.retire(_at_minimum(stack), stack.escaped()):
            break
        _step(stack)
    stack.retire(_at_minimum(stack), stack.escaped())
    return stack.close()


def _at_minimum(stack: ActiveStack) -> np.ndarray:
    """Which trials have converged to a point without negative modes; those at a saddle are pushed
    off it instead.

    A trial that damping cannot move is treated alike: beside a saddle, |∇V| may be above the
    tolerance while V changes by less than its rounding error. If nothing is negative there,
    Newton's undamped step gets the next word.
    """
    converged = stack.converged() & stack.live
    damping = stack.work["damping"]
    stiff = np.flatnonzero((damping > _STUCK) & stack.live & ~converged)
    stuck = stiff[
        damping[stiff]
        > _STUCK * (1.0 + np.abs(diagonal_of(stack.hessian[stiff])).max(axis=1, initial=0.0))
    ]
    candidates = np.concatenate([np.flatnonzero(converged), stuck])
    if len(candidates):
        modes = stack.spectra(candidates)
        negative = modes[:, 0] < -stack.settings.hess_eps * np.maximum(
            1.0, np.abs(modes).max(axis=1)
        )
        damping[candidates] = np.where(negative, 2.0 * np.abs(modes[:, 0]), _LEAST_DAMPING)
        saddles = candidates[negative]
        if len(saddles):
            converged[saddles] &= ~_push_off(stack, saddles)
    return converged


def _push_off(stack: ActiveStack, saddles: np.ndarray) -> np.ndarray:
    """Move the trials at a saddle along their most negative mode to where V is lowest; true where
    it fell, shape (saddles,).
    """
    mode = np.linalg.eigh(stack.hessian[saddles])[1][:, :, 0]
    downhill = np.where(dot(stack.gradient[saddles], mode) > 0.0, -1.0, 1.0)
    points = stack.phi[saddles] + _PUSHES[:, None, None] * (downhill[:, None] * mode)
    heights = stack.potential.take(saddles).value(points)
    heights = np.where(np.isnan(heights), np.inf, heights)
    fell = heights.min(axis=0) < stack.value[saddles]
    stack.move(saddles[fell], points[heights.argmin(axis=0), np.arange(len(saddles))][fell])
    return fell


def _step(stack: ActiveStack) -> None:
    gradient, damping = stack.gradient, stack.work["damping"]
    direction = _damped_step(stack)
    length, slope = norm(direction), dot(gradient, direction)
    curvature = -slope - damping * length**2  # d·Hd
    climbs = slope > 0.0  # along the reverse V falls, and bends down
    # A step may be long where the field is already far out, so that a runaway needs few of them.
    longest = 2.5 * np.sqrt(gradient.shape[1]) + norm(stack.phi)
    scale = np.minimum(1.0, longest / np.maximum(length, 1e-300))
    slope, curvature = -np.abs(slope) * scale, curvature * scale**2
    step = np.where(climbs, -scale, scale)[:, None] * direction
    promised = -slope - 0.5 * curvature
    points = stack.evaluate(stack.phi + step)
    gained, grad_norm = stack.value - points[1], norm(points[2])
    # Close to the minimum V changes by less than its rounding error: there the gradient decides.
    noise = 1e-13 * (1.0 + np.abs(stack.value))
    in_noise = (np.abs(gained) <= noise) & (grad_norm < stack.grad_norm)
    accepted = (slope < 0.0) & (promised > 0.0) & ((gained > 1e-4 * promised) | in_noise)
    good = (gained > 0.75 * promised) | (promised < noise)
    poor = gained < 0.25 * promised
    # Damping that falls with the gradient keeps Newton's fast convergence at the minimum.
    eased = damping * np.where(
        good, np.minimum(0.6, grad_norm / stack.grad_norm), np.where(poor, 2.0, 1.0)
    )
    raised = np.maximum(np.where(accepted, 4.0, 2.5) * damping, 1e-2)
    stack.work["damping"] = np.maximum(np.where(accepted & ~climbs, eased, raised), _LEAST_DAMPING)
    stack.step(accepted, points)


def _damped_step(stack: ActiveStack) -> np.ndarray:
    damped = stack.hessian.copy("K")
    diagonal_of(damped)[...] += stack.work["damping"][:, None]
    return -solve(damped, stack.gradient)
