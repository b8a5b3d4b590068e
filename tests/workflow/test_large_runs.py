"""A run whose tables are folders of segments gives the results of a run of one file each."""

import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

import vacuagym
from conftest import Workspace
from vacuagym.tables.stored import StoredTable

ROWS = 40  # of each file; moduli counts are small, so that labels are cheap
TABLES = ("labels", "splits/iid", "splits/ood_complexity", "splits/ood_hodge", "features/t")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Workspace, Workspace]:
    """A table of two files without ids: tables as one file each, then as segments."""
    one = Workspace(tmp_path_factory.mktemp("one"))
    (one.folder / "db").mkdir()
    for part in ("05", "06"):
        numbers = [(7 * n + int(part)) % 11 for n in range(ROWS)]
        hodge = {"h11": [n % 4 for n in numbers], "h12": numbers}
        one.table(f"db/polytopes-{part}.parquet", range(ROWS), numbers, **hodge)
    configure(one)
    one.snakemake()
    many = Workspace(tmp_path_factory.mktemp("many"))
    shutil.copytree(one.folder, many.folder, dirs_exist_ok=True)
    configure(many, table_rows=ROWS)
    many.snakemake()
    return one, many


def configure(workspace: Workspace, **settings) -> None:
    entry = {"source": "table", "path": "db", "moduli": "moduli", "hodge": ["h11", "h12"]}
    entry |= {"columns": ["h11"]}
    workspace.configure(
        {"t": entry}, shard_size=21, moduli={"max": 3}, split_groups={"t": ["h12"]}, **settings
    )


def test_tables_are_folders_with_the_rows_of_one_file(runs):
    one, many = (run.folder / "results" for run in runs)
    for name in TABLES:
        segments, file = StoredTable(many / f"{name}.parquet"), one / f"{name}.parquet"
        assert len(segments.files) == 4  # Each has the rows of one shard.
        assert file.is_file()
        found = pd.read_parquet(many / f"{name}.parquet")
        pd.testing.assert_frame_equal(found, pd.read_parquet(file))
    assert not (many / "splits/iid.json").exists()


def test_figures_report_and_data_set_are_those_of_one_file(runs):
    frames = [
        vacuagym.load(run.folder / "results/dataset", split="ood_hodge").sort_values("key")
        for run in runs
    ]
    pd.testing.assert_frame_equal(*(frame.reset_index(drop=True) for frame in frames))
    for name in ("validation.json", "verification.json"):
        texts = [(run.folder / "results" / name).read_text() for run in runs]
        assert texts[0] == texts[1]


def test_a_run_of_one_file_takes_over_again(runs, workspace):
    shutil.copytree(runs[1].folder, workspace.folder, dirs_exist_ok=True)
    configure(workspace)
    workspace.snakemake()
    for name in TABLES:
        path = workspace.folder / f"results/{name}.parquet"
        assert path.read_bytes() == (runs[0].folder / f"results/{name}.parquet").read_bytes()
    assert not (workspace.folder / "results/segments/survey.npz").exists()


def test_a_lost_segment_is_made_again_and_no_other(runs, workspace):
    shutil.copytree(runs[1].folder, workspace.folder, dirs_exist_ok=True)
    lost = workspace.folder / "results/labels.parquet/t-00003.parquet"
    others = {path: path.stat().st_mtime_ns for path in lost.parent.iterdir() if path != lost}
    rows = pq.read_table(lost)
    lost.unlink()
    workspace.snakemake()
    assert pq.read_table(lost).equals(rows)
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_lost_data_file_is_made_again(runs, workspace):
    shutil.copytree(runs[1].folder, workspace.folder, dirs_exist_ok=True)
    lost = min((workspace.folder / "results/dataset/data/labels").iterdir())
    content = lost.read_bytes()
    lost.unlink()
    assert "its files are missing" in workspace.snakemake().stdout
    assert lost.read_bytes() == content
