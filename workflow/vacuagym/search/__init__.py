"""From potentials to labels: batched solvers, classification, barriers. Arrays only, no files."""
