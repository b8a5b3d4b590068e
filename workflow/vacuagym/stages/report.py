"""Write the report of a run from one pass over the labels.

The gate judges the run. The report does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vacuagym.report.histograms import COLUMNS, count_rows
from vacuagym.report.page import page
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches


def report(labels: Path, validation: Path, configuration: Path, output: Path) -> None:
    """Write the report of a run from its labels, validation and settings."""
    document: dict[str, Any] = read_json(validation)
    settings: dict[str, Any] = read_json(configuration)
    file = open_parquet(labels)
    counts = count_rows(read_batches(file, labels, COLUMNS))
    text = page(document, counts, settings, file_metadata(file))
    write_text(output, text)
    print(
        f"{file.metadata.num_rows} rows, {len(text.encode()) / 2**20:.2f} MB, peak "
        f"{peak_memory_mb():.0f} MB"
    )
