"""End a job that makes no progress for a long time: it would hold a core for ever."""

from __future__ import annotations

import os
import sys
import threading
import time

_last = time.monotonic()
_watching = False


def beat() -> None:
    """Record progress: a batch was read, labelled or written."""
    global _last
    _last = time.monotonic()


def watch(stall_minutes: float) -> None:
    """Watch this process: it exits with code 1 after ``stall_minutes`` without a :func:`beat`."""
    global _watching
    beat()
    if not _watching:
        _watching = True
        threading.Thread(target=_watch, args=(60.0 * stall_minutes,), daemon=True).start()


def _watch(seconds: float) -> None:
    """Count ticks without progress.

    A stopped process and a sleeping machine count none, so neither counts as a stall.
    """
    tick, silent, seen = min(seconds / 4, 5.0), 0.0, _last
    while silent < seconds:
        time.sleep(tick)
        silent, seen = (silent + tick if _last == seen else 0.0), _last
    message = (
        f"error: stall_minutes: no progress for {seconds / 60:g} minutes, so the job was ended; "
        "a job must read, label or write a batch in that time; raise stall_minutes in the "
        "configuration, or look for a slow disk"
    )
    print(message, file=sys.stderr, flush=True)
    os._exit(1)
