"""The command ``vacuagym``: one subcommand for each rule, to run by hand or from the workflow.

Dispatch only: the subcommands are in :mod:`vacuagym.cli.arguments`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from vacuagym import __version__
from vacuagym.cli import checks, inspection, labels, splits, tables
from vacuagym.cli.examples import EXAMPLES
from vacuagym.errors import DamagedFileError, VacuagymError, printable
from vacuagym.runtime.atomic_files import remove_damaged
from vacuagym.runtime.lease import require_lease, watch_lease
from vacuagym.runtime.memory import out_of_memory
from vacuagym.runtime.parent_death import die_with_snakemake
from vacuagym.runtime.stall import watch

DESCRIPTION = "Stability labels for the geometries of string compactifications."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (0 done, 1 failed, 2 usage or configuration, 3 bad
    input, 4 out of memory).
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = command_line().parse_args(arguments)
    die_with_snakemake()
    try:
        require_lease()
    except VacuagymError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    watch_lease()
    if options.log:
        _log_to(options.log, arguments)
    if options.stall_minutes:
        watch(options.stall_minutes)
    try:
        options.command(options)
    except DamagedFileError as damaged:
        print(f"error: {remove_damaged(damaged)}", file=sys.stderr)
        return damaged.exit_code
    except VacuagymError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except MemoryError as refused:
        told = out_of_memory(options.stage, options.mem_mb, refused)
        print(f"error: {told}", file=sys.stderr)
        return told.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough, as in `vacuagym status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


def _log_to(path: Path, arguments: Sequence[str]) -> None:
    """Send all output of this process to a file whose first line is the command that repeats the
    job in a terminal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NONBLOCK
    log = os.open(path, flags, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    repeat = [argument for argument in arguments if not argument.startswith("--log=")]
    print("# command:", *map(_quoted, ["python", "-P", "-m", "vacuagym", *repeat]), flush=True)


def _quoted(argument: str) -> str:
    """Quote an argument for a shell; one that is not printable in the way of Bash, escaped."""
    if argument.isprintable():
        return shlex.quote(argument)
    escaped = argument.replace("\\", "\\\\").replace("'", "\\'")
    escapes = (
        c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))
        for c in escaped
    )
    return f"$'{''.join(escapes)}'"


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all subcommands. The help of each ends with an example."""
    parser = argparse.ArgumentParser(prog="vacuagym", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"vacuagym {__version__}")
    stages = parser.add_subparsers(title="commands", dest="stage", metavar="COMMAND", required=True)
    for add in (
        *(inspection.add_status, inspection.add_explain),
        *(tables.add_geometry, tables.add_table_state, tables.add_plan, tables.add_columns),
        *(tables.add_threefolds, tables.add_threefold_table, tables.add_shard),
        *(labels.add_label, labels.add_label_threefolds, labels.add_merge),
        *(splits.add_features, splits.add_survey, splits.add_split),
        *(checks.add_sample_segment, checks.add_sample, checks.add_verify_part),
        *(checks.add_verify, checks.add_verify_geometry, checks.add_check_segment),
        *(checks.add_validate, checks.add_report, checks.add_gate),
        *(splits.add_dataset_layout, splits.add_dataset_part, splits.add_dataset),
    ):
        add(stages)
    for name, stage in stages.choices.items():
        stage.formatter_class = argparse.RawDescriptionHelpFormatter  # an example stays on one line
        stage.epilog = f"example: {EXAMPLES[name]}" if name in EXAMPLES else None
    return parser
