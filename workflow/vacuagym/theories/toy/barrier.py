"""The height of the barrier that keeps a metastable vacuum from the runaway.

The barrier is searched along rays from the vacuum, ± every Hessian eigenvector. The result is an
upper bound on the lowest saddle between the vacuum and lower V. It is cheap and reproducible. It
is not the bounce of a tunnelling calculation.

References
----------
.. [1] J. Kiefer, "Sequential minimax search for a maximum", Proc. Amer. Math. Soc. 4 (1953),
   502–506: golden-section search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from vacuagym.theories.toy.batched_linalg import Floats, Places, arranged
from vacuagym.theories.toy.potential import Potential

# Step of the grid on a ray, in field units. It resolves all but the features of a potential.
_STEP = 0.1
# Far out V is a polynomial, so the step grows: it is at least this share of the distance.
_GROWTH = 0.01
# V must fall below the vacuum's by this share of 1 + |V|. Next to the vacuum V is slightly lower,
# because the search leaves a small gradient.
_ROUNDING = 1e-10
# Numbers in the points on all rays that are evaluated together: many steps of a few systems, or
# one step of many.
_LOOK = 2**15
# Golden-section steps. Each shrinks the bracket by 0.618, so 40 bring it to rounding error.
_REFINEMENTS = 40
# Distances around a feature at which V is evaluated, in field units.
_NEAR = (
    np.concatenate([-np.geomspace(1e-4, 1.0, 33)[::-1], [0.0], np.geomspace(1e-4, 1.0, 33)])
    * 2
    * _STEP
)
# A ray ends at this multiple of the field range.
_RANGES = 2.0


class Rays(Potential, Protocol):
    """A potential that knows where a ray meets features narrower than a step."""

    def features(self, phi: Floats, rays: Floats) -> list[Floats]:
        """Return the distances at which V may have a narrow valley or peak, (R, B) each.

        ``rays`` (R, B, n) begin at ``phi`` (B, n).
        """


@dataclass(frozen=True)
class _Vacua:
    """B vacua, and R rays from each."""

    potential: Rays
    phi: Floats  # (B, n)
    value: Floats  # (B,)
    rays: Floats  # (R, B, n)

    def take(self, systems: Places) -> Self:
        """Return the vacua at these indices."""
        return replace(
            self,
            potential=self.potential.take(systems),
            phi=self.phi[systems],
            value=self.value[systems],
            rays=self.rays[:, systems],
        )


def barrier_heights(
    potential: Rays, phi: Floats, value: Floats, *, eigenvectors: Floats, field_range: float
) -> Floats:
    """Return the lowest barrier over the rays along ± every Hessian eigenvector.

    The barrier along a ray is max V − V(vacuum), up to where V falls below that of the vacuum.

    Parameters
    ----------
    potential : Rays
        B systems with n moduli each.
    phi : array, shape (B, n)
        The vacua, in field units.
    value : array, shape (B,)
        V at the vacua.
    eigenvectors : array, shape (B, n, n)
        Hessian eigenvectors, in columns.
    field_range : float
        A ray ends at twice this distance, in field units.

    Returns
    -------
    array, shape (B,)
        The barrier height, dimensionless. NaN if V does not fall below that of the vacuum on any
        ray.
    """
    if not len(value):
        return np.empty(0)
    directions = np.concatenate([eigenvectors, -eigenvectors], axis=2).transpose(2, 0, 1)
    vacua = _Vacua(potential, phi, value, np.ascontiguousarray(directions))
    end = _RANGES * field_range
    top, crossing = _climb(vacua, np.full(vacua.rays.shape[:2], end))
    top, nearer = _look_closely(vacua, top, crossing, end)
    again = np.flatnonzero((nearer < top).any(axis=0))  # The grid has stepped over a valley.
    if again.size:
        part = vacua.take(again)
        # Climb to the valley only, and look at the features again: the top lies before it.
        before, _ = _climb(part, np.minimum(nearer[:, again], end))
        top[:, again], _ = _look_closely(part, before, nearer[:, again], end)
    height = _refine(vacua, top, nearer) - value
    height = np.where(np.isfinite(nearer), height, np.inf).min(axis=0)
    return np.where(np.isfinite(height), np.maximum(height, 0.0), np.nan)


def _grid(end: float) -> Floats:
    """Return the distances of the grid on a ray, up to ``end``: even steps, then growing ones."""
    turn = min(end, _STEP / _GROWTH)
    even = _STEP * np.arange(1, int(np.ceil(turn / _STEP)) + 1)
    count = max(0, int(np.ceil(np.log(end / even[-1]) / np.log1p(_GROWTH))))
    grid = np.concatenate([even, even[-1] * (1.0 + _GROWTH) ** np.arange(1, count + 1)])
    return np.append(grid[grid < end], end)


def _climb(vacua: _Vacua, end: Floats) -> tuple[Floats, Floats]:
    """Walk every ray until V < V(vacuum), or to ``end`` (R, B).

    Return the distance of the highest grid point, and that of the first point below the vacuum,
    (R, B) each. The second is infinite where V stays above.
    """
    potential: Potential = vacua.potential
    phi, value, rays = vacua.phi, vacua.value, vacua.rays
    grid = _grid(float(end.max()))
    highest = np.broadcast_to(value, rays.shape[:2]).copy()
    top = np.zeros(rays.shape[:2])
    crossing = np.full(rays.shape[:2], np.inf)
    walking = np.arange(len(value))  # systems with an unfinished ray
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
    vacua: _Vacua, top: Floats, crossing: Floats, end: float
) -> tuple[Floats, Floats]:
    """Evaluate V at many points around the features of each ray.

    Return the improved ``top`` and ``crossing`` (R, B).
    """
    value, rays = vacua.value, vacua.rays
    top, crossing = top.copy(), crossing.copy()
    slack = _ROUNDING * (1.0 + np.abs(value))
    block = max(1, _LOOK // (len(_NEAR) * rays[:, :1].size))
    for start in range(0, len(value), block):
        own = np.arange(start, min(start + block, len(value)))
        part = vacua.take(own)
        some, there, their = part.potential, part.phi, part.rays
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


def _refine(vacua: _Vacua, top: Floats, crossing: Floats) -> Floats:
    """Return the maximum of V near ``top`` (R, B) on each ray, before ``crossing`` (R, B).

    Golden-section search [1]_ within a step of ``top``.
    """
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    step = np.maximum(_STEP, 2.0 * _GROWTH * top)
    low, high = np.maximum(top - step, 0.0), np.minimum(top + step, crossing)

    def along(distance: Floats) -> Floats:
        return vacua.potential.value(vacua.phi + distance[:, :, None] * vacua.rays)

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
    highest: Floats = np.maximum(np.maximum(at_inner, at_outer), along(top))
    return highest
