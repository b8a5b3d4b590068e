"""Assign every usable row to a fold of a split.

Folds come from a keyed hash of the row's key or group. So more rows, other shards or another order
move no row. Each label has equal shares up to the scatter of the hash. In out-of-distribution
splits a property of the row sets the test fold, and the hash divides the rest. Rows labelled failed
are in no fold. The label table is streamed, never held.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import whole_file
from vacuagym.splits.rows import ROW, TRAITS, any_has, usable_rows
from vacuagym.splits.rules import (
    LEFT_OUT,
    TRAIN,
    SplitShares,
    fold_rule,
    rungs,
    split_hashes,
)
from vacuagym.stages.survey import Survey, surveyed
from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.parquet import write_table
from vacuagym.tables.split_schema import FOLDS, SCHEMA

_COLUMNS = ("dataset", "namespace", "geometry_id", "moduli", "stability", *TRAITS.names)
_LISTS = ("train", "val", "test")  # names of the folds in the lists of row numbers
_Integers = npt.NDArray[np.int64]


def split(
    labels: Path,
    name: str,
    *,
    seed: int,
    shares: SplitShares,
    output: Path,
    features: Sequence[Path] = (),
    index: Path | None = None,
    survey: Path | None = None,
) -> None:
    """Write the split ``name`` of the label table, or of a segment of it.

    Parameters
    ----------
    seed : int
        Key of the hash.
    features : sequence of Path
        Feature files of all data sets, or none. Without them no Hodge numbers and no groups are
        known.
    index : Path, optional
        JSON file for the row numbers of the folds.
    survey : Path, optional
        For a segment: output of :func:`vacuagym.stages.survey.survey` over all segments.

    Raises
    ------
    ConfigError
        No split has this name, or a share is out of range.
    InputError
        The feature files do not have the rows of the labels.
    """
    if name in ("ood_hodge", "ood_euler") and not any_has(features, *HODGE) and survey is None:
        raise ConfigError(
            f"split {name!r}: no feature file has Hodge numbers; one data set needs them; name "
            "their columns as `hodge` of the data set"
        )
    rows = partial(usable_rows, labels, features)
    known = (
        Survey.read(survey, name) if survey else surveyed([name], shares, labels, features)[name]
    )
    rule = fold_rule(name, shares, known.counts, known.datasets)
    test_groups = known.groups
    metadata: dict[str, Any] = {"split": name, "seed": seed, "shares": asdict(shares), **rule.about}
    counts = np.zeros(len(FOLDS) + 1, int)
    with ExitStack() as files:
        writer = files.enter_context(write_table(output, SCHEMA, metadata))
        lists = files.enter_context(_row_lists(index)) if index else None
        for batch in rows(_COLUMNS):
            folds = rule.folds(batch, split_hashes(seed, name, batch), test_groups)
            counts += np.bincount(folds % (len(FOLDS) + 1), minlength=len(FOLDS) + 1)
            shares_of_rows = np.zeros(len(batch), np.int64)
            training = folds == TRAIN
            shares_of_rows[training] = rungs(seed, name, batch.filter(pa.array(training)))
            writer.write(_table(batch, folds, shares_of_rows))
            if lists:
                lists.add(batch.column(ROW).to_numpy(), folds)
        metadata["folds"] = dict(zip(FOLDS, counts[:-1].tolist(), strict=True))
        metadata["left_out"] = int(counts[LEFT_OUT])
    print(
        ", ".join(f"{fold} {count}" for fold, count in metadata["folds"].items())
        + f", left out {counts[LEFT_OUT]}"
    )


def _table(batch: pa.RecordBatch, folds: _Integers, shares: _Integers) -> pa.Table:
    """Return the rows in a fold as a table of the split schema."""
    taken = pa.array(folds != LEFT_OUT)
    fold = pa.DictionaryArray.from_arrays(
        pa.array(folds, pa.int8(), mask=folds == LEFT_OUT), pa.array(FOLDS)
    )
    share = pa.array(shares, pa.int8(), mask=folds != TRAIN)
    columns = [
        batch.column("key"),
        batch.column("dataset"),
        batch.column("geometry_id"),
        fold,
        share,
    ]
    rows = pa.Table.from_arrays(columns, schema=SCHEMA)
    return rows if pc.all(taken).as_py() else rows.filter(taken)


@contextmanager
def _row_lists(path: Path) -> Iterator[_RowLists]:
    """Write the row numbers of the label table when the block ends.

    The format is {"train": […], "val": […], "test": […]}.
    """
    with ExitStack() as files:
        lists = _RowLists(
            [files.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in FOLDS]
        )
        yield lists
        with whole_file(path) as output:
            for opening, name, numbers in zip(
                ("{", ",\n", ",\n"), _LISTS, lists.files, strict=True
            ):
                numbers.seek(0)
                output.write(f'{opening}"{name}": ['.encode())
                shutil.copyfileobj(numbers, output)
                output.write(b"]")
            output.write(b"}\n")


class _RowLists:
    """The row numbers of each fold, in scratch files."""

    def __init__(self, files: list[IO[bytes]]) -> None:
        self.files = files

    def add(self, rows: _Integers, folds: _Integers) -> None:
        """Append row numbers to the lists of their folds."""
        for fold, file in enumerate(self.files):
            numbers = rows[folds == fold].tolist()
            if numbers:
                file.write(
                    (", " if file.tell() else "").encode() + ", ".join(map(str, numbers)).encode()
                )
