"""After any failure of a run, the same command ends well and leaves the bytes of an undisturbed
run, and nothing else.

The long form of the random kills is benchmarks/crashes.py.
"""

import builtins
import contextlib
import errno
import fcntl
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Workspace
from vacuagym.config import checked_config, physics_sections
from vacuagym.orchestration import torn_files
from vacuagym.orchestration.lock import turn_to_start
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.orchestration.settings_files import record_settings, stamp_settings
from vacuagym.orchestration.torn_files import discard_torn
from vacuagym.runtime.atomic_files import whole_file, write_text
from vacuagym.splits.rules import SplitShares
from vacuagym.stages import geometry as geometry_stage
from vacuagym.stages import label as label_stage
from vacuagym.stages.geometry import geometry
from vacuagym.stages.label import label
from vacuagym.stages.merge import merge
from vacuagym.stages.plan import plan
from vacuagym.stages.sample import SampleSize
from vacuagym.stages.shard import shard
from vacuagym.stages.split import split
from vacuagym.stages.verify import verify
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.plan import Plan

PHYSICS = physics_sections(
    checked_config({"moduli": {"max": 3}, "search": {"n_samples": 1, "n_restarts": 1}})
)
OLDER = b"an older version, whole"

# -------------------------------------------------------------------- every single call that writes


class Faults:
    """Counts the calls that write, and does ``what`` at number ``at``; with ``lasting``, at every
    later one too.
    """

    def __init__(self, what, at, lasting=False):
        self.what, self.at, self.lasting, self.calls = what, at, lasting, 0

    @property
    def met(self) -> bool:
        return self.calls >= self.at

    def call(self, before=lambda: None):
        """Count one call; ``before`` is what a call does that fails half-way."""
        self.calls += 1
        if self.calls == self.at or (self.lasting and self.met):
            before()
            self.what()


class Counted(io.FileIO):
    """A file whose system calls that write count; one that fails has written half of its bytes."""

    def __init__(self, file, mode, faults):
        super().__init__(file, mode)
        self._faults = faults

    def write(self, data):
        write = super().write
        self._faults.call(lambda: write(data[: len(data) // 2]))
        return write(data)


@contextlib.contextmanager
def injected(faults):
    """While this lasts, opening for writing, writing, fsync and rename go through ``faults``.

    Writes are those of the system: files have the buffers that they have without faults.
    """

    def opened(file, mode="r", *arguments, original=open, **options):
        if "w" not in mode:
            return original(file, mode, *arguments, **options)
        assert mode == "wb"
        faults.call()
        return io.BufferedWriter(Counted(file, mode, faults))

    def scratch(original=tempfile.TemporaryFile, **options):
        faults.call()
        with original(**options) as file:
            return io.BufferedRandom(Counted(os.dup(file.fileno()), "r+b", faults))

    def counted(original):
        return lambda *arguments: (faults.call(), original(*arguments))[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", opened)
        patch.setattr(tempfile, "TemporaryFile", scratch)
        patch.setattr(os, "fsync", counted(os.fsync))
        patch.setattr(os, "replace", counted(os.replace))
        yield


def failing(error, arguments):
    def fail():
        raise error(*arguments)

    return fail


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work) -> bool:
    """Whether a child process that does ``work`` is killed in it."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Each stage as a function of its output, on inputs that are whole; equal calls give equal
    bytes.
    """
    base = tmp_path_factory.mktemp("stages")
    searched = {}

    def search_once(physics, n, keys, ids, search=label_stage.label_geometries):
        known = n, ids.tobytes()
        if known not in searched:
            searched[known] = search(physics, n, keys, ids)
        return searched[known]

    pq.write_table(
        pa.table({"id": [2, 0, 1, 3], "source": ["a"] * 4, "h": [2, 3, 2, 3]}), base / "t.parquet"
    )
    table = FeatureTable(base / "t.parquet", "id", "source", "h")
    files = {name: base / f"{name}.parquet" for name in ("shard", "merge")} | {
        "label": base / "labels/t/0-49.parquet"
    }
    calls = {
        "plan": lambda output: plan("t", table, shard_size=50, n_limit=None, output=output),
        "shard": lambda output: shard(Plan.read(base / "plan.json"), 0, output),
        "label": lambda output: label(files["shard"], PHYSICS, "f", 16, None, output),
        "merge": lambda output: merge([Plan.read(base / "plan.json")], base / "labels", {}, output),
        "split": lambda output: split(
            files["merge"], "iid", seed=42, shares=SplitShares(0.7, 0.15, 0.3), output=output
        ),
        "verify": lambda output: verify(files["merge"], SampleSize(0.0, 2, 0), output),
        "geometry": lambda output: geometry(5, None, output),
        "text": lambda output: write_text(output, "some text\n"),
    }

    def quietly(call):
        def run(output):
            with contextlib.redirect_stdout(io.StringIO()):
                call(output)

        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_stage, "label_geometries", search_once)
        bases = list(geometry_stage.enumerate_bases(5))
        patch.setattr(geometry_stage, "enumerate_bases", lambda limit: iter(bases[:limit]))
        patch.setattr(
            label_stage,
            "time",
            SimpleNamespace(monotonic=itertools.count().__next__, time=lambda: 0.0),
        )
        patch.setattr(
            os, "fsync", lambda descriptor: None
        )  # the machine does not crash here, and there are thousands of calls
        for stage in (label_stage, geometry_stage):
            patch.setattr(stage, "peak_memory_mb", lambda: 100.0)
        calls = {name: quietly(call) for name, call in calls.items()}
        for name in ("plan", "shard", "label", "merge"):
            calls[name](files.get(name, base / "plan.json"))
        yield calls


STAGES = ("plan", "shard", "label", "merge", "split", "verify", "geometry", "text")
FAILURES = {
    "a disk that fills up": (OSError, (errno.ENOSPC, "No space left on device"), True),
    "an input/output error": (OSError, (errno.EIO, "Input/output error"), False),
    "no memory": (MemoryError, (), False),
}


class Output:
    """A folder for one output file, and what may be found there."""

    def __init__(self, folder: Path, work):
        self.path = folder / "out" / "file"
        self._work = work
        work(self.path)
        self.reference = self.path.read_bytes()
        work(self.path)
        assert self.path.read_bytes() == self.reference, (
            "equal calls must give equal bytes, or nothing here means anything"
        )

    def work(self):
        self._work(self.path)

    def reset(self, older: bool) -> bytes | None:
        """Put an older version, or nothing, in the place of the file."""
        self.path.unlink(missing_ok=True)
        if older:
            self.path.write_bytes(OLDER)
        return self.content()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir())

    def content(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_call_that_fails_leaves_whole_files_only(stages, tmp_path, stage, failure):
    error, arguments, lasting = FAILURES[failure]
    output = Output(tmp_path, stages[stage])
    proven = set()
    for at in itertools.count(1):
        before = output.reset(older=at % 2 == 0)
        faults, raised = Faults(failing(error, arguments), at, lasting), False
        with injected(faults):
            try:
                output.work()
            except error:
                raised = True
        if not faults.met:
            break
        content = output.content()
        assert content in (before, output.reference), f"call {at}: a file that is not whole"
        assert output.names() == ([] if content is None else ["file"]), (
            f"call {at}: temporary files are left"
        )
        assert raised or content == output.reference, f"call {at}: nothing was said"
        if content not in proven:
            proven.add(content)
            output.work()
            assert (output.names(), output.content()) == (["file"], output.reference)
    assert at > 5, (
        "open, write, fsync, rename and fsync of the folder were to fail, one after another"
    )
    assert (output.names(), output.content()) == (["file"], output.reference)
    assert proven == {None, OLDER, output.reference}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed_at_every_call_leaves_whole_files_and_the_next_tidies_up(
    stages, tmp_path, stage
):
    output = Output(tmp_path, stages[stage])

    def work_until(at):
        with injected(Faults(die, at)):
            output.work()

    found = set()
    for at in itertools.count(1):
        before = output.reset(older=at % 2 == 0)

        if not killed(partial(work_until, at)):
            break
        found.add(output.content())
        assert output.content() in (before, output.reference), (
            f"call {at}: a file that is not whole"
        )
        temporary = [name for name in output.names() if name != "file"]
        assert len(temporary) <= 1, (
            f"call {at}: what the killed writer before this one left was not removed"
        )
    assert found == {None, OLDER, output.reference}
    assert (output.names(), output.content()) == (["file"], output.reference)


def test_a_snakemake_that_is_killed_while_it_writes_its_settings_leaves_nothing_for_good(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    run = Pipeline({})

    def work():
        discard_torn()
        stamp_settings(run, change=True)
        record_settings(run)

    def work_until(at):
        with injected(Faults(die, at)):
            work()

    calls = next(at for at in itertools.count(1) if not killed(partial(work_until, at)))
    work()
    assert calls > 1
    assert [path for path in (tmp_path / "results").rglob("*") if path.name.endswith(".tmp")] == []


def test_a_start_leaves_alone_what_another_start_is_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_file(tmp_path / "results" / "settings" / "labels.json") as temporary:
        temporary.write(b"{}")
        discard_torn()
    assert (tmp_path / "results" / "settings" / "labels.json").read_bytes() == b"{}"


# -------------------------------------------------------------------------- two writers of one file


def start(work) -> int:
    """The pid of a child process that does ``work``."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    return child


def succeeds(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def during(monkeypatch, owner, name, happens):
    """Let something happen once, in this process only, right before the next call of a function."""
    original, this, waiting = getattr(owner, name), os.getpid(), [happens]

    def call(*arguments, **options):
        if waiting and os.getpid() == this:
            waiting.pop()()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


def test_of_two_jobs_with_one_shard_the_later_start_may_end_first(stages, tmp_path, monkeypatch):
    output = Output(tmp_path, stages["label"])
    output.reset(older=False)

    def another_job():
        assert succeeds(start(output.work))
        assert output.content() == output.reference

    during(monkeypatch, label_stage, "label_geometries", another_job)
    output.work()
    assert (output.names(), output.content()) == (["file"], output.reference)


def test_of_two_jobs_with_one_shard_the_later_start_may_end_last(stages, tmp_path, monkeypatch):
    output = Output(tmp_path, stages["label"])
    output.reset(older=False)
    begun, go_on = os.pipe(), os.pipe()

    def slow_job():
        def wait():
            os.write(begun[1], b"x")
            os.read(go_on[0], 1)

        with pytest.MonkeyPatch.context() as patch:
            during(patch, label_stage, "label_geometries", wait)
            output.work()

    children = []

    def another_job():
        children.append(start(slow_job))
        os.read(begun[0], 1)

    during(monkeypatch, label_stage, "label_geometries", another_job)
    output.work()
    assert output.content() == output.reference
    assert len(output.names()) == 2, "the other job's temporary file is still in use"
    os.write(go_on[1], b"x")
    assert succeeds(children[0])
    assert (output.names(), output.content()) == (["file"], output.reference)


def test_a_job_that_starts_while_another_opens_its_file_does_not_take_it_away(
    stages, tmp_path, monkeypatch
):
    output = Output(tmp_path, stages["label"])
    output.reset(older=False)

    def another_job():
        assert succeeds(start(output.work))

    during(monkeypatch, fcntl, "flock", another_job)
    output.work()
    assert (output.names(), output.content()) == (["file"], output.reference)


# --------------------------------------------------------------------------------------- two starts


def test_of_two_starts_one_waits_until_the_other_has_looked_through_the_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    begun, order = os.pipe(), os.pipe()

    def another_start():
        os.read(begun[0], 1)
        with turn_to_start():
            os.write(order[1], b"second")

    child = start(another_start)
    with turn_to_start():
        os.write(begun[1], b"x")
        time.sleep(0.2)
        os.write(order[1], b"first, ")
    assert succeeds(child)
    assert os.read(order[0], 100) == b"first, second"


@pytest.mark.parametrize(
    "name", ["notes.txt", "mine.json", "plot.html", "model/scores.parquet", "dataset/notes.txt"]
)
def test_files_of_others_among_the_results_stay_with_any_content(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_text(Path("results", name), "not as the pipeline writes")
    write_text(Path("results/verdict.txt"), "not as the pipeline writes")
    discard_torn()
    assert Path("results", name).exists()
    assert not Path("results/verdict.txt").exists()


def test_a_file_that_a_job_takes_away_while_a_start_looks_at_it_is_no_obstacle(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_text(Path("results/validation.json"), "{}")
    during(monkeypatch, torn_files, "_is_whole", Path("results/validation.json").unlink)
    discard_torn()


# --------------------------------------------------------------------------------------- whole runs


BUT_THE_REPORT = ("--until", "dataset")  # no other result is made from it
RESULTS = (
    "labels.parquet",
    "splits/*",
    "features/*",
    "verification.json",
    "verdict.txt",
    "dataset/**/*.*",
    "dataset/SHA256SUMS",
)


def results(workspace) -> dict:
    """The bytes of the files that must not depend on what a run has been through, and the
    validation but for what jobs have used.
    """
    folder = workspace.folder / "results"
    validation = json.loads((folder / "validation.json").read_bytes())
    del validation["memory"]
    return {
        name: (folder / name).read_bytes()
        for pattern in RESULTS
        for name in workspace.files(pattern)
    } | {"validation": validation}


def temporary_files(workspace) -> list[str]:
    return [name for name in workspace.files("**/*") if name.endswith(".tmp")]


def prepare(folder: Path) -> Workspace:
    """A table in two namespaces and the first toric bases: two shards and one, every stage of the
    pipeline.
    """
    workspace = Workspace(folder)
    names = pa.array(["b"] * 30 + ["a"] * 30)
    workspace.table("t.parquet", [*range(-15, 15)] * 2, [2, 4, 3, None, 2, 3] * 10, source=names)
    table = {
        "source": "table",
        "path": "t.parquet",
        "id": "id",
        "namespace": "source",
        "moduli": "moduli",
    }
    settings = {
        "n_limit": 60,
        "shard_size": 60,
        "moduli": {"max": 4},
        "verify": {"least": 10, "per_label": 1},
    }
    workspace.configure({"t": table, "bases": {"source": "toric_bases"}}, **settings)
    return workspace


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workspace:
    """A run that nobody disturbed."""
    workspace = prepare(tmp_path_factory.mktemp("finished"))
    workspace.snakemake()
    return workspace


@pytest.fixture
def workspace(finished, tmp_path) -> Workspace:
    """Return a copy of that run, with the same times of its files."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return Workspace(tmp_path / "run")


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def tear(path: Path, cut=half, keep_time: bool = False) -> None:
    """Cut a file off, as a crash of the machine may."""
    times = path.stat()
    path.write_bytes(cut(path.read_bytes()))
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def the_only(workspace, pattern) -> Path:
    (path,) = workspace.folder.glob(pattern)
    return path


def assert_run_gives(workspace, finished, *arguments: str) -> str:
    """Type the command, and compare with the undisturbed run; returns what was printed."""
    said = workspace.snakemake(*arguments).stdout
    assert results(workspace) == results(finished)
    assert not temporary_files(workspace)
    return said


def test_label_files_that_are_torn_are_made_again_for_the_table(workspace, finished):
    tear(the_only(workspace, "results/labels/t/0-59.parquet"))
    the_only(workspace, "results/labels/bases/*").write_bytes(b"")
    (workspace.folder / "results/labels.parquet").unlink()
    assert "(label 2, merge 1, " in assert_run_gives(workspace, finished, *BUT_THE_REPORT)
    for name in finished.files("labels/*/*.parquet"):
        again, first = (pq.read_table(w.folder / "results" / name) for w in (workspace, finished))
        assert again.equals(first), name


def test_the_records_of_snakemake_may_be_torn(workspace, finished):
    for number, record in enumerate(sorted(workspace.folder.glob(".snakemake/metadata/*"))):
        tear(record) if number % 2 else record.write_bytes(b"")
    assert "nothing to be done" in assert_run_gives(workspace, finished).lower()


def test_what_a_killed_snakemake_leaves_may_be_torn(workspace, finished):
    """Locks of Snakemake and of ours, and marks that three outputs are under way."""
    internal = workspace.folder / ".snakemake"
    (internal / "vacuagym.lock").write_bytes(b"\xff\x00 pid")
    (internal / "locks").mkdir(exist_ok=True)
    for lock in ("0.input.lock", "0.output.lock"):
        (internal / "locks" / lock).write_text(
            "results/labels.parquet\n" if lock == "0.output.lock" else ""
        )
    marked = [
        record for record in sorted((internal / "metadata").iterdir()) if record.stat().st_size
    ][:3]
    for record, content in zip(
        marked, ("", '{"external_jo', '{"external_jobid": null}'), strict=False
    ):
        (internal / "incomplete" / record.name).write_text(content)
        tear(record)
    assert_run_gives(workspace, finished, *BUT_THE_REPORT)


def up_to_a_bracket(content: bytes) -> bytes:
    """Cut off so that the end could be that of a whole file."""
    return content[: content.rindex(b"]") + 1]


def all_but_the_end(content: bytes) -> bytes:
    return content[:-2]


TORN = {
    "a plan of a table": ("plans/t-*.json", half),
    "a plan of a computed table": ("plans/bases-*.json", half),
    "a shard": ("shards/t/0-59.parquet", half),
    "a computed table": ("geometry/bases.parquet", half),
    "the label table": ("labels.parquet", half),
    "a split": ("splits/iid.parquet", half),
    "the validation": ("validation.json", half),
    "a plan that ends like a whole one": ("plans/t-*.json", up_to_a_bracket),
    "the verification": ("verification.json", half),
    "the verdict": ("verdict.txt", half),
    "a verdict that lacks its last bytes": ("verdict.txt", all_but_the_end),
}


@pytest.mark.parametrize("what", TORN)
def test_a_file_that_is_torn_is_made_again(workspace, finished, what):
    pattern, cut = TORN[what]
    tear(the_only(workspace, f"results/{pattern}"), cut, keep_time=what == "a split")
    assert_run_gives(workspace, finished, *BUT_THE_REPORT)


def garbage(content: bytes) -> bytes:
    return random.Random(1).randbytes(len(content))


def tail(content: bytes) -> bytes:
    """Cut off at the beginning; whole at its end only."""
    return content[40:]


WAYS = (lambda content: b"", half, garbage, tail, lambda content: content[:-40])
ENDS_ONLY = re.compile(r"report\.html|verdict\.txt|splits/\w+\.json")  # whose ends only are checked


def test_the_next_start_removes_any_file_that_is_torn_in_any_way_and_no_other(
    workspace, monkeypatch, capsys
):
    monkeypatch.chdir(workspace.folder)
    names = [
        name for name in workspace.files("**/*") if (workspace.folder / "results" / name).is_file()
    ]
    assert len(names) > 20
    sums = Path("results/dataset/SHA256SUMS")
    checksums = sums.read_bytes()
    for name, cut in itertools.product(names, WAYS):
        if cut is tail and ENDS_ONLY.fullmatch(name):
            continue
        path = Path("results", name)
        content = path.read_bytes()
        tear(path, cut)
        discard_torn()
        left, told = set(workspace.files("**/*")), capsys.readouterr().err
        if name.startswith("dataset/"):
            assert set(names) - left in ({name, "dataset/SHA256SUMS"}, {"dataset/SHA256SUMS"})
            assert "dataset/SHA256SUMS" in told
        else:
            assert set(names) - left == {name}
            assert f"{path}: the file is torn" in told
        path.write_bytes(content)
        sums.write_bytes(checksums)


def test_garbage_in_the_place_of_every_result_is_made_again(workspace, finished):
    for name in workspace.files("**/*"):
        path = workspace.folder / "results" / name
        if path.is_file():
            tear(path, garbage)
    assert_run_gives(workspace, finished)


def test_garbage_in_the_place_of_everything_that_snakemake_keeps_is_no_obstacle(
    workspace, finished
):
    internal = workspace.folder / ".snakemake"
    (internal / "incomplete" / next((internal / "metadata").iterdir()).name).write_bytes(
        b"a mark that an output is under way"
    )
    (internal / "locks").mkdir(exist_ok=True)
    (internal / "locks" / "0.output.lock").write_bytes(b"results/labels.parquet")
    for path in internal.rglob("*"):
        if path.is_file() and path.name != "vacuagym.start":
            tear(path, garbage)
    assert_run_gives(workspace, finished)


def test_torn_settings_are_written_again_for_the_next_label_job(workspace, finished):
    tear(the_only(workspace, "results/physics/*.json"))
    the_only(workspace, "results/labels/t/0-59.parquet").unlink()
    assert_run_gives(workspace, finished, *BUT_THE_REPORT)


# -------------------------------------------------------------------------------------- killed runs


class Run:
    """The command as a new process group that can be stopped."""

    def __init__(self, workspace, *arguments, console="console.log", **environment):
        self.folder = workspace.folder
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
        ):  # ignored ones would be inherited
            assert (
                signal.getsignal(number) != signal.SIG_IGN
                or signal.signal(number, signal.SIG_DFL) is not None
            )
        with open(self.folder / console, "a") as file:
            command, environment = workspace.command(*arguments), {**os.environ, **environment}
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def over(self) -> bool:
        return self.process.poll() is not None

    def wait_until(self, condition) -> bool:
        """Whether a condition came true before the run was over."""
        while not condition():
            if self.over():
                return False
            time.sleep(0.005)
        return True

    def jobs(self) -> list[int]:
        """Living processes in the folder of the run, except Snakemake's own."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (
                    os.readlink(process / "cwd") == str(self.folder)
                    and (process / "cmdline").read_bytes()
                ):
                    found.append(int(process.name))
        return [pid for pid in found if pid != self.process.pid]

    def stop(self, kind: str, choose: random.Random) -> None:
        if kind == "one job":
            if self.wait_until(self.jobs):
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(choose.choice(self.jobs()), signal.SIGKILL)
                self.process.wait()
        elif kind == "the group":
            os.killpg(self.process.pid, signal.SIGKILL)
        elif kind in ("SIGINT", "SIGHUP", "SIGTERM"):
            self.process.send_signal(getattr(signal, kind))
            with contextlib.suppress(subprocess.TimeoutExpired):  # Snakemake may hang on a signal
                self.process.wait(10)
        self.process.kill()
        self.process.wait()


def signs_of_life(folder: Path) -> int:
    """Grows with the progress of a run: its files, those of Snakemake included."""
    return sum(
        1
        for name in ("results", "logs", ".snakemake")
        for path in (folder / name).rglob("*")
        if path.is_file()
    )


def test_of_two_starts_in_the_same_instant_one_wins_and_the_other_says_so_or_comes_after(
    workspace, finished
):
    """Both find torn files and settings of another run."""
    workspace.snakemake("--config", "seed=7", "--until", "shard")
    for name in (*workspace.files("plans/*"), "shards/t/0-59.parquet", "validation.json"):
        tear(workspace.folder / "results" / name)
    runs = [Run(workspace, console=f"console{number}") for number in range(2)]
    codes = [run.process.wait(120) for run in runs]
    said = [(workspace.folder / f"console{number}").read_text() for number in range(2)]
    assert min(codes) == 0, said
    for code, words, other in zip(codes, said, reversed(runs), strict=True):
        assert "Traceback" not in words
        assert (
            code == 0
            or f"{workspace.folder}: another run is at work here: pid {other.process.pid} " in words
        ), words
    assert "nothing to be done" in assert_run_gives(workspace, finished).lower()


SEED = 20


@pytest.mark.parametrize("number", range(3))
def test_a_run_that_is_killed_again_and_again_is_finished_by_the_same_command(
    finished, tmp_path, number
):
    choose = random.Random(SEED + number)
    workspace = prepare(tmp_path)
    (tmp_path / "t.parquet").unlink()
    shutil.copy2(finished.folder / "t.parquet", tmp_path)
    files_of_a_run = signs_of_life(finished.folder)
    history = [f"seed {SEED + number}"]
    for kind in choose.sample(["Snakemake", "the group", "one job", "SIGINT", "SIGHUP"], 2):
        run, after = Run(workspace), choose.randrange(files_of_a_run)
        run.wait_until(lambda after=after: signs_of_life(tmp_path) >= after)
        history.append(f"{kind} at {after} of {files_of_a_run} files")
        run.stop(kind, choose)
    last = workspace.snakemake(check=False)
    assert last.returncode == 0, (history, last.stdout)
    assert results(workspace) == results(finished), history
    assert not temporary_files(workspace), history
    assert not run.jobs(), history


BORN_SLOWLY = """
import os, sys, time
if {stage!r} in sys.orig_argv and "vacuagym" in sys.orig_argv:
    parent = os.getppid()
    open("born", "w").close()
    while os.getppid() == parent:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("stage", ["plan", "shard"])
def test_a_job_whose_snakemake_dies_before_it_has_begun_ends_too(tmp_path, stage):
    workspace = prepare(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BORN_SLOWLY.format(stage=stage))
    run = Run(workspace, PYTHONPATH=str(tmp_path / "site"))
    assert run.wait_until((tmp_path / "born").exists)
    run.stop("Snakemake", random.Random())
    while run.jobs():
        time.sleep(0.01)
    assert not workspace.files({"plan": "plans/t-*", "shard": "shards/**/*.*"}[stage]), (
        "it went on to write its file"
    )
