"""Split: assign every usable geometry to a fold. Streams over the label table; a row's fold depends on its own key only.

Folds come from a keyed hash of the key, so that more rows, other shards or another order move nothing. Every label has the same
shares up to the scatter of the hash: the split is stratified without counting. Out-of-distribution splits set the test fold by a
property of the row, and the hash divides the rest. Rows labelled failed are in no fold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.errors import ConfigError
from vacuagym.parquet import open_parquet, read_batches, write_table
from vacuagym.row_hashes import row_hashes
from vacuagym.search.labels import FAILED, LABELS

FOLDS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("dataset", pa.dictionary(pa.int16(), pa.string())),
        ("geometry_id", pa.int64()),
        ("fold", pa.dictionary(pa.int8(), pa.string())),
    ]
)
_COLUMNS = ("key", "dataset", "namespace", "geometry_id", "n_moduli", "stability")


@dataclass(frozen=True)
class SplitShares:
    """Shares of the folds: ``train`` and ``validation`` of all rows (the rest is test), ``complexity`` the test fold of ood_complexity."""

    train: float
    validation: float
    complexity: float


def split(labels: Path, name: str, seed: int, shares: SplitShares, output: Path) -> None:
    """Write the split ``name`` of the label table: columns key, dataset, geometry_id, fold."""
    if not (shares.train > 0 and shares.validation > 0 and shares.train + shares.validation < 1 and 0 < shares.complexity < 1):
        raise ConfigError(f"the shares {shares} cannot be: each is above 0, and train and validation leave something for test")
    rule, about = _fold_rule(labels, name, shares)
    counts = np.zeros(len(FOLDS), int)
    metadata: dict = {"split": name, "seed": seed, "shares": asdict(shares), **about}
    with write_table(output, SCHEMA, metadata) as writer:
        for rows in _usable_rows(labels):
            folds = rule(rows, row_hashes(seed, name, rows))
            counts += np.bincount(folds, minlength=len(FOLDS))
            fold = pa.DictionaryArray.from_arrays(pa.array(folds, pa.int8()), pa.array(FOLDS))
            columns = [rows.column("key"), rows.column("dataset"), rows.column("geometry_id"), fold]
            writer.write(pa.Table.from_arrays(columns, schema=SCHEMA))
        metadata["folds"] = dict(zip(FOLDS, counts.tolist(), strict=True))
    print(f"{name}: " + ", ".join(f"{fold} {count}" for fold, count in metadata["folds"].items()))


FoldRule = Callable[[pa.RecordBatch, np.ndarray], np.ndarray]


def _fold_rule(labels: Path, name: str, shares: SplitShares) -> tuple[FoldRule, dict]:
    """What assigns the folds of a split: a function of rows and their hashes, and what to say about it in the file's metadata."""
    rest = shares.train / (shares.train + shares.validation)
    if name == "iid":
        edges = np.array([shares.train, shares.train + shares.validation])
        return lambda rows, hashes: np.searchsorted(edges, hashes, side="right"), {}
    if name == "ood_complexity":
        least, share = _complexity_threshold(labels, shares.complexity)
        return lambda rows, hashes: _apart(rows.column("n_moduli").to_numpy() >= least, hashes, rest), {
            "least_n_moduli": least,
            "share": share,
        }
    if match := re.fullmatch("ood_dataset_(.+)", name):
        dataset = match[1]
        known = _datasets(labels)
        if dataset not in known:
            raise ConfigError(f"there is no split {name!r}: the table has no data set {dataset!r}, only {', '.join(sorted(known))}")

        def rule(rows: pa.RecordBatch, hashes: np.ndarray) -> np.ndarray:
            return _apart(pc.equal(rows.column("dataset").dictionary_decode(), dataset).to_numpy(zero_copy_only=False), hashes, rest)

        return rule, {}
    raise ConfigError(f"there is no split {name!r}; there are iid, ood_complexity and ood_dataset_NAME")


def _datasets(labels: Path) -> set:
    known = set()
    for batch in read_batches(open_parquet(labels), labels, ["dataset"]):
        known |= set(batch.column("dataset").dictionary.to_pylist())
    return known


def _apart(test: np.ndarray, hashes: np.ndarray, train: float) -> np.ndarray:
    return np.where(test, TEST, np.where(hashes < train, TRAIN, VALIDATION))


def _complexity_threshold(labels: Path, share: float) -> tuple[int, float]:
    """The n_moduli from which on rows are test rows, and their share: of all whole values the one that comes closest to ``share``.

    Geometries with equal n stay together, or the test fold would not lie outside the training range. Where all have the same n,
    nothing does, and the test fold is empty.
    """
    counts = np.zeros(1, int)
    for rows in _usable_rows(labels):
        here = np.bincount(rows.column("n_moduli").to_numpy(), minlength=len(counts))
        here[: len(counts)] += counts
        counts = here
    values = np.flatnonzero(counts)
    if len(values) < 2:
        return len(counts), 0.0
    tails = counts[::-1].cumsum()[::-1] / counts.sum()
    least = min(values[1:].tolist(), key=lambda value: abs(tails[value] - share))
    return least, float(tails[least])


def _usable_rows(labels: Path) -> Iterator[pa.RecordBatch]:
    file = open_parquet(labels)
    usable = np.array([code != FAILED for code in range(len(LABELS))])
    for batch in read_batches(file, labels, _COLUMNS):
        codes = batch.column("stability").indices.to_numpy()
        rows = batch.filter(pa.array(usable[codes]))
        if len(rows):
            yield rows
