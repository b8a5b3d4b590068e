"""Verify a random sample of computed geometry: derive it a second time by other code.

The sample comes from a keyed hash, so equal rows give an equal sample. It has a share of all rows,
a minimum number of rows, and some rows of every kind.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.bases import base_problems
from vacuagym.checks.cicy import cicy_row_problems
from vacuagym.checks.polytopes import polytope_problems
from vacuagym.checks.reflexive import TooLarge
from vacuagym.errors import VacuagymError
from vacuagym.runtime.atomic_files import write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.runtime.stall import beat
from vacuagym.splits.hashing import row_hashes
from vacuagym.stages.sample import Lowest, SampleSize, read_rows
from vacuagym.tables.feature_schema import FeatureColumns
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan
from vacuagym.tables.stored import StoredTable
from vacuagym.tables.window import Window

_SHOWN = 20  # rows with disagreements that the figures name
Place = tuple[str | None, int]


class GeometryDisagreement(VacuagymError):
    """A second derivation of a row of geometry differs from the row."""


@dataclass(frozen=True)
class Geometry:
    """Computed geometry of a data set, and what it was computed from.

    Attributes
    ----------
    dataset : str
    table : Path
        The computed table.
    source : "toric_bases", "weight_systems", "polytopes" or "cicy"
    plan : Plan, optional
        The plan of the table with the inputs. None if the computed table holds them: toric bases
        and enumerated weight systems.
    content : sequence of str
        Columns of weight systems, vertices or matrices; or the columns of the single weights.
    side : "weights" or "mirror"
    """

    dataset: str
    table: Path
    source: str
    plan: Plan | None = None
    content: Sequence[str] = ()
    side: str = "weights"


def verify_geometry(
    geometry: Geometry, size: SampleSize, seed: int, output: Path, record_only: bool = False
) -> None:
    """Verify a sample of a table of geometry and write the figures.

    Parameters
    ----------
    seed : int
        Seed of the sample.
    record_only : bool
        Whether to write differences without raising an error.

    Raises
    ------
    GeometryDisagreement
        Some rows differ. The message names the first of them.
    """
    figures, chosen = _sample(geometry, size, seed)
    enumerated = geometry.plan is None
    contents = _contents(geometry, chosen)
    names = StoredTable(geometry.table).schema.names
    sampled = read_rows(geometry.table, chosen, names)
    found: dict[str, list[str]] = {}
    verified = too_large = 0
    for row in (row for batch in sampled for row in batch.to_pylist()):
        beat()
        place = _place(row)
        try:
            given = tuple(row[name] for name in geometry.content) if enumerated else contents[place]
            problems = _problems(geometry, given, row)
        except TooLarge:
            too_large += 1
            continue
        verified += 1
        if problems:
            key = [geometry.dataset, *(part for part in place if part is not None)]
            found[":".join(map(str, key))] = problems
        if verified % 50 == 0:
            print(
                f"{verified} of {len(chosen)} verified, {len(found)} disagree, peak "
                f"{peak_memory_mb():.0f} MB",
                flush=True,
            )
    figures |= {
        "verified": verified,
        "too_large": too_large,
        "differing": len(found),
        "disagreements": dict(list(found.items())[:_SHOWN]),
        **asdict(size),
    }
    write_text(output, json.dumps(figures, indent=1, sort_keys=True) + "\n")
    print(f"{verified} of {len(chosen)} verified, {len(found)} disagree")
    if found and not record_only:
        shown = [f"{key}: {'; '.join(texts)[:500]}" for key, texts in list(found.items())[:5]]
        raise GeometryDisagreement(
            f"{geometry.table}: {len(found)} of {verified} rows disagree with their second "
            "derivation:\n  " + "\n  ".join(shown) + "\n  this is a defect of the pipeline: report "
            "these rows"
        )


def _problems(geometry: Geometry, content: tuple[Any, ...], row: dict[str, Any]) -> list[str]:
    """Return what is wrong with a row."""
    seed = row.get("geometry_id", 0) % 2**32
    if geometry.source == "toric_bases":
        return base_problems(row)
    if geometry.source == "cicy":
        return cicy_row_problems(content[0], row, seed)
    if any(value is None for value in content):
        given = None
    elif len(content) == 1:
        given = content[0]
    else:
        given = [sum(content), *content]
    return polytope_problems(given, geometry.side, row, seed)


def _sample(
    geometry: Geometry, size: SampleSize, seed: int
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """Return figures of all rows, and the numbers of the sampled rows in ascending order."""
    table = StoredTable(geometry.table)
    wanted = max(size.least, round(size.share * table.rows))
    names = table.schema.names
    read = [name for name in ("namespace", "geometry_id", "base_id") if name in names]
    kinds = [name for name in ("problem", "product", "favourable", "rigid_span") if name in names]
    # The largest level of geometry: rows with a basis have all data.
    kinds += ["basis"] if "basis" in names else []
    overall = Lowest(wanted)
    strata: dict[str, Lowest] = {}
    problems: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    start = 0
    for batch in table.batches([*read, *kinds]):
        hashes = row_hashes(seed, "verify geometry", _keys(geometry.dataset, batch))
        rows = np.arange(start, start + len(batch))
        overall.add(hashes, rows)
        found = _kinds(batch, problems)
        for kind in sorted({*found}):
            here = np.flatnonzero(found == kind)
            counts[kind] += len(here)
            strata.setdefault(kind, Lowest(size.per_label)).add(hashes[here], rows[here])
        for name in ("product", "favourable"):
            if name in kinds:
                flagged = pc.sum(pc.equal(batch.column(name), name == "product")).as_py()
                flags[name] += flagged or 0
        start += len(batch)
    chosen = np.unique(np.concatenate([each.rows() for each in (overall, *strata.values())]))
    figures = {
        "dataset": geometry.dataset,
        "source": geometry.source,
        "rows": start,
        "problems": dict(problems),
        "products": flags["product"],
        "not_favourable": flags["favourable"],
        "kinds": dict(counts),
    }
    return figures, chosen


def _kinds(batch: pa.RecordBatch, problems: Counter[str]) -> npt.NDArray[np.object_]:
    """Return the kind of each row, (rows,): no threefold, or how much of it is known."""
    kinds = np.full(len(batch), "threefold", dtype=object)
    for name, kind in (("rigid_span", "with divisors"), ("basis", "with all data")):
        if name in batch.schema.names:
            kinds[batch.column(name).is_valid().to_numpy(zero_copy_only=False)] = kind
    if "product" in batch.schema.names:
        kinds[pc.fill_null(batch.column("product"), False).to_numpy(zero_copy_only=False)] = (
            "product"
        )
    if "problem" in batch.schema.names:
        column = batch.column("problem")
        kinds[column.is_valid().to_numpy(zero_copy_only=False)] = "no threefold"
        problems.update(name for name in column.to_pylist() if name is not None)
    return kinds


def _place(row: dict[str, Any]) -> Place:
    return (None, row["base_id"]) if "base_id" in row else (row["namespace"], row["geometry_id"])


def _keys(dataset: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns of keys of the label table."""
    names = batch.schema.names
    return pa.record_batch(
        {
            "dataset": pa.array([dataset] * len(batch)).dictionary_encode(),
            "namespace": batch.column("namespace")
            if "namespace" in names
            else pa.nulls(len(batch), pa.string()),
            "geometry_id": batch.column("base_id" if "base_id" in names else "geometry_id").cast(
                pa.int64()
            ),
        }
    )


def _contents(geometry: Geometry, chosen: npt.NDArray[np.int64]) -> dict[Place, tuple[Any, ...]]:
    """Return the inputs of some rows."""
    if geometry.plan is None or not len(chosen):
        return {}
    batches = read_rows(geometry.table, chosen, ["namespace", "geometry_id"])
    places = {_place(row) for batch in batches for row in batch.to_pylist()}
    table = FeatureTable.from_plan(geometry.plan, carried=geometry.content)
    names = [FeatureColumns.carried_name(place) for place in range(len(geometry.content))]
    ids = pa.array(sorted({number for _, number in places}), pa.int64())
    found: dict[Place, tuple[Any, ...]] = {}
    for rows in table.scan(Window(first=ids[0].as_py(), last=ids[-1].as_py())):
        for row in rows.filter(pc.is_in(rows["geometry_id"], ids)).to_pylist():
            if _place(row) in places:
                found[_place(row)] = tuple(row[name] for name in names)
    if len(found) != len(places):
        raise table.changed()
    return found
