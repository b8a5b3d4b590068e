"""Define the number of rows in a row group of the large tables."""

ROW_GROUP = 8192  # rows; it changes the bytes of a file, so it does not depend on the shard size
