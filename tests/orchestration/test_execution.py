"""What is prepared before Snakemake creates an executor: the lock, the memory, the repetitions."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.resources import Resources
from snakemake_interface_executor_plugins.settings import CommonSettings

from vacuagym.orchestration import execution, requirements
from vacuagym.orchestration.execution import BESIDE_MB, FORCED, prepare_execution
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.orchestration.requirements import require_machine
from vacuagym.runtime.lease import RUN, read_lease


class AWorkflow:
    """What the preparation knows of a workflow of Snakemake."""

    def __init__(self, **resources):
        self.is_main_process, self.executed = True, []
        self.execution_settings = SimpleNamespace(keep_incomplete=False)
        self.dag_settings = SimpleNamespace(forcerun=set(), forceall=False, forcetargets=False)
        self.rules = [SimpleNamespace(resources=Resources.from_mapping(resources))]

    def execute(self, **settings):
        self.executed.append(settings)

    def run(self, *, local=False, dry=False):
        prepare_execution(self, None)
        settings = CommonSettings(
            non_local_exec=not local,
            implies_no_shared_fs=False,
            job_deploy_sources=False,
            dryrun_exec=dry,
        )
        self.execute(executor_plugin=SimpleNamespace(common_settings=settings), other=1)
        return self.rules[0].resources


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN, raising=False)
    monkeypatch.setenv(RUN, "of another run")
    return tmp_path


@pytest.mark.parametrize("declared", [400, lambda wildcards, attempt: 200 * attempt])
@pytest.mark.parametrize("local", [True, False])
def test_jobs_on_other_hosts_declare_snakemakes_own_memory_too(folder, declared, local):
    workflow = AWorkflow(mem_mb=declared, stall_minutes=60)
    found = workflow.run(local=local)
    own = found["mem_mb"].evaluate(wildcards={}, attempt=2) if callable(declared) else None
    megabytes = (own or found["mem_mb"]).value
    assert megabytes == 400 + (0 if local else BESIDE_MB)
    assert found["stall_minutes"].value == 60
    assert workflow.execution_settings.keep_incomplete is not local
    assert len(workflow.executed) == 1
    assert read_lease()["run"] != "of another run"


@pytest.mark.parametrize("option", ["forcerun", "forceall", "forcetargets"])
def test_jobs_on_other_hosts_know_that_the_user_forces_them(folder, monkeypatch, option):
    monkeypatch.setenv(FORCED, "1")
    workflow = AWorkflow()
    workflow.run()
    assert not os.environ[FORCED]
    (folder / "again").mkdir()
    monkeypatch.chdir(folder / "again")
    forced = AWorkflow()
    setattr(forced.dag_settings, option, {"label"} if option == "forcerun" else True)
    forced.run()
    assert os.environ[FORCED]


def test_a_dry_run_takes_no_lock(folder):
    assert AWorkflow(mem_mb=400).run(dry=True)["mem_mb"].value == 400
    assert not list(folder.iterdir())


def test_the_lock_comes_before_the_executor(folder, monkeypatch, capsys):
    monkeypatch.setattr(requirements, "LEAST_DISK_MB", 10**12)
    workflow = AWorkflow()
    with pytest.raises(SystemExit):
        workflow.run()
    assert not workflow.executed
    assert "a run needs 1000000000000 MB" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(execution, "hold_run_lock", lambda: (_ for _ in ()).throw(OSError("held")))
    with pytest.raises(SystemExit):
        workflow.run()
    assert not workflow.executed
    assert "held" in capsys.readouterr().err


def test_the_memory_of_a_login_node_says_nothing_of_other_hosts(monkeypatch):
    monkeypatch.setattr(requirements.os, "sysconf", lambda name: 2**14)
    pipeline = Pipeline({})
    require_machine(pipeline, None, here=False)
    with pytest.raises(Exception, match="memory: this machine has 256 MB"):
        require_machine(pipeline, None)
    with pytest.raises(Exception, match="mem_mb=100"):
        require_machine(pipeline, 100, here=False)
