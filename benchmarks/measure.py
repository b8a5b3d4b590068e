"""Measure wall time, CPU time and peak memory of a command and its child processes (Linux).

    python benchmarks/measure.py make run
    python benchmarks/measure.py snakemake --cores 2 --resources mem_mb=12000 --configfile mine.yaml

Memory is sampled every 0.1 s over the whole process tree: the sum of resident sizes (RSS, which
counts shared pages once a process) and of proportional ones (PSS, which shares them out), and the
largest single process.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path


def tree(root: int) -> list[int]:
    """Pids of a process and all of its descendants."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
        except OSError:
            continue
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return sorted(found)
        found |= more


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS of one process in MB."""
    sizes = {}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value, *_ = line.split()
            sizes[name] = int(value) / 1024
    except (OSError, ValueError):
        pass
    return sizes.get("Rss:", 0.0), sizes.get("Pss:", 0.0)


def main() -> None:
    """Run the command of the arguments and print what it took."""
    began = time.monotonic()
    child = subprocess.Popen(sys.argv[1:])
    peaks = [0.0, 0.0, 0.0]
    while child.poll() is None:
        sizes = [memory_mb(pid) for pid in tree(child.pid)]
        totals = (
            sum(rss for rss, _ in sizes),
            sum(pss for _, pss in sizes),
            max((rss for rss, _ in sizes), default=0.0),
        )
        peaks = [max(peak, total) for peak, total in zip(peaks, totals, strict=True)]
        time.sleep(0.1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(
        f"\nexit {child.returncode}, wall {time.monotonic() - began:.1f} s, CPU {cpu:.1f} s on "
        f"{os.cpu_count()} cores"
    )
    print(
        f"peak of the process tree: RSS {peaks[0]:.0f} MB, PSS {peaks[1]:.0f} MB; largest process "
        f"{peaks[2]:.0f} MB"
    )
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
