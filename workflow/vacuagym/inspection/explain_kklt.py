"""Explain a KKLT label in words: the rigid divisors, the candidates, and which one decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from vacuagym.checks.kklt.candidates import Vector
from vacuagym.checks.kklt.certificates import certificates
from vacuagym.checks.kklt.rows import OF_POINTS
from vacuagym.inspection.rebuild import Geometry
from vacuagym.inspection.row_geometry import OF_POINT, is_full

_MOST_LISTED = 5  # candidates that are told one by one
_MOST_MODULI = 12  # beyond, all candidates would take seconds in fractions
_WHY = {
    "no_geometry": "the row is no threefold",
    "non_favourable": "X is not favourable: some divisor of a point has several components",
    "out_of_range": "h11 is beyond geometry.divisors, so no divisors were computed",
    "too_many_bases": "there are more bases of rigid divisors than kklt.max_bases",
}


def print_label(geometry: Geometry, beside: Mapping[str, Any]) -> Mapping[str, Any]:
    """Print what decides the label of a row, and return the row as far as its geometry is known.

    A published data set may lack what the columns on points need. Then these are null in the row.
    """
    row = geometry.row
    assert row is not None
    if is_full(geometry) and beside["kaehler_point"] is None:
        print(
            f"note: the data set lacks {', '.join(OF_POINT)}, so the columns on points are not "
            f"looked at; publish them: name them in datasets.{geometry.dataset}.columns"
        )
        row = {**row, **{f"kklt_{name}": None for name in OF_POINTS}}
    if row["stability"] is None:
        why = _WHY[row["kklt_reason"]]
        print(f"{geometry.key}: no label: {why}")
        return row
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
    if row["stability"] == "failed" or row["kklt_reason"] is not None:
        return row
    for line in certificates(beside, _deciding(beside, row), _MOST_LISTED):
        print(line)
    return row


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


def _deciding(beside: Mapping[str, Any], row: Mapping[str, Any]) -> Sequence[Vector] | None:
    """Return the first candidate of a row with many moduli; None for all candidates."""
    if row["kklt_v"] is None or len(beside["points"]) - 4 <= _MOST_MODULI:
        return None
    return [tuple(Fraction(x, row["kklt_v_scale"]) for x in row["kklt_v"])]
