"""Descent: follow V from a start to a minimum, or out of the field range.

The method is Newton's with damping, (H + μ) d = −∇V, a trust-region method kept by regularisation
[1]_, [2]_. A step is accepted only if it lowers V as the quadratic model promises. One linear
solve a step is much cheaper than the spectrum that would certify H + μ > 0. If a solution climbs,
H + μ is not positive definite, and the reverse step leads down along negative modes. The spectrum
is taken only where it decides: a trial at a critical point with a negative mode is pushed off
along that mode, downhill, and goes on.

References
----------
.. [1] J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed., Springer, 2006, chapter 4.
.. [2] A. R. Conn, N. I. M. Gould and P. L. Toint, Trust-Region Methods, SIAM, 2000, chapter 6.
"""

from __future__ import annotations

import numpy as np

from vacuagym.theories.toy.active_set import (
    ACCEPTED_SHARE,
    GOOD_SHARE,
    POOR_SHARE,
    ActiveStack,
    SearchSettings,
    Trials,
)
from vacuagym.theories.toy.batched_linalg import (
    Bools,
    Floats,
    Places,
    diagonal_of,
    dot,
    norm,
    solve,
)
from vacuagym.theories.toy.potential import Potential

_FIRST_DAMPING = 15.0
# Not zero: a Hessian with an exactly flat direction must stay solvable.
_LEAST_DAMPING = 1e-12
# Factors of the damping after a step. A good step multiplies it by the ratio of the gradient norms,
# and by _EASED at most. _POOR applies to a poor step, _REFUSED to a refused one. _CLIMBED applies
# to an accepted reverse step: H + μ is not positive definite there. The values are the
# project's own.
_EASED = 0.6
_POOR = 2.0
_REFUSED = 2.5
_CLIMBED = 4.0
_LEAST_RAISED_DAMPING = 1e-2
# The damping at a saddle, in units of its most negative eigenvalue.
_SADDLE_DAMPING = 2.0
# A trial is stuck if its damping exceeds this multiple of 1 + the largest diagonal entry of H. So
# short a step along −∇V must lower V, except for rounding.
_STUCK = 100.0
# Lengths of the push off a saddle, in field units; the one with the lowest V is taken.
_PUSHES = np.array([1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3])
# The longest step is |φ| plus this factor times √n, in field units.
_REACH = 2.5
# Changes of V below this share of 1 + |V| are rounding errors.
_ROUNDING = 1e-13
_TINY = 1e-300  # no division by a length of zero


def descend(potential: Potential, starts: Floats, settings: SearchSettings) -> Trials:
    """Follow V downhill, once from each start.

    Parameters
    ----------
    potential : Potential
        B systems with n moduli each.
    starts : array, shape (B, n)
        The start of each trial, in field units.
    settings : SearchSettings
        Tolerances and the number of steps.
    """
    stack = ActiveStack(
        potential, starts, settings, "descent", damping=np.full(len(starts), _FIRST_DAMPING)
    )
    for _ in range(settings.descent_steps):
        if not stack.retire(_at_minimum(stack), stack.escaped()):
            break
        _step(stack)
    stack.retire(_at_minimum(stack), stack.escaped())
    return stack.close()


def _at_minimum(stack: ActiveStack) -> Bools:
    """Return which trials have converged, and push trials at a saddle off it.

    A converged trial has no negative mode. A stuck trial is treated like one at a critical point:
    beside a saddle, |∇V| may exceed the tolerance while V changes by less than its rounding error.
    If no mode is negative there, the next step is Newton's undamped one.
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
        damping[candidates] = np.where(
            negative, _SADDLE_DAMPING * np.abs(modes[:, 0]), _LEAST_DAMPING
        )
        saddles = candidates[negative]
        if len(saddles):
            converged[saddles] &= ~_push_off(stack, saddles)
    return converged


def _push_off(stack: ActiveStack, saddles: Places) -> Bools:
    """Move trials at a saddle downhill along their most negative mode.

    Each goes to the lowest V of a few lengths. Return where V fell, shape (saddles,).
    """
    mode = np.linalg.eigh(stack.hessian[saddles])[1][:, :, 0]
    downhill = np.where(dot(stack.gradient[saddles], mode) > 0.0, -1.0, 1.0)
    points = stack.phi[saddles] + _PUSHES[:, None, None] * (downhill[:, None] * mode)
    heights = stack.potential.take(saddles).value(points)
    heights = np.where(np.isnan(heights), np.inf, heights)
    fell: Bools = heights.min(axis=0) < stack.value[saddles]
    stack.move(saddles[fell], points[heights.argmin(axis=0), np.arange(len(saddles))][fell])
    return fell


def _step(stack: ActiveStack) -> None:
    gradient, damping = stack.gradient, stack.work["damping"]
    direction = _damped_step(stack)
    length, slope = norm(direction), dot(gradient, direction)
    curvature = -slope - damping * length**2  # d·Hd
    climbs = slope > 0.0  # Along the reverse V falls, and bends down.
    # A step may be long where the field is already far out, so that a runaway needs few of them.
    longest = _REACH * np.sqrt(gradient.shape[1]) + norm(stack.phi)
    scale = np.minimum(1.0, longest / np.maximum(length, _TINY))
    slope, curvature = -np.abs(slope) * scale, curvature * scale**2
    step = np.where(climbs, -scale, scale)[:, None] * direction
    promised = -slope - 0.5 * curvature
    points = stack.evaluate(stack.phi + step)
    gained, grad_norm = stack.value - points[1], norm(points[2])
    # Close to the minimum V changes by less than its rounding error. There the gradient decides.
    noise = _ROUNDING * (1.0 + np.abs(stack.value))
    in_noise = (np.abs(gained) <= noise) & (grad_norm < stack.grad_norm)
    accepted = (slope < 0.0) & (promised > 0.0) & ((gained > ACCEPTED_SHARE * promised) | in_noise)
    good = (gained > GOOD_SHARE * promised) | (promised < noise)
    poor = gained < POOR_SHARE * promised
    # Damping that falls with the gradient keeps Newton's fast convergence at the minimum.
    eased = damping * np.where(
        good, np.minimum(_EASED, grad_norm / stack.grad_norm), np.where(poor, _POOR, 1.0)
    )
    raised = np.maximum(np.where(accepted, _CLIMBED, _REFUSED) * damping, _LEAST_RAISED_DAMPING)
    stack.work["damping"] = np.maximum(np.where(accepted & ~climbs, eased, raised), _LEAST_DAMPING)
    stack.step(accepted, points)


def _damped_step(stack: ActiveStack) -> Floats:
    """Return the solution d (B, n) of (H + damping) d = −∇V."""
    damped = stack.hessian.copy("K")
    diagonal_of(damped)[...] += stack.work["damping"][:, None]
    return -solve(damped, stack.gradient)
