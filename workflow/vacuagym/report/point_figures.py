"""Figures of the critical points and of the search of the toy theory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from vacuagym.report.figures import FEW, TOY_N, Figure, card_axes, percent
from vacuagym.report.histograms import (
    LINEAR,
    MOST_STEPS,
    Counts,
    Distributions,
    Floats,
    Histogram,
    from_symmetric_log,
    symmetric_log,
)
from vacuagym.report.svg import (
    LABEL_COLOURS,
    SERIES_COLOURS,
    decades,
    histogram,
    lines,
    power_of_ten,
    stacked_bars,
)
from vacuagym.theories.toy.classes import LABELS, METHODS

_FEW_FOR_TAILS = 20  # Of fewer values, one in twenty is less than one value.
_METHOD_COLOURS = dict(zip(METHODS, SERIES_COLOURS, strict=False))


def scientific(value: float) -> str:
    """Return a positive number in scientific notation, such as 4.1 × 10⁻¹²."""
    mantissa, power = f"{value:.1e}".split("e")
    return ("" if mantissa == "1.0" else f"{mantissa} × ") + power_of_ten(int(power))


def point_figures(counts: Distributions, grad_tol: float) -> list[Figure]:
    """Return figures of the critical points: eigenvalues, gradients, spectra and barriers."""
    return [
        _least_eigenvalues(counts.least),
        _gradients(counts.gradient, grad_tol),
        _spectra(counts.spectra),
        _barriers(counts.barriers),
    ]


def _least_eigenvalues(counts: Histogram) -> Figure:
    title, here = "Least eigenvalue of the Hessian", counts.occupied()
    if not counts.counts.any():
        return Figure(title, "There are no critical points.", None)
    edges = counts.edges[here.start : here.stop + 1]
    series = _by_label(counts, here)
    values = from_symmetric_log(edges)
    axes = card_axes(
        title,
        f"least λ, dimensionless (linear within ±{LINEAR:g})",
        "critical points",
        x_ticks=_symmetric_ticks(edges[0], edges[-1]),
    )
    low, high = from_symmetric_log(np.array([counts.quantile(0.25), counts.quantile(0.75)]))
    caption = (
        "Its sign decides the label: minima (stable, metastable) lie right of zero, saddles and "
        "maxima left of it. "
        f"The middle half of all critical points lies between {low:.2g} and {high:.2g}."
    )
    rows = _bin_rows([f"{value:.3g}" for value in values], series)
    return Figure(
        title,
        caption,
        histogram(axes, edges.tolist(), series, LABEL_COLOURS),
        ["from λ", "to λ", *series],
        rows,
    )


def _gradients(counts: Histogram, grad_tol: float) -> Figure:
    title, here = "Gradient norm at the critical points", counts.occupied()
    if not counts.counts.any():
        return Figure(title, "There are no critical points.", None)
    edges = counts.edges[here.start : here.stop + 1]
    # The axis reaches to the tolerance, so that its line is visible.
    edges = np.append(edges, np.arange(edges[-1] + 0.25, np.log10(grad_tol) + 0.5, 0.25))
    series = {
        name: np.pad(
            counts.counts[code, here], (0, len(edges) - 1 - (here.stop - here.start))
        ).tolist()
        for code, name in enumerate(METHODS)
    }
    series = {name: values for name, values in series.items() if any(values)}
    ticks = decades(edges[0], edges[-1])
    axes = card_axes(
        title,
        "|∇V| / (1 + |V|), dimensionless",
        "critical points",
        x_ticks=ticks,
        rule=(float(np.log10(grad_tol)), f"grad_tol = {scientific(grad_tol)}"),
    )
    caption = (
        "A search ends at |∇V| ≤ grad_tol (1 + |V|), the dashed line. Half of all critical "
        "points lie below "
        f"{scientific(10.0 ** counts.quantile(0.5))}. The first bar holds all smaller values, "
        "zero included."
    )
    rows = _bin_rows([scientific(10.0**edge) for edge in edges], series)
    return Figure(
        title,
        caption,
        histogram(axes, edges.tolist(), series, _METHOD_COLOURS),
        ["from", "to", *series],
        rows,
    )


def _spectra(counts: Histogram) -> Figure:
    title = "Eigenvalue spectra of the Hessian"
    series = _by_label(counts, slice(0, counts.counts.shape[1]))
    if not series:
        return Figure(title, "There are no spectra of two eigenvalues or more.", None)
    axes = card_axes(title, "λ / max|λ| of the same spectrum", "density", x_range=(-1.0, 1.0))
    enough = [name for name, values in series.items() if sum(values) >= FEW]
    head = ["from", "to", *(f"λ, {name}" for name in series)]
    rows = _bin_rows([f"{edge:.3f}" for edge in counts.edges], series)
    if not enough:
        caption = f"No label has {FEW} eigenvalues beside the largest: too few to draw."
        return Figure(title, caption, None, head, rows)
    drawn = {name: _density(counts.edges, series[name]) for name in enough}
    caption = "Each spectrum is in units of its largest eigenvalue, at ±1, which is not shown."
    if "saddle" in series:
        down = sum(series["saddle"][: len(counts.edges) // 2]) / sum(series["saddle"])
        caption += f" At saddles {percent(down)} of the other directions go down."
    return Figure(title, caption, lines(axes, drawn, LABEL_COLOURS), head, rows)


def _density(edges: Floats, counts: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return the middles of the bins and the density there.

    If there are few counts, four bins are joined.
    """
    together = 1 if sum(counts) >= 100 * len(counts) else 4
    edges = edges[::together]
    joined = np.reshape(counts, (-1, together)).sum(axis=1)
    density = joined / (joined.sum() * np.diff(edges))
    return ((edges[1:] + edges[:-1]) / 2).tolist(), density.tolist()


def _barriers(counts: Histogram) -> Figure:
    title, here = "Barrier heights of metastable vacua", counts.occupied()
    total = int(counts.counts.sum())
    if not total:
        return Figure(title, "There are no metastable vacua in this run.", None)
    edges = counts.edges[here.start : here.stop + 1]
    series = {"metastable": counts.counts[0, here].tolist()}
    ticks = decades(edges[0], edges[-1])
    axes = card_axes(
        title, "barrier height V(top) − V(vacuum), dimensionless", "metastable vacua", x_ticks=ticks
    )
    half, least = (10.0 ** counts.quantile(share) for share in (0.5, 0.05))
    tail = f", one in twenty is lower than {least:.2g}" if total >= _FEW_FOR_TAILS else ""
    caption = (
        f"Half of the {total:,} barriers are lower than {half:.2g}{tail}. "
        "They are measured along the Hessian's eigenvectors, so they are upper bounds: "
        "a curved path may pass lower."
    )
    rows = _bin_rows([scientific(10.0**edge) for edge in edges], series)
    return Figure(
        title,
        caption,
        histogram(axes, edges.tolist(), series, LABEL_COLOURS),
        ["from", "to", "metastable vacua"],
        rows,
    )


def search_figures(steps: Counts) -> list[Figure]:
    """Return the steps of the search, and the shares of the solvers that ended it, against n.

    ``steps`` (n, methods, steps) counts geometries.
    """
    sizes = np.flatnonzero(steps.sum(axis=(1, 2)))
    if not len(sizes):
        return []
    below = steps.sum(axis=1).cumsum(axis=1)[sizes]
    quantiles = {
        name: [int(np.searchsorted(row, share * row[-1])) for row in below]
        for name, share in (("half", 0.5), ("90%", 0.9), ("all", 1.0))
    }
    few = sizes[:: -(-len(sizes) // 10)]
    axes = card_axes("Search effort", TOY_N, "steps", x_ticks=[(int(n), str(n)) for n in few])
    drawn = {f"enough for {name}": (sizes.tolist(), values) for name, values in quantiles.items()}
    caption = (
        f"Steps of the trial that gave the label. At n = {sizes[-1]} half of the geometries "
        f"needed {quantiles['half'][-1]} or fewer, and "
        "the slowest trial needed "
        f"{'at least ' if steps[:, :, MOST_STEPS].any() else ''}{max(quantiles['all'])}."
    )
    rows = [
        [str(n), f"{below[i, -1]:,}", *(str(values[i]) for values in quantiles.values())]
        for i, n in enumerate(sizes)
    ]
    effort = Figure(
        axes.title,
        caption,
        lines(axes, drawn),
        ["n", "geometries", *(f"steps for {name}" for name in quantiles)],
        rows,
    )

    ended = steps.sum(axis=2)[sizes]
    used = {
        name: 100.0 * ended[:, code] / ended.sum(axis=1)
        for code, name in enumerate(METHODS)
        if ended[:, code].any()
    }
    axes = card_axes("Solver that ended the search", TOY_N, "share (%)", y_range=(0.0, 100.0))
    share = ended[:, METHODS.index("root")].sum() / ended.sum()
    caption = (
        f"The root search, which finds critical points of any index, ended {percent(share)} of "
        "the trials that gave a label; the descent "
        "of V took over where it had not converged, escapes included."
    )
    rows = [
        [str(n), *(f"{ended[i, METHODS.index(name)]:,}" for name in used)]
        for i, n in enumerate(sizes)
    ]
    picture = stacked_bars(axes, [str(n) for n in sizes], used, _METHOD_COLOURS)
    return [effort, Figure(axes.title, caption, picture, ["n", *used], rows)]


def _by_label(counts: Histogram, here: slice) -> dict[str, list[int]]:
    return {
        name: counts.counts[code, here].tolist()
        for code, name in enumerate(LABELS)
        if counts.counts[code].any()
    }


def _bin_rows(edges: Sequence[str], series: Mapping[str, Sequence[int]]) -> list[list[str]]:
    """Return a row for each non-empty bin: its edges, and the count of each series."""
    bins = range(len(edges) - 1)
    return [
        [edges[i], edges[i + 1], *(f"{values[i]:,}" for values in series.values())]
        for i in bins
        if any(values[i] for values in series.values())
    ]


def _symmetric_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return ticks at zero and at powers of ten on both sides, with room between them."""
    ticks = [(0.0, "0")] if low <= 0.0 <= high else []
    for power, sign in itertools.product(range(-1, 7), (1, -1)):
        u = float(symmetric_log(np.asarray(sign * 10.0**power)))
        if low <= u <= high and all(abs(u - other) > (high - low) / 8 for other, _ in ticks):
            size = power_of_ten(power) if power > 3 else f"{10.0**power:g}"
            ticks.append((u, size if sign > 0 else f"−{size}"))
    return ticks
