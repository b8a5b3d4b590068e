"""The subcommands that label the geometries of a shard, and put the labels together."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vacuagym.cli.arguments import (
    add_plan_files,
    add_segment,
    add_setting,
    positive,
    segment_of,
    stage,
)
from vacuagym.config import physics_sections
from vacuagym.errors import ConfigError, DamagedFileError
from vacuagym.runtime.atomic_files import read_json
from vacuagym.runtime.memory import hold_to_memory, table_memory_mb
from vacuagym.theories.registry import THEORIES

if TYPE_CHECKING:
    from vacuagym.cli.arguments import Stages


def add_label(stages: Stages) -> None:
    """Add ``vacuagym label``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.label import label

        label(
            options.shard,
            _sections(options.physics, physics_sections),
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
    _add_fingerprint(parser)
    add_setting(parser, "memory.batch_mb", positive)
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_label_threefolds(stages: Stages) -> None:
    """Add ``vacuagym label-threefolds``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.label_threefolds import label_threefolds

        theory = THEORIES[options.theory]
        label_threefolds(
            theory.rows,
            options.geometry,
            _sections(
                options.physics, lambda config: {name: config[name] for name in theory.sections}
            ),
            fingerprint=options.fingerprint,
            granted_mb=options.mem_mb,
            output=options.output,
        )

    parser = stage(
        stages,
        "label-threefolds",
        run,
        "label the threefolds of one shard by what their geometry decides",
    )
    parser.add_argument(
        "--theory",
        choices=[name for name, theory in THEORIES.items() if theory.reads],
        required=True,
        help="theory whose labels the geometry decides",
    )
    parser.add_argument(
        "--geometry", type=Path, required=True, help="geometry of the shard (vacuagym threefolds)"
    )
    parser.add_argument(
        "--physics", type=Path, required=True, help="JSON file with the settings of the theory"
    )
    _add_fingerprint(parser)
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_fingerprint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fingerprint",
        default="by hand",
        help="fingerprint of settings and code, kept in the file's metadata",
    )


def _sections(path: Path, build: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Read the settings of the labels; :class:`ConfigError` reports a file that has others."""
    try:
        return read_json(path, build)
    except DamagedFileError as error:
        raise ConfigError(
            f"{path}: not the settings that a run records ({error}); run snakemake again"
        ) from error


def add_merge(stages: Stages) -> None:
    """Add ``vacuagym merge``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.merge import merge
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        merge(
            [segment_of(Plan.read(path), options) for path in options.plans],
            options.labels,
            dict(options.fingerprints),
            options.output,
        )

    parser = stage(
        stages,
        "merge",
        run,
        "put the label files of all shards into one table, sorted by data set, namespace, id",
    )
    add_plan_files(parser)
    add_segment(parser)
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path("results/labels"),
        help="folder of the label files (default: %(default)s)",
    )
    parser.add_argument(
        "--fingerprints",
        metavar="DATASET=FINGERPRINT",
        type=_named,
        nargs="+",
        default=[],
        help="accept only label files made by these settings and code",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _named(text: str) -> tuple[str, str]:
    name, _, fingerprint = text.partition("=")
    return name, fingerprint
