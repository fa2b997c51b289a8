"""The door to the file: nobody holds it, everybody gets on, and who does not let go is named."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import duckdb
import pytest

from mixpanel_data import DatabaseLockedError, DatabaseNotFoundError, StorageError, Workspace
from mixpanel_data.local import confine, store
from mixpanel_data.local.door import Door, Mode, door
from mixpanel_data.local.workdir import workdir


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the file open for writing."""
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_nobody_holds_the_file_between_calls(workspace: Workspace) -> None:
    workspace.sql("create table t as select 1 as i")
    with duckdb.connect(str(workspace.db_path), config={"threads": 1}) as other:
        assert other.execute("from t").fetchall() == [(1,)]


def test_another_processs_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with writer(path) as process:
        threading.Timer(0.2, process.kill).start()
        with store.connection(path, "write", wait_s=60) as con:
            assert con.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_lock_that_stays_is_told_with_its_holder(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "store.db"
    with writer(path) as process:
        with pytest.raises(DatabaseLockedError) as caught, store.connection(path, mode, wait_s=0.2):
            pass
        assert caught.value.details["holding_pid"] == process.pid
        assert caught.value.details["db_path"] == str(path)
        assert str(process.pid) in str(caught.value.fix)


def test_a_users_connection_is_told_when_it_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with _made(path) as workspace:
        assert workspace.connection.execute("select 1").fetchone() == (1,)
        with (
            pytest.raises(DatabaseLockedError, match=r"Workspace\.connection"),
            store.connection(path, "write", wait_s=0.1),
        ):
            pass


@contextmanager
def _made(path: Path) -> Iterator[Workspace]:
    with duckdb.connect(str(path)) as con:
        con.execute("create table t as select 1 as i")
    with Workspace.open(path, read_only=True) as workspace:
        yield workspace


def test_modes_take_turns_and_nobody_starves(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with store.connection(path, "write") as con:
        con.execute("create table t as select 0 as i")
    stop = threading.Event()
    wrong: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                with store.connection(path, "read", wait_s=60) as con:
                    con.execute("select count(*) from t").fetchone()
        except BaseException as error:  # noqa: BLE001  # shown by the test
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(5):
            with store.connection(path, "write", wait_s=60) as con:
                con.execute("insert into t values (?)", [number])
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    with store.connection(path, "read") as con:
        assert con.execute("select count(*) from t").fetchone() == (6,)


def _open_files(name: str) -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(entry.readlink()))
    return [path for path in found if name in path]


def test_a_glance_sees_what_is_there_and_lets_go_of_it(tmp_path: Path) -> None:
    path = tmp_path / "glanced.db"
    for number in range(3):
        with store.connection(path, "write") as con:
            con.execute(f"create table t{number} as select {number} as i")
        with store.glance(path) as con:
            assert con.execute(f"from t{number}").fetchall() == [(number,)]
            assert _open_files("glanced.db")
            with pytest.raises(duckdb.InvalidInputException, match="read-only"):
                con.execute("drop table t0")
        assert _open_files("glanced.db") == []


def test_a_glance_that_fails_lets_go_too(tmp_path: Path) -> None:
    path = tmp_path / "glanced.db"
    with store.connection(path, "write") as con:
        con.execute("create table t as select 1 as i")
    with pytest.raises(RuntimeError, match="by its user"), store.glance(path):
        raise RuntimeError("by its user")
    assert _open_files("glanced.db") == []
    with store.glance(path) as con:
        assert con.execute("from t").fetchall() == [(1,)]
    with pytest.raises(DatabaseNotFoundError), store.glance(tmp_path / "none.db"):
        pass
    (tmp_path / "wrong.db").write_bytes(b"hello" * 1000)
    with pytest.raises(StorageError, match="not a DuckDB database"), store.glance(tmp_path / "wrong.db"):
        pass


def test_a_glance_waits_for_writers_and_not_for_readers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with store.connection(path, "write") as con:
        con.execute("create table t as select 1 as i")
        with pytest.raises(DatabaseLockedError), store.glance(path, wait_s=0.1):
            pass
    with store.connection(path, "read"), store.glance(path, wait_s=0.1) as con:
        assert con.execute("from t").fetchall() == [(1,)]
    with store.glance(path):
        with pytest.raises(DatabaseLockedError), store.connection(path, "write", wait_s=0.1):
            pass
        # its file would lose its lock when the other one's is closed
        with pytest.raises(DatabaseLockedError), store.connection(path, "read", wait_s=0.1):
            pass
    with writer(path) as process:
        with pytest.raises(DatabaseLockedError) as caught, store.glance(path, wait_s=0.1):
            pass
        assert caught.value.details["holding_pid"] == process.pid


def test_a_glance_joins_readers_while_a_writer_waits(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with store.connection(path, "write") as con:
        con.execute("create table t as select 0 as i")
    wrong: list[BaseException] = []
    stop = threading.Event()

    def again(mode: str) -> None:
        try:
            while not stop.is_set():
                at = store.glance(path, wait_s=60) if mode == "glance" else store.connection(path, "read", wait_s=60)
                with at as con:
                    con.execute("select count(*) from t").fetchone()
        except BaseException as error:  # noqa: BLE001  # shown by the test
            wrong.append(error)

    others = [threading.Thread(target=again, args=[mode]) for mode in ("glance", "read", "glance")]
    for other in others:
        other.start()
    try:
        for number in range(5):
            with store.connection(path, "write", wait_s=60) as con:
                con.execute("insert into t values (?)", [number])
    finally:
        stop.set()
        for other in others:
            other.join()
    assert wrong == []


def test_a_glance_sees_what_was_there_while_this_process_brings_more(tmp_path: Path) -> None:
    path = tmp_path / "glanced.db"
    with store.connection(path, "write") as con:
        con.execute("create table t as select 1 as i")

    def seen() -> int:
        with store.glance(path, wait_s=0.1) as con:
            return len(con.execute("from t").fetchall())

    with duckdb.connect() as engine, store.attached(engine, path, "store", wait_s=60):
        engine.execute("begin transaction")
        engine.execute("insert into store.main.t values (2)")
        assert seen() == 1
        engine.execute("commit")
        assert seen() == 2
    assert _open_files("glanced.db") == []
    assert seen() == 2


def test_who_brings_more_waits_for_those_who_look(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with store.connection(path, "write") as con:
        con.execute("create table t as select 1 as i")
    let_in, may_go = threading.Event(), threading.Event()
    seen: list[object] = []

    def look() -> None:
        with store.glance(path, wait_s=60) as con:
            let_in.set()
            may_go.wait(60)
            seen.extend(con.execute("from t").fetchall())

    looking = threading.Thread(target=look)
    with duckdb.connect() as engine, store.attached(engine, path, "store", wait_s=60):
        looking.start()
        assert let_in.wait(60)
        threading.Timer(0.2, may_go.set).start()
    looking.join()
    assert seen == [(1,)]


def test_a_copy_of_the_process_has_an_engine_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    script = """
import os, sys
from pathlib import Path
from mixpanel_data.local import store
path = Path(sys.argv[1])
with store.connection(path, "write") as con:
    con.execute("create table t as select 7 as i")
def seen():
    with store.glance(path) as con:
        return con.execute("from t").fetchall()[0][0]
assert seen() == 7
child = os.fork()
if not child:
    os._exit(seen())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "7\n", done.stderr


def _gets_in(at: Door) -> bool:
    try:
        with at.entered("read", 0.05):
            return True
    except DatabaseLockedError:
        return False


def test_who_comes_later_waits_behind_who_waits(tmp_path: Path) -> None:
    at = door(tmp_path / "store.db")
    at.enter("read", 1)
    writer_is_in = threading.Event()

    def write() -> None:
        with at.entered("write", 60):
            writer_is_in.set()

    waiting = threading.Thread(target=write)
    waiting.start()
    try:
        deadline = time.monotonic() + 30
        # Until the writer has come to the door, a reader walks in.
        while _gets_in(at) and time.monotonic() < deadline:
            pass
        assert not _gets_in(at)
        assert not writer_is_in.is_set()
    finally:
        at.leave()
        waiting.join()
    assert writer_is_in.is_set()
    with at.entered("read", 1):
        pass


def test_two_connections_of_users_are_both_known(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    first, second = store.Held(path, "write"), store.Held(path, "write")
    first.close()
    assert door(path).held == "write"
    second.close()
    assert door(path).held is None


def test_two_spellings_of_a_path_are_one_door(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    assert door(tmp_path / "a" / ".." / "store.db") is door(tmp_path / "store.db")
    assert door(tmp_path / "link.db") is door(tmp_path / "store.db")


def test_a_missing_file_is_made_only_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    with pytest.raises(DatabaseNotFoundError), store.connection(path, "read"):
        pass
    assert not path.parent.exists()
    with store.connection(path, "write"):
        assert path.parent.stat().st_mode & 0o077 == 0


def ways(path: Path) -> dict[str, Callable[[], object]]:
    """Each way in which a store is opened."""

    def attached() -> None:
        with duckdb.connect(":memory:") as con, store.attached(con, path, "there", wait_s=5):
            pass

    def opened(mode: Mode) -> None:
        with store.connection(path, mode):
            pass

    def glanced() -> None:
        with store.glance(path):
            pass

    return {
        "read": lambda: opened("read"),
        "write": lambda: opened("write"),
        "glance": glanced,
        "attached": attached,
        "confined": lambda: confine.select(path, "select 1"),
    }


@pytest.mark.parametrize("way", ways(Path()))
def test_a_file_of_another_engine_is_not_opened_with_its_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """DuckDB would fetch what reads it from the network."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as con:
        con.execute("create table events(a)")
    with pytest.raises(StorageError, match="is not a DuckDB database") as caught:
        ways(path)[way]()
    assert "extension" not in str(caught.value)
    assert caught.value.fix == "give the path of another file, or move this one away"


@pytest.mark.parametrize("way", ways(Path()))
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, way: str) -> None:
    path = tmp_path / "store.db"
    os.mkfifo(path)
    with pytest.raises(StorageError, match="is not a file"):
        ways(path)[way]()


@pytest.mark.parametrize("way", ["write", "attached"])
def test_links_that_lead_in_a_circle_are_told(tmp_path: Path, way: str) -> None:
    path = tmp_path / "store.db"
    path.symlink_to(path)
    with pytest.raises(StorageError, match="cannot be followed"):
        ways(path)[way]()


def test_to_look_whose_file_it_is_lets_go_of_no_lock(tmp_path: Path) -> None:
    """A second connection of this process, to a file that the first one made."""
    path = tmp_path / "store.db"
    with store.connection(path, "write"), store.connection(path, "write"):
        pass_on = [sys.executable, "-c", f"import duckdb; duckdb.connect({str(path)!r})"]
        other = subprocess.run(pass_on, capture_output=True, text=True, check=False, timeout=120)
    assert "Could not set lock" in other.stderr


def test_tables_of_another_program_are_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with duckdb.connect(str(path)) as con:
        con.execute("create table events(x int); create table _metadata(y int); create table _ledger(z int)")
    with Workspace.open(path, read_only=False) as workspace:
        for ask in (workspace.tables, workspace.drop_all):
            with pytest.raises(StorageError, match="cannot be read as a store"):
                ask()


def test_a_file_that_lost_its_end_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with duckdb.connect(str(path)) as con:
        con.execute("create table events as select range as x from range(500000)")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Workspace.open(path) as workspace, pytest.raises(StorageError, match="cannot be"):
        workspace.sample("events")


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StorageError, match="not a DuckDB database"), store.connection(path, "read"):
        pass
    with pytest.raises(StorageError), store.connection(tmp_path, "write"):
        pass


def test_a_working_directory_in_use_is_not_swept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    script = (
        "import sys; from pathlib import Path; from mixpanel_data.local.workdir import workdir\n"
        "with workdir(Path(sys.argv[1])) as home: print(home, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with workdir(path) as ours:
            assert theirs.exists()
            assert ours.stat().st_mode & 0o077 == 0
        other.kill()
        other.wait()
        assert theirs.exists()
        with workdir(path):
            assert not theirs.exists(), "its owner is gone"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "home"] == []


def test_waiting_has_an_end_inside_the_process(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with store.connection(path, "write"):
        begun = time.monotonic()
        with pytest.raises(DatabaseLockedError, match="another call"), store.connection(path, "read", wait_s=0.1):
            pass
        assert time.monotonic() - begun < 30


def test_a_long_statement_draws_nothing_on_standard_output(tmp_path: Path) -> None:
    """The engine would draw a progress bar there when it is imported under `python -c`."""
    script = (
        "import sys, pathlib; from mixpanel_data.local import store, load;"
        "ask = \"select current_setting('enable_progress_bar')\";"
        "held = store.connection(pathlib.Path(sys.argv[1]) / 'store.db', 'write'); con = held.__enter__();"
        "staging = load.Staging(pathlib.Path(sys.argv[1]));"
        "print(con.execute(ask).fetchone(), staging.con.execute(ask).fetchone())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "(False,) (False,)\n"
