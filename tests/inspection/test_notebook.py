"""The quickstart notebook does what it says, and a run that is watched from a notebook cannot fill
or outlive it.
"""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pyarrow as pa
import pytest
from nbclient import NotebookClient

from conftest import ROOT, Workspace
from vacuagym.errors import VacuagymError
from vacuagym.inspection.notebook import LINES, LOG, SIZE, run_pipeline
from vacuagym.runtime.log_tail import last_lines

NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
ONE_CORE = ("--cores", "1")
# Mirrors of weight systems with n = 2 to 5, eight of each KKLT label.
MIRRORS = (
    *("80 13 14 15 17 21", "77 11 12 13 17 24", "84 13 15 16 18 22", "80 11 13 17 18 21"),
    *("81 9 13 16 17 26", "80 10 13 15 16 26", "80 10 11 15 21 23", "80 9 16 17 18 20"),
    *("83 11 13 14 18 27", "71 10 11 15 17 18", "73 10 13 14 15 21", "79 7 13 16 18 25"),
    *("63 9 10 11 13 20", "72 11 13 14 16 18", "76 11 12 16 18 19", "79 10 13 15 19 22"),
    *("84 7 12 19 20 26", "66 9 10 11 16 20", "77 11 14 15 17 20", "83 11 14 15 20 23"),
    *("73 9 11 16 17 20", "84 11 14 15 21 23", "77 7 13 16 18 23", "72 10 11 13 17 21"),
    *("84 12 13 15 19 25", "77 10 11 16 19 21", "82 12 13 17 19 21", "81 9 14 16 17 25"),
    *("78 10 13 15 17 23", "80 9 13 16 17 25", "76 11 14 15 17 19", "79 9 14 16 17 23"),
)
SLEEPING = """
rule all:
    output: "made"
    shell: "echo $$ > pid; exec sleep 100"
"""


def quickstart() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def change(notebook: nbformat.NotebookNode, found: str, put: str) -> None:
    """Change the one place in the notebook's code where this stands."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and found in cell.source]
    assert [cell.source.count(found) for cell in cells] == [1], found
    cells[0].source = cells[0].source.replace(found, put)


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> tuple[dict[str, list], Path]:
    """The outputs of each cell of the notebook after a run of 120 geometries that printed more
    than a cell shows, and its folder.
    """
    folder = tmp_path_factory.mktemp("quickstart")
    notebook = quickstart()
    change(notebook, 'FOLDER = ROOT / "quickstart"', f"FOLDER = Path({str(folder)!r})")
    change(notebook, "N_LIMIT = 2000", "N_LIMIT = 120")
    change(notebook, 'f"--cores', 'f"--printshellcmds --cores')
    few = "{{'least':8,'per_label':1}}"  # labels that are verified
    change(notebook, 'KKLT = ROOT / "results"', f"KKLT = Path({str(mirrors(folder))!r})")
    change(notebook, "SEEDS = 3", "SEEDS = 1")
    change(notebook, "n_limit={N_LIMIT}", f"n_limit={{N_LIMIT}} verify={few}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "workflow"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        ).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}, folder


def mirrors(folder: Path) -> Path:
    """The results of a run of few threefolds, as far as a notebook reads them."""
    (folder / "mirrors").mkdir()
    workspace = Workspace(folder / "mirrors")
    workspace.table("mirrors.parquet", range(len(MIRRORS)), weights=pa.array(MIRRORS))
    workspace.configure({"ws5": {"path": "mirrors.parquet", "id": "id", "weights": "weights"}})
    workspace.snakemake(target="results/features/ws5.parquet")
    return workspace.folder / "results"


def html(outputs: list) -> str:
    return "\n".join(
        output.data["text/html"] for output in outputs if "text/html" in output.get("data", ())
    )


class TestQuickstart:
    def test_the_cell_of_the_run_shows_the_end_of_its_log_and_no_more(self, executed):
        outputs, folder = executed
        log = (folder / LOG).read_text().splitlines()
        assert len(log) > LINES
        assert [output.data["text/plain"].splitlines() for output in outputs["run"]] == [
            log[-LINES:]
        ]

    def test_the_verdict_and_the_figures_of_the_report_are_shown(self, executed):
        outputs, folder = executed
        text = "".join(
            output.text for output in outputs["report"] if output.output_type == "stream"
        )
        assert text.strip() == (folder / "results/verdict.txt").read_text().strip()
        assert text.startswith("passed: all")
        report = (folder / "results/report.html").read_text()
        pictures = re.findall("<svg.*?</svg>", html(outputs["report"]), flags=re.DOTALL)
        assert len(pictures) == 3
        assert [picture for picture in pictures if picture not in report] == []
        link = re.search("href='([^']+)'", html(outputs["report"]))[1]
        assert (NOTEBOOK.parent / link).resolve() == (folder / "results/report.html").resolve()

    def test_the_model_from_the_potential_stands_beside_what_knows_nothing(self, executed):
        outputs, _ = executed
        cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html(outputs["potential-model"]))
        scores = {
            name: float(cells[cells.index(name) + 1])
            for name in ("most common label", "n alone", "potential")
        }
        assert all(0 <= score <= 1 for score in scores.values())

    def test_the_scores_stand_beside_those_of_n_alone(self, executed):
        outputs, folder = executed
        splits = json.loads((folder / "results/validation.json").read_text())["splits"]
        cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html(outputs["baseline"]))
        for split in ("iid", "ood_complexity"):
            alone = splits[split]["baseline"]
            row = cells[cells.index(split) + 1 :]
            assert row[:3] == [
                "n alone, most common label",
                *(f"{alone[score]:.3f}" for score in ("accuracy", "balanced_accuracy")),
            ]
            scores = [[float(value) for value in row[at : at + 2]] for at in (4, 7, 10)]
            assert all(0.0 <= score <= 1.0 for pair in scores for score in pair)

    def test_models_of_kklt_labels_have_all_scores_for_all_rows_and_for_those_that_span(
        self, executed
    ):
        outputs, _ = executed
        text = "".join(o.text for o in outputs["kklt"] if o.output_type == "stream")
        assert text.splitlines() == [
            "all rows: 32 polytopes; boundary 0.250 no_point 0.250 no_span 0.250 point 0.250",
            "given span: 24 polytopes; boundary 0.333 no_point 0.333 point 0.333",
        ]
        cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html(outputs["kklt"]))
        inputs = ["n alone", "Hodge numbers", "point counts", "all features"]
        starts = [place for place, cell in enumerate(cells) if cell == "most common label"]
        for start, classes in zip(starts, (4, 3), strict=True):
            share = 1 / classes
            assert cells[start + 1 : start + 4] == [
                *(f"{value:.3f}" for value in (share, share, math.log(classes)))
            ]
            rows = [cells[start + 4 * place :][:4] for place in range(1, 5)]
            assert [row[0] for row in rows] == inputs
            for row in rows:
                accuracy, balanced, loss = (float(cell.split(" ± ")[0]) for cell in row[1:])
                assert 0 <= accuracy <= 1
                assert 0 <= balanced <= 1
                assert loss > 0

    def test_no_column_that_gives_the_label_away_is_an_input(self, executed):
        _, folder = executed
        session: dict = {"FOLDER": folder}
        exec(next(cell.source for cell in quickstart().cells if cell.id == "data"), session)
        own = json.loads((folder / "results/configuration.json").read_text())["datasets"]["fth6d"][
            "columns"
        ]
        assert set(session["FEATURES"]) <= {"n_moduli", *own}

    @pytest.mark.parametrize("folder", [ROOT, NOTEBOOK.parent])
    def test_it_finds_the_pipeline_from_either_folder(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        settings: dict = {}
        exec(next(cell.source for cell in quickstart().cells if cell.id == "settings"), settings)
        assert settings["ROOT"] == ROOT
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", f"{settings['FOLDER']}/results/x"], cwd=ROOT
        )
        assert ignored.returncode == 0

    def test_it_is_committed_with_outputs_and_without_traces_of_a_machine(self):
        shown = subprocess.run(
            ["git", "show", f":{NOTEBOOK.relative_to(ROOT)}"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        text = shown.stdout.decode()
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert [cell.id for cell in code if not cell.outputs and cell.id != "settings"] == []
        kinds = {output.output_type for cell in code for output in cell.outputs}
        assert "error" not in kinds
        assert [cell.id for cell in notebook.cells if cell.metadata] == []
        assert notebook.metadata == {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        assert re.findall(r"/(?:home|root|tmp|Users|work|usr)/|[A-Z]:\\\\", text) == []
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
        assert links
        assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


class TestRun:
    def test_it_is_shown_as_it_goes_and_never_more_than_its_end(self, tmp_path):
        (tmp_path / "Snakefile").write_text(
            "for i in range(50_000):\n    print('line', i)\n"
            + SLEEPING.replace("exec sleep 100", "sleep 3; touch made")
        )
        shown: list[str] = []
        run_pipeline(tmp_path / "Snakefile", tmp_path, ONE_CORE, shown.append)
        log = (tmp_path / LOG).read_text().splitlines()
        assert "line 49999" in log
        assert "100%" in shown[-1]
        assert shown[-1].splitlines() == log[-LINES:]
        assert len(shown) > 1
        assert max(len(text.splitlines()) for text in shown) == LINES

    def test_a_failure_is_an_error_that_names_the_log(self, tmp_path):
        (tmp_path / "Snakefile").write_text(
            "rule all:\n    output: 'made'\n    shell: 'echo here >&2; exit 3'"
        )
        shown: list[str] = []
        with pytest.raises(
            VacuagymError,
            match=rf"{re.escape(str(tmp_path / LOG))}: the run has failed \(exit code 1\)",
        ):
            run_pipeline(tmp_path / "Snakefile", tmp_path, ONE_CORE, shown.append)
        assert "Error in rule all" in shown[-1]

    def test_an_interrupt_ends_the_run_and_its_jobs(self, tmp_path):
        (tmp_path / "Snakefile").write_text(SLEEPING)

        def interrupt(text: str) -> None:
            wait_until(lambda: job_of(tmp_path))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_pipeline(tmp_path / "Snakefile", tmp_path, ONE_CORE, interrupt)
        assert not is_alive(job_of(tmp_path))
        assert "Terminating processes on user request" in (tmp_path / LOG).read_text()

    def test_it_does_not_outlive_a_kernel_that_is_killed(self, tmp_path):
        (tmp_path / "Snakefile").write_text(SLEEPING)
        watch = f"run_pipeline(Path('Snakefile'), Path(), {ONE_CORE}, print)"
        watch = (
            "from pathlib import Path; from vacuagym.inspection.notebook import run_pipeline; "
            f"{watch}"
        )
        kernel = subprocess.Popen(
            [sys.executable, "-c", watch],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        )
        try:
            wait_until(lambda: job_of(tmp_path))
            job = job_of(tmp_path)
            snakemake = parent_of(job)
        finally:
            kernel.kill()
            kernel.wait()
        wait_until(lambda: not is_alive(snakemake))
        os.kill(job, signal.SIGKILL)  # jobs of the pipeline do this themselves


class TestEndOfLog:
    def test_of_a_log_larger_than_any_memory_only_the_end_is_read(self, tmp_path):
        path = tmp_path / "giant.log"
        with open(path, "wb") as log:
            log.truncate(2**42)
        with open(path, "ab") as log:
            log.write(b"\nlast but one\nlast\n")
        with open(path, "rb") as log:
            assert last_lines(log, 2, SIZE) == ["last but one", "last"]
            assert [len(line) for line in last_lines(log, 80, 30)] == [12, 4]

    def test_a_line_without_its_beginning_is_left_out_unless_it_is_all_there_is(self, tmp_path):
        path = tmp_path / "log"
        path.write_text("head\n" + "x" * 100 + "\nend\n")
        with open(path, "rb") as log:
            assert last_lines(log, 80, 20) == ["end"]
            assert last_lines(log, 80, 1000) == ["head", "x" * 100, "end"]
            assert last_lines(log, 80, 1000, start=5) == ["x" * 100, "end"]
            assert last_lines(log, 1, 1000) == ["end"]
        path.write_text("y" * 100)
        with open(path, "rb") as log:
            assert last_lines(log, 80, 20) == ["y" * 20]


def job_of(folder: Path) -> int:
    """The pid of the job that sleeps there; 0 before it has begun."""
    path = folder / "pid"
    return int((path.read_text() if path.exists() else "") or 0)


def is_alive(pid: int) -> bool:
    """Whether a process is there that has not ended: one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
