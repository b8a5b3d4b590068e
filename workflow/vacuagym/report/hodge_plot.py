"""The Hodge plot of a data set: h11 + h21 against the Euler number χ.

P. Candelas, M. Lynker and R. Schimmrigk, Nucl. Phys. B 341, 383 (1990).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from vacuagym.report.figures import MOST_PICTURED, Figure, card_axes
from vacuagym.report.histograms import Counts, HodgeCounts
from vacuagym.report.svg import LABEL_COLOURS, SERIES_COLOURS, Axes, cells

# Cells of the picture: Euler numbers are even, so a cell is as wide as it is high.
_CELL = 10
_CLASSES = (1, 10, 100, 1000)  # least count of each shade
_SHADES = (SERIES_COLOURS[2], SERIES_COLOURS[1], SERIES_COLOURS[3], SERIES_COLOURS[0])
_GREY = "#DDDDDD"
_HEAD = ("from χ", "to χ", "geometries", "pairs (h11, h21)", "largest h11 + h21")
_ROWS = 16  # of the table


def hodge_figures(counts: Mapping[str, HodgeCounts]) -> list[Figure]:
    """Return the Hodge plot of each data set with Hodge numbers."""
    return [_figure(name, counts[name]) for name in list(counts)[:MOST_PICTURED]]


def hodge_picture(axes: Axes, counts: HodgeCounts, cell: int = _CELL) -> str:
    """Draw the Hodge plot of counts as an SVG; ``cell`` is the height of a cell."""
    series, h11, h21 = np.nonzero(counts.grid)
    across, up = (h11 - h21) // cell, (h11 + h21) // cell
    left = across.min()
    grid = np.zeros((len(counts.grid), up.max() + 1, across.max() - left + 1), np.int64)
    np.add.at(grid, (series, up, across - left), counts.grid[series, h11, h21])
    x_edges = 2.0 * cell * np.arange(left, left + grid.shape[2] + 1)
    y_edges = float(cell) * np.arange(grid.shape[1] + 1)
    if counts.labels:
        kinds, colours = _labels(grid, counts.labels)
    else:
        kinds = np.searchsorted(_CLASSES, grid[0], side="right") - 1
        ends = [*_CLASSES[1:], None]
        names = [_range(low, high) for low, high in zip(_CLASSES, ends, strict=True)]
        colours = dict(zip(names, _SHADES, strict=True))
    return cells(axes, x_edges, y_edges, kinds, colours)


def _labels(grid: Counts, labels: Sequence[str]) -> tuple[Counts, dict[str, str]]:
    """Return the most common label of each cell (rows, columns), and the colours.

    A cell without any labelled geometry has the last colour. An empty one has the kind −1.
    """
    present = [code for code in range(len(labels)) if grid[code].any()]
    labelled = grid[present]
    most = labelled.argmax(axis=0) if present else np.zeros(grid.shape[1:], np.int64)
    kinds = np.where(labelled.any(axis=0), most, len(present))
    colours = {labels[code]: LABEL_COLOURS[labels[code]] for code in present}
    return np.where(grid.any(axis=0), kinds, -1), {**colours, "no label": _GREY}


def _figure(dataset: str, counts: HodgeCounts) -> Figure:
    title = f"Hodge plot: {dataset}"
    if not counts.grid.any():
        return Figure(title, "There are no Hodge numbers in the range of the plot.", None)
    axes = card_axes(title, "χ, Euler number", "h11 + h21")
    grid = counts.grid.sum(axis=0)
    h11, h21 = np.nonzero(grid)
    shown = (
        "The colour of a cell is that of its most common label"
        if counts.labels
        else "The shade of a cell counts them"
    )
    caption = (
        f"{int(grid.sum()):,} geometries have {len(h11):,} different pairs (h11, h21). {shown}; a "
        f"cell covers {2 * _CELL} in χ = 2 (h11 − h21) and {_CELL} in h11 + h21. "
        f"χ lies between {_signed(2 * (h11 - h21).min())} and {_signed(2 * (h11 - h21).max())}."
    )
    if counts.others:
        caption += f" {counts.others:,} geometries lie beyond the plot."
    euler = 2 * (h11 - h21)
    edges = np.unique(np.linspace(euler.min(), euler.max() + 1, _ROWS + 1).astype(int))
    rows = []
    for low, high in pairwise(edges):
        here = (euler >= low) & (euler < high)
        if here.any():
            geometries = int(grid[h11[here], h21[here]].sum())
            numbers = (geometries, int(here.sum()), int((h11 + h21)[here].max()))
            rows.append([_signed(low), _signed(high - 1), *(f"{number:,}" for number in numbers)])
    return Figure(title, caption, hodge_picture(axes, counts), _HEAD, rows)


def _range(low: int, high: int | None) -> str:
    return f"{low:,} or more" if high is None else f"{low:,} to {high - 1:,}"


def _signed(number: int) -> str:
    return str(number).replace("-", "−")
