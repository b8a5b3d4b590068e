"""The search finds the critical points that are known to be there, and no others; trials of a
stack do not touch each other.
"""

from dataclasses import replace
from math import comb

import mpmath
import numpy as np
import pytest
import scipy.optimize

from known_potentials import (
    ENSEMBLE,
    KKLT,
    Constant,
    DoubleWell,
    Lines,
    Several,
    converged,
    distinct,
    key_of,
    random_rotation,
    run,
    settings,
    toy_systems,
)
from vacuagym.theories.toy.active_set import Outcome, Trials
from vacuagym.theories.toy.barrier import barrier_heights
from vacuagym.theories.toy.batched_linalg import solve
from vacuagym.theories.toy.classes import METASTABLE, METHODS, SADDLE, STABLE, UNSTABLE
from vacuagym.theories.toy.classification import critical_point_labels, hessian_index
from vacuagym.theories.toy.ensemble import draw_starts
from vacuagym.theories.toy.hybrid import search
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import Streams

ALL_METHODS = ("root", "descent", "hybrid")


def toy_trials(n: int, count: int):
    """``count`` trials of the ensemble, each of another draw, with their starts."""
    ids = np.arange(count)
    return toy_systems(n, count), draw_starts(
        n, 1, 2.0, Streams(key_of(count), ids, np.zeros(count, int))
    )[:, 0]


def indices(potential, phi):
    """Numbers of negative, positive and flat modes at ``phi`` (B, n)."""
    index = hessian_index(np.linalg.eigvalsh(potential.hessian(phi)), 1e-6)
    return index.n_negative, index.n_positive, index.n_flat


def trial(trials: Trials, i: int) -> tuple:
    """All that is recorded of one trial, in a form that tells different bits apart."""
    return tuple(np.ascontiguousarray(values[i]).tobytes() for values in vars(trials).values())


def assert_same_trials(some: Trials, others: Trials, i: slice | np.ndarray, j: slice | np.ndarray):
    for name, values in vars(some).items():
        np.testing.assert_array_equal(values[i], getattr(others, name)[j], err_msg=name)


# The rotated double well


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_root_finds_all_critical_points_of_the_double_well_with_their_index(n):
    rng = np.random.default_rng(n)
    well = DoubleWell(np.tile(random_rotation(n, rng), (8 * 6**n, 1, 1)))
    trials = run(well, rng.uniform(-2, 2, (len(well), n)), "root")
    found = converged(trials)
    assert found.mean() > 0.98
    y = well.y(trials.phi)[found]
    np.testing.assert_allclose(y, np.round(y), atol=1e-8)
    points = distinct(y, 4)
    assert len(points) == 3**n
    assert set(np.unique(points)) == {-1.0, 0.0, 1.0}

    spectra = np.linalg.eigvalsh(well.hessian(trials.phi))[found]
    expected = np.sort(np.where(np.round(y) == 0.0, -1.0, 2.0), axis=1)
    np.testing.assert_allclose(spectra, expected, atol=1e-7)
    index = hessian_index(spectra, 1e-6)
    assert not index.n_flat.any()
    np.testing.assert_array_equal(index.n_negative, (np.round(y) == 0.0).sum(axis=1))
    index_of = {tuple(np.round(point)): k for point, k in zip(y, index.n_negative, strict=True)}
    assert [list(index_of.values()).count(k) for k in range(n + 1)] == [
        comb(n, k) * 2 ** (n - k) for k in range(n + 1)
    ]

    labels = critical_point_labels(index, np.zeros(len(y), bool))
    negative = index.n_negative
    np.testing.assert_array_equal(
        labels, np.where(negative == 0, STABLE, np.where(negative == n, UNSTABLE, SADDLE))
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_descent_finds_the_minima_of_the_double_well_and_nothing_else(n):
    rng = np.random.default_rng(n)
    well = DoubleWell(np.tile(random_rotation(n, rng), (60 * 2**n, 1, 1)))
    trials = run(well, rng.uniform(-2, 2, (len(well), n)), "descent")
    assert converged(trials).all()
    np.testing.assert_allclose(np.abs(well.y(trials.phi)), 1.0, atol=1e-8)
    np.testing.assert_allclose(trials.value, 0.0, atol=1e-15)
    assert len(distinct(well.y(trials.phi), 4)) == 2**n


@pytest.mark.parametrize("n", [1, 3, 5])
def test_descent_leaves_saddles_and_maxima_on_which_it_starts(n):
    rng = np.random.default_rng(n)
    y = np.array(
        [
            [0, 0, 0, 0, 0],
            [1, 0, -1, 1, 0],
            [0, 1, 1, 1, 1],
            [1e-13, 0, 1, 0, 0],
            [1, 1, 0, 1e-9, 1],
        ],
        float,
    )[:, :n]
    rotation = random_rotation(n, rng)
    trials = run(DoubleWell(np.tile(rotation, (len(y), 1, 1))), y @ rotation, "descent")
    assert converged(trials).all()
    np.testing.assert_allclose(np.abs(trials.phi @ rotation.T), 1.0, atol=1e-8)


def test_root_stays_on_a_critical_point_on_which_it_starts():
    y = np.array([[0, 0, 0], [1, 0, -1], [1, -1, 1]], float)
    trials = run(DoubleWell(np.tile(np.eye(3), (3, 1, 1))), y, "root")
    assert converged(trials).all()
    np.testing.assert_array_equal(trials.phi, y)
    assert not trials.n_iterations.any()


# What is no critical point


def rising_cubic(count):
    """V = φ³/3 + φ: |V'|² = (φ² + 1)² has its minimum at 0, where V' = 1."""
    return Lines(
        lambda x: x**3 / 3.0 + x, lambda x: x**2 + 1.0, lambda x: 2.0 * x, count, unbounded=True
    )


@pytest.mark.parametrize("method", ALL_METHODS)
def test_a_stationary_point_of_the_squared_gradient_is_not_accepted(method):
    starts = np.concatenate([np.linspace(-2, 2, 41), [0.0, 1e-9, 1.0, -1.0]])[:, None]
    trials = run(rising_cubic(len(starts)), starts, method)
    assert not converged(trials).any()
    if method != "root":
        assert (trials.outcome == Outcome.ESCAPED).all()
        assert (trials.phi < -50.0).all()


@pytest.mark.parametrize("method", ALL_METHODS)
def test_a_stationary_point_of_the_toy_potentials_squared_gradient_is_not_accepted(method):
    """V = −φ² + 3φ + φ⁴/4 of the toy: V' = φ³ − 2φ + 3 has its only zero at φ = −1.893289 and a
    minimum of 1.911 at √(2/3).
    """
    one = np.ones(41)
    toy = ToyPotential(
        -one[:, None, None], 3.0 * one[:, None], 0.0 * one, one, 0.0 * one, one, 0.25 * one, 0.1
    )
    starts = np.sqrt(2.0 / 3.0) + np.linspace(-0.5, 0.5, 41)[:, None]
    trials = run(toy, starts, method)
    found = converged(trials)
    np.testing.assert_allclose(trials.phi[found, 0], -1.8932891963045, atol=1e-9)
    assert method == "root" or found.all()


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_converged_trial_is_a_critical_point(n, method):
    potential, starts = toy_trials(n, 600)
    trials = run(potential, starts, method)
    found = converged(trials)
    value, gradient, _ = potential.derivatives(trials.phi)
    size = np.linalg.norm(gradient, axis=1)
    assert found.sum() > 300
    assert (size[found] <= 1e-9 * (1.0 + np.abs(value[found])) * (1.0 + 1e-12)).all()
    assert (np.linalg.norm(trials.phi[found], axis=1) <= 50.0).all()
    np.testing.assert_allclose(trials.value[found], value[found], rtol=1e-14)
    np.testing.assert_allclose(trials.grad_norm[found], size[found], rtol=1e-12, atol=1e-300)


def test_an_infinite_energy_is_no_critical_point():
    """|∇V| ≤ tol·(1 + |V|) holds for every gradient where V has overflowed."""
    bad = (
        Constant(v=np.inf, slope=1.0, curvature=1.0),
        Constant(v=-np.inf, slope=1.0),
        Constant(v=np.inf, slope=np.inf, curvature=np.inf),
    )
    for method in ALL_METHODS:
        assert not converged(run(Several(bad), np.zeros((3, 2)), method)).any()


# Escape


def far_out_on_a_falling_quartic(n):
    """Starts at ±40 along one modulus of systems with γ < 0, where 4|γ|φ³ is far above the force
    of every mass term.
    """
    potential = toy_systems(n, 200)
    potential = potential.take(np.flatnonzero(potential.gamma < 0))
    rng = np.random.default_rng(n)
    starts = rng.uniform(-0.5, 0.5, (len(potential), n))
    starts[np.arange(len(potential)), rng.integers(0, n, len(potential))] = rng.choice(
        [-40.0, 40.0], len(potential)
    )
    return potential, starts


@pytest.mark.parametrize("n", [1, 2, 5, 32])
def test_a_trial_far_out_on_a_falling_quartic_escapes(n):
    potential, starts = far_out_on_a_falling_quartic(n)
    trials = run(potential, starts, "descent")
    assert (trials.outcome == Outcome.ESCAPED).all()
    assert (np.linalg.norm(trials.phi, axis=1) > 50.0).all()
    assert (trials.value < potential.value(starts)).all()


@pytest.mark.parametrize("n", [1, 2, 5, 32])
def test_hybrid_brings_a_trial_far_out_to_an_end(n):
    potential, starts = far_out_on_a_falling_quartic(n)
    trials = run(potential, starts, "hybrid")
    assert (trials.outcome != Outcome.FAILED).all()
    np.testing.assert_array_equal(
        np.linalg.norm(trials.phi, axis=1) > 50.0, trials.outcome == Outcome.ESCAPED
    )


@pytest.mark.parametrize("method", ALL_METHODS)
def test_the_field_range_decides_between_a_minimum_and_an_escape(method):
    def parabola(minimum):
        return Lines(
            lambda x: (x - minimum) ** 2,
            lambda x: 2.0 * (x - minimum),
            lambda x: np.full(x.shape, 2.0),
            1,
        )

    inside, outside = run(parabola(49.99), [[1.5]], method), run(parabola(50.01), [[1.5]], method)
    assert converged(inside).all()
    assert inside.phi[0, 0] == pytest.approx(49.99, abs=1e-9)
    assert outside.outcome[0] == Outcome.ESCAPED
    assert abs(outside.phi[0, 0]) > 50.0
    assert converged(run(parabola(50.01), [[1.5]], method, field_range=60.0)).all()
    # A critical point is out of range even if the trial starts on it.
    assert run(parabola(70.0), [[70.0]], method).outcome[0] == Outcome.ESCAPED


def test_field_range_is_a_length_not_a_box():
    valley = Lines(
        lambda x: (x - 40.0) ** 2, lambda x: 2.0 * (x - 40.0), lambda x: np.full(x.shape, 2.0), 1
    )
    for method in ALL_METHODS:
        assert converged(run(valley, [[0.0]], method)).all()
        assert run(valley, [[0.0, 0.0]], method).outcome[0] == Outcome.ESCAPED


# KKLT


def kklt_reference(uplift: str, derivative: int, sigma):
    """KKLT's formula as published, differentiated by mpmath."""

    def v(s):
        w0, a_np, a, d = mpmath.mpf("-1e-4"), mpmath.mpf(1), mpmath.mpf("0.1"), mpmath.mpf(uplift)
        e = a_np * mpmath.exp(-a * s)
        return a * e / (2 * s**2) * (s * a * e / 3 + w0 + e) + d / s**3

    return mpmath.diff(v, sigma, derivative) if derivative else v(sigma)


@pytest.mark.parametrize(
    ("uplift", "start", "published"),
    [
        ("0", 105.0, (113.589124073558, -1.99657689577e-15, 4.90296168e-17)),
        ("3e-9", 110.0, (114.894186092, 1.7665292e-17, 3.29234e-17)),
        ("3e-9", 138.0, (139.281572567, 8.9162725e-16, None)),
    ],
)
def test_kklts_critical_points(uplift, start, published):
    potential = KKLT(np.array([float(uplift)]))
    trials = run(potential, [[start / 10.0]], "root", grad_tol=1e-12)
    assert converged(trials).all()
    sigma, value = 10.0 * trials.phi[0, 0], trials.value[0] / 1e15
    curvature = potential.hessian(trials.phi)[0, 0, 0] / 1e17
    with mpmath.workdps(40):
        exact = mpmath.findroot(lambda s: 1e15 * kklt_reference(uplift, 1, s), published[0])
        expected = [
            float(x)
            for x in (exact, kklt_reference(uplift, 0, exact), kklt_reference(uplift, 2, exact))
        ]
    assert [sigma, value, curvature] == pytest.approx(expected, rel=1e-10)
    assert sigma == pytest.approx(published[0], rel=1e-11)
    assert value == pytest.approx(published[1], rel=1e-7)
    if published[2] is None:
        assert curvature < 0.0
    else:
        assert curvature == pytest.approx(published[2], rel=2e-6)


def test_kklts_minimum_disappears_under_too_much_uplift():
    below, above = 7.8612435e-9 * (1.0 - 1e-4), 7.8612435e-9 * (1.0 + 1e-4)
    trials = run(KKLT(np.array([below, above])), [[11.5], [11.5]], "descent", field_range=60.0)
    assert trials.outcome.tolist() == [Outcome.CONVERGED, Outcome.ESCAPED]
    assert 10.0 * trials.phi[0, 0] == pytest.approx(121.583188, abs=1.0)
    both = run(KKLT(np.full(2, below)), [[12.10], [12.25]], "root")
    assert converged(both).all()
    assert 10.0 * both.phi[0, 0] < 121.583188 < 10.0 * both.phi[1, 0]
    assert 10.0 * both.phi.mean() == pytest.approx(121.583188, abs=0.01)


def test_kklts_uplifted_minimum_is_metastable():
    potential = KKLT(np.array([3e-9]))
    trials = run(potential, [[11.0]], "hybrid")
    vectors = np.ones((1, 1, 1))
    height = barrier_heights(
        potential, trials.phi, trials.value, eigenvectors=vectors, field_range=50.0
    )
    assert height[0] / 1e15 == pytest.approx(8.7396195e-16, rel=1e-7)


# Degenerate and broken systems in a stack


def several_toys(n, count):
    potential = toy_systems(n, count)
    return [potential.take(np.array([i])) for i in range(count)]


class FlatDirection(Constant):
    """V = (φ₁² − 1)²/4, whatever the other moduli: the Hessian is singular everywhere."""

    def value(self, phi):
        return (phi[..., 0] ** 2 - 1.0) ** 2 / 4.0

    def gradient(self, phi):
        gradient = np.zeros(phi.shape)
        gradient[..., 0] = phi[..., 0] ** 3 - phi[..., 0]
        return gradient

    def hessian(self, phi):
        hessian = np.zeros((*phi.shape, phi.shape[-1]))
        hessian[..., 0, 0] = 3.0 * phi[..., 0] ** 2 - 1.0
        return hessian


class NanBeyondOne(Constant):
    """V = −Σφ² where |φ| < 1, undefined beyond."""

    def value(self, phi):
        squares = (phi * phi).sum(axis=-1)
        return np.where(squares < 1.0, -squares, np.nan)

    def gradient(self, phi):
        return np.where((phi * phi).sum(axis=-1, keepdims=True) < 1.0, -2.0 * phi, np.nan)

    def hessian(self, phi):
        inside = (phi * phi).sum(axis=-1)[..., None, None] < 1.0
        return np.where(inside, -2.0 * np.eye(phi.shape[-1]), np.nan)


class Overflowing(Constant):
    """V = −exp(exp(Σφᵢ)): beyond double precision after few steps."""

    def _inner(self, phi):
        return np.exp(phi.sum(axis=-1))

    def value(self, phi):
        return -np.exp(self._inner(phi))

    def gradient(self, phi):
        return np.repeat(
            (-np.exp(self._inner(phi)) * self._inner(phi))[..., None], phi.shape[-1], axis=-1
        )

    def hessian(self, phi):
        u = self._inner(phi)
        return (-np.exp(u) * (u * u + u))[..., None, None] * np.ones((phi.shape[-1], phi.shape[-1]))


def cubic_line():
    """V = Σφᵢ³/3: H = 0 at the start 0, and beside it negative modes."""
    return Lines(lambda x: x**3 / 3.0, lambda x: x**2, lambda x: 2.0 * x, 1, unbounded=True)


class StiffValley(Constant):
    """V = 10⁹(φ₁ + φ₂)²/2 + 10⁻³φ₁: H² + μ² loses its μ² to rounding and is exactly singular."""

    def value(self, phi):
        return 0.5e9 * (phi[..., 0] + phi[..., 1]) ** 2 + 1e-3 * phi[..., 0]

    def gradient(self, phi):
        return 1e9 * phi.sum(axis=-1, keepdims=True) * np.ones(2) + np.array([1e-3, 0.0])

    def hessian(self, phi):
        return np.full((*phi.shape, 2), 1e9)


def paraboloid(curvature):
    """V = Σ curvature·φᵢ²/2 on top of a slope."""
    return Lines(
        lambda x: curvature * x**2 / 2.0 + x,
        lambda x: curvature * x + 1.0,
        lambda x: np.full(x.shape, float(curvature)),
        1,
        unbounded=True,
    )


def inclined_plane():
    """V = Σφᵢ: H = 0 everywhere, and nothing but a slope."""
    return Lines(lambda x: x, np.ones_like, np.zeros_like, 1, unbounded=True)


BROKEN = {
    "all zero": Constant(),
    "linear": inclined_plane(),
    "slope of nothing": Constant(slope=1.0),
    "stiff valley": StiffValley(),
    "singular at the first damping of descent": paraboloid(-5.0),
    "flat direction": FlatDirection(),
    "cubic": cubic_line(),
    "NaN everywhere": Constant(v=np.nan, slope=np.nan, curvature=np.nan),
    "NaN energy, finite derivatives": Constant(v=np.nan, slope=1.0, curvature=-1.0),
    "NaN energy, no slope": Constant(v=np.nan, slope=0.0, curvature=-1.0),
    "NaN Hessian": Constant(v=1.0, slope=1.0, curvature=np.nan),
    "NaN Hessian, no slope": Constant(v=1.0, slope=0.0, curvature=np.nan),
    "NaN beyond one": NanBeyondOne(),
    "infinite": Constant(v=np.inf, slope=np.inf, curvature=np.inf),
    "infinite energy": Constant(v=np.inf, slope=1.0, curvature=-1.0),
    "infinite energy, NaN Hessian": Constant(v=np.inf, slope=1.0, curvature=np.nan),
    "minus infinite": Constant(v=-np.inf, slope=-np.inf, curvature=-np.inf),
    "infinite slope": Constant(v=0.0, slope=np.inf, curvature=1.0),
    "overflowing": Overflowing(),
}


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_system_does_not_disturb_its_neighbours(name, method):
    healthy = several_toys(2, 5)
    starts = np.array([[0.3, -0.7], [1.1, 0.2], [0.0, 0.0], [-1.5, 1.2], [0.4, 1.9], [0.7, -0.1]])
    alone = run(Several(tuple(healthy)), starts[[0, 1, 3, 4, 5]], method)
    together = run(Several((*healthy[:2], BROKEN[name], *healthy[2:])), starts, method)
    others = np.array([0, 1, 3, 4, 5])
    assert_same_trials(together, alone, others, slice(None))


def test_a_singular_matrix_has_no_solution_and_leaves_the_others_theirs():
    rng = np.random.default_rng(3)
    matrices, vectors = rng.standard_normal((6, 4, 4)), rng.standard_normal((6, 4))
    alone = solve(matrices, vectors)
    np.testing.assert_allclose((matrices @ alone[..., None])[..., 0], vectors, atol=1e-12)
    for singular in (np.zeros((4, 4)), np.ones((4, 4)), np.diag([1.0, 2.0, 0.0, 3.0])):
        matrices[2] = singular
        with np.errstate(all="ignore"):
            together = solve(matrices, vectors)
        assert np.isnan(together[2]).all()
        np.testing.assert_array_equal(np.delete(together, 2, axis=0), np.delete(alone, 2, axis=0))


@pytest.mark.parametrize("method", ALL_METHODS)
def test_a_potential_that_is_zero_everywhere_is_critical_everywhere(method):
    trials = run(Several((Constant(), Constant())), [[0.0, 0.0], [1.0, -2.0]], method)
    assert converged(trials).all()
    np.testing.assert_array_equal(trials.phi, [[0.0, 0.0], [1.0, -2.0]])


@pytest.mark.parametrize("method", ALL_METHODS)
def test_a_flat_direction_is_followed_to_its_critical_line(method):
    starts = np.random.default_rng(0).uniform(-2, 2, (40, 3))
    trials = run(Several((FlatDirection(),) * 40), starts, method)
    found = converged(trials)
    assert found.mean() > 0.9 if method == "root" else found.all()
    assert set(np.round(trials.phi[found, 0], 6) + 0.0) <= (
        {-1.0, 0.0, 1.0} if method != "descent" else {-1.0, 1.0}
    )


@pytest.mark.parametrize("method", ALL_METHODS)
def test_what_is_not_a_number_fails(method):
    for name in (
        "NaN everywhere",
        "NaN energy, finite derivatives",
        "NaN energy, no slope",
        "infinite slope",
    ):
        assert (
            run(Several((BROKEN[name],)), np.zeros((1, 2)), method).outcome[0] == Outcome.FAILED
        ), name


def test_a_constant_slope_leads_out_of_the_field_range():
    for method in ("descent", "hybrid"):
        assert run(inclined_plane(), np.zeros((1, 2)), method).outcome[0] == Outcome.ESCAPED


def test_an_empty_stack_can_be_searched():
    nothing = np.array([], int)
    for method in ALL_METHODS:
        assert run(toy_systems(2, 3).take(nothing), np.zeros((0, 2)), method).outcome.shape == (0,)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_the_search_leaves_its_starts_alone(method):
    potential, starts = toy_trials(3, 20)
    before = starts.copy()
    run(potential, starts, method)
    np.testing.assert_array_equal(starts, before)


# One trial, whatever the stack


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("n", [2, 5, 6, 8, 16])
def test_a_trial_ends_in_the_same_bits_in_every_stack(n, method):
    potential, starts = toy_trials(n, 500)
    whole = run(potential, starts, method)
    for i in (0, 1, 7, 42, 99, 123, 250, 499):
        alone = run(potential.take(np.array([i])), starts[i : i + 1], method)
        assert trial(alone, 0) == trial(whole, i)
    for first in (0, 77, 493):
        seven = np.arange(first, first + 7)
        assert_same_trials(
            run(potential.take(seven), starts[seven], method), whole, slice(None), seven
        )
    shuffled = np.random.default_rng(n).permutation(500)
    assert_same_trials(
        run(potential.take(shuffled), starts[shuffled], method), whole, slice(None), shuffled
    )


# The ensemble


@pytest.mark.parametrize("n", [2, 4, 8, 16, 32])
def test_every_trial_of_the_ensemble_converges_or_escapes(n):
    potential, starts = toy_trials(n, 1500 if n <= 16 else 400)
    outcome = run(potential, starts, "hybrid").outcome
    assert (outcome != Outcome.FAILED).all()
    assert (outcome == Outcome.CONVERGED).mean() > 0.6


@pytest.mark.parametrize("n", [2, 5, 16])
def test_hybrid_is_root_where_root_converged_and_descent_elsewhere(n):
    potential, starts = toy_trials(n, 500)
    root, descent, hybrid = (
        run(potential, starts, method) for method in ("root", "descent", "hybrid")
    )
    by_root = converged(root)
    assert_same_trials(hybrid, root, by_root, by_root)
    for name in ("phi", "value", "grad_norm", "outcome", "method"):
        np.testing.assert_array_equal(
            getattr(hybrid, name)[~by_root], getattr(descent, name)[~by_root]
        )
    np.testing.assert_array_equal(
        hybrid.n_iterations[~by_root], (root.n_iterations + descent.n_iterations)[~by_root]
    )
    assert (
        hybrid.method == np.where(by_root, METHODS.index("root"), METHODS.index("descent"))
    ).all()


def test_hybrid_rolls_down_from_the_start_of_a_root_search_that_ran_away():
    """V = −1/(1 + φ²) outside its inflection: |V'| falls outwards, V inwards."""
    bump = Lines(
        lambda x: -1.0 / (1.0 + x**2),
        lambda x: 2.0 * x / (1.0 + x**2) ** 2,
        lambda x: (2.0 - 6.0 * x**2) / (1.0 + x**2) ** 3,
        2,
    )
    starts = [[1.5], [-1.9]]
    assert (run(bump, starts, "root").outcome == Outcome.ESCAPED).all()
    hybrid = run(bump, starts, "hybrid")
    assert converged(hybrid).all()
    np.testing.assert_allclose(hybrid.phi, 0.0, atol=1e-9)


def test_root_finds_saddles_and_descent_none():
    potential, starts = toy_trials(4, 500)
    root, descent = run(potential, starts, "root"), run(potential, starts, "descent")
    assert (indices(potential, root.phi)[0][converged(root)] > 0).sum() > 50
    assert not indices(potential, descent.phi)[0][converged(descent)].any()


@pytest.mark.parametrize("n", [1, 2, 4])
def test_descent_from_within_the_barrier_rolls_to_the_minimum(n):
    """V = Σ kᵢφᵢ² − |γ|φᵢ⁴ falls for ever beyond φᵢ² = kᵢ/2|γ|."""
    none = {"A": (0.0, 0.0), "D": (0.0, 0.0), "coupling": 0.0, "tilt": 0.0, "runaway_tilt": 0.0}
    runaway = {"generic": 0, "stabilized": 0, "tachyonic": 0, "runaway": 1}
    potential = toy_systems(n, 1000, ensemble=replace(ENSEMBLE, **none, regimes=runaway))
    starts = np.random.default_rng(n).uniform(-2, 2, (1000, n))
    tops = np.diagonal(potential.K, axis1=1, axis2=2) / (2.0 * np.abs(potential.gamma[:, None]))
    inside = np.flatnonzero((starts**2 < tops).all(axis=1))
    trials = run(potential.take(inside), starts[inside], "descent")
    at_minimum = converged(trials) & (np.abs(trials.phi) < 1e-6).all(axis=1)
    assert len(inside) > 800
    assert at_minimum.mean() > 0.98


def test_descent_ends_below_its_start():
    potential, starts = toy_trials(3, 500)
    trials = run(potential, starts, "descent")
    assert (trials.value <= potential.value(starts) + 1e-12).all()


def test_a_minimum_of_a_falling_quartic_is_metastable():
    potential, starts = toy_trials(2, 600)
    trials = run(potential, starts, "descent")
    falling = converged(trials) & (potential.gamma < 0)
    index = hessian_index(np.linalg.eigvalsh(potential.hessian(trials.phi)), 1e-6)
    labels = critical_point_labels(index, potential.unbounded_below())
    assert falling.sum() > 20
    assert (labels[falling] == METASTABLE).all()
    assert (labels[converged(trials) & ~falling] == STABLE).all()


@pytest.mark.parametrize("n", [1, 2, 6])
def test_scipy_finds_nothing_better_around_the_minima(n):
    potential, starts = toy_trials(n, 120)
    trials = run(potential, starts, "hybrid")
    negative, _, flat = indices(potential, trials.phi)
    minima = np.flatnonzero(converged(trials) & (negative == 0) & (flat == 0))
    assert len(minima) > 40
    for i in minima:
        one = potential.take(np.array([i]))
        polished = scipy.optimize.minimize(
            lambda x, one=one: one.value(x[None])[0],
            trials.phi[i],
            jac=lambda x, one=one: one.gradient(x[None])[0],
            hess=lambda x, one=one: one.hessian(x[None])[0],
            method="trust-exact",
            options={"gtol": 1e-12, "maxiter": 20},
        )
        assert np.linalg.norm(polished.x - trials.phi[i]) < 1e-6


@pytest.mark.parametrize("n", [1, 2])
def test_mpmath_confirms_the_critical_points(n):
    """Newton's method in 50 digits from a point that was found stays within the search's tolerance
    of it.
    """
    potential, starts = toy_trials(n, 40)
    trials = run(potential, starts, "hybrid")
    for i in np.flatnonzero(converged(trials))[:12]:
        s = potential.take(np.array([i]))
        K, b, A, a, D, p, g = s.K[0], s.b[0], s.A[0], s.a[0], s.D[0], s.p[0], s.gamma[0]

        def slopes(*phi, K=K, b=b, A=A, a=a, D=D, p=p, g=g):
            roots = [mpmath.sqrt(x * x + mpmath.mpf(0.1) ** 2) for x in phi]
            force = A * a * mpmath.exp(-a * mpmath.fsum(roots))
            lift = 2 * p * D * (1 + mpmath.fsum(x * x for x in phi)) ** (-p - 1)
            flux = [2 * mpmath.fsum(K[j, k] * phi[k] for k in range(n)) + b[j] for j in range(n)]
            return [
                flux[j] + force * phi[j] / roots[j] - lift * phi[j] + 4 * g * phi[j] ** 3
                for j in range(n)
            ]

        with mpmath.workdps(50):
            exact = mpmath.findroot(
                slopes if n > 1 else lambda x, f=slopes: f(x)[0],
                trials.phi[i].tolist() if n > 1 else float(trials.phi[i, 0]),
            )
            exact = [exact] if n == 1 else list(exact)
        np.testing.assert_allclose(trials.phi[i], [float(x) for x in exact], atol=1e-7)


def test_more_steps_change_nothing_for_a_trial_that_ended():
    potential, starts = toy_trials(3, 200)
    normal = search(potential, starts, settings("root"))
    patient = search(potential, starts, settings("root", root_steps=80))
    ended = normal.outcome != Outcome.FAILED
    assert_same_trials(patient, normal, ended, ended)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_without_steps_only_the_start_is_judged(method):
    y = np.array([[1.0, 1.0], [0.5, 0.5]])
    trials = run(
        DoubleWell(np.tile(np.eye(2), (2, 1, 1))), y, method, root_steps=0, descent_steps=0
    )
    assert trials.outcome.tolist() == [Outcome.CONVERGED, Outcome.FAILED]
    np.testing.assert_array_equal(trials.phi, y)
