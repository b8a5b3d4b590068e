"""Hold what the parts of a data set share, and what the data files of a part are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.errors import DamagedFileError
from vacuagym.publish.layout import Folder
from vacuagym.publish.metadata import DataFile
from vacuagym.runtime.atomic_files import read_json, write_text


@dataclass(frozen=True)
class Layout:
    """What the data files of all parts share.

    Attributes
    ----------
    columns : mapping
        Columns of the files of each folder.
    metadata : mapping
        Metadata of each file.
    """

    columns: Mapping[Folder, pa.Schema]
    metadata: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Write the layout as JSON. Columns are a message of Arrow in base64."""
        folders = [
            {**asdict(folder), "columns": base64.b64encode(columns.serialize()).decode()}
            for folder, columns in self.columns.items()
        ]
        document = {"folders": folders, "metadata": self.metadata}
        write_text(path, json.dumps(document, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Layout:
        """Return a layout that was written.

        :class:`DamagedFileError` reports another file.
        """

        def build(document: dict[str, Any]) -> Layout:
            columns = {
                Folder(own["path"], tuple(own["splits"])): pa.ipc.read_schema(
                    pa.py_buffer(base64.b64decode(own["columns"]))
                )
                for own in document["folders"]
            }
            return cls(columns, document["metadata"])

        return read_json(path, build)


@dataclass(frozen=True)
class Part:
    """The data files of consecutive rows.

    Attributes
    ----------
    files : tuple of DataFile
        The files in the order of the folders and folds.
    counts : mapping
        Rows of each fold of each split, and rows that it leaves out, by folder.
    """

    files: tuple[DataFile, ...]
    counts: Mapping[str, Mapping[str, list[int]]]

    def write(self, path: Path) -> None:
        """Write the part as JSON."""
        files = [asdict(file) for file in self.files]
        write_text(path, json.dumps({"files": files, "counts": self.counts}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path, output: Path) -> Part:
        """Return a part that was written.

        Parameters
        ----------
        output : Path
            Folder of the data set.

        Raises
        ------
        DamagedFileError
            A data file of the part is missing or has another size, or the file is no part.
        """
        part = read_json(
            path,
            lambda document: cls(
                tuple(DataFile(**file) for file in document["files"]), document["counts"]
            ),
        )
        for file in part.files:
            data = output / file.path
            if not data.is_file() or data.stat().st_size != file.size:
                raise DamagedFileError(f"{path}: its file {data} is missing or altered", path)
        return part

    @classmethod
    def united(cls, parts: Iterable[Part]) -> Part:
        """Return several parts as one."""
        files: list[DataFile] = []
        counts: dict[str, dict[str, list[int]]] = {}
        for part in parts:
            files += part.files
            for folder, splits in part.counts.items():
                together = counts.setdefault(folder, {})
                for split, own in splits.items():
                    together[split] = np.add(together.get(split, 0), own).tolist()
        return cls(tuple(files), counts)
