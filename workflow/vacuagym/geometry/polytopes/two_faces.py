"""Fine regular triangulations of the 2-faces of N, which decide all intersection numbers of X.

All faces share one integer height function, so their triangulations extend to a fine regular star
triangulation of N. Qhull proposes the lower hulls; all checks are exact and strict.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from vacuagym.geometry.polytopes.divisors import ToricDivisors
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import IntArray, largest, require_int64

# Heights are |p|^2 plus a hash of p, which is uniform in [0, 1/16) in steps of 2^-24.
_UNIT_BITS = 24
_HASH_BITS = 20
# A tie between heights is broken by this many further bits of the hash, `MOST_TIES` times at most.
_TIE_BITS = 8
MOST_TIES = 3
# Qhull's facets with a normal below this are lower facets; the exact checks catch a wrong guess.
_LOWER = -1e-12


@dataclass(frozen=True)
class FaceTriangulation:
    """The triangles of all 2-faces.

    `triangles` (T, 3), indices of points, ascending; `multiplicity` (T,), the lattice length of
    the dual edge, which is the number of points of X where three such divisors meet; `heights`
    (P,) of the points; `ties`, the number of times that ties were broken.
    """

    triangles: IntArray
    multiplicity: IntArray
    heights: IntArray
    ties: int


def point_heights(points: IntArray, ties: int = 0) -> IntArray:
    """Return the integer heights (P,) of lattice points (P, 4).

    Parameters
    ----------
    points
        Points in canonical coordinates.
    ties
        Number of refinements. Each one appends further bits of the hash to all heights.

    Notes
    -----
    |p|^2 is strictly convex, so that no lattice point lies above the lower hull. The SHA-256
    digest of the little-endian int64 coordinates makes the heights generic.
    """
    require_int64((4 * largest(points) ** 2 + 1) << (_UNIT_BITS + _TIE_BITS * ties), "heights")
    digests = [
        int.from_bytes(hashlib.sha256(point.tobytes()).digest(), "little")
        for point in points.astype("<i8")
    ]
    noise = np.array([digest % (1 << _HASH_BITS) for digest in digests], dtype=np.int64)
    heights: IntArray = ((points * points).sum(axis=1) << _UNIT_BITS) + noise
    for level in range(ties):
        shift = _HASH_BITS + _TIE_BITS * level
        bits = [(digest >> shift) % (1 << _TIE_BITS) for digest in digests]
        heights = (heights << _TIE_BITS) + np.array(bits, dtype=np.int64)
    return heights


def find_two_faces(vertices_n: IntArray, vertices_m: IntArray) -> IntArray:
    """Return the pairs of facets (A, 2) of N that meet in a 2-face, in ascending order.

    Two facets meet in a face of dimension at most 2; it is a 2-face if it has three vertices.
    """
    incidence = (vertices_n @ vertices_m.T == -1).astype(np.float32)
    pairs: IntArray = np.argwhere(np.triu(incidence.T @ incidence >= 3, 1))
    return pairs


def triangulate_two_faces(
    divisors: ToricDivisors, vertices_n: IntArray, vertices_m: IntArray
) -> FaceTriangulation:
    """Return the triangulations of all 2-faces of N.

    Parameters
    ----------
    divisors
        The P divisors of X; their points are in canonical coordinates.
    vertices_n, vertices_m
        Vertices of N, (V, 4), and of M, (F, 4).

    Raises
    ------
    TriangulationError
        If an exact check fails: number of triangles by Pick's theorem, elementary triangles, two
        triangles at every inner edge, edges of N at the boundary, strict regularity.
    """
    pairs = find_two_faces(vertices_n, vertices_m)
    members = divisors.on_facet[:, pairs[:, 0]] & divisors.on_facet[:, pairs[:, 1]]
    length = np.gcd.reduce(vertices_m[pairs[:, 0]] - vertices_m[pairs[:, 1]], axis=1)
    failure = TriangulationError("2-faces of N: not triangulated")
    for ties in range(MOST_TIES + 1):
        heights = point_heights(divisors.points, ties)
        try:
            parts = [
                _face_triangles(np.flatnonzero(column), divisors.points, heights)
                for column in members.T
            ]
            face = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
            triangles = np.sort(np.concatenate(parts), axis=1)
            verify_faces(divisors, face, triangles, heights, members.sum(axis=0))
        except TriangulationError as error:
            # Tied heights: what Qhull returns for them is arbitrary. Refine and try again.
            failure = error
            continue
        return FaceTriangulation(triangles, length[face], heights, ties)
    raise failure


def _face_triangles(members: IntArray, points: IntArray, heights: IntArray) -> IntArray:
    """Return the lower hull of one 2-face as triangles (T, 3) of indices; `members` is (Q,)."""
    if len(members) == 3:
        return members[None]
    local = points[members] - points[members[0]]
    gram = local.T @ local
    minors = np.outer(gram.diagonal(), gram.diagonal()) - gram * gram
    flat = local[:, list(divmod(int(minors.argmax()), 4))]
    triangles = propose_lower_hull(flat, heights[members])
    one, two = flat[triangles[:, 1]] - flat[triangles[:, 0]], flat[triangles[:, 2]]
    two = two - flat[triangles[:, 0]]
    chosen: IntArray = members[triangles[one[:, 0] * two[:, 1] != one[:, 1] * two[:, 0]]]
    return chosen


def propose_lower_hull(flat: IntArray, heights: IntArray) -> IntArray:
    """Return the simplices (T, n + 1) of the lower hull of lifted points, in floating point.

    Parameters
    ----------
    flat
        Points in a plane or in space, (Q, n).
    heights
        Their heights, (Q,).

    Raises
    ------
    TriangulationError
        If Qhull finds no hull.
    """
    lift = (heights - heights.min()).astype(float)
    # The lift gets the size of the squared distances, which balances it against the points.
    lift *= (flat * flat).sum(axis=1).max() / max(lift.max(), 1.0)
    try:
        hull = ConvexHull(np.column_stack([flat - flat.mean(axis=0), lift]))
    except QhullError:
        raise TriangulationError("triangulation: heights without lower hull") from None
    lower: IntArray = hull.simplices[hull.equations[:, -2] < _LOWER].astype(np.int64)
    return lower


def verify_faces(
    divisors: ToricDivisors,
    face: IntArray,
    triangles: IntArray,
    heights: IntArray,
    sizes: IntArray,
) -> None:
    """Check exactly that triangles form fine regular triangulations of the 2-faces.

    Parameters
    ----------
    divisors
        The P divisors of X.
    face, triangles
        The 2-face of each triangle, (T,), and its points, (T, 3), ascending.
    heights
        Integer heights (P,).
    sizes
        Number of points on each 2-face, (A,).

    Notes
    -----
    All triangles are elementary, and their number is that of Pick's theorem. The two triangles at
    an inner edge are on opposite sides; an edge with one triangle lies on an edge of N. So the
    triangles cover the face once. At every inner edge the heights bend strictly upwards.
    """
    points = divisors.points
    inner = divisors.interior_to_two_face
    corners = points[triangles]
    if not (_elementary(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).all():
        raise TriangulationError("2-faces of N: a triangle is not elementary; report the polytope")
    interior = np.zeros(len(sizes), dtype=np.int64)
    owner, used = np.divmod(
        np.unique(np.repeat(face, 3) * len(points) + triangles.ravel()), len(points)
    )
    np.add.at(interior, owner, inner[used])
    found = np.bincount(owner, minlength=len(sizes))
    expected = 2 * interior + (sizes - interior) - 2
    if (found != sizes).any() or (np.bincount(face, minlength=len(sizes)) != expected).any():
        raise TriangulationError("2-faces of N: the triangulation is not fine; report the polytope")
    _verify_edges(divisors, face, triangles, heights)


def _verify_edges(
    divisors: ToricDivisors, face: IntArray, triangles: IntArray, heights: IntArray
) -> None:
    """Check the edges of the triangles: opposite sides, boundary, strict regularity."""
    size = len(divisors.points)
    require_int64(int(face.max() + 1) * size * size, "numbers of the edges of 2-faces")
    i, j, k = triangles.T
    code = np.concatenate([(face * size + a) * size + b for a, b in ((i, j), (i, k), (j, k))])
    apex = np.concatenate([k, j, i])
    order = np.argsort(code, kind="stable")
    code, apex = code[order], apex[order]
    first = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
    count = np.diff(np.r_[first, len(code)])
    a, b = code[first] // size % size, code[first] % size
    boundary = (divisors.on_facet[a] & divisors.on_facet[b]).sum(axis=1) >= 3
    if (count != np.where(boundary, 1, 2)).any():
        raise TriangulationError("2-faces of N: the triangles leave a gap; report the polytope")
    a, b, place = a[~boundary], b[~boundary], first[~boundary]
    c, d = apex[place], apex[place + 1]
    # Elementary triangles on opposite sides: c + d - 2 a = beta (b - a), an integer relation.
    points = divisors.points
    along, across = points[b] - points[a], points[c] + points[d] - 2 * points[a]
    beta = (along * across).sum(axis=1) // (along * along).sum(axis=1)
    if (beta[:, None] * along != across).any():
        raise TriangulationError("2-faces of N: two triangles overlap; report the polytope")
    require_int64((largest(beta) + 2) * 4 * largest(heights), "regularity of a 2-face")
    bend = heights[c] + heights[d] - (2 - beta) * heights[a] - beta * heights[b]
    if (bend <= 0).any():
        raise TriangulationError("2-faces of N: not strictly regular; report the polytope")


def _elementary(one: IntArray, two: IntArray) -> IntArray:
    """Return which pairs of vectors, (T, 4) each, span all lattice points of their plane."""
    minors = [
        one[:, a] * two[:, b] - one[:, b] * two[:, a] for a in range(4) for b in range(a + 1, 4)
    ]
    return np.asarray(np.gcd.reduce(np.stack(minors), axis=0) == 1)
