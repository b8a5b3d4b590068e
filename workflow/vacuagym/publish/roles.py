"""What a column of a published data set means, and what a model may do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vacuagym.publish.metadata import PublishedColumn
from vacuagym.tables import threefold_schema, toric_schema
from vacuagym.tables.label_table import THEORY_OF

ROLES = {
    "identity": "names the row; to join, no input",
    "input": "a model of the label may read it",
    "target": "the label, and counts of labels",
    "leak": "contains the answer, so no model of the label may read it; it may be another target",
    "coupling": "input of a model of the potential; leak for a model of the geometry",
    "split": "the folds",
}
_OF_LABELS = {
    **dict.fromkeys(("key", "dataset", "namespace", "geometry_id", "theory"), "identity"),
    **dict.fromkeys(("moduli", "n_moduli"), "input"),
    "stability": "target",
    **dict.fromkeys(("regime", "mass_shift", "gamma", "A_np", "a_np", "D_up", "p_up"), "coupling"),
}
_COMPUTED = {
    "toric_bases": toric_schema.COLUMNS,
    "weight_systems": threefold_schema.POLYTOPE_COLUMNS,
    "polytopes": threefold_schema.POLYTOPE_COLUMNS,
    "cicy": threefold_schema.CICY_COLUMNS,
}
# A feature that decides a label by definition.
_LEAKS = ("rigid_span",)


def role(column: PublishedColumn, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the role of a column, one of :data:`ROLES`.

    Parameters
    ----------
    column : PublishedColumn
        A column of labels and features.
    entries : mapping
        The data sets of the configuration.
    """
    if column.datasets:
        return "leak" if column.name in _LEAKS and _computed(column, entries) else "input"
    if column.name.startswith(("fold_", "train_share_")):
        return "split"
    if column.name.startswith(("trials_", "draws_")):
        return "target"
    return _OF_LABELS.get(column.name) or ("leak" if column.name in THEORY_OF else "input")


def meaning(column: PublishedColumn, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a column means; of a table of the user, that it is copied from there."""
    own: dict[str, list[str]] = {}
    for name, text in _computed(column, entries).items():
        own.setdefault(text, []).append(name)
    copied = [name for name in column.datasets if all(name not in names for names in own.values())]
    texts = [f"{text} ({', '.join(names)})" for text, names in own.items()]
    if copied:
        texts.append(f"column of the table of {', '.join(copied)}")
    return "; ".join(texts) or column.meaning


def _computed(column: PublishedColumn, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the meanings of a column in the data sets for which the pipeline computes it."""
    return {
        dataset: known.meaning
        for dataset in column.datasets
        for known in _COMPUTED.get(entries.get(dataset, {}).get("source", ""), ())
        if known.name == column.name
    }
