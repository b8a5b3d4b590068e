"""Find stale files at a real start, by content and not by time.

Snakemake finds changes by its own records. This module covers lost records, files that were moved
or copied, and files that no plan names.
"""

from __future__ import annotations

import os
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vacuagym import paths
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.runtime.atomic_files import read_json, remove_abandoned
from vacuagym.tables.footers import footer_metadata

ASIDE = ".{}.aside"  # name of a stale label file
_SHARD_NAME = re.compile(r"((?:[^/]+/)?)\.?(-?\d+)-(-?\d+)\.parquet(\.aside|\.between)?")
_SEGMENT_NAME = re.compile(r".+-\d{5}\.parquet")
_TEMPORARY_NAME = re.compile(r"((?:[^/]+/)?)\.(-?\d+)-(-?\d+)\.parquet\.([^.]+\.)?\d+\.tmp")


def settle(pipeline: Pipeline) -> None:
    """Set stale label files aside, and remove files that no plan names.

    Files with a time in the future get the present time.
    """
    for dataset in pipeline.datasets:
        _remove_other_checks(pipeline, dataset)
        _set_aside_labels(pipeline, dataset)
        _remove_other_geometry(pipeline, dataset)
        for pattern in (paths.SHARD, paths.LABELS, paths.GEOMETRY_SHARD):
            _remove_strays(pipeline, dataset, Path(pattern).parent)
    _remove_other_tables(pipeline)
    verified = [paths.GEOMETRY_VERIFICATION.format(dataset=n) for n in pipeline.with_geometry]
    _keep_only(verified, *Path(paths.GEOMETRY_VERIFICATION).parent.glob("*.json"))
    parts = {Path(path) for path in pipeline.verified_parts()}
    for path in Path(paths.VERIFIED_PART).parent.glob("*.json"):
        if path not in parts:
            path.unlink()
    copies = {pipeline.plan(name).copy for name in pipeline.datasets}
    for path in set(Path(paths.PLANS).glob("*.sorted.parquet")) - copies:
        # The plan goes too: it would be used without its copy.
        path.with_name(path.name.replace(".sorted.parquet", ".json")).unlink(missing_ok=True)
        path.unlink()
    _end_future()
    _remove_other_features(pipeline)


def _remove_other_tables(pipeline: Pipeline) -> None:
    """Remove tables of labels, features and splits that are no results of this configuration.

    A table may be a file now and was a folder of segments before, or the reverse.
    """
    splits, index = pipeline.splits(), pipeline.index_files().values()
    rows = [pattern.format(split=name) for name in splits for pattern in index]
    _keep_only(pipeline.label_tables(), Path(paths.LABEL_TABLE))
    _keep_only(pipeline.feature_tables(), *Path(paths.FEATURES).parent.glob("*.parquet"))
    _keep_only([*pipeline.split_tables(*splits), *rows], *Path(paths.SPLIT).parent.glob("*.*"))
    for name in pipeline.with_geometry:  # The geometry of removed data sets stays.
        _keep_only(pipeline.geometry_tables(name), Path(paths.GEOMETRY.format(dataset=name)))
    _keep_only(pipeline.data_part_files(), *Path(paths.DATASET_PART).parent.glob("*.json"))
    candidates = (Path(pattern).parent for pattern in (paths.CANDIDATES, paths.CANDIDATE_GEOMETRY))
    _keep_only(pipeline.candidates(), *candidates)
    _keep_only(pipeline.segment_checks(), *Path(paths.SEGMENT_CHECKS).parent.glob("*.npz"))
    if not pipeline.segments:
        Path(paths.SURVEY).unlink(missing_ok=True)
        Path(paths.DATASET_LAYOUT).unlink(missing_ok=True)


def _keep_only(known: Iterable[str], *tables: Path) -> None:
    """Remove tables and their segments that are not known. Other files in their folders stay."""
    names = set(map(Path, known))
    for path in tables:
        if path.is_dir():
            for segment in path.glob("*.parquet"):
                if segment not in names and _SEGMENT_NAME.fullmatch(segment.name):
                    segment.unlink()
            with suppress(OSError):
                path.rmdir()
        elif path not in names and path.suffix in (".parquet", ".json", ".npz"):
            path.unlink(missing_ok=True)


def _remove_other_geometry(pipeline: Pipeline, dataset: str) -> None:
    """Remove computed geometry that is of another source, or of other rows, settings or code."""
    table = Path(paths.GEOMETRY.format(dataset=dataset))
    if dataset in pipeline.computed and footer_metadata(table).get("source") != "toric_bases":
        table.unlink(missing_ok=True)
    if dataset in pipeline.derived:
        for path, content in pipeline.geometry_contents(dataset).items():
            if footer_metadata(path).get("content") != content and os.path.isfile(path):
                os.unlink(path)
    for shard in pipeline.plan(dataset).shards if dataset in pipeline.derived else ():
        if not pipeline.has_current_geometry(dataset, shard):
            pattern = paths.GEOMETRY_SHARD
            path = pattern.format(dataset=dataset, first=shard.start, last=shard.last)
            Path(path).unlink(missing_ok=True)


def _remove_other_features(pipeline: Pipeline) -> None:
    """Remove feature files whose values are not those that were checked, and all splits.

    A missing split makes Snakemake recompute both.
    """
    stale = [
        path
        for name in pipeline.datasets
        if not pipeline.has_current_features(name)
        for path in pipeline.feature_tables(name)
    ]
    splits = pipeline.split_tables(*pipeline.splits()) if stale else []
    for path in map(Path, [*stale, *splits]):
        path.unlink(missing_ok=True)


def _remove_other_checks(pipeline: Pipeline, dataset: str) -> None:
    """Remove column checks that are not in the plan, or are stale."""
    planned, fingerprint = pipeline.column_files(dataset), pipeline.columns_fingerprint(dataset)
    for path in Path(paths.COLUMNS.format(dataset=dataset, first="", last="")).parent.glob(
        "*.json"
    ):
        if str(path) not in planned or read_json(path).get("fingerprint") != fingerprint:
            path.unlink()


def _set_aside_labels(pipeline: Pipeline, dataset: str) -> None:
    """Set stale label files aside, and bring back those that are current again.

    A stale file is kept, so a run that was started by mistake loses nothing. It is removed when a
    current file has replaced it.
    """
    for shard in pipeline.plan(dataset).shards:
        path = Path(paths.LABELS.format(dataset=dataset, first=shard.start, last=shard.last))
        aside = path.with_name(ASIDE.format(path.name))
        if pipeline.has_current_labels(dataset, shard):
            aside.unlink(missing_ok=True)
            _forget_incomplete(path)
        elif pipeline.has_current_labels(dataset, shard, aside):
            between = path.with_name(f".{path.name}.between")
            with suppress(FileNotFoundError):
                os.replace(path, between)
            os.replace(aside, path)
            with suppress(FileNotFoundError):
                os.replace(between, aside)
        elif path.exists():
            os.replace(path, aside)


def _forget_incomplete(path: Path) -> None:
    """Remove Snakemake's mark that the job of a whole file has not ended.

    Snakemake would recompute the file. The mark remains if Snakemake is killed, or cannot write,
    between the end of the job and its record.
    """
    with suppress(OSError):
        (Path(".snakemake/incomplete") / urlsafe_b64encode(str(path).encode()).decode()).unlink(
            missing_ok=True
        )


def remove_data_set() -> None:
    """Remove the files that the checksums of the data set name.

    Snakemake knows the file of checksums only.
    """
    folder = Path(paths.DATASET).parent
    for line in (
        Path(paths.DATASET).read_text(encoding="utf-8", errors="replace").splitlines()
        if Path(paths.DATASET).is_file()
        else ()
    ):
        path = folder / line[66:]
        if folder.resolve() in path.resolve().parents:
            path.unlink(missing_ok=True)


def _remove_strays(pipeline: Pipeline, dataset: str, folder: Path) -> None:
    """Remove the files of shards that are not in the plan.

    With ``n_limit``, shards beyond the limit stay: they are finished work of the whole table. A
    temporary file stays while a living process holds its lock. Temporary files of planned shards
    stay too: the next writer of such a file removes them.
    """
    plan, limit = pipeline.plan(dataset), pipeline.config["n_limit"]
    planned = {(shard.start, shard.last) for shard in plan.shards}
    files = Path(str(folder).format(dataset=dataset))
    for path in files.rglob("*.parquet*"):
        if not (match := _SHARD_NAME.fullmatch(str(path.relative_to(files)))):
            continue
        first, last = int(match[2]), int(match[3])
        beyond = (
            limit is not None
            and first % plan.shard_size == 0
            and last == first + plan.shard_size - 1
            and bool(match[1]) == plan.is_by_file
        )
        if (match[1] + match[2], last) not in planned and not beyond:
            path.unlink()
    remove_abandoned(
        path
        for path in files.rglob(".*.tmp")
        if (match := _TEMPORARY_NAME.fullmatch(str(path.relative_to(files))))
        and (match[1] + match[2], int(match[3])) not in planned
    )


def _end_future() -> None:
    """Give results with a time in the future the present time.

    Snakemake refuses a result that is older than its input.
    """
    now = time.time()
    for folder, _, names in os.walk("results"):
        for name in names:
            path = os.path.join(folder, name)
            if os.lstat(path).st_mtime > now:
                os.utime(path, (now, now), follow_symlinks=False)
