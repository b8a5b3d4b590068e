"""Root search: find critical points of any Hessian index, as zeros of ∇V.

The method is Levenberg–Marquardt on ½|∇V|². Its damping falls with the gradient, so it keeps
Newton's quadratic convergence [1]_. It does not roll downhill: saddles and maxima are found as
readily as minima. It may stall where |∇V|² is stationary and ∇V is not zero. Such a point is never
accepted; the caller decides what follows.

References
----------
.. [1] N. Yamashita and M. Fukushima, "On the rate of convergence of the Levenberg–Marquardt
   method", Computing Supplementa 15 (2001), 239–249.
.. [2] J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed., Springer, 2006, chapter 4.
.. [3] J. E. Dennis and R. B. Schnabel, Numerical Methods for Unconstrained Optimization and
   Nonlinear Equations, SIAM, 1996, section 6.3.2.
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
    apply,
    arranged,
    diagonal_of,
    dot,
    norm,
    solve,
    square,
)
from vacuagym.theories.toy.potential import Potential

# Trust radius, in field units. It begins at √n. It grows threefold at most, and a poor step halves
# it; [2] doubles it and takes a quarter. The factors are the project's own.
_LARGEST_RADIUS = 1e8
_RADIUS_GROWTH = 3.0
_RADIUS_SHRINK = 0.5
# After a keen step, the trust radius follows the length of the step times this factor.
_RADIUS_PER_LENGTH = 1.5
# A step is keen if it promises more than this share of |∇V|²: it is almost Newton's.
_KEEN = 0.5
# A step is dull if it promises less than this share of |∇V|². Two dull steps in a row end a trial:
# it stalls at a stationary point of |∇V|². Exception: no step was keen yet and the radius still
# grows. Then the small radius explains the small promise.
_DULL = 0.3
# Bounds on the fraction of a step that a second attempt takes; the safeguards of backtracking in
# [3].
_LEAST_FRACTION = 0.1
_LARGEST_FRACTION = 0.5


def find_roots(potential: Potential, starts: Floats, settings: SearchSettings) -> Trials:
    """Search zeros of ∇V, one from each start.

    A step solves (H² + μ²) d = −H∇V with μ = |∇V| / (2 radius). This bounds |d| by the trust
    radius. The radius grows after steps that fulfil the linear model, and shrinks after others. A
    refused step is tried once more at a fraction of its length, without a second solve.

    Parameters
    ----------
    potential : Potential
        B systems with n moduli each.
    starts : array, shape (B, n)
        The start of each trial, in field units.
    settings : SearchSettings
        Tolerances and the number of steps.
    """
    count, n = starts.shape
    radius = np.full(count, np.sqrt(n))
    flags = {name: np.zeros(count, bool) for name in ("keen", "dull", "stalled")}
    stack = ActiveStack(potential, starts, settings, "root", radius=radius, **flags)
    for _ in range(settings.root_steps):
        if not stack.retire(_at_root(stack), stack.escaped(), stack.work["stalled"]):
            break
        _step(stack)
    stack.retire(_at_root(stack), stack.escaped())
    return stack.close()


def _at_root(stack: ActiveStack) -> Bools:
    converged = stack.converged() & stack.live
    if converged.any():
        stack.spectra(np.flatnonzero(converged))
    return converged


def _step(stack: ActiveStack) -> None:
    radius, squared = stack.work["radius"], stack.grad_norm**2
    direction, slope, curvature = _damped_step(stack, squared / (2.0 * radius) ** 2)
    length, promised = norm(direction), -2.0 * slope - curvature
    points = stack.evaluate(stack.phi + direction)
    gained = squared - dot(points[2], points[2])
    accepted = (gained > ACCEPTED_SHARE * promised) & (promised > 0.0)
    good, keen = gained > GOOD_SHARE * promised, promised > _KEEN * squared
    # The radius follows the length of the steps, unless the radius itself keeps them short.
    grown = np.minimum(
        _RADIUS_GROWTH * radius,
        np.where(keen, np.maximum(radius, _RADIUS_PER_LENGTH * length), _LARGEST_RADIUS),
    )
    shrunk = _RADIUS_SHRINK * np.fmin(radius, length)
    stack.work["radius"] = np.where(
        good, grown, np.where(gained > POOR_SHARE * promised, radius, shrunk)
    )
    stack.work["keen"] |= keen
    dull = (promised < _DULL * squared) & (stack.work["keen"] | ~good)
    stack.work["stalled"] = dull & stack.work["dull"]
    stack.work["dull"] = dull

    again = np.flatnonzero(~accepted & (promised > 0.0) & stack.live)
    if len(again):
        slope, curvature = slope[again], curvature[again]
        # A parabola has the values of |∇V|² at both ends of the step and its slope at the start.
        # Its minimum lies at this fraction of the step.
        fraction = np.fmax(
            _LEAST_FRACTION, np.minimum(_LARGEST_FRACTION, slope / (gained[again] + 2.0 * slope))
        )
        phi = arranged(stack.phi[again] + fraction[:, None] * direction[again])
        shorter = phi, *stack.potential.take(again).derivatives(phi)
        accepted[again] = squared[again] - dot(
            shorter[2], shorter[2]
        ) > -ACCEPTED_SHARE * fraction * (2.0 * slope + fraction * curvature)
        for array, values in zip(points, shorter, strict=True):
            array[again] = values
    stack.step(accepted, points)


def _damped_step(stack: ActiveStack, damping: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the damped step d of each trial, ∇V·Hd and |Hd|².

    d (B, n) solves (H² + damping) d = −H∇V. The two products (B,) give |∇V + tHd|², the linear
    model along d.
    """
    normal = square(stack.hessian)
    diagonal_of(normal)[...] += damping[:, None]
    force = apply(stack.hessian, stack.gradient)
    direction = -solve(normal, force)
    slope = dot(force, direction)
    return direction, slope, -slope - damping * dot(direction, direction)
