"""The subcommands that check what a run has made, and tell."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vacuagym.cli.arguments import (
    add_content_columns,
    add_feature_files,
    add_label_table,
    add_plan_files,
    add_segment,
    add_setting,
    positive,
    segment_of,
    stage,
)
from vacuagym.runtime.memory import hold_to_memory, table_memory_mb

if TYPE_CHECKING:
    from vacuagym.cli.arguments import Stages
    from vacuagym.stages.sample import SampleSize


def add_sample(stages: Stages) -> None:
    """Add ``vacuagym sample``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.sample import sample

        hold_to_memory(table_memory_mb(), options.mem_mb)
        sample(
            options.labels,
            _sample_size(options),
            options.parts,
            options.output,
            options.geometry,
            options.candidates,
        )

    parser = stage(
        stages, "sample", run, "draw the random sample of labels to verify, and write it in parts"
    )
    add_label_table(parser)
    _add_geometry(parser, "results/geometry")
    _add_sample_size(parser)
    parser.add_argument(
        "--candidates",
        type=Path,
        help="folder of the candidates of all segments of a large run (vacuagym sample-segment): "
        "no other rows are read",
    )
    parser.add_argument("--parts", type=positive, default=1, help="largest number of parts")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_sample_segment(stages: Stages) -> None:
    """Add ``vacuagym sample-segment``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.sample import sample_segment

        hold_to_memory(table_memory_mb(), options.mem_mb)
        sample_segment(
            options.labels,
            _sample_size(options),
            rows=options.rows,
            seed=options.seed,
            geometry=options.geometry,
            output=options.output,
        )

    parser = stage(
        stages,
        "sample-segment",
        run,
        "write the rows of one segment of a large run that may be in the sample to verify",
    )
    add_label_table(parser)
    parser.add_argument("--geometry", type=Path, help="computed geometry of the segment")
    add_setting(parser, "seed", int, "seed of the sample")
    _add_sample_size(parser)
    _add_total(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")


def _add_total(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rows", type=positive, required=True, help="number of rows of all segments"
    )


def add_verify_part(stages: Stages) -> None:
    """Add ``vacuagym verify-part``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.verify import verify_part

        hold_to_memory(table_memory_mb(), options.mem_mb)
        verify_part(options.sample, options.part, options.output, options.geometry)

    parser = stage(
        stages, "verify-part", run, "derive the labels of one part of a sample a second time"
    )
    parser.add_argument("--sample", type=Path, required=True, help="sample (vacuagym sample)")
    parser.add_argument("--part", type=int, required=True, help="number of the part, from 0")
    _add_geometry(parser, "results/sample/geometry")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def add_verify(stages: Stages) -> None:
    """Add ``vacuagym verify``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.verify import add_up, verify

        hold_to_memory(table_memory_mb(), options.mem_mb)
        size = _sample_size(options)
        if options.parts:
            add_up(options.parts, options.output, options.record_only)
        else:
            verify(options.labels, size, options.output, options.record_only, options.geometry)

    parser = stage(
        stages, "verify", run, "derive a random sample of the labels a second time, by other code"
    )
    add_label_table(parser)
    _add_geometry(parser, "results/geometry")
    _add_sample_size(parser)
    parser.add_argument(
        "--parts",
        type=Path,
        nargs="+",
        default=[],
        help="add up these figures of all parts of a sample (vacuagym verify-part) instead",
    )
    _add_record_only(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def add_verify_geometry(stages: Stages) -> None:
    """Add ``vacuagym verify-geometry``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.verify_geometry import Geometry, verify_geometry
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        geometry = Geometry(
            dataset=options.dataset,
            table=options.table,
            source=options.source,
            plan=Plan.read(options.plan) if options.plan else None,
            content=options.content,
            side=options.side,
        )
        size = _sample_size(options)
        verify_geometry(geometry, size, options.seed, options.output, options.record_only)

    text = "derive a random sample of computed geometry a second time, by other code"
    parser = stage(stages, "verify-geometry", run, text)
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--table", type=Path, required=True, help="computed geometry")
    sources = ("toric_bases", "weight_systems", "polytopes", "cicy")
    parser.add_argument("--source", choices=sources, required=True, help="what the rows are")
    parser.add_argument("--plan", type=Path, help="plan of the table of a data set of threefolds")
    add_content_columns(parser)
    sides = ("weights", "mirror")
    parser.add_argument(
        "--side", choices=sides, default="weights", help="side that the geometry was computed for"
    )
    add_setting(parser, "seed", int, "seed of the sample")
    add_setting(parser, "verify.share", float)
    add_setting(parser, "verify.least", int)
    add_setting(
        parser, "verify.per_label", int, "minimum number of rows to verify of each kind of row"
    )
    _add_record_only(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def _add_geometry(parser: argparse.ArgumentParser, folder: str) -> None:
    parser.add_argument(
        "--geometry",
        type=Path,
        default=Path(folder),
        help="folder of the tables of computed geometry (default: %(default)s)",
    )


def _add_record_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--record-only",
        action="store_true",
        help="do not fail on a disagreement, only write it down",
    )


def _add_sample_size(parser: argparse.ArgumentParser) -> None:
    add_setting(parser, "verify.share", float)
    add_setting(parser, "verify.least", int)
    add_setting(parser, "verify.per_label", int)


def _sample_size(options: argparse.Namespace) -> SampleSize:
    from vacuagym.stages.sample import SampleSize

    return SampleSize(options.share, options.least, options.per_label)


def add_validate(stages: Stages) -> None:
    """Add ``vacuagym validate``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.checks.check import Thresholds
        from vacuagym.stages.check_segment import SegmentFiles, find, stored_segments
        from vacuagym.stages.validate import Inputs, validate
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        thresholds = Thresholds(options.largest_class, options.failed_share, options.fold_tolerance)
        plans = [Plan.read(path) for path in options.plans]
        files = SegmentFiles(
            labels=options.labels,
            splits=options.splits,
            features=options.features,
            plans=plans,
            label_files=options.label_files,
        )
        rows = sum(plan.rows for plan in plans)
        segments = (
            stored_segments(options.labels, options.segments)
            if options.segments
            else [find(files, rows)]
        )
        inputs = Inputs(plans=plans, verification=options.verification, geometry=options.geometry)
        validate(segments, inputs, thresholds, options.output, options.counts)

    parser = stage(
        stages,
        "validate",
        run,
        "check every row of the labels and splits, and measure what predicting from n alone scores",
    )
    _add_rows(parser)
    parser.add_argument(
        "--segments",
        type=Path,
        help="add up what vacuagym check-segment has written into this folder for each segment of "
        "a large run, and read no rows",
    )
    parser.add_argument(
        "--verification",
        type=Path,
        default=Path("results/verification.json"),
        help="figures of vacuagym verify",
    )
    parser.add_argument(
        "--geometry",
        type=Path,
        nargs="*",
        default=[],
        help="figures of vacuagym verify-geometry, of all data sets with computed geometry",
    )
    add_setting(parser, "validation.largest_class", float)
    add_setting(parser, "validation.failed_share", float)
    add_setting(parser, "validation.fold_tolerance", float)
    parser.add_argument(
        "--counts", type=Path, help="file to write besides: the counts of rows for the report"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def add_check_segment(stages: Stages) -> None:
    """Add ``vacuagym check-segment``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.check_segment import SegmentFiles, check_segment
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        files = SegmentFiles(
            labels=options.labels,
            splits=options.splits,
            features=options.features,
            plans=[segment_of(Plan.read(path), options) for path in options.plans],
            label_files=options.label_files,
        )
        check_segment(files, options.rows, options.output)

    parser = stage(
        stages, "check-segment", run, "check and count the rows of one segment of a large run"
    )
    _add_rows(parser)
    add_segment(parser)
    _add_total(parser)
    parser.add_argument("--output", type=Path, required=True, help="file of counts to write")


def _add_rows(parser: argparse.ArgumentParser) -> None:
    """Add the options of the files whose rows are checked."""
    add_label_table(parser)
    add_plan_files(parser)
    parser.add_argument(
        "--splits", type=Path, nargs="+", default=[], help="split files (vacuagym split)"
    )
    add_feature_files(parser)
    parser.add_argument(
        "--label-files",
        type=Path,
        default=Path("results/labels"),
        help="folder of the label files (default: %(default)s)",
    )


def add_report(stages: Stages) -> None:
    """Add ``vacuagym report``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.report import report

        hold_to_memory(table_memory_mb(), options.mem_mb)
        report(options.validation, options.counts, options.configuration, options.output)

    parser = stage(
        stages, "report", run, "write the page that shows a run: verdict, figures, checks, settings"
    )
    parser.add_argument(
        "--validation",
        type=Path,
        default=Path("results/validation.json"),
        help="figures of vacuagym validate",
    )
    parser.add_argument(
        "--counts",
        type=Path,
        default=Path("results/counts.npz"),
        help="counts of rows, which vacuagym validate writes",
    )
    parser.add_argument(
        "--configuration",
        type=Path,
        default=Path("results/configuration.json"),
        help="settings that a run records",
    )
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")


def add_gate(stages: Stages) -> None:
    """Add ``vacuagym gate``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.gate import gate

        gate(options.validation, options.output)

    parser = stage(stages, "gate", run, "fail if a check of the results has failed")
    parser.add_argument(
        "--validation",
        type=Path,
        default=Path("results/validation.json"),
        help="figures of vacuagym validate",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="text file to write if all is well"
    )
