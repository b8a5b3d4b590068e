"""Many potentials at once, in the folder of a run and on a data set that was downloaded."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import vacuagym
from vacuagym.errors import InputError


def check(stacks, rows):
    """The stored critical points are those of the potentials, with the stored values."""
    seen = []
    for n, (keys, stack) in stacks.items():
        own = [rows[key] for key in keys]
        seen += keys
        assert {row["n_moduli"] for row in own} == {n}
        assert stack.K.shape == (len(keys), n, n)
        assert np.array_equal(stack.gamma, [row["gamma"] for row in own])
        found = np.array([row["minimization_success"] for row in own])
        phi = np.array([row["critical_point"] or [0.0] * n for row in own])
        values = np.array([row["potential_value"] or 0.0 for row in own])
        assert np.allclose(stack.value(phi)[found], values[found], rtol=1e-12)
        assert (
            np.linalg.norm(stack.gradient(phi), axis=1)[found] <= 2e-9 * (1 + np.abs(values[found]))
        ).all()
        spectra = np.linalg.eigvalsh(stack.hessian(phi))
        for row, spectrum in zip(own, spectra, strict=True):
            if row["minimization_success"]:
                assert np.allclose(spectrum, row["eigenvalues"], atol=1e-8)
    return seen


def test_in_the_folder_of_a_run(run):
    rows = {row["key"]: row for row in pq.read_table("results/labels.parquet").to_pylist()}
    keys = list(rows)[::-1]
    stacks = vacuagym.potentials(keys)
    assert sorted(check(stacks, rows)) == sorted(keys)
    for own, _ in stacks.values():
        assert own == [key for key in keys if key in own], "in the order that was asked for"
    single = vacuagym.rebuild(keys[0], draw=2)
    ((_, stack),) = vacuagym.potentials([keys[0]], draw=2).values()
    assert np.array_equal(stack.K[0], single.stack.K[0])


def test_on_a_downloaded_data_set(finished, tmp_path_factory):
    """A copy of the published folder alone, in another place."""
    rows = {
        row["key"]: row
        for row in pq.read_table(finished.folder / "results/labels.parquet").to_pylist()
    }
    copy = tmp_path_factory.mktemp("downloaded") / "vacua"
    shutil.copytree(finished.folder / "results/dataset", copy)
    assert sorted(check(vacuagym.potentials(rows, copy), rows)) == sorted(rows)


def test_what_is_not_there_is_named(run, tmp_path_factory):
    with pytest.raises(InputError, match="no label of 't:none:5'"):
        vacuagym.potentials(["t:none:5"])
    with pytest.raises(InputError, match="holds neither"):
        vacuagym.potentials(["t:1"], tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="draws are numbered from 0"):
        vacuagym.potentials([], draw=-1)


def test_the_package_names_what_users_call_and_imports_it_late():
    code = (
        "import sys, vacuagym; assert {'rebuild', 'potentials'} <= set(dir(vacuagym)); assert "
        "'numpy' not in sys.modules"
    )
    code += "; assert callable(vacuagym.potentials)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
