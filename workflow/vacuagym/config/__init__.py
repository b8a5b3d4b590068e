"""The configuration: checked, completed with its defaults, and cut to what each job may depend on.

:mod:`vacuagym.config.model` is the one source of names, types, defaults and checks. It needs
pydantic, so it is imported where a configuration is checked, and never by a job.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vacuagym.config.file import read_config
from vacuagym.errors import ConfigError

PHYSICS_SECTIONS = ("seed", "moduli", "ensemble", "search")
_NAMES = ("datasets", "split_groups")  # sections in which every text is a name
_MOST_TOLD = 10  # problems in a message


def checked_config(
    raw: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the configuration with every default filled in.

    Parameters
    ----------
    raw : mapping
        The configuration as given. A data set that is null is dropped: so a file on top of another
        takes one away.
    files : mapping of str to mapping, optional
        The contents of the files that it comes from, by path, the last one on top. The error names
        the file of each key.

    Returns
    -------
    dict
        Plain dictionaries, lists and values. Numbers are as given: 1 does not become 1.0.

    Raises
    ------
    ConfigError
        If keys are wrong. It names the first ones.
    """
    from pydantic import ValidationError  # here, since jobs are given a checked configuration

    from vacuagym.config.model import Configuration

    try:
        return Configuration.model_validate(_prepared(raw)).model_dump()
    except (ValidationError, RecursionError) as refused:
        from vacuagym.config.messages import problems

        found = problems(refused)[:_MOST_TOLD]
    told = [f"  {_origin(problem.keys, raw, files or {})}{problem}" for problem in found]
    raise ConfigError("the configuration cannot be used:\n" + "\n".join(told))


def _prepared(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with the values that the command line gives as text, without the data sets
    that are null.
    """
    config = {
        section: None if value == "null" else value
        for section, value in copy.deepcopy(dict(raw)).items()
    }
    if isinstance(datasets := config.get("datasets"), dict):
        config["datasets"] = {
            name: entry for name, entry in datasets.items() if entry not in (None, "null")
        }
    return config | {
        section: _parsed(value)
        for section, value in config.items()
        if section not in _NAMES and isinstance(value, dict)
    }


def _origin(
    keys: Sequence[str], raw: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the last file that gives a key its value; the command line, if none does."""
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


def _at(value: Any, keys: Sequence[str]) -> tuple[int, Any, bool]:
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
