"""Kill runs again and again, finish each with the same command, and compare it with an undisturbed
run (Linux).

    python benchmarks/crashes.py --kills 200 --seed 1

A round has one way to kill, or a mixture. It starts the pipeline in a folder that is empty or has
the results of another seed. It kills the run at random moments, and then lets the same command end.
The label table, the splits and the results of the checks must have the bytes of the undisturbed
run. No temporary file may be left. No geometry table, shard or label file that was finished before
a kill may be recomputed. The exit code is 0 if all of that held. 200 kills take about 40 minutes.
Ctrl-C ends the benchmark and prints the table so far.
"""

import argparse
import base64
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import vacuagym.tables.parquet  # noqa: F401  (one thread, system allocator)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGHUP": signal.SIGHUP}
KINDS = ("kill -9 of Snakemake", "kill -9 of the group", "kill -9 of one job", *SIGNALS)
MIXTURE = "a mixture of these"
RESULTS = (
    "labels.parquet",
    "splits/*",
    "features/*",
    "verification.json",
    "verdict.txt",
    "dataset/**/*.*",
    "dataset/SHA256SUMS",
)
ONCE = (
    "geometry/*.parquet",
    "shards/*/*.parquet",
    "labels/*/*.parquet",
)  # once finished, a resumed run has no reason to touch them
COLUMNS = (
    "kills",
    "rounds",
    "too late",
    "hung",
    "orphans",
    "differences",
    "not 0",
    "leftovers",
    "remade",
)


def prepare(folder: Path) -> None:
    """Write a shuffled table of 240 rows in two namespaces, and a configuration with this table and
    the first 160 toric bases, in 4 shards each.
    """
    rng = np.random.default_rng(7)
    order = rng.permutation(240)
    ids, names = np.tile(np.arange(-40, 80), 2), np.repeat(["w5.ip.gz", "w44.ip.gz"], 120)
    table = {"id": ids[order], "source": names[order], "h": rng.integers(0, 5, 240)}
    pq.write_table(pa.table(table), folder / "t.parquet")
    table_entry = "{source: table, path: t.parquet, id: id, namespace: source, moduli: h}"
    datasets = [
        "datasets:",
        "  fth6d: null",
        "  ws5: null",
        f"  t: {table_entry}",
        "  bases: {source: toric_bases}",
    ]
    settings = ["n_limit: 160", "shard_size: 40", "moduli: {max: 4}"]
    (folder / "mine.yaml").write_text("\n".join([*datasets, *settings]) + "\n")


class Run:
    """One start of the pipeline in a folder, as a new process group. Its console goes to a file."""

    def __init__(self, folder: Path, *arguments: str):
        self.folder = folder
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
        with (folder / "console.log").open("a") as console:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=console, stderr=console, start_new_session=True
            )

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the exit code, or None if the run takes longer than ``seconds``."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def others(self) -> list[int]:
        """Living processes that work in this folder, except Snakemake's own."""
        return [pid for pid in processes_in(self.folder) if pid != self.process.pid]

    def kill(self) -> None:
        """End Snakemake at once, and nothing else."""
        self.process.kill()
        self.process.wait()


def processes_in(folder: Path) -> list[int]:
    """Processes whose working folder is this one, zombies left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder) and (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def end_processes_below(base: Path) -> None:
    """End every process that works in a folder of this harness.

    Repeat this until the dying processes have started no new one.
    """
    while found := [pid for folder in base.iterdir() for pid in processes_in(folder)]:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def stop(run: Run, kind: str, patience: float, random_number: random.Random) -> Counter:
    """Stop a run that is under way, and tell how it went."""
    seen = Counter()
    if kind == "kill -9 of Snakemake":
        run.kill()
    elif kind == "kill -9 of the group":
        os.killpg(run.process.pid, signal.SIGKILL)
        run.wait()
    elif kind == "kill -9 of one job":
        jobs = run.others()
        while not jobs and run.wait(0.01) is None:
            jobs = run.others()
        if not jobs:
            return Counter({"too late": 1})
        try:
            os.kill(random_number.choice(jobs), signal.SIGKILL)
        except ProcessLookupError:
            seen["too late"] += 1
        run.wait()
    else:
        run.process.send_signal(SIGNALS[kind])
        if run.wait(patience) is None:
            seen["hung"] += 1
            run.kill()
    if not seen["too late"]:
        seen["kills"] += 1
    time.sleep(0.3)  # a dying process takes an instant to be gone
    seen["orphans"] += len(run.others())
    return seen


def finished(folder: Path, since: float) -> dict[Path, int]:
    """The time of change of every file that was made after ``since`` and that Snakemake knows to
    be finished.
    """
    times = {}
    for pattern in ONCE:
        for path in (folder / "results").glob(pattern):
            key = base64.urlsafe_b64encode(str(path.relative_to(folder)).encode()).decode()
            record, incomplete = (
                folder / ".snakemake" / kind / key for kind in ("metadata", "incomplete")
            )
            changed = path.stat().st_mtime_ns
            if (
                changed > since * 1e9
                and record.exists()
                and not incomplete.exists()
                and record.stat().st_mtime_ns > changed
            ):
                times[path] = changed
    return times


def remade(known: dict[Path, int]) -> int:
    """How many finished files are no longer what they were."""
    return sum(
        not path.exists() or path.stat().st_mtime_ns != changed for path, changed in known.items()
    )


def results(folder: Path) -> dict[str, bytes]:
    """The files that must not depend on what a run has been through."""
    found = sorted(path for pattern in RESULTS for path in (folder / "results").glob(pattern))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def leftovers(folder: Path) -> list[Path]:
    """Return temporary files under the results. Labels that are set aside do not
    count: the next start brings them back or removes them.
    """
    return [
        path
        for path in (folder / "results").rglob("*")
        if path.name.startswith((".", "tmp")) and path.suffix != ".aside"
    ]


class Harness:
    """The undisturbed run, a folder with the results of another seed, and the rounds."""

    def __init__(self, base: Path, seed: int, patience: float):
        self.base, self.patience = base, patience
        self.random = random.Random(seed)
        self.counts: dict[str, Counter] = {kind: Counter() for kind in (*KINDS, MIXTURE)}
        self.notes: list[str] = []
        self.empty, self.other = base / "empty", base / "other"
        self.duration = float("inf")
        self.reference: dict[str, bytes] = {}
        self.seed = seed

    def make_reference(self) -> None:
        """The runs that nobody disturbs: one by another seed, and the one with which all others
        are compared.
        """
        self.empty.mkdir()
        prepare(self.empty)
        reference = self.base / "reference"
        for folder, arguments in ((self.other, ("--config", "seed=43")), (reference, ())):
            shutil.copytree(self.empty, folder)
            began = time.monotonic()
            if Run(folder, *arguments).wait():
                sys.exit((folder / "console.log").read_text()[-3000:])
            self.duration = min(self.duration, time.monotonic() - began)
        self.reference = results(reference)
        print(
            f"undisturbed: {self.duration:.1f} s, {len(self.reference)} files to compare; seed "
            f"{self.seed}",
            flush=True,
        )

    def round(self, number: int, kind: str) -> int:
        """Kill a run at several moments, let it end, and look at what it has left; returns how
        many kills there were.
        """
        counts = self.counts[kind]
        before = counts["kills"]
        folder = self.base / "round"
        shutil.copytree(self.other if self.random.random() < 0.3 else self.empty, folder)
        since, known, history = time.time(), {}, []
        for _ in range(self.random.randint(2, 5)):
            run, moment = Run(folder), self.random.uniform(0, self.duration)
            if run.wait(moment) is not None:
                counts["too late"] += 1
                break
            way = self.random.choice(KINDS) if kind == MIXTURE else kind
            history.append(f"{way} at {moment:.2f} s")
            counts.update(stop(run, way, self.patience, self.random))
            self.note(counts, "remade", remade(known), number, history)
            known = finished(folder, since)
        code = Run(folder).wait()
        deadline = time.monotonic() + 60
        while processes_in(folder) and time.monotonic() < deadline:
            time.sleep(0.1)
        found = results(folder)
        differences = sorted(
            name
            for name in self.reference.keys() | found.keys()
            if self.reference.get(name) != found.get(name)
        )
        counts["rounds"] += 1
        self.note(counts, "not 0", int(code != 0), number, [*history, f"then exit code {code}"])
        self.note(counts, "differences", len(differences), number, [*history, *differences])
        self.note(
            counts,
            "leftovers",
            len(leftovers(folder)),
            number,
            [*history, *map(str, leftovers(folder))],
        )
        self.note(counts, "remade", remade(known), number, history)
        if any(note.startswith(f"round {number}:") for note in self.notes):
            shutil.copytree(folder, self.base / f"kept-{number}")
        shutil.rmtree(folder)
        return counts["kills"] - before

    def note(
        self, counts: Counter, what: str, how_many: int, number: int, history: list[str]
    ) -> None:
        """Count a broken promise, and remember how it came about."""
        counts[what] += how_many
        if how_many:
            self.notes.append(f"round {number}: {what} {how_many}: {'; '.join(history)}")
            print(self.notes[-1], flush=True)

    def table(self) -> str:
        """The counts by kind."""
        total = sum(self.counts.values(), Counter())
        lines = [f"{'':<22}" + "".join(f"{name:>12}" for name in COLUMNS)]
        for kind, counts in [*self.counts.items(), ("all", total)]:
            lines.append(f"{kind:<22}" + "".join(f"{counts[name]:>12}" for name in COLUMNS))
        return "\n".join(lines)


def main() -> None:
    """Do rounds until there have been enough kills, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kills", type=int, default=60, help="minimum number of kills (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of the kinds and moments (default: %(default)s)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=20.0,
        help="seconds to wait after a signal, then kill -9 (default: %(default)s)",
    )
    options = parser.parse_args()
    for (
        number
    ) in SIGNALS.values():  # a shell may have set them to be ignored, and that would be inherited
        signal.signal(number, signal.default_int_handler)
    base = Path(tempfile.mkdtemp(prefix="crashes-")).resolve()
    harness = Harness(base, options.seed, options.patience)
    kills = rounds = 0
    try:
        harness.make_reference()
        while kills < options.kills:
            kills += harness.round(rounds, (*KINDS, MIXTURE)[rounds % (len(KINDS) + 1)])
            rounds += 1
            print(f"round {rounds}, {kills} kills", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        for number in SIGNALS.values():  # the end must not be interrupted by a second Ctrl-C
            signal.signal(number, signal.SIG_IGN)
        print("interrupted: the last round is counted in part", flush=True)
    finally:
        end_processes_below(base)
    print(harness.table())
    print(
        "too late: the run was over before the kill; hung: after a signal, ended by kill -9; "
        "orphans: jobs that outlived their Snakemake"
    )
    if harness.notes:
        sys.exit(
            f"{len(harness.notes)} broken promises, listed above; the folders are kept in {base}"
        )
    shutil.rmtree(base)


if __name__ == "__main__":
    main()
