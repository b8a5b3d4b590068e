"""The height of the barrier that keeps a metastable vacuum from the runaway.

A barrier is looked for along rays from the vacuum, ± every Hessian eigenvector: an upper bound on
the lowest saddle between the vacuum and the abyss, cheap and reproducible, not the bounce of a
tunnelling calculation.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vacuagym.theories.toy.batched_linalg import arranged
from vacuagym.theories.toy.potential import Potential

_STEP = (
    0.1  # field units: of the grid on a ray, which resolves all but the two features of _features
)
_GROWTH = 0.01  # the step grows with the distance where it is larger: there V is a polynomial
_ROUNDING = (
    1e-10  # relative: next to the vacuum V is lower by what the search has left of the gradient
)
_LOOK = (
    2**15
    # numbers of the points on all rays that are looked at together: several steps of a few systems,
    # one of many
)
_REFINEMENTS = 40  # golden-section steps: the bracket shrinks by 0.618 with each, to rounding error
_NEAR = (
    np.concatenate([-np.geomspace(1e-4, 1.0, 33)[::-1], [0.0], np.geomspace(1e-4, 1.0, 33)])
    * 2
    * _STEP
)  # about a feature


class Rays(Potential, Protocol):
    """A potential that tells where a straight line meets features that may be narrower than a
    step.
    """

    def features(self, phi: np.ndarray, rays: np.ndarray) -> list[np.ndarray]:
        """Distances along ``rays`` (R, B, n) from ``phi`` (B, n) at which V may have a narrow
        valley or peak, (R, B) each.
        """


def barrier_heights(
    potential: Rays,
    phi: np.ndarray,
    value: np.ndarray,
    eigenvectors: np.ndarray,
    field_range: float,
) -> np.ndarray:
    """Return the least barrier over ± every eigenvector, shape (B,).

    The barrier along a ray is (max V until V falls below the vacuum's) − V. ``phi`` (B, n),
    ``value`` (B,), ``eigenvectors`` (B, n, n) in columns. A ray along which V has not fallen below
    the vacuum's within twice ``field_range`` has no barrier on it; NaN where no ray has one.
    """
    if not len(value):
        return np.empty(0)
    directions = np.concatenate([eigenvectors, -eigenvectors], axis=2).transpose(2, 0, 1)
    rays = np.ascontiguousarray(directions)
    top, crossing = _climb(potential, phi, value, rays, np.full(rays.shape[:2], 2.0 * field_range))
    top, nearer = _look_closely(potential, phi, value, rays, top, crossing, 2.0 * field_range)
    again = np.flatnonzero((nearer < top).any(axis=0))  # a valley that the grid has stepped over
    if again.size:
        part = potential.take(again), phi[again], value[again], rays[:, again]
        # Up to the valley, and at its features once more: the highest point lies before it.
        before, _ = _climb(*part, np.minimum(nearer[:, again], 2.0 * field_range))
        top[:, again], _ = _look_closely(*part, before, nearer[:, again], 2.0 * field_range)
    height = _refine(potential, phi, rays, top, nearer) - value
    height = np.where(np.isfinite(nearer), height, np.inf).min(axis=0)
    return np.where(np.isfinite(height), np.maximum(height, 0.0), np.nan)


def _grid(end: float) -> np.ndarray:
    """Return the distances at which a ray is looked at: steps of _STEP, then steps that grow, up
    to ``end``.
    """
    turn = min(end, _STEP / _GROWTH)
    even = _STEP * np.arange(1, int(np.ceil(turn / _STEP)) + 1)
    count = max(0, int(np.ceil(np.log(end / even[-1]) / np.log1p(_GROWTH))))
    grid = np.concatenate([even, even[-1] * (1.0 + _GROWTH) ** np.arange(1, count + 1)])
    return np.append(grid[grid < end], end)


def _climb(
    potential: Potential, phi: np.ndarray, value: np.ndarray, rays: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Walk every ray (R, B, n) until V < the vacuum's, or to ``end`` (R, B).

    Returns the distance of the highest grid point, and that of the first one below the vacuum,
    infinite where there is none, (R, B).
    """
    grid = _grid(float(end.max()))
    highest = np.broadcast_to(value, rays.shape[:2]).copy()
    top = np.zeros(rays.shape[:2])
    crossing = np.full(rays.shape[:2], np.inf)
    walking = np.arange(len(value))  # systems with a ray that has not ended
    step = 0
    while step < len(grid) and len(walking):
        their = rays[:, walking]
        distances = grid[step : step + max(1, _LOOK // their.size)]
        step += len(distances)
        here = potential.value(arranged(phi[walking] + distances[:, None, None, None] * their))
        low = here < value[walking]
        first = np.where(low.any(axis=0), distances[low.argmax(axis=0)], np.inf)
        crossing[:, walking] = np.minimum(crossing[:, walking], first)
        limit = np.minimum(crossing, end)[:, walking]
        here[(distances[:, None, None] >= limit) | np.isnan(here)] = -np.inf
        best = here.argmax(axis=0)
        peak = here.max(axis=0)
        higher = peak > highest[:, walking]
        highest[:, walking] = np.where(higher, peak, highest[:, walking])
        top[:, walking] = np.where(higher, distances[best], top[:, walking])
        ended = (distances[-1] >= limit).all(axis=0)
        if ended.any():
            walking, potential = walking[~ended], potential.take(np.flatnonzero(~ended))
    return top, crossing


def _look_closely(
    potential: Rays,
    phi: np.ndarray,
    value: np.ndarray,
    rays: np.ndarray,
    top: np.ndarray,
    crossing: np.ndarray,
    end: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Look at points that crowd about the features of each ray; returns ``top`` and ``crossing``
    (R, B) as they are then.
    """
    top, crossing = top.copy(), crossing.copy()
    slack = _ROUNDING * (1.0 + np.abs(value))
    block = max(1, _LOOK // (len(_NEAR) * rays[:, :1].size))
    for start in range(0, len(value), block):
        own = np.arange(start, min(start + block, len(value)))
        some, there, their = potential.take(own), phi[own], rays[:, own]
        highest = some.value(there + top[:, own, None] * their)
        for feature in some.features(there, their):
            distances = feature + _NEAR[:, None, None]
            here = some.value(arranged(there + distances[..., None] * their))
            ahead = (distances > 0.0) & (distances < end)
            low = np.where(ahead & (here < value[own] - slack[own]), distances, np.inf).min(axis=0)
            crossing[:, own] = np.minimum(crossing[:, own], low)
            here[~ahead | (distances >= crossing[:, own]) | np.isnan(here)] = -np.inf
            best = here.argmax(axis=0)[None]
            peak = np.take_along_axis(here, best, axis=0)[0]
            higher = peak > highest
            top[:, own] = np.where(
                higher, np.take_along_axis(distances, best, axis=0)[0], top[:, own]
            )
            highest = np.where(higher, peak, highest)
    return top, crossing


def _refine(
    potential: Potential, phi: np.ndarray, rays: np.ndarray, top: np.ndarray, crossing: np.ndarray
) -> np.ndarray:
    """Return the maximum of V along each ray within a step of ``top`` and before ``crossing`` (R,
    B), by golden sections.
    """
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    step = np.maximum(_STEP, 2.0 * _GROWTH * top)
    low, high = np.maximum(top - step, 0.0), np.minimum(top + step, crossing)

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
    return np.maximum(np.maximum(at_inner, at_outer), along(top))
