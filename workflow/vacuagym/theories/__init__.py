"""Theories: each labels a batch of geometries. They work on arrays only."""
