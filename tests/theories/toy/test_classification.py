"""From spectra to labels: the conditions of each label, the vacuum of a draw, the label of a
geometry.
"""

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from known_potentials import ENSEMBLE, PHYSICS, SETTINGS, key_of
from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.classes import (
    FAILED,
    LABELS,
    MARGINAL,
    METASTABLE,
    RUNAWAY,
    SADDLE,
    STABLE,
    UNSTABLE,
)
from vacuagym.theories.toy.classification import (
    critical_point_labels,
    deciding_draw,
    draw_vacua,
    hessian_index,
    label_counts,
    trial_labels,
)
from vacuagym.theories.toy.ensemble import REGIMES, draw_fluxes, draw_starts
from vacuagym.theories.toy.hybrid import search
from vacuagym.theories.toy.labelling import label_geometries
from vacuagym.theories.toy.random_streams import Streams, stream_key

EPS = SETTINGS.hess_eps
C, E, F = Outcome.CONVERGED, Outcome.ESCAPED, Outcome.FAILED


def label_of(eigenvalues, unbounded=False) -> str:
    index = hessian_index(np.array(eigenvalues, float), EPS)
    return LABELS[int(critical_point_labels(index, np.array(unbounded)))]


def label_by_definition(eigenvalues, unbounded) -> str:
    """The table of the design, condition by condition."""
    eps = 1e-6 * max(1.0, max(abs(x) for x in eigenvalues))
    if all(x > eps for x in eigenvalues):
        return "metastable" if unbounded else "stable"
    if any(x < -eps for x in eigenvalues) and any(x > eps for x in eigenvalues):
        return "saddle"
    if all(x < -eps for x in eigenvalues):
        return "unstable"
    return "marginal"


def test_the_labels_have_their_names_in_the_order_of_their_numbers():
    assert LABELS == ("stable", "metastable", "saddle", "unstable", "marginal", "runaway", "failed")
    assert tuple(range(7)) == (STABLE, METASTABLE, SADDLE, UNSTABLE, MARGINAL, RUNAWAY, FAILED)


@pytest.mark.parametrize(
    ("eigenvalues", "unbounded", "label"),
    [
        ([2.0, 3.0], False, "stable"),
        ([2.0, 3.0], True, "metastable"),
        ([-1.0, 2.0], False, "saddle"),
        ([-1.0, 2.0], True, "saddle"),
        ([-2.0, -1.0], False, "unstable"),
        ([-2.0, -1.0], True, "unstable"),
        ([0.0, 1.0], False, "marginal"),
        ([0.0, 1.0], True, "marginal"),
        ([-1.0, 0.0], False, "marginal"),
        ([-1.0, 0.0, 1.0], False, "saddle"),
        ([0.0, 0.0], False, "marginal"),
        ([0.0], True, "marginal"),
        ([1.0], False, "stable"),
        ([-1.0], False, "unstable"),
    ],
)
def test_the_conditions_of_the_labels(eigenvalues, unbounded, label):
    assert label_of(eigenvalues, unbounded) == label


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_every_combination_of_signs_has_the_label_of_its_definition(n, unbounded, scale):
    flat = 0.5e-6 * max(1.0, scale)
    for values in itertools.product(
        (-scale, -0.1 * scale, -flat, 0.0, flat, 0.1 * scale, scale), repeat=n
    ):
        if max(map(abs, values)) in (
            0.1 * scale,
            flat,
        ):  # then eps differs: covered by the other scales
            continue
        assert label_of(sorted(values), unbounded) == label_by_definition(values, unbounded), values


def test_flat_is_relative_to_the_largest_eigenvalue_but_never_below_eps():
    assert label_of([1.01e-6, 1.0]) == "stable"
    assert label_of([0.99e-6, 1.0]) == "marginal"
    assert label_of([-0.99e-6, 1.0]) == "marginal"
    assert label_of([-1.01e-6, 1.0]) == "saddle"
    assert label_of([1e-3, 2e3]) == "marginal"
    assert label_of([3e-3, 2e3]) == "stable"
    assert label_of([-2e3, 1e-3]) == "marginal"
    assert label_of([1e-7, 2e-7]) == "marginal"
    assert label_of([1e-6, 1.0]) == "marginal"  # |λ| = eps is flat
    assert label_of([-1e-6, 1.0]) == "marginal"


@given(
    st.lists(st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1e-7, -1e-7]), min_size=1, max_size=8),
    st.booleans(),
)
def test_labels_are_those_of_the_definition(eigenvalues, unbounded):
    assert label_of(sorted(eigenvalues), unbounded) == label_by_definition(eigenvalues, unbounded)
    index = hessian_index(np.array(sorted(eigenvalues)), EPS)
    assert index.n_negative + index.n_positive + index.n_flat == len(eigenvalues)


def test_the_index_counts_signs_of_any_stack():
    index = hessian_index(
        np.array([[[-1.0, 0.0, 2.0], [1.0, 2.0, 3.0]], [[-3.0, -2.0, -1.0], [0.0, 0.0, 1e-9]]]), EPS
    )
    assert index.n_negative.tolist() == [[1, 0], [3, 0]]
    assert index.n_positive.tolist() == [[1, 3], [0, 0]]
    assert index.n_flat.tolist() == [[1, 0], [0, 3]]


def test_a_trial_without_a_critical_point_is_runaway_or_failed():
    index = hessian_index(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [-1.0, 2.0]]), EPS)
    labels = trial_labels(np.array([C, E, F, C]), index, np.array([True, True, True, False]))
    assert labels.tolist() == [METASTABLE, RUNAWAY, FAILED, SADDLE]


# The vacuum of a draw


def vacuum(outcome, value) -> int:
    return int(draw_vacua(np.array(outcome), np.array(value, float)))


@pytest.mark.parametrize(
    ("outcome", "value", "restart"),
    [
        ([C, C, C], [1.0, -2.0, 0.0], 1),
        ([C, C, C], [1.0, 2.0, 0.5], 2),
        ([C, F, C], [1.0, -2.0, 3.0], 0),  # what did not converge does not count, however low
        ([E, F, C], [-1e9, -2.0, 3.0], 2),
        ([E, C, C], [np.nan, 5.0, 5.0], 1),
        ([C, C, C], [1.0, 1.0, 1.0], 0),
        ([C, C, C], [1.0 + 1.9e-9, 1.0, 1.0], 0),  # within 1e-9 (1 + |1|)
        ([C, C, C], [1.0 + 2.1e-9, 1.0, 1.0], 1),
        ([C, C, C], [-1e6 + 0.9e-3, -1e6, 0.0], 0),
        ([C, C, C], [-1e6 + 1.1e-3, -1e6, 0.0], 1),
        ([C, C, C], [0.9e-9, 1.0, 0.0], 0),
        ([C, C, C], [1.1e-9, 1.0, 0.0], 2),
        ([F, E, E], [0.0, 1.0, -1.0], 1),
        ([F, F, F], [0.0, -1.0, -2.0], 0),
        ([F, F, E], [0.0, 0.0, 0.0], 2),
        ([C], [7.0], 0),
        ([E], [np.nan], 0),
        ([F], [np.nan], 0),
    ],
)
def test_the_vacuum_is_the_lowest_critical_point_and_ties_go_to_the_first_restart(
    outcome, value, restart
):
    assert vacuum(outcome, value) == restart


TRIAL = st.tuples(
    st.sampled_from([C, E, F]),
    st.sampled_from([-3.0, -1.0, -1.0 + 1e-9, -1.0 + 3e-9, 0.0, 5e-10, 2e-9, 1.0, 1e6, 1e6 + 1e-4]),
)


@given(st.lists(st.lists(TRIAL, min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_vacuum_of_each_draw_is_that_of_the_definition(draws):
    outcome, value = (np.array([[t[part] for t in trials] for trials in draws]) for part in (0, 1))
    for chosen, trials in zip(draw_vacua(outcome, value), draws, strict=True):
        energies = [v for o, v in trials if o == C]
        if energies:
            lowest = min(energies)
            expected = next(
                i
                for i, (o, v) in enumerate(trials)
                if o == C and v <= lowest + 1e-9 * (1.0 + abs(lowest))
            )
            assert chosen == expected
        elif any(o == E for o, _ in trials):
            assert trials[chosen][0] == E
        else:
            assert trials[chosen][0] == F


def test_a_failed_draw_passes_to_the_next():
    draws = [
        [STABLE, FAILED, SADDLE],
        [FAILED, SADDLE, STABLE],
        [FAILED, FAILED, RUNAWAY],
        [RUNAWAY, STABLE, STABLE],
        [FAILED] * 3,
        [MARGINAL] * 3,
    ]
    assert deciding_draw(np.array(draws)).tolist() == [0, 1, 2, 0, 0, 0]
    assert deciding_draw(np.array([[FAILED], [SADDLE]])).tolist() == [0, 0]


def test_labels_are_counted_by_row():
    counts = label_counts(
        np.array(
            [
                [STABLE, STABLE, FAILED],
                [SADDLE, RUNAWAY, METASTABLE],
                [UNSTABLE, MARGINAL, UNSTABLE],
            ]
        )
    )
    assert counts.tolist() == [[2, 0, 0, 0, 0, 0, 1], [0, 1, 1, 0, 0, 1, 0], [0, 0, 0, 2, 1, 0, 0]]


@given(st.lists(st.lists(st.integers(0, 6), min_size=9, max_size=9), min_size=1, max_size=5))
def test_counts_are_those_of_the_labels(labels):
    counts = label_counts(np.array(labels))
    assert counts.shape == (len(labels), 7)
    assert counts.tolist() == [[row.count(label) for label in range(7)] for row in labels]


# The Gaussian orthogonal ensemble

ALL_POSITIVE = {
    1: 1.0 / 2.0,
    2: (2.0 - math.sqrt(2.0)) / 4.0,
    3: (math.pi - 2.0 * math.sqrt(2.0)) / (4.0 * math.pi),
    4: 2.45670926e-3,
    5: 1.401146855e-4,
}


def assert_signs_are_those_of_the_ensemble(n: int, hessians: np.ndarray):
    labels = critical_point_labels(
        hessian_index(np.linalg.eigvalsh(hessians), EPS), np.zeros(len(hessians), bool)
    )
    stable, unstable = (labels == STABLE).sum(), (labels == UNSTABLE).sum()
    p, total = ALL_POSITIVE[n], len(hessians)
    for count in (stable, unstable):
        assert abs(count - total * p) < 4.0 * math.sqrt(total * p * (1.0 - p))
    # Both signs together are the sharper test: at n = 1 they are certain.
    assert (
        abs(stable + unstable - 2.0 * total * p)
        <= 4.0 * math.sqrt(total * 2.0 * p * (1.0 - 2.0 * p)) + 1e-6 * total
    )
    assert (labels == SADDLE).sum() + stable + unstable > total * (1.0 - 1e-4)


@pytest.mark.parametrize(
    ("n", "total"), [(1, 50_000), (2, 200_000), (3, 300_000), (4, 400_000), (5, 600_000)]
)
def test_random_hessians_are_minima_as_often_as_the_closed_form_says(n, total):
    rng = np.random.default_rng(20 + n)
    normal = rng.standard_normal((total, n, n))
    assert_signs_are_those_of_the_ensemble(n, (normal + np.swapaxes(normal, 1, 2)) / 2.0)


@pytest.mark.parametrize(("n", "total"), [(1, 20_000), (2, 50_000), (3, 100_000)])
def test_lambda_is_positive_as_often_as_the_closed_form_says(n, total):
    only_coupling = replace(
        ENSEMBLE, flux_mass=(0.0, 0.0), mass_shift=dict.fromkeys(REGIMES, (0.0, 0.0))
    )
    coupling = draw_fluxes(
        only_coupling, n, Streams(key_of(total), np.arange(total), np.zeros(total, int))
    ).potential.K
    assert_signs_are_those_of_the_ensemble(n, coupling)


# The label of a geometry


def labelled(n, ids, physics=PHYSICS, identity=(42, "toy", None)):
    ids = np.asarray(ids)
    return label_geometries(physics, n, key_of(len(ids), *identity), ids)


COUNTS = {2: 150, 5: 100, 16: 30}


@cache
def geometries(n):
    """The first geometries with ``n`` moduli, labelled in one batch."""
    return labelled(n, np.arange(COUNTS[n]))


NOT_A_NUMBER_WITHOUT_A_CRITICAL_POINT = (
    "potential_value",
    "grad_norm",
    "min_eigenvalue",
    "max_eigenvalue",
    "condition_number",
    "log_abs_det_hessian",
    "eigenvalues",
    "critical_point",
    "phi_norm",
)
EACH_N = pytest.mark.parametrize("n", list(COUNTS))


@EACH_N
@pytest.mark.parametrize("split", [1, 2, 7, "backwards", "with itself"])
def test_a_row_does_not_depend_on_its_batch(n, split):
    whole = geometries(n)
    count = len(whole["stability"])
    rows = {"backwards": [np.arange(count)[::-1]], "with itself": [np.tile(np.arange(10), 3)]}.get(
        split
    )
    for batch in rows or np.array_split(np.arange(count), -(-count // split))[:20]:
        part = labelled(n, batch)
        assert part.keys() == whole.keys()
        for name, column in part.items():
            np.testing.assert_array_equal(column, whole[name][batch], err_msg=name)


@EACH_N
def test_all_trials_and_all_draws_are_counted(n):
    row = geometries(n)
    assert (row["trial_counts"].sum(axis=1) == 9).all()
    assert (row["draw_counts"].sum(axis=1) == 3).all()
    assert row["trial_counts"].shape[1] == row["draw_counts"].shape[1] == len(LABELS)
    rows = np.arange(len(row["stability"]))
    for counts in ("trial_counts", "draw_counts"):
        assert (
            row[counts][rows, row["stability"]] > 0
        ).all()  # the geometry's label is one of those that were counted
    assert (row["trial_counts"] >= (row["draw_counts"] > 0)).all()


@EACH_N
def test_eigenvalues_ascend_and_the_columns_agree_with_them(n):
    row = geometries(n)
    found = row["minimization_success"]
    spectra = row["eigenvalues"][found]
    assert (np.diff(spectra, axis=1) >= 0.0).all()
    np.testing.assert_array_equal(row["min_eigenvalue"][found], spectra[:, 0])
    np.testing.assert_array_equal(row["max_eigenvalue"][found], spectra[:, -1])
    sizes = np.abs(spectra)
    np.testing.assert_allclose(
        row["condition_number"][found], sizes.max(axis=1) / sizes.min(axis=1), rtol=1e-14
    )
    np.testing.assert_allclose(
        row["log_abs_det_hessian"][found], np.log(sizes).sum(axis=1), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        row["phi_norm"][found], np.linalg.norm(row["critical_point"][found], axis=1), rtol=1e-14
    )
    eps = 1e-6 * np.maximum(1.0, sizes.max(axis=1, keepdims=True))
    np.testing.assert_array_equal(row["n_negative"][found], (spectra < -eps).sum(axis=1))
    np.testing.assert_array_equal(row["n_positive"][found], (spectra > eps).sum(axis=1))
    np.testing.assert_array_equal(row["n_flat"][found], (np.abs(spectra) <= eps).sum(axis=1))
    assert (row["grad_norm"][found] <= 1e-9 * (1.0 + np.abs(row["potential_value"][found]))).all()
    expected = [
        label_by_definition(spectrum, gamma < 0)
        for spectrum, gamma in zip(spectra, row["gamma"][found], strict=True)
    ]
    assert [LABELS[label] for label in row["stability"][found]] == expected


@EACH_N
def test_a_geometry_without_a_critical_point_says_so_in_every_column(n):
    row = labelled(
        n, np.arange(400), replace(PHYSICS, search=replace(SETTINGS, n_samples=1, n_restarts=1))
    )
    missed = ~row["minimization_success"]
    assert missed.any()
    assert np.isin(row["stability"][missed], (RUNAWAY, FAILED)).all()
    assert not np.isin(row["stability"][~missed], (RUNAWAY, FAILED)).any()
    quantities = (
        "potential_value grad_norm min_eigenvalue max_eigenvalue condition_number "
        "log_abs_det_hessian eigenvalues critical_point phi_norm"
    )
    for name in quantities.split():
        assert np.isnan(row[name][missed]).all(), name
        assert np.isfinite(row[name][~missed]).all(), name
    for name in ("n_negative", "n_positive", "n_flat"):
        assert (row[name][missed] == -1).all(), name
        assert (row[name][~missed] >= 0).all(), name
    assert (row["n_iterations"] > 0).all()


@EACH_N
def test_metastable_vacua_and_no_others_have_a_barrier(n):
    row = geometries(n)
    metastable = row["stability"] == METASTABLE
    assert (np.isfinite(row["barrier_height"]) == metastable).all()
    assert (row["barrier_height"][metastable] > 0.0).all()
    assert (row["gamma"][metastable] < 0.0).all()
    assert (row["gamma"][row["stability"] == STABLE] > 0.0).all()


@EACH_N
def test_a_label_can_be_recomputed_from_its_row(n):
    """From seed, key, id and configuration alone, trial by trial, with the definitions of vacuum
    and label written out.
    """
    row = geometries(n)
    for i in range(0, len(row["stability"]), 9):
        labels, energies, points, regimes = [], [], [], []
        for draw in range(3):
            stream = stream_key(42, "toy", None)[None], np.array([i]), np.array([draw])
            flux = draw_fluxes(ENSEMBLE, n, Streams(*stream))
            regimes.append(flux.regime[0])
            for start in draw_starts(n, 3, 2.0, Streams(*stream))[0]:
                trial = search(flux.potential, start[None], SETTINGS)
                if trial.outcome[0] == C:
                    spectrum = np.linalg.eigvalsh(flux.potential.hessian(trial.phi))[0]
                    labels.append(label_by_definition(spectrum, flux.potential.gamma[0] < 0))
                else:
                    labels.append("runaway" if trial.outcome[0] == E else "failed")
                energies.append(trial.value[0] if trial.outcome[0] == C else math.inf)
                points.append(trial.phi[0])
        chosen = []
        for draw in range(3):
            mine = range(3 * draw, 3 * draw + 3)
            lowest = min(energies[t] for t in mine)
            tied = [
                t
                for t in mine
                if energies[t] < math.inf and energies[t] <= lowest + 1e-9 * (1.0 + abs(lowest))
            ]
            chosen.append((tied or [t for t in mine if labels[t] == "runaway"] or [mine[0]])[0])
        deciding = next((t for t in chosen if labels[t] != "failed"), chosen[0])
        assert LABELS[row["stability"][i]] == labels[deciding]
        assert (row["sample_idx"][i], row["restart_idx"][i]) == divmod(deciding, 3)
        assert row["trial_counts"][i].tolist() == [labels.count(name) for name in LABELS]
        assert row["draw_counts"][i].tolist() == [
            [labels[t] for t in chosen].count(name) for name in LABELS
        ]
        assert row["regime"][i] == regimes[deciding // 3]
        if row["minimization_success"][i]:
            np.testing.assert_array_equal(row["critical_point"][i], points[deciding])
            assert row["potential_value"][i] == energies[deciding]


@EACH_N
def test_the_couplings_of_a_row_are_those_of_its_draw(n):
    row = geometries(n)
    ids = np.arange(len(row["stability"]))
    flux = draw_fluxes(ENSEMBLE, n, Streams(key_of(len(ids)), ids, row["sample_idx"]))
    expected = {
        "gamma": flux.potential.gamma,
        "A_np": flux.potential.A,
        "a_np": flux.potential.a,
        "D_up": flux.potential.D,
    }
    expected |= {"p_up": flux.potential.p, "regime": flux.regime, "mass_shift": flux.mass_shift}
    for name, column in expected.items():
        np.testing.assert_array_equal(row[name], column, err_msg=name)
    found = np.flatnonzero(row["minimization_success"])
    at = flux.potential.take(found)
    value, gradient, _ = at.derivatives(row["critical_point"][found])
    np.testing.assert_allclose(row["potential_value"][found], value, rtol=1e-13)
    assert (np.linalg.norm(gradient, axis=1) <= 1e-9 * (1.0 + np.abs(value)) * (1.0 + 1e-12)).all()
    np.testing.assert_allclose(
        np.linalg.eigvalsh(at.hessian(row["critical_point"][found])),
        row["eigenvalues"][found],
        rtol=1e-9,
        atol=1e-12,
    )


def test_data_sets_namespaces_and_seeds_give_other_geometries():
    others = [
        labelled(2, np.arange(30), identity=i)
        for i in ((42, "toy", ""), (42, "toy", "a"), (42, "other", None), (43, "toy", None))
    ]
    values = np.concatenate([geometries(2)["A_np"][:30], *(other["A_np"] for other in others)])
    assert len(np.unique(values)) == 150


def test_fewer_draws_and_restarts_are_the_first_of_more():
    few = labelled(2, np.arange(60), replace(PHYSICS, search=replace(SETTINGS, n_samples=1)))
    same = geometries(2)["sample_idx"][:60] == 0
    assert same.any()
    for name in ("stability", "potential_value", "eigenvalues", "regime", "restart_idx"):
        np.testing.assert_array_equal(few[name][same], geometries(2)[name][:60][same])


def test_labels_are_not_degenerate_and_failures_are_a_rarity():
    counts = sum(np.bincount(row["stability"], minlength=7) for row in map(geometries, COUNTS))
    share = counts / counts.sum()
    assert (share > 0.05).sum() >= 3
    assert share.max() < 0.75
    assert counts[FAILED] == 0
    assert not sum(row["trial_counts"][:, FAILED].sum() for row in map(geometries, COUNTS))
