"""The libraries of the field load the published data set. The examples of the dataset card run
unchanged and give its rows.

A library that is not installed is skipped: the pipeline needs none of them. Nothing here reaches a
network.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vacuagym.stages.dataset import dataset
from vacuagym.theories.toy.classes import LABELS

CLASSES = [label for label in LABELS if label != "failed"]

HOSTILE = 'a|b`<script>\n---\nx: [1, "&id001"] {{7*7}} é\t#/ http://x.y'
NEEDS = {
    "datasets": ["datasets"],
    "pandas": ["pandas"],
    "polars": ["polars"],
    "DuckDB": ["duckdb"],
    "PyTorch": ["torch", "datasets"],
}


@pytest.fixture(scope="module")
def published(labelled_run, tmp_path_factory) -> Path:
    """A folder in which results/dataset is a data set with features, training shares, an empty
    fold and a name that begs for trouble.
    """
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(labelled_run / "results", folder / "results")
    path = folder / "results/features/a.parquet"
    table = pq.read_table(path)
    table = table.append_column(HOSTILE, pa.array(range(60))).append_column(
        "flags", pa.array([[[True], []], None] * 30)
    )
    pq.write_table(table, path)
    for name, empty in (("iid", None), ("ood_complexity", "test")):
        path = folder / f"results/splits/{name}.parquet"
        table = pq.read_table(path)
        table = table.filter(pa.array([fold != empty for fold in table["fold"].to_pylist()]))
        folds = table["fold"].to_pylist()
        about = {
            "split": name,
            "left_out": 0,
            "folds": {fold: folds.count(fold) for fold in ("train", "validation", "test")},
        }
        pq.write_table(
            table.replace_schema_metadata({b"vacuagym": json.dumps(about).encode()}), path
        )
    results = folder / "results"
    dataset(
        results / "labels.parquet",
        [results / f"splits/{name}.parquet" for name in ("iid", "ood_complexity")],
        [results / f"features/{name}.parquet" for name in ("a", "b")],
        validation=results / "validation.json",
        configuration=results / "configuration.json",
        output=results / "dataset",
    )
    return folder


def _require(*libraries: str) -> None:
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed")


def python(folder: Path, code: str, cache: Path) -> str:
    """Return what code prints in a folder, offline, with caches in that folder."""
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "PYTHON"))
        },
        **{
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(cache),
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "CROISSANT_CACHE": str(cache),
        },
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def examples(folder: Path) -> dict[str, str]:
    text = (folder / "results/dataset/README.md").read_text()
    return dict(re.findall(r"^(\w+):\n\n```python\n(.*?)```$", text, re.DOTALL | re.MULTILINE))


def rows_of(folder: Path, name: str, fold: str) -> list[dict]:
    return [row for path in files_of(folder, name, fold) for row in pq.read_table(path).to_pylist()]


def files_of(folder: Path, name: str, fold: str) -> list[Path]:
    """The files of all rows in a fold, in their order."""
    files = sorted(folder.glob("results/dataset/data/labels/*.parquet"))
    column = f"fold_{name}"
    return [
        path
        for path in files
        if pq.read_table(path, columns=[column])[column].unique().to_pylist() == [fold]
    ]


def test_there_is_an_example_for_each_library(published):
    assert list(examples(published)) == list(NEEDS)


@pytest.mark.parametrize("library", NEEDS)
def test_the_example_of_the_card_runs(published, tmp_path, library):
    _require(*NEEDS[library])
    printed = python(published, examples(published)[library], tmp_path)
    train = rows_of(published, "iid", "train")
    label = max(CLASSES, key=[row["stability"] for row in train].count)
    share = [row["stability"] for row in train].count(label) / len(train)
    first = train[0]
    expected = {
        "datasets": [str(list(CLASSES)), f"{first['key']} {CLASSES.index(first['stability'])}"],
        "pandas": [f"{label} ", f"{share:.6f}"],
        "polars": [label, "n_moduli"],
        "DuckDB": [label, "n_moduli"],
        "PyTorch": ["."],
    }
    for text in expected[library]:
        assert text in printed


DATASETS = """
import json
from datasets import load_dataset, get_dataset_config_names
assert get_dataset_config_names("results/dataset") == ["iid", "ood_complexity"]
for name in ["iid", "ood_complexity"]:
    folds = load_dataset("results/dataset", name)
    rows = {fold: table.to_list() for fold, table in folds.items()}
    for fold in rows:
        for row in rows[fold]:
            row["stability"] = folds[fold].features["stability"].int2str(row["stability"])
    print(json.dumps(rows))
rows = load_dataset("results/dataset", "iid", split="test").num_rows
assert load_dataset("results/dataset")["test"].num_rows == rows
stream = load_dataset("results/dataset", "iid", split="train", streaming=True)
assert next(iter(stream))["key"] == load_dataset("results/dataset", "iid", split="train")[0]["key"]
"""


def test_datasets_loads_every_row_of_every_configuration_and_no_empty_fold(published, tmp_path):
    _require("datasets")
    for name, line in zip(
        ("iid", "ood_complexity"), python(published, DATASETS, tmp_path).splitlines(), strict=True
    ):
        expected = {
            fold: rows
            for fold in ("train", "validation", "test")
            if (rows := rows_of(published, name, fold))
        }
        assert json.loads(line) == json.loads(json.dumps(expected))
        assert ("test" in expected) == (name == "iid")


def test_datasets_notices_a_file_that_is_missing(published, tmp_path):
    _require("datasets")
    shutil.copytree(published, tmp_path / "copy")
    path = files_of(tmp_path / "copy", "iid", "train")[0]
    pq.write_table(pq.read_table(path).slice(1), path)
    code = (
        'from datasets import load_dataset\ntry:\n load_dataset("results/dataset", "iid")\nexcept '
        "Exception as error: print(type(error))"
    )
    assert "NonMatchingSplitsSizesError" in python(tmp_path / "copy", code, tmp_path)


DUCKDB = """
import duckdb
train = "'results/dataset/data/labels/*.parquet' WHERE fold_iid = 'train'"
names = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM {train}").fetchall()]
values = duckdb.sql(f"SELECT key, A_np, a_np_1, euler, weights FROM {train}").fetchall()
print(repr((names, values)))
"""


def test_duckdb_and_polars_read_the_same_values(published, tmp_path):
    _require("duckdb", "polars")
    train = rows_of(published, "iid", "train")
    names, values = eval(python(published, DUCKDB, tmp_path))
    assert [name.removesuffix("_1") for name in names] == list(train[0])
    expected = [
        tuple(row[name] for name in ("key", "A_np", "a_np", "euler", "weights")) for row in train
    ]
    assert sorted(values) == sorted(expected)
    files = "results/dataset/data/labels/*.parquet"
    code = (
        f"import polars\nrows = polars.read_parquet('{files}')\n"
        "print(rows.filter(polars.col('fold_iid') == 'train').to_dicts())"
    )
    assert eval(python(published, code, tmp_path)) == train


CROISSANT = """
import json
import mlcroissant
found = mlcroissant.Dataset(jsonld="results/dataset/croissant.json")
issues = found.metadata.ctx.issues
names = [record_set.id for record_set in found.metadata.record_sets]
records = {name: list(found.records(name)) for name in names}
print(json.dumps(
    [list(issues.errors), list(issues.warnings), records],
    default=lambda value: value.decode() if isinstance(value, bytes) else value.tolist(),
))
"""


def test_mlcroissant_validates_the_description_and_reads_its_records(published, tmp_path):
    _require("mlcroissant")
    errors, warnings, records = json.loads(python(published, CROISSANT, tmp_path))
    assert errors == []
    assert ["datePublished" in warning for warning in warnings] == [True], (
        "nothing is published before somebody publishes it"
    )
    assert list(records) == ["iid", "ood_complexity"]
    for name, found in records.items():
        expected = sorted(
            (
                row
                for fold in ("train", "validation", "test")
                for row in rows_of(published, name, fold)
            ),
            key=lambda row: row["key"],
        )
        found.sort(key=lambda record: record[f"{name}/key"])
        assert [record[f"{name}/key"] for record in found] == [row["key"] for row in expected]
        for record, row in zip(found, expected, strict=True):
            values = dict(zip(row, record.values(), strict=True))
            for column in (
                "stability",
                "n_moduli",
                "fold_iid",
                "critical_point",
                "flags",
                "weights",
                "euler",
                HOSTILE,
            ):
                assert values[column] == row[column] or row[column] is None


def test_mlcroissant_has_no_complaint_about_a_data_set_with_a_date(published, tmp_path):
    _require("mlcroissant")
    document = json.loads((published / "results/dataset/croissant.json").read_text())
    (tmp_path / "croissant.json").write_text(json.dumps(document | {"datePublished": "2026-01-31"}))
    code = (
        "import mlcroissant\nissues = "
        "mlcroissant.Dataset('croissant.json').metadata.ctx.issues\nprint(issues.errors | "
        "issues.warnings)"
    )
    assert python(tmp_path, code, tmp_path) == "set()\n"
