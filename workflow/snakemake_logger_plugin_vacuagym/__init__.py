"""Console output of a run that stays short whatever the number of jobs: a start line, progress,
failures, a last line.

It is for the person (or the notebook cell) watching a real run; it is not a record of the run,
which Snakemake keeps in full under .snakemake/log and the jobs keep in their own log files. Where
more was asked for (a dry run, --verbose, --printshellcmds, --debug-dag, --show-failed-logs) or
nothing at all (--quiet all), Snakemake's own handler does the printing.
"""

import os
import re
import shutil
import sys
import textwrap
import time
from contextlib import suppress
from logging import ERROR, INFO, WARNING, LogRecord

from snakemake import logging as default
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from vacuagym.errors import printable
from vacuagym.orchestration.before_snakefile import (
    refuse_unreadable_configurations,
    use_a_cache_that_works,
)
from vacuagym.runtime.log_tail import last_lines

LINES, INTERVAL = (
    1000,
    1.0,
    # lines of one job each, then of two, and so on; least seconds between lines of jobs that have
    # no log
)
BAR = 16  # characters
FULL_BLOCKS, SHORT_LINES = (
    5,
    50,
)  # failures shown with the end of their log, and failures shown at all
TAIL_LINES, TAIL_BYTES = 20, 16 * 1024  # of a job's log
LINE_CHARS, COMMAND_CHARS, NOTE_LINES = (
    400,
    16 * 1024,
    100,
)  # of warnings; errors have 100 lines of their own
COMMAND_MARK, WHOLE_LOG = "# command: ", "the whole log is under .snakemake/log"
# The two sentences that close a failed run say less than the last line written here: they are
# recognised to be left out.
FINAL_ERRORS = (
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
)
WANTED = (
    NOTHING_TO_BE_DONE_MSG,
    "Terminating processes on user request",
    "Will exit after finishing",
)
SHARED_FS = "Assuming unrestricted shared filesystem usage."
EXIT_STATUS = re.compile(r"(returned non-zero exit status \d+|died with .+?)\.?\s*$")
SNAKEMAKE = os.path.dirname(
    default.__file__
)  # no separator at the end: also the prefix of the snakemake_* packages beside it


use_a_cache_that_works()


def clock(seconds: float) -> str:
    """Format a duration as m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )


def shorten(line: str, width: int = LINE_CHARS) -> str:
    """Make a text printable and bounded, keeping both ends of a long one: either may hold the
    message.
    """
    if len(line) > width:
        line = f"{line[: width // 2]} [...] {line[-width // 2 :]}"
    return printable(line)


def read_log(path: str) -> tuple[str, list[str]]:
    """Read the command in the first line of a job's log, if there is one, and the last lines,
    whatever the file's size.
    """
    command, lines = "", []
    # Nothing but a plain file is opened: a named pipe would let this wait for ever.
    with suppress(OSError), open(path if os.path.isfile(path) else os.devnull, "rb") as log:
        head = log.readline(COMMAND_CHARS).decode(errors="replace").rstrip("\r\n")
        command = head.removeprefix(COMMAND_MARK) if head.startswith(COMMAND_MARK) else ""
        start = (
            log.tell() if command else 0
        )  # the command is shown apart, not a second time in the tail
        lines = last_lines(log, TAIL_LINES, TAIL_BYTES, start)
    return command, lines


def job_table(stats: dict[str, int]) -> list[str]:
    """Write the numbers of jobs per rule in at most three lines."""
    rules = ", ".join(f"{rule} {count}" for rule, count in stats.items() if rule != "total")
    return textwrap.wrap(
        f"jobs: {stats['total']} ({rules})",
        110,
        subsequent_indent="    ",
        max_lines=3,
        break_on_hyphens=False,
    )


def progress_line(done: int, total: int, job: str | None, failed: int, elapsed: float) -> str:
    """Write one line of progress; the time left is rounded up to what it can be worth, or left out
    when that is nothing.

    Without a job, it begins with a bar.
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
    """Tell what a finished job says of itself at the end of its log (rows, rows/s, peak memory),
    and whether it does.
    """
    lines = read_log(logs[0])[1] if logs else []
    return (
        (f"{shorten(name, 60)}: {shorten(lines[-1], 120)}", True)
        if lines
        else (f"{shorten(name, 60)} finished", False)
    )


def failure_block(title: str, reason: str, logs: list[str], shellcmd: str | None) -> list[str]:
    """Write what is needed to understand and to repeat a failed job."""
    exit_status = EXIT_STATUS.search(reason)  # the rest of that exception only repeats the command
    reasons = [f"command {exit_status[1]}"] if exit_status else reason.splitlines()[:TAIL_LINES]
    command, lines = read_log(logs[0]) if logs else ("", [])
    block = [
        title,
        *(f"  {shorten(line)}" for line in reasons),
        *(f"  | {shorten(line)}" for line in lines),
    ]
    if logs:
        block.append(f"  log: {shorten(', '.join(logs))}{'' if lines else ' (nothing to be read)'}")
    command = shorten(command or textwrap.dedent(shellcmd or "").strip(), COMMAND_CHARS)
    return [*block, f"  run it again: {command}"] if command else block


class LogHandler(LogHandlerBase):
    """Prints the events of a run. Records arrive one after the other, in the thread of Snakemake's
    queue listener.
    """

    writes_to_stream = has_formatter = has_filter = (
        True  # the default filter would take the failures away with --quiet rules
    )
    writes_to_file = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Decide whether this run is printed here, and start with empty counts."""
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
        # While not active, Snakemake is told to install its default handler, and this one keeps
        # silent.
        self.active = self.writes_to_stream = not more and Quietness.ALL not in quiet
        self.stream = sys.stdout if asked.stdout else sys.stderr
        chosen = (
            default.DefaultFormatter(quiet),
            default.DefaultFilter(quiet, False, False, False, False),
        )
        self.console = default.ColorizingTextHandler(asked.nocolor, self.stream, *chosen)
        self.in_place = self.console.is_tty and os.environ.get("TERM") != "dumb"
        self.show_progress = Quietness.PROGRESS not in quiet
        self.started = self.job_failed = self.ends_in_error = self.interrupted = False
        self.begin, self.done, self.total = (
            0.0,
            0,
            0,
        )  # time of the job table, or 0 when nothing is run; numbers of jobs
        self.jobs: dict[
            int, tuple[str, str, list[str]]
        ] = {}  # started and not finished: names for progress and for a failure, logs
        self.broken, self.failures = (
            set[int](),
            0,
        )  # jobs that failed and did not finish at another attempt; failed attempts
        self.held: dict[
            int | None, LogRecord
        ] = {}  # by thread: an exception, until it is known whether a JOB_ERROR follows
        self.room = {WARNING: NOTE_LINES, ERROR: NOTE_LINES}
        self.job, self.latest = (
            ("", False),
            "",
        )  # the job finished last; the latest line of progress, printed or not
        self.notice, self.said = (
            "console output is incomplete",
            set[str](),
        )  # what is said only once
        self.lines, self.line_at, self.line_done = (
            0,
            0.0,
            0,
        )  # lines of progress printed; time and jobs done of the last one
        self.width = 0  # of a line on a terminal that the next one replaces

    def emit(self, record: LogRecord) -> None:
        """Print what is wanted of one record."""
        if self.active:
            self.guard(record)

    def close(self) -> None:
        """Write the last line of the run, once: Snakemake closes its handlers when all records
        have been printed.
        """
        if self.active:
            self.guard(None)
        self.active = False
        super().close()

    def guard(self, record: LogRecord | None) -> None:
        """Print a record, or the end (None), and keep the run going whatever happens to its
        console.
        """
        try:
            self.take(record) if record else self.finish()
        except OSError:  # nobody reads any more (closed pipe): no use in trying again
            self.active = False
            with suppress(
                OSError
            ):  # what is left in buffers must go somewhere, or Python ends with 120
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        except Exception as error:
            notice, self.notice = self.notice, ""
            with suppress(OSError, ValueError):
                self.write(
                    *(
                        [f"{notice} ({type(error).__name__}: {error}); {WHOLE_LOG}"]
                        if notice
                        else []
                    )
                )

    def take(self, record: LogRecord) -> None:
        """Hand a record to the method for its event."""
        event = default.get_event(record)
        self.ends_in_error = (
            event == LogEvent.ERROR
        )  # true at the end if the last record told why Snakemake gave up
        held = self.held.pop(record.thread, None)
        self.started |= event == LogEvent.WORKFLOW_STARTED
        if held and event != LogEvent.JOB_ERROR:
            self.note(held)
        if event == LogEvent.JOB_ERROR:
            self.job_error(record, held.getMessage() if held else "")
        elif event == LogEvent.ERROR:
            self.held[record.thread] = record
        elif event == LogEvent.RUN_INFO:
            self.begin, self.line_at, self.total = (
                record.created,
                record.created,
                record.stats["total"],
            )
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
            )
        elif event == LogEvent.JOB_FINISHED:
            self.broken.discard(record.job_id)
            name, _, logs = self.jobs.pop(record.job_id, ("job", "", []))
            self.job = job_line(name, logs) if self.show_progress else self.job
        elif event == LogEvent.PROGRESS:
            self.progress(record)
        elif record.levelno >= WARNING:
            self.note(record)
        elif record.levelno >= INFO and event is None:
            self.info(record)

    def progress(self, record: LogRecord) -> None:
        """Write a line of progress if it is time for one, on a terminal in the place of the one
        before.
        """
        self.done, self.total = record.done, record.total
        job, tells = self.job
        elapsed = record.created - self.begin
        self.latest = progress_line(
            self.done, self.total, None if self.in_place else job, len(self.broken), elapsed
        )
        # A run of many jobs would be worth a line again and again: after every thousand lines, the
        # next ones come at steps twice as long.
        if self.done - self.line_done >= 2 ** (self.lines // LINES) and (
            tells or record.created - self.line_at >= INTERVAL
        ):
            self.lines, self.line_done, self.line_at = self.lines + 1, self.done, record.created
            self.write(*([job] if self.in_place else [self.latest]))
        if self.in_place:
            self.write(self.latest, stay=False)

    def job_error(self, record: LogRecord, reason: str) -> None:
        """Show a failed job: the first ones in full, the next ones in a line, the others only in
        the count at the end.
        """
        if reason.rstrip(".").endswith("exit status 130"):  # interrupted, as Snakemake itself
            self.interrupted = True
            return
        self.broken.add(record.jobid)
        self.failures += 1
        named = self.jobs[record.jobid][1] if record.jobid in self.jobs else record.rule_name
        title = self.console.decorate(record, f"job failed: {named}")
        if self.failures <= FULL_BLOCKS:
            self.write(*failure_block(title, reason, record.log, record.shellcmd))
        elif self.failures <= SHORT_LINES:
            self.write(f"{title}  log: {shorten(', '.join(record.log)) or 'none'}")
        elif self.failures == SHORT_LINES + 1:
            self.write(f"more jobs failed: from here on they are only counted; {WHOLE_LOG}")

    def info(self, record: LogRecord) -> None:
        """Show the few messages of Snakemake that matter, and those of the Snakefile itself."""
        message = record.getMessage()
        if (
            not self.started and message != SHARED_FS
        ):  # also all that --list, --summary, --unlock and the like have to say
            self.console.handle(record)
        elif message.startswith(WANTED):
            self.write(*{message} - self.said)
            self.said.add(message)
        elif not record.pathname.startswith(SNAKEMAKE):
            self.note(record)

    def note(self, record: LogRecord) -> None:
        """Print a message with Snakemake's formatting while there is room for its kind."""
        text = self.console.format(record)
        if text.startswith(FINAL_ERRORS):
            self.job_failed = True
            return
        kind = ERROR if record.levelno >= ERROR else WARNING
        lines = [shorten(line) for line in text.splitlines()]
        room, self.room[kind] = self.room[kind], self.room[kind] - len(lines)
        if room > 0:
            self.write(self.console.decorate(record, "\n".join(lines[:room])))
        if room >= 0 > self.room[kind]:
            self.write(
                f"more {'errors' if kind == ERROR else 'warnings'} are not shown; {WHOLE_LOG}"
            )

    def finish(self) -> None:
        """Write the latest progress, why Snakemake gave up if it did, and how the run ended."""
        if self.latest and (self.width or self.line_done != self.done):
            self.write(self.latest)
        self.room[ERROR] = (
            # the last error is the one that ended the run: it is shown after however many others
            NOTE_LINES
        )
        for held in self.held.values():
            self.note(held)
        spent = clock(time.time() - self.begin)
        # Of a partial target (--until) Snakemake counts jobs that it does not run: all is done
        # where nothing runs, failed or was stopped.
        quiet_end = not (
            self.jobs or self.broken or self.job_failed or self.said or self.interrupted
        )
        if (
            self.begin
            and not self.ends_in_error
            and (self.done >= self.total or quiet_end or not self.show_progress)
        ):
            done = self.done or self.total  # without progress, the number of done jobs is not told
            repeated = (
                f" (failed attempts that were repeated: {self.failures})" if self.failures else ""
            )
            self.write(f"done: {done} of {done} jobs in {spent}{repeated}")
        elif self.begin:
            failed = (
                len(self.jobs) if self.show_progress else len(self.broken)
            )  # --quiet progress also hides what finished
            end = f"stopped: {self.done} of {self.total} jobs finished after {spent}"
            if self.job_failed and failed and not self.interrupted:
                rest = (
                    f" ({self.done} finished, {self.total - self.done - failed} not started)"
                    if self.show_progress
                    else ""
                )
                end = f"failed: {failed} of {self.total} jobs{rest} after {spent}"
            again = (
                "mend what is named above, then run the same command again"
                if self.job_failed and not self.interrupted
                else "run the same command again to continue"
            )
            self.write(f"{end}; finished jobs are kept: {again}")

    def write(self, *lines: str, stay: bool = True) -> None:
        """Write whole lines, or one that the next may replace, in the place of such a line."""
        erase = "\r" + " " * self.width + "\r" if self.width else ""
        text = (
            "".join(f"{line}\n" for line in lines)
            if stay
            else lines[0][: shutil.get_terminal_size().columns - 1]
        )
        self.width = 0 if stay else len(text)
        self.stream.write(erase + text)
        self.stream.flush()
