"""Find what the folds of a row depend on besides the row: counts of values, and test groups.

Thresholds of test folds come from counts of values over all rows. Rows that share a group with a
test row are left out of the other folds. Both are found once for all segments of a large table.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from vacuagym.runtime.atomic_files import whole_file
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.splits.rows import GROUP, TRAITS, any_has, usable_rows
from vacuagym.splits.rules import TEST, THRESHOLDS, FoldRule, SplitShares, TestGroups, fold_rule
from vacuagym.splits.values import Counts, ValueCounts
from vacuagym.tables.counts_file import opened_archive
from vacuagym.tables.stored import StoredTable, summed

_ABOUT = "about"  # counts and data sets, as the bytes of a JSON object
_VALUES = ("stability", "moduli", *TRAITS.names[1:3])


@dataclass(frozen=True)
class Survey:
    """What the folds of a split depend on besides the row.

    Attributes
    ----------
    counts : dict
        Rows in each bin of the values that set test folds.
    datasets : collection of str
        Data sets of the label table.
    groups : TestGroups, optional
        Groups with a test row, if rows have groups and the split has a threshold.
    """

    counts: Counts
    datasets: Collection[str]
    groups: TestGroups | None

    @classmethod
    def read(cls, path: Path, split: str) -> Survey:
        """Read the survey of a split from a file of :func:`survey`.

        :class:`~vacuagym.errors.DamagedFileError` reports a damaged file.
        """
        with opened_archive(path) as found:
            about = json.loads(found[_ABOUT].tobytes())
            bits = found.get(split)
        groups = None if bits is None else TestGroups(bits=bits)
        return cls(about["counts"], about["datasets"], groups)


def survey(
    splits: Sequence[str],
    shares: SplitShares,
    labels: Path,
    features: Sequence[Path],
    output: Path,
) -> None:
    """Write what the folds of all segments depend on besides the row, as an NPZ file.

    Parameters
    ----------
    splits : sequence of str
        Names of the splits.
    labels : Path
        Label table, a folder of segments.
    features : sequence of Path
        Features of all data sets, each a folder of segments.
    """
    every = surveyed(splits, shares, labels, features)
    counts = {name: bins for own in every.values() for name, bins in own.counts.items()}
    datasets = sorted({name for own in every.values() for name in own.datasets})
    about = json.dumps({"counts": counts, "datasets": datasets})
    bits = {name: own.groups.bits for name, own in every.items() if own.groups is not None}
    arrays: dict[str, Any] = {**bits, _ABOUT: np.frombuffer(about.encode(), np.uint8)}
    with whole_file(output) as file:
        np.savez(file, **arrays)
    print(f"{len(every)} splits, {len(bits)} with groups, peak {peak_memory_mb():.0f} MB")


def surveyed(
    splits: Sequence[str], shares: SplitShares, labels: Path, features: Sequence[Path]
) -> dict[str, Survey]:
    """Return the surveys of some splits of a label table, by their names."""
    counts = _counts(labels, features) if set(splits) & set(THRESHOLDS) else {}
    table = StoredTable(labels)
    first = next(table.batches(["dataset"]), None)
    datasets = [] if first is None else first.column("dataset").dictionary.to_pylist()
    rules = {name: fold_rule(name, shares, counts, datasets) for name in splits}
    beyond = {name: rule for name, rule in rules.items() if rule.test is not None}
    found = {}
    if beyond and any_has(features, GROUP):
        found = _test_groups(beyond, labels, features, table.rows)
    return {
        name: Survey(counts if name in THRESHOLDS else {}, datasets, found.get(name))
        for name in splits
    }


def _counts(labels: Path, features: Sequence[Path]) -> Counts:
    """Return the counts of values: those that the feature files have in their footers.

    Without them, all rows are read.
    """
    found: list[Any] = [StoredTable(path).about.get("values") for path in features]
    if found and None not in found:
        both: Counts = reduce(summed, found)
        return both
    counts = ValueCounts()
    for batch in usable_rows(labels, features, _VALUES):
        counts.add(batch)
    return counts.counts()


def _test_groups(
    rules: Mapping[str, FoldRule], labels: Path, features: Sequence[Path], rows: int
) -> dict[str, TestGroups]:
    """Return the groups that have a row in the test fold of each split, from one pass."""
    groups = {name: TestGroups(rows) for name in rules}
    needs = dict.fromkeys(need for rule in rules.values() for need in rule.needs)
    for batch in usable_rows(labels, features, ["stability", GROUP, *needs]):
        for name, rule in rules.items():
            groups[name].add(batch, rule.folds(batch, np.zeros(len(batch))) == TEST)
    return groups
