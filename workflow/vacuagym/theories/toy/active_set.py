"""Share among the batched solvers: outcomes, settings, and the stack of active trials.

A solver works on a stack of trials of equal n. Each trial has a row in every work array. Finished
rows are compressed out, so an iteration costs only what its active trials cost. No operation mixes
rows: a trial's path does not depend on its neighbours.

References
----------
.. [1] J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed., Springer, 2006, sections 3.1
   and 4.1.
.. [2] A. R. Conn, N. I. M. Gould and P. L. Toint, Trust-Region Methods, SIAM, 2000, section 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from vacuagym.theories.toy.batched_linalg import Bools, Floats, Places, arranged, norm
from vacuagym.theories.toy.classes import METHODS
from vacuagym.theories.toy.potential import Potential


class Outcome(IntEnum):
    """How a trial ended."""

    FAILED = 0  # neither of the other two within the allowed steps
    CONVERGED = 1  # |∇V| ≤ grad_tol (1 + |V|)
    ESCAPED = 2  # |φ| > field_range


Points = tuple[Floats, Floats, Floats, Floats]  # φ (B, n), V (B,), ∇V (B, n), ∇²V (B, n, n)
# Tests of a step by the decrease, as a share of what its model promises. A step is accepted above
# the first share; 1e-4 is the usual constant of sufficient decrease [1]. Above the second share
# the step is good, below the third it is poor; 3/4 and 1/4 are those of the trust-region method in
# [1], algorithm 4.1. For the roles of the constants see also [2].
ACCEPTED_SHARE = 1e-4
GOOD_SHARE = 0.75
POOR_SHARE = 0.25
_WORTH_KEEPING = 0.75  # share of live rows at which a stack is compressed


@dataclass(frozen=True)
class SearchSettings:
    """The ``search`` section of the configuration.

    Tolerances are those of :class:`Outcome`. Lengths are in field units.
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
    """The ends of B trials.

    Attributes
    ----------
    phi : array, shape (B, n)
        The last point, in field units.
    spectrum : array, shape (B, n)
        Hessian eigenvalues at a critical point, ascending. NaN if the trial has not converged.
    value, grad_norm : array, shape (B,)
        V and |∇V| at the last point.
    outcome : array, shape (B,)
        The :class:`Outcome` of each trial.
    n_iterations : array, shape (B,)
        Number of steps.
    method : array, shape (B,)
        The solver that ended the trial, an index of :data:`METHODS`.
    """

    phi: Floats
    spectrum: Floats
    value: Floats
    grad_norm: Floats
    outcome: npt.NDArray[np.int8]
    n_iterations: npt.NDArray[np.int32]
    method: npt.NDArray[np.int8]

    @classmethod
    def unfinished(cls, starts: Floats, method: str) -> Trials:
        """Return a record of trials that have all failed so far."""
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

    def overwrite(self, rows: Places, other: Trials) -> None:
        """Replace these rows by the trials of ``other``, and add up the steps of both searches."""
        other.n_iterations = other.n_iterations + self.n_iterations[rows]
        for name, values in vars(other).items():
            getattr(self, name)[rows] = values


class ActiveStack:
    """Active trials: their potential, and one row per trial in each array.

    The named work arrays have one row per trial too. A trial that has ended stays idle in its row,
    until enough rows are idle to pay for compressing the arrays.
    """

    def __init__(
        self,
        potential: Potential,
        starts: Floats,
        settings: SearchSettings,
        method: str,
        **work: npt.NDArray[Any],
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

    def converged(self) -> Bools:
        """Return which trials are at a critical point, shape (B,)."""
        small = self.grad_norm <= self.settings.grad_tol * (1.0 + np.abs(self.value))
        return small & np.isfinite(self.value)

    def escaped(self) -> Bools:
        """Return which trials have left the field range, shape (B,)."""
        return norm(self.phi) > self.settings.field_range

    def spectra(self, rows: Places) -> Floats:
        """Return the ascending Hessian eigenvalues of some trials, shape (M, n).

        The record keeps them for the trials that converge. ``rows`` (M,) are indices.
        """
        modes = np.linalg.eigvalsh(self.hessian[rows]).astype(np.float64, copy=False)
        self.result.spectrum[self.rows[rows]] = modes
        return modes

    def retire(self, converged: Bools, escaped: Bools, given_up: Bools | bool = False) -> bool:
        """Record the trials that have ended, and return whether any trial is left.

        A trial that has both escaped and converged counts as escaped. All arrays are (B,).
        """
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
        """Return the record of all trials; those still active have failed."""
        self._record(self.live, Outcome.FAILED)
        self.result.spectrum[self.result.outcome != Outcome.CONVERGED] = np.nan
        return self.result

    def evaluate(self, phi: Floats) -> Points:
        """Return V and its derivatives at the ends of a step, ``phi`` (B, n)."""
        return phi, *self.potential.derivatives(phi)

    def step(self, accepted: Bools, points: Points) -> None:
        """Count a step, and move the trials where ``accepted`` (B,) is true to their points.

        The stack takes over the arrays of ``points``.
        """
        self.result.n_iterations[self.rows[self.live]] += 1
        kept = np.flatnonzero(~accepted)
        for new, old in zip(
            points, (self.phi, self.value, self.gradient, self.hessian), strict=True
        ):
            new[kept] = old[kept]
        self.phi, self.value, self.gradient, self.hessian = points
        self.grad_norm = norm(self.gradient)

    def move(self, rows: Places, phi: Floats) -> None:
        """Move the trials with indices ``rows`` (M,) to ``phi`` (M, n)."""
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

    def _record(self, ended: Bools, outcome: npt.NDArray[Any] | Outcome) -> None:
        rows = self.rows[ended]
        self.result.phi[rows] = self.phi[ended]
        self.result.value[rows] = self.value[ended]
        self.result.grad_norm[rows] = self.grad_norm[ended]
        self.result.outcome[rows] = outcome
