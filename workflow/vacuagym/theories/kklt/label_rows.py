"""The rows of the label table for a batch of geometries: geometry in, columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacuagym.theories.kklt.classes import CLASSES, NON_FAVOURABLE, OUT_OF_RANGE, REASONS
from vacuagym.theories.kklt.columns import COLUMNS, READS
from vacuagym.theories.kklt.labels import KkltLabels, label_batch
from vacuagym.theories.kklt.rows import NAMES, point_columns

LABELS = CLASSES
# The reason of a row without points, by whether it is favourable. None: it is no threefold.
_WITHOUT_POINTS = {True: OUT_OF_RANGE, False: NON_FAVOURABLE, None: len(REASONS)}
_CATEGORIES = {column.name: column.categories for column in COLUMNS}
__all__ = ["COLUMNS", "LABELS", "READS", "label_rows"]


def label_rows(
    geometry: Mapping[str, Sequence[Any]], sections: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Label geometries, and return the columns of the theory.

    Parameters
    ----------
    geometry : mapping
        By name the columns :data:`READS`, each B values or None: points (p, 4), divisor_h1 and
        divisor_h2 (p,), basis (n,), charges (n, p), kaehler_point (n,) and euler; and
        ``favourable``, B of bool, None for rows that are no threefolds. Arrays are None beyond the
        range of h11 as well. Without a kaehler_point there is only the label.
    sections : mapping
        The section ``kklt`` of the configuration.

    Returns
    -------
    dict of str to list
        ``stability``, the code in :data:`LABELS`, and :data:`COLUMNS`, B values each; None where
        a column is null. Categories are codes.
    """
    favourable, points = geometry["favourable"], geometry["points"]
    inside = [row for row, own in enumerate(points) if own is not None]
    found = label_batch(
        [points[row] for row in inside],
        [_rigid(geometry["divisor_h1"][row], geometry["divisor_h2"][row]) for row in inside],
        favourable=np.array([favourable[row] for row in inside], dtype=bool),
        max_bases=sections["kklt"]["max_bases"],
    )
    columns: dict[str, list[Any]] = {
        name: [None] * len(points) for name in ("stability", *(column.name for column in COLUMNS))
    }
    for row, known in enumerate(favourable):
        columns["kklt_reason"][row] = _WITHOUT_POINTS[known]
    for name, values in _found(found).items():
        for row, value in zip(inside, values, strict=True):
            columns[name][row] = value
    settings = sections["kklt"]
    for row in inside:
        if columns["stability"][row] is not None and geometry["kaehler_point"][row] is not None:
            own = {name: geometry[name][row] for name in ("favourable", *READS)}
            found_points = point_columns(own, settings["w0"], settings["panel"])
            for name in NAMES:
                columns[f"kklt_{name}"][row] = _coded(f"kklt_{name}", found_points[name])
    return columns


def _coded(name: str, value: Any) -> Any:
    """Return the code of a category, and any other value as it is."""
    categories = _CATEGORIES[name]
    return categories.index(value) if categories and value is not None else value


def _rigid(h1: NDArray[np.int_], h2: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Return which divisors are rigid, (p,)."""
    rigid: NDArray[np.bool_] = (h1 == 0) & (h2 == 0)
    return rigid


def _found(labels: KkltLabels) -> dict[str, list[Any]]:
    """Return the columns of labelled geometries, with None for null."""
    counted: dict[str, NDArray[Any]] = {
        "stability": labels.stability,
        "kklt_reason": labels.reason,
        "kklt_num_rigid": labels.num_rigid,
        "kklt_num_candidates": labels.num_candidates,
        "kklt_num_positive": labels.num_positive,
        "kklt_tight": labels.tight,
    }
    columns: dict[str, list[Any]] = {
        name: [None if value < 0 else value for value in values.tolist()]
        for name, values in counted.items()
    }
    scales = labels.v_scale.tolist()
    columns["kklt_v_scale"] = [scale or None for scale in scales]
    columns["kklt_v"] = [labels.v(row) if scale else None for row, scale in enumerate(scales)]
    return columns
