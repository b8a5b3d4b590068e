"""Root search: critical points of any Hessian index, as zeros of ∇V.

Levenberg–Marquardt on ½|∇V|², with the damping tied to the gradient (Yamashita and Fukushima, "On the rate of convergence of the
Levenberg–Marquardt method", 2001: damping that falls with the residual keeps Newton's quadratic convergence). It does not roll
downhill, so saddles and maxima are found as readily as minima. It may stall where |∇V|² is stationary and ∇V is not zero; such a point
is never accepted, and what to do with it is the caller's choice.
"""

from __future__ import annotations

import numpy as np

from vacuagym.eft.potential import Potential, diagonal_of
from vacuagym.search.stack import ActiveStack, SearchSettings, Trials, norm, solve

_FIRST_RADIUS = 1.0
_LARGEST_RADIUS = 1e8
# A trial whose |∇V| has not fallen by this factor in this many steps is stalling at a stationary point of |∇V|².
_PATIENCE = 6
_PROGRESS = 0.7


def find_roots(potential: Potential, starts: np.ndarray, settings: SearchSettings) -> Trials:
    """Search ∇V = 0 from ``starts`` (B, n), one for each of the B systems.

    A step solves (H² + μ²) d = −H∇V with μ = |∇V| / (2 radius), which bounds |d| by the radius; the radius grows with steps that do
    what the linear model promised and shrinks with those that do not.
    """
    stack = ActiveStack(potential, starts, settings, "root", radius=np.full(len(starts), _FIRST_RADIUS))
    stack.work["benchmark"] = stack.grad_norm
    for step in range(settings.root_steps):
        stalled = _stalled(stack) if step and step % _PATIENCE == 0 else False
        if not stack.retire(stack.converged(), stack.escaped(), stalled):
            break
        _step(stack)
    stack.retire(stack.converged(), stack.escaped())
    return stack.close()


def _stalled(stack: ActiveStack) -> np.ndarray:
    stalled = stack.grad_norm > _PROGRESS * stack.work["benchmark"]
    stack.work["benchmark"] = stack.grad_norm
    return stalled


def _step(stack: ActiveStack) -> None:
    hessian, gradient, size, radius = stack.hessian, stack.gradient, stack.grad_norm, stack.work["radius"]
    normal = hessian @ hessian
    diagonal_of(normal)[...] += ((size / (2.0 * radius)) ** 2)[:, None]
    direction = -solve(normal, np.matvec(hessian, gradient))
    length = norm(direction)
    phi = stack.phi + direction
    value, new_gradient, new_hessian = stack.potential.derivatives(phi)
    linear = gradient + np.matvec(hessian, direction)
    promised = size**2 - np.vecdot(linear, linear)
    gained = size**2 - np.vecdot(new_gradient, new_gradient)
    accepted = (gained > 1e-4 * promised) & (promised > 0.0)
    grown = np.minimum(3.0 * radius, _LARGEST_RADIUS)
    shrunk = 0.35 * np.fmin(radius, length)
    stack.work["radius"] = np.where(gained > 0.75 * promised, grown, np.where(gained > 0.25 * promised, radius, shrunk))
    stack.step(accepted, phi, value, new_gradient, new_hessian)
