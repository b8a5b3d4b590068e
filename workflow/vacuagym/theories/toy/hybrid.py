"""Search: choose the solver of each trial, and what follows when it does not converge."""

from __future__ import annotations

import numpy as np

from vacuagym.theories.toy.active_set import Outcome, SearchSettings, Trials
from vacuagym.theories.toy.batched_linalg import Floats
from vacuagym.theories.toy.descent import descend
from vacuagym.theories.toy.levenberg_marquardt import find_roots
from vacuagym.theories.toy.potential import Potential


def search(potential: Potential, starts: Floats, settings: SearchSettings) -> Trials:
    """Run every trial, one from each start.

    The methods ``root`` and ``descent`` use one solver. With ``hybrid``, a trial that the root
    search does not bring to a critical point descends from its own start. So the result is where
    the start rolls to, however far the root search strayed.

    Parameters
    ----------
    potential : Potential
        B systems with n moduli each.
    starts : array, shape (B, n)
        The start of each trial, in field units.
    settings : SearchSettings
        Method, tolerances and numbers of steps.
    """
    # The step tests refuse a step into overflow, so a warning would tell nothing.
    with np.errstate(all="ignore"):
        if settings.method == "descent":
            return descend(potential, starts, settings)
        trials = find_roots(potential, starts, settings)
        if settings.method == "hybrid":
            rest = np.flatnonzero(trials.outcome != Outcome.CONVERGED)
            if len(rest):
                trials.overwrite(rest, descend(potential.take(rest), starts[rest], settings))
    return trials
