"""The subcommands that make tables and cut them into shards."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vacuagym.cli.arguments import (
    add_content_columns,
    add_feature_columns,
    add_plan_file,
    add_segment,
    add_setting,
    hodge_columns,
    positive,
    segment_of,
    shard_size,
    stage,
)
from vacuagym.config.defaults import default_of
from vacuagym.runtime.memory import hold_to_memory, table_memory_mb

if TYPE_CHECKING:
    from vacuagym.cli.arguments import Stages

_SOURCES = ("weight_systems", "polytopes", "cicy")
_SIDE = "weights: divisors are points of the dual polytope; mirror: of the Newton polytope"
_BESIDE = '["DATASET", "TABLE", "COLUMN"] or, of the toric bases, ["DATASET", null, "COLUMN"]'
_FIRST = "first id of the shard, after the folder of its namespace if it has one (w5/0)"


def add_geometry(stages: Stages) -> None:
    """Add ``vacuagym geometry``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.geometry import geometry

        geometry(options.limit, options.mem_mb, options.output)

    parser = stage(
        stages,
        "geometry",
        run,
        "enumerate the smooth toric bases of 6D F-theory models into a feature table",
    )
    parser.add_argument(
        "--limit",
        type=positive,
        help="number of bases, those with the fewest rays first (default: all 61,539)",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_table_state(stages: Stages) -> None:
    """Add ``vacuagym table-state``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.tables.table_files import table_files, table_states

        hold_to_memory(table_memory_mb(), options.mem_mb)
        print(json.dumps(table_states(table_files(_table(options)))))

    text = "print path, size, time of change and footer digest of each file of a table as JSON"
    parser = stage(stages, "table-state", run, text)
    _add_table(parser)


def add_plan(stages: Stages) -> None:
    """Add ``vacuagym plan``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.plan import plan
        from vacuagym.tables.feature_table import FeatureTable

        hold_to_memory(table_memory_mb(), options.mem_mb)
        table = FeatureTable(
            _table(options),
            options.id,
            options.namespace,
            options.moduli,
            hodge=hodge_columns(options),
            carried=options.content,
        )
        plan(
            options.dataset,
            table,
            shard_size=options.shard_size,
            n_limit=options.n_limit,
            output=options.output,
            columns=options.column,
            groups=options.group,
            beside=options.beside,
            origin=options.origin,
            source=options.source,
        )

    parser = stage(
        stages, "plan", run, "check a feature table and find the shards that hold its rows"
    )
    parser.add_argument("--dataset", required=True, help="name of the data set")
    _add_table(parser)
    parser.add_argument(
        "--id", help="integer column that identifies a row (default: its position in its file)"
    )
    parser.add_argument("--namespace", help="column that, with the id, makes a row unique")
    parser.add_argument("--moduli", help="column of moduli counts; may hold nulls")
    add_feature_columns(parser)
    _add_beside(parser)
    parser.add_argument(
        "--content",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column from which the geometry is computed; may be repeated",
    )
    parser.add_argument("--origin", help="what the computed geometry depends on besides")
    parser.add_argument("--source", choices=_SOURCES, help="what the columns --content hold")
    add_setting(parser, "shard_size", shard_size)
    parser.add_argument(
        "--n-limit",
        type=positive,
        default=default_of("n_limit"),
        help="number of rows to take, those with the lowest ids (default: all)",
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def _add_table(parser: argparse.ArgumentParser) -> None:
    text = "Parquet feature table: a file, a folder, a glob or a URI; may be repeated"
    parser.add_argument("--table", action="append", required=True, help=text)


def _table(options: argparse.Namespace) -> str | list[str]:
    paths: list[str] = options.table
    return paths if len(paths) > 1 else paths[0]


def _add_beside(parser: argparse.ArgumentParser) -> None:
    text = (
        "column of another data set that a --column is published with, and whose type must fit: "
        f"{_BESIDE}; may be repeated"
    )
    parser.add_argument(
        "--beside", metavar="JSON", type=_column_beside, action="append", default=[], help=text
    )


def _column_beside(text: str) -> tuple[str, str | list[str] | None, str]:
    try:
        match json.loads(text):
            case [str(dataset), str() | list() | None as table, str(column)]:
                return dataset, table, column
    except (ValueError, RecursionError):
        pass
    raise argparse.ArgumentTypeError(f"{text} is not {_BESIDE}")


def add_columns(stages: Stages) -> None:
    """Add ``vacuagym columns``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.columns import columns
        from vacuagym.tables.feature_schema import Wanted
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        wanted = Wanted(hodge_columns(options), options.group, options.column)
        groups = options.first, options.last
        columns(
            Plan.read(options.plan),
            groups,
            wanted,
            options.output,
            beside=options.beside,
            fingerprint=options.fingerprint,
        )

    parser = stage(
        stages,
        "columns",
        run,
        "read every value of the named columns of a feature table, and refuse those that cannot "
        "be used",
    )
    add_plan_file(parser)
    parser.add_argument("--first", type=int, required=True, help="first row group to read")
    parser.add_argument("--last", type=int, required=True, help="last row group to read")
    add_feature_columns(parser)
    _add_beside(parser)
    parser.add_argument(
        "--fingerprint", help="fingerprint of table, settings and code to write into the output"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="JSON file to write: a digest for each row group"
    )


def add_shard(stages: Stages) -> None:
    """Add ``vacuagym shard``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.shard import shard
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        computed = (options.table, options.moduli) if options.table else None
        shard(Plan.read(options.plan), options.first, options.output, computed)

    parser = stage(stages, "shard", run, "cut the rows of one range of ids out of a feature table")
    add_plan_file(parser)
    parser.add_argument("--first", required=True, help=_FIRST)
    parser.add_argument(
        "--table", type=Path, help="computed geometry of the shard (vacuagym threefolds)"
    )
    parser.add_argument("--moduli", help="column of it that counts the moduli")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_threefolds(stages: Stages) -> None:
    """Add ``vacuagym threefolds``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.threefolds import ThreefoldColumns, threefolds
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        columns = ThreefoldColumns(
            options.source,
            options.content,
            options.side,
            options.divisors,
            options.full,
            hodge_columns(options),
            options.column,
        )
        plan = Plan.read(options.plan)
        threefolds(plan, options.first, columns, options.fingerprint, options.output)

    parser = stage(
        stages, "threefolds", run, "compute the geometry of the threefolds of one range of ids"
    )
    add_plan_file(parser)
    parser.add_argument("--first", required=True, help=_FIRST)
    parser.add_argument("--source", choices=_SOURCES, required=True, help="what the rows are")
    add_content_columns(parser)
    parser.add_argument("--side", choices=("weights", "mirror"), default="weights", help=_SIDE)
    parser.add_argument("--divisors", type=int, default=64, help="largest h11 with divisor data")
    parser.add_argument("--full", type=int, default=10, help="largest h11 with full data")
    add_feature_columns(parser)
    parser.add_argument("--fingerprint", help="fingerprint to write into the output")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def add_threefold_table(stages: Stages) -> None:
    """Add ``vacuagym threefold-table``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.threefold_table import threefold_table
        from vacuagym.tables.plan import Plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        plan = segment_of(Plan.read(options.plan), options)
        threefold_table(plan, options.shards, options.output)

    text = "put the geometry of all shards of a data set into one table"
    parser = stage(stages, "threefold-table", run, text)
    add_plan_file(parser)
    add_segment(parser)
    parser.add_argument("--shards", type=Path, required=True, help="folder of the shards' files")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
