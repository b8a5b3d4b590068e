"""Read the output of the column checks: a digest for each row group of a table.

This module does not import Arrow, because Snakemake's own process uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vacuagym.config import digest
from vacuagym.runtime.atomic_files import read_json


def read_checks(paths: Iterable[str | Path]) -> dict[int, str]:
    """Return the digests of the checked row groups by number of the row group.

    Parameters
    ----------
    paths : iterable of path
        Files that :func:`vacuagym.stages.columns.columns` wrote.

    Raises
    ------
    DamagedFileError
        A file is damaged.
    """
    found: dict[int, str] = {}
    for path in paths:
        found |= read_json(
            path,
            lambda check: {int(group): str(value) for group, value in check["digests"].items()},
        )
    return found


def checked_content(digests: Mapping[int, str]) -> str:
    """Return one digest of all checked row groups."""
    return digest(sorted(digests.items()))
