"""Supersymmetric points of the KKLT superpotential with one term for every rigid divisor.

Notation. Einstein frame, lengths in units of l_s, M_p = 1, and e^(K_cs) g_s / 2 set to one:

    K = -2 ln Vol,   W = W0 + sum over rigid b of sigma_b exp(-a tau_b),   a = 2 pi / c,

with Vol = kappa_ijk t_i t_j t_k / 6, tau_i = kappa_ijk t_j t_k / 2 and tau_b = Q_b . tau. The
Pfaffians are 1, all dual Coxeter numbers are c, and the signs sigma_b are those of real axions
(S. Kachru, R. Kallosh, A. Linde and S. Trivedi, hep-th/0301240; M. Demirtas, M. Kim, L. McAllister,
J. Moritz and A. Rios-Tascon, arXiv:2107.09064).

With y_b = exp(L - a tau_b), L = ln(1 / W0) and X = W / W0 the conditions D_i W = 0 read

    a sum_b Q_bi sigma_b y_b = -t_i X / (2 Vol),   X = 1 + sum_b sigma_b y_b.

They are solved in logarithms. Let S be n independent rigid divisors, O the other ones,
N = Q_O Q_S^-1 and s = Q_S^-T t. Then

    X = (1 + sum_O sigma_b y_b (1 - sum_a N_ba)) / (1 + sum_a s_a / (2 Vol a)),
    H_a = s_a X / (2 Vol) + a sum_O N_ba sigma_b y_b,
    F_a = a tau_a + ln(-sigma_a H_a / a) - L = 0   with X > 0 and -sigma_a H_a > 0.

The choice of S changes the conditioning only. Where terms of both signs cancel, the logarithmic
form has spurious roots, so `plain_residual` must be checked at every solution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TWO_PI = 2.0 * np.pi
# Largest plain residual of a solution; spurious roots have residuals of order 1 and more.
LARGEST_RESIDUAL = 1e-6

# Newton's method: relative residuals of a solution, and of one that rounding stops.
_CONVERGED = 1e-12
_STALLED = 1e-9
_MAX_STEPS = 30
_MAX_HALVINGS = 14
# exp(300) is far above every y_b of a solution with W0 >= 1e-100.
_LARGEST_EXPONENT = 300.0


def volumes(kappa: Floats, t: Floats) -> tuple[Floats, Floats, float]:
    """Return kappa_ijk t_k (n, n), the volumes tau_i (n,) and the volume of X at t (n,)."""
    contracted = kappa @ t
    tau = 0.5 * (contracted @ t)
    return contracted, tau, float(tau @ t) / 3.0


@dataclass(frozen=True)
class Superpotential:
    """The non-perturbative terms of m rigid divisors.

    Attributes
    ----------
    charges : (m, n) float64
        Classes Q of the rigid divisors in the basis of the Kaehler moduli.
    signs : (m,) float64
        sigma_b, 1 or -1.
    basis : (n,) int64
        The independent rigid divisors S, as rows of `charges`.
    rate : float
        a = 2 pi / c.
    """

    charges: Floats
    signs: Floats
    basis: Ints
    rate: float = TWO_PI

    def in_basis(self, t: Floats) -> Floats:
        """Return s = Q_S^-T t, the coefficients (n,) of the class t in the divisors S."""
        return np.asarray(self.inverse.T @ t)

    @cached_property
    def others(self) -> Ints:
        """The rigid divisors O outside S, as rows of `charges`."""
        return np.setdiff1d(np.arange(len(self.charges)), self.basis)

    @cached_property
    def inverse(self) -> Floats:
        """Q_S^-1, (n, n)."""
        return np.asarray(np.linalg.inv(self.charges[self.basis]))

    @cached_property
    def mixing(self) -> Floats:
        """N = Q_O Q_S^-1, (m - n, n)."""
        return np.asarray(self.charges[self.others] @ self.inverse)


@dataclass(frozen=True)
class Equations:
    """The values at one t: F (n,), its Jacobian (n, n), X = W / W0 and the volume."""

    value: Floats
    jacobian: Floats
    ratio: float
    volume: float


def log_equations(
    terms: Superpotential, kappa: Floats, log_inverse_w0: float, t: Floats, weight: float = 1.0
) -> Equations | None:
    """Return F and its Jacobian in t, or None outside the domain of the logarithms.

    Parameters
    ----------
    terms : Superpotential
    kappa : (n, n, n) float64
        Triple intersection numbers.
    log_inverse_w0 : float
        L = ln(1 / W0).
    t : (n,) float64
        Kaehler class.
    weight : float
        A factor of the terms outside S, below 1 while they are switched on.
    """
    contracted, tau, volume = volumes(kappa, t)
    if not volume > 0:
        return None
    a, own, other = terms.rate, terms.charges[terms.basis], terms.charges[terms.others]
    inverse, mixing = terms.inverse, terms.mixing
    s = inverse.T @ t
    exponent = np.minimum(log_inverse_w0 - a * (other @ tau), _LARGEST_EXPONENT)
    dropped = weight * terms.signs[terms.others] * np.exp(exponent)
    share = 1.0 - mixing.sum(axis=1)
    half = s / (2.0 * volume)
    denominator = 1.0 + half.sum() / a
    ratio = (1.0 + share @ dropped) / denominator
    pull = half * ratio + a * (mixing.T @ dropped)
    argument = -terms.signs[terms.basis] * pull
    if denominator <= 0 or ratio <= 0 or (argument <= 0).any():
        return None
    value = a * (own @ tau) + np.log(argument / a) - log_inverse_w0
    # Derivatives by t; that of the volume is tau, and that of tau is `contracted`.
    d_dropped = -a * dropped[:, None] * (other @ contracted)
    d_half = inverse.T / (2.0 * volume) - np.outer(half, tau) / volume
    d_ratio = (share @ d_dropped - ratio * d_half.sum(axis=0) / a) / denominator
    d_pull = d_half * ratio + np.outer(half, d_ratio) + a * (mixing.T @ d_dropped)
    jacobian = a * (own @ contracted) + d_pull / pull[:, None]
    return Equations(value, jacobian, float(ratio), volume)


def newton(
    terms: Superpotential, kappa: Floats, log_inverse_w0: float, start: Floats, weight: float = 1.0
) -> Floats | None:
    """Return a root t (n,) of F by damped Newton steps from `start`, or None."""
    t, here = start, log_equations(terms, kappa, log_inverse_w0, start, weight)
    scale = max(1.0, log_inverse_w0)
    for _ in range(_MAX_STEPS):
        if here is None or not np.isfinite(here.value).all():
            return None
        residual = np.abs(here.value).max()
        if residual < _CONVERGED * scale:
            return t
        try:
            step = np.linalg.solve(here.jacobian, -here.value)
        except np.linalg.LinAlgError:
            return None
        for halving in range(_MAX_HALVINGS):
            trial = t + 0.5**halving * step
            there = log_equations(terms, kappa, log_inverse_w0, trial, weight)
            if there is not None and there.value @ there.value < here.value @ here.value:
                break
        else:
            return t if residual < _STALLED * scale else None
        t, here = trial, there
    return None


def plain_residual(terms: Superpotential, kappa: Floats, log_inverse_w0: float, t: Floats) -> float:
    """Return |D W| / |K' W| from the conditions themselves, without logarithms.

    The norms are the largest entries of a Q^T sigma y + t X / (2 Vol) and of t X / (2 Vol).
    """
    _, tau, volume = volumes(kappa, t)
    y = exponentials(terms, log_inverse_w0, tau)
    pull = t * (1.0 + terms.signs @ y) / (2.0 * volume)
    force = terms.rate * (terms.charges.T @ (terms.signs * y))
    return float(np.abs(force + pull).max() / np.abs(pull).max())


def exponentials(terms: Superpotential, log_inverse_w0: float, tau: Floats) -> Floats:
    """Return y_b = exp(L - a tau_b), (m,), for the volumes tau (n,)."""
    exponent = log_inverse_w0 - terms.rate * (terms.charges @ tau)
    return np.asarray(np.exp(np.minimum(exponent, _LARGEST_EXPONENT)))


def superpotential_ratio(
    terms: Superpotential, kappa: Floats, log_inverse_w0: float, t: Floats
) -> float:
    """Return X = W / W0 at t (n,)."""
    return float(1.0 + terms.signs @ exponentials(terms, log_inverse_w0, volumes(kappa, t)[1]))


def mass_eigenvalues(
    terms: Superpotential, kappa: Floats, log_inverse_w0: float, t: Floats
) -> Floats:
    """Return the eigenvalues lambda (n,), ascending, that fix the masses at a supersymmetric point.

    The squared masses of saxions and axions are lambda^2 - lambda - 2 and lambda^2 + lambda - 2 in
    units of m_3/2^2 = W^2 / Vol^2. All directions are minima exactly if all |lambda| > 2; none is
    below the bound -9/4 of P. Breitenlohner and D. Z. Freedman, Annals Phys. 144 (1982) 249.

    Notes
    -----
    lambda are the eigenvalues of D_i D_j W / W in units of the metric K_ij. With D W = 0 this is
    W_ij / W + K_ij - K_i K_j, where W_ij / W = a^2 sum_b Q_bi Q_bj sigma_b y_b / X.
    """
    contracted, tau, volume = volumes(kappa, t)
    y = exponentials(terms, log_inverse_w0, tau)
    ratio = 1.0 + terms.signs @ y
    first = -t / (2.0 * volume)
    # In coordinates t: d tau = (kappa t) dt, and the metric becomes -kappa t / (4 Vol) + ...
    metric = -contracted / (4.0 * volume) + np.outer(tau, tau) / (2.0 * volume**2)
    weighted = terms.charges @ contracted
    second = terms.rate**2 * (weighted.T * (terms.signs * y)) @ weighted / ratio
    slope = contracted @ first
    matrix = second + metric - np.outer(slope, slope)
    lower = np.linalg.cholesky(metric)
    half = np.linalg.solve(lower, matrix)
    return np.asarray(np.linalg.eigvalsh(np.linalg.solve(lower, half.T)))
