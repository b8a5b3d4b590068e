"""Columns of the toric bases: gauge algebras against orders of vanishing, smooth models."""

from fractions import Fraction

import numpy as np
import pytest

from vacuagym.geometry.non_higgsable import (
    euler_numbers,
    extra_blow_ups,
    gauge_algebras,
    gauge_content,
    hodge_numbers,
    tensor_multiplets,
)
from vacuagym.geometry.toric_bases import ToricBases, enumerate_bases, toric_rays
from vacuagym.geometry.weierstrass import (
    canonical_square,
    has_smooth_weierstrass,
    intersection_form,
    smooth_weierstrass,
)

P2 = np.array([[1, 1, 1]])
# Dimension and rank of each algebra.
ALGEBRAS = {
    "none": (0, 0),
    "su2": (3, 1),
    "su3": (8, 2),
    "g2": (14, 2),
    "so7": (21, 3),
    "so8": (28, 4),
    "f4": (52, 4),
    "e6": (78, 6),
    "e7": (133, 7),
    "e8": (248, 8),
}
# lambda, A and C of the adjoint, A and C of the charged matter: the 2 of su2, 7 of g2, 8 of so7
# and 56 of e7.
ANOMALIES = {
    "su2": (1, 4, 8, 1, Fraction(1, 2)),
    "su3": (1, 6, 9, 1, Fraction(1, 2)),
    "g2": (2, 4, Fraction(5, 2), 1, Fraction(1, 4)),
    "so7": (2, 5, 3, 1, Fraction(3, 8)),
    "so8": (2, 6, 3, 1, 0),
    "f4": (6, 3, Fraction(5, 12), 1, Fraction(1, 12)),
    "e6": (6, 4, Fraction(1, 2), 1, Fraction(1, 12)),
    "e7": (12, 3, Fraction(1, 6), 1, Fraction(1, 24)),
    "e8": (60, 1, Fraction(1, 100), 0, 0),
}
# Hypermultiplets in that representation, by algebra and curve. None elsewhere.
MATTER = {
    ("su2", -2): 4,
    ("g2", -3): 1,
    ("so7", -3): 2,
    ("e7", -7): Fraction(1, 2),
}


@pytest.fixture(scope="module")
def levels() -> list[ToricBases]:
    """Bases with few rays; they include all clusters and all bases with a smooth model."""
    return list(enumerate_bases(4000))


@pytest.fixture(scope="module")
def smooth(levels) -> list[np.ndarray]:
    """Self-intersections of the bases with a smooth model, one array for each number of rays."""
    chosen = [b.self_intersections[has_smooth_weierstrass(b.self_intersections)] for b in levels]
    return [one for one in chosen if len(one)]


def kodaira(ord_f: int, ord_g: int) -> set[str]:
    """Algebras of the singular fibre with these orders, up to monodromy; no fibre of type I_n."""
    if ord_f == 0 or ord_g <= 1:
        return {"none"}
    if ord_f == 1:
        return {"su2"}  # III
    if ord_g == 2:
        return {"su2", "su3"}  # IV
    if ord_f == 2 or ord_g == 3:
        return {"g2", "so7", "so8"}  # I0*
    if ord_g == 4:
        return {"f4", "e6"}  # IV*
    return {"e7"} if ord_f == 3 else {"e8"}  # III*, II*


def test_algebras_agree_with_the_orders_of_vanishing(levels):
    found = set()
    for bases in levels:
        algebras = gauge_algebras(bases.self_intersections)
        assert algebras.shape == bases.self_intersections.shape
        parts = (algebras, bases.ord_f, bases.ord_g)
        found |= set(zip(*(part.ravel().tolist() for part in parts), strict=True))
    assert {algebra for algebra, _, _ in found} == set(ALGEBRAS)
    assert all(algebra in kodaira(f, g) for algebra, f, g in found)


def test_algebras_add_up_to_the_gauge_content(levels):
    names = np.array(list(ALGEBRAS))
    order = np.argsort(names)
    table = np.array(list(ALGEBRAS.values()))[order]
    for bases in levels:
        content = gauge_content(bases.self_intersections)
        place = np.searchsorted(names[order], gauge_algebras(bases.self_intersections))
        dimension, rank = table[place].sum(axis=1).T
        assert np.array_equal(dimension, content.dimension)
        assert np.array_equal(rank, content.rank)


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([-2, -2], "none none"),
        ([-3], "su3"),
        ([-3, -2], "g2 su2"),
        ([-3, -2, -2], "g2 su2 none"),
        ([-2, -3, -2], "su2 so7 su2"),
        ([-4], "so8"),
        ([-5], "f4"),
        ([-6], "e6"),
        ([-7], "e7"),
        ([-8], "e7"),
        ([-9], "e8"),
        ([-12, -1, -2, -2, -3], "e8 none none su2 g2"),
    ],
)
def test_algebras_of_clusters(chain, expected):
    ring = np.array([[*chain, -1, 0, 5, -1]])
    wanted = [*expected.split(), *["none"] * 4]
    assert gauge_algebras(ring)[0].tolist() == wanted
    assert gauge_algebras(np.roll(ring, 2, axis=1))[0].tolist() == [*wanted[-2:], *wanted[:-2]]
    assert gauge_algebras(ring[:, ::-1])[0].tolist() == wanted[::-1]


def test_curves_below_minus_twelve_have_no_algebra():
    with pytest.raises(ValueError, match="-12"):
        gauge_algebras(np.array([[0, 13, 0, -13]]))


def test_extra_blow_ups(levels):
    hirzebruch = np.array([[0, m, 0, -m] for m in range(8, 13)])
    assert extra_blow_ups(hirzebruch).tolist() == [0, 3, 2, 1, 0]
    for bases in levels:
        rays = bases.self_intersections.shape[1]
        extra = extra_blow_ups(bases.self_intersections)
        assert np.array_equal(tensor_multiplets(bases.self_intersections), rays - 3 + extra)


def test_canonical_square_is_that_of_the_intersection_form(levels):
    for bases in levels:
        chosen = bases.self_intersections[:20]
        # -K is the sum of all curves.
        square = intersection_form(chosen).sum(axis=(1, 2))
        assert np.array_equal(canonical_square(chosen), square)


def test_anomalies_on_each_curve(levels):
    """K.C = lambda (A_adj - A) / 6 and C.C = lambda^2 (C - C_adj) / 3 on every curve C.

    A and C sum over the charged matter on C (arXiv:1008.1062). On -9, -10 and -11 curves the
    points off the torus-fixed ones are blown up first.
    """
    found = set()
    for bases in levels:
        curves = bases.self_intersections.astype(int)
        blown_up = np.where(curves <= -9, -12, curves)
        algebras = gauge_algebras(bases.self_intersections)
        found |= set(zip(algebras.ravel().tolist(), blown_up.ravel().tolist(), strict=True))
    for algebra, curve in found - {("none", n) for _, n in found}:
        factor, a_adjoint, c_adjoint, a, c = ANOMALIES[algebra]
        number = MATTER.get((algebra, curve), 0)
        assert factor * (a_adjoint - number * a) / 6 == -2 - curve
        assert factor**2 * (number * c - c_adjoint) / 3 == curve


def test_curves_with_algebras_meet_in_two_ways_only(levels):
    found = set()
    for bases in levels:
        algebras = gauge_algebras(bases.self_intersections)
        both = np.stack([algebras, np.roll(algebras, -1, axis=1)], axis=2)
        both = both[(both != "none").all(axis=2)]
        found |= {tuple(sorted(pair)) for pair in both.tolist()}
    assert found == {("g2", "su2"), ("so7", "su2")}


def test_euler_numbers(levels):
    for bases in levels:
        h11, h21 = hodge_numbers(bases.self_intersections)
        assert np.array_equal(euler_numbers(bases.self_intersections), 2 * (h11 - h21))
    assert euler_numbers(P2).tolist() == [-540]


def test_smooth_models_are_those_of_the_sixteen_reflexive_polygons(smooth):
    tensors = [(one.shape[1] - 3, len(one)) for one in smooth]
    assert tensors == [(0, 1), (1, 3), (2, 2), (3, 4), (4, 2), (5, 3), (6, 1)]
    for self_intersections in smooth:
        model = smooth_weierstrass(self_intersections)
        h11, h21 = hodge_numbers(self_intersections)
        assert set(h11.tolist()) == {model.c2.shape[1]}
        assert np.array_equal(model.euler, 2 * (h11 - h21))
        assert (gauge_algebras(self_intersections) == "none").all()


def test_p2_is_the_hypersurface_of_degree_18(smooth):
    """P_11169[18] in its nef basis (P. Candelas et al., hep-th/9403187)."""
    assert smooth[0].tolist() == P2.tolist()
    model = smooth_weierstrass(P2)
    nef = np.array([[1, 3], [0, 1]])  # E - K and D
    kappa = np.einsum("ijk,ai,bj,ck->abc", model.kappa[0], nef, nef, nef)
    assert kappa[[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]].tolist() == [9, 3, 1, 0]
    assert (nef @ model.c2[0]).tolist() == [102, 36]
    assert model.euler.tolist() == [-540]
    # The zero section is the exceptional divisor of that hypersurface.
    assert (int(model.kappa[0, 0, 0, 0]), int(model.c2[0, 0])) == (9, -6)


def test_divisors_of_smooth_models_are_an_integral_basis(smooth):
    for self_intersections in smooth:
        rays = toric_rays(self_intersections)
        form = intersection_form(self_intersections)
        assert not (rays.transpose(0, 2, 1) @ form).any()
        spectrum = np.linalg.eigvalsh(form[:, 2:, 2:])
        assert (np.sum(spectrum > 0.01, axis=1) == 1).all()
        assert (np.sum(spectrum < -0.01, axis=1) == form.shape[1] - 3).all()
        assert np.allclose(np.abs(np.prod(spectrum, axis=1)), 1)


def test_the_two_curves_left_out(smooth):
    for self_intersections in smooth:
        kappa = smooth_weierstrass(self_intersections).kappa
        # C_0 and C_1 from the linear relations sum_a v_a C_a = 0.
        left_out = -toric_rays(self_intersections)[:, 2:].transpose(0, 2, 1)
        pairs = np.einsum("bxi,byj,bij->bxy", left_out, left_out, kappa[:, 0, 1:, 1:])
        assert np.array_equal(pairs, intersection_form(self_intersections)[:, :2, :2])
        canonical = np.einsum("bxi,bi->bx", left_out, kappa[:, 0, 0, 1:])
        assert np.array_equal(canonical, -2 - self_intersections[:, :2])


def test_line_bundles_of_smooth_models_have_integral_euler_characteristic(smooth):
    rng = np.random.default_rng(0)
    for self_intersections in smooth:
        model = smooth_weierstrass(self_intersections)
        assert np.array_equal(model.kappa, model.kappa.transpose(0, 2, 1, 3))
        assert np.array_equal(model.kappa, model.kappa.transpose(0, 3, 2, 1))
        divisors = rng.integers(-9, 10, (100, model.c2.shape[1]))
        cubes = np.einsum("bijk,ni,nj,nk->bn", model.kappa, divisors, divisors, divisors)
        assert not ((2 * cubes + model.c2 @ divisors.T) % 12).any()
        # The zero section is rational and rigid: its structure sheaf has characteristic 1.
        assert ((2 * model.kappa[:, 0, 0, 0] + model.c2[:, 0]) == 12).all()


def test_int8_curves_do_not_overflow():
    small = smooth_weierstrass(P2.astype(np.int8))
    assert small.kappa.dtype == small.c2.dtype == small.euler.dtype == np.int64
    assert small.c2.tolist() == smooth_weierstrass(P2).c2.tolist() == [[-6, 36]]


def test_bases_without_a_smooth_model_are_refused():
    some = np.array([[0, 2, 0, -2], [0, 3, 0, -3]])
    assert has_smooth_weierstrass(some).tolist() == [True, False]
    with pytest.raises(ValueError, match="base 1: a curve has self-intersection -3"):
        smooth_weierstrass(some)
