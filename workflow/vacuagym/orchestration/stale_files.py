"""Find stale files at a real start, by content and not by time.

Snakemake finds changes by its own records. This module covers lost records, files that were moved
or copied, and files that no plan names.
"""

from __future__ import annotations

import os
import re
import time
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path

from vacuagym import paths
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.runtime.atomic_files import read_json, remove_abandoned
from vacuagym.tables.footers import footer_metadata

ASIDE = ".{}.aside"  # name of a stale label file
_SHARD_NAME = re.compile(r"((?:[^/]+/)?)\.?(-?\d+)-(-?\d+)\.parquet(\.aside|\.between)?")
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
    splits = {
        Path(pattern.format(split=name))
        for name in pipeline.splits()
        for pattern in (paths.SPLIT, *pipeline.index_files().values())
    }
    features = {Path(paths.FEATURES.format(dataset=name)) for name in pipeline.datasets}
    geometry = {
        Path(paths.GEOMETRY_VERIFICATION.format(dataset=name)) for name in pipeline.with_geometry
    } or {Path(paths.GEOMETRY_VERIFICATION)}
    for known in (splits, features, geometry):
        for path in {path.parent for path in known}.pop().glob("*"):
            if path.suffix in (".parquet", ".json") and path not in known:
                path.unlink()
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


def _remove_other_geometry(pipeline: Pipeline, dataset: str) -> None:
    """Remove computed geometry that is of another source, or of other rows, settings or code."""
    table = Path(paths.GEOMETRY.format(dataset=dataset))
    if dataset in pipeline.computed and footer_metadata(table).get("source") != "toric_bases":
        table.unlink(missing_ok=True)
    found = footer_metadata(table).get("content")
    if dataset in pipeline.derived and found != pipeline.plan(dataset).content:
        table.unlink(missing_ok=True)
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
        paths.FEATURES.format(dataset=name)
        for name in pipeline.datasets
        if not pipeline.has_current_features(name)
    ]
    splits = [paths.SPLIT.format(split=name) for name in pipeline.splits()] if stale else []
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
    size, limit = pipeline.shard_size(dataset), pipeline.config["n_limit"]
    plan = pipeline.plan(dataset)
    planned = {(shard.start, shard.last) for shard in plan.shards}
    files = Path(str(folder).format(dataset=dataset))
    for path in files.rglob("*.parquet*"):
        if not (match := _SHARD_NAME.fullmatch(str(path.relative_to(files)))):
            continue
        first, last = int(match[2]), int(match[3])
        beyond = (
            limit is not None
            and first % size == 0
            and last == first + size - 1
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
