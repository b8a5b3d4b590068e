"""Declare the memory of a job before it starts, limit it, and measure its peak.

A declaration covers the interpreter and libraries, the arrays of the job, and slack for the
allocator. The sizes of arrays are settings in bytes, never numbers of rows. So a declaration does
not depend on the size of the data.
"""

from __future__ import annotations

import resource
import sys

from vacuagym.errors import MemoryDeclarationError

# Measured on Linux, x86-64, Python 3.11, after the imports: 75 MB to read tables, 84 MB to label
# (scipy.special), 118 MB to verify (scipy.optimize).
LIBRARIES_MB = 130
# A process that maps the libraries needs this address space to work reliably under a hard limit.
LEAST_MB = 400
# Default size of a batch in a label job. A shard of the default size gains nothing from more.
BATCH_MB = 64
CHUNK_BYTES = 8 * 2**20  # part of a table that is sorted, merged or split at once
WINDOW_BYTES = 8 * 2**20  # label rows that are written together
# n × n float64 arrays alive at the peak of a search step: K, H, H², copies on compression,
# eigenvectors.
_MATRICES_PER_TRIAL = 8
_VECTORS_PER_TRIAL = 40
# Buffer, filtered rows, sorted copy and index, encoded columns, compressed pages.
_CHUNK_COPIES = 12


def geometry_bytes(n: int, trials: int) -> int:
    """Return an upper bound on the memory of one geometry in a batch of the search, in bytes.

    Parameters
    ----------
    n : int
        Number of moduli.
    trials : int
        Trials of the geometry, n_samples · n_restarts.
    """
    return 8 * trials * (_MATRICES_PER_TRIAL * n * n + _VECTORS_PER_TRIAL * n)


def label_memory_mb(most_moduli: int, trials: int, batch_mb: int) -> int:
    """Return the declared memory of a label job, in MB.

    It covers a batch and a window of rows with its encoded copy. A batch has at least one
    geometry.

    Parameters
    ----------
    most_moduli : int
        Largest number of moduli, ``moduli.max`` of the configuration.
    trials : int
        Trials of a geometry, n_samples · n_restarts.
    batch_mb : int
        Size of a batch in MB, ``memory.batch_mb`` of the configuration.
    """
    batch = max(batch_mb * 2**20, geometry_bytes(most_moduli, trials))
    return max(LEAST_MB, LIBRARIES_MB + _megabytes(2 * batch + 4 * WINDOW_BYTES))


def table_memory_mb() -> int:
    """Return the declared memory in MB of a job that streams over a table.

    Such a job holds a few copies of a chunk of :data:`CHUNK_BYTES`.
    """
    return max(LEAST_MB, LIBRARIES_MB + _megabytes(_CHUNK_COPIES * CHUNK_BYTES))


def geometry_table_memory_mb() -> int:
    """Return the declared memory of the enumeration of toric bases, in MB: a measured value."""
    return 600


def require_memory(needed_mb: int, granted_mb: int | None) -> None:
    """Refuse to start a job that was granted less memory than it needs.

    Snakemake lowers a declaration to the limit of the run without a message.

    Raises
    ------
    MemoryDeclarationError
        If ``granted_mb`` is less than ``needed_mb``.
    """
    if granted_mb is not None and granted_mb < needed_mb:
        raise MemoryDeclarationError(
            f"memory: this job was granted {granted_mb} MB; it needs {needed_mb} MB; "
            f"{_remedy(needed_mb)}"
        )


def hold_to_memory(needed_mb: int, granted_mb: int | None) -> None:
    """Limit this process to the memory that it was granted.

    On Linux, an allocation beyond the limit raises MemoryError. So the process ends by itself,
    before the kernel chooses a process to kill. Call this after the imports: the limit counts all
    private memory, and libraries do not fail cleanly if they start under a limit.

    Raises
    ------
    MemoryDeclarationError
        If ``granted_mb`` is less than ``needed_mb``.
    """
    require_memory(needed_mb, granted_mb)
    if granted_mb is not None and sys.platform == "linux":
        limit = granted_mb * 2**20
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def out_of_memory(
    stage: str, granted_mb: int | None, refused: MemoryError
) -> MemoryDeclarationError:
    """Return the error of a job that met its memory limit.

    Parameters
    ----------
    stage : str
        The rule of the job, for the remedy.
    granted_mb : int or None
        What the job was granted, in MB. None: it had no limit.
    refused : MemoryError
        The allocation that failed. NumPy and Arrow name its size.
    """
    had = "the memory of the machine" if granted_mb is None else f"{granted_mb} MB"
    more = _remedy(2 * max(granted_mb or 0, LEAST_MB), stage)
    if stage == "plan":  # It is no rule: its memory is the same for every table.
        more = "write the table with smaller row groups, and shorter values in the named columns"
    asked = f" ({str(refused).splitlines()[0]})" if str(refused) else ""
    return MemoryDeclarationError(
        f"out of memory{asked}: the job had {had}, and its peak was {peak_memory_mb():.0f} MB; "
        f"it needs more; {more}"
    )


def _remedy(needed_mb: int, stage: str = "RULE") -> str:
    options = f"--resources mem_mb={needed_mb} and --set-resources {stage}:mem_mb={needed_mb}"
    return (
        f"give Snakemake at least {options}, or lower memory.batch_mb or moduli.max in the "
        "configuration"
    )


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB.

    The value is VmHWM where the kernel has it. ``ru_maxrss`` survives exec, so it may be the peak
    of the parent.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def _megabytes(size: int) -> int:
    return -(-size // 2**20)
