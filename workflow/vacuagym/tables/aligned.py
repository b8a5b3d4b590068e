"""Read files with equal rows in equal order side by side, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.tables.stored import StoredTable


class Feed:
    """Rows of a stream of batches, handed out in any number at a time.

    Parameters
    ----------
    schema : pa.Schema
        Columns of the batches. An empty stream gives tables with this schema.
    batches : iterator of pa.RecordBatch or pa.Table
        Rows in order.
    """

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch | pa.Table]) -> None:
        self.schema = schema
        self._batches = batches
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def peek(self, count: int) -> pa.Table:
        """Return the next ``count`` rows without taking them; fewer at the end."""
        while self._rows < count and self._read():
            pass
        rows = pa.concat_tables(self._waiting) if self._waiting else self.schema.empty_table()
        self._waiting = [rows]
        return rows.slice(0, count)

    def take_group(self, count: int, size: int) -> pa.Table:
        """Return and take the next rows: ``count``, or fewer that have about ``size`` bytes."""
        waiting = sum(table.nbytes for table in self._waiting)
        while self._rows < count and waiting < size and self._read():
            waiting += self._waiting[-1].nbytes
        return self.take(min(count, self._rows))

    def _read(self) -> bool:
        """Read the next batch; return whether there is one."""
        batch = next(self._batches, None)
        if batch is None:
            return False
        self._waiting.append(
            batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        )
        self._rows += len(batch)
        return True

    def take(self, count: int) -> pa.Table:
        """Return and take the next ``count`` rows; fewer at the end."""
        rows = self.peek(count)
        self._waiting = [self._waiting[0].slice(len(rows))]
        self._rows -= len(rows)
        return rows

    def take_among(
        self, keys: pa.Array | pa.ChunkedArray
    ) -> tuple[pa.Array | pa.ChunkedArray, pa.Table]:
        """Take the next rows whose keys are among ``keys``.

        Use it for a file that lacks some rows of the file with these keys.

        Returns
        -------
        present : pa.Array or pa.ChunkedArray of bool
            Whether the stream has each of ``keys``, shape (keys,).
        rows : pa.Table
            The rows that were taken.
        """
        following = self.peek(len(keys))["key"]
        if following.equals(pa.chunked_array(keys) if isinstance(keys, pa.Array) else keys):
            return pa.repeat(True, len(keys)), self.take(len(keys))
        present = pc.is_in(keys, value_set=following.combine_chunks())
        return present, self.take(pc.sum(present).as_py() or 0)


def feed(
    path: Path,
    columns: Sequence[str],
    batch_rows: int | None = None,
    segments: Sequence[str] = (),
) -> Feed:
    """Return the rows of a table with the named columns; ``batch_rows`` are read at once.

    ``segments`` are the segments to read, by default all.
    """
    table = StoredTable(path, segments)
    schema = pa.schema([table.schema.field(name) for name in columns])
    return Feed(schema, table.batches(columns, batch_rows))
