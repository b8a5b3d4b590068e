"""The toy potential against a transcription of its formula, differentiated in a hundred decimal
digits.
"""

from dataclasses import fields, replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from known_potentials import random_rotation, toy_systems
from vacuagym.theories.toy.potential import ToyPotential

STEP = mpf(10) ** -30
SCALES = (0.0, 1e-12, 1e-6, 1e-3, 1e-2, 0.1, 1.0, 3.0, 10.0, 100.0)


def exact_value(system: ToyPotential, phi):
    """V of a stack of one, from the definition."""
    K, b = system.K[0], system.b[0]
    A, a, D, p, gamma = (
        mpf(float(getattr(system, name)[0])) for name in ("A", "a", "D", "p", "gamma")
    )
    delta, n = mpf(system.delta), len(b)
    flux = mpmath.fsum(mpf(float(K[i, j])) * phi[i] * phi[j] for i in range(n) for j in range(n))
    tilt = mpmath.fsum(mpf(float(b[i])) * phi[i] for i in range(n))
    S = mpmath.fsum(mpmath.sqrt(x**2 + delta**2) for x in phi)
    uplift = D * (1 + mpmath.fsum(x**2 for x in phi)) ** (-p)
    return flux + tilt - A * mpmath.exp(-a * S) + uplift + gamma * mpmath.fsum(x**4 for x in phi)


def shifted(phi, *moves):
    moved = list(phi)
    for i, amount in moves:
        moved[i] += amount
    return moved


def exact_slope(system, phi, i):
    """∂V/∂φᵢ by a central difference whose error is some 1e-55."""
    return float(
        (
            exact_value(system, shifted(phi, (i, STEP)))
            - exact_value(system, shifted(phi, (i, -STEP)))
        )
        / (2 * STEP)
    )


def exact_curvature(system, phi, i, j):
    """∂²V/∂φᵢ∂φⱼ likewise."""
    corners = (
        (si, sj, exact_value(system, shifted(phi, (i, si * STEP), (j, sj * STEP))))
        for si in (1, -1)
        for sj in (1, -1)
    )
    return float(mpmath.fsum(si * sj * value for si, sj, value in corners) / (4 * STEP**2))


@mpmath.workdps(100)
def assert_derivatives_are_right(potential: ToyPotential, phi: np.ndarray, entries=None):
    """V, ∇V and ∇²V at ``phi`` (B, n) are right to rounding, which is relative to the size of the
    terms that are summed.
    """
    value, gradient, hessian = potential.value(phi), potential.gradient(phi), potential.hessian(phi)
    n = phi.shape[1]
    pairs = [(i, j) for i in range(n) for j in range(i + 1)] if entries is None else entries
    for s in range(len(potential)):
        system = potential.take(np.array([s]))
        exact = [mpf(float(x)) for x in phi[s]]
        forces = (
            2.0 * np.abs(system.K[0]) @ np.abs(phi[s])
            + np.abs(system.b[0])
            + 4.0 * np.abs(system.gamma) * np.abs(phi[s]) ** 3
        )
        np.testing.assert_allclose(
            value[s],
            float(exact_value(system, exact)),
            rtol=1e-13,
            atol=1e-13 * (10.0 + np.abs(phi[s]) @ forces),
        )
        for i in sorted({i for i, _ in pairs}):
            assert gradient[s, i] == pytest.approx(
                exact_slope(system, exact, i), rel=1e-13, abs=1e-13 * (10.0 + forces[i])
            )
        for i, j in pairs:
            assert hessian[s, i, j] == pytest.approx(
                exact_curvature(system, exact, i, j), rel=1e-13, abs=1e-11
            )


def both_signs_of_gamma(n: int, count: int = 40) -> ToyPotential:
    """Two systems of the ensemble, one bounded from below and one not."""
    many = toy_systems(n, count)
    return many.take(
        np.array([np.flatnonzero(many.gamma > 0)[0], np.flatnonzero(many.gamma < 0)[0]])
    )


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("scale", SCALES)
def test_gradient_and_hessian_are_the_derivatives_at_every_scale(n, scale):
    direction = np.random.default_rng(n).standard_normal((2, n))
    assert_derivatives_are_right(
        both_signs_of_gamma(n), scale * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    )


def test_gradient_and_hessian_are_the_derivatives_where_scales_mix():
    phi = np.array([[1e2, -1e-12, 0.0, 0.1, -1.0], [1e-6, 0.0, -30.0, 1e-12, 1e-3]])
    assert_derivatives_are_right(both_signs_of_gamma(5), phi)


@pytest.mark.parametrize("scale", [0.0, 1e-12, 0.1, 1.0, 100.0])
def test_gradient_and_hessian_are_the_derivatives_of_the_largest_theories(scale):
    rng = np.random.default_rng(32)
    some = [(0, 0), (31, 31), (31, 0), (17, 16), *map(tuple, rng.integers(0, 32, (4, 2)).tolist())]
    assert_derivatives_are_right(
        both_signs_of_gamma(32), scale * rng.standard_normal((2, 32)), some
    )


COORDINATE = st.tuples(st.sampled_from([-1.0, 1.0]), st.floats(1.0, 9.99), st.integers(-12, 1)).map(
    lambda t: t[0] * t[1] * 10.0 ** t[2]
)


@given(
    phi=st.lists(COORDINATE | st.just(0.0), min_size=2, max_size=2),
    K=st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    b=st.lists(st.floats(-5, 5), min_size=2, max_size=2),
    A=st.floats(0, 3),
    a=st.floats(0.5, 3),
    D=st.floats(0, 3),
    p=st.floats(0.5, 3),
    gamma=st.floats(-0.5, 0.5),
    delta=st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_gradient_and_hessian_are_the_derivatives_for_all_couplings(
    phi, K, b, A, a, D, p, gamma, delta
):
    matrix = np.array([[[K[0], K[1]], [K[1], K[2]]]])
    potential = ToyPotential(
        matrix, np.array([b]), *(np.array([x]) for x in (A, a, D, p, gamma)), delta
    )
    assert_derivatives_are_right(potential, np.array([phi]))


@pytest.mark.parametrize("n", [1, 2, 7, 32])
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1.0, 50.0])
def test_the_hessian_is_symmetric_to_the_last_bit(n, scale):
    hessian = toy_systems(n, 50).hessian(scale * np.random.default_rng(n).standard_normal((50, n)))
    np.testing.assert_array_equal(hessian, np.swapaxes(hessian, -1, -2))


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_without_tilt_the_origin_is_critical_with_the_hessian_of_the_closed_form(n):
    potential = replace(toy_systems(n, 30), b=np.zeros((30, n)))
    A, a, D, p = (x[:, None, None] for x in (potential.A, potential.a, potential.D, potential.p))
    expected = 2.0 * potential.K + (A * a * np.exp(-a * n * 0.1) / 0.1 - 2.0 * D * p) * np.eye(n)
    origin = np.zeros((30, n))
    np.testing.assert_array_equal(potential.gradient(origin), 0.0)
    np.testing.assert_allclose(potential.hessian(origin), expected, rtol=1e-14, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 9, 32])
def test_derivatives_together_are_the_three_apart(n):
    potential, phi = toy_systems(n, 40), np.random.default_rng(n).uniform(-3, 3, (3, 40, n))
    for points in (phi, phi[0]):
        value, gradient, hessian = potential.derivatives(points)
        np.testing.assert_array_equal(hessian, potential.hessian(points))
        np.testing.assert_array_equal(value, potential.value(points))
        np.testing.assert_array_equal(gradient, potential.gradient(points))


@pytest.mark.parametrize("n", [1, 2, 16])
def test_leading_axes_are_further_points_of_the_same_systems(n):
    potential, phi = toy_systems(n, 6), np.random.default_rng(n).uniform(-3, 3, (4, 3, 6, n))
    value, gradient, hessian = potential.value(phi), potential.gradient(phi), potential.hessian(phi)
    assert (value.shape, gradient.shape, hessian.shape) == (
        (4, 3, 6),
        (4, 3, 6, n),
        (4, 3, 6, n, n),
    )
    for i in range(4):
        for j in range(3):
            np.testing.assert_array_equal(value[i, j], potential.value(phi[i, j]))
            np.testing.assert_array_equal(gradient[i, j], potential.gradient(phi[i, j]))
            np.testing.assert_array_equal(hessian[i, j], potential.hessian(phi[i, j]))


@pytest.mark.parametrize("n", [1, 2, 16])
def test_a_stack_of_one_takes_any_number_of_points(n):
    one, phi = (
        toy_systems(n, 5).take(np.array([3])),
        np.random.default_rng(n).uniform(-3, 3, (11, n)),
    )
    many = one.take(np.zeros(11, int))
    assert (len(one), len(many)) == (1, 11)
    for name in ("value", "gradient", "hessian"):
        np.testing.assert_array_equal(getattr(one, name)(phi), getattr(many, name)(phi))


def test_take_picks_systems_in_any_order_and_number():
    potential, phi = toy_systems(3, 8), np.random.default_rng(0).uniform(-2, 2, (8, 3))
    for systems in (np.array([5, 0, 5, 7]), np.array([], int), np.arange(8)):
        part = potential.take(systems)
        assert len(part) == len(systems)
        assert part.delta == potential.delta
        for field in fields(part):
            if field.name != "delta":
                np.testing.assert_array_equal(
                    getattr(part, field.name), getattr(potential, field.name)[systems]
                )
        np.testing.assert_array_equal(part.value(phi[systems]), potential.value(phi)[systems])
        np.testing.assert_array_equal(part.hessian(phi[systems]), potential.hessian(phi)[systems])


def test_evaluating_changes_neither_the_couplings_nor_the_points():
    potential, phi = toy_systems(4, 5), np.random.default_rng(0).uniform(-2, 2, (5, 4))
    before = [
        getattr(potential, field.name)
        if field.name == "delta"
        else getattr(potential, field.name).copy()
        for field in fields(potential)
    ]
    points = phi.copy()
    potential.derivatives(phi), potential.unbounded_below()
    np.testing.assert_array_equal(phi, points)
    for field, old in zip(fields(potential), before, strict=True):
        np.testing.assert_array_equal(getattr(potential, field.name), old)


def quadratic(K, b, gamma=0.0, A=1.0, D=1.0) -> ToyPotential:
    K = np.array(K, float)
    return ToyPotential(
        K[None], np.array([b], float), *(np.array([x]) for x in (A, 1.0, D, 1.5, gamma)), 0.1
    )


@pytest.mark.parametrize("gamma", [1e-300, 0.1, 5.0])
@pytest.mark.parametrize(
    "K", [[[9.0, 0.0], [0.0, 1.0]], [[-50.0, 3.0], [3.0, -50.0]], [[0.0, 0.0], [0.0, 0.0]]]
)
def test_a_positive_quartic_holds_every_potential_up(K, gamma):
    assert not quadratic(K, [3.0, -2.0], gamma).unbounded_below()[0]


@pytest.mark.parametrize("K", [[[9.0, 0.0], [0.0, 1.0]], [[-50.0, 3.0], [3.0, -50.0]]])
def test_a_negative_quartic_lets_every_potential_fall(K):
    assert quadratic(K, [0.0, 0.0], -0.05).unbounded_below()[0]


LAPLACIAN = [
    [2.0, -1.0, -1.0],
    [-1.0, 2.0, -1.0],
    [-1.0, -1.0, 2.0],
]  # its zero mode is (1, 1, 1), exactly


@pytest.mark.parametrize(
    ("K", "b", "unbounded"),
    [
        ([[2.0, 1.0], [1.0, 3.0]], [5.0, 5.0], False),
        ([[1e-6, 0.0], [0.0, 1.0]], [5.0, 5.0], False),
        ([[1.0, 2.0], [2.0, 1.0]], [0.0, 0.0], True),
        ([[-1e-6, 0.0], [0.0, 1.0]], [0.0, 0.0], True),
        ([[0.0, 0.0], [0.0, 1.0]], [0.0, 0.0], False),
        ([[0.0, 0.0], [0.0, 1.0]], [0.0, 5.0], False),
        ([[0.0, 0.0], [0.0, 1.0]], [1e-3, 0.0], True),
        ([[0.0, 0.0], [0.0, -1.0]], [0.0, 0.0], True),
        ([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0], False),
        ([[0.0, 0.0], [0.0, 0.0]], [0.0, -1e-3], True),
        ([[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0], False),
        ([[1.0, -1.0], [-1.0, 1.0]], [1.0, -1.0], False),
        ([[1.0, -1.0], [-1.0, 1.0]], [1.0, 0.0], True),
        (LAPLACIAN, [0.0, 0.0, 0.0], False),
        (LAPLACIAN, [1.0, 1.0, -2.0], False),
        (LAPLACIAN, [-1.0, 1.0, 0.0], False),
        (LAPLACIAN, [-2.0, 0.0, 2.0], False),
        (LAPLACIAN, [1.0, 1.0, 1.0], True),
    ],
)
def test_without_a_quartic_the_masses_and_the_tilt_decide(K, b, unbounded):
    """Far out the two exponentially or algebraically decaying terms vanish: V falls along a
    negative mode, or a flat one with a tilt.
    """
    assert quadratic(K, b).unbounded_below().tolist() == [unbounded]


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 8),
    signs=st.sampled_from(["all positive", "one negative"]),
)
@settings(max_examples=50, deadline=None)
def test_without_a_quartic_the_sign_of_the_least_mass_decides_whatever_the_basis(seed, n, signs):
    rng = np.random.default_rng(seed)
    modes, q = rng.uniform(0.1, 5.0, n), random_rotation(n, rng)
    if signs == "one negative":
        modes[0] *= -1.0
    K = q @ np.diag(modes) @ q.T
    potential = quadratic((K + K.T) / 2.0, rng.standard_normal(n))
    assert potential.unbounded_below()[0] == (signs == "one negative")


def test_a_stack_says_of_each_system_whether_it_falls():
    stack = toy_systems(3, 60)
    stack = replace(stack, gamma=np.where(np.arange(60) % 3 == 0, 0.0, stack.gamma))
    expected = [
        g < 0 or (g == 0 and np.linalg.eigvalsh(K)[0] < 0)
        for g, K in zip(stack.gamma, stack.K, strict=True)
    ]
    assert stack.unbounded_below().tolist() == expected
    assert stack.unbounded_below().dtype == bool


def test_terms_that_are_switched_off_leave_the_polynomial():
    system = quadratic([[2.0, 0.5], [0.5, 1.0]], [0.3, -0.2], 0.25, A=0.0, D=0.0)
    x, y = 0.7, -1.3
    phi = np.array([[x, y]])
    assert system.value(phi)[0] == pytest.approx(
        2 * x * x + x * y + y * y + 0.3 * x - 0.2 * y + 0.25 * (x**4 + y**4), rel=1e-15
    )
    np.testing.assert_allclose(
        system.gradient(phi)[0], [4 * x + y + 0.3 + x**3, x + 2 * y - 0.2 + y**3], rtol=1e-14
    )
    np.testing.assert_allclose(
        system.hessian(phi)[0], [[4 + 3 * x * x, 1], [1, 2 + 3 * y * y]], rtol=1e-15
    )
    for changes in ({"A": 0.0}, {"D": 0.0}, {"A": 0.0, "D": 0.0}):
        assert_derivatives_are_right(
            quadratic([[2.0, 0.5], [0.5, 1.0]], [0.3, -0.2], 0.25, **changes), phi
        )
