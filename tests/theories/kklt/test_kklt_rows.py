"""KKLT columns from rows of a table of threefolds."""

import numpy as np
import pytest
from kklt_geometries import GEOMETRIES, row_of

from vacuagym.checks.kklt import uplift
from vacuagym.checks.kklt.candidates import candidates
from vacuagym.checks.kklt.rows import point_differences
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.theories.kklt.chambers import ToricChambers
from vacuagym.theories.kklt.points import find_kklt_points
from vacuagym.theories.kklt.rows import facet_normals, geometry_of, point_columns
from vacuagym.theories.kklt.supersymmetry import Superpotential
from vacuagym.theories.kklt.uplift import Potential, lift


def threefold_row(weights: str) -> dict:
    """Return the row of a mirror as the stage of threefolds writes it, read back from Arrow."""
    mirror = Threefold.from_weights(weights, "mirror")
    lists = ("points", "divisor_h1", "divisor_h2", "basis", "charges", "kaehler_point")
    row = {name: np.asarray(getattr(mirror, name)).tolist() for name in lists}
    return row | {"favourable": mirror.favourable, "euler": mirror.euler}


def differences(found: dict, row: dict, panel: tuple[float, ...]) -> list[str]:
    """Return what the second derivation of a row finds wrong."""
    rigid = (np.array(row["divisor_h1"]) == 0) & (np.array(row["divisor_h2"]) == 0)
    vectors = candidates(row["points"], rigid)
    given = found | {name: found[name].tolist() for name in ("kaehler", "signs")}
    return point_differences(given, row, vectors, 1e-8, panel)


def test_digits_of_a_weight_system() -> None:
    """The mirror of "84 11 12 17 21 23", computed with 60 digits from D_i W = 0."""
    found = point_columns(threefold_row("84 11 12 17 21 23"))
    assert (found["toric"], found["num_points"], found["flips"]) == ("inside", 1, 0)
    assert found["volume"] == pytest.approx(8.156458921211616, rel=1e-12)
    assert found["min_curve"] == pytest.approx(0.1132249142548688, rel=1e-10)
    assert found["log10_v_ads"] == pytest.approx(np.log10(3.9505059974069e-18), rel=1e-12)
    mass = 1e-8 * 0.9359817667961785 / 8.156458921211616
    assert found["log10_m32"] == pytest.approx(np.log10(mass), rel=1e-12)
    # xi = -chi zeta(3) / (2 (2 pi)^3) with chi = -180, at g_s = 0.1.
    assert found["alpha_ratio"] == pytest.approx(
        180 * 1.2020569031595942 / (2 * (2 * np.pi) ** 3) * 0.1**-1.5 / (2 * 8.156458921211616)
    )
    assert sorted(found["signs"].tolist()) == [-1, -1, -1, 1]
    assert (found["vacuum"], found["vacuum_panel"]) == ("vacuum", ["lost", "vacuum"])


@pytest.mark.parametrize("name", ["flip", "boundary", "several"])
def test_the_facets_are_those_of_the_polytope(name: str) -> None:
    geometry = GEOMETRIES[name]
    found = facet_normals(geometry.points)
    assert sorted(found.tolist()) == sorted(geometry.normals.tolist())


def test_points_of_no_reflexive_polytope_are_refused() -> None:
    points = GEOMETRIES["flip"].points.copy()
    points[0] *= 3
    with pytest.raises(ValueError, match="points"):
        facet_normals(points)


def test_the_columns_are_those_of_the_points() -> None:
    geometry = GEOMETRIES["several"]
    columns, found = point_columns(row_of(geometry)), find_kklt_points(geometry)
    for name in ("toric", "num_points", "margin", "uplift", "lambda_min", "volume"):
        assert columns[name] == getattr(found, name)
    np.testing.assert_array_equal(geometry_of(row_of(geometry)).charges, geometry.charges)


def test_the_panel_has_the_order_of_its_w0() -> None:
    found = point_columns(row_of(GEOMETRIES["four_terms"]), 1e-40, (1e-2, 1e-8, 2.5e-3))
    assert (found["vacuum"], found["vacuum_panel"]) == ("vacuum", ["lost", "vacuum", "lost"])
    assert found["log10_m32"] < -40


def test_a_path_that_ends_on_the_boundary_of_the_cone_is_lost() -> None:
    """The mirror of "73 5 8 18 19 23": from W0 = 1.4e-6 on some curves have size 0, among them some
    that are no flop curves.
    """
    row, panel = threefold_row("73 5 8 18 19 23"), (1e-2, 2e-6, 1.5e-6, 1.39e-6)
    found = point_columns(row, 1e-8, panel)
    assert (found["vacuum"], found["vacuum_panel"]) == ("vacuum", ["lost"] * 3 + ["vacuum"])
    assert differences(found, row, panel) == []
    found = point_columns(row, 1.5e-6, (1e-8,))
    assert (found["vacuum"], found["cause"], found["kaehler"]) == ("lost", "cone", None)


def test_the_second_derivation_follows_an_uplift_through_rounding() -> None:
    """Here the slopes of V at the exact vacuum are 1e-7 by rounding, in units of its depth."""
    row, panel = threefold_row("69 5 12 13 16 23"), (1e-2, 1e-40)
    found = point_columns(row, 1e-8, panel)
    assert found["uplift"] == "metastable"
    assert differences(found, row, panel) == []


@pytest.mark.parametrize(
    ("energy", "outcome"), [(0.01, "metastable"), (0.3, "metastable"), (1e3, "fold")]
)
def test_both_derivations_see_where_the_uplifted_minimum_ends(
    energy: float, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = threefold_row("84 11 12 17 21 23")
    found, geometry = point_columns(row), geometry_of(row)
    chamber = ToricChambers(geometry.points, geometry.normals, geometry.basis)(found["kaehler"])
    charges, signs = geometry.charges[geometry.rigid].astype(float), found["signs"].astype(float)
    curves, log = chamber.rows[chamber.relevant], -np.log(1e-8)
    terms = Superpotential(charges, signs, np.arange(len(found["kaehler"])))
    potential = Potential(terms, chamber.kappa, log)
    assert lift(potential, found["kaehler"], curves, energy).outcome == outcome
    monkeypatch.setattr(uplift, "_ENERGY", energy)
    again = uplift.Potential(chamber.kappa, charges, signs, log)
    assert uplift.outcome(again, found["kaehler"], curves) == outcome


@pytest.mark.parametrize("change", [{"favourable": False}, {"kaehler_point": None}])
def test_without_full_data_all_is_null(change: dict) -> None:
    row = row_of(GEOMETRIES["four_terms"])
    found = point_columns(row | change)
    assert list(found) == list(point_columns(row))
    assert set(found.values()) == {None}


def test_without_a_positive_candidate_there_are_no_points() -> None:
    row = row_of(GEOMETRIES["four_terms"])
    found = point_columns(row | {"divisor_h2": [1] * 7})
    assert found.pop("num_points") == 0
    assert set(found.values()) == {None}
