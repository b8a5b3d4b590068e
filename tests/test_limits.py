"""What a process of ours takes of the machine: one thread, and no more memory than it declared."""

import os
import subprocess
import sys

import pytest

from vacuagym.errors import MemoryDeclarationError
from vacuagym.limits import label_memory_mb, peak_memory_mb, require_memory

_CAPS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")
_EIGH = """
import os, time
{first}
before = len(os.listdir("/proc/self/task"))
import numpy as np
matrix = np.random.default_rng(0).standard_normal((1000, 1000))
wall, cpu = time.perf_counter(), time.process_time()
np.linalg.eigh(matrix + matrix.T)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(len(os.listdir("/proc/self/task")) - before, cpu / wall)
"""


def _eigh(first: str, **variables: str) -> tuple[int, float]:
    """Threads that NumPy adds to a fresh process, and CPU time per wall time of a large diagonalisation."""
    environment = {key: value for key, value in os.environ.items() if key not in _CAPS} | variables
    child = subprocess.run([sys.executable, "-c", _EIGH.format(first=first)], env=environment, capture_output=True, text=True, check=True)
    threads, load = child.stdout.split()
    return int(threads), float(load)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="counts threads in /proc")
class TestThreads:
    @pytest.mark.parametrize("first", ["import vacuagym", "import vacuagym.parquet", "import vacuagym.cli"])
    def test_linear_algebra_keeps_to_one_thread(self, first):
        threads, load = _eigh(first)
        assert threads == 0
        assert load < 1.1  # one thread cannot use more CPU time than passes; a second at work would

    def test_the_modules_that_compute_do_too(self):
        assert _eigh("import vacuagym.stages.label")[1] < 1.1

    @pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: NumPy has one thread anyway")
    def test_the_caller_may_set_more(self):
        assert _eigh("import vacuagym", OPENBLAS_NUM_THREADS="2")[0] == 1


def test_a_job_refuses_to_start_in_less_memory_than_it_needs():
    require_memory(400, 400)
    require_memory(400, None)
    with pytest.raises(MemoryDeclarationError, match="needs 400 MB and was granted 399 MB"):
        require_memory(400, 399)


def test_declared_memory_grows_with_the_batch_and_with_what_one_geometry_needs():
    assert label_memory_mb(32, 9, 16) < label_memory_mb(32, 9, 400) < label_memory_mb(32, 9, 800)
    assert label_memory_mb(256, 1000, 16) > label_memory_mb(32, 1000, 16)


def test_peak_memory_counts_what_was_touched_and_given_back():
    before = peak_memory_mb()
    block = bytearray(os.urandom(2**20)) * 300
    del block
    assert peak_memory_mb() > before + 200 or before > 300
