"""Write the pages of this folder from what they describe: the model of the configuration, the
columns, the command line, the declared memory. Write config.yaml and the defaults of the command
line from the model too.

python docs/reference/make_reference.py
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from vacuagym.cli.main import command_line
from vacuagym.config.datasets import SOURCES
from vacuagym.config.defaults import FILE as DEFAULTS
from vacuagym.config.model import Configuration
from vacuagym.config.written import Key, config_file, defaults, keys, paragraphs, section_of
from vacuagym.runtime.memory import (
    BATCH_MB,
    geometry_table_memory_mb,
    label_memory_mb,
    table_memory_mb,
)
from vacuagym.tables import (
    feature_schema,
    label_table,
    split_schema,
    threefold_schema,
    toric_schema,
)
from vacuagym.tables.columns import Column
from vacuagym.theories.registry import THEORIES

HERE = Path(__file__).parent
WRITTEN_BY = "*Written by `make docs`; a test compares it with the code.*"
TABLES = (
    (
        "Label table",
        "`results/labels.parquet`. The files of the shards under `results/labels/` have the "
        "columns of one theory. λ are Hessian eigenvalues.",
        label_table.COLUMNS,
    ),
    ("Splits", "`results/splits/{split}.parquet`.", split_schema.COLUMNS),
    (
        "Toric bases",
        "`results/geometry/fth6d.parquet`, the feature table of the data set fth6d.",
        toric_schema.COLUMNS,
    ),
    (
        "Threefolds of polytopes",
        "`results/geometry/{dataset}.parquet` of weight systems and polytopes. M is the Newton "
        "polytope, N its dual (swapped with `side: mirror`), X the hypersurface whose divisors are "
        "points of N. Divisors are the points in their order, each as often as it has copies. "
        'Enumerated weight systems also have the text `weights`: "d w1 … w5".',
        threefold_schema.POLYTOPE_COLUMNS,
    ),
    (
        "CICY threefolds",
        "`results/geometry/{dataset}.parquet` of configuration matrices.",
        threefold_schema.CICY_COLUMNS,
    ),
    (
        "Shards",
        "`results/shards/{dataset}/{first}-{last}.parquet`: what a label job reads.",
        feature_schema.COLUMNS,
    ),
)
MODULI, TRIALS, BATCHES = (32, 64, 128, 256), (9, 36, 100, 400), (16, 64, 256, 1024)


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    return {
        "configuration.md": configuration(),
        "columns.md": columns(),
        "commands.md": commands(),
        "memory.md": memory(),
    }


def files() -> dict[Path, str]:
    """The text of each file outside this folder that is written from the model of the
    configuration.
    """
    return {HERE.parents[1] / "config.yaml": config_file(), DEFAULTS: defaults()}


def configuration() -> str:
    """Every key of the configuration: values, default, meaning; a table for each section."""
    top, parts = [], []
    known = {key.path: key for key in keys(Configuration)}
    for name, field in Configuration.model_fields.items():
        if (section := section_of(field)) is not None:
            parts += [f"## {name}", *paragraphs(section), key_table(keys(section, f"{name}."))]
        elif name in known:
            top.append(known[name])
        else:
            parts += [f"## {name}", str(field.description)]
            for source, entry in SOURCES.items() if name == "datasets" else ():
                parts += [f"With `source: {source}`:", key_table(keys(entry, f"{name}.NAME."))]
    return page(
        "Configuration",
        "Put what you change into a file of your own and add it with `--configfile`, or change a "
        "single key with `--config seed=7`."
        " Unknown keys and impossible values are refused, by name, before any work starts.",
        key_table(top),
        *parts,
    )


def key_table(described: Iterable[Key]) -> str:
    """Keys with what may stand for them."""
    rows = [
        [
            f"`{key.path}`",
            key.values,
            f"`{key.default}`" if key.default not in ("", "required") else key.default,
            key.meaning,
        ]
        for key in described
    ]
    return table(("key", "values", "default", "meaning"), rows)


def columns() -> str:
    """Every column of every table that the pipeline writes."""
    parts = [
        part
        for title, text, described in TABLES
        for part in (f"## {title}", text, column_table(described))
    ]
    labels = [
        part
        for theory in THEORIES.values()
        for part in (
            f"## Labels of the theory {theory.name}",
            theory.of_what,
            table(("label", "meaning"), [[f"`{n}`", text] for n, text in theory.classes.items()]),
        )
    ]
    return page(
        "Columns",
        "Columns are never null but where the last column of these tables says so.",
        *parts,
        *labels,
    )


def column_table(described: Iterable[Column]) -> str:
    """Name, type, meaning (with the categories) and nulls of the columns of a table."""
    rows = []
    for column in described:
        of = f": {', '.join(column.categories)}" if column.categories else ""
        kind = column.type
        name = (
            f"{kind.value_type}, dictionary of {kind.index_type}"
            if pa.types.is_dictionary(kind)
            else str(kind).replace("element: ", "")
        )
        rows.append([f"`{column.name}`", name, column.meaning + of, column.null])
    return table(("column", "Arrow type", "meaning", "null where"), rows)


def commands() -> str:
    """Every subcommand with its options and its example; the options that all jobs have, once."""
    stages = subcommands()
    options = {
        name: {option.dest: option for option in parser._actions if option.dest != "help"}
        for name, parser in stages.items()
    }
    jobs = {name: found for name, found in options.items() if "log" in found}
    common = set.intersection(*(set(found) for found in jobs.values())) - {"output"}
    people = " and ".join(name for name in options if name not in jobs)
    parts = [
        "## Options of every job",
        f"Of all commands but {people}.",
        option_table(jobs["geometry"][name] for name in sorted(common)),
    ]
    for name, parser in stages.items():
        own = [option for dest, option in options[name].items() if dest not in common]
        example = (parser.epilog or "").removeprefix("example: ")
        parts += [
            f"## vacuagym {name}",
            sentence(parser.description),
            option_table(own),
            f"```sh\n{example}\n```",
        ]
    return page(
        "Commands",
        "Each rule of the workflow runs one of these; the first line of a file under `logs/` is "
        "the command that repeats the job. The"
        " examples work as typed in a folder in which the default data set has been labelled; "
        "some start from a file that the example of"
        " plan or of shard has written. `vacuagym STAGE --help` says the same.",
        *parts,
    )


def subcommands() -> Mapping[str, argparse.ArgumentParser]:
    """The parsers of all subcommands by name."""
    return next(
        action
        for action in command_line()._actions
        if isinstance(action, argparse._SubParsersAction)
    ).choices


def option_table(options: Iterable[argparse.Action]) -> str:
    """Options with their meanings."""
    rows = [
        [usage(option), "required" if option.required else "", option.help % vars(option)]
        for option in options
    ]
    return table(("option", "", "meaning"), rows)


def usage(option: argparse.Action) -> str:
    """An option as it is typed."""
    if not option.option_strings:
        return f"`{option.metavar}`"
    value = (
        ""
        if option.nargs == 0
        else f" {option.metavar or option.dest.upper()}{' …' if option.nargs in ('+', '*') else ''}"
    )
    return f"`{option.option_strings[-1]}{f' [{value.strip()}]' if option.nargs == '?' else value}`"


def memory() -> str:
    """What each job declares, and what the configuration makes of it for a label job."""
    jobs = [
        ["label", "as below", "moduli.max, search.n_samples, search.n_restarts, memory.batch_mb"],
        ["geometry", str(geometry_table_memory_mb()), "nothing"],
        ["all others", str(table_memory_mb()), "nothing"],
    ]
    by_trials = [
        [f"**{n}**", *(str(label_memory_mb(n, trials, BATCH_MB)) for trials in TRIALS)]
        for n in MODULI
    ]
    by_batch = [
        [f"**{n}**", *(str(label_memory_mb(n, TRIALS[0], batch)) for batch in BATCHES)]
        for n in MODULI
    ]
    return page(
        "Memory",
        "MB that a job declares to Snakemake and is held to. No number depends on the number of "
        "rows. How to choose: [the"
        " how-to](../how-to/memory.md).",
        table(("job", "declares", "depends on"), jobs),
        "## Label job",
        "By `moduli.max` (rows) and trials, n_samples · n_restarts (columns), with "
        f"`memory.batch_mb` {BATCH_MB}:",
        table(("", *map(str, TRIALS)), by_trials),
        f"By `moduli.max` (rows) and `memory.batch_mb` (columns), with {TRIALS[0]} trials:",
        table(("", *map(str, BATCHES)), by_batch),
    )


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def page(title: str, *parts: str) -> str:
    """A page from its paragraphs."""
    return "\n\n".join([f"# {title}", WRITTEN_BY, *parts]) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; the bars of absolute values are escaped."""
    head = list(head)
    lines = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def main() -> None:
    """Write the files, then the pages: the command line reads one of the files."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
