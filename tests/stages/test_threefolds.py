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
from vacuagym.stages import threefolds as stage
from vacuagym.stages.plan import plan
from vacuagym.stages.threefolds import ThreefoldColumns, threefolds
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.parquet import file_metadata, open_parquet, write_table
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


MATRICES = [QUINTIC, None, [[4]], [[5], [5, 1]], [[-5]], [[2, 0], [0, 4]], [[1 << 40]]]
PROBLEMS = [
    # source, content, problem of each row
    (
        "weight_systems",
        ["5 1 1 1 1 1", "7 1 1 1 1 1", None, "quintic", "6 1 1 1 1 2", "9 1 1 1 1 5"],
        [None, "no weight system", "null", "no weight system", None, "not reflexive"],
    ),
    (
        "polytopes",
        [
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -1, -1]],
            [[1, 0, 0, 0], [0, 1, 0, 0]],
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [-1, -1, -1, 0], [0, 0, 0, 0]],
            [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -1, -1]],
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -1]],
            [[1, 0, 0, None], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, -1, -1, -1]],
            None,
        ],
        [
            None,
            "no list of vertices",
            "not four-dimensional",
            "not reflexive",
            "no list of vertices",
            "no list of vertices",
            "null",
        ],
    ),
    (
        "cicy",
        MATRICES,
        [
            None,
            "null",
            "no threefold",
            "no matrix of degrees",
            "no matrix of degrees",
            "no threefold",
            "too large",
        ],
    ),
]


@pytest.mark.parametrize(("source", "content", "problems"), PROBLEMS)
def test_a_row_that_is_no_threefold_is_flagged_and_stays(
    tmp_path, capsys, source, content, problems
):
    rows = computed(tmp_path, ThreefoldColumns(source, ["c"]), c=content)
    assert [row["problem"] for row in rows] == problems
    for row in rows:
        values = [row[name] for name in row if name not in ("namespace", "geometry_id", "problem")]
        assert row["problem"] is None or set(values) == {None}
    assert rows[0]["euler"] is not None
    log = capsys.readouterr().out
    assert log.count("t.parquet: row ") == min(5, len(problems) - problems.count(None))
    (alone,) = computed(tmp_path, ThreefoldColumns(source, ["c"]), c=content[:1])
    assert alone == rows[0]


@pytest.mark.parametrize(
    ("source", "values", "needed"),
    [
        ("weight_systems", {"c": [5]}, "'c' has the type int64; weight_systems needs text"),
        ("weight_systems", {"c": [1], "d": ["2"]}, "'d' has the type string"),
        ("polytopes", {"c": [[1, 0, 0, 0]]}, "'c' has the type list.*; polytopes needs lists of"),
        ("cicy", {"c": ["[[5]]"]}, "'c' has the type string; cicy needs lists of lists"),
        ("cicy", {"c": [[[5]]], "d": ["2"], "e": [1]}, "'d' has the type string"),
    ],
)
def test_a_column_of_a_wrong_type_is_refused_before_work_starts(tmp_path, source, values, needed):
    pq.write_table(pa.table({"id": [0], **values}), tmp_path / "t.parquet")
    table = FeatureTable(tmp_path / "t.parquet", "id", carried=list(values))
    settings = {"shard_size": 10, "n_limit": None, "origin": "x", "source": source}
    with pytest.raises(InputError, match=needed):
        plan("t", table, **settings, output=tmp_path / "plan.json")
    assert not (tmp_path / "plan.json").exists()


def test_a_broken_identity_is_an_error_of_its_row(tmp_path, monkeypatch):
    columns = ThreefoldColumns("cicy", ["c"], hodge=["h11", "h21"])
    with pytest.raises(InputError, match=r"row 1, column c: .* Euler number -162"):
        computed(tmp_path, columns, c=[QUINTIC, BICUBIC], h11=[1, 2], h21=[101, 84])
    monkeypatch.setattr("vacuagym.geometry.polytopes.threefold.Threefold.euler", 7)
    with pytest.raises(InputError, match="row 0, column c: intersection numbers: c_3 is -200"):
        computed(tmp_path, ThreefoldColumns("weight_systems", ["c"]), c=["5 1 1 1 1 1"])


def test_hodge_numbers_may_be_null(tmp_path):
    columns = ThreefoldColumns("cicy", ["c"], hodge=["h11", "h21"])
    rows = computed(tmp_path, columns, c=[QUINTIC, BICUBIC], h11=[None, 2], h21=[101, 83])
    assert [(row["h11"], row["favourable"], row["euler"]) for row in rows] == [
        (None, None, -200),
        (2, True, -162),
    ]
    with pytest.raises(InputError, match="row 1, column c: h11, h21: whole numbers"):
        computed(tmp_path, columns, c=[QUINTIC, BICUBIC], h11=[1, 2.5], h21=[101, 83.5])


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
        labels, shard = (
            finished.folder / f"results/{kind}/w/0-15.parquet" for kind in ("labels", "shards")
        )
        before, cut = labels.stat().st_mtime_ns, shard.stat().st_mtime_ns
        config = (finished.folder / "mine.yaml").read_text()
        (finished.folder / "mine.yaml").write_text(
            config.replace("    shard_size: 16", "    geometry: {full: 3}\n    shard_size: 16")
        )
        finished.snakemake(target="results/geometry/w.parquet")
        assert labels.stat().st_mtime_ns == before
        finished.snakemake(target="results/labels.parquet")
        assert labels.stat().st_mtime_ns == before
        assert shard.stat().st_mtime_ns == cut
        (finished.folder / "mine.yaml").write_text(config)

    def test_a_key_gives_its_threefold(self, finished):
        found = vacuagym.threefold("w:1", folder=finished.folder)
        assert (found.h11, found.h21) == PUBLISHED["18 1 1 1 6 9"]
        assert vacuagym.threefold("m:1", folder=finished.folder).euler == -162

    def test_a_row_that_is_no_threefold_gets_a_label_and_the_run_goes_on(self, workspace):
        weights = ["5 1 1 1 1 1", "18 1 1 1 6 9", None, "6 1 1 1 1 1"]
        workspace.table("w.parquet", range(4), weights=weights)
        entry = {"source": "weight_systems", "path": "w.parquet", "id": "id", "weights": "weights"}
        workspace.configure({"w": {**entry, "shard_size": 2}})
        workspace.snakemake()
        labels = workspace.labels()
        assert labels["moduli"].to_pylist() == [1, 2, None, None]
        features = pq.read_table(workspace.folder / "results/features/w.parquet")
        assert features["h11"].to_pylist() == [1, 2, None, None]
        validation = json.loads((workspace.folder / "results/validation.json").read_text())
        (figures,) = validation["geometry"]
        assert figures["problems"] == {"no weight system": 1, "null": 1}
        assert figures["verified"] == 4
        page = (workspace.folder / "results/report.html").read_text()
        assert "no weight system 1, null 1" in page
        # A wrong number in the computed table is found, and fails the verdict.
        path = workspace.folder / "results/geometry/w.parquet"
        table, about = pq.read_table(path), file_metadata(open_parquet(path))
        place = table.schema.get_field_index("h11")
        wrong = pa.array([3, 2, None, None], pa.int16())
        with write_table(path, table.schema, about) as writer:
            writer.write(table.set_column(place, table.schema.field("h11"), wrong))
        run = workspace.snakemake(check=False)
        assert "geometry of w" in run.stdout
        assert "w:0 (h11 is 3" in run.stdout

    def test_a_column_of_a_wrong_type_starts_nothing(self, workspace):
        workspace.table("w.parquet", range(2), weights=[5, 6])
        entry = {"source": "weight_systems", "path": "w.parquet", "id": "id", "weights": "weights"}
        workspace.configure({"w": entry})
        run = workspace.snakemake(check=False)
        assert "w.parquet: column 'weights' has the type int64" in run.stdout
        assert workspace.files("geometry/w/*") == []

    def test_a_broken_identity_fails_its_shard_alone(self, workspace):
        matrices, hodge = [QUINTIC, BICUBIC, SCHOEN], {"h11": [1, 2, 19], "h21": [101, 83, 18]}
        workspace.table("m.parquet", range(3), matrix=matrices, **hodge)
        entry = {"source": "cicy", "path": "m.parquet", "id": "id", "matrix": "matrix"}
        workspace.configure({"m": {**entry, "hodge": ["h11", "h21"], "shard_size": 2}})
        run = workspace.snakemake(check=False)
        assert run.returncode == 1
        assert "m.parquet: row 2, column matrix" in run.stdout
        assert workspace.files("labels/m/*.parquet") == ["labels/m/0-1.parquet"]
        assert "logs/threefolds/m/2-3.log" in workspace.vacuagym("status").stdout


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
        computed(tmp_path, columns, m=[QUINTIC, BICUBIC], h11=[1, 1], h21=[101, 83])


def test_data_are_written_in_pieces_of_bounded_size(tmp_path, monkeypatch):
    columns = ThreefoldColumns("weight_systems", ["w"], full=64)
    whole = computed(tmp_path, columns, w=[*PUBLISHED] * 3)
    monkeypatch.setattr("vacuagym.stages.threefolds._BATCH_BYTES", 1)
    monkeypatch.setattr("vacuagym.stages.threefolds._KEPT_BYTES", 1)
    assert computed(tmp_path, columns, w=[*PUBLISHED] * 3) == whole
    assert pq.ParquetFile(tmp_path / "0.parquet").num_row_groups == 15


def test_polytopes_that_are_kept_take_bounded_memory_without_arrays_too(tmp_path, monkeypatch):
    computed_again = []
    divisors_and_full = stage._divisors_and_full
    monkeypatch.setattr(
        stage,
        "_divisors_and_full",
        lambda threefold, columns: (
            computed_again.append(threefold.h11) or divisors_and_full(threefold, columns)
        ),
    )
    light = ThreefoldColumns("weight_systems", ["w"], divisors=0, full=0)
    computed(tmp_path, light, w=[*PUBLISHED] * 3)
    assert len(computed_again) == len(PUBLISHED), "equal polytopes are computed once"
    monkeypatch.setattr(stage, "_KEPT_BYTES", 3 * stage._RECORD_BYTES)
    computed(tmp_path, light, w=[*PUBLISHED] * 3)
    assert len(computed_again) == 4 * len(PUBLISHED), "three of five are kept, the last ones"


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


def test_types_of_copied_columns_are_compared_before_work_starts(workspace):
    weights = ["5 1 1 1 1 1"]
    workspace.table("w.parquet", [0], weights=weights, note=[7])
    workspace.table("v.parquet", [0], weights=weights, note=["seven"])
    workspace.table("t.parquet", [0], [1], note=["eight"])
    threefold = {"source": "weight_systems", "id": "id", "weights": "weights"}
    table = {"source": "table", "path": "t.parquet", "id": "id", "moduli": "moduli"}
    w, v = ({**threefold, "path": name, "columns": ["note"]} for name in ("w.parquet", "v.parquet"))
    for others in ({"t": {**table, "columns": ["note"]}}, {"v": v}):
        workspace.configure({"w": w, **others})
        run = workspace.snakemake(check=False)
        assert run.returncode == 2
        assert "note" in run.stdout
        assert "in data set w" in run.stdout
        assert workspace.files("*/*/*.parquet") == []
    workspace.configure({"w": {**w, "columns": ["nota"]}})
    assert "did you mean note?" in workspace.snakemake(check=False).stdout


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
