"""What the tests share: a folder in which the real workflow runs on small tables."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

ROOT = Path(__file__).parent.parent


class Workspace:
    """An empty folder and the commands a user would type in it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def table(self, name: str, ids, moduli=None, **columns) -> Path:
        """Write a feature table with columns id, moduli and any others."""
        data = {"id": pa.array(ids)} | ({} if moduli is None else {"moduli": pa.array(moduli)}) | columns
        pq.write_table(pa.table(data), self.folder / name)
        return self.folder / name

    def configure(self, datasets: dict, **settings) -> None:
        """Write the configuration file that every run of this workspace adds; the embedded data set is left out unless it is named."""
        config = {"datasets": {"fth6d": None, **datasets}, **settings}
        (self.folder / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        """The command line of a run."""
        call = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(cores)]
        return [*call, "--resources", "mem_mb=12000", "--configfile", "mine.yaml", *arguments]

    def snakemake(self, *arguments: str, cores: int = 2, check: bool = True) -> subprocess.CompletedProcess:
        """Run the workflow to its end; stdout and stderr together in ``stdout``."""
        done = subprocess.run(
            self.command(*arguments, cores=cores), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
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
        return sorted(str(path.relative_to(self.folder / "results")) for path in (self.folder / "results").glob(pattern))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def two_sources(workspace) -> Workspace:
    """A table of 240 rows in two namespaces whose ids repeat, shuffled, with missing counts, in shards of 50 ids."""
    rng = np.random.default_rng(7)
    order = rng.permutation(240)
    moduli = rng.integers(0, 6, 240).astype(float)
    moduli[::9] = np.nan
    ids = np.concatenate([np.arange(-20, 100), np.arange(-20, 100)])[order]
    sources = np.repeat(["w5.ip.gz", "w44.ip.gz"], 120)[order]
    workspace.table("t.parquet", ids, moduli[order], source=pa.array(sources))
    workspace.configure(
        {"t": {"source": "table", "path": "t.parquet", "id": "id", "namespace": "source", "moduli": "moduli"}},
        shard_size=50,
    )
    return workspace
