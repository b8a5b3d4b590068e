"""Features come in the order of the labels, for any order and width of their table. Groups are
equal for equal values.
"""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ROWS
from vacuagym.cli.main import main
from vacuagym.errors import InputError
from vacuagym.stages import features as stage
from vacuagym.stages.features import Wanted, features
from vacuagym.tables.plan import Plan
from vacuagym.tables.spill import regrouped

LABELS, OUTPUT = Path("results/labels.parquet"), Path("results/features/t.parquet")

PLAN = (
    "plan",
    "--dataset=t",
    "--table=t.parquet",
    "--id=id",
    "--namespace=source",
    "--output=p.json",
)


def add_columns(order=None, row_group_size=None, **columns) -> None:
    """Add columns to the table of the labelled run, and write its rows in another order."""
    table = pq.read_table("t.parquet")
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(
        table.take(pa.array(range(ROWS) if order is None else order)),
        "t.parquet",
        row_group_size=row_group_size,
    )
    assert main([*PLAN[:-1], "--moduli=h", "--output=plan.json"]) == 0


def made(**wanted) -> pa.Table:
    features(Plan.read("plan.json"), LABELS, Wanted(**wanted), OUTPUT)
    return pq.read_table(OUTPUT)


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_each_label_gets_the_features_of_its_own_row(run, monkeypatch, cut):
    monkeypatch.setattr(stage, "_MOST_ROWS", cut)
    numbers = np.arange(ROWS)
    lists = [[[int(i)] * (i % 3)] for i in numbers]
    add_columns(
        np.random.default_rng(1).permutation(ROWS),
        11,
        number=numbers,
        **{"a b.c": [f"é{i}" for i in numbers], "nested": lists},
    )
    table = made(columns=["number", "nested", "a b.c"])
    labels = pq.read_table(LABELS)
    assert table.schema.names == ["key", "number", "nested", "a b.c"]
    assert table["key"].to_pylist() == labels["key"].to_pylist()
    assert [number - 5 for number in table["number"].to_pylist()] == labels[
        "geometry_id"
    ].to_pylist()
    assert table["a b.c"].to_pylist() == [f"é{number}" for number in table["number"].to_pylist()]
    assert table["nested"].to_pylist() == [lists[number] for number in table["number"].to_pylist()]


def test_hodge_numbers_and_groups_are_for_the_splits_only(run):
    h11 = [None if i % 7 == 0 else float(i % 5) for i in range(ROWS)]
    add_columns(h11=h11, h21=[i % 2 for i in range(ROWS)])
    table = made(hodge=["h11", "h21"], group=["h21", "h11"], columns=["h21"])
    assert table.schema.names == ["key", "_h11", "_h21", "_group", "h21"]
    pairs = list(zip(table["_h11"].to_pylist(), table["_h21"].to_pylist(), strict=True))
    groups = table["_group"].to_pylist()
    assert pairs.count((None, 0)) + pairs.count((None, 1)) == sum(value is None for value in h11)
    for pair, group in zip(pairs, groups, strict=True):
        assert (group is None) == (pair[0] is None)
    known = {(pair, group) for pair, group in zip(pairs, groups, strict=True) if group is not None}
    assert (
        len({pair for pair, _ in known}) == len({group for _, group in known}) == len(known) == 10
    )


def test_groups_of_two_tables_are_equal_where_names_and_values_are():
    def group(names, *columns):
        return stage._groups(names, [pa.chunked_array([column]) for column in columns]).to_pylist()

    whole, real = pa.array([3, 4]), pa.array([3.0, 4.5])
    assert group(["h"], whole)[0] == group(["h"], real)[0]
    assert group(["h"], whole)[1] != group(["h"], real)[1]
    assert group(["h"], whole) != group(["g"], whole)
    assert group(["a", "b"], pa.array(["x"]), pa.array(["yz"])) != group(
        ["a", "b"], pa.array(["xy"]), pa.array(["z"])
    )
    assert group(["h"], pa.array([float("nan")])) == [None]
    assert len(set(group(["l"], pa.array([[-1, 2], [-1], [2, -1]])))) == 3


def test_groups_by_time_tell_nanoseconds_apart_and_not_units():
    def group(kind, *times):
        return stage._groups(
            ["when"], [pa.chunked_array([pa.array(times, pa.int64()).cast(kind)])]
        ).to_pylist()

    assert len(set(group(pa.timestamp("ns"), 0, 1, 2, None))) == 4
    assert len(set(group(pa.duration("ns"), 0, 1, 2))) == 3
    assert len(set(group(pa.time64("ns"), 0, 1, 2))) == 3
    assert (
        group(pa.timestamp("s"), 3, 2**60)[0]
        == group(pa.timestamp("us", "UTC"), 3_000_000)[0]
        == group(pa.timestamp("ns"), 3 * 10**9)[0]
    )


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "5",
        "null",
        "[1]",
        '["u", 7, "T"]',
        '["u", "u.parquet", "T", "x"]',
        '"abc"',
        '{"a": 1}',
        "[" * 99999,
    ],
)
def test_a_column_beside_that_is_none_is_wrong_usage(run, capsys, text):
    with pytest.raises(SystemExit) as refused:
        main([*PLAN, "--column=h", f"--beside={text}"])
    assert refused.value.code == 2
    assert 'is not ["DATASET", "TABLE", "COLUMN"]' in capsys.readouterr().err


@pytest.mark.parametrize("change", ["fewer", "other ids"])
def test_a_table_that_has_changed_since_it_was_labelled_is_refused(run, change):
    add_columns(list(range(ROWS - 1)) if change == "fewer" else None)
    if change == "other ids":
        table = pq.read_table("t.parquet")
        pq.write_table(table.set_column(0, "id", pa.array(np.arange(ROWS) - 6)), "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: the table has changed"):
        made(columns=["h"])
    assert not OUTPUT.exists()


def test_columns_that_will_be_wanted_are_looked_for_when_the_table_is_planned(run, capsys):
    assert main([*PLAN, "--column=hh"]) == 3
    assert "feature column 'hh' is not in the table; did you mean h?" in capsys.readouterr().err
    assert main([*PLAN, "--h11=h", "--h21=-x"]) == 3
    assert "hodge column '-x' is not in the table" in capsys.readouterr().err
    assert main([*PLAN, "--h11=h"]) == 2
    assert main([*PLAN, "--h11=source", "--h21=h"]) == 3
    assert "hodge column 'source' has the type string" in capsys.readouterr().err
    add_columns(h11=[0.5] * ROWS, h21=[-1] * ROWS)
    assert main([*PLAN, "--h11=h", "--h21=h21"]) == 3
    assert "column h21: row 0: -1" in capsys.readouterr().err
    assert main([*PLAN, "--h11=h11", "--h21=h"]) == 3
    assert "a Hodge number must be a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["key", "stability", "train_share", "_secret"])
def test_a_feature_cannot_take_the_name_of_a_label_column(run, capsys, name):
    add_columns(**{name: range(ROWS)})
    assert main([*PLAN, f"--column={name}"]) == 2
    assert f"column {name!r}" in capsys.readouterr().err


def test_a_feature_that_cannot_be_published_is_refused_before_anything_is_labelled(run, capsys):
    add_columns(structs=[{"x": 1}] * ROWS)
    assert main([*PLAN, "--column=structs"]) == 2
    assert (
        "column 'structs' of data set t: values of type struct<x: int64> are not published"
        in capsys.readouterr().err
    )
    assert main([*PLAN, "--group=structs"]) == 0


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(st.integers(0, 4), max_size=9), max_size=6))
def test_regrouped_rows_are_all_rows_bucket_by_bucket_in_their_order(tmp_path, batches):
    rows = [(bucket, number) for number, bucket in enumerate(itertools.chain(*batches))]
    schema = pa.schema([("number", pa.int64())])
    start, pieces = 0, []
    for batch in batches:
        numbers = pa.array(range(start, start + len(batch)), pa.int64())
        pieces.append(
            (pa.RecordBatch.from_arrays([numbers], schema=schema), np.array(batch, dtype=np.int64))
        )
        start += len(batch)
    found = [
        [n for piece in own for n in piece.column(0).to_pylist()]
        for own in regrouped(iter(pieces), 5, schema, tmp_path)
    ]
    assert found == [[number for bucket, number in rows if bucket == wanted] for wanted in range(5)]
    assert list(tmp_path.iterdir()) == []
