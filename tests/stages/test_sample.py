"""The sample to verify is the rows of lowest hash, and its parts add up to one verification."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import edit_label
from vacuagym.errors import InputError
from vacuagym.splits.hashing import row_hashes
from vacuagym.stages.sample import SampleSize, chosen_rows, read_rows, sample
from vacuagym.stages.verify import LabelDisagreement, add_up, verify, verify_part
from vacuagym.tables import parquet

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
