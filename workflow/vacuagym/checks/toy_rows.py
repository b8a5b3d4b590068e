"""Checks of the rows of the toy theory, which do not use the code that made the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.checks.check import Check
from vacuagym.theories.toy.classes import LABELS

_NUMBERS = ("potential_value", "grad_norm", "min_eigenvalue", "max_eigenvalue", "phi_norm")
COLUMNS = (
    "n_moduli",
    "minimization_success",
    *_NUMBERS,
    "n_negative",
    "n_positive",
    "n_flat",
    "gamma",
    "barrier_height",
    *(f"{kind}_{label}" for kind in ("trials", "draws") for label in LABELS),
)
MEANINGS = {
    "finite": "V, |∇V|, the extreme eigenvalues and |φ| of every critical point are finite numbers",
    "gradient": "|∇V| ≤ grad_tol (1 + |V|) at every critical point",
    "index": "negative + positive + flat eigenvalues = n",
    "signs": "the label agrees with the signs of the Hessian eigenvalues and of γ",
    "trials": "the trials of each row add up to draws × restarts",
    "draws": "the draws of each row add up to n_samples",
    "barriers": "metastable vacua, and only they, have a barrier height, and it is not negative",
}


def check_rows(
    batch: pa.RecordBatch, sections: Mapping[str, Any], checks: Mapping[str, Check]
) -> None:
    """Note the rows of the toy theory that break a check of :data:`MEANINGS`."""
    search, keys = sections["search"], batch.column("key")
    column = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS}
    column |= {
        name: column[name].astype(float)
        for name in (*_NUMBERS, "n_negative", "n_positive", "n_flat", "barrier_height")
    }
    label = batch.column("stability").to_numpy(zero_copy_only=False)
    found = column["minimization_success"].astype(bool)
    checks["finite"].note(
        found & ~np.all([np.isfinite(column[name]) for name in _NUMBERS], axis=0), keys
    )
    limit = search["grad_tol"] * (1.0 + np.abs(column["potential_value"])) * (1.0 + 1e-12)
    checks["gradient"].note(found & ~(column["grad_norm"] <= limit), keys)
    negative, positive, flat = (column[f"n_{sign}"] for sign in ("negative", "positive", "flat"))
    checks["index"].note(found & (negative + positive + flat != column["n_moduli"]), keys)
    minimum = (negative == 0) & (flat == 0)
    by_signs = np.select(
        [
            ~found,
            minimum & (column["gamma"] < 0),
            minimum,
            (negative > 0) & (positive > 0),
            (positive == 0) & (flat == 0),
        ],
        ["none", "metastable", "stable", "saddle", "unstable"],
        "marginal",
    )
    missed = ~found & np.isin(label, ("runaway", "failed"))
    unstable_direction = (label == "metastable") & (by_signs == "stable") & (column["gamma"] == 0)
    checks["signs"].note(~((label == by_signs) | missed | unstable_direction), keys)
    for kind, total in (
        ("trials", search["n_samples"] * search["n_restarts"]),
        ("draws", search["n_samples"]),
    ):
        checks[kind].note(sum(column[f"{kind}_{name}"] for name in LABELS) != total, keys)
    barrier = column["barrier_height"]
    checks["barriers"].note(
        np.where(label == "metastable", ~(barrier >= 0.0), ~np.isnan(barrier)), keys
    )
