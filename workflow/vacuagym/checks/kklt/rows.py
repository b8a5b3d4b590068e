"""All KKLT columns of one row once more, from the geometry of its threefold.

For checks of `vacuagym.theories.kklt`, of which nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mpmath as mp
import numpy as np
from scipy.optimize import root

from vacuagym.checks.kklt.candidates import Vector, candidates, differences_of
from vacuagym.checks.kklt.chambers import Fan, Floats, Ints, Polytope
from vacuagym.checks.kklt.supersymmetry import DIGITS, Model
from vacuagym.checks.kklt.toric import SMALLEST_CURVE, Minimum, fans_at, locate
from vacuagym.checks.kklt.uplift import Potential, outcome

_PREFIX = "kklt_"
_TORIC = ("inside", "boundary", "outside")
_STATUSES = ("vacuum", "singular", "lost")
# The columns that need full data, without their prefix.
OF_POINTS = (
    *("num_points", "toric", "margin", "flips", "chambers", "kaehler", "min_curve", "volume"),
    *("tau_min", "tau_max", "log10_m32", "log10_v_ads", "signs", "lambda_min", "tachyons_bf"),
    *("uplift", "alpha_ratio", "vacuum", "vacuum_panel", "cause"),
)
_EXACT = OF_POINTS[5:-3]
_TOLERANCE, _CURVE_TOLERANCE, _MASS_TOLERANCE = 1e-8, 1e-6, 1e-5
_ON_FLOP = 1e-5
_RATIO = 1.05  # of successive L = ln(1 / W0)
_ZETA_3, _STRING_COUPLING = 1.2020569031595942, 0.1


def row_differences(
    row: Mapping[str, Any],
    geometry: Mapping[str, Any],
    w0: float = 1e-8,
    panel: Sequence[float] = (1e-2, 1e-40),
) -> list[str]:
    """Return what is wrong with the KKLT columns of one row, in words; empty if nothing.

    Parameters
    ----------
    row : mapping
        `stability` and the columns of the theory, with or without their prefix.
    geometry : mapping
        The row of the geometry in its table of threefolds.
    w0 : float
        The reference W0.
    panel : sequence of float
        Further W0, those of `vacuum_panel`.
    """
    row = {name.removeprefix(_PREFIX): value for name, value in row.items()}
    if not geometry["favourable"] or row["stability"] is None:
        given = [name for name in OF_POINTS if row.get(name) is not None]
        found = [
            f"{name}: {row[name]} in the row; a row without a label has none" for name in given
        ]
        if geometry["favourable"] is False and row["stability"] is not None:
            found.append(f"stability: {row['stability']} in the row; X is not favourable")
        return found
    rigid = (np.array(geometry["divisor_h1"]) == 0) & (np.array(geometry["divisor_h2"]) == 0)
    vectors = candidates(geometry["points"], rigid)
    differences = differences_of(vectors, rigid, row)
    return differences + point_differences(row, geometry, vectors or (), w0, panel)


def point_differences(
    row: Mapping[str, Any],
    geometry: Mapping[str, Any],
    vectors: Sequence[Vector],
    w0: float,
    panel: Sequence[float],
) -> list[str]:
    """Return what is wrong with the columns that need full data of the geometry.

    Parameters
    ----------
    row : mapping
        The columns without their prefix.
    vectors : sequence of candidates
    geometry, w0, panel
        As for `row_differences`.
    """
    if geometry["kaehler_point"] is None:
        return [
            f"{name}: {row[name]} in the row; it needs full data of the geometry"
            for name in OF_POINTS
            if row.get(name) is not None
        ]
    rigid = (np.array(geometry["divisor_h1"]) == 0) & (np.array(geometry["divisor_h2"]) == 0)
    return list(_points(row, geometry, vectors, rigid, w0, panel))


def _located(polytope: Polytope, geometry: Mapping[str, Any], v: Vector) -> Minimum:
    w = np.array([float(v[i]) for i in polytope.basis])
    return locate(polytope, w, np.array(geometry["kaehler_point"], dtype=float))


def _points(
    row: Mapping[str, Any],
    geometry: Mapping[str, Any],
    vectors: Sequence[Vector],
    rigid: Any,
    w0: float,
    panel: Sequence[float],
) -> Iterator[str]:
    """Yield differences of the columns that need full data."""
    polytope = Polytope(geometry["points"], geometry["basis"])
    charges = np.array(geometry["charges"], dtype=np.int64)
    if (charges @ polytope.points).any() or (
        charges[:, polytope.basis] != np.eye(len(charges), dtype=np.int64)
    ).any():
        yield "charges: these are not the classes of the divisors in the basis"
    minima = [_located(polytope, geometry, v) for v in sorted(vectors) if min(v) > 0]
    inside = sum(one.outcome == "inside" for one in minima)
    best = min(minima, key=lambda one: _TORIC.index(one.outcome)) if minima else None
    yield from _unequal(row, "toric", best.outcome if best else None)
    yield from _unequal(row, "num_points", inside)
    # On a flop wall two triangulations meet, and each has its own list of curves.
    if best and best.outcome != "outside" and best.flop > _ON_FLOP:
        yield from _far(row, "margin", best.margin, _CURVE_TOLERANCE)
    if not inside:
        for name in ("vacuum", "vacuum_panel", "cause", *_EXACT):
            yield from _unequal(row, name, None)
        return
    given = list(row["vacuum_panel"] or ())
    if len(given) != len(panel) or not {row["vacuum"], *given} <= {*_STATUSES}:
        yield f"vacuum: {row['vacuum']}, {given} in the row; {len(panel) + 1} statuses are needed"
        return
    if row["vacuum"] == "lost":
        for name in _EXACT:
            yield from _unequal(row, name, None)
        if row["cause"] is None:
            yield "cause: none in the row; a lost point has one"
        return
    yield from _unequal(row, "cause", None)
    yield from _exact(row, geometry, polytope, charges[:, rigid].T, w0)
    for status, value in zip(given, panel, strict=True):
        found = _followed(polytope, charges[:, rigid].T, row, w0, value)
        if _STATUSES.index(status) > _STATUSES.index(found):
            yield (
                f"vacuum_panel: {status} in the row at {value:g}, but the path from the reference "
                f"has {found}"
            )


def _exact(
    row: Mapping[str, Any],
    geometry: Mapping[str, Any],
    polytope: Polytope,
    rigid: Ints,
    w0: float,
) -> Iterator[str]:
    """Yield differences of the exact point at the reference W0."""
    t, signs = np.array(row["kaehler"], dtype=float), np.array(row["signs"])
    if not _real_axions(polytope, geometry, signs):
        yield f"signs: no axions give {signs.tolist()}"
    fan = _toric_fan(polytope, t)
    if fan is None:
        yield "kaehler: in no triangulation of the polytope"
        return
    entries = [
        (*place, value)
        for (i, j, k), value in fan.kappa.items()
        for place in {(i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)}
    ]
    kappa = [(i, j, k, mp.mpf(x.numerator) / x.denominator) for i, j, k, x in entries]
    model = Model(kappa, rigid.tolist(), signs.tolist(), repr(w0))
    exact = model.refined(t)
    with mp.workdps(DIGITS):
        moved = max(abs(x - float(y)) for x, y in zip(exact, t, strict=True))
        if moved > _TOLERANCE * np.abs(t).max():
            yield f"kaehler: the supersymmetric point at {DIGITS} digits is {float(moved):.2g} away"
        tau, volume = model.volumes(exact)
        mass = model.superpotential(tau)[0] / volume
        numbers = np.array([float(x) for x in tau])
        value = model.potential(exact)
        logs = {"log10_m32": mp.log10(abs(mass)), "log10_v_ads": mp.log10(-value)}
    rigid_tau = rigid @ numbers
    least, size = _least_curves(fan, t)[0], float(volume) ** (1 / 3)
    yield from _far(row, "volume", float(volume), _TOLERANCE)
    yield from _far(row, "tau_min", float(rigid_tau.min()), _TOLERANCE)
    yield from _far(row, "tau_max", float(rigid_tau.max()), _TOLERANCE)
    for name, number in logs.items():
        yield from _far(row, name, float(number), _TOLERANCE)
    yield from _far(row, "min_curve", least, _CURVE_TOLERANCE, size)
    yield from _unequal(row, "vacuum", _status(fan, t))
    masses = np.array(model.mass_eigenvalues(exact))
    yield from _far(row, "lambda_min", float(np.abs(masses).min()), _MASS_TOLERANCE)
    squared = np.concatenate([masses**2 + masses, masses**2 - masses]) - 2.0
    yield from _unequal(row, "tachyons_bf", int((squared < 0).sum()))
    xi = abs(int(geometry["euler"])) * _ZETA_3 / (2.0 * (2.0 * np.pi) ** 3)
    ratio = xi * _STRING_COUPLING**-1.5 / (2.0 * float(volume))
    yield from _far(row, "alpha_ratio", ratio, _TOLERANCE)
    curves = [curve.pairings[polytope.basis] for curve in fan.curves if curve.in_threefold]
    potential = Potential(fan.dense, rigid.astype(float), signs.astype(float), -np.log(w0))
    yield from _unequal(row, "uplift", outcome(potential, t, np.array(curves, dtype=float)))


def _unequal(row: Mapping[str, Any], name: str, expected: Any) -> Iterator[str]:
    if row[name] != expected:
        yield f"{name}: {row[name]} in the row, {expected} by the definition"


def _far(
    row: Mapping[str, Any], name: str, expected: float, tolerance: float, size: float | None = None
) -> Iterator[str]:
    """Yield a difference of a number, relative to it or to a given size."""
    scale = max(1.0, abs(expected)) if size is None else size
    if row[name] is None or not (
        row[name] == expected or abs(row[name] - expected) <= tolerance * scale
    ):
        yield f"{name}: {row[name]} in the row, {expected} by the definition"


def _toric_fan(polytope: Polytope, t: Floats) -> Fan | None:
    """Return a triangulation of the polytope in whose closed cone t lies."""
    fan = polytope.fan(t)
    if fan is not None and fan.complete and fan.triangulates:
        return fan
    return next((one for one in fans_at(polytope, t) if one.complete and one.triangulates), None)


def _real_axions(polytope: Polytope, geometry: Mapping[str, Any], signs: Ints) -> bool:
    """Return whether some axions theta have exp(i Q_b . theta) = sigma_b for all rigid b.

    The relations among the classes of the rigid divisors are <m, p_b> for the integer m that vanish
    on all other points. Each must have an even sum over the b with sigma_b = -1.
    """
    rigid = (np.array(geometry["divisor_h1"]) == 0) & (np.array(geometry["divisor_h2"]) == 0)
    odd = polytope.points[rigid][signs < 0].sum(axis=0)
    return all(
        sum(a * b for a, b in zip(m, odd.tolist(), strict=True)) % 2 == 0
        for m in _orthogonal(polytope.points[~rigid].tolist())
    )


def _orthogonal(points: list[list[int]]) -> list[list[int]]:
    """Return a basis of the integer vectors orthogonal to the points, by unimodular steps."""
    basis = [[int(i == j) for j in range(4)] for i in range(4)]
    for point in points:
        values = [sum(a * b for a, b in zip(m, point, strict=True)) for m in basis]
        while sum(x != 0 for x in values) > 1:
            pivot = min((i for i, x in enumerate(values) if x), key=lambda i: abs(values[i]))
            for i, x in enumerate(values):
                if i != pivot:
                    factor = x // values[pivot]
                    basis[i] = [a - factor * b for a, b in zip(basis[i], basis[pivot], strict=True)]
                    values[i] -= factor * values[pivot]
        basis = [m for m, x in zip(basis, values, strict=True) if not x]
    return basis


def _followed(
    polytope: Polytope, rigid: Ints, row: Mapping[str, Any], w0: float, goal: float
) -> str:
    """Return the status at another W0 of the branch through the point of the row."""
    t, signs = np.array(row["kaehler"], dtype=float), np.array(row["signs"], dtype=float)
    start, end = -np.log(w0), -np.log(goal)
    steps = max(2, int(np.ceil(abs(np.log(end / start)) / np.log(_RATIO))) + 1)
    charges, log = rigid.astype(float), start
    fan = _toric_fan(polytope, t)
    for following in np.geomspace(start, end, steps)[1:]:
        for _ in range(3):  # the fan may change on the way
            if fan is None:
                return "lost"
            given = (fan.dense, charges, signs, following)
            answer = root(_conditions, t * np.sqrt(following / log), args=given, tol=1e-12)
            if np.abs(_conditions(answer.x, *given)).max() > 1e-6 * np.abs(t).max():
                return "lost"
            found = _toric_fan(polytope, answer.x)
            if found is fan:
                break
            fan = found
        t, log = answer.x, following
    if fan is None:
        return "lost"
    return _status(fan, t)


def _least_curves(fan: Fan, t: Floats) -> tuple[float, float]:
    """Return the volumes of the smallest curve of X, and of the smallest that is no flop curve."""
    sizes = [(curve.flop, x) for curve, x in fan.sizes(t) if curve.in_threefold]
    walls = [x for flop, x in sizes if not flop]
    return min(x for _, x in sizes), min(walls, default=np.inf)


def _status(fan: Fan, t: Floats) -> str:
    """Return the status of a supersymmetric point, lost on the boundary of the toric part."""
    smallest = SMALLEST_CURVE * (float(fan.dense @ t @ t @ t) / 6.0) ** (1 / 3)
    least, wall = _least_curves(fan, t)
    if wall <= smallest:
        return "lost"
    return "vacuum" if least > smallest else "singular"


def _conditions(t: Floats, kappa: Floats, charges: Floats, signs: Floats, log: float) -> Floats:
    """Return D_i W Vol / W0, (n,)."""
    tau = kappa @ t @ t / 2.0
    volume = tau @ t / 3.0
    terms = signs * np.exp(np.minimum(log - 2.0 * np.pi * (charges @ tau), 50.0))
    force = -2.0 * np.pi * (charges.T @ terms) * volume
    return np.asarray(force - t / 2.0 * (1.0 + terms.sum()))
