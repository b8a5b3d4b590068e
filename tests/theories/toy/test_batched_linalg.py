"""Linear algebra on stacks is the textbook's, in either memory order, and no system's result
depends on its neighbours.
"""

from __future__ import annotations

import numpy as np
import pytest

from vacuagym.theories.toy.batched_linalg import (
    NARROW,
    apply,
    arranged,
    diagonal_of,
    dot,
    dyads,
    norm,
    row_sums,
    solve,
    square,
)

SIZES = [1, 2, 3, NARROW, NARROW + 1, 8, 9, 32]


def stack(n: int, count: int = 150):
    """Vectors (B, n), symmetric matrices (B, n, n), weights (B,) that hold both signs."""
    rng = np.random.default_rng(n)
    g = rng.standard_normal((count, n, n))
    return (
        rng.standard_normal((count, n)),
        rng.standard_normal((count, n)),
        g + g.swapaxes(1, 2),
        rng.standard_normal((2, count)),
    )


def results(x, y, a, w) -> dict[str, np.ndarray]:
    definite = square(a) + np.eye(a.shape[-1])
    return {
        "row_sums": row_sums(x),
        "dot": dot(x, y),
        "norm": norm(x),
        "apply": apply(a, x),
        "square": square(a),
        "dyads": dyads(w[0], x, w[1], y),
        "solve": solve(definite, x),
    }


@pytest.mark.parametrize("n", SIZES)
def test_stacked_algebra_is_the_textbooks(n):
    x, y, a, w = stack(n)
    expected = {
        "row_sums": np.array([v.sum() for v in x]),
        "dot": np.array([u @ v for u, v in zip(x, y, strict=True)]),
        "norm": np.linalg.norm(x, axis=1),
        "apply": np.array([m @ v for m, v in zip(a, x, strict=True)]),
        "square": np.array([m @ m for m in a]),
        "dyads": np.array(
            [s * np.outer(u, u) + t * np.outer(v, v) for s, t, u, v in zip(*w, x, y, strict=True)]
        ),
        "solve": np.array(
            [np.linalg.solve(m @ m + np.eye(n), v) for m, v in zip(a, x, strict=True)]
        ),
    }
    for order in ("C", "F"):
        for name, result in results(
            *(np.asarray(array, order=order) for array in (x, y, a)), w
        ).items():
            np.testing.assert_allclose(result, expected[name], rtol=1e-10, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("n", SIZES)
def test_a_system_alone_has_the_bits_it_has_in_a_stack(n):
    x, y, a, w = stack(n)
    whole = results(arranged(x), arranged(y), arranged(a), w)
    for i in (0, 7, 149):
        one = results(*(arranged(array[i : i + 1]) for array in (x, y, a)), w[:, i : i + 1])
        for name, result in one.items():
            assert result[0].tobytes() == np.ascontiguousarray(whole[name][i]).tobytes(), name


@pytest.mark.parametrize("n", SIZES)
def test_dyads_are_exactly_symmetric(n):
    x, y, _, w = stack(n)
    matrices = dyads(w[0], arranged(x), w[1], arranged(y))
    np.testing.assert_array_equal(matrices, matrices.swapaxes(1, 2))


@pytest.mark.parametrize("n", SIZES)
def test_the_diagonal_can_be_written_in_either_memory_order(n):
    a = arranged(stack(n)[2])
    before = a.copy()
    diagonal_of(a)[...] += 1.0
    np.testing.assert_array_equal(a, before + np.eye(n))
