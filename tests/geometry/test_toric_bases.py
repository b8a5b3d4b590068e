"""The smooth toric bases against published counts and brute force in plain integers, and the Hodge
numbers over them.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vacuagym.geometry import toric_bases
from vacuagym.geometry.non_higgsable import gauge_content, hodge_numbers, tensor_multiplets
from vacuagym.geometry.toric_bases import ToricBases, canonical_order, enumerate_bases, toric_rays

Sequence = tuple[int, ...]
Ray = tuple[int, int]

TOTAL = 61_539
# The number of bases by the number of tensor multiplets (Morrison and Taylor, arXiv:1204.0283).
FEW_TENSORS = {0: 1, 1: 10, 2: 10, 3: 21, 4: 31, 5: 63, 6: 106}
MANY_TENSORS = {
    10: 517,
    20: 1937,
    25: 2066,
    30: 1622,
    50: 522,
    100: 29,
    150: 2,
    161: 1,
    171: 4,
    182: 2,
    193: 1,
}
FIELDS = ("rays", "self_intersections", "ord_f", "ord_g", "num_f", "num_g")


@pytest.fixture(scope="module")
def levels() -> list[ToricBases]:
    return list(enumerate_bases())


def rows(bases: ToricBases) -> list[Sequence]:
    return [tuple(row) for row in bases.self_intersections.tolist()]


def forms(sequence: Sequence) -> list[Sequence]:
    return [one[i:] + one[:i] for one in (sequence, sequence[::-1]) for i in range(len(sequence))]


def canonical(sequence: Sequence) -> Sequence:
    row = np.array([sequence])
    return tuple(np.take_along_axis(row, canonical_order(row), axis=1)[0].tolist())


# The definitions once more, one surface at a time and in plain integers.


def reach(rays: list[Ray], direction: Ray) -> int:
    """How far <mu, -direction> can get for weight one: `direction` = alpha u + beta w in the cone
    of two neighbours.
    """
    x, y = direction
    for (a, b), (c, d) in zip(rays, rays[1:] + rays[:1], strict=True):
        alpha, beta = x * d - y * c, a * y - b * x
        if alpha >= 0 and beta >= 0:
            return alpha + beta
    raise AssertionError("the fan is not complete")


def monomials(rays: list[Ray], weight: int) -> list[Ray]:
    found = []
    for x in range(-weight * reach(rays, (1, 0)), weight * reach(rays, (-1, 0)) + 1):
        low, high = -weight * reach(rays, (0, 1)), weight * reach(rays, (0, -1))
        for a, b in rays:
            room = weight + a * x
            if b > 0:
                low = max(low, -(room // b))
            elif b < 0:
                high = min(high, room // -b)
            elif room < 0:
                high = low - 1
        found += [(x, y) for y in range(low, high + 1)]
    return found


def order(points: list[Ray], ray: Ray, weight: int) -> int:
    return min(x * ray[0] + y * ray[1] for x, y in points) + weight


def brute_force_orders(rays: list[Ray]) -> dict[str, list[int]]:
    """Orders of f and g on the curves and at the points where neighbours meet, and the numbers of
    monomials.
    """
    found = {}
    for name, weight in (("f", 4), ("g", 6)):
        points = monomials(rays, weight)
        at = zip(rays, rays[1:] + rays[:1], strict=True)
        found[name] = [order(points, ray, weight) for ray in rays]
        found[name + " at points"] = [
            order(points, (u[0] + v[0], u[1] + v[1]), 2 * weight) for u, v in at
        ]
        found["number of " + name] = len(points)
    return found


def blow_up(sequence: Sequence, i: int) -> Sequence:
    """The point between curve i and the next one blown up."""
    grown = list(sequence)
    grown[i] -= 1
    grown[(i + 1) % len(sequence)] -= 1
    return (*grown[: i + 1], -1, *grown[i + 1 :])


def brute_force_bases(most_rays: int) -> set[Sequence]:
    """Every valid base with at most `most_rays` rays: one surface at a time, with one forced
    blow-up at a time.
    """
    todo = {(1, 1, 1)} | {(0, m, 0, -m) for m in range(13)}
    seen, valid = set(), set()
    while todo:
        sequence = min(forms(todo.pop()))
        if sequence in seen or len(sequence) > most_rays:
            continue
        seen.add(sequence)
        rays = [tuple(ray) for ray in toric_rays(np.array([sequence]))[0].tolist()]
        orders = brute_force_orders(rays)
        if any(f >= 4 and g >= 6 for f, g in zip(orders["f"], orders["g"], strict=True)):
            continue
        at_points = zip(orders["f at points"], orders["g at points"], strict=True)
        forced = [i for i, (f, g) in enumerate(at_points) if f >= 4 and g >= 6]
        if forced:
            todo.add(blow_up(sequence, forced[0]))
        else:
            valid.add(sequence)
            todo |= {blow_up(sequence, i) for i in range(len(sequence))}
    return valid


def test_published_counts(levels):
    tensors = Counter(np.concatenate([bases.tensors for bases in levels]).tolist())
    assert tensors.total() == TOTAL
    assert {t: tensors[t] for t in FEW_TENSORS | MANY_TENSORS} == FEW_TENSORS | MANY_TENSORS
    assert next(t for t in range(200) if tensors[t] == 0) == 141
    assert max(tensors) == 193


def test_published_count_without_further_blow_ups(levels):
    further = [
        ((bases.self_intersections <= -9) & (bases.self_intersections >= -11)).any(axis=1)
        for bases in levels
    ]
    assert np.count_nonzero(~np.concatenate(further)) == 34_868


def test_every_base_is_there_once_and_in_order(levels):
    assert [bases.rays.shape[1] for bases in levels] == sorted(
        {bases.rays.shape[1] for bases in levels}
    )
    for bases in levels:
        sequences = rows(bases)
        assert sequences == sorted(set(sequences))
        assert np.array_equal(
            np.take_along_axis(
                bases.self_intersections, canonical_order(bases.self_intersections), axis=1
            ),
            bases.self_intersections,
        )
    assert all(
        sequence == min(forms(sequence)) for bases in levels for sequence in rows(bases)[::50]
    )


def test_shapes_and_types(levels):
    for bases in levels:
        b, k = len(bases), bases.rays.shape[1]
        shapes = [getattr(bases, name).shape for name in FIELDS]
        assert shapes == [(b, k, 2), (b, k), (b, k), (b, k), (b,), (b,)]
        assert all(np.issubdtype(getattr(bases, name).dtype, np.integer) for name in FIELDS)
        assert bases.tensors.shape == (b,)


def test_sum_rule(levels):
    for bases in levels:
        assert np.all(bases.self_intersections.sum(axis=1) == 12 - 3 * bases.rays.shape[1])


def test_rays_close_and_belong_to_the_self_intersections(levels):
    for bases in levels:
        rays, c = bases.rays, bases.self_intersections[:, :, None]
        before, after = np.roll(rays, 1, axis=1), np.roll(rays, -1, axis=1)
        assert np.array_equal(before + after, -c * rays)
        assert np.all(rays[:, :, 0] * after[:, :, 1] - rays[:, :, 1] * after[:, :, 0] == 1)


def test_sample_against_brute_force(levels):
    rng = np.random.default_rng(20120402)
    picks = [(bases, int(rng.integers(len(bases)))) for bases in levels]
    assert len(picks) > 150
    for bases, i in picks:
        expected = brute_force_orders([tuple(ray) for ray in bases.rays[i].tolist()])
        assert bases.ord_f[i].tolist() == expected["f"]
        assert bases.ord_g[i].tolist() == expected["g"]
        assert (bases.num_f[i], bases.num_g[i]) == (
            expected["number of f"],
            expected["number of g"],
        )
        for where in ("", " at points"):
            assert not any(
                f >= 4 and g >= 6
                for f, g in zip(expected["f" + where], expected["g" + where], strict=True)
            )


def test_few_rays_against_brute_force(levels):
    most_rays = 12
    found = {
        sequence for bases in levels if bases.rays.shape[1] <= most_rays for sequence in rows(bases)
    }
    assert found == brute_force_bases(most_rays)


@pytest.mark.parametrize("limit", [0, 1, 2, 10, 11, 12, 137, 400])
def test_limit_gives_a_prefix(levels, limit):
    some = list(enumerate_bases(limit))
    assert sum(map(len, some)) == limit
    assert all(map(len, some))
    for got, expected in zip(some, levels[: len(some)], strict=True):
        for name in FIELDS:
            assert np.array_equal(getattr(got, name), getattr(expected, name)[: len(got)])
    assert all(len(got) == len(expected) for got, expected in zip(some[:-1], levels, strict=False))


def test_small_chunks_change_nothing(levels, monkeypatch):
    monkeypatch.setattr(toric_bases, "_CHUNK_SURFACES", 7)
    monkeypatch.setattr(toric_bases, "_CHUNK_MONOMIALS", 300)
    for got, expected in zip(enumerate_bases(250), levels, strict=False):
        assert all(
            np.array_equal(getattr(got, name), getattr(expected, name)[: len(got)])
            for name in FIELDS
        )


def test_no_curve_is_blown_up_below_minus_twelve():
    *_, f12 = toric_bases._minimal_surfaces()
    assert f12.curves[0, :, 0].tolist() == [0, 12, 0, -12]
    assert f12.blow_ups().curves[:, :, 0].tolist() == [[-1, -1, 11, 0, -12], [0, 11, -1, -1, -12]]


def test_pairings_that_16_bits_might_not_hold_are_refused():
    points = np.full((2, 1, 1), 78, dtype=np.int16)
    with pytest.raises(OverflowError, match="16 bits"):
        toric_bases._least_pairings(points, np.full((2, 3, 1), 200, dtype=np.int16))


# Few different entries make ties between the rotations and reflections.
cyclic = st.lists(st.integers(-12, 12), min_size=3, max_size=14) | st.lists(
    st.integers(-2, -1), min_size=3, max_size=12
)
periodic = st.builds(
    lambda part, times: part * times,
    st.lists(st.integers(-3, -1), min_size=1, max_size=4),
    st.integers(3, 5),
)


@given(cyclic | periodic, st.integers(0, 40), st.booleans())
def test_canonical_form(sequence, shift, mirrored):
    sequence = tuple(sequence)
    other = sequence[shift % len(sequence) :] + sequence[: shift % len(sequence)]
    assert canonical(sequence) == min(forms(sequence))
    assert canonical(other[::-1] if mirrored else other) == canonical(sequence)


@given(cyclic | periodic)
def test_canonical_order_is_a_rotation_or_reflection(sequence):
    places = canonical_order(np.array([sequence]))[0].tolist()
    assert tuple(places) in forms(tuple(range(len(sequence))))


@given(st.lists(st.lists(st.integers(-2, -1), min_size=7, max_size=7), min_size=2, max_size=20))
def test_canonical_forms_of_many_sequences_at_once(sequences):
    many = np.array(sequences, dtype=np.int8)
    found = np.take_along_axis(many, canonical_order(many), axis=1).tolist()
    assert [tuple(row) for row in found] == [canonical(tuple(row)) for row in sequences]


def hirzebruch(m: int) -> np.ndarray:
    return np.array([[0, m, 0, -m]])


@pytest.mark.parametrize(
    ("self_intersections", "expected"),
    [
        (np.array([[1, 1, 1]]), (2, 272)),
        (hirzebruch(0), (3, 243)),
        (hirzebruch(1), (3, 243)),
        (hirzebruch(2), (3, 243)),
        (hirzebruch(3), (5, 251)),
        (hirzebruch(4), (7, 271)),
        (hirzebruch(5), (7, 295)),
        (hirzebruch(6), (9, 321)),
        (hirzebruch(7), (10, 348)),
        (hirzebruch(8), (10, 376)),
        (hirzebruch(12), (11, 491)),
    ],
)
def test_known_hodge_numbers(self_intersections, expected):
    h11, h21 = hodge_numbers(self_intersections)
    assert (h11.tolist(), h21.tolist()) == ([expected[0]], [expected[1]])


def test_hodge_numbers_of_all_bases(levels):
    tensors = np.concatenate([bases.tensors for bases in levels])
    h11, h21 = (
        np.concatenate(parts)
        for parts in zip(*(hodge_numbers(one.self_intersections) for one in levels), strict=True)
    )
    most = int(np.argmax(tensors))
    assert (h11[most], h21[most]) == (491, 11)
    assert (h11.max(), h21.max()) == (491, 491)
    # Number of different pairs: W. Taylor, arXiv:1205.0952.
    assert len(set(zip(h11.tolist(), h21.tolist(), strict=True))) == 7_524


def test_h21_counts_the_moduli_of_the_weierstrass_model(levels):
    """Without gauge algebras or anomalies: h21 is the monomials, less the automorphisms, plus the
    moduli of bare -2 curves.
    """
    for bases in levels:
        c = bases.self_intersections
        # The torus and the scaling of (f, g), and C^2 + 1 root automorphisms for each curve with
        # C^2 >= 0.
        automorphisms = 3 + np.where(c >= 0, c + 1, 0).sum(axis=1)
        bare = (c == -2) & ((bases.ord_f == 0) | (bases.ord_g == 0))
        assert np.array_equal(
            hodge_numbers(c)[1], bases.num_f + bases.num_g - automorphisms + bare.sum(axis=1)
        )


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([-1, -2, -2, -2], (0, 0, 0)),
        ([-3], (8, 2, 0)),
        ([-3, -2], (17, 3, 8)),
        ([-2, -3], (17, 3, 8)),
        ([-3, -2, -2], (17, 3, 8)),
        ([-2, -3, -2], (27, 5, 16)),
        ([-4], (28, 4, 0)),
        ([-5], (52, 4, 0)),
        ([-6], (78, 6, 0)),
        ([-7], (133, 7, 28)),
        ([-8], (133, 7, 0)),
        ([-9], (248, 8, 0)),
        ([-12], (248, 8, 0)),
        ([-12, -1, -5, -1, -3, -2], (248 + 52 + 17, 8 + 4 + 3, 8)),
    ],
)
def test_gauge_content_of_clusters(chain, expected):
    ring = np.array([[*chain, -1, 0, 5, -1]])
    for turned in (ring, np.roll(ring, 2, axis=1), ring[:, ::-1]):
        content = gauge_content(turned)
        assert (
            content.dimension.tolist(),
            content.rank.tolist(),
            content.charged.tolist(),
        ) == tuple([x] for x in expected)


def test_curves_below_minus_twelve_are_refused():
    with pytest.raises(ValueError, match="-12"):
        gauge_content(np.array([[0, 13, 0, -13]]))


def test_tensor_multiplets_of_curves_with_further_blow_ups():
    assert [int(tensor_multiplets(hirzebruch(m))[0]) for m in (8, 9, 10, 11, 12)] == [1, 4, 3, 2, 1]
