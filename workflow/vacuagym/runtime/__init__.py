"""What every process of the pipeline obeys."""
