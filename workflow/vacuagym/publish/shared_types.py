"""Find the types with which columns of several data sets are published.

The schemas of the tables suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from vacuagym.errors import ConfigError, InputError
from vacuagym.publish.metadata import published_columns
from vacuagym.tables.feature_schema import ColumnBeside
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.parquet import open_parquet
from vacuagym.tables.table_files import shown, table_files
from vacuagym.tables.toric_schema import SCHEMA


def published_types(
    dataset: str,
    table: FeatureTable,
    columns: Sequence[str],
    beside: Sequence[ColumnBeside],
) -> dict[str, pa.DataType]:
    """Return the types with which columns of a data set are published.

    Parameters
    ----------
    table : FeatureTable
        Table of the data set.
    columns : sequence of str
        Columns to publish.
    beside : sequence of ColumnBeside
        Columns of other data sets that share a name with ``columns``.

    Raises
    ------
    ConfigError
        A column cannot be published.
    """
    if not columns:
        return {}
    if internal := [name for name in columns if name == "key" or name.startswith("_")]:
        raise ConfigError(
            f"{table.path}: column {internal[0]!r}: the name is reserved; key and names that "
            "begin with _ are used by the pipeline; rename the column or leave it out"
        )
    paths, fields = {dataset: Path(table.path)}, {dataset: list(table.fields(columns))}
    schemas = {other: _schema(path) for other, path, _ in beside}
    for other, path, column in beside:
        # The plan of the other table reports a missing or ambiguous column.
        if column in columns and schemas[other].names.count(column) == 1:
            paths[other] = Path(shown(path or ""))
            fields.setdefault(other, []).append(schemas[other].field(column))
    published = published_columns(paths, {name: pa.schema(own) for name, own in fields.items()})
    return {column.name: column.type for column in published if column.name in columns}


def _schema(path: str | list[str] | None) -> pa.Schema:
    """Return the schema of a table, empty if it is unreadable; None is the toric bases."""
    if path is None:
        return SCHEMA
    try:
        return open_parquet(table_files(path)[0].path).schema_arrow
    except InputError:
        return pa.schema([])
