"""Start and watch a run in a notebook, and show its figures.

Memory grows neither with the output of the run nor with its rows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from vacuagym.errors import VacuagymError
from vacuagym.paths import LABEL_TABLE, VALIDATION
from vacuagym.report.figures import Figure
from vacuagym.report.histograms import COLUMNS, count_rows
from vacuagym.report.page import figure_sections
from vacuagym.runtime.atomic_files import read_json
from vacuagym.runtime.log_tail import last_lines
from vacuagym.tables.stored import StoredTable

LOG = Path("logs/quickstart.log")
LINES, SIZE = 80, 64 * 1024  # largest number of lines and bytes of the output that are shown
_REFRESH = 1.0  # seconds between looks at the log
_PATIENCE = 30.0  # seconds that an interrupted run has to end
# The run ends with the kernel, even if the kernel is killed.
_SNAKEMAKE = (
    "import runpy, sys; from vacuagym.runtime.parent_death import die_with; "
    "die_with(int(sys.argv.pop(1)));"
    " runpy.run_module('snakemake', run_name='__main__', alter_sys=True)"
)


def run_pipeline(
    snakefile: Path, folder: Path, options: Sequence[str], show: Callable[[str], None] | None = None
) -> None:
    """Run Snakemake in a folder, and show the last lines of its output.

    All output goes to :data:`LOG` in the folder. An interrupt ends the run and its jobs first.

    Parameters
    ----------
    snakefile : Path
        The Snakefile.
    folder : Path
        The folder of the run.
    options : sequence of str
        Options of Snakemake.
    show : callable, optional
        Receives the last lines when they have changed. By default they replace the output of the
        notebook cell.

    Raises
    ------
    VacuagymError
        If the run fails.
    """
    log = folder / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-P",
        "-c",
        _SNAKEMAKE,
        str(os.getpid()),
        "--snakefile",
        str(snakefile.absolute()),
        *options,
    ]
    code: int | None = None
    show, shown = show or _cell_output(), ""
    # Output of a Snakefile appears in its order.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(log, "wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        while code is None:
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(_REFRESH)
            with open(log, "rb") as written:
                text = "\n".join(last_lines(written, LINES, SIZE))
            if text != shown:
                show(text)
            shown = text
    finally:
        if code is None:
            _interrupt(child)
    if code:
        raise VacuagymError(
            f"{log}: the run has failed (exit code {code}); the end of this file says why; "
            "correct that, and run the cell again"
        )


def report_figures(folder: Path) -> dict[str, str]:
    """Return the figures of the report of a run as HTML, by title: picture and caption."""
    document = read_json(folder / VALIDATION)
    labels = StoredTable(folder / LABEL_TABLE)
    sections = figure_sections(document, count_rows(labels.batches(COLUMNS)), labels.about)
    return {figure.title: _html(figure) for _, figures in sections for figure in figures}


def _html(figure: Figure) -> str:
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return (
        '<figure style="max-width: '
        f'640px"><b>{escape(figure.title)}</b>{figure.picture or ""}{caption}</figure>'
    )


def _cell_output() -> Callable[[str], None]:
    """Return a function that replaces the output of the current notebook cell."""
    # A notebook has IPython. The pipeline's own environment may lack it.
    import IPython.display

    display: Callable[..., Any] = IPython.display.display
    output = display({"text/plain": ""}, raw=True, display_id=True)

    def replace(text: str) -> None:
        output.update({"text/plain": text}, raw=True)

    return replace


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """Interrupt Snakemake and all of its jobs, as Ctrl-C in a terminal does.

    After :data:`_PATIENCE` seconds, or at a second interrupt, they are killed.
    """
    os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
