"""The reading interface gives what a join by hand of the published files gives."""

import shutil
from pathlib import Path

import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vacuagym
from vacuagym.errors import InputError
from vacuagym.stages.dataset import dataset
from vacuagym.tables.label_table import CATEGORIES, SCHEMA, THEORY_OF
from vacuagym.tables.split_schema import FOLDS

SPLITS = ("iid", "ood_complexity", "ood_dataset_a")


@pytest.fixture(scope="module")
def folder(labelled_run, tmp_path_factory) -> Path:
    """A copy of the results of a run with a published data set."""
    copy = tmp_path_factory.mktemp("results") / "copy"
    shutil.copytree(labelled_run, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(copy)
        dataset(
            Path("results/labels.parquet"),
            [Path(f"results/splits/{name}.parquet") for name in SPLITS],
            [Path(f"results/features/{name}.parquet") for name in ("a", "b")],
            validation=Path("results/validation.json"),
            configuration=Path("results/configuration.json"),
            output=Path("results/dataset"),
            potential=True,
        )
    return copy


def by_hand(folder: Path) -> pd.DataFrame:
    """Labels and features, joined by pandas."""
    labels = pd.read_parquet(folder / "results/labels.parquet")
    features = [pd.read_parquet(folder / f"results/features/{name}.parquet") for name in "ab"]
    joined = pd.concat([table.filter(regex="^[^_]") for table in features])
    return labels.merge(joined, on="key", how="left")


def plain(value):
    """A value that equals itself: lists for arrays, None for what is missing."""
    if hasattr(value, "tolist") or isinstance(value, list):
        return list(value)
    return None if pd.isna(value) else value


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    rows = [
        {name: [plain(value) for value in frame[name]] for name in frame.columns}
        for frame in (found, expected)
    ]
    assert rows[0] == rows[1]


def test_all_rows_of_a_run_with_their_features(folder):
    found = vacuagym.load(folder / "results")
    expected = by_hand(folder)
    assert len(found) == 90
    assert set(found.columns) == {*SCHEMA.names, "euler", "weights", "kind", "only_b"}
    same(
        found[["key", "moduli", "stability", "euler", "kind", "only_b", "weights"]],
        expected[["key", "moduli", "stability", "euler", "kind", "only_b", "weights"]],
    )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("fold", [None, *FOLDS])
@pytest.mark.parametrize("name", [None, "a", "b"])
def test_rows_of_a_split_of_a_run_and_of_its_data_set(folder, split, fold, name):
    folds = pd.read_parquet(folder / f"results/splits/{split}.parquet")
    expected = by_hand(folder).merge(folds[["key", "fold", "train_share"]], on="key")
    expected = expected[(expected.fold == fold) | (fold is None)]
    expected = expected[(expected.dataset == name) | (name is None)]
    columns = ["key", "fold", "train_share", "stability", "euler"]
    found = vacuagym.load(folder / "results", name, split, fold, columns)
    same(found, expected[columns])
    published = vacuagym.load(folder / "results/dataset", name, split, fold, columns)
    same(published.sort_values("key"), expected[columns].sort_values("key"))


def test_categories_are_kept_in_their_order(folder):
    for place in (folder / "results", folder / "results/dataset"):
        found = vacuagym.load(place, split="iid")
        of_toy = {c: CATEGORIES[c] for c in CATEGORIES if THEORY_OF.get(c) in (None, "toy")}
        for column, categories in {**of_toy, "fold": FOLDS}.items():
            assert tuple(found[column].cat.categories) == categories


def test_a_stream_is_taken_by_other_libraries(folder):
    arguments = {"split": "iid", "columns": ["key", "stability", "euler"]}
    reader = vacuagym.scan(folder / "results", **arguments)
    assert isinstance(reader, pa.RecordBatchReader)
    table = polars.from_arrow(reader.read_all())
    assert table["key"].to_list() == vacuagym.load(folder / "results", **arguments)["key"].tolist()
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("stream", vacuagym.scan(folder / "results", **arguments))
    assert connection.execute("SELECT count(*) FROM stream").fetchone() == (table.height,)


def test_a_stream_holds_a_batch_at_a_time(folder, monkeypatch):
    monkeypatch.setattr("vacuagym.tables.parquet.BATCH_ROWS", 7)
    reader = vacuagym.scan(folder / "results", split="iid", columns=["key", "euler"])
    sizes = [len(batch) for batch in reader]
    assert max(sizes) <= 7
    assert sum(sizes) == len(pq.read_table(folder / "results/splits/iid.parquet"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"results": "nowhere"}, "holds neither"),
        ({"dataset": "c"}, "no data set 'c'; there are a, b"),
        ({"split": "odd"}, "no split 'odd'; there are iid, ood_complexity"),
        ({"split": "potential"}, "no split 'potential'"),
        ({"split": "iid", "fold": "val"}, "no fold 'val'; there are train, validation, test"),
        ({"fold": "test"}, "name the split too"),
        ({"columns": ["key", "T"]}, "no column 'T'"),
        ({"columns": ["fold"]}, "name a split"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_by_name(folder, arguments, told):
    for place in ("results", "results/dataset"):
        with pytest.raises(InputError, match=told.replace("(", r"\(")):
            vacuagym.load(**{"results": folder / place, **arguments})


def test_features_of_other_rows_are_refused(folder, tmp_path):
    shutil.copytree(folder / "results", tmp_path / "results")
    path = tmp_path / "results/features/b.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(list(range(len(table)))[::-1]), path)
    with pytest.raises(InputError, match="not the rows of"):
        vacuagym.load(tmp_path / "results")


def test_everything_that_users_call_is_listed():
    assert {"load", "scan", "potentials", "explain", "rebuild"} <= set(dir(vacuagym))
    for name in ("load", "scan", "potentials", "explain", "rebuild"):
        assert callable(getattr(vacuagym, name))
