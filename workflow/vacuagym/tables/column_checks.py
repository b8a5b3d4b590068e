"""What the checks of named columns have found: a digest for each row group of a table. No Arrow:
Snakemake's own process asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vacuagym.config import digest
from vacuagym.runtime.atomic_files import read_json


def read_checks(paths: Iterable[str | Path]) -> dict[int, str]:
    """Return the digests of the row groups that were checked, by their numbers."""
    found: dict[int, str] = {}
    for path in paths:
        found |= read_json(
            path,
            lambda check: {int(group): str(value) for group, value in check["digests"].items()},
        )
    return found


def checked_content(digests: Mapping[int, str]) -> str:
    """Return one digest of all row groups that were checked."""
    return digest(sorted(digests.items()))
