"""Find the files of a table: a path names a file, a list of files, a folder, a glob or a URI.

Snakemake's own process uses this module, so it does not import Arrow. Only a URI needs Arrow.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

from vacuagym.config import digest
from vacuagym.errors import InputError
from vacuagym.tables.footers import State, table_state

TablePath = str | Path | list[str]
ENDING = ".parquet"  # of the files that are taken from a folder
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = "file://"
_LONGEST_NAMESPACE = 200  # bytes; a namespace is part of every key


@dataclass(frozen=True)
class TableFile:
    """A file of a table.

    Attributes
    ----------
    path : str
        Path or URI of the file.
    namespace : str, optional
        Path below the common folder, without ending. None if the table is one named file.
    state : list, optional
        Size, time of change and footer digest. None if the file is unreadable.
    groups : tuple of int
        Rows of each row group, as planning found them. Empty if they are not known.
    """

    path: str
    namespace: str | None = None
    state: State | None = None
    groups: tuple[int, ...] = ()


def shown(paths: TablePath) -> str:
    """Return the path of a table as messages name it."""
    if isinstance(paths, str | Path):
        return str(paths)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def below(folder: Path, paths: TablePath) -> TablePath:
    """Return the path of a table as seen from the folder that holds ``folder``."""
    if isinstance(paths, str | Path):
        path = str(paths)
        return path if _URI.match(path) else str(folder / path)
    return [str(below(folder, path)) for path in paths]


def is_uri(path: str | Path) -> bool:
    """Return whether a path is a URI of a file system that is not the local one."""
    return isinstance(path, str) and bool(_URI.match(path)) and not path.startswith(_LOCAL)


def needs_arrow(paths: TablePath) -> bool:
    """Return whether the files of a table lie in a file system that Arrow has to open."""
    return any(map(is_uri, _listed(paths)))


def table_files(paths: TablePath) -> list[TableFile]:
    """Return the files of a table in the order of their namespaces, with their states.

    A folder stands for all files below it whose names end in ``.parquet``. Names that begin with a
    dot or an underscore are left out. A file that is named, not found, need not exist.

    Parameters
    ----------
    paths : path or sequence of str
        File, folder, glob or URI, or several of them.

    Raises
    ------
    InputError
        A folder or a glob has no files, or two files have the same name without ending.
    """
    found = [_expanded(path) for path in _listed(paths)]
    names = [name for _, files in found for name in files]
    if len(names) == 1 and found[0][0] is None:
        return [TableFile(names[0], None, file_state(names[0]))]
    folders = [
        _parts(folder if folder is not None else os.path.dirname(files[0]))
        for folder, files in found
    ]
    common = len(list(takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False))))
    by_namespace: dict[str, str] = {}
    for name in names:
        namespace = os.path.splitext("/".join(_parts(name)[common:]))[0]
        _require_usable(name, namespace)
        if (other := by_namespace.get(namespace)) is not None:
            raise InputError(
                f"{name}: {'named twice' if other == name else f'beside {other}'}; the namespace "
                f"of a file is its name without ending, here {namespace!r}; each file must have "
                "its own; rename one, or leave it out"
            )
        by_namespace[namespace] = name
    return [TableFile(name, own, file_state(name)) for own, name in sorted(by_namespace.items())]


def table_states(files: Sequence[TableFile]) -> list[list[object]] | None:
    """Return the states of the files of a table as one list; None if one is unreadable."""
    if not files or any(file.state is None for file in files):
        return None
    return [[file.path, *(file.state or [])] for file in files]


def file_state(path: str) -> State | None:
    """Return the state of one file of a table; None if it is unreadable."""
    if is_uri(path):
        from vacuagym.tables import remote_files

        return remote_files.file_state(path)
    return table_state(path)


def folder_of(namespace: str) -> str:
    """Return the folder in which the results of a namespace lie; each namespace has its own."""
    name = re.sub(r"^\.|[^\w.,=+@-]", _escaped, namespace)
    # Most file systems take names of at most 255 bytes.
    return name if len(name.encode()) <= 200 else f"%{digest(namespace)}"


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _listed(paths: TablePath) -> list[str]:
    return [str(paths)] if isinstance(paths, str | Path) else list(paths)


def _expanded(path: str) -> tuple[str | None, list[str]]:
    """Return the folder that a path searches, None if it names a file; and the files."""
    if is_uri(path):
        from vacuagym.tables import remote_files

        folder, found = remote_files.expanded(path)
    else:
        path = unquote(path[len(_LOCAL) :]) if path.startswith(_LOCAL) else path
        folder, found = _expanded_local(path)
    if folder is not None and not found:
        need = "matches" if folder != path.rstrip("/") else f"in it ends in {ENDING}"
        raise InputError(
            f"{path}: no file {need} (seen from {Path.cwd()}); a table needs at least one file; "
            "correct the path"
        )
    return folder, found


def _expanded_local(path: str) -> tuple[str | None, list[str]]:
    if os.path.isdir(path):
        walked = os.walk(path, onerror=_refuse_folder, followlinks=True)
        names = (os.path.join(above, name) for above, _, files in walked for name in files)
        return path.rstrip("/") or "/", [name for name in names if is_taken(name, path)]
    if os.path.lexists(path) or not glob.has_magic(path):
        return None, [path]
    folder = "/".join(takewhile(lambda part: not glob.has_magic(part), path.split("/")))
    return folder, [name for name in glob.glob(path, recursive=True) if not os.path.isdir(name)]


def is_taken(name: str, folder: str) -> bool:
    """Return whether a file below a folder is one of a table: neither hidden nor of other kinds."""
    below = name[len(folder) :].strip("/").split("/")
    return name.endswith(ENDING) and not any(part.startswith((".", "_")) for part in below)


def _refuse_folder(error: OSError) -> None:
    raise InputError(
        f"{error.filename}: cannot be read: {error.strerror}; every folder of a table must be "
        "readable; correct this, or name the files"
    )


def _parts(path: str) -> list[str]:
    """Return the folders of a path and its name; an absolute path begins with an empty part."""
    parts = path.split("/")
    return parts[: parts[0] == ""] + [part for part in parts if part not in ("", ".")]


def _require_usable(path: str, namespace: str) -> None:
    """Refuse a name that cannot be part of a key."""
    try:
        usable = namespace.isprintable() and len(namespace.encode()) <= _LONGEST_NAMESPACE
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise InputError(
            f"{path}: the path below the common folder is part of every key; it must be printable "
            f"text of at most {_LONGEST_NAMESPACE} bytes; rename the file or its folder"
        )
