"""Compute digests of the values of columns, independent of batches and row groups.

Checksums of pages do not find a file that was altered and written again as valid Parquet. So the
footer of each file of the pipeline has these digests. They are computed again while the file is
read, and compared.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class ColumnDigests:
    """Digests of the named columns. Pieces must come in the order of the rows."""

    def __init__(self, names: Iterable[str]) -> None:
        self._columns = {name: _Digest() for name in names}

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add the next rows. They must have the named columns."""
        for name, digest in self._columns.items():
            column = rows.column(name)
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                digest.update(chunk)

    def hexdigests(self) -> dict[str, str]:
        """Return the digest of each column so far, 16 hexadecimal digits each."""
        return {name: digest.hexdigest() for name, digest in self._columns.items()}

    def differing(self, expected: Mapping[str, str]) -> list[str]:
        """Return the columns whose digests differ from the expected ones.

        A column without an expected digest does not differ.
        """
        return [
            name for name, found in self.hexdigests().items() if expected.get(name, found) != found
        ]


class _Digest:
    """The digest of one column.

    Each level of nesting has its own hash, because levels grow at different rates.
    """

    def __init__(self) -> None:
        self._levels: dict[str, hashlib.blake2b] = {}

    def update(self, values: pa.Array, path: str = "") -> None:
        """Add values; ``path`` names their level of nesting."""
        kind = values.type
        if pa.types.is_dictionary(kind):
            self.update(values.indices, f"{path}i")
            self._levels[f"{path}d"] = hashlib.blake2b(
                repr(values.dictionary.to_pylist()).encode(), digest_size=16
            )
        elif (
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        ):
            self._add(path, _lengths(values, pc.list_value_length(values)))
            self.update(values.flatten(), f"{path}l")
        elif pa.types.is_struct(kind):
            self._add_validity(path, values)
            for position, field in enumerate(values.flatten()):
                self.update(field, f"{path}{position}.")
        elif _is_text(kind):
            self._add(path, _lengths(values, pc.binary_length(values)))
            text = self._hash(f"{path}t")
            if values.null_count < len(values):
                whole = values.cast(pa.large_binary())
                if values.null_count:
                    whole = pc.fill_null(whole, b"")
                start, end = np.frombuffer(whole.buffers()[1], np.int64)[
                    [whole.offset, whole.offset + len(whole)]
                ]
                text.update(memoryview(whole.buffers()[2] or b"")[start:end])
        elif pa.types.is_boolean(kind):
            self.update(values.cast(pa.uint8()), path)
        elif pa.types.is_primitive(kind):
            self._add(path, values, self._add_validity(f"{path}v", values))
        else:  # nulls, maps and other types of a user's table
            self._hash(path).update(
                "".join(f"{value!r}\n" for value in values.to_pylist()).encode(
                    errors="surrogatepass"
                )
            )

    def _add_validity(self, path: str, values: pa.Array) -> npt.NDArray[np.uint8] | None:
        """Add a byte for each value: 0 if it is null, else 1. Return the bytes if one is null."""
        if not values.null_count:
            self._hash(path).update(b"\1" * len(values))
            return None
        valid: npt.NDArray[np.uint8] = values.is_valid().cast(pa.uint8()).to_numpy()
        self._hash(path).update(valid.data)
        return valid

    def _add(self, path: str, values: pa.Array, valid: npt.NDArray[np.uint8] | None = None) -> None:
        """Add fixed-width values; those that are not ``valid`` count as zero."""
        width = values.type.bit_width // 8
        raw = np.frombuffer(values.buffers()[1] or b"", np.uint8)[
            values.offset * width : (values.offset + len(values)) * width
        ]
        if valid is not None:
            words = raw.view(f"u{math.gcd(width, 8)}").reshape(len(valid), -1)
            raw = np.where(valid[:, None], words, words.dtype.type(0))
        self._hash(path).update(np.ascontiguousarray(raw).data)

    def _hash(self, path: str) -> hashlib.blake2b:
        return self._levels.setdefault(path, hashlib.blake2b(digest_size=16))

    def hexdigest(self) -> str:
        """Return the digest of all levels so far."""
        whole = hashlib.blake2b(digest_size=8)
        for path, level in sorted(self._levels.items()):
            whole.update(path.encode() + level.digest())
        return whole.hexdigest()


def _lengths(values: pa.Array, lengths: pa.Array) -> pa.Array:
    """Return the lengths of values as 64-bit integers, −1 for a null."""
    lengths = lengths.cast(pa.int64())
    return pc.fill_null(lengths, -1) if values.null_count else lengths


def _is_text(kind: pa.DataType) -> bool:
    binary = (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
    return bool(binary or pa.types.is_string(kind) or pa.types.is_large_string(kind))
