"""CICY threefolds: published numbers, permutations, a second computation, refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from vacuagym.checks.cicy import CicyClaim, cicy_problems
from vacuagym.geometry.cicy import CicyTopologies, cicy_topologies, configurations, topologies
from vacuagym.geometry.permutation_hash import permutation_hash

QUINTIC = [[5]]
BICUBIC = [[3], [3]]
TETRAQUADRIC = [[2], [2], [2], [2]]
SCHOEN = [[1, 1], [3, 0], [0, 3]]
TORUS_TIMES_K3 = [[3, 0], [0, 4]]
SIX_TORUS = [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
# Matrix, h11, h21, kappa by triples counted from 1, c2, Euler number.
KNOWN = {
    "quintic": (QUINTIC, 1, 101, {"111": 5}, [50], -200),
    "P5[2,4]": ([[2, 4]], 1, 89, {"111": 8}, [56], -176),
    "P7[2,2,2,2]": ([[2, 2, 2, 2]], 1, 65, {"111": 16}, [64], -128),
    "bicubic": (BICUBIC, 2, 83, {"112": 3, "122": 3}, [36, 36], -162),
    "tetraquadric": (
        TETRAQUADRIC,
        4,
        68,
        {"123": 2, "124": 2, "134": 2, "234": 2},
        [24, 24, 24, 24],
        -128,
    ),
    "Schoen": (SCHOEN, 19, 19, {"123": 9, "223": 3, "233": 3}, [0, 36, 36], 0),
    "torus times K3": (TORUS_TIMES_K3, 0, 0, {"122": 12}, [72, 0], 0),
    "six-torus": (SIX_TORUS, 0, 0, {"123": 27}, [0, 0, 0], 0),
}
MATRICES = [matrix for matrix, *_ in KNOWN.values()]
PRODUCTS = ["torus times K3", "six-torus"]


def by_triples(found: CicyTopologies, row: int) -> dict[str, int]:
    own = slice(found.kappa_offsets[row], found.kappa_offsets[row + 1])
    names = ["".join(map(str, triple)) for triple in (found.kappa_index[own] + 1).tolist()]
    return dict(zip(names, found.kappa_value[own].tolist(), strict=True))


def claim_of(found: CicyTopologies, row: int) -> CicyClaim:
    own = slice(found.kappa_offsets[row], found.kappa_offsets[row + 1])
    index, value = found.kappa_index[own], found.kappa_value[own]
    return CicyClaim(found.c2_of(row).copy(), index.copy(), value.copy(), int(found.euler[row]))


def configuration(rng: np.random.Generator) -> np.ndarray:
    """Return a random configuration matrix that is a CICY threefold."""
    while True:
        dims = rng.integers(1, 4, rng.integers(1, 6))
        columns = dims.sum() - 3
        if columns < 1:
            continue
        q = np.zeros((len(dims), columns), dtype=np.int64)
        for r, n in enumerate(dims.tolist()):
            np.add.at(q[r], rng.integers(0, columns, n + 1), 1)
        try:
            cicy_topologies([q])
        except ValueError:
            continue
        return q


@pytest.fixture(scope="module")
def random_matrices() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [configuration(rng) for _ in range(300)]


@pytest.mark.parametrize("name", list(KNOWN))
def test_known_threefolds(name):
    matrix, h11, h21, kappa, c2, euler = KNOWN[name]
    found = cicy_topologies([matrix], [h11], [h21])
    assert by_triples(found, 0) == kappa
    assert found.c2_of(0).tolist() == c2
    assert found.euler.tolist() == [euler]
    assert found.num_divisors.tolist() == [len(matrix)]
    assert found.favourable.tolist() == [h11 == len(matrix)]
    assert found.product.tolist() == [name in PRODUCTS]


def test_many_at_once_are_as_one_by_one(random_matrices, monkeypatch):
    matrices = [np.array(matrix) for matrix in MATRICES] + random_matrices
    together = cicy_topologies(matrices)
    monkeypatch.setattr(topologies, "_CHUNK", 100)
    in_small_chunks = cicy_topologies(matrices)
    for row, matrix in enumerate(matrices):
        alone = cicy_topologies([matrix])
        for found in (together, in_small_chunks):
            assert found.euler[row] == alone.euler[0]
            assert found.product[row] == alone.product[0]
            assert found.geometry_hash[row] == alone.geometry_hash[0]
            assert np.array_equal(found.c2_of(row), alone.c2)
            assert by_triples(found, row) == by_triples(alone, 0)


def test_permutations_of_rows_and_columns(random_matrices):
    rng = np.random.default_rng(4)
    orders = [[rng.permutation(size) for size in q.shape] for q in random_matrices]
    turned = [q[np.ix_(*order)] for q, order in zip(random_matrices, orders, strict=True)]
    before, after = cicy_topologies(random_matrices), cicy_topologies(turned)
    assert np.array_equal(before.euler, after.euler)
    assert np.array_equal(before.product, after.product)
    assert np.array_equal(before.geometry_hash, after.geometry_hash)
    for row, (order, _) in enumerate(orders):
        assert np.array_equal(before.c2_of(row)[order], after.c2_of(row))
        turned_kappa = before.kappa_of(row)[np.ix_(order, order, order)]
        assert np.array_equal(turned_kappa, after.kappa_of(row))


def test_second_computation_agrees(random_matrices):
    matrices = [np.array(matrix) for matrix in MATRICES] + random_matrices
    found = cicy_topologies(matrices)
    for row, matrix in enumerate(matrices):
        assert cicy_problems(matrix, claim_of(found, row), seed=row) == []


def test_products_are_the_matrices_of_several_blocks(random_matrices):
    matrices = [np.array(matrix) for matrix in MATRICES] + random_matrices
    for product, q in zip(cicy_topologies(matrices).product, matrices, strict=True):
        blocks, _ = connected_components(np.block([[q @ q.T, q], [q.T, q.T @ q]]))
        assert product == (blocks > 1)


@pytest.mark.parametrize("quantity", ["c2", "kappa", "Euler number", "distinct"])
def test_second_computation_finds_a_wrong_number(quantity):
    found = cicy_topologies([SCHOEN])
    claim = claim_of(found, 0)
    if quantity == "c2":
        claim.c2[1] += 12
    if quantity == "kappa":
        claim.kappa_value[1] += 6
    if quantity == "Euler number":
        claim = CicyClaim(claim.c2, claim.kappa_index, claim.kappa_value, 2)
    if quantity == "distinct":
        claim.kappa_index[0] = (2, 1, 0)
    (problem,) = cicy_problems(np.array(SCHOEN), claim)
    assert quantity in problem


def test_second_computation_finds_a_broken_congruence():
    claim = claim_of(cicy_topologies([QUINTIC]), 0)
    claim.kappa_value[0] += 1
    problems = cicy_problems(np.array(QUINTIC), claim)
    assert [problem.split()[0] for problem in problems] == ["kappa", "2"]


def test_divisors_have_integral_euler_characteristic_and_threefolds_a_volume(random_matrices):
    found = cicy_topologies(random_matrices)
    for row in range(len(found)):
        kappa, c2 = found.kappa_of(row), found.c2_of(row)
        cubes = np.einsum("iii->i", kappa)
        assert not ((2 * cubes + c2) % 12).any()
        assert kappa.sum() > 0  # the volume at t = (1, ..., 1), times 6
        assert found.euler[row] % 2 == 0


def test_hash_tells_geometries_apart():
    found = cicy_topologies(MATRICES)
    assert len(set(found.geometry_hash.tolist())) == len(MATRICES)
    known = cicy_topologies(MATRICES[:1], [1], [101])
    assert known.geometry_hash[0] != found.geometry_hash[0]
    assert found.geometry_hash.dtype == np.uint64
    # Fixed, because tables of different machines are compared by it.
    assert known.geometry_hash.tolist() == [14618940837683848226]


def test_hash_sees_more_than_sorted_numbers():
    """Two tensors with equal sorted entries: a 6-cycle and two triangles of kappa_iij = 1."""
    kappa = np.zeros((2, 6, 6, 6), dtype=np.int64)
    for which, edges in enumerate(
        [
            [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)],
            [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)],
        ]
    ):
        for i, j in edges:
            for places in {*itertools.permutations((i, i, j)), *itertools.permutations((i, j, j))}:
                kappa[which, *places] = 1
    nothing = np.zeros((2, 0), dtype=np.int64)
    one, other = permutation_hash(kappa, np.zeros((2, 6), dtype=np.int64), nothing).tolist()
    assert one != other


def test_a_redundant_description_gives_the_same_numbers():
    """A linear polynomial only lowers the dimension of its factor."""
    found = cicy_topologies([QUINTIC, [[5, 1]], [[1, 5, 1]]])
    assert found.euler.tolist() == [-200] * 3
    assert found.c2.tolist() == [50] * 3
    assert found.kappa_value.tolist() == [5] * 3
    assert len(set(found.geometry_hash.tolist())) == 1


def test_dense_kappa_is_symmetric():
    found = cicy_topologies([SCHOEN])
    kappa = found.kappa_of(0)
    assert kappa.shape == (3, 3, 3)
    assert all(np.array_equal(kappa, kappa.transpose(t)) for t in itertools.permutations(range(3)))
    assert (kappa[0, 1, 2], kappa[1, 1, 2], kappa[0, 0, 1]) == (9, 3, 0)


def test_no_matrices():
    for found in (cicy_topologies([]), cicy_topologies([], [], [])):
        assert len(found) == 0
        assert found.kappa_index.shape == (0, 3)
        assert found.kappa_offsets.tolist() == found.c2_offsets.tolist() == [0]


def test_all_numbers_are_64_bit_integers():
    found = cicy_topologies([np.array(QUINTIC, dtype=np.int8)], [1], [101])
    names = ("num_divisors", "euler", "c2", "c2_offsets", "kappa_index", "kappa_value")
    assert {getattr(found, name).dtype for name in (*names, "kappa_offsets")} == {np.dtype("int64")}


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2], [3]], "no rectangle"),
        ([5], "no rectangle"),
        ([], "no rectangle"),
        ([[]], "no rectangle"),
        ([[5.0]], "type float64"),
        ([["5"]], "type <U1"),
        ([[True]], "type bool"),
        ([[1 << 70]], "type object"),
        ([[6, -1]], "degree is -1"),
        ([[1 << 40]], "degree is 1099511627776"),
        ([[0], [5]], "row 0 of the matrix sums to 0"),
        ([[5, 0], [0, 1]], "row 1 of the matrix sums to 1"),
        ([[6, 0]], "column 1 of the matrix is zero"),
        ([[4]], "dimension 2"),
        ([[6]], "dimension 4"),
        ([[2, 0], [0, 5]], "dimension 0, so the threefold is not connected"),
        ([[1, 1, 0], [0, 0, 6]], "dimension -1, so the threefold is empty"),
        ([[2, 0, 0], [1, 1, 0], [0, 0, 5]], "dimension 0, so the threefold is not connected"),
    ],
)
def test_refusals_name_the_row(matrix, message):
    with pytest.raises(ValueError, match=r"^row 1: ") as caught:
        cicy_topologies([QUINTIC, matrix])
    assert message in str(caught.value)


def test_a_matrix_that_needs_too_much_memory_or_time_is_refused():
    ring = np.zeros((26, 23), dtype=int)
    for r in range(26):
        ring[r, [r % 23, (r + 1) % 23]] = 1
    linear = [[5] + [1] * 100_000]
    for matrix in (ring, linear):
        with pytest.raises(ValueError, match=r"^row 0: the matrix needs \d+ terms"):
            cicy_topologies([matrix])


def test_numbers_that_64_bits_might_not_hold_are_refused(monkeypatch):
    monkeypatch.setattr(configurations, "_MOST_SUM", 1000)
    with pytest.raises(ValueError, match=r"^row 1: the intersection numbers may not fit"):
        cicy_topologies([QUINTIC, BICUBIC])


@pytest.mark.parametrize(
    ("h11", "h21", "message"),
    [
        ([1, 2], [101, 80], r"^row 1: h11 = 2 and h21 = 80, .* Euler number -162; "),
        ([-1, 2], [99, 83], "^row 0: h11 = -1"),
        ([1, 2], None, "^h11, h21: only one"),
        (None, [101, 83], "^h11, h21: only one"),
        ([1], [101, 83], "^h11: found int64 of shape"),
        ([1, 2], [101.0, 83.0], "^h21: found float64"),
        ([1, 2], [101, None], "^h21: found object"),
    ],
)
def test_hodge_numbers_that_do_not_fit_are_refused(h11, h21, message):
    with pytest.raises(ValueError, match=message):
        cicy_topologies([QUINTIC, BICUBIC], h11, h21)


@given(st.lists(st.lists(st.integers(-1, 6), min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_matrix_is_computed_or_refused(matrix):
    try:
        found = cicy_topologies([matrix])
    except ValueError as error:
        message = str(error)
    else:
        assert cicy_problems(np.array(matrix), claim_of(found, 0)) == []
        assert len(found.kappa_value) > 0
        return
    assert message.startswith("row 0: ")
