"""What is found in the segments of a run adds up to what one pass over all rows finds."""

import contextlib
import io
import json
import tempfile
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vacuagym.checks import split_checks
from vacuagym.checks.check import Check, Thresholds
from vacuagym.checks.split_checks import Groups
from vacuagym.errors import DamagedFileError
from vacuagym.report.histograms import Distributions, HodgeCounts
from vacuagym.splits.rules import SplitShares
from vacuagym.stages.check_segment import Found, SegmentFiles, check_segment, find, stored_segments
from vacuagym.stages.split import split
from vacuagym.stages.validate import Inputs, validate
from vacuagym.tables.label_table import CATEGORIES, SCHEMA
from vacuagym.tables.parquet import METADATA_KEY, file_metadata
from vacuagym.tables.stored import stored_files
from vacuagym.theories.registry import THEORIES

DATASETS = ("a", "b", "k")  # labelled by the toy theory, and k by the geometry
SPLITS = ("iid", "ood_complexity", "ood_hodge")
OF_GEOMETRY = 40  # rows of k
ROWS = 90 + OF_GEOMETRY
LOOSE = Thresholds(0.5, 0.01, 0.02)


def table_of(rows: list[dict]) -> pa.Table:
    """Rows of the label table; columns that a row does not name are null."""
    arrays = []
    for field in SCHEMA:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_dictionary(field.type):
            names = DATASETS if field.name == "dataset" else CATEGORIES[field.name]
            codes = pa.array([None if v is None else names.index(v) for v in values])
            codes = codes.cast(field.type.index_type)
            arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(names)))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=SCHEMA)


def rows_by_geometry() -> list[dict]:
    """Rows of the KKLT theory, some of them wrong in several ways."""
    classes = [*THEORIES["kklt"].classes, None]
    rows = []
    for number in range(OF_GEOMETRY):
        label = classes[number % len(classes)]
        row = {"key": f"k:{number}", "dataset": "k", "geometry_id": number, "theory": "kklt"}
        row |= {"stability": label, "moduli": 2 + number % 3, "n_moduli": 2 + number % 3}
        row |= {"kklt_reason": None if label else "out_of_range", "kklt_num_rigid": 5}
        rows.append(row | {"kklt_num_candidates": number % 2, "kklt_num_positive": 0})
    return rows


@pytest.fixture(scope="module")
def given_run(labelled_run, tmp_path_factory) -> Path:
    """A folder with the tables of a run of three data sets, one file each."""
    folder = tmp_path_factory.mktemp("given_run")
    toy = pq.read_table(labelled_run / "results/labels.parquet")
    table = table_of([*toy.to_pylist(), *rows_by_geometry()])
    about = file_metadata(pq.ParquetFile(labelled_run / "results/labels.parquet"))
    about["theories"] |= {"k": "kklt"}
    about["fingerprints"] |= {"k": "of k"}
    write(folder / "labels.parquet", table, about)
    dice = np.random.default_rng(4)
    names = np.array(table["dataset"].to_pylist())
    for name in DATASETS:
        own = table.filter(pa.array(names == name))
        columns = {"key": own["key"], "_h11": dice.integers(1, 20, len(own))}
        columns |= {"_h21": dice.integers(1, 600, len(own)), "_group": np.arange(len(own)) // 2}
        kinds = [("key", pa.string()), ("_h11", pa.int32()), ("_h21", pa.int32())]
        traits = pa.table(columns).cast(pa.schema([*kinds, ("_group", pa.uint64())]))
        traits = traits.drop_columns(["_h11", "_h21"]) if name == "b" else traits
        write(folder / f"features-{name}.parquet", traits, {"dataset": name})
    for name in SPLITS:
        output = folder / f"{name}.parquet"
        features = [folder / f"features-{own}.parquet" for own in DATASETS]
        shares = SplitShares(0.6, 0.2, 0.3)
        split(
            folder / "labels.parquet", name, seed=1, shares=shares, output=output, features=features
        )
    return folder


def write(path: Path, table: pa.Table, about: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(about)})
    pq.write_table(table, path, row_group_size=16)


class Cut:
    """Tables of a run in one file each, and the same rows in folders of segments.

    Parameters
    ----------
    cuts : list of int
        Rows of the label table at which a segment begins, besides the first of each data set.
    labels, splits : pa.Table, dict of pa.Table
        The tables. They may differ from those of the run in ``source``.
    """

    def __init__(self, folder, source, cuts, labels, splits) -> None:
        self.folder = folder
        about = file_metadata(pq.ParquetFile(source / "labels.parquet"))
        write(folder / "labels.parquet", labels, about)
        names = np.array(labels["dataset"].to_pylist())
        for each, table in splits.items():
            whole = file_metadata(pq.ParquetFile(source / f"{each}.parquet"))
            write(folder / f"{each}.parquet", table, whole)
        places = {key: row for row, key in enumerate(labels["key"].to_pylist())}
        untouched = pq.read_table(source / "labels.parquet")["stability"].to_pylist()
        usable = np.array([label not in (None, "failed") for label in untouched])
        for name in DATASETS:
            start, end = np.flatnonzero(names == name)[[0, -1]] + [0, 1]
            traits = pq.read_table(source / f"features-{name}.parquet")
            edges = sorted({start, end, *(cut for cut in cuts if start < cut < end)})
            for number, (low, high) in enumerate(pairwise(edges)):
                segment = f"{name}-{number:05}.parquet"
                own = {key: {name: about[key][name]} for key in ("theories", "fingerprints")}
                write(folder / f"l.parquet/{segment}", labels[low:high], about | own)
                rows = traits[low - start : high - start]
                write(folder / f"f/{name}.parquet/{segment}", rows, {"dataset": name})
                for each, table in splits.items():
                    whole = pq.ParquetFile(source / f"{each}.parquet")
                    planned, there = (
                        np.array([low <= places[key] < high for key in rows["key"].to_pylist()])
                        for rows in (whole.read(["key"]), table)
                    )
                    left = int(usable[low:high].sum() - planned.sum())
                    metadata = file_metadata(whole) | {"left_out": left}
                    rows = table.filter(pa.array(there))
                    write(folder / f"s/{each}.parquet/{segment}", rows, metadata)
        paths = ("labels.parquet", "{}.parquet", source / "features-{}.parquet")
        self.files = self._files(*(folder / path for path in paths))
        self.folders = self._files(
            *(folder / path for path in ("l.parquet", "s/{}.parquet", "f/{}.parquet"))
        )

    def _files(self, labels: Path, split_pattern: Path, traits: Path) -> SegmentFiles:
        return SegmentFiles(
            labels=labels,
            splits=[Path(str(split_pattern).format(name)) for name in SPLITS],
            features=[Path(str(traits).format(name)) for name in DATASETS],
            plans=PLANS,
            label_files=self.folder,
        )

    def pages(self, found, name: str) -> list[bytes]:
        """Validation and counts, from which alone the report is written, of what was found."""
        (self.folder / "verification.json").write_text('{"disagreements": {}}')
        inputs = Inputs(plans=PLANS, verification=self.folder / "verification.json")
        outputs = [self.folder / f"{name}.{end}" for end in ("json", "npz")]
        with contextlib.redirect_stdout(io.StringIO()):
            validate(found, inputs, LOOSE, *outputs)
        return [path.read_bytes() for path in outputs]


def plan_of(dataset: str, namespaces: bool = False) -> SimpleNamespace:
    return SimpleNamespace(dataset=dataset, rows=60, shards=(), is_scattered=namespaces)


PLANS = [plan_of(name) for name in ("k", "b", "a")]
WRONG = st.tuples(
    st.sampled_from(["stability", "phi_norm", "n_negative", "geometry_id", "fold", "lost"]),
    st.integers(0, ROWS - 1),
)


def set_value(table: pa.Table, name: str, row: int, value) -> pa.Table:
    column = table[name].combine_chunks()
    if pa.types.is_dictionary(column.type):
        codes = column.indices.to_pylist()
        codes[row] = column.dictionary.to_pylist().index(value)
        codes = pa.array(codes, column.type.index_type)
        changed = pa.DictionaryArray.from_arrays(codes, column.dictionary)
    else:
        values = column.to_pylist()
        values[row] = value
        changed = pa.array(values, column.type)
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), changed)


def altered(labels: pa.Table, splits: dict[str, pa.Table], wrong) -> tuple:
    """The tables with wrong rows; no row becomes usable or unusable."""
    for kind, row in wrong:
        if kind in ("fold", "lost"):
            table = splits["iid"]
            row %= len(table)
            fold = "test" if table["fold"][row].as_py() == "train" else "train"
            splits["iid"] = (
                set_value(table, "fold", row, fold)
                if kind == "fold"
                else pa.concat_tables([table[:row], table[row + 1 :]])
            )
        elif kind != "stability" or labels["stability"][row].as_py() not in (None, "failed"):
            values = {"stability": "saddle", "phi_norm": None, "n_negative": 7, "geometry_id": 3}
            labels = set_value(labels, kind, row, values[kind])
    return labels, splits


@given(st.sets(st.integers(1, ROWS - 1), max_size=8), st.lists(WRONG, max_size=25))
@settings(max_examples=6, deadline=None)
def test_segments_add_up_to_one_pass_to_the_byte(given_run, cuts, wrong):
    with tempfile.TemporaryDirectory() as name:
        splits = {each: pq.read_table(given_run / f"{each}.parquet") for each in SPLITS}
        labels = pq.read_table(given_run / "labels.parquet")
        cut = Cut(Path(name), given_run, cuts, *altered(labels, splits, wrong))
        one = cut.pages([find(cut.files, ROWS)], "one")
        assert cut.pages([find(cut.folders, ROWS)], "folders") == one
        with contextlib.redirect_stdout(io.StringIO()):
            for path in stored_files(cut.folders.labels):
                own = replace(
                    cut.folders,
                    labels=path,
                    splits=[each / path.name for each in cut.folders.splits],
                    features=[
                        f / path.name for f in cut.folders.features if (f / path.name).exists()
                    ],
                )
                check_segment(own, ROWS, cut.folder / f"found/{path.stem}.npz")
        found = stored_segments(cut.folders.labels, cut.folder / "found")
        assert cut.pages(found, "segments") == one
        document = json.loads(one[0])
        assert document["verdict"]["failed"]  # k has rows that are wrong
        assert sum(own["rows"] for own in document["labels"].values()) > 100
        assert document["splits"]["ood_hodge"]["folds"]["test"]


def test_a_wrong_order_across_segments_is_found(given_run, tmp_path):
    labels = pq.read_table(given_run / "labels.parquet")
    about = file_metadata(pq.ParquetFile(given_run / "labels.parquet"))
    pieces = {"b": (labels[60:75], labels[75:90]), "a": (labels[0:30], labels[30:60])}

    def order(first: pa.Table, second: pa.Table, plan) -> dict:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for number, rows in enumerate((first, second)):
            own = about | {"theories": {plan.dataset: "toy"}}
            write(folder / f"l.parquet/{plan.dataset}-{number:05}.parquet", rows, own)
        files = SegmentFiles(
            labels=folder / "l.parquet", splits=[], features=[], plans=[plan], label_files=folder
        )
        checks = find(files, 30).labels.results(LOOSE)[1]
        return next(asdict(check) for check in checks if check.name == "order")

    first, second = pieces["b"]
    assert order(first, second, plan_of("b"))["passed"]
    found = order(second, first, plan_of("b"))
    assert (found["found"], found["examples"]) == (1, first["key"][:1].to_pylist())
    assert order(first, labels[74:90], plan_of("b"))["found"] == 1
    # Of scattered namespaces each segment is sorted by itself, and the ids of segments ascend.
    a = labels[:60]
    ids = a["geometry_id"].to_numpy()
    low, high = a.filter(pa.array(ids < 15)), a.filter(pa.array(ids >= 15))
    scattered = plan_of("a", namespaces=True)
    assert order(low, high, scattered)["passed"]
    assert not order(low, high, plan_of("a"))["passed"]
    assert not order(high, low, scattered)["passed"]
    assert not order(a.filter(pa.array(ids <= 15)), high, scattered)["passed"]


PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=60)


@given(PAIRS, st.sets(st.integers(0, 60)), st.integers(1, 4))
@settings(deadline=None)
def test_groups_in_two_folds_are_found_in_segments_as_by_a_plain_loop(rows, cuts, every):
    known = split_checks._MOST_GROUPS * every
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    whole = Groups(known)
    for low, high in pairwise(edges):
        segment = Groups(known)
        for row in range(low, high):
            group, fold = rows[row]
            columns = {"_group": pa.array([group], pa.uint64()), "key": [f"t:{row}"]}
            segment.add(pa.record_batch(columns), np.array([fold]))
        whole.append(Groups.of_state(json.loads(json.dumps(segment.state, default=list_of))))
    seen: dict[int, dict[int, str]] = {}
    wrong, examples = 0, []
    for row, (group, fold) in enumerate(rows):
        if group % every == 0:
            folds = seen.setdefault(group, {})
            wrong += bool(folds) and fold != next(iter(folds))
            if folds and fold not in folds:
                examples.append(f"t:{row}")
            folds.setdefault(fold, f"t:{row}")
    (check,) = whole.check("groups") or [Check("groups", "")]
    assert (check.passed, check.found, check.examples) == (not wrong, wrong, examples[:5])


def list_of(value) -> list:
    return value.tolist()


@pytest.mark.parametrize(
    "way", [lambda b: b[:-30], lambda b: b[100:], lambda b: b"", lambda b: b"{}"]
)
def test_damaged_counts_are_named(given_run, tmp_path, way):
    path = tmp_path / "counts.npz"
    splits = {each: pq.read_table(given_run / f"{each}.parquet") for each in SPLITS}
    cut = Cut(tmp_path, given_run, [], pq.read_table(given_run / "labels.parquet"), splits)
    find(cut.files, ROWS).write(path)
    path.write_bytes(way(path.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"counts\.npz"):
        Found.read(path)


def test_a_check_adds_up_and_keeps_the_first_examples():
    first = Check("c", "statement", False, 4, ["a", "b", "c", "d"])
    first.add(Check("c", "statement"))
    first.add(Check("c", "statement", False, 9, ["e", "f"]))
    assert first == Check("c", "statement", False, 13, ["a", "b", "c", "d", "e"])


def test_counts_of_the_report_add_up_with_what_lies_outside_them():
    def counted(batches) -> Distributions:
        counts = Distributions(hodge={"d": HodgeCounts(("x",))})
        for values in batches:
            counts.barriers.add(values)
            counts.hodge["d"].add(values, values, np.zeros(len(values), int))
        return counts

    pieces = [np.array([1.0, np.nan, 600.0]), np.array([2.0, 700.0, np.nan, np.nan])]
    whole, summed = counted(pieces), Distributions()
    for piece in pieces:
        summed.append(counted([piece]))
    for counts in (summed, Distributions.of_state(summed.state)):
        assert np.array_equal(counts.barriers.counts, whole.barriers.counts)
        assert np.array_equal(counts.hodge["d"].grid, whole.hodge["d"].grid)
        assert (counts.barriers.missing, counts.hodge["d"].others) == (3, 2)
