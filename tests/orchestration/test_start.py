"""What a start does before any job: whose code it runs, what it refuses, and how it says so."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ROOT, Workspace

ENTRY = {"source": "table", "path": "t.parquet", "id": "id", "moduli": "moduli"}
LABELS = "results/labels.parquet"


def with_five_rows(workspace: Workspace) -> Workspace:
    """Write a table of five rows, and its configuration."""
    workspace.table("t.parquet", range(5), [2] * 5)
    workspace.configure({"t": ENTRY})
    return workspace


@pytest.fixture
def small(workspace) -> Workspace:
    return with_five_rows(workspace)


@pytest.fixture(scope="module")
def run_to_labels(tmp_path_factory) -> Workspace:
    """A run of five rows to their labels; to be read only."""
    workspace = with_five_rows(Workspace(tmp_path_factory.mktemp("five_rows")))
    workspace.snakemake(target=LABELS)
    return workspace


@pytest.fixture
def labelled(run_to_labels, workspace) -> Workspace:
    """A copy of it, as if it had run here."""
    shutil.copytree(run_to_labels.folder, workspace.folder, dirs_exist_ok=True)
    return workspace


def refused(
    workspace: Workspace,
    code: int,
    *words: str,
    arguments: tuple[str, ...] = (),
    **environment: str,
) -> None:
    """Assert that a run ends with one message and without a traceback, before any job."""
    run = workspace.snakemake(*arguments, check=False, environment=environment)
    assert "Traceback" not in run.stdout, run.stdout
    assert run.returncode == code, run.stdout
    for word in words:
        assert word in run.stdout, run.stdout
    assert "jobs:" not in run.stdout, run.stdout


def test_a_second_clone_does_not_run_the_code_of_the_first(labelled):
    """The environment has the package of this tree; the physics of the other tree differ."""
    other = labelled.folder / "clone"
    shutil.copytree(
        ROOT,
        other,
        ignore=shutil.ignore_patterns(".git", ".venv*", "results", "logs", ".*_cache", "trees"),
    )
    potential = other / "workflow/vacuagym/theories/toy/potential.py"
    potential.write_text(potential.read_text(encoding="utf-8") + "\nOTHER = 1\n", encoding="utf-8")
    before = {
        path: (labelled.folder / "results" / path).read_bytes() for path in labelled.files("**/*.*")
    }
    command = [
        str(other / "Snakefile") if part == str(ROOT / "Snakefile") else part
        for part in labelled.command()
    ]
    run = subprocess.run(command, cwd=labelled.folder, capture_output=True, text=True)
    assert run.returncode == 1
    assert f"this environment has the package of {ROOT / 'workflow'}" in run.stderr
    assert f"pip install --no-deps -e {other}" in run.stderr
    assert {
        path: (labelled.folder / "results" / path).read_bytes() for path in labelled.files("**/*.*")
    } == before


def test_modules_in_the_run_folder_are_not_executed(small):
    for name in ("select.py", "numpy.py", "json.py", "vacuagym.py"):
        (small.folder / name).write_text("raise SystemExit('executed')\n", encoding="utf-8")
    command = ["snakemake" if part == "-m" else part for part in small.command(target=LABELS)]
    command = [
        str(Path(sys.executable).parent / "snakemake"),
        *command[command.index("--snakefile") :],
    ]
    run = subprocess.run(
        command, cwd=small.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert run.returncode == 0, run.stdout
    log = (small.folder / "logs/merge/labels.log").read_text(encoding="utf-8")
    assert log.startswith("# command: python -P -m vacuagym merge ")


class TestFilesOfOthers:
    """What lies in the place of a file of the pipeline, or of a table."""

    def test_a_fifo_as_a_table_is_refused(self, small):
        (small.folder / "t.parquet").unlink()
        os.mkfifo(small.folder / "t.parquet")
        refused(small, 3, "t.parquet: not a regular file")

    def test_a_device_as_a_table_is_refused(self, small):
        small.configure({"t": {**ENTRY, "path": "/dev/zero"}})
        refused(small, 3, "/dev/zero: not a regular file")

    def test_fifos_in_place_of_results_stop_no_start(self, small):
        paths = (
            "configuration.json",
            "settings/table.json",
            "labels/t/0-9999.parquet",
            "shards/t/0-9999.parquet",
            "validation.json",
            "verdict.txt",
            "report.html",
        )
        for path in paths:
            (small.folder / "results" / path).parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(small.folder / "results" / path)
        small.snakemake()
        kinds = {path: (small.folder / "results" / path).stat().st_mode for path in paths}
        assert [path for path, kind in kinds.items() if not stat.S_ISREG(kind)] == []

    def test_a_file_named_results_is_refused(self, small):
        (small.folder / "results").write_text("mine", encoding="utf-8")
        refused(small, 1, "results")
        assert (small.folder / "results").read_text(encoding="utf-8") == "mine"

    def test_a_dangling_link_named_results_is_refused(self, small):
        (small.folder / "results").symlink_to("nowhere/at/all")
        refused(small, 1, "results")


@pytest.mark.parametrize(
    "text",
    ["{}", "null", "[" * 100_000 + "]" * 100_000, '{"shards": {}}'],
    ids=["empty", "null", "deep", "shape"],
)
def test_own_json_of_the_wrong_shape_is_recomputed(finished, text):
    results = finished.folder / "results"
    named = [
        *finished.files("plans/*.json"),
        *finished.files("settings/*.json"),
        *finished.files("physics/*.json"),
        "validation.json",
    ]
    for path in named:
        (results / path).write_text(text, encoding="utf-8")
    for record in (finished.folder / ".snakemake/metadata").rglob("*"):
        if record.is_file():
            record.write_text(text, encoding="utf-8")
    assert "Traceback" not in finished.snakemake(target="results/validation.json").stdout
    assert [path for path in named if (results / path).read_text(encoding="utf-8") == text] == []
    (results / "configuration.json").write_text(text, encoding="utf-8")
    status = finished.vacuagym("status")
    assert "Traceback" not in status.stdout
    assert "configuration.json" in status.stdout


@pytest.mark.parametrize("path", ["results/shards/t", "results/settings", ".snakemake", "results"])
def test_a_folder_of_another_user_is_one_message(labelled, path):
    if os.getuid() != 0:
        pytest.skip("needs root to become another user")
    subprocess.run(["chmod", "-R", "go-rwx", str(labelled.folder / path)], check=True)
    labelled.folder.chmod(0o777)
    for parent in labelled.folder.parents:
        if parent != Path("/") and parent.stat().st_uid == 0 and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    home = labelled.folder / "home"
    home.mkdir()
    home.chmod(0o777)
    command = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        *labelled.command("--config", "seed=7"),
    ]
    run = subprocess.run(
        command,
        cwd=labelled.folder,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home)},
    )
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert "ermission" in run.stderr


def test_commands_work_without_docstrings(small):
    for arguments in (["--help"], ["label", "--help"], ["status"]):
        run = subprocess.run(
            [sys.executable, "-P", "-m", "vacuagym", *arguments],
            cwd=small.folder,
            env={**os.environ, "PYTHONOPTIMIZE": "2"},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
    small.snakemake(environment={"PYTHONOPTIMIZE": "2"})


def test_a_folder_that_the_locale_cannot_write_makes_no_noise(tmp_path):
    workspace = Workspace(tmp_path / "größe-空間")
    workspace.folder.mkdir()
    workspace.table("t.parquet", range(5), [2] * 5)
    workspace.configure({"t": ENTRY})
    done = workspace.snakemake(environment={"LC_ALL": "C"})
    assert not re.search("Traceback|Error|surrogate|incomplete", done.stdout), done.stdout
    assert workspace.files("verdict.txt")


def test_a_home_that_cannot_be_written_stops_no_run(small):
    nowhere = {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere/cache"}
    done = small.snakemake(environment=nowhere, target=LABELS)
    assert "Traceback" not in done.stdout


def test_jobs_take_the_interpreter_of_snakemake_and_not_the_one_on_the_path(small):
    other = small.folder / "python"
    other.write_text("#!/bin/sh\nexit 9\n")
    other.chmod(0o755)
    path = {"PATH": f"{small.folder}:{os.defpath}"}
    small.snakemake(environment=path, target="results/shards/t/0-9999.parquet")


def test_the_moduli_of_a_table_in_a_folder_with_marks_of_snakemake(workspace):
    """Its path reaches no rule, so what Snakemake takes for a placeholder is a name like any
    other.
    """
    folder = workspace.folder / "<a>{b}$c"
    folder.mkdir()
    pq.write_table(pa.table({"id": range(5), "moduli": [2] * 5}), folder / "t[1]*.parquet")
    workspace.configure({"t": {**ENTRY, "path": "<a>{b}$c/t[1]*.parquet"}})
    workspace.snakemake(target=LABELS)


def test_a_billion_rows_make_few_jobs(workspace):
    """A table of a hundred files is planned from their footers; all are links to one file."""
    rows = pa.table({"m": pa.nulls(10**6, pa.int8())})
    (workspace.folder / "d").mkdir()
    with pq.ParquetWriter(workspace.folder / "d/000.parquet", rows.schema) as writer:
        for _ in range(10):
            writer.write_table(rows)
    for number in range(1, 100):
        os.link(workspace.folder / "d/000.parquet", workspace.folder / f"d/{number:03}.parquet")
    tables = {"t": {"source": "table", "path": "d"}, "small": {"source": "toric_bases"}}
    workspace.configure(tables)
    shown = workspace.snakemake("--dry-run", "--quiet", "rules").stdout
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", shown, re.MULTILINE)}
    assert jobs["label"] == jobs["shard"] == 100 * 4 + 7
    assert jobs["verify_part"] == 1000
    assert jobs["total"] < 3000
