"""Where a candidate's leading-log point lies, as the minimum of one convex function.

For checks of `vacuagym.theories.kklt`, of which nothing is imported. The function

    f(t) = w . t - 3 ln Vol(t),

with the volume of X from the polytope of the class (see `chambers`), is convex on all classes, not
only inside one nef cone: the cube root of the volume is concave. So its minimum is unique, and no
walk is needed. The candidate has a point in the toric part exactly if the fan at the minimum is a
fine star triangulation of the polytope.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

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
        return Minimum("outside", t, np.nan, np.nan, _outside((within or fans)[0], w, t))
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


def _outside(fan: Fan, w: Floats, t: Floats) -> str:
    """Return what shows, in exact rationals, that the minimum is no point of the toric part.

    Either the fan is no triangulation of the polytope, and f' = 0 at t. Or the gradient is a sum of
    curves of size 0 with positive coefficients: f falls beyond these walls only.
    """
    basis = fan.polytope.basis
    exact = [Fraction(float(x)).limit_denominator(1 << 40) for x in t]
    tau = [Fraction(0)] * len(exact)
    for (i, j, k), value in fan.kappa.items():
        for one, two, three in {(i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)}:
            tau[one] += value * exact[two] * exact[three] / 2
    volume = sum((x * y for x, y in zip(tau, exact, strict=True)), Fraction(0)) / 3
    gradient = [Fraction(float(x)) - 3 * y / volume for x, y in zip(w, tau, strict=True)]
    size = float(volume) ** (1 / 3)
    active = [curve.pairings for curve, x in fan.sizes(t) if abs(x) < _NEARBY * size]
    weights = np.zeros(len(active))
    if active:
        rows = np.array([pairings[basis] for pairings in active], dtype=float)
        weights = nnls(rows.T, np.array([float(x) for x in gradient]))[0]
    factors = [Fraction(float(x)) for x in weights]
    rest = max(
        abs(x - sum((f * int(a[i]) for f, a in zip(factors, active, strict=True)), Fraction(0)))
        for x, i in zip(gradient, basis.tolist(), strict=True)
    )
    held = [f"{float(f):.6g} {a.tolist()}" for f, a in zip(factors, active, strict=True) if f]
    what = "a triangulation" if fan.triangulates else "no triangulation"
    place = " ".join(str(x.limit_denominator(10**6)) for x in exact)
    return (
        f"minimum of f at t = {place}, where {what} of the polytope is left; there f' is "
        f"{' + '.join(held) or '0'} up to {float(rest):.1e}"
    )
