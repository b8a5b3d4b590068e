"""The sample to verify is the rows of lowest hash, and its parts add up to one verification."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ROWS, edit_label
from vacuagym.errors import InputError
from vacuagym.splits.hashing import row_hashes
from vacuagym.stages.sample import (
    SampleSize,
    _copy_rows,
    _limit,
    chosen_rows,
    read_rows,
    sample,
    sample_segment,
)
from vacuagym.stages.verify import LabelDisagreement, add_up, verify, verify_part
from vacuagym.tables import parquet, threefold_rows

LABELS, SAMPLE = Path("results/labels.parquet"), Path("sample.parquet")


def lowest(size: SampleSize) -> list[int]:
    """The rows of lowest hash, sorted one by one."""
    table = pq.read_table(LABELS).combine_chunks()
    hashes = row_hashes(42, "verify", table.to_batches()[0])
    rows = table.to_pylist()
    order = sorted(range(len(rows)), key=lambda row: hashes[row])
    chosen = set(order[: max(size.least, round(size.share * len(rows)))])
    for label in {row["stability"] for row in rows}:
        own = [row for row in order if rows[row]["stability"] == label]
        chosen |= set(own[: size.per_label])
    return sorted(chosen)


def parts_of(count: int) -> list[Path]:
    paths = [Path(f"{part}.json") for part in range(count)]
    for part, path in enumerate(paths):
        verify_part(SAMPLE, part, path)
    return paths


@pytest.mark.parametrize("batch", [7, 60])
@pytest.mark.parametrize(
    "size", [SampleSize(0.3, 5, 0), SampleSize(0.0, 7, 2), SampleSize(0, 0, 3), SampleSize(1, 9, 9)]
)
def test_the_sample_is_the_rows_of_lowest_hash_overall_and_of_each_label(
    run, monkeypatch, size, batch
):
    monkeypatch.setattr(parquet, "BATCH_ROWS", batch)
    assert chosen_rows(LABELS, size).tolist() == lowest(size)


def test_nothing_may_be_sampled(run):
    sample(LABELS, SampleSize(0, 0, 0), 4, SAMPLE)
    assert pq.read_metadata(SAMPLE).num_rows == 0
    add_up(parts_of(4), Path("sum.json"))
    assert json.loads(Path("sum.json").read_text())["verified"] == 0


def test_a_part_has_the_rows_of_the_table_in_their_order(run, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    size = SampleSize(0.0, 10, 0)
    sample(LABELS, size, 4, SAMPLE)
    whole = pq.read_table(LABELS)
    chosen = chosen_rows(LABELS, size)
    assert pq.read_table(SAMPLE).to_pylist() == whole.take(chosen).to_pylist()
    groups = pq.read_metadata(SAMPLE)
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [2, 3, 2, 3]
    keys = [
        key
        for batch in read_rows(LABELS, chosen, ["key"])
        for key in batch.column("key").to_pylist()
    ]
    assert keys == whole["key"].take(chosen).to_pylist()


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_the_parts_add_up_to_what_one_job_finds(run, parts):
    size = SampleSize(0.0, 6, 1)
    wrong = np.flatnonzero(pq.read_table(LABELS)["minimization_success"].to_numpy())
    row = next(int(row) for row in wrong if row in lowest(size))
    value = pq.read_table(LABELS)["potential_value"][row].as_py()
    key = edit_label("potential_value", row, value + 1.0)
    sample(LABELS, size, parts, SAMPLE)
    add_up(parts_of(parts), Path("sum.json"), record_only=True)
    verify(LABELS, size, Path("one.json"), record_only=True)
    assert Path("sum.json").read_bytes() == Path("one.json").read_bytes()
    assert list(json.loads(Path("sum.json").read_text())["disagreements"]) == [key]
    with pytest.raises(LabelDisagreement, match=key):
        add_up(parts_of(parts), Path("sum.json"))


def test_a_missing_repeated_or_foreign_part_is_refused(run):
    sample(LABELS, SampleSize(0.0, 4, 0), 2, SAMPLE)
    first, second = parts_of(2)
    sample(LABELS, SampleSize(0.0, 5, 0), 2, SAMPLE)
    verify_part(SAMPLE, 1, Path("other.json"))
    for parts in ([first], [first, first], [first, Path("other.json")]):
        with pytest.raises(InputError, match="not all parts of one sample"):
            add_up(parts, Path("sum.json"))
    add_up([second, first], Path("sum.json"))


def test_a_large_sample_is_verified_by_several_jobs(finished):
    settings = ("--config", "verify={least: 130, per_label: 0}")
    finished.snakemake(*settings, target="results/verification.json")
    assert finished.files("sample/*") == [
        *(f"sample/{part}.json" for part in range(3)),
        "sample/rows.parquet",
    ]
    found = (finished.folder / "results/verification.json").read_bytes()
    done = finished.vacuagym("verify", "--least=130", "--per-label=0", "--output=one.json")
    assert done.returncode == 0, done.stdout
    assert found == (finished.folder / "one.json").read_bytes()
    assert json.loads(found)["verified"] == 130
    finished.snakemake(target="results/verification.json")
    assert finished.files("sample/*.json") == []


@pytest.mark.parametrize("cuts", [(), (7,), (1, 20, 21, 59)])
@pytest.mark.parametrize(
    "size", [SampleSize(0.1, 5, 0), SampleSize(0.0, 0, 2), SampleSize(1.0, 9, 9)]
)
def test_candidates_of_segments_give_the_same_sample(run, monkeypatch, size, cuts):
    monkeypatch.setattr("vacuagym.stages.sample._limit", lambda wanted, rows: 2 * wanted / rows)
    sample(LABELS, size, 3, SAMPLE)
    segments = in_segments([0, *cuts, ROWS])
    for path in segments:
        sample_segment(path, size, rows=ROWS, seed=42, geometry=None, output=Path("candidates"))
    found = [pq.read_metadata(path).num_rows for path in Path("candidates").glob("rows*/*")]
    assert sum(found) < ROWS or size.share == 1.0
    arguments = (segments[0].parent, size, 3, Path("summed.parquet"))
    candidates = only(Path("candidates/rows.parquet"), chosen_rows)
    monkeypatch.setattr("vacuagym.stages.sample.chosen_rows", candidates)
    sample(*arguments, candidates=Path("candidates"))
    assert Path("summed.parquet").read_bytes() == SAMPLE.read_bytes()


def test_too_few_candidates_are_made_good(run, monkeypatch):
    size = SampleSize(0.0, 20, 1)
    sample(LABELS, size, 3, SAMPLE)
    monkeypatch.setattr("vacuagym.stages.sample._limit", lambda wanted, rows: 5 / rows)
    segments = in_segments([0, 30, ROWS])
    for path in segments:
        sample_segment(path, size, rows=ROWS, seed=42, geometry=None, output=Path("candidates"))
    sample(segments[0].parent, size, 3, Path("summed.parquet"), candidates=Path("candidates"))
    assert Path("summed.parquet").read_bytes() == SAMPLE.read_bytes()


def test_nearly_all_samples_find_enough_candidates():
    dice = np.random.default_rng(0)
    for wanted, rows in ((0, 10), (200, 100_000), (100_000, 10**8)):
        below = dice.binomial(rows, min(1.0, _limit(wanted, rows)), 1000)
        assert below.min() >= wanted
        assert _limit(wanted, rows) * rows <= 1.05 * wanted + 200


def test_geometry_of_the_sample_is_that_of_its_rows_only(tmp_path):
    table = pa.table(
        {
            "namespace": [name for name in ("a", "b") for _ in range(50)],
            "geometry_id": [*range(50), *range(25, 75)],
            "c2": [[i] for i in range(100)],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=10)
    wanted = {("a", 30), ("b", 29), ("b", 74), ("a", 74), ("c", 3)}
    (tmp_path / "t.parquet").rename(tmp_path / "whole.parquet")
    for number, start in enumerate((0, 33)):
        rows = table.slice(start, (33, 67)[number])
        pq.write_table(rows, tmp_path / f"{number}.parquet", row_group_size=7)
    every = [[tmp_path / "whole.parquet"], [tmp_path / "0.parquet", tmp_path / "1.parquet"]]
    found = []
    for number, tables in enumerate(every):
        _copy_rows(tables, wanted, ["c2"], tmp_path / f"copy-{number}.parquet")
        found.append((tmp_path / f"copy-{number}.parquet").read_bytes())
    assert found[0] == found[1]
    rows = pq.read_table(tmp_path / "copy-0.parquet").to_pylist()
    assert [(row["namespace"], row["geometry_id"], row["c2"]) for row in rows] == [
        ("a", 30, [30]),
        ("b", 29, [54]),
        ("b", 74, [99]),
    ]


def test_row_groups_without_wanted_rows_are_not_read(tmp_path, monkeypatch):
    ids = [*range(40), 100, 0, 99, 200]
    rows = pa.table({"namespace": pa.nulls(44, pa.string()), "geometry_id": ids, "c2": ids})
    pq.write_table(rows, tmp_path / "t.parquet", row_group_size=4)
    read = []

    def noting(file, path, columns, *, row_groups, batch_rows=None):
        read.append((row_groups[0], "c2" in columns))
        return parquet.read_batches(
            file, path, columns, row_groups=row_groups, batch_rows=batch_rows
        )

    monkeypatch.setattr(threefold_rows, "read_batches", noting)
    batches = threefold_rows.wanted_rows([tmp_path / "t.parquet"], {(None, 9), (None, 50)}, ["c2"])
    assert [row["c2"] for batch in batches for row in batch.to_pylist()] == [9]
    assert read == [(2, False), (2, True), (10, False)]


def in_segments(edges: list[int]) -> list[Path]:
    """The label table in segments that begin at these rows."""
    file = pq.ParquetFile(LABELS)
    table, metadata = file.read(), file.metadata.metadata
    paths = [Path(f"cut.parquet/t-{number:05}.parquet") for number in range(len(edges) - 1)]
    paths[0].parent.mkdir()
    for path, (start, end) in zip(paths, pairwise(edges), strict=True):
        about = json.loads(metadata[parquet.METADATA_KEY]) | {"rows": end - start}
        own = {parquet.METADATA_KEY: json.dumps(about)}
        pq.write_table(table[start:end].replace_schema_metadata(own), path)
    return paths


def only(expected: Path, function):
    """The function, which may be called with this path only."""

    def guarded(path, *more):
        assert path == expected
        return function(path, *more)

    return guarded
