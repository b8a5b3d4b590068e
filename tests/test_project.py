"""The project as a whole: pins that agree, files without addresses, documents that say what the
code does.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import OF_A_POINT, ROOT
from vacuagym.tables.label_schema import COLUMNS

LOCKS = tuple(f"requirements{name}.lock" for name in ("", "-test", "-site", "-slurm"))


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _pins(name: str = "requirements.lock") -> dict[str, str]:
    lock = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ]+)", lock, flags=re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_pins_every_package_by_hash_and_names_no_address(name):
    lock = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", lock)
    assert {re.match("[A-Za-z0-9_.-]+", entry)[0] for entry in entries} == set(_pins(name))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock
    assert "index" not in lock.replace("index-", "").splitlines()[0]


def test_the_tests_run_with_the_versions_of_the_pipeline_and_without_cuda():
    tested = _pins("requirements-test.lock")
    assert _pins().items() <= tested.items()
    assert _pins().items() <= _pins("requirements-slurm.lock").items()
    assert "snakemake-executor-plugin-slurm" in _pins("requirements-slurm.lock")
    assert [name for name in tested if re.search("torch|cuda|nvidia", name)] == []


def test_the_conda_environment_has_the_versions_of_the_lock():
    environment = yaml.safe_load((ROOT / "envs/vacuagym.yaml").read_text(encoding="utf-8"))
    pins = _pins()
    versions = dict(entry.split(" =") for entry in environment["dependencies"] if " =" in entry)
    versions["snakemake"] = versions.pop("snakemake-minimal")
    assert versions.pop("python") == "3.11"
    assert versions == {name: pins[name] for name in versions}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r"^dependencies = \[(.*?)\]", project, flags=re.MULTILINE | re.DOTALL)[1]
    assert set(re.findall(r'"([a-z0-9]+)', needed)) <= set(versions)


def test_the_profile_of_slurm_names_rules_and_groups_that_exist():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("workflow/rules/*.smk"))
    rules = set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE))
    groups = dict(entry.split("=") for entry in profile["groups"])
    assert set(groups) < rules
    assert {entry.split("=")[0] for entry in profile["group-components"]} <= set(groups.values())
    assert {entry.split(":")[0] for entry in profile["set-resources"]} < rules
    page = (ROOT / "docs/how-to/cluster.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == set(groups.values())


def test_results_and_logs_stay_out_of_version_control():
    tracked = {str(path.relative_to(ROOT)) for path in _tracked()}
    assert {name for name in tracked if name.startswith(("results/", "logs/"))} == {
        "results/.gitkeep",
        "logs/.gitkeep",
    }


def test_modules_stay_readable():
    long = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in _tracked()
        if path.suffix == ".py"
    }
    assert {
        name: lines for name, lines in long.items() if name.startswith("workflow/") and lines > 450
    } == {}


def test_every_column_of_the_interface_is_in_the_label_table():
    named = [
        "key",
        "dataset",
        "namespace",
        "geometry_id",
        "moduli",
        "n_moduli",
        "stability",
        "minimization_success",
        *OF_A_POINT,
        "sample_idx",
        "restart_idx",
        "method",
        "n_iterations",
        "regime",
        "mass_shift",
        "gamma",
        "A_np",
        "a_np",
        "D_up",
        "p_up",
    ]
    labels = ["stable", "metastable", "saddle", "unstable", "marginal", "runaway", "failed"]
    assert [column.name for column in COLUMNS] == [
        *named,
        *(f"trials_{label}" for label in labels),
        *(f"draws_{label}" for label in labels),
    ]


def test_lint_finds_nothing_but_the_environment_that_is_installed_by_hand():
    """Jobs use the environment of the run, so no rule has a `conda:` line."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--lint"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = {line.strip() for line in (run.stdout + run.stderr).splitlines() if "    * " in line}
    assert found <= {"* Specify a conda environment or container for each rule.:"}
    assert found
