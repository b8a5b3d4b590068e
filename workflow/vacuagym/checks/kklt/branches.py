"""Which exact points a leading-log point leads to, by other equations than those of the theory.

For checks of `vacuagym.theories.kklt`, of which nothing is imported. All branches are searched at
L = ln(1 / W0) = 1e5, where a leading-log point is nearly exact, and followed to smaller L. Unknown
is the class t, and the equations are D_i W = 0 themselves, without logarithms:

    2 a Vol sum_b Q_bi sigma_b y_b + t_i X = 0,  y_b = exp(L - a tau_b),  X = 1 + sum_b sigma_b y_b.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import comb

import numpy as np
from scipy.optimize import nnls, root

from vacuagym.checks.kklt.chambers import Fan, Floats, Ints, Polytope
from vacuagym.checks.kklt.toric import SMALLEST_CURVE, fans_at

STATUSES = ("vacuum", "singular", "lost")

_RATE = 2.0 * np.pi
_FIRST_LOG = 1e5
_LARGEST_EXPONENT = 60.0
_SOLVED, _NEAR, _ZERO = 1e-8, 0.2, 1e-7
_RATIO, _LEAST_STEP = 0.7, 1e-3
# A path that ends this near to a goal, relative to L, does not decide what is there.
_UNDECIDED = 0.03
_MOST_SIGNS, _MOST_BASES, _RANDOM_STARTS = 4096, 60, 6
_MOST_FLOPS, _ON_WALL, _SAME = 4, 1e-9, 1e-5


@dataclass
class Reached:
    """What the branches reach at one W0.

    Attributes
    ----------
    status : str
        The best of :data:`STATUSES` over all branches.
    decided : bool
        Whether no branch ends so near that it may reach a better one, and all were searched.
    t, fan, signs
        The point, unless it is lost.
    """

    status: str = "lost"
    decided: bool = True
    t: Floats | None = None
    fan: Fan | None = None
    signs: Ints | None = None


@dataclass(frozen=True)
class _Point:
    """A class on a branch, and the fan that gives its intersection numbers."""

    t: Floats
    fan: Fan


@dataclass(frozen=True)
class Start:
    """A leading-log point t (n,), its volumes w (n,), and which rigid divisors are least, (m,)."""

    t: Floats
    w: Floats
    tight: Ints


@dataclass(frozen=True)
class Search:
    """The search for exact points of one geometry.

    Attributes
    ----------
    polytope : Polytope
    charges : (m, n) int64
        Classes of the rigid divisors.
    relations : (r, m) int64
        Relations among these classes: for real terms each has an even sum over sigma_b = -1.
    """

    polytope: Polytope
    charges: Ints
    relations: Ints

    @cached_property
    def _rows(self) -> Floats:
        return self.charges.astype(float)

    def reached(self, starts: Sequence[Start], w0s: Sequence[float]) -> list[Reached]:
        """Return what all branches of the leading-log points reach at each W0."""
        found = {w0: Reached() for w0 in w0s}
        for start in starts:
            begun = False
            for signs in self._signs(start):
                if all(one.status == "vacuum" for one in found.values()):
                    break
                if signs is None:
                    for one in found.values():
                        one.decided = False
                    break
                for point in self._beginnings(start, signs):
                    begun = True
                    self._follow(start, signs, point, found)
            if not begun:  # no start was found, so nothing is known about its branches
                for one in found.values():
                    one.decided &= one.status == "vacuum"
        return [found[w0] for w0 in w0s]

    def _signs(self, start: Start) -> Iterator[Ints | None]:
        """Yield sign vectors of real axions with which the tight terms can balance; None at last.

        The balance is sum_b Q_b sigma_b y_b = -t / (2 a Vol) with y_b >= 0 on tight divisors. None
        stands for those that are too many.
        """
        m, tight = len(self._rows), start.tight.astype(bool)
        unit = start.t / np.abs(start.t).max()
        if tight.sum() == self._rows.shape[1]:
            s = np.linalg.solve(self._rows[tight].T, unit)
            free = np.ones(m, dtype=bool)
            free[tight] = np.abs(s) < _ZERO * np.abs(s).max()
            fixed = np.zeros(m, dtype=np.int64)
            fixed[tight] = s > 0
        else:
            free, fixed = np.ones(m, dtype=bool), np.zeros(m, dtype=np.int64)
        choices = product((1, 0), repeat=int(free.sum()))
        for number, choice in enumerate(choices):
            if number == _MOST_SIGNS:
                yield None
                return
            odd = fixed.copy()
            odd[free] = choice
            if (self.relations @ odd % 2).any():
                continue
            signs = 1 - 2 * odd
            rows = (self._rows * signs[:, None])[tight]
            if nnls(-rows.T, unit, maxiter=100 * m)[1] < 1e-8:
                yield signs

    def _beginnings(self, start: Start, signs: Ints) -> Iterator[_Point]:
        """Yield the solutions at L = 1e5 for one sign vector."""
        fan = toric_fan(self.polytope, start.t)
        if fan is None:
            return
        tight = np.flatnonzero(start.tight)
        tau = self._tau(fan, start.t)
        own = _RATE * (self._rows[tight] @ tau).mean()
        t = start.t * np.sqrt(_FIRST_LOG / own)
        known: list[Floats] = []
        for seed in self._seeds(start, tight, signs, fan, t):
            found = self._solved(fan, signs, _FIRST_LOG, seed)
            if found is None:
                continue
            y = self._terms(fan, signs, _FIRST_LOG, found)[tight]
            if not any(np.allclose(y, other, rtol=_SAME, atol=0) for other in known):
                known.append(y)
                yield _Point(found, fan)

    def _seeds(
        self, start: Start, tight: Ints, signs: Ints, fan: Fan, t: Floats
    ) -> Iterator[Floats]:
        """Yield classes whose terms on some basis of tight divisors balance, and classes nearby."""
        n, random = self._rows.shape[1], np.random.default_rng(0)
        volume = float(self._tau(fan, t) @ t) / 3.0
        unit = np.abs(t).max() / (2.0 * _RATE * volume)
        count = 0
        subsets: Iterable[Sequence[int]] = combinations(tight.tolist(), n)
        if comb(len(tight), n) > 4 * _MOST_BASES:
            subsets = [random.choice(tight, n, False).tolist() for _ in range(4 * _MOST_BASES)]
        for subset in subsets:
            basis = self._rows[list(subset)]
            if abs(np.linalg.det(basis)) < 0.5 or count >= _MOST_BASES:
                continue
            count += 1
            seed, s = t, np.linalg.solve(basis.T, t)
            s = np.where(np.abs(s) < _ZERO * np.abs(s).max(), np.abs(s).max() / _FIRST_LOG, s)
            for _ in range(40):
                # The terms that balance the class, then the class that gives the terms.
                y = np.abs(s) / (2.0 * _RATE * volume)
                tau = np.linalg.solve(basis, (_FIRST_LOG - np.log(y)) / _RATE)
                seed = self._class(fan, tau, seed)
                new = np.linalg.solve(basis.T, seed)
                s = np.where(np.abs(new) > 1e-12 * np.abs(new).max(), new, s)
            yield seed
        if len(tight) > n:
            for _ in range(_RANDOM_STARTS):
                shift = start.w * -np.log(unit) + random.normal(size=n)
                yield self._class(fan, self._tau(fan, t) + shift / _RATE, t)

    def _follow(
        self, start: Start, signs: Ints, point: _Point, found: dict[float, Reached]
    ) -> None:
        """Follow one branch through all W0, from the smallest, and note what it reaches."""
        log, ratio = _FIRST_LOG, _RATIO
        for w0 in sorted(found):
            goal, one = float(-np.log(w0)), found[w0]
            while log > goal and 1.0 - ratio > _LEAST_STEP:
                following = max(goal, log * ratio)
                moved = self._moved(start, signs, point, log, following)
                if moved is None:
                    ratio = np.sqrt(ratio)
                    continue
                point, log = moved, following
                ratio = max(_RATIO, ratio**1.5)
            if log > goal:
                one.decided &= log / goal > 1.0 + _UNDECIDED
                continue
            status = status_of(point.fan, point.t)
            if STATUSES.index(status) < STATUSES.index(one.status):
                one.status, one.t, one.fan, one.signs = status, point.t, point.fan, signs

    def _moved(
        self, start: Start, signs: Ints, point: _Point, log: float, following: float
    ) -> _Point | None:
        """Return the point at another L, or None if no point is near it in the cone of X."""
        fan, t = point.fan, point.t
        tau = self._tau(fan, t) + (following - log) / _RATE * start.w
        guess = self._class(fan, tau, t * np.sqrt(following / log))
        for _ in range(_MOST_FLOPS):
            new = self._solved(fan, signs, following, guess)
            if new is None:
                return None
            sizes = list(fan.sizes(new))
            wall = -_ON_WALL * np.abs(new).max()
            if all(x > (wall if curve.flop else 0.0) for curve, x in sizes):
                return _Point(new, fan)
            other = toric_fan(self.polytope, new)
            if other is None or other is fan:
                inside = all(x > wall for curve, x in sizes if curve.in_threefold)
                return _Point(new, fan) if inside else None
            fan, guess = other, new
        return None

    def _tau(self, fan: Fan, t: Floats) -> Floats:
        return np.asarray(fan.dense @ t @ t / 2.0)

    def _class(self, fan: Fan, tau: Floats, t: Floats) -> Floats:
        """Return the class near t with the divisor volumes tau, by a few steps of Newton."""
        for _ in range(5):
            step = np.linalg.lstsq(fan.dense @ t, tau - self._tau(fan, t), rcond=None)[0]
            t = t + step
            if np.abs(step).max() < 1e-14 * np.abs(t).max():
                break
        return t

    def _terms(self, fan: Fan, signs: Ints, log: float, t: Floats) -> Floats:
        """Return sigma_b y_b, (m,)."""
        exponent = log - _RATE * (self._rows @ self._tau(fan, t))
        return np.asarray(signs * np.exp(np.minimum(exponent, _LARGEST_EXPONENT)))

    def _solved(self, fan: Fan, signs: Ints, log: float, guess: Floats) -> Floats | None:
        """Return the supersymmetric point near a class, or None."""

        def equations(t: Floats) -> tuple[Floats, Floats]:
            contracted = fan.dense @ t
            tau = contracted @ t / 2.0
            volume = float(tau @ t) / 3.0
            terms = self._terms(fan, signs, log, t)
            force = 2.0 * _RATE * (self._rows.T @ terms)
            slopes = -_RATE * terms[:, None] * (self._rows @ contracted)
            x = 1.0 + terms.sum()
            value = force * volume + t * x
            by_terms = 2.0 * _RATE * volume * self._rows.T + t[:, None]
            return value, by_terms @ slopes + np.outer(force, tau) + x * np.eye(len(t))

        if not np.isfinite(guess).all():
            return None
        with np.errstate(all="ignore"):
            answer = root(equations, guess, jac=True, tol=1e-13)
        t = answer.x
        if not np.isfinite(t).all() or np.abs(t - guess).max() > _NEAR * np.abs(guess).max():
            return None
        x = 1.0 + self._terms(fan, signs, log, t).sum()
        size = _SOLVED * np.abs(t).max() * x
        return t if size > 0 and np.abs(equations(t)[0]).max() < size else None


def toric_fan(polytope: Polytope, t: Floats) -> Fan | None:
    """Return a triangulation of the polytope in whose closed cone t lies."""
    fan = polytope.fan(t)
    if fan is not None and fan.complete and fan.triangulates:
        return fan
    return next((one for one in fans_at(polytope, t) if one.complete and one.triangulates), None)


def status_of(fan: Fan, t: Floats) -> str:
    """Return the status of a supersymmetric point, lost on the boundary of the toric part."""
    smallest = SMALLEST_CURVE * (float(fan.dense @ t @ t @ t) / 6.0) ** (1 / 3)
    least, wall = least_curves(fan, t)
    if wall <= smallest:
        return "lost"
    return "vacuum" if least > smallest else "singular"


def least_curves(fan: Fan, t: Floats) -> tuple[float, float]:
    """Return the volumes of the smallest curve of X, and of the smallest that is no flop curve."""
    sizes = [(curve.flop, x) for curve, x in fan.sizes(t) if curve.in_threefold]
    walls = [x for flop, x in sizes if not flop]
    return min(x for _, x in sizes), min(walls, default=np.inf)
