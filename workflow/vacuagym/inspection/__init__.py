"""What people ask of a run. Reads only."""
