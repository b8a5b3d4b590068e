"""Compute the digest of a shard's rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.tables.content_digest import ColumnDigests


class ShardDigest:
    """Digest of a shard's rows in order, independent of the pieces in which they come."""

    def __init__(self, carried: Sequence[str] = (), origin: str | None = None) -> None:
        self._carried = ColumnDigests(carried)
        self._origin = origin
        self._numbers = hashlib.blake2b(digest_size=16)
        self._names = hashlib.blake2b(digest_size=16)

    def update(self, rows: pa.Table) -> None:
        """Add rows with the columns of :data:`vacuagym.tables.feature_schema.SCHEMA`."""
        self._carried.update(rows)
        numbers = [rows["geometry_id"].to_numpy(), pc.fill_null(rows["moduli"], -1).to_numpy()]
        self._numbers.update(np.stack(numbers, axis=1).astype("<i8").tobytes())
        if rows["namespace"].null_count < len(rows):
            self._names.update(
                "".join(f"{len(name)}:{name}" for name in rows["namespace"].to_pylist()).encode()
            )

    def hexdigest(self) -> str:
        """Return the digest so far, 16 hexadecimal digits."""
        whole = self._numbers.digest() + self._names.digest()
        if self._origin is not None:
            whole += json.dumps([self._origin, *self._carried.hexdigests().values()]).encode()
        return hashlib.blake2b(whole, digest_size=8).hexdigest()
