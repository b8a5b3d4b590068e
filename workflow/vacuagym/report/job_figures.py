"""Figures of the label jobs: their times, and their used and declared memory.

The size of a figure is bounded for any number of shards.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vacuagym.report.figures import SIZE, Figure, card_axes
from vacuagym.report.histograms import Floats
from vacuagym.report.svg import SERIES_COLOURS, histogram, stacked_bars, timeline

# The timeline draws this number of shards one by one. For more it draws the number of active jobs.
MOST_BARS = 240
_BINS, _GROUPS, _TABLE_ROWS = 120, 40, 200
_OTHERS = "others"
_PAUSE = 60.0  # A longer time without an active job, in seconds, is a pause.


@dataclass(frozen=True)
class Job:
    """A label job; times are seconds since the start of the first job, without pauses."""

    dataset: str
    start: float
    end: float


def job_figures(memory: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Return the figures of the section ``memory`` of the validation: a record per label job."""
    return [_timeline(memory), _memory(memory)] if memory else []


def on_the_clock(memory: Sequence[Mapping[str, Any]]) -> tuple[list[Job], int]:
    """Return the jobs in the order of their starts, and the number of pauses left out."""
    spans = sorted(
        (record["finished"] - record["wall_seconds"], record["finished"], record["dataset"])
        for record in memory
    )
    jobs, pauses, zero, until = [], 0, spans[0][0], spans[0][1]
    for start, end, dataset in spans:
        if start - until > _PAUSE:
            pauses, zero = pauses + 1, zero + start - until
        until = max(until, end)
        jobs.append(Job(dataset, start - zero, end - zero))
    return jobs, pauses


def lanes(jobs: Sequence[Job]) -> list[int]:
    """Return the lowest free lane for each job, so that concurrent jobs have different lanes."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    places, fresh = [], itertools.count()
    for job in jobs:
        while busy and busy[0][0] <= job.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        places.append(heapq.heappop(free) if free else next(fresh))
        heapq.heappush(busy, (job.end, places[-1]))
    return places


def _timeline(memory: Sequence[Mapping[str, Any]]) -> Figure:
    jobs, pauses = on_the_clock(memory)
    span, seconds = max(job.end for job in jobs), sum(job.end - job.start for job in jobs)
    unit, scale = ("h", 3600.0) if span > 3 * 3600 else ("min", 60.0) if span > 180 else ("s", 1.0)
    names = _named(memory)
    colours = dict(zip(dict.fromkeys(names.values()), SERIES_COLOURS, strict=False))
    axes = card_axes(
        "Shards at work", f"time since the first label job began ({unit})", "label jobs at work"
    )
    if len(jobs) <= MOST_BARS:
        places = lanes(jobs)
        bars = [
            (lane, job.start / scale, job.end / scale, names[job.dataset])
            for lane, job in zip(places, jobs, strict=True)
        ]
        picture = timeline(
            replace(axes, size=(SIZE[0], min(SIZE[1], 110 + 45 * (1 + max(places))))), bars, colours
        )
    else:
        edges = np.linspace(0.0, span / scale, _BINS + 1)
        busy = {
            name: _at_work(
                [job for job in jobs if names[job.dataset] == name], edges * scale
            ).tolist()
            for name in colours
        }
        picture = histogram(axes, edges.tolist(), busy, colours)
    caption = (
        f"{len(jobs):,} label {'jobs' if len(jobs) != 1 else 'job'} took {duration(seconds)} in all"
        f" and ended within {duration(span)}: "
        f"{seconds / span:.1f} at work on average."
        if span
        else f"{len(jobs):,} label jobs."
    )
    if pauses:
        caption += (
            f" Left out: {pauses} {'pauses' if pauses > 1 else 'pause'} of more than a minute in "
            "which no job was at work."
        )
    rows = [
        [
            group[0]["dataset"],
            _shards(group),
            f"{_total(group, 'rows'):,}",
            f"{_total(group, 'wall_seconds'):,.1f}",
            _speed(group),
        ]
        for group in _groups(memory)
    ]
    return Figure(
        axes.title,
        caption,
        picture,
        ["data set", "first id of the shards", "rows", "time (s)", "rows/s"],
        rows,
    )


def _memory(memory: Sequence[Mapping[str, Any]]) -> Figure:
    in_time = sorted(memory, key=lambda record: record["finished"])
    groups = [
        in_time[i : i + -(-len(in_time) // _GROUPS)]
        for i in range(0, len(in_time), -(-len(in_time) // _GROUPS))
    ]
    used = [max(record["peak_mb"] for record in group) for group in groups]
    free = [
        max(0.0, (min((r["declared_mb"] for r in group if r["declared_mb"]), default=0.0)) - peak)
        for group, peak in zip(groups, used, strict=True)
    ]
    colours = {"used, peak": SERIES_COLOURS[0], "declared and not used": SERIES_COLOURS[2]}
    each = len(groups[0])
    bars = "shards in the order of their ends" + (f", {each} a bar" if each > 1 else "")
    axes = card_axes("Memory of the label jobs", bars, "MB")
    numbers = [str(1 + i * each) for i in range(len(groups))]
    picture = stacked_bars(axes, numbers, dict(zip(colours, (used, free), strict=True)), colours)
    most = max(memory, key=lambda record: record["peak_mb"])
    declared = (
        f" of the {most['declared_mb']:,} MB that were declared for it"
        if most["declared_mb"]
        else ""
    )
    caption = (
        f"The largest job ({most['dataset']}, shard {most['first']:,}) used "
        f"{most['peak_mb']:,.0f} MB{declared}."
    )
    bound = [record for record in memory if record["declared_mb"]]
    beyond = sum(record["peak_mb"] > record["declared_mb"] for record in bound)
    if bound:
        caption += (
            f" {beyond:,} of {len(bound):,} used more than declared."
            if beyond
            else " None used more than declared."
        )
    rows = [
        [
            group[0]["dataset"],
            _shards(group),
            f"{max(r['peak_mb'] for r in group):,.0f}",
            f"{max(r['declared_mb'] or 0 for r in group):,}",
        ]
        for group in _groups(memory)
    ]
    return Figure(
        axes.title,
        caption,
        picture,
        ["data set", "first id of the shards", "largest peak (MB)", "declared (MB)"],
        rows,
    )


def duration(seconds: float) -> str:
    """Return a duration as text, such as 4 min 12 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _at_work(jobs: Sequence[Job], edges: Floats) -> Floats:
    """Return the mean number of active jobs between two times each.

    ``edges`` (bins + 1,) are in seconds. The mean is the difference of the time worked until each
    edge, over the width of the bin.
    """
    starts, ends = np.sort([job.start for job in jobs]), np.sort([job.end for job in jobs])
    worked = _until(starts, edges) - _until(ends, edges)
    mean: Floats = np.diff(worked) / np.diff(edges)
    return mean


def _until(times: Floats, edges: Floats) -> Floats:
    """Return Σ max(0, edge − time) over sorted times (jobs,), for each edge."""
    passed = np.searchsorted(times, edges)
    total: Floats = passed * edges - np.concatenate([[0.0], np.cumsum(times)])[passed]
    return total


def _named(memory: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of each data set in a legend.

    If there are more data sets than colours, the smallest are named "others".
    """
    rows: dict[str, int] = {}
    for record in memory:
        rows[record["dataset"]] = rows.get(record["dataset"], 0) + record["rows"]
    largest = sorted(rows, key=lambda name: -rows[name])
    kept = largest if len(largest) <= len(SERIES_COLOURS) else largest[: len(SERIES_COLOURS) - 1]
    return {name: name if name in kept else _OTHERS for name in largest}


def _groups(memory: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    """Group neighbouring shards of a data set, so that their table stays readable."""
    size = -(-len(memory) // _TABLE_ROWS)
    groups: list[Sequence[Mapping[str, Any]]] = []
    for _, records in itertools.groupby(
        sorted(memory, key=lambda r: (r["dataset"], r["first"])), key=lambda r: r["dataset"]
    ):
        shards = list(records)
        groups += [shards[i : i + size] for i in range(0, len(shards), size)]
    return groups


def _shards(group: Sequence[Mapping[str, Any]]) -> str:
    first, last = group[0]["first"], group[-1]["first"]
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _total(group: Sequence[Mapping[str, Any]], key: str) -> float:
    total: float = sum(record[key] for record in group)
    return total


def _speed(group: Sequence[Mapping[str, Any]]) -> str:
    seconds = _total(group, "wall_seconds")
    return f"{_total(group, 'rows') / seconds:,.0f}" if seconds else ""
