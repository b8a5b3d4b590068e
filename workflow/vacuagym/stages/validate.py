"""Validate labels and splits: write figures, checks and a verdict.

The checks read the files row by row, and do not use the code that made them
(:mod:`vacuagym.stages.check_segment`). A baseline tells what the number of moduli alone predicts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vacuagym.checks.check import Check, Thresholds
from vacuagym.checks.label_checks import LabelChecks
from vacuagym.runtime.atomic_files import read_json, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.stages.check_segment import Found
from vacuagym.tables.counts_file import write_counts
from vacuagym.tables.plan import Plan
from vacuagym.tables.stored import fingerprint_of


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The results of a run that are validated, besides the rows.

    Attributes
    ----------
    plans : sequence of Plan
        Plans of all data sets.
    verification : Path
        Figures of the verification.
    geometry : sequence of Path
        Figures of the verification of computed geometry.
    """

    plans: Sequence[Plan]
    verification: Path
    geometry: Sequence[Path] = ()


def validate(
    segments: Iterable[Found],
    inputs: Inputs,
    thresholds: Thresholds,
    output: Path,
    counts: Path | None = None,
) -> None:
    """Write the figures and checks of a run.

    :func:`vacuagym.stages.gate.gate` acts on the verdict.

    Parameters
    ----------
    segments : iterable of Found
        What was found in the rows of each segment, in the order of the rows.
    counts : Path, optional
        File to write besides: the counts of rows for the report.
    """
    whole = _together(segments, inputs.plans)
    label_figures, every = whole.labels.results(thresholds)
    splits = {name: split.results(thresholds) for name, split in whole.splits.items()}
    document: dict[str, Any] = {
        "labels": label_figures,
        "splits": {name: figures for name, (figures, _) in splits.items()},
        "memory": whole.jobs,
    }
    planned = {plan.dataset: plan.rows for plan in inputs.plans}
    found = {
        name: figures["rows"] + sum(figures["without_label"].values())
        for name, figures in label_figures.items()
    }
    every.append(
        Check("coverage", "rows of each data set = rows of its plan", found == planned, found)
    )
    every += [check for _, checks in splits.values() for check in checks]
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
    if counts is not None:
        about = {**whole.about, "fingerprint": fingerprint_of(whole.about["fingerprints"])}
        write_counts(counts, {"about": about, "counts": whole.counts.state})
    write_text(output, json.dumps(document, indent=1) + "\n")
    print(
        f"{len(every)} checks, failed: {', '.join(failed) or 'none'}; peak {peak_memory_mb():.0f} "
        "MB"
    )


def _together(segments: Iterable[Found], plans: Sequence[Plan]) -> Found:
    """Return what was found in all segments, with the data sets in the order of the plans."""
    names = [plan.dataset for plan in plans]
    whole = Found(LabelChecks({}))
    for segment in segments:
        whole.append(segment)
    theories = {name: whole.about["theories"].get(name, "toy") for name in names}
    whole.labels.append(LabelChecks(theories))
    whole.jobs.sort(key=lambda job: names.index(job["dataset"]))
    hodge = whole.counts.hodge
    whole.counts.hodge = {name: hodge[name] for name in names if name in hodge}
    return whole


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
