"""A data set that is written in parts has the rows, folds and columns of one that is written at
once, however the run is cut into segments and these into parts.
"""

import contextlib
import hashlib
import io
import json
import random
import shutil
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import vacuagym
from vacuagym.errors import DamagedFileError, InputError
from vacuagym.orchestration.segments import SegmentedTables
from vacuagym.orchestration.torn_files import discard_torn
from vacuagym.publish import fold_files
from vacuagym.publish.fold_files import FILE_ROWS
from vacuagym.publish.joined_rows import Sources
from vacuagym.publish.layout import MOST_COMBINATIONS
from vacuagym.stages.dataset import dataset, dataset_layout, dataset_part
from vacuagym.tables.parquet import file_metadata, open_parquet, write_table
from vacuagym.tables.plan import Plan, Shard
from vacuagym.tables.split_schema import FOLDS

SPLITS = ("iid", "ood_complexity", "ood_dataset_a")
RESULTS, OUTPUT = Path("results"), Path("results/dataset")


@pytest.fixture
def run(labelled_run, tmp_path, monkeypatch) -> Path:
    """A copy of the results of a run in the working directory, and its data set in ``whole``."""
    shutil.copytree(labelled_run / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fold_files, "FILE_ROWS", 7)
    # The split iid leaves out rows.
    table, about = read("splits/iid.parquet")
    kept = table.filter(pa.array([i % 7 != 3 for i in range(len(table))]))
    left_out = {"left_out": len(table) - len(kept)}
    write(RESULTS / "splits/iid.parquet", kept, about | sizes(kept) | left_out)
    publish(Path("whole"))
    return tmp_path


def read(name: str) -> tuple[pa.Table, dict]:
    file = open_parquet(RESULTS / name)
    return file.read(), file_metadata(file)


def write(path: Path, table: pa.Table, about: dict) -> None:
    with write_table(path, table.schema, about) as writer:
        writer.write(table.combine_chunks())


def sizes(table: pa.Table) -> dict:
    return {"folds": {fold: table["fold"].to_pylist().count(fold) for fold in FOLDS}}


def tables() -> tuple[Path, list[Path], list[Path]]:
    splits = [RESULTS / f"splits/{name}.parquet" for name in SPLITS]
    return RESULTS / "labels.parquet", splits, [RESULTS / f"features/{n}.parquet" for n in "ab"]


def publish(output: Path, parts=()) -> None:
    about = {name: RESULTS / f"{name}.json" for name in ("validation", "configuration")}
    with contextlib.redirect_stdout(io.StringIO()):
        dataset(*tables(), output=output, potential=True, parts=parts, **about)


def cut(seed: int) -> dict[str, list[str]]:
    """Cut all tables into folders of segments; return the segments of each part."""
    draw = random.Random(seed)
    labels, about = read("labels.parquet")
    names = labels["dataset"].cast(pa.string()).to_pylist()
    keys = {}
    for name in "ab":
        own = [k for k, of in zip(labels["key"].to_pylist(), names, strict=True) if of == name]
        ends = [0, *sorted(draw.sample(range(1, len(own)), draw.randint(0, 5))), len(own)]
        for number, (start, end) in enumerate(pairwise(ends)):
            keys[f"{name}-{number:05}"] = set(own[start:end])
    for name in ["labels", *(f"splits/{s}" for s in SPLITS), "features/a", "features/b"]:
        path = RESULTS / f"{name}.parquet"
        table, about = read(f"{name}.parquet")
        path.unlink()
        for segment, own in keys.items():
            if name.startswith("features") and segment[0] != name[-1]:
                continue
            rows = table.filter(pa.array([key in own for key in table["key"].to_pylist()]))
            summed = {"rows": len(rows)}
            if name == "labels":
                summed["datasets"] = {segment[0]: len(rows)}
            if name.startswith("splits"):
                summed |= sizes(rows) | {"left_out": len(own) - len(rows)}
            write(path / f"{segment}.parquet", rows, about | summed)
    size = draw.randint(1, 3)
    parts = {}
    for name in "ab":
        own = [segment for segment in keys if segment[0] == name]
        for number in range(-(-len(own) // size)):
            parts[f"{name}-{number:05}"] = own[number * size : (number + 1) * size]
    return parts


def layout(path: Path) -> None:
    about = {name: RESULTS / f"{name}.json" for name in ("validation", "configuration")}
    dataset_layout(*tables(), output=path, potential=True, **about)


def write_part(name: str, segments: list[str]) -> Path:
    labels, splits, _ = tables()
    sources = Sources(
        labels,
        {path.stem: path for path in splits},
        {name[0]: RESULTS / f"features/{name[0]}.parquet"},
        tuple(segments),
    )
    output = RESULTS / f"segments/dataset/{name}.json"
    with contextlib.redirect_stdout(io.StringIO()):
        dataset_part(RESULTS / "segments/dataset.json", sources, name, folder=OUTPUT, output=output)
    return output


def published_in_parts(parts: dict[str, list[str]]) -> list[Path]:
    layout(RESULTS / "segments/dataset.json")
    files = [write_part(name, segments) for name, segments in parts.items()]
    publish(OUTPUT, files)
    return files


def rows_of(folder: Path) -> dict[tuple[str, str], list[dict]]:
    """The rows of each fold of each configuration in the order that libraries load them."""
    head = yaml.safe_load((folder / "README.md").read_text().split("\n---\n")[0])
    return {
        (entry["config_name"], files["split"]): [
            row
            for path in sorted(folder.glob(files["path"]))
            for row in pq.ParquetFile(path).read().to_pylist()
        ]
        for entry in head["configs"]
        for files in entry["data_files"]
    }


def sorted_rows(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: row["key"])


def data_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("data/*/*")}


@pytest.mark.parametrize("seed", range(4))
def test_parts_have_the_rows_folds_and_columns_of_one_file(run, seed):
    parts = cut(seed)
    published_in_parts(parts)
    found, expected = rows_of(OUTPUT), rows_of(Path("whole"))
    assert found.keys() == expected.keys()
    assert len(expected) > len(SPLITS) * 2
    for configuration, rows in expected.items():
        assert sorted_rows(found[configuration]) == sorted_rows(rows)
    schemas = {pq.read_schema(path) for path in OUTPUT.glob("data/labels/*")}
    assert schemas == {pq.read_schema(next(Path("whole").glob("data/labels/*")))}
    # All but the sizes of files is the same in the texts.
    card, whole = ((f / "README.md").read_text() for f in (OUTPUT, Path("whole")))
    assert card.split("\n---\n", 1)[1] == whole.split("\n---\n", 1)[1]
    sums = dict(line.split("  ")[::-1] for line in (OUTPUT / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == data_files(OUTPUT) | {"README.md", "LICENSE.md", "croissant.json"}
    for name, digest in sums.items():
        assert hashlib.sha256((OUTPUT / name).read_bytes()).hexdigest() == digest
    loaded = vacuagym.load(OUTPUT, split="iid", fold="train", columns=["key"])
    assert set(loaded["key"]) == {row["key"] for row in expected["iid", "train"]}
    # Files of a fold are in the order of the rows.
    order = [key for name in parts for key in sorted(data_files(OUTPUT)) if f"-{name}-" in key]
    assert sorted(order) == sorted(data_files(OUTPUT))


def test_files_of_other_parts_and_of_a_data_set_of_one_table_are_removed(run):
    parts = cut(1)
    publishing = published_in_parts(parts)
    expected = data_files(OUTPUT)
    for name in ("ttt-00000-of-00001", "ttt-z-00000-00000-of-00001", ".ttt-a-00000-00000-of-00009"):
        ending = ".parquet.host.1.tmp" if name.startswith(".") else ".parquet"
        (OUTPUT / f"data/labels/{name}{ending}").write_text("of another run")
    (OUTPUT / "data/labels/notes.txt").write_text("mine")
    publish(OUTPUT, publishing)
    assert data_files(OUTPUT) == expected | {"data/labels/notes.txt"}


def test_a_part_replaces_its_own_files_only_and_takes_the_checksums_away(run):
    parts = cut(1)
    published_in_parts(parts)
    first, second = list(parts)[:2]
    whole = {name: (OUTPUT / name).read_bytes() for name in data_files(OUTPUT)}
    own = f"data/labels/vvv-{first}-00008-of-00009.parquet"
    other = f"data/labels/vvv-{second}-00008-of-00009.parquet"
    nested = f"data/labels/vvv-{first}-00000-00008-of-00009.parquet"  # of a data set "a-00000"
    for name in (own, other, nested):
        (OUTPUT / name).write_text("of a killed job")
    write_part(first, parts[first])
    assert not (OUTPUT / "SHA256SUMS").exists()
    assert data_files(OUTPUT) == {*whole, other, nested}
    assert {name: (OUTPUT / name).read_bytes() for name in whole} == whole


def test_a_part_whose_files_are_gone_is_refused_and_removed_at_the_next_start(run):
    files = published_in_parts(cut(1))
    document = json.loads(files[1].read_text())
    path = OUTPUT / document["files"][0]["path"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match="is missing or altered") as raised:
        publish(OUTPUT, files)
    assert list(raised.value.paths) == [files[1]]
    assert not (OUTPUT / "SHA256SUMS").exists()
    discard_torn()
    assert [path.exists() for path in files] == [number != 1 for number in range(len(files))]


def test_segments_of_other_rows_are_refused(run):
    parts = cut(1)
    name = next(iter(parts))
    layout(RESULTS / "segments/dataset.json")
    path = RESULTS / f"features/a.parquet/{parts[name][0]}.parquet"
    table, about = read(path.relative_to(RESULTS).as_posix())
    write(path, table.slice(1), about)
    with pytest.raises(InputError, match="not the rows of the labels"):
        write_part(name, parts[name])
    assert not (RESULTS / f"segments/dataset/{name}.json").exists()


def test_rows_of_a_missing_part_are_missed(run):
    files = published_in_parts(cut(1))
    with pytest.raises(InputError, match="fewer rows of the fold"):
        publish(OUTPUT, files[1:])


@pytest.mark.parametrize("datasets", [("ks",), ("ks", "a", "b"), ("ks", *"abcdefgh")])
@pytest.mark.parametrize("millions", [11, 60, 474])
def test_parts_have_all_segments_in_order_and_a_folder_no_more_files_than_the_hub_takes(
    datasets, millions
):
    run = SegmentedTables()
    run.config = {"table_rows": 10**7}
    run.datasets = {name: {} for name in datasets}
    rows = {name: (millions if name == "ks" else 2) * 10 for name in datasets}
    shards = {name: [Shard(n, n, 10**5, "d") for n in range(rows[name])] for name in datasets}
    run.plan = lambda name: Plan(Path("p"), name, {"id": "id"}, None, [], tuple(shards[name]))
    apart = [f"ood_dataset_{name}" for name in datasets] if len(datasets) > 1 else []
    run.splits = lambda: ["iid", "ood_complexity", "ood_hodge", "ood_euler", *apart]
    parts = run.data_parts()
    assert [name for own in parts.values() for name in own] == list(run.segments)
    assert list(parts) == sorted(parts)
    assert all({name[:-6] for name in own} == {part[:-6]} for part, own in parts.items())
    # A row of ks is in the test fold of one of the splits apart, and in two folds of each other.
    combinations = min(3**4 * 2 ** max(0, len(apart) - 1), MOST_COMBINATIONS)
    of_ks = sum(part.startswith("ks") for part in parts)
    assert of_ks * combinations + millions * 10**6 / FILE_ROWS < 10_000
    if len(datasets) == 1:  # Few splits: a job has no more rows than one of a small run.
        sizes = {s.name: (s.last - s.first + 1) * 10**5 for s in run.segments.values()}
        assert all(sum(map(sizes.get, own)) <= 10**7 for own in parts.values())
        assert len(parts) < 2 * millions / 10 + 1
