"""Define the columns of the table of toric bases."""

from __future__ import annotations

import pyarrow as pa

from vacuagym.tables.columns import Column, schema_of

_INTEGERS = pa.list_(pa.int8())
COLUMNS = (
    Column(
        "base_id",
        pa.int64(),
        "id of the base: its place in the order by number of rays, then canonical form",
    ),
    Column(
        "num_nodes", pa.int16(), "rays of the fan, which are also the curves of the toric divisor"
    ),
    Column(
        "T",
        pa.int16(),
        "tensor multiplets: num_nodes − 3, and 3, 2, 1 more for each curve of "
        "−9, −10, −11 (points to blow up on it)",
    ),
    Column(
        "h11", pa.int16(), "Hodge number of the generic elliptic Calabi–Yau threefold over the base"
    ),
    Column("h21", pa.int16(), "the other Hodge number of it"),
    Column(
        "self_intersections",
        _INTEGERS,
        "of the curves, in canonical form; the lists below are in its order",
    ),
    Column("rays", pa.list_(pa.list_(pa.int32(), 2)), "the rays of the fan, as pairs of integers"),
    Column(
        "ord_f", _INTEGERS, "order of vanishing of the Weierstrass coefficient f along each curve"
    ),
    Column(
        "ord_g", _INTEGERS, "order of vanishing of the Weierstrass coefficient g along each curve"
    ),
    Column("num_f", pa.int16(), "monomials of f"),
    Column("num_g", pa.int16(), "monomials of g"),
    Column("euler", pa.int16(), "Euler number of the generic threefold, 2 (h11 − h21)"),
    Column("k2", pa.int16(), "K² of the base: 12 − num_nodes"),
    Column(
        "smooth_weierstrass", pa.bool_(), "whether the Weierstrass model is smooth: no curve < −2"
    ),
    Column(
        "extra_blow_ups",
        pa.int16(),
        "points to blow up on curves of −9, −10, −11: T − num_nodes + 3",
    ),
    Column(
        "gauge_algebras",
        pa.list_(pa.string()),
        "non-Higgsable gauge algebra on each curve (Morrison and Taylor, arXiv:1201.1943)",
    ),
)
SCHEMA = schema_of(COLUMNS)
