"""The scalar potential of the KKLT model, the spectrum at any point, and the uplift.

In the units of `supersymmetry`, and in units of W0^2, at real axions (no scale cancels exactly, so
no large terms are subtracted):

    V = -(4 / Vol) Z + (4 / Vol^2) (S^2 + X S) + D / Vol^p,
    u_b = sigma_b exp(L - a tau_b),  X = 1 + sum_b u_b,  S = sum_b a tau_b u_b,
    Z = a^2 sum_bc u_b u_c kappa_bck t_k.

The uplift D / Vol^p with p = 4/3 stands for an antibrane in a throat, and p = 2 for one in the bulk
(S. Kachru, R. Kallosh, A. Linde and S. Trivedi, hep-th/0301240; S. Kachru et al., hep-th/0308055).
The throat itself is not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacuagym.theories.kklt.classes import UPLIFTS
from vacuagym.theories.kklt.supersymmetry import Floats, Superpotential

Numbers = NDArray[np.inexact[Any]]

METASTABLE, TACHYONIC, LEFT_CONE, FOLD = UPLIFTS
THROAT_POWER = 4.0 / 3.0
# The uplifted vacuum energy in units of |V| of the supersymmetric point.
UPLIFTED = 0.01

# Points on a flop wall stay there: their curves are 0 up to rounding, relative to t.
_FLOP_TOLERANCE = 1e-9
_COMPLEX_STEP = 1e-30  # no subtraction, so no cancellation
_CONVERGED = 1e-9
_MAX_NEWTON = 30
# Largest relative changes of t: in one step of Newton's method, and in one step of the energy.
_LONGEST_NEWTON_STEP, _LARGEST_CHANGE = 0.2, 0.5
_FIRST_STEP, _LARGEST_STEP, _LEAST_STEP = 0.05, 0.2, 1e-4


@dataclass(frozen=True)
class Potential:
    """V without the uplift, as a function of the class t, in units of W0^2.

    Attributes
    ----------
    terms : Superpotential
    kappa : (n, n, n) float64
    log_inverse_w0 : float
        L = ln(1 / W0).
    """

    terms: Superpotential
    kappa: Floats
    log_inverse_w0: float

    def value(self, t: Numbers) -> float:
        """Return V at t (n,)."""
        return float(np.real(self._value_and_gradient(np.asarray(t))[0]))

    def gradient(self, t: Numbers) -> Floats:
        """Return the derivatives (n,) of V by t."""
        return np.asarray(np.real(self._value_and_gradient(np.asarray(t))[1]))

    def hessian(self, t: Floats) -> Floats:
        """Return the second derivatives (n, n) of V by t: complex steps of the gradient."""
        steps = _COMPLEX_STEP * 1j * np.diag(np.abs(t).max() * np.ones(len(t)))
        rows = [
            np.imag(self._value_and_gradient(t + step)[1]) / (_COMPLEX_STEP * np.abs(t).max())
            for step in steps
        ]
        return np.asarray(0.5 * (np.array(rows) + np.array(rows).T))

    def axion_hessian(self, t: Floats) -> Floats:
        """Return the second derivatives (n, n) of V by the axions at real axions."""
        contracted, _, volume, s, u = self._terms(t)
        a, charges = self.terms.rate, self.terms.charges
        pairing = charges @ contracted @ charges.T
        big, su = a * u, s * u
        ratio, total = 1.0 + u.sum(), su.sum()
        z = pairing @ big
        matrix = -(4.0 / volume) * (2.0 * pairing * np.outer(big, big) - 2.0 * np.diag(big * z))
        mixed = np.outer(u, u) * (s[:, None] + s)
        quadratic = 2.0 * np.outer(su, su) - 2.0 * np.diag(su * total)
        linear = mixed - np.diag(u * total + su * ratio)
        matrix = matrix + (4.0 / volume**2) * (quadratic + linear)
        scaled = a * charges
        return np.asarray(np.real(scaled.T @ matrix @ scaled))

    def _terms(self, t: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
        """Return kappa t (n, n), tau (n,), Vol, a tau_b (m,) and u_b (m,) at real or complex t."""
        contracted = self.kappa @ t
        tau = 0.5 * (contracted @ t)
        s = self.terms.rate * (self.terms.charges @ tau)
        u = self.terms.signs * np.exp(self.log_inverse_w0 - s)
        return contracted, tau, (tau @ t) / 3.0, s, u

    def _value_and_gradient(self, t: Numbers) -> tuple[Numbers, Numbers]:
        contracted, tau, volume, s, u = self._terms(t)
        a, charges = self.terms.rate, self.terms.charges
        slope = a * (charges @ contracted)  # of a tau_b by t
        ratio, total = 1.0 + u.sum(), s @ u
        charge = charges.T @ (a * u)
        square = charge @ contracted @ charge
        product = total * (total + ratio)
        value = -4.0 / volume * square + 4.0 / volume**2 * product
        d_ratio = -(u @ slope)
        d_total = ((1.0 - s) * u) @ slope
        d_charge = -(charges.T * (a * u)) @ slope
        d_square = 2.0 * (contracted @ charge) @ d_charge + charge @ (self.kappa @ charge)
        d_product = d_total * (2.0 * total + ratio) + total * d_ratio
        gradient = (
            -4.0 / volume * d_square
            + 4.0 / volume**2 * d_product
            + (4.0 / volume**2 * square - 8.0 / volume**3 * product) * tau
        )
        return value, gradient


@dataclass(frozen=True)
class Spectrum:
    """Squared masses of canonical saxions and axions, (n,) each, ascending, in units of W0^2."""

    saxions: Floats
    axions: Floats


def spectrum(
    potential: Potential, t: Floats, uplift: float = 0.0, power: float = THROAT_POWER
) -> Spectrum:
    """Return the spectrum at a critical point t (n,) of V + uplift / Vol^power."""
    contracted = potential.kappa @ t
    tau = 0.5 * (contracted @ t)
    volume = float(tau @ t) / 3.0
    hessian = potential.hessian(t) + _uplift_hessian(contracted, tau, volume, uplift, power)
    of_classes = -contracted / (4.0 * volume) + np.outer(tau, tau) / (2.0 * volume**2)
    of_fields = -np.linalg.inv(contracted) / (4.0 * volume) + np.outer(t, t) / (8.0 * volume**2)
    return Spectrum(
        0.5 * _relative_eigenvalues(hessian, of_classes),
        0.5 * _relative_eigenvalues(potential.axion_hessian(t), of_fields),
    )


def _uplift_hessian(
    contracted: Floats, tau: Floats, volume: float, uplift: float, power: float
) -> Floats:
    size = power * uplift * volume ** (-power - 1.0)
    return np.asarray(size * ((power + 1.0) / volume * np.outer(tau, tau) - contracted))


def _relative_eigenvalues(matrix: Floats, metric: Floats) -> Floats:
    """Return the eigenvalues of a symmetric matrix relative to a positive metric, ascending."""
    lower = np.linalg.cholesky(metric)
    half = np.linalg.solve(lower, matrix)
    return np.asarray(np.linalg.eigvalsh(np.linalg.solve(lower, half.T)))


@dataclass(frozen=True)
class Uplifted:
    """The vacuum at the end of the uplift.

    Attributes
    ----------
    outcome : str
        `metastable`: all squared masses are positive. `tachyonic`: some are not. `left_cone`: a
        curve of X has a negative size there. `fold`: the minimum disappears on the way.
    t : (n,) float64
        The last class found.
    uplift : float
        D in units of W0^2.
    energy : float
        V there in units of |V| of the supersymmetric point.
    """

    outcome: str
    t: Floats
    uplift: float
    energy: float


def lift(
    potential: Potential,
    t: Floats,
    curves: Floats,
    energy: float = UPLIFTED,
    power: float = THROAT_POWER,
) -> Uplifted:
    """Follow the supersymmetric minimum while the uplift raises its energy.

    Parameters
    ----------
    potential : Potential
    t : (n,) float64
        The supersymmetric point.
    curves : (R, n) float64
        Curves of X: rows of the chamber of t.
    energy : float
        Final V in units of |V| of the supersymmetric point; above 0 is a de Sitter vacuum.
    power : float
        p of the uplift.

    Notes
    -----
    D is eliminated: at a given energy D = Vol^p (energy - V). What remains are n equations for t,
    solved by Newton's method along the energy.
    """
    depth = abs(potential.value(t))
    reached, step = -1.0, _FIRST_STEP
    while reached < energy:
        following = min(energy, reached + step)
        found = _critical_point(potential, t, following * depth, power)
        if found is not None:
            t, reached, step = found, following, min(_LARGEST_STEP, 1.5 * step)
        elif step < _LEAST_STEP:
            return Uplifted(FOLD, t, _uplift(potential, t, reached * depth, power), reached)
        else:
            step *= 0.5
    size = _uplift(potential, t, energy * depth, power)
    if (curves @ t < -_FLOP_TOLERANCE * np.abs(t).max()).any():
        return Uplifted(LEFT_CONE, t, size, energy)
    masses = spectrum(potential, t, size, power)
    stable = min(masses.saxions[0], masses.axions[0]) > 0
    return Uplifted(METASTABLE if stable else TACHYONIC, t, size, energy)


def _volume(potential: Potential, t: Floats) -> float:
    return float(potential.kappa @ t @ t @ t) / 6.0


def _uplift(potential: Potential, t: Floats, energy: float, power: float) -> float:
    return float((energy - potential.value(t)) * _volume(potential, t) ** power)


def _critical_point(
    potential: Potential, start: Floats, energy: float, power: float
) -> Floats | None:
    """Return t where V + D / Vol^p is critical and equals `energy`, near `start`, or None."""
    t = start
    for _ in range(_MAX_NEWTON):
        volume = _volume(potential, t)
        if not volume > 0:
            return None
        contracted = potential.kappa @ t
        tau = 0.5 * (contracted @ t)
        gradient, missing = potential.gradient(t), energy - potential.value(t)
        residual = gradient - power * missing * tau / volume
        slope = contracted / volume - np.outer(tau, tau) / volume**2
        jacobian = potential.hessian(t) - power * (
            missing * slope - np.outer(tau, gradient) / volume
        )
        try:
            step = np.linalg.solve(jacobian, -residual)
        except np.linalg.LinAlgError:
            return None
        # The gradient is a small difference of large terms: only the step tells convergence.
        longest = float(np.abs(step).max() / np.abs(t).max())
        if not np.isfinite(longest):
            return None
        t = t + step * min(1.0, _LONGEST_NEWTON_STEP / max(longest, _CONVERGED))
        if longest < _CONVERGED:
            return t
        if np.abs(t - start).max() > _LARGEST_CHANGE * np.abs(start).max():
            return None
    return None
