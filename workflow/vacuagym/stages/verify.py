"""Verify a random sample of labels: derive them a second time by other code.

The sample comes from a keyed hash, so equal labels give an equal sample. It has a share of all
rows, a minimum number of rows, and some rows of every label.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vacuagym.checks.registry import CHECKS
from vacuagym.errors import VacuagymError
from vacuagym.runtime.atomic_files import write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.runtime.stall import beat
from vacuagym.splits.hashing import row_hashes
from vacuagym.tables.label_table import SCHEMA
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.tables.threefold_rows import Identity, geometry_rows
from vacuagym.theories.registry import THEORIES

_COLUMNS = ("dataset", "namespace", "geometry_id", "stability")
NO_LABEL = "no label"


class LabelDisagreement(VacuagymError):
    """A second derivation of a label differs from the label."""


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
        Minimum number of rows of each label in each data set.
    """

    share: float
    least: int
    per_label: int


def verify(
    labels: Path,
    size: SampleSize,
    output: Path,
    record_only: bool = False,
    geometry: Path = Path("results/geometry"),
) -> None:
    """Verify a sample of the label table and write the figures.

    Parameters
    ----------
    record_only : bool
        Whether to write differences without raising an error.
    geometry : Path
        Folder of the tables of computed geometry, for theories that read them.

    Raises
    ------
    LabelDisagreement
        Some rows differ. The message names the first of them.
    """
    file = open_parquet(labels)
    physics = file_metadata(file)["physics"]
    chosen = _sample(labels, size, physics.get("seed", 0))
    known = _geometry(labels, chosen, geometry)
    counts: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for row in _rows(labels, chosen):
        beat()
        counts[row["stability"] or NO_LABEL] += 1
        beside = known.get(row["dataset"], {}).get((row["namespace"], row["geometry_id"]))
        if differences := CHECKS[row["theory"]].disagreements(row, physics, beside):
            found[row["key"]] = differences
        done = sum(counts.values())
        if done % 50 == 0 or done == len(chosen):
            print(
                f"{done} of {len(chosen)} verified, {len(found)} disagree, peak "
                f"{peak_memory_mb():.0f} MB",
                flush=True,
            )
    figures = {
        "rows": file.metadata.num_rows,
        "verified": sum(counts.values()),
        "disagreements": found,
        "by_label": counts,
        **asdict(size),
    }
    write_text(output, json.dumps(figures, indent=1, sort_keys=True) + "\n")
    if found and not record_only:
        shown = [
            f"{key}: {'; '.join(text[:500] for text in texts)}"
            for key, texts in list(found.items())[:5]
        ]
        raise LabelDisagreement(
            f"{len(found)} of {sum(counts.values())} labels disagree with their second "
            "derivation:\n  "
            + "\n  ".join(shown)
            + "\n  look closer with: vacuagym explain KEY --precise"
        )


def _sample(labels: Path, size: SampleSize, seed: int) -> set[int]:
    """Return the rows of lowest hash, of all rows and of each (data set, label or None)."""
    wanted = max(size.least, round(size.share * open_parquet(labels).metadata.num_rows))
    overall: list[tuple[float, int]] = []
    strata: dict[tuple[str, str | None], list[tuple[float, int]]] = {}
    start = 0
    for batch in read_batches(open_parquet(labels), labels, _COLUMNS):
        hashes = row_hashes(seed, "verify", batch).tolist()
        datasets = batch.column("dataset").dictionary_decode().to_pylist()
        names = batch.column("stability").dictionary_decode().to_pylist()
        for offset, (fraction, dataset, name) in enumerate(
            zip(hashes, datasets, names, strict=True)
        ):
            _keep_lowest(overall, wanted, fraction, start + offset)
            _keep_lowest(
                strata.setdefault((dataset, name), []), size.per_label, fraction, start + offset
            )
        start += len(batch)
    return {row for heap in (overall, *strata.values()) for _, row in heap}


def _keep_lowest(heap: list[tuple[float, int]], count: int, fraction: float, row: int) -> None:
    """Keep the ``count`` rows of lowest hash in a heap. Its first entry is the highest kept."""
    if len(heap) < count:
        heapq.heappush(heap, (-fraction, row))
    elif heap and -fraction > heap[0][0]:
        heapq.heapreplace(heap, (-fraction, row))


def _geometry(
    labels: Path, chosen: set[int], folder: Path
) -> dict[str, dict[Identity, dict[str, Any]]]:
    """Return the computed geometry of the chosen rows, by data set, where a theory reads it."""
    wanted: dict[tuple[str, str], set[Identity]] = {}
    for row in _rows(labels, chosen, ["dataset", "theory", "namespace", "geometry_id"]):
        if THEORIES[row["theory"]].reads:
            identity = row["namespace"], row["geometry_id"]
            wanted.setdefault((row["dataset"], row["theory"]), set()).add(identity)
    return {
        dataset: geometry_rows(
            folder / f"{dataset}.parquet", own, ["favourable", *THEORIES[theory].reads]
        )
        for (dataset, theory), own in wanted.items()
    }


def _rows(
    labels: Path, chosen: set[int], columns: Sequence[str] = SCHEMA.names
) -> Iterator[dict[str, Any]]:
    """Yield the chosen rows in the order of the table. Row groups without them are not read."""
    file = open_parquet(labels)
    order = sorted(chosen)
    start = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        here = [row - start for row in order if start <= row < start + rows]
        if here:
            offset = 0
            for batch in read_batches(file, labels, columns, row_groups=[group]):
                for row in here:
                    if offset <= row < offset + len(batch):
                        yield batch.slice(row - offset, 1).to_pylist()[0]
                offset += len(batch)
        start += rows
