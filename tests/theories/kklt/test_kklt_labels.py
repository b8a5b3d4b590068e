"""The exact KKLT label: examples checked by hand, invariances and the definition in fractions."""

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vacuagym.checks.kklt.candidates import candidates, disagreements, label
from vacuagym.theories.kklt import candidates as engine
from vacuagym.theories.kklt.candidates import fits_int64
from vacuagym.theories.kklt.classes import CLASSES, REASONS
from vacuagym.theories.kklt.labels import NULL, KkltLabels, label_batch

# Mirror hypersurfaces of the Kreuzer-Skarke list, named by the weight system of the other polytope:
# points, rigid divisors, label, candidates, positive ones, tight, v, common denominator of v.
EXAMPLES = {
    "quintic": (
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -1, -1]],
        [0, 0, 0, 0, 0],
        ("no_span", 0, 0, NULL, [], 0),
    ),
    # P_11169[18]: only the exceptional divisor (0, 0, -2, -3) is rigid, and there are two moduli.
    "18 1 1 1 6 9": (
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -6, -9], [0, 0, -2, -3]],
        [0, 0, 0, 0, 0, 1],
        ("no_span", 0, 0, NULL, [], 0),
    ),
    # By hand: rigid (0, 0, 0, -1) and (0, 0, 1, -1) at v = 1. The first coordinate of sum v_p p = 0
    # gives v_0 = v_5, the second v_4 = v_5, the third v_1 = 1 + v_5 and the fourth v_5 = 2.
    "85 13 15 16 17 24": (
        [[-1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, -1], [0, 0, 1, -1], [0, 1, 0, 0], [1, -1, 1, 1]],
        [0, 0, 1, 1, 0, 0],
        ("point", 1, 1, 2, [2, 3, 1, 1, 2, 2], 1),
    ),
    "84 11 12 17 21 23": (
        [
            [-1, 0, 1, -1],
            [-1, 1, 0, -1],
            [0, -1, -1, -1],
            [0, 0, 0, 1],
            [0, 1, 0, -1],
            [1, 0, 0, -1],
            [1, 0, 0, 0],
        ],
        [0, 1, 0, 0, 1, 1, 1],
        ("point", 2, 2, 3, [2, 1, 2, 7, 1, 1, 2], 1),
    ),
    # All five rigid divisors are tight: several bases give the same candidate.
    "72 11 13 14 15 19": (
        [
            [-1, 0, 1, 0],
            [0, 0, -1, 0],
            [0, 0, -1, 1],
            [0, 0, 0, -1],
            [0, 1, 0, -1],
            [0, 1, 0, 0],
            [1, -1, 0, 0],
            [1, 0, 0, 0],
        ],
        [0, 1, 0, 1, 1, 1, 0, 1],
        ("point", 1, 1, 5, [3, 1, 2, 1, 1, 1, 2, 1], 1),
    ),
    # By hand: the rigid points 2, 3 and 4 at v = 1. The third coordinate gives v_5 = v_6 and the
    # fourth 1 - v_0 - v_1 - 1 + 2 - v_5 - v_6 = 0; the first v_6 = v_0 and the second
    # v_0 - v_1 + 2 + v_5 + v_6 = 0. So v_0 = v_5 = v_6 = 0 and v_1 = 2.
    "84 7 12 19 20 26": (
        [
            [-1, 1, 0, -1],
            [0, -1, 0, -1],
            [0, 0, 0, 1],
            [0, 1, 0, -1],
            [0, 1, 0, 2],
            [0, 1, 1, -1],
            [1, 1, -1, -1],
        ],
        [0, 0, 1, 1, 1, 0, 0],
        ("boundary", 1, 0, NULL, [], 0),
    ),
    "83 11 13 14 18 27": (
        [
            [-1, -1, -1, 0],
            [-1, -1, 0, 1],
            [0, -1, -1, -1],
            [0, -1, 0, -1],
            [0, -1, 1, -1],
            [0, 1, 0, 0],
            [1, -1, 0, 0],
            [1, 0, 0, 0],
        ],
        [1, 0, 1, 0, 0, 0, 1, 1],
        ("no_point", 1, 0, NULL, [], 0),
    ),
}
POINTS = [np.array(points) for points, _, _ in EXAMPLES.values()]
RIGID = [np.array(rigid, dtype=bool) for _, rigid, _ in EXAMPLES.values()]


def row(labels: KkltLabels, i: int) -> dict[str, object]:
    stability = labels.stability[i]
    return {
        "stability": CLASSES[stability] if stability != NULL else None,
        "num_candidates": int(labels.num_candidates[i]),
        "num_positive": int(labels.num_positive[i]),
        "tight": int(labels.tight[i]),
        "v": labels.v(i).tolist(),
        "v_scale": int(labels.v_scale[i]),
    }


def assert_equal(one: KkltLabels, other: KkltLabels) -> None:
    for field in fields(KkltLabels):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def random_fan(rng: np.random.Generator, size: int, reach: int = 2) -> np.ndarray:
    """Distinct random points, made positively dependent by a last one that balances the others."""
    points = rng.integers(-reach, reach + 1, (size - 1, 4))
    points = np.unique(points[(points != 0).any(axis=1)], axis=0)
    last = -(rng.integers(1, 4, len(points))[:, None] * points).sum(axis=0)
    return np.vstack([points, last]) if last.any() else points


def random_batch(seed: int, number: int, sizes: tuple[int, int]) -> tuple[list, list]:
    rng = np.random.default_rng(seed)
    points = [random_fan(rng, int(size)) for size in rng.integers(*sizes, number)]
    rigid = []
    for one in points:
        chosen = np.ones(len(one), dtype=bool)
        chosen[rng.permutation(len(one))[: rng.integers(0, 6)]] = False
        rigid.append(chosen)
    return points, rigid


def random_unimodular(rng: np.random.Generator, steps: int, reach: int) -> np.ndarray:
    matrix = np.eye(4, dtype=object)
    for _ in range(steps):
        i, j = rng.permutation(4)[:2]
        matrix[i] = matrix[i] + int(rng.integers(-reach, reach + 1)) * matrix[j]
    return matrix[rng.permutation(4)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    points, rigid, expected = EXAMPLES[name]
    labels = label_batch([np.array(points)], [np.array(rigid, dtype=bool)])
    assert tuple(row(labels, 0).values()) == expected
    assert labels.num_moduli[0] == len(points) - 4
    assert labels.num_rigid[0] == sum(rigid)
    assert label(points, rigid) == expected[0]


def test_candidates_are_vertices_of_the_definition() -> None:
    labels = label_batch(POINTS, RIGID)
    for i, (points, rigid) in enumerate(zip(POINTS, RIGID, strict=True)):
        if not labels.v_scale[i]:
            continue
        v, scale = labels.v(i), labels.v_scale[i]
        assert not (v @ points).any()  # the linear relations
        assert (v[rigid] >= scale).all()
        assert (v == scale)[rigid].sum() == labels.tight[i] >= labels.num_moduli[i]


@pytest.mark.parametrize("sizes", [(5, 9), (9, 13)])
def test_agrees_with_subsets_in_fractions(sizes: tuple[int, int]) -> None:
    points, rigid = random_batch(1, 60 if sizes[0] < 9 else 20, sizes)
    labels = label_batch(points, rigid)
    seen = set()
    for i, (one, chosen) in enumerate(zip(points, rigid, strict=True)):
        if labels.stability[i] == CLASSES.index("failed"):  # a fan that random points do not make
            continue
        seen.add(CLASSES[labels.stability[i]])
        assert disagreements(one, chosen, row(labels, i)) == []
    assert seen >= {"no_span", "no_point", "point"}


def test_agrees_with_pivots_in_fractions() -> None:
    points, rigid = random_batch(2, 8, (15, 19))
    labels = label_batch(points, rigid)
    for i, (one, chosen) in enumerate(zip(points, rigid, strict=True)):
        assert disagreements(one, chosen, row(labels, i)) == []


def test_the_two_enumerations_of_the_check_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    points, rigid = random_batch(3, 12, (8, 11))
    by_subsets = [candidates(*one) for one in zip(points, rigid, strict=True)]
    monkeypatch.setattr("vacuagym.checks.kklt.candidates._MAX_MODULI_FOR_SUBSETS", 0)
    assert [candidates(*one) for one in zip(points, rigid, strict=True)] == by_subsets
    assert any(found and len(found) > 3 for found in by_subsets)


def test_disagreements_name_the_column() -> None:
    labels = label_batch(POINTS, RIGID)
    right = row(labels, 2)
    assert disagreements(POINTS[2], RIGID[2], right) == []
    for name, wrong in {"stability": "boundary", "tight": 1, "v": [2, 3, 1, 1, 2, 3]}.items():
        (message,) = disagreements(POINTS[2], RIGID[2], right | {name: wrong})
        assert message.startswith(name)


def test_a_batch_equals_its_rows() -> None:
    points, rigid = random_batch(4, 80, (5, 14))
    together = label_batch(points, rigid)
    for i in range(len(points)):
        alone = label_batch(points[i : i + 1], rigid[i : i + 1])
        assert row(alone, 0) == row(together, i)
        assert (alone.reason, alone.num_rigid) == (together.reason[i], together.num_rigid[i])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, rigid = random_batch(5, 60, (6, 12))
    expected = label_batch(points, rigid)
    monkeypatch.setattr(engine, "_CHUNK_BASES", 1)
    assert_equal(label_batch(points, rigid), expected)
    monkeypatch.setattr(engine, "_CHUNK_SOLVED", 3)
    assert_equal(label_batch(points, rigid), expected)


def test_the_order_of_points_changes_nothing_but_the_first() -> None:
    rng = np.random.default_rng(6)
    points, rigid = random_batch(6, 60, (6, 12))
    orders = [rng.permutation(len(one)) for one in points]
    expected = label_batch(points, rigid)
    other = label_batch(
        [one[order] for one, order in zip(points, orders, strict=True)],
        [one[order] for one, order in zip(rigid, orders, strict=True)],
    )
    for name in ("stability", "reason", "num_rigid", "num_candidates", "num_positive"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(other, name))
    for i in np.flatnonzero(expected.num_positive == 1):
        np.testing.assert_array_equal(expected.v(i)[orders[i]], other.v(i))
        assert expected.tight[i] == other.tight[i]


@pytest.mark.parametrize(("steps", "reach"), [(6, 2), (60, 99)])
def test_the_lattice_basis_changes_nothing(steps: int, reach: int) -> None:
    rng = np.random.default_rng(7)
    points, rigid = random_batch(7, 40, (6, 12))
    moved = [one.astype(object) @ random_unimodular(rng, steps, reach) for one in points]
    if reach > 2:  # far beyond 64 bits: Python integers
        assert max(abs(one).max() for one in moved) > 2**63
    else:
        moved = [one.astype(np.int64) for one in moved]
    assert_equal(label_batch(moved, rigid), label_batch(points, rigid))


def test_64_bits_and_python_integers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    points, rigid = random_batch(8, 60, (6, 12))
    expected = label_batch(points, rigid)
    monkeypatch.setattr(engine, "_LARGEST_DETERMINANT", 0.0)
    assert not fits_int64(np.ones(1), np.ones(1))
    assert_equal(label_batch(points, rigid), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2**20), st.integers(1, 2**22), st.integers(0, 2**32))
def test_the_bound_of_64_bits_holds(reach: int, total: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], (4, 4)).astype(object)
    rows = signs * np.array([[total], [reach], [reach], [reach]], dtype=object)
    if fits_int64(np.array([float(reach)]), np.array([float(total)]))[0]:
        narrow = engine.determinants(*rows.astype(np.int64))
        assert int(narrow) == engine.determinants(*rows)
    assert 24 * max(reach, total) * reach**3 < 2**63 or not fits_int64(
        np.array([float(reach)]), np.array([float(total)])
    )


def test_a_common_factor_of_the_coxeter_numbers_only_scales_v() -> None:
    points, rigid = random_batch(9, 40, (6, 12))
    expected = label_batch(points, rigid)
    six = label_batch(points, rigid, coxeter=[np.full(len(one), 6) for one in points])
    for name in ("stability", "num_candidates", "num_positive", "tight"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(six, name))
    for i in np.flatnonzero(expected.v_scale):
        np.testing.assert_array_equal(
            six.v(i) * expected.v_scale[i], 6 * expected.v(i) * six.v_scale[i]
        )


def test_different_coxeter_numbers_agree_with_fractions() -> None:
    rng = np.random.default_rng(10)
    points, rigid = random_batch(10, 30, (6, 11))
    coxeter = [rng.integers(1, 7, len(one)) for one in points]
    labels = label_batch(points, rigid, coxeter=coxeter)
    for i, (one, chosen) in enumerate(zip(points, rigid, strict=True)):
        if labels.stability[i] != CLASSES.index("failed"):
            assert disagreements(one, chosen, row(labels, i), coxeter[i]) == []


def test_rows_without_a_label() -> None:
    favourable = np.arange(len(POINTS)) != 2
    labels = label_batch(POINTS, RIGID, favourable=favourable, max_moduli=3)
    reasons = [REASONS[one] if one != NULL else None for one in labels.reason]
    assert reasons == [
        None, None, "non_favourable", None, "out_of_range", None, "out_of_range",
    ]  # fmt: skip
    assert labels.stability[[2, 4, 6]].tolist() == [NULL] * 3
    assert row(labels, 4)["v"] == []
    full = label_batch(POINTS, RIGID)
    for i in (0, 1, 3, 5):
        assert row(labels, i) == row(full, i)


def test_all_rigid_has_a_point_without_enumeration() -> None:
    points, _ = random_batch(11, 20, (7, 12))
    rigid = [np.ones(len(one), dtype=bool) for one in points]
    full, cut = label_batch(points, rigid), label_batch(points, rigid, max_bases=1)
    complete = full.stability != CLASSES.index("failed")
    assert complete.sum() > 10
    np.testing.assert_array_equal(full.stability[complete], cut.stability[complete])
    assert set(cut.reason.tolist()) == {REASONS.index("too_many_bases")}
    assert (cut.num_candidates == NULL).all()


def test_too_many_bases_is_a_reason() -> None:
    labels = label_batch(POINTS, RIGID, max_bases=1)
    assert labels.stability[3] == NULL
    assert REASONS[labels.reason[3]] == "too_many_bases"


def test_an_incomplete_fan_fails() -> None:
    points = np.vstack([np.eye(4, dtype=np.int64), [[1, 1, 1, 1]]])
    labels = label_batch([points], [np.ones(5, dtype=bool)])
    assert CLASSES[labels.stability[0]] == "failed"
    assert REASONS[labels.reason[0]] == "incomplete_fan"
    assert label(points, np.ones(5)) == "failed"


def test_an_empty_batch() -> None:
    labels = label_batch([], [])
    assert len(labels) == 0
    assert labels.v_offsets.tolist() == [0]


def test_wrong_arguments_are_refused() -> None:
    points, rigid = POINTS[0], RIGID[0]
    with pytest.raises(ValueError, match="rigid: lengths"):
        label_batch([points], [rigid[:-1]])
    with pytest.raises(ValueError, match=r"points\[0\]: shape"):
        label_batch([points[:, :3]], [rigid])
    with pytest.raises(ValueError, match=r"dtype float64"):
        label_batch([points.astype(float)], [rigid])
    with pytest.raises(ValueError, match="origin"):
        label_batch([points * 0], [rigid])
    with pytest.raises(ValueError, match="coxeter"):
        label_batch([points], [~rigid], coxeter=[np.zeros(5, dtype=np.int64)])


def test_64_moduli_take_a_moment() -> None:
    """All divisors rigid at 64 moduli: 814,385 bases, and the exact answer."""
    rng = np.random.default_rng(12)
    points = random_fan(rng, 68, reach=3)
    labels = label_batch([points], [np.ones(len(points), dtype=bool)])
    v, scale = labels.v(0), labels.v_scale[0]
    assert CLASSES[labels.stability[0]] == "point"
    assert labels.num_candidates[0] > 1000
    assert not (v @ points).any()
    assert (v >= scale).all()


def test_geometries_of_many_large_sizes_take_little_memory() -> None:
    """The tables of four sizes near 64 moduli would take 120 MB together, in 64-bit integers."""
    rng = np.random.default_rng(3)
    points = [random_fan(rng, size, reach=3) for size in (65, 66, 67, 68)]
    tracemalloc.start()
    try:
        label_batch(points, [np.ones(len(one), dtype=bool) for one in points])
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50 * 2**20
    assert peak < 90 * 2**20


def test_ratios_that_doubles_cannot_tell_apart_are_compared_exactly() -> None:
    big = 10**17
    numerators = np.array([big + 2, big + 1, 5, 5, big + 1])
    denominators = np.array([big + 1, big, 2, 2, big])
    least = engine._least_ratios(np.array([0, 0, 1, 1, 2]), numerators, denominators)
    assert least.tolist() == [True, False, True, True, True]
