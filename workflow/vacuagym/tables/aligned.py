"""Files with the same rows in the same order, read side by side in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.tables.parquet import open_parquet, read_batches


class Feed:
    """The rows of batches, as many at a time as are asked for."""

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch | pa.Table]):
        self.schema = schema
        self._batches = batches
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def peek(self, count: int) -> pa.Table:
        """The next ``count`` rows, fewer at the end; they stay."""
        while self._rows < count and (batch := next(self._batches, None)) is not None:
            self._waiting.append(
                batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            )
            self._rows += len(batch)
        rows = pa.concat_tables(self._waiting) if self._waiting else self.schema.empty_table()
        self._waiting = [rows]
        return rows.slice(0, count)

    def take(self, count: int) -> pa.Table:
        """The next ``count`` rows, fewer at the end."""
        rows = self.peek(count)
        self._waiting = [self._waiting[0].slice(len(rows))]
        self._rows -= len(rows)
        return rows

    def take_among(
        self, keys: pa.Array | pa.ChunkedArray
    ) -> tuple[pa.Array | pa.ChunkedArray, pa.Table]:
        """Which of these keys the next rows have, and those rows: for a file that lacks some rows
        of the one whose keys these are.
        """
        here = pc.is_in(keys, value_set=self.peek(len(keys))["key"].combine_chunks())
        return here, self.take(pc.sum(here).as_py() or 0)


def feed(path: Path, columns: Sequence[str], batch_rows: int | None = None) -> Feed:
    """The rows of a file, with the named columns."""
    file = open_parquet(path)
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    return Feed(schema, read_batches(file, path, columns, batch_rows=batch_rows))
