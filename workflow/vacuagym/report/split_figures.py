"""Figures of the splits: sizes, label drift, labels by fold, and the baseline from n."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vacuagym.report.figures import FEW, MOST_PICTURED, Figure, card_axes, percent, present_labels
from vacuagym.report.svg import LABEL_COLOURS, SERIES_COLOURS, stacked_rows
from vacuagym.theories.toy.meanings import complexity_note

_FOLDS = ("train", "validation", "test")
_FOLD_COLOURS = dict(zip(_FOLDS, SERIES_COLOURS, strict=False))
_COMMONEST, _FROM_N, _BALANCED = (
    "accuracy, most common label",
    "accuracy, n alone",
    "balanced accuracy, n alone",
)


def split_figures(splits: Mapping[str, Any], geometric: bool = False) -> list[Figure]:
    """Return the figures of the section ``splits`` of the validation.

    ``geometric`` is whether the geometry decides some labels.
    """
    if not splits:
        return []
    return [_sizes(splits), _drifts(splits), _labels(splits), _baselines(splits, geometric)]


def _sizes(splits: Mapping[str, Any]) -> Figure:
    shown = list(splits)[:MOST_PICTURED]
    shares = {
        fold: [100.0 * splits[name]["folds"][fold] / max(1, _rows(splits[name])) for name in shown]
        for fold in _FOLDS
    }
    axes = card_axes("Sizes of the folds", "share of the geometries (%)", "", x_range=(0.0, 100.0))
    cells = [
        [name, *(f"{split['folds'][fold]:,}" for fold in _FOLDS), f"{split['left_out']:,}"]
        for name, split in splits.items()
    ]
    without = [name for name, split in splits.items() if not split["folds"]["test"]]
    caption = (
        "A geometry is in one fold of each split, or in none if it has no label or the split "
        "leaves it out."
        + (
            f" {', '.join(without)}: no test fold, because no rows lie apart from the rest."
            if without
            else ""
        )
    )
    if "ood_complexity" in splits and (note := complexity_note(splits["ood_complexity"]["n"])):
        caption += f" Of the test rows of ood_complexity {note}."
    return Figure(
        axes.title,
        caption,
        stacked_rows(axes, shown, shares, _FOLD_COLOURS),
        ["split", *_FOLDS, "left out"],
        cells,
    )


def _drifts(splits: Mapping[str, Any]) -> Figure:
    title = "Label drift from train to test"
    drifts = {name: split["drift"] for name, split in splits.items() if split["drift"] is not None}
    if not drifts:
        return Figure(title, "No split has both a training and a test fold.", None)
    shown = list(drifts)[:MOST_PICTURED]
    axes = card_axes(title, "drift (0: equal shares, 1: no label in common)", "")
    most = max(drifts, key=lambda name: drifts[name])
    caption = "Half the sum of the differences between the label shares of the two folds. " + (
        f"The largest is {drifts[most]:.3f}, in {most}: the change of label shares alone can "
        "change an accuracy by as much."
    )
    colours = {"drift": SERIES_COLOURS[0]}
    picture = stacked_rows(axes, shown, {"drift": [drifts[name] for name in shown]}, colours)
    return Figure(
        title,
        caption,
        picture,
        ["split", "drift"],
        [[name, f"{drift:.4f}"] for name, drift in drifts.items()],
    )


def _labels(splits: Mapping[str, Any]) -> Figure:
    bars = [(name, fold) for name in list(splits)[:MOST_PICTURED] for fold in ("train", "test")]
    present = present_labels(
        [counts for split in splits.values() for counts in split["by_label"].values()]
    )
    shares = {
        label: [100.0 * _share(splits[name]["by_label"][fold], label) for name, fold in bars]
        for label in present
    }
    axes = card_axes(
        "Label balance of the folds", "share of the fold (%)", "", x_range=(0.0, 100.0)
    )
    cells = [
        [f"{name}, {fold}", *(percent(_share(split["by_label"][fold], label)) for label in present)]
        for name, split in splits.items()
        for fold in _FOLDS
    ]
    names = [f"{name}: train, and below it test" if fold == "train" else "" for name, fold in bars]
    caption = (
        "Where the two bars of a split differ, its test fold has other label shares than its "
        "training fold."
    )
    return Figure(
        axes.title,
        caption,
        stacked_rows(axes, names, shares, LABEL_COLOURS),
        ["split, fold", *present],
        cells,
    )


def _baselines(splits: Mapping[str, Any], geometric: bool) -> Figure:
    title = "Baseline: what n alone scores"
    scored = {name: _scores(split) for name, split in splits.items() if split["baseline"]}
    if not scored:
        return Figure(title, "No split has both a training and a test fold.", None)
    shown = list(scored)[:MOST_PICTURED]
    shades = reversed(SERIES_COLOURS[:3])
    colours = dict(zip((_COMMONEST, _FROM_N, _BALANCED), shades, strict=True))
    bars = [(name, score) for name in shown for score in colours]
    series = {
        score: [scored[name][score] if score == other else 0.0 for name, other in bars]
        for score in colours
    }
    axes = card_axes(title, "score on the test fold (1 is perfect)", "", x_range=(0.0, 1.0))
    tested = {name: splits[name]["folds"]["test"] for name in scored}
    large = [name for name in scored if tested[name] >= FEW]
    gains = {name: scored[name][_FROM_N] - scored[name][_COMMONEST] for name in large}
    small = [name for name in scored if name not in gains]
    notes = {name: f"{name}: {tested[name]} test rows, too few" for name in small}
    names = [notes.get(name, name) if score == _COMMONEST else "" for name, score in bars]
    caption = "These bars use n alone. "
    caption += (
        "A model that scores above them on labels that the geometry decides has learnt from it. "
        if geometric
        else "Nothing else of a geometry enters its label. A model that scores well above them has "
        "other inputs. "
    )
    always = "always naming the most common label."
    best = max(gains, key=lambda name: gains[name], default="")
    if best and gains[best] >= 0.0005:
        gain = f"{100.0 * gains[best]:.1f} points of accuracy"
        caption += f"Where n helps most, in {best}, it adds {gain} to {always} "
    elif best:
        caption += f"In no split is n alone more accurate than {always} "
    if few := ", ".join(small):
        caption += f"Fewer than {FEW} test rows are too few for scores to mean anything: {few}."
    head = ["split", _COMMONEST, _FROM_N, _BALANCED, "balanced accuracy by chance"]
    head += ["log loss, n alone (nats)", "test rows"]
    numbers = {name: [f"{value:.4f}" for value in scored[name].values()] for name in scored}
    cells = [[name, *numbers[name], f"{tested[name]:,}"] for name in scored]
    return Figure(title, caption, stacked_rows(axes, names, series, colours), head, cells)


def _scores(split: Mapping[str, Any]) -> dict[str, float]:
    train, test = split["by_label"]["train"], split["by_label"]["test"]
    baseline = split["baseline"]
    return {
        _COMMONEST: _share(test, max(train, key=lambda label: train[label])),
        _FROM_N: baseline["accuracy"],
        _BALANCED: baseline["balanced_accuracy"],
        "chance": 1.0 / sum(1 for count in test.values() if count),
        "log_loss": baseline["log_loss"],
    }


def _rows(split: Mapping[str, Any]) -> int:
    return sum(split["folds"].values())


def _share(counts: Mapping[str, int], label: str) -> float:
    return counts[label] / max(1, sum(counts.values()))
