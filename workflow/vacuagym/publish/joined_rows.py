"""Join labels, features and splits row by row, as they are published.

All of them have the same order and are read side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.publish.couplings import NEEDED, OF_LABELS, bytes_of_row, coupling_columns
from vacuagym.publish.fold_files import FoldCodes
from vacuagym.publish.layout import LEFT_OUT
from vacuagym.publish.metadata import TRAIN_SHARE, feature_names, share_column
from vacuagym.runtime.memory import CHUNK_BYTES
from vacuagym.tables.aligned import Feed, feed
from vacuagym.tables.label_table import CATEGORIES, SCHEMA, TOY, category_codes
from vacuagym.tables.parquet import open_parquet, row_bytes
from vacuagym.tables.split_schema import FOLDS
from vacuagym.tables.stored import StoredTable

_BATCH_ROWS = 16384


@dataclass(frozen=True)
class Sources:
    """Tables of a run that have the same rows.

    Attributes
    ----------
    labels : Path
        Label table.
    splits : mapping of str to Path
        Splits by name.
    features : mapping of str to Path
        Features by data set.
    segments : tuple of str
        Names of the segments to read. Empty: all.
    """

    labels: Path
    splits: Mapping[str, Path]
    features: Mapping[str, Path] = field(default_factory=dict)
    segments: tuple[str, ...] = ()


def joined_rows(
    sources: Sources, splits: Sequence[str], schema: pa.Schema
) -> Iterator[tuple[pa.Table, FoldCodes]]:
    """Yield the rows of the labels with features and training shares, and the codes of their folds.

    Parameters
    ----------
    splits : sequence of str
        Splits whose folds are returned, shape (rows, splits).
    schema : pa.Schema
        Columns of the rows, without the folds.

    Raises
    ------
    InputError
        Files have other rows than the labels.
    """
    own = [name for name in schema.names if name in SCHEMA.names]
    shares = {share_column(split) for split in splits}
    joined = pa.schema([column for column in schema if column.name not in {*own, *shares}])
    labels = StoredTable(sources.labels, sources.segments)
    tables = {name: StoredTable(path, sources.segments) for name, path in sources.features.items()}
    names = {name: feature_names(table.schema) for name, table in tables.items()}
    widest = max(
        [_row_bytes(labels, SCHEMA.names)]
        + [_row_bytes(table, names[name]) for name, table in tables.items()]
    )
    batch_rows = max(1, min(_BATCH_ROWS, CHUNK_BYTES // widest))
    folds = _Folds(sources, splits, batch_rows)
    features = {
        name: _Features(table, names[name], joined, batch_rows) for name, table in tables.items()
    }
    for batch in labels.batches(own, batch_rows):
        codes, columns = folds.take(batch.column("key"))
        columns |= {name: batch.column(name) for name in own}
        columns |= _features_of(batch, features, joined)
        arrays = [columns[column.name].cast(column.type) for column in schema]
        yield pa.Table.from_arrays(arrays, schema=schema), codes
    folds.finish()
    for table in features.values():
        table.finish(sources.labels)


def rows_with_potential(
    sources: Sources, split: str, schema: pa.Schema, physics: Mapping[str, Any]
) -> Iterator[tuple[pa.Table, FoldCodes]]:
    """Yield the rows of a split with their couplings, and the codes of their folds.

    Rows of other theories have none: theirs are null.
    The potentials of a batch take at most :data:`CHUNK_BYTES`.
    """
    columns = list(dict.fromkeys([*OF_LABELS, *NEEDED, "theory"]))
    batch_rows = max(1, min(_BATCH_ROWS, CHUNK_BYTES // bytes_of_row(physics["moduli"]["max"])))
    folds = _Folds(sources, [split], batch_rows)
    toy_code = CATEGORIES["theory"].index(TOY)
    for batch in StoredTable(sources.labels, sources.segments).batches(columns, batch_rows):
        codes, _ = folds.take(batch.column("key"))
        here = codes[:, 0] != LEFT_OUT
        rows, codes = pa.Table.from_batches([batch]).filter(pa.array(here)), codes[here]
        toy = category_codes(batch.column("theory"))[here] == toy_code
        places = pa.array(np.where(toy, np.cumsum(toy) - 1, 0), pa.int64(), mask=~toy)
        couplings = coupling_columns(physics, rows.filter(pa.array(toy)))
        own = {name: rows[name] for name in OF_LABELS}
        own |= {name: values.take(places) for name, values in couplings.items()}
        yield pa.table(own).select(schema.names).cast(schema), codes
    folds.finish()


def _row_bytes(table: StoredTable, names: Sequence[str]) -> int:
    """Return the bytes of the named columns of a row in the first file of a table."""
    return row_bytes(open_parquet(table.files[0]), table.files[0], names)


class _Folds:
    """The rows of split files, beside those of the label table."""

    def __init__(self, sources: Sources, splits: Sequence[str], batch_rows: int) -> None:
        self._labels = sources.labels
        self._splits = []
        for split in splits:
            path = sources.splits[split]
            rest = feed(path, ["key", "fold", TRAIN_SHARE], batch_rows, sources.segments)
            self._splits.append((share_column(split), path, rest))

    def take(self, keys: pa.Array) -> tuple[FoldCodes, dict[str, pa.Array | pa.ChunkedArray]]:
        """Return the codes of the folds of the next rows, and their training shares by column.

        The codes have the shape (rows, splits).
        """
        codes = np.full((len(keys), len(self._splits)), LEFT_OUT)
        shares = {}
        for place, (name, path, rest) in enumerate(self._splits):
            present, beside = rest.take_among(keys)
            own = _fold_codes(beside["fold"])
            if len(beside) == len(keys):
                _require_same_keys(pa.chunked_array([keys]), beside["key"], self._labels, path)
                codes[:, place], shares[name] = own, beside[TRAIN_SHARE]
                continue
            _require_same_keys(
                pa.chunked_array([keys.filter(present)]), beside["key"], self._labels, path
            )
            here = present.to_numpy(zero_copy_only=False)
            codes[here, place] = own
            positions = pa.array(np.cumsum(here) - 1, mask=~here)
            shares[name] = beside[TRAIN_SHARE].combine_chunks().take(positions)
        return codes, shares

    def finish(self) -> None:
        """Raise :class:`InputError` if a split has rows that the labels do not have."""
        for _, path, rest in self._splits:
            _require_same_keys(_NOTHING, rest.take(1)["key"], self._labels, path)


def _fold_codes(folds: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the position in :data:`FOLDS` of each fold, shape (rows,)."""
    pieces = [
        np.array([FOLDS.index(name) for name in piece.dictionary.to_pylist()] or [0])[
            piece.indices.to_numpy()
        ]
        for piece in folds.chunks
    ]
    return np.concatenate([np.zeros(0, np.int64), *pieces])


class _Features:
    """The feature columns of one data set, in the order of its rows.

    A column of ``schema`` that the table does not have is null.
    """

    def __init__(
        self, table: StoredTable, names: Sequence[str], schema: pa.Schema, batch_rows: int
    ) -> None:
        self._path = table.path
        self._schema = schema
        self._names = names
        own = pa.schema([table.schema.field(name) for name in ("key", *names)])
        self._rest = Feed(own, table.batches(own.names, batch_rows))

    def take(self, keys: pa.Array) -> pa.Table:
        """Return the next rows, which must have these keys."""
        rows = self._rest.take(len(keys))
        _require_same_keys(pa.chunked_array([keys]), rows["key"], "the labels", self._path)
        columns = [self._column(rows, column) for column in self._schema]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _column(self, rows: pa.Table, column: pa.Field) -> pa.ChunkedArray | pa.Array:
        if column.name not in self._names:
            return pa.nulls(len(rows), column.type)
        try:
            return rows[column.name].cast(column.type)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self._path}: column {column.name!r} is published as {column.type}; this type "
                f"must hold all values ({error}); write the tables with one type, or leave the "
                "column out of columns"
            ) from error

    def finish(self, labels: Path) -> None:
        """Raise :class:`InputError` if the table has rows that the labels do not have."""
        _require_same_keys(_NOTHING, self._rest.take(1)["key"], labels, self._path)


def _features_of(
    batch: pa.RecordBatch, tables: Mapping[str, _Features], schema: pa.Schema
) -> dict[str, pa.ChunkedArray]:
    """Return the feature columns of label rows, which are ordered by data set."""
    names, codes = batch.column("dataset").dictionary, batch.column("dataset").indices.to_numpy()
    edges = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(batch)]
    pieces = []
    for start, stop in itertools.pairwise(edges):
        table = tables.get(names[codes[start]].as_py())
        if table is None:
            nulls = [pa.nulls(stop - start, column.type) for column in schema]
            pieces.append(pa.Table.from_arrays(nulls, schema=schema))
        else:
            pieces.append(table.take(batch.column("key").slice(start, stop - start)))
    joined = pa.concat_tables(pieces)
    return {name: joined[name] for name in schema.names}


_NOTHING = pa.chunked_array([[]], pa.string())


def _require_same_keys(
    keys: pa.ChunkedArray, others: pa.ChunkedArray, labels: Path | str, path: Path
) -> None:
    """Raise :class:`InputError` at the first key that differs."""
    if keys.equals(others):
        return
    for key, other in itertools.zip_longest(keys.to_pylist(), others.to_pylist()):
        if key != other:
            raise InputError(
                f"{path}: not the rows of {labels}: {other or 'no row'} where {key or 'no row'} "
                "is due; the file must come from the same labels; recompute it"
            )
