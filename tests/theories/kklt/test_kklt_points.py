"""Chambers, the walk through flops and exact points of small geometries."""

from itertools import product

import mpmath as mp
import numpy as np
import pytest
from kklt_geometries import GEOMETRIES
from scipy.optimize import minimize

from vacuagym.checks.kklt.supersymmetry import Model
from vacuagym.theories.kklt.candidates import positive_candidates
from vacuagym.theories.kklt.chambers import ToricChambers
from vacuagym.theories.kklt.exact_point import ExactPoint, find_points, real_signs
from vacuagym.theories.kklt.points import Geometry, find_kklt_points
from vacuagym.theories.kklt.supersymmetry import mass_eigenvalues, volumes
from vacuagym.theories.kklt.toric_walk import Walk, derivatives, objective, walk
from vacuagym.theories.kklt.uplift import Potential, spectrum

VACUA = ("vacuum", "vacuum", "vacuum")
# Outcome, points, vacuum at W0 = 1e-8, 1e-2 and 1e-40, uplift.
EXPECTED = {
    "flip": ("inside", 1, VACUA, "metastable"),
    "two_moduli": ("inside", 1, VACUA, "metastable"),
    "four_terms": ("inside", 1, ("vacuum", "lost", "vacuum"), "metastable"),
    "tie": ("inside", 1, VACUA, "metastable"),
    "unbalanced": ("inside", 1, VACUA, "metastable"),
    "outside": ("outside", 0, None, None),
    "boundary": ("boundary", 0, None, None),
    "singular": ("inside", 1, ("singular", "singular", "singular"), "metastable"),
    "cone": ("inside", 1, ("lost", "lost", "lost"), None),
    "several": ("inside", 4, VACUA, "metastable"),
    "spurious": ("inside", 1, VACUA, "metastable"),
    "flop_later": ("inside", 1, VACUA, "metastable"),
    "zero": ("inside", 1, ("singular", "singular", "singular"), "metastable"),
    "barrier": ("inside", 4, VACUA, "metastable"),
    "phases": ("inside", 1, VACUA, "metastable"),
    "fraction": ("inside", 1, VACUA, "metastable"),
}


def chambers_of(geometry: Geometry) -> ToricChambers:
    return ToricChambers(geometry.points, geometry.normals, geometry.basis)


def candidates_of(geometry: Geometry) -> np.ndarray:
    """All positive w in the basis, (N, n)."""
    v, scale = positive_candidates(geometry.points, geometry.rigid.astype(np.int64))
    return v[:, geometry.basis] / scale[:, None]


def walks_of(geometry: Geometry, start: np.ndarray | None = None) -> list[Walk]:
    chambers = chambers_of(geometry)
    t = geometry.kaehler_point if start is None else start
    chamber = chambers(t)
    assert chamber is not None
    assert chamber.contains(t)
    return [walk(chambers, w, t, chamber) for w in candidates_of(geometry)]


def other_starts(geometry: Geometry, number: int) -> list[np.ndarray]:
    """Classes in random chambers: strictly convex heights and random ones."""
    rng = np.random.default_rng(5)
    chambers, found = chambers_of(geometry), []
    while len(found) < number:
        form = rng.normal(size=(4, 4))
        x = geometry.points @ form
        heights = 60 + (x**2).sum(axis=1) + 0.1 * rng.normal(size=len(x))
        t = geometry.charges.T @ heights
        chamber = chambers(t)
        if chamber is not None and chamber.contains(t):
            found.append(t)
    return found


def test_intersection_numbers_are_published() -> None:
    """P_11169[18]: E^3 = 9, and 9, 3, 1, 0 in the nef basis H, L (hep-th/9308083)."""
    points = [
        [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -6, -9], [0, 0, -2, -3],
    ]  # fmt: skip
    normals = [
        [17, -1, -1, -1], [-1, 17, -1, -1], [-1, -1, -1, -1], [-1, -1, 2, -1], [-1, -1, -1, 1],
    ]  # fmt: skip
    # D_0 = L and D_5 = E, with H = E + 3 L.
    chambers = ToricChambers(np.array(points), np.array(normals), np.array([0, 5]))
    chamber = chambers(np.array([4.0, 1.0]))
    assert chamber is not None
    assert chamber.contains(np.array([4.0, 1.0]))
    assert chamber.kappa[1, 1, 1] == 9
    change = np.array([[3, 1], [1, 0]])  # H and L in the basis L, E
    nef = np.einsum("ia,jb,kc,abc->ijk", change, change, change, chamber.kappa)
    assert [nef[0, 0, 0], nef[0, 0, 1], nef[0, 1, 1], nef[1, 1, 1]] == [9, 3, 1, 0]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_class_names_its_chamber(name: str) -> None:
    geometry = GEOMETRIES[name]
    chambers = chambers_of(geometry)
    for t in [geometry.kaehler_point, *other_starts(geometry, 3)]:
        chamber = chambers(t)
        np.testing.assert_array_equal(chamber.kappa, np.rint(chamber.kappa))
        # Inside the Kaehler cone the volume form has one positive direction (Hodge index).
        signs = np.linalg.eigvalsh(chamber.kappa @ t)
        assert (signs > 0).sum() == 1
        assert volumes(chamber.kappa, t)[2] > 0


def test_the_volume_is_smooth_across_flops() -> None:
    geometry = GEOMETRIES["several"]
    chambers = chambers_of(geometry)
    crossed = 0
    for t in other_starts(geometry, 12):
        one = chambers(t)
        for row in one.rows[one.crossable]:
            for scale in (1.001, 1.02):
                beyond = t - scale * row * (row @ t) / (row @ row)
                other = chambers(beyond)
                if other is None or not other.contains(beyond):
                    continue
                if (one.rows @ beyond <= 0).sum() > 1:  # not one wall only
                    continue
                if not (other.kappa == one.kappa).all():
                    difference = other.kappa - one.kappa
                    axis = np.cbrt(difference[np.arange(6), np.arange(6), np.arange(6)])
                    cube = np.einsum("i,j,k->ijk", axis, axis, axis)
                    np.testing.assert_allclose(difference, cube, atol=1e-9)
                    # The shrinking curve is the row of the wall, up to a factor.
                    assert np.linalg.matrix_rank(np.vstack([axis, row]), tol=1e-9) == 1
                    crossed += 1
    assert crossed > 2


def test_crossable_walls_are_those_with_a_chamber_behind() -> None:
    seen = set()
    for name in ("four_terms", "outside", "several", "flop_later"):
        chambers = chambers_of(GEOMETRIES[name])
        for t in other_starts(GEOMETRIES[name], 6):
            chamber = chambers(t)
            for row, crossable in zip(chamber.rows, chamber.crossable, strict=True):
                # Just behind this wall only, where it is a wall of the cone at all.
                beyond = t - 1.0001 * (row @ t) * row / (row @ row)
                others = chamber.rows[(chamber.rows != row).any(axis=1)]
                if (others @ beyond <= 0).any():
                    continue
                other = chambers(beyond)
                behind = other is not None and other.contains(beyond)
                assert behind == crossable
                seen.add(bool(crossable))
    assert seen == {True, False}


def test_barriers_help_newton_through_walls() -> None:
    """Some starts need the barrier; with it they arrive at the same points."""
    geometry = GEOMETRIES["barrier"]
    expected, used = walks_of(geometry), 0
    for start in other_starts(geometry, 12):
        for one, other in zip(expected, walks_of(geometry, start), strict=True):
            used += other.chambers
            np.testing.assert_allclose(other.t, one.t, atol=1e-6 * np.abs(one.t).max())
    assert used > 0
    assert max(one.chambers for one in walks_of(GEOMETRIES["outside"])) == 2


def test_an_impossible_candidate_is_unbounded() -> None:
    geometry = GEOMETRIES["two_moduli"]
    chambers = chambers_of(geometry)
    chamber = chambers(geometry.kaehler_point)
    found = walk(chambers, -candidates_of(geometry)[0], geometry.kaehler_point, chamber)
    assert (found.outcome, found.unbounded) == ("outside", True)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_points(name: str) -> None:
    found = find_kklt_points(GEOMETRIES[name])
    assert (found.toric, found.num_points, found.vacuum, found.uplift) == EXPECTED[name]
    if found.kaehler is not None:
        assert found.log10_v_ads == pytest.approx(np.log10(3) + 2 * found.log10_m32)
        assert 0 < found.tau_min <= found.tau_max
        assert found.lambda_min > 2
        assert found.tachyons_bf == 0
    assert (found.cause == "cone") == (name == "cone")


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_start_changes_nothing(name: str) -> None:
    geometry = GEOMETRIES[name]
    expected = walks_of(geometry)
    for start in other_starts(geometry, 3):
        for one, other in zip(expected, walks_of(geometry, start), strict=True):
            assert other.outcome == one.outcome
            if one.outcome == "inside":
                size = np.abs(one.t).max()
                np.testing.assert_allclose(other.t, one.t, atol=1e-6 * size)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_volumes_are_those_of_the_candidate(name: str) -> None:
    geometry = GEOMETRIES[name]
    for w, found in zip(candidates_of(geometry), walks_of(geometry), strict=True):
        if found.outcome in ("inside", "boundary"):
            _, tau, volume = volumes(found.chamber.kappa, found.t)
            np.testing.assert_allclose(3 * tau / volume, w, rtol=1e-9)
            assert w @ found.t == pytest.approx(9, rel=1e-9)


@pytest.mark.parametrize("name", ["flip", "four_terms", "outside", "several"])
def test_agrees_with_slsqp_on_the_last_chamber(name: str) -> None:
    geometry = GEOMETRIES[name]
    for w, found in zip(candidates_of(geometry), walks_of(geometry), strict=True):
        kappa, rows = found.chamber.kappa, found.chamber.rows
        start = found.t + 0.05 * rows.sum(axis=0) / np.linalg.norm(rows.sum(axis=0))
        answer = minimize(
            lambda t, kappa=kappa, w=w: min(objective(kappa, w, t), 1e6),
            start,
            jac=lambda t, kappa=kappa, w=w: derivatives(kappa, w, t)[0],
            constraints=[
                {"type": "ineq", "fun": lambda t, a=rows: a @ t, "jac": lambda t, a=rows: a}
            ],
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-14},
        )
        if found.outcome == "inside":
            np.testing.assert_allclose(answer.x, found.t, atol=1e-4 * np.abs(found.t).max())
        else:
            assert (rows @ answer.x).min() < 1e-5  # on a wall, where f would fall further
            assert np.abs(derivatives(kappa, w, answer.x)[0]).max() > 1e-3
            assert answer.fun == pytest.approx(objective(kappa, w, found.t), abs=1e-3)


def exact_points(name: str, w0s: tuple[float, ...]) -> list[list[ExactPoint]]:
    geometry = GEOMETRIES[name]
    v, scale = positive_candidates(geometry.points, geometry.rigid.astype(np.int64))
    found = []
    for i, one in enumerate(walks_of(geometry)):
        if one.outcome == "inside":
            tight = np.flatnonzero(v[i][geometry.rigid] == scale[i])
            rows = geometry.charges[geometry.rigid]
            found += find_points(chambers_of(geometry), rows, tight, one, w0s)
    return found


def solutions(name: str, w0s: tuple[float, ...] = (1e-8,)) -> list[ExactPoint]:
    return [one for branch in exact_points(name, w0s) for one in branch if one.t is not None]


def test_digits_of_four_terms() -> None:
    (one,) = solutions("four_terms")
    np.testing.assert_allclose(
        one.t, [0.5428150750408786, 3.177220457111859, 0.1132249142548688], rtol=1e-11
    )
    assert one.terms.signs.tolist() == [-1, -1, -1, 1]
    assert one.volume == pytest.approx(8.156458921211616, rel=1e-12)
    assert one.ratio == pytest.approx(0.9359817667961785, rel=1e-12)
    assert one.potential == pytest.approx(-3.9505059974069e-18, rel=1e-11, abs=0)


def test_digits_of_a_tie() -> None:
    (one,) = solutions("tie")
    assert one.residual < 1e-9
    assert one.terms.signs.tolist() == [-1] * 5
    assert one.volume == pytest.approx(7.585332331881171, rel=1e-12)
    assert one.ratio == pytest.approx(0.9380865528978, rel=1e-12)


# Causes of all branches at W0 = 1e-8 and 1e-40; empty where there is a point.
BRANCHES = {
    "spurious": [("fold", "spurious"), ("", ""), ("fold", "spurious")],
    "flop_later": [("cone", "cone"), ("", ""), ("cone", "cone")],
    "zero": [("start", "start")] * 2
    + [("fold", "spurious")]
    + [("start", "start")] * 2
    + [("", "")],
    "phases": [("start", "start"), ("phases", "phases"), ("", ""), ("start", "start")]
    + [("phases", "phases")] * 2,
}


@pytest.mark.parametrize("name", BRANCHES)
def test_branches(name: str) -> None:
    found = exact_points(name, (1e-8, 1e-40))
    assert [tuple(one.cause for one in branch) for branch in found] == BRANCHES[name]


def test_the_order_of_w0_changes_nothing() -> None:
    one, other = (exact_points("four_terms", w0s)[-1] for w0s in ((1e-40, 1e-8), (1e-8, 1e-40)))
    for first, second in zip(one, other[::-1], strict=True):
        assert first.w0 == second.w0
        np.testing.assert_array_equal(first.t, second.t)


def test_a_path_may_pass_a_flop() -> None:
    (one,) = solutions("flop_later")
    start = next(one for one in walks_of(GEOMETRIES["flop_later"]) if one.outcome == "inside")
    assert not (one.kappa == start.chamber.kappa).all()
    chamber = chambers_of(GEOMETRIES["flop_later"])(one.t)
    np.testing.assert_array_equal(one.kappa, chamber.kappa)
    assert chamber.contains(one.t)


@pytest.mark.parametrize("name", ["four_terms", "tie", "several"])
def test_plain_conditions_and_potential_in_many_digits(name: str) -> None:
    for one in solutions(name):
        model = Model.of(one.kappa, one.terms.charges, one.terms.signs, "1e-8")
        exact = model.refined(one.t)
        with mp.workdps(50):
            assert max(abs(x) for x in model.conditions(exact)) < mp.mpf(10) ** -40
        size = np.abs(one.t).max()
        np.testing.assert_allclose(one.t, [float(x) for x in exact], atol=1e-11 * size)
        assert float(model.potential(exact)) == pytest.approx(one.potential, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", ["four_terms", "tie", "several"])
def test_the_spectrum_has_a_closed_form_with_all_terms(name: str) -> None:
    for one in solutions(name):
        log = -np.log(one.w0)
        eigenvalues = mass_eigenvalues(one.terms, one.kappa, log, one.t)
        masses = spectrum(Potential(one.terms, one.kappa, log), one.t)
        unit = (one.ratio / one.volume) ** 2
        for found, sign in ((masses.saxions, -1), (masses.axions, 1)):
            expected = np.sort(eigenvalues**2 + sign * eigenvalues - 2)
            np.testing.assert_allclose(found / unit, expected, rtol=1e-7)


def test_a_common_coxeter_number_only_scales() -> None:
    one, six = (find_kklt_points(GEOMETRIES["four_terms"], coxeter=c) for c in (1, 6))
    np.testing.assert_allclose(six.kaehler, np.sqrt(6) * one.kaehler, rtol=1e-9)
    assert six.volume == pytest.approx(6**1.5 * one.volume, rel=1e-9)
    assert six.lambda_min == pytest.approx(one.lambda_min, rel=1e-8)
    assert six.vacuum == one.vacuum


def test_the_order_of_divisors_changes_nothing() -> None:
    geometry = GEOMETRIES["four_terms"]
    order = np.random.default_rng(8).permutation(len(geometry.points))
    place = np.argsort(order)
    moved = Geometry(
        geometry.points[order],
        geometry.normals[::-1],
        geometry.rigid[order],
        place[geometry.basis],
        geometry.charges[order],
        geometry.kaehler_point,
        geometry.euler,
    )
    one, other = find_kklt_points(geometry), find_kklt_points(moved)
    np.testing.assert_allclose(other.kaehler, one.kaehler, rtol=1e-9)
    assert (other.toric, other.vacuum, other.uplift) == (one.toric, one.vacuum, one.uplift)


@pytest.mark.parametrize("determinant", [1, 2, 3, 4])
def test_real_signs_are_those_of_all_axions(determinant: int) -> None:
    rng = np.random.default_rng(determinant)
    checked = 0
    while checked < 12:
        charges = rng.integers(-2, 3, (5, 3))
        basis = np.array([0, 2, 4])
        if abs(round(np.linalg.det(charges[basis]))) != determinant:
            continue
        checked += 1
        odd = rng.integers(0, 2, 3)
        # All axions pi x / det with real terms, by search.
        axions = np.array(list(product(range(2 * determinant), repeat=3)))
        phases = axions @ charges.T
        real = (phases % determinant == 0).all(axis=1)
        signs = 1 - 2 * (phases[real] // determinant % 2)
        expected = {
            tuple(row) for row in signs.tolist() if ((1 - np.array(row)[basis]) // 2 == odd).all()
        }
        found = [tuple(row.tolist()) for row in real_signs(charges, basis, odd)]
        assert len(found) == len(set(found))
        assert set(found) == expected
        if determinant == 1:
            assert len(found) == 1


def test_without_a_positive_candidate_all_is_null() -> None:
    geometry = GEOMETRIES["four_terms"]
    none = Geometry(
        geometry.points,
        geometry.normals,
        np.zeros(7, dtype=bool),
        geometry.basis,
        geometry.charges,
        geometry.kaehler_point,
        geometry.euler,
    )
    found = find_kklt_points(none)
    assert found.toric is None
    assert found.num_points == 0


def test_a_start_outside_the_cone_is_refused() -> None:
    geometry = GEOMETRIES["four_terms"]
    wrong = Geometry(
        geometry.points,
        geometry.normals,
        geometry.rigid,
        geometry.basis,
        geometry.charges,
        -geometry.kaehler_point,
        geometry.euler,
    )
    with pytest.raises(ValueError, match="kaehler_point"):
        find_kklt_points(wrong)
