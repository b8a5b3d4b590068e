"""Write the data files of the published data set, its folds side by side.

Memory holds a row group of each fold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.publish.metadata import DataFile
from vacuagym.runtime.memory import CHUNK_BYTES
from vacuagym.tables.parquet import TableWriter, write_table
from vacuagym.tables.row_groups import ROW_GROUP
from vacuagym.tables.split_schema import FOLDS

FILE_ROWS = 24 * ROW_GROUP
_MOST_PIECES = 64  # pieces of an unfinished row group
FoldCodes = npt.NDArray[np.int32]


def file_names(name: str, fold: str, rows: int) -> list[str]:
    """Return the paths of the files of a fold.

    An empty fold has no file, because no library expects a file without rows.
    """
    count = -(-rows // FILE_ROWS)
    return [f"data/{name}/{fold}-{number:05}-of-{count:05}.parquet" for number in range(count)]


@dataclass(frozen=True)
class Configuration:
    """Folder, paths of files by fold, schema and metadata of one configuration."""

    output: Path
    names: Mapping[str, Sequence[str]]
    schema: pa.Schema
    metadata: Mapping[str, Any]


def write_configuration(
    joined: Iterable[tuple[pa.Table, FoldCodes]], configuration: Configuration
) -> list[DataFile]:
    """Write the files of one configuration.

    Parameters
    ----------
    joined : iterable of (pa.Table, array)
        Rows with the columns of the configuration, and the position in :data:`FOLDS` of the fold of
        each row, shape (rows,).

    Returns
    -------
    list of DataFile
        The files by fold and number.

    Raises
    ------
    InputError
        The split has more or fewer rows of a fold than its metadata says.
    """
    with ExitStack() as stack:
        folds = [stack.enter_context(_fold_files(configuration, fold)) for fold in FOLDS]
        for rows, codes in joined:
            for code, fold in enumerate(folds):
                fold.add(rows.filter(pa.array(codes == code)))
    return [file for fold in folds for file in fold.done]


class _FoldFiles:
    """Collect rows of a fold and write them as row groups, in files of :data:`FILE_ROWS` rows."""

    def __init__(self, current: ExitStack, configuration: Configuration, fold: str) -> None:
        self.done: list[DataFile] = []
        self._current = current
        self._configuration = configuration
        self._fold = fold
        self._names = list(configuration.names[fold])
        self._writer: TableWriter | None = None
        self._memory = 0
        self._pending = configuration.schema.empty_table()

    def add(self, rows: pa.Table) -> None:
        """Add rows, and write the row groups that are full."""
        self._pending = pa.concat_tables([self._pending, rows])
        if self._pending["key"].num_chunks > _MOST_PIECES:
            self._pending = self._pending.combine_chunks()
        while len(self._pending) >= ROW_GROUP or self._pending.nbytes >= CHUNK_BYTES:
            self._write_group()

    def finish(self) -> None:
        """Write the remaining rows."""
        while len(self._pending):
            self._write_group()
        if self._writer is not None:
            self._end_file(self._writer.rows)
        if len(self.done) < len(self._names):
            raise self._other_size("fewer")

    def _write_group(self) -> None:
        writer = self._writer or self._next_file()
        self._writer = writer
        count = min(ROW_GROUP, FILE_ROWS - writer.rows)
        rows = self._pending.slice(0, count).combine_chunks()
        self._pending = self._pending.slice(len(rows))
        writer.write(rows)
        self._memory += rows.nbytes
        if writer.rows == FILE_ROWS:
            self._end_file(writer.rows)

    def _next_file(self) -> TableWriter:
        if len(self.done) == len(self._names):
            raise self._other_size("more")
        about = self._configuration
        path = about.output / self._names[len(self.done)]
        return self._current.enter_context(
            write_table(path, about.schema, {**about.metadata, "fold": self._fold})
        )

    def _end_file(self, rows: int) -> None:
        self._current.close()
        name = self._names[len(self.done)]
        path = self._configuration.output / name
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.done.append(
            DataFile(
                path=name,
                configuration=self._configuration.metadata["split"],
                fold=self._fold,
                rows=rows,
                memory=self._memory,
                size=path.stat().st_size,
                sha256=digest,
            )
        )
        self._writer, self._memory = None, 0

    def _other_size(self, more_or_fewer: str) -> InputError:
        return InputError(
            f"the split {self._configuration.metadata['split']} has {more_or_fewer} rows of the "
            f"fold {self._fold} than it says; both must agree; recompute the split"
        )


@contextmanager
def _fold_files(configuration: Configuration, fold: str) -> Iterator[_FoldFiles]:
    """Write the files of a fold.

    If the block fails, the unfinished file never appears.
    """
    with ExitStack() as current:
        files = _FoldFiles(current, configuration, fold)
        yield files
        files.finish()
