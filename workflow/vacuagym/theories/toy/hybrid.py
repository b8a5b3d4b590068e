"""The search of one trial after another stage: which solver runs, and what follows when it does
not converge.
"""

from __future__ import annotations

import numpy as np

from vacuagym.theories.toy.active_set import Outcome, SearchSettings, Trials
from vacuagym.theories.toy.descent import descend
from vacuagym.theories.toy.levenberg_marquardt import find_roots
from vacuagym.theories.toy.potential import Potential


def search(potential: Potential, starts: np.ndarray, settings: SearchSettings) -> Trials:
    """Run every trial: ``starts`` (B, n), one for each of the B systems of the stack.

    ``root`` and ``descent`` run alone; ``hybrid`` sends the trials that ``root`` did not bring to
    a critical point down from their own starts, so that what it finds for them is where the start
    rolls to, however far the root search had strayed.
    """
    with np.errstate(
        all="ignore"
    ):  # a step into overflow is refused by the step tests, not worth a warning
        if settings.method == "descent":
            return descend(potential, starts, settings)
        trials = find_roots(potential, starts, settings)
        if settings.method == "hybrid":
            rest = np.flatnonzero(trials.outcome != Outcome.CONVERGED)
            if len(rest):
                trials.overwrite(rest, descend(potential.take(rest), starts[rest], settings))
    return trials
