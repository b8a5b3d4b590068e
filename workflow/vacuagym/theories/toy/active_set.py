"""What the batched solvers share: the outcome of a trial, its settings, and the stack of trials at
work.

A solver works on a stack of trials of equal n. Each trial has a row in every work array; finished
rows are compressed out, so that an iteration costs what its active trials cost. No operation mixes
rows: a trial's path does not depend on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vacuagym.theories.toy.batched_linalg import arranged, norm
from vacuagym.theories.toy.classes import METHODS
from vacuagym.theories.toy.potential import Potential


class Outcome(IntEnum):
    """How a trial ended."""

    FAILED = 0  # neither of the two others within the allowed steps
    CONVERGED = 1  # |∇V| ≤ grad_tol (1 + |V|)
    ESCAPED = 2  # |φ| > field_range


Points = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray
]  # φ (B, n), V (B,), ∇V (B, n), ∇²V (B, n, n)
_WORTH_KEEPING = 0.75  # share of live rows at which a stack is compressed


@dataclass(frozen=True)
class SearchSettings:
    """The ``search`` section of the configuration; tolerances are those of :class:`Outcome`,
    lengths are field units.
    """

    method: str
    n_samples: int
    n_restarts: int
    grad_tol: float
    hess_eps: float
    field_range: float
    start_range: float
    root_steps: int
    descent_steps: int


@dataclass
class Trials:
    """Where a stack of trials ended: ``phi`` and ``spectrum`` (B, n), the others (B,); ``method``
    indexes :data:`METHODS`.

    ``spectrum`` holds the Hessian eigenvalues of a critical point, ascending, and NaN for a trial
    that has not converged.
    """

    phi: np.ndarray
    spectrum: np.ndarray
    value: np.ndarray
    grad_norm: np.ndarray
    outcome: np.ndarray
    n_iterations: np.ndarray
    method: np.ndarray

    @classmethod
    def unfinished(cls, starts: np.ndarray, method: str) -> Trials:
        """A record to fill in: every trial failed until it is seen to end otherwise."""
        count = len(starts)
        return cls(
            starts.copy(),
            np.full(starts.shape, np.nan),
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.full(count, Outcome.FAILED, np.int8),
            np.zeros(count, np.int32),
            np.full(count, METHODS.index(method), np.int8),
        )

    def overwrite(self, rows: np.ndarray, other: Trials) -> None:
        """Put the trials of ``other`` in place of these rows; iterations add up, since both
        searches were paid for.
        """
        other.n_iterations = other.n_iterations + self.n_iterations[rows]
        for name, values in vars(other).items():
            getattr(self, name)[rows] = values


class ActiveStack:
    """The trials of a stack at work: their potential and one row per trial in each array, the
    named work arrays included.

    A trial that has ended stays in its row, idle, until enough rows are idle for compressing the
    arrays to be worth its price.
    """

    def __init__(
        self,
        potential: Potential,
        starts: np.ndarray,
        settings: SearchSettings,
        method: str,
        **work: np.ndarray,
    ):
        self.result = Trials.unfinished(starts, method)
        self.potential = potential
        self.settings = settings
        self.rows = np.arange(len(starts))
        self.live = np.ones(len(starts), bool)
        self.phi = arranged(starts.copy())
        self.value, self.gradient, self.hessian = potential.derivatives(self.phi)
        self.grad_norm = norm(self.gradient)
        self.work = work

    def __len__(self) -> int:
        return len(self.rows)

    def converged(self) -> np.ndarray:
        """Which trials are at a critical point, shape (B,), bool."""
        return (
            self.grad_norm <= self.settings.grad_tol * (1.0 + np.abs(self.value))
        ) & np.isfinite(self.value)

    def escaped(self) -> np.ndarray:
        """Which trials have left the field range, shape (B,), bool."""
        return norm(self.phi) > self.settings.field_range

    def spectra(self, rows: np.ndarray) -> np.ndarray:
        """Ascending Hessian eigenvalues of the trials of index ``rows`` (M,), shape (M, n); kept
        for the record of those that converge.
        """
        modes = np.linalg.eigvalsh(self.hessian[rows])
        self.result.spectrum[self.rows[rows]] = modes
        return modes

    def retire(
        self, converged: np.ndarray, escaped: np.ndarray, given_up: np.ndarray | bool = False
    ) -> bool:
        """Record the trials that have ended, escape before convergence; true while any is left."""
        ended = (converged | escaped | given_up) & self.live
        if ended.any():
            self._record(
                ended,
                np.where(
                    escaped, Outcome.ESCAPED, np.where(converged, Outcome.CONVERGED, Outcome.FAILED)
                )[ended],
            )
            self.live &= ~ended
            if np.count_nonzero(self.live) <= _WORTH_KEEPING * len(self):
                self._compress()
        return bool(self.live.any())

    def close(self) -> Trials:
        """The record of all trials; those still at work have failed."""
        self._record(self.live, Outcome.FAILED)
        self.result.spectrum[self.result.outcome != Outcome.CONVERGED] = np.nan
        return self.result

    def evaluate(self, phi: np.ndarray) -> Points:
        """V and its derivatives where a step may take each trial, ``phi`` (B, n)."""
        return phi, *self.potential.derivatives(phi)

    def step(self, accepted: np.ndarray, points: Points) -> None:
        """One iteration: the trials where ``accepted`` (B,) is true move to their points, which
        the stack makes its own.
        """
        self.result.n_iterations[self.rows[self.live]] += 1
        kept = np.flatnonzero(~accepted)
        for new, old in zip(
            points, (self.phi, self.value, self.gradient, self.hessian), strict=True
        ):
            new[kept] = old[kept]
        self.phi, self.value, self.gradient, self.hessian = points
        self.grad_norm = norm(self.gradient)

    def move(self, rows: np.ndarray, phi: np.ndarray) -> None:
        """Put the trials of index ``rows`` (M,) at ``phi`` (M, n)."""
        self.phi[rows] = phi
        self.value[rows], self.gradient[rows], self.hessian[rows] = self.potential.take(
            rows
        ).derivatives(phi)
        self.grad_norm[rows] = norm(self.gradient[rows])

    def _compress(self) -> None:
        keep = np.flatnonzero(self.live)
        for name in ("rows", "live", "value", "grad_norm"):
            setattr(self, name, getattr(self, name)[keep])
        for name in ("phi", "gradient", "hessian"):
            setattr(self, name, arranged(getattr(self, name)[keep]))
        self.work = {name: array[keep] for name, array in self.work.items()}
        self.potential = self.potential.take(keep)

    def _record(self, ended: np.ndarray, outcome: np.ndarray | Outcome) -> None:
        rows = self.rows[ended]
        self.result.phi[rows] = self.phi[ended]
        self.result.value[rows] = self.value[ended]
        self.result.grad_norm[rows] = self.grad_norm[ended]
        self.result.outcome[rows] = outcome
