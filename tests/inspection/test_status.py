"""What `vacuagym status` says before, during and after a run."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT
from vacuagym.inspection.status import _queue, dataset_status
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.paths import CONFIGURATION


def _status(workspace, *arguments: str) -> str:
    done = workspace.vacuagym("status", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


def _line(status: str, dataset: str) -> list[str]:
    return next(line for line in status.splitlines() if line.startswith(dataset)).split()


def test_before_anything_has_run(two_sources):
    assert "nothing has run in" in _status(two_sources)
    assert sorted(path.name for path in two_sources.folder.iterdir()) == [
        "mine.yaml",
        "t.parquet",
    ], "it changes nothing"


def test_after_a_run_and_after_a_change(finished):
    two_sources = finished
    status = _status(two_sources)
    assert _line(status, "t ")[1:8] == ["3", "3", "0", "0", "0", "0", "240"]
    assert "labels: all done; the table is results/labels.parquet" in status
    assert "all done; look at results/report.html" in status
    (two_sources.folder / "results/verification.json").unlink()
    status = _status(two_sources)
    assert "missing: results/verification.json" in status
    command = "--cores 2 --resources mem_mb=12000 --configfile mine.yaml computes what is missing"
    assert re.search(rf"^next: snakemake --snakefile \S+ {command}$", status, re.M), status
    (two_sources.folder / "results/labels/t/0-49.parquet").unlink()
    assert _line(_status(two_sources), "t ")[1:5] == ["3", "2", "0", "1"]
    two_sources.snakemake("--config", "seed=7", "--until", "shard")
    status = _status(two_sources)
    assert _line(status, "t ")[6] == "2", "labels of another seed are stale"
    assert "--config seed=7 --until shard computes what is missing" in status


def test_every_stage_of_the_last_run_has_a_line(finished):
    status = _status(finished)
    head = "jobs of the last run  total   done cut off waiting failed"
    assert head in status
    stages = {line.split()[0]: line.split()[1:] for line in status.splitlines() if line}
    assert stages["shard"] == stages["label"] == ["3", "3", "0", "0", "0"]
    for rule in ("merge", "verify", "validate", "gate", "report", "dataset"):
        assert stages[rule] == ["1", "1", "0", "0", "0"], rule
    assert not re.search(r"^all +\d", status, re.M)
    for path in finished.folder.glob("results/labels/t/*"):
        path.unlink()
    (finished.folder / "results/labels.parquet").unlink()
    finished.snakemake("--set-resources", "label:mem_mb=100", check=False)
    stages = {line.split()[0]: line.split()[1:] for line in _status(finished).splitlines() if line}
    assert stages["label"] == ["3", "0", "0", "0", "3"]
    assert stages["merge"] == ["1", "0", "0", "1", "0"]
    for content in ("{", "[]", '{"rules": {"label": 3}}', '{"run": "another", "rules": {}}'):
        (finished.folder / ".snakemake/vacuagym.jobs").write_text(content)
        assert "jobs of the last run" not in _status(finished)


def test_what_slurm_has_of_a_run_in_its_queue(two_sources, slow_run, monkeypatch, tmp_path):
    folder, tools = two_sources.folder, tmp_path / "tools"
    tools.mkdir()
    lines = [
        f"RUNNING|None|rule_label_wildcards_t_0_49|{folder}",
        f"PENDING|Priority|rule_label_wildcards_t_50_99|{folder}",
        f"PENDING|Priority|rule_merge|{folder}",
        f"PENDING|Resources|rule_labels_label_shard|{folder}",
        "RUNNING|None|rule_label|/somewhere/else",
        f"RUNNING|None|of others|{folder}",
    ]
    (tools / "squeue").write_text("#!/bin/sh\ncat <<'X'\n" + "\n".join(lines) + "\nX\n")
    (tools / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    status = _status(two_sources)
    assert "\nSlurm: pending for priority: 2 (label 1, merge 1)\n" in status, status
    assert "\nSlurm: pending for resources: 1 (group labels 1)\n" in status
    assert "\nSlurm: running: 1 (label 1)\n" in status
    assert "jobs of the last run  total   done   begun waiting failed" in status


def test_a_job_of_slurm_is_named_by_its_rule_or_its_group(tmp_path, monkeypatch):
    comments = {
        "label_threefolds_wildcards_w_0_49": "label_threefolds",
        "kklt_label_threefolds": "group kklt",
        "my_labels_label_label_threefolds_shard": "group my_labels",
        "tables_geometry_verify_geometry": "group tables",
        "verify_geometry_wildcards_w": "verify_geometry",
    }
    lines = [f"RUNNING|None|rule_{comment}|{tmp_path}" for comment in comments]
    (tmp_path / "squeue").write_text("#!/bin/sh\ncat <<'X'\n" + "\n".join(lines) + "\nX\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    rules = ["shard", "label", "label_threefolds", "threefolds", "geometry", "verify_geometry"]
    found = _queue(rules)
    assert found == {"RUNNING": dict.fromkeys(comments.values(), 1)}


def test_a_shard_waits_between_its_geometry_and_its_labels(workspace, monkeypatch):
    workspace.configure({"ws5": {"max_degree": 20}}, n_limit=3, shard_size=2)
    monkeypatch.chdir(workspace.folder)
    workspace.snakemake("--until", "threefolds")
    config = json.loads(Path(CONFIGURATION).read_text())
    pipeline = Pipeline(config)
    first, second = pipeline.geometry_shards("ws5")
    assert Path(first).is_file()
    Path(second).unlink()
    status = dataset_status(pipeline, "ws5", since=0.0)
    assert (status.waiting, status.running) == (1, 1)


def test_a_power_cut_may_have_torn_the_plan_and_the_settings(two_sources):
    two_sources.snakemake("--until", "shard")
    (plan,) = (two_sources.folder / "results/plans").iterdir()
    for content in (b"", b'{"shards": [', b"\xff\x00"):
        plan.write_bytes(content)
        assert "t                not planned yet" in _status(two_sources)
    assert "Job stats" in two_sources.snakemake("--dry-run").stdout
    (two_sources.folder / "results/configuration.json").write_bytes(b'{"datasets": ')
    assert "results/configuration.json: the file is torn" in _status(two_sources)


def test_a_failed_shard_is_named(two_sources):
    two_sources.snakemake("--set-resources", "label:mem_mb=100", check=False)
    status = _status(two_sources)
    assert _line(status, "t ")[1:6] == ["3", "0", "0", "0", "3"]
    assert "failed: logs/label/t/0-49.log" in status


def test_during_a_run_it_names_the_holder(two_sources, slow_run):
    status = _status(two_sources)
    assert f"run: pid {slow_run.pid} on " in status
    assert int(_line(status, "t ")[3]) >= 1
    slow_run.kill()
    slow_run.wait()
    assert "run: none at work" in _status(two_sources)


def test_what_an_earlier_run_logged_is_not_what_the_present_one_does(two_sources):
    """Of three shards one has failed and one was under way when an earlier run was killed; the
    present run has not come to any.
    """
    folder = two_sources.folder
    two_sources.snakemake("--until", "shard")
    logs = folder / "logs/label/t"
    logs.mkdir(parents=True)
    (logs / "0-49.log").write_text(
        "# command: python -P -m vacuagym label\nerror: results/shards/t/0-49.parquet: damaged\n"
    )
    (logs / "50-99.log").write_text("# command: python -P -m vacuagym label\n")
    assert _line(_status(two_sources), "t ")[1:6] == ["3", "0", "0", "2", "1"], (
        "no run is at work: the last one's failures count"
    )
    with run_lock_held_by_another(folder):
        status = _status(two_sources)
        assert "run: pid " in status
        assert _line(status, "t ")[1:6] == ["3", "0", "0", "3", "0"]
        (logs / "0-49.log").write_text("# command: python -P -m vacuagym label\n")
        (logs / "50-99.log").write_text("error: results/shards/t/50-99.parquet: damaged\n")
        assert _line(_status(two_sources), "t ")[1:6] == ["3", "0", "1", "1", "1"]


@contextlib.contextmanager
def run_lock_held_by_another(folder):
    """A process that has started a run in a folder and does nothing yet."""
    code = (
        "from vacuagym.orchestration.lock import hold_run_lock; hold_run_lock(); "
        "print(flush=True); input()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        holder.stdout.readline()
        yield
        holder.communicate("\n")


def test_an_interrupted_run_names_what_is_missing_and_reports_no_failed_job(two_sources):
    run = subprocess.Popen(
        two_sources.command("--config", "verify={share: 1.0}", "search={n_restarts: 20}"),
        cwd=two_sources.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    deadline = time.monotonic() + 90
    logs = two_sources.folder / "logs/verify_part"
    while not logs.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGSTOP)
    during = _status(two_sources)
    assert "verify" in during
    os.killpg(run.pid, signal.SIGCONT)
    time.sleep(0.2)
    os.killpg(run.pid, signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert "job failed" not in said, said
    assert "run the same command again to continue" in said
    status = _status(two_sources)
    assert "labels: all done" in status
    assert "results/verification.json" in status
    assert "next: snakemake" in status


def test_a_partial_target_ends_as_done(two_sources):
    assert "done: " in two_sources.snakemake("--until", "label").stdout.splitlines()[-1]
