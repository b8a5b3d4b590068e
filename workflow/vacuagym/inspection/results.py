"""Read results: labels joined with features and folds, of a run or of a published data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import InputError
from vacuagym.publish.layout import LABELS, LETTERS
from vacuagym.publish.metadata import (
    TRAIN_SHARE,
    feature_names,
    published_columns,
    share_column,
    split_columns,
)
from vacuagym.tables.aligned import Feed, feed
from vacuagym.tables.columns import CATEGORY, DATASET
from vacuagym.tables.label_table import CATEGORIES, SCHEMA
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.tables.split_schema import FOLDS
from vacuagym.tables.stored import StoredTable

if TYPE_CHECKING:
    import pandas

_OF_SPLIT = ("fold", TRAIN_SHARE)
_LABELS, _FEATURES, _SPLIT = "labels.parquet", "features/{}.parquet", "splits/{}.parquet"


def load(
    results: str | Path = "results",
    dataset: str | None = None,
    split: str | None = None,
    fold: str | None = None,
    columns: Sequence[str] | None = None,
) -> pandas.DataFrame:
    """Return labels joined with features and folds as a data frame.

    Parameters
    ----------
    results : str or Path
        The folder ``results`` of a run, or a data set that the pipeline has published.
    dataset : str, optional
        Only the rows of this data set.
    split : str, optional
        Only the rows of this split. Adds the columns ``fold`` and ``train_share``.
    fold : str, optional
        Only the rows of this fold of the split: "train", "validation" or "test".
    columns : sequence of str, optional
        The columns to return, in this order. By default all.

    Returns
    -------
    pandas.DataFrame
        One row a geometry, in the order of the label table; of a published data set fold by
        fold. ``stability`` and the like are categorical. A feature that a data set does not
        have is missing in its rows.

    Raises
    ------
    InputError
        If the folder holds no results, or not this data set, split, fold or column.

    Examples
    --------
    >>> import vacuagym
    >>> train = vacuagym.load(split="iid", fold="train", columns=["key", "T", "stability"])
    >>> list(train.columns)
    ['key', 'T', 'stability']
    """
    with scan(results, dataset, split, fold, columns) as reader:
        frame: pandas.DataFrame = reader.read_all().unify_dictionaries().to_pandas()
        return frame


def scan(
    results: str | Path = "results",
    dataset: str | None = None,
    split: str | None = None,
    fold: str | None = None,
    columns: Sequence[str] | None = None,
) -> pa.RecordBatchReader:
    """Return what :func:`load` returns as a stream of record batches, for tables beyond memory.

    Parameters and errors are those of :func:`load`. DuckDB and Polars take the stream.

    Returns
    -------
    pyarrow.RecordBatchReader
        Each row once. The stream can be read once.

    Examples
    --------
    >>> import vacuagym
    >>> sum(len(batch) for batch in vacuagym.scan(split="iid", columns=["key"])) > 0
    True
    """
    folder = Path(results)
    if (folder / _LABELS).exists():
        source: _Run | _Published = _Run(folder)
    elif (folder / "data").is_dir():
        source = _Published(folder)
    else:
        raise InputError(
            f"{folder.absolute()}: holds neither {_LABELS} nor a published data set; "
            "name the folder results of a run, or a data set"
        )
    if fold is not None and split is None:
        raise InputError(f"fold {fold!r}: a fold is one of a split; name the split too")
    _require(fold, [None, *FOLDS], "fold", folder)
    _require(split, [None, *source.splits], "split", folder)
    _require(dataset, [None, *source.datasets], "data set", folder)
    known = {name: kind for name, kind in source.types.items() if split or name not in _OF_SPLIT}
    names = list(known) if columns is None else list(columns)
    for name in names:
        _require(name, list(known), "column", folder)
    schema = pa.schema([(name, known[name]) for name in names])
    batches = source.batches(names, split)
    return pa.RecordBatchReader.from_batches(schema, _selected(batches, schema, dataset, fold))


def _require(value: str | None, known: Sequence[str | None], what: str, folder: Path) -> None:
    if value not in known:
        names = ", ".join(name for name in known if name is not None)
        hint = "; name a split for its folds" if value in _OF_SPLIT else ""
        raise InputError(f"{folder}: no {what} {value!r}; there are {names or 'none'}{hint}")


def _selected(
    tables: Iterator[pa.Table], schema: pa.Schema, dataset: str | None, fold: str | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a data set and a fold, with the columns and types of ``schema``."""
    for rows in tables:
        for name, value in (("dataset", dataset), ("fold", fold)):
            if value is not None:
                rows = rows.filter(pc.equal(rows[name].cast(pa.string()), value))
        if len(rows):
            arrays = [_as(rows[field.name].combine_chunks(), field) for field in schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(values: pa.Array, field: pa.Field) -> pa.Array:
    """Return values in the type of a field; categories are those of its column, in their order."""
    categories = FOLDS if field.name == "fold" else CATEGORIES.get(field.name)
    if categories is None:
        return values.cast(field.type)
    codes = pc.index_in(values.cast(pa.string()), value_set=pa.array(categories))
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int8()), pa.array(categories))


class _Run:
    """The results of a run."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._labels = folder / _LABELS
        self._table = StoredTable(self._labels)
        self.datasets = list(self._table.about["datasets"])
        self.splits = sorted(path.stem for path in folder.glob(_SPLIT.format("*")))
        paths = {name: folder / _FEATURES.format(name) for name in self.datasets}
        self._features = {name: path for name, path in paths.items() if path.exists()}
        schemas = {name: StoredTable(path).schema for name, path in self._features.items()}
        self._names = {name: feature_names(schema) for name, schema in schemas.items()}
        columns = published_columns(self._features, schemas)
        self._joined = {column.name: column.type for column in columns if column.datasets}
        self.types: dict[str, pa.DataType] = {field.name: field.type for field in SCHEMA}
        self.types |= self._joined | {"fold": CATEGORY, TRAIN_SHARE: pa.int8()}

    def batches(self, names: Sequence[str], split: str | None) -> Iterator[pa.Table]:
        """Yield all rows, or those of a split, with the named columns, ``dataset`` and ``fold``."""
        own = list(
            dict.fromkeys(["key", "dataset", *(name for name in names if name in SCHEMA.names)])
        )
        wanted = [name for name in names if name in self._joined]
        features = {
            name: feed(path, ["key", *(c for c in wanted if c in self._names[name])])
            for name, path in self._features.items()
            if wanted
        }
        folds = None
        if split is not None:
            folds = feed(self._folder / _SPLIT.format(split), ["key", *_OF_SPLIT])
        for batch in self._table.batches(own):
            rows = pa.Table.from_batches([batch])
            rows = self._with_features(rows, features, wanted)
            if folds is not None:
                here, beside = folds.take_among(rows["key"])
                rows = rows.filter(here)
                for name in _OF_SPLIT:
                    rows = rows.append_column(name, beside[name])
            yield rows

    def _with_features(
        self, rows: pa.Table, features: Mapping[str, Feed], wanted: Sequence[str]
    ) -> pa.Table:
        """Return label rows, which come data set by data set, with their features."""
        if not wanted:
            return rows
        pieces, done = [], 0
        for count in pc.value_counts(rows["dataset"].cast(pa.string())).to_pylist():
            piece = rows.slice(done, count["counts"])
            done += len(piece)
            own = (
                features[count["values"]].take(len(piece)) if count["values"] in features else None
            )
            if own is not None and not own["key"].equals(piece["key"]):
                path = self._features[count["values"]]
                raise InputError(f"{path}: not the rows of {self._labels}; finish the run first")
            for name in wanted:
                kind = self._joined[name]
                values = pa.nulls(len(piece), kind)
                if own is not None and name in own.column_names:
                    values = own[name].cast(kind)
                piece = piece.append_column(pa.field(name, kind), values)
            pieces.append(piece)
        return pa.concat_tables(pieces)


class _Published:
    """A published data set: files of rows that lie in the same folds."""

    def __init__(self, folder: Path):
        self._files: dict[str, list[Path]] = {}
        self._places: dict[str, tuple[str, int]] = {}
        for path in sorted(folder.glob(f"data/{LABELS}*/*-of-*.parquet")):
            self._files.setdefault(path.parent.name, []).append(path)
        if LABELS not in self._files:
            raise InputError("data: no Parquet files of labels; download the whole data set")
        for name, files in self._files.items():
            splits = file_metadata(open_parquet(files[0]))["splits"]
            self._places |= {split: (name, place) for place, split in enumerate(splits)}
        self.splits = list(self._places)
        first = open_parquet(self._files[LABELS][0])
        self.datasets: list[str] = file_metadata(first)["datasets"]
        of_splits = {column.name for split in self.splits for column in split_columns(split)}
        self.types: dict[str, pa.DataType] = {
            field.name: SCHEMA.field(field.name).type if field.name in CATEGORIES else field.type
            for field in first.schema_arrow
            if field.name not in of_splits
        }
        self.types |= {"dataset": DATASET, "fold": CATEGORY, TRAIN_SHARE: pa.int8()}

    def batches(self, names: Sequence[str], split: str | None) -> Iterator[pa.Table]:
        """Yield all rows, or those of a split fold by fold, with the named columns.

        Each table has ``dataset`` and, of a split, ``fold``.
        """
        stored = list(dict.fromkeys(["dataset", *(n for n in names if n not in _OF_SPLIT)]))
        if split is None:
            for path in self._files[LABELS]:
                for batch in read_batches(open_parquet(path), path, stored):
                    yield pa.Table.from_batches([batch])
            return
        folder, place = self._places[split]
        share = share_column(split)
        for fold in FOLDS:
            for path in self._files[folder]:
                if path.name[place] == LETTERS[FOLDS.index(fold)]:
                    for batch in read_batches(open_parquet(path), path, [*stored, share]):
                        rows = pa.Table.from_batches([batch])
                        rows = rows.append_column(TRAIN_SHARE, rows[share])
                        yield rows.append_column("fold", pa.array([fold] * len(rows)))
