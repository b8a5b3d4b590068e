"""Draw small charts as SVG text with matplotlib: bars, histograms, lines and timelines.

The report and the documentation use them. Labels have the colours of Okabe and Ito [1]_, which
colour-blind readers can distinguish. Other series have shades of a green that no label has.

References
----------
.. [1] M. Okabe and K. Ito, "Color universal design" (2008), https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, cycle, pairwise
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib
import matplotlib.axes as plots
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from vacuagym.errors import printable

LABEL_COLOURS = {
    "stable": "#0072B2",
    "metastable": "#56B4E9",
    "saddle": "#E69F00",
    "unstable": "#D55E00",
    "marginal": "#CC79A7",
    "runaway": "#7A7A7A",
    "failed": "#000000",
    "no_span": "#882255",
    "no_point": "#999933",
    "boundary": "#DDCC77",
    "point": "#117733",
}
SERIES_COLOURS = ("#0F3D30", "#3F8F75", "#8CCDB7", "#22664F", "#68B199", "#D3EAE2")
# Settings of the user do not change a picture. Any: the stubs list every key as a literal.
_DEFAULTS: Any = matplotlib.rcParamsDefault
_SETTINGS: Any = {
    **_DEFAULTS,
    **{"font.size": 12.0, "font.sans-serif": ["DejaVu Sans"], "text.parse_math": False},
    **{"axes.axisbelow": True, "axes.edgecolor": "#444444", "grid.color": "#DDDDDD"},
    **{"axes.spines.right": False, "axes.spines.top": False},
    **{"xtick.bottom": False, "ytick.left": False},
    **{"legend.frameon": False, "legend.borderpad": 0.2, "legend.borderaxespad": 0.2},
    **{"legend.columnspacing": 1.0, "legend.handlelength": 1.2, "legend.labelspacing": 0.25},
    **{"svg.fonttype": "none", "svg.hashsalt": "vacuagym"},
}
_SVG, _NOTE = "{http://www.w3.org/2000/svg}", "note: "
# Pattern and replacement that shorten the values of an attribute.
_SHORTER = {
    "d": (r"(\.\d\d)\d+|\s+(?=[A-Za-z])|\s+$", r"\1"),
    "style": (r"font-family: [^;]*; |; font-family: [^;]*$", ""),
}
_MOST_NOTED = 60  # bars with a note each; with more bars, each series has one note
_ROW, _NAMELESS_ROW, _BAR, _LINE = 38, 16, 14, 17  # heights in rows of bars, and of a line of text
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Range = tuple[float, float]
Ticks = Sequence[tuple[float, str]]
Series = Mapping[str, Sequence[float]]
Points = Mapping[str, tuple[Sequence[float], Sequence[float]]]
Names = Collection[str]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Colours = Mapping[str, str]


@dataclass(frozen=True)
class Axes:
    """The titles and ranges of a chart.

    Attributes
    ----------
    title, x, y : str
        Titles of the chart and of its axes.
    x_range, y_range : pair, optional
        Ranges of the axes. By default those of the data.
    x_ticks : sequence of (value, text), optional
        Ticks of the x axis.
    size : pair of int
        Width and height. The text has the size 12.
    titled : bool
        Whether the title is drawn. Screen readers get it in both cases.
    rule : (value, note), optional
        A value of the x axis that a dashed line marks.
    """

    title: str
    x: str
    y: str
    x_range: Range | None = None
    y_range: Range | None = None
    x_ticks: Ticks | None = None
    size: tuple[int, int] = (640, 340)
    titled: bool = True
    rule: tuple[float, str] | None = None


@matplotlib.rc_context(_SETTINGS)
def stacked_bars(axes: Axes, categories: Sequence[str], series: Series, colours: Colours) -> str:
    """Draw a bar for each category: a stack of the series, which have a value per category."""
    count = len(categories)
    step = max(1, math.ceil(count / (axes.size[0] // 36)))
    ticks = [(i, categories[i]) for i in range(0, count, step)]
    y_range = axes.y_range or (0.0, _most(series))
    axes = replace(axes, x_ticks=ticks, y_range=y_range)
    if count > _MOST_NOTED:
        return histogram(axes, (np.arange(count + 1) - 0.5).tolist(), series, colours)
    plot = _plot(axes, (-0.5, count - 0.5), y_range, "y")
    for i, name, low, high in _parts(series):
        note = f"{_NOTE}{categories[i]}, {name}: {_number(high - low)}"
        plot.bar(i, high - low, 0.84, low, color=colours[name], gid=note)
    return _svg(plot, axes, _patches(series, colours))


@matplotlib.rc_context(_SETTINGS)
def histogram(axes: Axes, edges: Sequence[float], series: Series, colours: Colours) -> str:
    """Draw a bar for each bin between ``edges``: a stack of the series, one value per bin."""
    x_range = axes.x_range or (edges[0], edges[-1])
    plot = _plot(axes, x_range, axes.y_range or (0.0, 1.05 * _most(series)), "y")
    tops = np.cumsum([np.zeros(len(edges) - 1), *series.values()], axis=0)
    for name, low, high in zip(series, tops, tops[1:], strict=False):
        look: dict[str, Any] = {"linewidth": 0, "color": colours[name], "gid": _NOTE + name}
        plot.stairs(high, edges, baseline=low, fill=True, **look)
    return _svg(plot, axes, _patches(series, colours))


@matplotlib.rc_context(_SETTINGS)
def stacked_rows(axes: Axes, categories: Sequence[str], series: Series, colours: Colours) -> str:
    """Draw horizontal bars, each below the name of its category, so that names may be long.

    A bar without a name belongs to the bar above. The bars set the height of the picture.
    """
    ends = list(accumulate(_ROW if name else _NAMELESS_ROW for name in categories))
    axes = replace(axes, size=(axes.size[0], ends[-1] + _LINE * (3 + len(series) // 2)))
    plot = _plot(axes, axes.x_range or (0.0, _most(series)), (ends[-1] + 4, 0), "x")
    plot.spines["left"].set_visible(False)
    plot.set_yticks([])
    for end, name in zip(ends, categories, strict=True):
        plot.text(plot.get_xlim()[0], end - _BAR - 4, _short(name, axes), in_layout=False)
    for i, name, low, high in _parts(series):
        note = f"{_NOTE}{name}: {_number(high - low)}"
        plot.barh(ends[i] - _BAR / 2, high - low, _BAR, low, color=colours[name], gid=note)
    return _svg(plot, axes, _patches(series, colours))


@matplotlib.rc_context(_SETTINGS)
def lines(axes: Axes, series: Points, colours: Colours | None = None, dashed: Names = ()) -> str:
    """Draw lines through points, name → (xs, ys), broken where a point is not finite."""
    points = {name: np.array(xy, float) for name, xy in series.items()}
    colours = colours or dict(zip(series, cycle(SERIES_COLOURS), strict=False))
    every = np.concatenate([*points.values()], axis=1)
    every = every[:, np.isfinite(every).all(axis=0)]
    y_range = axes.y_range or _span([0.0, *every[1]])
    plot = _plot(axes, axes.x_range or _span(every[0]), y_range, "y")
    drawn = {}
    for name, xy in points.items():
        dashes = (4, 2) if name in dashed else (None, None)
        look: dict[str, Any] = {"color": colours[name], "dashes": dashes}
        xs, ys = np.where(np.isfinite(xy).all(axis=0), xy, np.nan)
        (drawn[name],) = plot.plot(xs, ys, linewidth=2, gid=_NOTE + name, **look)
    return _svg(plot, axes, drawn)


@matplotlib.rc_context(_SETTINGS)
def timeline(axes: Axes, bars: Sequence[tuple[int, float, float, str]], colours: Colours) -> str:
    """Draw bars (lane, from, to, name) along time; the lowest lane is 0 and has the number 1."""
    lanes = 1 + max(lane for lane, *_ in bars)
    ends = [end for _, *both, _ in bars for end in both]
    plot = _plot(axes, axes.x_range or _span(ends), (0.5, lanes + 0.5), "y")
    plot.set_yticks(range(1, lanes + 1, math.ceil(lanes / 8)))
    for lane, start, end, name in bars:
        look: dict[str, Any] = {"color": colours[name], "gid": _NOTE + name}
        plot.barh(lane + 1, end - start, 0.6, start, **look)
    return _svg(plot, axes, _patches(colours, colours))


@matplotlib.rc_context(_SETTINGS)
def cells(axes: Axes, x_edges: Floats, y_edges: Floats, kinds: Integers, colours: Colours) -> str:
    """Draw a cell of the grid for each kind (rows, columns) of 0 or more: a place in ``colours``.

    Cells of a row with one kind are drawn as one.
    """
    x_range, y_range = _span(x_edges.tolist()), _span(y_edges.tolist())
    plot = _plot(axes, axes.x_range or x_range, axes.y_range or y_range, "y")
    runs = [
        (kind, x_edges[start], x_edges[end], row)
        for row, line in enumerate(kinds)
        for kind, start, end in _runs(line)
        if kind >= 0
    ]
    for place, name in enumerate(colours):
        corners = [
            corner
            for kind, left, right, row in runs
            for corner in _corners(left, right, y_edges[row], y_edges[row + 1])
            if kind == place
        ]
        codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * (len(corners) // 5)
        if corners:
            look: dict[str, Any] = {"linewidth": 0, "color": colours[name], "gid": _NOTE + name}
            plot.add_patch(PathPatch(Path(corners, codes), **look))
    return _svg(plot, axes, _patches(colours, colours))


def _runs(line: Integers) -> Iterator[tuple[int, int, int]]:
    """Yield the runs (value, start, end) of equal values of a line."""
    edges = [0, *(np.flatnonzero(np.diff(line)) + 1).tolist(), len(line)]
    for start, end in pairwise(edges):
        yield int(line[start]), start, end


def _corners(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high), (left, low)]


def decades(low: float, high: float) -> Ticks:
    """Return ticks at whole powers of ten between two values of a log10 axis, at most eight."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    step = max(1, math.ceil((last - first) / 7))
    return [(power, power_of_ten(power)) for power in range(first, last + 1) if power % step == 0]


def power_of_ten(power: int) -> str:
    """Return a power of ten as text, such as 10⁻⁹."""
    return "10" + str(power).translate(_SUPERSCRIPTS)


def _plot(axes: Axes, x_range: Range, y_range: Range, grid: Literal["x", "y"]) -> plots.Axes:
    """Return an empty chart with its ranges, the titles of its axes, and a grid."""
    width, height = axes.size
    plot = Figure((width / 72, height / 72), layout="constrained").add_subplot()
    plot.set(xlim=x_range, ylim=y_range, xlabel=axes.x, ylabel=axes.y)
    plot.grid(axis=grid)
    for axis in (plot.xaxis, plot.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(lambda value, _: _number(value))
    if axes.x_ticks:
        plot.set_xticks(*zip(*axes.x_ticks, strict=True))
    if axes.rule and x_range[0] <= axes.rule[0] <= x_range[1]:
        x, note = axes.rule
        side = "right" if x > sum(x_range) / 2 else "left"
        look: dict[str, Any] = {"ha": side, "va": "top", "backgroundcolor": "#FFFFFFCC"}
        plot.axvline(x, color="#444444", linestyle="--")
        plot.text(x, 1.0, f" {note} ", transform=plot.get_xaxis_transform(), **look)
    return plot


def _svg(plot: plots.Axes, axes: Axes, legend: Mapping[str, Artist]) -> str:
    """Return the picture with its legend, as part of a page.

    It brings no ids, style sheet or fonts.
    """
    figure = plot.get_figure(root=True)
    assert figure is not None
    title = axes.title if axes.titled else None
    if len(legend) > 1:
        names = [_short(name, axes) for name in legend]
        look: dict[str, Any] = {"title": title, "alignment": "left"}
        look["title_fontproperties"] = {"weight": "bold"}
        look["ncols"] = max(1, axes.size[0] // (30 + 8 * max(map(len, names))))
        figure.legend(legend.values(), names, loc="outside upper left", **look)
    elif title:
        plot.set_title(title, loc="left", weight="bold")
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Title": axes.title, "Date": None})
    picture = ElementTree.fromstring(printable(written.getvalue()))
    picture.attrib = {
        "viewBox": picture.attrib["viewBox"],
        "role": "img",
        "font-family": "sans-serif",
    }
    for element in list(picture.iter()):
        for child in [*element.findall(_SVG + "defs"), *element.findall(_SVG + "metadata")]:
            element.remove(child)
        name = element.attrib.pop("id", "")
        if name.startswith(_NOTE):  # A browser shows the note under the mouse.
            element.insert(0, ElementTree.Element(_SVG + "title"))
            element[0].text = name.removeprefix(_NOTE)
        element.attrib.pop("clip-path", None)  # Nothing is drawn outside.
        for key in _SHORTER.keys() & element.keys():
            element.set(key, re.sub(*_SHORTER[key], element.attrib[key]))
    ElementTree.register_namespace("", _SVG.strip("{}"))
    ElementTree.indent(picture, "")
    return ElementTree.tostring(picture, encoding="unicode")


def _patches(names: Names, colours: Colours) -> dict[str, Artist]:
    return {name: Patch(color=colours[name]) for name in names}


def _parts(series: Series) -> Iterator[tuple[int, str, float, float]]:
    """Yield every non-empty part (index, name, from, to) of the stacks."""
    for i, values in enumerate(zip(*series.values(), strict=True)):
        for name, value, high in zip(series, values, accumulate(values), strict=True):
            if value > 0:
                yield i, name, high - value, high


def _most(series: Series) -> float:
    return max(map(sum, zip(*series.values(), strict=True)), default=0.0) or 1.0


def _span(values: Sequence[float]) -> Range:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _short(name: str, axes: Axes) -> str:
    """Return a name, cut to the width of the chart."""
    room = axes.size[0] // 8
    return name if len(name) <= room else name[: room - 1] + "…"


def _number(value: float) -> str:
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")
