"""What is wrong with a configuration, in one line for each key."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vacuagym.config.datasets import SOURCES
from vacuagym.config.model import Configuration
from vacuagym.config.types import (
    BROKEN,
    FORMS,
    NUMBER,
    WORD,
    character_error,
    unusable_character,
)

_MOST_SHOWN = 300  # characters of a value in a message
_TYPES = {
    "int_type": "integer",
    "float_type": "number",
    "string_type": "string",
    "bool_type": "boolean",
    "list_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}
_BOUNDS = {
    "greater_than": "less than or equal to the minimum",
    "greater_than_equal": "less than the minimum",
    "less_than": "greater than or equal to the maximum",
    "less_than_equal": "greater than the maximum",
}
_KEY = "[key]"  # pydantic's mark of an error in the key of a mapping


@dataclass(frozen=True)
class Problem:
    """What is wrong with one key.

    Attributes
    ----------
    keys : tuple of str
        The path of the key; empty for the whole file.
    text : str
        What was found, what is required and what to do.
    """

    keys: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{'.'.join(self.keys) or 'the file'}: {self.text}"


NESTED = Problem((), "nested too deeply, or a part contains itself; write it out")


def problems(refused: ValidationError | RecursionError) -> list[Problem]:
    """Return the problems of a configuration, sorted by the path of the key.

    Parameters
    ----------
    refused : ValidationError or RecursionError
        The errors of the model, or that of a configuration that is nested too deeply.

    Returns
    -------
    list of Problem
        One for each wrong value, and one for each section with unknown keys.
    """
    if isinstance(refused, RecursionError):
        return [NESTED]
    found: list[Problem] = []
    unknown: dict[tuple[int | str, ...], list[str]] = defaultdict(list)
    for error in refused.errors(include_url=False):
        place = error["loc"]
        if error["type"] == "extra_forbidden":
            unknown[place[:-1]].append(str(place[-1]))
        elif error["type"] == "invalid_key":  # the key is no text
            unknown[place[:-1]].append(str(error["input"]))
        elif error["type"] == "missing":
            found.append(Problem(_keys(place[:-1]), _missing(str(place[-1]))))
        elif place[-1:] == (_KEY,):
            found.append(Problem(_keys(place[:-2]), _about_name(error)))
        else:
            found.append(_about_value(error))
    for place, names in unknown.items():
        allowed = ", ".join(sorted(_annotation(place).model_fields))
        found.append(
            Problem(
                _keys(place), f"unknown key {_cut(', '.join(sorted(names)))}; allowed: {allowed}"
            )
        )
    return sorted(found, key=lambda problem: problem.keys)


def _about_name(error: ErrorDetails) -> str:
    """Return what is wrong with the name of a data set."""
    name = error["input"]
    if error["type"] == BROKEN:
        return _cut(error["msg"])
    if isinstance(name, str):
        return character_error(_cut(repr(name)), unusable_character(name) or "")
    shown = _cut(repr(name))
    return f"{shown} cannot name a data set: YAML does not read it as text; put it in quotes"


def _about_value(error: ErrorDetails) -> Problem:
    keys, value, context = _keys(error["loc"]), error["input"], error.get("ctx", {})
    found = _cut(repr(value))
    match error["type"]:
        case "broken":
            text = _cut(error["msg"], 2 * _MOST_SHOWN)
        case "union_tag_not_found":
            text = _missing("source")
        case "union_tag_invalid":
            keys, found = (*keys, "source"), _cut(repr(value["source"]))
            text = f"found {found}; allowed: {_listed(context['expected_tags'])}"
        case "literal_error":
            text = f"found {found}; allowed: {_listed(context['expected'])}"
        case "too_short" | "too_long" if keys[:1] == ("ensemble",):
            text = f"found {found}; a range is two numbers, [low, high]"
        case "too_short":
            text = f"{found} is too short; the minimum is {context['min_length']}"
        case "too_long":
            text = f"{found} is too long; the maximum is {context['max_length']}"
        case "string_too_short":
            text = f"{found} is too short; write at least one character"
        case "string_unicode":
            wrong = unusable_character(value) or ""
            text = character_error(found, wrong)
        case "finite_number":
            text = f"found {found}; a finite number is needed"
        case "recursion_loop":
            return NESTED
        case kind if kind in _TYPES:
            null = " or null" if type(None) in get_args(_annotation(error["loc"])) else ""
            auto = " or the word auto" if error["loc"][-1:] == (NUMBER,) else ""
            text = f"found {found}; a value of type {_TYPES[kind]}{null}{auto} is needed"
        case kind if kind in _BOUNDS:
            (bound,) = context.values()
            shown = f"{bound:g}" if isinstance(bound, float) else bound
            text = f"{found} is {_BOUNDS[kind]} of {shown}"
        case _:
            text = f"found {found}; {_cut(error['msg'])}"
    return Problem(keys, text)


def _keys(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the path in the file: pydantic adds sources of data sets and forms of values."""
    if place[:1] == ("datasets",) and len(place) > 2:
        place = (*place[:2], *place[3:])
    return tuple(str(step) for step in place if step not in (*FORMS, NUMBER, WORD))


def _annotation(place: tuple[int | str, ...]) -> Any:
    """Return the section or the type of a key; None for an item of a list or mapping."""
    found: Any = Configuration
    if place[:1] == ("datasets",) and len(place) > 2:
        found, place = SOURCES[str(place[2])], place[3:]
    for step in place:
        fields = getattr(found, "model_fields", {})
        found = fields[step].annotation if step in fields else None
    return found


def _missing(key: str) -> str:
    return f"{key!r} is missing; it is required; add it"


def _listed(expected: str) -> str:
    """Return pydantic's list of allowed values without quotes."""
    return expected.replace("'", "").replace(" or ", ", ")


def _cut(text: str, most: int = _MOST_SHOWN) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"
