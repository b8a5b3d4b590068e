"""Files of an earlier configuration: at a real start they are told apart from those of this one,
by content and not by time.

Snakemake knows what has changed from its own records. This covers what the records do not: records
that are lost, files that were moved or copied, and files that no plan names.
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
from vacuagym.runtime.atomic_files import read_json

ASIDE = ".{}.aside"  # what a stale label file is called
_SHARD_NAME = re.compile(r"\.?(-?\d+)-(-?\d+)\.parquet(\.aside|\.between)?")


def settle(pipeline: Pipeline) -> None:
    """Set stale label files aside, remove files that no plan names, and give files from the future
    the present time.
    """
    for dataset in pipeline.datasets:
        _remove_other_checks(pipeline, dataset)
        _set_aside_labels(pipeline, dataset)
        for pattern in (paths.SHARD, paths.LABELS):
            _remove_strays(pipeline, dataset, Path(pattern).parent)
    splits = {
        Path(pattern.format(split=name))
        for name in pipeline.splits()
        for pattern in (paths.SPLIT, paths.INDEX)
    }
    features = {Path(paths.FEATURES.format(dataset=name)) for name in pipeline.datasets}
    for known in (splits, features):
        for path in {path.parent for path in known}.pop().glob("*"):
            if path.suffix in (".parquet", ".json") and path not in known:
                path.unlink()
    _end_future()
    _remove_other_features(pipeline)


def _remove_other_features(pipeline: Pipeline) -> None:
    """Remove feature files of other values than those that were checked, and the splits: a missing
    split makes Snakemake look for both.
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
    """Remove the checks of columns that the plan does not have, and those of another table, of
    other settings or code.
    """
    planned, fingerprint = pipeline.column_files(dataset), pipeline.columns_fingerprint(dataset)
    for path in Path(paths.COLUMNS.format(dataset=dataset, first="", last="")).parent.glob(
        "*.json"
    ):
        if str(path) not in planned or read_json(path).get("fingerprint") != fingerprint:
            path.unlink()


def _set_aside_labels(pipeline: Pipeline, dataset: str) -> None:
    """Put label files of other rows, settings or code aside, and bring back those that are current
    again.

    They are not removed: a run that was started by mistake loses nothing. One that has been
    replaced is.
    """
    for shard in pipeline.plan(dataset).shards:
        path = Path(paths.LABELS.format(dataset=dataset, first=shard.first, last=shard.last))
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
    """Remove Snakemake's mark that the job of a whole file has not ended: it would make the file
    again.

    The mark stays where Snakemake was killed, or could write nothing, between the end of the job
    and the record of it.
    """
    with suppress(OSError):
        (Path(".snakemake/incomplete") / urlsafe_b64encode(str(path).encode()).decode()).unlink(
            missing_ok=True
        )


def remove_data_set() -> None:
    """Remove the files that the data set's checksums name: of Snakemake's outputs it has the
    checksums alone.
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
    """Remove the files of shards that the plan does not have.

    With ``n_limit``, shards beyond the limit stay: they are finished work of the whole table.
    """
    size, limit = pipeline.config["shard_size"], pipeline.config["n_limit"]
    planned = {(shard.first, shard.last) for shard in pipeline.plan(dataset).shards}
    for path in Path(str(folder).format(dataset=dataset)).glob("*.parquet*"):
        if not (match := _SHARD_NAME.fullmatch(path.name)):
            continue
        first, last = int(match[1]), int(match[2])
        beyond = limit is not None and first % size == 0 and last == first + size - 1
        if (first, last) not in planned and not beyond:
            path.unlink()


def _end_future() -> None:
    """Give every result whose time lies in the future the present one: Snakemake refuses what is
    older than its input.
    """
    now = time.time()
    for folder, _, names in os.walk("results"):
        for name in names:
            path = os.path.join(folder, name)
            if os.lstat(path).st_mtime > now:
                os.utime(path, (now, now), follow_symlinks=False)
