"""The ensemble of toy theories: the number of moduli of a geometry, and its couplings.

A flux draw takes a regime and then every coupling from a random stream of the geometry
(``random_streams``). The configuration holds the parameters of all distributions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from vacuagym.theories.toy.batched_linalg import Bools, Codes, Floats
from vacuagym.theories.toy.classes import REGIMES
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import Purpose, Streams, uniforms

_SCALARS = 7  # numbers of a draw's stream before the vectors: regime, m, γ, A, a, D, p
_LOG_SCALE = 5.0  # of the moduli map log_cap: n = 5 log(1 + count)


@dataclass(frozen=True)
class ModuliMap:
    """The map from a moduli count to n: clamp(f(count), min, max)."""

    map: str
    min: int
    max: int

    def __call__(self, counts: Codes, missing: Bools) -> npt.NDArray[np.int64]:
        """Return n for each moduli count, shape (rows,).

        Where ``missing`` (rows,) is true, the count is unknown and n is ``min``.
        """
        x = np.where(missing, 0, counts).astype(float)
        transformed: dict[str, Callable[[], Floats]] = {
            "direct_cap": lambda: x,
            "sqrt_cap": lambda: np.rint(np.sqrt(x)),
            "log_cap": lambda: np.rint(_LOG_SCALE * np.log1p(x)),
        }
        n = np.clip(transformed[self.map](), self.min, self.max).astype(np.int64)
        return np.where(missing, self.min, n)


@dataclass(frozen=True)
class Ensemble:
    """Distributions of the couplings, all dimensionless.

    A pair is the range of a uniform distribution.

    Attributes
    ----------
    regimes : mapping
        Weight of each regime in :data:`REGIMES`.
    flux_mass : pair
        Mᵢ; its square is on the diagonal of K.
    coupling : float
        σ of Λ = σ(G+Gᵀ)/2, the random part of K.
    mass_shift : mapping
        m of each regime, added to the diagonal of K: a pair each.
    tilt, runaway_tilt : float
        Standard deviation of bᵢ, and of the part that the runaway regime adds.
    gamma, runaway_gamma : pair
        γ, and γ in the runaway regime.
    A, a : pair
        Size and exponent of the non-perturbative term.
    D, p : pair
        Size and exponent of the uplift.
    delta : float
        Width that smooths |φᵢ|.
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
        """Return the ensemble of the section ``ensemble`` of a checked configuration."""
        return cls(**{field.name: section[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class FluxDraws:
    """The potentials of some draws, and their columns of the label table, shape (draws,)."""

    potential: ToyPotential
    regime: Codes  # indices of REGIMES
    mass_shift: Floats


def _in_range(uniform: Floats, bounds: tuple[float, float]) -> Floats:
    """Map uniform numbers in (0, 1) to a range."""
    return bounds[0] + (bounds[1] - bounds[0]) * uniform


def draw_fluxes(ensemble: Ensemble, n: int, streams: Streams) -> FluxDraws:
    """Draw the couplings of B systems.

    Λ = σ(G+Gᵀ)/2 with standard normal G has independent entries: variance σ² on the diagonal, σ²/2
    off it. So only the upper triangle is drawn.

    Parameters
    ----------
    ensemble : Ensemble
        Distributions of the couplings.
    n : int
        Number of moduli.
    streams : Streams
        The streams of the B systems.
    """
    pairs = n * (n + 1) // 2
    count = _SCALARS + 2 * n + pairs
    u = uniforms(streams.keys, streams.ids, streams.draws, purpose=Purpose.FLUX, count=count)
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


def draw_starts(n: int, n_restarts: int, start_range: float, streams: Streams) -> Floats:
    """Draw the starts of the search, uniform in [−start_range, start_range]ⁿ.

    Parameters
    ----------
    n, n_restarts : int
        Number of moduli, and of starts in a draw.
    start_range : float
        In field units.
    streams : Streams
        The streams of B flux draws.

    Returns
    -------
    array, shape (B, n_restarts, n)
        Points in field units.
    """
    u = uniforms(
        streams.keys, streams.ids, streams.draws, purpose=Purpose.START, count=n_restarts * n
    )
    return ((2.0 * u - 1.0) * start_range).reshape(len(u), n_restarts, n)
