"""Check the label table row by row, and count its labels.

The checks do not use the code that made the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.checks.check import ENOUGH, Check, Thresholds, count_at
from vacuagym.checks.registry import CHECKS
from vacuagym.checks.split_checks import MOST_MODULI
from vacuagym.tables.label_table import category_codes, rows_with
from vacuagym.theories.registry import FAILED, STABILITY, THEORIES
from vacuagym.theories.toy.classes import REGIMES

_Integers = npt.NDArray[np.int64]
_SIGNS = ("negative", "zero", "positive")  # of γ
_COUNTED = ("key", "dataset", "namespace", "geometry_id", "theory", "n_moduli", "stability")
_OF_TOY = ("regime", "gamma")
Place = tuple[str, str, int]  # data set, namespace and id of a row


class LabelChecks:
    """The checks of each row of a label table, and counts of its labels.

    Rows are added in their order. What was found in a segment can be stored (:attr:`state`), and
    added to what was found in the segments before it (:meth:`append`).

    Parameters
    ----------
    theories : mapping of str to str
        The theory of each data set.
    scattered : bool
        Whether the rows are a segment whose namespaces go on in the next one. Segments then have
        ascending ranges of ids.
    """

    def __init__(self, theories: Mapping[str, str], scattered: bool = False) -> None:
        self._scattered = scattered
        self._tables = {name: _Counts(theory) for name, theory in theories.items()}
        self._checks = {
            "order": Check(
                "order",
                "rows of each file are sorted by data set, namespace, id, and no key occurs twice",
            )
        }
        for name in self._theories():
            self._checks |= {c: Check(c, text) for c, text in CHECKS[name].meanings.items()}
        self._first: Place | None = None
        self._last: Place | None = None
        self._first_key = ""
        self._before: Place | None = None  # the last row of this file

    def _theories(self) -> list[str]:
        own = {table.theory.name for table in self._tables.values()}
        return [name for name in THEORIES if name in own]

    @property
    def columns(self) -> list[str]:
        """Return the columns of the label table that are read."""
        own = self._theories()
        names = [*_COUNTED, *_OF_TOY, *(c for name in own for c in CHECKS[name].columns)]
        names += [THEORIES[name].reason for name in own if THEORIES[name].reason]
        return [*dict.fromkeys(names)]

    def add(self, batch: pa.RecordBatch, physics: Mapping[str, Any]) -> None:
        """Check and count the next rows; ``physics`` are the settings of the labels."""
        self._note_order(batch)
        for name in self._theories():
            rows = rows_with(batch, "theory", name)
            if len(rows):
                CHECKS[name].check_rows(rows, physics, self._checks)
        for name in pc.unique(batch.column("dataset").dictionary_decode()).to_pylist():
            self._tables[name].add(rows_with(batch, "dataset", name))

    def append(self, later: LabelChecks) -> None:
        """Add what was found in the rows that follow."""
        if self._last is not None and later._first is not None and later._first <= self._last:
            self._checks["order"].add(Check("order", "", False, 1, [later._first_key]))
        for name, check in later._checks.items():
            self._checks.setdefault(name, Check(name, check.meaning)).add(check)
        for name, table in later._tables.items():
            self._tables.setdefault(name, _Counts(table.theory.name)).append(table)
        if self._first is None:
            self._first, self._first_key = later._first, later._first_key
        self._last = later._last or self._last

    @property
    def state(self) -> dict[str, Any]:
        """Return all that was found: texts, numbers and arrays, nested."""
        return {
            "checks": [asdict(check) for check in self._checks.values()],
            "tables": {name: table.state for name, table in self._tables.items()},
            "ends": [self._first, self._last, self._first_key],
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> LabelChecks:
        """Return what was stored."""
        found = cls({name: table["theory"] for name, table in state["tables"].items()})
        found._checks = {check["name"]: Check(**check) for check in state["checks"]}
        for name, table in state["tables"].items():
            found._tables[name] = _Counts(**table)
        first, last, found._first_key = state["ends"]
        found._first, found._last = (end and tuple(end) for end in (first, last))
        return found

    def results(self, thresholds: Thresholds) -> tuple[dict[str, Any], list[Check]]:
        """Return the figures of each data set, and the checks.

        Returns
        -------
        figures : dict
            Counts of labels, and bits, of each data set.
        checks : list of Check
            Checks of rows, then checks of the shares of labels.
        """
        names = ["order", *(check for name in self._theories() for check in CHECKS[name].meanings)]
        tables = dict(sorted(self._tables.items()))
        figures = {name: table.figures() for name, table in tables.items()}
        checks = [self._checks[name] for name in names]
        return figures, [*checks, *_balance_checks(tables, thresholds)]

    def _note_order(self, batch: pa.RecordBatch) -> None:
        """Compare each row with the row before it."""
        places = pa.table(
            {
                "dataset": batch.column("dataset").dictionary_decode(),
                "namespace": pc.fill_null(batch.column("namespace"), ""),
                "geometry_id": batch.column("geometry_id"),
            }
        )
        first, last = (_place(places, row) for row in (0, len(batch) - 1))
        wrong = np.ones(len(batch), bool)
        wrong[0] = self._before is not None and first <= self._before
        wrong[1:] = ~_is_after(places.slice(1), places.slice(0, len(batch) - 1))
        self._checks["order"].note(wrong, batch.column("key"))
        self._before = last
        if self._scattered:
            ids = pc.min_max(batch.column("geometry_id")).as_py()
            first, last = ((last[0], "", ids[end]) for end in ("min", "max"))
            first, last = min(first, self._first or first), max(last, self._last or last)
        else:
            first = self._first or first
        self._first, self._last = first, last
        self._first_key = self._first_key or batch.column("key")[0].as_py()


def _place(rows: pa.Table, row: int) -> Place:
    dataset, namespace, number = rows.slice(row, 1).to_pylist()[0].values()
    return dataset, namespace, number


def _is_after(rows: pa.Table, before: pa.Table) -> npt.NDArray[np.bool_]:
    """Return whether each row comes after the row at the same position, shape (rows,)."""
    after, equal = np.zeros(len(rows), bool), np.ones(len(rows), bool)
    for name in rows.column_names:
        after |= equal & pc.greater(rows[name], before[name]).to_numpy()
        equal &= pc.equal(rows[name], before[name]).to_numpy()
    return after


class _Counts:
    """Rows of a data set by label and n; of the toy theory, by regime and by sign of γ too."""

    def __init__(self, theory: str, without: Mapping[str, int] | None = None, **counts: _Integers):
        self.theory = THEORIES[theory]
        self.without = Counter(without or {})  # rows without a label, by reason
        groups = {"by_n": MOST_MODULI + 1, "by_regime": len(REGIMES), "by_gamma": len(_SIGNS)}
        self._counts = {
            kind: counts.get(kind, np.zeros((size, len(STABILITY)), np.int64))
            for kind, size in groups.items()
        }

    @property
    def by_n(self) -> _Integers:
        """Return the counts by n and label, shape (n, labels)."""
        return self._counts["by_n"]

    @property
    def state(self) -> dict[str, Any]:
        """Return theory and counts, as the arguments of the constructor."""
        return {"theory": self.theory.name, "without": dict(self.without), **self._counts}

    def append(self, later: _Counts) -> None:
        """Add the counts of other rows of the data set."""
        self.without.update(later.without)
        for kind, counts in later._counts.items():
            self._counts[kind] += counts

    def add(self, rows: pa.RecordBatch) -> None:
        """Count rows of the data set."""
        codes = category_codes(rows.column("stability"))
        if (codes < 0).any():
            reasons = rows.column(self.theory.reason).filter(pa.array(codes < 0))
            self.without.update(reasons.dictionary_decode().to_pylist())
            rows, codes = rows.filter(pa.array(codes >= 0)), codes[codes >= 0]
        groups = {"by_n": rows.column("n_moduli").to_numpy()}
        if not self.theory.reads:
            groups["by_regime"] = category_codes(rows.column("regime"))
            groups["by_gamma"] = np.sign(rows.column("gamma").to_numpy()).astype(int) + 1
        for kind, places in groups.items():
            count_at(self._counts[kind], places, codes)

    def figures(self) -> dict[str, Any]:
        """Return the counts by name, and the bits of a label that n tells."""
        sizes = np.flatnonzero(self.by_n.sum(axis=1))
        return {
            "theory": self.theory.name,
            "rows": int(self.by_n.sum()),
            "without_label": dict(sorted(self.without.items())),
            "by_label": self._named(self.by_n.sum(axis=0)),
            "by_n": {int(n): self._named(self.by_n[n]) for n in sizes},
            **{
                kind: {}
                if self.theory.reads
                else {
                    name: self._named(row)
                    for name, row in zip(names, self._counts[kind], strict=True)
                }
                for kind, names in (("by_regime", REGIMES), ("by_gamma", _SIGNS))
            },
            "bits": label_bits(self.by_n[sizes]),
        }

    def _named(self, row: _Integers) -> dict[str, int]:
        return {label: int(row[STABILITY.index(label)]) for label in self.theory.classes}


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
