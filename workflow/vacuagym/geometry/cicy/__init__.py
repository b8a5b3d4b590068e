"""Complete intersection Calabi-Yau (CICY) threefolds in products of projective spaces."""

from vacuagym.geometry.cicy.topologies import CicyTopologies, cicy_topologies

__all__ = ["CicyTopologies", "cicy_topologies"]
