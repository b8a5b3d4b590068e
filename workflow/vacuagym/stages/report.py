"""Write the report of a run from one pass over the labels.

The gate judges the run. The report does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vacuagym.report.histograms import COLUMNS, HodgeCounts, count_rows
from vacuagym.report.hodge_plot import count_hodge
from vacuagym.report.page import page
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.feature_schema import HODGE
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches


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
        _count_hodge(path, counts.hodge)
    text = page(document, counts, settings, file_metadata(file))
    write_text(output, text)
    print(
        f"{file.metadata.num_rows} rows, {len(text.encode()) / 2**20:.2f} MB, peak "
        f"{peak_memory_mb():.0f} MB"
    )


def _count_hodge(path: Path, counts: dict[str, HodgeCounts]) -> None:
    """Count the Hodge numbers of a feature file, if it has any."""
    file = open_parquet(path)
    if set(HODGE) <= set(file.schema_arrow.names):
        batches = read_batches(file, path, HODGE)
        counts[file_metadata(file)["dataset"]] = count_hodge(batches, HodgeCounts())
