"""The ensemble: moduli counts, the distribution of every coupling, and draws that depend on
nothing but their stream.
"""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from known_potentials import ENSEMBLE, key_of
from vacuagym.theories.toy.ensemble import REGIMES, Ensemble, ModuliMap, draw_fluxes, draw_starts
from vacuagym.theories.toy.random_streams import Streams, stream_key

COUNT = 40_000
COUPLINGS = ("K", "b", "A", "a", "D", "p", "gamma")


def flux_draws(n=2, count=COUNT, draw=0, ensemble=ENSEMBLE):
    return draw_fluxes(ensemble, n, Streams(key_of(count), np.arange(count), np.full(count, draw)))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        (
            "direct_cap",
            {0: 2, 1: 2, 2: 2, 3: 3, 17: 17, 31: 31, 32: 32, 33: 32, 491: 32, 10**15: 32},
        ),
        # √6 = 2.449, √7 = 2.646, √42 = 6.481, √43 = 6.557, √491 = 22.16, √992 = 31.496, √993 =
        # 31.512
        (
            "sqrt_cap",
            {0: 2, 1: 2, 4: 2, 6: 2, 7: 3, 42: 6, 43: 7, 491: 22, 992: 31, 993: 32, 10**6: 32},
        ),
        # 5 ln 2 = 3.466, 5 ln 3 = 5.493, 5 ln 11 = 11.990, 5 ln 101 = 23.08, 5 ln 492 = 30.99, 5
        # ln 1001 = 34.5
        ("log_cap", {0: 2, 1: 3, 2: 5, 10: 12, 100: 23, 491: 31, 1000: 32}),
    ],
)
def test_the_three_maps_of_moduli_counts(name, table):
    counts = np.array(list(table))
    n = ModuliMap(name, 2, 32)(counts, np.zeros(len(counts), bool))
    assert n.dtype == np.int64
    assert n.tolist() == list(table.values())
    assert ModuliMap(name, 2, 32)(
        counts.astype(float), np.zeros(len(counts), bool)
    ).tolist() == list(table.values())


@pytest.mark.parametrize("name", ["direct_cap", "sqrt_cap", "log_cap"])
def test_a_missing_count_gives_the_least_number_of_moduli(name):
    counts, missing = np.array([20.0, np.nan, 20.0, 0.0]), np.array([False, True, True, True])
    n = ModuliMap(name, 3, 32)(counts, missing)
    assert n[1:].tolist() == [3, 3, 3]
    assert n[0] == {"direct_cap": 20, "sqrt_cap": 4, "log_cap": 15}[name]


@given(
    name=st.sampled_from(["direct_cap", "sqrt_cap", "log_cap"]),
    x=st.integers(0, 2**40),
    low=st.integers(1, 10),
    more=st.integers(0, 40),
)
def test_moduli_counts_are_clamped_and_rounded_to_the_nearest(name, x, low, more):
    n = int(ModuliMap(name, low, low + more)(np.array([x]), np.array([False]))[0])
    exact = {"direct_cap": x, "sqrt_cap": math.sqrt(x), "log_cap": 5.0 * math.log(1 + x)}[name]
    assert low <= n <= low + more
    assert (
        n == low + more
        if exact > low + more + 1
        else n == low
        if exact < low - 1
        else abs(n - exact) <= 1
    )
    if low < exact < low + more:
        assert abs(n - exact) <= 0.5


def test_regimes_have_the_weights_of_the_mixture():
    counts = np.bincount(flux_draws().regime, minlength=4)
    for name, count in zip(REGIMES, counts, strict=True):
        weight = ENSEMBLE.regimes[name]
        assert abs(count - COUNT * weight) < 4.0 * math.sqrt(COUNT * weight * (1.0 - weight)), name


def test_weights_are_relative_and_a_regime_can_be_switched_off():
    alone = dict.fromkeys(REGIMES, 0.0) | {"tachyonic": 7.0}
    assert (
        flux_draws(ensemble=replace(ENSEMBLE, regimes=alone), count=1000).regime
        == REGIMES.index("tachyonic")
    ).all()
    doubled = {name: 2.0 * weight for name, weight in ENSEMBLE.regimes.items()}
    first, second = (
        flux_draws(count=1000),
        flux_draws(count=1000, ensemble=replace(ENSEMBLE, regimes=doubled)),
    )
    np.testing.assert_array_equal(first.regime, second.regime)


def test_every_coupling_is_uniform_in_the_range_of_its_regime():
    draws = flux_draws()
    potential = draws.potential
    for name in ("A", "a", "D", "p"):
        low, high = getattr(ENSEMBLE, name)
        assert kstest(getattr(potential, name), "uniform", (low, high - low)).pvalue > 1e-4, name
        assert low <= getattr(potential, name).min() <= getattr(potential, name).max() <= high
    for index, regime in enumerate(REGIMES):
        mine = draws.regime == index
        low, high = ENSEMBLE.runaway_gamma if regime == "runaway" else ENSEMBLE.gamma
        assert kstest(potential.gamma[mine], "uniform", (low, high - low)).pvalue > 1e-4, regime
        assert low <= potential.gamma[mine].min() <= potential.gamma[mine].max() <= high
        low, high = ENSEMBLE.mass_shift[regime]
        if low == high:
            assert (draws.mass_shift[mine] == low).all()
        else:
            assert kstest(draws.mass_shift[mine], "uniform", (low, high - low)).pvalue > 1e-4, (
                regime
            )
            assert low <= draws.mass_shift[mine].min() <= draws.mass_shift[mine].max() <= high


def test_the_tilt_is_normal_and_larger_in_the_runaway_regime():
    draws = flux_draws(
        3, ensemble=replace(ENSEMBLE, tilt=1.5)
    )  # wide enough for the sum of the two to be told from each
    for index, regime in enumerate(REGIMES):
        width = 2.5 if regime == "runaway" else 1.5
        for i in range(3):
            assert (
                kstest(draws.potential.b[draws.regime == index, i], norm(scale=width).cdf).pvalue
                > 1e-4
            ), (regime, i)


def test_couplings_of_a_draw_are_independent():
    draws = flux_draws(
        2,
        ensemble=replace(
            ENSEMBLE, regimes={"generic": 1.0, "stabilized": 0.0, "tachyonic": 0.0, "runaway": 0.0}
        ),
    )
    p = draws.potential
    columns = [
        p.A,
        p.a,
        p.D,
        p.p,
        p.gamma,
        p.b[:, 0],
        p.b[:, 1],
        p.K[:, 0, 0],
        p.K[:, 0, 1],
        p.K[:, 1, 1],
    ]
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 5.0 / math.sqrt(COUNT)


def test_lambda_is_half_the_sum_of_a_normal_matrix_and_its_transpose():
    no_masses = replace(
        ENSEMBLE, flux_mass=(0.0, 0.0), mass_shift=dict.fromkeys(REGIMES, (0.0, 0.0))
    )
    coupling = flux_draws(4, ensemble=no_masses).potential.K
    reference = np.random.default_rng(1).standard_normal((COUNT, 4, 4))
    reference = 0.8 * (reference + np.swapaxes(reference, 1, 2)) / 2.0
    for i in range(4):
        for j in range(i + 1):
            width = 0.8 if i == j else 0.8 / math.sqrt(2.0)
            assert kstest(coupling[:, i, j], norm(scale=width).cdf).pvalue > 1e-4
            assert abs(
                coupling[:, i, j].var() / reference[:, i, j].var() - 1.0
            ) < 5.0 * 2.0 / math.sqrt(COUNT)
    entries = coupling[:, *np.tril_indices(4)]
    assert np.abs(np.corrcoef(entries.T) - np.eye(10)).max() < 5.0 / math.sqrt(COUNT)


def test_flux_masses_stand_squared_on_the_diagonal_shifted_by_the_regime():
    draws = flux_draws(3, ensemble=replace(ENSEMBLE, coupling=0.0))
    diagonal = np.diagonal(draws.potential.K, axis1=1, axis2=2)
    np.testing.assert_array_equal(draws.potential.K, diagonal[:, :, None] * np.eye(3))
    masses = np.sqrt(diagonal - draws.mass_shift[:, None])
    assert masses.min() >= 1.0 - 1e-12
    assert masses.max() <= 3.0 + 1e-12
    for i in range(3):
        assert kstest(masses[:, i], "uniform", (1.0, 2.0)).pvalue > 1e-4


@pytest.mark.parametrize("n", [1, 2, 16, 32])
def test_the_mass_matrix_is_symmetric_and_everything_is_finite(n):
    potential = flux_draws(n, 200).potential
    assert len(potential) == 200
    assert potential.K.shape == (200, n, n)
    assert potential.b.shape == (200, n)
    assert potential.delta == 0.1
    np.testing.assert_array_equal(potential.K, np.swapaxes(potential.K, 1, 2))
    assert all(np.isfinite(getattr(potential, name)).all() for name in COUPLINGS)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_draw_does_not_depend_on_the_batch_it_is_in(n):
    ids, draws = np.array([5, -3, 5, 2**63 - 1, 0]), np.array([0, 1, 2, 0, 0])
    keys = np.array([stream_key(42, name, None) for name in "aabca"])
    batch, starts = (
        draw_fluxes(ENSEMBLE, n, Streams(keys, ids, draws)),
        draw_starts(n, 3, 2.0, Streams(keys, ids, draws)),
    )
    for i in range(len(ids)):
        alone = draw_fluxes(ENSEMBLE, n, Streams(keys[i : i + 1], ids[i : i + 1], draws[i : i + 1]))
        for name in COUPLINGS:
            np.testing.assert_array_equal(
                getattr(alone.potential, name)[0], getattr(batch.potential, name)[i]
            )
        assert (alone.regime[0], alone.mass_shift[0]) == (batch.regime[i], batch.mass_shift[i])
        np.testing.assert_array_equal(
            draw_starts(n, 3, 2.0, Streams(keys[i : i + 1], ids[i : i + 1], draws[i : i + 1]))[0],
            starts[i],
        )


def test_draws_and_ids_give_different_couplings():
    stacks = [flux_draws(2, 50, draw).potential for draw in range(3)]
    assert len(np.unique(np.concatenate([stack.A for stack in stacks]))) == 150


def test_starts_are_uniform_in_the_cube():
    starts = draw_starts(3, 4, 2.0, Streams(key_of(5000), np.arange(5000), np.zeros(5000, int)))
    assert starts.shape == (5000, 4, 3)
    assert np.abs(starts).max() < 2.0
    for r in range(4):
        for i in range(3):
            assert kstest(starts[:, r, i], "uniform", (-2.0, 4.0)).pvalue > 1e-4
    flat = starts.reshape(5000, 12)
    assert np.abs(np.corrcoef(flat.T) - np.eye(12)).max() < 5.0 / math.sqrt(5000)
    np.testing.assert_allclose(
        draw_starts(3, 4, 0.5, Streams(key_of(9), np.arange(9), np.zeros(9, int))),
        starts[:9] / 4.0,
        rtol=1e-15,
    )


@pytest.mark.parametrize("n", [1, 2, 5, 32])
def test_a_restart_does_not_depend_on_how_many_there_are(n):
    few, many = (
        draw_starts(n, r, 2.0, Streams(key_of(20), np.arange(20), np.ones(20, int))) for r in (3, 8)
    )
    np.testing.assert_array_equal(few, many[:, :3])


def test_starts_and_couplings_are_unrelated():
    starts = draw_starts(
        3, 5, 2.0, Streams(key_of(COUNT), np.arange(COUNT), np.zeros(COUNT, int))
    ).reshape(COUNT, 15)
    draws = flux_draws(3)
    p = draws.potential
    couplings = np.column_stack(
        [
            draws.regime,
            draws.mass_shift,
            p.gamma,
            p.A,
            p.a,
            p.D,
            p.p,
            p.b,
            p.K[:, *np.triu_indices(3)],
        ]
    )
    correlation = np.corrcoef(np.column_stack([starts, couplings]).T)[:15, 15:]
    assert np.abs(correlation).max() < 5.0 / math.sqrt(COUNT)


def test_an_ensemble_is_read_from_its_section_of_the_configuration():
    section = {field.name: getattr(ENSEMBLE, field.name) for field in fields(ENSEMBLE)}
    assert Ensemble.from_mapping(section) == ENSEMBLE
