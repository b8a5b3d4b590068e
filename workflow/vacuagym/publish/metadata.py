"""What is said about a data set that is published: its columns, its files, where its rows come
from. For the texts beside its tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from vacuagym.errors import ConfigError
from vacuagym.tables.arrow_values import plain_type
from vacuagym.tables.feature_schema import short
from vacuagym.tables.label_schema import COLUMNS
from vacuagym.tables.split_schema import COLUMNS as SPLIT_COLUMNS
from vacuagym.tables.split_schema import FOLDS

TRAIN_SHARE = "train_share"


@dataclass(frozen=True)
class PublishedColumn:
    """A column of the published tables. ``datasets`` are those whose tables it was joined from;
    none for the pipeline's own.
    """

    name: str
    type: pa.DataType
    meaning: str
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of one fold of one configuration; ``path`` is relative to the data set,
    ``memory`` its size when it is loaded.
    """

    path: str
    configuration: str
    fold: str
    rows: int
    memory: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """All that the texts are made of.

    ``about`` is the metadata of the label table, ``splits`` that of the split files by name,
    ``validation`` the figures of :func:`vacuagym.stages.validate.validate`, ``settings`` the
    configuration of the run. Nothing of it depends on when it was made.
    """

    columns: tuple[PublishedColumn, ...]
    files: tuple[DataFile, ...]
    about: Mapping[str, Any]
    splits: Mapping[str, Mapping[str, Any]]
    validation: Mapping[str, Any]
    settings: Mapping[str, Any]
    published: str | None = None
    own_columns: Mapping[str, tuple[PublishedColumn, ...]] = field(
        default_factory=dict
    )  # of configurations with other columns

    @property
    def title(self) -> str:
        """The name of the data set."""
        return f"VacuaGym: stability of toy vacua ({', '.join(self.about['datasets'])})"

    @property
    def configurations(self) -> list[str]:
        """The names of the configurations, the default one first; one without a row is none."""
        names = dict.fromkeys(file.configuration for file in self.files)
        return sorted(names, key=lambda name: name != "iid")

    @property
    def divisions(self) -> list[str]:
        """The configurations that divide the rows in a way of their own: those of a split."""
        return [name for name in self.configurations if name in self.splits]

    def columns_of(self, configuration: str) -> tuple[PublishedColumn, ...]:
        """The columns of a configuration."""
        return self.own_columns.get(configuration, self.columns)

    @property
    def given(self) -> list[str]:
        """The data sets whose tables the pipeline was given; it has computed the others itself."""
        return [
            name
            for name in self.about["datasets"]
            if self.settings["datasets"].get(name, {}).get("source") != "toric_bases"
        ]

    def folds(self, configuration: str) -> dict[str, list[DataFile]]:
        """The files of a configuration by fold; empty folds have none and are left out."""
        own = [file for file in self.files if file.configuration == configuration]
        return {
            fold: files for fold in FOLDS if (files := [file for file in own if file.fold == fold])
        }


def published_columns(
    features: Mapping[str, Path], schemas: Mapping[str, pa.Schema]
) -> tuple[PublishedColumn, ...]:
    """The label columns, ``train_share``, and all columns of the feature files ``features`` of
    data sets, whose ``schemas`` are given.
    """
    of_split = [column for column in SPLIT_COLUMNS if column.name == TRAIN_SHARE]
    columns = [
        PublishedColumn(column.name, _plain(column.type), column.meaning)
        for column in (*COLUMNS, *of_split)
    ]
    own = {column.name for column in columns}
    joined: dict[str, dict[str, pa.DataType]] = {}
    for dataset, schema in schemas.items():
        for name in feature_names(schema):
            if name in own:
                raise ConfigError(
                    f"{features[dataset]}: column {name!r} is a column of the labels too; leave "
                    "it out of columns"
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
                "published, only numbers, texts, "
                "booleans and lists of them; leave it out of columns"
            )
        columns.append(
            PublishedColumn(name, kind, f"column of the table of {', '.join(types)}", tuple(types))
        )
    return tuple(columns)


def feature_names(schema: pa.Schema) -> list[str]:
    """The columns of a feature file that are published: not the key, and none of the internal
    ones.
    """
    return [name for name in schema.names if name != "key" and not name.startswith("_")]


def _united(name: str, types: Mapping[str, pa.DataType]) -> pa.DataType:
    """The type that holds the values of a column of several data sets; a column of nulls is one of
    texts.
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
                f"type {short(kind)} in data set {dataset}; "
                "give it another name in one of the tables, or leave it out of columns"
            ) from error
        if wider != united:
            united, holder = wider, dataset
    return pa.string() if pa.types.is_null(united) else united


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that every library reads as the same thing: no dictionaries, no large, fixed-size
    or half-sized variants.
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
