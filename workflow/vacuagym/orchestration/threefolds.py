"""What the configuration of a data set of threefolds means for its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vacuagym.errors import ConfigError
from vacuagym.geometry.polytopes.weight_counts import count_up_to
from vacuagym.tables.threefold_names import CICY_NAMES, POLYTOPE_NAMES, WEIGHTS

_CONTENT = {"weight_systems": "weights", "polytopes": "vertices", "cicy": "matrix"}
THREEFOLDS = tuple(_CONTENT)


def content_columns(entry: Mapping[str, Any]) -> list[str]:
    """Return the columns from which the geometry of a data set is computed."""
    named = WEIGHTS if is_enumerated(entry) else entry[_CONTENT[entry["source"]]]
    return [named] if isinstance(named, str) else list(named)


def is_enumerated(entry: Mapping[str, Any]) -> bool:
    """Return whether the pipeline enumerates the weight systems of a data set."""
    return entry["source"] == "weight_systems" and entry["path"] is None


def enumerated_rows(entry: Mapping[str, Any]) -> int:
    """Return the number of weight systems that the pipeline enumerates for a data set."""
    return count_up_to(entry["max_degree"])


def no_hodge_numbers(entry: Mapping[str, Any]) -> bool:
    """Return whether a data set has no Hodge numbers: CICYs have those that are given."""
    return entry["source"] == "cicy" and not entry.get("hodge")


def threefold_options(entry: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return the options of ``vacuagym threefolds`` by their names.

    Parameters
    ----------
    entry : mapping
        The configuration of a data set of threefolds.
    columns : sequence of str
        The columns that the results need. Those that are not computed are copied.

    Raises
    ------
    ConfigError
        If enumerated weight systems have no such column.
    """
    computed = CICY_NAMES if entry["source"] == "cicy" else POLYTOPE_NAMES
    h11, h21 = entry.get("hodge") or (None, None)
    if is_enumerated(entry):
        columns = [*columns, WEIGHTS]
        if unknown := sorted({*columns} - {*computed, WEIGHTS}):
            raise ConfigError(
                f"columns, split_groups: enumerated weight systems have no column {unknown[0]!r}; "
                f"they have {', '.join((WEIGHTS, *computed))}; name one of these"
            )
    depth = entry.get("geometry") or {"divisors": None, "full": None}
    return {
        "source": entry["source"],
        "content": content_columns(entry),
        "side": entry.get("side"),
        "divisors": depth["divisors"],
        "full": depth["full"],
        "h11": h11,
        "h21": h21,
        "column": copied_columns(entry, columns),
    }


def copied_columns(entry: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Return those of some columns of a data set of threefolds that are not computed, sorted."""
    return sorted({*columns} - {*(CICY_NAMES if entry["source"] == "cicy" else POLYTOPE_NAMES)})


def given_table(
    datasets: Mapping[str, Mapping[str, Any]], dataset: str, groups: Sequence[str]
) -> dict[str, Any]:
    """Return the table of a data set of threefolds as it is planned: as the user gives it.

    ``groups`` are the columns that identify duplicates.
    """
    entry = datasets[dataset]
    return {
        **{key: entry[key] for key in ("path", "id", "namespace", "source")},
        "content": [*content_columns(entry), *(entry.get("hodge") or [])],
        "columns": copied_columns(entry, entry["columns"]),
        "group": copied_columns(entry, groups),
        "beside": columns_beside(datasets, dataset),
    }


def verification_options(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``vacuagym verify-geometry`` by their names."""
    content = content_columns(entry) if entry["source"] in THREEFOLDS else []
    return {"source": entry["source"], "side": entry.get("side"), "content": content}


def columns_beside(
    datasets: Mapping[str, Mapping[str, Any]], dataset: str
) -> list[tuple[str, str | list[str] | None, str]]:
    """Return the columns of other data sets with the same name as a column of one.

    Each is (data set, table, name). The table is None if the pipeline computes it. Columns that
    are computed for threefolds are left out.
    """
    own = _columns_of_table(datasets[dataset])
    return [
        (name, entry.get("path"), column)
        for name, entry in datasets.items()
        for column in _columns_of_table(entry)
        if name != dataset and column in own
    ]


def _columns_of_table(entry: Mapping[str, Any]) -> list[str]:
    """Return the columns to publish that stand in the table of the user, or of toric bases."""
    columns: list[str] = entry.get("columns", [])
    if entry["source"] not in THREEFOLDS:
        return columns
    return [] if is_enumerated(entry) else copied_columns(entry, columns)
