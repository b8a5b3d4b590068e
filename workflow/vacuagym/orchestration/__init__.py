"""Code of Snakemake's own process: plans, locks, fingerprints. It imports no Arrow."""
