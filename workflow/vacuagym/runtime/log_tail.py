"""The end of a log, whatever its size."""

from __future__ import annotations

import os
from typing import BinaryIO


def last_lines(log: BinaryIO, most: int, size: int, start: int = 0) -> list[str]:
    """At most so many last lines of the last ``size`` bytes after ``start``; the first of several
    is left out if it lacks its beginning.
    """
    cut = max(start, log.seek(0, os.SEEK_END) - size)
    log.seek(cut)
    lines = log.read(size).decode(errors="replace").splitlines()
    if cut > start and len(lines) > 1:
        lines = lines[1:]
    return lines[-most:]
