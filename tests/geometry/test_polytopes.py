"""Threefolds of reflexive polytopes against published numbers, brute force and a second formula."""

from dataclasses import replace
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.spatial import ConvexHull

from vacuagym.geometry.polytopes import (
    batyrev,
    canonical_form,
    kaehler,
    lattice,
    triangulation,
    two_faces,
)
from vacuagym.geometry.polytopes.divisors import rigid_divisors_span
from vacuagym.geometry.polytopes.errors import (
    CoordinateRangeError,
    PolytopeError,
    TriangulationError,
    WeightSystemError,
)
from vacuagym.geometry.polytopes.integers import (
    determinants,
    five_point_relations,
    hermite_transform,
    reducing_transform,
    require_int64,
    unimodular_inverse,
)
from vacuagym.geometry.polytopes.intersections import (
    intersection_numbers,
    linear_relations,
    second_chern_of_sum,
)
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.geometry.polytopes.weight_systems import (
    kernel_basis,
    monomials,
    parse_weight_system,
)

QUINTIC = "5 1 1 1 1 1"
BICUBIC = "3 1 1 1 0 0 0  3 0 0 0 1 1 1"
TETRAQUADRIC = "2 1 1 0 0 0 0 0 0  2 0 0 1 1 0 0 0 0  2 0 0 0 0 1 1 0 0  2 0 0 0 0 0 0 1 1"
P11169 = "18 1 1 1 6 9"
LARGEST_H21 = "84 1 1 12 28 42"
LARGEST_H11 = "3486 41 42 498 1162 1743"

# h11, h21: P. Candelas, M. Lynker, R. Schimmrigk, Nucl. Phys. B341 (1990) 383; S. Hosono, A. Klemm,
# S. Theisen, S.-T. Yau, hep-th/9308122, 9406055; products of projective spaces from the list of
# complete intersections (P. Candelas, A. Dale, A. Lutken, R. Schimmrigk, 1988).
HODGE_NUMBERS = {
    QUINTIC: (1, 101),
    "6 1 1 1 1 2": (1, 103),
    "8 1 1 1 1 4": (1, 149),
    "10 1 1 1 2 5": (1, 145),
    "8 1 1 2 2 2": (2, 86),
    "12 1 1 2 2 6": (2, 128),
    "12 1 2 2 3 4": (2, 74),
    "14 1 2 2 2 7": (2, 122),
    P11169: (2, 272),
    "12 1 2 3 3 3": (3, 69),
    "24 1 1 2 8 12": (3, 243),
    "36 1 1 4 12 18": (7, 271),
    "60 1 1 8 20 30": (10, 376),
    LARGEST_H21: (11, 491),
    "320 51 60 64 65 80": (101, 1),
    BICUBIC: (2, 83),
    "4 1 1 1 1 0 0  2 0 0 0 0 1 1": (2, 86),
    "2 1 1 0 0 0 0 0  2 0 0 1 1 0 0 0  3 0 0 0 0 1 1 1": (3, 75),
    TETRAQUADRIC: (4, 68),
}
# Points and vertices of M, then of N: M. Kreuzer and H. Skarke, math/0204356 and hep-th/0002240.
COUNTS = {
    QUINTIC: (126, 5, 6, 5),
    LARGEST_H21: (680, 5, 26, 5),
    LARGEST_H11: (26, 5, 680, 5),
}
# kappa_111, kappa_112, kappa_122, kappa_222 and c_2 in the nef basis: P. Candelas, X. de la Ossa,
# A. Font, S. Katz, D. Morrison, hep-th/9308083; the same, hep-th/9403187.
NEF_NUMBERS = {
    P11169: ((9, 3, 1, 0), (102, 36)),
    "8 1 1 2 2 2": ((8, 4, 0, 0), (56, 24)),
    "12 1 1 2 2 6": ((4, 2, 0, 0), (52, 24)),
}
# The root system D4 in the basis of its simple roots: the vertices of the 24-cell.
D4_CARTAN = np.array([[2, -1, 0, 0], [-1, 2, -1, -1], [0, -1, 2, 0], [0, -1, 0, 2]])
MANY_SYMMETRIES = np.array(
    [p for p in product(range(-2, 3), repeat=4) if np.array(p) @ D4_CARTAN @ p == 2]
)
# The simplex of the quintic in a finer lattice, which has fewer symmetries than its pairings.
FREE_QUOTIENT = np.array([[5, -2, -3, -4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-5, 1, 2, 3]])
SIDES = ("weights", "mirror")
FULL = [
    (text, side)
    for text, hodge in HODGE_NUMBERS.items()
    for side in SIDES
    if hodge[side == "mirror"] <= 110
]


@pytest.fixture(scope="module")
def threefolds() -> dict[tuple[str, str], Threefold]:
    return {
        (text, side): Threefold.from_weights(text, side) for text in HODGE_NUMBERS for side in SIDES
    }


def random_unimodular(rng: np.random.Generator, steps: int = 30) -> np.ndarray:
    matrix = np.eye(4, dtype=np.int64)[rng.permutation(4)]
    for _ in range(steps):
        i, j = rng.choice(4, 2, replace=False)
        matrix[i] += rng.integers(-2, 3) * matrix[j]
    return matrix


def nef_generators(threefold: Threefold) -> np.ndarray:
    """Return the generators, rows, of the Kaehler cone of a favourable threefold of h11 = 2."""
    rows = threefold.mori[:, threefold.basis]
    for pair in combinations(range(len(rows)), 2):
        inverse = np.linalg.inv(rows[list(pair)]) if np.linalg.det(rows[list(pair)]) else None
        if inverse is not None and (rows @ inverse > -1e-9).all():
            return np.rint(inverse.T).astype(np.int64)
    raise AssertionError("the cone has no two generators")


# Published numbers.


@pytest.mark.parametrize("text", HODGE_NUMBERS)
def test_hodge_numbers_are_the_published_ones_and_exchange_on_the_mirror(text, threefolds):
    one, mirror = threefolds[text, "weights"], threefolds[text, "mirror"]
    assert (one.h11, one.h21) == HODGE_NUMBERS[text] == (mirror.h21, mirror.h11)
    assert one.euler == -mirror.euler == 2 * (one.h11 - one.h21)


@pytest.mark.parametrize("text", COUNTS)
def test_counts_are_the_published_ones_on_both_sides(text):
    for side in SIDES:
        one = Threefold.from_weights(text, side)
        counts = one.num_points_m, one.num_vertices_m, one.num_points_n, one.num_vertices_n
        assert counts == COUNTS[text]


@pytest.mark.parametrize("text", NEF_NUMBERS)
def test_intersection_numbers_are_the_published_ones_in_the_nef_basis(text, threefolds):
    one = threefolds[text, "weights"]
    nef = nef_generators(one)
    kappa = np.einsum("ijk,ai,bj,ck->abc", one.kappa.dense(one.basis), nef, nef, nef)
    c2 = nef @ one.c2[one.basis]
    cubic, chern = NEF_NUMBERS[text]
    first = int(np.flatnonzero(c2 == chern[0])[0])
    order = [first, 1 - first]
    kappa, c2 = kappa[np.ix_(order, order, order)], c2[order]
    assert (kappa[0, 0, 0], kappa[0, 0, 1], kappa[0, 1, 1], kappa[1, 1, 1]) == cubic
    assert tuple(c2) == chern


def test_exceptional_divisor_of_p11169_is_a_rigid_plane(threefolds):
    one = threefolds[P11169, "weights"]
    (plane,) = np.flatnonzero(one.rigid)
    assert one.kappa.dense()[plane, plane, plane] == 9
    assert one.c2[plane] == -6
    assert np.flatnonzero(one.diagonal_dp).tolist() == [plane]
    assert not one.rigid_span


def test_products_of_projective_spaces_have_the_published_numbers(threefolds):
    quintic, bicubic = threefolds[QUINTIC, "weights"], threefolds[BICUBIC, "weights"]
    assert quintic.kappa.dense(quintic.basis).tolist() == [[[5]]]
    assert set(quintic.c2.tolist()) == {50}
    assert sorted(bicubic.kappa.dense(bicubic.basis).ravel().tolist()) == [0, 0, *[3] * 6]
    assert set(bicubic.c2.tolist()) == {36}
    four = threefolds[TETRAQUADRIC, "weights"]
    kappa = four.kappa.dense(four.basis)
    different = [len({i, j, k}) == 3 for i, j, k in product(range(4), repeat=3)]
    assert np.array_equal(kappa.ravel(), 2 * np.array(different))
    assert set(four.c2.tolist()) == {24}


def test_largest_hodge_numbers_come_from_mirror_weight_systems():
    large = Threefold.from_weights(LARGEST_H11).computed("light")
    mirror = Threefold.from_weights(LARGEST_H21, "mirror").computed("divisors")
    assert (large.h11, large.h21, large.euler) == (491, 11, 960)
    assert large.geometry_hash == mirror.geometry_hash
    assert np.array_equal(large.points, mirror.points)
    numbers = large.kappa
    assert numbers.euler == 960
    assert not linear_relations(large.divisors, numbers).any()
    assert (large.mori @ large.points == 0).all()
    assert large.rigid_span
    assert (large.curve_volumes(large.kaehler_point) >= 1 - 1e-9).all()


def test_free_quotient_of_the_quintic_has_classes_modulo_torsion():
    """The quotient of the quintic by a free Z5: all numbers are a fifth (math/0505432)."""
    one = Threefold.from_vertices(FREE_QUOTIENT, "mirror").computed("full")
    assert (one.h11, one.h21, one.euler) == (1, 21, -40)
    assert one.charges.tolist() == [[1, 1, 1, 1, 1]]
    assert one.kappa.dense(one.basis).tolist() == [[[1]]]
    assert set(one.c2.tolist()) == {10}


def test_24_cell_is_its_own_dual_with_hodge_numbers_20_20():
    one = Threefold.from_vertices(MANY_SYMMETRIES).computed("full")
    counts = one.num_points_m, one.num_vertices_m, one.num_points_n, one.num_vertices_n
    assert counts == (25, 24, 25, 24)
    assert (one.h11, one.h21) == (20, 20)
    other = Threefold.from_vertices(MANY_SYMMETRIES, "mirror")
    assert one.geometry_hash == other.geometry_hash


# Independent derivations.


@pytest.mark.parametrize(("text", "side"), FULL)
def test_hodge_numbers_agree_with_point_counts_and_third_chern_class(text, side, threefolds):
    one = threefolds[text, side]
    for pair in (one.given, one.pair):
        points = pair.points_m, pair.vertices_m, pair.points_n, pair.vertices_n
        assert batyrev.hodge_numbers(*points) == (one.h11, one.h21)
    assert one.kappa.euler == one.euler


@pytest.mark.parametrize(("text", "side"), FULL)
def test_riemann_roch_of_every_divisor_and_of_sums_of_two(text, side, threefolds):
    one = threefolds[text, side]
    owner = one.divisors.point_of_divisor
    cubes = {
        i: v
        for (i, j, k), v in zip(one.kappa.index.tolist(), one.kappa.value, strict=True)
        if i == k
    }
    characteristic = 1 - one.divisor_h1[owner] + one.divisor_h2[owner]
    assert [2 * cubes.get(i, 0) + c for i, c in enumerate(one.c2)] == (12 * characteristic).tolist()
    pairs = {(i, j) for triple in one.kappa.index.tolist() for i, j in combinations(triple, 2)}
    for pair in sorted(pairs)[:200]:
        classes = np.zeros(len(owner), dtype=np.int64)
        np.add.at(classes, list(pair), 1)
        cube, chern = second_chern_of_sum(one.kappa, classes)
        assert (2 * cube + chern) % 12 == 0


@pytest.mark.parametrize(("text", "side"), FULL)
def test_linear_relations_hold_for_all_pairs(text, side, threefolds):
    one = threefolds[text, side]
    assert not linear_relations(one.divisors, one.kappa).any()
    if one.h11 <= 20:
        points = one.points[one.divisors.point_of_divisor]
        dense = one.kappa.dense()
        assert not np.einsum("dm,dij->mij", points, dense).any()
        # All classes and their numbers follow from those of the basis.
        inside, q = one.kappa.dense(one.basis), one.charges
        assert np.array_equal(np.einsum("abc,ai,bj,ck->ijk", inside, q, q, q), dense)
        assert np.array_equal(one.c2[one.basis] @ q, one.c2)
        assert not (q @ points).any()


@pytest.mark.parametrize(("text", "side"), FULL)
def test_triangulation_covers_the_polytope_and_contains_the_two_faces(text, side, threefolds):
    one = threefolds[text, side]
    volume = np.abs(determinants(one.points[one.simplices])).sum()
    assert volume == round(24 * ConvexHull(one.pair.vertices_n).volume)
    assert set(one.simplices.ravel()) == set(range(len(one.points)))
    # Pick: twice the area of each 2-face is the number of its triangles.
    normals = one.pair.vertices_m
    for a, b in two_faces.find_two_faces(one.pair.vertices_n, normals):
        on = np.flatnonzero(one.divisors.on_facet[:, a] & one.divisors.on_facet[:, b])
        inner = int(one.divisors.interior_to_two_face[on].sum())
        contained = np.isin(one.faces.triangles, on).all(axis=1).sum()
        assert contained == 2 * inner + (len(on) - inner) - 2
    generated = {triple for row in one.simplices.tolist() for triple in combinations(row, 3)}
    assert {tuple(row) for row in one.faces.triangles.tolist()} <= generated


@pytest.mark.parametrize(("text", "side"), FULL)
def test_kaehler_point_is_inside_the_cone_and_volumes_are_positive(text, side, threefolds):
    one = threefolds[text, side]
    t = one.kaehler_point
    assert not (one.mori @ one.points).any()
    assert one.curve_volumes(t).min() >= 1 - 1e-9
    volumes = one.divisor_volumes(t)
    assert volumes.min() >= -1e-9 * volumes.max()
    assert one.volume(t) > 0
    assert one.volume(t) == pytest.approx(volumes[one.basis] @ t / 3)
    if one.h11 <= 20:
        inside = one.kappa.dense(one.basis)
        assert one.volume(t) == pytest.approx(np.einsum("ijk,i,j,k", inside, t, t, t) / 6)
        metric = np.linalg.eigvalsh(np.einsum("ijk,k", inside, t))
        assert (metric > 0).sum() == 1


def test_kaehler_point_is_the_nearest_point_of_the_cone(threefolds):
    """The point is a non-negative combination of the walls that it touches (Kuhn and Tucker)."""
    for key in ((P11169, "weights"), ("24 1 1 2 8 12", "weights"), (BICUBIC, "weights")):
        one = threefolds[key]
        rows, t = one.mori[:, one.basis], one.kaehler_point
        touched = rows[rows @ t < 1 + 1e-7].astype(float)
        distance = nnls(touched.T, t)[1]
        assert distance < 1e-7 * np.linalg.norm(t)
    narrow = np.array([[1, -1000], [-999, 1000000]])
    t = kaehler.kaehler_point(narrow)
    assert (narrow @ t >= 1 - 1e-9).all()
    with pytest.raises(TriangulationError, match="Kaehler cone"):
        kaehler.kaehler_point(np.array([[1, 0], [-1, 0]]))


@pytest.mark.parametrize(("text", "side"), FULL)
def test_rigid_span_and_diagonal_del_pezzos_follow_their_definitions(text, side, threefolds):
    one = threefolds[text, side]
    owner = one.divisors.point_of_divisor
    rigid = one.rigid[owner]
    spanned = np.concatenate([np.eye(len(owner))[rigid], one.points[owner].T])
    assert one.rigid_span == (np.linalg.matrix_rank(spanned) == len(owner))
    if one.h11 <= 20:
        dense = one.kappa.dense()
        for s in range(len(owner)):
            outer = np.outer(dense[s, s], dense[s, s])
            proportional = np.array_equal(dense[s, s, s] * dense[s], outer)
            assert one.diagonal_dp[s] == (rigid[s] and dense[s, s, s] > 0 and proportional)


def test_divisors_with_components_have_one_number_for_each():
    (text, side) = next(key for key in FULL if not Threefold.from_weights(*key).favourable)
    one = Threefold.from_weights(text, side)
    assert one.copies.sum() - 4 == one.h11 > len(one.points) - 4
    t = one.kaehler_point
    assert len(t) == one.h11
    # A symmetry exchanges two components of all points interior to one 2-face.
    split = int(np.flatnonzero(one.copies > 1)[0])
    face = (one.divisors.on_facet == one.divisors.on_facet[split]).all(axis=1)
    swap = np.arange(one.h11 + 4)
    for first in one.divisors.first[face]:
        swap[[first, first + 1]] = swap[[first + 1, first]]
    dense = one.kappa.dense()
    assert np.array_equal(dense[np.ix_(swap, swap, swap)], dense)
    uneven = t.copy()
    uneven[np.flatnonzero(one.basis == one.divisors.first[split] + 1)] += 1
    with pytest.raises(ValueError, match="components of one point"):
        one.curve_volumes(uneven)


def test_monomials_and_lattice_points_agree_with_brute_force():
    for text, bound in (("8 1 1 2 2 2", 8), ("4 1 1 1 1 0 0 2 0 0 0 0 1 1", 4)):
        system = parse_weight_system(text)
        box = product(range(bound + 1), repeat=system.weights.shape[1])
        wanted = [x for x in box if (system.weights @ x == system.degrees).all()]
        assert sorted(map(tuple, monomials(system).tolist())) == wanted
    pair = Threefold.from_weights(P11169).pair
    for vertices, normals in (
        (pair.vertices_n, pair.vertices_m),
        (pair.vertices_m, pair.vertices_n),
    ):
        axes = [
            range(a, b + 1) for a, b in zip(vertices.min(axis=0), vertices.max(axis=0), strict=True)
        ]
        box = np.array(list(product(*axes)))
        wanted = box[(box @ normals.T >= -1).all(axis=1)]
        assert sorted(lattice.lattice_points(vertices, normals).tolist()) == wanted.tolist()


def test_points_inside_edges_on_many_facets_are_no_vertices():
    """The direct sum of a square and a triangle: its dual is a product of polygons."""
    square = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    triangle = [[-1, -1], [2, -1], [-1, 2]]
    on_edges = [[0, -1], [1, -1], [-1, 0], [-1, 1], [1, 0], [0, 1], *triangle]
    vertices = [*([*p, 0, 0] for p in square), *([0, 0, *q] for q in triangle + on_edges)]
    one = Threefold.from_vertices(vertices)
    assert (one.num_points_m, one.num_vertices_m) == (1 + 4 + 9, 4 + 3)
    assert (one.num_points_n, one.num_vertices_n) == (9 * 4, 4 * 3)
    assert one.kappa.euler == one.euler


def test_rigid_divisors_span_unless_the_others_are_dependent(threefolds):
    divisors = threefolds[TETRAQUADRIC, "weights"].divisors
    opposite = (divisors.points == -divisors.points[0]).all(axis=1)
    for others, spanned in (([0], True), ([0, int(np.flatnonzero(opposite)[0])], False)):
        rigid = np.ones(len(divisors.points), dtype=bool)
        rigid[others] = False
        assert rigid_divisors_span(divisors, rigid) == spanned


# Bases and symmetries.


@pytest.mark.parametrize("text", ["24 1 1 2 8 12", "12 1 2 3 3 3", BICUBIC, LARGEST_H21])
@pytest.mark.parametrize("side", SIDES)
def test_other_bases_and_orders_of_vertices_change_nothing(text, side, threefolds):
    rng = np.random.default_rng(20)
    one = threefolds[text, side]
    vertices = one.given.vertices_m
    for _ in range(3):
        moved = rng.permutation(vertices) @ random_unimodular(rng)
        other = Threefold.from_vertices(moved)
        assert other.geometry_hash == one.geometry_hash
        assert (other.h11, other.h21) == (one.h11, one.h21)
        if one.h11 <= 20:
            for name in ("points", "copies", "divisor_h2", "heights", "simplices", "mori"):
                assert np.array_equal(getattr(other, name), getattr(one, name)), name
            assert np.array_equal(other.kappa.index, one.kappa.index)
            assert np.array_equal(other.kappa.value, one.kappa.value)
            assert np.array_equal(other.kaehler_point, one.kaehler_point)


def test_symmetric_polytopes_keep_their_form_in_other_bases():
    rng = np.random.default_rng(4)
    tetraquadric = Threefold.from_weights(TETRAQUADRIC).given.vertices_n
    for vertices, copies in ((tetraquadric, 1), (MANY_SYMMETRIES, 1), (FREE_QUOTIENT, 12)):
        for side in SIDES if copies > 1 else ("mirror",):
            one = Threefold.from_vertices(vertices, side)
            for _ in range(copies):
                moved = rng.permutation(vertices) @ random_unimodular(rng)
                assert Threefold.from_vertices(moved, side).geometry_hash == one.geometry_hash


def test_different_geometries_have_different_hashes(threefolds):
    # '8 1 1 2 2 2' and the bidegree (4, 2) hypersurface share their Hodge numbers only. The last
    # weight system is another one of the mirror quintic.
    hashes = {key: one.geometry_hash for key, one in threefolds.items()}
    assert hashes["320 51 60 64 65 80", "weights"] == hashes[QUINTIC, "mirror"]
    assert hashes["320 51 60 64 65 80", "mirror"] == hashes[QUINTIC, "weights"]
    assert len(set(hashes.values())) == len(threefolds) - 2


def test_lattice_matters_where_the_pairing_matrix_is_the_same():
    """The quintic's simplex and its quotient by Z5 have equal pairings; their lattices differ."""
    quintic = Threefold.from_weights(QUINTIC)
    mirror = Threefold.from_weights(QUINTIC, "mirror")
    pairings = [
        np.sort(x.given.vertices_n @ x.given.vertices_m.T, axis=None) for x in (quintic, mirror)
    ]
    assert np.array_equal(*pairings)
    assert quintic.geometry_hash != mirror.geometry_hash


def test_weights_may_be_text_or_integers_in_any_order():
    one = Threefold.from_weights("18 9 1 6 1 1")
    other = Threefold.from_weights([18, 1, 1, 1, 6, 9])
    assert one.geometry_hash == other.geometry_hash


def test_huge_coordinates_are_exact():
    rng = np.random.default_rng(8)
    one = Threefold.from_weights("24 1 1 2 8 12")
    matrix = random_unimodular(rng, 90).astype(object)
    big = one.given.vertices_m.astype(object) @ matrix @ matrix @ matrix
    assert max(abs(entry) for entry in big.ravel()) > 1 << 40
    assert Threefold.from_vertices(big.tolist()).geometry_hash == one.geometry_hash


# Errors.


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "0 integers"),
        ("5 1 1 1 1", "5 integers"),
        ("5 1 1 1 1 one", "not all entries are integers"),
        ([5, 1, 1, 1, 1, 1.5], "not all entries are integers"),
        ([5, 1, 1, 1, 1, True], "not all entries are integers"),
        ("5 2 1 1 1 1", "not the sum"),
        ("3 -1 1 1 1 1", "outside"),
        ("0 0 0 0 0 0", "not the sum"),
        ("4 1 1 1 1 0", "weight 0"),
        ("99999999 1 1 1 1 99999995", "outside"),
        ("4 1 1 1 1 0 0  4 1 1 1 1 0 0", "weight 0"),
        ("6 1 1 1 1 1 1  6 1 1 1 1 1 1", "linearly independent"),
    ],
)
def test_what_is_no_weight_system_is_refused(source, message):
    with pytest.raises(WeightSystemError, match=message):
        Threefold.from_weights(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("41 1 1 1 1 37", "interior"),
        ("43 2 2 2 2 35", "interior|monomials|dimension"),
        ("1000000 1 1 1 1 999996", "partial monomials"),
    ],
)
def test_weights_without_reflexive_polytope_are_refused(source, message):
    with pytest.raises(PolytopeError, match=message):
        Threefold.from_weights(source)


SIMPLEX = np.array([*np.eye(4, dtype=int), [-1, -1, -1, -1]])


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        (SIMPLEX[:4], "shape"),
        (SIMPLEX[:, :3], "shape"),
        (SIMPLEX + 0.5, "integers"),
        (SIMPLEX.astype(str), "integers"),
        (2 * SIMPLEX, "distance 1"),
        (SIMPLEX + np.array([1, 1, 1, 1]), "interior"),
        (SIMPLEX * [1, 1, 1, 0], "dimension"),
        (np.zeros((6, 4), dtype=int), "dimension"),
        (SIMPLEX * 10**9, "size|distance 1"),
    ],
)
def test_what_is_no_reflexive_polytope_is_refused(vertices, message):
    with pytest.raises(PolytopeError, match=message):
        Threefold.from_vertices(vertices)


def test_unknown_sides_and_levels_and_shapes_are_refused(threefolds):
    one = threefolds[QUINTIC, "weights"]
    with pytest.raises(ValueError, match="side"):
        Threefold.from_weights(QUINTIC, "front")
    with pytest.raises(ValueError, match="level"):
        one.computed("all")
    with pytest.raises(ValueError, match="shape"):
        one.volume([1.0, 2.0])


# The checks see what is wrong.


@pytest.mark.parametrize("normal", [(5, 5, 5, 5), (0, 0, 0, 0)])
def test_facets_that_are_none_are_found(normal, monkeypatch):
    """The first normal cuts off points; the second belongs to no facet."""
    points = Threefold.from_weights(QUINTIC).given.points_m

    def wrong_hull(array):
        equations = ConvexHull(array).equations
        equations[0, :4] = np.array(normal) * equations[0, 4]
        return SimpleNamespace(equations=equations)

    monkeypatch.setattr(lattice, "ConvexHull", wrong_hull)
    with pytest.raises(PolytopeError, match="distance 1"):
        lattice.facet_normals(points)


def test_wrong_heights_are_found(threefolds):
    one = threefolds["24 1 1 2 8 12", "mirror"]
    face = np.zeros(len(one.faces.triangles), dtype=np.int64)
    pairs = two_faces.find_two_faces(one.pair.vertices_n, one.pair.vertices_m)
    members = one.divisors.on_facet[:, pairs[:, 0]] & one.divisors.on_facet[:, pairs[:, 1]]
    for number, column in enumerate(members.T):
        face[column[one.faces.triangles].all(axis=1)] = number
    sizes = members.sum(axis=0)
    two_faces.verify_faces(one.divisors, face, one.faces.triangles, one.heights, sizes)
    inner = int(np.flatnonzero(one.divisors.interior_to_two_face)[0])
    wrong = one.heights.copy()
    wrong[inner] += 1 << 40
    with pytest.raises(TriangulationError, match="regular"):
        two_faces.verify_faces(one.divisors, face, one.faces.triangles, wrong, sizes)
    with pytest.raises(TriangulationError, match="regular"):
        triangulation.verify_triangulation(one.divisors, one.faces, one.simplices, one.mori, wrong)
    with pytest.raises(TriangulationError, match="not fine"):
        two_faces.verify_faces(one.divisors, face[1:], one.faces.triangles[1:], one.heights, sizes)
    level = np.zeros_like(wrong)
    with pytest.raises(TriangulationError, match="regular"):
        triangulation.verify_triangulation(one.divisors, one.faces, one.simplices, one.mori, level)


def test_wrong_triangulations_are_found(threefolds):
    one = threefolds["24 1 1 2 8 12", "mirror"]
    with pytest.raises(TriangulationError, match="exactly two"):
        triangulation.mori_rows(one.points, one.simplices[1:])
    twice = np.concatenate([one.simplices, one.simplices])
    with pytest.raises(TriangulationError, match="twice"):
        triangulation.verify_triangulation(one.divisors, one.faces, twice, one.mori, one.heights)
    moved = one.points.copy()
    moved[one.simplices[0, 0]] *= -1
    with pytest.raises(TriangulationError, match=r"overlap|no volume"):
        triangulation.mori_rows(moved, one.simplices)
    other = triangulation.propose_simplices(one.divisors, -one.heights)
    with pytest.raises(TriangulationError, match=r"not fine|twice|not part"):
        triangulation.verify_triangulation(one.divisors, one.faces, other, one.mori, one.heights)


def test_wrong_multiplicities_break_the_linear_relations(threefolds):
    one = threefolds["24 1 1 2 8 12", "weights"]
    multiplicity = one.faces.multiplicity.copy()
    multiplicity[0] += 1
    with pytest.raises(TriangulationError, match="relation"):
        intersection_numbers(one.divisors, replace(one.faces, multiplicity=multiplicity))
    value = one.kappa.value.copy()
    value[0] += 1
    assert linear_relations(one.divisors, replace(one.kappa, value=value)).any()


def test_tied_heights_are_refined(threefolds, monkeypatch):
    one = threefolds[QUINTIC, "mirror"]
    monkeypatch.setattr(two_faces, "_HASH_BITS", 0)
    faces = two_faces.triangulate_two_faces(one.divisors, one.pair.vertices_n, one.pair.vertices_m)
    assert faces.ties > 0
    simplices, mori = triangulation.star_triangulation(one.divisors, faces)
    assert np.abs(determinants(one.points[simplices])).sum() == 625
    assert not (mori @ one.points).any()


# Integer linear algebra.


def test_hermite_form_inverse_and_reduction_are_exact():
    rng = np.random.default_rng(1)
    for _ in range(50):
        matrix = random_unimodular(rng)
        inverse = np.array(unimodular_inverse(matrix.tolist()))
        assert np.array_equal(matrix @ inverse, np.eye(4, dtype=int))
        vectors = rng.integers(-9, 10, (6, 4))
        transform, rank = hermite_transform(vectors.tolist(), 4)
        form = np.array(transform) @ vectors.T
        moved, _ = hermite_transform((vectors @ matrix.T).tolist(), 4)
        if rank == 4:
            assert np.array_equal(np.array(moved) @ matrix @ vectors.T, form)
        gram = matrix @ matrix.T
        reduced = np.array(reducing_transform(gram.tolist()))
        assert abs(round(np.linalg.det(reduced))) == 1
        assert np.trace(reduced.T @ gram @ reduced) <= np.trace(gram)
    with pytest.raises(ArithmeticError):
        unimodular_inverse((2 * np.eye(4, dtype=int)).tolist())


def test_determinants_and_relations_are_exact():
    rng = np.random.default_rng(2)
    matrices = rng.integers(-50, 51, (200, 4, 4))
    assert np.allclose(determinants(matrices), np.linalg.det(matrices))
    five = rng.integers(-50, 51, (200, 5, 4))
    relation = five_point_relations(five)
    assert not np.einsum("ri,rim->rm", relation, five).any()
    assert (np.gcd.reduce(relation, axis=1) == 1).all()


def test_overflow_is_refused():
    with pytest.raises(CoordinateRangeError):
        determinants(np.full((1, 4, 4), 1 << 20))
    with pytest.raises(CoordinateRangeError):
        require_int64(1 << 62, "a sum")
    with pytest.raises(CoordinateRangeError):
        two_faces.point_heights(np.full((1, 4), 1 << 20))


def test_kernel_basis_is_saturated():
    weights = parse_weight_system(LARGEST_H11).weights
    basis = kernel_basis(weights)
    assert not (weights @ basis.T).any()
    # The 4 x 4 minors of a saturated lattice have no common factor: they are the weights.
    minors = [round(np.linalg.det(np.delete(basis, i, axis=1).astype(float))) for i in range(5)]
    assert sorted(map(abs, minors)) == sorted(weights[0].tolist())


def test_canonical_form_is_a_basis_change_of_the_vertices(threefolds):
    pair = threefolds[BICUBIC, "weights"].given
    form = canonical_form.canonical_form(pair.vertices_n, pair.vertices_m)
    moved = pair.vertices_n @ np.array(form.transform).T
    assert sorted(moved.tolist()) == sorted(form.vertices.tolist())
