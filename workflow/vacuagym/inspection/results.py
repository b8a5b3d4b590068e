"""Read results: labels joined with features and folds, of a run or of a published data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import InputError
from vacuagym.publish.metadata import TRAIN_SHARE, feature_names, published_columns
from vacuagym.tables.aligned import Feed, feed
from vacuagym.tables.columns import CATEGORY, DATASET
from vacuagym.tables.label_schema import CATEGORIES, SCHEMA
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.tables.split_schema import FOLDS

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
        self.datasets = list(file_metadata(open_parquet(self._labels))["datasets"])
        self.splits = sorted(path.stem for path in folder.glob(_SPLIT.format("*")))
        paths = {name: folder / _FEATURES.format(name) for name in self.datasets}
        self._features = {name: path for name, path in paths.items() if path.exists()}
        schemas = {name: open_parquet(path).schema_arrow for name, path in self._features.items()}
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
        for batch in read_batches(open_parquet(self._labels), self._labels, own):
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
    """A published data set: the files of its splits."""

    def __init__(self, folder: Path):
        self._files: dict[str, list[tuple[str, Path]]] = {}
        for path in sorted(folder.glob("data/*/*-of-*.parquet")):
            fold = path.name.partition("-")[0]
            self._files.setdefault(path.parent.name, []).append((fold, path))
        first = open_parquet(self._default()[0][1])
        self.splits = [name for name in self._files if self._schema(name) == first.schema_arrow]
        self.datasets = self._datasets()
        self.types: dict[str, pa.DataType] = {
            field.name: SCHEMA.field(field.name).type if field.name in CATEGORIES else field.type
            for field in first.schema_arrow
        }
        self.types |= {"dataset": DATASET, "fold": CATEGORY}

    def _default(self) -> list[tuple[str, Path]]:
        if not self._files:
            raise InputError("data: no Parquet files of a split; download the whole data set")
        return self._files.get("iid") or next(iter(self._files.values()))

    def _schema(self, split: str) -> pa.Schema:
        return open_parquet(self._files[split][0][1]).schema_arrow

    def _datasets(self) -> list[str]:
        names: dict[str, Any] = {}
        for _, path in self._default():
            for batch in read_batches(open_parquet(path), path, ["dataset"]):
                names |= dict.fromkeys(pc.unique(batch.column("dataset")).to_pylist())
        return list(names)

    def batches(self, names: Sequence[str], split: str | None) -> Iterator[pa.Table]:
        """Yield all rows of a split, fold by fold, with the named columns and ``dataset``."""
        stored = list(dict.fromkeys(["dataset", *(name for name in names if name != "fold")]))
        files = self._default() if split is None else self._files[split]
        for fold in FOLDS:
            for path in (path for of, path in files if of == fold):
                for batch in read_batches(open_parquet(path), path, stored):
                    rows = pa.Table.from_batches([batch])
                    yield rows.append_column("fold", pa.array([fold] * len(rows)))
