"""Compare the search with a SciPy loop over trials, and with the time of its linear algebra alone.

    python benchmarks/search.py            # a table, medians of three rounds
    python benchmarks/search.py 2 8 32     # for these numbers of moduli only

All three run in turn in this process, on one thread and on the same geometries. The times are CPU
times, so a busy machine changes the ratios little. *SciPy*: each trial tries `root(hybr)`, then
`root(lm)`, then `minimize(trust-exact)`, with analytic derivatives in plain NumPy on single
vectors. *Floor*: the same batches have one batched solve for each step of the search, and one
`eigvalsh` for each critical point. This is the time of NumPy's linear algebra alone.
"""

import statistics
import sys
import time

import vacuagym.tables.parquet  # noqa: F401  (caps threads)
import numpy as np
import scipy.optimize

from vacuagym.config import checked_config, physics_sections
from vacuagym.theories.toy.ensemble import draw_fluxes, draw_starts
from vacuagym.theories.toy.random_streams import stream_key
from vacuagym.runtime.memory import BATCH_MB, geometry_bytes
from vacuagym.theories.toy.labelling import Physics, search_geometries
from vacuagym.theories.toy.classification import critical_point_labels, draw_vacua, hessian_index
from vacuagym.theories.toy.active_set import Outcome

PHYSICS = Physics.from_mapping(physics_sections(checked_config({})))
BATCH_BYTES = BATCH_MB * 2**20
GEOMETRIES = {2: 4000, 4: 3000, 8: 1500, 16: 500, 24: 250, 32: 150}
SCIPY_GEOMETRIES = {2: 40, 4: 40, 8: 30, 16: 20, 24: 12, 32: 10}
ROUNDS = 3


class ScalarPotential:
    """One toy potential for the SciPy loop: plain NumPy on vectors (n,), without repeated work."""

    def __init__(self, stack, row):
        self.K2, self.b = 2.0 * stack.K[row], stack.b[row]
        self.A, self.a, self.D, self.p, self.gamma = (
            float(x[row]) for x in (stack.A, stack.a, stack.D, stack.p, stack.gamma)
        )
        self.delta2 = stack.delta**2

    def value(self, phi):
        root = np.sqrt(phi * phi + self.delta2)
        r2 = 1.0 + phi @ phi
        tree = phi @ (0.5 * (self.K2 @ phi) + self.b)
        return (
            tree
            - self.A * np.exp(-self.a * root.sum())
            + self.D * r2**-self.p
            + self.gamma * (phi**4).sum()
        )

    def gradient(self, phi):
        root = np.sqrt(phi * phi + self.delta2)
        r2 = 1.0 + phi @ phi
        force = self.A * self.a * np.exp(-self.a * root.sum())
        return (
            self.K2 @ phi
            + self.b
            + force * phi / root
            - 2 * self.p * self.D * r2 ** (-self.p - 1) * phi
            + 4 * self.gamma * phi**3
        )

    def hessian(self, phi):
        root = np.sqrt(phi * phi + self.delta2)
        s, r2 = phi / root, 1.0 + phi @ phi
        force = self.A * self.a * np.exp(-self.a * root.sum())
        lift = self.D * r2 ** (-self.p - 1)
        hessian = (
            self.K2
            - self.a * force * np.outer(s, s)
            + (4 * self.p * (self.p + 1) * lift / r2) * np.outer(phi, phi)
        )
        hessian[np.diag_indices(len(phi))] += (
            force * self.delta2 / root**3 - 2 * self.p * lift + 12 * self.gamma * phi * phi
        )
        return hessian


def scipy_trial(potential, start):
    """One trial: where it ended, and how."""
    tolerance = PHYSICS.search.grad_tol
    for method in ("hybr", "lm"):
        end = scipy.optimize.root(
            potential.gradient, start, jac=potential.hessian, method=method, tol=1e-12
        ).x
        if np.linalg.norm(potential.gradient(end)) <= tolerance * (1 + abs(potential.value(end))):
            return Outcome.CONVERGED, end

    class Escaped(Exception):
        pass

    def watch(phi):
        if phi @ phi > PHYSICS.search.field_range**2:
            raise Escaped

    try:
        options = {"gtol": 1e-9, "maxiter": 300}
        end = scipy.optimize.minimize(
            potential.value,
            start,
            jac=potential.gradient,
            hess=potential.hessian,
            method="trust-exact",
            callback=watch,
            options=options,
        ).x
    except Escaped:
        return Outcome.ESCAPED, start
    good = np.linalg.norm(potential.gradient(end)) <= 10 * tolerance * (
        1 + abs(potential.value(end))
    )
    return (Outcome.CONVERGED if good else Outcome.FAILED), end


def scipy_labels(n, ids):
    """Label of each geometry's first draw, outcomes of all trials."""
    shape = len(ids), PHYSICS.search.n_samples, PHYSICS.search.n_restarts
    streams = _streams(ids)
    stack = draw_fluxes(PHYSICS.ensemble, n, *streams).potential
    starts = draw_starts(n, shape[2], PHYSICS.search.start_range, *streams).reshape(-1, n)
    outcome, value = np.zeros(starts.shape[0], int), np.full(starts.shape[0], np.nan)
    label = np.full(starts.shape[0], -1)
    for trial, start in enumerate(starts):
        potential = ScalarPotential(stack, trial // shape[2])
        outcome[trial], end = scipy_trial(potential, start)
        if outcome[trial] == Outcome.CONVERGED:
            value[trial] = potential.value(end)
            index = hessian_index(
                np.linalg.eigvalsh(potential.hessian(end)), PHYSICS.search.hess_eps
            )
            label[trial] = critical_point_labels(index, np.array(potential.gamma < 0))
    restart = draw_vacua(outcome.reshape(shape), value.reshape(shape))
    return np.take_along_axis(label.reshape(shape), restart[:, :, None], axis=2)[:, 0, 0], outcome


def our_search(n, ids):
    """The batches of our search over these geometries."""
    batch = max(1, BATCH_BYTES // geometry_bytes(n, PHYSICS.trials()))
    key = stream_key(PHYSICS.seed, "bench", None)
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        yield search_geometries(PHYSICS, n, np.tile(key, (len(part), 1)), part)


def floor_seconds(n, found):
    """Time of one solve for each step taken and one eigvalsh for each critical point, stack by
    stack.
    """
    matrices = found.fluxes.potential.hessian(np.zeros((len(found.fluxes.potential), n)))
    steps = np.sort(found.trials.n_iterations)[::-1]
    converged = int((found.trials.outcome == Outcome.CONVERGED).sum())
    rows = np.resize(np.arange(len(matrices)), len(steps))
    stack, right = matrices[rows] + 10 * np.eye(n), np.ones((len(steps), n, 1))
    began = time.process_time()
    for step in range(steps[0] if len(steps) else 0):
        active = int((steps > step).sum())
        np.linalg.solve(stack[:active], right[:active])
    np.linalg.eigvalsh(stack[:converged])
    return time.process_time() - began


def _streams(ids):
    draws = PHYSICS.search.n_samples
    keys = np.tile(stream_key(PHYSICS.seed, "bench", None), (len(ids) * draws, 1))
    return keys, np.repeat(ids, draws), np.tile(np.arange(draws), len(ids))


def measure(n):
    """One row of the table."""
    ids, few = np.arange(GEOMETRIES.get(n, 200)), np.arange(SCIPY_GEOMETRIES.get(n, 10))
    ours, floors, theirs = [], [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        batches = list(our_search(n, ids))
        ours.append((time.process_time() - began) / len(ids))
        floors.append(sum(floor_seconds(n, batch) for batch in batches) / len(ids))
        began = time.process_time()
        with np.errstate(all="ignore"):
            labels, outcomes = scipy_labels(n, few)
        theirs.append((time.process_time() - began) / len(few))
    trials = np.concatenate([batch.trials.outcome for batch in batches])
    our_labels = np.concatenate([batch.draw_labels[:, 0] for batch in batches])[: len(few)]
    both = (labels >= 0) & (our_labels < 5)
    agree = np.mean(labels[both] == our_labels[both]) if both.any() else float("nan")
    mine, floor, scipy_ = (1e3 * statistics.median(x) for x in (ours, floors, theirs))
    shares = [np.mean(x == Outcome.CONVERGED) for x in (trials, outcomes)]
    return (
        n,
        mine,
        scipy_,
        floor,
        scipy_ / mine,
        mine / floor,
        *(100 * s for s in shares),
        100 * np.mean(trials == Outcome.FAILED),
        100 * agree,
    )


def main():
    """Print the table."""
    print(
        "   n   ours ms  SciPy ms  floor ms  SciPy/ours  ours/floor  converged %: ours  SciPy  "
        "failed %  same label %"
    )
    for n in [int(x) for x in sys.argv[1:]] or GEOMETRIES:
        print(
            "{:4d} {:9.3f} {:9.2f} {:9.3f} {:11.0f} {:11.2f} {:18.1f} {:6.1f} {:9.2f} "
            "{:13.0f}".format(*measure(n)),
            flush=True,
        )


if __name__ == "__main__":
    main()
