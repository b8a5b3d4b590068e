"""How many rows a row group of our large tables has."""

ROW_GROUP = 8192  # rows; part of the file's bytes, so the same for every shard size
