"""The potential of the toy theory and its analytic derivatives, for stacks of systems.

V(φ) = φᵀKφ + b·φ − A exp(−a S) + D (1 + |φ|²)^(−p) + γ Σ φᵢ⁴,   S(φ) = Σ sqrt(φᵢ² + δ²)

φ ∈ Rⁿ are canonically normalised real moduli. All quantities are dimensionless. ``ensemble`` draws
the couplings, and ``hybrid`` finds the critical points.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from vacuagym.theories.toy.batched_linalg import (
    Bools,
    Floats,
    Places,
    apply,
    arranged,
    diagonal_of,
    dot,
    dyads,
    row_sums,
)

# Relative size below which a mode of K is flat, or a tilt along it is zero.
_FLAT = 1e-12
# Bisection for the least S on a ray: the bracket begins at this multiple of the reach of the ray,
# and 64 halvings bring it to rounding error.
_BRACKET = 1e3
_HALVINGS = 64


class Potential(Protocol):
    """The interface of a potential that the search and the classifier use.

    A potential is a stack of B systems of n moduli each. φ has the shape (…, B, n). Leading axes
    of φ are further points for the same B systems, so many points on a ray need no copy of the
    couplings.
    """

    def __len__(self) -> int: ...

    def take(self, systems: Places) -> Self:
        """Return the systems at these indices, as a stack."""

    def value(self, phi: Floats) -> Floats:
        """Return V, shape (…, B)."""

    def gradient(self, phi: Floats) -> Floats:
        """Return ∇V, shape (…, B, n)."""

    def hessian(self, phi: Floats) -> Floats:
        """Return ∇²V, shape (…, B, n, n), exactly symmetric."""

    def derivatives(self, phi: Floats) -> tuple[Floats, Floats, Floats]:
        """Return V, ∇V and ∇²V in new arrays, for less than three calls cost.

        The caller may write into the arrays.
        """

    def unbounded_below(self) -> Bools:
        """Return whether V → −∞ along some direction, shape (B,)."""


class _Terms(NamedTuple):
    """Terms that V and its derivatives share."""

    flux_force: Floats  # 2Kφ (…, B, n)
    squares: Floats  # φᵢ² (…, B, n)
    root: Floats  # sqrt(φᵢ² + δ²) (…, B, n)
    force: Floats  # A a exp(−aS) (…, B)
    one_plus_r2: Floats  # 1 + |φ|² (…, B)
    uplift: Floats  # D (1 + |φ|²)^(−p) (…, B)


@dataclass(frozen=True)
class ToyPotential:
    """A stack of B toy potentials with n moduli each.

    A stack of one broadcasts to any number of points.

    Attributes
    ----------
    K : array, shape (B, n, n)
        Symmetric matrix of the quadratic term.
    b : array, shape (B, n)
        Tilt.
    A, a : array, shape (B,)
        Size and exponent of the non-perturbative term.
    D, p : array, shape (B,)
        Size and exponent of the uplift.
    gamma : array, shape (B,)
        Quartic coupling γ.
    delta : float
        Width δ that smooths |φᵢ|.
    """

    K: Floats
    b: Floats
    A: Floats
    a: Floats
    D: Floats
    p: Floats
    gamma: Floats
    delta: float

    def __len__(self) -> int:
        return len(self.b)

    def take(self, systems: Places) -> Self:
        """Return the systems at these indices, as a stack."""
        arrays: dict[str, Any] = {
            f.name: arranged(getattr(self, f.name)[systems])
            for f in fields(self)
            if f.name != "delta"
        }
        return replace(self, **arrays)

    def value(self, phi: Floats) -> Floats:
        """Return V, shape (…, B)."""
        return self._value(phi, self._terms(phi))

    def gradient(self, phi: Floats) -> Floats:
        """Return ∇V, shape (…, B, n).

        ∇V = 2Kφ + b + A a exp(−aS) s − 2pD (1+|φ|²)^(−p−1) φ + 4γφ³ with sᵢ = φᵢ / sqrt(φᵢ² + δ²).
        """
        return self._gradient(phi, self._terms(phi))

    def hessian(self, phi: Floats) -> Floats:
        """Return ∇²V, shape (…, B, n, n), exactly symmetric.

        ∇²V = 2K + A a exp(−aS) [diag(δ²/(φᵢ²+δ²)^(3/2)) − a s sᵀ] − 2pD (1+r²)^(−p−1) 1
        + 4p(p+1)D (1+r²)^(−p−2) φφᵀ + 12γ diag(φᵢ²) with r = |φ|.
        """
        return self._hessian(phi, self._terms(phi))

    def derivatives(self, phi: Floats) -> tuple[Floats, Floats, Floats]:
        """Return V, ∇V and ∇²V; the terms that they share are computed once."""
        terms = self._terms(phi)
        return self._value(phi, terms), self._gradient(phi, terms), self._hessian(phi, terms)

    def unbounded_below(self) -> Bools:
        """Return whether V → −∞ along some direction, shape (B,).

        This holds for γ < 0. It holds for γ = 0 too if K has a negative mode, or a flat mode along
        which the tilt pulls.
        """
        unbounded = self.gamma < 0.0
        for i in np.flatnonzero(self.gamma == 0.0):
            modes, vectors = np.linalg.eigh(self.K[i])
            flat = np.abs(modes) <= _FLAT * max(1.0, np.abs(modes).max())
            pulled = (
                np.abs(vectors[:, flat].T @ self.b[i]) > _FLAT * max(1.0, np.abs(self.b[i]).max())
            ).any()
            unbounded[i] = (modes[~flat] < 0.0).any() or pulled
        return unbounded

    def features(self, phi: Floats, rays: Floats) -> list[Floats]:
        """Return the distances along rays at which S and |φ|² are least.

        S is convex along a line. So −A exp(−aS) has one valley there, which may be narrow, and
        D (1+|φ|²)^(−p) has one peak. All other terms are polynomials.

        Parameters
        ----------
        phi : array, shape (B, n)
            The origins of the rays.
        rays : array, shape (R, B, n)
            Unit vectors.

        Returns
        -------
        list of arrays, shape (R, B)
            Distances in field units, which may be negative.
        """
        # The least S lies between the zeros of the φᵢ, or beyond every step.
        reach = 2.0 * np.abs(phi).sum(axis=-1) + 1.0
        low, high = (
            np.broadcast_to(-_BRACKET * reach, rays.shape[:2]).copy(),
            np.broadcast_to(_BRACKET * reach, rays.shape[:2]).copy(),
        )
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            there = phi + middle[..., None] * rays
            rising = np.sum(rays * there / np.sqrt(there * there + self.delta**2), axis=-1) > 0.0
            low, high = np.where(rising, low, middle), np.where(rising, middle, high)
        return [0.5 * (low + high), -np.sum(phi * rays, axis=-1)]

    def _terms(self, phi: Floats) -> _Terms:
        squares = phi * phi
        root = np.sqrt(squares + self.delta**2)
        one_plus_r2 = 1.0 + row_sums(squares)
        force = self.A * self.a * np.exp(-self.a * row_sums(root))
        return _Terms(
            2.0 * apply(self.K, phi),
            squares,
            root,
            force,
            one_plus_r2,
            self.D * one_plus_r2**-self.p,
        )

    def _value(self, phi: Floats, of: _Terms) -> Floats:
        tree = dot(phi, 0.5 * of.flux_force + self.b)
        return tree - of.force / self.a + of.uplift + self.gamma * dot(of.squares, of.squares)

    def _gradient(self, phi: Floats, of: _Terms) -> Floats:
        gradient: Floats = of.force[..., None] / of.root
        gradient += (4.0 * self.gamma)[..., None] * of.squares
        gradient -= (2.0 * self.p * of.uplift / of.one_plus_r2)[..., None]
        gradient *= phi
        gradient += of.flux_force
        gradient += self.b
        return gradient

    def _hessian(self, phi: Floats, of: _Terms) -> Floats:
        lift = of.uplift / of.one_plus_r2
        radial = 4.0 * self.p * (self.p + 1.0) * lift / of.one_plus_r2
        hessian = dyads(radial, phi, -self.a * of.force, phi / of.root)
        hessian += 2.0 * self.K
        diagonal: Floats = of.force[..., None] * (self.delta**2 / (of.root * of.root * of.root))
        diagonal += (12.0 * self.gamma)[..., None] * of.squares
        diagonal -= (2.0 * self.p * lift)[..., None]
        diagonal_of(hessian)[...] += diagonal
        return hessian
