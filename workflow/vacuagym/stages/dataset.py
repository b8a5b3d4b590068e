"""Write the published data set: Parquet files that common libraries load in one line.

Each split is a configuration. All of them share one copy of the rows. Labels, features and splits
have the same order and are read side by side. The texts about the files come from
``vacuagym.publish``. SHA256SUMS is written last.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import ConfigError, InputError, VacuagymError
from vacuagym.publish.card import card_text, license_text
from vacuagym.publish.couplings import COLUMNS as COUPLINGS
from vacuagym.publish.couplings import NEEDED, OF_LABELS, POTENTIAL, bytes_of_row, coupling_columns
from vacuagym.publish.croissant import croissant_text
from vacuagym.publish.fold_files import FoldCodes, Target, write_rows
from vacuagym.publish.layout import LEFT_OUT, Folder, label_folders
from vacuagym.publish.metadata import (
    TRAIN_SHARE,
    DataFile,
    Publication,
    PublishedColumn,
    feature_names,
    fold_column,
    published_columns,
    share_column,
)
from vacuagym.runtime.atomic_files import read_json, remove_abandoned, write_text
from vacuagym.runtime.memory import CHUNK_BYTES, peak_memory_mb
from vacuagym.tables.aligned import feed
from vacuagym.tables.label_table import SCHEMA, TOY
from vacuagym.tables.parquet import (
    file_metadata,
    open_parquet,
    read_batches,
    row_bytes,
)
from vacuagym.tables.split_schema import FOLDS

CHECKSUMS = "SHA256SUMS"
_BATCH_ROWS = 16384


def dataset(
    labels: Path,
    splits: Sequence[Path],
    features: Sequence[Path],
    *,
    validation: Path,
    configuration: Path,
    output: Path,
    published: str | None = None,
    potential: bool = False,
) -> None:
    """Write the published data set into the folder ``output``.

    Files of an earlier data set are replaced or removed.

    Parameters
    ----------
    labels : Path
        Label table.
    splits : sequence of Path
        Split files, named by their split.
    features : sequence of Path
        Feature files, named by their data set.
    validation, configuration : Path
        Figures of the validation, and settings of the run.
    published : str, optional
        Date of publication for the Croissant description.
    potential : bool
        Whether to add the configuration ``potential`` with the couplings of every row.

    Raises
    ------
    ConfigError
        A file has a wrong name, or a column cannot be published.
    InputError
        A file does not have the rows of the labels.
    VacuagymError
        Checks failed, or no row is in a fold.
    """
    (output / CHECKSUMS).unlink(missing_ok=True)
    about = file_metadata(open_parquet(labels))
    figures: dict[str, Any] = read_json(validation)
    if not figures["verdict"]["passed"]:
        raise VacuagymError(
            f"{validation}: checks failed ({', '.join(figures['verdict']['failed'])}); such "
            "labels are not published; read the report"
        )
    settings: dict[str, Any] = read_json(configuration)
    named = _by_name(splits, "split", rf"(?!{POTENTIAL}$)[A-Za-z0-9_-]+")
    sizes = {name: file_metadata(open_parquet(path)) for name, path in named.items()}
    tables = _by_name(features, "data set", "|".join(map(re.escape, about["datasets"])))
    schemas = {name: open_parquet(path).schema_arrow for name, path in tables.items()}
    theories = set(about["theories"].values())
    columns = published_columns(tables, schemas, list(named), theories)
    metadata = {
        "seed": settings["seed"],
        "fingerprint": about["fingerprint"],
        "fingerprints": about["fingerprints"],
        "physics": about["physics"],
        "datasets": list(about["datasets"]),
    }
    own_columns: dict[str, tuple[PublishedColumn, ...]] = {}
    folders = {split: folder for folder in label_folders(sizes) for split in folder.splits}
    if potential:
        divided_as = "iid" if "iid" in named else next(iter(named))
        own_columns[POTENTIAL] = (
            *(column for column in columns if column.name in (*OF_LABELS, fold_column(divided_as))),
            *COUPLINGS,
        )
        folders[POTENTIAL] = Folder(f"data/{POTENTIAL}", (divided_as,))
    _remove_others(output, {folder.path for folder in folders.values()})
    files: list[DataFile] = []
    for folder in dict.fromkeys(folders.values()):
        configuration_of_couplings = folder is folders.get(POTENTIAL)
        own = own_columns[POTENTIAL] if configuration_of_couplings else columns
        schema = pa.schema([(column.name, column.type) for column in own])
        paths = {split: named[split] for split in folder.splits}
        joined = (
            _rows_with_potential(labels, paths, schema, about)
            if configuration_of_couplings
            else _joined_rows(labels, paths, tables, schema)
        )
        written, counts = write_rows(joined, Target(output, folder, schema, metadata))
        for split, found in zip(folder.splits, counts.tolist(), strict=True):
            _require_sizes(split, sizes[split], found)
        if configuration_of_couplings:
            written = [replace(f, folds={POTENTIAL: f.folds[divided_as]}) for f in written]
        files += written
        print(
            f"{folder.path}: {sum(file.rows for file in written)} rows, peak "
            f"{peak_memory_mb():.0f} MB",
            flush=True,
        )
    if not files:
        raise VacuagymError(
            f"{labels}: no row is in a fold of {', '.join(named)}; at least one is required; "
            "change the splits"
        )
    publication = Publication(
        columns=columns,
        files=tuple(files),
        about=about,
        splits=sizes,
        validation=figures,
        settings=settings,
        folders=folders,
        published=published,
        own_columns=own_columns,
    )
    texts = {
        "README.md": card_text(publication),
        "LICENSE.md": license_text(publication),
        "croissant.json": croissant_text(publication),
    }
    sums = {file.path: file.sha256 for file in files}
    for name, text in texts.items():
        write_text(output / name, text)
        sums[name] = hashlib.sha256(text.encode()).hexdigest()
    write_text(
        output / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    )


def _by_name(paths: Sequence[Path], what: str, pattern: str) -> dict[str, Path]:
    """Return the files by their names without suffix.

    :class:`ConfigError` reports a name that does not match ``pattern``, and a name that occurs
    twice.
    """
    named: dict[str, Path] = {}
    for path in paths:
        if not re.fullmatch(pattern, path.stem):
            raise ConfigError(
                f"{path}: the labels have no {what} {path.stem!r}; a file is named by its {what}; "
                "rename the file"
            )
        if named.setdefault(path.stem, path) != path:
            raise ConfigError(
                f"{path}: {named[path.stem]} is a file of the {what} {path.stem!r} too; only one "
                "is allowed; name one of them"
            )
    return named


def _remove_others(output: Path, folders: set[str]) -> None:
    """Remove the data files of other folders."""
    for folder in output.glob("data/*"):
        if folder.is_dir() and folder.relative_to(output).as_posix() not in folders:
            remove_abandoned(folder.glob(".*.parquet.*.tmp"))
            for path in folder.glob("*-of-*.parquet"):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def _require_sizes(split: str, about: Mapping[str, Any], found: Sequence[int]) -> None:
    """Raise :class:`InputError` if a split has other sizes than its metadata says."""
    for fold, count in zip(FOLDS, found, strict=False):
        if count != about["folds"][fold]:
            more_or_fewer = "more" if count > about["folds"][fold] else "fewer"
            raise InputError(
                f"the split {split} has {more_or_fewer} rows of the fold {fold} than it says; both "
                "must agree; recompute the split"
            )


def _joined_rows(
    labels: Path, splits: Mapping[str, Path], features: Mapping[str, Path], schema: pa.Schema
) -> Iterator[tuple[pa.Table, FoldCodes]]:
    """Yield the rows of the labels with features and training shares, and the codes of their folds.

    The rows have the columns of ``schema`` without the folds. :class:`InputError` reports files
    with other rows.
    """
    of_splits = {name for split in splits for name in (fold_column(split), share_column(split))}
    joined = pa.schema([field for field in schema if field.name not in {*SCHEMA.names, *of_splits}])
    files = [(open_parquet(path), path) for path in features.values()]
    widest = max(
        [row_bytes(open_parquet(labels), labels, SCHEMA.names)]
        + [row_bytes(file, path, feature_names(file.schema_arrow)) for file, path in files]
    )
    batch_rows = max(1, min(_BATCH_ROWS, CHUNK_BYTES // widest))
    folds = _Folds(splits, labels, batch_rows)
    tables = {name: _Features(path, joined, batch_rows) for name, path in features.items()}
    others = [(table.path, table.feed) for table in tables.values()]
    for batch in read_batches(open_parquet(labels), labels, SCHEMA.names, batch_rows=batch_rows):
        rows = pa.Table.from_batches([batch])
        codes, shares = folds.take(rows["key"])
        columns = {name: rows[name] for name in SCHEMA.names} | shares
        columns |= _features_of(rows, tables, joined) if tables else {}
        kept = pa.schema([field for field in schema if field.name in columns])
        yield pa.table([columns[f.name].cast(f.type) for f in kept], schema=kept), codes
    folds.finish()
    for path, rest in others:
        _require_same_keys(pa.chunked_array([[]], pa.string()), rest.take(1)["key"], labels, path)


def _rows_with_potential(
    labels: Path, splits: Mapping[str, Path], schema: pa.Schema, about: Mapping[str, Any]
) -> Iterator[tuple[pa.Table, FoldCodes]]:
    """Yield the rows of a split with their couplings, and the codes of their folds.

    Rows of other theories have none: theirs are null.
    The potentials of a batch take at most :data:`CHUNK_BYTES`.
    """
    columns = list(dict.fromkeys([*OF_LABELS, *NEEDED, "theory"]))
    batch_rows = max(
        1, min(_BATCH_ROWS, CHUNK_BYTES // bytes_of_row(about["physics"]["moduli"]["max"]))
    )
    folds = _Folds(splits, labels, batch_rows)
    for batch in read_batches(open_parquet(labels), labels, columns, batch_rows=batch_rows):
        rows = pa.Table.from_batches([batch])
        codes, _ = folds.take(rows["key"])
        here = codes[:, 0] != LEFT_OUT
        rows, codes = rows.filter(pa.array(here)), codes[here]
        toy = np.array(rows["theory"].cast(pa.string()).to_pylist()) == TOY
        places = pa.array(np.where(toy, np.cumsum(toy) - 1, 0), pa.int64(), mask=~toy)
        couplings = coupling_columns(about["physics"], rows.filter(pa.array(toy)))
        own = {name: rows[name] for name in OF_LABELS}
        own |= {name: values.take(places) for name, values in couplings.items()}
        kept = pa.schema([field for field in schema if field.name in own])
        yield pa.table(own).select(kept.names).cast(kept), codes
    folds.finish()


class _Folds:
    """The rows of split files, beside those of the label table."""

    def __init__(self, splits: Mapping[str, Path], labels: Path, batch_rows: int) -> None:
        self._labels = labels
        self._splits = {
            split: (path, feed(path, ["key", "fold", TRAIN_SHARE], batch_rows))
            for split, path in splits.items()
        }

    def take(self, keys: pa.ChunkedArray) -> tuple[FoldCodes, dict[str, pa.Array]]:
        """Return the codes of the folds of the next rows, and their training shares by column.

        The codes have the shape (rows, splits).
        """
        codes = np.full((len(keys), len(self._splits)), LEFT_OUT)
        shares = {}
        for place, (split, (path, rest)) in enumerate(self._splits.items()):
            present, beside = rest.take_among(keys)
            here = present.to_numpy(zero_copy_only=False) if len(keys) else np.zeros(0, bool)
            _require_same_keys(keys.filter(present), beside["key"], self._labels, path)
            codes[here, place] = _fold_codes(beside)
            positions = np.cumsum(here) - 1
            shares[share_column(split)] = (
                beside[TRAIN_SHARE].combine_chunks().take(pa.array(positions, mask=~here))
            )
        return codes, shares

    def finish(self) -> None:
        """Raise :class:`InputError` if a split has rows that the labels do not have."""
        nothing = pa.chunked_array([[]], pa.string())
        for path, rest in self._splits.values():
            _require_same_keys(nothing, rest.take(1)["key"], self._labels, path)


def _fold_codes(rows: pa.Table) -> FoldCodes:
    """Return the position in :data:`FOLDS` of the fold of each row, shape (rows,)."""
    codes: FoldCodes = pc.index_in(rows["fold"].cast(pa.string()), pa.array(FOLDS)).to_numpy()
    return codes


class _Features:
    """The feature columns of one data set, in the order of its rows.

    A column of ``schema`` that the file does not have is null.
    """

    def __init__(self, path: Path, schema: pa.Schema, batch_rows: int) -> None:
        self.path = path
        self._schema = schema
        self._names = feature_names(open_parquet(path).schema_arrow)
        self.feed = feed(path, ["key", *self._names], batch_rows)

    def take(self, keys: pa.ChunkedArray) -> pa.Table:
        """Return the next rows, which must have these keys."""
        rows = self.feed.take(len(keys))
        _require_same_keys(keys, rows["key"], "the labels", self.path)
        return pa.table([self._column(rows, field) for field in self._schema], schema=self._schema)

    def _column(self, rows: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
        if field.name not in self._names:
            return pa.nulls(len(rows), field.type)
        try:
            return rows[field.name].cast(field.type)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.path}: column {field.name!r} is published as {field.type}; this type must "
                f"hold all values ({error}); write the tables with one type, or leave the column "
                "out of columns"
            ) from error


def _features_of(
    rows: pa.Table, tables: Mapping[str, _Features], schema: pa.Schema
) -> dict[str, pa.ChunkedArray]:
    """Return the feature columns of label rows, which are ordered by data set."""
    datasets = np.array(rows["dataset"].cast(pa.string()).to_pylist())
    edges = [0, *(np.flatnonzero(datasets[1:] != datasets[:-1]) + 1).tolist(), len(rows)]
    pieces = []
    for start, stop in itertools.pairwise(edges):
        table = tables.get(str(datasets[start]))
        if table is None:
            pieces.append(
                pa.table([pa.nulls(stop - start, field.type) for field in schema], schema=schema)
            )
        else:
            pieces.append(table.take(rows["key"].slice(start, stop - start)))
    joined = pa.concat_tables(pieces)
    return {name: joined[name] for name in schema.names}


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
