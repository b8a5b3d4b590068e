"""From spectra to labels: of a critical point, of a draw's vacuum, of a geometry.

Pure array arithmetic: nothing here evaluates a potential.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.classes import (
    FAILED,
    LABELS,
    MARGINAL,
    METASTABLE,
    RUNAWAY,
    SADDLE,
    STABLE,
    UNSTABLE,
)

_TIE = 1e-9  # energies within this times (1 + |V|) are the same vacuum energy


@dataclass(frozen=True)
class Index:
    """How many Hessian eigenvalues are negative, positive and flat (within ±eps of zero), each of
    the shape (…,).
    """

    n_negative: np.ndarray
    n_positive: np.ndarray
    n_flat: np.ndarray


def hessian_index(eigenvalues: np.ndarray, hess_eps: float) -> Index:
    """Count the signs of ``eigenvalues`` (…, n) with eps = hess_eps · max(1, max|λ|)."""
    eps = hess_eps * np.maximum(1.0, np.abs(eigenvalues).max(axis=-1, keepdims=True))
    negative, positive = (eigenvalues < -eps).sum(axis=-1), (eigenvalues > eps).sum(axis=-1)
    return Index(negative, positive, eigenvalues.shape[-1] - negative - positive)


def critical_point_labels(index: Index, unbounded: np.ndarray) -> np.ndarray:
    """Labels of critical points from their index; ``unbounded`` (…,) says whether V is unbounded
    below. Indexes :data:`LABELS`.
    """
    minimum = (index.n_negative == 0) & (index.n_flat == 0)
    maximum = (index.n_positive == 0) & (index.n_flat == 0)
    saddle = (index.n_negative > 0) & (index.n_positive > 0)
    return np.select(
        [minimum & ~unbounded, minimum, saddle, maximum],
        [STABLE, METASTABLE, SADDLE, UNSTABLE],
        MARGINAL,
    )


def trial_labels(outcome: np.ndarray, index: Index, unbounded: np.ndarray) -> np.ndarray:
    """Labels of trials: of the critical point where one was found, else runaway or failed; all
    arguments (…,).
    """
    missed = np.where(outcome == Outcome.ESCAPED, RUNAWAY, FAILED)
    return np.where(outcome == Outcome.CONVERGED, critical_point_labels(index, unbounded), missed)


def draw_vacua(outcome: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The restart that stands for each draw, from ``outcome`` and ``value`` (…, restarts): an
    index of shape (…,).

    The converged critical point of lowest V, where equal energies (within 1e-9 (1 + |V|)) leave
    the choice to the lowest restart; with none converged the first restart that escaped; with none
    escaped the first.
    """
    converged = outcome == Outcome.CONVERGED
    energy = np.where(converged, value, np.inf)
    lowest = energy.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        tied = converged & (energy <= lowest + _TIE * (1.0 + np.abs(lowest)))
    return np.where(
        converged.any(axis=-1), tied.argmax(axis=-1), (outcome == Outcome.ESCAPED).argmax(axis=-1)
    )


def deciding_draw(draw_label: np.ndarray) -> np.ndarray:
    """The draw whose label is the geometry's, from ``draw_label`` (rows, draws): the first that
    has not failed, or draw 0.
    """
    return (draw_label != FAILED).argmax(axis=-1)


def label_counts(labels: np.ndarray) -> np.ndarray:
    """How often each label occurs in ``labels`` (rows, anything): shape (rows, labels)."""
    return (labels[:, :, None] == np.arange(len(LABELS))).sum(axis=1)
