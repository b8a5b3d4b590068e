"""Where the labels are in a folder: of a run, or of a published data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vacuagym.paths import LABEL_TABLE


def label_files(folder: Path) -> Iterator[Path]:
    """Yield the label table of a run, or the files of one split of a data set.

    Parameters
    ----------
    folder : Path
        The folder of a run or of a published data set. Nothing is yielded for other folders.
    """
    if (folder / LABEL_TABLE).exists():
        yield folder / LABEL_TABLE
        return
    for data in (folder / "data", folder / "results" / "dataset" / "data"):
        splits = sorted(data.glob("*"), key=lambda split: split.name != "iid")
        if splits:
            yield from sorted(splits[0].glob("*.parquet"))
            return
