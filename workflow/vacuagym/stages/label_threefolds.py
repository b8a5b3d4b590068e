"""Label the threefolds of one shard by a theory that reads their computed geometry.

Rows are worked on in windows of bounded size. Equal polytopes are labelled once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.runtime.memory import hold_to_memory, peak_memory_mb, table_memory_mb
from vacuagym.runtime.stall import beat
from vacuagym.tables.columns import Column, schema_of
from vacuagym.tables.label_schema import geometry_keys, single_dataset
from vacuagym.tables.numpy_lists import arrays_of
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches, write_table
from vacuagym.tables.theory_schema import IDENTITY, arrow_column, label_columns

_WINDOW_ROWS = 4096
_PIECE_ROWS = 512  # of distinct polytopes: the watchdog hears of each piece
_WINDOW_BYTES = 4 * 2**20  # of geometry
_KEPT_BYTES = 8 * 2**20  # of answers of distinct polytopes, kept for the rows to come
_LIGHT = ("namespace", "geometry_id", "geometry_hash", "h11", "favourable")


def label_threefolds(
    rows: str,
    geometry: Path,
    sections: Mapping[str, Any],
    *,
    fingerprint: str,
    granted_mb: int | None,
    output: Path,
) -> None:
    """Label every row of a file of geometry and write the label file ``output``.

    Parameters
    ----------
    rows : str
        Module of the theory with ``label_rows``, ``LABELS``, ``COLUMNS`` and ``READS``.
    geometry : Path
        Geometry of the shard (vacuagym threefolds).
    sections : mapping
        Sections of the configuration that belong to the theory.
    fingerprint : str
        Fingerprint of settings and code, for the metadata.
    granted_mb : int, optional
        Memory of the job in MB.

    Raises
    ------
    InputError
        ``geometry`` holds no computed geometry of polytopes.
    MemoryDeclarationError
        The job needs more memory than it was granted.
    """
    started = time.monotonic()
    # The theory is imported by name: its code has a fingerprint of its own.
    theory = import_module(rows)
    hold_to_memory(table_memory_mb(), granted_mb)
    file = open_parquet(geometry)
    about = file_metadata(file)
    names = [*_LIGHT, *theory.READS]
    if not {*names} <= {*file.schema_arrow.names} or "digest" not in about:
        raise InputError(
            f"{geometry}: not computed geometry of polytopes, with the columns {', '.join(names)}; "
            "make it with vacuagym threefolds"
        )
    columns = label_columns(theory.LABELS, theory.COLUMNS)
    own = columns[len(IDENTITY) + 1 :]
    answers = _Answers(theory, sections, own)
    metadata = {
        "theory": rows.split(".")[-2],
        "fingerprint": fingerprint,
        "physics": dict(sections),
        **{key: about[key] for key in ("dataset", "first", "last", "rows", "digest")},
        "numpy": np.__version__,
    }
    with write_table(output, schema_of(columns), metadata) as writer:
        for window in _windows(read_batches(file, geometry, names)):
            writer.write(_table(about["dataset"], window, answers.of(window), columns))
            seconds = time.monotonic() - started
            print(
                f"{writer.rows} of {about['rows']} rows, {writer.rows / seconds:.0f} rows/s, "
                f"peak {peak_memory_mb():.0f} MB",
                flush=True,
            )
        metadata |= {"declared_mb": granted_mb, "finished": round(time.time(), 1)}
        metadata |= {
            "wall_seconds": round(time.monotonic() - started, 3),
            "peak_mb": round(peak_memory_mb(), 1),
        }


def _windows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield rows in pieces of a bounded size."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _WINDOW_ROWS or sum(b.nbytes for b in waiting) > _WINDOW_BYTES:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


class _Answers:
    """Label columns of distinct polytopes."""

    def __init__(self, theory: Any, sections: Mapping[str, Any], columns: Sequence[Column]) -> None:
        self._theory, self._sections, self._columns = theory, sections, columns
        self._rows = schema_of(columns).empty_table()
        self._places: dict[str, int] = {}

    def of(self, window: pa.Table) -> pa.Table:
        """Return the columns of a window; polytopes that were seen before are not labelled."""
        names = window["geometry_hash"].to_pylist()
        if self._rows.nbytes > _KEPT_BYTES:
            self._rows, self._places = self._rows.slice(0, 0), {}
        new = [row for row, name in enumerate(names) if self._note(name)]
        distinct = window.take(pa.array(new, pa.int64()))
        pieces = [
            self._labelled(distinct.slice(start, _PIECE_ROWS))
            for start in range(0, len(distinct), _PIECE_ROWS)
        ]
        self._rows = pa.concat_tables([self._rows, *pieces]).combine_chunks()
        return self._rows.take(pa.array([self._places[name] for name in names], pa.int64()))

    def _note(self, name: str) -> bool:
        """Give a polytope the next place; return whether it is new."""
        count = len(self._places)
        return self._places.setdefault(name, count) == count

    def _labelled(self, rows: pa.Table) -> pa.Table:
        geometry = {
            name: arrays_of(rows[name].combine_chunks())
            for name in ("h11", "favourable", *self._theory.READS)
        }
        beat()
        found = self._theory.label_rows(geometry, self._sections)
        arrays = [arrow_column(column, found[column.name]) for column in self._columns]
        return pa.Table.from_arrays(arrays, schema=self._rows.schema)


def _table(
    dataset: str, window: pa.Table, answers: pa.Table, columns: Sequence[Column]
) -> pa.Table:
    """Return the label rows of a window."""
    namespaces, ids = window["namespace"].to_pylist(), window["geometry_id"]
    identity = {
        "key": pa.array(geometry_keys(dataset, namespaces, ids.to_pylist())),
        "dataset": single_dataset(dataset, len(window)),
        "namespace": window["namespace"],
        "geometry_id": ids,
        "moduli": window["h11"].cast(pa.int64()),
        "n_moduli": window["h11"],
    }
    whole = identity | {name: answers[name] for name in answers.column_names}
    return pa.table([whole[column.name] for column in columns], schema=schema_of(columns))
