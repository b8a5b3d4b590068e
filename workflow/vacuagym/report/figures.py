"""Figures of the labels, and what all figures of the report share.

A figure is a picture, a caption with its conclusion, and its numbers as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vacuagym.report.svg import (
    LABEL_COLOURS,
    Axes,
    stacked_bars,
    stacked_rows,
)
from vacuagym.theories.registry import STABILITY, THEORIES
from vacuagym.theories.theory import Theory
from vacuagym.theories.toy.meanings import label_groups, told_by_n

# Size of a picture. On a phone that shows it 314 pixels wide, its text has 11 pixels.
SIZE = (340, 290)
MOST_PICTURED = 12  # data sets or splits in a picture; its table has all of them
# Fewer geometries of an n, eigenvalues of a label, or rows of a test fold show little.
FEW = 30
_MOST_SINGLE_BARS = 64  # in the figure against n
TOY_N = "n, real moduli of the toy theory"


@dataclass(frozen=True)
class Figure:
    """A picture, its caption and its numbers.

    Attributes
    ----------
    title, caption : str
        Texts of the figure.
    picture : str or None
        SVG text. None: there is nothing to draw.
    head, rows
        The table of the numbers, as formatted cells.
    """

    title: str
    caption: str
    picture: str | None
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def card_axes(title: str, x: str, y: str, **more: Any) -> Axes:
    """Return the axes of a picture in the page, which has the title above the picture."""
    return Axes(title, x, y, size=SIZE, titled=False, **more)


def percent(share: float) -> str:
    """Return a share as a percentage; a small one is told apart from zero."""
    return "< 0.1%" if 0.0 < share < 0.0005 else f"{100.0 * share:.1f}%"


def present_labels(counts: Sequence[Mapping[str, int]]) -> list[str]:
    """Return the labels that occur in any of these counts, in the order of their codes."""
    return [name for name in STABILITY if any(count.get(name) for count in counts)]


def label_figures(figures: Mapping[str, Any]) -> list[Figure]:
    """Return the class shares by data set, by regime and sign of γ, and by n.

    ``figures`` is the section ``labels`` of the validation.
    """
    datasets = sorted(
        (name for name in figures if figures[name]["rows"]), key=lambda name: -figures[name]["rows"]
    )
    if not datasets:
        return [Figure("Class shares", "There are no rows.", None)]
    of_theory: dict[str, list[str]] = {}
    for name in datasets:
        of_theory.setdefault(figures[name]["theory"], []).append(name)
    several = len(of_theory) > 1
    return [
        figure
        for theory, names in of_theory.items()
        for figure in _theory_figures(THEORIES[theory], names, figures, several)
    ]


def _theory_figures(
    theory: Theory, datasets: Sequence[str], figures: Mapping[str, Any], several: bool
) -> list[Figure]:
    """Return the figures of the labels of one theory; ``several`` is whether there are others."""
    shown = datasets[:MOST_PICTURED]
    totals = {name: figures[name]["by_label"] for name in datasets}
    present = present_labels(list(totals.values()))
    shares = {
        label: [100.0 * totals[name][label] / figures[name]["rows"] for name in shown]
        for label in present
    }
    title = "Class shares of each data set" + (f", theory {theory.name}" if several else "")
    axes = card_axes(title, "share of the geometries (%)", "", x_range=(0.0, 100.0))
    names = [f"{name}: {figures[name]['rows']:,} geometries" for name in shown]
    rows = sum(figures[name]["rows"] for name in datasets)
    whole = {label: sum(counts[label] for counts in totals.values()) for label in present}
    most = max(whole, key=lambda label: whole[label])
    common = [label for label in present if whole[label] >= 0.05 * rows]
    caption = (
        f"Of {rows:,} geometries {percent(whole[most] / rows)} are {most}; {len(common)} of the "
        f"{len(theory.classes)} labels hold 5% or more. "
        f"{theory.of_what}"
    )
    without = {name: sum(figures[name]["without_label"].values()) for name in datasets}
    if any(without.values()):
        caption += f" {sum(without.values()):,} further geometries have no label."
    cells = [
        [
            name,
            f"{figures[name]['rows']:,}",
            *(
                f"{totals[name][label]:,} ({percent(totals[name][label] / figures[name]['rows'])})"
                for label in present
            ),
            *([f"{without[name]:,}"] if any(without.values()) else []),
        ]
        for name in datasets
    ]
    first = Figure(
        axes.title,
        caption,
        stacked_rows(axes, names, shares, LABEL_COLOURS),
        ["data set", "rows", *present, *(["no label"] if any(without.values()) else [])],
        cells,
    )
    own = {name: figures[name] for name in datasets}
    groups = [] if theory.reads else [_groups(label_groups(own))]
    return [first, *groups, *(_shares_against_n(name, figures[name]) for name in shown)]


def _groups(groups: Mapping[str, Mapping[str, int]]) -> Figure:
    rows = {name: sum(counts.values()) for name, counts in groups.items()}
    present = present_labels(list(groups.values()))
    shares = {
        label: [100.0 * groups[name][label] / rows[name] for name in groups] for label in present
    }
    axes = card_axes(
        "Class shares by regime and sign of γ",
        "share of the geometries (%)",
        "",
        x_range=(0.0, 100.0),
    )
    saddles, bounded = (
        sum(counts["saddle"] for name, counts in groups.items() if name.startswith("γ")),
        groups.get("γ > 0", {}),
    )
    caption = (
        "A saddle says where the root search stopped, and a stable vacuum need not be the deepest."
    )
    if saddles:
        caption += (
            f" Of the saddles {percent(bounded.get('saddle', 0) / saddles)} have γ > 0, where a "
            "minimum exists as well."
        )
    if any(counts["runaway"] for counts in groups.values()):
        caption += " A runaway has left the field range: at γ < 0 V falls without end"
        caption += (
            f", at γ > 0 ({bounded['runaway']:,} rows) it rises again further out."
            if bounded.get("runaway")
            else "."
        )
    cells = [
        [name, f"{rows[name]:,}", *(f"{groups[name][label]:,}" for label in present)]
        for name in groups
    ]
    return Figure(
        axes.title,
        caption,
        stacked_rows(axes, list(groups), shares, LABEL_COLOURS),
        ["", "rows", *present],
        cells,
    )


def _shares_against_n(dataset: str, figures: Mapping[str, Any]) -> Figure:
    by_n: Mapping[str, Mapping[str, int]] = figures["by_n"]
    sizes = sorted(by_n, key=int)
    present = present_labels(list(by_n.values()))
    rows = {n: sum(by_n[n].values()) for n in sizes}
    shares = {label: [100.0 * by_n[n][label] / rows[n] for n in sizes] for label in present}
    bars = _bars(sizes, rows)
    drawn = {
        label: [
            100.0 * sum(by_n[n][label] for n in bar) / sum(rows[n] for n in bar) for bar in bars
        ]
        for label in present
    }
    n_axis = "n = h11, Kähler moduli" if THEORIES[figures["theory"]].reads else TOY_N
    axes = card_axes(
        f"Class shares against n: {dataset}", n_axis, "share (%)", y_range=(0.0, 100.0)
    )
    cells = [[n, f"{rows[n]:,}", *(f"{by_n[n][label]:,}" for label in present)] for n in sizes]
    enough = [i for i, n in enumerate(sizes) if rows[n] >= FEW]
    if len(enough) > 1:
        low, high = enough[0], enough[-1]
        label = max(present, key=lambda name: abs(shares[name][high] - shares[name][low]))
        change = (
            f"{percent(shares[label][low] / 100)} at n = {sizes[low]} to "
            f"{percent(shares[label][high] / 100)} at n = {sizes[high]}"
        )
        caption = (
            f"The label that changes most is {label}: from {change}. {told_by_n(figures['bits'])}"
        )
    else:
        caption = f"No two n have {FEW} geometries: too few to show how the shares depend on n."
    if len(bars) < len(sizes):
        caption += f" Neighbours share a bar where one n has fewer than {FEW} geometries."
    return Figure(
        axes.title,
        caption,
        stacked_bars(axes, [bar[0] for bar in bars], drawn, LABEL_COLOURS),
        ["n", "rows", *present],
        cells,
    )


def _bars(sizes: Sequence[str], rows: Mapping[str, int]) -> list[list[str]]:
    """Return the n of each bar: of very many n, neighbours with few geometries share one."""
    if len(sizes) <= _MOST_SINGLE_BARS:
        return [[n] for n in sizes]
    bars: list[list[str]] = [[]]
    for n in sizes:
        if sum(rows[other] for other in bars[-1]) >= FEW:
            bars.append([])
        bars[-1].append(n)
    if len(bars) > 1 and sum(rows[n] for n in bars[-1]) < FEW:
        bars[-2:] = [bars[-2] + bars[-1]]
    return bars
