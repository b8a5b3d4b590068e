"""What everything but labelling costs: CPU time a row and peak memory of each stage.

    python benchmarks/tail.py 10000 100000 1000000

The table has rows like those of the toric bases, with Hodge numbers, groups and columns to publish.
Their labels are generated: labels of a small sample with noise on their numbers, so that they
compress like labels that were searched. Each stage is the command that a run would start, with the
memory that it would get. A cost a row contains the start of the process, about 0.3 s. Shards have
100,000 ids.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import vacuagym.tables.parquet  # noqa: F401  (one thread, system allocator)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from vacuagym.config import checked_config, physics_sections
from vacuagym.stages.label import label
from vacuagym.tables.feature_schema import SCHEMA as SHARD
from vacuagym.tables.label_schema import SCHEMA, geometry_keys, single_dataset
from vacuagym.tables.parquet import file_metadata, write_table
from vacuagym.tables.plan import Plan, label_file

MEMORY_MB = 400
SHARD_SIZE = 100_000
SAMPLE = 600  # rows that are labelled
CHUNK = 50_000
COLUMNS = ("num_nodes", "T", "h11", "h21", "num_f", "num_g", "self_intersections")
ENTRY = {
    "source": "table",
    "path": "table.parquet",
    "id": "id",
    "moduli": "T",
    "hodge": ["h11", "h21"],
    "columns": list(COLUMNS),
}
CONFIG = {
    "datasets": {"fth6d": None, "ws5": None, "t": ENTRY},
    "split_groups": {"t": ["h11", "h21"]},
}


def write_feature_table(path: Path, rows: int) -> None:
    """Write a table whose columns have about the distributions of the toric bases."""
    rng = np.random.default_rng(rows)
    schema = pa.schema(
        [("id", pa.int64())]
        + [(name, pa.int16()) for name in COLUMNS[:-1]]
        + [(COLUMNS[-1], pa.list_(pa.int8()))]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            moduli = np.minimum(rng.gamma(4.0, 7.5, count).astype(int), 193)
            lengths = moduli + 3
            columns = [
                np.arange(start, start + count),
                lengths,
                moduli,
                moduli + 10,
                491 - 2 * moduli + rng.integers(0, 2000, count),
                moduli // 2,
                moduli // 3,
                pa.ListArray.from_arrays(
                    pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()),
                    pa.array(rng.integers(-12, 2, lengths.sum()), pa.int8()),
                ),
            ]
            arrays = [
                pa.array(values).cast(field.type)
                for values, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def labelled_sample(folder: Path, sections: dict) -> pa.Table:
    """Return labels of a few geometries of every number of moduli."""
    ids = np.arange(SAMPLE)
    moduli = 2 + ids % 31
    shard = pa.table({"geometry_id": ids, "moduli": moduli})
    schema = SHARD.remove(SHARD.get_field_index("namespace"))
    about = {"dataset": "t", "first": 0, "last": SAMPLE, "rows": SAMPLE, "digest": "sample"}
    with write_table(folder / "sample.parquet", schema, about) as writer:
        writer.write(shard.select(schema.names).cast(schema))
    label(folder / "sample.parquet", sections, "sample", 16, None, folder / "labelled.parquet")
    return pq.read_table(folder / "labelled.parquet")


def generate_labels(shard: Path, sample: pa.Table, sections: dict, output: Path) -> None:
    """Write the label file of a shard: labels of the sample with noise on their numbers."""
    file = pq.ParquetFile(shard)
    about = file_metadata(file)
    rng = np.random.default_rng(about["first"])
    sizes = sample["n_moduli"].to_numpy()
    of_size = {n: np.flatnonzero(sizes == n) for n in np.unique(sizes)}
    metadata = {
        "seed": sections["seed"],
        "fingerprint": "generated",
        "physics": sections,
        **{key: about[key] for key in ("dataset", "first", "last", "rows", "digest")},
        **{"declared_mb": 400, "finished": 0.0, "wall_seconds": 1.0, "peak_mb": 100.0},
    }
    with write_table(output, SCHEMA, metadata) as writer:
        for rows in file.iter_batches(10_000):
            ids, moduli = rows.column("geometry_id").to_numpy(), rows.column("moduli")
            n = np.clip(moduli.to_numpy(), 2, 32)
            chosen = np.empty(len(n), int)
            for size, members in of_size.items():
                here = n == size
                chosen[here] = rng.choice(members, here.sum())
            own = sample.take(pa.array(chosen)).combine_chunks()
            scale = rng.uniform(0.9, 1.0, len(n))
            columns = {name: own[name].combine_chunks() for name in SCHEMA.names}
            for name in ("eigenvalues", "critical_point"):
                lists = columns[name]
                lengths = np.diff(lists.offsets.to_numpy())
                noise = np.repeat(scale, lengths)
                if name == "critical_point":
                    noise = rng.uniform(0.9, 1.0, len(noise))
                columns[name] = pa.ListArray.from_arrays(
                    lists.offsets, pa.array(lists.values.to_numpy() * noise), mask=lists.is_null()
                )
            for name in ("potential_value", "min_eigenvalue", "max_eigenvalue", "phi_norm"):
                columns[name] = pa.array(
                    columns[name].to_numpy(zero_copy_only=False) * scale, from_pandas=True
                )
            for name in ("grad_norm", "condition_number", "log_abs_det_hessian", "mass_shift"):
                columns[name] = pa.array(
                    columns[name].to_numpy(zero_copy_only=False) * scale, from_pandas=True
                )
            for name in ("gamma", "A_np", "a_np", "D_up", "p_up"):
                columns[name] = pa.array(columns[name].to_numpy() * scale)
            columns["grad_norm"] = pa.array(
                columns["grad_norm"].to_numpy(zero_copy_only=False) * 0.5, from_pandas=True
            )
            namespaces = [None] * len(n)
            columns |= {
                "key": pa.array(geometry_keys("t", namespaces, ids.tolist())),
                "dataset": single_dataset("t", len(n)),
                "namespace": pa.array(namespaces, pa.string()),
                "geometry_id": pa.array(ids),
                "moduli": moduli,
                "n_moduli": pa.array(n, pa.int16()),
            }
            writer.write(pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA))


def measured(folder: Path, *command: str) -> tuple[float, float]:
    """Run a command of the package; return its CPU time in s and its peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call = [sys.executable, "-P", "-m", "vacuagym", *command]
    peak = 0.0
    with (folder / "console.log").open("a") as console:
        child = subprocess.Popen(call, cwd=folder, stdout=console, stderr=console)
        while child.poll() is None:
            peak = max(peak, high_water_mb(child.pid))
            time.sleep(0.02)
    if child.returncode:
        sys.exit((folder / "console.log").read_text()[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def high_water_mb(pid: int) -> float:
    """Return the peak resident memory of a process so far, in MB; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def stages(folder: Path, rows: int) -> dict[str, list[tuple[float, float]]]:
    """Run every stage on a table of ``rows`` rows; return what each job took, by stage."""
    results = folder / "results"
    results.mkdir()
    config = checked_config(CONFIG)
    sections = physics_sections(config)
    (results / "configuration.json").write_text(json.dumps(config))
    write_feature_table(folder / "table.parquet", rows)
    sample = labelled_sample(folder, sections)
    limit = f"--mem-mb={MEMORY_MB}"
    names = [f"--column={name}" for name in COLUMNS]
    named = ["--h11=h11", "--h21=h21", *names, "--group=h11", "--group=h21"]
    taken: dict[str, list[tuple[float, float]]] = {}

    def stage(name: str, command: str, *options: str) -> None:
        taken.setdefault(name, []).append(measured(folder, command, *options, limit))

    table = ["--dataset=t", "--table=table.parquet", "--id=id", "--moduli=T"]
    stage("plan", "plan", *table, *named, f"--shard-size={SHARD_SIZE}", "--output=plan.json")
    plan = Plan.read(folder / "plan.json")
    checked = []
    for first, last in plan.parts:
        checked.append(f"columns-{first}.json")
        part = ["--plan=plan.json", f"--first={first}", f"--last={last}", *named]
        stage("columns", "columns", *part, f"--output={checked[-1]}")
    for shard in plan.shards:
        own = ["--plan=plan.json", f"--first={shard.first}", "--output=shard.parquet"]
        stage("shard", "shard", *own)
        target = label_file(results / "labels", "t", shard)
        generate_labels(folder / "shard.parquet", sample, sections, target)
    stage("merge", "merge", "--plans", "plan.json", "--output=results/labels.parquet")
    stage(
        "features",
        *("features", "--plan=plan.json", *named, "--checked", *checked),
        "--output=results/features/t.parquet",
    )
    splits = [f"results/splits/{name}.parquet" for name in ("iid", "ood_complexity", "ood_hodge")]
    beside = ["--features", "results/features/t.parquet"]
    for path in splits:
        name = Path(path).stem
        files = [f"--index=results/splits/{name}.json", f"--output={path}"]
        stage(f"split {name}", "split", f"--name={name}", *beside, *files)
    few = ["--share=0", "--least=1", "--per-label=1"]  # without the derivations themselves
    stage("verify", "verify", *few, "--record-only", "--output=results/verification.json")
    (results / "verification.json").write_text(
        '{"rows": 1, "verified": 1, "disagreements": {}, "by_label": {}, "share": 0.0, '
        '"least": 1, "per_label": 1}'
    )
    every = ["--plans", "plan.json", "--splits", *splits, *beside]
    outputs = ["--counts=results/counts.npz", "--output=results/validation.json"]
    stage("validate", "validate", *every, *outputs)
    stage("report", "report", "--output=results/report.html")
    stage("dataset", "dataset", "--splits", *splits, *beside, "--output=results/dataset")
    return taken


def table_of(sizes: list[int]) -> None:
    """Print µs of CPU a row and peak MB of each stage for each number of rows."""
    columns, disks = [], []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            columns.append(stages(Path(name), rows))
            results = Path(name) / "results"
            disks.append(
                {
                    "label table": size_of(results / "labels.parquet"),
                    "features": size_of(results / "features"),
                    "splits": size_of(results / "splits"),
                    "data set": size_of(results / "dataset"),
                }
            )
    heads = "".join(f"{rows:>22,}" for rows in sizes)
    print(f"{'rows':20}{heads}\n{'CPU a row, peak':20}" + "             µs     MB" * len(sizes))
    for stage in columns[0]:
        cells = [
            f"{1e6 * sum(cpu for cpu, _ in taken[stage]) / rows:15.2f}"
            f"{max(peak for _, peak in taken[stage]):7.0f}"
            for taken, rows in zip(columns, sizes, strict=True)
        ]
        print(f"{stage:20}{''.join(cells)}")
    totals = [
        sum(cpu for jobs in taken.values() for cpu, _ in jobs) * 1e6 / rows
        for taken, rows in zip(columns, sizes, strict=True)
    ]
    print(f"{'all':20}" + "".join(f"{total:15.2f}{'':7}" for total in totals))
    for name in disks[0]:
        cells = [f"{own[name] / rows:15.0f}{'':7}" for own, rows in zip(disks, sizes, strict=True)]
        print(f"{'bytes a row: ' + name:26}{''.join(cells)[6:]}")


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


if __name__ == "__main__":
    table_of([int(size) for size in sys.argv[1:]])
