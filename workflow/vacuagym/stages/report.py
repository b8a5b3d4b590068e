"""Write the report of a run from its validation and the counts of its rows.

The gate judges the run. The report does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vacuagym.report.histograms import Distributions
from vacuagym.report.page import page
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.counts_file import read_counts


def report(validation: Path, counts: Path, configuration: Path, output: Path) -> None:
    """Write the report of a run from its validation, counts and settings.

    Parameters
    ----------
    validation, counts : Path
        Output of :func:`vacuagym.stages.validate.validate`.
    """
    document: dict[str, Any] = read_json(validation)
    settings: dict[str, Any] = read_json(configuration)
    rows, about = read_counts(counts, counted)
    text = page(document, rows, settings, about)
    write_text(output, text)
    print(f"{len(text.encode()) / 2**20:.2f} MB, peak {peak_memory_mb():.0f} MB")


def counted(stored: dict[str, Any]) -> tuple[Distributions, dict[str, Any]]:
    """Return the counts of a run, and the metadata of its label table."""
    return Distributions.of_state(stored["counts"]), stored["about"]
