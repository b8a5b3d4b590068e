"""Labels that the geometry decides: of the definition, in any shards, and in runs."""

import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vacuagym
from conftest import Workspace
from vacuagym.checks import kklt_rows as checks
from vacuagym.checks.check import Check, Thresholds
from vacuagym.checks.kklt.label_rows import disagreements
from vacuagym.checks.label_checks import _balance_checks, _Counts
from vacuagym.cli.main import main
from vacuagym.config import checked_config
from vacuagym.errors import ConfigError, InputError, MemoryDeclarationError
from vacuagym.inspection.row_geometry import OF_LABEL, OF_POINT
from vacuagym.stages.label_threefolds import label_threefolds
from vacuagym.stages.plan import plan
from vacuagym.stages.threefolds import ThreefoldColumns, threefolds
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.label_table import FILE_COLUMNS, SCHEMA, STABILITY, widened
from vacuagym.tables.parquet import METADATA_KEY
from vacuagym.tables.plan import Plan
from vacuagym.theories.kklt import label_rows as theory
from vacuagym.theories.registry import THEORIES

# Weight systems of the Kreuzer-Skarke list, one twice in another order, and rows that are no
# threefolds. The mirrors of the first ones have few moduli, that of the quintic has 101.
WEIGHTS = [
    *("84 12 13 15 19 25", "85 13 15 16 17 24", "84 6 13 19 21 25", "84 9 15 16 20 24"),
    *("66 9 10 11 16 20", "78 7 8 15 22 26", "84 25 19 15 13 12", "78 9 10 14 19 26"),
    *("84 8 11 13 20 32", "8 1 2 2 3 0 0  24 2 3 0 0 7 12", "5 1 1 1 1 1"),
    *("9 1 3 2 3 0 0  38 6 19 0 0 8 5", None, "7 1 1 1 1 1"),
]
TWICE = (0, 6)
SECTIONS = {"kklt": {"w0": 1e-8, "panel": [1e-2, 1e-40], "max_bases": 2**20}}
ROWS = "vacuagym.theories.kklt.label_rows"


def geometry(folder, side="mirror", shard_size=1000, divisors=20, weights=WEIGHTS):
    """The files of computed geometry of the weight systems, one a shard."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": range(len(weights)), "w": weights}), folder / "t.parquet")
    columns = ThreefoldColumns("weight_systems", ["w"], side, divisors=divisors, full=2)
    table = FeatureTable(folder / "t.parquet", "id", carried=columns.content)
    how = {"shard_size": shard_size, "n_limit": None, "origin": "here"}
    plan("t", table, output=folder / "plan.json", **how)
    paths = []
    for shard in Plan.read(folder / "plan.json").shards:
        paths.append(folder / f"{shard.first}.parquet")
        threefolds(Plan.read(folder / "plan.json"), shard.first, columns, "f", paths[-1])
    return paths


def labelled(path, sections=SECTIONS, name="labels.parquet", granted=None):
    output = path.with_name(f"{path.stem}-{name}")
    label_threefolds(ROWS, path, sections, fingerprint="f", granted_mb=granted, output=output)
    return output


@pytest.mark.parametrize("side", ["weights", "mirror"])
def test_labels_are_those_of_the_definition(tmp_path, side):
    (path,) = geometry(tmp_path, side)
    rows = pq.read_table(labelled(path)).to_pylist()
    beside = pq.read_table(path).to_pylist()
    assert [row["geometry_id"] for row in rows] == list(range(len(WEIGHTS)))
    for row, own in zip(rows, beside, strict=True):
        assert disagreements(row, SECTIONS, own) == [], row["key"]
        assert row["n_moduli"] == row["moduli"] == own["h11"]
        assert (row["stability"] is None) == (own["points"] is None or not own["favourable"])
    assert rows[-1]["kklt_reason"] == rows[-2]["kklt_reason"] == "no_geometry"
    one, other = (dict(rows[i], key=0, geometry_id=0) for i in TWICE)
    assert one == other
    if side == "mirror":
        found = [row["stability"] for row in rows]
        assert {*found} == {"no_span", "no_point", "boundary", "point", None}
        for label in ("no_span", "no_point", "boundary", "point"):
            place = found.index(label)
            altered = rows[place] | {"stability": "point" if label != "point" else "boundary"}
            assert disagreements(altered, SECTIONS, beside[place]), label


def test_equal_polytopes_are_labelled_once_and_rows_of_any_shards_are_the_same(
    tmp_path, monkeypatch
):
    seen = []
    real = theory.label_batch
    monkeypatch.setattr(
        theory,
        "label_batch",
        lambda points, *a, **k: (seen.append(len(points)), real(points, *a, **k))[1],
    )
    (whole,) = geometry(tmp_path / "whole")
    together = pq.read_table(labelled(whole))
    distinct = {row["geometry_hash"] for row in pq.read_table(whole).to_pylist() if row["points"]}
    assert sum(seen) == len(distinct) == len(WEIGHTS) - 4
    parts = [labelled(path) for path in geometry(tmp_path / "parts", shard_size=3)]
    assert len(parts) == 5
    assert pa.concat_tables([pq.read_table(path) for path in parts]).equals(together)
    monkeypatch.setattr("vacuagym.stages.label_threefolds._WINDOW_ROWS", 1)
    monkeypatch.setattr("vacuagym.stages.label_threefolds._KEPT_BYTES", 0)
    assert pq.read_table(labelled(whole, name="small.parquet")).equals(together)


def test_the_limit_on_bases_leaves_rows_without_a_label(tmp_path):
    (path,) = geometry(tmp_path)
    few = {"kklt": SECTIONS["kklt"] | {"max_bases": 8}}
    rows = pq.read_table(labelled(path, few)).to_pylist()
    cut = [row for row in rows if row["kklt_reason"] == "too_many_bases"]
    assert cut
    for row in cut:
        everything = row["kklt_num_rigid"] == row["n_moduli"] + 4
        assert row["stability"] == ("point" if everything else None)
        assert row["kklt_num_candidates"] is None


def test_files_that_hold_no_geometry_of_polytopes_are_refused(tmp_path):
    (path,) = geometry(tmp_path)
    pq.write_table(pa.table({"id": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: not computed geometry of polytopes"):
        labelled(tmp_path / "other.parquet")
    with pytest.raises(MemoryDeclarationError):
        labelled(path, granted=100)


def test_rows_of_a_label_file_fit_into_the_table_of_all_theories(tmp_path):
    (path,) = geometry(tmp_path)
    (batch,) = pq.ParquetFile(labelled(path)).iter_batches()
    assert batch.schema.names == [column.name for column in FILE_COLUMNS["kklt"]]
    wide = widened(batch, "kklt")
    given, found = batch.to_pylist(), wide.to_pylist()
    for one, row in zip(given, found, strict=True):
        assert row == dict.fromkeys(wide.schema.names) | one | {"theory": "kklt"}
    assert wide.column("stability").dictionary.to_pylist() == list(STABILITY)


def test_every_theory_of_the_registry_is_one_of_the_configuration():
    names = checked_config({"datasets": {"t": {"source": "toric_bases"}}})["datasets"]["t"]
    assert names["theory"] == "toy"
    for name, own in THEORIES.items():
        entry = {"source": "weight_systems", "theory": name}
        config = checked_config({"datasets": {"t": entry}})
        assert set(own.sections) <= set(config)
        assert set(own.classes) <= set(STABILITY)
        assert name == own.name
        assert all(column.name.startswith(f"{name}_") for column in own.columns)
    assert STABILITY[:7] == tuple(THEORIES["toy"].classes)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"source": "toric_bases"}, "weight_systems and polytopes only"),
        ({"source": "table", "path": "t", "id": "i"}, "weight_systems and polytopes only"),
        (
            {"source": "cicy", "path": "t", "id": "i", "matrix": "m", "moduli": None},
            "a CICY has no rigid",
        ),
        ({"source": "weight_systems", "geometry": {"divisors": 0}}, "geometry.divisors is 0"),
        ({"source": "weight_systems", "moduli": "h21"}, "n = h11"),
    ],
    ids=lambda value: value["source"] if isinstance(value, dict) else "",
)
def test_data_sets_without_what_the_theory_needs_are_refused(entry, told):
    checked_config({"datasets": {"t": entry | ({"geometry": {}} if "geometry" in entry else {})}})
    with pytest.raises(ConfigError, match=told):
        checked_config({"datasets": {"t": entry | {"theory": "kklt"}}})


def test_couplings_are_published_only_if_some_theory_draws_them():
    config = {"datasets": {"t": {"source": "weight_systems", "theory": "kklt"}}}
    with pytest.raises(ConfigError, match=r"publish\.potential: no data set has the theory toy"):
        checked_config(config | {"publish": {"potential": True}})


def configured(workspace: Workspace) -> Workspace:
    """Weight systems with KKLT labels beside a table with toy labels."""
    workspace.table("toy.parquet", np.arange(12), np.arange(12) % 4 + 2)
    workspace.table("w.parquet", np.arange(60), weights=pa.array((WEIGHTS * 5)[:60]))
    of_user = {"id": "id", "path": "toy.parquet", "moduli": "moduli"}
    kklt = {
        "source": "weight_systems",
        "path": "w.parquet",
        "id": "id",
        "weights": "weights",
        "side": "mirror",
        "columns": ["weights", "geometry_hash", *OF_LABEL, *OF_POINT],
    }
    workspace.configure(
        {
            "toy": {"source": "table", **of_user},
            "w": {**kklt, "theory": "kklt", "geometry": {"divisors": 20, "full": 2}},
        },
        n_limit=60,
        shard_size=20,
        verify={"least": 20, "per_label": 2},
        search={"n_samples": 1, "n_restarts": 1},
    )
    return workspace


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Workspace:
    workspace = configured(Workspace(tmp_path_factory.mktemp("both")))
    workspace.snakemake()
    return workspace


def published(both, folder, without=(), **values):
    """Copy the published data set of a run without some columns, and with other values."""
    shutil.copytree(both.folder / "results/dataset", folder, dirs_exist_ok=True)
    for path in folder.glob("data/labels/*.parquet"):
        table = pq.read_table(path)
        kept = table.drop_columns([name for name in without if name in table.column_names])
        for name, value in values.items():
            place = kept.column_names.index(name)
            kept = kept.set_column(place, name, pa.array([value] * len(kept)))
        pq.write_table(kept.replace_schema_metadata(metadata_of(path)), path)


def metadata_of(path):
    """Return the metadata of a file of the pipeline, without the digests of its values."""
    return {METADATA_KEY: pq.ParquetFile(path).metadata.metadata[METADATA_KEY]}


def check_rebuilt(row, potential):
    """The potential has the vacuum of the row, and the label is computed again."""
    n, point = potential.n, potential.point
    assert n == row["n_moduli"]
    assert point[:n].tolist() == row["kklt_kaehler"]
    assert potential.value(point) == pytest.approx(-(10.0 ** row["kklt_log10_v_ads"]), rel=1e-9)
    size = np.abs(point[:n]).max()
    assert np.abs(potential.gradient(point[None])).max() * size < 1e-6 * abs(potential.value(point))
    assert potential.hessian(np.array([point] * 3)).shape == (3, 2 * n, 2 * n)
    assert np.abs(potential.covariant_derivative(point)).max() < 1e-9 * 1e-8
    assert (potential.curves @ point[:n] > 0).all()
    for name, value in potential.labels.items():
        assert np.array_equal(np.asarray(value), np.asarray(row[name])), name


def rows_of(workspace: Workspace) -> dict[str, dict]:
    return {row["key"]: row for row in workspace.labels().to_pylist()}


class TestRun:
    def test_the_table_has_the_labels_of_both_theories(self, both):
        rows = rows_of(both)
        assert len(rows) == 72
        for key, row in rows.items():
            assert row["theory"] == ("toy" if key.startswith("toy:") else "kklt")
            own = "kklt_" if row["theory"] == "toy" else "trials_"
            assert all(row[name] is None for name in row if name.startswith(own))
        assert rows["w:0"]["stability"] == rows["w:14"]["stability"] is not None
        (path,) = geometry(both.folder / "again", weights=(WEIGHTS * 5)[:60])
        again = pq.read_table(labelled(path)).to_pylist()
        for row in again:
            found = rows[f"w:{row['geometry_id']}"]
            assert all(found[name] == row[name] for name in row if name not in ("key", "dataset"))

    def test_rows_without_a_label_are_in_no_split_and_in_no_share(self, both):
        rows = rows_of(both)
        without = {key for key, row in rows.items() if row["stability"] is None}
        assert without
        for path in sorted((both.folder / "results/splits").glob("*.parquet")):
            assert not without & set(pq.read_table(path)["key"].to_pylist()), path
        document = json.loads((both.folder / "results/validation.json").read_text())
        figures = document["labels"]["w"]
        assert figures["rows"] == 60 - len(without) == sum(figures["by_label"].values())
        assert sum(figures["without_label"].values()) == len(without)
        assert document["verdict"]["passed"]
        assert (both.folder / "results/splits/ood_euler.parquet").exists()

    def test_no_split_tests_a_theory_by_the_labels_of_another(self, both):
        names = {path.stem for path in (both.folder / "results/splits").glob("*.parquet")}
        assert names == {"iid", "ood_complexity", "ood_hodge", "ood_euler"}

    def test_the_status_of_a_finished_run_misses_nothing(self, both, capsys, monkeypatch):
        monkeypatch.chdir(both.folder)
        os.utime("results/verification/w.json", (1e9, 1e9))  # it need not wait for the labels
        assert main(["status"]) == 0
        assert "all done; look at results/report.html" in capsys.readouterr().out

    def test_load_explain_and_rebuild(self, both, capsys, monkeypatch):
        monkeypatch.chdir(both.folder)
        frame = vacuagym.load(dataset="w", split="iid")
        assert set(frame["theory"]) == {"kklt"}
        assert main(["explain", "w:1", "--config=mine.yaml"]) == 0
        text = capsys.readouterr().out
        row = rows_of(both)["w:1"]
        assert f"label: {row['stability']}" in text
        assert f"{row['kklt_num_rigid']} of them rigid" in text
        assert "the table agrees with other code" in text
        span = next(row for row in rows_of(both).values() if row["stability"] == "no_span")
        assert main(["explain", span["key"], "--config=mine.yaml"]) == 0
        assert f"< {span['n_moduli']}; a class of curves meets none" in capsys.readouterr().out
        assert main(["explain", "w:12", "--config=mine.yaml"]) == 0
        assert "no label: the row is no threefold" in capsys.readouterr().out
        with pytest.raises(ValueError, match="the theory kklt draws nothing"):
            vacuagym.rebuild("w:1", "mine.yaml", draw=1)
        with pytest.raises(InputError, match="no drawn potential"):
            vacuagym.potentials(["w:1"])
        card = (both.folder / "results/dataset/README.md").read_text()
        assert "no_span" in card
        assert "kklt_v" in card
        assert "KKLT" in (both.folder / "results/report.html").read_text()

    def test_potentials_are_rebuilt_at_the_exact_points(self, both):
        vacua = [row for row in rows_of(both).values() if row["kklt_kaehler"]]
        assert vacua
        for row in vacua[:4]:
            check_rebuilt(row, vacuagym.rebuild(row["key"], folder=both.folder))
        with pytest.raises(ValueError, match=r"fields: shape \(3,\)"):
            vacuagym.rebuild(vacua[0]["key"], folder=both.folder).value(np.zeros(3))

    def test_rows_without_a_point_say_which_column_tells_why(self, both, tmp_path):
        rows = rows_of(both).values()
        shutil.copytree(both.folder / "results/geometry", tmp_path / "results/geometry")
        point = next(row for row in rows if row["kklt_kaehler"])
        lost = {"kklt_vacuum": "lost", "kklt_cause": "fold", "kklt_kaehler": None}
        given = {
            "kklt_reason is no_geometry": next(
                r for r in rows if r["kklt_reason"] == "no_geometry"
            ),
            "stability is no_span": next(r for r in rows if r["stability"] == "no_span"),
            "kklt_num_points is null: h11 =": next(
                r for r in rows if r["stability"] == "point" and r["kklt_num_points"] is None
            ),
            "kklt_toric is outside": point | {"kklt_toric": "outside"},
            "kklt_vacuum is lost, kklt_cause is fold": point | lost,
            "kklt_signs are no super": point | {"kklt_signs": [-x for x in point["kklt_signs"]]},
            "kklt_kaehler and kklt": point | {"kklt_kaehler": [*point["kklt_kaehler"], 1.0]},
        }
        assert len({*given}) == 7
        table, about = both.labels(), metadata_of(both.folder / "results/labels.parquet")
        for told, row in given.items():
            one = pa.Table.from_pylist([row], schema=table.schema)
            path = tmp_path / "results/labels.parquet"
            pq.write_table(one.replace_schema_metadata(about), path)
            with pytest.raises(InputError, match=f"{row['key']}: .*{told}"):
                vacuagym.rebuild(row["key"], folder=tmp_path)

    @pytest.mark.parametrize(
        ("without", "rebuilt"),
        [
            ((), True),
            (("weights",), True),
            ((*OF_LABEL, *OF_POINT), True),
            (("weights", "kaehler_point"), False),
            (("weights", "points", "basis"), None),
        ],
    )
    def test_a_published_data_set_is_rebuilt_from_its_columns(
        self, both, tmp_path, without, rebuilt
    ):
        published(both, tmp_path, without)
        row = next(row for row in rows_of(both).values() if row["kklt_kaehler"])
        if rebuilt:
            check_rebuilt(row, vacuagym.rebuild(row["key"], folder=tmp_path))
            return
        lacks = "lacks basis, charges" if rebuilt is False else "nor the columns weights or vert"
        with pytest.raises(InputError, match=rf"(?s){row['key']}: .*{lacks}.*datasets\.w\.columns"):
            vacuagym.rebuild(row["key"], folder=tmp_path)

    @pytest.mark.parametrize(
        ("without", "told"),
        [
            ((), ": inside: minimum of f"),
            ((*OF_LABEL, *OF_POINT), ": inside: minimum of f"),
            (("weights", "basis"), "note: the data set lacks basis, charges, kaehler_point, euler"),
        ],
    )
    def test_a_published_data_set_is_explained_from_its_columns(
        self, both, tmp_path, capsys, without, told
    ):
        published(both, tmp_path, without)
        known = [row for row in rows_of(both).values() if row["stability"] is not None]
        point = next(row for row in known if row["kklt_kaehler"])
        assert main(["explain", point["key"], f"--labels={tmp_path}"]) == 0
        text = capsys.readouterr().out
        assert told.removeprefix(": ") in text
        assert ("minimum of f" in text) == (told[0] == ":")
        parts = {
            "no_span": "< {n}; a class of curves meets none of them",
            "no_point": " < 0\n",
            "boundary": "has volume 0",
            "point": "all positive",
        }
        for label, part in parts.items():
            row = next(row for row in known if row["stability"] == label)
            assert main(["explain", row["key"], f"--labels={tmp_path}"]) == 0
            assert part.format(n=row["n_moduli"]) in capsys.readouterr().out

    def test_a_lie_in_a_published_data_set_is_noticed(self, both, tmp_path, capsys):
        row = next(row for row in rows_of(both).values() if row["kklt_kaehler"])
        published(both, tmp_path, (*OF_LABEL, *OF_POINT), kklt_num_candidates=77)
        assert main(["explain", row["key"], f"--labels={tmp_path}"]) == 1
        assert "num_candidates: 77 in the row" in capsys.readouterr().err

    def test_published_weights_of_another_geometry_are_refused(self, both, tmp_path):
        row = next(row for row in rows_of(both).values() if row["kklt_kaehler"])
        published(both, tmp_path, (*OF_LABEL, *OF_POINT), weights="5 1 1 1 1 1")
        with pytest.raises(InputError, match="column weights: no side has h11 = 2"):
            vacuagym.rebuild(row["key"], folder=tmp_path)
        published(both, tmp_path, (*OF_LABEL, *OF_POINT), weights="85 13 15 16 17 24")
        other = next(row for row in rows_of(both).values() if row["key"] == "w:0")
        with pytest.raises(InputError, match="column weights: no side has h11 = 2"):
            vacuagym.rebuild(other["key"], folder=tmp_path)
        published(both, tmp_path, (*OF_LABEL, *OF_POINT), weights="7 1 1 1 1 1")
        with pytest.raises(InputError, match="column weights: "):
            vacuagym.rebuild(row["key"], folder=tmp_path)

    def test_settings_of_one_theory_leave_the_labels_of_the_other(self, both, workspace):
        shutil.copytree(both.folder, workspace.folder, dirs_exist_ok=True)

        def times():
            files = (workspace.folder / "results/labels").glob("*/*.parquet")
            return {path: path.stat().st_mtime_ns for path in files}

        before = times()
        workspace.snakemake("--config", "kklt={max_bases: 1000}", target="results/labels.parquet")
        after = times()
        changed = {path for path in before if before[path] != after[path]}
        assert {path.parent.name for path in changed} == {"w"}
        assert len(changed) == 3
        more = ["kklt={max_bases: 1000}", "search={n_samples: 2}"]
        workspace.snakemake("--config", *more, target="results/labels.parquet")
        last = times()
        assert {path.parent.name for path in last if last[path] != after[path]} == {"toy"}


def test_a_killed_run_resumes_with_the_same_labels(workspace, both):
    configured(workspace)
    run = subprocess.Popen(
        workspace.command(target="results/labels.parquet"),
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not workspace.files("labels/w/*.parquet") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert workspace.files("labels/w/*.parquet")
    assert not workspace.files("labels.parquet")
    workspace.snakemake(target="results/labels.parquet")
    found, expected = rows_of(workspace), rows_of(both)
    assert [found[key] for key in found if key.startswith("w:")] == [
        expected[key] for key in expected if key.startswith("w:")
    ]


@pytest.mark.parametrize(("theory_name", "passes"), [("toy", False), ("kklt", True)])
def test_one_label_for_nearly_all_rows_fails_only_where_chance_decides(theory_name, passes):
    counts = _Counts(theory_name)
    label = {"toy": "saddle", "kklt": "point"}[theory_name]
    counts.by_n[5, STABILITY.index(label)] = 400
    counts.by_n[5, STABILITY.index("failed")] = 0
    checks = {c.name: c for c in _balance_checks({"t": counts}, Thresholds(0.95, 0.001, 0.02))}
    assert checks["balance of t"].passed == passes
    assert checks["balance of t"].found == 1.0
    if passes:
        assert "nearly all rows are point" in checks["balance of t"].meaning
    nothing = _Counts(theory_name)
    (check,) = _balance_checks({"t": nothing}, Thresholds(0.95, 0.001, 0.02))
    assert not check.passed


def test_rows_that_break_a_check_of_the_theory_are_named(tmp_path):
    (path,) = geometry(tmp_path)
    (batch,) = pq.ParquetFile(labelled(path)).iter_batches()
    good = widened(batch, "kklt").to_pylist()
    point = next(row for row in good if row["stability"] == "point")
    unlabelled = next(row for row in good if row["kklt_reason"] == "out_of_range")
    broken = {
        "kklt moduli": point | {"n_moduli": point["moduli"] + 1},
        "kklt reasons": unlabelled | {"kklt_reason": None},
        "kklt counts": point | {"stability": "no_point"},
        "kklt volumes": point | {"kklt_v": [0, *point["kklt_v"][1:]]},
    }
    assert broken.keys() == checks.MEANINGS.keys()
    for name, row in {"": point, **broken}.items():
        found = {check: Check(check, "") for check in checks.MEANINGS}
        checks.check_rows(pa.RecordBatch.from_pylist([row], SCHEMA), SECTIONS, found)
        assert (
            found[name].examples == [row["key"]]
            if name
            else all(check.passed for check in found.values())
        )
