"""Write a feature table with giant object columns, and run the pipeline on it under `measure.py`.

The pipeline must not read these columns.

    python benchmarks/wide_table.py /tmp/wide                  # 300,000 rows, 4 GB uncompressed,
    then the pipeline on it python benchmarks/wide_table.py /tmp/wide --rows 20000     # a smaller
    one

Ids are shuffled over the whole table. So every shard has rows in every row group: the worst
order.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import vacuagym.tables.parquet  # noqa: F401  (one thread, system allocator)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 5_000
TEXTS, LISTS = 20, 8  # object columns
TEXT_BYTES, LIST_LENGTH = 500, 64  # per row: 20 · 500 + 8 · 64 · 8 bytes ≈ 14 KB


def write(path: Path, rows: int) -> int:
    """Write the table row group by row group; returns its uncompressed size in bytes."""
    rng = np.random.default_rng(0)
    ids = rng.permutation(rows)
    moduli = np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 6, rows))
    text = pa.array(["".join(rng.choice(list("0123456789 ,"), TEXT_BYTES)) for _ in range(64)])
    size = 0
    writer = None
    for start in range(0, rows, ROW_GROUP):
        count = min(ROW_GROUP, rows - start)
        columns = {
            "object_id": pa.array(ids[start : start + count]),
            "h21": pa.array(moduli[start : start + count]),
        }
        for column in range(TEXTS):
            columns[f"text_{column}"] = text.take(pa.array(rng.integers(0, len(text), count)))
        for column in range(LISTS):
            numbers = pa.array(rng.integers(-9, 10, count * LIST_LENGTH))
            columns[f"matrix_{column}"] = pa.FixedSizeListArray.from_arrays(
                numbers, LIST_LENGTH
            ).cast(pa.list_(pa.int64()))
        table = pa.table(columns)
        size += table.nbytes
        writer = writer or pq.ParquetWriter(
            path, table.schema, compression="zstd", use_dictionary=False
        )
        writer.write_table(table, row_group_size=ROW_GROUP)
    writer.close()
    return size


def main() -> None:
    """Write the table and run the pipeline on it, measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=300_000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    table = options.folder / "wide.parquet"
    size = write(table, options.rows)
    print(
        f"{table}: {options.rows} rows, {size / 1e9:.2f} GB uncompressed, "
        f"{table.stat().st_size / 1e9:.2f} GB on disk",
        flush=True,
    )
    entry = "{source: table, path: wide.parquet, id: object_id, moduli: h21}"
    (options.folder / "wide.yaml").write_text(
        f"datasets:\n  fth6d: null\n  ws5: null\n  wide: {entry}\n", encoding="utf-8"
    )
    root = Path(__file__).resolve().parent.parent
    run = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(root / "Snakefile"),
        "--cores",
        "2",
    ]
    run += ["--resources", "mem_mb=12000", "--configfile", "wide.yaml"]
    subprocess.run(
        [sys.executable, str(root / "benchmarks/measure.py"), *run], cwd=options.folder, check=True
    )


if __name__ == "__main__":
    main()
