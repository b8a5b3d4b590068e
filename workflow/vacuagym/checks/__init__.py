"""Evidence that the results are right."""
