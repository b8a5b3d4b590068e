"""The embedded weight systems as a data set: a run without any file of the user."""

import pyarrow.parquet as pq
import pytest

import vacuagym
from conftest import Workspace
from vacuagym.config import checked_config
from vacuagym.errors import ConfigError
from vacuagym.geometry.polytopes.weight_counts import count_up_to

COLUMNS = ["weights", "h11", "euler"]


def settings(degree: int, **others) -> dict:
    entry = {"source": "weight_systems", "max_degree": degree, "side": "mirror", "theory": "toy"}
    return {"ws5": {**entry, "shard_size": 8, "columns": COLUMNS, **others}}


class TestRun:
    """A run up to degree 11, and what other settings do to it."""

    @pytest.fixture(scope="class")
    @staticmethod
    def finished(tmp_path_factory):
        workspace = Workspace(tmp_path_factory.mktemp("ws5"))
        workspace.configure(settings(11))
        workspace.snakemake()
        return workspace

    def test_every_weight_system_has_its_label_and_its_threefold(self, finished):
        table = pq.read_table(finished.folder / "results/geometry/ws5.parquet")
        assert table["geometry_id"].to_pylist() == [*range(count_up_to(11))]
        labels = finished.labels()
        assert labels["key"].to_pylist() == [f"ws5:{i}" for i in range(count_up_to(11))]
        assert labels["moduli"].to_pylist() == table["h11"].to_pylist()
        for row in table.slice(0, 6).to_pylist():
            alone = vacuagym.threefold(weights=row["weights"], side="mirror")
            assert (row["h11"], row["geometry_hash"]) == (alone.h11, alone.geometry_hash)
        assert table["weights"][0].as_py() == "5 1 1 1 1 1"
        assert (table["h11"][0].as_py(), table["h21"][0].as_py()) == (101, 1)
        assert "passed" in (finished.folder / "results/verdict.txt").read_text()
        report = (finished.folder / "results/report.html").read_text()
        assert "Hodge plot: ws5" in report
        assert "weight systems, enumerated" in report

    def test_the_weights_are_published(self, finished):
        published = vacuagym.load(finished.folder / "results/dataset", dataset="ws5", split="iid")
        by_key = dict(zip(published["key"], published["weights"], strict=True))
        assert by_key["ws5:1"] == "6 1 1 1 1 2"
        assert "MIT licence" in (finished.folder / "results/dataset/LICENSE.md").read_text()

    def test_a_key_gives_its_threefold_and_its_explanation(self, finished):
        assert vacuagym.threefold("ws5:0", folder=finished.folder).h11 == 101
        with pytest.raises(vacuagym.errors.InputError, match="no geometry ws5:99999"):
            vacuagym.threefold("ws5:99999", folder=finished.folder)
        explained = finished.vacuagym("explain", "ws5:3", "--config", "mine.yaml")
        assert explained.returncode == 0, explained.stdout
        assert "ws5" in finished.vacuagym("status").stdout

    def test_a_larger_degree_moves_no_row_and_a_smaller_one_loses_no_label(self, finished):
        files = [
            finished.folder / f"results/{kind}/ws5/0-7.parquet" for kind in ("geometry", "labels")
        ]
        before = [path.stat().st_mtime_ns for path in files]
        rows = finished.labels().select(["key", "stability", "moduli"]).to_pylist()
        for degree in (12, 11):
            finished.configure(settings(degree))
            finished.snakemake(target="results/labels.parquet")
            now = finished.labels().select(["key", "stability", "moduli"]).to_pylist()
            common = min(len(rows), len(now))
            assert len(now) == count_up_to(degree)
            assert now[:common] == rows[:common]
            assert [path.stat().st_mtime_ns for path in files] == before
        finished.snakemake("--config", "n_limit=9", target="results/labels.parquet")
        assert finished.labels()["key"].to_pylist() == [row["key"] for row in rows[:9]]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"max_degree": 101}, r"datasets\.x\.max_degree: 101 is greater than the maximum of 100"),
        ({"max_degree": 4}, "4 is less than the minimum of 5"),
        ({"weights": "w"}, r"datasets\.x\.weights: names a column, but there is no path"),
        ({"id": "i"}, r"datasets\.x\.id: names a column, but there is no path"),
        ({"path": "t.parquet", "id": "i"}, r"datasets\.x\.weights: missing; name the column"),
        (
            {"path": "t.parquet", "id": "i", "weights": "w", "max_degree": 60},
            r"datasets\.x\.max_degree: is for enumerated weight systems",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(entry, told):
    with pytest.raises(ConfigError, match=told):
        checked_config({"datasets": {"x": {"source": "weight_systems", **entry}}})


def test_enumerated_weight_systems_publish_their_weights_by_default():
    entries = {"x": {"source": "weight_systems"}, "y": {"source": "weight_systems"}}
    entries["y"] |= {"path": "t.parquet", "id": "i", "weights": "w"}
    datasets = checked_config({"datasets": entries})["datasets"]
    assert datasets["x"]["columns"] == ["weights", *datasets["y"]["columns"]]


def test_a_column_that_does_not_exist_is_refused_before_any_job(workspace):
    workspace.configure(settings(5, columns=["weights", "h12"]))
    run = workspace.snakemake(check=False)
    assert run.returncode == 2
    assert "enumerated weight systems have no column 'h12'" in run.stdout
    assert not workspace.files("geometry/**/*.parquet")
