"""Check the results of a run."""
