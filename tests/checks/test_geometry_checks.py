"""The second derivation of geometry agrees with the first, and sees every wrong number."""

import copy
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vacuagym
from vacuagym.checks.bases import base_problems
from vacuagym.checks.cicy import cicy_row_problems
from vacuagym.checks.polytopes import polytope_problems
from vacuagym.checks.reflexive import NoThreefold, TooLarge, hull, pair_of_weights
from vacuagym.cli.main import main
from vacuagym.stages.geometry import geometry
from vacuagym.stages.plan import plan
from vacuagym.stages.threefolds import ThreefoldColumns, threefolds
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan

# The last of each side has divisors of several components.
WEIGHTS = ("5 1 1 1 1 1", "18 1 1 1 6 9", "8 1 1 2 2 2", "12 1 1 2 2 6", "9 1 1 1 3 3")
OF_SIDE = {"weights": WEIGHTS, "mirror": ("320 51 60 64 65 80", "16 2 3 3 4 4")}
SCHOEN, QUINTIC = [[1, 1], [3, 0], [0, 3]], [[5]]


def rows_of(tmp_path, source="weight_systems", side="weights", hodge=(), **columns):
    """The rows that the pipeline computes, all levels; with the paths of table and plan."""
    pq.write_table(pa.table({"id": range(len(columns["c"])), **columns}), tmp_path / "t.parquet")
    table = FeatureTable(tmp_path / "t.parquet", "id", carried=["c", *hodge])
    settings = {"shard_size": 10_000, "n_limit": None, "origin": "x"}
    plan("t", table, **settings, output=tmp_path / "plan.json")
    wanted = ThreefoldColumns(source, ["c"], side, divisors=491, full=120, hodge=hodge)
    threefolds(Plan.read(tmp_path / "plan.json"), 0, wanted, "f", tmp_path / "g.parquet")
    return pq.read_table(tmp_path / "g.parquet").to_pylist()


@pytest.fixture(scope="module", params=["weights", "mirror"])
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    weights = OF_SIDE[request.param]
    rows = rows_of(folder, side=request.param, c=list(weights))
    return request.param, list(zip(weights, rows, strict=True))


def test_all_levels_agree(both):
    side, rows = both
    assert [polytope_problems(weights, side, row) for weights, row in rows] == [[]] * len(rows)
    assert {row["favourable"] for _, row in rows} == {True, False}
    assert all(row["kappa_value"] is not None for _, row in rows)


SHIFTS = {
    "h11": 1,
    "h21": -1,
    "euler": 2,
    "num_points_m": 1,
    "num_vertices_m": 1,
    "num_points_n": -1,
    "num_vertices_n": 1,
}
LISTS = ("copies", "divisor_h1", "divisor_h2", "c2", "kappa_value", "basis")


@pytest.mark.parametrize("name", [*SHIFTS, *LISTS, "favourable", "rigid_span", "diagonal_dp"])
def test_a_wrong_number_is_seen(both, name):
    side, rows = both
    for weights, row in rows:
        if name == "basis" and row["h11"] == 1:
            continue  # all divisors are equivalent: each is a basis
        size = len(row[name]) if isinstance(row[name], list) else 1
        for place in range(0, size, max(1, size // 5)):
            wrong = copy.deepcopy(row)
            if name in SHIFTS:
                wrong[name] += SHIFTS[name]
            elif isinstance(row[name], bool):
                wrong[name] = not row[name]
            elif name == "diagonal_dp":
                wrong[name][place] = not row[name][place]
            else:
                wrong[name][place] += 1
            assert polytope_problems(weights, side, wrong), (weights, name, place)


@pytest.mark.parametrize("name", ["points", "charges", "mori", "kappa_index"])
def test_a_wrong_entry_of_a_table_is_seen(both, name):
    side, rows = both
    for weights, row in rows:
        for place in range(0, len(row[name]), max(1, len(row[name]) // 5)):
            wrong = copy.deepcopy(row)
            wrong[name][place] = [*wrong[name][place]]
            wrong[name][place][0] += 1
            assert polytope_problems(weights, side, wrong), (weights, place)


def test_c2_or_kappa_times_a_constant_are_seen(both):
    side, rows = both
    for weights, row in rows:
        for name in ("c2", "kappa_value"):
            wrong = row | {name: [13 * value for value in row[name]]}
            assert polytope_problems(weights, side, wrong)


def test_a_kaehler_point_outside_the_cone_is_seen(both):
    side, rows = both
    for weights, row in rows:
        wrong = row | {"kaehler_point": [-value for value in row["kaehler_point"]]}
        assert polytope_problems(weights, side, wrong) == [
            "kaehler_point: a curve of mori has a volume below 1"
        ]


def test_another_polytope_with_the_same_counts_is_seen(both):
    side, rows = both
    (weights, row), (_, last) = rows[0], rows[-1]
    other = row | {name: last[name] for name in ("points", "copies", "divisor_h1")}
    assert polytope_problems(weights, side, other) == ["points: their hull is another polytope"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [("9 1 1 1 1 5", "not reflexive"), ("quintic", "no weight system"), (None, "null")],
)
def test_a_flag_is_checked_too(both, content, problem):
    side, rows = both
    weights, row = rows[0]
    flagged = dict.fromkeys(row) | {"problem": problem}
    assert polytope_problems(content, side, flagged) == []
    assert polytope_problems(weights, side, flagged) == ["the input is a threefold"]
    assert polytope_problems(content, side, row)[0].startswith("the input is no threefold")


def test_vertices_and_several_blocks_agree(tmp_path):
    blocks = ["2 1 1 0 0 0 0  6 0 0 1 1 1 3"]
    (row,) = rows_of(tmp_path, c=blocks)
    assert polytope_problems(blocks[0], "weights", row) == []
    vertices = vacuagym.threefold(weights=WEIGHTS[4]).given.vertices_m.tolist()
    (row,) = rows_of(tmp_path, "polytopes", "mirror", c=[vertices])
    assert polytope_problems(vertices, "mirror", row) == []


def test_the_hull_of_a_cube_and_what_has_no_hull():
    cube = [tuple(2 * (number >> bit & 1) - 1 for bit in range(4)) for number in range(16)]
    inner = [(0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (-1, 1, 1, 0)]
    facets, vertices = hull([*cube, *inner])
    assert sorted(vertices) == sorted(cube)
    assert sorted(facet[:4] for facet in facets) == sorted(
        tuple(sign * (place == axis) for place in range(4)) for axis in range(4) for sign in (1, -1)
    )
    with pytest.raises(NoThreefold, match="span"):
        hull([point for point in cube if point[0] == 1])
    with pytest.raises(TooLarge):
        pair_of_weights([1000, 1, 1, 1, 1, 996])


MATRICES = [QUINTIC, [[3], [3]], SCHOEN, [[3, 0], [0, 4]], [[4]], None]


@pytest.fixture(scope="module")
def cicys(tmp_path_factory):
    hodge = {"h11": [1, 2, 19, 0, 1, 1], "h21": [101, 83, 19, 0, 1, 1]}
    folder = tmp_path_factory.mktemp("cicy")
    return rows_of(folder, "cicy", hodge=["h11", "h21"], c=MATRICES, **hodge)


def test_cicys_agree(cicys):
    assert [cicy_row_problems(m, r) for m, r in zip(MATRICES, cicys, strict=True)] == [[]] * 6
    assert [row["product"] for row in cicys[:4]] == [False, False, False, True]


@pytest.mark.parametrize(
    "change",
    [
        {"h11": 2},
        {"euler": -202},
        {"num_divisors": 3},
        {"favourable": False},
        {"product": True},
        {"c2": [62]},
        {"kappa_value": [11]},
        {"kappa_index": [[0, 0, 0], [0, 0, 0]], "kappa_value": [2, 3]},
        {"problem": "no threefold"},
    ],
)
def test_a_wrong_number_of_a_cicy_is_seen(cicys, change):
    assert cicy_row_problems(QUINTIC, cicys[0] | change)
    assert cicy_row_problems([[4]], cicys[0])


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    path = tmp_path_factory.mktemp("bases") / "bases.parquet"
    geometry(3000, None, path)
    return path


def test_bases_agree_and_their_anomaly_vanishes(bases):
    rows = pq.read_table(bases).to_pylist()
    for row in [*rows[:100], *rows[100::29]]:
        assert base_problems(row) == []
    assert {len(row["rays"]) for row in rows} == set(range(3, 16))
    assert any(row["extra_blow_ups"] for row in rows)


def test_a_wrong_number_of_a_base_is_seen(bases):
    rows = pq.read_table(bases).to_pylist()[1000:3000:199]
    for row in rows:
        for name in row:
            wrong = copy.deepcopy(row)
            if name == "base_id":
                continue
            if name == "rays":
                wrong[name][1][0] += 1
            elif name == "gauge_algebras":
                wrong[name][0] = "su3" if row[name][0] == "none" else "none"
            elif isinstance(row[name], bool):
                wrong[name] = not row[name]
            elif isinstance(row[name], list):
                wrong[name][-1] += 1
            else:
                wrong[name] += 1
            assert base_problems(wrong), name


class TestStage:
    """The stage takes a sample, and tells which rows differ."""

    def verify(self, folder, *options) -> tuple[int, dict]:
        code = main(
            [
                "verify-geometry",
                "--dataset=t",
                f"--table={folder / 'g.parquet'}",
                f"--plan={folder / 'plan.json'}",
                "--content=c",
                f"--output={folder / 'v.json'}",
                *options,
            ]
        )
        return code, json.loads((folder / "v.json").read_text())

    def test_figures_of_all_rows_and_of_the_sample(self, tmp_path):
        content = [*WEIGHTS, None, "9 1 1 1 1 5", "1000000 1 1 1 1 999996"] * 3
        rows_of(tmp_path, c=content)
        sample = ("--source=weight_systems", "--share=0", "--least=4", "--per-label=3")
        code, figures = self.verify(tmp_path, *sample)
        assert code == 0
        assert figures["rows"] == 24
        assert figures["problems"] == {"null": 3, "not reflexive": 3, "too large": 3}
        assert figures["kinds"] == {"with all data": 15, "no threefold": 9}
        assert 6 <= figures["verified"] + figures["too_large"] <= 10
        assert self.verify(tmp_path, *sample) == (code, figures)
        code, figures = self.verify(tmp_path, "--source=weight_systems", "--share=1")
        # What is too large for the geometry may be too large here.
        assert (figures["verified"], figures["too_large"]) == (21, 3)
        assert figures["not_favourable"] == 3

    @pytest.mark.parametrize("name", ["h11", "euler", "c2", "kappa_value"])
    def test_a_wrong_row_is_named(self, tmp_path, capsys, name):
        rows_of(tmp_path, c=list(WEIGHTS))
        table = pq.read_table(tmp_path / "g.parquet")
        values = table[name].to_pylist()
        values[4] = [*values[4][:-1], values[4][-1] + 1] if name[0] in "ck" else values[4] + 2
        place = table.schema.get_field_index(name)
        field = table.schema.field(name)
        table = table.set_column(place, field, pa.array(values, field.type))
        pq.write_table(table, tmp_path / "g.parquet")
        code, figures = self.verify(tmp_path, "--source=weight_systems")
        assert (code, figures["differing"]) == (1, 1)
        assert list(figures["disagreements"]) == ["t:4"]
        assert "t:4: " in capsys.readouterr().err
        code, _ = self.verify(tmp_path, "--source=weight_systems", "--record-only")
        assert code == 0

    def test_a_table_that_has_changed_is_refused(self, tmp_path, capsys):
        rows_of(tmp_path, c=list(WEIGHTS))
        pq.write_table(pa.table({"id": [0], "c": WEIGHTS[:1]}), tmp_path / "t.parquet")
        output = ["--source=weight_systems", f"--output={tmp_path / 'v.json'}"]
        inputs = [f"--table={tmp_path / 'g.parquet'}", f"--plan={tmp_path / 'plan.json'}"]
        assert main(["verify-geometry", "--dataset=t", *inputs, "--content=c", *output]) == 3
        assert "the table has changed" in capsys.readouterr().err

    def test_toric_bases(self, bases, tmp_path):
        output = tmp_path / "v.json"
        command = ["verify-geometry", "--dataset=b", f"--table={bases}", "--source=toric_bases"]
        assert main([*command, "--least=30", f"--output={output}"]) == 0
        assert json.loads(output.read_text())["verified"] >= 30


def test_numbers_beyond_64_bits_are_not_verified():
    shear = np.array([[1, 10**10, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=object)
    vertices = np.array([*np.eye(4, dtype=int), [-1] * 4], dtype=object) @ shear
    with pytest.raises(TooLarge):
        polytope_problems(vertices.tolist(), "weights", {"problem": None})
