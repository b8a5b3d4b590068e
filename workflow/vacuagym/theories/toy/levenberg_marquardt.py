"""Root search: critical points of any Hessian index, as zeros of ∇V.

Levenberg–Marquardt on ½|∇V|², with the damping tied to the gradient (Yamashita and Fukushima, "On
the rate of convergence of the Levenberg–Marquardt method", 2001: damping that falls with the
residual keeps Newton's quadratic convergence). It does not roll downhill, so saddles and maxima
are found as readily as minima. It may stall where |∇V|² is stationary and ∇V is not zero; such a
point is never accepted, and what to do with it is the caller's choice.
"""

from __future__ import annotations

import numpy as np

from vacuagym.theories.toy.active_set import ActiveStack, SearchSettings, Trials
from vacuagym.theories.toy.batched_linalg import (
    apply,
    arranged,
    diagonal_of,
    dot,
    norm,
    solve,
    square,
)
from vacuagym.theories.toy.potential import Potential

_LARGEST_RADIUS = 1e8
# A trial whose steps promise less than this share of |∇V|² twice in a row is stalling at a
# stationary point of |∇V|²; unless the radius still grows and no step has promised much yet: then
# it is the radius that keeps the promise small.
_DULL = 0.3
_KEEN = 0.5  # a step that promises more than this share of |∇V|² is almost Newton's


def find_roots(potential: Potential, starts: np.ndarray, settings: SearchSettings) -> Trials:
    """Search ∇V = 0 from ``starts`` (B, n), one for each of the B systems.

    A step solves (H² + μ²) d = −H∇V with μ = |∇V| / (2 radius), which bounds |d| by the radius;
    the radius grows with steps that do what the linear model promised and shrinks with those that
    do not. A step that does too little is tried once more at a fraction of its length, which costs
    no second solve.
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


def _at_root(stack: ActiveStack) -> np.ndarray:
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
    accepted = (gained > 1e-4 * promised) & (promised > 0.0)
    good, keen = gained > 0.75 * promised, promised > _KEEN * squared
    # The radius follows the length of the steps, except where it is the radius that holds them
    # back.
    grown = np.minimum(
        3.0 * radius, np.where(keen, np.maximum(radius, 1.5 * length), _LARGEST_RADIUS)
    )
    shrunk = 0.5 * np.fmin(radius, length)
    stack.work["radius"] = np.where(good, grown, np.where(gained > 0.25 * promised, radius, shrunk))
    stack.work["keen"] |= keen
    dull = (promised < _DULL * squared) & (stack.work["keen"] | ~good)
    stack.work["stalled"] = dull & stack.work["dull"]
    stack.work["dull"] = dull

    again = np.flatnonzero(~accepted & (promised > 0.0) & stack.live)
    if len(again):
        slope, curvature = slope[again], curvature[again]
        # The parabola through |∇V|² at both ends, with its slope at the start, has its minimum at
        # this share of the step.
        share = np.fmax(0.1, np.minimum(0.5, slope / (gained[again] + 2.0 * slope)))
        phi = arranged(stack.phi[again] + share[:, None] * direction[again])
        shorter = phi, *stack.potential.take(again).derivatives(phi)
        accepted[again] = squared[again] - dot(shorter[2], shorter[2]) > -1e-4 * share * (
            2.0 * slope + share * curvature
        )
        for array, values in zip(points, shorter, strict=True):
            array[again] = values
    stack.step(accepted, points)


def _damped_step(
    stack: ActiveStack, damping: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The solution d of (H² + damping) d = −H∇V (B, n), with ∇V·Hd and |Hd|², (B,): |∇V + tHd|² is
    the linear model along d.
    """
    normal = square(stack.hessian)
    diagonal_of(normal)[...] += damping[:, None]
    force = apply(stack.hessian, stack.gradient)
    direction = -solve(normal, force)
    slope = dot(force, direction)
    return direction, slope, -slope - damping * dot(direction, direction)
