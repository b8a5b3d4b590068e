"""Every value of the named columns is read before anything is labelled, and features are of the
table that was labelled.
"""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ROWS, damage
from vacuagym.errors import InputError
from vacuagym.stages.columns import columns
from vacuagym.stages.features import Wanted, features
from vacuagym.stages.plan import plan
from vacuagym.stages.shard import shard
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan
from vacuagym.tables.window import Window

LARGE = 2**53 + 1  # no double
DATASET = "results/dataset/SHA256SUMS"
ENTRY = {"source": "table", "id": "id", "moduli": "moduli"}


def bad_values(workspace) -> dict:
    """Three tables, each with one bad value that the plan does not read."""
    ids, broken = range(300), pa.array([b"fine"] * 299 + [b"\xff"]).cast(pa.binary())
    text = pa.Array.from_buffers(pa.string(), 300, broken.buffers())
    workspace.table("whole.parquet", ids, [3] * 300, u=pa.array([*range(299), LARGE]))
    workspace.table("double.parquet", ids, [3] * 300, u=np.arange(300) / 2)
    workspace.table("text.parquet", ids, [3] * 300, g=list(ids), text=text)
    rows = pq.read_table(
        workspace.table("late.parquet", ids, [3] * 300, other=list(ids), f=[f"f{i}" for i in ids])
    )
    pq.write_table(
        rows, workspace.folder / "late.parquet", row_group_size=100, write_page_checksum=True
    )
    damage(workspace.folder / "late.parquet", group=2, column=3)
    return {
        "a": ENTRY | {"path": "whole.parquet", "columns": ["u"]},
        "b": ENTRY | {"path": "double.parquet", "columns": ["u"]},
        "t": ENTRY | {"path": "text.parquet", "columns": ["g", "text"]},
        "l": ENTRY | {"path": "late.parquet", "columns": ["other", "f"]},
    }


def test_bad_values_are_named_before_anything_is_labelled(workspace):
    workspace.configure(bad_values(workspace))
    said = workspace.snakemake(check=False).stdout
    union = (
        f"whole.parquet: column u: row 299: {LARGE}: published as double together "
        "with that of data set b (double.parquet)"
    )
    assert union in said
    assert "late.parquet: damaged while reading f (" in said
    assert "text.parquet: column text: row 299: b'\\xff': text must be UTF-8" in said
    assert said.count("returned non-zero exit status 3") == 3
    assert not workspace.files("labels/**/*.parquet")
    assert workspace.files("columns/*/*") == ["columns/b/0-0.json"]


def test_another_choice_of_columns_reads_them_and_remakes_no_label(workspace):
    workspace.table("t.parquet", range(20), [3] * 20, x=[1.0] * 20, y=[2.0] * 20)
    workspace.configure({"t": ENTRY | {"path": "t.parquet", "columns": ["x"]}})
    workspace.snakemake(target="results/labels.parquet")
    labels, check = (
        workspace.folder / "results" / name
        for name in ("labels/t/0-9999.parquet", "columns/t/0-0.json")
    )
    labelled, first = labels.stat().st_mtime_ns, check.read_text()
    workspace.configure({"t": ENTRY | {"path": "t.parquet", "columns": ["x", "y"]}})
    workspace.snakemake(target="results/features/t.parquet")
    assert labels.stat().st_mtime_ns == labelled
    assert check.read_text() != first
    assert "y" in pq.read_table(workspace.folder / "results/features/t.parquet").schema.names
    (check.parent / "7-9.json").write_text(check.read_text())
    workspace.snakemake(target="results/labels.parquet")
    assert workspace.files("columns/*/*") == ["columns/t/0-0.json"]
    workspace.configure({"t": ENTRY | {"path": "t.parquet"}})
    workspace.snakemake(target="results/labels.parquet")
    assert not workspace.files("columns/*/*"), "no plan names it"
    assert labels.stat().st_mtime_ns == labelled


def test_features_are_of_the_table_that_is_there_though_it_comes_back_with_its_old_time(workspace):
    path = workspace.table("t.parquet", range(20), [3] * 20, x=[1.0] * 20)
    workspace.configure({"t": ENTRY | {"path": "t.parquet", "columns": ["x"]}})
    workspace.snakemake(target="results/features/t.parquet")
    path.rename(workspace.folder / "old.parquet")
    workspace.table("t.parquet", range(20), [3] * 20, x=[2.0] * 20)
    workspace.snakemake(target="results/features/t.parquet")
    made = workspace.folder / "results/features/t.parquet"
    of_the_other = made.read_bytes()
    (workspace.folder / "old.parquet").rename(path)
    workspace.snakemake(target="results/features/t.parquet")
    assert set(pq.read_table(made)["x"].to_pylist()) == {1.0}
    made.write_bytes(of_the_other)  # newer than all that it is made from
    workspace.snakemake(target=DATASET)
    for results in (made, workspace.folder / "results/dataset/data/labels"):
        assert set(pq.read_table(results, columns=["x"])["x"].to_pylist()) == {1.0}
    assert "nothing to be done" in workspace.snakemake(target=DATASET).stdout.lower()


def planned(**about) -> Plan:
    plan(
        "t",
        FeatureTable("t.parquet", "id", "source", "h"),
        shard_size=1000,
        n_limit=None,
        output=Path("plan.json"),
        **about,
    )
    return Plan.read("plan.json")


def written(values) -> None:
    rows = (
        pq.read_table("t.parquet")
        .select(["id", "h", "source"])
        .append_column("x", pa.array(values))
    )
    pq.write_table(rows, "t.parquet", row_group_size=25)


def replace_unseen(values) -> None:
    """Write other values into a table and keep its size, time and footer: what only a look at the
    values tells.
    """
    before, about = Path("t.parquet").read_bytes(), Path("t.parquet").stat()
    written(values)
    whole = Path("t.parquet").read_bytes()
    assert len(whole) == len(before)
    length = int.from_bytes(before[-8:-4], "little") + 8
    Path("t.parquet").write_bytes(whole[:-length] + before[-length:])
    os.utime("t.parquet", ns=(about.st_atime_ns, about.st_mtime_ns))


VALUES = [1000 + i for i in range(ROWS)]
OTHERS = [1000 + i for i in range(ROWS)]
OTHERS[30], OTHERS[31] = OTHERS[31], OTHERS[30]  # the statistics of the row group stay


def check(made: Plan, wanted: Wanted) -> list[Path]:
    for first, last in made.parts:
        columns(made, (first, last), wanted, Path(f"c-{first}-{last}.json"))
    return [Path(f"c-{first}-{last}.json") for first, last in made.parts]


@pytest.mark.parametrize("seen", [True, False])
def test_a_table_that_is_replaced_before_its_features_are_made_is_refused(run, seen):
    written(VALUES)
    made, wanted = planned(columns=["x"]), Wanted(columns=["x"])
    checked = check(made, wanted)
    labels, output = Path("results/labels.parquet"), Path("features.parquet")
    features(made, labels, wanted, output, checked=checked)
    output.unlink()
    written(OTHERS) if seen else replace_unseen(OTHERS)
    with pytest.raises(
        InputError,
        match=r"t.parquet: the table has changed since it was planned; run the same command again",
    ):
        features(made, labels, wanted, output, checked=checked)
    assert not output.exists()
    if seen:
        for job in (lambda: shard(made, made.shards[0].first, output), lambda: check(made, wanted)):
            with pytest.raises(InputError, match="has changed since it was planned"):
                job()


def test_a_table_that_is_replaced_while_it_is_read_is_refused(run):
    written(VALUES)
    rows = FeatureTable("t.parquet", "id", "source", "h").scan(Window())
    next(rows)
    written(VALUES)
    with pytest.raises(InputError, match="has changed since it was planned"):
        list(rows)


def test_a_table_of_another_state_is_refused_before_it_is_read(run):
    files = FeatureTable("t.parquet", "id", "source", "h").files
    os.utime("t.parquet", ns=(1, 1))
    with pytest.raises(InputError, match="has changed since it was planned"):
        FeatureTable("t.parquet", "id", "source", "h", files=files)


@pytest.mark.parametrize("limit", [None, 1, 10])
def test_parts_cover_the_wanted_rows_and_no_limit_moves_one(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("vacuagym.tables.feature_table._PART_ROWS", 20)
    pq.write_table(
        pa.table({"id": np.arange(100), "x": np.arange(100)}),
        tmp_path / "t.parquet",
        row_group_size=7,
    )
    table = FeatureTable(tmp_path / "t.parquet", "id")
    plan("t", table, shard_size=1000, n_limit=limit, output=tmp_path / "plan.json", columns=["x"])
    parts = Plan.read(tmp_path / "plan.json").parts
    whole = [(first, first + 1) for first in range(0, 12, 2)] + [(12, 14)]
    assert list(parts) == (whole if limit is None else whole[:1])


def test_there_are_never_more_parts_than_label_jobs_can_wait_for(tmp_path, monkeypatch):
    monkeypatch.setattr("vacuagym.tables.feature_table._PART_ROWS", 1)
    pq.write_table(
        pa.table({"id": np.arange(500), "x": np.arange(500)}),
        tmp_path / "t.parquet",
        row_group_size=2,
    )
    plan(
        "t",
        FeatureTable(tmp_path / "t.parquet", "id"),
        shard_size=1000,
        n_limit=None,
        output=tmp_path / "plan.json",
        columns=["x"],
    )
    parts = Plan.read(tmp_path / "plan.json").parts
    assert [group for first, last in parts for group in range(first, last + 1)] == list(range(250))
    assert len(parts) <= 36


def test_a_plan_without_named_columns_has_nothing_to_check(run):
    assert planned().parts == ()


def test_a_bad_value_is_named_by_its_row_in_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vacuagym.tables.feature_table.BATCH_ROWS", 10)
    values = pa.array([0] * 57 + [LARGE, LARGE + 2] + [0] * 3)
    pq.write_table(pa.table({"id": np.arange(62), "u": values}), "t.parquet", row_group_size=25)
    pq.write_table(pa.table({"id": [1], "u": [0.5]}), "d.parquet")
    plan(
        "t",
        FeatureTable("t.parquet", "id"),
        shard_size=1000,
        n_limit=None,
        output=Path("plan.json"),
        columns=["u"],
    )
    beside = [("d", "d.parquet", "u")]
    with pytest.raises(
        InputError, match=f"row 57: {LARGE}, row 58: {LARGE + 2}: published as double"
    ):
        columns(
            Plan.read("plan.json"), (2, 2), Wanted(columns=["u"]), Path("c.json"), beside=beside
        )
    columns(Plan.read("plan.json"), (0, 1), Wanted(columns=["u"]), Path("c.json"), beside=beside)
    assert list(json.loads(Path("c.json").read_text())["digests"]) == ["0", "1"]


def test_views_are_published_as_text(workspace):
    texts, lists = ["a", "é" * 20, None], [["a", "é"], [], None]
    columns = {
        "view": pa.array(texts, pa.string_view()),
        "views": pa.array(lists, pa.list_(pa.string_view())),
        "list_view": pa.array(lists, pa.list_view(pa.string())),
    }
    workspace.table("t.parquet", range(3), [2] * 3, **columns)
    workspace.configure({"t": {**ENTRY, "path": "t.parquet", "columns": [*columns]}})
    workspace.snakemake(target=DATASET)
    parts = [
        pq.read_table(workspace.folder / "results" / path)
        for path in workspace.files("dataset/data/labels/*.parquet")
    ]
    published = {row["key"]: row for part in parts for row in part.to_pylist()}
    for name, values in {"view": texts, "views": lists, "list_view": lists}.items():
        assert {key: row[name] for key, row in published.items()} == {
            f"t:{i}": value for i, value in enumerate(values)
        }
