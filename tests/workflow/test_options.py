"""Every key of the sections `moduli`, `ensemble` and `search` changes what its description says and
nothing else. Wrong values are refused.
"""

import math
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from known_potentials import key_of
from vacuagym.config import checked_config, physics_sections
from vacuagym.config.model import Configuration
from vacuagym.config.written import keys
from vacuagym.errors import ConfigError
from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.classes import FAILED, LABELS, MARGINAL, METHODS, RUNAWAY, STABLE
from vacuagym.theories.toy.ensemble import REGIMES, draw_fluxes, draw_starts
from vacuagym.theories.toy.hybrid import search
from vacuagym.theories.toy.labelling import Physics, label_geometries, search_geometries
from vacuagym.theories.toy.random_streams import Streams

SECTIONS = ("moduli", "ensemble", "search")
COVERED = {"seed"}
RUNAWAY_REGIME = REGIMES.index("runaway")
ALL = frozenset(range(len(REGIMES)))
OTHERS = ALL - {RUNAWAY_REGIME}


def covers(*keys):
    """Marks a test as that of these keys of the configuration."""
    COVERED.update(keys)
    return lambda test: test


KEYS = [
    key.path
    for name in SECTIONS
    for key in keys(Configuration.model_fields[name].annotation, f"{name}.")
    if key.values != "section"
]


def configuration(changes):
    """The configuration in which the keys of ``changes`` have their values and all others their
    defaults.
    """
    raw = {}
    for path, value in changes.items():
        *sections, key = path.split(".")
        section = raw
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
    return checked_config(raw)


def physics(changes=None) -> Physics:
    return Physics.from_mapping(physics_sections(configuration(changes or {})))


def drawn(changes=None, n=3, count=500):
    """What the draws 0 of the ids 0 … count − 1 hold, each with the draws as its first axis."""
    settings = physics(changes)
    flux = draw_fluxes(
        settings.ensemble,
        n,
        Streams(key_of(count, settings.seed, "toy", None), np.arange(count), np.zeros(count, int)),
    )
    toy, rows = flux.potential, np.arange(n)
    return {
        "regime": flux.regime,
        "mass_shift": flux.mass_shift,
        "diagonal": toy.K[:, rows, rows],
        "coupling": toy.K[:, *np.triu_indices(n, 1)],
        **{name: getattr(toy, name) for name in ("b", "A", "a", "D", "p", "gamma")},
        "delta": np.full(count, toy.delta),
    }


def labelled(changes=None, n=3, count=60):
    settings = physics(changes)
    return label_geometries(
        settings, n, key_of(count, settings.seed, "toy", None), np.arange(count)
    )


def searched(changes=None, n=3, count=60):
    settings = physics(changes)
    return search_geometries(
        settings, n, key_of(count, settings.seed, "toy", None), np.arange(count)
    )


@cache
def default_draws():
    return drawn()


def by_draw(array):
    """``array`` (draws, …) as (draws, numbers)."""
    return np.asarray(array).reshape(len(array), -1)


# The ensemble

RANGES = {  # key: another range, what holds the number, the regimes that draw from it
    "ensemble.gamma": ([0.7, 0.9], "gamma", OTHERS),
    "ensemble.runaway_gamma": ([-3.0, -2.0], "gamma", {RUNAWAY_REGIME}),
    "ensemble.A": ([-4.0, -3.0], "A", ALL),
    "ensemble.a": ([3.0, 4.0], "a", ALL),
    "ensemble.D": ([-5.0, -2.0], "D", ALL),
    "ensemble.p": ([4.0, 5.0], "p", ALL),
    **{
        f"ensemble.mass_shift.{name}": ([20.0, 30.0], "mass_shift", {number})
        for number, name in enumerate(REGIMES)
    },
}
CHANGES = {  # key: another value, what it moves, in the draws of which regimes
    **{
        key: (value, {name} | ({"diagonal"} if name == "mass_shift" else set()), regimes)
        for key, (value, name, regimes) in RANGES.items()
    },
    "ensemble.flux_mass": ([4.0, 5.0], {"diagonal"}, ALL),
    "ensemble.coupling": (0.1, {"diagonal", "coupling"}, ALL),
    "ensemble.tilt": (0.9, {"b"}, ALL),
    "ensemble.runaway_tilt": (5.0, {"b"}, {RUNAWAY_REGIME}),
    "ensemble.delta": (0.3, {"delta"}, ALL),
}


@covers(*CHANGES)
@pytest.mark.parametrize("key", list(CHANGES))
def test_a_distribution_moves_its_own_coupling_and_no_other(key):
    value, moved, regimes = CHANGES[key]
    before, after = default_draws(), drawn({key: value})
    there = np.isin(before["regime"], list(regimes))
    assert there.any()
    for name, numbers in before.items():
        differs = by_draw(after[name]) != by_draw(numbers)
        expected = np.broadcast_to((there & (name in moved))[:, None], differs.shape)
        np.testing.assert_array_equal(differs, expected, err_msg=name)


@pytest.mark.parametrize("key", list(RANGES))
def test_a_range_is_where_its_coupling_lies_and_only_stretches_the_same_numbers(key):
    (low, high), name, regimes = RANGES[key]
    there = np.isin(default_draws()["regime"], list(regimes))
    after = drawn({key: [low, high]})[name][there]
    assert ((low < after) & (after < high)).all()
    unit = drawn({key: [1.0, 2.0]})[name][there] - 1.0
    np.testing.assert_allclose(after, low + (high - low) * unit, rtol=1e-12)
    assert unit.min() < 0.1
    assert unit.max() > 0.9
    assert (drawn({key: [1.5, 1.5]})[name][there] == 1.5).all()


def test_without_coupling_the_mass_matrix_is_diagonal_and_holds_masses_and_shift():
    free = drawn({"ensemble.coupling": 0.0})
    assert not free["coupling"].any()
    assert default_draws()["coupling"].all()
    masses = np.sqrt(free["diagonal"] - free["mass_shift"][:, None])
    assert ((masses > 1.0) & (masses < 3.0)).all()
    other = drawn({"ensemble.coupling": 0.0, "ensemble.flux_mass": [4.0, 5.0]})
    np.testing.assert_allclose(
        np.sqrt(other["diagonal"] - other["mass_shift"][:, None]),
        4.0 + (masses - 1.0) / 2.0,
        rtol=1e-12,
    )


def test_the_coupling_scales_lambda():
    free, one, three = (drawn({"ensemble.coupling": sigma}) for sigma in (0.0, 1.0, 3.0))
    for name in ("diagonal", "coupling"):
        np.testing.assert_allclose(
            three[name] - free[name], 3.0 * (one[name] - free[name]), rtol=1e-9, atol=1e-12
        )


def test_the_tilt_scales_the_linear_term_and_the_runaway_tilt_is_added_in_squares():
    runaway = default_draws()["regime"] == RUNAWAY_REGIME
    before, after = default_draws()["b"], drawn({"ensemble.tilt": 1.5})["b"]
    np.testing.assert_allclose(after[~runaway], 5.0 * before[~runaway], rtol=1e-13)
    np.testing.assert_allclose(
        after[runaway], math.hypot(1.5, 2.0) / math.hypot(0.3, 2.0) * before[runaway], rtol=1e-13
    )
    alike = drawn({"ensemble.runaway_tilt": 0.0})["b"]
    np.testing.assert_allclose(
        alike[runaway], 0.3 / math.hypot(0.3, 2.0) * before[runaway], rtol=1e-13
    )
    assert not drawn({"ensemble.tilt": 0.0, "ensemble.runaway_tilt": 0.0})["b"].any()
    only = drawn({"ensemble.tilt": 0.0})["b"]
    assert not only[~runaway].any()
    assert only[runaway].all()


@covers(*(f"ensemble.regimes.{name}" for name in REGIMES))
@pytest.mark.parametrize("name", REGIMES)
def test_a_regime_is_drawn_by_its_weight(name):
    number, others = (
        REGIMES.index(name),
        [f"ensemble.regimes.{other}" for other in REGIMES if other != name],
    )
    assert number not in drawn({f"ensemble.regimes.{name}": 0.0})["regime"]
    assert set(drawn(dict.fromkeys(others, 0))["regime"]) == {number}
    shares = [
        (drawn({f"ensemble.regimes.{name}": weight}, n=1, count=4000)["regime"] == number).mean()
        for weight in (0.1, 1.0, 9.0)
    ]
    rest = 1.0 - {"generic": 0.3, "stabilized": 0.1, "tachyonic": 0.35, "runaway": 0.25}[name]
    for weight, share in zip((0.1, 1.0, 9.0), shares, strict=True):
        expected = weight / (weight + rest)
        assert abs(share - expected) < 4.0 * math.sqrt(expected * (1.0 - expected) / 4000)


@pytest.mark.parametrize("name", REGIMES)
def test_a_weight_moves_only_what_depends_on_the_regime(name):
    before, after = default_draws(), drawn({f"ensemble.regimes.{name}": 3.0})
    same = before["regime"] == after["regime"]
    assert 0 < same.sum() < len(same)
    for quantity, numbers in before.items():
        rows = (
            same if quantity in ("regime", "mass_shift", "diagonal", "b", "gamma") else slice(None)
        )
        np.testing.assert_array_equal(after[quantity][rows], numbers[rows], err_msg=quantity)


def test_only_the_proportions_of_the_weights_count():
    doubled = {
        f"ensemble.regimes.{name}": 2.0 * weight
        for name, weight in physics().ensemble.regimes.items()
    }
    np.testing.assert_array_equal(drawn(doubled)["regime"], default_draws()["regime"])


def test_the_ensemble_reaches_the_columns_of_the_labels():
    ranges = {
        "A": ("A_np", 7.0),
        "a": ("a_np", 1.25),
        "D": ("D_up", 0.5),
        "p": ("p_up", 1.75),
        "gamma": ("gamma", 0.2),
    }
    changes = {f"ensemble.{key}": [value, value] for key, (_, value) in ranges.items()} | {
        "ensemble.regimes.runaway": 0
    }
    changes |= {f"ensemble.mass_shift.{name}": [3.5, 3.5] for name in REGIMES}
    row = labelled(changes, count=20)
    for column, value in [*ranges.values(), ("mass_shift", 3.5)]:
        assert (row[column] == value).all(), column
    narrow, wide = labelled({"ensemble.delta": 0.05}), labelled({"ensemble.delta": 0.2})
    assert (narrow["potential_value"] != wide["potential_value"]).all()
    np.testing.assert_array_equal(narrow["A_np"], wide["A_np"])


# The number of moduli


@covers("moduli.map", "moduli.min", "moduli.max")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [2, 2, 2, 5, 32, 32]),
        ({"moduli.map": "sqrt_cap"}, [2, 2, 2, 2, 10, 32]),
        ({"moduli.map": "log_cap"}, [2, 2, 3, 9, 23, 32]),
        ({"moduli.min": 1}, [1, 1, 1, 5, 32, 32]),
        ({"moduli.min": 4}, [4, 4, 4, 5, 32, 32]),
        ({"moduli.max": 4}, [2, 2, 2, 4, 4, 4]),
        ({"moduli.max": 256, "search.field_range": 200.0}, [2, 2, 2, 5, 100, 256]),
        ({"moduli.min": 7, "moduli.max": 7}, [7] * 6),
        ({"moduli.map": "sqrt_cap", "moduli.min": 1, "moduli.max": 9}, [1, 1, 1, 2, 9, 9]),
    ],
)
def test_the_number_of_moduli_follows_map_least_and_most(changes, expected):
    counts, missing = np.array([9, 0, 1, 5, 100, 90_000]), np.array([True] + [False] * 5)
    assert physics(changes).moduli(counts, missing).tolist() == expected


# The search


@covers("search.method")
def test_a_method_is_the_solver_that_ends_the_trials():
    root, descent, hybrid = (
        searched({"search.method": name}, n=4, count=150).trials
        for name in ("root", "descent", "hybrid")
    )
    assert {METHODS[code] for code in root.method} == {"root"}
    assert {METHODS[code] for code in descent.method} == {"descent"}
    converged = root.outcome == Outcome.CONVERGED
    assert 0 < converged.sum() < len(converged)
    np.testing.assert_array_equal(
        hybrid.method, np.where(converged, METHODS.index("root"), METHODS.index("descent"))
    )
    np.testing.assert_array_equal(hybrid.phi, np.where(converged[:, None], root.phi, descent.phi))
    for name in ("root", "descent", "hybrid"):
        column = labelled({"search.method": name}, n=4, count=150)["method"]
        assert {METHODS[code] for code in column} == (
            {"root", "descent"} if name == "hybrid" else {name}
        )


def test_descent_labels_minima_and_runaways_while_root_labels_saddles_too():
    found = {
        name: {
            LABELS[code] for code in labelled({"search.method": name}, n=4, count=150)["stability"]
        }
        for name in METHODS
    }
    assert found["descent"] <= {"stable", "metastable", "runaway"}
    assert "saddle" in found["root"]


@covers("search.n_samples")
def test_more_flux_draws_leave_the_first_ones_alone():
    three, five = searched({}), searched({"search.n_samples": 5})
    assert three.draw_labels.shape == (60, 3)
    np.testing.assert_array_equal(five.draw_labels[:, :3], three.draw_labels)
    np.testing.assert_array_equal(five.labels[:, :3], three.labels)
    phi = five.trials.phi.reshape(60, 5, 3, 3)
    np.testing.assert_array_equal(phi[:, :3], three.trials.phi.reshape(60, 3, 3, 3))
    assert not (phi[:, 3] == phi[:, 4]).all(axis=-1).any()
    for draws in (1, 5):
        row = labelled({"search.n_samples": draws})
        assert (row["draw_counts"].sum(axis=1) == draws).all()
        assert (row["trial_counts"].sum(axis=1) == 3 * draws).all()


@covers("search.n_restarts")
def test_more_restarts_leave_the_first_ones_alone():
    two, six = searched({"search.n_restarts": 2}), searched({"search.n_restarts": 6})
    np.testing.assert_array_equal(six.labels[:, :, :2], two.labels)
    for name, numbers in vars(two.trials).items():
        more = getattr(six.trials, name)
        first = more.reshape(60, 3, 6, *more.shape[1:])[:, :, :2]
        np.testing.assert_array_equal(first, numbers.reshape(first.shape), err_msg=name)
    one, many = labelled({"search.n_restarts": 1}), labelled({"search.n_restarts": 6})
    assert not one["restart_idx"].any()
    assert len(set(many["restart_idx"])) > 3
    for restarts, row in ((1, one), (6, many)):
        assert (row["trial_counts"].sum(axis=1) == 3 * restarts).all()
        assert (row["draw_counts"].sum(axis=1) == 3).all()
    both = (
        one["minimization_success"]
        & many["minimization_success"]
        & (one["sample_idx"] == many["sample_idx"])
    )
    assert (many["potential_value"][both] <= one["potential_value"][both]).all()
    assert (many["potential_value"][both] < one["potential_value"][both] - 1e-3).any()


@covers("search.grad_tol")
def test_a_looser_tolerance_accepts_larger_gradients_with_fewer_steps():
    ratios, steps = [], []
    for tolerance in (1e-12, 1e-9, 1e-3):
        row = labelled({"search.grad_tol": tolerance})
        found = row["minimization_success"]
        ratios.append(
            (row["grad_norm"][found] / (1.0 + np.abs(row["potential_value"][found]))).max()
        )
        assert ratios[-1] <= tolerance
        steps.append(row["n_iterations"].sum())
    assert ratios[1] > 1e-12
    assert ratios[2] > 1e-5
    assert steps[0] > steps[1] > steps[2]


@covers("search.hess_eps")
def test_what_counts_as_flat_is_set_and_the_points_are_not():
    fine, coarse = (
        searched({"search.method": "root", "search.hess_eps": eps}) for eps in (1e-6, 0.3)
    )
    np.testing.assert_array_equal(fine.trials.phi, coarse.trials.phi)
    np.testing.assert_array_equal(fine.trials.spectrum, coarse.trials.spectrum)
    found = coarse.trials.outcome == Outcome.CONVERGED
    spectra = coarse.trials.spectrum[found]
    eps = 0.3 * np.maximum(1.0, np.abs(spectra).max(axis=1, keepdims=True))
    marginal = ~((spectra < -eps).any(axis=1) & (spectra > eps).any(axis=1)) & (
        np.abs(spectra) <= eps
    ).any(axis=1)
    np.testing.assert_array_equal(coarse.labels.ravel()[found] == MARGINAL, marginal)
    assert marginal.sum() > 30
    assert MARGINAL not in fine.labels
    row = labelled({"search.hess_eps": 0.3})
    assert (row["n_flat"] > 0).any()
    assert (row["n_flat"][row["stability"] == STABLE] == 0).all()
    assert set(labelled({"search.hess_eps": 1.0})["stability"]) <= {MARGINAL, RUNAWAY}


@covers("search.field_range")
def test_a_small_field_range_turns_vacua_into_runaways():
    # Such short ranges are refused as settings: there minima count as escaped.
    labels, whole = {}, physics()
    for reach in (1.0, 1.6, 50.0):
        short = replace(whole, search=replace(whole.search, field_range=reach))
        labels[reach] = label_geometries(
            short, 3, key_of(60, whole.seed, "toy", None), np.arange(60)
        )
    runaways = [(row["stability"] == RUNAWAY).sum() for row in labels.values()]
    assert runaways[0] > runaways[1] > runaways[2]
    for reach, row in labels.items():
        found = row["minimization_success"]
        assert found.any()
        assert (row["phi_norm"][found] <= reach).all()
    assert (labels[50.0]["phi_norm"] > 1.0).any()


@covers("search.start_range")
def test_starts_fill_the_range_they_are_given(monkeypatch):
    starts = []

    def spy(potential, points, settings):
        starts.append(points)
        return search(potential, points, settings)

    monkeypatch.setattr("vacuagym.theories.toy.labelling.search", spy)
    for reach in (2.0, 4.0, 1e-6):
        searched({"search.start_range": reach})
        assert 0.95 * reach < np.abs(starts[-1]).max() < reach
    np.testing.assert_array_equal(starts[1], 2.0 * starts[0])
    np.testing.assert_allclose(starts[2], starts[0] / 2e6, rtol=1e-14)


def test_close_starts_end_alike_and_far_ones_do_not():
    def apart(reach):
        """In how many draws the restarts ended at critical points of different energies."""
        found = searched({"search.start_range": reach, "search.method": "root"})
        energies = np.where(
            found.trials.outcome == Outcome.CONVERGED, found.trials.value, np.nan
        ).reshape(-1, 3)
        return (np.ptp(energies, axis=1) > 1e-6).sum()

    assert apart(1e-12) == 0
    assert apart(2.0) > 30


@covers("search.root_steps", "search.descent_steps")
@pytest.mark.parametrize(
    ("key", "method"), [("search.root_steps", "root"), ("search.descent_steps", "descent")]
)
def test_a_solver_takes_no_more_steps_than_allowed(key, method):
    failed = []
    for steps in (1, 8, 300):
        row = labelled({key: steps, "search.method": method})
        assert (row["n_iterations"] <= steps).all()
        failed.append(row["trial_counts"][:, FAILED].sum())
        assert row["trial_counts"].sum() == 60 * 9
    assert failed[0] > 500
    assert failed[0] > failed[1] > failed[2]
    other = {"root": "descent", "descent": "root"}[method]
    plain, few = (labelled({"search.method": other, **change}) for change in ({}, {key: 1}))
    for name, numbers in plain.items():
        np.testing.assert_array_equal(few[name], numbers, err_msg=name)


def test_hybrid_adds_the_steps_of_both_solvers():
    row = searched({"search.root_steps": 2, "search.descent_steps": 3}).trials
    assert row.n_iterations.max() == 5
    assert (row.n_iterations[row.method == METHODS.index("root")] <= 2).all()


def test_the_seed_changes_everything_that_is_drawn():
    before, after = default_draws(), drawn({"seed": 43})
    for name in ("diagonal", "coupling", "b", "A", "a", "D", "p", "gamma"):
        assert (before[name] != after[name]).all(), name
    assert (before["regime"] != after["regime"]).any()
    old, new = labelled(), labelled({"seed": 43})
    both = old["minimization_success"] & new["minimization_success"]
    assert both.sum() > 30
    for name in ("potential_value", "eigenvalues", "critical_point", "phi_norm"):
        assert (old[name][both] != new[name][both]).all(), name


def test_the_seed_moves_the_starts():
    one, other = (
        draw_starts(
            3, 3, 2.0, Streams(key_of(20, seed, "toy", None), np.arange(20), np.zeros(20, int))
        )
        for seed in (42, 43)
    )
    assert (one != other).all()


# Refusals

REFUSED = {
    "moduli.map": ["cube_cap", None, 3],
    "moduli.min": [0, -1, 2.5, 33, "many"],
    "moduli.max": [0, -3, 1, 257, 8.5],
    **{f"ensemble.regimes.{name}": [-0.1, "often", None] for name in REGIMES},
    "ensemble.flux_mass": [[3.0, 1.0], [1.0], 2.0, [1.0, "x"]],
    "ensemble.coupling": [-0.8, [0.1, 0.2], None],
    **{f"ensemble.mass_shift.{name}": [[1.0, 0.5], [0.0, 1.0, 2.0], 1.0] for name in REGIMES},
    "ensemble.tilt": [-0.3, "steep"],
    "ensemble.runaway_tilt": [-1e-9, None],
    "ensemble.gamma": [[0.5, 0.1], 0.3],
    "ensemble.runaway_gamma": [[-0.05, -0.4], [-0.4]],
    "ensemble.A": [[2.5, 0.5], []],
    "ensemble.a": [[2.5, 0.8], [0.0, 1.0], [-1.0, 1.0]],
    "ensemble.D": [[2.0, 0.0], "high"],
    "ensemble.p": [[2.0, 1.0], [0.0, 2.0], [-2.0, -1.0]],
    "ensemble.delta": [0.0, -0.1, [0.1, 0.2]],
    "search.method": ["newton", "Root", None],
    "search.n_samples": [0, -1, 1001, 1.5],
    "search.n_restarts": [0, -1, 1001, 1.5],
    "search.grad_tol": [0.0, -1e-9, "tight"],
    "search.hess_eps": [0, -1e-6, None],
    "search.field_range": [0.0, -50.0, [1.0, 2.0]],
    "search.start_range": [0, -2.0, [-2.0, 2.0]],
    "search.root_steps": [0, -40, 2.5],
    "search.descent_steps": [0, -300, 2.5],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in REFUSED.items() for value in values]
)
def test_a_value_out_of_range_is_refused_with_the_name_of_its_key(key, value):
    with pytest.raises(ConfigError) as refused:
        configuration({key: value})
    told = str(refused.value)
    assert re.search(rf"{re.escape(key)}\b", told) or (
        key in ("moduli.min", "moduli.max") and "moduli: min" in told
    ), told


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ConfigError, match=r"ensemble\.regimes: all weights are zero"):
        configuration({f"ensemble.regimes.{name}": 0 for name in REGIMES})
    for name in REGIMES:
        configuration({f"ensemble.regimes.{other}": int(other == name) for other in REGIMES})


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_refused_with_its_name(section):
    with pytest.raises(ConfigError, match=rf"{section}: unknown key steps_of_all_kinds"):
        configuration({f"{section}.steps_of_all_kinds": 1})


def test_every_key_has_a_test_of_what_it_changes_and_of_what_it_refuses():
    assert len(KEYS) > 25
    assert set(KEYS) | {"seed"} == COVERED
    assert set(KEYS) == set(REFUSED)
