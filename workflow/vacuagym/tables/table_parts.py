"""The files of a table as one list of row groups.

One file is open at a time. Each is compared with its state when it was planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import pyarrow as pa
import pyarrow.parquet as pq

from vacuagym.errors import InputError
from vacuagym.tables.parquet import group_bytes, open_parquet, row_bytes
from vacuagym.tables.table_files import TableFile, TablePath, file_state, table_files


@dataclass(frozen=True)
class Group:
    """A row group of a table.

    Attributes
    ----------
    file : int
        Position of its file.
    number : int
        Its number in the file.
    start : int
        Row of the file with its first row.
    rows : int
    """

    file: int
    number: int
    start: int
    rows: int

    @property
    def last(self) -> int:
        """Return the row of the file with its last row."""
        return self.start + self.rows - 1


class TableParts:
    """The files of a table, and their row groups in the order of the files.

    Parameters
    ----------
    path : path or sequence of str
        File, folder, glob or URI, or several of them.
    files : sequence of TableFile
        The files as planning found them. If empty, they are found now.
    """

    def __init__(self, path: TablePath, files: Sequence[TableFile] = ()) -> None:
        self.files = list(files) or table_files(path)
        self._open: tuple[int, pq.ParquetFile] | None = None
        self.schema: pa.Schema = self.file(0).schema_arrow
        for place, file in enumerate(self.files):
            if not file.groups:
                about = self.file(place).metadata
                rows = (about.row_group(group).num_rows for group in range(about.num_row_groups))
                self.files[place] = replace(file, groups=tuple(rows))
        self.groups = [
            Group(place, number, start, end - start)
            for place, file in enumerate(self.files)
            for number, (start, end) in enumerate(pairwise(accumulate(file.groups, initial=0)))
        ]
        self.rows = sum(group.rows for group in self.groups)

    def file(self, place: int) -> pq.ParquetFile:
        """Return the open file at a position.

        Raises
        ------
        InputError
            The file cannot be opened, or has changed.
        """
        if self._open is None or self._open[0] != place:
            self._open = None
            opened = open_parquet(self.files[place].path)
            self.require_unchanged(place)
            self._open = place, opened
        return self._open[1]

    def require_unchanged(self, place: int) -> None:
        """Refuse a file that is not in the state in which it was planned."""
        file = self.files[place]
        if file_state(file.path) != file.state:
            raise changed(file.path)

    def require_same_types(self, names: Sequence[str]) -> None:
        """Refuse a table whose files differ in the names or types of these columns."""
        first = self.files[0].path
        for place, file in enumerate(self.files):
            schema = self.file(place).schema_arrow
            for name in names:
                expected, found = _type(self.schema, name), _type(schema, name)
                if found != expected:
                    raise InputError(
                        f"{file.path}: column {name!r}: {found}; in {first}: {expected}; the "
                        "files of a table need the same columns and types; write them with one "
                        "type, or name fewer files"
                    )

    def sizes(self, names: Sequence[str]) -> list[int]:
        """Return the bytes of the named columns in each row group, before compression."""
        places = range(len(self.files))
        return [size for place in places for size in group_bytes(self.file(place), names)]

    def statistics(self, name: str) -> list[tuple[int, int] | None]:
        """Return the range of a column in each row group, None if the footer does not have it."""
        found: list[tuple[int, int] | None] = []
        for group in self.groups:
            file = self.file(group.file)
            if group.number == 0:
                # Read first: to ask for the statistics of an encrypted column ends the process.
                row_bytes(file, self.files[group.file].path, [name])
            paths = [file.schema.column(place).path for place in range(len(file.schema))]
            about = file.metadata.row_group(group.number).column(paths.index(name)).statistics
            found.append((about.min, about.max) if about and about.has_min_max else None)
        return found

    def row(self, number: int) -> tuple[str, int]:
        """Return the file of a row of the table, and the row in that file."""
        for file in self.files:
            if number < sum(file.groups):
                break
            number -= sum(file.groups)
        return file.path, number


def changed(path: str) -> InputError:
    """Return the error for a file that has changed since it was planned."""
    return InputError(
        f"{path}: the table has changed since it was planned; run the same command again to renew "
        "the plan"
    )


def _type(schema: pa.Schema, name: str) -> str:
    return str(schema.field(name).type) if schema.names.count(name) == 1 else "absent"
