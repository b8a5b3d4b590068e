"""All KKLT columns of one row once more, from the geometry of its threefold.

For checks of `vacuagym.theories.kklt`, of which nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mpmath as mp
import numpy as np

from vacuagym.checks.kklt.branches import (
    STATUSES,
    Search,
    Start,
    least_curves,
    status_of,
    toric_fan,
)
from vacuagym.checks.kklt.candidates import Vector, candidates, differences_of
from vacuagym.checks.kklt.chambers import Fan, Ints, Polytope
from vacuagym.checks.kklt.supersymmetry import DIGITS, Model
from vacuagym.checks.kklt.toric import Minimum, locate
from vacuagym.checks.kklt.uplift import Potential, outcome

_PREFIX = "kklt_"
_TORIC = ("inside", "boundary", "outside")
# The columns that need full data, without their prefix.
OF_POINTS = (
    *("num_points", "toric", "margin", "flips", "chambers", "kaehler", "min_curve", "volume"),
    *("tau_min", "tau_max", "log10_m32", "log10_v_ads", "signs", "lambda_min", "tachyons_bf"),
    *("uplift", "alpha_ratio", "vacuum", "vacuum_panel", "cause"),
)
_EXACT = OF_POINTS[5:-3]
_TOLERANCE, _CURVE_TOLERANCE, _MASS_TOLERANCE = 1e-8, 1e-6, 1e-5
_ON_FLOP = 1e-5
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
    minima = {v: _located(polytope, geometry, v) for v in sorted(vectors) if min(v) > 0}
    inside = sum(one.outcome == "inside" for one in minima.values())
    best = min(minima.values(), key=lambda one: _TORIC.index(one.outcome)) if minima else None
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
    if len(given) != len(panel) or not {row["vacuum"], *given} <= {*STATUSES}:
        yield f"vacuum: {row['vacuum']}, {given} in the row; {len(panel) + 1} statuses are needed"
        return
    yield from _unequal_statuses(row, polytope, charges[:, rigid].T, rigid, minima, (w0, *panel))
    if row["vacuum"] == "lost":
        for name in _EXACT:
            yield from _unequal(row, name, None)
        if row["cause"] is None:
            yield "cause: none in the row; a lost point has one"
        return
    yield from _unequal(row, "cause", None)
    yield from _exact(row, geometry, polytope, charges[:, rigid].T, w0)


def _unequal_statuses(
    row: Mapping[str, Any],
    polytope: Polytope,
    charges: Ints,
    rigid: Any,
    minima: Mapping[Vector, Minimum],
    w0s: Sequence[float],
) -> Iterator[str]:
    """Yield differences of the statuses at all W0 from those that all branches reach.

    A point that the row lacks is told if it stands at 50 digits. One that no branch reaches is told
    if that is decided.
    """
    own = np.flatnonzero(rigid).tolist()
    starts = [
        Start(
            one.t,
            np.array([float(v[i]) for i in polytope.basis]),
            np.array([v[b] == 1 for b in own]),
        )
        for v, one in minima.items()
        if one.outcome == "inside"
    ]
    search = Search(polytope, charges, _relations(polytope, rigid))
    given = (row["vacuum"], *row["vacuum_panel"])
    for place, (status, w0, found) in enumerate(
        zip(given, w0s, search.reached(starts, w0s), strict=True)
    ):
        better = STATUSES.index(status) > STATUSES.index(found.status)
        if better and found.t is not None and found.fan is not None and found.signs is not None:
            model = _model(found.fan, charges, found.signs, w0)
            exact = np.array([float(x) for x in model.refined(found.t)])
            moved = np.abs(exact - found.t).max() / np.abs(found.t).max()
            contested = moved < _CURVE_TOLERANCE and status_of(found.fan, exact) == found.status
        else:
            contested = status != found.status and found.decided
        # On a flop wall two triangulations meet; only one may have a further curve of size 0.
        contested &= {status, found.status} != {"singular", "lost"}
        if contested:
            name = "vacuum_panel" if place else "vacuum"
            yield f"{name}: {status} in the row at {w0:g}, but the branches reach {found.status}"


def _exact(
    row: Mapping[str, Any],
    geometry: Mapping[str, Any],
    polytope: Polytope,
    rigid: Ints,
    w0: float,
) -> Iterator[str]:
    """Yield differences of the exact point at the reference W0."""
    t, signs = np.array(row["kaehler"], dtype=float), np.array(row["signs"])
    own = (np.array(geometry["divisor_h1"]) == 0) & (np.array(geometry["divisor_h2"]) == 0)
    if (_relations(polytope, own) @ (signs < 0) % 2).any():
        yield f"signs: no axions give {signs.tolist()}"
    fan = toric_fan(polytope, t)
    if fan is None:
        yield "kaehler: in no triangulation of the polytope"
        return
    model = _model(fan, rigid, signs, w0)
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
    least, size = least_curves(fan, t)[0], float(volume) ** (1 / 3)
    yield from _far(row, "volume", float(volume), _TOLERANCE)
    yield from _far(row, "tau_min", float(rigid_tau.min()), _TOLERANCE)
    yield from _far(row, "tau_max", float(rigid_tau.max()), _TOLERANCE)
    for name, number in logs.items():
        yield from _far(row, name, float(number), _TOLERANCE)
    yield from _far(row, "min_curve", least, _CURVE_TOLERANCE, size)
    yield from _unequal(row, "vacuum", status_of(fan, t))
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


def _model(fan: Fan, charges: Ints, signs: Ints, w0: float) -> Model:
    """Return the equations at 50 digits."""
    entries = [
        (*place, value)
        for (i, j, k), value in fan.kappa.items()
        for place in {(i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)}
    ]
    kappa = [(i, j, k, mp.mpf(x.numerator) / x.denominator) for i, j, k, x in entries]
    return Model(kappa, charges.tolist(), signs.tolist(), repr(w0))


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


def _relations(polytope: Polytope, rigid: Any) -> Ints:
    """Return the relations (r, m) among the classes of the rigid divisors.

    They are <m, p_b> for the integer m that vanish on all other points. Some axions theta have
    exp(i Q_b . theta) = sigma_b exactly if each has an even sum over the b with sigma_b = -1.
    """
    others = np.array(_orthogonal(polytope.points[~rigid].tolist()), dtype=np.int64)
    return np.asarray(others.reshape(-1, 4) @ polytope.points[rigid].T)


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
