"""Labels where terms of V vanish, where it is flat, symmetric or barely bounded: against closed
forms and the second opinion.
"""

import contextlib
import io
import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import OF_A_POINT
from known_potentials import PHYSICS, key_of, random_rotation, settings
from vacuagym.checks.independent import disagreements, redraw
from vacuagym.config import checked_config, physics_sections
from vacuagym.stages.label import label
from vacuagym.tables.feature_schema import SCHEMA
from vacuagym.tables.parquet import write_table
from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.classes import LABELS
from vacuagym.theories.toy.ensemble import FluxDraws
from vacuagym.theories.toy.labelling import Physics, label_geometries, search_geometries
from vacuagym.theories.toy.potential import ToyPotential

COUNTS = [1, 2, 2, 3, 4, 6] * 10
NONE = [0.0, 0.0]
NO_SHIFT = dict.fromkeys(("generic", "stabilized", "tachyonic", "runaway"), NONE)
FREE = {
    "A": NONE,
    "D": NONE,
    "coupling": 0.0,
    "tilt": 0.0,
    "runaway_tilt": 0.0,
}  # V = Σ kᵢφᵢ² + γφᵢ⁴
NO_MASS = {"flux_mass": NONE, "mass_shift": NO_SHIFT, "coupling": 0.0}


def both_gammas(low, high=None):
    bounds = [low, low if high is None else high]
    return {"gamma": bounds, "runaway_gamma": bounds}


def sections_of(ensemble=(), search=(), **more):
    raw = {
        "moduli": {"min": 1, "max": 6},
        "ensemble": dict(ensemble),
        "search": dict(search),
        **more,
    }
    # A field range that is too short for the ensemble is refused; the search has to do what it
    # says all the same.
    allowed = {
        **raw,
        "search": {
            key: value
            for key, value in raw["search"].items()
            if key not in ("field_range", "start_range")
        },
    }
    sections = physics_sections(
        checked_config({**allowed, "search": {**allowed["search"], "field_range": 1e30}})
    )
    defaults = checked_config({})["search"]
    return sections | {
        "search": {**sections["search"], "field_range": defaults["field_range"], **raw["search"]}
    }


class Labelled:
    """The label stage's table of a small shard, by the physics of ``sections``."""

    def __init__(self, folder, sections, counts=COUNTS):
        self.sections = sections
        rows = pa.table(
            {
                "namespace": [None] * len(counts),
                "geometry_id": range(len(counts)),
                "moduli": counts,
            },
            schema=SCHEMA,
        )
        about = {
            "dataset": "toy",
            "first": 0,
            "last": len(counts) - 1,
            "rows": len(counts),
            "digest": "0",
        }
        with write_table(folder / "shard.parquet", SCHEMA, about) as writer:
            writer.write(rows)
        with contextlib.redirect_stdout(io.StringIO()):
            label(folder / "shard.parquet", sections, "f", 16, None, folder / "labels.parquet")
        self.rows = pq.read_table(folder / "labels.parquet").to_pylist()

    def system(self, row):
        """The potential of the draw that decided a row, by the second opinion's code."""
        return redraw(
            self.sections,
            dataset=row["dataset"],
            namespace=row["namespace"],
            geometry_id=row["geometry_id"],
            n=row["n_moduli"],
            draw=row["sample_idx"],
        )

    def labels(self):
        return {row["stability"] for row in self.rows}


@pytest.fixture
def table(tmp_path):
    """Makes a label table of given physics."""
    return lambda *changes, counts=COUNTS, **more: Labelled(
        tmp_path, sections_of(*changes, **more), counts
    )


# Every label is confirmed by the second opinion, whatever is switched off

UNUSUAL = {
    "defaults": ({}, {}),
    "D = 0": ({"D": NONE}, {}),
    "A = 0": ({"A": NONE}, {}),
    "A = D = 0": ({"A": NONE, "D": NONE}, {}),
    "σ = 0": ({"coupling": 0.0}, {}),
    "b = 0": ({"tilt": 0.0, "runaway_tilt": 0.0}, {}),
    "A = D = σ = b = 0": (FREE, {}),
    "A < 0": ({"A": [-2.5, -0.5]}, {}),
    "D < 0": ({"D": [-2.0, -1.0]}, {}),
    "D large": ({"D": [20.0, 40.0]}, {}),
    "A large": ({"A": [1e3, 1e4]}, {}),
    "a, p large": ({"a": [20.0, 30.0], "p": [20.0, 30.0]}, {}),
    "σ large": ({"coupling": 20.0}, {}),
    "γ of both signs": (both_gammas(-0.1, 0.1), {}),
    "γ = 0": (both_gammas(0.0), {}),
    "γ = 0 and K positive": (
        {**both_gammas(0.0), "coupling": 0.0, "regimes": {"tachyonic": 0}},
        {},
    ),
    "γ = 0 and nothing else": ({**FREE, **NO_MASS, **both_gammas(0.0)}, {}),
    "γ = 0, K = 0 and a tilt": ({"A": NONE, "D": NONE, **NO_MASS, **both_gammas(0.0)}, {}),
    "γ = 0 and K = 0": ({**NO_MASS, **both_gammas(0.0)}, {}),
    "γ = 1e-12 and K positive": (
        {**both_gammas(1e-12), "coupling": 0.0, "regimes": {"tachyonic": 0}},
        {},
    ),
    "γ = 1e-12": (both_gammas(1e-12), {}),
    "γ = −1e-12": (both_gammas(-1e-12), {}),
    "δ small": ({"delta": 1e-3}, {}),
    "δ large": ({"delta": 5.0}, {}),
    "steep tilt": ({"tilt": 300.0}, {}),
    "root alone": ({}, {"method": "root"}),
    "descent alone": ({}, {"method": "descent"}),
    "coarse eps": ({}, {"hess_eps": 0.3}),
    "few steps": ({}, {"root_steps": 1, "descent_steps": 1}),
    "field range 3": ({}, {"field_range": 3.0}),
    "field range 1": ({}, {"field_range": 1.0}),
    "far starts": ({}, {"start_range": 20.0}),
    "starts beyond the field range": ({}, {"start_range": 60.0}),
    "tight tolerance": ({}, {"grad_tol": 1e-12}),
    "loose tolerance": ({}, {"grad_tol": 1e-5}),
}


@pytest.mark.parametrize("case", list(UNUSUAL))
def test_every_label_is_confirmed_by_a_second_derivation(table, case):
    made = table(*UNUSUAL[case])
    found = [
        (row["key"], row["stability"], told)
        for row in made.rows
        for told in disagreements(row, made.sections)
    ]
    assert not found, f"{len(found)} in all, the first: {found[0]}"


@pytest.mark.parametrize("case", list(UNUSUAL))
def test_columns_hold_what_their_label_says(table, case):
    made = table(*UNUSUAL[case])
    for row in made.rows:
        assert row["minimization_success"] == (row["stability"] not in ("runaway", "failed"))
        if not row["minimization_success"]:
            assert all(row[name] is None for name in OF_A_POINT), row
            continue
        assert row["phi_norm"] <= made.sections["search"]["field_range"]
        assert row["grad_norm"] <= made.sections["search"]["grad_tol"] * (
            1.0 + abs(row["potential_value"])
        )
        assert len(row["critical_point"]) == len(row["eigenvalues"]) == row["n_moduli"]
        assert row["n_negative"] + row["n_positive"] + row["n_flat"] == row["n_moduli"]
        if row["stability"] == "stable":
            assert row["gamma"] >= 0.0
        if row["stability"] == "metastable":
            assert row["gamma"] <= 0.0
        else:
            assert row["barrier_height"] is None
        if row["barrier_height"] is not None:
            assert 0.0 < row["barrier_height"] < np.inf


def test_no_geometry_fails_where_a_term_is_switched_off(table):
    for case in (
        "D = 0",
        "A = 0",
        "A = D = 0",
        "σ = 0",
        "b = 0",
        "A = D = σ = b = 0",
        "γ = 0",
        "γ = 0 and nothing else",
    ):
        made = table(*UNUSUAL[case])
        assert "failed" not in made.labels(), case
        assert not sum(row["trials_failed"] for row in made.rows), case


def test_every_vacuum_of_a_falling_quartic_has_a_barrier(table):
    made = table({"regimes": {"generic": 0, "stabilized": 0, "tachyonic": 0}})
    vacua = [row for row in made.rows if row["stability"] == "metastable"]
    assert len(vacua) > 30
    for row in vacua:
        assert row["gamma"] < 0.0
        assert 0.0 < row["barrier_height"] < np.inf


# Closed forms


@pytest.mark.parametrize("method", ["root", "descent", "hybrid"])
def test_without_coupling_and_tilt_every_modulus_sits_at_zero_or_at_its_own_minimum(table, method):
    """V = Σ kᵢφᵢ² + γφᵢ⁴: critical points have φᵢ = 0 or φᵢ² = −kᵢ/2γ, with modes 2kᵢ and −4kᵢ."""
    made = table(FREE, {"method": method}, counts=[1, 2, 3, 5] * 25)
    seen = set()
    for row in made.rows:
        if not row["minimization_success"]:
            assert row["regime"] == "runaway"
            continue
        system = made.system(row)
        k, gamma, phi = np.diag(system.K), row["gamma"], np.array(row["critical_point"])
        assert not (system.K - np.diag(k)).any()
        moved = np.abs(phi) > 1e-3
        assert (-k[moved] / gamma > 0.0).all()
        expected = np.where(moved, np.sqrt(np.where(moved, -k / (2.0 * gamma), 0.0)), 0.0)
        np.testing.assert_allclose(np.abs(phi), expected, atol=1e-7)
        modes = np.where(moved, -4.0 * k, 2.0 * k)
        np.testing.assert_allclose(row["eigenvalues"], np.sort(modes), rtol=1e-6, atol=1e-7)
        assert row["potential_value"] == pytest.approx(
            -(k[moved] ** 2).sum() / (4.0 * gamma), rel=1e-9, abs=1e-9
        )
        if (modes > 0.0).all():
            answer = "metastable" if gamma < 0.0 else "stable"
        else:
            answer = "saddle" if (modes > 0.0).any() else "unstable"
        assert row["stability"] == answer
        if method == "descent":
            assert answer in ("stable", "metastable")
            np.testing.assert_array_equal(moved, k < 0.0)
        seen.add((answer, bool(moved.any())))
    assert {("stable", False), ("stable", True), ("metastable", False)} <= seen
    assert method == "descent" or {"saddle", "unstable"} & {answer for answer, _ in seen}


def test_the_barrier_without_coupling_and_tilt_is_that_of_the_easiest_modulus(table):
    """Along φᵢ, kᵢφ² − |γ|φ⁴ has its top at kᵢ²/4|γ|, and the eigenvectors are the axes."""
    made = table(
        {**FREE, "regimes": {"generic": 0, "stabilized": 0, "tachyonic": 0}}, {"method": "descent"}
    )
    assert made.labels() == {"metastable"}
    for row in made.rows:
        np.testing.assert_allclose(row["critical_point"], 0.0, atol=1e-9)
        k = np.diag(made.system(row).K)
        assert row["barrier_height"] == pytest.approx(
            (k.min() ** 2) / (4.0 * abs(row["gamma"])), rel=1e-9
        )


@pytest.mark.parametrize("gamma", [0.0, 1e-12, -1e-12])
def test_almost_without_a_quartic_the_minimum_is_that_of_the_quadratic(table, gamma):
    """φ = −K⁻¹b/2 and V = −bᵀK⁻¹b/4; bounded below or not is the sign of γ."""
    ensemble = {
        "A": NONE,
        "D": NONE,
        "flux_mass": [3.0, 4.0],
        "regimes": {"tachyonic": 0},
        **both_gammas(gamma),
    }
    made = table(ensemble)
    assert made.labels() == {"metastable" if gamma < 0.0 else "stable"}
    for row in made.rows:
        system = made.system(row)
        minimum = -np.linalg.solve(system.K, system.b) / 2.0
        np.testing.assert_allclose(row["critical_point"], minimum, atol=1e-9)
        assert row["potential_value"] == pytest.approx(system.b @ minimum / 2.0, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(
            row["eigenvalues"], 2.0 * np.linalg.eigvalsh(system.K), rtol=1e-9
        )
        assert (
            row["barrier_height"] is None
        )  # its top lies at |φ| of about 10⁶, far out of the field range


@pytest.mark.parametrize("gamma", [0.0, 1e-12, -1e-12])
def test_almost_without_a_quartic_a_negative_mode_leads_out_of_the_field_range(table, gamma):
    ensemble = {
        "A": NONE,
        "D": NONE,
        "regimes": {"generic": 0, "stabilized": 0, "runaway": 0},
        "mass_shift": {"tachyonic": [-40.0, -30.0]},
    }
    made = table({**ensemble, **both_gammas(gamma)}, {"method": "descent"})
    assert made.labels() == {"runaway"}
    root = table({**ensemble, **both_gammas(gamma)}, {"method": "root"})
    assert root.labels() == {"unstable"}
    for row in root.rows:
        system = root.system(row)
        np.testing.assert_allclose(
            row["critical_point"], -np.linalg.solve(system.K, system.b) / 2.0, atol=1e-9
        )


def test_one_modulus_is_enough(table):
    sections = sections_of(moduli={"min": 1, "max": 1})
    assert sections["moduli"]["min"] == 1
    made = table(moduli={"min": 1, "max": 1}, counts=[None, 0, 1, 2, 17] * 30)
    assert {row["n_moduli"] for row in made.rows} == {1}
    assert (
        {"stable", "metastable", "unstable"}
        <= made.labels()
        <= {"stable", "metastable", "unstable", "runaway"}
    )
    for row in made.rows:
        assert not disagreements(row, made.sections)
        if row["minimization_success"]:
            (mode,) = row["eigenvalues"]
            assert row["condition_number"] == 1.0
            assert row["log_abs_det_hessian"] == pytest.approx(np.log(abs(mode)))
            assert (row["stability"] == "unstable") == (mode < 0.0)


# Two minima of equal energy


def test_of_two_minima_of_equal_energy_the_first_restart_is_the_vacuum():
    """With b = 0, V(φ) = V(−φ)."""
    sections = sections_of(
        {"tilt": 0.0, "runaway_tilt": 0.0}, {"n_restarts": 5, "method": "descent"}
    )
    physics, n, count = Physics.from_mapping(sections), 3, 60
    found = search_geometries(physics, n, key_of(count), np.arange(count))
    shape = count, 3, 5
    value, phi, outcome = (
        found.trials.value.reshape(shape),
        found.trials.phi.reshape(*shape, n),
        found.trials.outcome.reshape(shape),
    )
    mirrored = not_the_least = 0
    for where in np.ndindex(count, 3):
        here = np.flatnonzero(outcome[where] == Outcome.CONVERGED)
        pairs = [
            (i, j)
            for i in here
            for j in here
            if i < j and np.allclose(phi[where][i], -phi[where][j], atol=1e-7)
        ]
        for i, j in pairs:
            assert abs(value[where][i] - value[where][j]) <= 1e-9 * (1.0 + abs(value[where][i]))
        if not len(here):
            continue
        lowest = value[where][here].min()
        tied = [i for i in here if value[where][i] <= lowest + 1e-9 * (1.0 + abs(lowest))]
        assert found.restart[where] == tied[0]
        mirrored += any(i in tied and np.abs(phi[where][i]).max() > 0.1 for i, _ in pairs)
        not_the_least += value[where][tied[0]] > lowest
    assert mirrored > 20
    assert not_the_least > 5, "or rounding would decide"
    row = label_geometries(physics, n, key_of(count), np.arange(count))
    np.testing.assert_array_equal(row["restart_idx"], found.restart[np.arange(count), found.sample])


def test_the_mirrored_minimum_is_the_vacuum_if_it_comes_first(hand_built):
    """V = −2φ² + φ⁴/2 has its minima at φ = ±√2 with V = −2."""
    mirror = toy(2, k=[-2.0, -2.0], gamma=0.5)
    starts = np.array([[[1.3, 1.3], [-1.3, 1.3]], [[-1.3, 1.3], [1.3, 1.3]]])
    rows = hand_built(mirror, starts)
    assert rows["restart_idx"].tolist() == [0, 0]
    np.testing.assert_allclose(
        rows["critical_point"], np.sqrt(2.0) * np.sign(starts[:, 0]), atol=1e-9
    )
    np.testing.assert_allclose(rows["potential_value"], -4.0, rtol=1e-12)


# Systems built by hand


def toy(count, k, b=None, gamma=0.0, rotation=None) -> ToyPotential:
    """``count`` copies of V = φᵀKφ + b·φ + γΣφᵢ⁴, K with the modes ``k``."""
    n, one = len(k), np.ones(count)
    K = np.diag(np.array(k, float))
    if rotation is not None:
        K = rotation.T @ K @ rotation
        K = (K + K.T) / 2.0
    b = np.zeros(n) if b is None else np.array(b, float)
    return ToyPotential(
        np.tile(K, (count, 1, 1)),
        np.tile(b, (count, 1)),
        0.0 * one,
        one,
        0.0 * one,
        one,
        gamma * one,
        0.1,
    )


@pytest.fixture
def hand_built(monkeypatch):
    """Labels systems (one draw each) from ``starts`` (B, restarts, n), through the code that
    labels geometries.
    """

    def rows(potential, starts, method="hybrid", **search):
        starts = np.asarray(starts, float)
        count, restarts, n = starts.shape

        def draws(ensemble, n, streams):
            rows = len(streams.ids)
            return FluxDraws(potential.take(streams.ids), np.zeros(rows, int), np.zeros(rows))

        monkeypatch.setattr("vacuagym.theories.toy.labelling.draw_fluxes", draws)
        monkeypatch.setattr(
            "vacuagym.theories.toy.labelling.draw_starts",
            lambda n, r, reach, streams: starts[streams.ids],
        )
        physics = replace(
            PHYSICS, search=settings(method, n_samples=1, n_restarts=restarts, **search)
        )
        return label_geometries(physics, n, key_of(count), np.arange(count))

    return rows


def scattered(count, restarts, n, seed=0):
    return np.random.default_rng(seed).uniform(-2.0, 2.0, (count, restarts, n))


def names(rows):
    return {LABELS[code] for code in rows["stability"]}


@pytest.mark.parametrize("method", ["root", "descent", "hybrid"])
@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("k", [[0.0, 3.0], [0.0, 0.0, 2.0], [0.0, 1.0, 5.0, 9.0]])
def test_an_exact_zero_mode_is_flat_and_marginal(hand_built, method, rotated, k):
    rotation = random_rotation(len(k), np.random.default_rng(8)) if rotated else None
    rows = hand_built(toy(40, k, rotation=rotation), scattered(40, 2, len(k)), method)
    assert names(rows) == {"marginal"}
    assert (rows["n_flat"] == k.count(0.0)).all()
    assert (rows["n_positive"] == len(k) - k.count(0.0)).all()
    np.testing.assert_allclose(rows["potential_value"], 0.0, atol=1e-14)
    if not rotated:
        assert np.isnan(rows["condition_number"]).all()
        assert np.isnan(rows["log_abs_det_hessian"]).all()


@pytest.mark.parametrize("method", ["root", "hybrid"])
def test_a_zero_mode_beside_negative_ones(hand_built, method):
    down = hand_built(toy(30, [-3.0, 0.0]), scattered(30, 1, 2), "root")
    assert names(down) == {"marginal"}  # no positive mode: flat and falling
    both = hand_built(toy(30, [-3.0, 0.0, 2.0]), scattered(30, 1, 3), method)
    assert names(both) == {"saddle"}
    assert (both["n_negative"] == 1).all()
    assert (both["n_flat"] == 1).all()


@pytest.mark.parametrize("method", ["root", "descent", "hybrid"])
def test_a_tilted_zero_mode_has_no_critical_point(hand_built, method):
    rows = hand_built(toy(30, [0.0, 3.0], b=[1.0, 0.5]), scattered(30, 2, 2), method)
    assert names(rows) <= {"runaway", "failed"}
    assert method == "root" or names(rows) == {"runaway"}
    for name in ("potential_value", "grad_norm", "min_eigenvalue", "phi_norm"):
        assert np.isnan(rows[name]).all()


@pytest.mark.parametrize("method", ["root", "descent", "hybrid"])
def test_a_direction_that_only_the_quartic_holds_is_marginal(hand_built, method):
    """Where V = γφ⁴ along a direction, ∇V is below every tolerance long before φ = 0: eps covers
    the mode 12γφ² that is left.
    """
    rows = hand_built(toy(40, [0.0, 8.0], gamma=0.3), scattered(40, 2, 2), method)
    assert names(rows) == {"marginal"}
    assert (rows["n_flat"] == 1).all()
    np.testing.assert_allclose(rows["critical_point"], 0.0, atol=2e-3)


def test_on_the_spot_a_pure_quartic_is_marginal(hand_built):
    rows = hand_built(toy(3, [0.0, 0.0], gamma=0.3), np.zeros((3, 2, 2)))
    assert names(rows) == {"marginal"}
    assert (rows["n_flat"] == 2).all()


def test_a_hessian_of_zeros_is_labelled_without_a_warning(hand_built):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = hand_built(toy(3, [0.0, 0.0]), scattered(3, 2, 2))
    assert names(rows) == {"marginal"}
    assert np.isnan(rows["condition_number"]).all()
    assert np.isnan(rows["log_abs_det_hessian"]).all()
    assert (rows["n_iterations"] == 0).all()


@pytest.mark.parametrize("method", ["root", "descent", "hybrid"])
@pytest.mark.parametrize(("distance", "label"), [(0.999, "stable"), (1.001, "runaway")])
def test_the_field_range_divides_vacua_from_runaways(hand_built, method, distance, label):
    """V = 4|φ|² + b·φ has its only minimum at −b/8."""
    for reach in (3.0, 50.0):
        minimum = distance * reach * np.array([0.6, -0.8])
        rows = hand_built(
            toy(20, [4.0, 4.0], b=-8.0 * minimum), scattered(20, 2, 2), method, field_range=reach
        )
        assert names(rows) == {label}
        if label == "stable":
            reached = np.linalg.norm(rows["critical_point"] - minimum, axis=1)
            assert (reached <= 1.01e-9 * (1.0 + np.abs(rows["potential_value"])) / 8.0).all()
            np.testing.assert_allclose(rows["potential_value"], -4.0 * minimum @ minimum, rtol=1e-9)
        else:
            assert np.isnan(rows["critical_point"]).all()


def test_a_stationary_point_of_the_squared_gradient_gets_no_label_of_a_critical_point(hand_built):
    """V = −φ² + 3φ + φ⁴/4: V' = φ³ − 2φ + 3 vanishes at φ = −1.893289 alone, and V'² has a minimum
    of its own at √(2/3).
    """
    starts = np.sqrt(2.0 / 3.0) + np.linspace(-0.5, 0.5, 41)[:, None, None]
    stuck = hand_built(toy(41, [-1.0], b=[3.0], gamma=0.25), starts, "root")
    assert "failed" in names(stuck)
    for method, rows in (
        ("root", stuck),
        ("hybrid", hand_built(toy(41, [-1.0], b=[3.0], gamma=0.25), starts)),
    ):
        assert names(rows) <= ({"stable", "failed"} if method == "root" else {"stable"})
        found = rows["minimization_success"]
        np.testing.assert_array_equal(
            found, [LABELS[code] == "stable" for code in rows["stability"]]
        )
        np.testing.assert_allclose(rows["critical_point"][found, 0], -1.8932891963045, atol=1e-9)
        assert np.isnan(rows["critical_point"][~found]).all()


def test_hundreds_of_trials_that_root_gave_up_have_no_critical_point():
    settled = replace(PHYSICS, search=settings("root"))
    found = search_geometries(settled, 6, key_of(150), np.arange(150))
    missed = found.trials.outcome != Outcome.CONVERGED
    assert missed.sum() > 100
    assert {LABELS[code] for code in found.labels.ravel()[missed]} <= {"failed", "runaway"}
    gradient = found.fluxes.potential.take(np.repeat(np.arange(450), 3)).gradient(found.trials.phi)
    assert (np.linalg.norm(gradient[missed], axis=1) > 1e-9).all()
    assert np.isnan(found.trials.spectrum[missed]).all()


@pytest.mark.parametrize("gamma", [1e-12, -1e-12, 0.0])
def test_whether_v_is_bounded_is_the_sign_of_gamma_however_small(hand_built, gamma):
    rows = hand_built(toy(10, [2.0, 3.0], b=[0.5, -1.0], gamma=gamma), scattered(10, 2, 2))
    assert names(rows) == {"metastable" if gamma < 0.0 else "stable"}
    np.testing.assert_allclose(rows["critical_point"], [[-0.125, 1.0 / 6.0]] * 10, atol=1e-10)
    saddle = hand_built(toy(10, [-2.0, 3.0], gamma=gamma), np.full((10, 1, 2), 0.1))
    assert names(saddle) <= {"saddle", "runaway"}
    rolled = hand_built(toy(10, [-2.0, 3.0], gamma=gamma), np.full((10, 1, 2), 0.1), "descent")
    assert names(rolled) == {"runaway"}
