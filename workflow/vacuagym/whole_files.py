"""Files that are never visible at their final name unless they are whole. Needs nothing: Snakemake's own process writes with it too."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_text(path: str | Path, text: str) -> None:
    """Write a small text file as a whole or not at all."""
    with whole_file(Path(path)) as temporary:
        temporary.write(text.encode())


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path``, of this process alone, that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent.glob(f".{_escaped(path.name)}.*.tmp"))
    name = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _open_locked(name) as temporary:
        try:
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            os.replace(name, path)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_locked(name: Path) -> BinaryIO:
    """Open a temporary file and lock it; again, if another writer took it for abandoned between the two."""
    while True:
        temporary = open(name, "wb")  # noqa: SIM115 - the caller closes it
        try:
            fcntl.flock(temporary, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: only the tidying is lost
            return temporary
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(temporary.fileno()), name.stat()):
                return temporary
        temporary.close()


def remove_abandoned(temporaries: Iterable[Path]) -> None:
    """Remove what killed writers left: those of these temporary files that no living process holds the lock of."""
    for leftover in temporaries:
        with suppress(OSError), open(leftover, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
