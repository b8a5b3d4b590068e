"""Files that a power cut or a copy has left empty or cut off: looked for at every start, and
removed, so that they are made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path

from vacuagym import paths
from vacuagym.errors import DamagedFileError
from vacuagym.runtime.atomic_files import read_json, remove_abandoned

CHECKSUMS = Path(paths.DATASET)
_WRITTEN = (
    *(
        paths.GEOMETRY,
        paths.COLUMNS,
        paths.SHARD,
        paths.LABELS,
        paths.LABEL_TABLE,
        paths.FEATURES,
        paths.SPLIT,
        paths.INDEX,
    ),
    *(
        paths.VERIFICATION,
        paths.VALIDATION,
        paths.REPORT,
        paths.VERDICT,
        paths.PHYSICS,
        paths.CONFIGURATION,
        paths.SETTINGS,
    ),
    *(
        f"{paths.PLANS}/{{plan}}.json",
        f"{CHECKSUMS.parent}/croissant.json",
        f"{CHECKSUMS.parent}/data/{{split}}/{{file}}.parquet",
    ),
)
_RECORDS = (Path(".snakemake/metadata"), Path(".snakemake/incomplete"))
_KEYS = {
    paths.VALIDATION: ("checks", "verdict", "verification"),
    paths.VERIFICATION: ("disagreements",),
}  # of whole files
_END = {
    ".parquet": b"PAR1",
    ".html": b"</html>\n",
    ".txt": b"\n",
    ".json": b"]}\n",
}  # of JSON: the long lists of row numbers


def discard_torn() -> None:
    """Remove what is not whole of the results in the working folder; files of others that lie
    among them stay.

    Parses JSON, and looks at the ends of all other files only: what is altered in between is found
    by the checksums when it is read. Snakemake takes a record of its own that is cut off for none;
    one that is no text, which it cannot read, is emptied here.
    """
    for path in sorted(
        path for pattern in _WRITTEN for path in Path().glob(re.sub("{[a-z]+}", "*", pattern))
    ):
        with suppress(FileNotFoundError):  # another run may have begun in the same instant
            if not _is_whole(path):
                print(
                    f"warning: {path} is not whole; it is removed and made again", file=sys.stderr
                )
                path.unlink()
    with suppress(FileNotFoundError):
        if not _has_all_files(CHECKSUMS):
            print(
                f"warning: files named in {CHECKSUMS} are missing or altered; they are made again",
                file=sys.stderr,
            )
            CHECKSUMS.unlink()
    for record in (path for folder in _RECORDS for path in folder.rglob("*")):
        with suppress(FileNotFoundError):
            if record.is_file() and not _is_whole_record(record):
                record.write_text("{}", encoding="utf-8")
    remove_abandoned(
        Path("results").rglob(".*.json.*.tmp")
    )  # of a Snakemake that was killed while it wrote its settings


def _is_whole(path: Path) -> bool:
    if not stat.S_ISREG(os.stat(path).st_mode):
        return stat.S_ISDIR(
            os.stat(path).st_mode
        )  # a folder is somebody's: whoever needs the file says so
    if path.suffix == ".json" and path.parent.name != "splits":
        try:
            return set(_KEYS.get(str(path), ())) <= read_json(path).keys()
        except DamagedFileError:
            return False
    if path.suffix == ".txt" and not _is_text(path):
        return False
    with open(path, "rb") as file:
        first = file.read(4)
        size = file.seek(0, os.SEEK_END)
        file.seek(-min(size, 16), os.SEEK_END)
        last = file.read()
    return last.endswith(_END[path.suffix]) and (
        path.suffix != ".parquet" or (size >= 12 and first == b"PAR1")
    )


def _is_whole_record(path: Path) -> bool:
    """Return whether Snakemake can read a record: text, and an object if it is JSON."""
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except RecursionError:
        return False
    except ValueError:
        return _is_text(path)  # cut off: Snakemake takes it for none


def _is_text(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8") is not None
    except ValueError:
        return False


def _has_all_files(checksums: Path) -> bool:
    """Whether a file as of `sha256sum` is whole and the files that it names exist; tables are not
    read, texts are as they were.
    """
    text = checksums.read_text(encoding="utf-8", errors="replace")
    named = [(line[:64], checksums.parent / line[66:]) for line in text.splitlines()]
    return text.endswith("\n") and all(
        path.is_file() and (path.suffix == ".parquet" or digest == _sha256(path))
        for digest, path in named
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
