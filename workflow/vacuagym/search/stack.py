"""What the batched solvers share: the outcome of a trial, its settings, and a linear solve that survives a singular member.

A solver works on a stack of trials of equal n. Each trial has a row in every work array; finished rows are compressed out, so that
an iteration costs what its active trials cost. No operation mixes rows: a trial's path does not depend on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vacuagym.eft.potential import Potential


class Outcome(IntEnum):
    """How a trial ended."""

    FAILED = 0  # neither of the two others within the allowed steps
    CONVERGED = 1  # |∇V| ≤ grad_tol (1 + |V|)
    ESCAPED = 2  # |φ| > field_range


METHODS = ("root", "descent")


@dataclass(frozen=True)
class SearchSettings:
    """The ``search`` section of the configuration; tolerances are those of :class:`Outcome`, lengths are field units."""

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
    """Where a stack of trials ended: ``phi`` (B, n), the others (B,); ``method`` indexes :data:`METHODS`."""

    phi: np.ndarray
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
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.full(count, Outcome.FAILED, np.int8),
            np.zeros(count, np.int32),
            np.full(count, METHODS.index(method), np.int8),
        )

    def overwrite(self, rows: np.ndarray, other: Trials) -> None:
        """Put the trials of ``other`` in place of these rows; iterations add up, since both searches were paid for."""
        other.n_iterations = other.n_iterations + self.n_iterations[rows]
        for name, values in vars(other).items():
            getattr(self, name)[rows] = values


class ActiveStack:
    """The trials that have not ended yet: their potential and one row per trial in each named work array."""

    def __init__(self, potential: Potential, starts: np.ndarray, settings: SearchSettings, method: str, **work: np.ndarray):
        value, gradient = potential.value_and_gradient(starts)
        self.result = Trials.unfinished(starts, method)
        self.potential = potential
        self.settings = settings
        self.rows = np.arange(len(starts))
        self.phi, self.value, self.gradient = starts.copy(), value, gradient
        self.hessian = potential.hessian(starts)
        self.work = work

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def grad_norm(self) -> np.ndarray:
        """|∇V|, shape (B,)."""
        return norm(self.gradient)

    def converged(self) -> np.ndarray:
        """Which trials are at a critical point, shape (B,), bool."""
        return self.grad_norm <= self.settings.grad_tol * (1.0 + np.abs(self.value))

    def escaped(self) -> np.ndarray:
        """Which trials have left the field range, shape (B,), bool."""
        return norm(self.phi) > self.settings.field_range

    def retire(self, converged: np.ndarray, escaped: np.ndarray, given_up: np.ndarray | bool = False) -> None:
        """Record the trials that ended, escape before convergence, and compress them out of the stack."""
        ended = converged | escaped | given_up
        if not ended.any():
            return
        self._record(ended, np.where(escaped, Outcome.ESCAPED, np.where(converged, Outcome.CONVERGED, Outcome.FAILED))[ended])
        keep = np.flatnonzero(~ended)
        for name in ("rows", "phi", "value", "gradient", "hessian"):
            setattr(self, name, getattr(self, name)[keep])
        self.work = {name: array[keep] for name, array in self.work.items()}
        self.potential = self.potential.take(keep)

    def close(self) -> Trials:
        """The record of all trials; those still active have failed."""
        self._record(np.ones(len(self), bool), np.full(len(self), Outcome.FAILED))
        return self.result

    def step(self, accepted: np.ndarray, phi: np.ndarray, value: np.ndarray, gradient: np.ndarray) -> None:
        """One iteration: the trials where ``accepted`` (B,) is true move to ``phi`` (B, n), whose V and ∇V are known."""
        self.result.n_iterations[self.rows] += 1
        moved = np.flatnonzero(accepted)
        self.move(moved, phi[moved], value[moved], gradient[moved])

    def move(self, moved: np.ndarray, phi: np.ndarray, value: np.ndarray, gradient: np.ndarray) -> None:
        """Put the trials of index ``moved`` (M,) at ``phi`` (M, n)."""
        self.phi[moved], self.value[moved], self.gradient[moved] = phi, value, gradient
        potential = self.potential if len(moved) == len(self) else self.potential.take(moved)
        self.hessian[moved] = potential.hessian(phi)

    def _record(self, ended: np.ndarray, outcome: np.ndarray) -> None:
        rows = self.rows[ended]
        self.result.phi[rows] = self.phi[ended]
        self.result.value[rows] = self.value[ended]
        self.result.grad_norm[rows] = norm(self.gradient[ended])
        self.result.outcome[rows] = outcome


def norm(vectors: np.ndarray) -> np.ndarray:
    """Euclidean length along the last axis."""
    return np.sqrt((vectors * vectors).sum(axis=-1))


def solve(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """x of Ax = v for a stack, (B, n, n) and (B, n); NaN where A is exactly singular, which a step test then refuses."""
    try:
        return np.linalg.solve(matrices, vectors[..., None])[..., 0]
    except np.linalg.LinAlgError:  # NumPy gives up the whole stack for one singular member
        return np.stack([_solve_one(matrix, vector) for matrix, vector in zip(matrices, vectors, strict=True)])


def _solve_one(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(matrix, vector)
    except np.linalg.LinAlgError:
        return np.full(len(vector), np.nan)


def apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Av for a stack, (B, n, n) and (B, n)."""
    return np.matmul(matrices, vectors[..., None])[..., 0]


def add_to_diagonal(matrices: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """A + amount·1 for a stack, as a new array; ``amount`` (B,)."""
    shifted = np.ascontiguousarray(matrices).copy()
    n = shifted.shape[-1]
    shifted.reshape(-1, n * n)[:, :: n + 1] += amount[:, None]
    return shifted
