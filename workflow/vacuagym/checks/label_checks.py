"""Check the label table row by row, and count its labels.

The checks do not use the code that made the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.check import ENOUGH, Check, Thresholds
from vacuagym.checks.registry import CHECKS
from vacuagym.checks.split_checks import MOST_MODULI
from vacuagym.tables.label_table import category_codes
from vacuagym.tables.parquet import open_parquet, read_batches
from vacuagym.theories.registry import FAILED, STABILITY, THEORIES
from vacuagym.theories.toy.classes import REGIMES

_Integers = npt.NDArray[np.int64]
_SIGNS = ("negative", "zero", "positive")  # of γ
_COUNTED = ("key", "dataset", "namespace", "geometry_id", "theory", "n_moduli", "stability")
_OF_TOY = ("regime", "gamma")


def check_labels(
    labels: Path, theories: Mapping[str, str], physics: Mapping[str, Any], thresholds: Thresholds
) -> tuple[dict[str, Any], list[Check]]:
    """Return the figures of each data set of a label table, and the checks of its rows.

    Parameters
    ----------
    theories : mapping of str to str
        The theory of each data set.
    physics : mapping
        Settings of the labels.

    Returns
    -------
    figures : dict
        Counts of labels, and bits, of each data set.
    checks : list of Check
        Checks of rows, then checks of the shares of labels.
    """
    own = [name for name in THEORIES if name in theories.values()]
    checks = {
        "order": Check(
            "order", "rows are sorted by data set, namespace, id, and no key occurs twice"
        )
    }
    for name in own:
        meanings = CHECKS[name].meanings
        checks |= {check: Check(check, meaning) for check, meaning in meanings.items()}
    names = dict.fromkeys([*_COUNTED, *_OF_TOY, *(c for name in own for c in CHECKS[name].columns)])
    names |= dict.fromkeys(THEORIES[name].reason for name in own if THEORIES[name].reason)
    tables = {name: _Counts(theory) for name, theory in sorted(theories.items())}
    for batch in _in_order(labels, [*names], checks["order"]):
        for name in own:
            rows = batch.filter(pc.equal(batch.column("theory").dictionary_decode(), name))
            if len(rows):
                CHECKS[name].check_rows(rows, physics, checks)
        _count(batch, tables)
    figures = {name: table.figures() for name, table in tables.items()}
    return figures, [*checks.values(), *_balance_checks(tables, thresholds)]


def _in_order(labels: Path, names: list[str], check: Check) -> Iterator[pa.RecordBatch]:
    """Yield the batches of the label table, and compare each row with the row before it."""
    before: tuple[str, str, int] | None = None
    for batch in read_batches(open_parquet(labels), labels, names):
        places = pa.table(
            {
                "dataset": batch.column("dataset").dictionary_decode(),
                "namespace": pc.fill_null(batch.column("namespace"), ""),
                "geometry_id": batch.column("geometry_id"),
            }
        )
        first, last = (
            tuple(places.slice(row, 1).to_pylist()[0].values()) for row in (0, len(batch) - 1)
        )
        wrong = np.ones(len(batch), bool)
        wrong[0] = before is not None and first <= before
        wrong[1:] = ~_is_after(places.slice(1), places.slice(0, len(batch) - 1))
        check.note(wrong, batch.column("key"))
        before = last
        yield batch


def _is_after(rows: pa.Table, before: pa.Table) -> npt.NDArray[np.bool_]:
    """Return whether each row comes after the row at the same position, shape (rows,)."""
    after, equal = np.zeros(len(rows), bool), np.ones(len(rows), bool)
    for name in rows.column_names:
        after |= equal & pc.greater(rows[name], before[name]).to_numpy()
        equal &= pc.equal(rows[name], before[name]).to_numpy()
    return after


class _Counts:
    """Rows of a data set by label and n; of the toy theory, by regime and by sign of γ too."""

    def __init__(self, theory: str) -> None:
        self.theory = THEORIES[theory]
        self.by_n = np.zeros((MOST_MODULI + 1, len(STABILITY)), np.int64)
        self.by_regime = np.zeros((len(REGIMES), len(STABILITY)), np.int64)
        self.by_gamma = np.zeros((len(_SIGNS), len(STABILITY)), np.int64)
        self.without: Counter[str] = Counter()  # rows without a label, by reason

    def add(self, rows: pa.RecordBatch) -> None:
        """Count rows of the data set."""
        codes = category_codes(rows.column("stability"))
        if (codes < 0).any():
            reasons = rows.column(self.theory.reason).filter(pa.array(codes < 0))
            self.without.update(reasons.dictionary_decode().to_pylist())
            rows, codes = rows.filter(pa.array(codes >= 0)), codes[codes >= 0]
        np.add.at(self.by_n, (rows.column("n_moduli").to_numpy(), codes), 1)
        if not self.theory.reads:
            sign = np.sign(rows.column("gamma").to_numpy()).astype(int) + 1
            np.add.at(self.by_regime, (category_codes(rows.column("regime")), codes), 1)
            np.add.at(self.by_gamma, (sign, codes), 1)

    def figures(self) -> dict[str, Any]:
        """Return the counts by name, and the bits of a label that n tells."""
        sizes = np.flatnonzero(self.by_n.sum(axis=1))
        groups = {"by_regime": (REGIMES, self.by_regime), "by_gamma": (_SIGNS, self.by_gamma)}
        return {
            "theory": self.theory.name,
            "rows": int(self.by_n.sum()),
            "without_label": dict(sorted(self.without.items())),
            "by_label": self._named(self.by_n.sum(axis=0)),
            "by_n": {int(n): self._named(self.by_n[n]) for n in sizes},
            **{
                kind: {}
                if self.theory.reads
                else {name: self._named(row) for name, row in zip(names, counts, strict=True)}
                for kind, (names, counts) in groups.items()
            },
            "bits": label_bits(self.by_n[sizes]),
        }

    def _named(self, row: _Integers) -> dict[str, int]:
        return {label: int(row[STABILITY.index(label)]) for label in self.theory.classes}


def _count(batch: pa.RecordBatch, tables: Mapping[str, _Counts]) -> None:
    datasets = batch.column("dataset").dictionary_decode()
    for name in pc.unique(datasets).to_pylist():
        tables[name].add(batch.filter(pc.equal(datasets, name)))


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


def _balance_checks(tables: Mapping[str, _Counts], thresholds: Thresholds) -> Iterator[Check]:
    for name, table in tables.items():
        counts = table.by_n.sum(axis=0)
        rows, failed = int(counts.sum()), int(counts[STABILITY.index(FAILED)])
        if not rows:
            yield Check(f"labels of {name}", "some row has a label", False, dict(table.without))
            continue
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
        largest, most = round(float(counts.max() / rows), 6), STABILITY[int(counts.argmax())]
        balanced = largest <= thresholds.largest_class
        if balanced or not table.theory.reads:
            meaning = f"no label has more than {thresholds.largest_class:g} of the rows"
        else:  # The geometry decides, so this is a result.
            meaning = f"nearly all rows are {most}: a result, and little to learn"
        yield Check(f"balance of {name}", meaning, balanced or bool(table.theory.reads), largest)
