"""Random numbers that belong to a geometry, not to a process.

Every number is a pure function of (seed, data set, namespace, id, draw, purpose, position): the
128-bit key of the generator is a BLAKE2b digest of (seed, data set, namespace), and the id, the
draw and the purpose are words of its 256-bit counter. Two different tuples therefore never share a
block by construction, whatever the ids are, and shards, batches, row order and cores cannot
matter.

The generator is Philox4x64-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1,
2, 3", SC11, section 4.2), written for whole arrays of counters. ``numpy.random.Philox`` is the
same function for one counter at a time and serves as the check.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from numbers import Integral

import numpy as np

_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ROUNDS = 10


class Purpose(IntEnum):
    """What a stream is for: the last word of the counter, so that no two uses of a geometry's
    numbers can overlap.
    """

    FLUX = 0
    START = 1
    FOLD = 2


def stream_key(*identity: str | int | None) -> np.ndarray:
    """128-bit Philox key of an identity such as (seed, data set, namespace), shape (2,), uint64.

    The parts are hashed with their types and lengths, so that ("a", "bc") and ("ab", "c"), or None
    and "", have different keys.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"vacuagym stream")
    for part in identity:
        part = (
            int(part) if isinstance(part, Integral) else part
        )  # NumPy's integers are the same numbers
        data = b"" if part is None else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(data)}:".encode() + data)
    return np.frombuffer(digest.digest(), dtype="<u8").astype(np.uint64)


def _multiply(a: np.uint64, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """High and low 64 bits of the 128-bit products a·b, from four 32-bit products."""
    a_high, a_low = a >> _32, a & _LOW
    b_high, b_low = b >> _32, b & _LOW
    cross = a_high * b_low
    middle = a_low * b_high + ((a_low * b_low) >> _32) + (cross & _LOW)
    return a_high * b_high + (cross >> _32) + (middle >> _32), a * b


def philox(
    counter: tuple[np.ndarray, ...], key: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Philox4x64-10 of four counter words and two key words (uint64 arrays that broadcast
    together): four arrays of words.
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
    keys: np.ndarray, ids: np.ndarray, draws: np.ndarray, purpose: Purpose, count: int
) -> np.ndarray:
    """The first ``count`` numbers of each stream, uniform in the open interval (0, 1), shape
    (streams, count).

    ``keys`` (streams, 2) from :func:`stream_key`, ``ids`` (streams,) any int64, ``draws``
    (streams,) non-negative. Counter words: block, draw, id in two's complement, purpose; a block
    gives four numbers, the middles of 2⁵² equal cells (of 2⁵³ the last would round to 1).
    """
    blocks = np.arange(-(-count // 4), dtype=np.uint64)[None, :]
    draw = np.asarray(draws).astype(np.uint64)[:, None]
    identity = np.asarray(ids, dtype=np.int64).view(np.uint64)[:, None]
    words = philox(
        np.broadcast_arrays(blocks, draw, identity, np.uint64(purpose)),
        (keys[:, 0:1], keys[:, 1:2]),
    )
    cells = np.stack(words, axis=-1).reshape(len(identity), 4 * blocks.size)[
        :, :count
    ] >> np.uint64(12)
    return (cells + 0.5) * 2.0**-52
