"""Theories: each labels a batch of geometries. Arrays only."""
