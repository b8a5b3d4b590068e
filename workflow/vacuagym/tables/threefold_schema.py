"""The columns of tables of threefolds: of reflexive polytopes, and of CICYs."""

from __future__ import annotations

import pyarrow as pa

from vacuagym.tables.columns import Column, schema_of

_INTEGERS, _BYTES = pa.list_(pa.int32()), pa.list_(pa.int8())
_TRIPLES = pa.list_(pa.list_(pa.int16(), 3))
_BEYOND = "h11 beyond the limit of this level; or see problem"
_PROBLEM = "see problem"

IDENTITY = (
    Column("namespace", pa.string(), "namespace of the row", null="the data set has no namespaces"),
    Column("geometry_id", pa.int64(), "id of the row"),
)
PROBLEM = Column(
    "problem",
    pa.string(),
    "why the input is no threefold: then all columns below are null",
    null="it is a threefold",
)
LIGHT = (
    Column(
        "geometry_hash",
        pa.string(),
        "identity of the geometry: equal where N is isomorphic",
        null=_PROBLEM,
    ),
    Column(
        "side",
        pa.string(),
        "whose divisors are taken: weights (points of N), or mirror",
        null=_PROBLEM,
    ),
    Column("h11", pa.int16(), "Hodge number h11 of X (Batyrev)", null=_PROBLEM),
    Column("h21", pa.int16(), "Hodge number h21 of X", null=_PROBLEM),
    Column("euler", pa.int16(), "Euler number of X, 2 (h11 − h21)", null=_PROBLEM),
    Column(
        "num_points_m", pa.int32(), "lattice points of M, before sides are swapped", null=_PROBLEM
    ),
    Column("num_vertices_m", pa.int16(), "vertices of M", null=_PROBLEM),
    Column("num_points_n", pa.int32(), "lattice points of N", null=_PROBLEM),
    Column("num_vertices_n", pa.int16(), "vertices of N", null=_PROBLEM),
    Column(
        "favourable",
        pa.bool_(),
        "whether toric divisors span H²: no point has copies",
        null=_PROBLEM,
    ),
)
DIVISORS = (
    Column(
        "points",
        pa.list_(pa.list_(pa.int32(), 4)),
        "points of N that are divisors of X, in canonical coordinates",
        null=_BEYOND,
    ),
    Column("copies", _BYTES, "components of each point's divisor", null=_BEYOND),
    Column("divisor_h1", _INTEGERS, "h¹ of the structure sheaf of a component", null=_BEYOND),
    Column("divisor_h2", _INTEGERS, "h² of the structure sheaf of a component", null=_BEYOND),
    Column("rigid_span", pa.bool_(), "whether the rigid divisors span H²", null=_BEYOND),
)
INTERSECTIONS = (
    Column(
        "c2", _INTEGERS, "c₂·D of each divisor D; of a point with copies, of each", null=_BEYOND
    ),
    Column("kappa_index", _TRIPLES, "divisors i ≤ j ≤ k that intersect, from 0", null=_BEYOND),
    Column("kappa_value", _INTEGERS, "their triple intersection numbers", null=_BEYOND),
)
FULL = (
    Column("basis", _INTEGERS, "divisors that are a Z-basis of the classes, (h11,)", null=_BEYOND),
    Column(
        "charges",
        pa.list_(_INTEGERS),
        "classes of all divisors in the basis: h11 lists, one number a divisor",
        null=_BEYOND,
    ),
    *INTERSECTIONS,
    Column(
        "mori",
        pa.list_(_INTEGERS),
        "generators of the Mori cone of one triangulation: one number a point",
        null=_BEYOND,
    ),
    Column(
        "kaehler_point",
        pa.list_(pa.float64()),
        "a class in the Kähler cone, in the basis: all curves of mori have volume ≥ 1",
        null=_BEYOND,
    ),
    Column(
        "diagonal_dp",
        pa.list_(pa.bool_()),
        "whether each divisor is a diagonal del Pezzo surface",
        null=_BEYOND,
    ),
)
POLYTOPE_COLUMNS = (*IDENTITY, PROBLEM, *LIGHT, *DIVISORS, *FULL)
POLYTOPE_SCHEMA = schema_of(POLYTOPE_COLUMNS)

CICY_COLUMNS = (
    *IDENTITY,
    PROBLEM,
    Column(
        "geometry_hash",
        pa.string(),
        "hash of invariants of (h, χ, c₂, κ) under permutations",
        null=_PROBLEM,
    ),
    Column("h11", pa.int16(), "Hodge number h11, as given", null="not given; or see problem"),
    Column("h21", pa.int16(), "Hodge number h21, as given", null="not given; or see problem"),
    Column("euler", pa.int16(), "Euler number, from c₃", null=_PROBLEM),
    Column("num_divisors", pa.int16(), "ambient divisors J: rows of the matrix", null=_PROBLEM),
    Column(
        "favourable",
        pa.bool_(),
        "whether the J span H²",
        null="Hodge numbers not given; or see problem",
    ),
    Column(
        "product", pa.bool_(), "whether it is a product, of T² and K3 or of three T²", null=_PROBLEM
    ),
    Column("c2", _INTEGERS, "c₂·J of each ambient divisor", null=_PROBLEM),
    Column(
        "kappa_index", _TRIPLES, "ambient divisors i ≤ j ≤ k that intersect, from 0", null=_PROBLEM
    ),
    Column("kappa_value", _INTEGERS, "their triple intersection numbers", null=_PROBLEM),
)
CICY_SCHEMA = schema_of(CICY_COLUMNS)
