"""Small charts as SVG text: bars, stacked bars and lines, with axes, units and a legend. No drawing library, no fonts, no scripts.

For the report and the documentation. Colours are those of Okabe and Ito, told apart by colour-blind readers and in print.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

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
_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 50


@dataclass(frozen=True)
class Axes:
    """Titles of a chart and the range of its axes; a range not given is that of the data."""

    title: str
    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


def stacked_bars(axes: Axes, categories: Sequence[str], series: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> str:
    """Bars on named categories, each the sum of the series on top of each other; ``series`` name → one value per category."""
    totals = [sum(values[i] for values in series.values()) for i in range(len(categories))]
    frame = _Frame(axes, (-0.5, len(categories) - 0.5), axes.y_range or (0.0, max(totals, default=1.0) or 1.0))
    marks = []
    for i in range(len(categories)):
        base = 0.0
        for name, values in series.items():
            if values[i] > 0:
                left, right = frame.x(i - 0.42), frame.x(i + 0.42)
                top, bottom = frame.y(base + values[i]), frame.y(base)
                marks.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.2f}" fill="{colours[name]}"/>'
                )
            base += values[i]
    step = max(1, math.ceil(len(categories) / 16))
    ticks = [(i, categories[i]) for i in range(0, len(categories), step)]
    return frame.svg(marks, {name: colours[name] for name in series}, ticks)


def lines(axes: Axes, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], colours: Mapping[str, str] | None = None) -> str:
    """Lines through points; ``series`` name → (xs, ys); a line is broken where a point is not finite."""
    colours = colours or dict(zip(series, SERIES_COLOURS * len(series), strict=False))
    runs = {name: _finite_runs(*xy) for name, xy in series.items()}
    every = [point for each in runs.values() for run in each for point in run] or [(0.0, 0.0), (1.0, 1.0)]
    frame = _Frame(axes, axes.x_range or _span([x for x, _ in every]), axes.y_range or _span([0.0, *(y for _, y in every)]))
    marks = []
    for name, each in runs.items():
        for run in each:
            path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in run)
            marks.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
    return frame.svg(marks, {name: colours[name] for name in series}, None)


class _Frame:
    """Coordinates of a chart, and everything around its marks."""

    def __init__(self, axes: Axes, x_range: tuple[float, float], y_range: tuple[float, float]):
        self._axes, self._x, self._y = axes, x_range, y_range

    def x(self, value: float) -> float:
        """Horizontal position of a value."""
        return _LEFT + (value - self._x[0]) / (self._x[1] - self._x[0]) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Vertical position of a value."""
        return _HEIGHT - _BOTTOM - (value - self._y[0]) / (self._y[1] - self._y[0]) * (_HEIGHT - _TOP - _BOTTOM)

    def svg(self, marks: Sequence[str], legend: Mapping[str, str], x_ticks: Sequence[tuple[float, str]] | None) -> str:
        """The whole picture."""
        parts = [*self._grid(x_ticks), *marks, *self._titles(), *_legend(legend)]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="12">'
        )
        name = f"<title>{escape(self._axes.title)}</title>"
        return "\n".join([head, name, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>', *parts, "</svg>"])

    def _grid(self, x_ticks: Sequence[tuple[float, str]] | None) -> list[str]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        parts = []
        for value in _ticks(*self._y):
            y = self.y(value)
            parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
        for value, text in x_ticks or [(value, _number(value)) for value in _ticks(*self._x)]:
            parts.append(f'<text x="{self.x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>')
        return [*parts, f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#444"/>']

    def _titles(self) -> list[str]:
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        return [
            f'<text x="{_LEFT}" y="16" font-weight="bold" font-size="13">{escape(self._axes.title)}</text>',
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 16}" text-anchor="middle">{escape(self._axes.x)}</text>',
            f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(self._axes.y)}</text>',
        ]


def _legend(entries: Mapping[str, str]) -> list[str]:
    parts, x = [], _LEFT
    for name, colour in entries.items() if len(entries) > 1 else ():
        parts.append(
            f'<rect x="{x}" y="22" width="10" height="8" fill="{colour}"/><text x="{x + 14}" y="30" font-size="11">{escape(name)}</text>'
        )
        x += 24 + 7 * len(name)
    return parts


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= min((1, 2, 5, 10), key=lambda m: abs((high - low) / (m * step) - 5))
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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
