"""Anyone can check a label: rebuild its potential, derive it again by other code, and notice when
the table lies.
"""

import ast
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import vacuagym
from conftest import edit_label, first_row_with
from vacuagym.checks import independent
from vacuagym.cli.main import main
from vacuagym.config import checked_config, physics_sections
from vacuagym.inspection.rebuild import parse_key
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.sample import SampleSize
from vacuagym.stages.verify import LabelDisagreement, verify
from vacuagym.tables.plan import Plan, label_file

ROWS = 60


def test_a_rebuilt_potential_has_its_rows_critical_point(run):
    for row in pq.read_table("results/labels.parquet").to_pylist():
        if row["minimization_success"]:
            potential = vacuagym.rebuild(row["key"], draw=row["sample_idx"])
            phi = np.array(row["critical_point"])
            assert potential.value(phi) == pytest.approx(row["potential_value"], rel=1e-12)
            assert np.linalg.norm(potential.gradient(phi)) <= 1e-9 * (
                1 + abs(row["potential_value"])
            )
            assert np.linalg.eigvalsh(potential.hessian(phi)) == pytest.approx(row["eigenvalues"])


def test_a_rebuilt_potential_takes_one_point_or_many(run):
    potential = vacuagym.rebuild("t:w5.ip.gz:2")
    points = np.random.default_rng(0).standard_normal((7, potential.n))
    for function in (potential.value, potential.gradient, potential.hessian):
        many = function(points)
        assert len(many) == 7
        assert np.array_equal(many[3], function(points[3]))
    with pytest.raises(ValueError, match="phi: shape "):
        potential.value(np.zeros(potential.n + 1))


def test_labels_are_explained_by_the_settings_that_made_them(run):
    before = vacuagym.rebuild("t:w5.ip.gz:2").value(np.full(7, 0.3))
    changed = yaml.safe_load(Path("config.yaml").read_text()) | {
        "seed": 7,
        "ensemble": {"tilt": 1.5},
    }
    Path("config.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    with pytest.warns(UserWarning, match="that of the label") as changes:
        after = vacuagym.rebuild("t:w5.ip.gz:2").value(np.full(7, 0.3))
    assert after == before
    told = " ".join(str(change.message) for change in changes)
    assert "seed is 7 in config.yaml and was 42 for the label" in told
    assert "ensemble.tilt is 1.5 in config.yaml and was 0.3 for the label" in told


def test_without_labels_the_configuration_decides(run):
    labelled = vacuagym.rebuild("t:w5.ip.gz:2").value(np.full(7, 0.3))
    Path("results/labels.parquet").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vacuagym.rebuild("t:w5.ip.gz:2").value(np.full(7, 0.3)) == labelled


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("fth6d:123", ("fth6d", None, 123)),
        ("ks:w5.ip.gz:-4", ("ks", "w5.ip.gz", -4)),
        ("t:a:b:1:9", ("t", "a:b:1", 9)),
        ("t::3", ("t", "", 3)),
    ],
)
def test_keys_are_read_back(key, parts):
    assert parse_key(key) == parts


@pytest.mark.parametrize(
    ("key", "code"), [("nonsense", 2), ("t:w5.ip.gz:x", 2), ("other:1", 2), ("t:w5.ip.gz:99", 3)]
)
def test_explain_says_what_is_wrong_with_a_key(run, capsys, key, code):
    assert main(["explain", key]) == code
    assert key.split(":")[0] in capsys.readouterr().err


def test_explain_shows_every_trial_and_agrees_with_an_honest_table(run, capsys):
    for label_name in ("stable", "saddle"):
        key = pq.read_table("results/labels.parquet")["key"][first_row_with(label_name)].as_py()
        assert main(["explain", key, "--precise"]) == 0
        shown = capsys.readouterr().out
        assert shown.count("converged") + shown.count("escaped") == 9
        assert f"label: {label_name}" in shown
        assert "at 50 digits" in shown
        assert "the table agrees" in shown


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("stability", lambda row: "saddle"),
        ("potential_value", lambda row: row + 1e-4),
        ("critical_point", lambda row: [x + 1e-3 for x in row]),
        ("eigenvalues", lambda row: [*row[:-1], row[-1] * 1.01]),
        ("min_eigenvalue", lambda row: row * 1.01),
        ("gamma", lambda row: row * (1 + 1e-9)),
        ("regime", lambda row: "runaway"),
    ],
)
def test_a_lie_in_the_table_is_noticed(run, column, change):
    position = first_row_with("stable")
    value = pq.read_table("results/labels.parquet")[column][position].as_py()
    key = edit_label(column, position, change(value))
    assert main(["explain", key]) == 1
    with pytest.raises(LabelDisagreement, match=f"{key}: {column}"):
        verify(Path("results/labels.parquet"), SampleSize(1.0, 0, 0), Path("validation.json"))


def test_a_wrong_barrier_is_noticed(run):
    position = first_row_with("metastable")
    height = pq.read_table("results/labels.parquet")["barrier_height"][position].as_py()
    verify(Path("results/labels.parquet"), SampleSize(1.0, 0, 0), Path("validation.json"))
    edit_label("barrier_height", position, height * 1.001)
    with pytest.raises(LabelDisagreement, match="barrier_height"):
        verify(Path("results/labels.parquet"), SampleSize(1.0, 0, 0), Path("validation.json"))


def test_the_sample_holds_every_label_however_rare(run):
    verify(Path("results/labels.parquet"), SampleSize(0.0, 0, 1), Path("validation.json"))
    figures = json.loads(Path("validation.json").read_text())
    present = set(pq.read_table("results/labels.parquet")["stability"].to_pylist())
    assert figures["by_label"] == dict.fromkeys(present, 1)
    verify(Path("results/labels.parquet"), SampleSize(0.0, 10, 0), Path("validation.json"))
    assert json.loads(Path("validation.json").read_text())["verified"] == 10


def test_the_second_opinion_shares_no_code_with_thefirst_row_with():
    tree = ast.parse(Path(independent.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert not {name for name in imported if name and name.startswith("vacuagym")}


@pytest.mark.parametrize(
    "physics",
    [
        {"search": {"field_range": 12.0}, "ensemble": {"gamma": [3.0, 4.0]}},
        {"search": {"grad_tol": 1e-4}},
        {"search": {"hess_eps": 0.3}},
        {"search": {"method": "descent", "start_range": 5.0}},
        {"ensemble": {"gamma": [0.0, 0.0], "runaway_gamma": [0.0, 0.0]}},
        {"ensemble": {"A": [-1.0, 0.0], "D": [-2.0, 0.0]}},
        {
            "moduli": {"min": 1, "map": "log_cap"},
            "ensemble": {"coupling": 0.0, "tilt": 0.0, "delta": 0.5},
        },
    ],
)
def test_the_second_opinion_agrees_for_every_valid_physics(run, physics):
    sections = physics_sections(checked_config(physics))
    planned = Plan.read("plan.json")
    for piece in planned.shards:
        label(
            Path(f"{piece.first}.parquet"),
            sections,
            "other",
            16,
            None,
            label_file(Path("other"), "t", piece),
        )
    merge([planned], Path("other"), {}, Path("other.parquet"))
    verify(Path("other.parquet"), SampleSize(1.0, 0, 0), Path("validation.json"))
    assert json.loads(Path("validation.json").read_text())["verified"] == len(
        pq.read_table("other.parquet")
    )


def test_a_key_beyond_the_limit_of_the_last_run_is_told_why_it_has_no_label(two_sources):
    two_sources.snakemake("--config", "n_limit=45", target="results/labels.parquet")
    said = two_sources.vacuagym("explain", "t:w5.ip.gz:90", "--config=mine.yaml")
    assert said.returncode == 0, said.stdout
    assert "t:w5.ip.gz:90 has no label yet; the last run had n_limit 45" in said.stdout


def test_a_downloaded_data_set_is_explained_and_rebuilt_alone(
    finished, tmp_path_factory, monkeypatch, capsys
):
    folder = tmp_path_factory.mktemp("downloaded") / "vacua"
    shutil.copytree(finished.folder / "results/dataset", folder)
    monkeypatch.chdir(folder)
    key = pq.read_table(next(folder.glob("data/labels/e*.parquet")))["key"][0].as_py()
    vacuagym.explain(key)
    assert "the table agrees" in capsys.readouterr().out
    row = vacuagym.load(".", columns=["key", "gamma", "sample_idx"]).set_index("key").loc[key]
    potential = vacuagym.rebuild(key, draw=int(row["sample_idx"]))
    assert potential.stack.gamma[0] == row["gamma"]
