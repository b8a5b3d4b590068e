"""The scalar potential of the toy effective field theory, with its analytic derivatives, for a
stack of systems at once.

V(φ) = φᵀKφ + b·φ − A exp(−a S) + D (1 + |φ|²)^(−p) + γ Σ φᵢ⁴,   S(φ) = Σ sqrt(φᵢ² + δ²)

φ ∈ Rⁿ are canonically normalised real moduli and everything is dimensionless. The module knows
nothing of how the couplings are drawn (``ensemble``) or how critical points are found
(``hybrid``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np

from vacuagym.theories.toy.batched_linalg import apply, arranged, diagonal_of, dot, dyads, row_sums


class Potential(Protocol):
    """What the search and the classifier ask of a potential: B systems of n moduli each; φ has the
    shape (…, B, n).

    Leading axes of φ are further points for the same B systems, so a ray or a line of points costs
    no copy of the couplings.
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

    def derivatives(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """V, ∇V and ∇²V, for less than the three calls cost, in new arrays: the caller may write
        into them.
        """

    def unbounded_below(self) -> np.ndarray:
        """Whether V → −∞ along some direction, shape (B,), bool."""


@dataclass(frozen=True)
class ToyPotential:
    """A stack of B toy potentials with n moduli each; a stack of one broadcasts to any number of
    points.

    ``K`` (B, n, n) symmetric, ``b`` (B, n), ``A``, ``a``, ``D``, ``p``, ``gamma`` (B,), ``delta``
    the width that smooths |φᵢ|.
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
        arrays = {
            f.name: arranged(getattr(self, f.name)[systems])
            for f in fields(self)
            if f.name != "delta"
        }
        return replace(self, **arrays)

    def value(self, phi: np.ndarray) -> np.ndarray:
        """V, shape (…, B)."""
        return self._value(phi, *self._terms(phi))

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        """∇V = 2Kφ + b + A a exp(−aS) s − 2pD (1+|φ|²)^(−p−1) φ + 4γφ³ with sᵢ = φᵢ / sqrt(φᵢ² +
        δ²), shape (…, B, n).
        """
        return self._gradient(phi, *self._terms(phi))

    def hessian(self, phi: np.ndarray) -> np.ndarray:
        """∇²V, shape (…, B, n, n), exactly symmetric.

        2K + A a exp(−aS) [diag(δ²/(φᵢ²+δ²)^(3/2)) − a s sᵀ] − 2pD (1+r²)^(−p−1) 1 + 4p(p+1)D
        (1+r²)^(−p−2) φφᵀ + 12γ diag(φᵢ²)
        """
        return self._hessian(phi, *self._terms(phi))

    def derivatives(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """V, ∇V and ∇²V; the terms that they share are computed once."""
        shared = phi, *self._terms(phi)
        return self._value(*shared), self._gradient(*shared), self._hessian(*shared)

    def unbounded_below(self) -> np.ndarray:
        """γ < 0, or γ = 0 with nothing that holds V up: a negative mode of K, or a flat one along
        which the tilt pulls, shape (B,).
        """
        unbounded = self.gamma < 0.0
        for i in np.flatnonzero(self.gamma == 0.0):
            modes, vectors = np.linalg.eigh(self.K[i])
            flat = np.abs(modes) <= 1e-12 * max(1.0, np.abs(modes).max())
            pulled = (
                np.abs(vectors[:, flat].T @ self.b[i]) > 1e-12 * max(1.0, np.abs(self.b[i]).max())
            ).any()
            unbounded[i] = (modes[~flat] < 0.0).any() or pulled
        return unbounded

    def features(self, phi: np.ndarray, rays: np.ndarray) -> list[np.ndarray]:
        """Return where S and |φ|² are least along ``rays`` (R, B, n) from ``phi`` (B, n):
        distances, (R, B) each.

        S is convex along a line, so −A exp(−aS) has one valley there, however narrow; D
        (1+|φ|²)^(−p) has one peak. All other terms are polynomials.
        """
        reach = (
            2.0 * np.abs(phi).sum(axis=-1) + 1.0
        )  # the least S lies between the zeros of the φᵢ, or beyond every step
        low, high = (
            np.broadcast_to(-1e3 * reach, rays.shape[:2]).copy(),
            np.broadcast_to(1e3 * reach, rays.shape[:2]).copy(),
        )
        for _ in range(64):
            middle = 0.5 * (low + high)
            there = phi + middle[..., None] * rays
            rising = np.sum(rays * there / np.sqrt(there * there + self.delta**2), axis=-1) > 0.0
            low, high = np.where(rising, low, middle), np.where(rising, middle, high)
        return [0.5 * (low + high), -np.sum(phi * rays, axis=-1)]

    def _terms(self, phi: np.ndarray) -> tuple[np.ndarray, ...]:
        """2Kφ, φᵢ², sqrt(φᵢ²+δ²), A a exp(−aS), 1+|φ|², D (1+|φ|²)^(−p)."""
        squares = phi * phi
        root = np.sqrt(squares + self.delta**2)
        one_plus_r2 = 1.0 + row_sums(squares)
        force = self.A * self.a * np.exp(-self.a * row_sums(root))
        return (
            2.0 * apply(self.K, phi),
            squares,
            root,
            force,
            one_plus_r2,
            self.D * one_plus_r2**-self.p,
        )

    def _value(self, phi, flux_force, squares, root, force, one_plus_r2, uplift) -> np.ndarray:
        tree = dot(phi, 0.5 * flux_force + self.b)
        return tree - force / self.a + uplift + self.gamma * dot(squares, squares)

    def _gradient(self, phi, flux_force, squares, root, force, one_plus_r2, uplift) -> np.ndarray:
        scale = force[..., None] / root
        scale += (4.0 * self.gamma)[..., None] * squares
        scale -= (2.0 * self.p * uplift / one_plus_r2)[..., None]
        scale *= phi
        scale += flux_force
        scale += self.b
        return scale

    def _hessian(self, phi, flux_force, squares, root, force, one_plus_r2, uplift) -> np.ndarray:
        lift = uplift / one_plus_r2
        radial = 4.0 * self.p * (self.p + 1.0) * lift / one_plus_r2
        hessian = dyads(radial, phi, -self.a * force, phi / root)
        hessian += 2.0 * self.K
        diagonal = force[..., None] * (self.delta**2 / (root * root * root))
        diagonal += (12.0 * self.gamma)[..., None] * squares
        diagonal -= (2.0 * self.p * lift)[..., None]
        diagonal_of(hessian)[...] += diagonal
        return hessian
