"""Explain a KKLT label in words: the rigid divisors, the candidates, and which one decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from vacuagym.checks.kklt.candidates import candidates
from vacuagym.inspection.rebuild import Geometry

_MOST_LISTED = 5  # candidates that are told one by one
_MOST_MODULI = 12  # beyond, all candidates would take seconds in fractions
_WHY = {
    "no_geometry": "the row is no threefold",
    "non_favourable": "X is not favourable: some divisor of a point has several components",
    "out_of_range": "h11 is beyond geometry.divisors, so no divisors were computed",
    "too_many_bases": "there are more bases of rigid divisors than kklt.max_bases",
}


def print_label(geometry: Geometry, beside: Mapping[str, Any]) -> None:
    """Print what decides the label of a row."""
    row = geometry.row
    assert row is not None
    if row["stability"] is None:
        why = _WHY[row["kklt_reason"]]
        print(f"{geometry.key}: no label: {why}")
        return
    rigid = [
        (first, second) == (0, 0)
        for first, second in zip(beside["divisor_h1"], beside["divisor_h2"], strict=True)
    ]
    n, places = geometry.n, [i for i, one in enumerate(rigid) if one]
    print(
        f"{geometry.key}: n = h11 = {n}, {len(rigid)} toric divisors, {len(places)} of them rigid"
    )
    print(f"rigid divisors (rows of points): {', '.join(map(str, places)) or 'none'}")
    if row["kklt_num_candidates"] is not None:
        print(f"candidates: {row['kklt_num_candidates']}, {row['kklt_num_positive']} positive")
    print(f"label: {row['stability']}: {_reason(row, len(places), n)}")
    for line in _candidates(beside["points"], rigid, row):
        print(line)


def _reason(row: Mapping[str, Any], rigid: int, n: int) -> str:
    if row["stability"] == "no_span":
        few = f"only {rigid} divisors are rigid, and n = {n} are needed"
        return few if rigid < n else "the rigid divisors are enough, but their classes do not span"
    return {
        "no_point": "every candidate gives some divisor a negative volume",
        "boundary": "every candidate without a negative volume has a divisor of volume 0",
        "point": "a candidate gives all divisors a positive volume",
        "failed": "the points are not those of a complete fan",
    }[str(row["stability"])]


def _candidates(
    points: Sequence[Sequence[int]], rigid: Sequence[bool], row: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line for each of the first candidates, or for the one of the row."""
    if row["kklt_v"] is not None:
        volumes = [Fraction(x, row["kklt_v_scale"]) for x in row["kklt_v"]]
        yield f"first positive candidate, volumes: {', '.join(map(str, volumes))}"
        yield f"{row['kklt_tight']} rigid divisors have the least volume, 1"
    elif row["stability"] != "no_span" and len(points) - 4 <= _MOST_MODULI:
        found = candidates(np.array(points), np.array(rigid)) or []
        for volumes_of in found[:_MOST_LISTED]:
            least = min(volumes_of)
            where = [i for i, x in enumerate(volumes_of) if x == least]
            yield f"candidate: least volume {least}, of divisor {', '.join(map(str, where))}"
        if len(found) > _MOST_LISTED:
            yield f"and {len(found) - _MOST_LISTED} more"
