"""Rows of the label table: labels, and points where the geometry is known in full."""

import numpy as np
import pytest
from kklt_geometries import GEOMETRIES, row_of

from vacuagym.checks.kklt.label_rows import disagreements
from vacuagym.theories.kklt.label_rows import COLUMNS, LABELS, READS, label_rows

SECTIONS = {"kklt": {"w0": 1e-8, "panel": [1e-2, 1e-40], "max_bases": 1 << 20}}
LISTS = ("points", "divisor_h1", "divisor_h2", "basis", "charges", "kaehler_point")


def given() -> list[dict]:
    """A geometry in full, the same without full data, one with copies, and one out of range."""
    full = row_of(GEOMETRIES["four_terms"])
    far = full | dict.fromkeys(("basis", "charges", "kaehler_point"))
    none = far | dict.fromkeys(LISTS)
    return [full, far, full | {"favourable": False}, none]


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    geometry = given()
    columns = {
        name: [
            np.array(row[name]) if name in LISTS and row[name] is not None else row[name]
            for row in geometry
        ]
        for name in ("favourable", *READS)
    }
    found = label_rows(columns, SECTIONS)
    names = {"stability": LABELS} | {column.name: column.categories for column in COLUMNS}
    assert set(found) == set(names)
    return [
        {
            name: categories[found[name][row]]
            if categories and found[name][row] is not None
            else found[name][row].tolist()
            if isinstance(found[name][row], np.ndarray)
            else found[name][row]
            for name, categories in names.items()
        }
        | {"n_moduli": 3}
        for row in range(len(geometry))
    ]


def test_the_points_stand_where_the_geometry_is_known_in_full(rows: list[dict]) -> None:
    full, far, *others = rows
    assert (full["kklt_toric"], full["kklt_vacuum"]) == ("inside", "vacuum")
    assert full["kklt_vacuum_panel"] == ["lost", "vacuum"]
    assert (full["kklt_uplift"], full["kklt_tachyons_bf"]) == ("metastable", 0)
    assert full["kklt_volume"] == pytest.approx(8.156458921211616)
    label = ("stability", "kklt_num_rigid", "kklt_num_candidates", "kklt_v", "kklt_v_scale")
    assert [far[name] for name in label] == [full[name] for name in label]
    points = [column.name for column in COLUMNS][7:]
    for row in (far, *others):
        assert {row[name] for name in points} == {None}
    assert [row["stability"] for row in rows] == ["point", "point", None, None]


def test_the_second_derivation_agrees(rows: list[dict]) -> None:
    for row, geometry in zip(rows, given(), strict=True):
        assert disagreements(row, SECTIONS, geometry) == []
    wrong = rows[0] | {"kklt_volume": 8.2}
    assert disagreements(wrong, SECTIONS, given()[0]) != []
