"""The second derivation of KKLT rows agrees, and sees every wrong column."""

from fractions import Fraction

import numpy as np
import pytest
from kklt_geometries import GEOMETRIES, row_of

from vacuagym.checks.kklt.chambers import Polytope
from vacuagym.checks.kklt.rows import certificates, row_differences
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
    "name", ["four_terms", "tie", "outside", "boundary", "zero", "cone", "phases"]
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
    assert "outside: minimum of f at t =" in two[1]
    assert "there f' is 0.5 [0, 0, 0, 1, 0, 1, -1]" in two[1]
    few = row_of(GEOMETRIES["four_terms"]) | {"divisor_h2": [1] * 6 + [0]}
    assert list(certificates(few)) == ["the 1 rigid divisors do not span the classes"]
