"""Assign rows to folds."""
