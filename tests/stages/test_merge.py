"""Labels and their merging: the table of all labels is the same file, byte for byte, however its
rows were cut, ordered and stacked.
"""

import contextlib
import io
import math
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import OF_A_POINT
from vacuagym.config import checked_config, physics_sections
from vacuagym.errors import DamagedFileError, InputError, MemoryDeclarationError
from vacuagym.stages import merge as merge_stage
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.plan import plan
from vacuagym.stages.shard import shard
from vacuagym.tables import parquet
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.label_schema import CATEGORIES, SCHEMA
from vacuagym.tables.label_table import COLUMNS
from vacuagym.tables.label_table import SCHEMA as TABLE
from vacuagym.tables.parquet import DIGESTS_KEY, METADATA_KEY, file_metadata, write_table
from vacuagym.tables.plan import Plan, label_file
from vacuagym.theories.toy.classes import LABELS

PHYSICS = physics_sections(
    checked_config({"moduli": {"max": 6}, "search": {"n_samples": 2, "n_restarts": 2}})
)


def feature_rows(count, seed=0, namespaces=(None,)):
    """Rows (id, namespace, moduli) with sparse ids, some negative, some counts missing; namespaces
    share ids.
    """
    dice = random.Random(seed)
    ids = dice.sample(range(-3 * count, 3 * count), -(-count // len(namespaces)))
    return [(i, name, dice.choice([None, 0, 2, 3, 4, 6, 40])) for i in ids for name in namespaces][
        :count
    ]


def stored(folder, rows, **options) -> Path:
    columns = {
        "id": [row[0] for row in rows],
        "h21": pa.array([row[2] for row in rows], pa.int64()),
    }
    if rows[0][1] is not None:
        columns["source"] = [row[1] for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "table.parquet", **options)
    return folder / "table.parquet"


def run(folder, datasets, shard_size, batch_mb=16, fingerprint="f", **options):
    """Plan, cut and label the rows of each data set; the plans and the folder of the labels."""
    plans = []
    with contextlib.redirect_stdout(io.StringIO()):
        for name, rows in datasets.items():
            table = FeatureTable(
                stored(folder / name, rows, **options),
                "id",
                "source" if rows[0][1] is not None else None,
                "h21",
            )
            plan(name, table, shard_size=shard_size, n_limit=None, output=folder / f"{name}.json")
            plans.append(Plan.read(folder / f"{name}.json"))
            for its in plans[-1].shards:
                file = f"{name}/{its.first}-{its.last}.parquet"
                shard(plans[-1], its.first, folder / "shards" / file)
                label(
                    folder / "shards" / file,
                    PHYSICS,
                    fingerprint,
                    batch_mb,
                    None,
                    folder / "labels" / file,
                )
    return plans, folder / "labels"


def merged(plans, labels, fingerprint="f", name="labels.parquet") -> Path:
    output = labels.parent / name
    with contextlib.redirect_stdout(io.StringIO()):
        merge(plans, labels, dict.fromkeys((p.dataset for p in plans), fingerprint), output)
    return output


@pytest.fixture
def small_pieces(monkeypatch):
    """Row groups and batches of a few rows, so that small tables have many."""
    monkeypatch.setattr(merge_stage, "ROW_GROUP", 16)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 5)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A labelled table of 200 geometries, in shards of 50 ids."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = feature_rows(200)
    plans, labels = run(folder, {"ks": rows}, 50)
    return rows, plans, labels, merged(plans, labels)


# Byte for byte


def test_the_merged_file_does_not_depend_on_shards_stacks_or_row_order(tmp_path, monkeypatch):
    rows = feature_rows(60, seed=1)
    mixed = sorted(rows, key=lambda row: hash((row[0], 7)))
    files = [
        merged(
            *run(tmp_path / str(number), {"ks": table}, shard_size, batch_mb, **options)
        ).read_bytes()
        for number, (table, shard_size, batch_mb, options) in enumerate(
            [
                (rows, 1000, 16, {}),
                (rows, 1, 16, {}),
                (mixed, 7, 1, {"row_group_size": 3}),
                (list(reversed(rows)), 1000, 1, {"row_group_size": 1}),
                (mixed, 10**30, 64, {}),
            ]
        )
    ]
    for stack in (1, 5):
        with monkeypatch.context() as patch:
            patch.setattr(
                "vacuagym.stages.label.geometry_bytes",
                lambda n, trials, stack=stack: 2**20 // stack,
            )
            files.append(
                merged(*run(tmp_path / f"stacks of {stack}", {"ks": mixed}, 1000, 1)).read_bytes()
            )
    assert all(file == files[0] for file in files)


@pytest.mark.usefixtures("small_pieces")
def test_the_merged_file_does_not_depend_on_shards_with_namespaces_and_several_data_sets(tmp_path):
    datasets = {
        "ks": [
            (-10_000, "é", 2),
            *feature_rows(46, seed=2, namespaces=("w9.ip.gz", "w10.ip.gz", "é", "")),
            (10_000, "!", 3),
        ],
        "fth6d": feature_rows(30, seed=3),
        "KT": feature_rows(5, seed=4, namespaces=("w9.ip.gz",)),
    }
    backwards = {name: rows[::-1] for name, rows in reversed(datasets.items())}
    one = merged(*run(tmp_path / "one", datasets, 1000))
    many = merged(*run(tmp_path / "many", backwards, 7, batch_mb=1))
    assert one.read_bytes() == many.read_bytes()

    table = pq.read_table(one)
    expected = sorted(
        (name, row[1] or "", row[0]) for name, rows in datasets.items() for row in rows
    )
    names = [
        [name or "" for name in table[column].to_pylist()] for column in ("dataset", "namespace")
    ]
    assert list(zip(*names, table["geometry_id"].to_pylist(), strict=True)) == expected
    assert pq.ParquetFile(one).metadata.row_group(0).num_rows == 16
    about = file_metadata(pq.ParquetFile(one))
    assert about["datasets"] == {"KT": 5, "fth6d": 30, "ks": 48}
    assert about["rows"] == 83


def test_the_label_of_a_geometry_does_not_depend_on_which_others_there_are(labelled, tmp_path):
    rows, _, _, whole = labelled
    some = [*rows[::9], (10**6, None, 3)]
    subset = pq.read_table(merged(*run(tmp_path, {"ks": some}, 13)))
    table = pq.read_table(whole)
    assert len(subset) == len(some)
    positions = {key: row for row, key in enumerate(table["key"].to_pylist())}
    known = [key for key in subset["key"].to_pylist() if key in positions]
    assert len(known) == len(some) - 1
    assert (
        subset.slice(0, len(known)).to_pylist()
        == table.take([positions[key] for key in known]).to_pylist()
    )


def test_labels_depend_on_data_set_namespace_and_id(tmp_path):
    datasets = {
        "a": [(1, "x", 4), (1, "y", 4), (2, "x", 4)],
        "b": [(1, "x", 4)],
        "c": [(1, None, 4)],
    }
    table = pq.read_table(merged(*run(tmp_path, datasets, 10)))
    assert table["key"].to_pylist() == ["a:x:1", "a:x:2", "a:y:1", "b:x:1", "c:1"]
    assert len(set(table["A_np"].to_pylist())) == 5


@pytest.mark.usefixtures("small_pieces")
def test_rows_of_a_shard_come_in_windows_of_bounded_size_without_a_trace(
    labelled, tmp_path, monkeypatch
):
    rows, _, _, _ = labelled
    whole = pq.read_table(merged(*run(tmp_path / "whole", {"ks": rows[:40]}, 1000)))
    monkeypatch.setattr("vacuagym.stages.label.window_rows", lambda most_moduli: 3)
    assert pq.read_table(merged(*run(tmp_path / "windows", {"ks": rows[:40]}, 1000))).equals(whole)


# What a label file holds


def test_a_label_file_has_the_columns_of_the_schema_and_tells_where_it_comes_from(labelled):
    rows, (the_plan,), labels, _ = labelled
    total = 0
    for its in the_plan.shards:
        file = pq.ParquetFile(labels / "ks" / f"{its.first}-{its.last}.parquet")
        assert file.schema_arrow.equals(SCHEMA)
        about = file_metadata(file)
        expected = {
            "seed": 42,
            "fingerprint": "f",
            "first": its.first,
            "last": its.last,
            "rows": its.rows,
            "digest": its.digest,
        }
        assert {key: about[key] for key in expected} == expected
        assert about["dataset"] == "ks"
        assert about["physics"] == PHYSICS
        assert about["peak_mb"] > 10
        assert about["wall_seconds"] >= 0
        assert file.metadata.num_rows == its.rows
        total += its.rows
    assert total == len(rows)


def test_the_merged_table_has_every_column_and_nothing_of_time_or_memory(labelled):
    rows, _, _, path = labelled
    file = pq.ParquetFile(path)
    assert file.schema_arrow.equals(TABLE)
    assert file.schema_arrow.names == [column.name for column in COLUMNS]
    assert all(f"{kind}_{name}" in SCHEMA.names for kind in ("trials", "draws") for name in LABELS)
    about = file_metadata(file)
    assert about == {
        "seed": 42,
        "physics": PHYSICS,
        "fingerprint": "f",
        "fingerprints": {"ks": "f"},
        "rows": len(rows),
        "datasets": {"ks": len(rows)},
        "theories": {"ks": "toy"},
    }


def test_rows_carry_the_identity_and_the_count_of_their_table(labelled):
    rows, _, _, path = labelled
    table = pq.read_table(path)
    expected = sorted(rows, key=lambda row: row[0])
    assert table["geometry_id"].to_pylist() == [row[0] for row in expected]
    assert table["moduli"].to_pylist() == [row[2] for row in expected]
    assert table["n_moduli"].to_pylist() == [min(max(row[2] or 0, 2), 6) for row in expected]
    assert table["key"].to_pylist() == [f"ks:{row[0]}" for row in expected]
    assert table["namespace"].null_count == len(rows)
    assert set(table["dataset"].to_pylist()) == {"ks"}


def numbers(value):
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, float):
            yield item


def test_what_does_not_exist_is_null_and_never_nan(labelled):
    table = pq.read_table(labelled[3])
    found = table["minimization_success"].to_pylist()
    assert {True, False} == set(found), "both kinds of rows are looked at"
    for name in SCHEMA.names:
        for there, value in zip(found, table[name].to_pylist(), strict=True):
            assert all(math.isfinite(number) for number in numbers(value)), name
            if name in OF_A_POINT and not there:
                assert value is None, name
            elif name not in (
                "namespace",
                "moduli",
                "barrier_height",
                "condition_number",
                "log_abs_det_hessian",
            ):
                assert value is not None, name


def test_columns_of_a_row_agree_with_each_other(labelled):
    for row in pq.read_table(labelled[3]).to_pylist():
        n = row["n_moduli"]
        assert row["stability"] in LABELS
        assert row["minimization_success"] == (row["stability"] not in ("runaway", "failed"))
        assert sum(row[f"trials_{name}"] for name in LABELS) == 4
        assert sum(row[f"draws_{name}"] for name in LABELS) == 2
        assert row["draws_" + row["stability"]] >= 1
        assert row["sample_idx"] in (0, 1)
        assert row["restart_idx"] in (0, 1)
        if not row["minimization_success"]:
            continue
        spectrum = row["eigenvalues"]
        assert len(spectrum) == len(row["critical_point"]) == n
        assert spectrum == sorted(spectrum)
        assert (spectrum[0], spectrum[-1]) == (row["min_eigenvalue"], row["max_eigenvalue"])
        assert row["n_negative"] + row["n_positive"] + row["n_flat"] == n
        assert row["phi_norm"] == pytest.approx(np.linalg.norm(row["critical_point"]), rel=1e-12)
        assert row["grad_norm"] <= 1e-9 * (1 + abs(row["potential_value"]))
        assert row["log_abs_det_hessian"] == pytest.approx(
            np.log(np.abs(spectrum)).sum(), rel=1e-9, abs=1e-9
        )
        assert (row["barrier_height"] is not None) <= (row["stability"] == "metastable")


def test_dictionaries_are_the_same_in_every_file(labelled):
    _, (the_plan,), labels, path = labelled
    for file in [
        path,
        *(labels / "ks" / f"{its.first}-{its.last}.parquet" for its in the_plan.shards),
    ]:
        table = pq.read_table(file)
        of_table = {c.name: c.categories for c in COLUMNS if c.categories}
        for name, categories in (of_table if file == path else CATEGORIES).items():
            for chunk in table[name].chunks:
                assert chunk.dictionary.to_pylist() == list(categories)


def test_a_label_job_without_its_memory_does_not_start(labelled, tmp_path):
    _, (the_plan,), labels, _ = labelled
    its = the_plan.shards[0]
    source = labels.parent / "shards" / "ks" / f"{its.first}-{its.last}.parquet"
    with pytest.raises(MemoryDeclarationError) as refused:
        label(source, PHYSICS, "f", 16, 100, tmp_path / "out.parquet")
    assert refused.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_shard_is_refused_by_name(tmp_path):
    path = stored(tmp_path / "table", [(1, None, 2)])
    with pytest.raises(InputError, match=r"table\.parquet"):
        label(path, PHYSICS, "f", 16, None, tmp_path / "out.parquet")


# Refusals


@pytest.fixture
def copied(labelled, tmp_path):
    """A copy of the labels that a test may spoil: plans, folder, and the path of one label file."""
    _, plans, labels, _ = labelled
    folder = tmp_path / "run" / "labels"
    (folder / "ks").mkdir(parents=True)
    for file in (labels / "ks").iterdir():
        (folder / "ks" / file.name).write_bytes(file.read_bytes())
    its = plans[0].shards[1]
    return plans, folder, folder / "ks" / f"{its.first}-{its.last}.parquet"


def refusal(plans, folder, fingerprint="f") -> str:
    (folder.parent / "labels.parquet").write_text("the table of an earlier run")
    with pytest.raises(InputError) as refused:
        merged(plans, folder, fingerprint)
    assert (folder.parent / "labels.parquet").read_text() == "the table of an earlier run"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["labels", "labels.parquet"], (
        "no scratch is left"
    )
    return str(refused.value)


def rewritten(path, table=None, **changes):
    """Put the labels back with other rows or other metadata."""
    about = file_metadata(pq.ParquetFile(path)) | changes
    table = pq.read_table(path) if table is None else table
    path.unlink()
    with write_table(path, table.schema, about) as writer:
        writer.write(table)


def test_labels_that_are_not_there(copied):
    plans, folder, path = copied
    path.unlink()
    message = refusal(plans, folder)
    assert str(path) in message
    assert "no such file" in message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fingerprint": "other"}, "fingerprint"),
        ({"dataset": "fth6d"}, "dataset"),
        ({"first": 0}, "first"),
        ({"last": 10**9}, "last"),
        ({"rows": 1}, "rows"),
        ({"digest": "0123456789abcdef"}, "digest"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_labels_of_something_else(copied, changes, told):
    plans, folder, path = copied
    rewritten(path, **changes)
    message = refusal(plans, folder)
    assert str(path) in message
    assert f"({told} differ)" in message
    assert "remove it" in message


def test_every_value_of_a_label_file_is_read_once(tmp_path, monkeypatch):
    plans, folder = run(
        tmp_path, {"ks": feature_rows(60, namespaces=("b", "a")), "t": feature_rows(20)}, 50
    )
    read = []

    def counted(file, path, columns, original=parquet.read_batches):
        read.append((path, len(columns) > 1))
        return original(file, path, columns)

    monkeypatch.setattr(merge_stage, "read_batches", counted)
    merged(plans, folder)
    paths = {
        plan.dataset: [label_file(folder, plan.dataset, its) for its in plan.shards]
        for plan in plans
    }
    assert sorted(path for path, whole in read if whole) == sorted([*paths["ks"], *paths["t"]])
    assert sorted(path for path, whole in read if not whole) == sorted(paths["ks"]), (
        "the namespaces of a data set are counted before"
    )


def test_labels_of_another_shard_under_this_name(copied):
    plans, folder, path = copied
    other = plans[0].shards[2]
    path.write_bytes((folder / "ks" / f"{other.first}-{other.last}.parquet").read_bytes())
    message = refusal(plans, folder)
    assert str(path) in message
    assert "first, last" in message


def test_labels_of_other_settings_are_merged_only_if_nobody_asks(labelled):
    _, plans, labels, whole = labelled
    with pytest.raises(InputError, match="fingerprint"):
        merged(plans, labels, "another", name="other.parquet")
    assert merged(plans, labels, None, name="by_hand.parquet").read_bytes() == whole.read_bytes()


def test_labels_with_rows_missing(copied):
    plans, folder, path = copied
    rewritten(path, pq.read_table(path).slice(1))
    message = refusal(plans, folder)
    assert str(path) in message
    assert "rows or columns" in message


def test_labels_with_other_columns(copied):
    plans, folder, path = copied
    table = pq.read_table(path)
    for other in (
        table.drop_columns(["gamma"]),
        table.append_column("more", table["gamma"]),
        table.select(table.column_names[::-1]),
    ):
        rewritten(path, other)
        message = refusal(plans, folder)
        assert str(path) in message
        assert "rows or columns" in message


def test_labels_that_are_no_parquet_file_or_not_ours(copied):
    plans, folder, path = copied
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert f"{path}: not a whole Parquet file" in refusal(plans, folder)
    path.write_bytes(whole)
    table = pq.read_table(path)
    pq.write_table(table, path)
    assert str(path) in refusal(plans, folder)


def lie(path, column, values):
    """Put other values into a column and keep the footer's metadata, as a careless script would."""
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    known = pq.ParquetFile(path).metadata.metadata
    about = {key: known[key] for key in (METADATA_KEY, DIGESTS_KEY)}
    pq.write_table(
        table.set_column(index, table.schema.field(index), values).replace_schema_metadata(about),
        path,
    )


def altered_columns(table):
    """Lies of every kind, by column."""
    ids, moduli, key = (
        table["geometry_id"].to_pylist(),
        table["moduli"].to_pylist(),
        table["key"].to_pylist(),
    )
    codes = table["stability"].combine_chunks().indices
    yield (
        "potential_value",
        pa.array([1000.0, *table["potential_value"].to_pylist()[1:]], pa.float64()),
    )
    yield "geometry_id", pa.array([ids[1], ids[0], *ids[2:]], pa.int64())
    yield "moduli", pa.array([17, *moduli[1:]], pa.int64())
    yield "key", pa.array(["t:evil:0", *key[1:]])
    yield (
        "eigenvalues",
        pa.array([[1.0], *table["eigenvalues"].to_pylist()[1:]], pa.list_(pa.float64())),
    )
    yield (
        "stability",
        pa.DictionaryArray.from_arrays(codes, pa.array(CATEGORIES["stability"][::-1])),
    )


@pytest.mark.parametrize("number", range(6))
def test_labels_that_are_altered_and_written_as_valid_files(copied, number):
    plans, folder, path = copied
    column, values = list(altered_columns(pq.read_table(path)))[number]
    lie(path, column, values)
    assert str(path) in refusal(plans, folder)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_labels_whose_digests_were_made_to_fit_are_compared_with_keys_plan_and_categories(
    copied, number
):
    plans, folder, path = copied
    column, values = list(altered_columns(pq.read_table(path)))[number]
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    rewritten(path, table.set_column(index, table.schema.field(index), values))
    assert str(path) in refusal(plans, folder)


def test_all_bad_label_files_are_named_at_once(copied):
    plans, folder, path = copied
    other = label_file(folder, "ks", plans[0].shards[2])
    for each in (path, other):
        lie(each, "gamma", pa.nulls(len(pq.read_table(each)), pa.float64()))
    with pytest.raises(DamagedFileError) as caught:
        merged(plans, folder)
    assert set(caught.value.paths) == {path, other}


@pytest.mark.parametrize("column", ["geometry_id", "moduli"])
def test_a_shard_with_other_rows_is_not_labelled(tmp_path, column):
    run(tmp_path, {"ks": feature_rows(20)}, 1000)
    path = next((tmp_path / "shards/ks").glob("*.parquet"))
    values = pq.read_table(path)[column].to_pylist()
    lie(path, column, pa.array([1, *values[1:]], pa.int64()))
    with pytest.raises(DamagedFileError, match=str(path)):
        label(path, PHYSICS, "f", 16, None, tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()


def test_labels_that_are_damaged_inside(copied):
    plans, folder, path = copied
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.data_page_offset : chunk.data_page_offset + chunk.total_compressed_size // 2] = (
        b"\xff" * (chunk.total_compressed_size // 2)
    )
    path.write_bytes(damaged)
    assert str(path) in refusal(plans, folder)


def test_an_interrupted_merge_by_namespace_leaves_no_scratch_behind(tmp_path):
    rows = feature_rows(30, seed=5, namespaces=("a", "b"))
    plans, labels = run(tmp_path / "run", {"ks": rows}, 20)
    its = plans[0].shards[-1]
    (labels / "ks" / f"{its.first}-{its.last}.parquet").unlink()
    with pytest.raises(InputError):
        merged(plans, labels)
    assert sorted(path.name for path in labels.parent.iterdir()) == [
        "ks",
        "ks.json",
        "labels",
        "shards",
    ]


def test_a_namespace_for_every_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = 3000
    names = [f"source {i * 7919 % rows:05d}" for i in range(rows)]
    pq.write_table(pa.table({"id": np.arange(rows), "source": names}), "many.parquet")
    plan(
        "many",
        FeatureTable("many.parquet", "id", "source"),
        shard_size=500,
        n_limit=None,
        output=Path("plan.json"),
    )
    planned = Plan.read("plan.json")
    search = {"n_samples": 1, "n_restarts": 1}
    for piece in planned.shards:
        shard(planned, piece.first, Path("shard.parquet"))
        label(
            Path("shard.parquet"),
            physics_sections(checked_config({"search": search})),
            "f",
            16,
            None,
            label_file(Path("l"), "many", piece),
        )
    monkeypatch.setattr("vacuagym.stages.merge.BUCKET_ROWS", 700)
    merge([planned], Path("l"), {"many": "f"}, Path("labels.parquet"))
    merged = pq.read_table("labels.parquet")
    assert merged["namespace"].to_pylist() == sorted(names)
    assert sorted(merged["geometry_id"].to_pylist()) == list(range(rows))
