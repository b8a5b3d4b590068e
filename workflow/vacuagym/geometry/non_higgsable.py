"""Non-Higgsable clusters of a toric base: tensor multiplets, gauge algebra, charged matter and
Hodge numbers of the generic model.

For the elliptic Calabi-Yau threefold with a generic Weierstrass model over a base of
`toric_bases`. The curves of negative self-intersection alone decide it (D. R. Morrison and W.
Taylor, arXiv:1201.1943), so nothing here looks at monomials. Not for tuned gauge algebras, and no
test of whether a sequence of self-intersections belongs to a base at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Dimension and rank of the algebra, and the charged hypermultiplets, on an isolated curve of
# self-intersection -m, at place m. The 56 of e7 is pseudoreal: on a -7 curve it comes as a
# half-hypermultiplet. From -9 on the blown-up curve is a -12 curve, with e8.
_DIMENSION = np.array([0, 0, 0, 8, 28, 52, 78, 133, 133, 248, 248, 248, 248])
_RANK = np.array([0, 0, 0, 2, 4, 4, 6, 7, 7, 8, 8, 8, 8])
_CHARGED = np.array([0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0, 0])
# The same for a -3 curve which meets none, one (g2 + su2, both on -3, -2 and on -3, -2, -2) or two
# (su2 + so7 + su2) -2 curves.
_DIMENSION_OF_CHAIN = np.array([8, 14 + 3, 3 + 21 + 3])
_RANK_OF_CHAIN = np.array([2, 2 + 1, 1 + 3 + 1])
_CHARGED_OF_CHAIN = np.array([0, 8, 16])


@dataclass(frozen=True)
class GaugeContent:
    """What the non-Higgsable clusters of B bases carry, each (B,): dimension and rank of the gauge
    algebra, charged hypermultiplets.
    """

    dimension: np.ndarray
    rank: np.ndarray
    charged: np.ndarray


def tensor_multiplets(self_intersections: np.ndarray) -> np.ndarray:
    """Return the number of tensor multiplets T, (B,), of the bases with these self-intersections,
    (B, k).

    On a curve of self-intersection -9, -10 or -11 there are 3, 2 or 1 further points to blow up,
    at no torus-fixed place. They count in T (arXiv:1204.0283), but the toric base stays as it is.
    """
    curves = self_intersections.astype(np.int64)
    extra = np.where((curves <= -9) & (curves >= -11), 12 + curves, 0).sum(axis=1)
    return curves.shape[1] - 3 + extra


def gauge_content(self_intersections: np.ndarray) -> GaugeContent:
    """Return the non-Higgsable gauge content of the bases with these self-intersections, (B, k),
    in cyclic order.

    Raises `ValueError` for a curve below -12, on which no model is minimal. Source:
    arXiv:1201.1943.
    """
    if np.any(self_intersections < -12):
        raise ValueError(
            "a curve of self-intersection below -12 supports no minimal Weierstrass model"
        )
    m = np.maximum(-self_intersections.astype(np.int64), 0)
    bare = m == 2
    partners = np.where(
        m == 3, np.roll(bare, 1, axis=1).astype(np.int64) + np.roll(bare, -1, axis=1), 0
    )

    def total(on_curve: np.ndarray, on_chain: np.ndarray) -> np.ndarray:
        return np.where(m == 3, on_chain[partners], on_curve[m]).sum(axis=1)

    return GaugeContent(
        total(_DIMENSION, _DIMENSION_OF_CHAIN),
        total(_RANK, _RANK_OF_CHAIN),
        total(_CHARGED, _CHARGED_OF_CHAIN),
    )


def hodge_numbers(self_intersections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return h11 and h21, both (B,), of the generic elliptic Calabi-Yau threefold over each base,
    (B, k) self-intersections.

    h11 = r + T + 2 and h21 = 272 + dim G - 29 T - H_charged (W. Taylor, arXiv:1205.0952); the
    second is the absence of gravitational anomalies, H - V = 273 - 29 T. Raises `ValueError` as
    `gauge_content` does.
    """
    content, tensors = gauge_content(self_intersections), tensor_multiplets(self_intersections)
    return content.rank + tensors + 2, 272 + content.dimension - 29 * tensors - content.charged
