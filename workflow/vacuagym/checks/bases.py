"""Check a toric base of 6D F-theory from its rays alone.

Nothing here is shared with `vacuagym.geometry`. Hodge numbers are checked by counting: the generic
Weierstrass model has

    h21 = (monomials of f) + (monomials of g) - dim Aut(base) - 1 + (free -2 curves),

where dim Aut = 2 + sum of (n + 1) over curves with n = C.C >= 0 (M. Demazure, Ann. Sci. ENS 3
(1970) 507), and a -2 curve is free if f or g does not vanish on it (D. R. Morrison and W. Taylor,
arXiv:1204.0283). Then the gravitational anomaly H - V + 29 T = 273 must vanish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Dimension and rank.
_ALGEBRAS = {
    "none": (0, 0),
    "su2": (3, 1),
    "su3": (8, 2),
    "g2": (14, 2),
    "so7": (21, 3),
    "so8": (28, 4),
    "f4": (52, 4),
    "e6": (78, 6),
    "e7": (133, 7),
    "e8": (248, 8),
}
# Charged hypermultiplets: half a 56 of e7 on a -7 curve; and for each g2 or so7 of a chain with
# su2, half of (7 + 1, 2), or half of (2, 8) and of (8, 2).
_CHARGED = {"g2": 8, "so7": 16}

Ray = Sequence[int]


def base_problems(row: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a row of the table of toric bases, a sentence each.

    Parameters
    ----------
    row : mapping
        All columns of the table.
    """
    rays: list[Ray] = row["rays"]
    curves = _self_intersections(rays)
    if curves is None:
        return ["rays: they are not the fan of a smooth compact surface"]
    own = _in_first_two(rays)
    f, g = _monomials(own, 4), _monomials(own, 6)
    ord_f, ord_g = _orders(f, own, 4), _orders(g, own, 6)
    algebras = row["gauge_algebras"]
    problems = [
        f"gauge_algebras: {name} on a curve where f and g vanish to orders {a} and {b}"
        for name, a, b in zip(algebras, ord_f, ord_g, strict=True)
        if name not in _possible(a, b)
    ]
    extra = sum(
        _zeros(g, own[place], own[place - 1])
        for place, orders in enumerate(zip(ord_f, ord_g, strict=True))
        if "e8" in _possible(*orders)
    )
    tensors = len(rays) - 3 + extra
    free = sum(n == -2 and min(a, b) == 0 for n, a, b in zip(curves, ord_f, ord_g, strict=True))
    automorphisms = 2 + sum(n + 1 for n in curves if n >= 0)
    h21 = len(f) + len(g) - automorphisms - 1 + free
    h11 = sum(_ALGEBRAS[name][1] for name in algebras) + tensors + 2
    charged = sum(_CHARGED.get(name, 0) for name in algebras) + 28 * curves.count(-7)
    vectors = sum(_ALGEBRAS[name][0] for name in algebras)
    if h21 + 1 + charged - vectors + 29 * tensors != 273:
        problems.append("the gravitational anomaly H - V + 29 T - 273 does not vanish")
    derived = {
        "num_nodes": len(rays),
        "self_intersections": curves,
        "k2": sum(curves) + 2 * len(rays),
        "num_f": len(f),
        "num_g": len(g),
        "ord_f": ord_f,
        "ord_g": ord_g,
        "extra_blow_ups": extra,
        "T": tensors,
        "h11": h11,
        "h21": h21,
        "euler": 2 * (h11 - h21),
        "smooth_weierstrass": not any(min(a, b) > 0 for a, b in zip(ord_f, ord_g, strict=True)),
    }
    return problems + [
        f"{name} is {row[name]}, the second derivation gives {value}"
        for name, value in derived.items()
        if row[name] != value
    ]


def _self_intersections(rays: list[Ray]) -> list[int] | None:
    """Return n with v_(i-1) + v_(i+1) = -n v_i for all rays, or None if they are no smooth fan."""
    found = []
    for place, (x, y) in enumerate(rays):
        left, right = rays[place - 1], rays[(place + 1) % len(rays)]
        if abs(x * right[1] - y * right[0]) != 1:
            return None
        total = (left[0] + right[0], left[1] + right[1])
        n = -(total[0] * x + total[1] * y) // (x * x + y * y)
        if (-n * x, -n * y) != total:
            return None
        found.append(n)
    # Once around the origin: sum n = 12 - 3 r.
    return found if sum(found) == 12 - 3 * len(rays) else None


def _in_first_two(rays: list[Ray]) -> list[tuple[int, int]]:
    """Return the rays in the basis of the first two."""
    (a, b), (c, d) = rays[0], rays[1]
    sign = a * d - b * c
    return [(sign * (x * d - y * c), sign * (y * a - x * b)) for x, y in rays]


def _monomials(rays: list[tuple[int, int]], degree: int) -> list[tuple[int, int]]:
    """Return all m in Z^2 with <m, v> >= -degree for all rays."""
    found: list[tuple[int, int]] = []
    for step in (1, -1):
        first = 0 if step == 1 else -1
        while (bounds := _bounds(rays, degree, first)) is not None:
            found += [(first, second) for second in range(bounds[0], bounds[1] + 1)]
            first += step
    return found


def _bounds(rays: list[tuple[int, int]], degree: int, first: int) -> tuple[int, int] | None:
    """Return bounds of the second coordinate; None if no real number is within them."""
    low, high = [], []
    for x, y in rays:
        right = -degree - x * first
        if y == 0 and right > 0:
            return None
        if y > 0:
            low.append((right, y))
        elif y < 0:
            high.append((right, y))
    # right / y >= right' / y' for a lower and an upper bound, with y > 0 > y'.
    if any(a * d < c * b for a, b in low for c, d in high):
        return None
    return max(-(-a // b) for a, b in low), min(c // d for c, d in high)


def _orders(
    monomials: list[tuple[int, int]], rays: list[tuple[int, int]], degree: int
) -> list[int]:
    """Return the order of vanishing along each curve."""
    return [degree + min(x * m[0] + y * m[1] for m in monomials) for x, y in rays]


def _zeros(monomials: list[tuple[int, int]], ray: tuple[int, int], beside: tuple[int, int]) -> int:
    """Return the zeros, off its ends, of the leading coefficient along a curve."""
    values = [ray[0] * m[0] + ray[1] * m[1] for m in monomials]
    along = [
        beside[0] * m[0] + beside[1] * m[1]
        for m, value in zip(monomials, values, strict=True)
        if value == min(values)
    ]
    return max(along) - min(along)


def _possible(ord_f: int, ord_g: int) -> tuple[str, ...]:
    """Return the algebras of Kodaira's type of a generic fibre with these orders."""
    if min(ord_f, ord_g) == 0 or ord_g == 1:
        return ("none",)
    if ord_f == 1:
        return ("su2",)
    if ord_g == 2:
        return ("su2", "su3")
    if ord_f == 2 or ord_g == 3:
        return ("g2", "so7", "so8")
    if ord_g == 4:
        return ("f4", "e6")
    if ord_f == 3:
        return ("e7",)
    return ("e8",) if ord_g == 5 else ()
