"""Remove torn files at every start, so that the run recomputes them.

A power cut or an interrupted copy leaves a file empty or cut off.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from vacuagym import paths
from vacuagym.errors import DamagedFileError
from vacuagym.orchestration.segments import segment_pattern
from vacuagym.runtime.atomic_files import read_json, remove_abandoned

CHECKSUMS = Path(paths.DATASET)
_WRITTEN = (
    *(
        paths.GEOMETRY,
        paths.GEOMETRY_SHARD,
        paths.COLUMNS,
        paths.SHARD,
        paths.LABELS,
        paths.LABEL_TABLE,
        paths.FEATURES,
        paths.SPLIT,
        paths.INDEX,
        *map(segment_pattern, (paths.GEOMETRY, paths.LABEL_TABLE, paths.FEATURES, paths.SPLIT)),
        paths.SAMPLE,
        paths.SAMPLE_GEOMETRY,
        paths.VERIFIED_PART,
        paths.SURVEY,
        paths.SEGMENT_CHECKS,
        paths.CANDIDATES,
        paths.CANDIDATE_GEOMETRY,
    ),
    *(
        paths.VERIFICATION,
        paths.GEOMETRY_VERIFICATION,
        paths.VALIDATION,
        paths.COUNTS,
        paths.REPORT,
        paths.VERDICT,
        paths.PHYSICS,
        paths.CONFIGURATION,
        paths.SETTINGS,
    ),
    *(
        f"{paths.PLANS}/{{plan}}.json",
        f"{paths.PLANS}/{{plan}}.parquet",
        paths.DATASET_LAYOUT,
        paths.DATASET_PART,
        f"{CHECKSUMS.parent}/croissant.json",
        f"{CHECKSUMS.parent}/data/{{split}}/{{file}}.parquet",
    ),
)
_RECORDS = (Path(".snakemake/metadata"), Path(".snakemake/incomplete"))
# Keys that a whole file has.
_KEYS = {
    paths.VALIDATION: ("checks", "verdict", "verification"),
    paths.VERIFICATION: ("disagreements",),
}
# The end of a whole file. Of JSON files, only the index of a split is checked by its end: it has
# long lists of row numbers.
_END = {
    ".parquet": b"PAR1",
    ".html": b"</html>\n",
    ".txt": b"\n",
    ".json": b"]}\n",
}


def discard_torn() -> None:
    """Remove torn results in the working folder; other files among them stay.

    JSON files are parsed. Of other files only both ends are checked. Damage in between is found by
    checksums when the file is read. Snakemake ignores a record of its own that is cut off. It
    cannot read one that is not text, so such a record is emptied.
    """
    for path in sorted(path for pattern in _WRITTEN for path in Path().glob(_glob(pattern))):
        with suppress(FileNotFoundError):  # Another run may begin at the same instant.
            if not _is_whole(path):
                print(
                    f"warning: {path}: the file is torn; it is removed and recomputed",
                    file=sys.stderr,
                )
                path.unlink()
    for part in Path().glob(_glob(paths.DATASET_PART)):
        with suppress(FileNotFoundError):
            if not _has_its_files(part):
                print(
                    f"warning: {part}: its files are missing; they are recomputed", file=sys.stderr
                )
                part.unlink()
    with suppress(FileNotFoundError):
        if not _has_all_files(CHECKSUMS):
            print(
                f"warning: {CHECKSUMS}: files named in it are missing or altered; they are "
                "recomputed",
                file=sys.stderr,
            )
            CHECKSUMS.unlink()
    for record in (path for folder in _RECORDS for path in folder.rglob("*")):
        with suppress(FileNotFoundError):
            if record.is_file() and not _is_whole_record(record):
                record.write_text("{}", encoding="utf-8")
    # A Snakemake that is killed while it writes its settings leaves these.
    remove_abandoned(Path("results").rglob(".*.json.*.tmp"))


def _glob(pattern: str) -> str:
    """Return the glob of the files of a pattern. A shard may lie in the folder of a namespace."""
    return re.sub("{[a-z]+}", "*", pattern.replace("{first}", "**/{first}"))


def _is_whole(path: Path) -> bool:
    if not stat.S_ISREG(os.stat(path).st_mode):
        # A folder belongs to the user. The job that needs the file refuses it.
        return stat.S_ISDIR(os.stat(path).st_mode)
    if path.suffix == ".json" and path.parent.name != "splits":
        try:
            return set(_KEYS.get(str(path), ())) <= read_json(path).keys()
        except DamagedFileError:
            return False
    if path.suffix == ".txt" and not _is_text(path):
        return False
    if path.suffix == ".npz":
        return _is_whole_archive(path)
    with open(path, "rb") as file:
        first = file.read(4)
        size = file.seek(0, os.SEEK_END)
        file.seek(-min(size, 16), os.SEEK_END)
        last = file.read()
    return last.endswith(_END[path.suffix]) and (
        path.suffix != ".parquet" or (size >= 12 and first == b"PAR1")
    )


def _is_whole_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
        return False
    except OSError as error:  # An archive that was cut off names a place before its beginning.
        if error.errno != errno.EINVAL:
            raise
        return False


def _is_whole_record(path: Path) -> bool:
    """Return whether Snakemake can read a record: text, and an object if it is JSON."""
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except RecursionError:
        return False
    except ValueError:
        return _is_text(path)  # It is cut off: Snakemake ignores it.


def _is_text(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8") is not None
    except ValueError:
        return False


def _has_all_files(checksums: Path) -> bool:
    """Return whether a file of checksums is whole and the files that it names exist.

    Texts must have their checksums. Tables are not read.
    """
    text = checksums.read_text(encoding="utf-8", errors="replace")
    named = [(line[:64], checksums.parent / line[66:]) for line in text.splitlines()]
    return text.endswith("\n") and all(
        path.is_file() and (path.suffix == ".parquet" or digest == _sha256(path))
        for digest, path in named
    )


def _has_its_files(part: Path) -> bool:
    """Return whether the data files of a part of the data set exist and have their sizes."""
    files = read_json(part).get("files", [])
    return all(
        os.path.isfile(path := CHECKSUMS.parent / file["path"])
        and os.path.getsize(path) == file["size"]
        for file in files
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
