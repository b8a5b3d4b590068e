"""The command ``vacuagym``: each rule's work as a subcommand of its own, to run by hand or from the workflow.

Parsing and dispatch only. A stage's modules are imported when it runs, so that ``--help`` and the light stages start at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import vacuagym
from vacuagym.cli_inspection import add_explain, add_status
from vacuagym.errors import ConfigError, VacuagymError
from vacuagym.examples import EXAMPLES
from vacuagym.limits import hold_to_memory, out_of_memory, table_memory_mb
from vacuagym.orphans import die_with_snakemake
from vacuagym.watchdog import watch

Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (0 done, 1 failed, 2 usage or configuration, 3 bad input, 4 out of memory)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = command_line().parse_args(arguments)
    die_with_snakemake()
    if options.log:
        _log_to(options.log, arguments)
    if options.stall_minutes:
        watch(options.stall_minutes)
    try:
        options.command(options)
    except VacuagymError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except MemoryError as refused:
        error = out_of_memory(options.stage, options.mem_mb, refused)
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough, as in `vacuagym status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _log_to(path: Path, arguments: Sequence[str]) -> None:
    """Send all output of this process to a file whose first line is the command that repeats the job in a terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    repeat = [argument for argument in arguments if not argument.startswith("--log=")]
    print(f"# command: {shlex.join(['python', '-m', 'vacuagym', *repeat])}", flush=True)


def command_line() -> argparse.ArgumentParser:
    """All subcommands with their options, and an example at the end of the help of each."""
    parser = argparse.ArgumentParser(prog="vacuagym", description=vacuagym.__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"vacuagym {vacuagym.__version__}")
    stages = parser.add_subparsers(title="stages", dest="stage", metavar="STAGE", required=True)
    for add in (
        _add_geometry,
        _add_plan,
        _add_shard,
        _add_label,
        _add_merge,
        _add_features,
        _add_split,
        _add_verify,
        _add_validate,
        _add_report,
        _add_gate,
        _add_dataset,
        add_explain,
        add_status,
    ):
        add(stages)
    for name, stage in stages.choices.items():
        stage.formatter_class = argparse.RawDescriptionHelpFormatter  # an example stays on one line
        stage.epilog = f"example: {EXAMPLES[name]}" if name in EXAMPLES else None
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _stage(stages, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    parser = stages.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(command=command)
    parser.add_argument("--log", type=Path, help="write all output to this file (default: the terminal)")
    parser.add_argument("--mem-mb", type=_positive, help="memory set aside for this job in MB, held to; exit code 4 if it needs more")
    parser.add_argument("--stall-minutes", type=float, help="end a job that makes no progress for so long (default: never)")
    return parser


def _add_geometry(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.geometry import geometry

        geometry(options.limit, options.mem_mb, options.output)

    parser = _stage(stages, "geometry", run, "enumerate the smooth toric bases of 6D F-theory models into a feature table")
    parser.add_argument("--limit", type=_positive, help="stop after so many bases, those with the fewest rays (default: all 61,539)")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_plan(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.feature_tables import FeatureTable
        from vacuagym.parquet import made_by_us
        from vacuagym.stages.plan import plan

        hold_to_memory(table_memory_mb(), options.mem_mb)
        with made_by_us(options.table):
            table = FeatureTable(options.table, options.id, options.namespace, options.moduli, hodge=_hodge(options))
            plan(options.dataset, table, options.shard_size, options.n_limit, options.output, options.column, options.group)

    parser = _stage(stages, "plan", run, "check a feature table and find the shards that hold its rows")
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--table", type=Path, required=True, help="Parquet feature table")
    parser.add_argument("--id", required=True, help="integer column that identifies a row")
    parser.add_argument("--namespace", help="column that, with the id, makes a row unique")
    parser.add_argument("--moduli", help="column of moduli counts; may hold nulls")
    _add_feature_columns(parser)
    parser.add_argument("--shard-size", type=_positive, default=10_000, help="ids per shard (default: %(default)s)")
    parser.add_argument("--n-limit", type=_positive, help="take the rows with the lowest ids only, so many (default: all)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def _add_shard(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.planning import Plan
        from vacuagym.stages.shard import shard

        hold_to_memory(table_memory_mb(), options.mem_mb)
        shard(Plan.read(options.plan), options.first, options.output)

    parser = _stage(stages, "shard", run, "cut the rows of one range of ids out of a feature table")
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set (vacuagym plan)")
    parser.add_argument("--first", type=int, required=True, help="first id of the shard")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_label(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.label import label

        try:
            settings = json.loads(options.physics.read_text(encoding="utf-8"))
            sections = {name: settings[name] for name in ("seed", "moduli", "ensemble", "search")}
        except (ValueError, LookupError, TypeError) as error:
            raise ConfigError(f"{options.physics}: not the settings that a run records ({error}); run snakemake again") from error
        label(options.shard, sections, options.fingerprint, options.batch_mb, options.mem_mb, options.output)

    parser = _stage(stages, "label", run, "label the geometries of one shard: draw, search the critical points, classify")
    parser.add_argument("--shard", type=Path, required=True, help="shard file (vacuagym shard)")
    parser.add_argument("--physics", type=Path, required=True, help="JSON file with the seed, moduli, ensemble and search settings")
    parser.add_argument("--fingerprint", default="by hand", help="fingerprint of settings and code, kept in the file's metadata")
    parser.add_argument("--batch-mb", type=_positive, default=16, help="working memory of a stack of systems (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_merge(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.planning import Plan
        from vacuagym.stages.merge import merge

        hold_to_memory(table_memory_mb(), options.mem_mb)
        relabel = None
        if options.physics is not None:
            from vacuagym.stages.relabel import Relabeller

            relabel = Relabeller(
                options.physics, options.fingerprint, options.labels, options.shards, options.batch_mb, options.label_mem_mb
            )
        merge([Plan.read(path) for path in options.plans], options.labels, options.fingerprint, options.output, relabel)

    parser = _stage(stages, "merge", run, "put the label files of all shards into one table, sorted by data set, namespace, id")
    parser.add_argument("--plans", type=Path, nargs="+", required=True, help="plans of the data sets (vacuagym plan)")
    parser.add_argument("--labels", type=Path, default=Path("results/labels"), help="folder of the label files (default: %(default)s)")
    parser.add_argument("--fingerprint", help="accept only label files made by these settings and code")
    parser.add_argument("--physics", type=Path, help="make files that are not acceptable again, by these settings (default: refuse them)")
    parser.add_argument("--shards", type=Path, default=Path("results/shards"), help="folder of the shard files (default: %(default)s)")
    parser.add_argument("--batch-mb", type=_positive, default=16, help="as for label, where files are made again (default: %(default)s)")
    parser.add_argument("--label-mem-mb", type=_positive, default=400, help="memory for that (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_split(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.fold_rules import SplitShares
        from vacuagym.parquet import made_by_us
        from vacuagym.stages.split import split

        hold_to_memory(table_memory_mb(), options.mem_mb)
        shares = SplitShares(options.train, options.validation, options.complexity_share, options.hodge_share)
        with made_by_us(options.labels, *options.features):
            split(options.labels, options.name, options.seed, shares, options.output, options.features, options.index)

    parser = _stage(stages, "split", run, "assign every usable geometry to a fold of one split")
    parser.add_argument("--labels", type=Path, default=Path("results/labels.parquet"), help="label table (default: %(default)s)")
    parser.add_argument("--name", required=True, help="iid, ood_complexity, ood_hodge, or ood_dataset_NAME")
    parser.add_argument("--features", type=Path, nargs="+", default=[], help="feature files of all data sets (vacuagym features)")
    parser.add_argument("--seed", type=int, default=42, help="key of the hash that assigns folds (default: %(default)s)")
    parser.add_argument("--train", type=float, default=0.70, help="share of the training fold (default: %(default)s)")
    parser.add_argument("--validation", type=float, default=0.15, help="share of the validation fold (default: %(default)s)")
    parser.add_argument("--complexity-share", type=float, default=0.30, help="share of ood_complexity's test fold (default: %(default)s)")
    parser.add_argument("--hodge-share", type=float, default=0.30, help="share of ood_hodge's test fold (default: %(default)s)")
    parser.add_argument("--index", type=Path, help="JSON file to write besides: the row numbers of train, val and test")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_features(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.parquet import made_by_us
        from vacuagym.planning import Plan
        from vacuagym.stages.features import Wanted, features

        hold_to_memory(table_memory_mb(), options.mem_mb)
        plan = Plan.read(options.plan)
        with made_by_us(options.labels, plan.table["path"]):
            features(plan, options.labels, Wanted(_hodge(options), options.group, options.column), options.output)

    parser = _stage(stages, "features", run, "bring what splits and the data set need of a feature table into the order of the labels")
    parser.add_argument("--plan", type=Path, required=True, help="plan of the data set (vacuagym plan)")
    parser.add_argument("--labels", type=Path, default=Path("results/labels.parquet"), help="label table (default: %(default)s)")
    _add_feature_columns(parser)
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def _add_feature_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--h11", help="column of the Hodge number h11; may hold nulls")
    parser.add_argument("--h21", help="column of the Hodge number h21; may hold nulls")
    parser.add_argument("--column", action="append", default=[], help="column that goes into the data set; may be repeated")
    parser.add_argument("--group", action="append", default=[], help="column that tells which rows are the same geometry; may be repeated")


def _hodge(options: argparse.Namespace) -> list[str]:
    names = [name for name in (options.h11, options.h21) if name is not None]
    if len(names) == 1:
        raise ConfigError("--h11 and --h21 belong together; give both, or neither")
    return names


def _add_verify(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.parquet import made_by_us
        from vacuagym.stages.verify import SampleSize, verify

        hold_to_memory(table_memory_mb(), options.mem_mb)
        size = SampleSize(options.share, options.least, options.per_label)
        with made_by_us(options.labels):
            verify(options.labels, size, options.output, options.record_only)

    parser = _stage(stages, "verify", run, "derive a random sample of the labels a second time, by other code")
    parser.add_argument("--labels", type=Path, default=Path("results/labels.parquet"), help="label table (default: %(default)s)")
    parser.add_argument("--share", type=float, default=0.001, help="share of the rows to verify (default: %(default)s)")
    parser.add_argument("--least", type=int, default=200, help="verify at least so many rows (default: %(default)s)")
    parser.add_argument("--per-label", type=int, default=10, help="and so many of each label of each data set (default: %(default)s)")
    parser.add_argument("--record-only", action="store_true", help="do not fail on a disagreement, only write it down")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def _add_validate(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.parquet import made_by_us
        from vacuagym.planning import Plan
        from vacuagym.stages.validate import Inputs, Thresholds, validate

        hold_to_memory(table_memory_mb(), options.mem_mb)
        thresholds = Thresholds(options.largest_class, options.failed_share, options.fold_tolerance)
        plans = [Plan.read(path) for path in options.plans]
        with made_by_us(options.labels, *options.splits, *options.features):
            inputs = Inputs(options.labels, plans, options.splits, options.features, options.label_files, options.verification)
            validate(inputs, thresholds, options.output)

    parser = _stage(stages, "validate", run, "check every row of the labels and splits, and measure what predicting from n alone scores")
    parser.add_argument("--labels", type=Path, default=Path("results/labels.parquet"), help="label table (default: %(default)s)")
    parser.add_argument("--plans", type=Path, nargs="+", required=True, help="plans of the data sets (vacuagym plan)")
    parser.add_argument("--splits", type=Path, nargs="+", required=True, help="split files (vacuagym split)")
    parser.add_argument("--features", type=Path, nargs="+", default=[], help="feature files of all data sets (vacuagym features)")
    parser.add_argument("--label-files", type=Path, default=Path("results/labels"), help="folder of the label files (default: %(default)s)")
    parser.add_argument("--verification", type=Path, default=Path("results/verification.json"), help="figures of vacuagym verify")
    parser.add_argument(
        "--largest-class", type=float, default=0.95, help="most that one label may have of a data set (default: %(default)s)"
    )
    parser.add_argument("--failed-share", type=float, default=0.001, help="most rows that may have failed (default: %(default)s)")
    parser.add_argument("--fold-tolerance", type=float, default=0.02, help="of the shares of iid's folds (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def _add_report(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.parquet import made_by_us
        from vacuagym.stages.report import report

        hold_to_memory(table_memory_mb(), options.mem_mb)
        with made_by_us(options.labels):
            report(options.labels, options.validation, options.configuration, options.output)

    parser = _stage(stages, "report", run, "write the page that shows a run: verdict, figures, checks, settings")
    parser.add_argument("--labels", type=Path, default=Path("results/labels.parquet"), help="label table (default: %(default)s)")
    parser.add_argument("--validation", type=Path, default=Path("results/validation.json"), help="figures of vacuagym validate")
    parser.add_argument("--configuration", type=Path, default=Path("results/configuration.json"), help="settings that a run records")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")


def _add_gate(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.stages.gate import gate

        gate(options.validation, options.output)

    parser = _stage(stages, "gate", run, "fail if a check of the results has failed")
    parser.add_argument("--validation", type=Path, default=Path("results/validation.json"), help="figures of vacuagym validate")
    parser.add_argument("--output", type=Path, required=True, help="text file to write if all is well")


def _add_dataset(stages) -> None:
    def run(options: argparse.Namespace) -> None:
        from vacuagym.parquet import made_by_us
        from vacuagym.stages.dataset import dataset

        hold_to_memory(table_memory_mb(), options.mem_mb)
        figures = (options.validation, options.configuration)
        with made_by_us(options.labels, *options.splits, *options.features):
            dataset(options.labels, options.splits, options.features, *figures, options.output, options.published)

    parser = _stage(stages, "dataset", run, "write labels, splits and features as a data set that other libraries load in one line")
    parser.add_argument("--labels", type=Path, default=Path("results/labels.parquet"), help="label table (default: %(default)s)")
    parser.add_argument("--splits", type=Path, nargs="+", required=True, help="split files (vacuagym split): one configuration each")
    parser.add_argument("--features", type=Path, nargs="*", default=[], help="files of feature columns, named by their data set")
    parser.add_argument("--validation", type=Path, default=Path("results/validation.json"), help="figures of vacuagym validate")
    parser.add_argument("--configuration", type=Path, default=Path("results/configuration.json"), help="the settings of the run")
    parser.add_argument("--published", metavar="YYYY-MM-DD", help="date of publication, for the Croissant description (default: none)")
    parser.add_argument("--output", type=Path, required=True, help="folder to write; its SHA256SUMS appears last")
