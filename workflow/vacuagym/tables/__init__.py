"""Our Parquet tables: schemas, reading and writing in bounded memory."""
