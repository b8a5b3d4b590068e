"""Errors of this package. Each message says what was found, what is required and what to do.

`problem` names in a few words why an input is no threefold.
"""

from __future__ import annotations


class PolytopeError(ValueError):
    """The input describes no reflexive polytope in four dimensions."""

    problem = "not reflexive"


class VertexError(PolytopeError):
    """The input is no list of lattice points in four dimensions."""

    problem = "no list of vertices"


class DimensionError(PolytopeError):
    """The points lie in a subspace of dimension below 4."""

    problem = "not four-dimensional"


class WeightSystemError(PolytopeError):
    """The input is no weight system of a Calabi-Yau threefold."""

    problem = "no weight system"


class CoordinateRangeError(PolytopeError):
    """A computation with these coordinates might leave the range of 64-bit integers."""

    problem = "too large"


class TriangulationError(PolytopeError):
    """The exact checks of a triangulation or of a basis of divisors failed."""
