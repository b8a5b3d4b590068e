"""How a run grows: with rows, and with shards. Linear in rows and flat in memory is what it should be.

    python benchmarks/scaling.py rows 1000 10000 100000 1000000
    python benchmarks/scaling.py shards 30 300 3000

`rows`: synthetic tables with 2 to 6 moduli and default settings; wall time and memory of the whole process tree, splits and verification
included. `shards`: one row a shard, so that nothing but starting jobs and Snakemake's own work is left; also the time of a dry run.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import vacuagym.parquet  # noqa: F401  (one thread, system allocator)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import memory_mb, tree

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Wall time in s and peak resident memory of the tree in MB of one run in this folder."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["--resources", "mem_mb=12000", "--configfile", "mine.yaml", *arguments]
    began, peak = time.monotonic(), 0.0
    with (folder / "console.log").open("a") as console:
        child = subprocess.Popen(command, cwd=folder, stdout=console, stderr=console)
        while child.poll() is None:
            peak = max(peak, sum(memory_mb(pid)[0] for pid in tree(child.pid)))
            time.sleep(0.2)
    if child.returncode:
        sys.exit((folder / "console.log").read_text()[-3000:])
    return time.monotonic() - began, peak


def prepare(folder: Path, rows: int, **settings: int) -> None:
    """A table of ``rows`` rows and the configuration that uses it."""
    rng = np.random.default_rng(rows)
    pq.write_table(pa.table({"id": rng.permutation(rows), "h": rng.integers(0, 7, rows)}), folder / "t.parquet", row_group_size=100_000)
    lines = ["datasets:", "  fth6d: null", "  t: {source: table, path: t.parquet, id: id, moduli: h}"]
    (folder / "mine.yaml").write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in settings.items())]) + "\n")


def grow_rows(sizes: list[int]) -> None:
    """The table of `rows`."""
    print("     rows   shards    wall s   ms/row   peak MB   run again s")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, rows)
            wall, peak = run(folder)
            shards = len(list(folder.glob("results/shards/t/*.parquet")))
            again, _ = run(folder)
            print(f"{rows:9d} {shards:8d} {wall:9.1f} {1e3 * wall / rows:8.3f} {peak:9.0f} {again:13.1f}", flush=True)


def grow_shards(counts: list[int]) -> None:
    """The table of `shards`."""
    print("   shards     jobs   dry run s    wall s   s/job   peak MB   run again s")
    for shards in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, shards, shard_size=1)
            dry, _ = run(folder, "--dry-run", "--quiet", "all")
            wall, peak = run(folder)
            again, _ = run(folder)
            jobs = 2 * shards + 5
            print(f"{shards:9d} {jobs:8d} {dry:11.1f} {wall:9.1f} {wall / jobs:7.3f} {peak:9.0f} {again:13.1f}", flush=True)


if __name__ == "__main__":
    {"rows": grow_rows, "shards": grow_shards}[sys.argv[1]]([int(x) for x in sys.argv[2:]])
