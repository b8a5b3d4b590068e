"""One complete intersection in a product of projective spaces, as an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from vacuagym.geometry.cicy.topologies import cicy_topologies


@dataclass(frozen=True, eq=False)
class Cicy:
    """A CICY threefold with the topology of its ambient divisors J_i, exact.

    Attributes
    ----------
    euler : int
        Euler number.
    product : bool
        Whether it is a product of T² and K3, or of three T².
    c2 : (m,) int64
        c₂·J_i.
    kappa : (m, m, m) int64
        Triple intersection numbers of the J_i.
    geometry_hash : str
        Hash of invariants under permutations.

    Notes
    -----
    Formulas: P. Candelas, A. M. Dale, C. A. Lütken and R. Schimmrigk, Nucl. Phys. B 298 (1988)
    493.
    """

    euler: int
    product: bool
    c2: npt.NDArray[np.int64]
    kappa: npt.NDArray[np.int64]
    geometry_hash: str

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> Self:
        """Return the threefold of a configuration matrix (m, K): rows are projective spaces."""
        found = cicy_topologies([np.asarray(matrix)])
        return cls(
            euler=int(found.euler[0]),
            product=bool(found.product[0]),
            c2=found.c2_of(0),
            kappa=found.kappa_of(0),
            geometry_hash=f"{int(found.geometry_hash[0]):016x}",
        )

    def volume(self, t: npt.ArrayLike) -> float:
        """Return the volume κ_ijk t_i t_j t_k / 6, for t (m,): volumes of curves in the P^n."""
        given = np.asarray(t, dtype=np.float64)
        return float(np.einsum("ijk,i,j,k", self.kappa, given, given, given) / 6)

    def divisor_volumes(self, t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the volumes κ_ijk t_j t_k / 2 of the J_i, (m,)."""
        given = np.asarray(t, dtype=np.float64)
        volumes: npt.NDArray[np.float64] = np.einsum("ijk,j,k->i", self.kappa, given, given) / 2
        return volumes
