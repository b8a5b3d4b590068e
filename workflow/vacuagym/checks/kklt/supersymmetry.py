"""Derive supersymmetric points a second time, from D_i W = 0 and in many digits.

This checks `vacuagym.theories.kklt` and imports nothing from it. K = -2 ln Vol is
differentiated numerically, and W = W0 + sum_b sigma_b exp(-a tau_b) is used without logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np
from numpy.typing import ArrayLike

DIGITS = 50
# Steps of numerical derivatives leave half of the digits.
_STEP = mp.mpf(10) ** -25
_NEWTON_STEPS = 6
_CONVERGED = mp.mpf(10) ** -45


@dataclass(frozen=True)
class Model:
    """A geometry with its non-perturbative terms; all numbers exact.

    Attributes
    ----------
    kappa : nonzero entries (i, j, k, value) of the intersection numbers
    charges : m rows of n integers
    signs : m integers, 1 or -1
    w0 : W0 as text, such as "1e-8"
    rate : a, or None for 2 pi
    """

    kappa: Sequence[tuple[int, int, int, Any]]
    charges: Sequence[Sequence[int]]
    signs: Sequence[int]
    w0: str
    rate: str | None = None

    @classmethod
    def of(
        cls,
        kappa: ArrayLike,
        charges: ArrayLike,
        signs: ArrayLike,
        w0: str,
        rate: str | None = None,
    ) -> Model:
        """Return the model with integer arrays kappa (n, n, n), charges (m, n) and signs (m,)."""
        dense = np.rint(np.asarray(kappa)).astype(int)
        entries = [
            (i, j, k, int(dense[i, j, k])) for i, j, k in np.argwhere(dense).astype(int).tolist()
        ]
        rows = np.rint(np.asarray(charges)).astype(int).tolist()
        return cls(entries, rows, np.rint(np.asarray(signs)).astype(int).tolist(), w0, rate)

    def volumes(self, t: Sequence[Any]) -> tuple[list[Any], Any]:
        """Return tau_i and the volume of X."""
        tau = [mp.mpf(0)] * len(t)
        for i, j, k, value in self.kappa:
            tau[i] += value * t[j] * t[k] / 2
        return tau, sum(x * y for x, y in zip(tau, t, strict=True)) / 3

    def superpotential(self, tau: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return W and its derivatives by T_i."""
        a = 2 * mp.pi if self.rate is None else mp.mpf(self.rate)
        terms = [
            sign * mp.exp(-a * sum(q * x for q, x in zip(row, tau, strict=True)))
            for sign, row in zip(self.signs, self.charges, strict=True)
        ]
        slopes = [
            -a * sum(row[i] * term for row, term in zip(self.charges, terms, strict=True))
            for i in range(len(tau))
        ]
        return mp.mpf(self.w0) + sum(terms), slopes

    def conditions(self, t: Sequence[Any]) -> list[Any]:
        """Return D_i W / W0 = (d_i W + K_i W) / W0, where K_i = -t_i / (2 Vol)."""
        tau, volume = self.volumes(t)
        w, slopes = self.superpotential(tau)
        w0 = mp.mpf(self.w0)
        return [(slope - x / (2 * volume) * w) / w0 for slope, x in zip(slopes, t, strict=True)]

    def refined(self, t: ArrayLike) -> list[Any]:
        """Return the supersymmetric point next to t (n,), by Newton's method in `DIGITS` digits."""
        with mp.workdps(DIGITS):
            point = mp.matrix([mp.mpf(float(x)) for x in np.asarray(t)])
            for _ in range(_NEWTON_STEPS):
                here = mp.matrix(self.conditions(list(point)))
                step = mp.lu_solve(self._jacobian(list(point)), here)
                point = point - step
                if max(abs(x) for x in step) < _CONVERGED * max(abs(x) for x in point):
                    break
            return list(point)

    def _jacobian(self, t: Sequence[Any]) -> Any:
        """Return the derivatives of `conditions` by t, numerically."""
        here, columns = mp.matrix(self.conditions(t)), []
        for i in range(len(t)):
            moved = list(t)
            moved[i] += _STEP
            columns.append((mp.matrix(self.conditions(moved)) - here) / _STEP)
        return mp.matrix([[column[i] for column in columns] for i in range(len(t))])

    def mass_eigenvalues(self, t: Sequence[Any]) -> list[float]:
        """Return the eigenvalues of D_i D_j W / W in units of K_ij, at a supersymmetric point.

        There d(D_j W) / dtau_i = D_i D_j W + K_ij W, where both sides are numerical derivatives.
        """
        with mp.workdps(DIGITS):
            point = [mp.mpf(x) for x in t]
            ratio = self.superpotential(self.volumes(point)[0])[0] / mp.mpf(self.w0)
            metric = self._metric(point)
            by_tau = self._jacobian(point) * mp.inverse(self._contracted(point))
            matrix = mp.inverse(metric) * by_tau / ratio - mp.eye(len(point))
            dense = np.array(matrix.tolist(), dtype=float)
        return sorted(np.linalg.eigvals(dense).real.tolist())

    def _contracted(self, t: Sequence[Any]) -> Any:
        """Return kappa_ijk t_k."""
        contracted = mp.matrix(len(t), len(t))
        for i, j, k, value in self.kappa:
            contracted[i, j] += value * t[k]
        return contracted

    def potential(self, t: Sequence[Any]) -> Any:
        """Return V = exp(K) (K^ij D_i W D_j W - 3 W^2) at any t, with numerical K_i and K_ij."""
        with mp.workdps(DIGITS):
            point = [mp.mpf(x) for x in t]
            tau, volume = self.volumes(point)
            w, slopes = self.superpotential(tau)
            first = [self._slope(point, i) for i in range(len(point))]
            covariant = mp.matrix([x + y * w for x, y in zip(slopes, first, strict=True)])
            metric = self._metric(point)
            square = (covariant.T * mp.lu_solve(metric, covariant))[0]
            return (square - 3 * w**2) / volume**2

    def _moved(self, t: Sequence[Any], direction: int, step: Any) -> list[Any]:
        """Return the t whose tau differs by `step` in one entry, up to order step^2."""
        right = mp.matrix(len(t), 1)
        right[direction] = step
        change = mp.lu_solve(self._contracted(t), right)
        return [x + y for x, y in zip(t, change, strict=True)]

    def _slope(self, t: Sequence[Any], direction: int) -> Any:
        """Return K_i = d(-2 ln Vol) / dT_i = (1 / 2) d / dtau_i, numerically."""
        up, down = (self.volumes(self._moved(t, direction, sign * _STEP))[1] for sign in (1, -1))
        return (mp.log(down) - mp.log(up)) / (2 * _STEP)

    def _metric(self, t: Sequence[Any]) -> Any:
        """Return K_ij = (1 / 2) d K_i / dtau_j, numerically."""
        size = len(t)
        metric = mp.matrix(size, size)
        for j in range(size):
            up, down = (self._moved(t, j, sign * _STEP) for sign in (1, -1))
            twice = [2 * self.volumes(one)[1] for one in (up, down)]
            for i in range(size):
                # K_i = -t_i / (2 Vol) by Euler's theorem.
                metric[i, j] = (down[i] / twice[1] - up[i] / twice[0]) / (4 * _STEP)
        return metric
