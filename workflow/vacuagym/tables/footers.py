"""Read footers of Parquet files without Arrow.

Snakemake's own process uses this module.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

# In Thrift's compact protocol a pair of key and value is two strings. Each string is a field
# header, its length as a varint, and its bytes.
_FIELD = b"\x18"
_KEY = _FIELD + bytes([len(b"vacuagym")]) + b"vacuagym" + _FIELD
_MAGIC = b"PAR1"
_PIECE = 2**20  # bytes: how much of a footer is read at once
State = list[int | str]  # of a file: size, time of change, digest of the footer


def footer_metadata(path: str | Path) -> dict[str, Any]:
    """Return the pipeline's metadata of a Parquet file.

    The columns of the file are not read. The metadata is empty if there is no file, if the file has
    no metadata, or if the footer is damaged.
    """
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, "rb") as file:
            footer = file.read(_to_footer(file))
    except FileNotFoundError:
        return {}
    position = footer.rfind(_KEY)
    if position < 0:
        return {}
    try:
        start, count = _varint(footer, position + len(_KEY))
        found = json.loads(footer[start : start + count])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def table_state(path: str | Path) -> State | None:
    """Return size, time of change and footer digest of a table; None if it is unreadable.

    A table in another state may hold other values. The list equals its copy read from JSON.
    """
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            footer = footer_digest(file)
    except OSError:
        return None
    return [about.st_size, about.st_mtime_ns, footer]


def footer_digest(file: BinaryIO) -> str:
    """Return the digest of the footer of an open Parquet file."""
    digest = hashlib.blake2b(digest_size=8)
    left = _to_footer(file)
    while piece := file.read(min(left, _PIECE)):
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()


def _to_footer(file: BinaryIO) -> int:
    """Seek to the footer of a Parquet file and return its length, 0 if there is none."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
    if magic != _MAGIC or length + 12 > size:
        return 0
    file.seek(-8 - length, 2)
    return length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the position after a varint, and its value."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return position, value
