"""Define the Parquet tables of the pipeline, and read and write them in bounded memory."""
