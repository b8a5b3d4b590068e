"""Write the data files of a published data set.

The rows pass through a spill file, ordered by their folds. Memory holds a row group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.publish.layout import LEFT_OUT, Folder
from vacuagym.publish.metadata import DataFile, fold_column
from vacuagym.runtime.atomic_files import remove_abandoned
from vacuagym.runtime.memory import CHUNK_BYTES
from vacuagym.tables.aligned import Feed
from vacuagym.tables.parquet import write_table
from vacuagym.tables.row_groups import ROW_GROUP
from vacuagym.tables.spill import regrouped
from vacuagym.tables.split_schema import FOLDS

FILE_ROWS = 24 * ROW_GROUP
_CODES = LEFT_OUT + 1  # codes of a fold
FoldCodes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """Where rows are written, and as what.

    Attributes
    ----------
    output : Path
        Folder of the data set.
    schema : pa.Schema
        Columns of the files. Those of :func:`~vacuagym.publish.metadata.fold_column` are added to
        the rows.
    metadata : mapping
        Metadata of each file.
    part : str
        Part of a large data set that the rows are. Names of its files begin with it, after the
        folds.
    """

    output: Path
    folder: Folder
    schema: pa.Schema
    metadata: Mapping[str, Any]
    part: str = ""

    @property
    def joined(self) -> pa.Schema:
        """Return the columns of the rows before those of the folds are added."""
        added = {fold_column(split) for split in self.folder.splits}
        return pa.schema([column for column in self.schema if column.name not in added])


def write_rows(
    joined: Iterable[tuple[pa.Table, FoldCodes]], target: Target
) -> tuple[list[DataFile], FoldCodes]:
    """Write the files of a folder, or of a part of it. Its other data files are removed before.

    Parameters
    ----------
    joined : iterable of (pa.Table, array)
        Rows with the columns ``target.joined``, and the codes of their folds, shape
        (rows, splits). A code is a position in :data:`FOLDS`, or :data:`LEFT_OUT`.

    Returns
    -------
    files : list of DataFile
        The files in the order of the folds.
    counts : array of int
        Rows of each fold of each split, shape (splits, folds and left out).
    """
    splits = target.folder.splits
    counts = np.zeros(_CODES ** len(splits), np.int64)
    spilled = target.joined
    target.output.mkdir(parents=True, exist_ok=True)
    placed = _placed(joined, counts, len(splits))
    buckets = regrouped(placed, len(counts), spilled, target.output, compressed=False)
    files: list[DataFile] = []
    for number, pieces in enumerate(buckets):
        if not number:  # The first bucket comes when all rows have been seen.
            _remove_others(target, counts)
        if counts[number]:
            files += _write_bucket(Feed(spilled, pieces), int(counts[number]), number, target)
    codes = _codes(np.arange(len(counts)), len(splits))
    sizes = [np.bincount(own, weights=counts, minlength=_CODES) for own in codes.T]
    return files, np.array(sizes).astype(np.int64)


def _placed(
    joined: Iterable[tuple[pa.Table, FoldCodes]], counts: FoldCodes, splits: int
) -> Iterator[tuple[pa.RecordBatch, FoldCodes]]:
    """Yield the rows that are in a fold with their buckets, and count them."""
    powers = _CODES ** np.arange(splits)[::-1]
    for rows, codes in joined:
        used = (codes != LEFT_OUT).any(axis=1)
        if not used.all():
            rows, codes = rows.filter(pa.array(used)), codes[used]
        places = codes @ powers
        counts += np.bincount(places, minlength=len(counts))
        for batch in rows.combine_chunks().to_batches():
            yield batch, places


def _codes(numbers: FoldCodes, splits: int) -> FoldCodes:
    """Return the codes of the folds of buckets, shape (buckets, splits)."""
    codes: FoldCodes = numbers[:, None] // _CODES ** np.arange(splits)[::-1] % _CODES
    return codes


def _names(number: int, rows: int, target: Target) -> list[str]:
    codes = _codes(np.array([number]), len(target.folder.splits))[0]
    return target.folder.file_names(codes.tolist(), -(-rows // FILE_ROWS), target.part)


def _remove_others(target: Target, counts: FoldCodes) -> None:
    """Remove data files that will not be written, and temporary files of killed writers."""
    names = {
        name
        for number in np.flatnonzero(counts).tolist()
        for name in _names(number, int(counts[number]), target)
    }
    folder = target.output / target.folder.path
    pattern = target.folder.files_of(target.part)
    remove_abandoned(folder.glob(f".{pattern}.*.tmp"))
    for path in folder.glob(pattern):
        if path.relative_to(target.output).as_posix() not in names:
            path.unlink()


def _write_bucket(rows: Feed, count: int, number: int, target: Target) -> Iterator[DataFile]:
    """Write the rows of one bucket, and yield their files."""
    splits = target.folder.splits
    codes = _codes(np.array([number]), len(splits))[0].tolist()
    folds = {
        split: None if code == LEFT_OUT else FOLDS[code]
        for split, code in zip(splits, codes, strict=True)
    }
    about = {**target.metadata, "splits": list(splits), "folds": list(folds.values())}
    for name in _names(number, count, target):
        memory = 0
        path = target.output / name
        with write_table(path, target.schema, about) as writer:
            while writer.rows < min(count, FILE_ROWS):
                most = min(ROW_GROUP, min(count, FILE_ROWS) - writer.rows)
                group = rows.take_group(most, CHUNK_BYTES).combine_chunks()
                table = _with_folds(group, folds, target.schema)
                writer.write(table)
                memory += table.nbytes
        count -= writer.rows
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield DataFile(
            path=name,
            folds={split: fold for split, fold in folds.items() if fold is not None},
            rows=writer.rows,
            memory=memory,
            size=path.stat().st_size,
            sha256=digest,
        )


def _with_folds(rows: pa.Table, folds: Mapping[str, str | None], schema: pa.Schema) -> pa.Table:
    """Return the rows with the columns of their folds, in the order of ``schema``."""
    constant = {fold_column(split): fold for split, fold in folds.items()}
    columns = [
        pa.repeat(pa.scalar(constant[field.name], field.type), len(rows))
        if field.name in constant
        else rows[field.name]
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
