"""What the configuration of a data set of threefolds means for its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vacuagym.tables.threefold_names import CICY_NAMES, POLYTOPE_NAMES

_CONTENT = {"weight_systems": "weights", "polytopes": "vertices", "cicy": "matrix"}
THREEFOLDS = tuple(_CONTENT)


def content_columns(entry: Mapping[str, Any]) -> list[str]:
    """Return the columns from which the geometry of a data set is computed."""
    named = entry[_CONTENT[entry["source"]]]
    return [named] if isinstance(named, str) else list(named)


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
    """
    computed = CICY_NAMES if entry["source"] == "cicy" else POLYTOPE_NAMES
    h11, h21 = entry.get("hodge") or (None, None)
    depth = entry.get("geometry") or {"divisors": None, "full": None}
    return {
        "source": entry["source"],
        "content": content_columns(entry),
        "side": entry.get("side"),
        "divisors": depth["divisors"],
        "full": depth["full"],
        "h11": h11,
        "h21": h21,
        "column": sorted({*columns} - {*computed}),
    }
