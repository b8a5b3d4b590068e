"""The subcommands of ``vacuagym``, a module for each phase: parsing only. A stage's modules are
imported when it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vacuagym.config.defaults import default_of, meaning_of
from vacuagym.errors import ConfigError

Command = Callable[[argparse.Namespace], None]
if TYPE_CHECKING:
    from vacuagym.tables.plan import Plan

    Stages = argparse._SubParsersAction[argparse.ArgumentParser]


def stage(stages: Stages, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    """Add a subcommand that is a job, with the options of every job."""
    parser = stages.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(command=command)
    parser.add_argument(
        "--log", type=Path, help="write all output to this file (default: the terminal)"
    )
    parser.add_argument(
        "--mem-mb",
        type=positive,
        help="memory set aside for this job in MB, held to; exit code 4 if it needs more",
    )
    parser.add_argument(
        "--stall-minutes",
        type=float,
        help="minutes without progress after which the job ends (default: never)",
    )
    return parser


def tool(stages: Stages, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    """Add a subcommand for people: no job, so nothing of a job's options."""
    parser = stages.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(command=command, log=None, mem_mb=None, stall_minutes=None)
    return parser


def positive(text: str) -> int:
    """A whole number above zero, as the type of an option."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def shard_size(text: str) -> int | str:
    """A whole number above zero, or auto, as the type of an option."""
    return text if text == "auto" else positive(text)


def add_setting(
    parser: argparse.ArgumentParser,
    key: str,
    kind: Callable[[str], Any],
    meaning: str | None = None,
) -> None:
    """Add the option that mirrors a setting, with its default and its description.

    Parameters
    ----------
    parser : ArgumentParser
        The subcommand.
    key : str
        Path of the setting. The option has the name of its last part.
    kind : callable
        The type of the option.
    meaning : str, optional
        What the option means here, if the description of the setting does not fit.
    """
    name = key.rpartition(".")[2].replace("_", "-")
    text = f"{meaning or meaning_of(key)} (default: %(default)s)"
    parser.add_argument(f"--{name}", type=kind, default=default_of(key), help=text)


def add_plan_file(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the plan of a data set."""
    parser.add_argument(
        "--plan", type=Path, required=True, help="plan of the data set (vacuagym plan)"
    )


def add_segment(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the shards of a segment of a large table."""
    parser.add_argument(
        "--segment",
        metavar="FIRST-LAST",
        type=_positions,
        help="only these shards of the plan, counted from 0: one file of a large table",
    )


def segment_of(plan: Plan, options: argparse.Namespace) -> Plan:
    """Return the plan of the shards that ``--segment`` names; without it, of all."""
    return plan if options.segment is None else plan.of_segment(*options.segment)


def _positions(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST-LAST, such as 0-11")
    return int(first), int(last)


def add_plan_files(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the plans of several data sets."""
    parser.add_argument(
        "--plans",
        type=Path,
        nargs="+",
        required=True,
        help="plans of the data sets (vacuagym plan)",
    )


def add_feature_files(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the feature files of all data sets."""
    parser.add_argument(
        "--features",
        type=Path,
        nargs="+",
        default=[],
        help="feature files of all data sets (vacuagym features)",
    )


def add_label_table(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the label table."""
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path("results/labels.parquet"),
        help="label table (default: %(default)s)",
    )


def add_content_columns(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the columns from which geometry is computed."""
    parser.add_argument(
        "--content",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column of weight systems, vertices, matrices or single weights; may be repeated",
    )


def add_feature_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that name columns of a feature table for splits and data set."""
    parser.add_argument("--h11", help="column of the Hodge number h11; may hold nulls")
    parser.add_argument("--h21", help="column of the Hodge number h21; may hold nulls")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        help="column that goes into the data set; may be repeated",
    )
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        help="column that tells which rows are the same geometry; may be repeated",
    )


def hodge_columns(options: argparse.Namespace) -> list[str]:
    """The columns of h11 and h21, or none."""
    names = [name for name in (options.h11, options.h21) if name is not None]
    if len(names) == 1:
        raise ConfigError("--h11 and --h21 belong together; give both, or neither")
    return names
