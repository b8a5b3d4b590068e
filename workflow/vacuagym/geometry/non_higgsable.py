"""Gauge algebras, charged matter and Hodge numbers of generic models over toric bases.

A non-Higgsable cluster is a set of curves with a gauge algebra that no deformation breaks. The
elliptic Calabi-Yau threefold has a generic Weierstrass model over a base of `toric_bases`. The
curves of negative self-intersection alone decide its clusters (D. R. Morrison and W. Taylor,
arXiv:1201.1943), so no monomials are needed here. Tuned gauge algebras are not covered. Nothing
tests whether a sequence of self-intersections belongs to a base.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Dimension and rank of the algebra, and the charged hypermultiplets, on an isolated curve of
# self-intersection -m, at place m. The 56 of e7 is pseudoreal: on a -7 curve it comes as a
# half-hypermultiplet. From -9 on the blown-up curve is a -12 curve, with e8.
_DIMENSION = np.array([0, 0, 0, 8, 28, 52, 78, 133, 133, 248, 248, 248, 248])
_RANK = np.array([0, 0, 0, 2, 4, 4, 6, 7, 7, 8, 8, 8, 8])
_CHARGED = np.array([0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0, 0])
_ALGEBRA = np.repeat(["none", "su3", "so8", "f4", "e6", "e7", "e8"], [3, 1, 1, 1, 1, 2, 4])
# The same for a -3 curve that meets none, one or two -2 curves. One gives g2 + su2, both on
# -3, -2 and on -3, -2, -2; two give su2 + so7 + su2. The su2 are on the -2 curves.
_DIMENSION_OF_CHAIN = np.array([8, 14 + 3, 3 + 21 + 3])
_RANK_OF_CHAIN = np.array([2, 2 + 1, 1 + 3 + 1])
_CHARGED_OF_CHAIN = np.array([0, 8, 16])
_ALGEBRA_OF_CHAIN = np.array(["su3", "g2", "so7"])


@dataclass(frozen=True)
class GaugeContent:
    """Non-Higgsable gauge content of B bases.

    Attributes
    ----------
    dimension, rank : (B,) int64
        Of the gauge algebra.
    charged : (B,) int64
        Number of charged hypermultiplets.
    """

    dimension: Ints
    rank: Ints
    charged: Ints


def extra_blow_ups(self_intersections: NDArray[np.integer]) -> Ints:
    """Return how many points each base must have blown up beside the torus-fixed ones.

    A curve of self-intersection -9, -10 or -11 has 3, 2 or 1 such points (D. R. Morrison and
    W. Taylor, arXiv:1204.0283).

    Parameters
    ----------
    self_intersections : (B, k) integers

    Returns
    -------
    (B,) int64
    """
    curves = self_intersections.astype(np.int64)
    total: Ints = np.where((curves <= -9) & (curves >= -11), 12 + curves, 0).sum(axis=1)
    return total


def tensor_multiplets(self_intersections: NDArray[np.integer]) -> Ints:
    """Return the number of tensor multiplets T of each base.

    The points of `extra_blow_ups` count in T (arXiv:1204.0283), but the toric base stays as it is.

    Parameters
    ----------
    self_intersections : (B, k) integers

    Returns
    -------
    (B,) int64
    """
    rays: int = self_intersections.shape[1]
    return rays - 3 + extra_blow_ups(self_intersections)


def gauge_content(self_intersections: NDArray[np.integer]) -> GaugeContent:
    """Return the non-Higgsable gauge content of each base.

    Parameters
    ----------
    self_intersections : (B, k) integers
        In cyclic order.

    Returns
    -------
    GaugeContent

    Raises
    ------
    ValueError
        If a curve is below -12, because no Weierstrass model is minimal there.

    Notes
    -----
    Source: D. R. Morrison and W. Taylor, arXiv:1201.1943.
    """
    m, partners = _clusters(self_intersections)

    def total(on_curve: Ints, on_chain: Ints) -> Ints:
        summed: Ints = np.where(m == 3, on_chain[partners], on_curve[m]).sum(axis=1)
        return summed

    return GaugeContent(
        total(_DIMENSION, _DIMENSION_OF_CHAIN),
        total(_RANK, _RANK_OF_CHAIN),
        total(_CHARGED, _CHARGED_OF_CHAIN),
    )


def gauge_algebras(self_intersections: NDArray[np.integer]) -> NDArray[np.str_]:
    """Return the non-Higgsable gauge algebra on each curve.

    On a -9, -10 or -11 curve this is e8, the algebra after the blow-ups of `extra_blow_ups`.

    Parameters
    ----------
    self_intersections : (B, k) integers
        In cyclic order.

    Returns
    -------
    (B, k) strings
        "none", "su2", "su3", "g2", "so7", "so8", "f4", "e6", "e7" or "e8".

    Raises
    ------
    ValueError
        If a curve is below -12, because no Weierstrass model is minimal there.

    Notes
    -----
    Source: D. R. Morrison and W. Taylor, arXiv:1201.1943.
    """
    m, partners = _clusters(self_intersections)
    beside_three = (np.roll(m, 1, axis=1) == 3) | (np.roll(m, -1, axis=1) == 3)
    others = np.where((m == 2) & beside_three, "su2", _ALGEBRA[m])
    return np.where(m == 3, _ALGEBRA_OF_CHAIN[partners], others)


def hodge_numbers(self_intersections: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return h11 and h21 of the generic elliptic Calabi-Yau threefold over each base.

    Parameters
    ----------
    self_intersections : (B, k) integers
        In cyclic order.

    Returns
    -------
    h11, h21 : (B,) int64

    Raises
    ------
    ValueError
        If a curve is below -12, because no Weierstrass model is minimal there.

    Notes
    -----
    h11 = r + T + 2 and h21 = 272 + dim G - 29 T - H_charged (W. Taylor, arXiv:1205.0952). The
    second is the absence of gravitational anomalies, H - V = 273 - 29 T.
    """
    content, tensors = gauge_content(self_intersections), tensor_multiplets(self_intersections)
    h21 = 272 + content.dimension - 29 * tensors - content.charged
    return content.rank + tensors + 2, h21


def euler_numbers(self_intersections: NDArray[np.integer]) -> Ints:
    """Return the Euler number 2 (h11 - h21) of the threefold of `hodge_numbers`.

    Parameters
    ----------
    self_intersections : (B, k) integers
        In cyclic order.

    Returns
    -------
    (B,) int64

    Raises
    ------
    ValueError
        If a curve is below -12, because no Weierstrass model is minimal there.
    """
    h11, h21 = hodge_numbers(self_intersections)
    return 2 * (h11 - h21)


def _clusters(self_intersections: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return what decides the clusters, both (B, k).

    First m for a curve of self-intersection -m, and 0 for m < 0. Then the number of -2 curves
    beside a -3 curve, and 0 for other curves.
    """
    if np.any(self_intersections < -12):
        message = "a curve of self-intersection below -12 supports no minimal Weierstrass model"
        raise ValueError(message)
    m = np.maximum(-self_intersections.astype(np.int64), 0)
    bare = (m == 2).astype(np.int64)
    beside = np.roll(bare, 1, axis=1) + np.roll(bare, -1, axis=1)
    return m, np.where(m == 3, beside, 0)
