"""V of all moduli: by its definition, and at the exact points."""

from collections.abc import Callable
from functools import cache, partial

import mpmath as mp
import numpy as np
import pytest
from kklt_geometries import GEOMETRIES

from vacuagym.checks.kklt.supersymmetry import Model
from vacuagym.theories.kklt.chambers import ToricChambers
from vacuagym.theories.kklt.exact_point import real_axions
from vacuagym.theories.kklt.points import KkltPoints, find_kklt_points
from vacuagym.theories.kklt.scalar_potential import ScalarPotential
from vacuagym.theories.kklt.supersymmetry import Superpotential, mass_eigenvalues

# Without ties, with a tie, on a flop wall, and with determinants above 1.
NAMES = ("two_moduli", "four_terms", "tie", "zero", "several", "fraction")
SCALES = (1e-2, 1e-8, 1e-40)


@cache
def exact(name: str, w0: float = 1e-8) -> tuple[ScalarPotential, np.ndarray, KkltPoints]:
    """Return the potential of a geometry, the fields of its exact point, and its columns."""
    geometry = GEOMETRIES[name]
    found = find_kklt_points(geometry, w0, ())
    assert found.kaehler is not None, name
    chambers = ToricChambers(geometry.points, geometry.normals, geometry.basis)
    inner = geometry.kaehler_point / np.linalg.norm(geometry.kaehler_point)
    # The class on a flop wall has no chamber of its own.
    beside = (0.0, 1e-7 * np.linalg.norm(found.kaehler))
    every = (chambers(found.kaehler + step * inner) for step in beside)
    chamber = next(chamber for chamber in every if chamber is not None)
    rigid = geometry.charges[geometry.rigid]
    axions = real_axions(rigid, found.signs)
    assert axions is not None
    stack = ScalarPotential(chamber.kappa, rigid.astype(float), w0)
    return stack, np.concatenate([found.kaehler, axions]), found


def definition(stack: ScalarPotential, fields: np.ndarray) -> float:
    """Return V at one point from the metric, D_i W and W."""
    t = fields[: stack.n]
    contracted = stack.kappa @ t
    volume = contracted @ t @ t / 6.0
    metric = -np.linalg.inv(contracted) / (4.0 * volume) + np.outer(t, t) / (8.0 * volume**2)
    covariant, w = stack.covariant_derivative(fields), stack.superpotential(fields)
    norm = covariant @ np.linalg.solve(metric, covariant.conj())
    return float((norm.real - 3.0 * abs(w) ** 2) / volume**2)


def near(stack: ScalarPotential, fields: np.ndarray, seed: int) -> np.ndarray:
    """Return fields off the exact point, with complex terms."""
    t, axions = fields[: stack.n], fields[stack.n :]
    rng = np.random.default_rng(seed)
    moved = t * (1.0 + rng.uniform(-0.01, 0.01, stack.n))
    return np.concatenate([moved, axions + rng.uniform(-2.0, 2.0, stack.n)])


def slope(function: Callable, fields: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the derivative along a step, up to order step^4."""
    near, far = (function(fields + x * step) - function(fields - x * step) for x in (1, 2))
    return (8.0 * near - far) / (12.0 * np.abs(step).max())


@pytest.mark.parametrize("name", NAMES)
def test_the_exact_point_is_supersymmetric_and_critical(name: str) -> None:
    stack, point, columns = exact(name)
    size = np.abs(point[: stack.n]).max()
    value = float(stack.value(point))
    assert value == pytest.approx(-(10.0**columns.log10_v_ads), rel=1e-9, abs=0)
    pull = size * abs(stack.superpotential(point)) / (2.0 * columns.volume)
    assert np.abs(stack.covariant_derivative(point)).max() < 1e-9 * pull
    gradient = stack.gradient(point)
    assert np.abs(gradient[: stack.n]).max() * size < 1e-6 * abs(value)
    assert np.abs(gradient[stack.n :]).max() < 1e-6 * abs(value)
    assert abs(definition(stack, point) / value - 1.0) < 1e-9


@pytest.mark.parametrize("name", ["two_moduli", "four_terms", "tie", "several"])
def test_masses_are_those_of_the_closed_form(name: str) -> None:
    stack, point, columns = exact(name)
    n, t, hessian = stack.n, point[: stack.n], stack.hessian(point)
    log = -np.log(stack.w0)
    terms = Superpotential(stack.charges, columns.signs.astype(float), np.arange(n))
    lam = mass_eigenvalues(terms, stack.kappa, log, t)
    contracted = stack.kappa @ t
    tau = contracted @ t / 2.0
    volume = tau @ t / 3.0
    of_classes = -contracted / (4.0 * volume) + np.outer(tau, tau) / (2.0 * volume**2)
    of_fields = -np.linalg.inv(contracted) / (4.0 * volume) + np.outer(t, t) / (8.0 * volume**2)
    unit = 2.0 * abs(stack.superpotential(point)) ** 2 / volume**2
    for block, metric, expected in (
        (hessian[:n, :n], of_classes, lam**2 - lam - 2.0),
        (hessian[n:, n:] * (2 * np.pi) ** 2, of_fields, lam**2 + lam - 2.0),
    ):
        masses = np.linalg.eigvals(np.linalg.solve(metric, block)).real / unit
        np.testing.assert_allclose(np.sort(masses), np.sort(expected), rtol=1e-6)
    scale = np.sqrt(np.outer(np.abs(np.diag(hessian)), np.abs(np.diag(hessian))))
    assert np.abs(hessian / scale)[:n, n:].max() < 1e-7


@pytest.mark.parametrize("w0", SCALES)
@pytest.mark.parametrize("name", ["two_moduli", "tie"])
def test_value_and_derivatives_off_the_point_are_those_of_the_definition(
    name: str, w0: float
) -> None:
    stack, point, _ = exact(name, w0)
    for seed in range(4):
        fields = near(stack, point, seed)
        value = definition(stack, fields)
        assert stack.value(fields) == pytest.approx(value, rel=1e-9, abs=0)
        steps = 1e-4 * np.eye(2 * stack.n) / np.log(1.0 / w0)
        expected = np.array([slope(partial(definition, stack), fields, step) for step in steps])
        largest = np.abs(expected).max()
        np.testing.assert_allclose(stack.gradient(fields), expected, rtol=0, atol=1e-7 * largest)
        rows = np.array([slope(stack.gradient, fields, step) for step in steps])
        hessian = stack.hessian(fields)
        np.testing.assert_allclose(hessian, rows, rtol=0, atol=1e-7 * np.abs(rows).max())
        assert np.array_equal(hessian, hessian.T)


@pytest.mark.parametrize("w0", SCALES)
def test_value_is_that_of_50_digits(w0: float) -> None:
    """The second derivation has real axions, and K_i and K_ij by numerical derivatives."""
    stack, point, columns = exact("tie", w0)
    model = Model.of(stack.kappa, stack.charges, columns.signs, repr(w0))
    fields = np.concatenate([near(stack, point, 1)[: stack.n], point[stack.n :]])
    expected = model.potential([mp.mpf(float(x)) for x in fields[: stack.n]])
    assert float(stack.value(fields)) == pytest.approx(float(expected), rel=1e-10, abs=0)


def test_fields_come_one_by_one_or_many_at_once_and_axions_are_periodic() -> None:
    stack, point, _ = exact("four_terms")
    many = np.array([near(stack, point, seed) for seed in range(5)])
    for name in ("value", "gradient", "hessian", "covariant_derivative", "superpotential"):
        function = getattr(stack, name)
        np.testing.assert_allclose(function(many)[3], function(many[3]), rtol=1e-12)
    turned = many + np.concatenate([np.zeros(stack.n), 2 * np.pi * np.arange(1, stack.n + 1)])
    np.testing.assert_allclose(stack.value(turned), stack.value(many), rtol=1e-9)


def test_axions_give_the_signs_of_the_terms() -> None:
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(60):
        charges = rng.integers(-2, 3, (5, 3))
        if np.linalg.matrix_rank(charges) < 3:
            continue
        signs = rng.choice([-1, 1], 5)
        axions = real_axions(charges, signs)
        grid = np.stack(np.meshgrid(*[np.arange(24)] * 3), axis=-1).reshape(-1, 3)
        phases = (grid @ charges.T % 24 == np.where(signs < 0, 12, 0)).all(axis=1)
        if axions is not None:
            found += 1
            np.testing.assert_allclose(np.exp(1j * charges @ axions), signs, atol=1e-12)
        else:  # axions pi x / 12 hold all classes of small determinants
            assert not phases.any()
    assert found > 10
