"""Derive a label a second time, by code that shares nothing with the code of the labels.

Random numbers come from NumPy's Philox and SciPy's normal quantiles. V is written down again. Its
derivatives are complex steps of V. scipy.optimize polishes the stored critical point, and the
spectrum is dense. The code is slow and works on one geometry at a time, because the fast code is
compared with it. It must not import from ``vacuagym.theories``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import root
from scipy.special import ndtri

_REGIMES = ("generic", "stabilized", "tachyonic", "runaway")
_STEP = 1e-30  # complex step; it has no subtraction, so no cancellation
_AGREE = 1e-6  # relative; polished quantities of the same point agree much better
_FAINT = 1e-12  # relative; smaller eigenvalues and tilts count as zero
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """One toy potential: the couplings of a flux draw. ``K`` is (n, n) and ``b`` is (n,)."""

    K: _Floats
    b: _Floats
    A: float
    a: float
    D: float
    p: float
    gamma: float
    delta: float
    regime: str
    mass_shift: float

    def value(self, phi: _Floats | npt.NDArray[np.complex128]) -> complex:
        """Return V at one point (n,), real or complex."""
        length = np.sqrt(phi**2 + self.delta**2).sum()
        radius2 = (phi**2).sum()
        tree = phi @ self.K @ phi + self.b @ phi
        value: complex = (
            tree
            - self.A * np.exp(-self.a * length)
            + self.D * (1 + radius2) ** (-self.p)
            + self.gamma * (phi**4).sum()
        )
        return value

    def gradient(self, phi: _Floats) -> _Floats:
        """Return ∇V at a real point, by complex steps of V."""
        steps = 1j * _STEP * np.eye(len(phi))
        return np.array([self.value(phi + step).imag / _STEP for step in steps])

    def hessian(self, phi: _Floats) -> _Floats:
        """Return ∇²V at a real point.

        Fourth-order differences of complex-step gradients are made symmetric.
        """
        n, h = len(phi), 1e-3 * self.delta
        rows = np.empty((n, n))
        for i in range(n):
            e = np.zeros(n)
            e[i] = h
            far = self.gradient(phi + 2 * e) - self.gradient(phi - 2 * e)
            near = self.gradient(phi + e) - self.gradient(phi - e)
            rows[i] = (8 * near - far) / (12 * h)
        symmetric: _Floats = (rows + rows.T) / 2
        return symmetric


def redraw(
    physics: Mapping[str, Any],
    *,
    dataset: str,
    namespace: str | None,
    geometry_id: int,
    n: int,
    draw: int,
) -> System:
    """Return the couplings of a flux draw, drawn by other code than that of the labels.

    Parameters
    ----------
    physics : mapping
        Settings of the labels.
    n : int
        Number of moduli of the toy theory.
    draw : int
        Number of the draw, from 0.
    """
    ensemble = physics["ensemble"]
    identity = (physics["seed"], dataset, namespace)
    u = _uniforms(identity, geometry_id, draw, count=7 + 2 * n + n * (n + 1) // 2)
    regime = _REGIMES[_pick(u[0], [ensemble["regimes"][name] for name in _REGIMES])]
    runaway = regime == "runaway"

    def scaled(x: float, bounds: tuple[float, float]) -> float:
        return bounds[0] + (bounds[1] - bounds[0]) * x

    shift = scaled(u[1], ensemble["mass_shift"][regime])
    K = np.zeros((n, n))
    entries = iter(ndtri(u[7 + 2 * n :]))
    for i in range(n):
        for j in range(i, n):
            K[i, j] = K[j, i] = (
                ensemble["coupling"] * next(entries) * (1.0 if i == j else np.sqrt(0.5))
            )
    for i in range(n):
        K[i, i] += scaled(u[7 + i], ensemble["flux_mass"]) ** 2 + shift
    tilt = np.sqrt(ensemble["tilt"] ** 2 + (ensemble["runaway_tilt"] ** 2 if runaway else 0.0))
    return System(
        K=K,
        b=tilt * ndtri(u[7 + n : 7 + 2 * n]),
        gamma=scaled(u[2], ensemble["runaway_gamma" if runaway else "gamma"]),
        A=scaled(u[3], ensemble["A"]),
        a=scaled(u[4], ensemble["a"]),
        D=scaled(u[5], ensemble["D"]),
        p=scaled(u[6], ensemble["p"]),
        delta=ensemble["delta"],
        regime=regime,
        mass_shift=shift,
    )


def _uniforms(
    identity: tuple[int, str, str | None], geometry_id: int, draw: int, count: int
) -> _Floats:
    """Return uniform numbers in (0, 1) of a draw, shape (count,)."""
    text = b""
    for part in identity:
        data = b"" if part is None else str(part).encode()
        text += type(part).__name__.encode() + b":" + str(len(data)).encode() + b":" + data
    key = int.from_bytes(
        hashlib.blake2b(text, digest_size=16, person=b"vacuagym stream").digest(), "little"
    )
    # NumPy steps the counter before its first block, so it starts one below block 0.
    counter = (geometry_id % 2**64 << 128) + (draw << 64) - 1
    raw = np.random.Philox(key=key, counter=counter % 2**256).random_raw(count)
    numbers: _Floats = ((raw >> np.uint64(12)) + 0.5) / 2**52
    return numbers


def _pick(x: float, weights: list[float]) -> int:
    """Return the position of a weight for a uniform number."""
    below = 0.0
    for i, weight in enumerate(weights):
        below += weight / sum(weights)
        if x < below:
            return i
    return max(i for i, weight in enumerate(weights) if weight > 0)


def disagreements(row: Mapping[str, Any], physics: Mapping[str, Any]) -> list[str]:
    """Return the differences between a row of the label table and its second derivation.

    Parameters
    ----------
    row : mapping
        A whole row of the label table.
    physics : mapping
        Settings of the labels.

    Returns
    -------
    list of str
        One text for each column that differs. Empty if the row agrees.
    """
    system = redraw(
        physics,
        dataset=row["dataset"],
        namespace=row["namespace"],
        geometry_id=row["geometry_id"],
        n=row["n_moduli"],
        draw=row["sample_idx"],
    )
    found = []
    for name in ("regime", "mass_shift", "gamma", "A_np", "a_np", "D_up", "p_up"):
        ours = getattr(system, name.removesuffix("_np").removesuffix("_up"))
        if row[name] != ours and not (
            isinstance(ours, float) and np.isclose(row[name], ours, rtol=1e-13, atol=0)
        ):
            found.append(f"{name}: {row[name]} in the table, {ours} drawn again")
    if row["minimization_success"]:
        found += _compare_vacuum(row, system, _unbounded(system), physics["search"])
    elif row["stability"] == "runaway" and _cannot_escape(system, physics["search"]):
        found.append(
            "stability: runaway in the table, but V is higher at the end of the field range than "
            "at any start"
        )
    return found


def _unbounded(system: System) -> bool:
    """Return whether V → −∞ in some direction.

    The quartic decides. Without one, V falls along a negative mode of K, or along a tilted flat
    mode.
    """
    if system.gamma != 0:
        return system.gamma < 0
    modes, vectors = np.linalg.eigh(system.K)
    scale = max(1.0, np.abs(modes).max())
    pulls = np.abs(vectors.T @ system.b) > _FAINT * max(1.0, np.abs(system.b).max())
    flat = np.abs(modes) <= _FAINT * scale
    return bool((modes < -_FAINT * scale).any() or (flat & pulls).any())


def _cannot_escape(system: System, search: Mapping[str, Any]) -> bool:
    """Return whether V at the end of the field range is above V at each start.

    This holds for every direction, so no descent gets there. The bounds use the extreme eigenvalues
    of K, and |φ|⁴/n ≤ Σφᵢ⁴ ≤ |φ|⁴.
    """
    n = len(system.b)
    end, start = search["field_range"], search["start_range"] * np.sqrt(n)
    modes, tilt = np.linalg.eigvalsh(system.K), np.linalg.norm(system.b)
    rest = abs(system.A) + abs(system.D)
    lowest_there = (
        modes[0] * end**2
        - tilt * end
        - rest
        + system.gamma * end**4 / (n if system.gamma > 0 else 1)
    )
    highest_here = (
        max(modes[-1], 0.0) * start**2 + tilt * start + rest + max(system.gamma, 0.0) * start**4
    )
    return bool(search["method"] != "root" and lowest_there > highest_here)


def _compare_vacuum(
    row: Mapping[str, Any], system: System, unbounded: bool, search: Mapping[str, Any]
) -> list[str]:
    """Return the differences between the stored vacuum and the second derivation."""
    stored = np.array(row["critical_point"])
    polished = root(system.gradient, stored, jac=system.hessian, method="hybr", tol=1e-12).x
    eigenvalues = np.linalg.eigvalsh(system.hessian(polished))
    value = float(system.value(polished).real)
    scale = max(1.0, np.abs(eigenvalues).max())
    found: list[str] = []
    # The stored point may differ from the polished one by as much as its gradient allows. Its
    # spectrum is compared at the stored point.
    accepted = search["grad_tol"] * (1 + abs(value))
    reach = 2 * accepted / max(np.abs(eigenvalues).min(), search["hess_eps"] * scale)
    there, vectors = np.linalg.eigh(system.hessian(stored))
    label = _verdict(there, search["hess_eps"], unbounded)
    checks = {
        "critical_point": np.abs(polished - stored).max()
        <= _AGREE * (1 + np.abs(stored).max()) + reach,
        "grad_norm": np.linalg.norm(system.gradient(stored))
        <= 2 * search["grad_tol"] * (1 + abs(value)) + 1e-10,
        "stability": label == row["stability"],
        "potential_value": abs(value - row["potential_value"])
        <= _AGREE * (1 + abs(value)) + accepted * reach,
        "min_eigenvalue": abs(there[0] - row["min_eigenvalue"]) <= _AGREE * scale,
        "eigenvalues": np.abs(there - row["eigenvalues"]).max() <= _AGREE * scale,
    }
    answers = {
        "critical_point": polished.tolist(),
        "stability": label,
        "potential_value": value,
        "min_eigenvalue": there[0],
        "eigenvalues": there.tolist(),
        "grad_norm": float(np.linalg.norm(system.gradient(stored))),
    }
    found += [
        f"{name}: {row[name]} in the table, {answers[name]} derived again"
        for name, agrees in checks.items()
        if not agrees
    ]
    if row["stability"] == "metastable" and not found:
        barrier = _barrier(
            system,
            stored,
            row["potential_value"],
            vectors=vectors,
            field_range=search["field_range"],
        )
        ours = np.nan if row["barrier_height"] is None else row["barrier_height"]
        if not np.isclose(barrier, ours, rtol=1e-5, atol=1e-9, equal_nan=True):
            found.append(
                f"barrier_height: {row['barrier_height']} in the table, {barrier} derived again"
            )
    return found


def _verdict(eigenvalues: _Floats, hess_eps: float, unbounded: bool) -> str:
    """Return the label for the signs of the eigenvalues, shape (n,)."""
    eps = hess_eps * max(1.0, np.abs(eigenvalues).max())
    down, up = (eigenvalues < -eps).any(), (eigenvalues > eps).any()
    flat = (np.abs(eigenvalues) <= eps).any()
    if down and up:
        return "saddle"
    if flat:
        return "marginal"
    if down:
        return "unstable"
    return "metastable" if unbounded else "stable"


def _barrier(
    system: System, phi: _Floats, value: float, *, vectors: _Floats, field_range: float
) -> float:
    """Return the least barrier over ± every eigenvector, NaN without a way out."""
    rays = (_Ray(system, phi, value, direction) for direction in [*vectors.T, *-vectors.T])
    return min(
        (ray.highest(end) for ray in rays if (end := ray.crossing(2.0 * field_range)) is not None),
        default=float("nan"),
    )


class _Ray:
    """V − V(vacuum) along a line, with a bound on its second derivative.

    Between two points a function is within M w²/8 of the chord. M bounds its second derivative, and
    w is the distance of the points. So no valley and no peak is too narrow.
    """

    _SLACK = 1e-10  # rounding of the bound, relative to the size of the terms

    def __init__(self, system: System, phi: _Floats, value: float, direction: _Floats) -> None:
        self._system, self._phi, self._value, self._ray = system, phi, value, direction
        self._size = 1.0 + abs(value) + abs(system.A) + abs(system.D)
        self._quadratic = abs(float(direction @ system.K @ direction))

    def __call__(self, t: float) -> float:
        return float(self._system.value(self._phi + t * self._ray).real) - self._value

    def bend(self, low: float, high: float) -> float:
        """Return a bound on |second derivative| between two distances, term by term."""
        system, e = self._system, self._ray
        ends = self._phi + np.array([[low], [high]]) * e
        largest = np.abs(ends).max(axis=0)
        least = np.where(ends[0] * ends[1] > 0.0, np.abs(ends).min(axis=0), 0.0)
        # S is convex, so its slope is extreme at the ends.
        slopes = (e * ends / np.sqrt(ends**2 + system.delta**2)).sum(axis=1)
        curve = (e**2 * system.delta**2 / (least**2 + system.delta**2) ** 1.5).sum()
        shortest = np.sqrt(least**2 + system.delta**2).sum()
        valley = (
            abs(system.A)
            * np.exp(-system.a * shortest)
            * max(system.a * curve, system.a**2 * (slopes**2).max())
        )
        radius, along = 1.0 + (least**2).sum(), ((ends @ e) ** 2).max()
        peak = (
            abs(system.D)
            * radius ** (-system.p)
            * (2 * system.p / radius + 4 * system.p * (system.p + 1) * along / radius**2)
        )
        return (
            2 * self._quadratic
            + 12 * abs(system.gamma) * float((e**2 * largest**2).sum())
            + float(valley + peak)
        )

    def crossing(self, end: float) -> float | None:
        """Return the first distance, up to ``end``, at which V is below the vacuum.

        Return None if there is none.
        """
        waiting = [(0.0, end)]
        while waiting:
            low, high = waiting.pop()
            left, right, sag = self(low), self(high), self.bend(low, high) * (high - low) ** 2 / 8
            if not np.isfinite(sag):
                sag = np.inf
            if min(left, right) - sag >= 0.0:
                continue
            if sag <= self._SLACK * self._size or high - low < 1e-13 * (1.0 + high):
                if right < -self._SLACK * self._size:
                    return high
                continue
            middle = (low + high) / 2
            waiting += [(middle, high), (low, middle)]
        return None

    def highest(self, end: float) -> float:
        """Return the maximum of V − V(vacuum) up to ``end``."""
        best, waiting = 0.0, [(0.0, end)]
        while waiting:
            low, high = waiting.pop()
            left, right, sag = self(low), self(high), self.bend(low, high) * (high - low) ** 2 / 8
            best = max(best, left, right)
            if max(left, right) + sag > best + 1e-8 * (1e-3 + best) and high - low > 1e-13 * (
                1.0 + high
            ):
                middle = (low + high) / 2
                waiting += [(low, middle), (middle, high)]
        return best
