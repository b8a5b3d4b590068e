"""Tables computed from first principles: arrays only, no files."""

SMOOTH_TORIC_BASES = 61_539  # Morrison and Taylor, arXiv:1204.0283
