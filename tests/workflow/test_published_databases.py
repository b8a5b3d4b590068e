"""Folders as the public databases come: files without ids, and files that are added later."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vacuagym
from conftest import Workspace
from vacuagym.geometry.polytopes.weight_systems import WeightSystem, monomials

# Weight systems with a Fermat polynomial: every weight divides the degree.
WEIGHTS = [
    weights
    for weights in itertools.combinations_with_replacement(range(1, 7), 5)
    if math.gcd(*weights) == 1 and all(sum(weights) % weight == 0 for weight in weights)
]
COUNTS = ("vertex_count", "facet_count", "point_count", "dual_point_count")
HODGE = ("h11", "h12", "euler_characteristic")


def write_polytopes(folder, vertex_count: int, rows: int) -> None:
    """A file in the schema of the list of reflexive polytopes in four dimensions."""
    found = []
    for weights in WEIGHTS:
        its = vacuagym.threefold(weights=[sum(weights), *weights])
        pair = its.given if vertex_count == 5 else its.given.swapped()
        counts = [len(getattr(pair, name)) for name in ("vertices_m", "vertices_n")]
        points = [len(pair.points_m), len(pair.points_n)]
        h11, h21 = (its.h11, its.h21) if pair is its.given else (its.h21, its.h11)
        found.append([pair.vertices_m.tolist(), *counts, *points, h11, h21, 2 * (h11 - h21)])
    small = sorted(found, key=lambda row: row[-3] + row[-2])[:rows]
    types = [pa.list_(pa.list_(pa.int32())), *[pa.int32()] * 7]
    names = ["vertices", *COUNTS, *HODGE]
    columns = [
        pa.array(values, kind) for values, kind in zip(zip(*small, strict=True), types, strict=True)
    ]
    folder.mkdir(exist_ok=True)
    name = f"polytopes-4d-{vertex_count:02}-vertices.parquet"
    pq.write_table(pa.table(columns, names), folder / name, row_group_size=3)


def write_six_weights(folder, number: int, rows: int) -> None:
    """A file in the schema of the weight systems of polytopes in five dimensions."""
    rng = np.random.default_rng(number)
    found = []
    for place in rng.integers(0, len(WEIGHTS), rows):
        weights = [*WEIGHTS[place], sum(WEIGHTS[place])]
        points = len(monomials(WeightSystem(np.array([sum(weights)]), np.array([weights]))))
        # No code here computes fourfolds: the Hodge numbers are any numbers.
        found.append([*weights, 6, 6, points, len(set(weights)), points % 97, points % 31])
    names = [*(f"weight{i}" for i in range(6)), *COUNTS[:3], "h11", "h12", "h13"]
    columns = [pa.array(values, pa.int32()) for values in zip(*found, strict=True)]
    folder.mkdir(exist_ok=True)
    name = f"ws-5d-reflexive-{number:04}.parquet"
    pq.write_table(pa.table(columns, names), folder / name, row_group_size=20)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workspace:
    """A whole run over both folders."""
    workspace = Workspace(tmp_path_factory.mktemp("published"))
    folder = workspace.folder
    write_polytopes(folder / "polytopes-4d", 5, 7)
    for number in (0, 1):
        write_six_weights(folder / "ws-5d", number, 30)
    polytopes = {"source": "polytopes", "path": "polytopes-4d", "vertices": "vertices"}
    weights = {"source": "table", "path": "ws-5d/*.parquet", "moduli": "h11"}
    weights |= {"hodge": ["h11", "h13"], "columns": ["weight0", "point_count"]}
    workspace.configure(
        {
            "ks": {
                **polytopes,
                "columns": ["h11", "geometry_hash", "vertex_count"],
                "geometry": {"divisors": 0, "full": 0},
                "shard_size": 4,
            },
            "ws5d": weights,
        },
        shard_size=30,
        split_groups={"ws5d": [f"weight{i}" for i in range(6)]},
    )
    workspace.snakemake()
    return workspace


def label_times(workspace) -> dict[str, int]:
    folder = workspace.folder / "results/labels"
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.parquet")
    }


def test_rows_are_named_by_file_and_place(finished):
    keys = finished.labels()["key"].to_pylist()
    expected = [f"ks:polytopes-4d-05-vertices:{i}" for i in range(7)]
    for number in (0, 1):
        expected += [f"ws5d:ws-5d-reflexive-{number:04}:{i}" for i in range(30)]
    assert keys == expected
    assert sorted(label_times(finished)) == [
        "ks/polytopes-4d-05-vertices/0-3.parquet",
        "ks/polytopes-4d-05-vertices/4-7.parquet",
        "ws5d/ws-5d-reflexive-0000/0-29.parquet",
        "ws5d/ws-5d-reflexive-0001/0-29.parquet",
    ]
    assert "passed" in (finished.folder / "results/verdict.txt").read_text()


def test_labels_and_features_are_those_of_the_rows(finished):
    labels = {row["key"]: row for row in finished.labels().to_pylist()}
    table = pq.read_table(finished.folder / "ws-5d/ws-5d-reflexive-0001.parquet").to_pylist()
    polytopes = pq.read_table(finished.folder / "polytopes-4d").to_pylist()
    published = vacuagym.load(finished.folder / "results/dataset", split="iid")
    features = {row["key"]: row for row in published.to_dict("records")}
    for place, row in enumerate(table):
        key = f"ws5d:ws-5d-reflexive-0001:{place}"
        assert labels[key]["moduli"] == row["h11"]
        assert features[key]["point_count"] == row["point_count"]
    for place, row in enumerate(polytopes):
        key = f"ks:polytopes-4d-05-vertices:{place}"
        assert labels[key]["moduli"] == features[key]["h11"] == row["h11"]
        assert features[key]["vertex_count"] == row["vertex_count"] == 5


def test_equal_rows_of_two_files_lie_in_one_fold(finished):
    table = vacuagym.load(finished.folder / "results", dataset="ws5d", split="iid")
    fold = dict(zip(table["key"], table["fold"], strict=True))
    groups = {}
    for number in (0, 1):
        name = f"ws-5d-reflexive-{number:04}"
        rows = pq.read_table(finished.folder / f"ws-5d/{name}.parquet").to_pylist()
        for place, row in enumerate(rows):
            weights = tuple(row[f"weight{i}"] for i in range(6))
            groups.setdefault(weights, set()).add((number, fold.get(f"ws5d:{name}:{place}")))
    assert any(len({number for number, _ in found}) == 2 for found in groups.values())
    assert all(len({its for _, its in found if its}) <= 1 for found in groups.values())


def test_keys_are_rebuilt_and_explained(finished):
    key = "ks:polytopes-4d-05-vertices:5"
    explained = finished.vacuagym("explain", key)
    assert "agrees with other code" in explained.stdout
    row = pq.read_table(finished.folder / "polytopes-4d").to_pylist()[5]
    found = vacuagym.threefold(key, folder=finished.folder)
    assert (found.h11, found.h21) == (row["h11"], row["h12"])
    status = finished.vacuagym("status").stdout
    assert "all done" in status
    assert status.splitlines()[2].split()[:3] == ["ks", "2", "2"]


def test_a_second_run_does_nothing(finished):
    assert "nothing to be done" in finished.snakemake().stdout.lower()


def test_a_file_that_is_added_adds_shards_and_moves_none(finished):
    before = label_times(finished)
    rows = finished.labels().to_pylist()
    write_polytopes(finished.folder / "polytopes-4d", 6, 2)
    write_six_weights(finished.folder / "ws-5d", 2, 5)
    finished.snakemake(target="results/labels.parquet")
    after = label_times(finished)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [
        "ks/polytopes-4d-06-vertices/0-3.parquet",
        "ws5d/ws-5d-reflexive-0002/0-29.parquet",
    ]
    keys = {row["key"] for row in rows}
    assert [row for row in finished.labels().to_pylist() if row["key"] in keys] == rows
    assert len(finished.labels()) == len(rows) + 7
    (finished.folder / "polytopes-4d/polytopes-4d-06-vertices.parquet").unlink()
    finished.snakemake(target="results/labels.parquet")
    assert len(finished.labels()) == len(rows) + 5


def test_a_run_reads_uris_of_local_files_and_of_other_file_systems(workspace):
    (workspace.folder / "d").mkdir()
    for name in "ab":
        pq.write_table(pa.table({"m": [1, 2]}), workspace.folder / f"d/{name}.parquet")
    table = {"source": "table", "moduli": "m"}
    workspace.configure(
        {
            "t": {**table, "path": f"local://{workspace.folder}/d"},  # opened by fsspec
            "u": {**table, "path": f"file://{workspace.folder}/d/*.parquet"},
        }
    )
    workspace.snakemake(target="results/labels.parquet")
    expected = [f"{data}:{file}:{row}" for data in "tu" for file in "ab" for row in (0, 1)]
    assert workspace.labels()["key"].to_pylist() == expected
    again = workspace.snakemake(target="results/labels.parquet")
    assert "nothing to be done" in again.stdout.lower()
