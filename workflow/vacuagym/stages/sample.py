"""Draw the sample of labels to verify, and write its rows in parts.

The sample is the rows of lowest keyed hash: of all rows, and of each label of each data set. So
equal labels give an equal sample. Each part is a row group, which one job verifies.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.runtime.memory import WINDOW_BYTES, peak_memory_mb
from vacuagym.splits.hashing import row_hashes
from vacuagym.tables.aligned import Feed
from vacuagym.tables.label_table import SCHEMA
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches, write_table
from vacuagym.tables.row_groups import ROW_GROUP
from vacuagym.tables.stored import StoredTable, stored_files
from vacuagym.tables.threefold_names import IDENTITY_NAMES
from vacuagym.tables.threefold_rows import Identity, wanted_rows
from vacuagym.theories.registry import THEORIES

_COLUMNS = ("dataset", "namespace", "geometry_id", "stability")
IDENTITY = ("dataset", "theory", "namespace", "geometry_id")
_GEOMETRY_ROWS = 1024  # rows of computed geometry, which are wide, that are read at once
ROWS, GEOMETRY = "rows.parquet", "geometry.parquet"  # folders of the candidates
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

    def wanted(self, rows: int) -> int:
        """Return the number of rows of lowest hash to verify, of any label."""
        return max(self.least, round(self.share * rows))


def sample(
    labels: Path,
    size: SampleSize,
    parts: int,
    output: Path,
    geometry: Path = Path("results/geometry"),
    candidates: Path | None = None,
) -> None:
    """Write the sampled rows of the label table in their order.

    The computed geometry of these rows is written into the folder ``geometry`` beside ``output``.

    Parameters
    ----------
    parts : int
        Largest number of row groups. They have about equal numbers of rows.
    geometry : Path
        Folder of the tables of computed geometry, for theories that read them.
    candidates : Path, optional
        Folder of the candidates of all segments (:func:`sample_segment`). Only they are read, if
        they suffice.
    """
    table = StoredTable(labels)
    total = table.rows
    drawn = candidates is not None and _suffice(candidates / ROWS, size.wanted(total))
    if candidates is not None and drawn:
        table = StoredTable(candidates / ROWS)
    about = table.about
    chosen = chosen_rows(table.path, size, total)
    rows = Feed(table.schema, read_rows(table.path, chosen, table.schema.names))
    metadata = {"physics": about["physics"], "rows": total, "size": asdict(size)}
    bounds = np.linspace(0, len(chosen), min(parts, max(1, len(chosen))) + 1).astype(int)
    with write_table(output, table.schema, metadata) as writer:
        for count in np.diff(bounds).tolist():
            writer.write(rows.take(count).unify_dictionaries().combine_chunks())
    light = read_batches(open_parquet(output), output, IDENTITY)
    for (dataset, theory), identities in wanted_geometry(light).items():
        if candidates is not None and drawn:
            names = (path.name for path in table.files)
            own = [candidates / GEOMETRY / name for name in names if _is_of(dataset, name)]
        else:
            own = [*stored_files(geometry / f"{dataset}.parquet")]
        target = output.parent / "geometry" / f"{dataset}.parquet"
        _copy_rows(own, identities, geometry_columns(theory), target)
    print(f"{writer.rows} rows in {len(bounds) - 1} parts, peak {peak_memory_mb():.0f} MB")


def sample_segment(
    labels: Path, size: SampleSize, *, rows: int, seed: int, geometry: Path | None, output: Path
) -> None:
    """Write the rows of a segment of the label table that may be in the sample of the whole.

    These are the rows whose hash is so low that enough rows of the table are expected to have one
    as low, and the rows of lowest hash of each label. Their computed geometry is written too.

    Parameters
    ----------
    labels : Path
        The segment.
    rows : int
        Number of rows of the whole table.
    seed : int
        Key of the hash, as of the whole table.
    geometry : Path, optional
        The computed geometry of the segment.
    output : Path
        Folder. The files in it have the name of the segment.
    """
    file = open_parquet(labels)
    limit = _limit(size.wanted(rows), rows)
    chosen, below = _lowest(labels, seed, size.per_label, limit=limit)
    schema = file.schema_arrow.remove_metadata()
    taken = Feed(schema, read_rows(labels, chosen, schema.names))
    metadata = {**file_metadata(file), "below": below}
    target = output / GEOMETRY / labels.name
    if geometry is None:
        _copy_rows((), (), (), target)
    else:
        (theory,) = metadata["theories"].values()
        (wanted,) = wanted_geometry(read_rows(labels, chosen, IDENTITY)).values() or [set()]
        _copy_rows((geometry,), wanted, geometry_columns(theory), target)
    with write_table(output / ROWS / labels.name, schema, metadata) as writer:
        while len(group := taken.take_group(ROW_GROUP, WINDOW_BYTES)):
            writer.write(group.unify_dictionaries().combine_chunks())
    print(f"{writer.rows} of {file.metadata.num_rows} rows, peak {peak_memory_mb():.0f} MB")


def _limit(wanted: int, rows: int) -> float:
    """Return a hash below which nearly always ``wanted`` of all rows lie, and few more.

    The number below it has a binomial distribution. Its mean is eight standard deviations above.
    """
    return (wanted + 8.0 * math.sqrt(wanted) + 64.0) / max(1, rows)


def _suffice(candidates: Path, wanted: int) -> bool:
    """Return whether the candidates of all segments hold the rows of lowest hash."""
    about = [file_metadata(open_parquet(path)) for path in stored_files(candidates)]
    rows = sum(each["rows"] for each in about)
    return bool(sum(each["below"] for each in about) >= min(wanted, rows))


def _is_of(dataset: str, name: str) -> bool:
    """Return whether a file is a segment of a data set."""
    return name.rpartition("-")[0] == dataset


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
    tables: Sequence[Path], identities: Collection[Identity], columns: Sequence[str], output: Path
) -> None:
    """Copy the named columns of some rows of tables of computed geometry."""
    # Arrow ends the process at a table without columns.
    known = open_parquet(tables[0]).schema_arrow if tables else SCHEMA
    columns = columns if tables else ()
    schema = pa.schema([known.field(name) for name in (*IDENTITY_NAMES, *columns)])
    rows = Feed(schema, wanted_rows(tables, identities, columns, _GEOMETRY_ROWS))
    with write_table(output, schema, {}) as writer:
        while len(group := rows.take(_GEOMETRY_ROWS)):
            writer.write(group.unify_dictionaries().combine_chunks())


def chosen_rows(labels: Path, size: SampleSize, rows: int | None = None) -> _Integers:
    """Return the numbers of the sampled rows in ascending order, shape (rows,).

    Parameters
    ----------
    rows : int, optional
        Number of rows of the table of which ``labels`` are candidates.
    """
    table = StoredTable(labels)
    seed = table.about["physics"].get("seed", 0)
    wanted = size.wanted(table.rows if rows is None else rows)
    return _lowest(labels, seed, size.per_label, wanted=wanted)[0]


def _lowest(
    labels: Path, seed: int, per_label: int, *, wanted: int | None = None, limit: float = np.inf
) -> tuple[_Integers, int]:
    """Return the rows of lowest hash in ascending order, and how many hashes are below a limit.

    Parameters
    ----------
    per_label : int
        Number of rows of each label of each data set that are returned at least.
    wanted : int, optional
        Largest number of other rows. Any if None.
    limit : float
        The hashes of other rows are below it.
    """
    table = StoredTable(labels)
    overall = Lowest(table.rows if wanted is None else wanted)
    strata: dict[tuple[str, str | None], Lowest] = {}
    start = below = 0
    for batch in table.batches(_COLUMNS):
        hashes = row_hashes(seed, "verify", batch)
        rows = np.arange(start, start + len(batch))
        low = hashes < limit
        below += int(np.count_nonzero(low))
        overall.add(hashes[low], rows[low])
        for stratum, here in _strata(batch):
            strata.setdefault(stratum, Lowest(per_label)).add(hashes[here], rows[here])
        start += len(batch)
    found = np.concatenate([each.rows() for each in (overall, *strata.values())])
    return np.unique(found), below


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
