"""The real Snakefile, end to end, on small tables: what runs, what does not run again, and what
survives a crash.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from conftest import SLOW, Workspace, damage
from vacuagym.errors import VacuagymError
from vacuagym.orchestration.requirements import require_folders
from vacuagym.runtime import parent_death
from vacuagym.tables.label_table import SCHEMA


def test_a_table_becomes_labels_and_splits(finished):
    labels = finished.labels()
    assert labels.schema.equals(SCHEMA)
    keys = labels["key"].to_pylist()
    assert keys == [
        f"t:{source}:{i}" for source in ("w44.ip.gz", "w5.ip.gz") for i in range(-20, 100)
    ]
    assert pc.sum(pc.is_null(labels["moduli"])).as_py() == sum(1 for k in range(0, 240, 9))
    assert finished.files("splits/*.parquet") == [
        "splits/iid.parquet",
        "splits/ood_complexity.parquet",
    ]
    for split in finished.files("splits/*.parquet"):
        folds = pq.read_table(finished.folder / "results" / split)
        assert folds["key"].to_pylist() == keys
        assert set(folds["fold"].to_pylist()) <= {"train", "validation", "test"}


def test_shards_lie_on_multiples_of_the_shard_size_in_id_order(finished):
    names = ["-50--1", "0-49", "50-99"]
    assert finished.files("shards/t/*") == sorted(f"shards/t/{name}.parquet" for name in names)
    for name in names:
        first, last = (
            -50 if name.startswith("-") else int(name.split("-")[0]),
            int(name.replace("--", "-").split("-")[-1]),
        )
        last = -1 if name == "-50--1" else last
        shard = pq.read_table(finished.folder / f"results/labels/t/{name}.parquet")
        rows = list(
            zip(shard["geometry_id"].to_pylist(), shard["namespace"].to_pylist(), strict=True)
        )
        assert rows == [
            (i, s) for i in range(max(first, -20), last + 1) for s in ("w44.ip.gz", "w5.ip.gz")
        ]


def test_a_job_loads_no_library_that_it_does_not_use(workspace):
    """Arrow imports pandas where it is installed, unless it is kept from it: 30 MB and a sixth of
    a second; SciPy takes half of that.
    """
    times = pa.array(range(20), pa.timestamp("ns"))  # of which Arrow makes objects of pandas
    workspace.table("t.parquet", range(20), [2] * 20, x=[1.0] * 20, when=times)
    entry = {
        "source": "table",
        "path": "t.parquet",
        "id": "id",
        "moduli": "moduli",
        "columns": ["x"],
    }
    workspace.configure({"t": entry}, split_groups={"t": ["when"]})
    workspace.snakemake(environment={"PYTHONPROFILEIMPORTTIME": "1"})
    imported: dict[str, set[str]] = {}
    for log in (workspace.folder / "logs").glob("*/**/*.log"):
        stage = log.relative_to(workspace.folder / "logs").parts[0]
        imported.setdefault(stage, set()).update(
            re.findall(r"\| +(\S+)$", log.read_text(), re.MULTILINE)
        )
    assert {
        "shard",
        "label",
        "merge",
        "features",
        "split",
        "verify",
        "validate",
        "report",
        "dataset",
        "gate",
    } <= set(imported)
    assert all(f"vacuagym.stages.{stage}" in modules for stage, modules in imported.items())
    assert not [stage for stage, modules in imported.items() if "pandas._libs" in modules]
    assert {stage for stage, modules in imported.items() if "scipy" in modules} == {
        "label",
        "verify",
    }
    assert not [stage for stage, modules in imported.items() if "jsonschema" in modules]
    assert not [stage for stage, modules in imported.items() if "pydantic" in modules]


def test_a_second_run_does_nothing_and_says_so(finished):
    assert "nothing to be done" in finished.snakemake().stdout.lower()


def test_another_look_of_the_page_makes_nothing_else_again(finished):
    assert (
        "done: 2 of 2 jobs" in finished.snakemake("--forcerun", "report").stdout
    )  # report and all


def test_cores_do_not_change_a_byte(finished):
    results = finished.folder / "results"
    first = {
        name: (results / name).read_bytes() for name in ["labels.parquet", "splits/iid.parquet"]
    }
    finished.snakemake("--forceall", cores=1, target="results/splits/iid.parquet")
    assert first == {name: (results / name).read_bytes() for name in first}


def test_n_limit_takes_the_lowest_ids_and_makes_their_shards_only(two_sources):
    two_sources.snakemake("--config", "n_limit=45", target="results/labels.parquet")
    rows = two_sources.labels().select(["geometry_id", "namespace"]).to_pylist()
    expected = sorted([(i, s) for i in range(-20, 100) for s in ("w44.ip.gz", "w5.ip.gz")])[:45]
    assert sorted((r["geometry_id"], r["namespace"]) for r in rows) == expected
    assert two_sources.files("labels/t/*") == ["labels/t/-50--1.parquet", "labels/t/0-49.parquet"]


def test_appended_rows_label_only_their_shards(finished):
    before = {
        name: os.stat(finished.folder / "results" / name).st_mtime_ns
        for name in finished.files("labels/t/*")
    }
    table = pq.read_table(finished.folder / "t.parquet")
    more = pa.table(
        {"id": pa.array([100, 101]), "moduli": pa.array([3.0, None]), "source": ["w5.ip.gz"] * 2}
    )
    pq.write_table(pa.concat_tables([more, table]), finished.folder / "t.parquet")
    finished.snakemake(target="results/labels.parquet")
    after = {
        name: os.stat(finished.folder / "results" / name).st_mtime_ns
        for name in finished.files("labels/t/*")
    }
    assert set(after) - set(before) == {"labels/t/100-149.parquet"}
    assert {name: after[name] for name in before} == before
    assert len(finished.labels()) == 242


def test_a_table_that_is_replaced_by_an_older_one_of_equal_ids_and_moduli_gives_its_own_features(
    workspace,
):
    workspace.configure(
        {"t": {"source": "table", "path": "t.parquet", "id": "id", "columns": ["x"]}}
    )
    workspace.table("t.parquet", range(20), x=[1.0] * 20)
    workspace.snakemake(target="results/features/t.parquet")
    labels = workspace.folder / "results/labels/t/0-9999.parquet"
    labelled = labels.stat().st_mtime_ns
    os.utime(workspace.table("t.parquet", range(20), x=[2.0] * 20), (1e9, 1e9))
    workspace.snakemake(target="results/features/t.parquet")
    features = pq.read_table(workspace.folder / "results/features/t.parquet")
    assert set(features["x"].to_pylist()) == {2.0}
    assert labels.stat().st_mtime_ns == labelled


def test_other_physics_makes_new_labels_and_other_memory_does_not(finished):
    labels = finished.labels()
    assert (
        "nothing to be done"
        in finished.snakemake("--config", "memory={batch_mb: 3}").stdout.lower()
    )
    finished.snakemake("--config", "seed=43", target="results/labels.parquet")
    changed = finished.labels()
    assert changed["key"].equals(labels["key"])
    assert not changed["potential_value"].equals(labels["potential_value"])


def test_a_lost_file_is_made_again(finished):
    whole = (finished.folder / "results/labels.parquet").read_bytes()
    for lost in ("labels/t/0-49.parquet", "shards/t/50-99.parquet", "labels.parquet"):
        (finished.folder / "results" / lost).unlink()
    finished.snakemake(target="results/labels.parquet")
    assert (finished.folder / "results/labels.parquet").read_bytes() == whole


def test_damaged_label_files_are_noticed_and_made_again(finished):
    labels = finished.folder / "results/labels/t"
    whole = (finished.folder / "results/labels.parquet").read_bytes()
    damage(labels / "0-49.parquet")
    truncated = (labels / "-50--1.parquet").read_bytes()
    (labels / "-50--1.parquet").write_bytes(truncated[: len(truncated) // 2] + b"PAR1")
    (labels / "50-99.parquet").write_bytes(truncated)
    (finished.folder / "results/labels.parquet").unlink()
    refused = finished.snakemake(check=False, target="results/labels.parquet")
    assert refused.returncode == 1
    assert "0-49.parquet: damaged" in refused.stdout
    assert "it is removed: type the same command again to recompute it" in refused.stdout
    finished.snakemake(target="results/labels.parquet")
    assert (finished.folder / "results/labels.parquet").read_bytes() == whole


def test_torn_files_are_noticed_at_the_start_and_made_again(finished):
    """Every way to tear every file: `test_crashes.py`, without a run."""
    results = finished.folder / "results"
    expected = {
        name: (results / name).read_bytes() for name in ["labels.parquet", "splits/iid.parquet"]
    }
    names = [
        "labels/t/0-49.parquet",
        "shards/t/50-99.parquet",
        "labels.parquet",
        "splits/iid.parquet",
        "validation.json",
        *finished.files("plans/*"),
        *finished.files("physics/*"),
        *finished.files("settings/*"),
    ]
    for number, name in enumerate(names):
        content = (results / name).read_bytes()
        (results / name).write_bytes((b"", content[40:], content[:-40])[number % 3])
    said = finished.snakemake().stdout
    assert said.count(": the file is torn; it is removed and recomputed") == len(names)
    assert {name: (results / name).read_bytes() for name in expected} == expected
    assert "passed" in (results / "verdict.txt").read_text()


def test_an_altered_label_table_is_removed_when_it_is_read(finished):
    whole = (finished.folder / "results/labels.parquet").read_bytes()
    damage(finished.folder / "results/labels.parquet")
    (finished.folder / "results/splits/iid.parquet").unlink()
    said = finished.snakemake(check=False, target="results/splits/iid.parquet").stdout
    assert "it is removed: type the same command again" in said
    finished.snakemake(target="results/splits/iid.parquet")
    assert (finished.folder / "results/labels.parquet").read_bytes() == whole


def test_changes_are_noticed_even_if_snakemakes_records_are_lost(finished):
    shutil.rmtree(finished.folder / ".snakemake")
    assert "nothing to be done" in finished.snakemake().stdout.lower()
    shutil.rmtree(finished.folder / ".snakemake")
    before = finished.labels()
    finished.snakemake("--config", "seed=7", target="results/labels.parquet")
    assert not finished.labels()["potential_value"].equals(before["potential_value"])
    shutil.rmtree(finished.folder / ".snakemake")
    finished.snakemake(target="results/labels.parquet")
    assert finished.labels().equals(before)


def test_a_killed_run_is_finished_by_the_same_command(finished):
    whole = (finished.folder / "results/labels.parquet").read_bytes()
    finished.snakemake("--delete-all-output")
    run = subprocess.Popen(
        finished.command(),
        cwd=finished.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not finished.files("labels/t/*") and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not _jobs_of(run.pid), "a job outlived its Snakemake"
    finished.snakemake()
    assert (finished.folder / "results/labels.parquet").read_bytes() == whole
    assert not finished.files("**/.*.tmp")


def test_two_runs_in_one_folder(two_sources, slow_run):
    second = two_sources.snakemake(*SLOW, check=False)
    assert second.returncode == 1
    assert f"pid {slow_run.pid} on " in second.stdout
    assert "Job stats" in two_sources.snakemake(*SLOW, "--dry-run").stdout


def test_several_data_sets_have_a_split_each(workspace):
    for name in ("b", "a"):
        workspace.table(f"{name}.parquet", np.arange(30), np.arange(30) % 5)
    tables = {
        name: {"source": "table", "path": f"{name}.parquet", "id": "id", "moduli": "moduli"}
        for name in ("b", "a")
    }
    workspace.configure({**tables, "bases": {"source": "toric_bases"}}, n_limit=25, shard_size=20)
    workspace.snakemake("--until", "split")
    assert [s.removesuffix(".parquet") for s in workspace.files("splits/*.parquet")] == [
        "splits/iid",
        "splits/ood_complexity",
        "splits/ood_dataset_a",
        "splits/ood_dataset_b",
        "splits/ood_dataset_bases",
        "splits/ood_hodge",
    ]
    labels = workspace.labels()
    assert labels["key"].to_pylist() == [
        f"{name}:{i}" for name in ("a", "b", "bases") for i in range(25)
    ]
    a, b = (
        labels.filter(pc.equal(labels["dataset"].cast(pa.string()), name))[
            "potential_value"
        ].to_pylist()
        for name in "ab"
    )
    assert not set(a) & set(b), "equal ids of two data sets must not be the same system"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"id": "idd"}, 3, "did you mean id?"),
        ({"path": "absent.parquet"}, 3, "absent.parquet: no such file"),
        ({"namespace": "moduli"}, 3, "has the type double"),
        ({"namespace": None}, 3, "more than one row for"),
        ({"colour": "red"}, 2, "unknown key colour"),
    ],
)
def test_bad_input_stops_before_any_labelling(two_sources, change, code, message):
    entry = {
        "source": "table",
        "path": "t.parquet",
        "id": "id",
        "namespace": "source",
        "moduli": "moduli",
    } | change
    two_sources.configure({"t": entry})
    run = two_sources.snakemake(check=False)
    assert run.returncode == code
    assert message in run.stdout
    assert "Traceback" not in run.stdout
    assert not two_sources.files("labels/*")


@pytest.mark.parametrize("absolute", [False, True])
def test_a_run_for_another_folder_reads_and_writes_there(workspace, absolute):
    base, outside, here = (
        workspace.folder,
        Workspace(workspace.folder / "outside"),
        workspace.folder / "here",
    )
    for folder in (outside.folder, here, base / "there"):
        folder.mkdir()
    table = outside.table("t$1 ~.parquet", range(9), [2] * 9)
    path = str(table) if absolute else "../outside/t$1 ~.parquet"
    entry = {"source": "table", "path": path, "id": "id", "moduli": "moduli"}
    Workspace(here).configure(
        {"t": entry}, moduli={"max": 2}, search={"n_samples": 1, "n_restarts": 1}
    )
    before = {path: path.stat().st_mtime_ns for path in base.rglob("*") if path.is_file()}
    Workspace(here).snakemake("--directory", "../there", "--until", "label")
    after = {path: path.stat().st_mtime_ns for path in base.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert {path.relative_to(base).parts[:2] for path in set(after) - set(before)} == {
        ("there", name) for name in ("results", "logs", ".snakemake")
    }
    assert (base / "there/results/labels/t/0-9999.parquet").exists()


def test_a_relative_path_that_leads_nowhere_names_the_folder_that_it_is_relative_to(workspace):
    for name in ("here", "there"):
        (workspace.folder / name).mkdir()
    here = Workspace(workspace.folder / "here")
    here.table("t.parquet", range(9))
    here.configure({"t": {"source": "table", "path": "t.parquet", "id": "id"}})
    run = here.snakemake("--directory", "../there", check=False)
    assert run.returncode == 3
    assert f"t.parquet: no such file (seen from {workspace.folder / 'there'})" in run.stdout


def test_a_machine_too_small_for_one_job_is_told_before_the_start(two_sources):
    run = two_sources.snakemake("--resources", "mem_mb=100", check=False)
    assert run.returncode == 2
    assert "mem_mb=100; a single job of this configuration needs 400 MB" in run.stdout
    assert not two_sources.files("**/*.parquet")


def test_a_failed_job_shows_its_log_and_the_command_that_repeats_it(two_sources):
    two_sources.snakemake("--until", "shard")
    damage(two_sources.folder / "results/shards/t/0-49.parquet")
    run = two_sources.snakemake(check=False)
    assert run.returncode == 1
    assert "results/shards/t/0-49.parquet: damaged while reading" in run.stdout
    assert "python -P -m vacuagym label --shard=results/shards/t/0-49.parquet" in run.stdout
    assert "labels/t/50-99.parquet" in two_sources.files("labels/t/*"), "the other shards go on"


def test_the_logged_command_repeats_the_job(finished):
    path = finished.folder / "results/labels/t/0-49.parquet"
    rows = pq.read_table(path)
    path.unlink()
    command = (
        (finished.folder / "logs/label/t/0-49.log")
        .read_text()
        .splitlines()[0]
        .removeprefix("# command: python -P -m vacuagym ")
    )
    assert finished.vacuagym(*command.split()).returncode == 0
    assert pq.read_table(path).equals(rows)


def _jobs_of(pid: int) -> list[str]:
    """Command lines of living processes that a run with this pid started, a moment after its
    death.
    """
    time.sleep(0.5)
    jobs = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{parent_death.PARENT}={pid}".encode() in (process / "environ").read_bytes():
                jobs.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return jobs


def test_folders_that_cannot_be_written_to_are_told_before_the_start(two_sources):
    (two_sources.folder / "logs").write_text("a file, not a folder")
    run = two_sources.snakemake(check=False)
    assert run.returncode == 1
    assert "logs: cannot be written to" in run.stdout
    assert not two_sources.files("shards/*")


def test_a_nearly_full_disk_is_told_before_the_start(two_sources, monkeypatch):
    monkeypatch.setattr(
        "shutil.disk_usage", lambda path: type("Usage", (), {"free": 999 * 2**20})()
    )
    monkeypatch.chdir(two_sources.folder)
    with pytest.raises(VacuagymError, match="999 MB are free on this disk; a run needs 1000 MB"):
        require_folders()


def test_a_decompression_bomb_meets_the_memory_limit(workspace):
    giant = pa.table(
        {"id": [1], "source": ["a" * 600 * 2**20]}
    )  # one value, so one page; some kilobytes in the file
    pq.write_table(
        giant,
        workspace.folder / "bomb.parquet",
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )
    assert (workspace.folder / "bomb.parquet").stat().st_size < 2**20
    workspace.configure(
        {"bomb": {"source": "table", "path": "bomb.parquet", "id": "id", "namespace": "source"}}
    )
    run = workspace.snakemake(check=False)
    assert run.returncode == 4
    assert "data set bomb: " in run.stdout
    assert "out of memory (" in run.stdout
    assert "the job had 400 MB" in run.stdout
    assert "write the table with smaller row groups" in run.stdout
    assert "Traceback" not in run.stdout


COUNT_TIMERS = """
import threading
class Timer(threading.Timer):
    def start(self):
        with open("timers", "a") as file:
            file.write("x")
        super().start()
threading.Timer = Timer
"""


def test_snakemake_looks_for_new_jobs_when_one_has_ended_and_not_ever_more_often(two_sources):
    (two_sources.folder / "sitecustomize.py").write_text(COUNT_TIMERS)
    two_sources.snakemake(
        environment={"PYTHONPATH": str(two_sources.folder)}, target="results/labels.parquet"
    )
    assert not (two_sources.folder / "timers").exists()


FIRST_LOOK = """
import os, sys
if "snakemake" in sys.orig_argv:
    from snakemake.scheduling import job_scheduler
    def look(scheduler, jobs):
        with open("look", "w") as file:
            file.write(f"{type(scheduler._job_selector.__self__).__module__} {len(jobs)}")
        os._exit(0)
    job_scheduler.JobScheduler.job_selector = look
"""


def test_snakemake_looks_at_200_of_many_jobs_and_solves_no_problem_to_choose(workspace):
    """By default it looks at all of them and solves one: else the profile need not say more."""
    workspace.table("t.parquet", np.arange(201) * 10, [1] * 201)
    entry = {"source": "table", "path": "t.parquet", "id": "id", "moduli": "moduli"}
    workspace.configure({"t": entry}, shard_size=10)
    (workspace.folder / "sitecustomize.py").write_text(FIRST_LOOK)
    looks = []
    for profile in ((), ("--workflow-profile", "none")):
        workspace.snakemake(
            *profile,
            environment={"PYTHONPATH": str(workspace.folder)},
            target="results/labels.parquet",
        )
        looks.append((workspace.folder / "look").read_text())
    assert looks == ["snakemake.scheduling.greedy 200", "snakemake.scheduling.milp 201"]


def test_a_finished_label_file_is_kept_where_snakemake_could_not_record_its_end(finished):
    """As after kill -9, or on a full disk, between the end of a job and the record of it."""
    path = "results/labels/t/0-49.parquet"
    before = (finished.folder / path).stat()
    mark = finished.folder / ".snakemake/incomplete" / urlsafe_b64encode(path.encode()).decode()
    mark.write_text("{}")
    finished.snakemake("--rerun-incomplete")
    after = (finished.folder / path).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not mark.exists()


def test_deleting_all_output_deletes_the_data_set_and_nothing_of_the_user(finished):
    (finished.folder / "results/dataset/notes.txt").write_text("mine")
    finished.snakemake("--delete-all-output", "--dry-run")
    assert finished.files("dataset/data/*/*")
    finished.snakemake("--delete-all-output")
    assert [
        path
        for path in finished.files("dataset/**/*")
        if (finished.folder / "results" / path).is_file()
    ] == ["dataset/notes.txt"]
    assert (finished.folder / "t.parquet").exists()
