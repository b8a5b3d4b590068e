"""The scalar potential of the toy effective field theory, with its analytic derivatives, for a stack of systems at once.

V(φ) = φᵀKφ + b·φ − A exp(−a S) + D (1 + |φ|²)^(−p) + γ Σ φᵢ⁴,   S(φ) = Σ sqrt(φᵢ² + δ²)

φ ∈ Rⁿ are canonically normalised real moduli and everything is dimensionless. The module knows nothing of how the couplings are
drawn (``ensemble``) or how critical points are found (``vacuagym.search``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np


class Potential(Protocol):
    """What the search and the classifier ask of a potential: B systems of n moduli each; φ has the shape (…, B, n).

    Leading axes of φ are further points for the same B systems, so a ray or a line of points costs no copy of the couplings.
    """

    def __len__(self) -> int: ...

    def take(self, systems: np.ndarray) -> Self:
        """The systems at these indices, as a stack of their own."""

    def value(self, phi: np.ndarray) -> np.ndarray:
        """V, shape (…, B)."""

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        """∇V, shape (…, B, n)."""

    def hessian(self, phi: np.ndarray) -> np.ndarray:
        """∇²V, shape (…, B, n, n), exactly symmetric."""

    def value_and_gradient(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """V and ∇V, for less than the two calls cost."""

    def unbounded_below(self) -> np.ndarray:
        """Whether V → −∞ along some direction, shape (B,), bool."""


@dataclass(frozen=True)
class ToyPotential:
    """A stack of B toy potentials with n moduli each; a stack of one broadcasts to any number of points.

    ``K`` (B, n, n) symmetric, ``b`` (B, n), ``A``, ``a``, ``D``, ``p``, ``gamma`` (B,), ``delta`` the width that smooths |φᵢ|.
    """

    K: np.ndarray
    b: np.ndarray
    A: np.ndarray
    a: np.ndarray
    D: np.ndarray
    p: np.ndarray
    gamma: np.ndarray
    delta: float

    def __len__(self) -> int:
        return len(self.b)

    def take(self, systems: np.ndarray) -> ToyPotential:
        """The systems at these indices, as a stack of their own."""
        arrays = {f.name: getattr(self, f.name)[systems] for f in fields(self) if f.name != "delta"}
        return replace(self, **arrays)

    def value(self, phi: np.ndarray) -> np.ndarray:
        """V, shape (…, B)."""
        return self._value(phi, self._flux_force(phi), *self._terms(phi))

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        """∇V = 2Kφ + b + A a exp(−aS) s − 2pD (1+|φ|²)^(−p−1) φ + 4γφ³ with sᵢ = φᵢ / sqrt(φᵢ² + δ²), shape (…, B, n)."""
        return self._gradient(phi, self._flux_force(phi), *self._terms(phi))

    def value_and_gradient(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """V and ∇V; the terms that both need are computed once."""
        shared = phi, self._flux_force(phi), *self._terms(phi)
        return self._value(*shared), self._gradient(*shared)

    def hessian(self, phi: np.ndarray) -> np.ndarray:
        """∇²V, shape (…, B, n, n), assembled so that H = Hᵀ holds to the last bit.

        2K + A a exp(−aS) [diag(δ²/(φᵢ²+δ²)^(3/2)) − a s sᵀ] − 2pD (1+r²)^(−p−1) 1 + 4p(p+1)D (1+r²)^(−p−2) φφᵀ + 12γ diag(φᵢ²)
        """
        root, force, one_plus_r2, uplift = self._terms(phi)
        s = phi / root
        lift = uplift / one_plus_r2
        radial = 4.0 * self.p * (self.p + 1.0) * lift / one_plus_r2
        hessian = phi[..., :, None] * phi[..., None, :]
        hessian *= radial[..., None, None]
        outer = s[..., :, None] * s[..., None, :]
        outer *= (self.a * force)[..., None, None]
        hessian -= outer
        np.multiply(self.K, 2.0, out=outer)
        hessian += outer
        diagonal = force[..., None] * (self.delta**2 / (root * root * root))
        diagonal += 12.0 * self.gamma[..., None] * (phi * phi)
        diagonal -= (2.0 * self.p * lift)[..., None]
        n = phi.shape[-1]
        hessian.reshape(*hessian.shape[:-2], n * n)[..., :: n + 1] += diagonal
        return hessian

    def unbounded_below(self) -> np.ndarray:
        """γ < 0, or γ = 0 with nothing that holds V up: a negative mode of K, or a flat one along which the tilt pulls, shape (B,)."""
        unbounded = self.gamma < 0.0
        for i in np.flatnonzero(self.gamma == 0.0):
            modes, vectors = np.linalg.eigh(self.K[i])
            flat = np.abs(modes) <= 1e-12 * max(1.0, np.abs(modes).max())
            unbounded[i] = (modes[~flat] < 0.0).any() or (vectors[:, flat].T @ self.b[i] != 0.0).any()
        return unbounded

    def _flux_force(self, phi: np.ndarray) -> np.ndarray:
        """2Kφ, the force of the quadratic term, shape (…, B, n)."""
        return 2.0 * np.matmul(self.K, phi[..., None])[..., 0]

    def _terms(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """sqrt(φᵢ²+δ²), A a exp(−aS), 1+|φ|², D (1+|φ|²)^(−p)."""
        squares = phi * phi
        root = np.sqrt(squares + self.delta**2)
        one_plus_r2 = 1.0 + squares.sum(axis=-1)
        return root, self.A * self.a * np.exp(-self.a * root.sum(axis=-1)), one_plus_r2, self.D * one_plus_r2**-self.p

    def _value(self, phi, flux_force, root, force, one_plus_r2, uplift) -> np.ndarray:
        quadratic = (phi * (0.5 * flux_force + self.b)).sum(axis=-1)
        quartic = self.gamma * ((phi * phi) ** 2).sum(axis=-1)
        return quadratic - force / self.a + uplift + quartic

    def _gradient(self, phi, flux_force, root, force, one_plus_r2, uplift) -> np.ndarray:
        gradient = flux_force + self.b
        gradient += force[..., None] * (phi / root)
        gradient -= (2.0 * self.p * uplift / one_plus_r2)[..., None] * phi
        gradient += (4.0 * self.gamma)[..., None] * (phi * phi * phi)
        return gradient
