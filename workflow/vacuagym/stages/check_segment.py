"""Check and count the rows of a segment of a run in one pass, for validation and report.

What is found in the segments adds up to what one pass over all rows finds. A run whose tables are
one file each is one segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vacuagym.checks.label_checks import LabelChecks
from vacuagym.checks.split_checks import COLUMNS as SPLIT_COLUMNS
from vacuagym.checks.split_checks import FOLD_COLUMNS, SplitChecks
from vacuagym.report.histograms import COLUMNS as REPORT_COLUMNS
from vacuagym.report.histograms import Distributions, HodgeCounts
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.splits.rows import any_has, rows_with_traits, usable_of
from vacuagym.tables.aligned import Feed, feed
from vacuagym.tables.counts_file import read_counts, write_counts
from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.parquet import file_metadata, open_parquet
from vacuagym.tables.plan import Plan, label_file
from vacuagym.tables.stored import stored_files
from vacuagym.theories.registry import THEORIES

_ABOUT = ("physics", "theories", "fingerprints")


@dataclass(frozen=True, kw_only=True)
class SegmentFiles:
    """The files of a segment, or of a run whose tables are one file each.

    Attributes
    ----------
    labels : Path
        Label table.
    splits, features : sequence of Path
        Split files, and feature files of all data sets or none.
    plans : sequence of Plan
        Plans with the shards of the rows.
    label_files : Path
        Folder of the label files.
    """

    labels: Path
    splits: Sequence[Path]
    features: Sequence[Path]
    plans: Sequence[Plan]
    label_files: Path


@dataclass
class Found:
    """What was found in the rows: checks, counts, and the figures of their label jobs.

    Attributes
    ----------
    about : dict
        Settings, theories and fingerprints of the labels, from the metadata of the table.
    jobs : list of dict
        Memory and time of each label job.
    """

    labels: LabelChecks
    about: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, SplitChecks] = field(default_factory=dict)
    counts: Distributions = field(default_factory=Distributions)
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def append(self, later: Found) -> None:
        """Add what was found in the rows that follow."""
        self.labels.append(later.labels)
        self.about = {key: self.about.get(key, {}) | later.about[key] for key in _ABOUT}
        for name, split in later.splits.items():
            if name in self.splits:
                self.splits[name].append(split)
            else:
                self.splits[name] = split
        self.counts.append(later.counts)
        self.jobs += later.jobs

    def write(self, output: Path) -> None:
        """Write all that was found."""
        splits = {name: split.state for name, split in self.splits.items()}
        state = {"labels": self.labels.state, "splits": splits, "counts": self.counts.state}
        write_counts(output, {**state, "about": self.about, "jobs": self.jobs})

    @classmethod
    def read(cls, path: Path) -> Found:
        """Return what was written."""
        return read_counts(path, cls._of_state)

    @classmethod
    def _of_state(cls, state: dict[str, Any]) -> Found:
        return cls(
            labels=LabelChecks.of_state(state["labels"]),
            about=state["about"],
            splits={name: SplitChecks.of_state(name, own) for name, own in state["splits"].items()},
            counts=Distributions.of_state(state["counts"]),
            jobs=state["jobs"],
        )


def check_segment(files: SegmentFiles, rows: int, output: Path) -> None:
    """Check and count the rows of a segment, and write what was found.

    Parameters
    ----------
    rows : int
        Number of rows of all segments.
    """
    find(files, rows).write(output)
    print(f"{output}: peak {peak_memory_mb():.0f} MB")


def stored_segments(labels: Path, folder: Path) -> Iterator[Found]:
    """Yield what was found in each segment of a label table, from the files in a folder."""
    for path in stored_files(labels):
        yield Found.read(folder / f"{path.stem}.npz")


def find(files: SegmentFiles, rows: int) -> Found:
    """Check and count the rows of a segment, or of all segments in folders, in one pass.

    ``rows`` is the number of rows of all segments.
    """
    whole = Found(LabelChecks({}))
    for own in _segments(files):
        whole.append(_find(own, rows))
    whole.jobs = _jobs(files.plans, files.label_files)
    return whole


def _segments(files: SegmentFiles) -> Iterator[SegmentFiles]:
    """Yield the files of each segment; files that are no folders are one segment."""
    if not files.labels.is_dir():
        yield files
        return
    for labels in stored_files(files.labels):
        splits, features = (
            [path / labels.name for path in paths] for paths in (files.splits, files.features)
        )
        own = [path for path in features if path.exists()]
        yield replace(files, labels=labels, splits=splits, features=own)


def _find(files: SegmentFiles, rows: int) -> Found:
    about = file_metadata(open_parquet(files.labels))
    scattered = [plan.dataset for plan in files.plans if plan.is_scattered]
    labels = LabelChecks(about["theories"], scattered=[*about["theories"]] == scattered)
    hodge = _hodge_counts(files.features, about["theories"])
    found = Found(labels, {key: about[key] for key in _ABOUT}, counts=Distributions(hodge=hodge))
    assigned: dict[str, Feed] = {}
    for path in files.splits:
        split = file_metadata(open_parquet(path))
        found.splits[split["split"]] = SplitChecks(split["split"], split, rows)
        assigned[split["split"]] = feed(path, FOLD_COLUMNS)
    columns = [*dict.fromkeys([*labels.columns, *REPORT_COLUMNS, *SPLIT_COLUMNS])]
    for batch in rows_with_traits(files.labels, files.features, columns):
        labels.add(batch, about["physics"])
        found.counts.add(batch)
        if len(usable := usable_of(batch)):
            for name, folds in assigned.items():
                found.splits[name].add(usable, folds)
    for name, folds in assigned.items():
        found.splits[name].finish(folds)
    return found


def _hodge_counts(features: Sequence[Path], theories: Mapping[str, str]) -> dict[str, HodgeCounts]:
    """Return empty counts of each data set with Hodge numbers.

    Labels are told apart where the geometry decides them.
    """
    counts = {}
    for path in features:
        if any_has([path], *HODGE):
            dataset = file_metadata(open_parquet(path))["dataset"]
            theory = THEORIES[theories[dataset]]
            counts[dataset] = HodgeCounts(tuple(theory.classes) if theory.reads else ())
    return counts


def _jobs(plans: Sequence[Plan], folder: Path) -> list[dict[str, Any]]:
    """Return memory and time of each label job, from the metadata of its file."""
    figures = []
    for plan in plans:
        for shard in plan.shards:
            about = file_metadata(open_parquet(label_file(folder, plan.dataset, shard)))
            taken = {
                key: about[key]
                for key in ("rows", "declared_mb", "peak_mb", "wall_seconds", "finished")
            }
            figures.append({"dataset": plan.dataset, "first": shard.first, **taken})
    return figures
