"""Footers of Parquet files, read without Arrow: Snakemake's own process asks."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

# Thrift's compact protocol: a pair of a key and a value is two strings, each a field header, a
# length as a varint, and bytes.
_FIELD = b"\x18"
_KEY = _FIELD + bytes([len(b"vacuagym")]) + b"vacuagym" + _FIELD
_MAGIC = b"PAR1"
_PIECE = 2**20  # bytes of a footer that are read at once


def footer_metadata(path: str | Path) -> dict[str, Any]:
    """Return the pipeline's metadata of a Parquet file; empty where there is no such file, or it
    has none.

    Damage of the footer reads as no metadata. The columns of the file are not looked at.
    """
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, "rb") as file:
            footer = file.read(_to_footer(file))
    except FileNotFoundError:
        return {}
    at = footer.rfind(_KEY)
    if at < 0:
        return {}
    try:
        start, count = _varint(footer, at + len(_KEY))
        found = json.loads(footer[start : start + count])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def table_state(path: str | Path) -> list[int | str] | None:
    """Return size, time of change and digest of the footer of a table; None where no file can be
    read.

    A table of another state may hold other values. The list is as JSON gives it back.
    """
    if not os.path.isfile(path):
        return None
    digest = hashlib.blake2b(digest_size=8)
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            left = _to_footer(file)
            while piece := file.read(min(left, _PIECE)):
                digest.update(piece)
                left -= len(piece)
    except OSError:
        return None
    return [about.st_size, about.st_mtime_ns, digest.hexdigest()]


def _to_footer(file: BinaryIO) -> int:
    """Go to where the footer of a Parquet file begins; return its length, 0 if there is none."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
    if magic != _MAGIC or length + 12 > size:
        return 0
    file.seek(-8 - length, 2)
    return length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return where the bytes after a varint begin, and its value."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return at, value
