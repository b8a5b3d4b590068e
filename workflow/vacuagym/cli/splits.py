"""The subcommands that make what is trained on: features, splits, and the data set to publish."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vacuagym.cli.arguments import (
    add_feature_columns,
    add_feature_files,
    add_label_table,
    add_plan_file,
    add_segment,
    add_setting,
    hodge_columns,
    segment_of,
    stage,
)
from vacuagym.runtime.memory import hold_to_memory, table_memory_mb

if TYPE_CHECKING:
    from vacuagym.cli.arguments import Stages
    from vacuagym.splits.rules import SplitShares


def add_features(stages: Stages) -> None:
    """Add ``vacuagym features``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.features import features
        from vacuagym.tables.feature_schema import Wanted
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        plan = segment_of(Plan.read(options.plan), options)
        if options.table:
            plan = plan.of_computed_table(options.table)
        wanted = Wanted(hodge_columns(options), options.group, options.column)
        features(plan, options.labels, wanted, options.output, checked=options.checked)

    parser = stage(
        stages,
        "features",
        run,
        "bring what splits and the data set need of a feature table into the order of the labels",
    )
    add_plan_file(parser)
    add_segment(parser)
    add_label_table(parser)
    parser.add_argument(
        "--table", type=Path, help="computed geometry of the data set (vacuagym threefold-table)"
    )
    add_feature_columns(parser)
    parser.add_argument(
        "--checked",
        type=Path,
        nargs="*",
        default=[],
        help="what vacuagym columns has found; the values must be the same",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_split(stages: Stages) -> None:
    """Add ``vacuagym split``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.split import split

        hold_to_memory(table_memory_mb(), options.mem_mb)
        split(
            options.labels,
            options.name,
            seed=options.seed,
            shares=_shares(options),
            output=options.output,
            features=options.features,
            index=options.index,
            survey=options.survey,
        )

    parser = stage(stages, "split", run, "assign every usable geometry to a fold of one split")
    add_label_table(parser)
    parser.add_argument(
        "--name", required=True, help="iid, ood_complexity, ood_hodge, or ood_dataset_NAME"
    )
    add_feature_files(parser)
    add_setting(parser, "seed", int, "key of the hash that assigns folds")
    _add_shares(parser)
    parser.add_argument(
        "--survey", type=Path, help="for a segment of a large table: output of vacuagym survey"
    )
    parser.add_argument(
        "--index",
        type=Path,
        help="JSON file to write besides: the row numbers of train, val and test",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_survey(stages: Stages) -> None:
    """Add ``vacuagym survey``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.survey import survey

        hold_to_memory(table_memory_mb(), options.mem_mb)
        survey(options.names, _shares(options), options.labels, options.features, options.output)

    text = "find what the folds of all segments of a large table depend on besides the row"
    parser = stage(stages, "survey", run, text)
    add_label_table(parser)
    parser.add_argument("--names", nargs="+", required=True, help="names of the splits")
    add_feature_files(parser)
    _add_shares(parser)
    parser.add_argument("--output", type=Path, required=True, help="NPZ file to write")


def _add_shares(parser: argparse.ArgumentParser) -> None:
    for name in ("train", "validation", "complexity_share", "hodge_share"):
        add_setting(parser, f"splits.{name}", float)


def _shares(options: argparse.Namespace) -> SplitShares:
    from vacuagym.splits.rules import SplitShares

    return SplitShares(
        options.train, options.validation, options.complexity_share, options.hodge_share
    )


def add_dataset(stages: Stages) -> None:
    """Add ``vacuagym dataset``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.dataset import dataset

        hold_to_memory(table_memory_mb(), options.mem_mb)
        dataset(**_published(options), published=options.published, parts=options.parts)

    text = "write labels, splits and features as a data set that other libraries load in one line"
    parser = stage(stages, "dataset", run, text)
    _add_published(parser)
    parser.add_argument(
        "--published",
        metavar="YYYY-MM-DD",
        help="date of publication, for the Croissant description (default: none)",
    )
    parser.add_argument(
        "--parts",
        type=Path,
        nargs="*",
        default=[],
        help="output of vacuagym dataset-part for all rows, in their order: its files are the "
        "data files (default: write them)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to write; its SHA256SUMS appears last"
    )


def add_dataset_layout(stages: Stages) -> None:
    """Add ``vacuagym dataset-layout``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.dataset import dataset_layout

        hold_to_memory(table_memory_mb(), options.mem_mb)
        dataset_layout(**_published(options))

    text = "find what the parts of a large data set share: its columns and the folders of its files"
    parser = stage(stages, "dataset-layout", run, text)
    _add_published(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def add_dataset_part(stages: Stages) -> None:
    """Add ``vacuagym dataset-part``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.publish.joined_rows import Sources
        from vacuagym.stages.dataset import dataset_part

        hold_to_memory(table_memory_mb(), options.mem_mb)
        splits, features = (
            {path.stem: path for path in paths} for paths in (options.splits, options.features)
        )
        sources = Sources(options.labels, splits, features, tuple(options.segments))
        folder, output = options.folder, options.output
        dataset_part(options.layout, sources, options.part, folder=folder, output=output)

    text = "write the data files of some segments of a large data set"
    parser = stage(stages, "dataset-part", run, text)
    parser.add_argument(
        "--layout", type=Path, required=True, help="output of vacuagym dataset-layout"
    )
    _add_tables(parser)
    parser.add_argument(
        "--segments", nargs="*", default=[], help="names of the segments (default: all)"
    )
    parser.add_argument(
        "--part", required=True, help="name of the part; names of its files have it"
    )
    parser.add_argument("--folder", type=Path, required=True, help="folder of the data set")
    parser.add_argument(
        "--output", type=Path, required=True, help="JSON file to write: what the data files are"
    )


def _add_tables(parser: argparse.ArgumentParser) -> None:
    add_label_table(parser)
    parser.add_argument(
        "--splits",
        type=Path,
        nargs="+",
        required=True,
        help="split files (vacuagym split): one configuration each",
    )
    parser.add_argument(
        "--features",
        type=Path,
        nargs="*",
        default=[],
        help="files of feature columns, named by their data set",
    )


def _add_published(parser: argparse.ArgumentParser) -> None:
    """Add what a data set is made of."""
    _add_tables(parser)
    parser.add_argument(
        "--validation",
        type=Path,
        default=Path("results/validation.json"),
        help="figures of vacuagym validate",
    )
    parser.add_argument(
        "--configuration",
        type=Path,
        default=Path("results/configuration.json"),
        help="the settings of the run",
    )
    parser.add_argument(
        "--potential",
        action="store_true",
        help="add a configuration with the couplings of every row",
    )


def _published(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a data set is made of, and the output, by the names of parameters."""
    inputs = ("labels", "splits", "features", "validation", "configuration", "potential")
    return {name: getattr(options, name) for name in (*inputs, "output")}
