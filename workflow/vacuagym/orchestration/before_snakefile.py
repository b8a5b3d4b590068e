"""Prepare before Snakemake reads the Snakefile.

Snakemake imports its logger plugin first, so the plugin calls these functions.
"""

from __future__ import annotations

import os
import sys

from snakemake.common import get_appdirs

from vacuagym.config.file import read_config
from vacuagym.errors import VacuagymError


def use_a_cache_that_works() -> None:
    """Keep Snakemake's cache in the run folder if the cache of the user cannot be written.

    This happens without a home directory. Snakemake creates its cache folder after it has imported
    its plugins, and before it reads a Snakefile.
    """
    try:
        os.makedirs(get_appdirs().user_cache_dir, exist_ok=True)
    except OSError:
        os.environ["XDG_CACHE_HOME"] = os.path.abspath(os.path.join(".snakemake", "cache"))


def refuse_unreadable_configurations(arguments: list[str]) -> None:
    """End the process with one message if a --configfile cannot be read.

    Snakemake would show a traceback. It reads these files after it has created its loggers, and
    before it reads the Snakefile.
    """
    named = False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if argument.startswith("-"):
            named = option in ("--configfile", "--configfiles")
        if named and (equals or not argument.startswith("-")):
            try:
                read_config(value if argument.startswith("-") else argument)
            except VacuagymError as error:
                print(f"error: {error}", file=sys.stderr)
                raise SystemExit(error.exit_code) from None
