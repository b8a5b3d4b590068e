"""The ensemble of toy effective theories: how many moduli a geometry has, and how its couplings
are drawn.

One flux draw picks a regime and then every coupling, from the geometry's own random stream
(``streams``). The numbers of the distributions are configuration; this module holds none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import ndtri

from vacuagym.theories.toy.classes import REGIMES
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import Purpose, uniforms

_SCALARS = 7  # numbers of a draw's stream that come before the vectors: regime, m, γ, A, a, D, p


@dataclass(frozen=True)
class ModuliMap:
    """How many real moduli the toy theory has: clamp(f(count), min, max)."""

    map: str
    min: int
    max: int

    def __call__(self, counts: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """n for each count (rows,), int64; where ``missing`` (rows,) is true the count is unknown
        and n is ``min``.
        """
        x = np.where(missing, 0, counts).astype(float)
        transformed = {
            "direct_cap": lambda: x,
            "sqrt_cap": lambda: np.rint(np.sqrt(x)),
            "log_cap": lambda: np.rint(5.0 * np.log1p(x)),
        }
        n = np.clip(transformed[self.map](), self.min, self.max).astype(np.int64)
        return np.where(missing, self.min, n)


@dataclass(frozen=True)
class Ensemble:
    """Distributions of the couplings; a pair is the range of a uniform distribution.

    ``regimes`` weights in the order of :data:`REGIMES`; ``flux_mass`` Mᵢ; ``coupling`` σ of Λ =
    σ(G+Gᵀ)/2; ``mass_shift`` m of each regime; ``tilt`` standard deviation of bᵢ and
    ``runaway_tilt`` that of what the runaway regime adds; ``gamma`` and ``runaway_gamma``; ``A``,
    ``a`` (non-perturbative term), ``D``, ``p`` (uplift); ``delta`` the smoothing of |φᵢ|.
    """

    regimes: Mapping[str, float]
    flux_mass: tuple[float, float]
    coupling: float
    mass_shift: Mapping[str, tuple[float, float]]
    tilt: float
    runaway_tilt: float
    gamma: tuple[float, float]
    runaway_gamma: tuple[float, float]
    A: tuple[float, float]
    a: tuple[float, float]
    D: tuple[float, float]
    p: tuple[float, float]
    delta: float

    @classmethod
    def from_mapping(cls, section: Mapping[str, Any]) -> Ensemble:
        """From the ``ensemble`` section of a checked configuration."""
        return cls(**{field.name: section[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class FluxDraws:
    """The potentials of some draws, with what the label table says about them, all of shape
    (draws,).
    """

    potential: ToyPotential
    regime: np.ndarray  # index into REGIMES
    mass_shift: np.ndarray


def _in_range(uniform: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform


def draw_fluxes(
    ensemble: Ensemble, n: int, keys: np.ndarray, ids: np.ndarray, draws: np.ndarray
) -> FluxDraws:
    """Draw the couplings of systems with ``n`` moduli; ``keys`` (B, 2), ``ids`` (B,), ``draws``
    (B,) name their streams.

    Λ = σ(G+Gᵀ)/2 with standard normal G has independent entries: variance σ² on the diagonal, σ²/2
    off it; so only the upper triangle is drawn.
    """
    pairs = n * (n + 1) // 2
    u = uniforms(keys, ids, draws, Purpose.FLUX, _SCALARS + 2 * n + pairs)
    regime_u, shift_u, gamma_u, A_u, a_u, D_u, p_u = np.ascontiguousarray(u[:, :_SCALARS].T)
    flux_u, tilt_u, coupling_u = np.split(u[:, _SCALARS:], [n, 2 * n], axis=1)

    weights = np.array([ensemble.regimes[name] for name in REGIMES])
    edges = np.cumsum(weights)[:-1] / weights.sum()
    regime = np.searchsorted(edges, regime_u, side="right")
    runaway = regime == REGIMES.index("runaway")
    shifts = np.array([ensemble.mass_shift[name] for name in REGIMES], dtype=float)[regime]
    mass_shift = _in_range(shift_u, (shifts[:, 0], shifts[:, 1]))
    gamma = np.where(
        runaway, _in_range(gamma_u, ensemble.runaway_gamma), _in_range(gamma_u, ensemble.gamma)
    )
    tilt = np.where(runaway, np.hypot(ensemble.tilt, ensemble.runaway_tilt), ensemble.tilt)

    rows, columns = np.triu_indices(n)
    coupling = ensemble.coupling * ndtri(coupling_u) * np.where(rows == columns, 1.0, np.sqrt(0.5))
    K = np.empty((len(u), n, n))
    K[:, rows, columns] = coupling
    K[:, columns, rows] = coupling
    K.reshape(-1, n * n)[:, :: n + 1] += (
        _in_range(flux_u, ensemble.flux_mass) ** 2 + mass_shift[:, None]
    )
    potential = ToyPotential(
        K=K,
        b=tilt[:, None] * ndtri(tilt_u),
        A=_in_range(A_u, ensemble.A),
        a=_in_range(a_u, ensemble.a),
        D=_in_range(D_u, ensemble.D),
        p=_in_range(p_u, ensemble.p),
        gamma=gamma,
        delta=ensemble.delta,
    )
    return FluxDraws(potential, regime, mass_shift)


def draw_starts(
    n: int,
    n_restarts: int,
    start_range: float,
    keys: np.ndarray,
    ids: np.ndarray,
    draws: np.ndarray,
) -> np.ndarray:
    """Starting points of the search, uniform in [−start_range, start_range]ⁿ, shape (B,
    n_restarts, n).
    """
    u = uniforms(keys, ids, draws, Purpose.START, n_restarts * n)
    return ((2.0 * u - 1.0) * start_range).reshape(len(u), n_restarts, n)
