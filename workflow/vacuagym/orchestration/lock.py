"""One live run in a folder: an operating-system lock that lives and dies with the process that
holds it.

Snakemake's own lock is a file that stays behind after a crash and refuses the next run; this one
cannot outlive its holder. It is not inherited by jobs.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vacuagym.errors import VacuagymError

_PATH = Path(".snakemake") / "vacuagym.lock"
_START = Path(".snakemake") / "vacuagym.start"
_held: list[int] = []  # file descriptors kept open until the process ends


def hold_run_lock() -> None:
    """Take the lock of the working folder for the life of this process; :class:`VacuagymError`
    names the run that has it.
    """
    _PATH.parent.mkdir(exist_ok=True)
    descriptor = os.open(_PATH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor)
    except BlockingIOError:
        other = os.read(descriptor, 1000).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise VacuagymError(
            f"another run is at work in {Path.cwd()}: {other}; wait for it to end, or stop it"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise VacuagymError(
            f"{Path.cwd()}: this file system cannot lock files ({error}); run in a folder of a "
            "local disk"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(
        descriptor,
        f"pid {os.getpid()} on {socket.gethostname()}, since "
        f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode(),
        0,
    )
    _held.append(descriptor)


@contextmanager
def turn_to_start() -> Iterator[None]:
    """Until the block ends, any other start in the working folder waits: one at a time tidies up
    and makes plans.

    Where files cannot be written or locked nobody waits; such a folder is refused when the run
    begins.
    """
    with ExitStack() as held:
        with suppress(OSError):
            _START.parent.mkdir(exist_ok=True)
            fcntl.flock(
                held.enter_context(open(os.open(_START, os.O_RDWR | os.O_CREAT, 0o666))),
                fcntl.LOCK_EX,
            )
        yield


def _lock(descriptor: int, attempts: int = 10) -> None:
    """Take the lock; a few attempts, because :func:`holder` has it for an instant when it looks."""
    for attempt in range(attempts):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == attempts - 1:
                raise
            time.sleep(0.05)


def started() -> float:
    """When the run that holds the lock took it, in seconds since the epoch by the clock of the
    file system.
    """
    return _PATH.stat().st_mtime


def holder() -> str | None:
    """Who holds the lock of the working folder ("pid … on …, since …"), or None; takes nothing and
    leaves nothing behind.
    """
    try:
        descriptor = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 1000).decode(errors="replace").strip() or "unknown"
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None
