"""What is written from the model of the configuration, so that it is stated once.

The commented config.yaml, the keys of the reference, and the defaults that the command line reads.
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from vacuagym.config.datasets import Table
from vacuagym.config.model import Configuration
from vacuagym.config.types import Section

_WIDTH = 100  # columns of config.yaml
_LONGEST = 40  # columns of a line that has its comment beside it
_HEAD = (
    "Every setting of the pipeline at its default, written by `make docs`. To change some, "
    "write them into a file of your own and add it:",
    "  snakemake --cores 2 --resources mem_mb=12000 --configfile mine.yaml",
    "Unknown keys and impossible values are refused before any work starts.",
)
_Line = tuple[str, str]  # a key with its value, and the comment
_KINDS = {"string": "text", "integer": "whole number"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Key:
    """A key of the configuration, in words.

    Attributes
    ----------
    path : str
        The key with the sections that it is in, such as search.method.
    values : str
        The values that it takes; "section" for a section.
    default : str
        Its default as YAML, "required", or nothing for a section.
    meaning : str
        Its description.
    """

    path: str
    values: str
    default: str
    meaning: str


def keys(section: type[Section], path: str = "") -> Iterator[Key]:
    """Yield the keys of a section and those of the sections in it, but no names of data sets.

    Parameters
    ----------
    section : type of Section
        The section.
    path : str
        What the path of each key begins with, such as "search.".

    Yields
    ------
    Key
        In the order of the model.
    """
    schemas = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if (inner := section_of(field)) is not None:
            yield Key(f"{path}{name}", "section", "", _fragment(inner))
            yield from keys(inner, f"{path}{name}.")
        elif "const" in schemas[name]:
            yield Key(f"{path}{name}", schemas[name]["const"], "", str(field.description))
        elif not isinstance(field.default, dict):
            default = "required" if field.is_required() else _yaml(field.default)
            yield Key(f"{path}{name}", _values(schemas[name]), default, str(field.description))


def section_of(field: FieldInfo) -> type[Section] | None:
    """Return the section that a key holds, None for a key with a value.

    Parameters
    ----------
    field : FieldInfo
        A field of the model.

    Returns
    -------
    type of Section or None
        The section.
    """
    found = field.annotation
    return found if inspect.isclass(found) and issubclass(found, Section) else None


def paragraphs(section: type[Section]) -> list[str]:
    """Return the description of a section: its docstring.

    Parameters
    ----------
    section : type of Section
        The section.

    Returns
    -------
    list of str
        Its paragraphs, each in one line.
    """
    return [
        " ".join(part.split()) for part in inspect.cleandoc(section.__doc__ or "").split("\n\n")
    ]


def _fragment(section: type[Section]) -> str:
    """Return the description of a section as the meaning of a key."""
    text = " ".join(paragraphs(section))
    return f"{text[0].lower()}{text[1:].rstrip('.')}"


def _values(schema: dict[str, Any]) -> str:
    """Return the values of a key in words, from its JSON schema."""
    if parts := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(_values(part) for part in parts)
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join("null" if value is None else str(value) for value in schema["enum"])
    if schema["type"] == "array":
        of = _values(schema["items"])
        pair = "[h11, h21]" if of == "text" else "[low, high]"
        return f"{pair}, each a {of}" if schema.get("maxItems") == 2 else f"list of {of}"
    limits = (f", {sign} {schema[bound]}" for bound, sign in _BOUNDS.items() if bound in schema)
    kind = str(schema["type"])
    return _KINDS.get(kind, kind) + "".join(limits)


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).splitlines()[0]


def defaults() -> str:
    """Return the default and the meaning of every setting, for the command line.

    Returns
    -------
    str
        JSON, by the path of the key.
    """
    listed = {}
    for key in keys(Configuration):
        if key.values != "section":
            listed[key.path] = {"default": yaml.safe_load(key.default), "meaning": key.meaning}
    return json.dumps(listed, indent=1, ensure_ascii=False) + "\n"


def config_file() -> str:
    """Return config.yaml: every setting at its default, with its meaning.

    Returns
    -------
    str
        YAML. A table of the user is shown in comments.
    """
    blocks, values = [_comment(_HEAD)], list[_Line]()
    for name, field in Configuration.model_fields.items():
        section, meaning = section_of(field), str(field.description)
        if section is None and not isinstance(field.default, dict):
            values.append((f"{name}: {_yaml(field.default)}", meaning))
            continue
        blocks, values = [*blocks, _aligned(values)], []
        if section is not None:
            body = [*_comment(paragraphs(section)), f"{name}:", *_aligned(list(_lines(section)))]
        elif name == "datasets":
            body = [*_comment([meaning]), f"{name}:", *_data_sets(field.default)]
        else:
            body = [*_comment([meaning]), f"{name}: {_yaml(field.default)}"]
        blocks.append(body)
    return "\n\n".join("\n".join(block) for block in [*blocks, _aligned(values)] if block) + "\n"


def _lines(section: type[Section], indent: str = "  ") -> Iterator[_Line]:
    """Yield the keys of a section with their defaults and meanings."""
    for name, field in section.model_fields.items():
        if (inner := section_of(field)) is not None:
            yield f"{indent}{name}:", _fragment(inner)
            yield from _lines(inner, f"{indent}  ")
        else:
            yield f"{indent}{name}: {_yaml(field.default)}", str(field.description)


def _data_sets(default: dict[str, Section]) -> Iterator[str]:
    """Yield the data sets of the default configuration, and a table of the user in comments.

    Keys that are null are left out.
    """
    for name, entry in default.items():
        fields = sorted(type(entry).model_fields.items(), key=lambda item: item[0] != "source")
        values = entry.model_dump()
        lines = [
            (f"    {key}: {_yaml(values[key])}", _fragment(inner) if inner else str(f.description))
            for key, f in fields
            for inner in [section_of(f)]
            if values[key] is not None
        ]
        yield from [f"  {name}:", *_aligned(lines)]
    shown = [
        (
            f"    {key}: {_yaml(f.examples[0] if f.examples else f.get_default())}",
            str(f.description),
        )
        for key, f in Table.model_fields.items()
    ]
    yield from (f"#{line}" for line in ["  ks:", *_aligned(shown, _WIDTH - 1)])


def _aligned(lines: list[_Line], width: int = _WIDTH) -> list[str]:
    """Return lines with their comments beside them; the comment of a long line is above it."""
    column = max((len(text) for text, _ in lines if len(text) <= _LONGEST), default=0) + 2
    aligned = []
    for text, comment in lines:
        if len(text) > _LONGEST:
            indent = " " * (len(text) - len(text.lstrip()))
            # A list goes on below its first entry.
            rest = " " * (text.find("[") + 1)
            wrapped = textwrap.wrap(text, width, subsequent_indent=rest, break_long_words=False)
            aligned += [*_comment([comment], indent, width), *wrapped]
        else:
            first, *others = textwrap.wrap(comment, width - column - 2)
            aligned.append(f"{text:<{column}}# {first}")
            aligned += [f"{'':<{column}}# {other}" for other in others]
    return aligned


def _comment(texts: Iterable[str], indent: str = "", width: int = _WIDTH) -> list[str]:
    lines = [line for text in texts for line in textwrap.wrap(text, width - len(indent) - 2)]
    return [f"{indent}# {line}" for line in lines]
