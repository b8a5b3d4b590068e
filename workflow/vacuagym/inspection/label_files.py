"""Where the labels are in a folder: of a run, or of a published data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vacuagym.paths import LABEL_TABLE
from vacuagym.publish.layout import LABELS
from vacuagym.tables.stored import stored_files


def label_files(folder: Path) -> Iterator[Path]:
    """Yield the files of the label table of a run, or those of a data set that hold its rows.

    Parameters
    ----------
    folder : Path
        The folder of a run or of a published data set. Nothing is yielded for other folders.
    """
    if (folder / LABEL_TABLE).exists():
        yield from stored_files(folder / LABEL_TABLE)
        return
    for data in (folder / "data", folder / "results" / "dataset" / "data"):
        if files := sorted((data / LABELS).glob("*.parquet")):
            yield from files
            return
