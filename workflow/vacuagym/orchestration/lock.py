"""Allow one run at a time in a folder, by an operating-system lock.

Snakemake's own lock is a file: it stays after a crash and refuses the next run. This lock ends
with the process that holds it. Jobs do not inherit it. They read the lease that its holder writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vacuagym.errors import VacuagymError
from vacuagym.runtime.atomic_files import write_text
from vacuagym.runtime.lease import LEASE, RUN, read_lease

_PATH = Path(".snakemake") / "vacuagym.lock"
_START = Path(".snakemake") / "vacuagym.start"
_held: list[int] = []  # file descriptors kept open until the process ends


def hold_run_lock() -> None:
    """Take the lock of the working folder for the life of this process, and write a new lease.

    Jobs of an earlier run that are still at work end, on other hosts too.

    Raises
    ------
    VacuagymError
        If another run holds the lock, or the file system cannot lock files.
    """
    _PATH.parent.mkdir(exist_ok=True)
    descriptor = os.open(_PATH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor)
    except BlockingIOError:
        other = os.read(descriptor, 1000).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise VacuagymError(
            f"{Path.cwd()}: another run is at work here: {other}; only one run can be; wait for "
            "it to end, or stop it"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise VacuagymError(
            f"{Path.cwd()}: this file system cannot lock files ({error}); a run needs a lock; run "
            "in a folder of a local disk"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(
        descriptor,
        f"pid {os.getpid()} on {socket.gethostname()}, since "
        f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode(),
        0,
    )
    _held.append(descriptor)
    forget_run()
    run = secrets.token_hex(8)
    write_text(LEASE, json.dumps({"run": run, "command": _command()}) + "\n")
    os.environ[RUN] = run


def forget_run() -> None:
    """Take the run of another process out of the environment: this process is no job of it."""
    os.environ.pop(RUN, None)


def command() -> str | None:
    """Return the command of the last run in the working folder, or None."""
    found = read_lease().get("command")
    return found if isinstance(found, str) else None


def _command() -> str:
    """Return the command of this process, as it is typed."""
    return shlex.join(["snakemake", *sys.argv[1:]])


@contextmanager
def turn_to_start() -> Iterator[None]:
    """Make other starts in the working folder wait until the block ends.

    So one start at a time removes files and writes plans. If files cannot be written or locked, no
    start waits. Such a folder is refused when the run begins.
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
    """Take the lock in a few attempts: :func:`holder` takes it for an instant to look."""
    for attempt in range(attempts):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == attempts - 1:
                raise
            time.sleep(0.05)


def started() -> float:
    """Return when the lock was last taken, in seconds since the epoch (file system clock)."""
    return _PATH.stat().st_mtime


def holder() -> str | None:
    """Return the holder of the lock of the working folder ("pid … on …, since …"), or None.

    The lock file is not created.
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
