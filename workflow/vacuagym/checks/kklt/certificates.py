"""What shows a KKLT label, in exact numbers that a reader can check by hand.

For checks of `vacuagym.theories.kklt`, of which nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from vacuagym.checks.kklt.candidates import Vector, candidates, divisor_classes, kernel, rank
from vacuagym.checks.kklt.chambers import Polytope
from vacuagym.checks.kklt.toric import locate


def certificates(
    geometry: Mapping[str, Any],
    vectors: Sequence[Vector] | None = None,
    most: int | None = None,
) -> Iterator[str]:
    """Yield what shows the label of a favourable geometry: a sentence for each candidate.

    The candidates of the largest least volume come first: they decide.

    Parameters
    ----------
    geometry : mapping
        The row of the geometry in its table of threefolds. Without full data nothing is said about
        where a positive candidate has its point.
    vectors : sequence of candidates, optional
        Some candidates. By default all.
    most : int, optional
        Number of candidates to tell. By default all.
    """
    points = geometry["points"]
    rigid = (np.array(geometry["divisor_h1"]) == 0) & (np.array(geometry["divisor_h2"]) == 0)
    found = candidates(points, rigid) if vectors is None else vectors
    if found is None:
        yield _without_span(points, rigid.tolist())
        return
    full = geometry["kaehler_point"] is not None
    polytope = Polytope(points, geometry["basis"]) if full else None
    ranked = sorted(found, key=lambda v: (-_sign(min(v)), v))
    for number, v in enumerate(ranked[:most], 1):
        what = f"candidate {number}: volumes {' '.join(map(str, v))}"
        if min(v) <= 0:
            least = v.index(min(v))
            size = "0" if v[least] == 0 else f"{v[least]} < 0"
            yield f"{what}; divisor {least}, {list(points[least])}, has volume {size}"
        elif polytope is None:
            yield f"{what}, all positive"
        else:
            w = np.array([float(v[i]) for i in polytope.basis])
            minimum = locate(polytope, w, np.array(geometry["kaehler_point"], dtype=float))
            yield f"{what}, all positive; {minimum.outcome}: {minimum.certificate}"
    if most is not None and len(ranked) > most:
        signs = {_sign(min(v)) for v in ranked[most:]}
        kind = {1: "positive", 0: "marginal", -1: "with a negative volume"}
        yield f"and {len(ranked) - most} more: {', '.join(kind[x] for x in sorted(signs)[::-1])}"


def _sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def _without_span(points: Sequence[Sequence[int]], rigid: Sequence[bool]) -> str:
    """Return the rank of the rigid divisors, and a class of curves that meets none of them.

    The pairings of a class with all divisors are the v with sum_p v_p p = 0.
    """
    classes = divisor_classes(points)
    own = [one for one, b in zip(classes, rigid, strict=True) if b]
    others = [p for p, b in enumerate(rigid) if not b]
    direction = kernel([[Fraction(points[p][i]) for p in others] for i in range(4)])[0]
    scale = lcm(*(x.denominator for x in direction))
    moved = ", ".join(
        f"{int(x * scale)} with divisor {p}" for x, p in zip(direction, others, strict=True) if x
    )
    return (
        f"the {len(own)} rigid divisors have rank {rank(own)} < {len(classes[0])}; a class of "
        f"curves meets none of them: its pairings are {moved}, and else 0"
    )
