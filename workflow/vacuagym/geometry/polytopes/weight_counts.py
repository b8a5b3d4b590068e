"""Numbers of weight systems by degree. Needs no arrays."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

LEAST_DEGREE = 5
LARGEST_DEGREE = 100
# Weight systems of five weights whose Newton polytope has the origin inside, of degree 5, 6, ….
# The enumeration gives these numbers; they are those of M. Kreuzer and H. Skarke,
# arXiv:hep-th/0002240.
_COUNTS = (
    *(1, 1, 2, 3, 3, 5, 4, 10, 7, 11, 14, 20, 13, 29, 17, 37, 35, 43, 27, 71, 45, 60, 59, 92, 53),
    *(137, 65, 115, 109, 112, 111, 216, 99, 148, 151, 236, 119, 296, 126, 251, 255, 230, 146, 398),
    *(182, 308, 272, 342, 177, 436, 259, 428, 327, 330, 205, 682, 209, 342, 384, 444, 309, 621),
    *(233, 472, 392, 565, 246, 780, 251, 411, 503, 531, 317, 721, 261, 697, 456, 455, 253, 929),
    *(364, 462, 431, 607, 257, 977, 306, 606, 447, 478, 371, 954, 256, 580, 501, 781),
)
_FIRST = tuple(accumulate(_COUNTS, initial=0))


def count_up_to(degree: int) -> int:
    """Return the number of weight systems up to a degree from 5 to 100."""
    return _FIRST[degree - LEAST_DEGREE + 1]


def ids_of(degree: int) -> range:
    """Return the ids of the weight systems of a degree: ranks by (degree, weights) from 0."""
    place = degree - LEAST_DEGREE
    return range(_FIRST[place], _FIRST[place + 1])


def degree_of(geometry_id: int) -> int | None:
    """Return the degree of the weight system with an id; None if the id is out of range."""
    known = 0 <= geometry_id < _FIRST[-1]
    return LEAST_DEGREE + bisect_right(_FIRST, geometry_id) - 1 if known else None
