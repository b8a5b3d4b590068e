"""Checks of the rows of the KKLT theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.check import Check

_COUNTS = ("kklt_num_rigid", "kklt_num_candidates", "kklt_num_positive", "kklt_tight")
COLUMNS = ("moduli", "n_moduli", "kklt_reason", *_COUNTS, "kklt_v", "kklt_v_scale")
MEANINGS = {
    "kklt moduli": "n is the count of moduli, h11",
    "kklt reasons": "rows without a label, and only they, lack it for a reason; a failed label "
    "has one too",
    "kklt counts": "the label agrees with the numbers of rigid divisors and of candidates",
    "kklt volumes": "a first positive candidate has a positive volume for each of n + 4 divisors, "
    "and n or more of the least one",
}
_NO_LABEL = ("non_favourable", "out_of_range", "too_many_bases", "no_geometry")
_DIMENSION = 4


def check_rows(
    batch: pa.RecordBatch, sections: Mapping[str, Any], checks: Mapping[str, Check]
) -> None:
    """Note the rows of the KKLT theory that break a check of :data:`MEANINGS`."""
    keys = batch.column("key")
    label = batch.column("stability").to_numpy(zero_copy_only=False)
    reason = batch.column("kklt_reason").to_numpy(zero_copy_only=False)
    moduli, n, rigid, found, positive, tight = (
        pc.fill_null(batch.column(name), -1).to_numpy(zero_copy_only=False)
        for name in ("moduli", "n_moduli", *_COUNTS)
    )
    none = np.array([name is None for name in label], dtype=bool)
    checks["kklt moduli"].note(moduli != n, keys)
    given = np.isin(reason, _NO_LABEL) & ~((reason == "too_many_bases") & (label == "point"))
    broken = (reason == "incomplete_fan") != (label == "failed")
    checks["kklt reasons"].note((none != given) | broken, keys)
    uncounted = (reason == "too_many_bases") & (rigid == n + _DIMENSION) & (found == -1)
    agrees = np.select(
        [label == "no_span", np.isin(label, ("no_point", "boundary")), label == "point"],
        [
            (found == 0) & (positive == 0),
            (rigid >= n) & (found > 0) & (positive == 0),
            ((rigid >= n) & (found >= positive) & (positive > 0)) | uncounted,
        ],
        True,
    )
    checks["kklt counts"].note(~(agrees & ((rigid >= n) | none | (label == "no_span"))), keys)
    scale = pc.fill_null(batch.column("kklt_v_scale"), 0).to_numpy(zero_copy_only=False)
    volumes = batch.column("kklt_v").to_pylist()
    wrong = [
        not _is_positive_candidate(own, int(size), int(least), int(unit))
        if count > 0
        else own is not None
        for own, count, size, least, unit in zip(volumes, positive, n, tight, scale, strict=True)
    ]
    checks["kklt volumes"].note(np.array(wrong, dtype=bool), keys)


def _is_positive_candidate(volumes: list[int] | None, n: int, tight: int, unit: int) -> bool:
    return (
        volumes is not None
        and len(volumes) == n + _DIMENSION
        and min(volumes) > 0
        and n <= tight <= volumes.count(unit)
    )
