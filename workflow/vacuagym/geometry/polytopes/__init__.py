"""Calabi-Yau threefolds of reflexive polytopes, from weight systems or vertices: arrays only."""
