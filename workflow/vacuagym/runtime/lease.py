"""End the jobs of a dead run when another run begins in its folder, on whichever host they work.

A run writes its id into a file, the lease, and into the environment of its jobs. A job whose id is
not in the lease belongs to a dead run. A command that is typed by hand has no id, so nothing ends
it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from vacuagym.errors import VacuagymError

RUN = "VACUAGYM_RUN"
LEASE = Path(".snakemake") / "vacuagym.run"
_LOOK_SECONDS = 5.0


class AnotherRun(VacuagymError):
    """The run of this job is dead, and another run has begun in its folder."""


def read_lease() -> dict[str, Any]:
    """Return the lease of the working folder; empty if its file cannot be read."""
    try:  # Only a regular file is opened: a named pipe would block for ever.
        found = json.loads(LEASE.read_text(encoding="utf-8")) if LEASE.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_replaced() -> bool:
    """Return whether the lease names another run than that of this process.

    A lease that is absent or cannot be read replaces nothing.
    """
    own = os.environ.get(RUN)
    return own is not None and read_lease().get("run", own) != own


def require_lease() -> None:
    """Refuse to work for a dead run.

    Raises
    ------
    AnotherRun
        If another run has begun in the working folder.
    """
    if is_replaced():
        raise AnotherRun(
            f"{LEASE}: another run has begun in this folder; this job belongs to an earlier run, "
            "so it has ended; nothing is to be done"
        )


def watch_lease() -> None:
    """Watch the lease, and end this process with code 1 when another run has begun."""
    if RUN in os.environ:
        threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    while not is_replaced():
        time.sleep(_LOOK_SECONDS)
    print("another run has begun in this folder: this job has ended", file=sys.stderr, flush=True)
    os._exit(1)
