"""The subcommands that label the geometries of a shard, and put the labels together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vacuagym.cli.arguments import add_setting, positive, stage
from vacuagym.config import physics_sections
from vacuagym.errors import ConfigError, DamagedFileError
from vacuagym.runtime.atomic_files import read_json
from vacuagym.runtime.memory import hold_to_memory, table_memory_mb

if TYPE_CHECKING:
    from vacuagym.cli.arguments import Stages


def add_label(stages: Stages) -> None:
    """Add ``vacuagym label``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.label import label

        try:
            sections = read_json(options.physics, physics_sections)
        except DamagedFileError as error:
            raise ConfigError(
                f"{options.physics}: not the settings that a run records ({error}); run snakemake "
                "again"
            ) from error
        label(
            options.shard,
            sections,
            options.fingerprint,
            options.batch_mb,
            options.mem_mb,
            options.output,
        )

    parser = stage(
        stages,
        "label",
        run,
        "label the geometries of one shard: draw, search the critical points, classify",
    )
    parser.add_argument("--shard", type=Path, required=True, help="shard file (vacuagym shard)")
    parser.add_argument(
        "--physics",
        type=Path,
        required=True,
        help="JSON file with the seed, moduli, ensemble and search settings",
    )
    parser.add_argument(
        "--fingerprint",
        default="by hand",
        help="fingerprint of settings and code, kept in the file's metadata",
    )
    add_setting(parser, "memory.batch_mb", positive)
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_merge(stages: Stages) -> None:
    """Add ``vacuagym merge``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.merge import merge
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        merge(
            [Plan.read(path) for path in options.plans],
            options.labels,
            options.fingerprint,
            options.output,
        )

    parser = stage(
        stages,
        "merge",
        run,
        "put the label files of all shards into one table, sorted by data set, namespace, id",
    )
    parser.add_argument(
        "--plans",
        type=Path,
        nargs="+",
        required=True,
        help="plans of the data sets (vacuagym plan)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path("results/labels"),
        help="folder of the label files (default: %(default)s)",
    )
    parser.add_argument(
        "--fingerprint", help="accept only label files made by these settings and code"
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
