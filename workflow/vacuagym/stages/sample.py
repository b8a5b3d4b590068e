"""Draw the sample of labels to verify, and write its rows in parts.

The sample is the rows of lowest keyed hash: of all rows, and of each label of each data set. So
equal labels give an equal sample. Each part is a row group, which one job verifies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.splits.hashing import row_hashes
from vacuagym.tables.aligned import Feed
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches, write_table
from vacuagym.tables.stored import stored_files
from vacuagym.tables.threefold_names import IDENTITY_NAMES
from vacuagym.tables.threefold_rows import Identity
from vacuagym.theories.registry import THEORIES

_COLUMNS = ("dataset", "namespace", "geometry_id", "stability")
IDENTITY = ("dataset", "theory", "namespace", "geometry_id")
_GEOMETRY_ROWS = 1024  # rows of computed geometry, which are wide, that are read at once
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SampleSize:
    """Number of rows to verify.

    Attributes
    ----------
    share : float
        Share of all rows.
    least : int
        Minimum number of rows.
    per_label : int
        Minimum number of rows of each label in each data set; of geometry, of each kind of row.
    """

    share: float
    least: int
    per_label: int


def sample(
    labels: Path,
    size: SampleSize,
    parts: int,
    output: Path,
    geometry: Path = Path("results/geometry"),
) -> None:
    """Write the sampled rows of the label table in their order.

    The computed geometry of these rows is written into the folder ``geometry`` beside ``output``.

    Parameters
    ----------
    parts : int
        Largest number of row groups. They have about equal numbers of rows.
    geometry : Path
        Folder of the tables of computed geometry, for theories that read them.
    """
    about = file_metadata(open_parquet(labels))
    chosen = chosen_rows(labels, size)
    schema = open_parquet(labels).schema_arrow.remove_metadata()
    rows = Feed(schema, read_rows(labels, chosen, schema.names))
    metadata = {
        "physics": about["physics"],
        "rows": open_parquet(labels).metadata.num_rows,
        "size": asdict(size),
    }
    bounds = np.linspace(0, len(chosen), min(parts, max(1, len(chosen))) + 1).astype(int)
    with write_table(output, schema, metadata) as writer:
        for count in np.diff(bounds).tolist():
            writer.write(rows.take(count).unify_dictionaries().combine_chunks())
    light = read_batches(open_parquet(output), output, IDENTITY)
    for (dataset, theory), identities in wanted_geometry(light).items():
        columns = [*IDENTITY_NAMES, *geometry_columns(theory)]
        own = output.parent / "geometry" / f"{dataset}.parquet"
        _copy_rows(geometry / f"{dataset}.parquet", identities, columns, own)
    print(f"{writer.rows} rows in {len(bounds) - 1} parts, peak {peak_memory_mb():.0f} MB")


def wanted_geometry(rows: Iterable[pa.RecordBatch]) -> dict[tuple[str, str], set[Identity]]:
    """Return the rows of computed geometry that theories read, by data set and theory.

    ``rows`` have the columns :data:`IDENTITY`.
    """
    wanted: dict[tuple[str, str], set[Identity]] = {}
    for batch in rows:
        for dataset, theory, *identity in zip(
            *(_plain(batch.column(name)).to_pylist() for name in IDENTITY), strict=True
        ):
            if THEORIES[theory].reads:
                namespace, number = identity
                wanted.setdefault((dataset, theory), set()).add((namespace, number))
    return wanted


def geometry_columns(theory: str) -> list[str]:
    """Return the columns of computed geometry that the second derivation of a theory reads."""
    return ["favourable", *THEORIES[theory].reads]


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _copy_rows(
    table: Path, identities: Collection[Identity], columns: Sequence[str], output: Path
) -> None:
    """Copy the named columns of some rows of a table, and of others with the same ids."""
    file = open_parquet(table)
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    ids = pa.array({number for _, number in identities}, pa.int64())
    with write_table(output, schema, {}) as writer:
        for batch in read_batches(file, table, columns, batch_rows=_GEOMETRY_ROWS):
            near = batch.filter(pc.is_in(batch.column("geometry_id"), value_set=ids))
            writer.write(pa.Table.from_batches([near.select(columns)]))


def chosen_rows(labels: Path, size: SampleSize) -> _Integers:
    """Return the numbers of the sampled rows in ascending order, shape (rows,)."""
    file = open_parquet(labels)
    seed = file_metadata(file)["physics"].get("seed", 0)
    overall = Lowest(max(size.least, round(size.share * file.metadata.num_rows)))
    strata: dict[tuple[str, str | None], Lowest] = {}
    start = 0
    for batch in read_batches(file, labels, _COLUMNS):
        hashes = row_hashes(seed, "verify", batch)
        rows = np.arange(start, start + len(batch))
        overall.add(hashes, rows)
        for stratum, here in _strata(batch):
            strata.setdefault(stratum, Lowest(size.per_label)).add(hashes[here], rows[here])
        start += len(batch)
    return np.unique(np.concatenate([each.rows() for each in (overall, *strata.values())]))


def _strata(rows: pa.RecordBatch) -> Iterator[tuple[tuple[str, str | None], _Integers]]:
    """Yield each (data set, label) of a batch with its rows."""
    columns = [
        rows.column(name).dictionary_decode().dictionary_encode("encode")
        for name in ("dataset", "stability")
    ]
    datasets, labels = (column.dictionary.to_pylist() for column in columns)
    first, second = (column.indices.to_numpy().astype(np.int64) for column in columns)
    codes = first * len(labels) + second
    for code in np.unique(codes).tolist():
        dataset, label = divmod(code, len(labels))
        yield (datasets[dataset], labels[label]), np.flatnonzero(codes == code)


class Lowest:
    """The rows of lowest hash, at most ``count``."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._hashes = np.zeros(0)
        self._rows = np.zeros(0, np.int64)
        self._limit = np.inf if count else -np.inf

    def add(self, hashes: npt.NDArray[np.float64], rows: _Integers) -> None:
        """Add rows with their hashes, shape (rows,)."""
        low = hashes < self._limit
        if low.any():
            self._hashes = np.concatenate([self._hashes, hashes[low]])
            self._rows = np.concatenate([self._rows, rows[low]])
            if len(self._rows) > 2 * self._count:
                self._trim()

    def rows(self) -> _Integers:
        """Return the numbers of the rows, shape (rows,)."""
        self._trim()
        return self._rows

    def _trim(self) -> None:
        if len(self._rows) > self._count:
            lowest = np.argpartition(self._hashes, self._count - 1)[: self._count]
            self._hashes, self._rows = self._hashes[lowest], self._rows[lowest]
            self._limit = float(self._hashes.max())


def read_rows(table: Path, chosen: _Integers, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the chosen rows in the order of the table. Row groups without them are not read."""
    start = 0
    for path in stored_files(table):
        file = open_parquet(path)
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if np.searchsorted(chosen, start) < np.searchsorted(chosen, end):
                offset = start
                for batch in read_batches(file, path, columns, row_groups=[group]):
                    low, high = np.searchsorted(chosen, [offset, offset + len(batch)])
                    if low < high:
                        yield batch.select(columns).take(pa.array(chosen[low:high] - offset))
                    offset += len(batch)
            start = end
