"""Segments of a large run: the files of its tables of geometry, labels, features and splits.

Snakemake's own process uses this module. It imports no arrays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vacuagym import paths
from vacuagym.tables.plan import Plan, Shard

_PART_ROWS = 64  # rows that a job verifies
_MOST_PARTS = 1000
_SHARE = 10  # a segment has at most this part of the rows that one file may have,
_MOST_SEGMENTS = 100  # or twice that, four times that, … in a data set of more segments
_PART_FILES = 6500  # files in a folder of the published data set that its parts are the reason of
_MOST_COMBINATIONS = 1024  # as in publish.layout, which imports Arrow


@dataclass(frozen=True)
class Segment:
    """Consecutive shards of a data set, from ``first`` to ``last``, counted from 0.

    Attributes
    ----------
    number : int
        Number of the segment in its data set.
    """

    dataset: str
    number: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Return what the files of the segment are named by."""
        return f"{self.dataset}-{self.number:05}"

    @property
    def options(self) -> str:
        """Return the option that tells a command its shards."""
        return f"--segment={self.first}-{self.last}"


def segments_of(plans: Mapping[str, Plan], table_rows: int) -> dict[str, Segment]:
    """Return the segments of a run by name; none if its tables are one file each.

    Parameters
    ----------
    plans : mapping of str to Plan
        Plans by data set.
    table_rows : int
        Largest number of rows of a table that is one file.
    """
    if sum(plan.rows for plan in plans.values()) <= table_rows:
        return {}
    every = [
        segment
        for name in sorted(plans)
        for segment in _segments(plans[name], max(1, table_rows // _SHARE))
    ]
    return {segment.name: segment for segment in every}


def _segments(plan: Plan, most: int) -> list[Segment]:
    """Return the segments of a data set: at most ``most`` rows each, or one shard.

    ``most`` is doubled until the rows need few segments: each costs up to ten jobs.
    """
    while plan.rows > _MOST_SEGMENTS * most:
        most *= 2
    starts: list[int] = []
    rows = 0
    for position, shard in enumerate(plan.shards):
        if not starts or rows + shard.rows > most:
            starts.append(position)
            rows = 0
        rows += shard.rows
    ends = [*starts[1:], len(plan.shards)]
    return [
        Segment(plan.dataset, number, start, end - 1)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def segment_pattern(path: str) -> str:
    """Return the pattern of the files of segments for the path of a table, or of a log."""
    root, ending = os.path.splitext(path)
    folder = path if ending == ".parquet" else root
    return f"{folder}/{{segment}}{ending}"


class SegmentedTables:
    """The tables of a run that are one file each, or folders of segments, for Snakemake rules.

    A rule that makes one of them has the wildcard ``segment`` if there are segments.
    """

    config: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    derived: list[str]
    by_geometry: list[str]
    plan: Callable[[str], Plan]
    splits: Callable[[], list[str]]
    physics: Callable[[str], dict[str, Any]]

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """The segments by name; none if the tables are one file each."""
        plans = {name: self.plan(name) for name in self.datasets}
        return segments_of(plans, self.config["table_rows"])

    @property
    def rows(self) -> int:
        """Return the number of planned rows of all data sets."""
        return sum(self.plan(name).rows for name in self.datasets)

    def of_segment(self, path: str) -> str:
        """Return the pattern of a table or log: the path itself, or that of its segments."""
        return segment_pattern(path) if self.segments else path

    def segment(self, wildcards: Mapping[str, str]) -> Segment | None:
        """Return the segment of a job; None if there are no segments."""
        return self.segments[wildcards["segment"]] if self.segments else None

    def segment_options(self, wildcards: Mapping[str, str]) -> str:
        """Return the option that tells the job of a segment its shards."""
        segment = self.segment(wildcards)
        return "" if segment is None else segment.options

    def segment_datasets(self, wildcards: Mapping[str, str]) -> list[str]:
        """Return the data sets whose rows a job has: that of its segment, or all."""
        segment = self.segment(wildcards)
        return list(self.datasets) if segment is None else [segment.dataset]

    def segment_plans(self, wildcards: Mapping[str, str]) -> list[str]:
        """Return the files of the plans whose labels a job merges."""
        return [str(self.plan(name).path) for name in self.segment_datasets(wildcards)]

    def segment_shards(self, dataset: str, wildcards: Mapping[str, str]) -> tuple[Shard, ...]:
        """Return the shards of a data set that a job has: those of its segment, or all."""
        segment, shards = self.segment(wildcards), self.plan(dataset).shards
        return shards if segment is None else shards[segment.first : segment.last + 1]

    def segment_labels(self, wildcards: Mapping[str, str]) -> list[str]:
        """Return the label files that a job merges."""
        return [
            paths.LABELS.format(dataset=name, first=shard.start, last=shard.last)
            for name in self.segment_datasets(wildcards)
            for shard in self.segment_shards(name, wildcards)
        ]

    def segment_features(self, wildcards: Mapping[str, str]) -> list[str]:
        """Return the feature files beside the labels of a job."""
        pattern = self.of_segment(paths.FEATURES)
        datasets = self.segment_datasets(wildcards)
        return [pattern.format(**{**wildcards, "dataset": name}) for name in datasets]

    def segment_geometry(self, wildcards: Mapping[str, str]) -> list[str]:
        """Return the computed geometry that the theory of a job's segment reads, or nothing."""
        names = [name for name in self.segment_datasets(wildcards) if name in self.by_geometry]
        pattern = self.of_segment(paths.GEOMETRY)
        return [pattern.format(**{**wildcards, "dataset": name}) for name in names]

    def segment_checks(self) -> list[str]:
        """Return the files of what was found in each segment."""
        return [paths.SEGMENT_CHECKS.format(segment=name) for name in self.segments]

    def candidates(self) -> list[str]:
        """Return the files of the rows of each segment that may be in the sample to verify."""
        patterns = (paths.CANDIDATES, paths.CANDIDATE_GEOMETRY)
        return [pattern.format(segment=name) for pattern in patterns for name in self.segments]

    def verified_parts(self) -> list[str]:
        """Return the figures of the parts of the sample, one for each job.

        One job verifies a small sample whole, without parts, unless the tables have segments.
        """
        share, least = (self.config["verify"][key] for key in ("share", "least"))
        parts = min(_MOST_PARTS, -(-max(least, round(share * self.rows)) // _PART_ROWS))
        numbers = range(max(1, parts) if parts > 1 or self.segments else 0)
        return [paths.VERIFIED_PART.format(part=number) for number in numbers]

    def sample_seed(self) -> int:
        """Return the key of the hash that draws the sample: the seed of the labels, or 0."""
        seeded = any("seed" in self.physics(name) for name in self.datasets)
        return int(self.config["seed"]) if seeded else 0

    def label_tables(self) -> list[str]:
        """Return all files of the label table."""
        return self._files(paths.LABEL_TABLE)

    def feature_tables(self, *datasets: str) -> list[str]:
        """Return all feature files of some data sets, by default of all."""
        return [
            file
            for name in datasets or self.datasets
            for file in self._files(paths.FEATURES.format(dataset=name), name)
        ]

    def split_tables(self, *splits: str) -> list[str]:
        """Return all files of some splits."""
        return [file for name in splits for file in self._files(paths.SPLIT.format(split=name))]

    def geometry_tables(self, *datasets: str) -> list[str]:
        """Return all files of the computed geometry of some data sets."""
        return [
            file
            for name in datasets
            for file in self._files(
                paths.GEOMETRY.format(dataset=name), name, whole=name not in self.derived
            )
        ]

    def index_files(self) -> dict[str, str]:
        """Return the pattern of the files of row numbers, as an output; none of a large table."""
        return {} if self.segments else {"index": paths.INDEX}

    def geometry_contents(self, dataset: str) -> dict[str, str]:
        """Return the files of the geometry of threefolds, with the digest of their rows."""
        plan, own = self.plan(dataset), self.geometry_tables(dataset)
        pieces = [plan.of_segment(s.first, s.last) for s in self._segments_of(dataset)] or [plan]
        return {path: piece.content for path, piece in zip(own, pieces, strict=True)}

    def data_parts(self) -> dict[str, list[str]]:
        """Return the parts of the published data set: the names of the segments of each.

        A part has about as many rows as one file may have, and a file or more for each combination
        of folds. The Hub takes 10,000 files in a folder, so with many splits a part has more rows.
        """
        apart = sum(name.startswith("ood_dataset_") for name in self.splits())
        # A row is in the test fold of one of these splits only.
        combinations = 3 ** (len(self.splits()) - apart) * 2 ** max(0, apart - 1)
        files = len(self.segments) * min(combinations, _MOST_COMBINATIONS)
        parts: dict[str, list[str]] = {}
        for name in sorted(self.datasets) if self.segments else ():
            own = [segment.name for segment in self._segments_of(name)]
            rows = max(1, self.plan(name).rows)
            size = max(len(own) * self.config["table_rows"] // rows, -(-files // _PART_FILES))
            for number, start in enumerate(range(0, len(own), size)):
                parts[f"{name}-{number:05}"] = own[start : start + size]
        return parts

    def data_part_files(self) -> list[str]:
        """Return the files that say what the parts of the published data set are."""
        return [paths.DATASET_PART.format(part=name) for name in self.data_parts()]

    def tables_of_part(self, part: str) -> dict[str, list[str]]:
        """Return the tables that a part of the published data set is made of, by kind."""
        return {
            "labels": [paths.LABEL_TABLE],
            "splits": [paths.SPLIT.format(split=name) for name in self.splits()],
            "features": [paths.FEATURES.format(dataset=part.rsplit("-", 1)[0])],
        }

    def files_of_part(self, part: str) -> list[str]:
        """Return the segments that a part of the published data set is made of."""
        return [
            segment_pattern(table).format(segment=segment)
            for tables in self.tables_of_part(part).values()
            for table in tables
            for segment in self.data_parts()[part]
        ]

    def _segments_of(self, dataset: str | None) -> list[Segment]:
        """Return the segments of a data set, by default all."""
        return [s for s in self.segments.values() if dataset in (None, s.dataset)]

    def _files(self, path: str, dataset: str | None = None, whole: bool = False) -> list[str]:
        """Return the file of a table, or its segments; with a data set, those of its rows."""
        if whole or not self.segments:
            return [path]
        pattern = segment_pattern(path)
        return [pattern.format(segment=segment.name) for segment in self._segments_of(dataset)]
