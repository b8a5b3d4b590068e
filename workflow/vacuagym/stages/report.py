"""Write the report of a run from one pass over the labels.

The gate judges the run. The report does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.report.histograms import COLUMNS, HodgeCounts, count_rows
from vacuagym.report.hodge_plot import count_hodge
from vacuagym.report.page import page
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.aligned import Feed
from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.theories.registry import THEORIES


def report(
    labels: Path,
    validation: Path,
    configuration: Path,
    output: Path,
    features: Sequence[Path] = (),
) -> None:
    """Write the report of a run from its labels, validation and settings.

    Hodge numbers come from the feature files.
    """
    document: dict[str, Any] = read_json(validation)
    settings: dict[str, Any] = read_json(configuration)
    file = open_parquet(labels)
    counts = count_rows(read_batches(file, labels, COLUMNS))
    for path in features:
        counts.hodge |= hodge_counts(path, labels, document["labels"])
    text = page(document, counts, settings, file_metadata(file))
    write_text(output, text)
    print(
        f"{file.metadata.num_rows} rows, {len(text.encode()) / 2**20:.2f} MB, peak "
        f"{peak_memory_mb():.0f} MB"
    )


def hodge_counts(path: Path, labels: Path, figures: Mapping[str, Any]) -> dict[str, HodgeCounts]:
    """Count the Hodge numbers of a feature file, if it has any.

    Parameters
    ----------
    path : Path
        The feature file of a data set.
    labels : Path
        The label table. Labels are told apart where the geometry decides them.
    figures : mapping
        The section ``labels`` of the validation.

    Returns
    -------
    dict
        The counts by the name of the data set; empty if there are no Hodge numbers.
    """
    file = open_parquet(path)
    dataset = file_metadata(file).get("dataset", "")
    if dataset not in figures or not set(HODGE) <= set(file.schema_arrow.names):
        return {}
    theory = THEORIES[figures[dataset]["theory"]]
    batches = read_batches(file, path, HODGE)
    if not theory.reads:
        return {dataset: count_hodge(batches, HodgeCounts())}
    own = Feed(pa.schema([("stability", pa.string())]), _labels_of(labels, dataset))
    return {dataset: count_hodge(batches, HodgeCounts(tuple(theory.classes)), own)}


def _labels_of(labels: Path, dataset: str) -> Iterator[pa.RecordBatch]:
    """Yield the labels of a data set in the order of its feature file."""
    for batch in read_batches(open_parquet(labels), labels, ["dataset", "stability"]):
        own = pc.equal(batch.column("dataset").dictionary_decode(), dataset)
        stability = batch.column("stability").dictionary_decode().filter(own)
        yield pa.record_batch([stability], names=["stability"])
