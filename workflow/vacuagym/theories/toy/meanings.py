"""What each label says, for all who show labels to a reader; and the counts of labels by group
over all data sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vacuagym.theories.toy.classes import LABELS

MEANINGS = {
    "stable": "a minimum of a V that is bounded below; a deeper one may exist",
    "metastable": "a minimum of a V that is unbounded below",
    "saddle": "directions up and down: where the root search stopped; at γ > 0 a minimum exists "
    "as well",
    "unstable": "a maximum: where the root search stopped; at γ > 0 a minimum exists as well",
    "marginal": "flat directions, and the rest of one sign at most",
    "runaway": "the trial left the field range; at γ < 0 V falls without end, at γ > 0 it rises "
    "again further out",
    "failed": "the search has not ended; such rows are in no split",
}
OF_WHAT = (
    "The label is of the vacuum that the search found in one random theory. It is no property of "
    "the geometry: of a geometry, only the "
    "number of moduli n enters."
)
_GROUPS = {"by_regime": "regime {}", "by_gamma": "γ {}"}
_SIGNS = {"negative": "< 0", "zero": "= 0", "positive": "> 0"}


def label_groups(figures: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the label counts of each regime and each sign of γ that occurs, over all data sets.

    ``figures`` is the section ``labels`` of the validation.
    """
    groups: dict[str, dict[str, int]] = {}
    for about in figures.values():
        for kind, name in _GROUPS.items():
            for which, counts in about[kind].items():
                total = groups.setdefault(
                    name.format(_SIGNS.get(which, which)), dict.fromkeys(LABELS, 0)
                )
                for label, count in counts.items():
                    total[label] += count
    return {name: counts for name, counts in groups.items() if any(counts.values())}


def told_by_n(bits: Mapping[str, float]) -> str:
    """Return what n tells of a label, as a sentence; ``bits`` are those of a data set."""
    return (
        f"n tells {bits['label_and_n']:.3f} of the {bits['label']:.3f} bits of a label. Chance "
        f"alone would show {bits['chance']:.3f}."
    )


def complexity_note(n: Mapping[str, Any]) -> str:
    """Return what n has to do with the test fold of ood_complexity, if one n is all that it has;
    ``n`` is that of the split's figures.
    """
    test, train = n["test"], n["train"]
    if test is None or train is None or test[0] != test[1]:
        return ""
    if train[1] < test[0]:
        return f"all have n = {test[0]}"
    return (
        f"all have n = {test[0]}, and some training rows have it too: in n the test fold lies no "
        "further out"
    )
