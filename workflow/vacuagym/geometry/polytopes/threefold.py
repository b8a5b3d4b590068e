"""A Calabi-Yau threefold from a reflexive polytope: everything that is computed exactly for it.

`Threefold` computes its data on first use. Three levels differ in cost: `light` (Hodge numbers,
counts, identity), `divisors` (points and cohomology of divisors), and `full` (intersection
numbers, triangulation, Mori rows, a Kaehler point).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from vacuagym.geometry.polytopes.bases import divisor_basis
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.hypersurface import Hypersurface
from vacuagym.geometry.polytopes.integers import BoolArray, FloatArray, IntArray
from vacuagym.geometry.polytopes.intersections import (
    IntersectionNumbers,
    intersection_numbers,
    is_diagonal_del_pezzo,
)
from vacuagym.geometry.polytopes.kaehler import kaehler_point
from vacuagym.geometry.polytopes.triangulation import star_triangulation
from vacuagym.geometry.polytopes.two_faces import FaceTriangulation, triangulate_two_faces

Level = Literal["light", "divisors", "full"]


@dataclass(frozen=True, eq=False)
class Threefold(Hypersurface):
    """The hypersurface X with its intersection theory and a Kaehler class.

    Built by `from_weights` or `from_vertices`. Levels `light` and `divisors` are those of
    `Hypersurface`; this class adds level `full`.
    """

    def computed(self, level: Level) -> Self:
        """Return the threefold with the data of a level computed.

        Parameters
        ----------
        level
            `light`, `divisors` or `full`; each includes the ones before.
        """
        if level not in get_args(Level):
            raise ValueError(f"level: {level!r}; it must be 'light', 'divisors' or 'full'")
        _ = self.h11, self.h21, self.geometry_hash
        if level != "light":
            _ = self.divisor_h1, self.rigid_span
        if level == "full":
            _ = self.diagonal_dp, self.kaehler_point
        return self

    # Level `full`. Intersection numbers need the 2-faces only.

    @cached_property
    def faces(self) -> FaceTriangulation:
        """The triangulations of the 2-faces of N."""
        return triangulate_two_faces(self.divisors, self.pair.vertices_n, self.pair.vertices_m)

    @cached_property
    def kappa(self) -> IntersectionNumbers:
        """The intersection numbers of all D divisors."""
        numbers = intersection_numbers(self.divisors, self.faces)
        if numbers.euler != self.euler:
            raise TriangulationError(
                f"intersection numbers: c_3 is {numbers.euler}, the Euler characteristic is "
                f"{self.euler}; they must agree; report the polytope"
            )
        return numbers

    @property
    def c2(self) -> IntArray:
        """The second Chern class of X on each divisor, (D,)."""
        return self.kappa.c2

    @cached_property
    def diagonal_dp(self) -> BoolArray:
        """Whether each divisor is a diagonal del Pezzo surface, (D,)."""
        return is_diagonal_del_pezzo(self.kappa, self.rigid[self.divisors.point_of_divisor])

    @cached_property
    def _star(self) -> tuple[IntArray, IntArray]:
        return star_triangulation(self.divisors, self.faces)

    @property
    def heights(self) -> IntArray:
        """The integer heights of the points, (P,), that make the triangulated 2-faces regular."""
        return self.faces.heights

    @property
    def simplices(self) -> IntArray:
        """The fine regular star triangulation, (T, 4) indices of points without the origin."""
        return self._star[0]

    @property
    def mori(self) -> IntArray:
        """The relations of the points around each wall, (R, P), which generate the Mori cone."""
        return self._star[1]

    @cached_property
    def _basis(self) -> tuple[IntArray, IntArray]:
        return divisor_basis(self.divisors, self.simplices)

    @property
    def basis(self) -> IntArray:
        """The divisors of a Z-basis of all classes, (h11,), modulo torsion."""
        return self._basis[0]

    @property
    def charges(self) -> IntArray:
        """The classes of all divisors in the basis, (h11, D): columns are classes."""
        return self._basis[1]

    @cached_property
    def kaehler_point(self) -> FloatArray:
        """A class inside the Kaehler cone, (h11,) coefficients of the basis.

        All curves of `mori` have at least volume 1. The class is the restriction of a toric one,
        so components of one point have equal coefficients.
        """
        owner = self.divisors.point_of_divisor
        kept, column = np.unique(owner[self.basis], return_inverse=True)
        present = np.setdiff1d(kept, owner[np.setdiff1d(np.arange(len(owner)), self.basis)])
        point = np.zeros(len(self.points))
        point[present] = kaehler_point(self.mori[:, present])
        result: FloatArray = point[kept][column]
        return result

    def _coefficients(self, t: npt.ArrayLike) -> FloatArray:
        """Return a class (h11,) as coefficients of all divisors, (D,)."""
        given = np.asarray(t, dtype=np.float64)
        if given.shape != (self.h11,):
            raise ValueError(f"t: shape {given.shape}; one number for each of {self.h11} classes")
        coefficients = np.zeros(self.h11 + 4)
        coefficients[self.basis] = given
        return coefficients

    def volume(self, t: npt.ArrayLike) -> float:
        """Return the volume of X, kappa_ijk t_i t_j t_k / 6, for t (h11,) in the basis."""
        return self.kappa.cubic(self._coefficients(t))[0] / 6

    def divisor_volumes(self, t: npt.ArrayLike) -> FloatArray:
        """Return the volumes of all divisors, (D,): kappa_ijk t_j t_k / 2, for t (h11,)."""
        volumes: FloatArray = self.kappa.cubic(self._coefficients(t))[1] / 6
        return volumes

    def curve_volumes(self, t: npt.ArrayLike) -> FloatArray:
        """Return the volumes of the curves of the Mori rows, (R,), for t (h11,) in the basis.

        Each row is primitive; on a singular toric variety the curve of its wall may be a fraction.

        Raises
        ------
        ValueError
            If t differs between components of one point: then the toric rows do not decide it.
        """
        coefficients = self._coefficients(t)
        of_points = coefficients[self.divisors.first]
        if not np.array_equal(of_points[self.divisors.point_of_divisor], coefficients):
            raise ValueError(
                "t: components of one point have different coefficients; curve volumes are known "
                "for equal ones only; make them equal"
            )
        volumes: FloatArray = self.mori @ of_points
        return volumes
