"""The console output of runs: short for any number of jobs, complete about what failed; real runs
on small Snakefiles.
"""

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.settings.enums import Quietness
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_vacuagym as console
from conftest import PATIENCE, snakemake_server

OURS = ("--logger", "vacuagym")

FAILING = """
rule all:
    input: "longtail.7", "giant", "bare", "killed", "fine"
rule longtail:
    output: "longtail.{number}"
    log: "logs/longtail.{number}.log"
    shell: "(echo '# command: tool --number 7 >out \\"$X\\"'; seq -f 'line %g' 200) > {log}; exit 3"
rule giant:
    output: "giant"
    log: "logs/giant.log"
    shell: "(echo 1; head -c 3000000 /dev/zero | tr '\\\\0' x; printf 'the end') > {log}; exit 1"
rule bare:
    output: "bare"
    log: "logs/bare.log"
    shell: "exit 4 # bare of any log"
rule killed:
    output: "killed"
    shell: "kill -9 $$"
rule fine:
    output: "fine"
    shell: "touch {output}"
"""

CHECKPOINT = """
def parts(wildcards):
    folder = checkpoints.split.get().output[0]
    return expand("{part}.done", part=glob_wildcards(folder + "/{part}.txt").part)
rule all:
    input: parts
checkpoint split:
    output: directory("parts")
    shell: "mkdir -p {output}; for i in 1 2 3 4 5 6 7 8; do touch {output}/$i.txt; done"
rule work:
    input: "parts/{part}.txt"
    output: "{part}.done"
    shell: "touch {output}"
"""

ONE_JOB = """
rule made:
    output: "made"
    shell: "touch {output}"
"""


def snakemake(
    folder: Path, snakefile: str | None, *options: str, logger=OURS, **kwargs
) -> subprocess.CompletedProcess:
    if snakefile is not None:
        (folder / "Snakefile").write_text(snakefile)
    env = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    arguments = [*options, *logger, "--cores", "4"]
    if not kwargs:
        run = snakemake_server().run
        return run(folder, arguments, environment=env, timeout=PATIENCE, apart=True)
    command = [sys.executable, "-m", "snakemake", *arguments]
    kwargs = {"stdout": subprocess.PIPE, **kwargs}
    return subprocess.run(command, cwd=folder, env=env, text=True, timeout=PATIENCE, **kwargs)


def without_times(text: str) -> str:
    """Drop what differs between two equal runs."""
    return re.sub(
        r"\[\w{3} \w{3} .*?\]|\d{4}-\d\d-\d\d[T ][\d:.]+|Workflow ID: .*|Command: "
        r".*|\d+:\d\d:\d\d\.\d+",
        "",
        text,
    )


def test_many_jobs_take_few_lines_and_the_log_file_has_them_all(tmp_path):
    many = 'rule all:\n    input: expand("t{i}", i=range(300))\n'
    run = snakemake(tmp_path, many + 'rule a:\n    output: "t{i}"\n    shell: "touch {output}"\n')
    lines = run.stderr.splitlines()
    assert run.returncode == 0
    assert run.stdout == ""
    assert lines[0] == "jobs: 301 (a 300, all 1)"
    assert re.fullmatch(r"done: 301 of 301 jobs in \d+:\d\d", lines[-1])
    assert re.fullmatch(r"\[100%\] 301 of 301 jobs  all finished  elapsed \d+:\d\d", lines[-2])
    assert all(
        re.match(r"\[ *\d+%\] \d+ of 301 jobs  a \d+ finished  elapsed ", line)
        for line in lines[1:-2]
    )
    assert (
        len(lines) < 60
    )  # one a second: a slow machine may take long, 300 jobs are 4,000 lines of the default
    (whole,) = (tmp_path / ".snakemake/log").iterdir()
    assert len(whole.read_text().splitlines()) > 300 * 5

    again = snakemake(tmp_path, None)
    assert again.returncode == 0
    assert again.stderr == "Nothing to be done (all requested files are present and up to date).\n"


def test_a_failure_is_told_with_its_log_and_its_command(tmp_path):
    run = snakemake(tmp_path, FAILING, "--keep-going")
    assert run.returncode == 1
    assert run.stderr.startswith("jobs: 6 (")
    blocks = {
        block.split()[0]: block.splitlines() for block in run.stderr.split("job failed: ")[1:]
    }
    tail = [f"  | line {i}" for i in range(181, 201)]
    rerun = '  run it again: tool --number 7 >out "$X"'
    expected = [
        "longtail  number=7",
        "  command returned non-zero exit status 3",
        *tail,
        "  log: logs/longtail.7.log",
        rerun,
    ]
    assert blocks["longtail"][: len(expected)] == expected

    assert blocks["giant"][2].startswith("  | xxx")
    assert blocks["giant"][2].endswith("xxxthe end")
    assert len(blocks["giant"][2]) < 500
    assert "first" not in "".join(blocks["giant"][:4])  # 3 MB above the end: only the end was read
    assert blocks["bare"][1] == "  command returned non-zero exit status 4"
    assert blocks["bare"][2] == "  log: logs/bare.log (nothing to be read)"
    assert blocks["bare"][3] == "  run it again: exit 4 # bare of any log"
    assert blocks["killed"][1] == "  command died with <Signals.SIGKILL: 9>"
    assert len(run.stderr) < 5000
    last = run.stderr.splitlines()[-1]
    assert last.startswith("failed: 4 of 6 jobs (1 finished, 1 not started) after 0:")
    assert last.endswith("correct what is named above, then run the same command again")


def test_many_failures_are_bounded(tmp_path):
    snakefile = """
rule all:
    input: expand("t{i}", i=range(60))
rule a:
    output: "t{i}"
    log: "logs/{i}.log"
    shell: "echo broken {wildcards.i} > {log}; exit 1"
"""
    run = snakemake(
        tmp_path, snakefile, "--keep-going", "--quiet", "rules"
    )  # the default shows no failure at all then
    lines = run.stderr.splitlines()
    assert run.returncode == 1
    titles = [line for line in lines if line.startswith("job failed: a  i=")]
    assert len(titles) == 50
    assert sum(line.startswith("  | broken ") for line in lines) == 5
    assert all(
        re.fullmatch(r"job failed: a  i=(\d+)  log: logs/\1\.log", line) for line in titles[5:]
    )
    assert sum("only counted" in line for line in lines) == 1
    assert lines[-1].startswith("failed: 60 of 61 jobs (0 finished, 1 not started)")
    assert len(lines) <= 1 + 5 * 5 + 45 + 1 + 1


def test_a_failure_is_shown_without_progress(tmp_path):
    run = snakemake(tmp_path, FAILING, "--quiet", logger=("--logger", "vacuagym", "--keep-going"))
    assert run.stderr.count("job failed: ") == 4
    assert "[" not in run.stderr.splitlines()[0]
    assert "%]" not in run.stderr
    assert run.stderr.splitlines()[-1].startswith("failed: 4 of 6 jobs after 0:")


def test_a_repeated_attempt_does_not_make_the_run_a_failed_one(tmp_path):
    twice = (
        'rule a:\n    output: "a"\n    retries: 1\n    shell: "mkdir first && exit 1; touch '
        '{output}"\n'
    )
    run = snakemake(tmp_path, twice)
    assert run.returncode == 0
    assert run.stderr.count("job failed: a") == 1
    assert re.fullmatch(
        r"done: 1 of 1 jobs in \d:\d\d \(failed attempts that were repeated: 1\)",
        run.stderr.splitlines()[-1],
    )


def test_missing_output_is_told_and_counted(tmp_path):
    run = snakemake(
        tmp_path, 'rule a:\n    output: "never"\n    shell: "true"\n', "--latency-wait", "0"
    )
    assert run.returncode == 1
    assert "MissingOutputException in rule a" in run.stderr
    assert run.stderr.splitlines()[-1].startswith("failed: 1 of 1 jobs (0 finished, 0 not started)")


@pytest.mark.parametrize("options", [["--dry-run"], ["--list-rules"]])
def test_where_more_is_asked_for_the_output_is_snakemakes_own(tmp_path, options):
    outputs = []
    for logger in (OURS, ()):
        (tmp_path / "made").unlink(missing_ok=True)
        run = snakemake(tmp_path, ONE_JOB, *options, logger=logger)
        assert run.returncode == 0
        outputs.append((without_times(run.stdout), without_times(run.stderr)))
    assert outputs[0] == outputs[1]
    assert "made" in "".join(outputs[0])


def test_errors_of_the_snakefile_are_readable(tmp_path):
    parsing = 'raise WorkflowError("the configuration lacks a seed")\n'
    run = snakemake(tmp_path, parsing + ONE_JOB)
    assert run.returncode == 1
    assert "the configuration lacks a seed" in run.stderr
    assert "line 1" in run.stderr
    assert len(run.stderr.splitlines()) < 6

    # An exception after the start, in the middle of the run: a checkpoint that gives too few parts.
    building = CHECKPOINT.replace(
        "    return", '    raise WorkflowError("too few parts: 8")\n    return'
    )
    run = snakemake(tmp_path, building)
    assert run.returncode == 1
    assert "too few parts: 8" in run.stderr
    assert run.stderr.splitlines()[-1].startswith("stopped: 1 of ")


def test_a_checkpoint_lets_the_total_grow(tmp_path):
    run = snakemake(tmp_path, CHECKPOINT)
    lines = run.stderr.splitlines()
    assert run.returncode == 0
    assert lines[0] == "jobs: 2 (split 1, all 1)"
    assert lines[-1].startswith("done: 10 of 10 jobs in 0:")
    assert len(lines) < 10


def test_a_profile_chooses_it_and_a_closed_console_stops_no_run(tmp_path):
    (tmp_path / "profiles/default").mkdir(parents=True)
    (tmp_path / "profiles/default/config.yaml").write_text("logger: vacuagym\n")
    run = snakemake(tmp_path, ONE_JOB, logger=())
    assert "jobs: 1 (made 1)" in run.stderr.splitlines()
    assert run.stderr.splitlines()[-1].startswith("done: 1 of 1 jobs in 0:")

    (tmp_path / "made").unlink()
    (tmp_path / "profiles").rename(
        tmp_path / "unused"
    )  # on a closed console Snakemake fails to say that it reads one
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        assert snakemake(tmp_path, None, stderr=closed).returncode == 0
    assert (tmp_path / "made").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_handler(monkeypatch, stream: io.StringIO, **settings) -> console.LogHandler:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    handler = console.LogHandler(OutputSettings(**settings), None)
    send(handler, LogEvent.WORKFLOW_STARTED, 0.0)
    send(handler, LogEvent.RUN_INFO, 0.0, stats={"a": 3000, "total": 3000})
    return handler


def send(
    handler,
    event,
    created: float,
    message="",
    level=logging.INFO,
    pathname=console.SNAKEMAKE,
    **fields,
) -> None:
    record = logging.LogRecord("snakemake.logging", level, str(pathname), 1, message, (), None)
    record.__dict__.update(fields, event=event, created=1000.0 + created)
    handler.handle(record)


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_each_finished_job_has_a_line_with_what_it_says_of_itself(
    monkeypatch, tmp_path, stream_type
):
    stream = stream_type()
    handler = a_handler(monkeypatch, stream, nocolor=True)
    for done in range(1, 301):
        log = tmp_path / f"{done}.log"
        log.write_text(f"# command: tool\nhalf\n{done} of {done} rows, 50 rows/s, peak 99 MB\n")
        send(
            handler,
            LogEvent.JOB_INFO,
            0.1 * done,
            rule_name="label",
            jobid=done,
            wildcards={"first": str(done)},
            output=[],
            log=[str(log)],
        )
        send(handler, LogEvent.JOB_FINISHED, 0.1 * done, job_id=done)
        send(handler, LogEvent.PROGRESS, 0.1 * done, done=done, total=3000)
    handler.finish()
    lines = stream.getvalue().replace("\r", "\n").splitlines()
    for done in (1, 150, 300):
        told = f"label {done}: {done} of {done} rows, 50 rows/s, peak 99 MB"
        assert sum(told in line for line in lines) == 1
    progress = [line for line in lines if "[ 10%] 300 of 3000 jobs" in line]
    assert "elapsed 0:30, about 4:30 left" in progress[0]
    if stream_type is Terminal:
        assert progress[0].startswith("#............... [ 10%]")
        assert "label 300: 300 of 300 rows, 50 rows/s, peak 99 MB" in lines, (
            "the line of a job stays, only the bar is replaced"
        )
        assert stream.getvalue().count("\n") == 1 + 300 + 2
        assert "\033" not in stream.getvalue()
    else:
        assert len(lines) == 1 + 300 + 1


def test_progress_waits_a_second(monkeypatch):
    stream = io.StringIO()
    handler = a_handler(monkeypatch, stream)
    for done in range(1, 3001):
        send(handler, LogEvent.PROGRESS, done / 3000 * 4.5, done=done, total=3000)
    assert stream.getvalue().count("%]") == 4


@pytest.mark.parametrize("grows", [False, True])
def test_lines_of_jobs_are_bounded(monkeypatch, grows):
    stream = io.StringIO()
    handler = a_handler(monkeypatch, stream)
    for done in range(1, 30001):
        send(handler, LogEvent.PROGRESS, 10.0 * done, done=done, total=done + 1 if grows else 30000)
    assert 1000 < stream.getvalue().count("%]") <= 5000


def test_messages_are_bounded_and_the_last_error_is_shown(monkeypatch):
    stream = Terminal()
    handler = a_handler(monkeypatch, stream, nocolor=True)
    send(handler, None, 1.0, "Select jobs to execute...")
    send(handler, None, 1.0, "a message of the Snakefile", pathname="/somewhere/Snakefile")
    for _ in range(2):
        send(handler, None, 1.0, "Will exit after finishing currently running jobs (scheduler).")
    for i in range(500):
        send(handler, None, 1.0, f"warning {i}\n" + "x" * 100_000, logging.WARNING)
        send(handler, None, 1.0, f"error {i}", logging.ERROR)
    send(
        handler,
        LogEvent.ERROR,
        2.0,
        "WorkflowError:\nwhat ended the run",
        logging.ERROR,
        exception="WorkflowError",
    )
    handler.close()
    handler.close()
    output = stream.getvalue()
    assert "Select jobs" not in output
    assert "a message of the Snakefile" in output
    assert output.count("Will exit after finishing") == 1
    assert "error 99\n" in output
    assert "error 100\n" not in output
    assert "warning 48\n" in output
    assert "warning 51\n" not in output
    assert "more warnings are not shown" in output
    assert "more errors are not shown" in output
    assert output.count("what ended the run\n") == 1
    assert output.count("stopped: 0 of 3000 jobs") == 1
    assert len(output.splitlines()) < 210
    assert len(output) < 60_000
    assert "\033" not in output


def test_a_broken_record_is_mentioned_once_and_the_rest_goes_on(monkeypatch):
    stream = io.StringIO()
    handler = a_handler(monkeypatch, stream)
    for _ in range(5):
        send(handler, LogEvent.PROGRESS, 1.0)  # lacks its fields
    send(handler, LogEvent.PROGRESS, 99.0, done=1500, total=3000)
    assert stream.getvalue().count("console output is incomplete (AttributeError") == 1
    assert "[ 50%] 1500 of 3000 jobs" in stream.getvalue()
    stream.close()
    send(handler, LogEvent.PROGRESS, 999.0, done=3000, total=3000)
    handler.close()


def test_a_named_pipe_for_a_log_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.log")
    assert console.read_log(str(tmp_path / "pipe.log")) == ("", [])


def test_the_end_of_a_log_is_whole_lines(tmp_path):
    log = tmp_path / "long.log"
    log.write_text("# command: tool --all\n" + "y" * 100_000 + "\nthe end\n")
    assert console.read_log(str(log)) == ("tool --all", ["the end"])


def test_a_job_that_finishes_after_all_is_not_counted_as_failed(monkeypatch):
    stream = io.StringIO()
    handler = a_handler(monkeypatch, stream)
    failure = {"rule_name": "a", "jobid": 7, "output": [], "log": [], "shellcmd": "false"}
    send(handler, LogEvent.JOB_INFO, 1.0, wildcards={"part": "x"}, **failure)
    send(handler, LogEvent.JOB_ERROR, 2.0, level=logging.ERROR, **failure)
    send(handler, LogEvent.PROGRESS, 20.0, done=30, total=3000)
    send(handler, LogEvent.JOB_FINISHED, 30.0, job_id=7)
    send(handler, LogEvent.PROGRESS, 40.0, done=60, total=3000)
    first, second = (line for line in stream.getvalue().splitlines() if "%]" in line)
    assert first.startswith("[  1%] 30 of 3000 jobs, 1 failed  ")
    assert second.startswith("[  2%] 60 of 3000 jobs  a x finished  elapsed 0:40, about 33:00 left")
    assert "job failed: a  part=x\n  run it again: false\n" in stream.getvalue()


def test_the_table_of_many_rules_is_short():
    stats = {f"some_rule_{i}": i for i in range(200)} | {"total": 19900}
    assert len(console.job_table(stats)) == 3
    assert console.job_table(stats)[0].startswith("jobs: 19900 (some_rule_0 0, ")


@pytest.mark.parametrize(
    "settings",
    [
        dict.fromkeys([name], True)
        for name in ("dryrun", "verbose", "printshellcmds", "debug_dag", "show_failed_logs")
    ]
    + [{"quiet": {Quietness.ALL}}],
)
def test_snakemakes_handler_is_installed_instead(settings):
    assert not console.LogHandler(OutputSettings(**settings), None).writes_to_stream
    assert console.LogHandler(OutputSettings(quiet={Quietness.RULES}), None).writes_to_stream


class TestJobsOfAScheduler:
    """What the console tells of a job that failed on another host."""

    HINT = (
        "For further error details see the cluster/cloud log and the log files of the involved "
        "rule(s)."
    )

    def fail(self, monkeypatch, logs, event=None, **fields) -> str:
        stream = io.StringIO()
        handler = a_handler(monkeypatch, stream)
        job = {"rule_name": "label", "jobid": 7, "output": [], "shellcmd": "false", "log": logs}
        started = os.stat(logs[-1]).st_mtime - 1000.0 if logs else 1.0
        send(handler, LogEvent.JOB_INFO, started, wildcards={"first": "0"}, **job)
        if event:
            send(handler, event, started, level=logging.ERROR, job_error_info=[job], **fields)
            fields = {}
        send(handler, LogEvent.JOB_ERROR, started + 1, level=logging.ERROR, **job, **fields)
        return stream.getvalue().partition("job failed: label  first=0\n")[2]

    @pytest.fixture
    def logs(self, tmp_path) -> list[str]:
        """The log of the job, of an hour ago, and that of the scheduler, of now."""
        paths = [tmp_path / "job.log", tmp_path / "scheduler.log"]
        paths[0].write_text("# command: old\nerror: of an earlier run\n")
        paths[1].write_text("slurmstepd: killed\n")
        os.utime(paths[0], (0, os.stat(paths[1]).st_mtime - 3600))
        return [str(path) for path in paths]

    def test_the_state_of_the_job_is_told_and_the_log_of_an_earlier_run_is_not(
        self, monkeypatch, logs
    ):
        told = "SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. Reason: Unknown."
        shown = self.fail(monkeypatch, logs, rule_msg=told + self.HINT)
        assert shown.startswith(f"  {told}\n  | slurmstepd: killed\n  log: {', '.join(logs)}\n")
        assert shown.endswith("  run it again: false\n")

    def test_the_log_of_the_job_comes_first(self, monkeypatch, logs):
        os.utime(logs[0])
        assert self.fail(monkeypatch, logs).startswith("  | error: of an earlier run\n  log: ")

    def test_slurm_is_asked_for_the_state_of_a_group(self, monkeypatch, logs, tmp_path):
        (tmp_path / "sacct").write_text(
            '#!/bin/sh\n[ "$7" = 12 ] && echo "NODE_FAIL|1:0|n2"\n', encoding="utf-8"
        )
        (tmp_path / "sacct").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        group = {"external_jobid": "12", "aux_logs": logs[1:]}
        shown = self.fail(monkeypatch, logs[:1], LogEvent.GROUP_ERROR, **group)
        assert shown.startswith("  job 12 of the scheduler: NODE_FAIL, exit code 1:0, node n2\n")
        assert f"  log: {', '.join(logs)}\n" in shown
        monkeypatch.setenv("PATH", "/nowhere")
        shown = self.fail(monkeypatch, logs[:1], LogEvent.GROUP_ERROR, **group)
        assert shown.startswith("  job 12 of the scheduler\n")

    def test_what_an_executor_says_of_each_job_is_printed_once(self, monkeypatch):
        stream = io.StringIO()
        handler = a_handler(monkeypatch, stream)
        for _ in range(3):
            send(handler, None, 1.0, "No SLURM account given, trying to guess.", logging.WARNING)
            send(handler, None, 1.0, "an error", logging.ERROR)
        assert stream.getvalue().count("No SLURM account given") == 1
        assert stream.getvalue().count("an error") == 3

    def test_a_run_that_cancels_its_jobs_was_stopped_and_has_not_failed(self, monkeypatch):
        stream = io.StringIO()
        handler = a_handler(monkeypatch, stream)
        job = {"rule_name": "label", "jobid": 7, "output": [], "log": []}
        send(handler, LogEvent.JOB_INFO, 1.0, wildcards={}, **job)
        send(
            handler, None, 2.0, "Terminating processes on user request, this might take some time."
        )
        final = "WorkflowError:\nAt least one job did not complete successfully."
        send(handler, LogEvent.ERROR, 3.0, final, logging.ERROR)
        handler.finish()
        last = stream.getvalue().splitlines()[-1]
        assert last.startswith("stopped: 0 of ")
        assert last.endswith("run the same command again to continue")
