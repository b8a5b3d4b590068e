"""Supersymmetric points, spectra and uplift against published digits and the definitions."""

from itertools import permutations

import mpmath as mp
import numpy as np
import pytest

from vacuagym.checks.kklt.supersymmetry import Model
from vacuagym.theories.kklt.supersymmetry import (
    TWO_PI,
    Superpotential,
    log_equations,
    mass_eigenvalues,
    newton,
    plain_residual,
    superpotential_ratio,
    volumes,
)
from vacuagym.theories.kklt.uplift import FOLD, METASTABLE, Potential, lift, spectrum

W0 = 1e-4
LOG = -np.log(W0)


def symmetric(size: int, entries: dict[str, int]) -> np.ndarray:
    kappa = np.zeros((size,) * 3)
    for key, value in entries.items():
        for place in permutations(int(digit) for digit in key):
            kappa[place] = value
    return kappa


# One term for each modulus, W0 = 1e-4, computed with 60 digits from D_i W = 0: intersection
# numbers in the basis of the rigid divisors, start, t, volume and V.
ONE_TERM_EACH = {
    "85 13 15 16 17 24": (
        {"000": -11, "001": 8, "011": -4, "111": 2},
        [1.5, 1.6],
        [1.519889654361352, 1.653933010225235],
        2.038664431755816,
        -5.7145781770834e-9,
    ),
    "82 12 13 17 19 21": (
        {
            "000": 8, "001": -3, "002": -2, "011": 1, "012": 1, "111": 1, "112": -3, "122": 5,
            "222": -7,
        },
        [0.7, 2.4, 2.3],
        [0.72307894774109, 2.468261698193472, 2.30916585566851],
        3.627088324590341,
        -1.815690751438482e-9,
    ),
    "84 11 12 17 21 23": (
        {"000": 1, "001": -2, "011": 4, "111": -6, "112": 1, "122": -3, "222": 9},
        [2.8, 2.38, 0.03],
        [2.818238790476319, 2.387848291826795, 0.03075398025405942],
        3.372646815905025,
        -2.089222140685142e-9,
    ),
    "8 1 2 2 3 0 0  25 5 7 0 0 4 9": (
        {
            "000": 8, "001": -2, "002": -2, "012": 1, "111": -4, "112": 1, "113": 1, "122": -3,
            "123": 3, "133": -3, "222": 6, "223": -6, "233": 6, "333": -6,
        },
        [0.27, 1.88, 2.29, 2.25],
        [0.2743225758226402, 1.883979206281003, 2.29513708022648, 2.254968895044661],
        4.511760712613434,
        -1.178408369674908e-9,
    ),
}  # fmt: skip


def one_term_each(size: int, rate: float = TWO_PI) -> Superpotential:
    return Superpotential(np.eye(size), -np.ones(size), np.arange(size), rate)


def solved(name: str) -> tuple[Superpotential, np.ndarray, np.ndarray]:
    entries, start, *_ = ONE_TERM_EACH[name]
    kappa, terms = symmetric(len(start), entries), one_term_each(len(start))
    t = newton(terms, kappa, LOG, np.array(start))
    assert t is not None
    return terms, kappa, t


def many_terms(seed: int) -> tuple[Superpotential, np.ndarray, np.ndarray]:
    """Three moduli and five terms; t is no solution but in the domain of the logarithms."""
    rng = np.random.default_rng(seed)
    charges = np.vstack([np.eye(3), [[1, 1, 0], [0, 1, 1]]])
    kappa = symmetric(3, ONE_TERM_EACH["82 12 13 17 19 21"][0])
    signs = np.concatenate([-np.ones(3), rng.choice([-1.0, 1.0], 2)])
    t = np.array([0.72, 2.47, 2.3]) * rng.uniform(0.97, 1.03, 3)
    return Superpotential(charges, signs, np.arange(3)), kappa, t


def test_one_modulus_is_the_published_model() -> None:
    """W0 = -1e-4, A = 1, a = 0.1 (hep-th/0301240): kappa = 1/36 gives K = -3 ln(2 sigma)."""
    kappa, terms = np.full((1, 1, 1), 1 / 36), one_term_each(1, 0.1)
    t = newton(terms, kappa, LOG, np.array([90.0]))
    assert t is not None
    assert volumes(kappa, t)[1][0] == pytest.approx(113.589124073558, abs=1e-11)
    potential = Potential(terms, kappa, LOG)
    assert potential.value(t) * W0**2 == pytest.approx(-1.99657689577e-15, rel=1e-11, abs=0)
    # V'' of sigma: the chain rule with d sigma = kappa t dt at a critical point.
    second = potential.hessian(t)[0, 0] / (t[0] / 36) ** 2 * W0**2
    assert second == pytest.approx(4.90296168e-17, rel=1e-8, abs=0)


def test_uplift_of_one_modulus_is_the_published_model() -> None:
    """D = 3e-9 with D / sigma^3 = 8 D / Vol^2; the minimum disappears at D = 7.8612435e-9."""
    kappa, terms = np.full((1, 1, 1), 1 / 36), one_term_each(1, 0.1)
    t = newton(terms, kappa, LOG, np.array([90.0]))
    potential = Potential(terms, kappa, LOG)
    depth = abs(potential.value(t)) * W0**2
    none = np.zeros((0, 1))
    found = lift(potential, t, none, energy=1.7665292e-17 / depth, power=2.0)
    assert found.outcome == METASTABLE
    assert found.uplift * W0**2 / 8 == pytest.approx(3e-9, rel=1e-7, abs=0)
    assert volumes(kappa, found.t)[1][0] == pytest.approx(114.894186092, abs=1e-7)
    masses = spectrum(potential, found.t, found.uplift, 2.0)
    # V'' = 3.29234e-17 for the canonical field with kinetic term 3 (d sigma)^2 / (4 sigma^2).
    sigma = 114.894186092
    assert masses.saxions[0] * W0**2 == pytest.approx(
        3.29234e-17 * 2 * sigma**2 / 3, rel=1e-5, abs=0
    )
    beyond = lift(potential, t, none, energy=10.0, power=2.0)
    assert beyond.outcome == FOLD
    assert beyond.uplift * W0**2 / 8 == pytest.approx(7.8612435e-9, rel=1e-3, abs=0)


@pytest.mark.parametrize("name", ONE_TERM_EACH)
def test_one_term_for_each_modulus(name: str) -> None:
    _, _, expected, volume, energy = ONE_TERM_EACH[name]
    terms, kappa, t = solved(name)
    np.testing.assert_allclose(t, expected, rtol=3e-12)
    assert volumes(kappa, t)[2] == pytest.approx(volume, rel=1e-12, abs=0)
    mass = W0 * superpotential_ratio(terms, kappa, LOG, t) / volume
    assert -3 * mass**2 == pytest.approx(energy, rel=1e-12, abs=0)
    assert Potential(terms, kappa, LOG).value(t) * W0**2 == pytest.approx(energy, rel=1e-11, abs=0)
    assert plain_residual(terms, kappa, LOG, t) < 1e-11


@pytest.mark.parametrize("name", ONE_TERM_EACH)
def test_plain_conditions_in_many_digits(name: str) -> None:
    terms, kappa, t = solved(name)
    model = Model.of(kappa, terms.charges, terms.signs, "1e-4")
    exact = model.refined(t)
    with mp.workdps(50):
        assert max(abs(x) for x in model.conditions(exact)) < mp.mpf(10) ** -40
    np.testing.assert_allclose(t, np.array([float(x) for x in exact]), rtol=1e-11)


@pytest.mark.parametrize("weight", [1.0, 1e-3])
@pytest.mark.parametrize("seed", range(12))
def test_the_jacobian_is_the_derivative(seed: int, weight: float) -> None:
    terms, kappa, t = many_terms(seed)
    here = log_equations(terms, kappa, LOG, t, weight)
    assert here is not None
    for i, step in enumerate(1e-6 * np.eye(3)):
        up = log_equations(terms, kappa, LOG, t + step, weight)
        down = log_equations(terms, kappa, LOG, t - step, weight)
        slope = (up.value - down.value) / 2e-6
        np.testing.assert_allclose(here.jacobian[:, i], slope, rtol=1e-6, atol=1e-6)


def test_the_logarithmic_form_is_the_plain_one() -> None:
    """F = 0 gives D W = 0 with more terms than moduli, in any basis."""
    charges = np.vstack([np.eye(3), [[1, 1, 0]]])
    kappa = symmetric(3, ONE_TERM_EACH["82 12 13 17 19 21"][0])
    found = []
    for basis in ([0, 1, 2], [0, 2, 3]):
        terms = Superpotential(charges, -np.ones(4), np.array(basis))
        t = newton(terms, kappa, LOG, np.array([0.723, 2.468, 2.309]))
        if t is not None:
            assert plain_residual(terms, kappa, LOG, t) < 1e-10
            found.append(t)
    assert found
    for t in found[1:]:
        np.testing.assert_allclose(t, found[0], rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_potential_off_shell_in_many_digits(seed: int) -> None:
    terms, kappa, t = many_terms(seed)
    model = Model.of(kappa, terms.charges, terms.signs, "1e-4")
    value = Potential(terms, kappa, LOG).value(t) * W0**2
    assert value == pytest.approx(float(model.potential(t)), rel=1e-12, abs=0)


@pytest.mark.parametrize("seed", range(4))
def test_gradient_and_hessians_are_derivatives(seed: int) -> None:
    terms, kappa, t = many_terms(seed)
    potential = Potential(terms, kappa, LOG)
    for i, step in enumerate(1e-6 * np.eye(3)):
        slope = (potential.value(t + step) - potential.value(t - step)) / 2e-6
        assert potential.gradient(t)[i] == pytest.approx(slope, rel=1e-6, abs=0)
        row = (potential.gradient(t + step) - potential.gradient(t - step)) / 2e-6
        scale = np.abs(potential.hessian(t)).max()
        np.testing.assert_allclose(potential.hessian(t)[i], row, atol=1e-7 * scale)


def value_with_axions(
    terms: Superpotential, kappa: np.ndarray, t: np.ndarray, theta: np.ndarray
) -> float:
    """V from its definition at any axions, in units of W0^2."""
    contracted, tau, volume = volumes(kappa, t)
    exponent = LOG - terms.rate * (terms.charges @ (tau + 1j * theta))
    u = terms.signs * np.exp(exponent)
    w = 1 + u.sum()
    covariant = -terms.rate * (terms.charges.T @ u) - t / (2 * volume) * w
    inverse = np.linalg.inv(
        -np.linalg.inv(contracted) / (4 * volume) + np.outer(t, t) / (8 * volume**2)
    )
    return float((np.real(covariant @ inverse @ covariant.conj()) - 3 * abs(w) ** 2) / volume**2)


@pytest.mark.parametrize("seed", range(4))
def test_axion_hessian_is_the_derivative(seed: int) -> None:
    terms, kappa, t = many_terms(seed)
    expected = Potential(terms, kappa, LOG).axion_hessian(t)
    assert value_with_axions(terms, kappa, t, np.zeros(3)) == pytest.approx(
        Potential(terms, kappa, LOG).value(t), rel=1e-9, abs=0
    )
    h = 1e-4
    for i, x in enumerate(h * np.eye(3)):
        for j, y in enumerate(h * np.eye(3)):
            second = sum(
                sign * value_with_axions(terms, kappa, t, a * x + b * y)
                for sign, a, b in ((1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1))
            ) / (4 * h * h)
            assert expected[i, j] == pytest.approx(second, abs=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ONE_TERM_EACH)
def test_the_spectrum_has_a_closed_form(name: str) -> None:
    terms, kappa, t = solved(name)
    eigenvalues = mass_eigenvalues(terms, kappa, LOG, t)
    unit = (superpotential_ratio(terms, kappa, LOG, t) / volumes(kappa, t)[2]) ** 2
    masses = spectrum(Potential(terms, kappa, LOG), t)
    for found, sign in ((masses.saxions, -1), (masses.axions, 1)):
        expected = np.sort(eigenvalues**2 + sign * eigenvalues - 2)
        np.testing.assert_allclose(found / unit, expected, rtol=1e-8)
    assert masses.saxions[0] > -9 / 4 * unit


def test_a_common_coxeter_number_is_a_scale() -> None:
    terms, kappa, t = solved("82 12 13 17 19 21")
    six = one_term_each(3, TWO_PI / 6)
    scaled = newton(six, kappa, LOG, 2.4 * t)
    assert scaled is not None
    np.testing.assert_allclose(scaled, np.sqrt(6) * t, rtol=1e-11)
    np.testing.assert_allclose(
        mass_eigenvalues(six, kappa, LOG, scaled),
        mass_eigenvalues(terms, kappa, LOG, t),
        rtol=1e-9,
    )


def test_no_point_outside_the_domain() -> None:
    kappa = symmetric(2, ONE_TERM_EACH["85 13 15 16 17 24"][0])
    assert log_equations(one_term_each(2), kappa, LOG, np.array([1.5, -1.6])) is None
    assert newton(one_term_each(2), kappa, LOG, np.array([1.5, -1.6])) is None
