"""Open, read and write Parquet files.

A file is read in bounded pieces and written atomically. Errors name the file and the remedy. This
module does not know what the columns mean.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from vacuagym.errors import DamagedFileError, InputError, VacuagymError
from vacuagym.runtime.atomic_files import require_regular, whole_file
from vacuagym.runtime.stall import beat
from vacuagym.tables.content_digest import ColumnDigests
from vacuagym.tables.remote_files import open_file
from vacuagym.tables.table_files import is_uri

pa.set_cpu_count(1)
pa.set_io_thread_count(1)

METADATA_KEY = b"vacuagym"
DIGESTS_KEY = b"vacuagym.digests"
# errors of a path, not of the machine
_PATH_ERRORS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)
BATCH_ROWS = 65536
_READ_BUFFER = 2**20  # bytes; pages are streamed through it, for row groups of any size


def open_parquet(path: str | Path) -> pq.ParquetFile:
    """Open a Parquet file for streaming. A text may be a URI.

    Raises
    ------
    DamagedFileError
        The file is cut off, encrypted, or no Parquet file.
    InputError
        The path does not exist, cannot be opened, or is no regular file.
    VacuagymError
        The system failed.
    """
    try:
        if isinstance(path, str) and is_uri(path):
            source = open_file(path)
        else:
            source = path = Path(path)
            require_regular(path)
        return pq.ParquetFile(
            source, buffer_size=_READ_BUFFER, pre_buffer=False, page_checksum_verification=True
        )
    except FileNotFoundError as error:
        if isinstance(path, str):
            raise InputError(f"{path}: no such file; correct the URI") from error
        remedy = (
            "variables and ~ are not expanded: write the whole path"
            if "$" in str(path) or str(path).startswith("~")
            else "correct the path"
        )
        raise InputError(
            f"{path}: no such file (seen from {Path.cwd()}); paths in the configuration are "
            f"relative to that folder; {remedy}"
        ) from error
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, "the file", "not a whole Parquet file", error) from error


def read_batches(
    file: pq.ParquetFile,
    path: str | Path,
    columns: Sequence[str],
    *,
    row_groups: Sequence[int] | None = None,
    batch_rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the named columns of a file in batches.

    No other column is read. If all row groups of a file of the pipeline are read, the values are
    compared with the digests in its footer.

    Parameters
    ----------
    path : path
        Path for messages.
    row_groups : sequence of int, optional
        Row groups to read. All if None.
    batch_rows : int, optional
        Largest number of rows in a batch. :data:`BATCH_ROWS` if None.

    Raises
    ------
    DamagedFileError
        A column cannot be read, or, after the last batch, its values were altered.
    VacuagymError
        The system failed.
    """
    groups = range(file.num_row_groups) if row_groups is None else row_groups
    check = ContentCheck(file, path, columns) if row_groups is None else None
    try:
        for group in groups:
            missing = file.metadata.row_group(group).num_rows
            for batch in file.iter_batches(
                batch_rows or BATCH_ROWS,
                row_groups=[group],
                columns=list(columns),
                use_threads=False,
            ):
                missing -= len(batch)
                beat()
                if check:
                    check.update(batch)
                yield batch
            if missing:
                raise OSError(f"row group {group} lacks {missing} rows")
    except MemoryError:  # Arrow's is an ArrowException too, but it is no fault of the file
        raise
    except (pa.ArrowException, OSError) as error:
        named = ", ".join(_failing(file, group, columns, error))
        raise _unreadable(
            path, f"one of the columns {named}", f"damaged while reading {named}", error
        ) from error
    if check:
        check.finish()


def _failing(
    file: pq.ParquetFile, group: int, columns: Sequence[str], error: Exception
) -> Sequence[str]:
    """Return the first column that cannot be read alone.

    Return all columns if the system failed, or if each column can be read.
    """
    for name in columns if len(columns) > 1 and not getattr(error, "errno", None) else []:
        try:
            for _ in file.iter_batches(
                BATCH_ROWS, row_groups=[group], columns=[name], use_threads=False
            ):
                beat()
        except MemoryError:
            raise
        except (pa.ArrowException, OSError):
            return [name]
    return columns


class ContentCheck:
    """Compare values that are read with the digests in the footer of their file.

    A file that the pipeline did not write has no digests, and is not compared.
    """

    def __init__(self, file: pq.ParquetFile, path: str | Path, columns: Sequence[str]) -> None:
        self._path = path
        self._expected = column_digests(file)
        self._found = ColumnDigests(name for name in columns if name in self._expected)

    def update(self, rows: pa.RecordBatch) -> None:
        """Add the next rows of the file."""
        self._found.update(rows)

    def finish(self) -> None:
        """Compare the digests after the last row.

        Raises
        ------
        DamagedFileError
            A value differs from what was written.
        """
        if differing := self._found.differing(self._expected):
            raise DamagedFileError(
                f"{self._path}: column {', '.join(differing)}: altered since it was written",
                self._path,
            )


def row_bytes(file: pq.ParquetFile, path: str | Path, names: Sequence[str]) -> int:
    """Return the bytes of the named columns of a row, at least 1.

    This is the average over the file or over its first rows, the larger of the two.
    """
    # Read first: an encrypted column raises an error here. To ask for its size ends the process.
    groups = range(file.num_row_groups)[:1]
    first = next(read_batches(file, path, names, row_groups=groups, batch_rows=64), None)
    average = sum(group_bytes(file, names)) // max(1, file.metadata.num_rows)
    measured = 0 if first is None else first.nbytes // len(first)
    return max(1, int(average), int(measured))


def group_bytes(file: pq.ParquetFile, names: Sequence[str]) -> list[int]:
    """Return the bytes of the named columns in each row group, before compression."""
    prefixes = tuple(f"{name}." for name in names)
    columns = [
        position
        for position in range(len(file.schema))
        if f"{file.schema.column(position).path}.".startswith(prefixes)
    ]
    groups = map(file.metadata.row_group, range(file.num_row_groups))
    return [
        sum(group.column(position).total_uncompressed_size for position in columns)
        for group in groups
    ]


def file_metadata(file: pq.ParquetFile) -> dict[str, Any]:
    """Return the metadata that the pipeline wrote into its file; empty for other files."""
    return _footer_json(file, METADATA_KEY)


def column_digests(file: pq.ParquetFile) -> dict[str, str]:
    """Return the digests of the columns that the pipeline wrote; empty for other files."""
    return _footer_json(file, DIGESTS_KEY)


def _footer_json(file: pq.ParquetFile, key: bytes) -> dict[str, Any]:
    raw = (file.metadata.metadata or {}).get(key)
    return json.loads(raw) if raw else {}


class TableWriter:
    """Write row groups and footer of a Parquet file into an open temporary file.

    :func:`write_table` moves the file to its path.
    """

    def __init__(self, schema: pa.Schema, temporary: BinaryIO) -> None:
        self.rows = 0
        self._schema = schema
        self._digests = ColumnDigests(schema.names)
        self._writer = pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=_dictionary_columns(schema),
        )

    def write(self, table: pa.Table) -> None:
        """Append the table as one row group."""
        if len(table):
            table = table.cast(self._schema) if table.schema != self._schema else table
            self._digests.update(table)
            self._writer.write_table(table, row_group_size=len(table))
            self.rows += len(table)
        beat()

    def abandon(self) -> None:
        """End without an error, because the file will be removed."""
        with suppress(Exception):
            self._writer.close()
        self._writer.is_open = False

    def close(self, metadata: Mapping[str, Any]) -> None:
        """Write the footer with the pipeline's metadata and the digests of the columns."""
        about = {METADATA_KEY: metadata, DIGESTS_KEY: self._digests.hexdigests()}
        self._writer.add_key_value_metadata(
            {key: json.dumps(value, sort_keys=True).encode() for key, value in about.items()}
        )
        self._writer.close()


@contextmanager
def write_table(
    path: str | Path, schema: pa.Schema, metadata: dict[str, Any]
) -> Iterator[TableWriter]:
    """Write a Parquet file atomically.

    The number of rows in the footer is compared with the rows that were written.

    Parameters
    ----------
    metadata : dict
        Metadata for the footer. It may be changed until the block ends.

    Yields
    ------
    TableWriter
        Writer of the row groups.
    """
    path = Path(path)
    with whole_file(path) as temporary:
        writer = TableWriter(schema, temporary)
        try:
            yield writer
            writer.close(metadata)
        except BaseException:
            writer.abandon()
            raise
        temporary.flush()
        counted = pq.ParquetFile(temporary.name).metadata.num_rows
        if counted != writer.rows:
            raise OSError(f"{path}: wrote {writer.rows} rows and read back {counted}")


def _dictionary_columns(schema: pa.Schema) -> list[str]:
    """Return the columns to encode with a dictionary."""
    return [
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    ]


def _unreadable(path: str | Path, part: str, damage: str, error: Exception) -> VacuagymError:
    """Return the error for a file that cannot be read.

    ``part`` names what is encrypted, if Arrow asks for a key. ``damage`` describes any other
    damage. An error of the system says nothing about the file, so it is no
    :class:`DamagedFileError`.
    """
    reason = _first_line(error)
    if isinstance(error, OSError) and error.errno:
        kind = InputError if error.errno in _PATH_ERRORS else VacuagymError
        return kind(
            f"{path}: cannot be read: {os.strerror(error.errno)}; correct this, and type the same "
            "command again"
        )
    if "decrypt" in reason:  # Arrow tells encryption by the text of its error only
        found = f"{part} is encrypted and no key can be given"
        remedy = "write it without encryption"
    else:
        found, remedy = damage, "write it again"
    return DamagedFileError(f"{path}: {found} ({reason})", path, remedy=remedy)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
