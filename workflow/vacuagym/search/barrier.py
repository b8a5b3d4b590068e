"""The height of the barrier that keeps a metastable vacuum from the runaway.

A barrier is looked for along rays from the vacuum, ± every Hessian eigenvector: an upper bound on the lowest saddle between the
vacuum and the abyss, cheap and reproducible, not the bounce of a tunnelling calculation.
"""

from __future__ import annotations

import numpy as np

from vacuagym.eft.potential import Potential
from vacuagym.eft.stacked import arranged

_STEP = 0.1  # field units; the finest structure of V has the width δ of the same size
_LOOK = 2**15  # numbers of the points on all rays that are looked at together: several steps of a few systems, one of many
_REFINEMENTS = 40  # golden-section steps: the bracket shrinks by 0.618 with each, to rounding error


def barrier_heights(potential: Potential, phi: np.ndarray, value: np.ndarray, eigenvectors: np.ndarray, field_range: float) -> np.ndarray:
    """The least, over ± every eigenvector, of (max V along the ray until V falls below the vacuum's) − V, shape (B,).

    ``phi`` (B, n), ``value`` (B,), ``eigenvectors`` (B, n, n) in columns. A ray along which V has not fallen below the vacuum's within
    twice ``field_range`` has no barrier on it; NaN where no ray has one.
    """
    directions = np.concatenate([eigenvectors, -eigenvectors], axis=2).transpose(2, 0, 1)
    rays = np.ascontiguousarray(directions)
    top, crossed = _climb(potential, phi, value, rays, field_range)
    height = _refine(potential, phi, rays, top) - value
    height = np.where(crossed, height, np.inf).min(axis=0)
    return np.where(np.isfinite(height), np.maximum(height, 0.0), np.nan)


def _climb(potential: Potential, phi: np.ndarray, value: np.ndarray, rays: np.ndarray, field_range: float) -> tuple[np.ndarray, np.ndarray]:
    """Walk every ray (R, B, n) until V < the vacuum's: the distance of the highest grid point, and whether the ray crossed, (R, B)."""
    highest = np.broadcast_to(value, rays.shape[:2]).copy()
    top = np.zeros(rays.shape[:2])
    crossed = np.zeros(rays.shape[:2], bool)
    walking = np.arange(len(value))  # systems with a ray that has not crossed
    step, last = 1, int(np.ceil(2.0 * field_range / _STEP))
    while step <= last and len(walking):
        their = rays[:, walking]
        distances = _STEP * np.arange(step, min(step + max(1, _LOOK // their.size), last + 1))
        step += len(distances)
        here = potential.value(arranged(phi[walking] + distances[:, None, None, None] * their))
        below = np.logical_or.accumulate(here < value[walking], axis=0) | crossed[:, walking]
        here[below | np.isnan(here)] = -np.inf
        best = here.argmax(axis=0)
        peak = here.max(axis=0)
        higher = peak > highest[:, walking]
        highest[:, walking] = np.where(higher, peak, highest[:, walking])
        top[:, walking] = np.where(higher, distances[best], top[:, walking])
        crossed[:, walking] = below[-1]
        ended = below[-1].all(axis=0)
        if ended.any():
            walking, potential = walking[~ended], potential.take(np.flatnonzero(~ended))
    return top, crossed


def _refine(potential: Potential, phi: np.ndarray, rays: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The maximum of V along each ray within a step of ``top`` (R, B), by golden sections."""
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    low, high = np.maximum(top - _STEP, 0.0), top + _STEP

    def along(distance: np.ndarray) -> np.ndarray:
        return potential.value(phi + distance[:, :, None] * rays)

    inner, outer = high - golden * (high - low), low + golden * (high - low)
    at_inner, at_outer = along(inner), along(outer)
    for _ in range(_REFINEMENTS):
        left = at_inner > at_outer
        high, low = np.where(left, outer, high), np.where(left, low, inner)
        probe = np.where(left, high - golden * (high - low), low + golden * (high - low))
        at_probe = along(probe)
        inner, at_inner, outer, at_outer = (
            np.where(left, probe, outer),
            np.where(left, at_probe, at_outer),
            np.where(left, inner, probe),
            np.where(left, at_inner, at_probe),
        )
    return np.maximum(at_inner, at_outer)
