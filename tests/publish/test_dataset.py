"""The published data set: each configuration has every usable row once, with the columns of its
geometry. The data set is whole or absent.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import vacuagym
from conftest import ROOT
from vacuagym.errors import ConfigError, InputError, VacuagymError
from vacuagym.publish import fold_files, joined_rows, layout
from vacuagym.stages.dataset import dataset
from vacuagym.tables.label_table import COLUMNS as TABLE
from vacuagym.tables.label_table import THEORY_OF
from vacuagym.tables.parquet import file_metadata
from vacuagym.theories.toy.meanings import MEANINGS, OF_WHAT, label_groups

COLUMNS = [column for column in TABLE if THEORY_OF.get(column.name) in (None, "toy")]

FOLDS = ("train", "validation", "test")
HOSTILE = 'a|b`<script>\n---\nx: [1, "&id001"] {{7*7}} é\t#'


@pytest.fixture
def inputs(labelled_run, tmp_path, monkeypatch) -> Path:
    """A copy of the results of a run, and the working directory in it."""
    shutil.copytree(labelled_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def publish(
    splits=("iid", "ood_complexity", "ood_dataset_a"),
    features=("a", "b"),
    output="results/dataset",
    published=None,
    potential=False,
) -> Path:
    dataset(
        Path("results/labels.parquet"),
        [Path(f"results/splits/{name}.parquet") for name in splits],
        [Path(f"results/features/{name}.parquet") for name in features],
        validation=Path("results/validation.json"),
        configuration=Path("results/configuration.json"),
        output=Path(output),
        published=published,
        potential=potential,
    )
    return Path(output)


def rows_of(folder: Path, name: str, fold: str) -> list[dict]:
    return [row for path in files_of(folder, name, fold) for row in pq.read_table(path).to_pylist()]


def files_of(folder: Path, name: str, fold: str) -> list[Path]:
    """The files of a fold that the head of the card names, in their order."""
    configurations = {
        entry["config_name"]: entry["data_files"] for entry in head(folder)["configs"]
    }
    patterns = {files["split"]: files["path"] for files in configurations[name]}
    return sorted(folder.glob(patterns[fold])) if fold in patterns else []


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rewrite(path, change) -> None:
    """Change a table of the run and keep what it says about itself."""
    path = Path(path)
    metadata = pq.ParquetFile(path).metadata.metadata or {}
    table = change(pq.read_table(path))
    pq.write_table(
        table.replace_schema_metadata({b"vacuagym": metadata.get(b"vacuagym", b"{}")}), path
    )


def refold(path, change) -> None:
    """Change the rows of a split and let it tell its new sizes."""
    rewrite(path, change)
    table = pq.read_table(path)
    about = file_metadata(pq.ParquetFile(path)) | {
        "folds": {fold: table["fold"].to_pylist().count(fold) for fold in FOLDS}
    }
    pq.write_table(table.replace_schema_metadata({b"vacuagym": json.dumps(about).encode()}), path)


def add_column(path, name, values) -> None:
    rewrite(path, lambda table: table.append_column(name, values))


# --------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("name", ["iid", "ood_complexity", "ood_dataset_a"])
def test_every_row_of_a_split_is_in_its_fold_once_with_all_columns_of_its_label(inputs, name):
    folder = publish()
    labels = {row["key"]: row for row in pq.read_table("results/labels.parquet").to_pylist()}
    expected = {
        row["key"]: row["fold"]
        for row in pq.read_table(f"results/splits/{name}.parquet").to_pylist()
    }
    found = {}
    for fold in FOLDS:
        for row in rows_of(folder, name, fold):
            assert row["key"] not in found
            found[row["key"]] = fold
            label = labels[row["key"]]
            assert all(row[column.name] == label[column.name] for column in COLUMNS)
    assert found == expected
    assert set(found.values()) > {"train"}


def test_features_are_joined_to_their_key_and_null_where_a_data_set_has_none(inputs):
    folder = publish()
    rows = [row for fold in FOLDS for row in rows_of(folder, "iid", fold)]
    assert {row["dataset"] for row in rows} == {"a", "b"}
    assert len({(row["dataset"], row["namespace"]) for row in rows}) == 3
    for row in rows:
        own = {name: row[name] for name in ("euler", "weights", "kind", "only_b")}
        offset = {"w5.ip.gz": 0, "a:b:1": 1000, None: 5000}[row["namespace"]]
        if row["dataset"] == "a":
            place = row["geometry_id"] + offset
            assert own == {
                "euler": -6 * place,
                "weights": [place, place + 1],
                "kind": f"k{place % 3}",
                "only_b": None,
            }
        else:
            assert own == {
                "euler": row["geometry_id"] + 0.5,
                "weights": None,
                "kind": None,
                "only_b": row["geometry_id"] % 2 == 0,
            }


def test_internal_columns_of_feature_files_are_not_published(inputs):
    assert "_h11" in pq.read_schema("results/features/a.parquet").names
    folder = publish()
    names = pq.read_schema(files_of(folder, "iid", "train")[0]).names
    assert names == [
        *(column.name for column in COLUMNS),
        *(
            f"{what}_{split}"
            for split in ("iid", "ood_complexity", "ood_dataset_a")
            for what in ("fold", "train_share")
        ),
        "euler",
        "weights",
        "kind",
        "only_b",
    ]


def test_rows_that_a_split_leaves_out_are_left_out(inputs):
    kept = pa.array([i % 5 != 2 for i in range(len(pq.read_table("results/splits/iid.parquet")))])
    refold("results/splits/iid.parquet", lambda table: table.filter(kept))
    folder = publish()
    found = {row["key"] for fold in FOLDS for row in rows_of(folder, "iid", fold)}
    assert found == set(pq.read_table("results/splits/iid.parquet")["key"].to_pylist())
    of_b = [row for fold in FOLDS for row in rows_of(folder, "iid", fold) if row["dataset"] == "b"]
    assert 0 < len(of_b) < 30
    assert all(row["euler"] == row["geometry_id"] + 0.5 for row in of_b), (
        "the features that are passed over do not shift the rest"
    )


def test_train_shares_are_passed_on(inputs):
    table = pq.read_table("results/splits/iid.parquet")
    expected = dict(zip(table["key"].to_pylist(), table["train_share"].to_pylist(), strict=True))
    folder = publish()
    for name in FOLDS:
        assert all(
            row["train_share_iid"] == expected[row["key"]] for row in rows_of(folder, "iid", name)
        )
    assert set(expected.values()) > {None, 100}
    assert (
        pq.read_schema(files_of(folder, "iid", "train")[0]).field("train_share_iid").type
        == pa.int8()
    )


# -------------------------------------------------------------------------------------------- files


def test_the_couplings_of_every_row_are_those_of_its_potential(inputs):
    folder = publish(potential=True)
    stacks = vacuagym.potentials(pq.read_table("results/splits/iid.parquet")["key"].to_pylist())
    of_key = {
        key: (n, stack, place)
        for n, (keys, stack) in stacks.items()
        for place, key in enumerate(keys)
    }
    assert len(stacks) > 1
    for fold in FOLDS:
        main = {row["key"]: row for row in rows_of(folder, "iid", fold)}
        rows = rows_of(folder, "potential", fold)
        assert {row["key"] for row in rows} == set(main)
        for row in rows:
            n, stack, place = of_key[row["key"]]
            K = np.zeros((n, n))
            K[np.triu_indices(n)] = row["K"]
            np.testing.assert_array_equal(K + np.triu(K, 1).T, stack.K[place])
            np.testing.assert_array_equal(row["b"], stack.b[place])
            assert [row[name] for name in ("A", "a", "D", "p", "gamma")] == [
                getattr(stack, name)[place] for name in ("A", "a", "D", "p", "gamma")
            ]
            assert (row["delta"], row["n_moduli"], row["stability"]) == (
                stack.delta,
                n,
                main[row["key"]]["stability"],
            )


def test_a_configuration_with_couplings_changes_no_other_and_is_described(inputs):
    plain = everything(publish())
    described = everything(publish(potential=True))
    assert {
        name: data for name, data in plain.items() if name.startswith("data/")
    }.items() <= described.items()
    head = yaml.safe_load(described["README.md"].decode().split("---\n")[1])
    columns = {
        info["config_name"]: [column["name"] for column in info["features"]]
        for info in head["dataset_info"]
    }
    assert columns["potential"] == [
        "key",
        "n_moduli",
        "stability",
        "fold_iid",
        "K",
        "b",
        "A",
        "a",
        "D",
        "p",
        "gamma",
        "delta",
    ]
    records = {
        record["name"]: [field["name"] for field in record["field"]]
        for record in json.loads(described["croissant.json"])["recordSet"]
    }
    assert records["potential"] == columns["potential"]
    assert records["iid"] == columns["iid"]
    assert b"divided into training, validation and test rows in 3 ways" in described["README.md"]
    for line in described["SHA256SUMS"].decode().splitlines():
        assert line[:64] == hashlib.sha256(described[line[66:]]).hexdigest()
    assert everything(publish()) == plain


def test_couplings_are_cut_into_batches_by_their_size(inputs, monkeypatch):
    publish(potential=True)
    whole = rows_of(Path("results/dataset"), "potential", "train")
    monkeypatch.setattr(joined_rows, "bytes_of_row", lambda n: joined_rows.CHUNK_BYTES // 3)
    publish(potential=True)
    assert rows_of(Path("results/dataset"), "potential", "train") == whole


def test_every_row_is_published_once_in_a_file_named_by_its_folds(inputs):
    splits = ("iid", "ood_complexity", "ood_dataset_a")
    folder = publish()
    letters = {"train": "t", "validation": "v", "test": "e", None: "o"}
    keys = []
    for path in folder.glob("data/*/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            keys.append(row["key"])
            assert path.name[:4] == "".join(letters[row[f"fold_{name}"]] for name in splits) + "-"
    every = {
        key
        for name in splits
        for key in pq.read_table(f"results/splits/{name}.parquet")["key"].to_pylist()
    }
    assert sorted(keys) == sorted(every)
    assert {file.parent.name for file in folder.glob("data/*/*")} == {"labels"}


def test_files_are_cut_and_numbered_as_the_field_expects(inputs, monkeypatch):
    whole = {fold: rows_of(publish(splits=("iid",), output="one"), "iid", fold) for fold in FOLDS}
    monkeypatch.setattr(fold_files, "FILE_ROWS", 16)
    monkeypatch.setattr(fold_files, "ROW_GROUP", 5)
    monkeypatch.setattr(joined_rows, "_BATCH_ROWS", 7)
    folder = publish(splits=("iid",))
    for fold, letter in zip(FOLDS, "tve", strict=True):
        files = files_of(folder, "iid", fold)
        count = -(-len(whole[fold]) // 16)
        assert [path.name for path in files] == [
            f"{letter}-{i:05}-of-{count:05}.parquet" for i in range(count)
        ]
        assert [pq.ParquetFile(path).metadata.num_rows for path in files[:-1]] == [16] * (count - 1)
        assert all(file_metadata(pq.ParquetFile(path))["folds"] == [fold] for path in files)
        assert rows_of(folder, "iid", fold) == whole[fold]
    groups = pq.ParquetFile(next(folder.glob("data/labels/t-00000*"))).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [5, 5, 5, 1]


def test_more_splits_than_fit_into_the_names_of_files_give_another_copy(inputs, monkeypatch):
    one = {
        name: {fold: {row["key"] for row in rows_of(publish(), name, fold)} for fold in FOLDS}
        for name in ("iid", "ood_complexity", "ood_dataset_a")
    }
    monkeypatch.setattr(layout, "MOST_COMBINATIONS", 10)
    folder = publish()
    assert sorted(path.name for path in folder.glob("data/*")) == ["labels", "labels-2"]
    for name, folds in one.items():
        for fold, keys in folds.items():
            assert {row["key"] for row in rows_of(folder, name, fold)} == keys
            loaded = vacuagym.load(folder, split=name, fold=fold, columns=["key", "fold"])
            assert set(loaded["key"]) == keys
            assert set(loaded["fold"]) == {fold}
    monkeypatch.setattr(layout, "MOST_COMBINATIONS", 1000)
    monkeypatch.setattr(layout, "MOST_SPLITS", 1)
    assert len(list(publish().glob("data/*"))) == 3


def test_rows_too_wide_for_a_row_group_go_into_smaller_ones(inputs, monkeypatch):
    for module in (joined_rows, fold_files):
        monkeypatch.setattr(module, "CHUNK_BYTES", 5_000)
    monkeypatch.setattr(joined_rows, "_BATCH_ROWS", 4)
    groups = pq.ParquetFile(files_of(publish(splits=("iid",)), "iid", "train")[0]).metadata
    assert groups.num_row_groups > 1
    assert all(groups.row_group(i).total_byte_size < 20_000 for i in range(groups.num_row_groups))


def test_checksums_are_of_all_files_and_pass(inputs):
    folder = publish()
    names = {line[66:] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert names == set(everything(folder)) - {"SHA256SUMS"}
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    (folder / "LICENSE.md").write_text("altered")
    assert (
        subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True
        ).returncode
        == 1
    )


def test_the_same_results_give_the_same_bytes(inputs, monkeypatch):
    first = everything(publish())
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setattr("time.time", lambda: 0.0)
    document = json.loads(Path("results/validation.json").read_text())
    document["memory"] = [{"finished": 1.0, "peak_mb": 5}]
    Path("results/validation.json").write_text(json.dumps(document))
    assert everything(publish()) == first
    assert everything(publish(output="elsewhere")) == first


def test_files_of_an_earlier_data_set_are_removed_and_others_are_not(inputs, monkeypatch):
    monkeypatch.setattr(fold_files, "FILE_ROWS", 16)
    publish()
    publish(potential=True)
    (inputs / "results/dataset/data/labels/notes.txt").write_text("mine")
    (inputs / "results/dataset/mine.parquet").write_text("mine")
    (inputs / "results/dataset/data/labels/.tvt-00007-of-00009.parquet.1.tmp").write_text(
        "of a writer that was killed"
    )
    monkeypatch.setattr(fold_files, "FILE_ROWS", 1000)
    folder = publish(splits=("iid",))
    assert sorted(path.name for path in folder.glob("data/labels/*")) == [
        "e-00000-of-00001.parquet",
        "notes.txt",
        *(f"{fold}-00000-of-00001.parquet" for fold in "tv"),
    ]
    assert [path.name for path in folder.glob("data/*")] == ["labels"]
    assert (folder / "mine.parquet").exists()
    assert "mine" not in (folder / "SHA256SUMS").read_text()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {tests!r}
from vacuagym.runtime import atomic_files
import test_dataset
real, calls = os.replace, []
def replace(*names):
    calls.append(names)
    if len(calls) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*names)
os.replace = replace
test_dataset.publish()
"""


@pytest.mark.parametrize("at", [1, 4, 19, 22])
def test_a_killed_job_leaves_no_checksums_and_the_next_one_the_same_bytes(inputs, at):
    whole = everything(publish())
    assert len(whole) == 22
    code = KILLED.format(tests=[str(ROOT / "tests"), str(ROOT / "tests/publish")], at=at)
    path = os.pathsep.join([str(ROOT / "workflow"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not Path("results/dataset/SHA256SUMS").exists()
    assert everything(publish()) == whole


def test_a_job_that_fails_leaves_no_checksums_and_no_temporary_files(inputs, monkeypatch):
    publish()
    rewrite("results/features/b.parquet", lambda table: table.slice(0, len(table) - 1))
    monkeypatch.setattr(fold_files, "ROW_GROUP", 5)
    with pytest.raises(
        InputError,
        match=r"features/b.parquet: not the rows of the labels: no row where b:\d+ is due",
    ):
        publish()
    assert not Path("results/dataset/SHA256SUMS").exists()
    assert not [name for name in everything(Path("results/dataset")) if ".tmp" in name]


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (
            "results/features/a.parquet",
            lambda table: table.take(pa.array([1, 0, *range(2, len(table))])),
        ),
        ("results/features/a.parquet", lambda table: pa.concat_tables([table, table.slice(0, 1)])),
        ("results/features/b.parquet", lambda table: table.slice(1)),
        (
            "results/splits/iid.parquet",
            lambda table: table.take(pa.array([*range(1, len(table)), 0])),
        ),
        (
            "results/splits/iid.parquet",
            lambda table: table.set_column(
                0, "key", pa.array(["x", *table["key"].to_pylist()[1:]])
            ),
        ),
    ],
)
def test_files_that_do_not_belong_to_the_labels_are_refused(inputs, path, change):
    rewrite(path, change)
    with pytest.raises(InputError, match=re.escape(path)):
        publish()


def test_a_split_that_tells_other_sizes_than_it_has_is_refused(inputs):
    about = file_metadata(pq.ParquetFile("results/splits/iid.parquet"))
    table = pq.read_table("results/splits/iid.parquet")
    for size, more_or_fewer in ((fold_files.FILE_ROWS + 1, "fewer"), (0, "more")):
        told = about | {"folds": about["folds"] | {"train": size}}
        pq.write_table(
            table.replace_schema_metadata({b"vacuagym": json.dumps(told).encode()}),
            "results/splits/iid.parquet",
        )
        with pytest.raises(
            InputError,
            match=f"the split iid has {more_or_fewer} rows of the fold train than it says",
        ):
            publish()


def test_columns_of_one_name_and_types_that_do_not_fit_are_refused_with_both_data_sets(inputs):
    add_column("results/features/b.parquet", "kind", pa.array(np.arange(30)))
    with pytest.raises(
        ConfigError,
        match="'kind' has values of type string in data set a and of type int64 in data set b",
    ):
        publish()


def test_integers_that_a_number_of_another_data_set_cannot_hold_are_refused(inputs):
    large = pa.array([2**53 + 1] * 60)
    rewrite(
        "results/features/a.parquet",
        lambda table: table.set_column(table.column_names.index("euler"), "euler", large),
    )
    with pytest.raises(
        InputError, match=r"features/a.parquet: column 'euler' is published as double"
    ):
        publish()


@pytest.mark.parametrize("name", ["stability", "train_share", "fold_iid", "train_share_ood_x"])
def test_a_feature_named_like_a_column_of_the_labels_is_refused(inputs, name):
    add_column("results/features/a.parquet", name, pa.array(["?"] * 60))
    with pytest.raises(
        ConfigError, match=f"a.parquet: column '{name}' is a column of the labels too"
    ):
        publish()


def test_values_that_not_every_library_reads_are_refused(inputs):
    add_column("results/features/a.parquet", "pairs", pa.array([{"x": 1}] * 60))
    with pytest.raises(
        ConfigError,
        match="'pairs' of data set a: values of type struct<x: int64> are not published",
    ):
        publish()


def test_a_column_of_nulls_fits_any_other(inputs):
    add_column("results/features/a.parquet", "c", pa.nulls(60))
    add_column("results/features/a.parquet", "d", pa.nulls(60))
    add_column("results/features/b.parquet", "c", pa.array([[1.5]] * 30))
    schema = pq.read_schema(next(publish().glob("data/labels/*")))
    assert schema.field("c").type == pa.list_(pa.float64())
    assert schema.field("d").type == pa.string()


def test_features_of_an_unknown_data_set_are_refused(inputs):
    shutil.copy("results/features/a.parquet", "results/features/c.parquet")
    with pytest.raises(ConfigError, match=r"c.parquet: the labels have no data set 'c'"):
        publish(features=("a", "c"))


def test_results_whose_checks_failed_are_not_published(inputs):
    document = json.loads(Path("results/validation.json").read_text())
    document["verdict"] = {"passed": False, "failed": ["signs"]}
    Path("results/validation.json").write_text(json.dumps(document))
    with pytest.raises(
        VacuagymError, match="checks failed \\(signs\\); such labels are not published"
    ):
        publish()


# -------------------------------------------------------------------------------------------- texts


def head(folder: Path) -> dict:
    return yaml.safe_load(
        (folder / "README.md").read_text().split("\n---\n")[0].removeprefix("---\n")
    )


def test_the_head_of_the_card_names_files_that_exist_and_their_sizes(inputs):
    folder = publish()
    document = head(folder)
    assert [entry["config_name"] for entry in document["configs"]] == [
        "iid",
        "ood_complexity",
        "ood_dataset_a",
    ]
    assert [entry.get("default", False) for entry in document["configs"]] == [True, False, False]
    for entry, info in zip(document["configs"], document["dataset_info"], strict=True):
        sizes = {fold["name"]: fold["num_examples"] for fold in info["splits"]}
        for files in entry["data_files"]:
            found = list(folder.glob(files["path"]))
            assert (
                sizes[files["split"]]
                == sum(pq.ParquetFile(path).metadata.num_rows for path in found)
                > 0
            )
        assert info["download_size"] == sum(
            path.stat().st_size
            for files in entry["data_files"]
            for path in folder.glob(files["path"])
        )


def test_an_empty_fold_has_no_file_and_is_not_named(inputs):
    refold(
        "results/splits/ood_complexity.parquet",
        lambda table: table.filter(pa.array([f != "test" for f in table["fold"].to_pylist()])),
    )
    refold("results/splits/ood_dataset_a.parquet", lambda table: table.slice(0, 0))
    folder = publish()
    entries = {
        entry["config_name"]: [files["split"] for files in entry["data_files"]]
        for entry in head(folder)["configs"]
    }
    assert entries == {
        "iid": ["train", "validation", "test"],
        "ood_complexity": ["train", "validation"],
    }
    assert {path.name[1:3] for path in folder.glob("data/*/*")} == {"to", "vo", "oo"}


def test_the_licence_of_tables_that_were_given_is_not_claimed(inputs):
    folder = publish()
    assert (head(folder)["license"], head(folder)["license_link"]) == ("other", "LICENSE.md")
    assert "joined columns of a, b are copied from tables" in (folder / "LICENSE.md").read_text()
    assert json.loads((folder / "croissant.json").read_text())["license"] == "LICENSE.md"
    settings = json.loads(Path("results/configuration.json").read_text())
    settings["datasets"] = {name: {"source": "toric_bases"} for name in ("a", "b")}
    Path("results/configuration.json").write_text(json.dumps(settings))
    folder = publish()
    assert head(folder)["license"] == "mit"
    assert "tables" not in (folder / "LICENSE.md").read_text().split("MIT License")[0]


def test_the_card_names_licence_and_citation_of_each_source(inputs):
    settings = json.loads(Path("results/configuration.json").read_text())
    settings["datasets"]["a"] |= {"licence": "CC BY-SA 4.0", "citation": "Somebody\n[2020]."}
    Path("results/configuration.json").write_text(json.dumps(settings))
    folder = publish()
    card, licence = (folder / "README.md").read_text(), (folder / "LICENSE.md").read_text()
    assert "| `a` | table | CC BY-SA 4.0 | Somebody &#91;2020] |" in card
    assert "| `b` | table | not known here | not known here |" in card
    assert "The licence of a: CC BY-SA 4.0. The licence of b is not known here." in licence
    enumerated = {"source": "weight_systems", "path": None}
    settings["datasets"] = {"a": {"source": "toric_bases"}, "b": enumerated}
    Path("results/configuration.json").write_text(json.dumps(settings))
    card = (publish() / "README.md").read_text()
    ours = "MIT, enumerated by the pipeline"
    assert f"| `a` | toric bases | {ours} | D. R. Morrison and W. Taylor, arXiv:1204.0283 |" in card
    assert f"| `b` | weight systems | {ours} | M. Kreuzer and H. Skarke, " in card


def test_the_card_shows_the_figures_of_the_run(inputs):
    text = (publish() / "README.md").read_text()
    figures = json.loads(Path("results/validation.json").read_text())
    for name, about in figures["labels"].items():
        assert (
            f"| {name} | {about['rows']} | {' | '.join(map(str, about['by_label'].values()))} |"
            in text
        )
    for name, counts in label_groups(figures["labels"]).items():
        assert (
            f"| {name} | {sum(counts.values())} | {' | '.join(map(str, counts.values()))} |" in text
        )
    assert {"γ > 0", "γ < 0"} <= set(label_groups(figures["labels"]))
    assert OF_WHAT in text
    assert all(meaning in text for meaning in MEANINGS.values())
    for name, about in figures["splits"].items():
        folds, scores = about["folds"], about["baseline"]
        assert f"| `{name}` | {folds['train']} | {folds['validation']} | {folds['test']} |" in text
        assert (
            f" | {scores['accuracy']:.3f} | {scores['balanced_accuracy']:.3f} | "
            f"{scores['log_loss']:.3f} |" in text
        )
    for column in COLUMNS:
        assert f"| `{column.name}` |" in text
    settings = yaml.safe_load(re.search("```yaml\n(.*?)```", text, re.DOTALL)[1])
    configuration = json.loads(Path("results/configuration.json").read_text())
    assert settings == {
        name: configuration[name] for name in ("seed", "moduli", "ensemble", "search", "splits")
    }
    assert str(inputs) not in text
    assert "a.parquet" not in text


def test_no_name_of_a_column_becomes_markup_or_yaml(inputs):
    for name in (HOSTILE, "no", "1e3", "---", "a\n---\nb", "*id001", " padded "):
        add_column("results/features/a.parquet", name, pa.array(range(60)))
    folder = publish()
    text = (folder / "README.md").read_text()
    names = [feature["name"] for feature in head(folder)["dataset_info"][0]["features"]]
    assert names == pq.read_schema(files_of(folder, "iid", "train")[0]).names
    assert {HOSTILE, "no", "1e3"} < set(names)
    assert [line.strip() for line in text.split("# VacuaGym")[0].splitlines()].count("---") == 2
    body = text.split("\n---\n", 1)[1]
    assert "<script" not in body
    assert "\n---\n" not in body
    table = re.search(r"\| column \| type \| role \| meaning \|\n(.*?)\n\n", body, re.DOTALL)[
        1
    ].splitlines()
    assert len(table) == 1 + len(names)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
    document = json.loads((folder / "croissant.json").read_text())
    assert [field["name"] for field in document["recordSet"][0]["field"]] == names


def test_croissant_names_every_file_with_its_checksum(inputs):
    folder = publish()
    document = json.loads((folder / "croissant.json").read_text())
    files = {
        item["contentUrl"]: item["sha256"]
        for item in document["distribution"]
        if item["@type"] == "cr:FileObject"
    }
    assert files == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in everything(folder).items()
        if name.startswith("data/")
    }
    assert "datePublished" not in document
    assert (
        json.loads((publish(published="2026-01-31") / "croissant.json").read_text())[
            "datePublished"
        ]
        == "2026-01-31"
    )


# ----------------------------------------------------------------------------------------- workflow


COLUMN = {"source": "table", "id": "id", "columns": ["T"]}


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        (
            {"t": {**COLUMN, "path": "t.parquet"}, "u": {**COLUMN, "path": "u.parquet"}},
            "of type string in data set t and of type int64 in data set u",
        ),
        (
            {
                "t": {**COLUMN, "path": "t.parquet"},
                "fth6d": {"source": "toric_bases", "columns": ["T"]},
            },
            "of type string in data set t and of type int16 in data set fth6d",
        ),
    ],
    ids=["of two tables", "of a table and the toric bases"],
)
def test_columns_that_cannot_be_published_together_stop_a_run_before_it_starts(
    workspace, datasets, message
):
    workspace.table("t.parquet", range(5), T=["one"] * 5)
    workspace.table("u.parquet", range(5), T=[1] * 5)
    workspace.configure(datasets)
    run = workspace.snakemake(check=False)
    assert run.returncode == 2
    assert (
        f"error: data set t: column 'T' has values {message}; one type must hold both" in run.stdout
    )
    assert not workspace.files("shards/**/*")


def test_a_table_that_is_replaced_by_an_older_one_must_fit_again(workspace):
    workspace.configure({name: {**COLUMN, "path": f"{name}.parquet"} for name in ("t", "u")})
    for time, values in ((1e9, [1]), (2e9, ["one"])):
        for name in ("t.parquet", "u.parquet"):
            os.utime(workspace.table(name, range(1), T=values), (time, time))
        workspace.snakemake("--dry-run")
    os.utime(workspace.table("u.parquet", range(1), T=[1]), (1e9, 1e9))
    assert (
        "of type string in data set t and of type int64 in data set u"
        in workspace.snakemake("--dry-run", check=False).stdout
    )


def test_columns_of_other_names_or_of_types_that_fit_stop_nothing(workspace):
    workspace.table("t.parquet", range(5), T=["one"] * 5, kind=[1] * 5)
    workspace.table("u.parquet", range(5), T=[1] * 5, kind=[0.5] * 5)
    entry = {"source": "table", "id": "id"}
    workspace.configure(
        {
            "t": {**entry, "path": "t.parquet", "columns": ["T", "kind"]},
            "u": {**entry, "path": "u.parquet", "columns": ["kind"]},
        }
    )
    workspace.snakemake("--dry-run")


def test_a_table_that_is_missing_is_told_of_by_its_own_name(workspace):
    workspace.table("t.parquet", range(5), T=["one"] * 5)
    workspace.configure(
        {"t": {**COLUMN, "path": "t.parquet"}, "u": {**COLUMN, "path": "nowhere.parquet"}}
    )
    run = workspace.snakemake("--dry-run", check=False)
    assert run.returncode == 3
    assert "error: data set u: nowhere.parquet: no such file" in run.stdout


def test_the_workflow_publishes_last_and_makes_again_what_is_missing(finished):
    folder = finished.folder / "results/dataset"
    first = everything(folder)
    assert [entry["config_name"] for entry in head(folder)["configs"]] == ["iid", "ood_complexity"]
    (folder / "README.md").unlink()
    torn = next(folder.glob("data/labels/t*"))
    torn.write_bytes(torn.read_bytes()[:-9])
    said = finished.snakemake().stdout
    assert "results/dataset/SHA256SUMS: files named in it are missing" in said
    assert everything(folder) == first
    assert "nothing to be done" in finished.snakemake().stdout.lower()


def test_the_workflow_publishes_nothing_of_which_a_check_failed(two_sources):
    done = two_sources.snakemake("--config", "validation={largest_class: 0.01}", check=False)
    assert done.returncode == 1
    assert (two_sources.folder / "results/validation.json").exists()
    assert not (two_sources.folder / "results/dataset").exists()
