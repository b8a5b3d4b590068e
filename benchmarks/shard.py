"""Measure where the time of one label job goes: the search, and everything around it.

    python benchmarks/shard.py results/shards/fth6d/30000-39999.parquet

A new process labels a shard of a finished run, as in the pipeline, and sums up the processor time
of its parts. *Search* is the Newton steps with their spectra. Other parts are barriers, the start
of the process with its imports, random streams and couplings, reading, labels, and writing.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import wraps
from pathlib import Path

PARTS = {
    "search": ("vacuagym.theories.toy.labelling", ("search",)),
    "streams and couplings": ("vacuagym.theories.toy.labelling", ("draw_fluxes", "draw_starts")),
    "barriers": ("vacuagym.theories.toy.labelling", ("_barriers",)),
    "a batch in all": ("vacuagym.stages.label", ("label_geometries",)),
    "columns": ("vacuagym.stages.label", ("_table", "_stream_keys")),
    "writing": ("vacuagym.tables.parquet.TableWriter", ("write", "close")),
}


def child(shard: str, settings: str) -> None:
    """Label the shard with timers around the parts, and print the seconds of each."""
    from vacuagym.__main__ import hide_pandas

    hide_pandas()
    import vacuagym.stages.label as stage
    from vacuagym.runtime.memory import BATCH_MB

    spent: Counter[str] = Counter(start=time.process_time())

    def timed(part, function):
        @wraps(function)
        def measured(*arguments, **named):
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[part] += time.process_time() - began

        return measured

    for part, (where, names) in PARTS.items():
        module, _, owner = (
            where.rpartition(".") if where[where.rfind(".") + 1].isupper() else (where, "", "")
        )
        target = getattr(sys.modules[module], owner) if owner else sys.modules[module]
        for name in names:
            if hasattr(target, name):
                setattr(target, name, timed(part, getattr(target, name)))
    with tempfile.TemporaryDirectory() as folder:
        stage.label(
            Path(shard),
            json.loads(settings),
            "benchmark",
            BATCH_MB,
            None,
            Path(folder) / "labels.parquet",
        )
    print(json.dumps(spent))


def main(shard: str) -> None:
    """Print the table."""
    from vacuagym.config import checked_config, physics_sections

    settings = json.dumps(physics_sections(checked_config({})))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, __file__, shard, settings], stdout=subprocess.PIPE, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent = json.loads(done.stdout.splitlines()[-1])
    inside = sum(spent.get(part, 0.0) for part in ("search", "streams and couplings", "barriers"))
    spent["labels and vacua"] = spent.pop("a batch in all") - inside
    spent["reading and the rest"] = total - sum(spent.values())
    print(done.stdout.splitlines()[-2])
    for part, seconds in sorted(spent.items(), key=lambda each: -each[1]):
        print(f"{part:<24}{seconds:8.2f} s {100 * seconds / total:6.1f} %")
    print(
        f"{'in all':<24}{total:8.2f} s; around the search "
        f"{100 * (1 - (spent['search'] + spent['barriers']) / total):.1f} %"
    )


if __name__ == "__main__":
    child(*sys.argv[1:]) if len(sys.argv) > 2 else main(sys.argv[1])
