"""What a run needs of the machine and of its folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from vacuagym.errors import ConfigError, VacuagymError
from vacuagym.orchestration.pipeline import Pipeline

LEAST_DISK_MB = 1000


def require_machine(pipeline: Pipeline, granted_mb: int | None, here: bool = True) -> None:
    """Refuse a machine or a limit that is too small for the largest single job.

    Parameters
    ----------
    pipeline : Pipeline
        The configuration.
    granted_mb : int or None
        The limit of ``--resources mem_mb``, if there is one.
    here : bool
        Whether jobs run on this machine.

    Raises
    ------
    ConfigError
        If a single job needs more.
    """
    needed = max(
        pipeline.label_memory_mb(),
        pipeline.table_memory_mb(),
        pipeline.geometry_memory_mb() if pipeline.computed else 0,
    )
    if granted_mb is not None and granted_mb < needed:
        raise ConfigError(
            f"--resources: mem_mb={granted_mb}; a single job of this configuration needs "
            f"{needed} MB; raise mem_mb"
        )
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    if here and installed < needed:
        raise ConfigError(
            f"memory: this machine has {installed} MB; a single job of this configuration "
            f"needs {needed} MB; lower memory.batch_mb or moduli.max, or use a larger machine"
        )


def require_folders() -> None:
    """Refuse folders that cannot be written to, and a disk that is nearly full.

    Raises
    ------
    VacuagymError
        If a run cannot write its results or logs.
    """
    for folder in map(Path, ("results", "logs")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise VacuagymError(
                f"{folder.absolute()}: cannot be written to ({error.strerror}); a run writes "
                "there; correct its permissions, or run in another folder"
            ) from error
    free = shutil.disk_usage("results").free // 2**20
    if free < LEAST_DISK_MB:
        raise VacuagymError(
            f"{Path.cwd()}: {free} MB are free on this disk; a run needs {LEAST_DISK_MB} MB; "
            "make room"
        )
