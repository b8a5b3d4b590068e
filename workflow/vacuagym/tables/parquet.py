"""Parquet files: opened with clear errors, read in bounded pieces, and never visible at their
final name unless they are whole.

Nothing here knows what the columns mean.
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

pa.set_cpu_count(1)
pa.set_io_thread_count(1)

METADATA_KEY = b"vacuagym"
DIGESTS_KEY = b"vacuagym.digests"
_OF_THE_PATH = (
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
)  # not of the machine
BATCH_ROWS = 65536
_READ_BUFFER = (
    2**20
)  # pages are streamed through a buffer of this size, whatever the size of a row group


def open_parquet(path: str | Path) -> pq.ParquetFile:
    """Open a Parquet file for streaming; :class:`InputError` says what is wrong with a file that
    is none.
    """
    path = Path(path)
    try:
        require_regular(path)
        return pq.ParquetFile(
            path, buffer_size=_READ_BUFFER, pre_buffer=False, page_checksum_verification=True
        )
    except FileNotFoundError as error:
        literal = (
            "; variables and ~ are not expanded: write the path out"
            if "$" in str(path) or str(path).startswith("~")
            else ""
        )
        raise InputError(
            f"{path}: no such file (seen from {Path.cwd()}); paths in the configuration are "
            f"relative to that folder{literal}"
        ) from error
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, "the file", "not a whole Parquet file", error) from error


def read_batches(
    file: pq.ParquetFile,
    path: str | Path,
    columns: Sequence[str],
    row_groups: Sequence[int] | None = None,
    batch_rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the named columns of a file in batches of at most ``batch_rows`` rows
    (:data:`BATCH_ROWS`); no other column is read.

    A file of ours whose rows are all read is compared with the digests in its footer:
    :class:`DamagedFileError` after the last batch.
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
    except MemoryError:  # Arrow's is an ArrowException too, and says nothing about the file
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
    """Return the first column that cannot be read alone, all of them where the system has failed
    or each can be read.
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
    """Compares the values that are read from a file of ours with the digests in its footer; of
    other files it knows none.
    """

    def __init__(self, file: pq.ParquetFile, path: str | Path, columns: Sequence[str]):
        self._path = path
        self._expected = column_digests(file)
        self._found = ColumnDigests(name for name in columns if name in self._expected)

    def update(self, rows: pa.RecordBatch) -> None:
        """Add the next rows of the file."""
        self._found.update(rows)

    def finish(self) -> None:
        """Raise :class:`DamagedFileError` if any value differs from what was written."""
        if differing := self._found.differing(self._expected):
            raise DamagedFileError(
                f"{self._path}: column {', '.join(differing)}: altered since it was written; "
                "remove it",
                self._path,
            )


def row_bytes(file: pq.ParquetFile, path: str | Path, names: Sequence[str]) -> int:
    """Bytes of the named columns of a row, on average over the file or over its first rows,
    whichever is more; at least 1.
    """
    # To read an encrypted column is an error like any other; to ask for its size would end the
    # process.
    first = next(read_batches(file, path, names, range(file.num_row_groups)[:1], 64), None)
    size = sum(group_bytes(file, names))
    return max(
        1,
        size // max(1, file.metadata.num_rows),
        0 if first is None else first.nbytes // len(first),
    )


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
    """Return what the pipeline wrote about its own file; empty for a file from elsewhere."""
    return _footer_json(file, METADATA_KEY)


def column_digests(file: pq.ParquetFile) -> dict[str, str]:
    """Return the digests of a file's columns as they were when the pipeline wrote it; empty for a
    file from elsewhere.
    """
    return _footer_json(file, DIGESTS_KEY)


def _footer_json(file: pq.ParquetFile, key: bytes) -> dict[str, Any]:
    raw = (file.metadata.metadata or {}).get(key)
    return json.loads(raw) if raw else {}


class TableWriter:
    """Writes the row groups and the footer of a Parquet file; where it lies and when it is whole
    is :func:`write_table`'s business.
    """

    def __init__(self, path: Path, schema: pa.Schema, temporary: BinaryIO):
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
        """End without a word: the file is going to be removed."""
        with suppress(Exception):
            self._writer.close()
        self._writer.is_open = False

    def close(self, metadata: Mapping[str, Any]) -> None:
        """End the file with the pipeline's metadata, and the digests of its columns, in its
        footer.
        """
        about = {METADATA_KEY: metadata, DIGESTS_KEY: self._digests.hexdigests()}
        self._writer.add_key_value_metadata(
            {key: json.dumps(value, sort_keys=True).encode() for key, value in about.items()}
        )
        self._writer.close()


@contextmanager
def write_table(
    path: str | Path, schema: pa.Schema, metadata: dict[str, Any]
) -> Iterator[TableWriter]:
    """Write a file as a whole or not at all; ``metadata`` may be completed until the block ends.

    Temporary file in the same folder, footer read again and rows counted, fsync, rename, fsync of
    the folder.
    """
    path = Path(path)
    with whole_file(path) as temporary:
        writer = TableWriter(path, schema, temporary)
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
    return [
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    ]


def _unreadable(path: str | Path, part: str, damage: str, error: Exception) -> VacuagymError:
    """Return the error for ``part`` of a file: encrypted, where Arrow says that it asked for a
    key, or else ``damage``.

    Where the system failed, nothing is known about the file: that is no :class:`DamagedFileError`.
    """
    reason = _first_line(error)
    if isinstance(error, OSError) and error.errno:
        kind = InputError if error.errno in _OF_THE_PATH else VacuagymError
        return kind(
            f"{path}: cannot be read: {os.strerror(error.errno)}; mend that, and type the same "
            "command again"
        )
    if "decrypt" in reason:
        return DamagedFileError(
            f"{path}: {part} is encrypted and no key can be given ({reason}); write it without "
            "encryption",
            path,
        )
    return DamagedFileError(f"{path}: {damage} ({reason}); write it again", path)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
