"""Read the computed geometry of a few threefolds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.tables.parquet import open_parquet, read_batches
from vacuagym.tables.stored import stored_files
from vacuagym.tables.threefold_names import IDENTITY_NAMES

Identity = tuple[str | None, int]  # namespace and id


def geometry_rows(
    table: Path, wanted: Collection[Identity], columns: Sequence[str]
) -> dict[Identity, dict[str, Any]]:
    """Return the named columns of some rows of a table of computed geometry.

    Parameters
    ----------
    table : Path
        The table, a folder of its segments, or the file of a shard. Of other rows only the ids
        are decoded, batch by batch.
    wanted : collection of (namespace, id)
        The rows. Those that the table does not have are left out.
    columns : sequence of str
        The columns to return.
    """
    ids = pa.array({number for _, number in wanted}, pa.int64())
    names = [*IDENTITY_NAMES, *columns]
    found: dict[Identity, dict[str, Any]] = {}
    for path in stored_files(table):
        file = open_parquet(path)
        groups = [
            group
            for group in range(file.num_row_groups)
            if any(
                pc.any(pc.is_in(batch.column("geometry_id"), value_set=ids)).as_py()
                for batch in read_batches(file, path, ["geometry_id"], row_groups=[group])
            )
        ]
        for batch in read_batches(file, path, names, row_groups=groups) if groups else ():
            near = batch.filter(pc.is_in(batch.column("geometry_id"), value_set=ids))
            for row in near.to_pylist():
                identity = row.pop("namespace"), row.pop("geometry_id")
                if identity in wanted:
                    found[identity] = row
    return found
