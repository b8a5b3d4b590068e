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


@pytest.fixture
def small(workspace) -> Workspace:
    """A folder with a table of five rows, and its configuration."""
    workspace.table("t.parquet", range(5), [2] * 5)
    workspace.configure({"t": ENTRY})
    return workspace


LATE = ("validation.json", "verdict.txt", "report.html")  # a run to the labels leaves them alone


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


def test_a_second_clone_does_not_run_the_code_of_the_first(small):
    """The environment has the package of this tree; the physics of the other tree differ."""
    other = small.folder / "clone"
    shutil.copytree(
        ROOT,
        other,
        ignore=shutil.ignore_patterns(".git", ".venv", "results", "logs", ".*_cache", "trees"),
    )
    potential = other / "workflow/vacuagym/theories/toy/potential.py"
    potential.write_text(potential.read_text(encoding="utf-8") + "\nOTHER = 1\n", encoding="utf-8")
    small.snakemake(target=LABELS)
    before = {
        path: (small.folder / "results" / path).read_bytes() for path in small.files("**/*.*")
    }
    command = [
        str(other / "Snakefile") if part == str(ROOT / "Snakefile") else part
        for part in small.command()
    ]
    run = subprocess.run(command, cwd=small.folder, capture_output=True, text=True)
    assert run.returncode == 1
    assert f"this environment has the package of {ROOT / 'workflow'}" in run.stderr
    assert f"pip install --no-deps -e {other}" in run.stderr
    assert {
        path: (small.folder / "results" / path).read_bytes() for path in small.files("**/*.*")
    } == before


@pytest.mark.parametrize("name", ["select.py", "numpy.py", "json.py", "vacuagym.py"])
def test_modules_in_the_run_folder_are_not_executed(small, name):
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

    @pytest.mark.parametrize(
        "path",
        [
            "configuration.json",
            "settings/table.json",
            "labels/t/0-9999.parquet",
            "shards/t/0-9999.parquet",
            "validation.json",
            "verdict.txt",
            "report.html",
        ],
    )
    def test_a_fifo_in_place_of_a_result_stops_no_start(self, small, path):
        (small.folder / "results" / path).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(small.folder / "results" / path)
        small.snakemake(target=None if path in LATE else LABELS)
        assert stat.S_ISREG((small.folder / "results" / path).stat().st_mode)

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
def test_own_json_of_the_wrong_shape_is_made_anew(finished, text):
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
    assert "Traceback" not in finished.snakemake().stdout
    (results / "configuration.json").write_text(text, encoding="utf-8")
    status = finished.vacuagym("status")
    assert "Traceback" not in status.stdout
    assert "configuration.json" in status.stdout


@pytest.mark.parametrize("path", ["results/shards/t", "results/settings", ".snakemake", "results"])
def test_a_folder_of_another_user_is_one_message(small, path):
    if os.getuid() != 0:
        pytest.skip("needs root to become another user")
    small.snakemake(target=LABELS)
    subprocess.run(["chmod", "-R", "go-rwx", str(small.folder / path)], check=True)
    small.folder.chmod(0o777)
    for parent in small.folder.parents:
        if parent != Path("/") and parent.stat().st_uid == 0 and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    home = small.folder / "home"
    home.mkdir()
    home.chmod(0o777)
    command = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        *small.command("--config", "seed=7"),
    ]
    run = subprocess.run(
        command,
        cwd=small.folder,
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


def test_the_moduli_of_a_table_in_a_folder_with_marks_of_snakemake(workspace):
    """Its path reaches no rule, so what Snakemake takes for a placeholder is a name like any
    other.
    """
    folder = workspace.folder / "<a>{b}$c"
    folder.mkdir()
    pq.write_table(pa.table({"id": range(5), "moduli": [2] * 5}), folder / "t[1]*.parquet")
    workspace.configure({"t": {**ENTRY, "path": "<a>{b}$c/t[1]*.parquet"}})
    workspace.snakemake(target=LABELS)
