"""Files of a table that a URI names: of object stores, the Hugging Face Hub and other systems.

Arrow opens the schemes that it knows. All others are opened by fsspec, where it is installed.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import takewhile

import pyarrow as pa
from pyarrow import fs

from vacuagym.errors import InputError, VacuagymError
from vacuagym.tables.footers import State, footer_digest
from vacuagym.tables.table_files import is_taken

# what fsspec may know of the content of a file, the digests first
_CONTENT = ("ETag", "etag", "blob_id", "md5", "mtime", "LastModified", "last_modified", "created")
_ARROW = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_UNREADABLE = (OSError, ValueError, ImportError, RuntimeError)


def expanded(uri: str) -> tuple[str | None, list[str]]:
    """Return the folder that a URI searches, None if it names a file; and the URIs of the files.

    Raises
    ------
    InputError
        The file system cannot be opened or asked.
    """
    place = _place(uri)
    with _named(uri):
        found = place.system.get_file_info(place.path)
        if found.type == fs.FileType.Directory:
            return place.uri(place.path), place.below(
                place.path, lambda name: is_taken(name, place.path)
            )
        if found.type == fs.FileType.File or not glob.has_magic(place.path):
            return None, [uri]
        parts = takewhile(lambda part: not glob.has_magic(part), place.path.split("/"))
        folder, pattern = "/".join(parts), _pattern(place.path)
        return place.uri(folder), place.below(folder, lambda name: bool(pattern.fullmatch(name)))


def open_file(uri: str) -> pa.NativeFile:
    """Open a file for reading at any place.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    InputError
        The file system cannot be opened.
    """
    place = _place(uri)
    return place.system.open_input_file(place.path)


def file_state(uri: str) -> State | None:
    """Return size, time of change or digest of the content, and footer digest; None if unreadable.

    The list equals its copy read from JSON.
    """
    place = _place(uri)
    try:
        about = place.system.get_file_info(place.path)
        if about.type != fs.FileType.File:
            return None
        with place.system.open_input_file(place.path) as file:
            footer = footer_digest(file)
        return [about.size, place.content() or about.mtime_ns or 0, footer]
    except _UNREADABLE:
        return None


@dataclass(frozen=True)
class _Place:
    """A path in a file system; its URI is ``before + path + options``."""

    system: fs.FileSystem
    path: str
    before: str
    options: str

    def uri(self, path: str) -> str:
        """Return the URI of another path in the file system."""
        return f"{self.before}{path}{self.options}"

    def below(self, folder: str, wanted: Callable[[str], bool]) -> list[str]:
        """Return the URIs of the wanted files below a folder."""
        found = self.system.get_file_info(
            fs.FileSelector(folder, allow_not_found=True, recursive=True)
        )
        names = [about.path for about in found if about.type == fs.FileType.File]
        return [self.uri(name) for name in names if wanted(name)]

    def content(self) -> str | None:
        """Return what fsspec knows of the content of the file, None if it knows nothing."""
        handler = getattr(self.system, "handler", None)
        about = handler.fs.info(self.path) if handler else {}
        return next((str(about[name]) for name in _CONTENT if about.get(name)), None)


def _place(uri: str) -> _Place:
    scheme = uri[: uri.index("://")]
    with _named(uri):
        if scheme in _ARROW:
            plain, mark, options = uri.partition("?")  # options such as ?region=eu-west-1
            system, path = fs.FileSystem.from_uri(uri)
            return _Place(system, path, plain.rstrip("/").removesuffix(path), f"{mark}{options}")
        system = _of_fsspec(scheme)
        return _Place(system, system.handler.fs._strip_protocol(uri), f"{scheme}://", "")


@cache
def _of_fsspec(scheme: str) -> fs.FileSystem:
    import fsspec

    return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme)))


@contextmanager
def _named(uri: str) -> Iterator[None]:
    """Turn an error of a file system into one that names the URI."""
    try:
        yield
    except VacuagymError:
        raise
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = (
            "install the package of this file system (pip install huggingface_hub for hf://, s3fs "
            "for s3://), or copy the files to this machine"
            if isinstance(error, ImportError | ValueError)
            else "correct the URI, or copy the files to this machine"
        )
        raise InputError(f"{uri}: cannot be opened ({reason}); {remedy}") from error


def _pattern(path: str) -> re.Pattern[str]:
    """Return the expression of a glob: ``*`` and ``?`` stay in a folder, ``**/`` does not."""
    parts = re.split(r"(\*\*/|\*|\?|\[[^\]]+\])", path)
    meant = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(
            meant.get(part, part if part.startswith("[") else re.escape(part)) for part in parts
        )
    )
