"""What has to happen before Snakemake reads the Snakefile: its logger plugin, which Snakemake
imports first, does it.
"""

from __future__ import annotations

import os
import sys

from snakemake.common import get_appdirs

from vacuagym.config.file import read_config
from vacuagym.errors import VacuagymError


def use_a_cache_that_works() -> None:
    """Let Snakemake keep its cache in the run folder where the user's own cannot be written, as
    without a home.

    Snakemake makes that folder before it reads a Snakefile, and after it has imported its plugins.
    """
    try:
        os.makedirs(get_appdirs().user_cache_dir, exist_ok=True)
    except OSError:
        os.environ["XDG_CACHE_HOME"] = os.path.abspath(os.path.join(".snakemake", "cache"))


def refuse_unreadable_configurations(arguments: list[str]) -> None:
    """End the process with one message where a --configfile cannot be read: Snakemake would show a
    traceback.

    Snakemake reads these files before the Snakefile, and after it has made its loggers.
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
