"""Random numbers that belong to a geometry, not to a process.

Every number is a pure function of (seed, data set, namespace, geometry_id, draw, purpose,
position). The 128-bit key of the generator is a BLAKE2b digest of (seed, data set, namespace). The
geometry_id, the draw and the purpose are words of its 256-bit counter. So two different tuples
never share a block. Shards, batches, the order of rows and the number of cores do not matter.

The generator is Philox4x64-10 [1]_ for arrays of counters. ``numpy.random.Philox`` is the same
function for one counter at a time; the tests compare the two.

References
----------
.. [1] J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as
   1, 2, 3", SC11 (2011), section 4.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.integer[Any]]
# Constants of Philox4x64 [1].
_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ROUNDS = 10


class Purpose(IntEnum):
    """The use of a stream: the last word of the counter, so that no two uses overlap."""

    FLUX = 0
    START = 1
    FOLD = 2


@dataclass(frozen=True)
class Streams:
    """The random streams of B flux draws.

    Attributes
    ----------
    keys : array, shape (B, 2)
        Keys from :func:`stream_key`.
    ids : array, shape (B,)
        The ``geometry_id`` of each geometry.
    draws : array, shape (B,)
        Numbers of the flux draws, 0 or larger.
    """

    keys: Words
    ids: Integers
    draws: Integers


def stream_key(*identity: str | int | None) -> Words:
    """Return the 128-bit Philox key of an identity, shape (2,).

    An identity is, for example, (seed, data set, namespace). The parts are hashed with their types
    and lengths. So ("a", "bc") and ("ab", "c") have different keys, as do None and "".
    """
    digest = hashlib.blake2b(digest_size=16, person=b"vacuagym stream")
    for part in identity:
        # NumPy's integers give the same key as Python's.
        part = int(part) if isinstance(part, Integral) else part
        data = b"" if part is None else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(data)}:".encode() + data)
    return np.frombuffer(digest.digest(), dtype="<u8").astype(np.uint64)


def _multiply(a: np.uint64, b: Words) -> tuple[Words, Words]:
    """Return the high and low 64 bits of the products a·b, from four 32-bit products."""
    a_high, a_low = a >> _32, a & _LOW
    b_high, b_low = b >> _32, b & _LOW
    cross = a_high * b_low
    middle = a_low * b_high + ((a_low * b_low) >> _32) + (cross & _LOW)
    return a_high * b_high + (cross >> _32) + (middle >> _32), a * b


def philox(counter: tuple[Words, ...], key: tuple[Words, Words]) -> tuple[Words, ...]:
    """Return the four output words of Philox4x64-10.

    The four counter words and two key words are arrays that broadcast together.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    with np.errstate(over="ignore"):
        for round_ in range(_ROUNDS):
            bump0, bump1 = (np.uint64(weyl * round_ & 0xFFFFFFFFFFFFFFFF) for weyl in _WEYL)
            high0, low0 = _multiply(_MULTIPLIERS[0], c0)
            high1, low1 = _multiply(_MULTIPLIERS[1], c2)
            c0, c1, c2, c3 = high1 ^ c1 ^ (k0 + bump0), low1, high0 ^ c3 ^ (k1 + bump1), low0
    return c0, c1, c2, c3


def uniforms(
    keys: Words, ids: Integers, draws: Integers, *, purpose: Purpose, count: int
) -> npt.NDArray[np.float64]:
    """Return the first numbers of each stream, uniform in the open interval (0, 1).

    Parameters
    ----------
    keys : array, shape (streams, 2)
        Keys from :func:`stream_key`.
    ids : array, shape (streams,)
        Any int64.
    draws : array, shape (streams,)
        Numbers of the flux draws, 0 or larger.
    purpose : Purpose
        The use of the streams.
    count : int
        Numbers of each stream.

    Returns
    -------
    array, shape (streams, count)
        A block of the generator gives four numbers.

    Notes
    -----
    The counter words are block, draw, id in two's complement, purpose. The numbers are the middles
    of 2⁵² equal cells. Of 2⁵³ cells the last middle would round to 1.
    """
    blocks = np.arange(-(-count // 4), dtype=np.uint64)[None, :]
    draw = np.asarray(draws).astype(np.uint64)[:, None]
    identity = np.asarray(ids, dtype=np.int64).view(np.uint64)[:, None]
    words = philox(
        np.broadcast_arrays(blocks, draw, identity, np.uint64(purpose)),
        (keys[:, 0:1], keys[:, 1:2]),
    )
    numbers = np.stack(words, axis=-1).reshape(len(identity), 4 * blocks.size)
    cells = numbers[:, :count] >> np.uint64(12)
    return ((cells + 0.5) * 2.0**-52).astype(np.float64, copy=False)
