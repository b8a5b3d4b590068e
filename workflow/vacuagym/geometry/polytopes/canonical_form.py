"""Canonical form of a reflexive polytope: equal for two polytopes exactly if they are isomorphic.

The pairing matrix of the vertices of N and M is the same in all bases, up to the order of its
rows and columns. Colour refinement with branching orders the vertices of N; each complete order
gives a Hermite normal form of the vertices, and the canonical form is the least of these. The
idea is that of the normal form of M. Kreuzer and H. Skarke, arXiv:math/0204356; the order is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vacuagym.geometry.polytopes.integers import (
    IntArray,
    IntRows,
    hermite_transform,
    multiply,
)

_HASH_DIGITS = 32


@dataclass(frozen=True)
class CanonicalForm:
    """The canonical form of N and the coordinates that realise it.

    `vertices` (V, 4) int64 are the vertices in canonical order and coordinates; `transform` is
    the unimodular (4, 4) matrix U, of Python integers, with n' = U n.
    """

    vertices: IntArray
    transform: IntRows


def canonical_form(vertices_n: IntArray, vertices_m: IntArray) -> CanonicalForm:
    """Return the canonical form of the polytope N.

    Parameters
    ----------
    vertices_n
        Vertices of N, (V, 4), in any basis and order.
    vertices_m
        Vertices of its dual M, (F, 4), in the dual basis and any order.

    Returns
    -------
    CanonicalForm
        Equal arrays of vertices for isomorphic polytopes.
    """
    pairing = vertices_n @ vertices_m.T + 1
    best: CanonicalForm | None = None
    best_key: list[list[int]] = []
    for order in _complete_orders(pairing):
        ordered = vertices_n[order]
        transform, _ = hermite_transform(ordered.tolist(), 4)
        columns = [list(column) for column in zip(*transform, strict=True)]
        vertices = multiply(ordered, columns, "canonical form")
        key = vertices.tolist()
        if best is None or key < best_key:
            best, best_key = CanonicalForm(vertices, transform), key
    assert best is not None
    return best


def geometry_hash(form: CanonicalForm) -> str:
    """Return the identity of a geometry: 32 hexadecimal digits, equal for equal polytopes N."""
    text = ";".join(",".join(map(str, vertex)) for vertex in form.vertices.tolist())
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_HASH_DIGITS]


def _complete_orders(pairing: IntArray) -> Iterator[IntArray]:
    """Yield the orders of the rows of a pairing matrix (V, F) that refinement cannot tell apart.

    The set of orders does not depend on the order in which rows and columns are given.
    """
    rows, columns = pairing.shape
    start = (np.zeros(rows, dtype=np.int64), np.zeros(columns, dtype=np.int64))
    waiting = [start]
    while waiting:
        row_colours, column_colours = _refined(pairing, *waiting.pop())
        sizes = np.bincount(row_colours)
        if sizes.max() == 1:
            yield np.argsort(row_colours)
            continue
        smallest = np.where(sizes > 1, sizes, rows + 1).argmin()
        for row in np.flatnonzero(row_colours == smallest):
            individual = 2 * row_colours + 1
            individual[row] -= 1
            waiting.append((individual, column_colours))


def _refined(
    pairing: IntArray, row_colours: IntArray, column_colours: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the stable colours of the rows and columns of a matrix of non-negative integers.

    A colour is split by the multiset of (entry, colour of the other side) along the row or
    column, until nothing splits. Colours are numbered in an order that all bases share.
    """
    row_count, column_count = len(set(row_colours.tolist())), len(set(column_colours.tolist()))
    while True:
        row_colours, rows = _split(pairing, row_colours, column_colours)
        column_colours, columns = _split(pairing.T, column_colours, row_colours)
        if (rows, columns) == (row_count, column_count):
            return row_colours, column_colours
        row_count, column_count = rows, columns


def _split(matrix: IntArray, own: IntArray, other: IntArray) -> tuple[IntArray, int]:
    """Return the split colours of the rows of `matrix` and their number."""
    described = np.sort(matrix * (matrix.shape[1] * 2 + 2) + other, axis=1)
    # Big-endian non-negative integers compare as their bytes do.
    keys = [key.tobytes() for key in np.column_stack([own, described]).astype(">u8")]
    rank = {key: colour for colour, key in enumerate(sorted(set(keys)))}
    return np.array([rank[key] for key in keys], dtype=np.int64), len(rank)
