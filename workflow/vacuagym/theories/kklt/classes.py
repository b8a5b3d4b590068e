"""Names of the KKLT theory: labels, reasons for none. This module imports nothing."""

CLASSES = ("no_span", "no_point", "boundary", "point", "failed")
NO_SPAN, NO_POINT, BOUNDARY, POINT, FAILED = range(len(CLASSES))
REASONS = ("non_favourable", "out_of_range", "too_many_bases", "incomplete_fan")
# the reason of a row that is no threefold: nothing to label, so no reason of a label
NO_GEOMETRY = "no_geometry"
NON_FAVOURABLE, OUT_OF_RANGE, TOO_MANY_BASES, INCOMPLETE_FAN = range(len(REASONS))

# Where the point of a candidate lies.
OUTCOMES = ("inside", "boundary", "outside", "failed")
# What becomes of the exact point, and why it is lost.
STATUSES = ("vacuum", "singular", "lost")
CAUSES = ("cone", "fold", "phases", "start", "spurious")
# What becomes of it under the uplift.
UPLIFTS = ("metastable", "tachyonic", "left_cone", "fold")
