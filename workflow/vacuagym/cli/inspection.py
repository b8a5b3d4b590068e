"""The subcommands that are for people and not for rules: they look at results and write none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vacuagym.cli.arguments import tool

if TYPE_CHECKING:
    from vacuagym.cli.arguments import Stages


def add_explain(stages: Stages) -> None:
    """Add ``vacuagym explain``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.inspection.explain import explain

        explain(options.key, options.config, options.labels, options.precise)

    parser = tool(
        stages,
        "explain",
        run,
        "show what decides one label (its trials, or its divisors), and derive it by other code",
    )
    parser.add_argument(
        "key", metavar="KEY", help="key of the geometry, such as fth6d:123 or ks:w5.ip.gz:123"
    )
    parser.add_argument(
        "--precise",
        action="store_true",
        help="also derive critical point and spectrum at 50 digits (mpmath)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config.yaml"),
        help="configuration to compare with (default: %(default)s)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path(),
        help="label table, or folder of a run or of a published data set (default: %(default)s)",
    )


def add_status(stages: Stages) -> None:
    """Add ``vacuagym status``."""

    def run(options: argparse.Namespace) -> None:
        from vacuagym.inspection.status import print_status, watch_status

        if options.watch is None:
            print_status()
        else:
            watch_status(options.watch)

    parser = tool(
        stages,
        "status",
        run,
        "show how far the last run in this folder is; reads only, at any time",
    )
    parser.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="again and again (default: every 5 s)",
    )
