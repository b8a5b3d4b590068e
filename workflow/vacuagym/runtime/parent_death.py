"""End a job when its Snakemake has died, so that no old job works beside a resumed run.

The Snakefile puts the pid of Snakemake's process into the environment. A job that is not its child
(on a cluster, or started by hand) watches nothing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time

PARENT = "VACUAGYM_SNAKEMAKE_PID"
HOST = "VACUAGYM_SNAKEMAKE_HOST"
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 2.0


def die_with_snakemake() -> None:
    """End this process when the Snakemake that started it has ended, for any reason."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    if os.getppid() != int(parent):
        if os.environ.get(HOST) == socket.gethostname() and not is_alive(int(parent)):
            os.kill(os.getpid(), signal.SIGKILL)  # It died before this job began.
        return
    die_with(int(parent))


def die_with(parent: int) -> None:
    """End this process when its parent has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It died before the signal was set.
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def is_alive(pid: int) -> bool:
    """Return whether a process of this host exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _watch(parent: int) -> None:
    """Poll the parent where the system has no signal for its death."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
