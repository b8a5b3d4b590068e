"""What a job takes of the machine: memory declared before it starts, measured when it ends.

A declaration is interpreter and libraries, plus what the job's arrays need, plus slack for the
allocator. The sizes of the arrays are settings in bytes, never numbers of rows, so a declaration
does not depend on the size of the data.
"""

from __future__ import annotations

import resource
import sys

from vacuagym.errors import MemoryDeclarationError

# Measured on Linux, x86-64, Python 3.11, after the imports: 75 MB to read tables, 84 MB to label
# (scipy.special), 129 MB to verify (scipy.optimize, scipy.stats).
LIBRARIES_MB = 130
# A process that maps the libraries needs this much address space to work reliably under a hard
# limit.
LEAST_MB = 400
# of a stack of systems in a label job, unless the configuration says otherwise; a default shard
# gains nothing from more
BATCH_MB = 64
CHUNK_BYTES = 8 * 2**20  # of a table that is being sorted, merged or split
WINDOW_BYTES = 8 * 2**20  # of label rows that are written together
# n × n float64 arrays alive at the peak of a search step: K, H, H², copies on compression,
# eigenvectors
_MATRICES_PER_TRIAL = 8
_VECTORS_PER_TRIAL = 40
_CHUNK_COPIES = (
    12  # buffer, filtered rows, sorted copy and index, encoded columns, compressed pages
)


def geometry_bytes(n: int, trials: int) -> int:
    """Working memory of one geometry with ``n`` moduli in a batch of the search, an upper bound."""
    return 8 * trials * (_MATRICES_PER_TRIAL * n * n + _VECTORS_PER_TRIAL * n)


def label_memory_mb(most_moduli: int, trials: int, batch_mb: int) -> int:
    """Declared memory of a label job: a batch (never less than one geometry) and a window of rows
    with its encoded copy.
    """
    batch = max(batch_mb * 2**20, geometry_bytes(most_moduli, trials))
    return max(LEAST_MB, LIBRARIES_MB + _megabytes(2 * batch + 4 * WINDOW_BYTES))


def table_memory_mb() -> int:
    """Declared memory of a job that streams over a table in chunks of :data:`CHUNK_BYTES`."""
    return max(LEAST_MB, LIBRARIES_MB + _megabytes(_CHUNK_COPIES * CHUNK_BYTES))


def geometry_table_memory_mb() -> int:
    """Declared memory of the enumeration of toric bases; measured, since its size is fixed."""
    return 600


def require_memory(needed_mb: int, granted_mb: int | None) -> None:
    """Refuse to start where less memory was set aside than the job needs; Snakemake clamps a
    declaration without a word.
    """
    if granted_mb is not None and granted_mb < needed_mb:
        raise MemoryDeclarationError(
            f"this job needs {needed_mb} MB and was granted {granted_mb} MB: {_remedy(needed_mb)}"
        )


def hold_to_memory(needed_mb: int, granted_mb: int | None) -> None:
    """Refuse too little memory, and from here on make any allocation beyond what was granted a
    MemoryError (Linux).

    To be called after the imports: the limit counts all private memory, and libraries that fail to
    start under a limit do not fail cleanly. A process that meets the limit ends by itself, before
    the kernel has to choose a victim.
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
    """The error for a job that met its limit: what it had, what it used, what it was ``refused``,
    and what to change.
    """
    had = "the memory of the machine" if granted_mb is None else f"{granted_mb} MB"
    more = _remedy(2 * max(granted_mb or 0, LEAST_MB), stage)
    if stage == "plan":  # no rule: what it has is the same for every table
        more = "write the table with smaller row groups, and shorter values in the named columns"
    asked = (
        f" ({str(refused).splitlines()[0]})" if str(refused) else ""
    )  # NumPy and Arrow tell the size
    return MemoryDeclarationError(
        f"out of memory{asked}: the job had {had}, and its peak was {peak_memory_mb():.0f} MB: "
        f"{more}"
    )


def _remedy(needed_mb: int, stage: str = "RULE") -> str:
    options = f"--resources mem_mb={needed_mb} and --set-resources {stage}:mem_mb={needed_mb}"
    return (
        f"give Snakemake at least {options}, or lower memory.batch_mb or moduli.max in the "
        "configuration"
    )


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB.

    From VmHWM where the kernel has it: ``ru_maxrss`` survives exec and would report the peak of
    the parent.
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
