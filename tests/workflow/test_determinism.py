"""Labels depend on seed, data set, namespace and id alone. Shards, batches, order and processes
change no byte.
"""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vacuagym.config import checked_config, physics_sections
from vacuagym.stages import label as label_stage
from vacuagym.stages import merge as merge_stage
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.plan import plan
from vacuagym.stages.shard import shard
from vacuagym.tables import parquet
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan

ROOT = Path(__file__).parents[2]
NAMESPACES = ("w5.ip.gz", "w44.ip.gz")
COUPLINGS = ("A_np", "a_np", "D_up", "p_up")


def physics(seed=42):
    """Nine trials each; a stack of 1 MB holds 27 geometries of six moduli, so that ``batch_mb``
    matters for a small table.
    """
    return physics_sections(checked_config({"seed": seed, "moduli": {"min": 2, "max": 6}}))


PHYSICS = physics()
ROWS = [
    (i, name, n)
    for n, i in zip(
        random.Random(3).choices([2, 3, 4, 5, 6, 6, 6, 6], k=75), range(-60, 15), strict=True
    )
    for name in NAMESPACES
]


def mixed(rows, seed):
    return random.Random(seed).sample(rows, len(rows))


def feature_table(folder, rows, **options) -> FeatureTable:
    folder.mkdir(parents=True)
    columns = {
        "id": [row[0] for row in rows],
        "source": [row[1] for row in rows],
        "h21": [row[2] for row in rows],
    }
    pq.write_table(pa.table(columns), folder / "table.parquet", **options)
    return FeatureTable(folder / "table.parquet", "id", "source", "h21")


def labels_of(
    folder, rows, shard_size=1000, batch_mb=16, sections=PHYSICS, dataset="ks", **options
) -> Path:
    """The merged label table of ``rows`` (id, namespace, moduli), made by the stages one after
    another.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        plan(
            dataset,
            feature_table(folder / "input", rows, **options),
            shard_size=shard_size,
            n_limit=None,
            output=folder / "plan.json",
        )
        its = Plan.read(folder / "plan.json")
        for part in its.shards:
            name = f"{dataset}/{part.first}-{part.last}.parquet"
            shard(its, part.first, folder / "shards" / name)
            label(folder / "shards" / name, sections, "f", batch_mb, None, folder / "labels" / name)
        merge([its], folder / "labels", {}, folder / "labels.parquet")
    return folder / "labels.parquet"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """All rows in one shard and one stack of each size."""
    return labels_of(tmp_path_factory.mktemp("whole"), ROWS, 10_000, 64)


@pytest.fixture
def stacks(monkeypatch) -> list[int]:
    """How many geometries went into each stack."""
    sizes: list[int] = []

    def counted(physics, n, keys, ids):
        sizes.append(len(ids))
        return label_geometries(physics, n, keys, ids)

    label_geometries = label_stage.label_geometries
    monkeypatch.setattr(label_stage, "label_geometries", counted)
    return sizes


def rows_by_key(path) -> dict:
    return {row["key"]: row for row in pq.read_table(path).to_pylist()}


def test_the_table_that_is_compared_has_what_could_differ(whole):
    table = pq.read_table(whole)
    assert len(table) == len(set(table["key"].to_pylist())) == len(ROWS) == 150
    assert set(table["n_moduli"].to_pylist()) == {2, 3, 4, 5, 6}
    assert set(table["namespace"].to_pylist()) == set(NAMESPACES)
    assert len(set(table["stability"].to_pylist())) >= 3
    assert len(set(table["method"].to_pylist())) == 2
    assert any(draw > 0 for draw in table["restart_idx"].to_pylist())


@pytest.mark.parametrize("shard_size", [7, 30, 1000, 10_000])
def test_the_size_of_shards_leaves_no_trace(whole, tmp_path, shard_size):
    assert labels_of(tmp_path, ROWS, shard_size).read_bytes() == whole.read_bytes()
    shards = len(list((tmp_path / "labels" / "ks").iterdir()))
    assert shards == len({row[0] // shard_size for row in ROWS})


def test_shards_of_one_id_leave_no_trace(tmp_path):
    few = ROWS[:24]
    one = labels_of(tmp_path / "one", few, 1)
    assert len(list((tmp_path / "one" / "labels" / "ks").iterdir())) == 12
    assert one.read_bytes() == labels_of(tmp_path / "all", few, 10_000).read_bytes()


@pytest.mark.parametrize(("batch_mb", "largest"), [(1, 27), (3, 82), (64, 150)])
def test_the_size_of_stacks_leaves_no_trace(whole, tmp_path, stacks, batch_mb, largest):
    assert labels_of(tmp_path, ROWS, 1000, batch_mb).read_bytes() == whole.read_bytes()
    of_six = (
        sum(row[2] == 6 and row[0] >= 0 for row in ROWS),
        sum(row[2] == 6 and row[0] < 0 for row in ROWS),
    )
    assert max(of_six) > 27, "or the least setting would not split a stack"
    assert max(stacks) == min(largest, max(of_six))


@pytest.mark.parametrize("stack", [1, 2, 5])
def test_stacks_of_few_geometries_leave_no_trace(whole, tmp_path, stacks, monkeypatch, stack):
    monkeypatch.setattr(label_stage, "geometry_bytes", lambda n, trials: 2**20 // stack)
    assert labels_of(tmp_path, ROWS, 1000, 1).read_bytes() == whole.read_bytes()
    assert max(stacks) == stack


@pytest.mark.parametrize("window", [1, 13, 64])
def test_the_size_of_windows_leaves_no_trace(whole, tmp_path, stacks, monkeypatch, window):
    monkeypatch.setattr(label_stage, "_WINDOW_ROWS", window)
    assert labels_of(tmp_path, ROWS, 10_000).read_bytes() == whole.read_bytes()
    assert max(stacks) <= window
    windows = [
        pq.ParquetFile(path).num_row_groups for path in (tmp_path / "labels" / "ks").iterdir()
    ]
    assert sorted(windows) == sorted(-(-rows // window) for rows in (30, 120))


@pytest.mark.parametrize(("seed", "row_group"), [(1, 1), (2, 7), (3, 64), (4, 10_000)])
def test_order_and_row_groups_of_the_table_leave_no_trace(whole, tmp_path, seed, row_group):
    assert (
        labels_of(tmp_path, mixed(ROWS, seed), 1000, row_group_size=row_group).read_bytes()
        == whole.read_bytes()
    )


def test_the_pieces_in_which_files_are_read_leave_no_trace(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 11)
    assert labels_of(tmp_path, mixed(ROWS, 5), 50).read_bytes() == whole.read_bytes()


def test_the_row_groups_of_the_merged_table_hold_the_same_rows(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(merge_stage, "ROW_GROUP", 16)
    one, other = (
        labels_of(tmp_path / "one", ROWS, 7),
        labels_of(tmp_path / "other", mixed(ROWS, 6), 1000, 1),
    )
    assert one.read_bytes() == other.read_bytes()
    assert pq.ParquetFile(one).num_row_groups == 10
    assert pq.read_table(one).to_pylist() == pq.read_table(whole).to_pylist()


@pytest.mark.parametrize(("seed", "count"), [(1, 1), (2, 2), (3, 17), (4, 75), (5, 149)])
def test_the_rows_of_any_subset_are_those_of_the_whole(whole, tmp_path, seed, count):
    some = random.Random(seed).sample(ROWS, count)
    subset, all_rows = (
        rows_by_key(labels_of(tmp_path, some, random.Random(seed).choice([7, 40, 1000]), seed)),
        rows_by_key(whole),
    )
    assert subset.keys() == {f"ks:{name}:{i}" for i, name, _ in some}
    assert subset == {key: all_rows[key] for key in subset}


def test_other_rows_beside_them_leave_no_trace_in_rows(whole, tmp_path):
    more = [
        *ROWS,
        *((i, "w6.ip.gz", 2 + i % 5) for i in range(-40, 10)),
        *((i, NAMESPACES[0], 6) for i in range(10**12, 10**12 + 5)),
    ]
    larger = rows_by_key(labels_of(tmp_path, mixed(more, 9), 10**12))
    assert len(larger) == 205
    assert {key: larger[key] for key in rows_by_key(whole)} == rows_by_key(whole)


def test_labels_do_not_depend_on_the_hash_seed_the_threads_or_the_process(tmp_path):
    rows = ROWS[:30]
    labels_of(tmp_path, rows)
    (source,) = (tmp_path / "shards" / "ks").iterdir()
    (tmp_path / "physics.json").write_text(json.dumps(PHYSICS), encoding="utf-8")
    files = [tmp_path / "labels" / "ks" / source.name]
    for hash_seed, threads in (("0", "1"), ("12345", "4")):
        output = tmp_path / f"{hash_seed}.parquet"
        command = [
            sys.executable,
            "-m",
            "vacuagym",
            "label",
            f"--shard={source}",
            f"--physics={tmp_path / 'physics.json'}",
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "workflow"),
            "PYTHONHASHSEED": hash_seed,
        }
        environment |= {f"{library}_NUM_THREADS": threads for library in ("OMP", "OPENBLAS", "MKL")}
        done = subprocess.run(
            [*command, f"--output={output}", "--fingerprint=f"],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        files.append(output)
    tables = [pq.read_table(path) for path in files]
    assert len(tables[0]) == 30
    for path, table in zip(files, tables, strict=True):
        assert table.equals(tables[0])
        merged = tmp_path / "again" / path.name / "ks" / source.name
        merged.parent.mkdir(parents=True)
        merged.write_bytes(path.read_bytes())
        with contextlib.redirect_stdout(io.StringIO()):
            merge(
                [Plan.read(tmp_path / "plan.json")],
                merged.parent.parent,
                {"ks": "f"},
                tmp_path / "again" / path.name / "labels.parquet",
            )
        assert (tmp_path / "again" / path.name / "labels.parquet").read_bytes() == (
            tmp_path / "labels.parquet"
        ).read_bytes()


def test_equal_ids_are_different_systems_in_other_namespaces_data_sets_and_seeds(tmp_path):
    ids = range(12)
    tables = {
        "ks": labels_of(tmp_path / "ks", [(i, name, 4) for i in ids for name in NAMESPACES]),
        "ks2": labels_of(
            tmp_path / "ks2", [(i, name, 4) for i in ids for name in NAMESPACES], dataset="ks2"
        ),
        "seed": labels_of(
            tmp_path / "seed",
            [(i, name, 4) for i in ids for name in NAMESPACES],
            sections=physics(43),
        ),
    }
    rows = [row for path in tables.values() for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 72
    assert {row["n_moduli"] for row in rows} == {4}
    for name in COUPLINGS:
        assert len({row[name] for row in rows}) == 72, name
    found = [row for row in rows if row["minimization_success"]]
    assert len(found) > 40
    assert len({row["potential_value"] for row in found}) == len(found)
    assert len({round(number, 6) for row in found for number in row["critical_point"]}) == 4 * len(
        found
    )


def test_neighbouring_ids_share_no_coupling(whole):
    table = pq.read_table(whole)
    for name in COUPLINGS:
        assert len(set(table[name].to_pylist())) == 150, name


def test_the_count_of_moduli_is_not_part_of_the_stream_and_decides_only_the_size(tmp_path):
    """The count of the table is not identity: the scalars of a draw stay, its theory has another
    size.
    """
    small, large = (
        rows_by_key(labels_of(tmp_path / str(n), [(i, "w", n) for i in range(20)])) for n in (2, 5)
    )
    assert small.keys() == large.keys()
    same = [key for key in small if small[key]["sample_idx"] == large[key]["sample_idx"]]
    assert len(same) > 10
    for key in same:
        assert all(
            small[key][name] == large[key][name]
            for name in (*COUPLINGS, "gamma", "mass_shift", "regime")
        )
        assert (small[key]["n_moduli"], large[key]["n_moduli"]) == (2, 5)
