"""A Calabi-Yau threefold from a reflexive polytope: everything that is computed exactly for it.

`Threefold` computes its data on first use. Three levels differ in cost: `light` (Hodge numbers,
counts, identity), `divisors` (points and cohomology of divisors), and `full` (intersection
numbers, triangulation, Mori rows, a Kaehler point).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from vacuagym.geometry.polytopes.canonical_form import (
    CanonicalForm,
    canonical_form,
    geometry_hash,
)
from vacuagym.geometry.polytopes.divisors import (
    ToricDivisors,
    divisor_cohomology,
    picard_number,
    rigid_divisors,
    rigid_divisors_span,
    toric_divisors,
)
from vacuagym.geometry.polytopes.errors import TriangulationError
from vacuagym.geometry.polytopes.integers import BoolArray, FloatArray, IntArray
from vacuagym.geometry.polytopes.intersections import (
    IntersectionNumbers,
    intersection_numbers,
    is_diagonal_del_pezzo,
)
from vacuagym.geometry.polytopes.lattice import (
    ReflexivePair,
    pair_from_newton_points,
    pair_from_vertices,
    reduced_coordinates,
)
from vacuagym.geometry.polytopes.triangulation import (
    divisor_basis,
    kaehler_point,
    star_triangulation,
)
from vacuagym.geometry.polytopes.two_faces import FaceTriangulation, triangulate_two_faces
from vacuagym.geometry.polytopes.weight_systems import newton_points, parse_weight_system

Side = Literal["weights", "mirror"]
Level = Literal["light", "divisors", "full"]


@dataclass(frozen=True, eq=False)
class Threefold:
    """The generic hypersurface X whose toric divisors are lattice points of the polytope N.

    Two threefolds of equal `geometry_hash` have equal data, whatever input they came from. All
    points are in canonical coordinates of N, in lexicographic order. P counts the points that are
    divisors of X, D their components ('divisors'), and h^{1,1} = D - 4.

    Attributes
    ----------
    given
        The pair M, N in the coordinates of the input.
    num_points_m, num_vertices_m, num_points_n, num_vertices_n
        Counts of the input polytope and its dual, before `side` exchanges them.
    """

    given: ReflexivePair = field(repr=False)
    num_points_m: int
    num_vertices_m: int
    num_points_n: int
    num_vertices_n: int

    @classmethod
    def from_weights(cls, source: str | Iterable[int], side: Side = "weights") -> Threefold:
        """Return the threefold of a weight system, or its mirror.

        Parameters
        ----------
        source
            Text or integers 'd w_1 ... w_n', one block after the other.
        side
            `weights`: divisors of X are points of the dual N of the Newton polytope; `mirror`:
            they are points of the Newton polytope.

        Raises
        ------
        WeightSystemError
            If the source is no weight system.
        PolytopeError
            If its Newton polytope is not reflexive.
        """
        return cls._from_pair(
            pair_from_newton_points(newton_points(parse_weight_system(source))), side
        )

    @classmethod
    def from_vertices(cls, vertices: npt.ArrayLike, side: Side = "weights") -> Threefold:
        """Return the threefold of a reflexive polytope M, or its mirror.

        Parameters
        ----------
        vertices
            Vertices of M, (V, 4) integers in any basis of its lattice.
        side
            `weights`: divisors of X are points of the dual N of M; `mirror`: points of M.

        Raises
        ------
        PolytopeError
            If the points are no vertices of a reflexive polytope.
        """
        return cls._from_pair(pair_from_vertices(vertices), side)

    @classmethod
    def _from_pair(cls, pair: ReflexivePair, side: Side) -> Threefold:
        if side not in get_args(Side):
            raise ValueError(f"side: {side!r}; it must be 'weights' or 'mirror'; choose one")
        return cls(
            pair if side == "weights" else pair.swapped(),
            len(pair.points_m),
            len(pair.vertices_m),
            len(pair.points_n),
            len(pair.vertices_n),
        )

    def computed(self, level: Level) -> Threefold:
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

    # Level `light`.

    @cached_property
    def _form(self) -> CanonicalForm:
        return canonical_form(self.given.vertices_n, self.given.vertices_m)

    @cached_property
    def _given_divisors(self) -> ToricDivisors:
        return toric_divisors(self.given.points_n, self.given.vertices_m)

    @cached_property
    def geometry_hash(self) -> str:
        """The identity of the geometry: equal exactly if N is isomorphic."""
        return geometry_hash(self._form)

    @cached_property
    def h11(self) -> int:
        """The Hodge number h^{1,1} of X."""
        return picard_number(self._given_divisors)

    @cached_property
    def h21(self) -> int:
        """The Hodge number h^{2,1} of X, which is h^{1,1} of its mirror."""
        return picard_number(toric_divisors(self.given.points_m, self.given.vertices_n))

    @property
    def euler(self) -> int:
        """The Euler characteristic of X, 2 (h^{1,1} - h^{2,1})."""
        return 2 * (self.h11 - self.h21)

    @cached_property
    def favourable(self) -> bool:
        """Whether toric divisors span all classes: no point has more than one component."""
        return bool((self._given_divisors.copies == 1).all())

    # Level `divisors`.

    @cached_property
    def pair(self) -> ReflexivePair:
        """The pair M, N in canonical coordinates."""
        in_form = self.given.transformed(self._form.transform)
        return in_form.transformed(reduced_coordinates(self._form.vertices))

    @cached_property
    def divisors(self) -> ToricDivisors:
        """The points that are divisors, in canonical coordinates."""
        return toric_divisors(self.pair.points_n, self.pair.vertices_m)

    @property
    def points(self) -> IntArray:
        """The points of N that are divisors, (P, 4)."""
        return self.divisors.points

    @property
    def copies(self) -> IntArray:
        """The number of components of each point, (P,)."""
        return self.divisors.copies

    @cached_property
    def _cohomology(self) -> tuple[IntArray, IntArray]:
        pair = self.pair
        return divisor_cohomology(self.divisors, pair.points_m, pair.vertices_n, pair.vertices_m)

    @property
    def divisor_h1(self) -> IntArray:
        """h^1 of the structure sheaf of a component of each point, (P,)."""
        return self._cohomology[0]

    @property
    def divisor_h2(self) -> IntArray:
        """h^2 of the structure sheaf of a component of each point, (P,)."""
        return self._cohomology[1]

    @cached_property
    def rigid(self) -> BoolArray:
        """Whether the components of each point are rigid, (P,)."""
        return rigid_divisors(*self._cohomology)

    @cached_property
    def rigid_span(self) -> bool:
        """Whether the rigid components span all classes of divisors."""
        return rigid_divisors_span(self.divisors, self.rigid)

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
