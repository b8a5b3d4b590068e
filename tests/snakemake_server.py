"""Run Snakemake in forks of one process that has imported it.

Its imports take a second of processor time, and so do imports of the package and its fingerprints:
as much as all else of a small run. The server has them. Each fork imports the logger plugin and
reads the Snakefile. A run with an environment of its own is a new process, and has nothing of this.
"""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn


class SnakemakeServer:
    """The server, as a test process sees it. It ends with that process."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self,
        folder: Path,
        arguments: list[str],
        *,
        environment: Mapping[str, str],
        timeout: int,
        apart: bool = False,
    ) -> subprocess.CompletedProcess:
        """Run `python -m snakemake` in a folder.

        Parameters
        ----------
        arguments : list of str
            The command line after `python -m snakemake`.
        environment : mapping of str to str
            The whole environment. Snakemake and its jobs see it, the start of Python does not.
        timeout : int
            Seconds until SIGALRM kills Snakemake, and so its jobs.
        apart : bool
            Whether stderr is kept apart from stdout.

        Returns
        -------
        subprocess.CompletedProcess
            As `subprocess.run` returns it, in text.
        """
        with NamedTemporaryFile() as out, NamedTemporaryFile() as err:
            files = [out.name, err.name if apart else out.name]
            call = [str(folder), arguments, dict(environment), timeout, *files]
            print(json.dumps(call), file=self._process.stdin, flush=True)
            code = int(self._process.stdout.readline())
            said, complaint = (Path(file.name).read_text("utf-8") for file in (out, err))
            return subprocess.CompletedProcess(arguments, code, said, complaint)


def become_snakemake(
    folder: str, arguments: list[str], environment: dict[str, str], timeout: int, *files: str
) -> NoReturn:
    """Go on as `python -m snakemake` in a folder, with files for stdout and stderr."""
    signal.alarm(timeout)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), descriptor)
    sys.path[0] = folder
    sys.argv = [snakemake.cli.__file__, *arguments]
    snakemake.cli.main()
    raise AssertionError("Snakemake exits")


if __name__ == "__main__":
    import pandas  # noqa: F401
    import smart_open  # noqa: F401
    import snakemake.cli
    import snakemake.report.html_reporter

    import vacuagym.orchestration.start  # noqa: F401
    from vacuagym.orchestration.pipeline import Pipeline

    Pipeline({})
    gc.freeze()  # what all forks share is looked through by none
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become_snakemake(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
