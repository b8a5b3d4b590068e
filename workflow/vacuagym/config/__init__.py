"""The configuration: checked against the schema, completed with its defaults, and cut to what each
job may depend on.

The schema (workflow/schemas/config.schema.yaml) is the one source of names, types and defaults;
this module adds the relations between keys that a schema cannot state.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vacuagym.config.file import read_config
from vacuagym.errors import ConfigError

if TYPE_CHECKING:
    import jsonschema

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"
_MOST_SHOWN = 300  # characters of a value in a message
_LARGEST = sys.float_info.max
PHYSICS_SECTIONS = ("seed", "moduli", "ensemble", "search")
_NAMES = ("datasets", "split_groups")  # sections in which every text is a name
_ORDERED_RANGES = ("flux_mass", "gamma", "runaway_gamma", "A", "a", "D", "p")


def checked_config(
    raw: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The configuration with every default filled in; :class:`ConfigError` names the first keys
    that are wrong.

    ``files`` are the contents of the files that it comes from, by path, the last one on top: the
    error names the file of each key. Data sets set to null are dropped: that is how a file on top
    of another takes one away.
    """
    config = {
        section: None if value == "null" else value
        for section, value in copy.deepcopy(dict(raw)).items()
    }
    if isinstance(config.get("datasets"), dict):
        config["datasets"] = {
            name: entry for name, entry in config["datasets"].items() if entry not in (None, "null")
        }
    try:
        config |= {
            section: _parsed(value)
            for section, value in config.items()
            if section not in _NAMES and isinstance(value, dict)
        }
        problems = list(_schema_problems(config))
    except RecursionError:
        problems = ["the file: nested too deeply, or a part contains itself; write it out"]
    if not problems:
        schema = _schema()
        _fill_defaults(config, schema, schema)
        problems = list(_broken_relations(config))
    if problems:
        told = [f"  {_origin(problem, raw, files or {})}{problem}" for problem in problems[:10]]
        raise ConfigError("the configuration cannot be used:\n" + "\n".join(told))
    return config


def _origin(problem: str, raw: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> str:
    """The last file that gives the key with which a message begins the value that it has; the
    command line, if none does.
    """
    keys = problem.partition(":")[0].split(".")
    found, known = {path: _at(content, keys) for path, content in files.items()}, _at(raw, keys)
    origin = next(
        (
            path
            for path in reversed(found)
            if found[path][0] == known[0] and (found[path][1] == known[1] or known[2])
        ),
        "--config",
    )
    return f"{origin}: " if files else ""


def _at(value: Any, keys: list[str]) -> tuple[int, Any, bool]:
    """How many of ``keys`` lead into nested mappings, the value there, and whether that is a
    mapping.
    """
    depth = 0
    while depth < len(keys) and isinstance(value, Mapping) and keys[depth] in value:
        value, depth = value[keys[depth]], depth + 1
    return depth, value, isinstance(value, Mapping)


def load_config(path: str | Path) -> dict[str, Any]:
    """Read and check a configuration file."""
    raw = read_config(path)
    return checked_config(raw, {str(path): raw})


def physics_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a checked configuration on which labels depend."""
    return {section: config[section] for section in PHYSICS_SECTIONS}


def canonical_json(value: Any) -> str:
    """JSON that is equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*values: Any) -> str:
    """A short fingerprint (12 hexadecimal digits) of JSON values."""
    return hashlib.blake2b(canonical_json(values).encode(), digest_size=6).hexdigest()


@cache
def _schema() -> dict[str, Any]:
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def _schema_problems(config: Mapping[str, Any]) -> Iterator[str]:
    import jsonschema  # here, since jobs are given a checked configuration
    import jsonschema.validators

    names = config.get("datasets")
    for name in names if isinstance(names, dict) else ():
        if not isinstance(name, str):
            yield (
                f"datasets: {name!r} cannot name a data set: YAML does not read it as text; put "
                "it in quotes"
            )
            return
    # In JSON 42.0 is an integer. Here it is none: it would be another seed than 42.
    integers = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    )
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=integers)
    for error in _deepest(validator(_schema()).iter_errors(config)):
        yield _describe(error)


def _parsed(value: Any) -> Any:
    """Numbers for the strings that ``snakemake --config 'memory={batch_mb: 32}'`` makes of numbers
    inside braces.
    """
    if isinstance(value, dict):
        return {key: _parsed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_parsed(item) for item in value]
    if value in ("null", "true", "false"):
        return json.loads(value)
    try:
        return (
            float(value)
            if isinstance(value, str) and not value.isdigit()
            else int(value)
            if isinstance(value, str)
            else value
        )
    except ValueError:
        return value


def _deepest(errors: Iterator[jsonschema.ValidationError]) -> Iterator[jsonschema.ValidationError]:
    """The errors that name a key: for a data set, those of the branch that its ``source`` picks."""
    for error in sorted(errors, key=lambda e: list(map(str, e.absolute_path))):
        if error.validator == "oneOf" and not isinstance(error.instance, dict):
            continue  # its type is told by another error
        if error.validator == "oneOf":
            branch = {"toric_bases": 0, "table": 1}.get(str(error.instance.get("source")))
            yield from (e for e in error.context if e.schema_path[0] == branch)
        else:
            yield error


def _describe(error: jsonschema.ValidationError) -> str:
    key, found = ".".join(map(str, error.absolute_path)) or "the file", _cut(repr(error.instance))
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(set(map(str, error.instance)) - set(known))
            return f"{key}: unknown key {_cut(', '.join(unknown))}; allowed: {', '.join(known)}"
        case "required":
            return f"{key}: {_cut(error.message)}"
        case "enum" | "const":
            allowed = (
                error.validator_value if error.validator == "enum" else [error.validator_value]
            )
            return f"{key}: found {found}; allowed: {', '.join(map(str, allowed))}"
        case "type":
            wanted = (
                error.validator_value
                if isinstance(error.validator_value, str)
                else " or ".join(error.validator_value)
            )
            return f"{key}: found {found}; a value of type {wanted} is needed"
        case "minItems" | "maxItems" if key.startswith("ensemble"):
            return f"{key}: found {found}; a range is two numbers, [low, high]"
        case "pattern":
            return (
                f"{key}: {found} cannot name a data set: at most 64 letters, digits, _ and -, the "
                "first a letter or digit"
            )
        case _:
            return f"{key}: {_cut(error.message)}"


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= _MOST_SHOWN
        else f"{text[: _MOST_SHOWN // 2]} [...] {text[-_MOST_SHOWN // 2 :]}"
    )


def _fill_defaults(instance: dict, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    for name, subschema in schema.get("properties", {}).items():
        if name not in instance and "default" in subschema:
            instance[name] = copy.deepcopy(subschema["default"])
        if isinstance(instance.get(name), dict) and "properties" in subschema:
            _fill_defaults(instance[name], subschema, root)
    if schema is root:
        branches = root["properties"]["datasets"]["additionalProperties"]["oneOf"]
        for entry in instance["datasets"].values():
            _fill_defaults(entry, branches[0 if entry["source"] == "toric_bases" else 1], root)


def _broken_relations(config: Mapping[str, Any]) -> Iterator[str]:
    infinite = [f"{key}: not a finite number" for key in _numbers(config)]
    if infinite:
        yield from infinite
        return
    if not config["datasets"]:
        yield "datasets: none is left; add one (config.yaml shows how)"
    named = {
        f"datasets.{name}.{key}": value
        for name, entry in config["datasets"].items()
        for key, value in entry.items()
    }
    named |= {f"split_groups.{name}": columns for name, columns in config["split_groups"].items()}
    for key, value in named.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (wrong := re.search("[\\0\ud800-\udfff]", text)):
                yield (
                    f"{key}: {_cut(repr(text))}: a name cannot hold the character {wrong[0]!r}; "
                    "write it without"
                )
    folded: dict[str, str] = {}
    for name in config["datasets"]:
        if folded.setdefault(name.lower(), name) != name:
            yield (
                f"datasets: {folded[name.lower()]} and {name} differ in case only, which some "
                "file systems cannot tell apart"
            )
    if config["moduli"]["min"] > config["moduli"]["max"]:
        yield f"moduli: min {config['moduli']['min']} is larger than max {config['moduli']['max']}"
    ensemble = config["ensemble"]
    if not sum(ensemble["regimes"].values()) > 0:
        yield "ensemble.regimes: all weights are zero; at least one must be positive"
    ranges = {f"ensemble.{key}": ensemble[key] for key in _ORDERED_RANGES}
    ranges |= {
        f"ensemble.mass_shift.{regime}": bounds for regime, bounds in ensemble["mass_shift"].items()
    }
    for key, (low, high) in ranges.items():
        if not low <= high:
            yield f"{key}: the range [{low}, {high}] is reversed; write [low, high]"
    yield from _short_field_range(config)
    for name, columns in config["split_groups"].items():
        if name not in config["datasets"]:
            yield (
                f"split_groups: there is no data set {name}; there are "
                f"{', '.join(sorted(config['datasets']))}"
            )
        elif config["datasets"][name]["source"] == "toric_bases" and (
            unknown := sorted(set(columns) - set(_toric_columns()))
        ):
            yield (
                f"split_groups.{name}: the toric bases have no column {', '.join(unknown)}; they "
                f"have {', '.join(_toric_columns())}"
            )
    splits = config["splits"]
    if splits["train"] + splits["validation"] >= 1.0:
        yield (
            f"splits: train {splits['train']} + validation {splits['validation']} leave nothing "
            "for test; their sum must be below 1"
        )


def _short_field_range(config: Mapping[str, Any]) -> Iterator[str]:
    """Refuse a field range in which starts, or the minima that they look for, do not lie.

    V ≈ λ|φ|² + γ|φ|⁴/n is least at |φ|² = −λ n / 2γ. Taken are the middles of all ranges, and the
    lowest mode λ of K: its random part reaches down to −σ √(2n).
    """
    ensemble, search, n = config["ensemble"], config["search"], config["moduli"]["max"]
    reach, farthest = search["field_range"], search["start_range"] * math.sqrt(n)
    if reach < farthest:
        yield (
            f"search.field_range: {reach:g}: starts lie up to start_range √(moduli.max) = "
            f"{farthest:.3g} away, and would count as escaped; "
            f"set field_range to {math.ceil(farthest)} or more, or lower start_range"
        )
        return
    bounded = [
        name for name, weight in ensemble["regimes"].items() if weight > 0 and name != "runaway"
    ]
    if not bounded or not (gamma := sum(ensemble["gamma"]) / 2) > 0:
        return
    mass, shift = (
        (sum(ensemble["flux_mass"]) / 2) ** 2,
        min(sum(ensemble["mass_shift"][name]) / 2 for name in bounded),
    )
    lowest = mass + shift - ensemble["coupling"] * math.sqrt(2 * n)
    radius = math.sqrt(max(0.0, -lowest) * n / (2 * gamma))
    if reach < radius:
        yield (
            f"search.field_range: {reach:g}: minima of this ensemble lie about {radius:.3g} away "
            f"(n = {n}), and would count as escaped; "
            f"set field_range to {math.ceil(2 * radius)} or more, or lower moduli.max"
        )


def _toric_columns() -> list[str]:
    branch = _schema()["properties"]["datasets"]["additionalProperties"]["oneOf"][0]
    return branch["properties"]["columns"]["items"]["enum"]


def _numbers(value: Any, path: str = "") -> Iterator[str]:
    """Paths of numbers that are not finite: YAML's .nan and .inf pass for numbers in a schema."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _numbers(item, f"{path}[{position}]")
    elif (
        isinstance(value, int | float)
        and not abs(value) <= _LARGEST
        and path.partition(".")[0] not in ("seed", "n_limit", "shard_size")
    ):
        yield path
