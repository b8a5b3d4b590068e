"""The scalar potential of the KKLT model as a function of all moduli: Kaehler classes and axions.

In the units of `supersymmetry`, with one term for each of m rigid divisors,

    V = exp(K) (K^ij D_i W conj(D_j W) - 3 |W|^2),   K = -2 ln Vol(t),
    W = W0 (1 + sum_b u_b),   u_b = exp(L - a tau_b + i Q_b . theta),   L = ln(1 / W0).

The moduli are T_i = tau_i - i theta_i / a. No scale cancels exactly, so no large terms are
subtracted: with X = 1 + sum_b u_b and S = sum_b a tau_b u_b

    V = (4 W0^2 / Vol^2) (|S|^2 + Re(S conj(X)) - Vol a^2 sum_bc Re(u_b conj(u_c)) kappa_bck t_k).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacuagym.theories.kklt.supersymmetry import TWO_PI, Floats

Numbers = NDArray[np.inexact[Any]]

_COMPLEX_STEP = 1e-30  # no subtraction, so no cancellation


@dataclass(frozen=True)
class ScalarPotential:
    """V, its derivatives and D_i W at fields (..., 2n): the classes t, then the axions theta.

    The intersection numbers are those of one chamber. V is right where its curves are positive;
    beyond a flop wall only its first two derivatives continue.

    Attributes
    ----------
    kappa : (n, n, n) float64
        Triple intersection numbers.
    charges : (m, n) float64
        Classes of the rigid divisors in the basis of t.
    w0 : float
        |W0|.
    rate : float
        a = 2 pi / c.
    """

    kappa: Floats
    charges: Floats
    w0: float
    rate: float = TWO_PI

    @property
    def n(self) -> int:
        """The number of Kaehler moduli, half the number of fields."""
        return int(self.charges.shape[1])

    def value(self, fields: Numbers) -> Floats:
        """Return V, (...), in units of M_p^4, up to the factor of g_s and K_cs."""
        return np.asarray(self.w0**2 * np.real(self._value_and_gradient(fields)[0]))

    def gradient(self, fields: Numbers) -> Floats:
        """Return the derivatives of V by t and theta, (..., 2n)."""
        return np.asarray(self.w0**2 * np.real(self._value_and_gradient(fields)[1]))

    def hessian(self, fields: Floats) -> Floats:
        """Return the second derivatives of V, (..., 2n, 2n): complex steps of the gradient."""
        rows = [
            np.imag(self._value_and_gradient(fields + 1j * _COMPLEX_STEP * unit)[1]) / _COMPLEX_STEP
            for unit in np.eye(2 * self.n)
        ]
        matrix = self.w0**2 * np.stack(rows, axis=-1)
        return np.asarray(0.5 * (matrix + matrix.swapaxes(-1, -2)))

    def superpotential(self, fields: Floats) -> NDArray[np.complex128]:
        """Return W, (...)."""
        return np.asarray(self.w0 * (1.0 + self._exponentials(fields).sum(axis=-1)))

    def covariant_derivative(self, fields: Floats) -> NDArray[np.complex128]:
        """Return D_i W = dW / dT_i + K_i W, (..., n); it vanishes at a supersymmetric point."""
        t = fields[..., : self.n]
        slope = -self.rate * self._exponentials(fields) @ self.charges
        volume = np.einsum("...i,...j,...k,ijk->...", t, t, t, self.kappa) / 6.0
        first = -t / (2.0 * volume[..., None])
        return np.asarray(self.w0 * slope + first * self.superpotential(fields)[..., None])

    def _exponentials(self, fields: Floats) -> NDArray[np.complex128]:
        t, axions = fields[..., : self.n], fields[..., self.n :]
        tau = np.einsum("...j,...k,ijk->...i", t, t, self.kappa) / 2.0
        exponent = -self.rate * tau @ self.charges.T + 1j * axions @ self.charges.T
        return np.asarray(np.exp(exponent - np.log(self.w0)))

    def _value_and_gradient(self, fields: Numbers) -> tuple[Numbers, Numbers]:
        """Return V and its gradient in units of W0^2, with real and imaginary parts apart.

        So both are analytic in the fields, and complex steps give their derivatives.
        """
        t, axions = fields[..., : self.n], fields[..., self.n :]
        contracted = np.einsum("...k,ijk->...ij", t, self.kappa)
        tau = np.einsum("...ij,...j->...i", contracted, t) / 2.0
        volume = np.einsum("...i,...i->...", tau, t)[..., None] / 3.0
        s, phase = self.rate * tau @ self.charges.T, axions @ self.charges.T
        size = np.exp(-np.log(self.w0) - s)
        by_s, by_phase, by_class, product, square = (np.zeros(1) for _ in range(5))
        parts = size * np.cos(phase), size * np.sin(phase)
        # d u = -u ds for both parts; by the phase the parts turn into each other.
        for constant, u, turned in ((1.0, parts[0], -parts[1]), (0.0, parts[1], parts[0])):
            x = constant + u.sum(axis=-1, keepdims=True)
            total = (s * u).sum(axis=-1, keepdims=True)
            charge = self.rate * u @ self.charges
            pulled = np.einsum("...ij,...j->...i", contracted, charge)
            z = np.einsum("...i,...i->...", charge, pulled)[..., None]
            by_u = -8.0 * self.rate / volume * (pulled @ self.charges.T)
            by_u = by_u + 4.0 / volume**2 * ((2.0 * total + x) * s + total)
            by_s = by_s + 4.0 / volume**2 * (2.0 * total + x) * u - u * by_u
            by_phase = by_phase + turned * by_u
            by_class = by_class - 4.0 / volume * np.einsum(
                "...i,...j,ijk->...k", charge, charge, self.kappa
            )
            product, square = product + total * (total + x), square + z
        value = 4.0 / volume**2 * product - 4.0 / volume * square
        by_volume = 4.0 / volume**2 * square - 8.0 / volume**3 * product
        through_s = self.rate * np.einsum("...ij,...j->...i", contracted, by_s @ self.charges)
        by_t = through_s + by_class + by_volume * tau
        return value[..., 0], np.concatenate([by_t, by_phase @ self.charges], axis=-1)
