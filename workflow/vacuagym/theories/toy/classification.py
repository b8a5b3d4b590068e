"""From spectra to labels: of a critical point, of the vacuum of a draw, of a geometry.

This is array arithmetic only. No function evaluates a potential.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.batched_linalg import Bools, Codes, Floats, Places
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

_TIE = 1e-9  # energies are equal if they differ by at most this share of 1 + |V|


@dataclass(frozen=True)
class Index:
    """Numbers of negative, positive and flat Hessian eigenvalues, shape (…,) each.

    An eigenvalue is flat if it is within ±eps of zero.
    """

    n_negative: Codes
    n_positive: Codes
    n_flat: Codes


def hessian_index(eigenvalues: Floats, hess_eps: float) -> Index:
    """Count the signs of ``eigenvalues`` (…, n) with eps = hess_eps · max(1, max|λ|)."""
    eps = hess_eps * np.maximum(1.0, np.abs(eigenvalues).max(axis=-1, keepdims=True))
    negative, positive = (eigenvalues < -eps).sum(axis=-1), (eigenvalues > eps).sum(axis=-1)
    return Index(negative, positive, eigenvalues.shape[-1] - negative - positive)


def critical_point_labels(index: Index, unbounded: Bools) -> Codes:
    """Return the labels of critical points, as indices of :data:`LABELS`.

    ``unbounded`` (…,) is true where V is unbounded below.
    """
    minimum = (index.n_negative == 0) & (index.n_flat == 0)
    maximum = (index.n_positive == 0) & (index.n_flat == 0)
    saddle = (index.n_negative > 0) & (index.n_positive > 0)
    return np.select(
        [minimum & ~unbounded, minimum, saddle, maximum],
        [STABLE, METASTABLE, SADDLE, UNSTABLE],
        MARGINAL,
    )


def trial_labels(outcome: Codes, index: Index, unbounded: Bools) -> Codes:
    """Return the labels of trials, as indices of :data:`LABELS`.

    A converged trial has the label of its critical point. Others are runaway or failed. All
    arguments have the shape (…,).
    """
    missed = np.where(outcome == Outcome.ESCAPED, RUNAWAY, FAILED)
    return np.where(outcome == Outcome.CONVERGED, critical_point_labels(index, unbounded), missed)


def draw_vacua(outcome: Codes, value: Floats) -> Places:
    """Return the restart whose end is the vacuum of each draw, shape (…,).

    It is the converged critical point of lowest V. Among equal energies (within 1e-9 (1 + |V|)) it
    is the first restart. If none converged, it is the first that escaped. If none escaped, it is
    the first.

    Parameters
    ----------
    outcome, value : array, shape (…, restarts)
        The :class:`Outcome` and V of each restart.
    """
    converged = outcome == Outcome.CONVERGED
    energy = np.where(converged, value, np.inf)
    lowest = energy.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        tied = converged & (energy <= lowest + _TIE * (1.0 + np.abs(lowest)))
    escaped: Bools = outcome == Outcome.ESCAPED
    first_tied: Places = tied.argmax(axis=-1)
    first_escaped: Places = escaped.argmax(axis=-1)
    return np.where(converged.any(axis=-1), first_tied, first_escaped)


def deciding_draw(draw_label: Codes) -> Places:
    """Return the draw whose label becomes that of the geometry, shape (rows,).

    It is the first that has not failed, or draw 0. ``draw_label`` has the shape (rows, draws).
    """
    first: Places = (draw_label != FAILED).argmax(axis=-1)
    return first


def label_counts(labels: Codes) -> Codes:
    """Count each label in ``labels`` (rows, any): shape (rows, labels)."""
    counts: Codes = (labels[:, :, None] == np.arange(len(LABELS))).sum(axis=1)
    return counts
