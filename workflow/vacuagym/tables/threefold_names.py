"""The names of the computed columns of tables of threefolds. Needs no Arrow."""

WEIGHTS = "weights"  # of enumerated weight systems
IDENTITY_NAMES = ("namespace", "geometry_id")
_PROBLEM = ("problem",)
_LIGHT = ("geometry_hash", "side", "h11", "h21", "euler", "num_points_m", "num_vertices_m")
_LIGHT_OF_N = ("num_points_n", "num_vertices_n", "favourable")
_DIVISORS = ("points", "copies", "divisor_h1", "divisor_h2", "rigid_span")
_FULL = ("basis", "charges", "c2", "kappa_index", "kappa_value", "mori", "kaehler_point")
POLYTOPE_NAMES = (
    *IDENTITY_NAMES,
    *_PROBLEM,
    *_LIGHT,
    *_LIGHT_OF_N,
    *_DIVISORS,
    *_FULL,
    "diagonal_dp",
)
_CICY = ("geometry_hash", "h11", "h21", "euler", "num_divisors", "favourable", "product")
CICY_NAMES = (*IDENTITY_NAMES, *_PROBLEM, *_CICY, "c2", "kappa_index", "kappa_value")
