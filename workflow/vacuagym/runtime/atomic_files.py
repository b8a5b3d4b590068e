"""Files that are never visible at their final name unless they are whole, and our own JSON, read
with a check of its shape.

Needs nothing: Snakemake's own process uses it too.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from vacuagym.errors import DamagedFileError, InputError

T = TypeVar("T")


def require_regular(path: str | Path) -> None:
    """Refuse what is no regular file with :class:`InputError`: to open a pipe or a device may wait
    for ever.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(
            f"{path}: is no regular file; a file is needed there: remove what is there, or name "
            "another path"
        )


def read_json(
    path: str | Path, build: Callable[[dict[str, Any]], T] = lambda document: document
) -> T:
    """Return what ``build`` makes of a JSON object that the pipeline has written.

    :class:`DamagedFileError` if it is not as the pipeline writes it. Errors of the system pass.
    """
    require_regular(path)
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise TypeError(f"it holds {type(document).__name__}")
        return build(document)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise DamagedFileError(
            f"{path}: not as the pipeline writes it ({reason})",
            path,
            remedy="remove it, and type the command of the run again",
        ) from error


def remove_damaged(error: DamagedFileError) -> str:
    """Remove the damaged files that are results, so that the next run makes them; return the
    message that says so.

    A file of the user is left alone.
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
    """Write a small text file as a whole or not at all."""
    with whole_file(Path(path)) as temporary:
        temporary.write(text.encode())


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path``, of this process alone, that takes its place when the block ends
    well.
    """
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
    """Open a temporary file and lock it; again, if another writer took it for abandoned between
    the two.
    """
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
    """Remove what killed writers left: those of these temporary files that no living process holds
    the lock of.
    """
    for leftover in temporaries:
        with suppress(OSError), open(leftover, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
