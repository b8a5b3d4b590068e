"""Hypersurfaces of reflexive polytopes: identity, Hodge numbers, divisors and their cohomology."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Self, get_args

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
from vacuagym.geometry.polytopes.integers import BoolArray, IntArray
from vacuagym.geometry.polytopes.lattice import (
    ReflexivePair,
    pair_from_newton_points,
    pair_from_vertices,
    reduced_coordinates,
)
from vacuagym.geometry.polytopes.weight_systems import newton_points, parse_weight_system

Side = Literal["weights", "mirror"]


@dataclass(frozen=True, eq=False)
class Hypersurface:
    """The generic hypersurface X whose toric divisors are lattice points of the polytope N.

    Two hypersurfaces of equal `geometry_hash` have equal data, also from different inputs. All
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
    def from_weights(cls, source: str | Iterable[int], side: Side = "weights") -> Self:
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
    def from_vertices(cls, vertices: npt.ArrayLike, side: Side = "weights") -> Self:
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
    def _from_pair(cls, pair: ReflexivePair, side: Side) -> Self:
        if side not in get_args(Side):
            raise ValueError(f"side: {side!r}; it must be 'weights' or 'mirror'; choose one")
        return cls(
            pair if side == "weights" else pair.swapped(),
            len(pair.points_m),
            len(pair.vertices_m),
            len(pair.points_n),
            len(pair.vertices_n),
        )

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
