"""What the tests share: a folder in which the real workflow runs on small tables."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from snakemake_server import SnakemakeServer
from vacuagym.checks.check import Thresholds
from vacuagym.config import checked_config, digest, physics_sections
from vacuagym.orchestration.code_fingerprint import code_fingerprint
from vacuagym.splits.rules import SplitShares
from vacuagym.stages.check_segment import SegmentFiles, find
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.plan import plan
from vacuagym.stages.shard import shard
from vacuagym.stages.split import split
from vacuagym.stages.validate import Inputs, validate
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.parquet import METADATA_KEY
from vacuagym.tables.plan import Plan, label_file

ROWS = 60  # of the labelled run
PATIENCE = 300  # seconds that a run may take on a busy machine
SLOW = (
    "--config",
    "search={n_restarts: 1000}",
)  # a run that is still at its labels whenever a test looks
OF_A_POINT = (  # the columns that describe a critical point
    "potential_value",
    "grad_norm",
    "min_eigenvalue",
    "max_eigenvalue",
    "n_negative",
    "n_positive",
    "n_flat",
    "condition_number",
    "log_abs_det_hessian",
    "eigenvalues",
    "critical_point",
    "phi_norm",
    "barrier_height",
)
ROOT = Path(__file__).parent.parent


@cache
def snakemake_server() -> SnakemakeServer:
    """Return the one server of this test process."""
    return SnakemakeServer()


class Workspace:
    """An empty folder and the commands a user would type in it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def table(self, name: str, ids, moduli=None, **columns) -> Path:
        """Write a feature table with columns id, moduli and any others."""
        data = (
            {"id": pa.array(ids)}
            | ({} if moduli is None else {"moduli": pa.array(moduli)})
            | columns
        )
        pq.write_table(pa.table(data), self.folder / name)
        return self.folder / name

    def configure(self, datasets: dict, **settings) -> None:
        """Write the configuration file that every run of this workspace adds.

        The embedded data sets are left out unless they are named. Few labels are verified: the
        default of 200 rows takes a third of the time of a small run.
        """
        few = {"least": 8, "per_label": 1}
        config = {"datasets": {"fth6d": None, "ws5": None, **datasets}, "verify": few, **settings}
        (self.folder / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def command(self, *arguments: str, cores: int = 2, target: str | None = None) -> list[str]:
        """The command line of a run, of everything or of what makes one target."""
        call = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--cores",
            str(cores),
        ]
        return [
            *call,
            *([target] if target else []),
            "--resources",
            "mem_mb=12000",
            "--configfile",
            "mine.yaml",
            *arguments,
        ]

    def snakemake(
        self,
        *arguments: str,
        cores: int = 2,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        target: str | None = None,
    ) -> subprocess.CompletedProcess:
        """Run the workflow to its end, with these environment variables besides; stdout and stderr
        together in ``stdout``.

        A run with such variables is a new process. Any other run is a fork of a process that has
        imported Snakemake.
        """
        command = self.command(*arguments, cores=cores, target=target)
        if environment is None:
            done = snakemake_server().run(
                self.folder, command[3:], environment=os.environ, timeout=PATIENCE
            )
        else:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
            )
        assert not check or done.returncode == 0, done.stdout
        return done

    def vacuagym(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run one command of the package."""
        return subprocess.run(
            [sys.executable, "-m", "vacuagym", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        )

    def labels(self) -> pa.Table:
        """The merged label table."""
        return pq.read_table(self.folder / "results" / "labels.parquet")

    def files(self, pattern: str) -> list[str]:
        """Names of the files under results/ that match a pattern."""
        return sorted(
            str(path.relative_to(self.folder / "results"))
            for path in (self.folder / "results").glob(pattern)
        )


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def prepare_two_sources(workspace: Workspace) -> Workspace:
    """A table of 240 rows in two namespaces whose ids repeat, shuffled, with missing counts, in
    shards of 50 ids.
    """
    rng = np.random.default_rng(7)
    order = rng.permutation(240)
    moduli = rng.integers(0, 6, 240).astype(float)
    moduli[::9] = np.nan
    ids = np.concatenate([np.arange(-20, 100), np.arange(-20, 100)])[order]
    sources = np.repeat(["w5.ip.gz", "w44.ip.gz"], 120)[order]
    workspace.table("t.parquet", ids, moduli[order], source=pa.array(sources))
    workspace.configure(
        {
            "t": {
                "source": "table",
                "path": "t.parquet",
                "id": "id",
                "namespace": "source",
                "moduli": "moduli",
            }
        },
        shard_size=50,
    )
    return workspace


@pytest.fixture
def two_sources(workspace) -> Workspace:
    return prepare_two_sources(workspace)


@pytest.fixture(scope="session")
def run_of_two_sources(tmp_path_factory) -> Workspace:
    """A whole run of the table in two namespaces; to be read only."""
    workspace = prepare_two_sources(Workspace(tmp_path_factory.mktemp("two_sources")))
    workspace.snakemake()
    return workspace


@pytest.fixture
def finished(run_of_two_sources, workspace) -> Workspace:
    """A copy of it, as if it had run here."""
    shutil.copytree(run_of_two_sources.folder, workspace.folder, dirs_exist_ok=True)
    return workspace


@pytest.fixture
def slow_run(two_sources) -> Iterator[subprocess.Popen]:
    """A run of that table in the background that is at its labels, and is killed at the latest
    when the test ends.
    """
    run = subprocess.Popen(
        two_sources.command(*SLOW),
        cwd=two_sources.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (two_sources.folder / "logs/label").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield run
    finally:
        run.kill()
        run.wait()


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A configuration, a table in two namespaces (one with colons), and its labels."""
    monkeypatch.chdir(tmp_path)
    sources = np.where(np.arange(ROWS) % 2, "w5.ip.gz", "a:b:1")
    moduli = pa.array([None if i % 10 == 0 else i % 8 for i in range(ROWS)], pa.int64())
    pq.write_table(
        pa.table({"id": np.arange(ROWS) - 5, "h": moduli, "source": sources}), "t.parquet"
    )
    entry = {
        "source": "table",
        "path": "t.parquet",
        "id": "id",
        "namespace": "source",
        "moduli": "h",
    }
    Path("config.yaml").write_text(yaml.safe_dump({"datasets": {"t": entry}}), encoding="utf-8")
    sections = physics_sections(checked_config({"datasets": {"t": entry}}))
    fingerprint = digest(sections, code_fingerprint("label"))
    plan(
        "t",
        FeatureTable("t.parquet", "id", "source", "h"),
        shard_size=1000,
        n_limit=None,
        output=Path("plan.json"),
    )
    planned = Plan.read("plan.json")
    for piece in planned.shards:
        shard(planned, piece.first, Path(f"{piece.first}.parquet"))
        target = label_file(Path("results/labels"), "t", piece)
        label(Path(f"{piece.first}.parquet"), sections, fingerprint, 16, None, target)
    merge([planned], Path("results/labels"), {"t": fingerprint}, Path("results/labels.parquet"))
    return tmp_path


@pytest.fixture(scope="session")
def labelled_run(tmp_path_factory) -> Path:
    """A folder with the results of a run up to its checks, and feature files: data set a in two
    namespaces, shuffled, and data set b.

    To be read only; whoever changes something copies it.
    """
    folder = tmp_path_factory.mktemp("labelled_run")
    order = np.random.default_rng(3).permutation(60)
    ids, sources = np.arange(60) // 2, np.where(np.arange(60) % 2, "w5.ip.gz", "a:b:1")
    pq.write_table(
        pa.table({"id": ids[order], "h": order % 8, "source": pa.array(sources[order])}),
        folder / "a.parquet",
    )
    pq.write_table(pa.table({"id": np.arange(30), "h": np.arange(30) % 5}), folder / "b.parquet")
    entries = {
        "a": {
            "source": "table",
            "path": str(folder / "a.parquet"),
            "id": "id",
            "namespace": "source",
            "moduli": "h",
        },
        "b": {"source": "table", "path": str(folder / "b.parquet"), "id": "id", "moduli": "h"},
    }
    config = checked_config({"datasets": entries})
    results, plans = folder / "results", []
    for name, entry in entries.items():
        plan(
            name,
            FeatureTable(entry["path"], "id", entry.get("namespace"), "h"),
            shard_size=1000,
            n_limit=None,
            output=folder / f"{name}.json",
        )
        plans.append(Plan.read(folder / f"{name}.json"))
        piece = plans[-1].shards[0]
        shard(plans[-1], piece.first, folder / "shard.parquet")
        label(
            folder / "shard.parquet",
            physics_sections(config),
            "0123456789ab",
            16,
            None,
            label_file(results / "labels", name, piece),
        )
    merge(plans, results / "labels", {}, results / "labels.parquet")
    splits = [
        results / f"splits/{name}.parquet" for name in ("iid", "ood_complexity", "ood_dataset_a")
    ]
    for path in splits:
        split(
            results / "labels.parquet",
            path.stem,
            seed=42,
            shares=SplitShares(0.6, 0.2, 0.3),
            output=path,
        )
    (folder / "verification.json").write_text('{"disagreements": {}}', encoding="utf-8")
    files = SegmentFiles(
        labels=results / "labels.parquet",
        plans=plans,
        splits=splits,
        features=[],
        label_files=results / "labels",
    )
    inputs = Inputs(plans=plans, verification=folder / "verification.json")
    found = find(files, sum(plan.rows for plan in plans))
    validate([found], inputs, Thresholds(1.0, 1.0, 1.0), results / "validation.json")
    (results / "configuration.json").write_text(json.dumps(config), encoding="utf-8")
    rows = pq.read_table(
        results / "labels.parquet", columns=["key", "dataset", "namespace", "geometry_id"]
    ).to_pylist()
    places = [
        row["geometry_id"] + (1000 if row["namespace"] == "a:b:1" else 0)
        for row in rows
        if row["dataset"] == "a"
    ]
    (results / "features").mkdir()
    of_a = {
        "key": [row["key"] for row in rows if row["dataset"] == "a"],
        "_h11": pa.array(places, pa.int32()),
        "euler": [-6 * place for place in places],
        "weights": pa.array([[place, place + 1] for place in places], pa.list_(pa.int64(), 2)),
        "kind": pa.array([f"k{place % 3}" for place in places]).dictionary_encode(),
    }
    of_b = {
        "key": [f"b:{i}" for i in range(30)],
        "euler": np.arange(30) + 0.5,
        "only_b": np.arange(30) % 2 == 0,
    }
    pq.write_table(pa.table(of_a), results / "features/a.parquet", row_group_size=13)
    pq.write_table(pa.table(of_b), results / "features/b.parquet")
    return folder


def edit_label(column: str, row: int, value) -> str:
    """Put a lie into the label table; returns the key of the row."""
    table = pq.read_table("results/labels.parquet")
    rows = table.to_pylist()
    rows[row][column] = value
    metadata = {
        METADATA_KEY: pq.ParquetFile("results/labels.parquet").metadata.metadata[METADATA_KEY]
    }
    pq.write_table(
        pa.Table.from_pylist(rows, schema=table.schema.with_metadata(metadata)),
        "results/labels.parquet",
    )
    return rows[row]["key"]


def first_row_with(label: str) -> int:
    return pq.read_table("results/labels.parquet")["stability"].to_pylist().index(label)


def damage(path: Path, group: int = 0, column: int = 0) -> None:
    """Alter one bit in the last page of a column of a Parquet file, by default in the first row
    group of the first column.
    """
    column = pq.ParquetFile(path).metadata.row_group(group).column(column)
    content = bytearray(path.read_bytes())
    content[
        (column.dictionary_page_offset or column.data_page_offset)
        + column.total_compressed_size
        - 2
    ] ^= 4
    path.write_bytes(content)
