"""What Snakemake's own process asks. Imports no Arrow."""
