"""Check the label table row by row, and count its labels.

The checks do not use the code that made the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vacuagym.checks.check import ENOUGH, Check, Thresholds
from vacuagym.checks.split_checks import MOST_MODULI
from vacuagym.tables.parquet import open_parquet, read_batches
from vacuagym.theories.toy.classes import LABELS, REGIMES

_FAILED = LABELS.index("failed")
_Integers = npt.NDArray[np.int64]
_SIGNS = ("negative", "zero", "positive")  # of γ
_NUMBERS = ("potential_value", "grad_norm", "min_eigenvalue", "max_eigenvalue", "phi_norm")
_COLUMNS = (
    "key",
    "dataset",
    "namespace",
    "geometry_id",
    "n_moduli",
    "stability",
    "minimization_success",
    *_NUMBERS,
    "n_negative",
    "n_positive",
    "n_flat",
    "gamma",
    "barrier_height",
    "regime",
    *(f"{kind}_{label}" for kind in ("trials", "draws") for label in LABELS),
)


def check_labels(
    labels: Path, datasets: Iterable[str], search: Mapping[str, Any], thresholds: Thresholds
) -> tuple[dict[str, Any], list[Check]]:
    """Return the figures of each data set of a label table, and the checks of its rows.

    Parameters
    ----------
    datasets : iterable of str
        Names of the data sets.
    search : mapping
        Section ``search`` of the settings of the labels.

    Returns
    -------
    figures : dict
        Counts of labels, and bits, of each data set.
    checks : list of Check
        Checks of rows, then checks of the shares of labels.
    """
    checks = _row_checks()
    tables = {name: _Counts() for name in sorted(datasets)}
    for batch in _in_order(labels, checks["order"]):
        _check_rows(batch, search, checks)
        _count(batch, tables)
    counts = {name: table.by_n for name, table in tables.items()}
    figures = {name: table.figures() for name, table in tables.items()}
    return figures, [*checks.values(), *_balance_checks(counts, thresholds)]


def _row_checks() -> dict[str, Check]:
    meanings = {
        "order": "rows are sorted by data set, namespace, id, and no key occurs twice",
        "finite": "V, |∇V|, the extreme eigenvalues and |φ| of every critical point are finite "
        "numbers",
        "gradient": "|∇V| ≤ grad_tol (1 + |V|) at every critical point",
        "index": "negative + positive + flat eigenvalues = n",
        "signs": "the label agrees with the signs of the Hessian eigenvalues and of γ",
        "trials": "the trials of each row add up to draws × restarts",
        "draws": "the draws of each row add up to n_samples",
        "barriers": "metastable vacua, and only they, have a barrier height, and it is not "
        "negative",
    }
    return {name: Check(name, meaning) for name, meaning in meanings.items()}


def _in_order(labels: Path, check: Check) -> Iterator[pa.RecordBatch]:
    """Yield the batches of the label table, and compare each row with the row before it."""
    before: tuple[str, str, int] | None = None
    for batch in read_batches(open_parquet(labels), labels, _COLUMNS):
        places = zip(
            batch.column("dataset").dictionary_decode().to_pylist(),
            [name or "" for name in batch.column("namespace").to_pylist()],
            batch.column("geometry_id").to_pylist(),
            strict=True,
        )
        wrong = np.zeros(len(batch), bool)
        for row, place in enumerate(places):
            wrong[row] = before is not None and place <= before
            before = place
        check.note(wrong, batch.column("key"))
        yield batch


def _check_rows(
    batch: pa.RecordBatch, search: Mapping[str, Any], checks: Mapping[str, Check]
) -> None:
    keys = batch.column("key")
    column = {
        name: batch.column(name).to_numpy(zero_copy_only=False)
        for name in _COLUMNS[4:]
        if name not in ("stability", "regime")
    }
    column |= {
        name: column[name].astype(float)
        for name in (*_NUMBERS, "n_negative", "n_positive", "n_flat", "barrier_height")
    }
    label = np.array(LABELS)[batch.column("stability").indices.to_numpy()]
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


class _Counts:
    """Rows of a data set by label and n, by label and regime, and by label and sign of γ."""

    def __init__(self) -> None:
        self.by_n = np.zeros((MOST_MODULI + 1, len(LABELS)), np.int64)
        self.by_regime = np.zeros((len(REGIMES), len(LABELS)), np.int64)
        self.by_gamma = np.zeros((len(_SIGNS), len(LABELS)), np.int64)

    def figures(self) -> dict[str, Any]:
        """Return the counts by name, and the bits of a label that n tells."""
        sizes = np.flatnonzero(self.by_n.sum(axis=1))
        return {
            "rows": int(self.by_n.sum()),
            "by_label": _named(self.by_n.sum(axis=0)),
            "by_n": {int(n): _named(self.by_n[n]) for n in sizes},
            "by_regime": {
                name: _named(row) for name, row in zip(REGIMES, self.by_regime, strict=True)
            },
            "by_gamma": {
                name: _named(row) for name, row in zip(_SIGNS, self.by_gamma, strict=True)
            },
            "bits": label_bits(self.by_n[sizes]),
        }


def _named(row: _Integers) -> dict[str, int]:
    return dict(zip(LABELS, row.tolist(), strict=True))


def _count(batch: pa.RecordBatch, tables: Mapping[str, _Counts]) -> None:
    datasets = np.array(batch.column("dataset").dictionary_decode().to_pylist())
    n, code = batch.column("n_moduli").to_numpy(), batch.column("stability").indices.to_numpy()
    regime = batch.column("regime").indices.to_numpy()
    sign = np.sign(batch.column("gamma").to_numpy()).astype(int) + 1
    for name in np.unique(datasets):
        here, table = datasets == name, tables[str(name)]
        for counts, group in ((table.by_n, n), (table.by_regime, regime), (table.by_gamma, sign)):
            np.add.at(counts, (group[here], code[here]), 1)


def label_bits(by_n: _Integers) -> dict[str, float]:
    """Return the entropy of a label and its mutual information with n, in bits.

    Parameters
    ----------
    by_n : array of int
        Counts, shape (n, labels), without rows of zeros.

    Returns
    -------
    dict of str to float
        ``label``, ``label_and_n`` and ``chance``. ``chance`` is the mean of ``label_and_n`` if n
        told nothing (Miller and Madow).
    """
    total = max(1, int(by_n.sum()))
    labels = int(np.count_nonzero(by_n.sum(axis=0)))
    chance = max(0, len(by_n) - 1) * max(0, labels - 1) / (2 * total * np.log(2))
    entropy = _entropy(by_n.sum(axis=0) / total)
    mutual = entropy + _entropy(by_n.sum(axis=1) / total) - _entropy(by_n.ravel() / total)
    return {
        name: round(float(bits), 6)
        for name, bits in (
            ("label", entropy),
            ("label_and_n", max(0.0, mutual)),
            ("chance", chance),
        )
    }


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    """Return the entropy of shares in bits."""
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def _balance_checks(counts: Mapping[str, _Integers], thresholds: Thresholds) -> Iterator[Check]:
    for name, table in counts.items():
        rows, failed = int(table.sum()), int(table[:, _FAILED].sum())
        # One failed row of a small table says little. A table of failed rows only is wrong.
        allowed = max(1, int(thresholds.failed_share * rows))
        meaning = f"at most {thresholds.failed_share:g} of the rows failed, or one row of few"
        yield Check(
            f"failures of {name}",
            meaning,
            failed <= allowed and failed < rows,
            round(failed / rows, 6),
        )
        if rows < ENOUGH:
            continue
        largest = round(float(table.sum(axis=0).max() / rows), 6)
        meaning = f"no label has more than {thresholds.largest_class:g} of the rows"
        yield Check(f"balance of {name}", meaning, largest <= thresholds.largest_class, largest)
