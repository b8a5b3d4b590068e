"""Write the Croissant description (version 1.1) of a published data set.

It lists the files with checksums and the meanings of their columns. The data set has no address of
its own, so the paths of files are relative to the description. Each file is a FileObject. The files
of a configuration are also a FileSet, and its records are read from that. The fold is a column.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pyarrow as pa

import vacuagym
from vacuagym.publish.card import citation, description
from vacuagym.publish.metadata import Publication, PublishedColumn
from vacuagym.publish.roles import meaning

_PARQUET = "application/x-parquet"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {"bool": "sc:Boolean", "string": "sc:Text", "double": "cr:Float64", "float": "cr:Float32"}


def croissant_text(publication: Publication) -> str:
    """Return the description as JSON-LD.

    It has a ``datePublished`` only if the publication has a date.
    """
    build = re.sub("[^0-9A-Za-z]", "-", publication.about["fingerprint"])
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": publication.title,
        "description": description(publication),
        "license": "LICENSE.md" if publication.given else "https://spdx.org/licenses/MIT.html",
        "version": f"{vacuagym.__version__}+{build}",
        "citeAs": citation(publication),
    }
    if publication.published is not None:
        document["datePublished"] = publication.published
    document["distribution"] = [
        *_file_objects(publication),
        *(_file_set(publication, name) for name in publication.configurations),
    ]
    document["recordSet"] = [_record_set(publication, name) for name in publication.configurations]
    lines = json.dumps(document, indent=1, ensure_ascii=False).split("\n")
    return "".join(f"{line if line.isprintable() else _escaped(line)}\n" for line in lines)


def _escaped(line: str) -> str:
    """Return a line of JSON whose unprintable characters are escaped."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _file_objects(publication: Publication) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": _PARQUET,
            "sha256": file.sha256,
        }
        for file in publication.files
    ]


def _file_set(publication: Publication, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _set_id(name),
        "name": _set_id(name),
        "includes": publication.pattern(name),
        "encodingFormat": _PARQUET,
    }


def _set_id(name: str) -> str:
    return f"files-of-{name}"


def _record_set(publication: Publication, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"the configuration {name}: {', '.join(publication.folds(name))}",
        "key": {"@id": f"{name}/key"},
        "field": [
            _field(name, column, meaning(column, publication.settings["datasets"]))
            for column in publication.columns_of(name)
        ],
    }


def _field(name: str, column: PublishedColumn, text: str) -> dict[str, Any]:
    depth, kind = 0, column.type
    while pa.types.is_list(kind):
        depth, kind = depth + 1, kind.value_type
    array = {"isArray": True, "arrayShape": ",".join(["-1"] * depth)} if depth else {}
    return {
        "@type": "cr:Field",
        "@id": f"{name}/{quote(column.name, safe='')}",
        "name": column.name,
        "description": text,
        "dataType": _TYPES.get(str(kind))
        or "cr:" + str(kind).replace("int", "Int").replace("uI", "UI"),
        **array,
        "source": {"fileSet": {"@id": _set_id(name)}, "extract": {"column": column.name}},
    }
