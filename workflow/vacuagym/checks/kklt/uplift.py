"""The uplifted vacuum once more, from the bare definition of the potential.

For checks of `vacuagym.theories.kklt`, of which nothing is imported. In units of W0^2

    V = (K^ij D_i W conj(D_j W) - 3 |W|^2) / Vol^2 + D / Vol^(4/3),

with the inverse of the metric K_ij taken numerically. Derivatives by t are complex steps and
differences. Double precision suffices: no scale does not cancel more than a few digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root

Floats = NDArray[np.float64]
Numbers = NDArray[np.inexact[Any]]

_POWER = 4.0 / 3.0
_ENERGY = 0.01  # of the uplifted vacuum, in units of |V| of the supersymmetric one
_COMPLEX, _STEP = 1e-30, 1e-6
_ENERGIES, _LEAST_STEP = 6, 1e-4
_ON_WALL = 1e-9
_RESIDUAL, _AWAY = 1e-5, 1e-7


@dataclass(frozen=True)
class Potential:
    """V of kappa (n, n, n), rigid classes (m, n), signs (m,) and L = ln(1 / W0)."""

    kappa: Floats
    charges: Floats
    signs: Floats
    log: float

    def pairs(self, t: Numbers) -> Numbers:
        """Return the terms (m + 1, m + 1) of V = sum_BC G_BC u_B conj(u_C), with u_0 = W0 / W0.

        D_i W is linear in the u: G_BC = (g_B K^-1 g_C - 3) / Vol^2 with g_B = -2 pi Q_B + K_i.
        """
        contracted = self.kappa @ t
        tau = contracted @ t / 2.0
        volume = tau @ t / 3.0
        metric = -np.linalg.inv(contracted) / (4.0 * volume) + np.outer(t, t) / (8.0 * volume**2)
        exponent = self.log - 2.0 * np.pi * (self.charges @ tau)
        terms = self.signs * np.exp(np.where(exponent.real < 50.0, exponent, 50.0))
        terms = np.append(1.0, terms)
        slopes = -2.0 * np.pi * self._charges - t / (2.0 * volume)
        gram = (slopes @ np.linalg.solve(metric, slopes.T) - 3.0) / volume**2
        return np.asarray(gram * np.outer(terms, terms))

    @property
    def _charges(self) -> Floats:
        return np.vstack([np.zeros(self.charges.shape[1]), self.charges])

    def value(self, t: Numbers) -> Any:
        """Return V without uplift at t (n,), real or complex, and real axions."""
        return self.pairs(t).sum()

    def axion_hessian(self, t: Floats) -> Floats:
        """Return the second derivatives (n, n) of V by the axions: u_B turns by -2 pi Q_B . x."""
        apart = 2.0 * np.pi * (self._charges[:, None] - self._charges[None])
        return np.asarray(-np.einsum("bc,bci,bcj->ij", self.pairs(t), apart, apart))

    def lifted(self, t: Numbers, size: Any) -> Any:
        """Return V with the uplift D = size."""
        return self.value(t) + size / (self.kappa @ t @ t @ t / 6.0) ** _POWER

    def slopes(self, t: Floats, size: Any) -> Floats:
        """Return the derivatives (n,) of the lifted V by t."""
        steps = 1j * _COMPLEX * np.eye(len(t))
        return np.array([np.imag(self.lifted(t + step, size)) / _COMPLEX for step in steps])


def outcome(potential: Potential, t: Floats, curves: Floats) -> str:
    """Return `metastable`, `tachyonic`, `left_cone` or `fold`.

    Parameters
    ----------
    potential : Potential
    t : (n,) float64
        The supersymmetric point.
    curves : (R, n) float64
        Curves of X there.
    """
    depth = abs(float(np.real(potential.value(t))))
    unit = depth * (potential.kappa @ t @ t @ t / 6.0) ** _POWER
    scale = float(np.abs(t).max())

    def conditions(x: Floats, energy: float) -> Floats:
        at, size = x[:-1] * scale, float(x[-1]) * unit
        missing = np.real(potential.lifted(at, size)) / depth - energy
        return np.append(potential.slopes(at, size) * scale / depth, missing)

    def jacobian(x: Floats, energy: float) -> Floats:
        steps = _STEP * np.eye(len(x))  # not relative: on a flop wall some entries vanish
        columns = [conditions(x + h, energy) - conditions(x - h, energy) for h in steps]
        return np.asarray(np.array(columns).T / (2.0 * _STEP))

    x, reached, step = np.append(t / scale, 0.0), -1.0, (1.0 + _ENERGY) / _ENERGIES
    while reached < _ENERGY:
        energy = min(_ENERGY, reached + step)
        answer = root(conditions, x, args=(energy,), jac=jacobian)
        # The slopes are small differences of large terms: the distance from the solution decides.
        left = conditions(answer.x, energy)
        away = np.linalg.lstsq(jacobian(answer.x, energy), left)[0]
        solved = np.abs(left).max() < _RESIDUAL and np.abs(away).max() < _AWAY
        if solved and np.abs(answer.x - x).max() < 0.5:
            x, reached = answer.x, energy
        elif step < _LEAST_STEP:
            return "fold"
        else:
            step *= 0.5
    t, size = x[:-1] * scale, float(x[-1]) * unit
    if (curves @ t < -_ON_WALL * np.abs(t).max()).any():
        return "left_cone"
    stable = min(_least(_saxions(potential, t, size)), _least(potential.axion_hessian(t))) > 0
    return "metastable" if stable else "tachyonic"


def _least(matrix: Floats) -> float:
    """Return the least eigenvalue of a symmetric matrix scaled to a unit diagonal."""
    scale = 1.0 / np.sqrt(np.abs(np.diag(matrix)))
    return float(np.linalg.eigvalsh((matrix + matrix.T) / 2.0 * np.outer(scale, scale))[0])


def _saxions(potential: Potential, t: Floats, size: Any) -> Floats:
    """Return the second derivatives (n, n) by t."""
    steps = _STEP * np.abs(t).max() * np.eye(len(t))
    rows = [potential.slopes(t + h, size) - potential.slopes(t - h, size) for h in steps]
    return np.asarray(np.array(rows) / (2.0 * _STEP * np.abs(t).max()))
