"""Compute a critical point and its spectrum at 50 digits, from V alone.

The derivatives are numerical differences in mpmath. No code of the search is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp

from vacuagym.checks.independent import System

DIGITS = 50
# Step of the central differences. Their error is 1e-50, and their rounding is 1e50 times that of
# the working digits.
_STEP = mp.mpf(10) ** -25
_WORKING_DIGITS = 110


@dataclass(frozen=True)
class PreciseVacuum:
    """A critical point at :data:`DIGITS` digits.

    Attributes
    ----------
    phi : list of mpf
        The critical point, n numbers.
    value, grad_norm : mpf
        V and |∇V| there.
    eigenvalues : list of mpf
        Eigenvalues of the Hessian, ascending.
    moved : mpf
        Distance from the start.
    """

    phi: list[Any]
    value: Any
    grad_norm: Any
    eigenvalues: list[Any]
    moved: Any


def polish(system: System, start: Sequence[float], steps: int = 6) -> PreciseVacuum:
    """Return the critical point that Newton's method finds from ``start``, and its spectrum."""
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
    """V of a system in mpmath numbers. The couplings are exact copies of the floats."""

    def __init__(self, system: System) -> None:
        self.n = len(system.b)
        self.K = [[mp.mpf(float(x)) for x in row] for row in system.K]
        self.b = [mp.mpf(float(x)) for x in system.b]
        self.A, self.a, self.D, self.p, self.gamma, self.delta = (
            mp.mpf(float(x))
            for x in (system.A, system.a, system.D, system.p, system.gamma, system.delta)
        )

    def value(self, phi: Any) -> Any:
        """Return V at one point."""
        tree = mp.fsum(phi[i] * (mp.fdot(self.K[i], phi) + self.b[i]) for i in range(self.n))
        length = mp.fsum(mp.sqrt(x * x + self.delta**2) for x in phi)
        radius2 = mp.fsum(x * x for x in phi)
        return (
            tree
            - self.A * mp.exp(-self.a * length)
            + self.D * (1 + radius2) ** (-self.p)
            + self.gamma * mp.fsum(x**4 for x in phi)
        )

    def gradient(self, phi: Any) -> Any:
        """Return ∇V by central differences."""
        return mp.matrix(
            [(self._at(phi, {i: 1}) - self._at(phi, {i: -1})) / (2 * _STEP) for i in range(self.n)]
        )

    def hessian(self, phi: Any) -> Any:
        """Return ∇²V by central differences."""
        hessian, here = mp.matrix(self.n, self.n), self.value(phi)
        for i in range(self.n):
            hessian[i, i] = (self._at(phi, {i: 1}) - 2 * here + self._at(phi, {i: -1})) / _STEP**2
            for j in range(i):
                up = self._at(phi, {i: 1, j: 1}) + self._at(phi, {i: -1, j: -1})
                down = self._at(phi, {i: 1, j: -1}) + self._at(phi, {i: -1, j: 1})
                hessian[i, j] = hessian[j, i] = (up - down) / (4 * _STEP**2)
        return hessian

    def _at(self, phi: Any, steps: dict[int, int]) -> Any:
        """Return V at ``phi`` moved by a number of steps along some fields."""
        moved = phi.copy()
        for i, sign in steps.items():
            moved[i] += sign * _STEP
        return self.value(moved)
