"""Any order of adding, removing and changing data sets, limits and tables ends with the labels of
a fresh run.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conftest import Workspace
from vacuagym.config import checked_config, physics_sections
from vacuagym.stages.geometry import geometry
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.plan import plan
from vacuagym.stages.shard import shard
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan, label_file

LABELS = "results/labels.parquet"
IDS = np.arange(-15, 45)
TABLES = {  # by version: ids and counts of moduli
    "short": (IDS[:40], IDS[:40] % 4),
    "long": (IDS, IDS % 4),
    "other": (IDS, (IDS + 1) % 4),
}
ENTRIES = {
    "a": {"source": "table", "path": "a.parquet", "id": "id", "moduli": "moduli"},
    "b": {"source": "table", "path": "b.parquet", "id": "id", "moduli": "moduli"},
    "bases": {"source": "toric_bases"},
}
LIMITS = (3, 21, 40)


def put_table(folder: Path, name: str, version: str) -> None:
    """Write a version of a table, always with the same time: a table may be replaced by an older
    one.
    """
    ids, moduli = TABLES[version]
    pq.write_table(pa.table({"id": ids, "moduli": moduli}), folder / name)
    moment = 1_500_000_000 + sorted(TABLES).index(version)
    os.utime(folder / name, (moment, moment))


def rows_of(path: Path) -> pa.Table:
    """Return a label table in a form that does not depend on which data sets it has."""
    table = pq.read_table(path)
    return table.set_column(
        table.schema.get_field_index("dataset"), "dataset", table["dataset"].cast(pa.string())
    ).replace_schema_metadata()


def fresh(folder: Path, name: str, table: FeatureTable, limit: int | None, seed: int) -> pa.Table:
    """Return the labels of a data set, made by the stages one after another, without a run."""
    sections = physics_sections(checked_config({"seed": seed}))
    plan(name, table, shard_size=1000, n_limit=limit, output=folder / "plan.json")
    its = Plan.read(folder / "plan.json")
    for part in its.shards:
        shard(its, part.first, folder / "shard.parquet")
        output = label_file(folder / "labels", name, part)
        label(folder / "shard.parquet", sections, "f", 16, None, output)
    merge([its], folder / "labels", {name: "f"}, folder / "labels.parquet")
    return rows_of(folder / "labels.parquet")


@pytest.fixture(scope="module")
def fresh_labels(tmp_path_factory) -> dict[tuple[int, str], pa.Table]:
    """All labels of fresh folders, by seed and version of table a; every other state has some of
    their rows.
    """
    bases = tmp_path_factory.mktemp("bases") / "bases.parquet"
    limit = max(len(IDS), *LIMITS)
    geometry(limit, None, bases)
    found = {}
    for seed in (42, 7):
        for version in ("long", "other"):
            folder = tmp_path_factory.mktemp(f"fresh-{seed}-{version}")
            put_table(folder, "a.parquet", version)
            put_table(folder, "b.parquet", "long")
            tables = {
                name: FeatureTable(folder / f"{name}.parquet", "id", None, "moduli")
                for name in ("a", "b")
            } | {"bases": FeatureTable(bases, "base_id", None, "T")}
            found[seed, version] = pa.concat_tables(
                fresh(folder / name, name, table, limit, seed) for name, table in tables.items()
            )
    return found


@pytest.fixture(scope="module")
def labels_by_size(tmp_path_factory) -> Callable[[int], Workspace]:
    """Return a run of table a to its labels, by shard size; to be read only."""

    @cache
    def of_size(size: int) -> Workspace:
        workspace = Workspace(tmp_path_factory.mktemp(f"size-{size}"))
        put_table(workspace.folder, "a.parquet", "long")
        workspace.configure({"a": ENTRIES["a"]}, shard_size=size)
        workspace.snakemake(target=LABELS)
        return workspace

    return of_size


@pytest.fixture
def labelled(labels_by_size, workspace) -> Workspace:
    """A folder whose table a is labelled, in one shard for each sign of the ids."""
    shutil.copytree(labels_by_size(10_000).folder, workspace.folder, dirs_exist_ok=True)
    return workspace


@pytest.fixture
def labelled_by_20(labels_by_size, workspace) -> Workspace:
    """A folder whose table a is labelled, in shards of 20 ids."""
    shutil.copytree(labels_by_size(20).folder, workspace.folder, dirs_exist_ok=True)
    return workspace


class Walk(RuleBasedStateMachine):
    """A user who changes everything between runs."""

    fresh: dict[tuple[int, str], pa.Table]

    def __init__(self):
        super().__init__()
        self.workspace = Workspace(Path(tempfile.mkdtemp()))
        self.names, self.limit, self.size, self.seed, self.version = ["bases"], 3, 1000, 42, "long"
        put_table(self.workspace.folder, "b.parquet", "long")

    @initialize(version=st.sampled_from(sorted(TABLES)))
    def first_run(self, version):
        self.version = version
        put_table(self.workspace.folder, "a.parquet", version)
        self.run()

    @rule(
        names=st.lists(st.sampled_from(sorted(ENTRIES)), min_size=1, unique=True),
        limit=st.sampled_from(LIMITS),
    )
    def other_data_sets(self, names, limit):
        self.names, self.limit = names, limit
        self.run()

    @rule(limit=st.sampled_from(LIMITS), size=st.sampled_from([10, 1000]))
    def other_cut(self, limit, size):
        self.limit, self.size = limit, size
        self.run()

    @rule(version=st.sampled_from(sorted(TABLES)))
    def other_table(self, version):
        self.version = version
        put_table(self.workspace.folder, "a.parquet", version)
        self.run()

    @rule(seed=st.sampled_from([42, 7]), after=st.floats(0.5, 2.0))
    def other_seed_and_a_kill(self, seed, after):
        self.seed = seed
        self.configure()
        killed = subprocess.Popen(
            self.workspace.command(),
            cwd=self.workspace.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        time.sleep(after)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        self.run()

    @rule()
    def lost_records(self):
        shutil.rmtree(self.workspace.folder / ".snakemake")
        self.run()

    def configure(self):
        entries = {name: ENTRIES[name] for name in self.names}
        self.workspace.configure(entries, n_limit=self.limit, shard_size=self.size, seed=self.seed)

    def run(self):
        self.configure()
        self.workspace.snakemake(target=LABELS)

    @invariant()
    def labels_are_those_of_a_fresh_run(self):
        path = self.workspace.folder / LABELS
        if not path.exists():  # before the first run
            return
        fresh = self.fresh[self.seed, "other" if self.version == "other" else "long"]
        parts = []
        for name in sorted(self.names):
            rows = fresh.filter(pc.equal(fresh["dataset"], name))
            known = TABLES[self.version][0] if name == "a" else rows["geometry_id"].to_numpy()
            rows = rows.filter(
                pc.is_in(rows["geometry_id"], pa.array(np.sort(known)[: self.limit]))
            )
            parts.append(rows)
        assert rows_of(path).equals(pa.concat_tables(parts))
        for name in self.names:
            files = (self.workspace.folder / "results/labels" / name).glob("[0-9-]*.parquet")
            cut = {
                tuple(map(int, path.stem.rsplit("-", 1)))
                for path in files
                if path.stem.count("-") == 1
            }
            assert all(last - first == self.size - 1 for first, last in cut), (
                "labels of another cut"
            )

    def teardown(self):
        done = self.workspace.snakemake()
        assert "traceback" not in done.stdout.lower()
        shutil.rmtree(self.workspace.folder)


def test_any_order_of_changes_ends_with_the_labels_of_a_fresh_run(fresh_labels):
    Walk.fresh = fresh_labels
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=3,
            stateful_step_count=5,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_dry_run_shows_what_a_change_of_the_limit_makes(workspace):
    put_table(workspace.folder, "a.parquet", "long")
    workspace.configure({"a": ENTRIES["a"], "bases": ENTRIES["bases"]}, n_limit=3)
    workspace.snakemake(target=LABELS)
    shown = workspace.snakemake("--config", "n_limit=21", "--dry-run", target=LABELS).stdout
    workspace.configure({"a": ENTRIES["a"], "bases": ENTRIES["bases"]}, n_limit=21)
    made = workspace.snakemake(target=LABELS).stdout
    assert "jobs: 8 (geometry 1, shard 3, label 3, merge 1)" in made
    for line in ("geometry 1", "shard 3", "label 3", "merge 1"):
        name, count = line.split()
        assert any(row.split() == [name, count] for row in shown.splitlines()), shown


@pytest.mark.parametrize(
    ("name", "said"), [("0-99", "no shard 0-99"), ("20000-29999", "no shard 20000-29999")]
)
def test_a_shard_that_no_plan_has_is_refused(workspace, name, said):
    workspace.configure({"bases": ENTRIES["bases"]}, n_limit=5)
    refused = workspace.snakemake(target=f"results/labels/bases/{name}.parquet", check=False)
    assert refused.returncode != 0
    assert said in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not workspace.files("labels/**/*.parquet")


def test_a_single_shard_is_made_in_a_fresh_folder(workspace):
    workspace.configure({"bases": ENTRIES["bases"]}, n_limit=5)
    workspace.snakemake(target="results/labels/bases/0-9999.parquet")
    assert workspace.files("labels/**/*.parquet") == ["labels/bases/0-9999.parquet"]


def test_label_files_that_no_plan_names_are_removed(labelled):
    stray = labelled.folder / "results/labels/a/0-99.parquet"
    shutil.copy(labelled.folder / "results/labels/a/0-9999.parquet", stray)
    notes = stray.with_name("notes.txt")
    notes.write_text("mine")
    labelled.snakemake(target=LABELS)
    assert not stray.exists()
    assert notes.exists()


def test_temporary_files_that_no_plan_names_and_no_process_holds_are_removed(labelled):
    folders = [labelled.folder / "results" / kind / "a" for kind in ("shards", "labels")]
    abandoned = [folder / ".0-99.parquet.123.tmp" for folder in folders]
    held, other = folders[1] / ".0-99.parquet.124.tmp", folders[1] / ".notes.parquet.123.tmp"
    for path in (*abandoned, held, other):
        path.write_bytes(b"PAR1")
    with open(held, "rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        labelled.snakemake(target=LABELS)
        assert not any(path.exists() for path in abandoned)
        assert held.exists(), "its writer lives"
        assert other.exists(), "not the name of a shard"
    labelled.snakemake(target=LABELS)
    assert not held.exists()


def test_label_files_beyond_a_limit_are_kept_for_the_whole_table(labelled_by_20):
    kept = labelled_by_20.folder / "results/labels/a/20-39.parquet"
    before = kept.stat().st_mtime_ns
    labelled_by_20.snakemake("--config", "n_limit=3", target=LABELS)
    done = labelled_by_20.snakemake(target=LABELS).stdout
    assert kept.stat().st_mtime_ns == before
    assert "label 1" in done, "the shard of the limit only"


def test_labels_of_other_settings_come_back_with_their_settings(labelled_by_20):
    whole = (labelled_by_20.folder / LABELS).read_bytes()
    labelled_by_20.snakemake("--config", "seed=7", target="results/labels/a/0-19.parquet")
    done = labelled_by_20.snakemake(target=LABELS).stdout
    assert (labelled_by_20.folder / LABELS).read_bytes() == whole
    assert "label 1" in done, "the one that was computed with the other seed"
    labelled_by_20.snakemake(target=LABELS)
    assert not labelled_by_20.files("labels/a/.*"), "what was set aside is back, or replaced"


def test_touch_is_refused(labelled):
    refused = labelled.snakemake("--config", "seed=7", "--touch", check=False)
    assert refused.returncode != 0
    assert "--touch" in refused.stdout
    done = labelled.snakemake("--config", "seed=7", target=LABELS).stdout
    assert "jobs: 3 (label 2, merge 1)" in done


@pytest.mark.parametrize(
    "what", ["a.parquet", "results/labels/a/0-9999.parquet", "results/settings/table.json"]
)
def test_files_from_the_future_stop_no_run(labelled, what):
    soon = time.time() + 1e6
    os.utime(labelled.folder / what, (soon, soon))
    (labelled.folder / LABELS).unlink()
    labelled.snakemake(target=LABELS)
