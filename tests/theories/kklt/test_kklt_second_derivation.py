"""The second derivation of KKLT rows agrees, and sees every wrong column."""

import re
from fractions import Fraction

import numpy as np
import pytest
from kklt_geometries import GEOMETRIES, row_of

from vacuagym.checks.kklt.certificates import certificates
from vacuagym.checks.kklt.chambers import Polytope
from vacuagym.checks.kklt.rows import row_differences
from vacuagym.checks.kklt.toric import locate
from vacuagym.theories.kklt.candidates import positive_candidates
from vacuagym.theories.kklt.chambers import ToricChambers
from vacuagym.theories.kklt.classes import CLASSES
from vacuagym.theories.kklt.labels import label_batch
from vacuagym.theories.kklt.points import Geometry
from vacuagym.theories.kklt.rows import point_columns
from vacuagym.theories.kklt.toric_walk import walk

PANEL = (1e-2, 1e-40)


def labelled(geometry: Geometry) -> dict:
    """Return the row of a label table, with the prefix of the theory."""
    found = label_batch([geometry.points], [geometry.rigid])
    columns = point_columns(row_of(geometry)) | {
        "num_candidates": int(found.num_candidates[0]),
        "num_positive": int(found.num_positive[0]),
        "tight": int(found.tight[0]),
        "v": found.v(0).tolist(),
        "v_scale": int(found.v_scale[0]),
    }
    for name in ("kaehler", "signs"):
        if columns[name] is not None:
            columns[name] = columns[name].tolist()
    row = {f"kklt_{name}": value for name, value in columns.items()}
    return row | {"stability": CLASSES[found.stability[0]]}


@pytest.fixture(scope="module")
def four_terms() -> dict:
    return labelled(GEOMETRIES["four_terms"])


@pytest.mark.parametrize(
    "name", ["four_terms", "tie", "outside", "boundary", "zero", "cone", "phases", "unbalanced"]
)
def test_agrees(name: str) -> None:
    geometry = GEOMETRIES[name]
    assert row_differences(labelled(geometry), row_of(geometry), 1e-8, PANEL) == []


# Wrong values that leave what the other columns of the group are compared with.
WRONG = {
    "label": {
        "stability": "boundary",
        "kklt_num_candidates": 3,
        "kklt_num_positive": 1,
        "kklt_tight": 4,
        "kklt_v": [1] * 7,
        "kklt_v_scale": 7,
    },
    "toric part": {"kklt_num_points": 2, "kklt_toric": "outside", "kklt_margin": 0.0855},
    "exact point": {
        "kklt_min_curve": 0.11323,
        "kklt_volume": 8.156460,
        "kklt_tau_min": 3.47,
        "kklt_tau_max": 6.41,
        "kklt_log10_m32": -8.94023,
        "kklt_log10_v_ads": -17.40334,
        "kklt_vacuum": "singular",
        "kklt_vacuum_panel": ["lost", "lost"],
        "kklt_lambda_min": 12.523,
        "kklt_tachyons_bf": 1,
        "kklt_uplift": "fold",
        "kklt_alpha_ratio": 0.84547,
    },
    "class": {"kklt_kaehler": [0.5428150750408786, 3.177220457111859, 0.1132260]},
    "signs": {"kklt_signs": [-1, -1, -1, -1]},
}


@pytest.mark.parametrize("group", WRONG)
def test_wrong_columns_are_seen(group: str, four_terms: dict) -> None:
    assert set(WRONG[group]) <= set(four_terms)
    geometry = row_of(GEOMETRIES["four_terms"])
    found = row_differences(four_terms | WRONG[group], geometry, 1e-8, PANEL)
    named = {text.partition(":")[0] for text in found}
    assert {name.removeprefix("kklt_") for name in WRONG[group]} <= named, found


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("four_terms", {"vacuum_panel": ["vacuum", "vacuum"]}, "vacuum in the row at 0.01, but"),
        ("four_terms", {"vacuum_panel": ["lost", "lost"]}, "lost in the row at 1e-40, but"),
        ("unbalanced", {"vacuum": "lost", "cause": "fold"}, "lost in the row at 1e-08, but"),
    ],
)
def test_points_that_are_claimed_and_that_are_denied_are_contested(
    name: str, change: dict, told: str
) -> None:
    row = labelled(GEOMETRIES[name]) | {f"kklt_{x}": value for x, value in change.items()}
    found = row_differences(row, row_of(GEOMETRIES[name]), 1e-8, PANEL)
    assert [text for text in found if told in text], found
    assert sum("but the branches reach" in text for text in found) == 1


def test_rows_without_full_data_have_labels_only(four_terms: dict) -> None:
    far = row_of(GEOMETRIES["four_terms"]) | {"kaehler_point": None}
    assert "kaehler" in " ".join(row_differences(four_terms, far, 1e-8, PANEL))
    bare = dict.fromkeys(four_terms) | {
        name: four_terms[name]
        for name in ("stability", *(f"kklt_{x}" for x in ("num_candidates", "num_positive")))
    }
    bare |= {f"kklt_{x}": four_terms[f"kklt_{x}"] for x in ("tight", "v", "v_scale")}
    assert row_differences(bare, far, 1e-8, PANEL) == []


def test_a_geometry_that_is_not_favourable_has_no_label(four_terms: dict) -> None:
    other = row_of(GEOMETRIES["four_terms"]) | {"favourable": False}
    assert any("stability" in text for text in row_differences(four_terms, other))
    none = dict.fromkeys(four_terms)
    assert row_differences(none, other, 1e-8, PANEL) == []


@pytest.mark.parametrize("name", GEOMETRIES)
def test_one_convex_function_gives_the_points_of_the_walk(name: str) -> None:
    geometry = GEOMETRIES[name]
    chambers = ToricChambers(geometry.points, geometry.normals, geometry.basis)
    polytope = Polytope(geometry.points, geometry.basis)
    start = chambers(geometry.kaehler_point)
    volumes, scale = positive_candidates(geometry.points, geometry.rigid.astype(np.int64))
    for v, one in zip(volumes, scale, strict=True):
        w = v[geometry.basis] / one
        expected = walk(chambers, w, geometry.kaehler_point, start)
        found = locate(polytope, w, geometry.kaehler_point)
        assert found.outcome == expected.outcome
        if found.outcome == "inside":
            size = np.abs(expected.t).max()
            np.testing.assert_allclose(found.t, expected.t, atol=1e-6 * size)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_fixed_points_give_the_intersection_numbers(name: str) -> None:
    geometry = GEOMETRIES[name]
    polytope = Polytope(geometry.points, geometry.basis)
    fan = polytope.fan(geometry.kaehler_point)
    chambers = ToricChambers(geometry.points, geometry.normals, geometry.basis)
    chamber = chambers(geometry.kaehler_point)
    assert fan.complete
    assert fan.triangulates
    assert all(isinstance(x, Fraction) and x.denominator == 1 for x in fan.kappa.values())
    np.testing.assert_array_equal(fan.dense, chamber.kappa)
    rows = {
        (*curve.pairings[geometry.basis].tolist(), curve.flop, curve.in_threefold)
        for curve in fan.curves
    }
    kinds = zip(chamber.rows, chamber.crossable, chamber.relevant, strict=True)
    assert rows == {(*row.astype(int).tolist(), *flags) for row, *flags in kinds}


def test_certificates_name_what_decides() -> None:
    two = list(certificates(row_of(GEOMETRIES["four_terms"])))
    assert len(two) == 2
    assert "inside" in two[0]
    assert "outside: the minimum of f is at t =" in two[1]
    assert "there f' is 1/2 [0, 0, 0, 1, 0, 1, -1] up to" in two[1]
    first, more = certificates(row_of(GEOMETRIES["four_terms"]), most=1)
    assert first == two[0]
    assert more == "and 1 more: positive"
    bare = row_of(GEOMETRIES["four_terms"]) | {"kaehler_point": None}
    assert [text[-14:] for text in certificates(bare)] == [", all positive"] * 2


@pytest.mark.parametrize("name", ["four_terms", "flop_later"])
def test_certificates_outside_hold_in_rationals(name: str) -> None:
    geometry = GEOMETRIES[name]
    chambers = ToricChambers(geometry.points, geometry.normals, geometry.basis)
    checked = 0
    for text in certificates(row_of(geometry)):
        if "curves of size 0 hold it" not in text:
            continue
        checked += 1
        v = [Fraction(x) for x in re.search(r"volumes ([^,;]+)", text)[1].split()]
        t = [Fraction(x) for x in re.search(r"at t = ([^,]+),", text)[1].split()]
        held = re.findall(r"(\d\S*) \[([^]]+)\]", text.partition("there f' is ")[2])
        curves = {tuple(map(int, row.split(","))): Fraction(x) for x, row in held}
        assert curves
        for curve, factor in curves.items():
            assert not (np.array(curve) @ geometry.points).any()
            assert factor > 0
            assert (
                abs(
                    sum(
                        c * t[i]
                        for c, i in zip(np.array(curve)[geometry.basis], range(len(t)), strict=True)
                    )
                )
                < 1e-5
            )
        # The intersection numbers of the chamber beside the wall, on the inner side.
        place = np.array(t, dtype=float)
        chamber = chambers(place + 1e-6 * (geometry.kaehler_point - place))
        assert chamber is not None
        contracted = [
            sum(int(k) * x for k, x in zip(row, t, strict=True))
            for row in chamber.kappa.reshape(-1, len(t))
        ]
        n = len(t)
        tau = [sum(contracted[i * n + j] * t[j] for j in range(n)) / 2 for i in range(n)]
        volume = sum(x * y for x, y in zip(tau, t, strict=True)) / 3
        for i, p in enumerate(geometry.basis):
            right = sum(factor * curve[p] for curve, factor in curves.items())
            assert abs(v[p] - 3 * tau[i] / volume - right) < 1e-6
    assert checked


def test_certificates_of_no_span_and_of_no_point_are_exact() -> None:
    geometry = GEOMETRIES["four_terms"]
    other = GEOMETRIES["outside"]
    (text,) = certificates(row_of(other))
    cone = [int(x) for x in re.search(r"the points \[(.*)\] of a cone", text)[1].split(",")]
    assert (other.points[cone] @ other.normals.T > -1).any(axis=0).all()
    assert float(re.search(r"f' is 0 up to (.*)$", text)[1]) < 1e-8
    few = row_of(geometry) | {"divisor_h2": [1] * 6 + [0]}
    (text,) = certificates(few)
    assert text.startswith("the 1 rigid divisors have rank 1 < 3; a class of curves meets none")
    pairings = np.zeros(7, dtype=int)
    for number, divisor in re.findall(r"(-?\d+) with divisor (\d+)", text):
        pairings[int(divisor)] = int(number)
    assert pairings.any()
    assert not (pairings @ geometry.points).any()
    assert pairings[6] == 0
    none = row_of(geometry) | {"divisor_h2": [1, 1, 1, 0, 1, 0, 0]}
    texts = list(certificates(none))
    for text in texts:
        volumes = [Fraction(x) for x in re.search(r"volumes ([^;]+);", text)[1].split()]
        for column in geometry.points.T.tolist():
            assert sum(v * x for v, x in zip(volumes, column, strict=True)) == 0
        place, point, size = re.search(r"divisor (\d), (.*), has volume (\S+) < 0", text).groups()
        assert volumes[int(place)] == Fraction(size) == min(volumes) < 0
        assert point == str(geometry.points[int(place)].tolist())
    assert texts
