"""Validate labels and splits: write figures, checks and a verdict in one pass.

The checks read the files row by row, and do not use the code that made them. A baseline tells what
the number of moduli alone predicts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vacuagym.checks.check import Check, Thresholds
from vacuagym.checks.label_checks import check_labels
from vacuagym.checks.split_checks import check_split
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.parquet import file_metadata, open_parquet
from vacuagym.tables.plan import Plan, label_file


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The results of a run that are validated.

    Attributes
    ----------
    labels : Path
        Label table.
    plans : sequence of Plan
        Plans of all data sets.
    splits, features : sequence of Path
        Split files, and feature files of all data sets or none.
    label_files : Path
        Folder of the label files.
    verification : Path
        Figures of the verification.
    geometry : sequence of Path
        Figures of the verification of computed geometry.
    """

    labels: Path
    plans: Sequence[Plan]
    splits: Sequence[Path]
    features: Sequence[Path]
    label_files: Path
    verification: Path
    geometry: Sequence[Path] = ()


def validate(inputs: Inputs, thresholds: Thresholds, output: Path) -> None:
    """Write the figures and checks of a run.

    :func:`vacuagym.stages.gate.gate` acts on the verdict.
    """
    labels, plans = inputs.labels, inputs.plans
    about = file_metadata(open_parquet(labels))
    planned = {plan.dataset: sum(shard.rows for shard in plan.shards) for plan in plans}
    theories = {name: about["theories"].get(name, "toy") for name in planned}
    label_figures, every = check_labels(labels, theories, about["physics"], thresholds)
    document: dict[str, Any] = {
        "labels": label_figures,
        "splits": {},
        "memory": _memory_figures(plans, inputs.label_files),
    }
    found = {
        name: figures["rows"] + sum(figures["without_label"].values())
        for name, figures in label_figures.items()
    }
    every.append(
        Check("coverage", "rows of each data set = rows of its plan", found == planned, found)
    )
    for path in inputs.splits:
        figures, split_checks = check_split(path, labels, inputs.features, thresholds)
        document["splits"][path.stem] = figures
        every += split_checks
    document["verification"] = read_json(inputs.verification)
    differing = document["verification"]["disagreements"]
    every.append(
        Check(
            "verification",
            "labels derived a second time agree",
            not differing,
            len(differing),
            list(differing)[:5],
        )
    )
    document["geometry"] = [read_json(path) for path in inputs.geometry]
    every += [check for figures in document["geometry"] for check in _geometry_checks(figures)]
    failed = [check.name for check in every if not check.passed]
    document |= {
        "checks": [asdict(check) for check in every],
        "verdict": {"passed": not failed, "failed": failed},
    }
    write_text(output, json.dumps(document, indent=1) + "\n")
    print(
        f"{len(every)} checks, failed: {', '.join(failed) or 'none'}; peak {peak_memory_mb():.0f} "
        "MB"
    )


def _geometry_checks(figures: dict[str, Any]) -> Iterator[Check]:
    """Yield the checks of the computed geometry of a data set."""
    yield Check(
        f"geometry of {figures['dataset']}",
        "geometry derived a second time agrees",
        not figures["differing"],
        figures["differing"],
        [f"{key} ({texts[0]})" for key, texts in list(figures["disagreements"].items())[:5]],
    )
    if figures["problems"]:
        wrong = sum(figures["problems"].values())
        yield Check(
            f"threefolds of {figures['dataset']}",
            "some rows are threefolds",
            wrong < figures["rows"],
            figures["problems"],
        )


def _memory_figures(plans: Sequence[Plan], folder: Path) -> list[dict[str, Any]]:
    """Return memory and time of each label job, from the metadata of its file."""
    figures = []
    for plan in plans:
        for shard in plan.shards:
            about = file_metadata(open_parquet(label_file(folder, plan.dataset, shard)))
            taken = {
                key: about[key]
                for key in ("rows", "declared_mb", "peak_mb", "wall_seconds", "finished")
            }
            figures.append({"dataset": plan.dataset, "first": shard.first, **taken})
    return figures
