"""Verify a random sample of labels: derive them a second time by other code.

The sample has a share of all rows, a minimum number of rows, and some rows of every label. A small
one is verified by one job, a large one in parts that add up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from vacuagym.checks.registry import CHECKS
from vacuagym.errors import InputError, VacuagymError
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.runtime.stall import beat
from vacuagym.stages.sample import (
    IDENTITY,
    SampleSize,
    chosen_rows,
    geometry_columns,
    read_rows,
    wanted_geometry,
)
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.tables.stored import StoredTable
from vacuagym.tables.threefold_rows import Identity, geometry_rows

NO_LABEL = "no label"


class LabelDisagreement(VacuagymError):
    """A second derivation of a label differs from the label."""


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
    table = StoredTable(labels)
    chosen = chosen_rows(labels, size)
    known = _geometry(read_rows(labels, chosen, IDENTITY), geometry)
    rows = read_rows(labels, chosen, table.schema.names)
    derived = _derive(rows, len(chosen), table.about["physics"], known)
    _write({**derived, "rows": table.rows, **asdict(size)}, output, record_only)


def verify_part(
    sample: Path, part: int, output: Path, geometry: Path = Path("results/sample/geometry")
) -> None:
    """Verify one part of a sample (:func:`vacuagym.stages.sample.sample`) and write its figures.

    Parameters
    ----------
    part : int
        Number of the part, from 0. There may be fewer parts in the sample.
    geometry : Path
        Folder of the computed geometry of the sample, for theories that read it.
    """
    file = open_parquet(sample)
    groups = range(file.num_row_groups)[part : part + 1]
    about = file_metadata(file)
    known = _geometry(read_batches(file, sample, IDENTITY, row_groups=groups), geometry)
    rows = read_batches(file, sample, file.schema_arrow.names, row_groups=groups)
    count = sum(file.metadata.row_group(group).num_rows for group in groups)
    derived = _derive(rows, count, about["physics"], known)
    figures = {**derived, "part": part, "sampled": file.metadata.num_rows}
    figures |= {"rows": about["rows"], **about["size"]}
    write_text(output, json.dumps(figures, indent=1, sort_keys=True) + "\n")


def add_up(parts: Sequence[Path], output: Path, record_only: bool = False) -> None:
    """Add up the figures of all parts of a sample.

    Parameters
    ----------
    parts : sequence of Path
        Output of :func:`verify_part`.
    record_only : bool
        Whether to write differences without raising an error.

    Raises
    ------
    InputError
        The parts are not all parts of one sample.
    LabelDisagreement
        Some rows differ. The message names the first of them.
    """
    every = [read_json(path) for path in parts]
    shared = ("sampled", "rows", *SampleSize.__dataclass_fields__)
    about = {key: every[0][key] for key in shared}
    verified = sum(figures["verified"] for figures in every)
    own = {figures["part"] for figures in every}
    same = all({key: figures[key] for key in shared} == about for figures in every)
    if verified != about.pop("sampled") or len(own) < len(every) or not same:
        raise InputError(
            f"{parts[0]}: with {len(parts) - 1} other files, not all parts of one sample; each "
            "part must occur once; remove these files, and run the same command again"
        )
    counts: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for figures in every:
        counts.update(figures["by_label"])
        found |= figures["disagreements"]
    _write(
        {"verified": verified, "disagreements": found, "by_label": counts, **about},
        output,
        record_only,
    )


def _derive(
    batches: Iterable[pa.RecordBatch],
    count: int,
    physics: Mapping[str, Any],
    geometry: Mapping[str, Mapping[Identity, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Derive the labels of ``count`` rows, and return the figures."""
    counts: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for row in (row for batch in batches for row in batch.to_pylist()):
        beat()
        counts[row["stability"] or NO_LABEL] += 1
        beside = geometry.get(row["dataset"], {}).get((row["namespace"], row["geometry_id"]))
        if differences := CHECKS[row["theory"]].disagreements(row, physics, beside):
            found[row["key"]] = differences
        done = sum(counts.values())
        if done % 50 == 0 or done == count:
            print(
                f"{done} of {count} verified, {len(found)} disagree, peak "
                f"{peak_memory_mb():.0f} MB",
                flush=True,
            )
    return {"verified": sum(counts.values()), "disagreements": found, "by_label": counts}


def _write(figures: Mapping[str, Any], output: Path, record_only: bool) -> None:
    """Write the figures; raise :class:`LabelDisagreement` if labels differ."""
    write_text(output, json.dumps(figures, indent=1, sort_keys=True) + "\n")
    found = figures["disagreements"]
    if found and not record_only:
        shown = [
            f"{key}: {'; '.join(text[:500] for text in texts)}"
            for key, texts in list(found.items())[:5]
        ]
        raise LabelDisagreement(
            f"{len(found)} of {figures['verified']} labels disagree with their second "
            "derivation:\n  "
            + "\n  ".join(shown)
            + "\n  look closer with: vacuagym explain KEY --precise"
        )


def _geometry(
    rows: Iterable[pa.RecordBatch], folder: Path
) -> dict[str, dict[Identity, dict[str, Any]]]:
    """Return the computed geometry of rows, by data set, where a theory reads it."""
    return {
        dataset: geometry_rows(folder / f"{dataset}.parquet", own, geometry_columns(theory))
        for (dataset, theory), own in wanted_geometry(rows).items()
    }
