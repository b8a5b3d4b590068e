"""One live run in a folder: an operating-system lock that lives and dies with the process that holds it.

Snakemake's own lock is a file that stays behind after a crash and refuses the next run; this one cannot outlive its holder. It is not
inherited by jobs.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from vacuagym.errors import VacuagymError

_PATH = Path(".snakemake") / "vacuagym.lock"
_held: list[int] = []  # file descriptors kept open until the process ends


def hold_run_lock() -> None:
    """Take the lock of the working folder for the life of this process; :class:`VacuagymError` names the run that has it."""
    _PATH.parent.mkdir(exist_ok=True)
    descriptor = os.open(_PATH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 1000).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise VacuagymError(f"another run is at work in {Path.cwd()}: {holder}; wait for it to end, or stop it") from None
    except OSError as error:
        os.close(descriptor)
        raise VacuagymError(f"{Path.cwd()}: this file system cannot lock files ({error}); run in a folder of a local disk") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode(), 0)
    _held.append(descriptor)
