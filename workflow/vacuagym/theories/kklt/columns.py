"""The columns of the label table that the KKLT theory fills."""

from __future__ import annotations

from vacuagym.theories.kklt.classes import NO_GEOMETRY, REASONS
from vacuagym.theories.theory import Column

READS = ("points", "divisor_h1", "divisor_h2")  # of the computed geometry
_NO_DIVISORS = "no geometry, or h11 beyond geometry.divisors"
_NOT_COUNTED = "no label, or more bases of rigid divisors than kklt.max_bases"
_NO_POINT = "stability is not point, or a point that follows without its candidates"

COLUMNS = (
    Column(
        "kklt_reason",
        "category",
        "why there is no label, or no count of candidates: non_favourable (a divisor has several "
        "components), out_of_range (h11 beyond geometry.divisors), too_many_bases (beyond "
        "kklt.max_bases), incomplete_fan (the label failed: the points are wrong), no_geometry "
        "(the row is no threefold)",
        (*REASONS, NO_GEOMETRY),
        null="there is a label, and the candidates are counted",
    ),
    Column(
        "kklt_num_rigid",
        "int16",
        "m, toric divisors with h¹ = h² = 0 of the structure sheaf; m < n gives no_span by "
        "definition",
        null=_NO_DIVISORS,
    ),
    Column(
        "kklt_num_candidates",
        "int32",
        "directions of the divisor volumes in which n independent rigid divisors have the least "
        "volume",
        null=_NOT_COUNTED,
    ),
    Column(
        "kklt_num_positive",
        "int32",
        "candidates in which every toric divisor has a volume above 0",
        null=_NOT_COUNTED,
    ),
    Column(
        "kklt_tight",
        "int16",
        "rigid divisors of the least volume at the first positive candidate",
        null=_NO_POINT,
    ),
    Column(
        "kklt_v",
        "list<int64>",
        "volumes of the divisors at the first positive candidate, times kklt_v_scale, in the "
        "order of points; 1 is the least volume of a rigid divisor",
        null=_NO_POINT,
    ),
    Column("kklt_v_scale", "int64", "common denominator of kklt_v", null=_NO_POINT),
)
