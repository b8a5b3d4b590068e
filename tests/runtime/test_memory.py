"""What a process of ours takes of the machine: one thread, and no more memory than it declared."""

import os
import signal
import subprocess
import sys
import time

import pytest

from vacuagym.errors import MemoryDeclarationError
from vacuagym.runtime.memory import label_memory_mb, peak_memory_mb, require_memory

_CAPS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
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
    """Threads that NumPy adds to a fresh process, and CPU time per wall time of a large
    diagonalisation.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _CAPS} | variables
    child = subprocess.run(
        [sys.executable, "-c", _EIGH.format(first=first)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    threads, load = child.stdout.split()
    return int(threads), float(load)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="counts threads in /proc")
class TestThreads:
    @pytest.mark.parametrize(
        "first", ["import vacuagym", "import vacuagym.tables.parquet", "import vacuagym.cli.main"]
    )
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
    with pytest.raises(MemoryDeclarationError, match="was granted 399 MB; it needs 400 MB; give"):
        require_memory(400, 399)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
class TestTheLimit:
    def _child(self, code: str) -> subprocess.CompletedProcess:
        first = (
            "import vacuagym.stages.label, numpy as np, pyarrow as pa; from "
            "vacuagym.runtime.memory import hold_to_memory; hold_to_memory(1, 400)"
        )
        return subprocess.run(
            [sys.executable, "-c", f"{first}\n{code}"], capture_output=True, text=True, timeout=120
        )

    @pytest.mark.parametrize(
        "code",
        [
            "np.ones(600 * 2**17)",
            "pa.array(np.arange(30 * 2**17)).take(pa.array(np.zeros(600 * 2**17, np.int32)))",
            "a = np.tile(np.eye(64), (9000, 1, 1)); np.linalg.solve(a, a)",
            "x = [bytes(2**20) for _ in range(600)]",
        ],
    )
    def test_what_would_go_beyond_it_is_a_memory_error(self, code):
        child = self._child(code)
        assert child.returncode == 1
        assert "MemoryError" in child.stderr.splitlines()[-1]

    def test_what_stays_below_is_not(self):
        assert self._child("np.ones(200 * 2**17); np.linalg.eigh(np.eye(300))").returncode == 0


MEETS_ITS_LIMIT = """
import importlib.abc, sys
class Greed(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "vacuagym.stages.label" and "label" in sys.argv and set(sys.argv) & {batches!r}:
            import numpy as np
            import vacuagym.theories.toy.labelling as stage
            search = stage.label_geometries
            stage.label_geometries = lambda *given: (np.ones(600 * 2**17), search(*given))[1]
sys.meta_path.insert(0, Greed())
"""


def _greedy(workspace, *batches: str) -> dict[str, str]:
    """An environment in which label jobs with these options ask for 600 MB more than they should,
    once they are held to a limit.
    """
    (workspace.folder / "site").mkdir()
    (workspace.folder / "site" / "sitecustomize.py").write_text(
        MEETS_ITS_LIMIT.format(batches=set(batches)), encoding="utf-8"
    )
    return {"PYTHONPATH": str(workspace.folder / "site")}


def _label_table(workspace, **settings) -> None:
    """One shard of a table, and settings."""
    workspace.table("t.parquet", range(20), [2, 3] * 10)
    entry = {"source": "table", "path": "t.parquet", "id": "id", "moduli": "moduli"}
    workspace.configure(
        {"t": entry}, moduli={"max": 4}, verify={"least": 1, "per_label": 0}, **settings
    )


def test_a_job_that_is_refused_its_memory_says_what_it_needs_what_it_has_and_what_to_change(
    workspace,
):
    _label_table(workspace, memory={"batch_mb": 1024})
    run = workspace.snakemake(
        "--until", "label", "--set-resources", "label:mem_mb=500", check=False
    )
    assert run.returncode == 1
    assert "this job was granted 500 MB; it needs 674 MB; " in run.stdout, (
        "after the batch of 1024 MB the one of 256 MB"
    )
    assert "--set-resources RULE:mem_mb=674, or lower memory.batch_mb" in run.stdout


def test_a_job_that_meets_its_limit_says_so_and_exits_with_4(workspace, monkeypatch, capsys):
    import vacuagym.tables.feature_table
    from vacuagym.cli.main import main

    def meet_the_limit(*_):
        raise MemoryError

    workspace.table("t.parquet", [1, 2], [3, 4])
    monkeypatch.setattr(vacuagym.tables.feature_table.FeatureTable, "__post_init__", meet_the_limit)
    monkeypatch.setattr(
        "vacuagym.cli.tables.hold_to_memory", lambda *_: None
    )  # it would hold this process too
    arguments = [
        "plan",
        "--dataset=t",
        f"--table={workspace.folder / 't.parquet'}",
        "--id=id",
        "--output=p.json",
        "--mem-mb=400",
    ]
    assert main(arguments) == 4
    message = capsys.readouterr().err.splitlines()[-1]
    assert "the job had 400 MB, and its peak was" in message
    assert "write the table with smaller row groups" in message, (
        "no option of Snakemake gives a plan more memory"
    )


LOG = "logs/label/t/0-9999.log"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
class TestALabelJobThatMeetsItsLimit:
    def test_is_repeated_by_snakemake_with_a_smaller_batch(self, workspace):
        _label_table(workspace)
        run = workspace.snakemake(
            "--until", "label", environment=_greedy(workspace, "--batch-mb=64")
        )
        assert run.stdout.count("returned non-zero exit status 4") == 1
        (record,) = (workspace.folder / ".snakemake/log").glob("*.log")
        first, again, second = map(
            record.read_text().find, ("batch_mb=64,", "Trying to restart job", "batch_mb=16,")
        )
        assert 0 < first < again < second
        assert "--batch-mb=16 " in (workspace.folder / LOG).read_text().splitlines()[0]
        assert workspace.files("labels/t/*") == ["labels/t/0-9999.parquet"]

    def test_twice_fails_the_run_and_says_what_it_had_and_what_to_change(self, workspace):
        _label_table(workspace)
        run = workspace.snakemake(
            "--until",
            "label",
            check=False,
            environment=_greedy(workspace, "--batch-mb=64", "--batch-mb=16"),
        )
        assert run.returncode == 1
        assert "returned non-zero exit status 4" in run.stdout
        assert "out of memory (Unable to allocate 600. MiB " in run.stdout
        assert ": the job had 400 MB, and its peak was " in run.stdout
        assert (
            "--resources mem_mb=800 and --set-resources label:mem_mb=800, or lower memory.batch_mb"
            in run.stdout
        )
        assert "Traceback" not in run.stdout
        assert not workspace.files("labels/**/*")
        assert "--batch-mb=16 " in (workspace.folder / LOG).read_text().splitlines()[0]

    def test_and_follows_the_advice_succeeds(self, workspace):
        _label_table(workspace)
        greedy = _greedy(workspace, "--batch-mb=64", "--batch-mb=16")
        run = workspace.snakemake(
            "--until", "label", "--set-resources", "label:mem_mb=800", environment=greedy
        )
        assert "failed" not in run.stdout
        assert workspace.files("labels/t/*")


def test_a_job_without_progress_ends_itself():
    first = "from vacuagym.runtime.stall import beat, watch; import time; watch(0.02)"
    code = f"{first}; [(time.sleep(0.4), beat()) for _ in range(5)]; print('alive', flush=True)"
    child = subprocess.run(
        [sys.executable, "-c", f"{code}; time.sleep(60)"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert child.returncode == 1
    assert child.stdout == "alive\n"
    assert "no progress for 0.02 minutes" in child.stderr


def test_the_time_that_a_job_is_stopped_is_no_time_without_progress():
    code = (
        "from vacuagym.runtime.stall import beat, watch; import time; watch(0.03); print('up', "
        "flush=True); time.sleep(1.0); beat(); print('on')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "up\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        child.send_signal(signal.SIGCONT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (0, "on\n", "")


def test_declared_memory_grows_with_the_batch_and_with_what_one_geometry_needs():
    assert label_memory_mb(32, 9, 16) < label_memory_mb(32, 9, 400) < label_memory_mb(32, 9, 800)
    assert label_memory_mb(256, 1000, 16) > label_memory_mb(32, 1000, 16)


def test_peak_memory_counts_what_was_touched_and_given_back():
    before = peak_memory_mb()
    block = bytearray(os.urandom(2**20)) * 300
    del block
    assert peak_memory_mb() > before + 200 or before > 300
