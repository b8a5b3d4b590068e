"""Defaults and meanings of settings, for the options of the command line that have them too.

`make docs` writes them from the model into defaults.json. So a job does not import pydantic.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("defaults.json")


def default_of(key: str) -> Any:
    """Return the default of a setting.

    Parameters
    ----------
    key : str
        Its path, such as splits.train.

    Returns
    -------
    int, float, bool, str, list or None
        The value.
    """
    return _settings()[key]["default"]


def meaning_of(key: str) -> str:
    """Return the description of a setting.

    Parameters
    ----------
    key : str
        Its path, such as splits.train.

    Returns
    -------
    str
        The description in the model.
    """
    return str(_settings()[key]["meaning"])


@cache
def _settings() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found
