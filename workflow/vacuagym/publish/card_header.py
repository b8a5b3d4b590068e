"""Write the front matter of a dataset card.

This YAML tells `datasets` and the Hub which files to load, and the types of their columns. Names of
feature columns come from tables of users. They cannot end the YAML, and are always read as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import yaml

from vacuagym.publish.metadata import Publication, PublishedColumn

_DTYPES = {"double": "float64", "float": "float32"}
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)


def head_text(publication: Publication) -> str:
    """Return the front matter without the lines that delimit it."""
    default = publication.configurations[0]
    rows = sum(file.rows for file in publication.files if default in file.folds)
    other = {
        "license": "other",
        "license_name": "mit-and-those-of-the-tables",
        "license_link": "LICENSE.md",
    }
    head = {
        "pretty_name": publication.title,
        **(other if publication.given else {"license": "mit"}),
        "task_categories": ["tabular-classification"],
        "tags": ["physics", "string-theory", "string-landscape", "moduli-stabilization"],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "100M<n<1B")],
        "configs": [
            _files_head(publication, name, name == default) for name in publication.configurations
        ],
        "dataset_info": _info(publication),
    }
    return yaml.dump(head, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=False)


def _files_head(publication: Publication, name: str, default: bool) -> dict[str, Any]:
    files = [
        {"split": fold, "path": publication.pattern(name, fold)} for fold in publication.folds(name)
    ]
    return {"config_name": name, **({"default": True} if default else {}), "data_files": files}


def _info(publication: Publication) -> list[dict[str, Any]]:
    """Return columns and sizes of each configuration.

    Equal columns are one object. YAML writes it once and refers to it.
    """
    infos: list[dict[str, Any]] = []
    objects: dict[tuple[PublishedColumn, ...], list[dict[str, Any]]] = {}
    for name in publication.configurations:
        folds = publication.folds(name)
        every = [file for files in folds.values() for file in files]
        columns = publication.columns_of(name)
        features = objects.setdefault(
            columns,
            [{"name": c.name, **_feature(c, publication.classes)} for c in columns],
        )
        infos.append(
            {
                "config_name": name,
                "features": features,
                "splits": [
                    {
                        "name": fold,
                        "num_bytes": sum(f.memory for f in files),
                        "num_examples": sum(f.rows for f in files),
                    }
                    for fold, files in folds.items()
                ],
                "download_size": sum(file.size for file in every),
                "dataset_size": sum(file.memory for file in every),
            }
        )
    return infos


def _feature(column: PublishedColumn, classes: Sequence[str]) -> dict[str, Any]:
    if column.name == "stability":
        return {
            "dtype": {
                "class_label": {"names": {str(code): label for code, label in enumerate(classes)}}
            }
        }
    return _nested(column.type)


def _nested(kind: pa.DataType) -> dict[str, Any]:
    if not pa.types.is_list(kind):
        return {"dtype": _DTYPES.get(str(kind), str(kind))}
    inner = _nested(kind.value_type)
    return {"list": inner.get("dtype", inner)}


class _Dumper(yaml.SafeDumper):
    """YAML with double quotes and escapes around each text that is not a plain word."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ ./*-]*", text) and yaml.safe_load(text) == text
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if plain else '"')


_Dumper.add_representer(str, _quoted)
