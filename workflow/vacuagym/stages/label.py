"""Label the geometries of one shard: search critical points and write labels in order.

Rows are worked on in windows of bounded size. Within a window, geometries with equal n form batches
of bounded bytes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.errors import InputError
from vacuagym.runtime.memory import (
    WINDOW_BYTES,
    geometry_bytes,
    hold_to_memory,
    label_memory_mb,
    peak_memory_mb,
)
from vacuagym.runtime.stall import beat
from vacuagym.tables.label_schema import (
    CATEGORIES,
    SCHEMA,
    categorical,
    geometry_keys,
    single_dataset,
)
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches, write_table
from vacuagym.theories.toy.classes import LABELS
from vacuagym.theories.toy.labelling import Physics, label_geometries
from vacuagym.theories.toy.random_streams import stream_key

_WINDOW_ROWS = 10_000
_ROW_BYTES = 400  # of a label row besides its lists
_LISTS = ("eigenvalues", "critical_point")


def window_rows(most_moduli: int) -> int:
    """Return the rows of a window, whose labels fit into the bytes of a window.

    A label has two lists of at most ``most_moduli`` numbers.
    """
    return max(1, min(_WINDOW_ROWS, WINDOW_BYTES // (_ROW_BYTES + 16 * most_moduli)))


def label(
    shard: Path,
    sections: dict[str, Any],
    fingerprint: str,
    batch_mb: int,
    granted_mb: int | None,
    output: Path,
) -> None:
    """Label every row of ``shard`` and write the label file ``output``.

    Parameters
    ----------
    sections : dict
        Physics of the configuration: seed, moduli, ensemble, search.
    fingerprint : str
        Fingerprint of settings and code, for the metadata.
    batch_mb : int
        Working memory of a batch in MB.
    granted_mb : int, optional
        Memory of the job in MB.

    Raises
    ------
    InputError
        ``shard`` is no shard file.
    MemoryDeclarationError
        The job needs more memory than it was granted.
    """
    started = time.monotonic()
    physics = Physics.from_mapping(sections)
    hold_to_memory(label_memory_mb(physics.moduli.max, physics.trials(), batch_mb), granted_mb)
    file = open_parquet(shard)
    about = file_metadata(file)
    if not {"dataset", "first", "last", "rows", "digest"} <= set(about):
        raise InputError(f"{shard}: not a shard of this pipeline; make one with vacuagym shard")
    rows = window_rows(physics.moduli.max)
    metadata = {
        "seed": physics.seed,
        "fingerprint": fingerprint,
        "physics": sections,
        **{key: about[key] for key in ("dataset", "first", "last", "rows", "digest")},
        "numpy": np.__version__,
    }
    with write_table(output, SCHEMA, metadata) as writer:
        for batch in read_batches(file, shard, file.schema_arrow.names):
            for start in range(0, len(batch), rows):
                writer.write(
                    _label_window(
                        physics, about["dataset"], batch.slice(start, rows), batch_mb * 2**20
                    )
                )
                seconds = time.monotonic() - started
                print(
                    f"{writer.rows} of {about['rows']} rows, {writer.rows / seconds:.0f} rows/s, "
                    f"peak {peak_memory_mb():.0f} MB",
                    flush=True,
                )
        metadata |= {"declared_mb": granted_mb, "finished": round(time.time(), 1)}
        metadata |= {
            "wall_seconds": round(time.monotonic() - started, 3),
            "peak_mb": round(peak_memory_mb(), 1),
        }


def _label_window(
    physics: Physics, dataset: str, window: pa.RecordBatch, batch_bytes: int
) -> pa.Table:
    """Return the label rows of a window."""
    ids = window.column("geometry_id").to_numpy()
    counts = window.column("moduli")
    missing = counts.is_null().to_numpy(zero_copy_only=False)
    n = physics.moduli(counts.fill_null(0).to_numpy(), missing)
    namespaces = (
        window.column("namespace").to_pylist()
        if "namespace" in window.schema.names
        else [None] * len(ids)
    )
    keys = _stream_keys(physics.seed, dataset, namespaces)
    columns: dict[str, np.ndarray] = {}
    lists = {name: np.empty((len(ids), n.max())) for name in _LISTS}
    for size in np.unique(n):
        members = np.flatnonzero(n == size)
        batch = max(1, batch_bytes // geometry_bytes(int(size), physics.trials()))
        for start in range(0, len(members), batch):
            rows = members[start : start + batch]
            labelled = label_geometries(physics, int(size), keys[rows], ids[rows])
            beat()
            for name, values in labelled.items():
                if name in lists:
                    lists[name][rows, :size] = values
                else:
                    columns.setdefault(name, np.empty((len(ids), *values.shape[1:]), values.dtype))[
                        rows
                    ] = values
    identity = {
        "key": geometry_keys(dataset, namespaces, ids.tolist()),
        "dataset": single_dataset(dataset, len(ids)),
        "namespace": namespaces,
        "geometry_id": ids,
        "moduli": counts,
        "n_moduli": n,
    }
    return _table({**columns, **lists, **identity})


def _stream_keys(seed: int, dataset: str, namespaces: list[str | None]) -> np.ndarray:
    """Return the stream keys of the rows, shape (rows, 2). Each namespace is hashed once."""
    known = {name: stream_key(seed, dataset, name) for name in set(namespaces)}
    return np.stack([known[name] for name in namespaces])


def _table(columns: dict[str, Any]) -> pa.Table:
    """Return the rows as a table of the label schema.

    Codes become categories. NaN and −1 become null where a quantity does not exist.
    """
    found = columns["minimization_success"]
    for kind in ("trial", "draw"):
        counts = columns.pop(f"{kind}_counts")
        columns |= {f"{kind}s_{label}": counts[:, code] for code, label in enumerate(LABELS)}
    arrays = []
    for field in SCHEMA:
        values = columns[field.name]
        if field.name in CATEGORIES:
            arrays.append(categorical(values, field.name))
        elif field.name in _LISTS:
            arrays.append(_list_column(values, columns["n_moduli"], found))
        elif field.name in ("n_negative", "n_positive", "n_flat"):
            arrays.append(pa.array(values, field.type, mask=~found))
        elif pa.types.is_floating(field.type):
            arrays.append(pa.array(values, field.type, from_pandas=True))
        else:
            arrays.append(values if isinstance(values, pa.Array) else pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _list_column(padded: np.ndarray, lengths: np.ndarray, found: np.ndarray) -> pa.ListArray:
    """Return the first ``lengths`` numbers of each row of ``padded`` as lists.

    ``lengths`` and ``found`` have the shape (rows,). Rows that are not ``found`` are null.
    """
    lengths = np.where(found, lengths, 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    numbers = padded[np.arange(padded.shape[1]) < lengths[:, None]]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers), mask=pa.array(~found))
