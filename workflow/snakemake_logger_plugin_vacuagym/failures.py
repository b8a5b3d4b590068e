"""What the console shows of a failed job: reasons, the end of a log, and the command."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from contextlib import suppress

from vacuagym.errors import printable
from vacuagym.runtime.log_tail import last_lines

TAIL_LINES, TAIL_BYTES = 20, 16 * 1024  # end of the log of a job
LINE_CHARS, COMMAND_CHARS = 400, 16 * 1024  # length of a line, and of a command
COMMAND_MARK = "# command: "
# Remote executors append this to every message.
REMOTE_HINT = (
    "For further error details see the cluster/cloud log and the log files of the involved rule(s)."
)
CLOCK_SECONDS = 2.0
EXIT_STATUS = re.compile(r"(returned non-zero exit status \d+|died with .+?)\.?\s*$")


def shorten(line: str, width: int = LINE_CHARS) -> str:
    """Make a text printable, and leave out the middle of a long one.

    Both ends stay, because either may hold the message.
    """
    if len(line) > width:
        line = f"{line[: width // 2]} [...] {line[-width // 2 :]}"
    return printable(line)


def read_log(path: str) -> tuple[str, list[str]]:
    """Return the command in the first line of the log of a job, and its last lines.

    The command is empty if the log has none. The log may have any size.
    """
    command = ""
    lines: list[str] = []
    # Only a regular file is opened: a named pipe would block for ever.
    with suppress(OSError), open(path if os.path.isfile(path) else os.devnull, "rb") as log:
        head = log.readline(COMMAND_CHARS).decode(errors="replace").rstrip("\r\n")
        command = head.removeprefix(COMMAND_MARK) if head.startswith(COMMAND_MARK) else ""
        start = log.tell() if command else 0  # The tail does not repeat the command.
        lines = last_lines(log, TAIL_LINES, TAIL_BYTES, start)
    return command, lines


def was_written(path: str, since: float) -> bool:
    """Return whether a file has been written since a moment; clocks of hosts differ by seconds."""
    try:
        return os.stat(path).st_mtime >= since - CLOCK_SECONDS
    except OSError:
        return False


def scheduler_reason(message: str | None, external_jobid: str | None) -> str:
    """Return what the scheduler says of a failed job.

    The message of the executor is lost for the jobs of a group. Then Slurm is asked, if there is
    Slurm.
    """
    told = (message or "").replace(REMOTE_HINT, "").strip()
    if told or external_jobid is None:
        return told
    asked = ["sacct", "-X", "-n", "-P", "-o", "State,ExitCode,NodeList", "-j", str(external_jobid)]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.split("|")
    except (OSError, subprocess.TimeoutExpired):
        answer = []
    state = f": {answer[0]}, exit code {answer[1]}, node {answer[2].strip()}" if answer[2:] else ""
    return f"job {external_jobid} of the scheduler{state}"


def failure_block(
    title: str, reason: str, logs: list[str], shellcmd: str | None, since: float = 0.0
) -> list[str]:
    """Return the lines that are needed to understand and to repeat a failed job.

    The end of the first log counts that the job has written: its own or, if it has not begun, that
    of the scheduler. A log that was written before ``since`` is of an earlier job.
    """
    exit_status = EXIT_STATUS.search(reason)  # The rest of the exception repeats the command.
    reasons = [f"command {exit_status[1]}"] if exit_status else reason.splitlines()[:TAIL_LINES]
    command, lines = "", list[str]()
    for path in logs:
        if lines or not was_written(path, since):
            continue
        found, lines = read_log(path)
        command = command or found
    block = [
        title,
        *(f"  {shorten(line)}" for line in reasons),
        *(f"  | {shorten(line)}" for line in lines),
    ]
    if logs:
        block.append(f"  log: {shorten(', '.join(logs))}{'' if lines else ' (nothing to be read)'}")
    command = shorten(command or textwrap.dedent(shellcmd or "").strip(), COMMAND_CHARS)
    return [*block, f"  run it again: {command}"] if command else block
