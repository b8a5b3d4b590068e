"""Small charts as SVG text: bars, histograms, lines and timelines, with axes, units and a legend. No drawing library, fonts or scripts.

For the report and the documentation. Colours are those of Okabe and Ito, told apart by colour-blind readers and in print.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate

LABEL_COLOURS = {
    "stable": "#0072B2",
    "metastable": "#56B4E9",
    "saddle": "#E69F00",
    "unstable": "#D55E00",
    "marginal": "#CC79A7",
    "runaway": "#7A7A7A",
    "failed": "#000000",
}
SERIES_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_LEFT, _RIGHT, _BOTTOM = 68, 14, 50
_ROW, _NAMELESS_ROW, _LINE = 38, 16, 15  # heights of a row of stacked_rows, of one without a name, of a line of the legend
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Axes:
    """Titles of a chart and the range of its axes; a range not given is that of the data.

    ``size`` is width and height in the units of the text, whose size is 12. ``titled`` says whether the title is drawn or only told to
    screen readers. ``rule`` is a value of the x axis that a dashed line marks, with a note.
    """

    title: str
    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_ticks: Ticks | None = None
    y_ticks: Ticks | None = None
    size: tuple[int, int] = (640, 340)
    titled: bool = True
    rule: tuple[float, str] | None = None


def stacked_bars(axes: Axes, categories: Sequence[str], series: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> str:
    """Bars on named categories, each the sum of the series on top of each other; ``series`` name → one value per category."""
    frame = _Frame(axes, series, (-0.5, len(categories) - 0.5), axes.y_range or _from_zero(series))
    marks = []
    for i, name, low, high in _stacked(series):
        marks.append(frame.bar(i - 0.42, i + 0.42, low, high, colours[name], f"{categories[i]}, {name}: {_number(high - low)}"))
    step = max(1, math.ceil(len(categories) / (axes.size[0] // 36)))
    ticks = [(i, categories[i]) for i in range(0, len(categories), step)]
    return frame.svg(marks, {name: colours[name] for name in series}, ticks)


def histogram(axes: Axes, edges: Sequence[float], series: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> str:
    """Adjacent bars between ``edges``, each the sum of the series; ``series`` name → one value per bin."""
    low, high = _from_zero(series)
    frame = _Frame(axes, series, axes.x_range or (edges[0], edges[-1]), axes.y_range or (low, 1.05 * high))
    marks = [frame.bar(edges[i], edges[i + 1], low, high, colours[name]) for i, name, low, high in _stacked(series)]
    return frame.svg(marks, {name: colours[name] for name in series}, None)


def stacked_rows(axes: Axes, categories: Sequence[str], series: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> str:
    """Horizontal bars, each below the name of its category, so that names may be long; a bar without a name belongs to the one above.

    The height of the picture follows from their number.
    """
    frame = _Rows(axes, series, axes.x_range or _from_zero(series), categories)
    marks = [frame.name(i, category) for i, category in enumerate(categories) if category]
    for i, name, low, high in _stacked(series):
        marks.append(frame.row(i, low, high, colours[name], f"{name}: {_number(high - low)}"))
    return frame.svg(marks, {name: colours[name] for name in series}, None)


def lines(axes: Axes, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], colours: Mapping[str, str] | None = None) -> str:
    """Lines through points; ``series`` name → (xs, ys); a line is broken where a point is not finite."""
    colours = colours or dict(zip(series, SERIES_COLOURS * len(series), strict=False))
    runs = {name: _finite_runs(*xy) for name, xy in series.items()}
    every = [point for each in runs.values() for run in each for point in run] or [(0.0, 0.0), (1.0, 1.0)]
    x_range, y_range = axes.x_range or _span([x for x, _ in every]), axes.y_range or _span([0.0, *(y for _, y in every)])
    frame = _Frame(axes, series, x_range, y_range)
    marks = []
    for name, each in runs.items():
        for run in each:
            path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in run)
            marks.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
    return frame.svg(marks, {name: colours[name] for name in series}, None)


def timeline(axes: Axes, bars: Sequence[tuple[int, float, float, str]], colours: Mapping[str, str]) -> str:
    """Bars (lane, from, to, name) along time, one lane above the other; lane 0 is the lowest, and its number is 1."""
    lanes = 1 + max((lane for lane, *_ in bars), default=0)
    ends = [end for _, start, end, _ in bars for end in (start, end)]
    numbers = [(number, str(number)) for number in range(1, lanes + 1, math.ceil(lanes / 8))]
    frame = _Frame(replace(axes, y_ticks=numbers), colours, axes.x_range or _span(ends or [0.0]), (0.5, lanes + 0.5))
    marks = [frame.bar(start, end, lane + 0.7, lane + 1.3, colours[name], name) for lane, start, end, name in bars]
    return frame.svg(marks, colours, None)


def decades(low: float, high: float) -> Ticks:
    """Ticks at the whole powers of ten between two values of a log10 axis, no more than eight."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    step = max(1, math.ceil((last - first) / 7))
    return [(power, power_of_ten(power)) for power in range(first, last + 1) if power % step == 0]


def power_of_ten(power: int) -> str:
    """A power of ten as it is written, such as 10⁻⁹."""
    return "10" + str(power).translate(_SUPERSCRIPTS)


class _Frame:
    """Coordinates of a chart, and everything around its marks."""

    def __init__(self, axes: Axes, legend: Mapping[str, object], x_range: tuple[float, float], y_range: tuple[float, float]):
        self._axes, self._x, self._y = axes, x_range, y_range
        self._width, self._height = axes.size
        self._legend_top = 22 if axes.titled else 6
        extra = _LINE * (len(self._legend_lines(legend)) - 1)
        self._top = self._legend_top + 16 + extra if len(legend) > 1 else self._legend_top + 8

    def x(self, value: float) -> float:
        """Horizontal position of a value."""
        return _LEFT + (value - self._x[0]) / (self._x[1] - self._x[0]) * (self._width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Vertical position of a value."""
        return self._height - _BOTTOM - (value - self._y[0]) / (self._y[1] - self._y[0]) * (self._height - self._top - _BOTTOM)

    def bar(self, left: float, right: float, low: float, high: float, colour: str, note: str = "") -> str:
        """A filled rectangle between two values of either axis."""
        return _rectangle(self.x(left), self.y(high), self.x(right) - self.x(left), self.y(low) - self.y(high), colour, note)

    def svg(self, marks: Sequence[str], legend: Mapping[str, str], x_ticks: Ticks | None) -> str:
        """The whole picture."""
        size = f"{self._width} {self._height:.0f}"
        parts = [*self._grid(self._axes.x_ticks or x_ticks), *marks, *self._rule(), *self._titles(), *self._legend(legend)]
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" font-family="sans-serif" font-size="12">'
        name = f"<title>{escape(self._axes.title)}</title>"
        return "\n".join([head, name, f'<rect width="{self._width}" height="{self._height:.0f}" fill="white"/>', *parts, "</svg>"])

    def _grid(self, x_ticks: Ticks | None) -> list[str]:
        bottom, right = self._height - _BOTTOM, self._width - _RIGHT
        parts = []
        for value, text in self._axes.y_ticks or [(value, _number(value)) for value in _ticks(*self._y)]:
            y = self.y(value)
            parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
        return [*parts, *self._x_labels(x_ticks), f'<path d="M{_LEFT} {self._top}V{bottom}H{right}" fill="none" stroke="#444"/>']

    def _x_labels(self, x_ticks: Ticks | None) -> list[str]:
        y = self._height - _BOTTOM + 16
        ticks = x_ticks or [(value, _number(value)) for value in _ticks(*self._x)]
        return [f'<text x="{self.x(value):.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>' for value, text in ticks]

    def _rule(self) -> list[str]:
        if self._axes.rule is None or not self._x[0] <= self._axes.rule[0] <= self._x[1]:
            return []
        x, note = self.x(self._axes.rule[0]), self._axes.rule[1]
        anchor, shift = ("end", -5) if x > self._width / 2 else ("start", 5)
        return [
            f'<path d="M{x:.1f} {self._top}V{self._height - _BOTTOM}" stroke="#444" stroke-width="1.5" stroke-dasharray="5 3"/>',
            f'<text x="{x + shift:.1f}" y="{self._top + 11}" text-anchor="{anchor}" font-size="11" stroke="white" stroke-width="4"'
            f' paint-order="stroke">{escape(note)}</text>',
        ]

    def _titles(self) -> list[str]:
        middle = (self._top + self._height - _BOTTOM) / 2
        title = f'<text x="{_LEFT}" y="16" font-weight="bold" font-size="13">{escape(self._axes.title)}</text>'
        across = (_LEFT + self._width - _RIGHT) / 2
        x = f'<text x="{across:.0f}" y="{self._height - 16}" text-anchor="middle">{escape(self._axes.x)}</text>'
        y = f'<text transform="translate(13 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(self._axes.y)}</text>'
        return [*([title] if self._axes.titled else []), x, *([y] if self._axes.y else [])]

    def _legend_lines(self, names: Mapping[str, object]) -> list[list[tuple[float, str]]]:
        """The names of the legend with their places, as many on a line as there is room for."""
        placed: list[list[tuple[float, str]]] = [[]]
        x = float(_LEFT)
        for name in names if len(names) > 1 else ():
            width = 24 + 6.6 * len(name)
            if placed[-1] and x + width > self._width:
                placed.append([])
                x = float(_LEFT)
            placed[-1].append((x, name))
            x += width
        return placed

    def _legend(self, entries: Mapping[str, str]) -> list[str]:
        parts = []
        for line, names in enumerate(self._legend_lines(entries)):
            y = self._legend_top + _LINE * line
            for x, name in names:
                parts.append(f'<rect x="{x:.0f}" y="{y - 1}" width="10" height="10" fill="{entries[name]}"/>')
                parts.append(f'<text x="{x + 14:.0f}" y="{y + 8}" font-size="11">{escape(name)}</text>')
        return parts


class _Rows(_Frame):
    """The frame of horizontal bars: categories from top to bottom, values from left to right."""

    def __init__(self, axes: Axes, legend: Mapping[str, object], x_range: tuple[float, float], names: Sequence[str]):
        super().__init__(axes, legend, x_range, (0.0, 1.0))
        ends = accumulate(_ROW if name else _NAMELESS_ROW for name in names)
        self._bars = [self._top + end - _NAMELESS_ROW for end in ends]
        self._height = (self._bars[-1] if names else self._top) + _NAMELESS_ROW + _BOTTOM
        self._left = 12

    def x(self, value: float) -> float:
        """Horizontal position of a value; names stand above their bars, so nothing stands left of them."""
        return self._left + (value - self._x[0]) / (self._x[1] - self._x[0]) * (self._width - self._left - 2 * _RIGHT)

    def name(self, row: int, text: str) -> str:
        """The name of a category, above its bar."""
        return f'<text x="{self._left}" y="{self._bars[row] - 5}">{escape(text)}</text>'

    def row(self, row: int, low: float, high: float, colour: str, note: str) -> str:
        """A part of the bar of a category."""
        return _rectangle(self.x(low), self._bars[row], self.x(high) - self.x(low), 14, colour, note)

    def _grid(self, x_ticks: Ticks | None) -> list[str]:
        bottom = self._height - _BOTTOM
        places = [self.x(value) for value in _ticks(*self._x)]
        grid = [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self._top}" y2="{bottom}" stroke="#ddd"/>' for x in places]
        return [*grid, *self._x_labels(x_ticks)]

    def _legend_lines(self, names: Mapping[str, object]) -> list[list[tuple[float, str]]]:
        return [[(x - _LEFT + 12, name) for x, name in line] for line in super()._legend_lines(names)]


def _rectangle(x: float, y: float, width: float, height: float, colour: str, note: str) -> str:
    title = f"><title>{escape(note)}</title></rect>" if note else "/>"
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.2f}" fill="{colour}"{title}'


def _stacked(series: Mapping[str, Sequence[float]]) -> Iterator[tuple[int, str, float, float]]:
    """Every part (index, name, from, to) of the stacks that is not empty."""
    for i in range(max((len(values) for values in series.values()), default=0)):
        base = 0.0
        for name, values in series.items():
            if values[i] > 0:
                yield i, name, base, base + values[i]
            base += values[i]


def _from_zero(series: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    return 0.0, max((sum(values) for values in zip(*series.values(), strict=True)), default=0.0) or 1.0


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= min((1, 2, 5, 10), key=lambda m: abs((high - low) / (m * step) - 5))
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def _finite_runs(xs: Sequence[float], ys: Sequence[float]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
