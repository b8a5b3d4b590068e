"""A job that makes no progress for a long time ends itself, with a message, rather than hold a
core for ever.
"""

from __future__ import annotations

import os
import sys
import threading
import time

_last = time.monotonic()
_watching = False


def beat() -> None:
    """Say that there was progress: a batch read, labelled or written."""
    global _last
    _last = time.monotonic()


def watch(stall_minutes: float) -> None:
    """Start to watch this process: without a :func:`beat` for so long it exits with code 1."""
    global _watching
    beat()
    if not _watching:
        _watching = True
        threading.Thread(target=_watch, args=(60.0 * stall_minutes,), daemon=True).start()


def _watch(seconds: float) -> None:
    """Count ticks without progress: they stop with a process that is stopped, and with a machine
    that sleeps.
    """
    tick, silent, seen = min(seconds / 4, 5.0), 0.0, _last
    while silent < seconds:
        time.sleep(tick)
        silent, seen = (silent + tick if _last == seen else 0.0), _last
    message = (
        f"error: no progress for {seconds / 60:g} minutes; the job was ended (stall_minutes in "
        "the configuration sets the patience)"
    )
    print(message, file=sys.stderr, flush=True)
    os._exit(1)
