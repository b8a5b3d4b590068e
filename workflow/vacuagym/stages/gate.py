"""Fail a run whose results did not pass their checks.

The gate runs after all files that explain the failure are written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vacuagym.errors import VacuagymError
from vacuagym.runtime.atomic_files import read_json, write_text


class ChecksFailed(VacuagymError):
    """The results of a run did not pass their checks."""


def gate(validation: Path, output: Path) -> None:
    """Write the verdict if all checks have passed.

    Raises
    ------
    ChecksFailed
        Some checks failed. The message names them.
    """
    checks = read_json(validation, lambda document: [dict(check) for check in document["checks"]])
    failed = [check for check in checks if not check["passed"]]
    if failed:
        lines = [
            f"{check['name']}: found {check['found']} where {check['meaning']}{_examples(check)}"
            for check in failed
        ]
        raise ChecksFailed(
            f"{len(failed)} of {len(checks)} checks failed (all figures: {validation}):\n  "
            + "\n  ".join(lines)
        )
    write_text(output, f"passed: all {len(checks)} checks\n")


def _examples(check: dict[str, Any]) -> str:
    """Return the first keys that break a check, for a message."""
    return f"; first: {', '.join(check['examples'])}" if check["examples"] else ""
