"""Errors of this package. Each message says what was found, what is required and what to do."""

from __future__ import annotations


class PolytopeError(ValueError):
    """The input describes no reflexive polytope in four dimensions."""


class WeightSystemError(PolytopeError):
    """The input is no weight system of a Calabi-Yau threefold."""


class CoordinateRangeError(PolytopeError):
    """A computation with these coordinates might leave the range of 64-bit integers."""


class TriangulationError(PolytopeError):
    """The exact checks of a triangulation or of a basis of divisors failed."""
