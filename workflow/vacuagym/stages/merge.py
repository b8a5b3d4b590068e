"""Merge the label files of all shards into one table, which has the columns of every theory.

The table is sorted by data set, namespace and id. A shard is a range of ids over all namespaces, so
the rows of a namespace are scattered over the shards. They pass through a spill file in buckets:
one large namespace, or several small ones. Memory holds one bucket at a time.

A large table is a folder of segments. Each has some shards of one data set, sorted alike.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import DamagedFileError
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.columns import Column, schema_of
from vacuagym.tables.label_table import FILE_COLUMNS, SCHEMA, TOY, widened
from vacuagym.tables.parquet import (
    TableWriter,
    column_digests,
    file_metadata,
    open_parquet,
    read_batches,
    write_table,
)
from vacuagym.tables.plan import Plan, Shard, label_file
from vacuagym.tables.row_groups import ROW_GROUP
from vacuagym.tables.shard_digest import ShardDigest
from vacuagym.tables.spill import LABEL_ORDER, regrouped
from vacuagym.tables.stored import fingerprint_of

BUCKET_ROWS = 4 * 8192  # rows of several small namespaces that are sorted together
_MOST_PIECES = 64  # pieces of an unfinished row group


def merge(
    plans: Sequence[Plan], folder: Path, fingerprints: Mapping[str, str], output: Path
) -> None:
    """Merge the label files of all planned shards.

    Each label file is compared with its plan while it is merged.

    Parameters
    ----------
    folder : Path
        Folder of the label files.
    plans : sequence of Plan
        Plans of all data sets, or of one segment.
    fingerprints : mapping of str to str
        Fingerprint of settings and code that the labels of a data set must have. Data sets that are
        not in it may have any. For a segment, those of all data sets.

    Raises
    ------
    DamagedFileError
        Label files are damaged, altered or stale. All of them are named.
    """
    plans = sorted(plans, key=lambda plan: plan.dataset)
    bad: list[DamagedFileError] = []
    names = pa.array(sorted({*fingerprints, *(plan.dataset for plan in plans)}))
    metadata: dict[str, Any] = {"rows": 0, "datasets": {}, "theories": {}, "fingerprints": {}}
    metadata["physics"] = {}
    with write_table(output, SCHEMA, metadata) as writer:
        rows = _RowGroups(writer, names)
        for plan in plans:
            before = rows.written
            expected = fingerprints.get(plan.dataset)
            batches = _label_batches(plan, folder, expected, metadata, bad)
            if plan.is_scattered and (counts := _namespaces(plan, folder)):
                batches = _by_namespace(counts, batches, output.parent)
            for batch in batches:
                if not bad:  # Otherwise the rest is only checked.
                    rows.add(batch)
            metadata["datasets"][plan.dataset] = rows.written - before
            print(
                f"{plan.dataset}: {rows.written - before} rows, peak {peak_memory_mb():.0f} MB",
                flush=True,
            )
        if bad:
            others = f" and {len(bad) - 1} more label files" if len(bad) > 1 else ""
            raise DamagedFileError(
                f"{bad[0].found}{others}", *(path for error in bad for path in error.paths)
            )
        rows.flush()
        metadata["rows"] = writer.rows
        metadata["fingerprint"] = fingerprint_of(metadata["fingerprints"])


def _namespaces(plan: Plan, folder: Path) -> Counter[str]:
    """Return the rows of each namespace. Damaged files are left out: they are found later."""
    counts: Counter[str] = Counter()
    for shard in plan.shards:
        path = label_file(folder, plan.dataset, shard)
        with suppress(DamagedFileError):
            for batch in read_batches(open_parquet(path), path, ["namespace"]):
                counts.update(batch.column("namespace").to_pylist())
    return counts


def _label_batches(
    plan: Plan,
    folder: Path,
    fingerprint: str | None,
    metadata: dict[str, Any],
    bad: list[DamagedFileError],
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a data set in the order of its shards, with the columns of the table.

    Every value of a label file is compared with the plan. Files that differ are added to ``bad``.
    """
    for shard in plan.shards:
        try:
            yield from _read_through(plan, shard, folder, fingerprint, metadata)
        except DamagedFileError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            bad.append(error)


def _read_through(
    plan: Plan, shard: Shard, folder: Path, fingerprint: str | None, metadata: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a label file, and note its settings in the metadata of the table.

    :class:`DamagedFileError` reports any difference from the plan, at the latest after all rows.
    """
    path = label_file(folder, plan.dataset, shard)
    file = open_parquet(path)
    about = file_metadata(file)
    expected = {
        "dataset": plan.dataset,
        "first": shard.first,
        "last": shard.last,
        "rows": shard.rows,
        "digest": shard.digest,
    }
    if fingerprint is not None:
        expected["fingerprint"] = fingerprint
    wrong = [key for key, value in expected.items() if about.get(key) != value]
    theory = about.get("theory", TOY)
    columns = FILE_COLUMNS.get(theory, ())
    schema = schema_of(columns)
    whole = (
        file.metadata.num_rows == shard.rows
        and file.schema_arrow.equals(schema)
        and column_digests(file).keys() == set(schema.names)
    )
    if wrong or not whole:
        reason = ", ".join(wrong) or "rows or columns"
        raise DamagedFileError(
            f"{path}: not the labels of this shard by these settings ({reason} differ)", path
        )
    metadata["physics"] |= about["physics"]
    metadata["theories"][plan.dataset] = theory
    metadata["fingerprints"][plan.dataset] = about["fingerprint"]
    if "seed" in about:
        metadata["seed"] = about["seed"]
    content = ShardDigest()
    for batch in read_batches(file, path, schema.names):
        content.update(pa.Table.from_batches([batch]))
        if problem := _misnamed(batch, columns, plan.dataset):
            raise DamagedFileError(f"{path}: {problem}", path)
        yield widened(batch, theory)
    if plan.has_row_digests and content.hexdigest() != shard.digest:
        raise DamagedFileError(f"{path}: labels of other rows than those of the shard", path)


def _misnamed(batch: pa.RecordBatch, columns: Sequence[Column], dataset: str) -> str | None:
    """Return what is wrong with the keys and categories of a batch, None if they are right."""
    keys = pc.binary_join_element_wise(
        pa.repeat(dataset, len(batch)),
        batch.column("namespace"),
        batch.column("geometry_id").cast(pa.string()),
        ":",
        null_handling="skip",
    )
    if not keys.equals(batch.column("key")):
        pairs = zip(batch.column("key").to_pylist(), keys.to_pylist(), strict=True)
        found, key = next(pair for pair in pairs if pair[0] != pair[1])
        return f"key {found!r} where {key!r} is due"
    named = {column.name: column.categories for column in columns if column.categories}
    for name, categories in {**named, "dataset": (dataset,)}.items():
        if tuple(batch.column(name).dictionary.to_pylist()) != tuple(categories):
            return f"column {name}: its dictionary is not {', '.join(categories)}"
    return None


def _by_namespace(
    counts: Counter[str], batches: Iterator[pa.RecordBatch], scratch_folder: Path
) -> Iterator[pa.RecordBatch]:
    """Yield the rows by namespace; rows of a namespace keep their order.

    ``counts`` are the rows of each namespace.
    """
    buckets = _buckets(counts)
    names: list[list[str]] = [[] for _ in range(max(buckets.values()) + 1)]
    for name, bucket in buckets.items():
        names[bucket].append(name)
    placed = (
        # A namespace is unknown only if a file is damaged; then nothing is written.
        (batch, np.array([buckets.get(name, 0) for name in batch.column("namespace").to_pylist()]))
        for batch in batches
    )
    for own, pieces in zip(
        names, regrouped(placed, len(names), SCHEMA, scratch_folder), strict=True
    ):
        if len(own) == 1:
            yield from pieces
        else:
            rows = pa.Table.from_batches(pieces)
            yield from rows.sort_by(LABEL_ORDER).combine_chunks().to_batches()


def _buckets(counts: Counter[str]) -> dict[str, int]:
    """Return the bucket of each namespace, in the order of namespaces.

    A large namespace has its own bucket. Small ones share a bucket that fits into memory.
    """
    buckets: dict[str, int] = {}
    bucket, rows = 0, 0
    for name in sorted(counts):
        if rows and rows + counts[name] > BUCKET_ROWS:
            bucket, rows = bucket + 1, 0
        buckets[name], rows = bucket, rows + counts[name]
    return buckets


class _RowGroups:
    """Collect batches of any size and write them as row groups of :data:`ROW_GROUP` rows."""

    def __init__(self, writer: TableWriter, datasets: pa.Array) -> None:
        self._writer = writer
        self._datasets = datasets
        self._pending: list[pa.Table] = []
        self._rows = 0
        self.written = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows. Their ``dataset`` gets the dictionary of all data sets."""
        column = SCHEMA.get_field_index("dataset")
        codes = pc.index_in(batch.column(column).dictionary_decode(), self._datasets).cast(
            pa.int16()
        )
        table = pa.Table.from_batches([batch])
        table = table.set_column(
            column, SCHEMA.field(column), pa.DictionaryArray.from_arrays(codes, self._datasets)
        )
        self._pending.append(table)
        self._rows += len(table)
        self.written += len(table)
        if len(self._pending) > _MOST_PIECES:
            self._pending = [pa.concat_tables(self._pending).combine_chunks()]
        while self._rows >= ROW_GROUP:
            rows = pa.concat_tables(self._pending)
            self._write(rows.slice(0, ROW_GROUP))
            self._pending, self._rows = [rows.slice(ROW_GROUP)], len(rows) - ROW_GROUP

    def flush(self) -> None:
        """Write the remaining rows as the last row group."""
        if self._rows:
            self._write(pa.concat_tables(self._pending))

    def _write(self, rows: pa.Table) -> None:
        self._writer.write(rows.combine_chunks())
