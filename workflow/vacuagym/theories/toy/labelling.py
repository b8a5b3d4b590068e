"""Label geometries: draw fluxes, search, classify, and describe the deciding vacuum.

Here the ensemble and the search meet. A batch has geometries with equal numbers of moduli. This
module works on arrays only; ``vacuagym.stages`` reads and writes tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vacuagym.theories.toy.active_set import Outcome, SearchSettings, Trials
from vacuagym.theories.toy.barrier import barrier_heights
from vacuagym.theories.toy.batched_linalg import Codes, Floats, Places
from vacuagym.theories.toy.classes import METASTABLE
from vacuagym.theories.toy.classification import (
    deciding_draw,
    draw_vacua,
    hessian_index,
    label_counts,
    trial_labels,
)
from vacuagym.theories.toy.ensemble import Ensemble, FluxDraws, ModuliMap, draw_fluxes, draw_starts
from vacuagym.theories.toy.hybrid import search
from vacuagym.theories.toy.random_streams import Streams, Words

Column = npt.NDArray[Any]  # integer, floating or bool


@dataclass(frozen=True)
class Physics:
    """The settings on which labels depend.

    A label also depends on the key of its geometry and on its moduli count.
    """

    seed: int
    moduli: ModuliMap
    ensemble: Ensemble
    search: SearchSettings

    @classmethod
    def from_mapping(cls, sections: Mapping[str, Any]) -> Physics:
        """Return the physics of ``seed``, ``moduli``, ``ensemble`` and ``search``.

        ``sections`` is a checked configuration, or these sections of one.
        """
        return cls(
            sections["seed"],
            ModuliMap(**sections["moduli"]),
            Ensemble.from_mapping(sections["ensemble"]),
            SearchSettings(**sections["search"]),
        )

    def trials(self) -> int:
        """Return the number of trials of a geometry."""
        return self.search.n_samples * self.search.n_restarts


@dataclass(frozen=True)
class SearchedGeometries:
    """All trials of a batch: B geometries × S flux draws × R restarts, in that order.

    Attributes
    ----------
    fluxes : FluxDraws
        The B·S draws.
    trials : Trials
        The B·S·R trials.
    labels : array, shape (B, S, R)
        The label of each trial.
    restart : array, shape (B, S)
        The restart whose end is the vacuum of each draw.
    draw_labels : array, shape (B, S)
        The label of each draw.
    sample : array, shape (B,)
        The draw whose label becomes that of the geometry.
    """

    fluxes: FluxDraws
    trials: Trials
    labels: Codes
    restart: Places
    draw_labels: Codes
    sample: Places


def search_geometries(physics: Physics, n: int, keys: Words, ids: Codes) -> SearchedGeometries:
    """Draw, search and classify a batch of geometries.

    Parameters
    ----------
    physics : Physics
        The settings.
    n : int
        Number of moduli of every geometry.
    keys : array, shape (B, 2)
        Stream keys of the geometries.
    ids : array, shape (B,)
        Their ``geometry_id``.
    """
    settings = physics.search
    shape = len(ids), settings.n_samples, settings.n_restarts
    draws = np.tile(np.arange(settings.n_samples), len(ids))
    streams = Streams(
        np.repeat(keys, settings.n_samples, axis=0), np.repeat(ids, settings.n_samples), draws
    )
    fluxes = draw_fluxes(physics.ensemble, n, streams)
    starts = draw_starts(n, settings.n_restarts, settings.start_range, streams).reshape(-1, n)
    trials = search(
        fluxes.potential.take(np.repeat(np.arange(len(draws)), settings.n_restarts)),
        starts,
        settings,
    )
    index = hessian_index(
        np.where(np.isfinite(trials.spectrum), trials.spectrum, 0.0), settings.hess_eps
    )
    unbounded = np.repeat(fluxes.potential.unbounded_below(), settings.n_restarts)
    labels = trial_labels(trials.outcome, index, unbounded).reshape(shape)
    restart = draw_vacua(trials.outcome.reshape(shape), trials.value.reshape(shape))
    draw_labels = np.take_along_axis(labels, restart[:, :, None], axis=2)[:, :, 0]
    return SearchedGeometries(
        fluxes, trials, labels, restart, draw_labels, deciding_draw(draw_labels)
    )


def label_geometries(physics: Physics, n: int, keys: Words, ids: Codes) -> dict[str, Column]:
    """Label a batch of geometries.

    Parameters
    ----------
    physics, n, keys, ids
        As for :func:`search_geometries`.

    Returns
    -------
    dict of str to array
        The physical columns of the label table. Their shape is (B,), with two exceptions:
        ``eigenvalues`` and ``critical_point`` are (B, n), and ``trial_counts`` and ``draw_counts``
        are (B, labels). If a geometry has no critical point, its quantities are NaN and its counts
        are −1.
    """
    settings = physics.search
    found = search_geometries(physics, n, keys, ids)
    rows = np.arange(len(ids))
    draw = rows * settings.n_samples + found.sample
    trial = draw * settings.n_restarts + found.restart[rows, found.sample]
    label = found.draw_labels[rows, found.sample]
    return {
        "stability": label,
        "sample_idx": found.sample,
        "restart_idx": found.restart[rows, found.sample],
        "trial_counts": label_counts(found.labels.reshape(len(ids), -1)),
        "draw_counts": label_counts(found.draw_labels),
        "barrier_height": _barriers(found, label, draw, trial, field_range=settings.field_range),
        **_couplings(found.fluxes, draw),
        **_vacuum(found.trials, settings.hess_eps, trial),
    }


def _couplings(fluxes: FluxDraws, draw: Places) -> dict[str, Column]:
    potential = fluxes.potential
    return {
        "regime": fluxes.regime[draw],
        "mass_shift": fluxes.mass_shift[draw],
        "gamma": potential.gamma[draw],
        "A_np": potential.A[draw],
        "a_np": potential.a[draw],
        "D_up": potential.D[draw],
        "p_up": potential.p[draw],
    }


def _vacuum(trials: Trials, hess_eps: float, trial: Places) -> dict[str, Column]:
    converged = trials.outcome[trial] == Outcome.CONVERGED
    eigenvalues = trials.spectrum[trial]
    index = hessian_index(np.where(converged[:, None], eigenvalues, 0.0), hess_eps)
    size = np.abs(eigenvalues)
    with np.errstate(divide="ignore", invalid="ignore"):
        condition_number = size.max(axis=1) / size.min(axis=1)
        log_abs_det = np.log(size).sum(axis=1)

    def real(quantity: Floats) -> Floats:
        return np.where(converged & np.isfinite(quantity), quantity, np.nan)

    return {
        "minimization_success": converged,
        "potential_value": real(trials.value[trial]),
        "grad_norm": real(trials.grad_norm[trial]),
        "min_eigenvalue": eigenvalues[:, 0],
        "max_eigenvalue": eigenvalues[:, -1],
        "n_negative": np.where(converged, index.n_negative, -1),
        "n_positive": np.where(converged, index.n_positive, -1),
        "n_flat": np.where(converged, index.n_flat, -1),
        "condition_number": real(condition_number),
        "log_abs_det_hessian": real(log_abs_det),
        "eigenvalues": eigenvalues,
        "critical_point": np.where(converged[:, None], trials.phi[trial], np.nan),
        "phi_norm": real(np.sqrt((trials.phi[trial] ** 2).sum(axis=1))),
        "method": trials.method[trial],
        "n_iterations": trials.n_iterations[trial],
    }


def _barriers(
    found: SearchedGeometries, label: Codes, draw: Places, trial: Places, *, field_range: float
) -> Floats:
    """Return the barrier heights of metastable vacua, and NaN for other labels, shape (B,)."""
    fluxes, trials = found.fluxes, found.trials
    heights = np.full(len(label), np.nan)
    metastable = np.flatnonzero(label == METASTABLE)
    if len(metastable):
        potential, phi = fluxes.potential.take(draw[metastable]), trials.phi[trial[metastable]]
        _, vectors = np.linalg.eigh(potential.hessian(phi))
        heights[metastable] = barrier_heights(
            potential,
            phi,
            trials.value[trial[metastable]],
            eigenvectors=vectors,
            field_range=field_range,
        )
    return heights
