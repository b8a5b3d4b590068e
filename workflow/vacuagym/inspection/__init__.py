"""Inspection of a run: status, explanations, potentials, notebooks. It only reads."""
