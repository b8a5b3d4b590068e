"""Define the stages of the pipeline, one in each module. Stages read and write files."""
