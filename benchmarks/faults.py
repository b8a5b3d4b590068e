"""Let one system call of a run fail, finish the run with the same command, and compare it with an
undisturbed run (Linux, gcc).

    python benchmarks/faults.py --most 40 --step 3

For each kind of call (write, fsync, rename, open, read below results/) and each k, step by step,
one process meets an error at its k-th such call. The errors EIO, ENOSPC and EMFILE alternate. The
run may then fail with a message. The same command without the fault must end well. The label table,
splits, features and published files must have the bytes of an undisturbed run. No label file that
was finished before the fault may be missing or recomputed. The exit code is 0 if all of that held.
"""

import argparse
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import crashes

CALLS = {
    "write": (errno.EIO, errno.ENOSPC),
    "fsync": (errno.EIO,),
    "rename": (errno.EIO, errno.ENOSPC),
    "open": (errno.EMFILE, errno.EIO),
    "read": (errno.EIO, errno.ESTALE),
}
COLUMNS = ("faults", "met", "failed runs", "tracebacks", "hung", "differences", "lost", "not 0")


def build(folder: Path) -> Path:
    """Compile the preloaded library."""
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", "-w", "-o", str(library), str(source), "-ldl"],
        check=True,
    )
    return library


def run(folder: Path, **environment: str) -> tuple[int | None, str]:
    """Run the pipeline. Return the exit code, or None if it did not end, and the output."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(crashes.ROOT / "Snakefile"),
        "--cores",
        "2",
    ]
    command += ["--resources", "mem_mb=12000", "--configfile", "mine.yaml"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired as expired:
        return None, (expired.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout


def content(folder: Path) -> dict[str, bytes]:
    """The files that have to be the same, by name."""
    paths = (
        path
        for pattern in crashes.RESULTS
        for path in (folder / "results").glob(pattern)
        if path.is_file()
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def finished_labels(folder: Path) -> dict[str, int]:
    """Label files with their times."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in (folder / "results/labels").glob("*/[0-9-]*.parquet")
    }


def main() -> None:
    """Try all faults and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=30, help="largest k (default: %(default)s)")
    parser.add_argument(
        "--step", type=int, default=4, help="from one k to the next (default: %(default)s)"
    )
    parser.add_argument(
        "--calls",
        nargs="+",
        choices=CALLS,
        default=list(CALLS),
        help="kinds of calls (default: all)",
    )
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="faults-")).resolve()
    counts: dict[str, Counter[str]] = {call: Counter() for call in CALLS}
    try:
        library = build(base)
        reference = base / "reference"
        reference.mkdir()
        crashes.prepare(reference)
        assert run(reference)[0] == 0
        expected = content(reference)
        for call in options.calls:
            for turn, k in enumerate(range(1, options.most + 1, options.step)):
                number = CALLS[call][turn % len(CALLS[call])]
                told = one_fault(base / f"{call}-{k}", library, call, k, number, expected)
                counts[call].update(told)
                problems = {
                    name
                    for name in ("tracebacks", "hung", "differences", "lost", "not 0")
                    if told[name]
                }
                if problems:
                    print(
                        f"{call} {k} {errno.errorcode[number]}: {', '.join(sorted(problems))}",
                        flush=True,
                    )
    finally:
        print(f"{'call':<8}" + "".join(f"{name:>13}" for name in COLUMNS))
        for call in options.calls:
            print(f"{call:<8}" + "".join(f"{counts[call][name]:>13}" for name in COLUMNS))
        shutil.rmtree(base, ignore_errors=True)
    sys.exit(
        any(
            counts[call][name]
            for call in CALLS
            for name in ("tracebacks", "hung", "differences", "lost", "not 0")
        )
    )


def one_fault(
    folder: Path, library: Path, call: str, k: int, number: int, expected: dict[str, bytes]
) -> Counter[str]:
    """One run with a fault, and the same command after it."""
    folder.mkdir()
    crashes.prepare(folder)
    once = folder / "fault-met"
    code, said = run(
        folder,
        LD_PRELOAD=str(library),
        FAULT_CALL=call,
        FAULT_AT=str(k),
        FAULT_ERRNO=str(number),
        FAULT_ONCE=str(once),
    )
    told = Counter(
        {
            "faults": 1,
            "met": int(once.exists()),
            "failed runs": int(code not in (0, None)),
            "hung": int(code is None),
        }
    )
    told["tracebacks"] = int("Traceback" in said)
    before = finished_labels(folder)
    code, said = run(folder)
    told["not 0"] = int(code != 0)
    told["differences"] = int(content(folder) != expected)
    after = finished_labels(folder)
    told["lost"] = int(any(after.get(path) != time for path, time in before.items()))
    if told["tracebacks"] or told["not 0"] or told["differences"]:
        print(said[-1500:], flush=True)
    shutil.rmtree(folder)
    return told


if __name__ == "__main__":
    main()
