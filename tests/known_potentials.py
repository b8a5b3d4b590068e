"""Potentials whose critical points are known, the ensemble and search settings of the design, and
shorthand to run the search on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vacuagym.theories.toy.active_set import Outcome, SearchSettings, Trials
from vacuagym.theories.toy.ensemble import Ensemble, ModuliMap, draw_fluxes
from vacuagym.theories.toy.hybrid import search
from vacuagym.theories.toy.labelling import Physics
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import Streams, stream_key

ENSEMBLE = Ensemble(
    regimes={"generic": 0.30, "stabilized": 0.10, "tachyonic": 0.35, "runaway": 0.25},
    flux_mass=(1.0, 3.0),
    coupling=0.8,
    mass_shift={
        "generic": (0.0, 0.0),
        "stabilized": (0.5, 2.0),
        "tachyonic": (-8.0, -3.0),
        "runaway": (0.0, 0.0),
    },
    tilt=0.3,
    runaway_tilt=2.0,
    gamma=(0.1, 0.5),
    runaway_gamma=(-0.4, -0.05),
    A=(0.5, 2.5),
    a=(0.8, 2.5),
    D=(0.0, 2.0),
    p=(1.0, 2.0),
    delta=0.1,
)
SETTINGS = SearchSettings(
    method="hybrid",
    n_samples=3,
    n_restarts=3,
    grad_tol=1e-9,
    hess_eps=1e-6,
    field_range=50.0,
    start_range=2.0,
    root_steps=40,
    descent_steps=300,
)
PHYSICS = Physics(
    seed=42, moduli=ModuliMap("direct_cap", 2, 32), ensemble=ENSEMBLE, search=SETTINGS
)


def settings(method: str, **changes) -> SearchSettings:
    return replace(SETTINGS, method=method, **changes)


def key_of(count: int, *identity) -> np.ndarray:
    """The stream keys of ``count`` geometries of one data set."""
    return np.tile(stream_key(*(identity or (42, "toy", None))), (count, 1))


def toy_systems(n: int, count: int, draw: int = 0, ensemble: Ensemble = ENSEMBLE) -> ToyPotential:
    """The potentials of the ids 0 … count − 1."""
    return draw_fluxes(
        ensemble, n, Streams(key_of(count), np.arange(count), np.full(count, draw))
    ).potential


def run(potential, starts, method: str, **changes) -> Trials:
    """Search from ``starts`` (B, n)."""
    return search(potential, np.asarray(starts, float), settings(method, **changes))


def converged(trials: Trials) -> np.ndarray:
    return trials.outcome == Outcome.CONVERGED


def distinct(points: np.ndarray, digits: int = 5) -> np.ndarray:
    """The different points among ``points`` (B, n)."""
    return np.unique(np.round(points, digits) + 0.0, axis=0)


def random_rotation(n: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


class Potential:
    """A stack of systems: what the search asks for beyond value, gradient and Hessian."""

    def derivatives(self, phi):
        return self.value(phi), self.gradient(phi), self.hessian(phi)

    def features(self, phi, rays):
        """None is narrower than a step."""
        return []

    def unbounded_below(self):
        return np.zeros(len(self), bool)


@dataclass(frozen=True)
class DoubleWell(Potential):
    """V = Σ(yᵢ² − 1)²/4 with y = Qφ, for ``rotation`` Q of the shape (B, n, n)."""

    rotation: np.ndarray

    def __len__(self):
        return len(self.rotation)

    def take(self, systems):
        return DoubleWell(self.rotation[systems])

    def y(self, phi):
        return (self.rotation @ phi[..., None])[..., 0]

    def value(self, phi):
        return ((self.y(phi) ** 2 - 1.0) ** 2).sum(axis=-1) / 4.0

    def gradient(self, phi):
        y = self.y(phi)
        return (np.swapaxes(self.rotation, -1, -2) @ (y**3 - y)[..., None])[..., 0]

    def hessian(self, phi):
        return np.swapaxes(self.rotation, -1, -2) @ (
            (3.0 * self.y(phi) ** 2 - 1.0)[..., None] * self.rotation
        )


@dataclass(frozen=True)
class OpenedWell(Potential):
    """Double wells that open on one side: V = Σ cᵢ (1/4 − yᵢ²/2 + max(yᵢ, 0)⁴/4), y = Qφ;
    ``depth`` c of the shape (B, n).

    For yᵢ ≥ 0 this is cᵢ(yᵢ² − 1)²/4; beyond the top at yᵢ = 0 it falls for ever. The vacuum is yᵢ
    = 1 with the barriers cᵢ/4.
    """

    rotation: np.ndarray
    depth: np.ndarray

    def __len__(self):
        return len(self.rotation)

    def take(self, systems):
        return OpenedWell(self.rotation[systems], self.depth[systems])

    def y(self, phi):
        return (self.rotation @ phi[..., None])[..., 0]

    def value(self, phi):
        y = self.y(phi)
        return (self.depth * (0.25 - y**2 / 2.0 + np.maximum(y, 0.0) ** 4 / 4.0)).sum(axis=-1)

    def gradient(self, phi):
        y = self.y(phi)
        return (
            np.swapaxes(self.rotation, -1, -2)
            @ (self.depth * (np.maximum(y, 0.0) ** 3 - y))[..., None]
        )[..., 0]

    def hessian(self, phi):
        modes = self.depth * (3.0 * np.maximum(self.y(phi), 0.0) ** 2 - 1.0)
        return np.swapaxes(self.rotation, -1, -2) @ (modes[..., None] * self.rotation)

    def unbounded_below(self):
        return np.ones(len(self), bool)


@dataclass(frozen=True)
class Lines(Potential):
    """``count`` equal systems that are a sum over their moduli of one function of one variable,
    given with its two derivatives.
    """

    f: Callable
    df: Callable
    d2f: Callable
    count: int
    unbounded: bool = False

    def __len__(self):
        return self.count

    def take(self, systems):
        return replace(self, count=len(systems))

    def value(self, phi):
        return self.f(phi).sum(axis=-1)

    def gradient(self, phi):
        return self.df(phi)

    def hessian(self, phi):
        return self.d2f(phi)[..., None] * np.eye(phi.shape[-1])

    def unbounded_below(self):
        return np.full(self.count, self.unbounded)


@dataclass(frozen=True)
class Several(Potential):
    """A stack put together from potentials of one system each."""

    members: tuple

    def __len__(self):
        return len(self.members)

    def take(self, systems):
        return Several(tuple(self.members[i] for i in np.asarray(systems)))

    def _each(self, name, phi):
        if not self.members:  # what the methods of a toy system return for no system at all
            return getattr(toy_systems(phi.shape[-1], 1).take(np.array([], int)), name)(phi)
        parts = [
            getattr(member, name)(phi[..., i : i + 1, :]) for i, member in enumerate(self.members)
        ]
        return np.concatenate(parts, axis=phi.ndim - 2)

    def value(self, phi):
        return self._each("value", phi)

    def gradient(self, phi):
        return self._each("gradient", phi)

    def hessian(self, phi):
        return self._each("hessian", phi)

    def unbounded_below(self):
        return np.concatenate([member.unbounded_below() for member in self.members])


@dataclass(frozen=True)
class Constant(Potential):
    """One system of a constant V, ∇V and ∇²V, with any values: zero, NaN, infinite or
    contradictory.
    """

    v: float = 0.0
    slope: float = 0.0
    curvature: float = 0.0

    def __len__(self):
        return 1

    def value(self, phi):
        return np.full(phi.shape[:-1], self.v)

    def gradient(self, phi):
        return np.full(phi.shape, self.slope)

    def hessian(self, phi):
        return np.broadcast_to(
            self.curvature * np.eye(phi.shape[-1]), (*phi.shape, phi.shape[-1])
        ).copy()


@dataclass(frozen=True)
class KKLT(Potential):
    """The KKLT potential (hep-th/0301240) of one Kähler modulus σ = ``unit``·φ, times ``scale``:
    ``uplift`` D of the shape (B,).

    With W₀ = −1e-4, A = 1, a = 0.1 it is a sum of terms c·exp(−kσ)·σ^(−m), which gives the
    derivatives.
    """

    uplift: np.ndarray
    unit: float = 10.0
    scale: float = 1e15

    def __len__(self):
        return len(self.uplift)

    def take(self, systems):
        return replace(self, uplift=self.uplift[systems])

    def _sum(self, phi, order):
        w0, big_a, a = -1e-4, 1.0, 0.1
        sigma = self.unit * phi[..., 0]
        total = 0.0
        for c, k, m in (
            (a * big_a * w0 / 2.0, a, 2),
            (a * big_a**2 / 2.0, 2.0 * a, 2),
            ((a * big_a) ** 2 / 6.0, 2.0 * a, 1),
            (self.uplift, 0.0, 3),
        ):
            powers = (1.0, -(k + m / sigma), k**2 + 2.0 * k * m / sigma + m * (m + 1) / sigma**2)
            total = total + c * np.exp(-k * sigma) * sigma**-m * powers[order]
        return np.where(sigma > 0.0, self.scale * self.unit**order * total, np.inf)

    def value(self, phi):
        with np.errstate(all="ignore"):
            return self._sum(phi, 0)

    def gradient(self, phi):
        with np.errstate(all="ignore"):
            return self._sum(phi, 1)[..., None]

    def hessian(self, phi):
        with np.errstate(all="ignore"):
            return self._sum(phi, 2)[..., None, None]
