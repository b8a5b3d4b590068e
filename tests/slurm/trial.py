"""Run the pipeline on Slurm and locally, and compare results byte by byte: `make test-slurm`.

Runs on Slurm: one that nobody disturbs, which is then forced to label again; one whose node n2
dies; one whose main process is killed with kill -9 and started again; and one with a job that
fills its memory. The second and third end with the label table: what follows depends on it alone.
Each wait allows for a machine that does other work.
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
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
RUN = Path("/run/slurm-test")
# What must be equal: tables of geometry, labels, features and splits, the figures of the second
# derivation, the data set. The footer of the toric bases records the memory of their job.
COMPARED = (
    *("geometry/ws5*.parquet", "labels.parquet", "features/*", "sample/**/*", "splits/*"),
    *("verification.json", "verification/*", "dataset/**/*"),
)
# The toric bases and the weight systems with KKLT labels come from the default configuration.
SETTINGS = """
n_limit: 1000
shard_size: 500
datasets:
  t: {source: table, path: t.parquet, id: id, moduli: h, columns: [kind]}
search: {n_restarts: 30}  # so that a label job lasts long enough to be killed
verify: {least: 130, per_label: 2}  # enough for several parts
validation: {fold_tolerance: 0.1}
"""
FAT = """
datasets:
  fth6d: null
  ws5: null
  t: {source: table, path: t.parquet, id: id, moduli: h, columns: [fat]}
"""
RUNS: list[subprocess.Popen[bytes]] = []  # all that were started
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


def prepare_fat(folder: Path) -> Path:
    """Make a folder with a table whose second row group is one page of 300 MB."""
    folder.mkdir()
    rows, length = 3000, 300 * 2**20 // 3000
    schema = pa.schema({"id": pa.int64(), "h": pa.int64(), "fat": pa.string()})
    page = {"data_page_size": 2**30, "write_batch_size": rows, "use_dictionary": False}
    with pq.ParquetWriter(folder / "t.parquet", schema, compression="zstd", **page) as writer:
        for first, count, text in ((0, 10, "x"), (10, rows, "x" * length)):
            ids = list(range(first, first + count))
            columns = {"id": ids, "h": [3] * count, "fat": [text] * count}
            writer.write_table(pa.table(columns, schema))
    (folder / "mine.yaml").write_text(FAT, encoding="utf-8")
    return folder


def begin(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a run; its output goes to ``run.log`` in its folder."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    with open(folder / "run.log", "ab") as log:
        run = subprocess.Popen(
            [*snakemake, "--configfile", "mine.yaml", *options],
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    RUNS.append(run)
    return run


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


def wait_for(
    found: Callable[[], object], what: str, seconds: float = 1800, pause: float = 0.5
) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            raise SystemExit(f"not in {seconds:.0f} s: {what}")
        time.sleep(pause)


def at_work(folder: Path, node: str = "") -> list[int]:
    """Return the processes that label in a folder, on a node."""
    found = subprocess.run(
        ["pgrep", "-f", "^python .*vacuagym label "], capture_output=True, text=True
    )
    return [
        pid
        for pid in map(int, found.stdout.split())
        if Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
        and f"SLURMD_NODENAME={node}" in Path(f"/proc/{pid}/environ").read_text(errors="replace")
    ]


def of_job(number: str) -> list[int]:
    """Return the processes of a job of Slurm: its daemons first, then what they started."""
    daemons, started = [], []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"slurmstepd: [{number}." in (place / "cmdline").read_text(errors="replace"):
                daemons.append(int(place.name))
            elif f"\0SLURM_JOB_ID={number}\0" in (place / "environ").read_text(errors="replace"):
                started.append(int(place.name))
    return daemons + started


def stop_a_label_job(folder: Path, node: str = "") -> list[int]:
    """Stop the label jobs at work, so that they cannot finish before something is killed."""
    found: list[int] = []

    def stopped() -> list[int]:
        with suppress(OSError):
            for pid in at_work(folder, node):
                os.kill(pid, signal.SIGSTOP)
                found.append(pid)
        return found

    wait_for(stopped, f"a label job at work {node}", pause=0.1)
    return found


def undisturbed(folder: Path) -> list[str]:
    """Run to the end, look at the status meanwhile, and force the labels afterwards."""
    run = on_slurm(folder)
    notes = [*status(folder, "PENDING"), *status(folder, "RUNNING")]
    finish(run, folder)
    files = sorted(folder.glob("results/labels/*/*.parquet"))
    before = [path.stat().st_ino for path in files]
    finish(on_slurm(folder, "--forcerun", "label"), folder)
    again = [path.stat().st_ino for path in files]
    by_rule = [path.parent.name != "ws5" for path in files]
    if [a != b for a, b in zip(before, again, strict=True)] != by_rule:
        raise SystemExit(f"{folder}: not exactly the files of the rule label were made again")
    return [*notes, f"forced: {sum(by_rule)} label files were made again"]


def node_dies(folder: Path) -> list[str]:
    """Kill the daemon of n2 and what works there, in the middle of a label job."""
    run = on_slurm(folder, *SINGLE)
    stopped = stop_a_label_job(folder, "n2")
    lost = [job for job in jobs(folder, "RUNNING") if job.endswith(" n2")]
    os.kill(int((RUN / "slurmd-n2.pid").read_text()), signal.SIGKILL)
    for job in lost:
        for pid in of_job(job.split()[0]):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: "down" in sinfo("n2"), "n2 is down")
    notes = [f"lost with n2: {lost}; label jobs of it: {len(stopped)}"]
    wait_for(lambda: told(folder, "NODE_FAIL"), "the console tells of the node")
    notes += status(folder, "")
    subprocess.run([Path(__file__).with_name("node.sh"), "n2"], check=True)
    finish(run, folder)
    if len(lost) != 1 or not told(folder, "NODE_FAIL"):
        raise SystemExit(f"{folder}: lost with n2: {lost}")
    return [*notes, *told(folder, "NODE_FAIL")]


def main_process_dies(folder: Path) -> list[str]:
    """Kill the main process with jobs at work, and start the same command again.

    The label jobs are stopped until then, so that they cannot finish before.
    """
    run = on_slurm(folder, *SINGLE)
    stopped = stop_a_label_job(folder)
    run.kill()
    run.wait()
    orphans = jobs(folder)
    first = json.loads((folder / ".snakemake/vacuagym.run").read_text())["run"]
    again = on_slurm(folder, *SINGLE)
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


def memory_is_full(folder: Path) -> list[str]:
    """Let a job fill its memory: it must end itself, and say what helps; do what it says."""
    shutil.rmtree(folder)
    prepare_fat(folder)
    if on_slurm(folder, "--until", "columns", "--retries", "0").wait() == 0:
        raise SystemExit(f"{folder}: the job did not meet its limit")
    found = told(folder, "error: out of memory")
    states = states_of(folder)
    if states != ["FAILED"] or len(found) != 1:
        raise SystemExit(f"{folder}: {states}: {found}")
    more = found[0].split("--set-resources ")[1].split(",")[0]
    finish(on_slurm(folder, "--until", "columns", "--set-resources", more), folder)
    return [*found, f"states of Slurm: {states}, and with more memory: {states_of(folder)}"]


# Every label job by itself, so that one is lost; to the label table.
SINGLE = (
    "results/labels.parquet",
    *("--group-components", "labels=1"),
    *("--set-resources", "shard:runtime=2", "label:runtime=10"),
)
TRIALS = {
    "undisturbed": undisturbed,
    "node": node_dies,
    "main": main_process_dies,
    "memory": memory_is_full,
}


def status(folder: Path, state: str) -> list[str]:
    """Return what ``vacuagym status`` says of Slurm; with a state, wait for a job in it."""
    if state:
        wait_for(lambda: jobs(folder, state), f"a job {state}", pause=0.1)
    asked = [sys.executable, "-P", "-m", "vacuagym", "status"]
    found = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True).stdout
    rules = {line.split()[0] for line in found.splitlines() if line}
    missing = {"columns", "geometry", "threefolds", "shard", "label", "merge"} - rules
    lines = [line for line in found.splitlines() if line.startswith("Slurm: ")]
    if missing or not lines:
        raise SystemExit(f"{folder}: status names no {missing or 'state of Slurm'}:\n{found}")
    return [f"status: {line}" for line in lines]


def states_of(folder: Path) -> list[str]:
    """Return the states of all jobs of a folder that Slurm knows."""
    asked = ["sacct", "-X", "-n", "-P", "-o", "State,WorkDir", "-S", "now-1day"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split("|")[0] for line in lines if line.endswith(f"|{folder}")]


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
    try:
        failed = compared(folder, options.trials or list(TRIALS))
    finally:
        for run in RUNS:
            run.kill()
    if not failed and options.folder is None:
        shutil.rmtree(folder)
    raise SystemExit(f"different: {failed}" if failed else 0)


def compared(folder: Path, trials: list[str]) -> list[str]:
    """Run locally and on Slurm, print what happened, and return what differed."""
    begun = time.time()
    local = prepare(folder / "local")
    finish(begin(local, "--cores", "2", "--resources", "mem_mb=12000"), local)
    expected = results(local)
    print(f"local run: {len(expected)} files to compare; {time.time() - begun:.0f} s", flush=True)
    failed = []
    for name in trials:
        place = prepare(folder / name)
        started = time.time()
        notes = TRIALS[name](place)
        states = states_of(place)
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        found = {} if name == "memory" else results(place)
        whole = expected if name == "undisturbed" else {path: expected.get(path) for path in found}
        equal = found == whole
        verdict = f"{len(found)} files equal, byte for byte" if equal else "DIFFERENT"
        print(f"{name}: {verdict}; {time.time() - started:.0f} s; jobs of Slurm: {counts}")
        print("".join(f"  {note}\n" for note in notes), end="", flush=True)
        if not equal:
            failed.append(name)
            keys = sorted(found.keys() | whole.keys())
            print("  " + "\n  ".join(k for k in keys if found.get(k) != whole.get(k)))
    return failed


if __name__ == "__main__":
    main()
