"""The stages of the pipeline, one module each: the only modules that read and write its tables."""
