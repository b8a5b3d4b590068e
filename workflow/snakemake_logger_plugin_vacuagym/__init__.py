"""Short console output of a run: a start line, progress, failures and a last line.

The output stays short for any number of jobs. It is for a person, or a notebook cell, that watches
a real run. Snakemake keeps the full record under .snakemake/log, and each job keeps its own log.
Snakemake's own handler prints instead if the user wants more (a dry run, --verbose,
--printshellcmds, --debug-dag, --show-failed-logs) or nothing (--quiet all).
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from contextlib import suppress
from logging import ERROR, INFO, WARNING, LogRecord
from typing import Any, TextIO, cast

from snakemake import logging as default
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_vacuagym.failures import (
    failure_block,
    read_log,
    scheduler_reason,
    shorten,
)
from snakemake_logger_plugin_vacuagym.tally import Tally
from vacuagym.orchestration.before_snakefile import (
    refuse_unreadable_configurations,
    use_a_cache_that_works,
)
from vacuagym.paths import REPORT

LINES = 1000  # After each 1000 lines, a line of progress stands for twice as many jobs.
INTERVAL = 1.0  # least seconds between lines of jobs without a log
BAR = 16  # width of the progress bar, in characters
FULL_BLOCKS = 5  # failures shown with the end of their log
SHORT_LINES = 50  # failures shown at all
NOTE_LINES = 100  # lines of warnings, and lines of errors
WHOLE_LOG = "the whole log is under .snakemake/log"
# These sentences close a failed run. They are left out: the last line here says more.
FINAL_ERRORS = (
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
    "--keep-incomplete mode is set",  # by the pipeline, for jobs on other hosts
)
INTERRUPTED = "Terminating processes on user request"
WANTED = (
    NOTHING_TO_BE_DONE_MSG,
    INTERRUPTED,
    "Will exit after finishing",
)
SHARED_FS = "Assuming unrestricted shared filesystem usage."
# Without a separator at the end: it is also the prefix of the snakemake_* packages beside it.
SNAKEMAKE = os.path.dirname(default.__file__)


class Event(LogRecord):
    """A record of Snakemake, with the attributes of its event."""

    stats: dict[str, int]
    wildcards: dict[str, str] | None
    output: list[str]
    jobid: int
    job_id: int
    rule_name: str
    log: list[str]
    shellcmd: str | None
    rule_msg: str | None
    external_jobid: str | None
    aux_logs: list[str]
    job_error_info: list[dict[str, Any]]
    done: int
    total: int


use_a_cache_that_works()


def clock(seconds: float) -> str:
    """Format a duration as m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )


def job_table(stats: dict[str, int]) -> list[str]:
    """Return the numbers of jobs per rule, in at most three lines."""
    rules = ", ".join(f"{rule} {count}" for rule, count in stats.items() if rule != "total")
    return textwrap.wrap(
        f"jobs: {stats['total']} ({rules})",
        110,
        subsequent_indent="    ",
        max_lines=3,
        break_on_hyphens=False,
    )


def progress_line(done: int, total: int, job: str | None, *, failed: int, elapsed: float) -> str:
    """Return a line of progress.

    The time left is rounded up. It is left out until five jobs and five seconds have passed.

    Parameters
    ----------
    done, total : int
        Numbers of jobs.
    job : str or None
        The job that finished last. None: the line begins with a bar.
    failed : int
        Number of failed jobs.
    elapsed : float
        Seconds since the start.
    """
    left = ""
    if done >= 5 and elapsed >= 5 and done < total:
        seconds = elapsed / done * (total - done)
        grain = 10 if seconds < 600 else 60 if seconds < 3600 else 600
        left = f", about {clock(-(-seconds // grain) * grain)} left"
    jobs = f"{done} of {total} jobs{f', {failed} failed' if failed else ''}"
    filled = BAR * done // max(total, 1)
    bar = f"{'#' * filled}{'.' * (BAR - filled)} " if job is None else ""
    return (
        f"{bar}[{done * 100 // max(total, 1):3d}%] {jobs}  {f'{job}  ' if job else ''}elapsed "
        f"{clock(elapsed)}{left}"
    )


def job_line(name: str, logs: list[str]) -> tuple[str, bool]:
    """Return a line about a finished job, and whether it comes from the log of the job.

    The last line of a log has rows, rows/s and peak memory.
    """
    lines = read_log(logs[0])[1] if logs else []
    return (
        (f"{shorten(name, 60)}: {shorten(lines[-1], 120)}", True)
        if lines
        else (f"{shorten(name, 60)} finished", False)
    )


class LogHandler(LogHandlerBase):
    """Print the events of a run.

    Records arrive one after the other, in the thread of Snakemake's queue listener.
    """

    # With --quiet rules, the default filter would remove the failures.
    writes_to_stream = has_formatter = has_filter = True
    writes_to_file = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Decide whether this handler prints the run, and set all counts to zero."""
        refuse_unreadable_configurations(sys.argv[1:])
        asked = self.common_settings
        quiet = set(asked.quiet or ())
        more = (
            asked.dryrun
            or asked.verbose
            or asked.printshellcmds
            or asked.debug_dag
            or asked.show_failed_logs
        )
        # If this handler is not active, Snakemake installs its default handler.
        self.active = self.writes_to_stream = not more and Quietness.ALL not in quiet
        self.stream: TextIO = sys.stdout if asked.stdout else sys.stderr
        chosen = (
            default.DefaultFormatter(quiet),
            default.DefaultFilter(quiet, False, False, False, False),
        )
        self.console = default.ColorizingTextHandler(asked.nocolor, self.stream, *chosen)
        self.in_place = self.console.is_tty and os.environ.get("TERM") != "dumb"
        self.show_progress = Quietness.PROGRESS not in quiet
        self.started = self.job_failed = self.ends_in_error = self.interrupted = False
        self.begin = 0.0  # time of the job table; 0 if no job runs
        self.done, self.total = 0, 0  # numbers of jobs
        # Jobs that have started and not finished: names for progress and for a failure, logs,
        # and when they started.
        self.jobs: dict[int, tuple[str, str, list[str], float]] = {}
        # What the scheduler says of the jobs of a failed group, and the log of the group.
        self.of_group: dict[int, tuple[str, list[str]]] = {}
        self.broken = set[int]()  # failed jobs that did not finish at another attempt
        self.failures = 0  # failed attempts
        self.tally = Tally()
        # Exceptions by thread, until it is known whether a JOB_ERROR follows.
        self.held: dict[int | None, Event] = {}
        self.room = {WARNING: NOTE_LINES, ERROR: NOTE_LINES}
        self.job = ("", False)  # the job that finished last
        self.latest = ""  # the latest line of progress, printed or not
        self.notice = "console output is incomplete"  # printed once
        self.said = set[str]()  # messages that are printed once
        self.warned = set[str]()  # warnings: an executor repeats them for each job
        # Lines of progress that were printed, and time and jobs done of the last one.
        self.lines, self.line_at, self.line_done = 0, 0.0, 0
        self.width = 0  # width of a line on a terminal that the next line replaces

    def emit(self, record: LogRecord) -> None:
        """Print a record, if it is of interest."""
        if self.active:
            self.guard(cast(Event, record))

    def close(self) -> None:
        """Print the last line of the run, once.

        Snakemake closes its handlers after all records.
        """
        if self.active:
            self.guard(None)
        self.active = False
        super().close()

    def guard(self, record: Event | None) -> None:
        """Print a record, or the end (None). An error of the console never stops the run."""
        try:
            self.take(record) if record else self.finish()
        except OSError:  # Nobody reads the console any more (closed pipe).
            self.active = False
            # The rest of the buffers goes to the null device. Otherwise Python exits with 120.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        except Exception as error:
            notice, self.notice = self.notice, ""
            with suppress(OSError, ValueError):
                text = f"{notice} ({type(error).__name__}: {error}); {WHOLE_LOG}"
                self.write(*([text] if notice else []))

    def take(self, record: Event) -> None:
        """Pass a record to the method for its event."""
        event = default.get_event(record)
        # At the end, this is true if the last record said why Snakemake stopped.
        self.ends_in_error = event == LogEvent.ERROR
        held = self.held.pop(record.thread, None)
        self.started |= event == LogEvent.WORKFLOW_STARTED
        if held and event != LogEvent.JOB_ERROR:
            self.note(held)
        if event == LogEvent.JOB_ERROR:
            self.job_error(record, held.getMessage() if held else "")
        elif event == LogEvent.GROUP_ERROR:
            reason = scheduler_reason(None, getattr(record, "external_jobid", None))
            for job in record.job_error_info:
                self.of_group[job["jobid"]] = (reason, record.aux_logs)
        elif event == LogEvent.ERROR:
            self.held[record.thread] = record
        elif event == LogEvent.RUN_INFO:
            self.begin, self.line_at, self.total = (
                record.created,
                record.created,
                record.stats["total"],
            )
            self.tally.plan(record.stats)
            self.write(*job_table(record.stats) if self.show_progress else ())
        elif event == LogEvent.JOB_INFO:
            wildcards = dict(record.wildcards or {})
            named = ", ".join(f"{key}={value}" for key, value in wildcards.items()) or ", ".join(
                record.output
            )
            self.jobs[record.jobid] = (
                " ".join((record.rule_name, *wildcards.values())),
                f"{record.rule_name}  {shorten(named)}",
                record.log or [],
                record.created,
            )
            self.tally.begin(record.jobid, record.rule_name)
        elif event == LogEvent.JOB_FINISHED:
            self.broken.discard(record.job_id)
            self.tally.finish(record.job_id)
            name, _, logs, _ = self.jobs.pop(record.job_id, ("job", "", [], 0.0))
            self.job = job_line(name, logs) if self.show_progress else self.job
        elif event == LogEvent.PROGRESS:
            self.progress(record)
        elif record.levelno >= WARNING:
            self.note(record)
        elif record.levelno >= INFO and event is None:
            self.info(record)

    def progress(self, record: Event) -> None:
        """Print a line of progress when it is due; on a terminal it replaces the last one."""
        self.done, self.total = record.done, record.total
        job, tells = self.job
        elapsed = record.created - self.begin
        self.latest = progress_line(
            self.done,
            self.total,
            None if self.in_place else job,
            failed=len(self.broken),
            elapsed=elapsed,
        )
        # See LINES.
        if self.done - self.line_done >= 2 ** (self.lines // LINES) and (
            tells or record.created - self.line_at >= INTERVAL
        ):
            self.lines, self.line_done, self.line_at = self.lines + 1, self.done, record.created
            self.write(*([job] if self.in_place else [self.latest]))
        if self.in_place:
            self.write(self.latest, stay=False)

    def job_error(self, record: Event, reason: str) -> None:
        """Print a failed job: the first jobs in full, the next in a line, the others not.

        The last line of the run counts all failures.
        """
        # Interrupted, like Snakemake itself; by the signal if the job had only begun.
        if reason.rstrip(".").endswith(("exit status 130", "died with <Signals.SIGINT: 2>")):
            self.interrupted = True
            return
        self.broken.add(record.jobid)
        self.tally.fail(record.jobid)
        self.failures += 1
        _, named, _, since = self.jobs.get(record.jobid, ("", record.rule_name, [], 0.0))
        title = self.console.decorate(record, f"job failed: {named}")
        told, logs = self.of_group.pop(
            record.jobid, (scheduler_reason(getattr(record, "rule_msg", None), None), [])
        )
        if self.failures <= FULL_BLOCKS:
            self.write(
                *failure_block(title, reason or told, [*record.log, *logs], record.shellcmd, since)
            )
        elif self.failures <= SHORT_LINES:
            self.write(f"{title}  log: {shorten(', '.join(record.log)) or 'none'}")
        elif self.failures == SHORT_LINES + 1:
            self.write(f"more jobs failed: from here on they are only counted; {WHOLE_LOG}")

    def info(self, record: Event) -> None:
        """Print the few messages of Snakemake that matter, and those of the Snakefile."""
        message = record.getMessage()
        # Before the start come the outputs of --list, --summary, --unlock and similar options.
        if not self.started and message != SHARED_FS:
            self.console.handle(record)
        elif message.startswith(WANTED):
            self.interrupted |= message.startswith(INTERRUPTED)
            self.write(*{message} - self.said)
            self.said.add(message)
        elif not record.pathname.startswith(SNAKEMAKE):
            self.note(record)

    def note(self, record: Event) -> None:
        """Print a message with Snakemake's formatting, while there is room for its kind."""
        text: str = self.console.format(record)
        if text.startswith(FINAL_ERRORS):
            self.job_failed = True
            return
        kind = ERROR if record.levelno >= ERROR else WARNING
        if kind == WARNING and text in self.warned:
            return
        lines = [shorten(line) for line in text.splitlines()]
        if self.room[kind] > 0:
            self.warned.add(text)
        room, self.room[kind] = self.room[kind], self.room[kind] - len(lines)
        if room > 0:
            self.write(self.console.decorate(record, "\n".join(lines[:room])))
        if room >= 0 > self.room[kind]:
            self.write(
                f"more {'errors' if kind == ERROR else 'warnings'} are not shown; {WHOLE_LOG}"
            )

    def finish(self) -> None:
        """Print the latest progress, why Snakemake stopped, and how the run ended."""
        self.tally.write()
        if self.latest and (self.width or self.line_done != self.done):
            self.write(self.latest)
        self.room[ERROR] = NOTE_LINES  # The last error ended the run, so it is always printed.
        for held in self.held.values():
            self.note(held)
        spent = clock(time.time() - self.begin)
        # With a partial target (--until) Snakemake counts jobs that it does not run. All is done
        # if no job runs, failed or was stopped.
        quiet_end = not (
            self.jobs or self.broken or self.job_failed or self.said or self.interrupted
        )
        if (
            self.begin
            and not self.ends_in_error
            and (self.done >= self.total or quiet_end or not self.show_progress)
        ):
            done = self.done or self.total  # Without progress, the number of done jobs is unknown.
            repeated = (
                f" (failed attempts that were repeated: {self.failures})" if self.failures else ""
            )
            page = f"; look at {REPORT}" if os.path.isfile(REPORT) else ""
            self.write(f"done: {done} of {done} jobs in {spent}{repeated}{page}")
        elif self.begin:
            # --quiet progress also hides the finished jobs.
            failed = len(self.jobs) if self.show_progress else len(self.broken)
            end = f"stopped: {self.done} of {self.total} jobs finished after {spent}"
            if self.job_failed and failed and not self.interrupted:
                rest = (
                    f" ({self.done} finished, {self.total - self.done - failed} not started)"
                    if self.show_progress
                    else ""
                )
                end = f"failed: {failed} of {self.total} jobs{rest} after {spent}"
            again = (
                "correct what is named above, then run the same command again"
                if self.job_failed and not self.interrupted
                else "run the same command again to continue"
            )
            self.write(f"{end}; finished jobs are kept: {again}")

    def write(self, *lines: str, stay: bool = True) -> None:
        """Print lines, or with ``stay=False`` one line that the next call replaces."""
        erase = "\r" + " " * self.width + "\r" if self.width else ""
        text = (
            "".join(f"{line}\n" for line in lines)
            if stay
            else lines[0][: shutil.get_terminal_size().columns - 1]
        )
        self.width = 0 if stay else len(text)
        self.stream.write(erase + text)
        self.stream.flush()
