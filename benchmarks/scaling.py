"""Measure how a run grows with rows and with shards. Time should be linear in rows, and memory
constant.

    python benchmarks/scaling.py rows 1000 10000 100000 1000000
    python benchmarks/scaling.py shards 30 300 3000

`rows` takes synthetic tables with 2 to 6 moduli and default settings. It prints time and memory of
the whole process tree with all stages, and the processor time of Snakemake's own process. `shards`
has one row in each shard, so only the starts of jobs and Snakemake's own work take time. It also
prints the time of a dry run.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import vacuagym.tables.parquet  # noqa: F401  (one thread, system allocator)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import memory_mb, tree

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Taken:
    """Wall time and processor time of a run in s, processor time of Snakemake's own process in s,
    and peak resident memory of the tree in MB.
    """

    wall: float
    cpu: float
    snakemake: float
    peak: float


def run(folder: Path, *arguments: str) -> Taken:
    """One run in this folder."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--cores",
        "2",
    ]
    command += ["--resources", "mem_mb=12000", "--configfile", "mine.yaml", *arguments]
    began, before, peak, own = (
        time.monotonic(),
        resource.getrusage(resource.RUSAGE_CHILDREN),
        0.0,
        0.0,
    )
    with (folder / "console.log").open("a") as console:
        child = subprocess.Popen(command, cwd=folder, stdout=console, stderr=console)
        while child.poll() is None:
            peak = max(peak, sum(memory_mb(pid)[0] for pid in tree(child.pid)))
            own = max(own, cpu_seconds(child.pid))
            time.sleep(0.2)
    if child.returncode:
        sys.exit((folder / "console.log").read_text()[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(time.monotonic() - began, cpu, own, peak)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process without its children, 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(folder: Path, rows: int, **settings: int) -> None:
    """A table of ``rows`` rows and the configuration that uses it."""
    rng = np.random.default_rng(rows)
    pq.write_table(
        pa.table({"id": rng.permutation(rows), "h": rng.integers(0, 7, rows)}),
        folder / "t.parquet",
        row_group_size=100_000,
    )
    lines = [
        "datasets:",
        "  fth6d: null",
        "  ws5: null",
        "  t: {source: table, path: t.parquet, id: id, moduli: h}",
    ]
    (folder / "mine.yaml").write_text(
        "\n".join([*lines, *(f"{key}: {value}" for key, value in settings.items())]) + "\n"
    )


def grow_rows(sizes: list[int]) -> None:
    """The table of `rows`."""
    print("     rows   shards    wall s   ms/row     cpu s  Snakemake's   peak MB   run again s")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, rows)
            first, again = run(folder), run(folder)
            shards = len(list(folder.glob("results/shards/t/*.parquet")))
            times = (
                f"{first.wall:9.1f} {1e3 * first.wall / rows:8.3f} {first.cpu:9.1f} "
                f"{first.snakemake:12.1f}"
            )
            print(f"{rows:9d} {shards:8d} {times} {first.peak:9.0f} {again.wall:13.1f}", flush=True)


def grow_shards(counts: list[int]) -> None:
    """The table of `shards`."""
    print(
        "   shards     jobs   dry run s    wall s   s/job     cpu s  Snakemake's   peak MB   run "
        "again s"
    )
    for shards in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, shards, shard_size=1)
            dry, first, again = run(folder, "--dry-run", "--quiet", "all"), run(folder), run(folder)
            jobs = int(re.findall(r"done: (\d+) of", (folder / "console.log").read_text())[0])
            times = (
                f"{first.wall:9.1f} {first.wall / jobs:7.3f} {first.cpu:9.1f} "
                f"{first.snakemake:12.1f}"
            )
            print(
                f"{shards:9d} {jobs:8d} {dry.wall:11.1f} {times} {first.peak:9.0f} "
                f"{again.wall:13.1f}",
                flush=True,
            )


if __name__ == "__main__":
    {"rows": grow_rows, "shards": grow_shards}[sys.argv[1]]([int(x) for x in sys.argv[2:]])
