"""The search of one trial after another stage: which solver runs, and what follows when it does not converge."""

from __future__ import annotations

import numpy as np

from vacuagym.eft.potential import Potential
from vacuagym.search.descent import descend
from vacuagym.search.root import find_roots
from vacuagym.search.stack import Outcome, SearchSettings, Trials


def search(potential: Potential, starts: np.ndarray, settings: SearchSettings) -> Trials:
    """Run every trial: ``starts`` (B, n), one for each of the B systems of the stack.

    ``root`` and ``descent`` run alone; ``hybrid`` sends the trials that ``root`` did not bring to a critical point down from their own
    starts, so that what it finds for them is where the start rolls to, however far the root search had strayed.
    """
    with np.errstate(all="ignore"):  # a step into overflow is refused by the step tests, not worth a warning
        if settings.method == "descent":
            return descend(potential, starts, settings)
        trials = find_roots(potential, starts, settings)
        if settings.method == "hybrid":
            rest = np.flatnonzero(trials.outcome != Outcome.CONVERGED)
            if len(rest):
                trials.overwrite(rest, descend(potential.take(rest), starts[rest], settings))
    return trials
