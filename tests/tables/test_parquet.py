"""Files of the pipeline: at their final name they are whole, and what a killed writer leaves
behind is tidied away.
"""

import errno
import fcntl
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vacuagym.errors import DamagedFileError, InputError, VacuagymError
from vacuagym.runtime import atomic_files
from vacuagym.runtime.atomic_files import remove_abandoned, whole_file, write_text
from vacuagym.tables import parquet
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches, write_table

TABLE = pa.table({"id": [3, 1, 2], "name": ["a", None, "b"], "list": [[1.0], [], None]})


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path, table=TABLE, **metadata):
    with write_table(path, table.schema, metadata) as writer:
        writer.write(table)


def write_and_fail(path, error, **metadata):
    with write_table(path, TABLE.schema, metadata) as writer:
        writer.write(TABLE)
        raise error


def write_and_count_wrong(path):
    with write_table(path, TABLE.schema, {}) as writer:
        writer.write(TABLE)
        writer.rows += 1


class Stop(BaseException):
    """Not an Exception: as KeyboardInterrupt and SystemExit are not."""


def test_a_file_appears_whole_with_rows_and_metadata(tmp_path):
    path = tmp_path / "new" / "folder" / "t.parquet"
    metadata = {"seed": 42, "nested": {"list": [1, 2.5, None], "text": "é"}}
    with write_table(path, TABLE.schema, metadata) as writer:
        writer.write(TABLE)
        assert not path.exists()
        writer.write(TABLE.slice(1))
        metadata["rows"] = writer.rows
    assert files(path.parent) == ["t.parquet"]
    assert pq.read_table(path).equals(pa.concat_tables([TABLE, TABLE.slice(1)]))
    file = open_parquet(path)
    assert file_metadata(file) == {**metadata, "rows": 5}
    assert file.num_row_groups == 2


def test_a_file_without_rows_is_a_file(tmp_path):
    write(tmp_path / "t.parquet", TABLE.slice(0, 0), rows=0)
    file = open_parquet(tmp_path / "t.parquet")
    assert file.metadata.num_rows == 0
    assert file.schema_arrow.equals(TABLE.schema)
    assert list(read_batches(file, "t", ["id"])) == []


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, y=1, x=2)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_from_elsewhere_has_no_metadata_of_ours(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    assert file_metadata(open_parquet(tmp_path / "t.parquet")) == {}


@pytest.mark.parametrize(
    "error", [ValueError, InputError, KeyboardInterrupt, SystemExit, MemoryError, Stop]
)
@pytest.mark.parametrize("existing", [False, True])
def test_an_exception_leaves_no_file_and_the_old_one_as_it_was(tmp_path, error, existing):
    path = tmp_path / "t.parquet"
    if existing:
        write(path, version=1)
        before = path.read_bytes()
    with pytest.raises(error):
        write_and_fail(path, error, version=2)
    if existing:
        assert files(tmp_path) == ["t.parquet"]
        assert path.read_bytes() == before
    else:
        assert files(tmp_path) == []
    write(path, version=3)
    assert file_metadata(open_parquet(path)) == {"version": 3}


def test_a_failed_writer_does_not_speak_up_later(tmp_path, monkeypatch):
    """The log of a job that was refused ends with our message, not with a traceback of the
    writer's end.
    """
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    with pytest.raises(ValueError, match="refused"):
        write_and_fail(tmp_path / "t.parquet", ValueError("refused"))
    gc.collect()
    assert [str(unraisable.exc_value) for unraisable in heard] == []


def test_a_table_of_other_columns_or_unserializable_metadata_leaves_nothing(tmp_path):
    with (
        pytest.raises((pa.ArrowException, ValueError)),
        write_table(tmp_path / "t.parquet", TABLE.schema, {}) as writer,
    ):
        writer.write(pa.table({"other": ["x"]}))
    with pytest.raises(TypeError):
        write(tmp_path / "t.parquet", what=object())
    assert files(tmp_path) == []


def test_a_file_that_does_not_read_back_as_written_does_not_appear(tmp_path):
    with pytest.raises(OSError, match="wrote 4 rows and read back 3"):
        write_and_count_wrong(tmp_path / "t.parquet")
    assert files(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch, call):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    write(tmp_path / "t.parquet", version=1)
    write_text(tmp_path / "t.json", "old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "t.parquet", version=2)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "t.json", "new")
    assert files(tmp_path) == ["t.json", "t.parquet"]
    assert file_metadata(open_parquet(tmp_path / "t.parquet")) == {"version": 1}
    assert (tmp_path / "t.json").read_text() == "old"


def test_content_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    for call in ("fsync", "replace"):
        original = getattr(os, call)
        monkeypatch.setattr(
            os,
            call,
            lambda *arguments, call=call, original=original: (
                calls.append(call),
                original(*arguments),
            )[1],
        )
    write(tmp_path / "t.parquet")
    assert calls == ["fsync", "replace", "fsync"], (
        "the file, its name, and the folder that holds the name"
    )
    calls.clear()
    write_text(tmp_path / "t.json", "{}")
    assert calls == ["fsync", "replace", "fsync"]


def test_text_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "t.json"
    write_text(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_bytes() == "é\n".encode()
    assert files(path.parent) == ["t.json"]


@pytest.mark.parametrize("name", ["t.parquet", "-5-9.parquet", "a[b]*?.parquet"])
def test_temporary_files_of_dead_writers_are_removed_and_no_others(tmp_path, name):
    abandoned = [f".{name}.{pid}.tmp" for pid in (1, 99999999)]
    others = [".other.parquet.1.tmp", name + ".1.tmp", ".t.tmp", ".ab.parquet.1.tmp"]
    for leftover in abandoned + others:
        (tmp_path / leftover).write_bytes(b"half")
    write(tmp_path / name)
    assert files(tmp_path) == sorted([name, *others])
    for leftover in abandoned:
        (tmp_path / leftover).write_bytes(b"half")
    write_text(tmp_path / name, "text")
    assert files(tmp_path) == sorted([name, *others])


def test_the_temporary_file_of_a_live_writer_stays(tmp_path):
    live = tmp_path / ".t.parquet.12345.tmp"
    with open(live, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write(tmp_path / "t.parquet")
        write_text(tmp_path / "t.parquet", "text")
        assert live.exists()
    write(tmp_path / "t.parquet")
    assert files(tmp_path) == ["t.parquet"]


WRITER = """
import sys
import pyarrow as pa
from vacuagym.tables.parquet import write_table
table = pa.table({"id": range(1000)})
with write_table(sys.argv[1], table.schema, {}) as writer:
    writer.write(table)
    print("half", flush=True)
    sys.stdin.read()
"""


def test_a_writer_that_is_killed_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, version=1)
    before = path.read_bytes()
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline() == b"half\n"
        (temporary,) = tmp_path.glob(f".t.parquet.*.{child.pid}.tmp")
        write_text(path, "another writer leaves a live one alone")
        path.write_bytes(before)
        assert temporary.exists()
        child.send_signal(signal.SIGKILL)
    assert path.read_bytes() == before
    assert temporary.exists(), "nobody could tidy up"
    write(path, version=2)
    assert files(tmp_path) == ["t.parquet"]


def test_a_file_cut_short_is_refused_wherever_it_is_cut(tmp_path):
    path = tmp_path / "t.parquet"
    write(path)
    whole = path.read_bytes()
    for length in (0, 1, 4, 8, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="not a whole Parquet file") as refused:
            open_parquet(path)
        assert str(path) in str(refused.value)


def test_damage_inside_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, pa.table({"id": range(5000), "rest": range(5000)}))
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.data_page_offset + 60 : chunk.data_page_offset + 200] = bytes(140)
    path.write_bytes(damaged)
    file = open_parquet(path)
    assert sum(len(batch) for batch in read_batches(file, path, ["rest"])) == 5000
    with pytest.raises(InputError, match="damaged while reading id") as refused:
        list(read_batches(file, path, ["id"]))
    assert str(path) in str(refused.value)


def test_every_changed_bit_of_a_file_of_ours_is_noticed_by_its_checksums(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"id": [1, 2, 3, 4], "value": [0.25, 0.5, 0.75, 1.0]})
    with write_table(path, table.schema, {}) as writer:
        writer.write(table)
    whole = path.read_bytes()
    metadata = pq.ParquetFile(path).metadata
    for position in range(2):
        chunk = metadata.row_group(0).column(position)
        start = chunk.data_page_offset
        for byte in range(start, start + chunk.total_compressed_size):
            damaged = bytearray(whole)
            damaged[byte] ^= 4
            path.write_bytes(damaged)
            try:
                found = pa.Table.from_batches(
                    read_batches(open_parquet(path), path, table.schema.names), table.schema
                )
            except InputError:
                continue
            assert found.equals(table), (
                f"byte {byte} was changed in the file, and a wrong number came out"
            )


def test_batches_are_small_and_row_groups_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 10)
    path = tmp_path / "t.parquet"
    table = pa.table({"id": range(95), "rest": range(95)})
    with write_table(path, table.schema, {}) as writer:
        for start in range(0, 95, 35):
            writer.write(table.slice(start, 35))
    file = open_parquet(path)
    batches = list(read_batches(file, path, ["id"]))
    assert max(map(len, batches)) == 10
    assert [i for batch in batches for i in batch.column("id").to_pylist()] == list(range(95))
    assert all(batch.schema.names == ["id"] for batch in batches)
    chosen = [
        i
        for batch in read_batches(file, path, ["id"], row_groups=[2, 0])
        for i in batch.column("id").to_pylist()
    ]
    assert chosen == [*range(70, 95), *range(35)]


def test_the_folder_of_a_relative_path_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file") as refused:
        open_parquet("absent.parquet")
    assert str(Path.cwd()) in str(refused.value)
    with pytest.raises(InputError, match="folder"):
        open_parquet(tmp_path)


def test_metadata_is_json_with_sorted_keys(tmp_path):
    write(tmp_path / "t.parquet", b=1, a={"d": 1, "c": 2})
    raw = pq.ParquetFile(tmp_path / "t.parquet").metadata.metadata[parquet.METADATA_KEY]
    assert raw == json.dumps({"a": {"c": 2, "d": 1}, "b": 1}).encode()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("when", ["opened", "read"])
def test_an_error_of_the_system_removes_no_result(tmp_path, monkeypatch, number, when):
    monkeypatch.chdir(tmp_path)
    path = Path("results/labels.parquet")
    with write_table(path, pa.schema([("x", pa.int64())]), {}) as writer:
        writer.write(pa.table({"x": [1]}))

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    if when == "opened":
        monkeypatch.setattr(pq, "ParquetFile", fail)
    else:
        monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail)
    with pytest.raises(VacuagymError, match=os.strerror(number)) as caught:
        list(read_batches(open_parquet(path), path, ["x"]))
    assert not isinstance(caught.value, DamagedFileError), "only that removes a file"


class TestAFileSystemWithoutLocks:
    """The name of a temporary file says whose it is."""

    @pytest.fixture(autouse=True)
    def without_locks(self, monkeypatch):
        def refused(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refused)

    def test_files_of_dead_writers_of_this_host_are_removed(self, tmp_path):
        host = atomic_files._host()
        dead = tmp_path / f".t.parquet.{host}.99999999.tmp"
        live = tmp_path / f".t.parquet.{host}.{os.getpid()}.tmp"
        for path in (dead, live):
            path.write_bytes(b"half")
        remove_abandoned([dead, live])
        assert files(tmp_path) == [live.name]

    def test_files_of_other_hosts_are_removed_after_a_day(self, tmp_path):
        new, old = (tmp_path / f".t.parquet.{host}.{os.getpid()}.tmp" for host in ("n1", "n2"))
        for path in (new, old):
            path.write_bytes(b"half")
        yesterday = time.time() - 25 * 3600
        os.utime(old, (yesterday, yesterday))
        remove_abandoned([new, old])
        assert files(tmp_path) == [new.name]


@pytest.mark.parametrize("host", ["n1", "node-1.cluster.example", "a/b *"])
def test_two_hosts_with_equal_pids_write_different_temporary_files(tmp_path, monkeypatch, host):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    with whole_file(tmp_path / "t.parquet"):
        (name,) = files(tmp_path)
    assert re.fullmatch(rf"\.t\.parquet\.[\w-]+\.{os.getpid()}\.tmp", name)
    assert name.split(".")[3].startswith(re.match(r"\w+", host)[0])
