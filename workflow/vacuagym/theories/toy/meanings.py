"""The meaning of each label for readers, and label counts by group over all data sets."""

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
    "marginal": "flat directions; all other directions have the same sign",
    "runaway": "the trial left the field range; at γ < 0 V falls without end, at γ > 0 it rises "
    "again further out",
    "failed": "the search has not ended; no split has such rows",
}
OF_WHAT = (
    "The label describes the vacuum that the search found in one random theory. It is not a "
    "property of the geometry: only the number of moduli n of the geometry enters."
)
_GROUPS = {"by_regime": "regime {}", "by_gamma": "γ {}"}
_SIGNS = {"negative": "< 0", "zero": "= 0", "positive": "> 0"}


def label_groups(figures: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the label counts of each regime and each sign of γ, over all data sets.

    Groups without rows are left out. ``figures`` is the section ``labels`` of the validation.
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
    """Return the information of n about a label as sentences; ``bits`` are of one data set."""
    return (
        f"n tells {bits['label_and_n']:.3f} of the {bits['label']:.3f} bits of a label. Chance "
        f"alone would show {bits['chance']:.3f}."
    )


def complexity_note(n: Mapping[str, Any]) -> str:
    """Return a note on the test fold of ood_complexity if all its rows have the same n.

    ``n`` is the entry ``n`` of the figures of the split: the range of n in each fold.
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
