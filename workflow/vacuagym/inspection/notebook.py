"""What a notebook needs of a run: to start and watch it, and to show its figures. Its memory grows
neither with output nor with rows.
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

from vacuagym.errors import VacuagymError
from vacuagym.paths import LABEL_TABLE, VALIDATION
from vacuagym.report.figures import Figure
from vacuagym.report.histograms import COLUMNS, count_rows
from vacuagym.report.page import figure_sections
from vacuagym.runtime.atomic_files import read_json
from vacuagym.runtime.log_tail import last_lines
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches

LOG = Path("logs/quickstart.log")
LINES, SIZE = 80, 64 * 1024  # of the output: most lines and bytes that are shown
_REFRESH, _PATIENCE = (
    1.0,
    30.0,
)  # seconds between looks at the log; seconds that an interrupted run has to end
# A run outlives neither a kernel that was restarted nor one that was killed.
_SNAKEMAKE = (
    "import runpy, sys; from vacuagym.runtime.parent_death import die_with; "
    "die_with(int(sys.argv.pop(1)));"
    " runpy.run_module('snakemake', run_name='__main__', alter_sys=True)"
)


def run_pipeline(
    snakefile: Path, folder: Path, options: Sequence[str], show: Callable[[str], None] | None = None
) -> None:
    """Run Snakemake in a folder, with its output in :data:`LOG` there and the last lines of it on
    the screen.

    ``show`` is given these lines whenever they have changed; by default they stand in the output
    of the notebook's cell, each time in the place of those before. A run that fails raises
    :class:`VacuagymError`; an interrupt ends the run and its jobs first.
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
    show, shown, code = show or _cell_output(), "", None
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
    }  # what a Snakefile prints comes in its turn
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
            with open(log, "rb") as output:
                text = "\n".join(last_lines(output, LINES, SIZE))
            if text != shown:
                show(text)
            shown = text
    finally:
        if code is None:
            _interrupt(child)
    if code:
        raise VacuagymError(f"the run has failed (exit code {code}); all of its output: {log}")


def report_figures(folder: Path) -> dict[str, str]:
    """The figures of the report of a run by their titles, as HTML: the picture, and the sentence
    that says what to conclude from it.
    """
    document = read_json(folder / VALIDATION)
    labels = open_parquet(folder / LABEL_TABLE)
    counts = count_rows(read_batches(labels, folder / LABEL_TABLE, COLUMNS))
    sections = figure_sections(document, counts, file_metadata(labels))
    return {figure.title: _html(figure) for _, figures in sections for figure in figures}


def _html(figure: Figure) -> str:
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return (
        '<figure style="max-width: '
        f'640px"><b>{escape(figure.title)}</b>{figure.picture or ""}{caption}</figure>'
    )


def _cell_output() -> Callable[[str], None]:
    from IPython.display import (
        display,
    )  # a notebook has it, the pipeline's own environment need not

    output = display({"text/plain": ""}, raw=True, display_id=True)
    return lambda text: output.update({"text/plain": text}, raw=True)


def _interrupt(child: subprocess.Popen) -> None:
    """Tell Snakemake and all of its jobs to end, as Ctrl-C in a terminal does; who is late, or
    meets a second interrupt, is killed.
    """
    os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
