"""The critical point and the spectrum of one potential at 50 digits, from V alone: mpmath,
numerical derivatives, no code of the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp

from vacuagym.checks.independent import System

DIGITS = 50
_STEP = (
    mp.mpf(10) ** -25
)  # central differences: error 1e-50 against rounding 10^(2·25 − working digits)
_WORKING_DIGITS = 110


@dataclass(frozen=True)
class PreciseVacuum:
    """A critical point at :data:`DIGITS` digits: position, V, |∇V|, ascending eigenvalues, and how
    far it lies from where it began.
    """

    phi: list[Any]
    value: Any
    grad_norm: Any
    eigenvalues: list[Any]
    moved: Any


def polish(system: System, start: Sequence[float], steps: int = 6) -> PreciseVacuum:
    """Newton's method from ``start`` with one numerical Hessian and fresh numerical gradients,
    then the spectrum there.
    """
    with mp.workdps(_WORKING_DIGITS):
        couplings = _Couplings(system)
        phi = mp.matrix([mp.mpf(float(x)) for x in start])
        hessian = couplings.hessian(phi)
        for _ in range(steps):
            gradient = couplings.gradient(phi)
            if mp.norm(gradient) < mp.mpf(10) ** -DIGITS:
                break
            phi = phi - mp.lu_solve(hessian, gradient)
            hessian = couplings.hessian(phi)
        moved = mp.norm(phi - mp.matrix([mp.mpf(float(x)) for x in start]))
        eigenvalues = mp.eigsy(hessian, eigvals_only=True)
        return PreciseVacuum(
            list(phi),
            couplings.value(phi),
            mp.norm(couplings.gradient(phi)),
            sorted(eigenvalues),
            moved,
        )


class _Couplings:
    """V of a system in mpmath numbers; the couplings are exact copies of the floats."""

    def __init__(self, system: System):
        self.n = len(system.b)
        self.K = [[mp.mpf(float(x)) for x in row] for row in system.K]
        self.b = [mp.mpf(float(x)) for x in system.b]
        self.A, self.a, self.D, self.p, self.gamma, self.delta = (
            mp.mpf(float(x))
            for x in (system.A, system.a, system.D, system.p, system.gamma, system.delta)
        )

    def value(self, phi) -> Any:
        """V at one point."""
        tree = mp.fsum(phi[i] * (mp.fdot(self.K[i], phi) + self.b[i]) for i in range(self.n))
        length = mp.fsum(mp.sqrt(x * x + self.delta**2) for x in phi)
        radius2 = mp.fsum(x * x for x in phi)
        return (
            tree
            - self.A * mp.exp(-self.a * length)
            + self.D * (1 + radius2) ** (-self.p)
            + self.gamma * mp.fsum(x**4 for x in phi)
        )

    def gradient(self, phi) -> Any:
        """∇V by central differences."""
        return mp.matrix(
            [(self._at(phi, {i: 1}) - self._at(phi, {i: -1})) / (2 * _STEP) for i in range(self.n)]
        )

    def hessian(self, phi) -> Any:
        """∇²V by central differences."""
        hessian, here = mp.matrix(self.n, self.n), self.value(phi)
        for i in range(self.n):
            hessian[i, i] = (self._at(phi, {i: 1}) - 2 * here + self._at(phi, {i: -1})) / _STEP**2
            for j in range(i):
                up = self._at(phi, {i: 1, j: 1}) + self._at(phi, {i: -1, j: -1})
                down = self._at(phi, {i: 1, j: -1}) + self._at(phi, {i: -1, j: 1})
                hessian[i, j] = hessian[j, i] = (up - down) / (4 * _STEP**2)
        return hessian

    def _at(self, phi, steps: dict[int, int]) -> Any:
        moved = phi.copy()
        for i, sign in steps.items():
            moved[i] += sign * _STEP
        return self.value(moved)
