"""Threefolds of a table: the columns are those of each threefold alone, and runs label them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vacuagym
from vacuagym.cli.main import main
from vacuagym.config import checked_config
from vacuagym.errors import ConfigError, InputError
from vacuagym.stages.plan import plan
from vacuagym.stages.threefolds import ThreefoldColumns, threefolds
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan
from vacuagym.tables.threefold_names import CICY_NAMES, POLYTOPE_NAMES
from vacuagym.tables.threefold_schema import CICY_SCHEMA, POLYTOPE_SCHEMA

# Weight systems of the literature with their Hodge numbers.
PUBLISHED = {
    "5 1 1 1 1 1": (1, 101),
    "18 1 1 1 6 9": (2, 272),
    "8 1 1 2 2 2": (2, 86),
    "12 1 1 2 2 6": (2, 128),
    "84 1 1 12 28 42": (11, 491),
}
QUINTIC, BICUBIC = [[5]], [[3], [3]]
SCHOEN = [[1, 1], [3, 0], [0, 3]]


def computed(tmp_path, columns: ThreefoldColumns, shard_size: int = 1000, **values) -> list[dict]:
    """The rows that the stage writes for a table with ids 0, 1, … and these columns."""
    count = len(next(iter(values.values())))
    pq.write_table(pa.table({"id": range(count), **values}), tmp_path / "t.parquet")
    table = FeatureTable(tmp_path / "t.parquet", "id", carried=columns.content)
    plan(
        "t",
        table,
        shard_size=shard_size,
        n_limit=None,
        output=tmp_path / "plan.json",
        origin="here",
    )
    planned, rows = Plan.read(tmp_path / "plan.json"), []
    for shard in planned.shards:
        path = tmp_path / f"{shard.first}.parquet"
        threefolds(planned, shard.first, columns, "f", path)
        rows += pq.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("side", ["weights", "mirror"])
def test_weight_systems_have_their_published_hodge_numbers(tmp_path, side):
    columns = ThreefoldColumns("weight_systems", ["w"], side, divisors=20, full=2)
    rows = computed(tmp_path, columns, w=list(PUBLISHED))
    for row, hodge in zip(rows, PUBLISHED.values(), strict=True):
        h11, h21 = hodge if side == "weights" else hodge[::-1]
        assert (row["h11"], row["h21"], row["euler"]) == (h11, h21, 2 * (h11 - h21))
        assert (row["points"] is None, row["kappa_value"] is None) == (h11 > 20, h11 > 2)


def test_a_row_is_what_the_threefold_alone_gives(tmp_path):
    columns = ThreefoldColumns("weight_systems", ["w"], full=64)
    rows = computed(tmp_path, columns, w=[*PUBLISHED, "18 9 6 1 1 1"])
    for row, weights in zip(rows, [*PUBLISHED, "18 1 1 1 6 9"], strict=True):
        single = vacuagym.threefold(weights=weights)
        for name in ("geometry_hash", "favourable", "rigid_span", "num_points_n"):
            assert row[name] == getattr(single, name)
        for name in ("points", "copies", "divisor_h2", "charges", "c2", "mori", "diagonal_dp"):
            assert np.array_equal(row[name], getattr(single, name)), name
        assert np.array_equal(row["kappa_index"], single.kappa.index)
        assert np.array_equal(row["kappa_value"], single.kappa.value)
    assert rows[1]["geometry_hash"] == rows[-1]["geometry_hash"]


def test_shards_and_forms_of_the_weights_leave_no_trace(tmp_path):
    columns = ThreefoldColumns("weight_systems", ["w"])
    rows = computed(tmp_path, columns, w=list(PUBLISHED))
    assert computed(tmp_path, columns, shard_size=2, w=list(PUBLISHED)) == rows
    numbers = np.array([[int(part) for part in text.split()[1:]] for text in PUBLISHED])
    names = [f"weight{place}" for place in range(5)]
    single = dict(zip(names, numbers.T.tolist(), strict=True))
    assert computed(tmp_path, ThreefoldColumns("weight_systems", names), **single) == rows


def test_vertices_give_what_the_weights_give(tmp_path):
    given = [vacuagym.threefold(weights=weights).given for weights in PUBLISHED]
    vertices = [pair.vertices_m.tolist() for pair in given]
    rows = computed(tmp_path, ThreefoldColumns("polytopes", ["v"]), v=vertices)
    assert rows == computed(tmp_path, ThreefoldColumns("weight_systems", ["w"]), w=list(PUBLISHED))


def test_cicys_have_their_published_topology(tmp_path):
    columns = ThreefoldColumns("cicy", ["m"], hodge=["h11", "h21"])
    hodge = {"h11": [1, 2, 19], "h21": [101, 83, 19]}
    quintic, bicubic, schoen = computed(tmp_path, columns, m=[QUINTIC, BICUBIC, SCHOEN], **hodge)
    assert (quintic["kappa_value"], quintic["c2"], quintic["euler"]) == ([5], [50], -200)
    assert (bicubic["kappa_value"], bicubic["c2"], bicubic["euler"]) == ([3, 3], [36, 36], -162)
    assert (schoen["euler"], schoen["favourable"], bicubic["favourable"]) == (0, False, True)


@pytest.mark.parametrize(
    ("source", "content", "told"),
    [
        ("weight_systems", ["5 1 1 1 1 1", "7 1 1 1 1 1"], "row 1, column c"),
        ("weight_systems", ["5 1 1 1 1 1", None], "row 1, column c: null"),
        ("weight_systems", ["5 1 1 1 1 1", "quintic"], "row 1, column c"),
        ("polytopes", [[[1, 0, 0, 0], [0, 1, 0, 0]]], "row 0, column c"),
        ("cicy", [[[5]], [[4]]], "row"),
    ],
)
def test_a_row_that_is_no_threefold_is_named(tmp_path, source, content, told):
    with pytest.raises(InputError, match=told) as refused:
        computed(tmp_path, ThreefoldColumns(source, ["c"]), c=content)
    assert "t.parquet" in str(refused.value)


def test_the_digest_of_a_shard_covers_the_weights_and_what_else_decides(tmp_path):
    found = set()
    for weights, origin in (("5 1 1 1 1 1", "a"), ("5 1 1 1 1 1", "b"), ("8 1 1 2 2 2", "a")):
        pq.write_table(pa.table({"id": [0], "w": [weights]}), tmp_path / "t.parquet")
        table = FeatureTable(tmp_path / "t.parquet", "id", carried=["w"])
        plan(
            "t",
            table,
            shard_size=10,
            n_limit=None,
            output=tmp_path / "plan.json",
            origin=origin,
        )
        found.add(Plan.read(tmp_path / "plan.json").shards[0].digest)
    assert len(found) == 3


def test_a_column_of_the_table_is_copied_unless_it_is_computed(tmp_path):
    columns = ThreefoldColumns("weight_systems", ["w"], copied=["note"])
    (row,) = computed(tmp_path, columns, w=["5 1 1 1 1 1"], note=["quintic"])
    assert row["note"] == "quintic"
    with pytest.raises(InputError, match="'h11' has the name of a computed column"):
        computed(
            tmp_path,
            ThreefoldColumns("weight_systems", ["w"], copied=["h11"]),
            w=["5 1 1 1 1 1"],
            h11=[7],
        )


def test_the_names_without_arrow_are_those_of_the_schemas():
    assert tuple(POLYTOPE_SCHEMA.names) == POLYTOPE_NAMES
    assert tuple(CICY_SCHEMA.names) == CICY_NAMES


def test_threefold_takes_one_input_and_keys_of_a_run(workspace, monkeypatch):
    with pytest.raises(ValueError, match="give one of"):
        vacuagym.threefold()
    with pytest.raises(ValueError, match="give one of"):
        vacuagym.threefold(weights="5 1 1 1 1 1", matrix=QUINTIC)
    assert vacuagym.threefold(matrix=QUINTIC).volume([2.0]) == pytest.approx(5 * 8 / 6)


class TestRun:
    """A whole run over threefolds of two sources."""

    @pytest.fixture(scope="class")
    @staticmethod
    def finished(tmp_path_factory):
        from conftest import Workspace

        workspace = Workspace(tmp_path_factory.mktemp("threefolds"))
        workspace.table("w.parquet", range(40), weights=[*PUBLISHED] * 8, note=["n"] * 40)
        workspace.table("m.parquet", range(3), matrix=[QUINTIC, BICUBIC, SCHOEN])
        weights = {"source": "weight_systems", "path": "w.parquet", "id": "id"}
        matrices = {"source": "cicy", "path": "m.parquet", "id": "id", "moduli": "num_divisors"}
        workspace.configure(
            {
                "w": {
                    **weights,
                    "weights": "weights",
                    "shard_size": 16,
                    "columns": ["h11", "note"],
                },
                "m": {**matrices, "matrix": "matrix", "columns": ["geometry_hash"]},
            }
        )
        workspace.snakemake()
        return workspace

    def test_labels_know_the_computed_moduli(self, finished):
        rows = {row["key"]: row for row in finished.labels().to_pylist()}
        assert len(rows) == 43
        assert [rows[f"w:{i}"]["moduli"] for i in range(5)] == [h for h, _ in PUBLISHED.values()]
        assert [rows[f"m:{i}"]["n_moduli"] for i in range(3)] == [2, 2, 3]
        assert "passed" in (finished.folder / "results/verdict.txt").read_text()

    def test_equal_geometries_lie_in_one_fold(self, finished):
        table = vacuagym.load(finished.folder / "results", dataset="w", split="iid")
        features = pq.read_table(finished.folder / "results/geometry/w.parquet")
        folds = {}
        for row in table.to_dict("records"):
            place = int(row["key"].split(":")[1])
            folds.setdefault(features["geometry_hash"][place].as_py(), set()).add(row["fold"])
        assert len(folds) == 5
        assert all(len(found) == 1 for found in folds.values())

    def test_columns_of_both_kinds_are_published(self, finished):
        table = vacuagym.load(finished.folder / "results/dataset", dataset="w", split="iid")
        assert set(table["note"]) == {"n"}
        assert set(table["h11"]) == {h11 for h11, _ in PUBLISHED.values()}

    def test_a_second_run_does_nothing(self, finished):
        assert "nothing to be done" in finished.snakemake().stdout.lower()

    def test_other_levels_remake_the_geometry_and_no_label(self, finished):
        labels = finished.folder / "results/labels/w/0-15.parquet"
        before = labels.stat().st_mtime_ns
        config = (finished.folder / "mine.yaml").read_text()
        (finished.folder / "mine.yaml").write_text(
            config.replace("    shard_size: 16", "    geometry: {full: 3}\n    shard_size: 16")
        )
        finished.snakemake(target="results/geometry/w.parquet")
        assert labels.stat().st_mtime_ns == before
        finished.snakemake(target="results/labels.parquet")
        assert labels.stat().st_mtime_ns == before
        (finished.folder / "mine.yaml").write_text(config)

    def test_a_key_gives_its_threefold(self, finished):
        found = vacuagym.threefold("w:1", folder=finished.folder)
        assert (found.h11, found.h21) == PUBLISHED["18 1 1 1 6 9"]
        assert vacuagym.threefold("m:1", folder=finished.folder).euler == -162

    def test_a_row_that_is_no_threefold_fails_its_shard_alone(self, finished, workspace):
        workspace.table("w.parquet", range(4), weights=["5 1 1 1 1 1"] * 3 + ["6 1 1 1 1 1"])
        entry = {"source": "weight_systems", "path": "w.parquet", "id": "id", "weights": "weights"}
        workspace.configure({"w": {**entry, "shard_size": 2}})
        run = workspace.snakemake(check=False)
        assert run.returncode == 1
        assert "w.parquet: row 3, column weights" in run.stdout
        assert workspace.files("labels/w/*.parquet") == ["labels/w/0-1.parquet"]
        assert "logs/threefolds/w/2-3.log" in workspace.vacuagym("status").stdout


def test_by_hand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"id": [0], "w": ["5 1 1 1 1 1"]}), "t.parquet")
    common = ["--content=w", "--output"]
    assert (
        main(
            ["plan", "--dataset=t", "--table=t.parquet", "--id=id", "--origin=x", *common, "p.json"]
        )
        == 0
    )
    made = ["threefolds", "--plan=p.json", "--first=0", "--source=weight_systems"]
    assert main([*made, *common, "0-9999.parquet"]) == 0
    assert main(["threefold-table", "--plan=p.json", "--shards=.", "--output=all.parquet"]) == 0
    assert pq.read_table("all.parquet")["h21"].to_pylist() == [101]
    assert json.loads((tmp_path / "p.json").read_text())["computed"]


@pytest.mark.parametrize("given", [[[5.7]], [["5"]], [[None]], [[5], [1, 1]]])
def test_a_matrix_that_is_not_of_integers_is_refused(given):
    with pytest.raises((ValueError, TypeError)):
        vacuagym.threefold(matrix=given)


def test_cicys_name_the_row_by_its_key_and_take_whole_numbers_of_any_type(tmp_path):
    columns = ThreefoldColumns("cicy", ["m"], hodge=["h11", "h21"])
    rows = computed(tmp_path, columns, m=[QUINTIC, BICUBIC], h11=[1.0, 2.0], h21=[101.0, 83.0])
    assert [row["h21"] for row in rows] == [101, 83]
    with pytest.raises(InputError, match=r"t\.parquet: row 1, column m: "):
        computed(tmp_path, columns, m=[QUINTIC, [[6]]], h11=[1, 1], h21=[101, 1])
    with pytest.raises(InputError, match=r"row 1, column m: null"):
        computed(tmp_path, columns, m=[QUINTIC, BICUBIC], h11=[1, None], h21=[101, 83])


def test_data_are_written_in_pieces_of_bounded_size(tmp_path, monkeypatch):
    columns = ThreefoldColumns("weight_systems", ["w"], full=64)
    whole = computed(tmp_path, columns, w=[*PUBLISHED] * 3)
    monkeypatch.setattr("vacuagym.stages.threefolds._BATCH_BYTES", 1)
    monkeypatch.setattr("vacuagym.stages.threefolds._KEPT_BYTES", 1)
    assert computed(tmp_path, columns, w=[*PUBLISHED] * 3) == whole
    assert pq.ParquetFile(tmp_path / "0.parquet").num_row_groups == 15


def test_other_values_of_a_copied_column_are_noticed_and_remake_no_label(workspace):
    entry = {"source": "weight_systems", "path": "w.parquet", "id": "id", "weights": "weights"}
    workspace.configure({"w": {**entry, "columns": ["h11", "note"]}})
    times = set()
    for note in ("old", "new"):
        workspace.table("w.parquet", range(2), weights=["5 1 1 1 1 1"] * 2, note=[note] * 2)
        workspace.snakemake(target="results/features/w.parquet")
        features = pq.read_table(workspace.folder / "results/features/w.parquet")
        assert set(features["note"].to_pylist()) == {note}
        times.add((workspace.folder / "results/labels/w/0-9999.parquet").stat().st_mtime_ns)
    assert len(times) == 1


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"source": "weight_systems", "weights": "w", "moduli": "h12"}, "moduli"),
        ({"source": "weight_systems", "weights": "w", "moduli": "favourable"}, "moduli"),
        ({"source": "cicy", "matrix": "m"}, "needs the columns of the Hodge numbers"),
        ({"source": "cicy", "matrix": "m", "moduli": None, "columns": ["geometry_id"]}, "labels"),
    ],
)
def test_settings_that_cannot_work_are_refused(entry, told):
    with pytest.raises(ConfigError, match=told):
        checked_config({"datasets": {"x": {"path": "t.parquet", "id": "id", **entry}}})
