"""Intersection numbers of toric bases, and of smooth Weierstrass models over them.

The generic Weierstrass model over a toric base B is smooth if no curve is below -2. Those are the
16 toric surfaces of the reflexive polygons. The threefold X then has the divisors E and D_a: the
zero section, and the preimages of curves C_a of the base. Over all other bases X has further
divisors, and its triple intersection numbers are not computed here.

With the canonical class K of the base and Omega_ab = C_a.C_b, for X smooth:

- E^3 = K^2, E^2 D_a = K.C_a, E D_a D_b = Omega_ab, D_a D_b D_c = 0;
- c2.E = 12 - 2 K^2, c2.D_a = -12 K.C_a, chi = -60 K^2.

They follow from E.(E - K) = 0 and c(X) of a Weierstrass model, with chi(B) = 12 - K^2 for a
rational surface (R. Friedman, J. Morgan and E. Witten, hep-th/9701162).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# No non-Higgsable cluster, and so no singular fibre, on curves of at least this.
_LEAST_SMOOTH = -2


@dataclass(frozen=True)
class SmoothWeierstrass:
    """Topology of B smooth Weierstrass models over bases with k rays, so h11 = k - 1.

    The divisors, in this order, are a basis of the integral H^2: E, then D_a for all curves of
    the base but the first two. The two left out are linear combinations of the others, because
    their rays are (1, 0) and (0, 1).

    Attributes
    ----------
    kappa : (B, k - 1, k - 1, k - 1) int64
        Triple intersection numbers.
    c2 : (B, k - 1) int64
        Second Chern class on the divisors.
    euler : (B,) int64
    """

    kappa: Ints
    c2: Ints
    euler: Ints


def canonical_square(self_intersections: NDArray[np.integer]) -> Ints:
    """Return K^2 of each toric base, 12 less its number of rays.

    The points of `non_higgsable.extra_blow_ups` are not blown up.

    Parameters
    ----------
    self_intersections : (B, k) integers

    Returns
    -------
    (B,) int64
    """
    batch, rays = self_intersections.shape
    return np.full(batch, 12 - rays, dtype=np.int64)


def has_smooth_weierstrass(self_intersections: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return whether the generic Weierstrass model over each base is smooth.

    Parameters
    ----------
    self_intersections : (B, k) integers

    Returns
    -------
    (B,) bool
    """
    smooth: NDArray[np.bool_] = self_intersections.min(axis=1) >= _LEAST_SMOOTH
    return smooth


def intersection_form(self_intersections: NDArray[np.integer]) -> Ints:
    """Return the intersection numbers of all toric curves of each base.

    Parameters
    ----------
    self_intersections : (B, k) integers
        In cyclic order, k >= 3.

    Returns
    -------
    (B, k, k) int64
        Self-intersections on the diagonal, 1 for neighbours, otherwise 0.
    """
    batch, rays = self_intersections.shape
    place = np.arange(rays)
    form = np.zeros((batch, rays, rays), dtype=np.int64)
    form[:, place, place] = self_intersections
    form[:, place, place - 1] = form[:, place - 1, place] = 1
    return form


def smooth_weierstrass(self_intersections: NDArray[np.integer]) -> SmoothWeierstrass:
    """Return the topology of the smooth Weierstrass model over each base.

    Parameters
    ----------
    self_intersections : (B, k) integers
        In cyclic order, k >= 3. The rays of the first two curves must be a basis of the lattice,
        as those of all smooth toric surfaces are.

    Returns
    -------
    SmoothWeierstrass

    Raises
    ------
    ValueError
        If a base has a curve below -2. The message names the first such base.
    """
    for base in np.flatnonzero(~has_smooth_weierstrass(self_intersections))[:1].tolist():
        least = self_intersections[base].min()
        found = f"base {base}: a curve has self-intersection {least}"
        raise ValueError(f"{found}; at least -2 is required; leave this base out")
    square = canonical_square(self_intersections)
    canonical = -2 - self_intersections[:, 2:].astype(np.int64)  # K.C = -2 - C^2
    form = intersection_form(self_intersections)[:, 2:, 2:]
    batch, curves = canonical.shape
    kappa = np.zeros((batch, *(curves + 1,) * 3), dtype=np.int64)
    kappa[:, 0, 0, 0] = square
    kappa[:, 0, 0, 1:] = kappa[:, 0, 1:, 0] = kappa[:, 1:, 0, 0] = canonical
    kappa[:, 0, 1:, 1:] = kappa[:, 1:, 0, 1:] = kappa[:, 1:, 1:, 0] = form
    c2 = np.column_stack([12 - 2 * square, -12 * canonical])
    return SmoothWeierstrass(kappa, c2, -60 * square)
