"""The columns of the label table that the KKLT theory fills."""

from __future__ import annotations

from vacuagym.theories.kklt.classes import (
    CAUSES,
    NO_GEOMETRY,
    OUTCOMES,
    REASONS,
    STATUSES,
    UPLIFTS,
)
from vacuagym.theories.theory import Column

# Of the computed geometry: of level divisors for the label, of level full for the points.
READS = ("points", "divisor_h1", "divisor_h2", "basis", "charges", "kaehler_point", "euler")
_NO_DIVISORS = "no geometry, or h11 beyond geometry.divisors"
_NOT_COUNTED = "no label, or more bases of rigid divisors than kklt.max_bases"
_NO_POINT = "stability is not point, or a point that follows without its candidates"
_NOT_FULL = "no label, or h11 beyond geometry.full"
_NO_CANDIDATE = f"{_NOT_FULL}, or no positive candidate"
_NOT_INSIDE = f"{_NOT_FULL}, or kklt_toric is not inside"
_NOT_EXACT = f"{_NOT_INSIDE}, or kklt_vacuum is lost"
_STATUS = (
    "vacuum (all curves of X have a size), singular (some curve has size 0), lost (no point in the "
    "toric part: see kklt_cause)"
)

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
    Column(
        "kklt_num_points",
        "int16",
        "positive candidates whose point lies in the toric part of the Kähler cones",
        null=_NOT_FULL,
    ),
    Column(
        "kklt_toric",
        "category",
        "the best of all positive candidates at leading order: inside (the point is in the toric "
        "part), boundary (on its boundary), outside (a flop beyond it may have the point), failed",
        OUTCOMES,
        null=_NO_CANDIDATE,
    ),
    Column(
        "kklt_margin",
        "float64",
        "least curve of X on a wall that is no flop, over Vol^(1/3), at the end of that walk",
        null=_NO_CANDIDATE,
    ),
    Column("kklt_flips", "int16", "changes of the triangulation on it", null=_NO_CANDIDATE),
    Column("kklt_chambers", "int16", "chambers on it that needed a barrier", null=_NO_CANDIDATE),
    Column(
        "kklt_vacuum",
        "category",
        f"the exact supersymmetric point at |W₀| = kklt.w0: {_STATUS}",
        STATUSES,
        null=_NOT_INSIDE,
    ),
    Column(
        "kklt_vacuum_panel",
        "list<string>",
        "the same at each |W₀| of kklt.panel, in its order",
        null=_NOT_INSIDE,
    ),
    Column(
        "kklt_cause",
        "category",
        "why it is lost: cone (it leaves the Kähler cone), fold (it ends on the way to W₀), phases "
        "(no axions make all terms real), start, spurious (a root of the logarithms only)",
        CAUSES,
        null="kklt_vacuum is not lost",
    ),
    Column(
        "kklt_kaehler",
        "list<float64>",
        "Kähler class of the exact point in the basis of the geometry, in l_s², Einstein frame, "
        "for g_s c = 1; multiply curves by √(g_s c)",
        null=_NOT_EXACT,
    ),
    Column("kklt_min_curve", "float64", "the smallest curve of X there", null=_NOT_EXACT),
    Column("kklt_volume", "float64", "volume of X there", null=_NOT_EXACT),
    Column("kklt_tau_min", "float64", "volume of the smallest rigid divisor", null=_NOT_EXACT),
    Column("kklt_tau_max", "float64", "volume of the largest rigid divisor", null=_NOT_EXACT),
    Column(
        "kklt_log10_m32",
        "float64",
        "log₁₀ of the gravitino mass in M_p, up to the factor of g_s and K_cs",
        null=_NOT_EXACT,
    ),
    Column("kklt_log10_v_ads", "float64", "log₁₀ |V| there, V = −3 m²", null=_NOT_EXACT),
    Column(
        "kklt_signs",
        "list<int8>",
        "signs of the terms of W at real axions, one a rigid divisor, in the order of points",
        null=_NOT_EXACT,
    ),
    Column(
        "kklt_lambda_min",
        "float64",
        "least |λ|; the squared masses are λ² ± λ − 2 in units of m², so above 2 all is a minimum",
        null=_NOT_EXACT,
    ),
    Column(
        "kklt_tachyons_bf",
        "int16",
        "squared masses below 0; all are above the Breitenlohner–Freedman bound",
        null=_NOT_EXACT,
    ),
    Column(
        "kklt_uplift",
        "category",
        "D / Vol^(4/3) to V = 0.01 |V|: metastable, tachyonic, left_cone, or fold (the minimum is "
        "lost on the way)",
        UPLIFTS,
        null=_NOT_EXACT,
    ),
    Column(
        "kklt_alpha_ratio",
        "float64",
        "|ξ| g_s^(−3/2) / (2 Vol) at g_s = 0.1: size of the first α′ correction",
        null=_NOT_EXACT,
    ),
)
