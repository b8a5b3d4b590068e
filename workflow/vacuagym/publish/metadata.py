"""Collect the facts about a published data set: its columns, its files and their sources.

The texts beside the tables are written from them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from vacuagym.errors import ConfigError
from vacuagym.publish.layout import Folder
from vacuagym.tables.arrow_values import plain_type
from vacuagym.tables.feature_schema import short
from vacuagym.tables.label_table import COLUMNS, THEORY_OF
from vacuagym.tables.split_schema import COLUMNS as SPLIT_COLUMNS
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.registry import FAILED, STABILITY, THEORIES
from vacuagym.theories.theory import Theory

TRAIN_SHARE = "train_share"
# names that columns of the splits have, whichever splits a run has
_OF_SPLITS = re.compile(rf"(fold|{TRAIN_SHARE})_(iid|ood_.*)")


def fold_column(split: str) -> str:
    """Return the column that holds the fold of a row in a split."""
    return f"fold_{split}"


def share_column(split: str) -> str:
    """Return the column that holds the ``train_share`` of a row in a split."""
    return f"{TRAIN_SHARE}_{split}"


@dataclass(frozen=True)
class PublishedColumn:
    """A column of the published tables.

    Attributes
    ----------
    datasets : tuple of str
        Data sets whose tables have the column. Empty for a column of the pipeline.
    """

    name: str
    type: pa.DataType
    meaning: str
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of rows that lie in the same folds.

    Attributes
    ----------
    path : str
        Path relative to the folder of the data set.
    folds : mapping
        Fold of the rows in each configuration that has them.
    rows : int
        Number of rows.
    memory : int
        Bytes of the rows in memory.
    size : int
        Bytes of the file.
    sha256 : str
        Checksum of the file.
    """

    path: str
    folds: Mapping[str, str]
    rows: int
    memory: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """All facts that the texts state. None of them depends on the time of writing.

    Attributes
    ----------
    about : mapping
        Metadata of the label table.
    splits : mapping
        Metadata of the split files, by name.
    validation : mapping
        Figures of :func:`vacuagym.stages.validate.validate`.
    settings : mapping
        Settings of the run.
    published : str, optional
        Date of publication.
    folders : mapping
        Folder of the files of each configuration.
    own_columns : mapping
        Columns of the configurations whose columns differ from ``columns``.
    """

    columns: tuple[PublishedColumn, ...]
    files: tuple[DataFile, ...]
    about: Mapping[str, Any]
    splits: Mapping[str, Mapping[str, Any]]
    validation: Mapping[str, Any]
    settings: Mapping[str, Any]
    folders: Mapping[str, Folder]
    published: str | None = None
    own_columns: Mapping[str, tuple[PublishedColumn, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the name of the data set."""
        titles = " and ".join(theory.title for theory in self.theories)
        return f"VacuaGym: {titles} ({', '.join(self.about['datasets'])})"

    @property
    def theories(self) -> list[Theory]:
        """Return the theories of the labels."""
        present = set(self.about["theories"].values())
        return [theory for name, theory in THEORIES.items() if name in present]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the labels that rows of a fold may have, in the order of their codes."""
        own = {label for theory in self.theories for label in theory.classes}
        return tuple(label for label in STABILITY if label in own and label != FAILED)

    @property
    def configurations(self) -> list[str]:
        """Return the names of all non-empty configurations; ``iid``, the default, comes first."""
        found = {name for file in self.files for name in file.folds}
        return sorted(filter(found.__contains__, self.folders), key=lambda name: name != "iid")

    @property
    def divisions(self) -> list[str]:
        """Return the configurations that are splits."""
        return [name for name in self.configurations if name in self.splits]

    @property
    def default(self) -> str:
        """Return the split that is loaded if none is named."""
        return self.divisions[0]

    def pattern(self, configuration: str, fold: str | None = None) -> str:
        """Return the pattern of the files of a configuration, or of one fold of it."""
        folder = self.folders[configuration]
        split = configuration if configuration in folder.splits else folder.splits[0]
        return folder.pattern(split, fold)

    def columns_of(self, configuration: str) -> tuple[PublishedColumn, ...]:
        """Return the columns of a configuration."""
        return self.own_columns.get(configuration, self.columns)

    @property
    def given(self) -> list[str]:
        """Return the data sets whose tables the pipeline was given. It computed the others."""
        entries = self.settings["datasets"]
        return [name for name in self.about["datasets"] if entries.get(name, {}).get("path")]

    def folds(self, configuration: str) -> dict[str, list[DataFile]]:
        """Return the files of a configuration by fold, without empty folds."""
        own = [(file.folds.get(configuration), file) for file in self.files]
        return {
            fold: files for fold in FOLDS if (files := [file for of, file in own if of == fold])
        }


def published_columns(
    features: Mapping[str, Path],
    schemas: Mapping[str, pa.Schema],
    splits: Sequence[str] = (),
    theories: Collection[str] = tuple(THEORIES),
) -> tuple[PublishedColumn, ...]:
    """Return the columns of labels and splits, and all published columns of feature files.

    Parameters
    ----------
    features : mapping of str to Path
        Feature file of each data set, for messages.
    schemas : mapping of str to pa.Schema
        Schema of each of these files.
    splits : sequence of str
        Splits whose folds and training shares are columns.
    theories : collection of str
        Theories whose columns are published.

    Raises
    ------
    ConfigError
        A column cannot be published: its name is taken, or its type does not fit.
    """
    columns = [
        *(
            PublishedColumn(column.name, _plain(column.type), column.meaning)
            for column in COLUMNS
            if THEORY_OF.get(column.name) in (None, *theories)
        ),
        *(column for split in splits for column in split_columns(split)),
    ]
    own = {*(column.name for column in columns), TRAIN_SHARE}
    joined: dict[str, dict[str, pa.DataType]] = {}
    for dataset, schema in schemas.items():
        for name in feature_names(schema):
            if name in own or _OF_SPLITS.fullmatch(name):
                raise ConfigError(
                    f"{features[dataset]}: column {name!r} is a column of the labels too; names "
                    "must be unique; rename it or leave it out of columns"
                )
            joined.setdefault(name, {})[dataset] = _plain(schema.field(name).type)
    for name, types in joined.items():
        kind = _united(name, types)
        if not _is_publishable(kind):
            dataset = next(
                (dataset for dataset, own_kind in types.items() if own_kind == kind),
                ", ".join(types),
            )
            raise ConfigError(
                f"column {name!r} of data set {dataset}: values of type {short(kind)} are not "
                "published; numbers, texts, booleans and lists of them are; leave it out of columns"
            )
        columns.append(
            PublishedColumn(name, kind, f"column of the table of {', '.join(types)}", tuple(types))
        )
    return tuple(columns)


def split_columns(split: str) -> tuple[PublishedColumn, PublishedColumn]:
    """Return the columns of a split: fold and training share."""
    of_split = {column.name: column for column in SPLIT_COLUMNS}
    fold = f"fold of the row in the split {split}, null if it is left out"
    share = f"{of_split[TRAIN_SHARE].meaning}; null if it is not training"
    return (
        PublishedColumn(fold_column(split), pa.string(), fold),
        PublishedColumn(share_column(split), pa.int8(), f"of the split {split}: {share}"),
    )


def feature_names(schema: pa.Schema) -> list[str]:
    """Return the columns of a feature file that are published.

    The key and the internal columns, whose names begin with ``_``, are not.
    """
    return [name for name in schema.names if name != "key" and not name.startswith("_")]


def _united(name: str, types: Mapping[str, pa.DataType]) -> pa.DataType:
    """Return the type that holds the values of a column of several data sets.

    A column of nulls only becomes a column of texts.
    """
    united, holder = pa.null(), ""
    for dataset, kind in types.items():
        try:
            wider = (
                pa.unify_schemas(
                    [pa.schema([(name, united)]), pa.schema([(name, kind)])],
                    promote_options="permissive",
                )
                .field(0)
                .type
            )
        except pa.ArrowTypeError as error:
            raise ConfigError(
                f"column {name!r} has values of type {short(united)} in data set {holder} and of "
                f"type {short(kind)} in data set {dataset}; one type must hold both; rename the "
                "column in one of the tables, or leave it out of columns"
            ) from error
        if wider != united:
            united, holder = wider, dataset
    return pa.string() if pa.types.is_null(united) else united


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that every library reads in the same way.

    It has no dictionaries, and no large, fixed-size or half-precision variants.
    """
    kind = plain_type(kind)
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if any(
        is_list(kind)
        for is_list in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    ):
        return pa.list_(_plain(kind.value_type))
    return kind


def _is_publishable(kind: pa.DataType) -> bool:
    """Return whether values of a type are numbers, texts, booleans or lists of them."""
    while pa.types.is_list(kind):
        kind = kind.value_type
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_boolean,
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_string,
        )
    )
