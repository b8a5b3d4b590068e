"""Check the Hodge numbers, counts and divisors of a hypersurface of a reflexive polytope.

Hodge numbers follow from counts of lattice points (V. V. Batyrev, arXiv:alg-geom/9310003, Theorem
4.3.7), and not from the number of divisors. Nothing here is shared with `vacuagym.geometry`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vacuagym.checks.intersections import Claim, intersection_problems, rank
from vacuagym.checks.reflexive import (
    Ints,
    NoThreefold,
    Pair,
    pair_of_vertices,
    pair_of_weights,
)

_Face = bytes  # which vertices of the dual polytope are facets with all points of the face


def polytope_problems(content: Any, side: str, row: Mapping[str, Any], seed: int = 0) -> list[str]:
    """Return what is wrong with a row of a table of threefolds, a sentence each.

    Parameters
    ----------
    content : str, list of int, or list of lists of 4 int
        The weight system, as text or d, w_1, ..., w_n; or vertices of M. None if both are
        absent.
    side : "weights" or "mirror"
    row : mapping
        The row. Columns that are null are not checked.
    seed : int
        Seed of random classes.

    Raises
    ------
    TooLarge
        If the second derivation would take too long.
    """
    try:
        pair = _pair(content)
    except NoThreefold as error:
        return [] if row["problem"] else [f"the input is no threefold: {error}"]
    if row["problem"]:
        return [] if row["problem"] == "too large" else ["the input is a threefold"]
    problems = _differences(row, _counts_of_given(pair))
    own = pair if side == "weights" else pair.swapped()
    problems += _differences(row, _counts(own))
    if row["points"] is not None:
        problems += _divisor_problems(own, row)
    if row["kappa_value"] is not None and not problems:
        problems += intersection_problems(Claim.of(row), len(own.points_m), seed)
    return problems


def _pair(content: Any) -> Pair:
    if isinstance(content, str):
        try:
            return pair_of_weights([int(part) for part in content.split()])
        except ValueError:
            raise NoThreefold("no weight system") from None
    if content is None or any(part is None for part in content):
        raise NoThreefold("null")
    if content and isinstance(content[0], Sequence):
        return pair_of_vertices(content)
    return pair_of_weights(content)


def _differences(row: Mapping[str, Any], derived: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} is {row[name]}, the second derivation gives {value}"
        for name, value in derived.items()
        if row[name] != value
    ]


def _counts_of_given(pair: Pair) -> dict[str, int]:
    return {
        "num_points_m": len(pair.points_m),
        "num_vertices_m": len(pair.vertices_m),
        "num_points_n": len(pair.points_n),
        "num_vertices_n": len(pair.vertices_n),
    }


def _counts(pair: Pair) -> dict[str, Any]:
    """Return Hodge numbers, Euler number, and whether all divisors are toric."""
    h11, split = _hodge_number(pair)
    h21, _ = _hodge_number(pair.swapped())
    return {"h11": h11, "h21": h21, "euler": 2 * (h11 - h21), "favourable": split == 0}


def _hodge_number(pair: Pair) -> tuple[int, int]:
    """Return h11 = l(N) - 5 - sum l*(facet) + sum l*(2-face) l*(dual edge), and the last sum."""
    tight = pair.points_n @ pair.vertices_m.T == -1
    dual = _interior(pair.points_m, pair.vertices_n)
    facets = tight.sum(axis=1)
    split = sum(dual[_face(pair, tight[place])] for place in np.flatnonzero(facets == 2).tolist())
    return len(facets) - 5 - int((facets == 1).sum()) + split, split


def _interior(points: Ints, normals: Ints) -> Counter[_Face]:
    """Return the number of points interior to each face; a face is named by its facets."""
    return Counter(row.tobytes() for row in points @ normals.T == -1)


def _face(pair: Pair, facets: Any) -> _Face:
    """Return the dual of the smallest face of N on these facets, named by its facets of M.

    These are the vertices of N that lie on all the facets.
    """
    on_all: Any = (pair.vertices_n @ pair.vertices_m[facets].T == -1).all(axis=1)
    return bytes(on_all.tobytes())


def _divisor_problems(own: Pair, row: Mapping[str, Any]) -> list[str]:
    """Check points and topology of divisors in their own coordinates: their hull is N again."""
    points = np.array(row["points"], dtype=np.int64)
    try:
        pair = pair_of_vertices(row["points"]).swapped()
    except NoThreefold as error:
        return [f"points: {error}"]
    if _pairing(pair) != _pairing(own) or _counts(pair) != _counts(own):
        return ["points: their hull is another polytope"]
    kept = pair.points_n[(pair.points_n @ pair.vertices_m.T == -1).sum(axis=1) > 1]
    if sorted(points.tolist()) != sorted(kept.tolist()):
        return ["points: they are not the points of N outside the interiors of facets"]
    return _differences(row, _topology(pair, points))


def _pairing(pair: Pair) -> list[list[int]]:
    """Return the pairings of vertices of N and M, sorted: equal for isomorphic polytopes."""
    return sorted(sorted(line) for line in (pair.vertices_n @ pair.vertices_m.T).tolist())


def _topology(pair: Pair, points: Ints) -> dict[str, Any]:
    """Return copies, h1 and h2 of the divisor of each point, and whether rigid ones span H2.

    A point interior to a 2-face has l*(dual edge) + 1 components, one interior to an edge has
    h1 = l*(dual 2-face), a vertex has h2 = l*(dual facet).
    """
    tight = points @ pair.vertices_m.T == -1
    dual = _interior(pair.points_m, pair.vertices_n)
    found: dict[str, Any] = {"copies": [], "divisor_h1": [], "divisor_h2": []}
    moving = []
    for point, facets in zip(points.tolist(), tight, strict=True):
        face = _face(pair, facets)
        count, vertices = dual[face], sum(face)
        on_two_face = bool(facets.sum() == 2)
        found["copies"].append(1 + count if on_two_face else 1)
        found["divisor_h1"].append(count if vertices == 2 and not on_two_face else 0)
        found["divisor_h2"].append(count if vertices == 1 else 0)
        if found["divisor_h1"][-1] or found["divisor_h2"][-1]:
            moving.append(point)
    # Rigid divisors span H2 if linear relations express all others: these are independent points.
    return found | {"rigid_span": rank(moving) == len(moving)}
