"""Validate: stream once over labels and splits and write what they are worth, as figures and as checks with a verdict.

The checks are of the files, row by row, and know nothing of how the rows were made. The baseline says what the number of moduli alone
predicts, so that nobody takes that for learning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vacuagym.label_table import LABELS
from vacuagym.limits import peak_memory_mb
from vacuagym.parquet import file_metadata, open_parquet, read_batches
from vacuagym.planning import Plan
from vacuagym.stages.merge import label_file
from vacuagym.stages.split import FOLDS
from vacuagym.whole_files import write_text

_MOST_MODULI = 256
_ENOUGH = 100  # rows: shares of fewer say nothing
_FAILED = LABELS.index("failed")
_NUMBERS = ("potential_value", "grad_norm", "min_eigenvalue", "max_eigenvalue", "phi_norm")
_COLUMNS = (
    *("key", "dataset", "namespace", "geometry_id", "n_moduli", "stability", "minimization_success", *_NUMBERS),
    *("n_negative", "n_positive", "n_flat", "gamma", "barrier_height"),
    *(f"{kind}_{label}" for kind in ("trials", "draws") for label in LABELS),
)


@dataclass(frozen=True)
class Thresholds:
    """The ``validation`` section of the configuration."""

    largest_class: float
    failed_share: float
    fold_tolerance: float


@dataclass
class Check:
    """One statement about the results, and the first rows for which it does not hold."""

    name: str
    meaning: str
    passed: bool = True
    found: Any = 0
    examples: list[str] = field(default_factory=list)

    def note(self, wrong: np.ndarray, keys: pa.Array) -> None:
        """Count rows where ``wrong`` (rows,) is true."""
        count = int(np.count_nonzero(wrong))
        if count:
            self.passed = False
            self.found += count
            self.examples += keys.take(pa.array(np.flatnonzero(wrong)[: 5 - len(self.examples)])).to_pylist()


def validate(
    labels: Path, plans: Sequence[Plan], splits: Sequence[Path], folder: Path, verification: Path, thresholds: Thresholds, output: Path
) -> None:
    """Write the figures and checks of a run; the verdict is for :func:`gate` to act on."""
    physics = file_metadata(open_parquet(labels))["physics"]
    checks = _row_checks()
    counts = {name: np.zeros((_MOST_MODULI + 1, len(LABELS)), np.int64) for name in sorted(plan.dataset for plan in plans)}
    for batch in _in_order(labels, checks["order"]):
        _check_rows(batch, physics["search"], checks)
        _count(batch, counts)
    document: dict[str, Any] = {"labels": _label_figures(counts), "splits": {}, "memory": _memory_figures(plans, folder)}
    planned = {plan.dataset: sum(shard.rows for shard in plan.shards) for plan in plans}
    found = {name: int(table.sum()) for name, table in counts.items()}
    every = list(checks.values())
    every.append(Check("coverage", "rows of each data set = rows of its plan", found == planned, found))
    every += _balance_checks(counts, thresholds)
    for path in splits:
        figures, split_checks = _validate_split(path, labels, thresholds)
        document["splits"][path.stem] = figures
        every += split_checks
    document["verification"] = json.loads(verification.read_text(encoding="utf-8"))
    differing = document["verification"]["disagreements"]
    every.append(Check("verification", "labels derived a second time agree", not differing, len(differing), list(differing)[:5]))
    failed = [check.name for check in every if not check.passed]
    document |= {"checks": [asdict(check) for check in every], "verdict": {"passed": not failed, "failed": failed}}
    write_text(output, json.dumps(document, indent=1) + "\n")
    print(f"{len(every)} checks, failed: {', '.join(failed) or 'none'}; peak {peak_memory_mb():.0f} MB")


def _row_checks() -> dict[str, Check]:
    meanings = {
        "order": "rows are sorted by data set, namespace, id, and no key occurs twice",
        "finite": "V, |∇V|, the extreme eigenvalues and |φ| of every critical point are finite numbers",
        "gradient": "|∇V| ≤ grad_tol (1 + |V|) at every critical point",
        "index": "negative + positive + flat eigenvalues = n",
        "signs": "the label agrees with the signs of the Hessian eigenvalues and of γ",
        "trials": "the trials of each row add up to draws × restarts",
        "draws": "the draws of each row add up to n_samples",
        "barriers": "metastable vacua, and only they, have a barrier height, and it is not negative",
    }
    return {name: Check(name, meaning) for name, meaning in meanings.items()}


def _in_order(labels: Path, check: Check) -> Iterator[pa.RecordBatch]:
    """The batches of the label table; compares each row with the one before it."""
    before: tuple | None = None
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


def _check_rows(batch: pa.RecordBatch, search: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    keys = batch.column("key")
    column = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS[4:] if name != "stability"}
    column |= {name: column[name].astype(float) for name in (*_NUMBERS, "n_negative", "n_positive", "n_flat", "barrier_height")}
    label = np.array(LABELS)[batch.column("stability").indices.to_numpy()]
    found = column["minimization_success"].astype(bool)
    checks["finite"].note(found & ~np.all([np.isfinite(column[name]) for name in _NUMBERS], axis=0), keys)
    limit = search["grad_tol"] * (1.0 + np.abs(column["potential_value"])) * (1.0 + 1e-12)
    checks["gradient"].note(found & ~(column["grad_norm"] <= limit), keys)
    negative, positive, flat = (column[f"n_{sign}"] for sign in ("negative", "positive", "flat"))
    checks["index"].note(found & (negative + positive + flat != column["n_moduli"]), keys)
    minimum = (negative == 0) & (flat == 0)
    by_signs = np.select(
        [~found, minimum & (column["gamma"] < 0), minimum, (negative > 0) & (positive > 0), (positive == 0) & (flat == 0)],
        ["none", "metastable", "stable", "saddle", "unstable"],
        "marginal",
    )
    missed = ~found & np.isin(label, ("runaway", "failed"))
    unstable_direction = (label == "metastable") & (by_signs == "stable") & (column["gamma"] == 0)
    checks["signs"].note(~((label == by_signs) | missed | unstable_direction), keys)
    for kind, total in (("trials", search["n_samples"] * search["n_restarts"]), ("draws", search["n_samples"])):
        checks[kind].note(sum(column[f"{kind}_{name}"] for name in LABELS) != total, keys)
    barrier = column["barrier_height"]
    checks["barriers"].note(np.where(label == "metastable", ~(barrier >= 0.0), ~np.isnan(barrier)), keys)


def _count(batch: pa.RecordBatch, counts: Mapping[str, np.ndarray]) -> None:
    datasets = np.array(batch.column("dataset").dictionary_decode().to_pylist())
    n, code = batch.column("n_moduli").to_numpy(), batch.column("stability").indices.to_numpy()
    for name in np.unique(datasets):
        here = datasets == name
        np.add.at(counts[str(name)], (n[here], code[here]), 1)


def _label_figures(counts: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Label counts of each data set, in all and by n."""
    figures = {}
    for name, table in counts.items():
        sizes = np.flatnonzero(table.sum(axis=1))
        figures[name] = {
            "rows": int(table.sum()),
            "by_label": dict(zip(LABELS, table.sum(axis=0).tolist(), strict=True)),
            "by_n": {int(n): dict(zip(LABELS, table[n].tolist(), strict=True)) for n in sizes},
        }
    return figures


def _memory_figures(plans: Sequence[Plan], folder: Path) -> list[dict[str, Any]]:
    """What each label job used, from the metadata of its file."""
    figures = []
    for plan in plans:
        for shard in plan.shards:
            about = file_metadata(open_parquet(label_file(folder, plan.dataset, shard)))
            taken = {key: about[key] for key in ("rows", "declared_mb", "peak_mb", "wall_seconds", "finished")}
            figures.append({"dataset": plan.dataset, "first": shard.first, **taken})
    return figures


def _balance_checks(counts: Mapping[str, np.ndarray], thresholds: Thresholds) -> Iterator[Check]:
    for name, table in counts.items():
        if table.sum() < _ENOUGH:
            continue
        shares = table.sum(axis=0) / table.sum()
        largest = round(float(shares.max()), 6)
        meaning = f"no label has more than {thresholds.largest_class:g} of the rows"
        yield Check(f"balance of {name}", meaning, largest <= thresholds.largest_class, largest)
        failed = round(float(shares[_FAILED]), 6)
        yield Check(
            f"failures of {name}", f"at most {thresholds.failed_share:g} of the rows failed", failed <= thresholds.failed_share, failed
        )


def _validate_split(path: Path, labels: Path, thresholds: Thresholds) -> tuple[dict[str, Any], list[Check]]:
    """Figures and checks of one split: its keys against the label table's, its folds, their labels, and the baseline."""
    complete = Check(f"keys of {path.stem}", "every usable key of the label table is in exactly one fold")
    counts = np.zeros((len(FOLDS), _MOST_MODULI + 1, len(LABELS)), np.int64)
    for rows, folds in _side_by_side(labels, path, complete):
        np.add.at(counts, (folds, rows.column("n_moduli").to_numpy(), rows.column("stability").indices.to_numpy()), 1)
    about = file_metadata(open_parquet(path))
    sizes = counts.sum(axis=(1, 2))
    shares = sizes / max(1, sizes.sum())
    by_label = counts.sum(axis=1) / np.maximum(1, sizes)[:, None]
    figures = {
        "folds": dict(zip(FOLDS, sizes.tolist(), strict=True)),
        "by_label": {fold: dict(zip(LABELS, counts[i].sum(axis=0).tolist(), strict=True)) for i, fold in enumerate(FOLDS)},
        "drift": round(float(np.abs(by_label[0] - by_label[2]).sum() / 2), 6) if sizes[0] and sizes[2] else None,
        "baseline": _baseline(counts[0], counts[2]),
    }
    checks = [complete]
    if sizes.sum() >= _ENOUGH:
        checks.append(Check(f"train of {path.stem}", "the training fold is not empty", bool(sizes[0]), int(sizes[0])))
    if path.stem == "iid":
        wanted = np.array([about["shares"]["train"], about["shares"]["validation"]])
        off = round(float(np.abs(shares[:2] - wanted).max()), 6)
        # The hash scatters: four standard deviations are no fault of it in a small table.
        allowed = max(thresholds.fold_tolerance, 4.0 * 0.5 / max(1.0, float(np.sqrt(sizes.sum()))))
        checks.append(Check("folds of iid", f"shares of the folds are as configured within {allowed:.3g}", off <= allowed, off))
    return figures, checks


def _side_by_side(labels: Path, split: Path, check: Check) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Usable rows of the label table with their folds; notes every key that differs between the two files."""
    folds = _Feed(split)
    for batch in read_batches(open_parquet(labels), labels, ("key", "n_moduli", "stability")):
        rows = batch.filter(pa.array(batch.column("stability").indices.to_numpy() != _FAILED))
        keys, codes = folds.take(len(rows))
        same = keys == rows.column("key").to_pylist()
        check.note(np.full(len(rows), not same), rows.column("key"))
        if same:
            yield rows, codes
    extra, _ = folds.take(1)
    if extra:
        check.passed, check.examples = False, [*check.examples, *extra][:5]


class _Feed:
    """Reads a split file in pieces of any size."""

    def __init__(self, path: Path):
        self._batches = read_batches(open_parquet(path), path, ("key", "fold"))
        self._keys: list[str] = []
        self._codes = np.zeros(0, np.int64)

    def take(self, count: int) -> tuple[list[str], np.ndarray]:
        """The next keys and fold codes, fewer than ``count`` at the end of the file."""
        while len(self._keys) < count and (batch := next(self._batches, None)) is not None:
            self._keys += batch.column("key").to_pylist()
            self._codes = np.concatenate([self._codes, batch.column("fold").indices.to_numpy()])
        keys, codes = self._keys[:count], self._codes[:count]
        self._keys, self._codes = self._keys[count:], self._codes[count:]
        return keys, codes


def _baseline(train: np.ndarray, test: np.ndarray) -> dict[str, float] | None:
    """What the label frequencies at each n of the training fold score on the test fold; ``train``, ``test`` (n, labels) counts.

    An n that training has not seen is predicted by the frequencies over all n; log loss in nats, with one pseudo-count per label.
    """
    if not train.sum() or not test.sum():
        return None
    overall = train.sum(axis=0)
    seen = np.where(train.sum(axis=1, keepdims=True) > 0, train, overall)
    guess = seen.argmax(axis=1)
    right = test[np.arange(len(test)), guess]
    recall = [right[guess == label].sum() / test[:, label].sum() for label in np.flatnonzero(test.sum(axis=0))]
    probability = (seen + 1.0) / (seen + 1.0).sum(axis=1, keepdims=True)
    figures = {
        "accuracy": right.sum() / test.sum(),
        "balanced_accuracy": float(np.mean(recall)),
        "log_loss": -(test * np.log(probability)).sum() / test.sum(),
    }
    return {name: round(float(value), 6) for name, value in figures.items()}
