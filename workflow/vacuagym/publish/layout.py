"""Lay out the data files of a published data set.

A folder of files holds one copy of the rows. Each file has the rows that lie in the same fold of
every split of its folder. So a fold of any split is a set of files. The rows of a large run are
written in parts, each with files of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vacuagym.tables.split_schema import FOLDS

LABELS = "labels"  # folder of the labels
MOST_COMBINATIONS = 1024  # combinations of folds in a folder, each of them a file or more
MOST_SPLITS = 6  # splits of a folder
DATA_FILES = "*-of-*.parquet"  # pattern of the names of all data files
LETTERS = "tveo"  # in the names of files: train, validation, test, out of the split
LEFT_OUT = len(FOLDS)  # code of the fold of a row that a split leaves out


@dataclass(frozen=True)
class Folder:
    """A folder of data files.

    Attributes
    ----------
    path : str
        Path of the folder in the data set.
    splits : tuple of str
        Splits by which its rows are divided into files. The name of a file has a letter for each.
    """

    path: str
    splits: tuple[str, ...]

    def pattern(self, split: str, fold: str | None = None) -> str:
        """Return the pattern of the files of a fold, or of all files with rows of a split."""
        letter = f"[{LETTERS[:LEFT_OUT]}]" if fold is None else LETTERS[FOLDS.index(fold)]
        letters = ["?"] * len(self.splits)
        letters[self.splits.index(split)] = letter
        return f"{self.path}/{''.join(letters)}-*.parquet"

    def file_names(self, codes: Sequence[int], count: int, part: str = "") -> list[str]:
        """Return the names of the ``count`` files of the rows with these codes of folds."""
        folds = "".join(LETTERS[code] for code in codes)
        start = f"{self.path}/{folds}-{part}-" if part else f"{self.path}/{folds}-"
        return [f"{start}{number:05}-of-{count:05}.parquet" for number in range(count)]

    def files_of(self, part: str = "") -> str:
        """Return the pattern of the names of the data files of a part, of all without one."""
        folds = "?" * len(self.splits)
        return f"{folds}-{part}-?????-of-?????.parquet" if part else DATA_FILES


def label_folders(splits: Mapping[str, Mapping[str, Any]]) -> list[Folder]:
    """Return the folders of the labels: one, or more copies if there are very many splits.

    Parameters
    ----------
    splits : mapping
        Metadata of the split files, by name.
    """
    groups: list[list[str]] = [[]]
    combinations = 1
    for name, about in splits.items():
        own = sum(map(bool, [*about["folds"].values(), about["left_out"]]))
        many = combinations * own > MOST_COMBINATIONS or len(groups[-1]) == MOST_SPLITS
        if groups[-1] and many:
            groups.append([])
            combinations = 1
        groups[-1].append(name)
        combinations *= max(1, own)
    return [
        Folder(f"data/{LABELS}" + (f"-{number}" if number > 1 else ""), tuple(names))
        for number, names in enumerate(groups, 1)
    ]
