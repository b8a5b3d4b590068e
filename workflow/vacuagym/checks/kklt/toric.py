"""Where a candidate's leading-log point lies, as the minimum of one convex function.

For checks of `vacuagym.theories.kklt`, of which nothing is imported. The function

    f(t) = w . t - 3 ln Vol(t),

with the volume of X from the polytope of the class (see `chambers`), is convex on all classes, not
only inside one nef cone: the cube root of the volume is concave. So its minimum is unique, and no
walk is needed. The candidate has a point in the toric part exactly if the fan at the minimum is a
fine star triangulation of the polytope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import minimize, nnls

from vacuagym.checks.kklt.chambers import Fan, Floats, Polytope

# A curve below this times Vol^(1/3) has size 0.
SMALLEST_CURVE = 1e-6
_NEWTON_STEPS = 100
_SHIFTS = (1e-15, *(10.0 ** np.arange(-10, 6)))
_ROUNDING = 1e-11
_NEIGHBOURS, _MOST_NEIGHBOURS, _NEARBY, _OFF_WALL = 40, 300, 1e-5, 1e3
_FAR = 1e10
_CRITICAL = 1e-6  # of the gradient, relative to w
_MOST_CONES, _FLAT = 40, 1e-10
_RADII, _STARTS, _OPTIMAL = (1e-5, 1e-3, 1e-2, 1e-1), 12, 1e-4
_POLISHING_STEPS, _POLISHED = 6, 1e-3
_LARGEST_DENOMINATOR = 10**6  # of the rationals of a certificate


@dataclass(frozen=True)
class Minimum:
    """The minimum of f.

    Attributes
    ----------
    outcome : str
        `inside`, `boundary` or `outside`; `failed` without a minimum.
    t : (n,) float64
    margin : float
        The smallest curve of X that is no flop curve, over Vol^(1/3), if the fan triangulates.
    flop : float
        The smallest flop curve, over Vol^(1/3).
    certificate : str
        What shows the outcome.
    """

    outcome: str
    t: Floats
    margin: float
    flop: float
    certificate: str


def locate(polytope: Polytope, w: Floats, start: Floats) -> Minimum:
    """Return the minimum of f for the volumes w (n,) of the basis, from a class t (n,)."""
    t = _minimised(polytope, w, start * (9.0 / abs(float(w @ start))))
    fans = fans_at(polytope, t)
    if not any(_is_critical(fan, w, t) for fan in fans):
        t = _on_walls(polytope, w, t)
        fans = fans_at(polytope, t)
    within = [fan for fan in fans if fan.complete and fan.triangulates]
    critical = [(fan, one) for fan in within if (one := _critical_point(fan, w, t)) is not None]
    if not critical:
        return Minimum("outside", t, np.nan, np.nan, _outside(fans, w, t))
    fan, t = critical[0]
    size = _volume(fan, t) ** (1 / 3)
    walls = [x for curve, x in fan.sizes(t) if curve.in_threefold and not curve.flop]
    flops = [x for curve, x in fan.sizes(t) if curve.flop]
    margin = min(walls, default=np.inf) / size
    outcome = "boundary" if margin < SMALLEST_CURVE else "inside"
    text = f"minimum of f in a triangulation of the polytope, margin {margin:.6g}"
    return Minimum(outcome, t, margin, min(flops, default=np.inf) / size, text)


def _volume(fan: Fan, t: Floats) -> float:
    return float(fan.dense @ t @ t @ t) / 6.0


def _value(polytope: Polytope, w: Floats, t: Floats) -> float:
    fan = polytope.fan(t)
    volume = _volume(fan, t) if fan is not None else 0.0
    return float(w @ t) - 3.0 * float(np.log(volume)) if volume > 0 else _FAR


def _slopes(fan: Fan, w: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Return the gradient (n,) and the Hessian (n, n) of f, with kappa of a fan."""
    contracted = fan.dense @ t
    tau = contracted @ t / 2.0
    volume = float(tau @ t) / 3.0
    hessian = 3.0 * np.outer(tau, tau) / volume**2 - 3.0 * contracted / volume
    return w - 3.0 * tau / volume, hessian


def _is_critical(fan: Fan, w: Floats, t: Floats) -> bool:
    return bool(np.abs(_slopes(fan, w, t)[0]).max() < _CRITICAL * np.abs(w).max())


def _critical_point(fan: Fan, w: Floats, t: Floats) -> Floats | None:
    """Return the zero of f' next to t with kappa of one fan, if it lies in its closed cone."""
    start = t
    for _ in range(_POLISHING_STEPS):
        gradient, hessian = _slopes(fan, w, t)
        t = t - np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        if not np.abs(t - start).max() < _POLISHED * np.abs(start).max():
            return None
    least = min((x for _, x in fan.sizes(t)), default=0.0)
    near = least > -SMALLEST_CURVE * max(_volume(fan, t), 0.0) ** (1 / 3)
    return t if near and _is_critical(fan, w, t) else None


def _minimised(polytope: Polytope, w: Floats, t: Floats) -> Floats:
    """Return the minimum of f by regularised Newton steps (Levenberg and Marquardt).

    Where a divisor is missing f is linear in its coefficient, so the Hessian is singular there.
    Near the minimum rounding hides the fall of f; from there on the gradient must fall.
    """
    here, size = _value(polytope, w, t), np.eye(len(t))
    fan = polytope.fan(t)
    assert fan is not None
    gradient, hessian = _slopes(fan, w, t)
    for _ in range(_NEWTON_STEPS):
        unit = np.trace(hessian) / len(t)
        for shift in _SHIFTS:
            step = -np.linalg.lstsq(hessian + shift * unit * size, gradient, rcond=None)[0]
            fall, there = -float(step @ gradient), _value(polytope, w, t + step)
            falls = fall > 0 and here - there > 0.1 * fall
            if there < _FAR and (falls or abs(fall) < _ROUNDING):
                break
        else:
            break
        fan = polytope.fan(t + step)
        assert fan is not None
        after, following = _slopes(fan, w, t + step)
        if fall < _ROUNDING and np.abs(after).max() >= np.abs(gradient).max():
            break
        t, here, gradient, hessian = t + step, there, after, following
    return polytope.tightened(t)


def fans_at(polytope: Polytope, t: Floats) -> list[Fan]:
    """Return the fans whose closed cone of classes contains t: several if t lies on a wall."""
    here, size = polytope.fan(t), _NEARBY * float(np.abs(t).max())
    # Without a ray no curve tells how far the class is from the wall where the ray appears.
    if here is not None and here.complete and here.has_all_rays:
        least = min((x for _, x in here.sizes(t)), default=np.inf)
        if least > _OFF_WALL * size:
            return [here]
    found: dict[bytes, Fan] = {}
    random = np.random.default_rng(0)
    for number in range(_MOST_NEIGHBOURS):
        if number >= _NEIGHBOURS and any(fan.triangulates for fan in found.values()):
            break
        fan = polytope.fan(t + size * random.normal(size=len(t))) if number else here
        if fan is None or fan.cones.tobytes() in found:
            continue
        reach = 4.0 * size  # of a random step
        if all(x > -reach * np.abs(curve.pairings).sum() for curve, x in fan.sizes(t)):
            found[fan.cones.tobytes()] = fan
    return list(found.values())


def _on_walls(polytope: Polytope, w: Floats, t: Floats) -> Floats:
    """Return the minimum of f where it lies on walls at which the gradient jumps.

    SLSQP finds the minimum of each closed cone near t, until t is the minimum of f.
    """
    here, random = _value(polytope, w, polytope.tightened(t)), np.random.default_rng(1)
    for _ in range(_MOST_CONES):
        if _is_minimum(fans_at(polytope, t), w, t):
            break
        t = polytope.tightened(t)
        fan = polytope.fan(t)
        missing = np.setdiff1d(np.arange(len(polytope.points)), fan.cones if fan else [])
        for radius in _RADII:
            aside = 0.3 * random.normal(size=(_STARTS, len(t))) - polytope.classes[missing].sum(
                axis=0
            )
            starts = t + radius * np.abs(t).max() * aside
            fans = {id(fan): (fan, one) for one in starts if (fan := polytope.fan(one)) is not None}
            # The minimum lies in a closed cone with all rays: beyond, f grows with a missing one.
            trials = [_least_in(fan, w, one) for fan, one in fans.values() if fan.has_all_rays]
            values = [_value(polytope, w, trial) for trial in trials]
            if values and min(values) < here - _FLAT:
                t, here = trials[int(np.argmin(values))], min(values)
                break
    return t


def _is_minimum(fans: list[Fan], w: Floats, t: Floats) -> bool:
    """Return whether 0 is a convex combination of the gradients at t: then f is least there."""
    gradients = np.array([_slopes(fan, w, t)[0] for fan in fans]).T / np.abs(w).max()
    if not gradients.size:
        return False
    system = np.vstack([gradients, np.ones(len(fans))])
    return bool(nnls(system, np.append(np.zeros(len(t)), 1.0))[1] < _OPTIMAL)


def _least_in(fan: Fan, w: Floats, t: Floats) -> Floats:
    """Return the minimum of f in the closed cone of one fan."""
    rows = np.array([curve.pairings[fan.polytope.basis] for curve in fan.curves], dtype=float)

    def value(t: Floats) -> float:
        volume = _volume(fan, t)
        return float(w @ t) - 3.0 * float(np.log(volume)) if volume > 0 else _FAR

    answer = minimize(
        value,
        t,
        jac=lambda t: _slopes(fan, w, t)[0],
        constraints={"type": "ineq", "fun": lambda t: rows @ t, "jac": lambda t: rows},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 300},
    )
    return np.asarray(answer.x)


def _outside(fans: Sequence[Fan], w: Floats, t: Floats) -> str:
    """Return what shows, in exact rationals, that the minimum is no point of the toric part.

    Either no fan at t is a triangulation of the polytope, and f' = 0 there; if several fans meet at
    t, some mean of their gradients is 0. Or one is, and its gradient is a sum of curves of size 0
    with positive factors: f falls beyond these walls only. All numbers are told as they are used.
    What is left of the sum is computed exactly.
    """
    fan = next((one for one in fans if one.complete and one.triangulates), fans[0])
    basis = fan.polytope.basis
    place, volumes = ([_rational(x) for x in values] for values in (t, w))
    gradient = _exact_gradient(fan, volumes, place)
    size = _volume(fan, t) ** (1 / 3)
    if fan.triangulates or len(fans) == 1:
        known = [c.pairings for c, x in fan.sizes(t) if abs(x) < _NEARBY * size]
        sides = [[Fraction(int(x)) for x in pairings[basis]] for pairings in known]
        factors = _factors(sides, gradient)
        told = [f"{f} {c.tolist()}" for f, c in zip(factors, known, strict=True) if f]
        text = f"f' is {' + '.join(told) or '0'}"
    else:
        sides = [_exact_gradient(one, volumes, place) for one in fans]
        factors = _factors([[*one, Fraction(1)] for one in sides], [*[Fraction(0)] * len(t), 1])
        gradient = [Fraction(0)] * len(t)
        text = f"{len(fans)} fans meet; {' : '.join(map(str, factors))} of their f' is 0"
    rest = max(
        abs(x - sum((f * one[i] for f, one in zip(factors, sides, strict=True)), Fraction(0)))
        for i, x in enumerate(gradient)
    )
    where = f"t = {' '.join(map(str, place))}, where {_left(fan)}"
    return f"the minimum of f is at {where}; there {text} up to {float(rest):.1e}"


def _rational(x: float) -> Fraction:
    return Fraction(float(x)).limit_denominator(_LARGEST_DENOMINATOR)


def _factors(sides: Sequence[Sequence[Any]], right: Sequence[Any]) -> list[Fraction]:
    """Return factors >= 0 with which the vectors add up to another one, nearly."""
    if not sides:
        return []
    weights = nnls(np.array(sides, dtype=float).T, np.array(right, dtype=float))[0]
    return [_rational(x) for x in weights]


def _exact_gradient(
    fan: Fan, volumes: Sequence[Fraction], place: Sequence[Fraction]
) -> list[Fraction]:
    """Return w - 3 tau / Vol at a rational class."""
    tau = [Fraction(0)] * len(place)
    for (i, j, k), value in fan.kappa.items():
        for one, two, three in {(i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)}:
            tau[one] += value * place[two] * place[three] / 2
    volume = sum((x * y for x, y in zip(tau, place, strict=True)), Fraction(0)) / 3
    return [x - 3 * y / volume for x, y in zip(volumes, tau, strict=True)]


def _left(fan: Fan) -> str:
    """Return what of the toric part is left behind at a minimum."""
    if not fan.has_all_rays:
        missing = np.setdiff1d(np.arange(len(fan.polytope.points)), fan.cones)
        return f"divisor {', '.join(map(str, missing.tolist()))} is no ray of the fan"
    in_facet = fan.polytope.on_facet[fan.cones].all(axis=1).any(axis=1)
    if not in_facet.all():
        return f"the points {fan.cones[~in_facet][0].tolist()} of a cone are in no common facet"
    return "curves of size 0 hold it in a triangulation of the polytope"
