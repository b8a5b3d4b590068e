"""Where the geometries of a published data set come from: their licences, and what to cite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vacuagym.publish.metadata import Publication

# What to cite for each source of the configuration.
_CITED = {
    "toric_bases": "D. R. Morrison and W. Taylor, arXiv:1204.0283",
    "weight_systems": "M. Kreuzer and H. Skarke, arXiv:hep-th/0002240",
    "polytopes": "M. Kreuzer and H. Skarke, arXiv:hep-th/0002240",
    "cicy": "P. Candelas et al., Nucl. Phys. B 298, 493 (1988)",
}
_UNKNOWN = "not known here"
_OWN = "MIT, enumerated by the pipeline"


def source_rows(publication: Publication) -> list[list[str]]:
    """Return for each data set: name, source, licence of the geometries, and what to cite."""
    return [
        [name, *_described(publication.settings["datasets"].get(name, {}))]
        for name in publication.about["datasets"]
    ]


def _described(entry: Mapping[str, Any]) -> list[str]:
    kind = entry.get("source", "")
    licence = (_stated(entry, "licence") or _UNKNOWN) if entry.get("path") else _OWN
    cited = [_CITED.get(kind), _stated(entry, "citation")]
    return [
        kind.replace("_", " ") or _UNKNOWN,
        licence,
        "; ".join(text for text in cited if text) or _UNKNOWN,
    ]


def terms(publication: Publication) -> str:
    """Return the terms under which the columns are published."""
    own = (
        "The labels and splits, and the columns that the pipeline computes itself, come under the "
        "MIT licence of the VacuaGym pipeline."
    )
    given = publication.given
    if not given:
        return own
    joined = any(name in given for column in publication.columns for name in column.datasets)
    columns = "ids, counts of moduli and joined columns" if joined else "ids and counts of moduli"
    entries = publication.settings["datasets"]
    licences = {name: _stated(entries.get(name, {}), "licence") for name in given}
    stated = [f"The licence of {name}: {text}." for name, text in licences.items() if text]
    unknown = [name for name, text in licences.items() if not text]
    if unknown:
        stated.append(
            f"The licence of {', '.join(unknown)} is {_UNKNOWN}. State it when you publish this "
            "data set: give the data set the key `licence`."
        )
    return (
        f"{own} The {columns} of {', '.join(given)} are copied from tables that the pipeline was "
        f"given. They keep the licence of these tables. {' '.join(stated)}"
    )


def _stated(entry: Mapping[str, Any], key: str) -> str:
    """Return the user's words in one line of Markdown without markup."""
    words = " ".join(str(entry.get(key) or "").split())
    return words.replace("<", "&lt;").replace("[", "&#91;").removesuffix(".")
