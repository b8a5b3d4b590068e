"""Run Snakemake in forks of one process that has imported it.

Its imports take a second of processor time, as much as all else of a small run. The server imports
libraries only. Each fork imports the logger plugin and the package, and reads the Snakefile.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn


class SnakemakeServer:
    """The server, as a test process sees it. It ends with that process."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, folder: Path, arguments: list[str], output: Path, timeout: int) -> int:
        """Run Snakemake in a folder with the environment of this process.

        Parameters
        ----------
        arguments : list of str
            The command line after `python -m snakemake`.
        output : Path
            The file for stdout and stderr.
        timeout : int
            Seconds until SIGALRM kills the run, and so its jobs.

        Returns
        -------
        int
            The exit code. The negative number of a signal, if one has killed Snakemake.
        """
        call = [str(folder), arguments, str(output), timeout, dict(os.environ)]
        print(json.dumps(call), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def become_snakemake(
    folder: str, arguments: list[str], output: str, timeout: int, environment: dict[str, str]
) -> NoReturn:
    """Go on as `python -m snakemake` in a folder."""
    signal.alarm(timeout)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    sys.path[0] = folder
    sys.argv = [snakemake.cli.__file__, *arguments]
    snakemake.cli.main()
    raise AssertionError("Snakemake exits")


if __name__ == "__main__":
    import pandas  # noqa: F401
    import smart_open  # noqa: F401
    import snakemake.cli
    import snakemake.report.html_reporter

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become_snakemake(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
