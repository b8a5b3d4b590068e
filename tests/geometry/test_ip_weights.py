"""Weight systems with the interior-point property: numbers, and a slow exact definition."""

from itertools import combinations, islice
from math import gcd

import numpy as np
import pytest

from vacuagym.config.datasets import WeightSystems
from vacuagym.geometry.polytopes.interior_point import _adjugate, origin_is_inside
from vacuagym.geometry.polytopes.ip_weights import ip_weight_systems
from vacuagym.geometry.polytopes.weight_counts import (
    LARGEST_DEGREE,
    LEAST_DEGREE,
    count_up_to,
    degree_of,
    ids_of,
)
from vacuagym.geometry.polytopes.weight_systems import monomials, parse_weight_system

# Numbers of weight systems up to a degree in the table of Kreuzer and Skarke.
KREUZER_SKARKE = {30: 799, 50: 4_472, 60: 7_930, 84: 18_712, 100: 27_090}


def ascending(degree: int):
    """Yield all ascending weights of a degree without a common divisor, one by one."""
    for a in range(1, degree // 5 + 1):
        for b in range(a, (degree - a) // 4 + 1):
            for c in range(b, (degree - a - b) // 3 + 1):
                for d in range(c, (degree - a - b - c) // 2 + 1):
                    weights = (a, b, c, d, degree - a - b - c - d)
                    if gcd(*weights) == 1:
                        yield weights


def is_inside(points: np.ndarray) -> bool:
    """Whether the origin is inside the hull of points (P, 4), by all hyperplanes through it.

    If it is not, some hyperplane through the origin and three points has all points on one side.
    """
    points = without_midpoints(points)
    triples = points[list(combinations(range(len(points)), 3))]
    normals = np.stack(
        [
            (-1) ** k * determinants_of_three(np.delete(triples, k, axis=2))
            for k in range(points.shape[1])
        ],
        axis=1,
    )
    normals = np.unique(normals[normals.any(axis=1)], axis=0)
    sides = normals @ points.T
    spanning = len(normals) > 0 and bool(sides.any(axis=1).all())
    return spanning and bool(((sides > 0).any(axis=1) & (sides < 0).any(axis=1)).all())


def without_midpoints(points: np.ndarray) -> np.ndarray:
    """The points that are not halfway between two others: the hull stays the same."""
    points = np.unique(points, axis=0)
    a, b = np.triu_indices(len(points), 1)
    sums = points[a] + points[b]
    middles = set(map(tuple, (sums[(sums % 2 == 0).all(axis=1)] // 2).tolist()))
    return np.array(sorted(set(map(tuple, points.tolist())) - middles))


def determinants_of_three(m: np.ndarray) -> np.ndarray:
    """Determinants of integer matrices (B, 3, 3), by the rule of Sarrus."""
    plus = (m[:, 0, 0] * m[:, 1, 1] * m[:, 2, 2], m[:, 0, 1] * m[:, 1, 2] * m[:, 2, 0])
    minus = (m[:, 0, 2] * m[:, 1, 1] * m[:, 2, 0], m[:, 0, 1] * m[:, 1, 0] * m[:, 2, 2])
    return (
        sum(plus)
        + m[:, 0, 2] * m[:, 1, 0] * m[:, 2, 1]
        - sum(minus)
        - (m[:, 0, 0] * m[:, 1, 2] * m[:, 2, 1])
    )


def newton(weights) -> np.ndarray:
    """The exponents of all monomials minus 1, without the last coordinate."""
    text = f"{sum(weights)} {' '.join(map(str, weights))}"
    return monomials(parse_weight_system(text))[:, :4] - 1


def by_definition(degree: int) -> list[tuple[int, ...]]:
    return [
        weights
        for weights in ascending(degree)
        if len(points := newton(weights)) > 4 and is_inside(points)
    ]


@pytest.mark.parametrize("degree", range(5, 14))
def test_every_weight_system_of_a_small_degree_is_decided_by_the_definition(degree):
    assert list(map(tuple, ip_weight_systems(degree).tolist())) == by_definition(degree)


def test_a_sample_of_larger_degrees_is_decided_by_the_definition():
    rng = np.random.default_rng(5)
    seen = []
    for degree in (18, 31, 42, 77):
        candidates = [w for w in ascending(degree) if 2 * w[-1] <= degree]
        found = set(map(tuple, ip_weight_systems(degree).tolist()))
        for among, most in ((candidates, 15), (sorted(found), 5)):
            drawn = rng.permutation(among).tolist()
            for weights in islice((w for w in drawn if 4 < len(newton(w)) < 60), most):
                seen.append(is_inside(newton(weights)))
                assert (tuple(weights) in found) == seen[-1], weights
    assert 10 < sum(seen) < len(seen) - 30


def test_numbers_are_those_of_kreuzer_and_skarke():
    numbers = {degree: count_up_to(degree) for degree in KREUZER_SKARKE}
    assert numbers == KREUZER_SKARKE
    total = 0
    for degree in range(LEAST_DEGREE, 61):
        found = ip_weight_systems(degree)
        assert len(found) == len(ids_of(degree)), degree
        assert ids_of(degree).start == total
        total += len(found)
        assert sorted(map(tuple, found.tolist())) == list(map(tuple, found.tolist()))
        if degree in KREUZER_SKARKE:
            assert total == KREUZER_SKARKE[degree]


def test_ids_know_their_degree():
    for degree in (5, 6, 30, 100):
        ids = ids_of(degree)
        assert {degree_of(ids.start), degree_of(ids.stop - 1)} == {degree}
    assert degree_of(-1) is None
    assert degree_of(count_up_to(LARGEST_DEGREE)) is None


def test_published_weight_systems_are_found():
    for weights in ((1, 1, 1, 1, 1), (1, 1, 2, 2, 2), (1, 1, 1, 6, 9), (1, 1, 12, 28, 42)):
        assert list(weights) in ip_weight_systems(sum(weights)).tolist()


@pytest.mark.parametrize("degree", [4, 101])
def test_other_degrees_are_refused(degree):
    with pytest.raises(ValueError, match=r"5\.\.100"):
        ip_weight_systems(degree)


def test_the_configuration_has_the_same_bounds():
    key = WeightSystems.model_json_schema()["properties"]["max_degree"]
    assert (key["minimum"], key["maximum"]) == (LEAST_DEGREE, LARGEST_DEGREE)


def test_origins_on_the_boundary_and_flat_sets_are_not_inside():
    unit = np.eye(4, dtype=np.int64)
    cross = np.concatenate([unit, -unit])
    sets = {
        "inside": (np.concatenate([unit, [[-1] * 4]]), True),
        "cross": (cross, True),
        "with the origin": (np.concatenate([cross, [[0] * 4]]), True),
        "on a facet": (cross[:7], False),
        "on an edge": (np.concatenate([unit, -unit[:1]]), False),
        "flat": (np.concatenate([unit[:3], -unit[:3], [[1, 1, 1, 0]]]), False),
        "outside": (unit + unit[0], False),
        "one point": (unit[:1], False),
        "the origin alone": (0 * unit[:1], False),
    }
    points = np.concatenate([points for points, _ in sets.values()])
    sizes = np.array([len(points) for points, _ in sets.values()])
    assert origin_is_inside(points, sizes).tolist() == [answer for _, answer in sets.values()]


@pytest.mark.parametrize("steps", [0, 60])
def test_random_sets_are_decided_by_the_definition_with_both_rules(monkeypatch, steps):
    monkeypatch.setattr("vacuagym.geometry.polytopes.interior_point._STEPS_BEFORE_BLAND", steps)
    rng = np.random.default_rng(11)
    sets = [rng.integers(-2, 3, (rng.integers(5, 13), 4)) for _ in range(400)]
    answers = origin_is_inside(np.concatenate(sets), np.array([len(points) for points in sets]))
    expected = [is_inside(points) for points in sets]
    assert answers.tolist() == expected
    assert 50 < sum(expected) < 350


def test_adjugates_are_exact():
    matrices = np.random.default_rng(3).integers(-102, 103, (50, 4, 4))
    adjugates, determinants = _adjugate(matrices)
    identity = determinants[:, None, None] * np.eye(4, dtype=np.int64)
    assert (adjugates @ matrices == identity).all()
    assert determinants.any()
