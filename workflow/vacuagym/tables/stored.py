"""Read a table of results: one Parquet file, or the folder of its segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches

# What the metadata of segments add up to; else they have the same.
_SUMMED = ("rows", "datasets", "folds", "left_out", "values")


def stored_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a table in the order of its rows.

    Raises
    ------
    InputError
        The folder has no files.
    """
    if not path.is_dir():
        return (path,)
    files = sorted(path.glob("[!.]*.parquet"), key=lambda file: file.stem.rsplit("-", 1))
    if not files:
        raise InputError(f"{path}: the folder has no Parquet files; run the same command again")
    return tuple(files)


class StoredTable:
    """A table of results, in one file or in segments.

    Parameters
    ----------
    segments : sequence of str
        Names of the segments to read. Empty: all.

    Attributes
    ----------
    path : Path
        File, or folder of segments.
    files : tuple of Path
        The files in the order of the rows.
    """

    def __init__(self, path: Path, segments: Sequence[str] = ()) -> None:
        self.path = path
        self.files = tuple(path / f"{name}.parquet" for name in segments) or stored_files(path)
        self.schema: pa.Schema = open_parquet(self.files[0]).schema_arrow.remove_metadata()

    @cached_property
    def rows(self) -> int:
        """Return the number of rows."""
        return sum(open_parquet(file).metadata.num_rows for file in self.files)

    @cached_property
    def about(self) -> dict[str, Any]:
        """Return the metadata; those of segments are added up or united."""
        return reduce(_together, (file_metadata(open_parquet(file)) for file in self.files))

    def batches(
        self, columns: Sequence[str], batch_rows: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the named columns in batches, as :func:`~vacuagym.tables.parquet.read_batches`."""
        for path in self.files:
            yield from read_batches(open_parquet(path), path, columns, batch_rows=batch_rows)


def _together(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of two segments together."""
    both = {**second, **first}
    for key in both:
        if key in _SUMMED:
            both[key] = summed(first.get(key), second.get(key))
        elif isinstance(both[key], dict):
            both[key] = {**second.get(key, {}), **first.get(key, {})}
    if "fingerprints" in both:
        both["fingerprint"] = fingerprint_of(both["fingerprints"])
    return both


def summed(first: Any, second: Any) -> Any:
    """Return the sum of two numbers, or of two dictionaries of numbers; None is nothing."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, dict):
        return {key: summed(first.get(key), second.get(key)) for key in {**first, **second}}
    return first + second


def fingerprint_of(fingerprints: dict[str, str]) -> str:
    """Return the fingerprint of a table of labels, from those of its data sets."""
    return "+".join(dict.fromkeys(fingerprints[name] for name in sorted(fingerprints)))
