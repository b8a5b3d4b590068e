"""Second computations of the geometry tables, by other methods and without code in common."""
