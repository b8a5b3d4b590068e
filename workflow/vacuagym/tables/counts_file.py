"""Write and read counts: nested texts, numbers and arrays, in one small file.

The file is a NumPy archive without Python objects. Most places of large arrays are zero, so only
the others are stored.
"""

from __future__ import annotations

import errno
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vacuagym.errors import DamagedFileError
from vacuagym.runtime.atomic_files import require_regular, whole_file

T = TypeVar("T")
_ARRAY = "an array"  # the only key of what stands for an array in the JSON; no data set is so named
_JSON = "json"
_OF_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def write_counts(path: Path, counts: Mapping[str, Any]) -> None:
    """Write counts atomically. Equal counts give equal bytes."""
    arrays: dict[str, Any] = {}

    def named(value: npt.NDArray[Any]) -> dict[str, Any]:
        flat, name = value.ravel(), str(len(arrays) // 2)
        places = np.flatnonzero(flat)
        arrays[f"{name} places"], arrays[f"{name} values"] = places, flat[places]
        return {_ARRAY: [name, value.shape]}

    text = json.dumps(counts, default=named)
    arrays[_JSON] = np.frombuffer(text.encode(), np.uint8)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_counts(path: Path, build: Callable[[dict[str, Any]], T]) -> T:
    """Return what ``build`` makes of the counts in a file.

    Raises
    ------
    DamagedFileError
        The file is damaged, or ``build`` does not find what it needs.
    OSError
        The file cannot be opened.
    """
    with opened_archive(path) as arrays:

        def given(value: dict[str, Any]) -> Any:
            if value.keys() != {_ARRAY}:
                return value
            name, shape = value[_ARRAY]
            values = arrays[f"{name} values"]
            whole = np.zeros(shape, values.dtype)
            whole.ravel()[arrays[f"{name} places"]] = values
            return whole

        return build(json.loads(arrays[_JSON].tobytes(), object_hook=given))


@contextmanager
def opened_archive(path: Path) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """Open a NumPy archive of the pipeline; errors are as those of :func:`read_counts`."""
    require_regular(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except (*_OF_DAMAGE, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        # An archive that was cut off names a place before its beginning.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        reason = f"{type(error).__name__}: {error}"[:200]
        raise DamagedFileError(
            f"{path}: not as the pipeline writes it ({reason})",
            path,
            remedy="remove it, and run the same command again",
        ) from error
