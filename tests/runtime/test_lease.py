"""A job of a dead run ends when another run has begun in its folder, on whichever host it works."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conftest import ROOT, Workspace
from vacuagym.orchestration.execution import FORCED
from vacuagym.orchestration.lock import command, forget_run
from vacuagym.runtime import lease
from vacuagym.runtime.atomic_files import write_text

OTHER, OWN = "00000000deadbeef", "1111111111111111"


@pytest.fixture
def leased(tmp_path, monkeypatch) -> Path:
    """A folder in which a run has begun, and the environment of a job of it."""
    monkeypatch.chdir(tmp_path)
    Path(".snakemake").mkdir()
    begin(OWN)
    monkeypatch.setenv(lease.RUN, OWN)
    return tmp_path


def begin(run: str) -> None:
    lease.LEASE.write_text(json.dumps({"run": run, "command": "snakemake --cores 2"}))


def state(path: Path) -> tuple[int, int]:
    """A file and when it was written."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def job(workspace: Workspace, run: str | None, *arguments: str) -> subprocess.CompletedProcess:
    """A command of the package with the environment of a job of a run."""
    own = {"PYTHONPATH": str(ROOT / "workflow"), **({} if run is None else {lease.RUN: run})}
    return subprocess.run(
        [sys.executable, "-m", "vacuagym", *arguments],
        cwd=workspace.folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"run"', b"\xff", b"{}", "fifo"])
def test_a_lease_that_cannot_be_read_ends_no_job(leased, content):
    lease.LEASE.unlink()
    if content == "fifo":
        os.mkfifo(lease.LEASE)
    elif content is not None:
        lease.LEASE.write_bytes(content)
    assert not lease.is_replaced()


def test_a_file_of_a_dead_run_replaces_nothing(leased, monkeypatch):
    write_text("result", "ours")
    begin(OTHER)
    with pytest.raises(lease.AnotherRun, match="another run has begun"):
        write_text("result", "theirs")
    assert Path("result").read_text() == "ours"
    assert sorted(path.name for path in leased.iterdir()) == [".snakemake", "result"]
    monkeypatch.delenv(lease.RUN)
    write_text("result", "by hand")
    assert Path("result").read_text() == "by hand"


def test_a_job_at_work_ends(leased):
    code = (
        "import time; from vacuagym.runtime import lease; lease._LOOK_SECONDS = 0.05; "
        "lease.watch_lease(); print('at work', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as working:
        assert working.stdout.readline() == "at work\n"
        time.sleep(0.3)
        assert working.poll() is None, "its run is at work"
        begin(OTHER)
        assert working.wait(timeout=30) == 1
        assert "another run has begun in this folder" in working.stderr.read()


def test_a_run_has_a_lease_of_its_own_and_tells_its_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = (
        "import os, sys; sys.argv = ['bin/snakemake', '--config', 'a={b: 1}']; "
        "from vacuagym.orchestration.lock import hold_run_lock; hold_run_lock(); "
        f"print(os.environ['{lease.RUN}'])"
    )
    environment = {**os.environ, lease.RUN: OTHER}
    runs = []
    for _ in range(2):
        begun = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert begun.returncode == 0, begun.stderr
        runs.append(begun.stdout.strip())
        assert lease.read_lease()["run"] == runs[-1]
    assert len({*runs, OTHER}) == 3
    assert command() == "snakemake --config 'a={b: 1}'"
    monkeypatch.setenv(lease.RUN, OTHER)
    forget_run()
    assert not lease.is_replaced()


class TestJobsOfAWorkflow:
    """Jobs as an executor starts them on another host: a Snakemake for one job."""

    FILE = "results/labels/t/0-49.parquet"

    def start(self, finished: Workspace, run: str | None, *arguments: str, mode: str = "remote"):
        target = ["--mode", mode, "--target-jobs", "label:dataset=t,first=0,last=49"]
        spawned = ["--force", "--nolock", "--ignore-incomplete", "--retries", "0", "--no-hooks"]
        environment = {} if run is None else {lease.RUN: run}
        return finished.snakemake(
            *target, *spawned, *arguments, check=False, environment=environment
        )

    @pytest.fixture
    def run(self, finished) -> str:
        found = json.loads((finished.folder / lease.LEASE).read_text())
        assert found["command"].startswith("snakemake --snakefile ")
        return found["run"]

    def test_one_of_a_dead_run_touches_nothing(self, finished, run):
        path, log = finished.folder / self.FILE, finished.folder / "logs/label/t/0-49.log"
        before, told = state(path), log.read_bytes()
        started = self.start(finished, OTHER)
        assert started.returncode == 1
        assert "error: .snakemake/vacuagym.run: another run has begun" in started.stdout
        assert (state(path), log.read_bytes()) == (before, told)
        repeated = log.read_text().splitlines()[0].removeprefix("# command: ").split()[4:]
        by_hand = job(finished, OTHER, *repeated, f"--log={log}")
        assert by_hand.returncode == 1
        assert "another run has begun" in by_hand.stderr
        assert (state(path), log.read_bytes()) == (before, told)
        assert job(finished, None, *repeated).returncode == 0
        assert state(path) != before

    def test_one_that_does_not_know_its_run_says_what_is_missing(self, finished):
        started = self.start(finished, None)
        assert started.returncode == 1
        assert f"error: {lease.RUN}: not in the environment of this job" in started.stdout

    def test_a_whole_file_is_left_alone_and_another_is_made(self, finished, run):
        path = finished.folder / self.FILE
        before = state(path)
        assert self.start(finished, run).returncode == 0
        assert state(path) == before
        path.write_bytes(path.read_bytes()[:-4])
        assert self.start(finished, run).returncode == 0
        assert finished.snakemake().returncode == 0

    def test_a_whole_file_is_made_again_if_the_user_forces_it(self, finished, run, monkeypatch):
        path = finished.folder / self.FILE
        before, content = state(path), pq.read_table(path)
        monkeypatch.setenv(FORCED, "1")
        assert self.start(finished, run).returncode == 0
        assert state(path) != before
        assert pq.read_table(path).equals(content)

    def test_only_the_main_process_repeats(self, finished, run):
        (finished.folder / self.FILE).unlink()
        short = ("--set-resources", "label:mem_mb=100")
        for attempt, batch in ((1, 64), (2, 16)):
            failed = self.start(finished, run, *short, "--attempt", str(attempt))
            assert failed.returncode == 1
            assert failed.stdout.count("Error in rule label") == 1, failed.stdout
            log = (finished.folder / "logs/label/t/0-49.log").read_text()
            assert "granted 100 MB" in log
            assert f"--batch-mb={batch} " in log
