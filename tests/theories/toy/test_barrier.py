"""The barrier between a metastable vacuum and the runaway: closed forms, brute force, and the
bound that it is.
"""

import heapq
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize

from known_potentials import (
    KKLT,
    DoubleWell,
    Lines,
    OpenedWell,
    Several,
    converged,
    key_of,
    random_rotation,
    run,
    toy_systems,
)
from vacuagym.checks import independent
from vacuagym.config import checked_config, physics_sections
from vacuagym.theories.toy import barrier
from vacuagym.theories.toy.barrier import barrier_heights
from vacuagym.theories.toy.classification import hessian_index
from vacuagym.theories.toy.ensemble import draw_starts
from vacuagym.theories.toy.labelling import Physics, label_geometries
from vacuagym.theories.toy.random_streams import Streams, stream_key

FIELD_RANGE = 50.0


@pytest.fixture(autouse=True, params=[1, barrier._LOOK], ids=["step by step", "many steps at once"])
def _look(request, monkeypatch):
    """Every barrier is the same however many steps of a ray are looked at together."""
    monkeypatch.setattr(barrier, "_LOOK", request.param)


def barriers(potential, phi, field_range=FIELD_RANGE):
    """Barrier heights of the vacua ``phi`` (B, n), their spectra taken from the Hessian."""
    phi = np.asarray(phi, float)
    _, vectors = np.linalg.eigh(potential.hessian(phi))
    value = potential.value(phi)
    return barrier_heights(potential, phi, value, eigenvectors=vectors, field_range=field_range)


def metastable_toys(n: int, count: int):
    """Potentials of the ensemble with γ < 0 and a minimum of each, as the search finds it."""
    potential = toy_systems(n, count)
    starts = draw_starts(n, 1, 2.0, Streams(key_of(count), np.arange(count), np.zeros(count, int)))[
        :, 0
    ]
    trials = run(potential, starts, "descent")
    index = hessian_index(np.linalg.eigvalsh(potential.hessian(trials.phi)), 1e-6)
    rows = np.flatnonzero(converged(trials) & (potential.gamma < 0) & (index.n_positive == n))
    return potential.take(rows), trials.phi[rows]


# Closed forms


def test_the_barrier_of_the_double_well_along_one_direction_is_a_quarter():
    """One side is opened, so that V falls for ever beyond the top: the way out is over the height
    1/4 at y = 0.
    """
    for sign in (1.0, -1.0):
        well = OpenedWell(np.array([[[sign]]]), np.ones((1, 1)))
        trials = run(well, [[sign * 1.3]], "hybrid")
        assert converged(trials).all()
        assert barriers(well, trials.phi)[0] == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_barrier_of_rotated_wells_is_that_of_the_shallowest(n):
    rng = np.random.default_rng(n)
    rotation = np.array([random_rotation(n, rng) for _ in range(20)])
    depth = np.array(
        [rng.permutation(np.linspace(1.0, 3.0, n)) * rng.uniform(0.1, 10.0) for _ in range(20)]
    )
    well = OpenedWell(rotation, depth)
    vacuum = (np.swapaxes(rotation, 1, 2) @ np.ones((20, n, 1)))[..., 0]
    np.testing.assert_allclose(barriers(well, vacuum), depth.min(axis=1) / 4.0, rtol=1e-9)


def test_kklts_barrier_is_the_published_one():
    potential = KKLT(np.array([3e-9, 3e-9]))
    trials = run(potential, [[11.0], [11.6]], "root", grad_tol=1e-12)
    assert barriers(potential, trials.phi) / 1e15 == pytest.approx(8.7396195e-16, rel=5e-8)
    top = run(potential, [[13.8], [14.0]], "root", grad_tol=1e-12)
    np.testing.assert_allclose(
        barriers(potential, trials.phi), top.value - trials.value, rtol=1e-10
    )


def test_a_cubic_well_has_the_barrier_between_its_two_critical_points():
    """V = φ²/2 − φ³/3: minimum 0 at 0, top 1/6 at 1."""
    cubic = Lines(
        lambda x: x**2 / 2.0 - x**3 / 3.0,
        lambda x: x - x**2,
        lambda x: 1.0 - 2.0 * x,
        1,
        unbounded=True,
    )
    assert barriers(cubic, [[0.0]])[0] == pytest.approx(1.0 / 6.0, abs=1e-13)


@pytest.mark.parametrize("width", [1e-3, 0.01, 0.03, 0.049, 0.05, 0.07, 0.1, 0.11, 1.0, 7.0])
def test_a_barrier_of_any_width_is_measured(width):
    """The same cubic, stretched: the top is one width away, and the ray falls below the vacuum 1.5
    widths away.
    """

    def cubic(x):
        return (x / width) ** 2 / 2.0 - (x / width) ** 3 / 3.0

    def slope(x):
        return (x / width - (x / width) ** 2) / width

    def curvature(x):
        return (1.0 - 2.0 * x / width) / width**2

    well = Lines(cubic, slope, curvature, 1, unbounded=True)
    assert barriers(well, [[0.0]])[0] == pytest.approx(1.0 / 6.0, rel=1e-9)


def test_the_higher_of_two_tops_counts_and_what_lies_beyond_the_fall_does_not():
    p = np.polynomial.Polynomial

    def line(shape):
        return Lines(shape, shape.deriv(), shape.deriv(2), 1, unbounded=True)

    # Right of the vacuum at 0: a top, a dip that stays above 0, a higher top, the fall at 4. Left
    # of it V only rises.
    shape = p([0, 0, 1]) * (p([-1.5, 1]) ** 2 + 0.05) * p([4, -1])
    grid = np.linspace(0.0, 4.0, 400_001)
    assert barriers(line(shape), [[0.0]])[0] == pytest.approx(shape(grid).max(), rel=1e-9)

    # The fall at 1 comes before the far higher top around 3.
    shape = p([0, 0, 1]) * p([1, -1]) * p([2, -1]) * p([5, -1]) * p([3, 1])
    assert shape(np.linspace(2.0, 5.0, 999)).max() > 5.0 * shape(np.linspace(0.0, 1.0, 999)).max()
    assert barriers(line(shape), [[0.0]])[0] == pytest.approx(
        shape(np.linspace(0.0, 1.0, 400_001)).max(), rel=1e-9
    )


def test_without_a_way_out_there_is_no_barrier():
    bowl = Lines(lambda x: x**2, lambda x: 2.0 * x, lambda x: np.full(x.shape, 2.0), 3)
    assert np.isnan(barriers(bowl, np.zeros((3, 2)))).all()
    assert np.isnan(barriers(DoubleWell(np.eye(2)[None]), [[1.0, 1.0]])).all()


def test_a_way_out_beyond_twice_the_field_range_is_not_looked_for():
    well = Lines(
        lambda x: x**2 - x**3 / 30.0,
        lambda x: 2.0 * x - x**2 / 10.0,
        lambda x: 2.0 - x / 5.0,
        1,
        unbounded=True,
    )  # falls at 30
    assert barriers(well, [[0.0]], field_range=20.0)[0] == pytest.approx(400.0 / 3.0, rel=1e-9)
    assert np.isnan(barriers(well, [[0.0]], field_range=10.0)[0])
    assert barriers(well, [[0.0]], field_range=15.05)[0] == pytest.approx(400.0 / 3.0, rel=1e-9), (
        "the last step counts"
    )
    assert np.isnan(barriers(well, [[0.0]], field_range=14.95)[0])


def test_a_stretch_where_v_is_not_a_number_is_walked_past():
    def holed(x):
        return np.where((x > 3.0) & (x < 4.0), np.nan, x**2 - x**3 / 30.0)

    well = Lines(holed, lambda x: 2.0 * x - x**2 / 10.0, lambda x: 2.0 - x / 5.0, 1, unbounded=True)
    assert barriers(well, [[0.0]])[0] == pytest.approx(400.0 / 3.0, rel=1e-9)


def test_a_system_without_a_way_out_does_not_disturb_the_others():
    cubic = Lines(
        lambda x: x**2 / 2.0 - x**3 / 3.0,
        lambda x: x - x**2,
        lambda x: 1.0 - 2.0 * x,
        1,
        unbounded=True,
    )
    bowl = Lines(lambda x: x**2, lambda x: 2.0 * x, lambda x: np.full(x.shape, 2.0), 1)
    alone = barriers(cubic, [[0.0, 0.0]])[0]
    heights = barriers(Several((cubic, bowl, cubic)), np.zeros((3, 2)))
    assert heights[[0, 2]].tolist() == [alone, alone]
    assert np.isnan(heights[1])


# Brute force


def ray_barrier(value, length=2.0 * FIELD_RANGE, step=1e-3):
    """Barrier on one ray, ``value`` (distances,) → V: a fine grid up to the first fall below V(0),
    its top polished by SciPy.
    """
    distance = np.arange(0.0, length + step, step)
    v = value(distance)
    below = np.flatnonzero(v < v[0])
    # The first few points may be below by rounding only, where V is flat to the last bits.
    below = below[distance[below] > 0.02]
    if not below.size:
        return np.inf
    top = int(np.argmax(v[: below[0]]))
    bounds = max(distance[top] - step, 0.0), distance[top] + step
    found = scipy.optimize.minimize_scalar(
        lambda x: -value(np.array([x]))[0],
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-10},
    )
    return max(-found.fun, v[top]) - v[0]


@pytest.mark.parametrize(("n", "count"), [(1, 600), (2, 500), (3, 400)])
def test_brute_force_along_the_eigenvectors_gives_the_same_barriers(n, count):
    potential, vacua = metastable_toys(n, count)
    assert len(vacua) > 30
    rows = np.arange(min(len(vacua), 30))
    potential, vacua = potential.take(rows), vacua[rows]
    _, vectors = np.linalg.eigh(potential.hessian(vacua))
    expected = []
    for i in rows:
        one = potential.take(np.array([i]))
        directions = [sign * vectors[i, :, k] for k in range(n) for sign in (1.0, -1.0)]
        expected.append(
            min(
                ray_barrier(lambda t, d=d, i=i, one=one: one.value(vacua[i] + t[:, None] * d))
                for d in directions
            )
        )
    np.testing.assert_allclose(barriers(potential, vacua), expected, rtol=1e-7, atol=1e-9)


def pass_height(value, vacuum, half_width=8.0, cells=161):
    """The lowest top of all ways from the vacuum to where V is below the vacuum's: a flood of a
    grid, (points, 2) → V.
    """
    axis = np.linspace(-half_width, half_width, cells)
    points = vacuum + np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    v = value(points).reshape(cells, cells)
    middle = cells // 2
    floor = value(vacuum[None])[0]
    seen, queue = {(middle, middle)}, [(floor, middle, middle)]
    level = floor
    while queue:
        height, i, j = heapq.heappop(queue)
        level = max(level, height)
        if height < floor - 1e-3:
            return level - floor
        for k, m in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if 0 <= k < cells and 0 <= m < cells and (k, m) not in seen:
                seen.add((k, m))
                heapq.heappush(queue, (v[k, m], k, m))
    return np.inf


def test_the_barrier_is_an_upper_bound_of_the_lowest_pass():
    potential, vacua = metastable_toys(2, 300)
    heights = barriers(potential, vacua)
    assert (heights > 0.0).all()
    below = 0
    for i in np.argsort(heights)[:12]:  # the ways out of the others may leave the grid
        one = potential.take(np.array([i]))
        lowest = pass_height(one.value, vacua[i])
        # A path on the grid is at worst a little above the true pass: by the curvature there times
        # the square of half a cell.
        assert heights[i] > lowest * (1.0 - 0.02) - 0.02
        below += lowest < 0.95 * heights[i]
    assert below  # and it is a bound, not the pass itself: some way out is lower than every ray


# One vacuum, whatever the stack


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_a_barrier_has_the_same_bits_in_every_stack(n):
    potential, vacua = metastable_toys(n, 400)
    assert len(vacua) > 3
    whole = barriers(potential, vacua)
    assert np.isfinite(whole).all()
    for i in range(0, len(vacua), 3):
        assert barriers(potential.take(np.array([i])), vacua[i : i + 1])[0] == whole[i]
    backwards = np.arange(len(vacua))[::-1]
    np.testing.assert_array_equal(
        barriers(potential.take(backwards), vacua[backwards]), whole[backwards]
    )


def test_an_empty_stack_has_no_barriers():
    potential, vacua = metastable_toys(2, 60)
    none = np.array([], int)
    heights = barrier_heights(
        potential.take(none),
        vacua[none],
        np.zeros(0),
        eigenvectors=np.zeros((0, 2, 2)),
        field_range=FIELD_RANGE,
    )
    assert heights.shape == (0,)


NARROW = {
    "delta": 0.005,
    "A": [5, 20],
    "a": [10, 20],
    "regimes": {"generic": 0.01, "stabilized": 0, "tachyonic": 0, "runaway": 0.99},
    "runaway_tilt": 1.0,
}


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_valleys_narrower_than_a_step_are_not_stepped_over(n):
    """The second derivation bounds the second derivative of V between its points, so that it can
    miss none.
    """
    sections = physics_sections(checked_config({"ensemble": NARROW}))
    physics = Physics.from_mapping(sections)
    ids = np.arange(215 - 40, 216)
    rows = label_geometries(
        physics, n, np.repeat(stream_key(42, "e", None)[None], len(ids), axis=0), ids
    )
    found = np.flatnonzero(np.isfinite(rows["barrier_height"]))[-10:]
    assert len(found) >= 9
    for row in found:
        system = independent.redraw(
            sections,
            dataset="e",
            namespace=None,
            geometry_id=int(ids[row]),
            n=n,
            draw=int(rows["sample_idx"][row]),
        )
        phi = rows["critical_point"][row]
        _, vectors = np.linalg.eigh(system.hessian(phi))
        again = independent._barrier(
            system, phi, rows["potential_value"][row], vectors=vectors, field_range=50.0
        )
        assert rows["barrier_height"][row] == pytest.approx(again, rel=1e-6)
    if n == 4:
        assert rows["barrier_height"][-1] == pytest.approx(0.0745716, rel=1e-6), (
            "2.1925191 beyond a valley from t = 0.461 to 0.488"
        )


def test_a_field_range_of_a_million_costs_no_memory_and_little_time(monkeypatch):
    monkeypatch.setattr(independent.np, "arange", None)
    sections = physics_sections(checked_config({"search": {"field_range": 1e6}}))
    system = independent.redraw(sections, dataset="t", namespace=None, geometry_id=0, n=3, draw=0)
    flat = replace(system, gamma=0.0, A=0.0, D=0.0, K=np.diag([1.0, 1.0, 1.0]))
    phi = np.linalg.solve(2 * flat.K, -flat.b)
    assert np.isnan(
        independent._barrier(flat, phi, float(flat.value(phi)), vectors=np.eye(3), field_range=1e6)
    )
