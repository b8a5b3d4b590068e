"""Run the pipeline on Slurm and locally, and compare results byte by byte: `make test-slurm`.

Three runs on Slurm: one that nobody disturbs, one whose node n2 dies, and one whose main process
is killed with kill -9 and started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
RUN = Path("/run/slurm-test")
# What must be equal: the label table, the splits with their indices, the data set.
COMPARED = ("labels.parquet", "splits/*", "dataset/**/*")
SETTINGS = """
n_limit: 1500
shard_size: 500
datasets:
  t: {source: table, path: t.parquet, id: id, moduli: h, columns: [kind]}
search: {n_restarts: 30}  # so that a label job lasts long enough to be killed
verify: {least: 20, per_label: 2}
validation: {fold_tolerance: 0.1}
"""
# The nodes answer at once.
QUICK = ["--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3"]


def prepare(folder: Path) -> Path:
    """Make a folder with a table of the user beside the computed data set."""
    folder.mkdir()
    ids = np.arange(3000)
    moduli = np.random.default_rng(1).integers(2, 8, len(ids))
    kinds = pa.array([f"k{i % 3}" for i in ids])
    pq.write_table(pa.table({"id": ids, "h": moduli, "kind": kinds}), folder / "t.parquet")
    (folder / "mine.yaml").write_text(SETTINGS, encoding="utf-8")
    return folder


def begin(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a run; its output goes to ``run.log`` in its folder."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    with open(folder / "run.log", "ab") as log:
        return subprocess.Popen(
            [*snakemake, "--configfile", "mine.yaml", *options],
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def on_slurm(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    profile = ["--profile", str(ROOT / "profiles/slurm")]
    return begin(folder, *profile, *QUICK, *options)


def finish(run: subprocess.Popen[bytes], folder: Path) -> None:
    if run.wait() != 0:
        raise SystemExit(f"{folder}: the run failed:\n{(folder / 'run.log').read_text()}")


def results(folder: Path) -> dict[str, str]:
    """Return the digests of what is compared."""
    paths = [p for pattern in COMPARED for p in (folder / "results").glob(pattern) if p.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
    }


def jobs(folder: Path, *states: str) -> list[str]:
    """Return the jobs of a folder in Slurm's queue, as "id state comment node"."""
    asked = ["squeue", "-h", "-o", "%i %T %k %N|%Z", *(["-t", ",".join(states)] if states else [])]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.partition("|")[0] for line in lines if line.endswith(f"|{folder}")]


def wait_for(found: Callable[[], object], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            raise SystemExit(f"not in {seconds:.0f} s: {what}")
        time.sleep(0.5)


def labelling(folder: Path, node: str | None = None) -> list[str]:
    """Return the label jobs at work, on a node."""
    at_work = [job for job in jobs(folder, "RUNNING") if "_label" in job]
    return [job for job in at_work if node in (None, job.split()[-1])]


def labels_begun(folder: Path) -> list[Path]:
    """Return the logs of label jobs, which begin after Snakemake's own start on a node."""
    return list(folder.glob("logs/label/*/*.log"))


def at_work(folder: Path) -> list[int]:
    """Return the processes that label in a folder."""
    found = subprocess.run(["pgrep", "-f", "vacuagym label "], capture_output=True, text=True)
    pids = [int(pid) for pid in found.stdout.split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()]


def undisturbed(folder: Path) -> list[str]:
    finish(on_slurm(folder), folder)
    return []


def node_dies(folder: Path) -> list[str]:
    """Kill the daemon of n2 and what works there, in the middle of a label job."""
    run = on_slurm(folder, "--group-components", "labels=1", "--set-resources", *LONG)
    wait_for(lambda: labels_begun(folder) and labelling(folder, "n2"), "a label job on n2")
    time.sleep(5)
    lost = labelling(folder, "n2")
    steps = subprocess.run(["pgrep", "-f", "slurmstepd: .*"], capture_output=True, text=True)
    for job in lost:
        number = job.split()[0]
        for pid in steps.stdout.split():
            if f"[{number}." in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                os.kill(int(pid), signal.SIGKILL)
    os.kill(int((RUN / "slurmd-n2.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: "down" in sinfo("n2"), "n2 is down", 120)
    subprocess.run([Path(__file__).with_name("node.sh"), "n2"], check=True)
    finish(run, folder)
    return [f"lost with n2: {lost}", *told(folder, "NODE_FAIL")]


def main_process_dies(folder: Path) -> list[str]:
    """Kill the main process with jobs at work, and start the same command again.

    The label jobs are stopped until then, so that they cannot finish before.
    """
    options = ("--group-components", "labels=1", "--set-resources", *LONG)
    run = on_slurm(folder, *options)
    wait_for(lambda: labels_begun(folder), "a label job")
    time.sleep(5)
    stopped = at_work(folder)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    run.kill()
    run.wait()
    orphans = jobs(folder)
    first = json.loads((folder / ".snakemake/vacuagym.run").read_text())["run"]
    again = on_slurm(folder, *options)
    lease = folder / ".snakemake/vacuagym.run"
    wait_for(lambda: json.loads(lease.read_text())["run"] != first, "a new lease")
    begun = time.monotonic()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    numbers = {job.split()[0] for job in orphans}
    wait_for(
        lambda: not numbers & {job.split()[0] for job in jobs(folder, "RUNNING")},
        "the jobs of the dead run have ended",
    )
    ended = time.monotonic() - begun
    finish(again, folder)
    asked = ["sacct", "-X", "-n", "-P", "-o", "JobID,State,Elapsed", "-j", ",".join(numbers)]
    ends = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return [
        f"of the dead run: {orphans}; stopped at their labels: {len(stopped)}",
        f"none at work {ended:.0f} s after the new lease; their ends: {ends}",
    ]


LONG = ("shard:runtime=2", "label:runtime=10")
TRIALS = {"undisturbed": undisturbed, "node": node_dies, "main": main_process_dies}


def sinfo(node: str) -> str:
    asked = ["sinfo", "-hN", "-n", node, "-o", "%T"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def told(folder: Path, word: str) -> list[str]:
    return [line for line in (folder / "run.log").read_text().splitlines() if word in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", help=f"some of {', '.join(TRIALS)} (default: all)")
    parser.add_argument("--folder", type=Path, help="work here, and keep it")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="slurm-trial-"))
    folder.mkdir(exist_ok=True)
    local = prepare(folder / "local")
    finish(begin(local, "--cores", "2", "--resources", "mem_mb=12000"), local)
    expected = results(local)
    print(f"local run: {len(expected)} files to compare", flush=True)
    failed = []
    for name in options.trials or TRIALS:
        place = prepare(folder / name)
        started = time.time()
        notes = TRIALS[name](place)
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(started))
        asked = ["sacct", "-X", "-n", "-S", since, "-o", "State"]
        states = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        found = results(place)
        equal = found == expected
        verdict = "equal, byte for byte" if equal else "DIFFERENT"
        print(f"{name}: {verdict}; {time.time() - started:.0f} s; jobs of Slurm: {counts}")
        print("".join(f"  {note}\n" for note in notes), end="", flush=True)
        if not equal:
            failed.append(name)
            keys = sorted(found.keys() | expected.keys())
            print("  " + "\n  ".join(k for k in keys if found.get(k) != expected.get(k)))
    if not failed and options.folder is None:
        shutil.rmtree(folder)
    raise SystemExit(f"different: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
