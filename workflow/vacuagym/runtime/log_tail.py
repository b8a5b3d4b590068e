"""Read the end of a log of any size."""

from __future__ import annotations

import os
from typing import BinaryIO


def last_lines(log: BinaryIO, most: int, size: int, start: int = 0) -> list[str]:
    """Return the last lines of a log.

    Parameters
    ----------
    log : binary file
        The log, opened for reading.
    most : int
        The largest number of lines.
    size : int
        How much of the end is read, in bytes. If the first of several lines lacks its beginning,
        it is left out.
    start : int
        Bytes at the beginning that are never read.
    """
    cut = max(start, log.seek(0, os.SEEK_END) - size)
    log.seek(cut)
    lines = log.read(size).decode(errors="replace").splitlines()
    if cut > start and len(lines) > 1:
        lines = lines[1:]
    return lines[-most:]
