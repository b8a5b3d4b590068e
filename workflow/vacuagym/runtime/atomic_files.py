"""Write files atomically, and read the pipeline's own JSON with a check of its shape.

Snakemake's own process uses this module too, so it imports nothing large.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

from vacuagym.errors import DamagedFileError, InputError
from vacuagym.runtime.lease import require_lease
from vacuagym.runtime.parent_death import is_alive

T = TypeVar("T")
# On a file system without locks, a temporary file of another host that is older is abandoned.
_ABANDONED_SECONDS = 24 * 3600.0


def require_regular(path: str | Path) -> None:
    """Refuse a pipe, a device or a folder: to open a pipe or a device may block for ever.

    Raises
    ------
    InputError
        If the path is not a regular file.
    OSError
        If the path does not exist or cannot be examined.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(
            f"{path}: not a regular file; a regular file is required; remove what is there, or "
            "name another path"
        )


@overload
def read_json(path: str | Path) -> dict[str, Any]: ...
@overload
def read_json(path: str | Path, build: Callable[[dict[str, Any]], T]) -> T: ...
def read_json(path: str | Path, build: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Return a JSON object that the pipeline has written.

    Parameters
    ----------
    path : str or Path
        The file.
    build : callable, optional
        Converts the object. By default the object is returned as it is.

    Raises
    ------
    DamagedFileError
        If the file holds no JSON object, or ``build`` does not find what it needs.
    OSError
        If the file cannot be opened.
    """
    require_regular(path)
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise TypeError(f"it holds {type(document).__name__}")
        return document if build is None else build(document)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise DamagedFileError(
            f"{path}: not as the pipeline writes it ({reason})",
            path,
            remedy="remove it, and run the same command again",
        ) from error


def remove_damaged(error: DamagedFileError) -> str:
    """Remove damaged results, so that the next run recomputes them, and return the message.

    Files outside ``results`` belong to the user and stay.
    """
    results = Path("results").resolve()
    damaged = [path for path in error.paths if results in path.resolve().parents]
    for path in damaged:
        path.unlink(missing_ok=True)
    if not damaged:
        return str(error)
    what = "it is removed" if len(damaged) == 1 else f"{len(damaged)} files are removed"
    return f"{error.found}; {what}: type the same command again to recompute it"


def write_text(path: str | Path, text: str) -> None:
    """Write a small text file atomically."""
    with whole_file(Path(path)) as temporary:
        temporary.write(text.encode())


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file atomically.

    Yield a temporary file beside ``path``. It replaces ``path`` when the block ends without an
    exception, and is removed otherwise. A job of a dead run replaces nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent.glob(f".{_escaped(path.name)}.*.tmp"))
    name = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")
    with _open_locked(name) as temporary:
        try:
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            require_lease()
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
    """Open a temporary file and lock it.

    Another writer may take the file for abandoned before it is locked. Then it is opened again.
    """
    while True:
        temporary = open(name, "wb")  # noqa: SIM115 - the caller closes it
        try:
            fcntl.flock(temporary, fcntl.LOCK_EX)
        except OSError:  # A file system without locks: abandoned files are not removed.
            return temporary
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(temporary.fileno()), name.stat()):
                return temporary
        temporary.close()


def remove_abandoned(temporaries: Iterable[Path]) -> None:
    """Remove the temporary files whose writers were killed.

    No living process has locked them. On a file system without locks, their writer is no process
    of this host, or they are a day old.
    """
    for leftover in temporaries:
        with suppress(OSError), open(leftover, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:
                if not _is_left_over(leftover):
                    continue
            leftover.unlink()


def _is_left_over(temporary: Path) -> bool:
    """Return whether the writer of a temporary file is dead, without a lock that tells it."""
    host, pid = temporary.name.split(".")[-3:-1]
    if host == _host():
        return not is_alive(int(pid))
    return time.time() - temporary.stat().st_mtime > _ABANDONED_SECONDS


def _host() -> str:
    """Return the name of this host as a part of a file name that has no dot."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())


def _escaped(name: str) -> str:
    """Return a name as a glob pattern that matches only this name."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
