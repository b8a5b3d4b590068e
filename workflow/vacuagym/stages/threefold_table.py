"""Threefold table: the geometry of all shards of a data set, in one table in the order of ids."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from vacuagym.errors import DamagedFileError
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches, write_table
from vacuagym.tables.plan import Plan


def threefold_table(plan: Plan, folder: Path, output: Path) -> None:
    """Write the rows of all shards of a plan into one file.

    Parameters
    ----------
    plan : Plan
        The plan of the data set, or of a segment of it.
    folder : Path
        The folder of the shards' files, named FIRST-LAST.parquet.
    output : Path
        The Parquet file to write.

    Raises
    ------
    DamagedFileError
        If a file is damaged, or not of the planned rows.
    """
    paths = [folder / f"{shard.name}.parquet" for shard in plan.shards]
    schema = open_parquet(paths[0]).schema_arrow
    with write_table(output, schema, {"dataset": plan.dataset, "content": plan.content}) as writer:
        for path, shard in zip(paths, plan.shards, strict=True):
            file = open_parquet(path)
            if file_metadata(file).get("digest") != shard.digest or file.schema_arrow != schema:
                raise DamagedFileError(f"{path}: of other rows or columns; remove it", path)
            for batch in read_batches(file, path, schema.names):
                writer.write(pa.Table.from_batches([batch]))
    print(f"{writer.rows} rows, peak {peak_memory_mb():.0f} MB")
