"""The second derivation of rows of the KKLT theory from their geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd
from typing import Any

from vacuagym.checks.kklt.candidates import Matrix, divisor_classes, rank
from vacuagym.checks.kklt.rows import row_differences

_DIMENSION = 4
# Beyond, all candidates would take seconds in fractions. A point and a no_span are proved without.
_MAX_MODULI_ENUMERATED = 12


def disagreements(
    row: Mapping[str, Any], sections: Mapping[str, Any], geometry: Mapping[str, Any] | None
) -> list[str]:
    """Return the differences between a row of the label table and its second derivation.

    Parameters
    ----------
    row : mapping
        A whole row of the label table.
    sections : mapping
        The section ``kklt`` of the settings of the labels.
    geometry : mapping, optional
        The row of the computed geometry: favourable, and what the theory reads.

    Returns
    -------
    list of str
        One text for each column that differs. Empty if the row agrees.
    """
    if geometry is None:
        return ["the geometry of the row is not there"]
    expected = (
        "no_geometry"
        if geometry["favourable"] is None
        else "non_favourable"
        if not geometry["favourable"]
        else "out_of_range"
        if geometry["points"] is None
        else None
    )
    if expected is not None:
        return _differ(row, {"stability": None, "kklt_reason": expected})
    rigid = [
        (first, second) == (0, 0)
        for first, second in zip(geometry["divisor_h1"], geometry["divisor_h2"], strict=True)
    ]
    found = _differ(row, {"kklt_num_rigid": sum(rigid), "n_moduli": len(rigid) - _DIMENSION})
    if row["kklt_reason"] == "too_many_bases":
        return found + _differ(row, {"stability": "point" if all(rigid) else None})
    if len(rigid) - _DIMENSION > _MAX_MODULI_ENUMERATED:
        if row["stability"] == "point":
            return found + _not_a_candidate(geometry["points"], rigid, row)
        if row["stability"] == "no_span":
            spans = rank(_classes_of(geometry["points"], rigid)) == len(rigid) - _DIMENSION
            return found + (["stability: no_span, but the rigid divisors span"] if spans else [])
    kklt = sections["kklt"]
    return found + row_differences(row, geometry, kklt["w0"], kklt["panel"])


def _classes_of(points: Sequence[Sequence[int]], rigid: Sequence[bool]) -> Matrix:
    """Return the classes of the rigid divisors."""
    classes = divisor_classes(points)
    return [own for own, one in zip(classes, rigid, strict=True) if one]


def _not_a_candidate(
    points: Sequence[Sequence[int]], rigid: Sequence[bool], row: Mapping[str, Any]
) -> list[str]:
    """Return why kklt_v of a row is no positive candidate, empty if it is one.

    One candidate proves the label point. Its volumes balance the points. They are positive, and at
    least 1 on rigid divisors. The divisors of volume 1 span the classes: so the points of the
    others are independent (Gale duality).
    """
    v, unit = row["kklt_v"], row["kklt_v_scale"]
    if v is None or len(v) != len(points):
        return [f"kklt_v: {v} in the table; a positive candidate is due"]
    tight = [one and volume == unit for one, volume in zip(rigid, v, strict=True)]
    others = [
        [Fraction(x) for x in point] for point, at in zip(points, tight, strict=True) if not at
    ]
    conditions = {
        "the points do not balance": any(
            sum(volume * point[i] for volume, point in zip(v, points, strict=True))
            for i in range(_DIMENSION)
        ),
        "some volume is not positive": min(v) <= 0,
        "some rigid divisor is below 1": any(
            one and volume < unit for one, volume in zip(rigid, v, strict=True)
        ),
        "the divisors of volume 1 do not span": len(others) > _DIMENSION
        or rank(others) < len(others),
        "a common factor is left": gcd(*v, unit) != 1,
        "kklt_tight is another number": sum(tight) != row["kklt_tight"],
    }
    return [f"kklt_v: {text}" for text, broken in conditions.items() if broken]


def _differ(row: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return a text for each column that is not as expected."""
    return [
        f"{name}: {row[name]} in the table, {value} derived again"
        for name, value in expected.items()
        if row[name] != value
    ]
