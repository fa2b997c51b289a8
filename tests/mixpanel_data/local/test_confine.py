"""SQL of somebody else: what it may do, what it may not, and that its bounds hold."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mixpanel_data import (
    DatabaseLockedError,
    DatabaseNotFoundError,
    InvalidArgumentError,
    MixpanelDataError,
    QueryError,
    StorageError,
    Workspace,
)
from mixpanel_data.interrupts import Ending, endable
from mixpanel_data.local import confine, store
from mixpanel_data.local.confined import RefusedError, checked

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database with one table of three rows, which no test may change."""
    path = tmp_path_factory.mktemp("confined") / "store.db"
    with duckdb.connect(str(path)) as con:
        con.execute("create table t as select range as i, 'name ' || range as name from range(3)")
        con.execute("create sequence s")
        con.execute("create view leak as select 1 as x union all select size from read_text('/etc/hostname')")
        con.execute("create macro content(path) as (select content from read_text(path))")
        con.execute("create macro contents(path) as table from read_text(path)")
    before = path.read_bytes()
    yield path
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["store.db"]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select i from t order by i desc", ((2,), (1,), (0,))),
        ("from t where i = 1", ((1, "name 1"),)),
        ("values (1), (2)", ((1,), (2,))),
        ("with x as (select 7 as n) select n from x;", ((7,),)),
        ("show tables", (("leak",), ("t",))),
        ("from query('select max(i) from t')", ((2,),)),
        ("select max(i) from query_table('t')", ((2,),)),
        ("select getvariable('x')", ((None,),)),
        ("-- a question\nselect count(*) from t -- all", ((3,),)),
        ("select timestamptz '2025-06-01 12:00:00+02' as at -- zoned", (("2025-06-01 10:00:00+00",),)),
    ],
)
def test_a_question_is_answered(database: Path, query: str, rows: object) -> None:
    got = confine.select(database, query)
    assert got.rows == rows
    assert got.truncated is False


def test_explain_shows_the_plan_of_a_select(database: Path) -> None:
    assert "t" in str(confine.select(database, "explain analyze select * from t").rows)
    assert confine.select(database, "describe t").columns[0] == "column_name"


def test_what_a_crashed_writer_had_committed_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    script = (
        "import duckdb, os, sys; con = duckdb.connect(sys.argv[1]);"
        "con.execute('create table t as select 7 as i'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert path.with_name("store.db.wal").exists()
    assert confine.select(path, "from t").rows == ((7,),)


@pytest.mark.parametrize(
    "query",
    [
        "attach ':memory:' as m",
        "copy t to 'o.csv'",
        "copy (select 1) to '/dev/stdout'",
        "pragma database_list",
        "install httpfs",
        "load json",
        "set memory_limit = '8GB'",
        "reset lock_configuration",
        "export database 'd'",
        "call pragma_version()",
        "create temp table x as select 1",
        "insert into t values (9, 'x')",
        "delete from t",
        "drop table t",
        "checkpoint",
        "begin",
        "commit; drop table t",
        "select 1; select 2",
        "",
        "-- nothing",
        "explain copy t to 'o.csv'",
        "explain analyze copy t to 'o.csv'",
        "EXPLAIN /* x */ ANALYZE delete from t",
        "explain (analyze) delete from t",
        "explain analyze explain select 1",
        "prepare p as select 1",
        "execute p",
        "deallocate p",
        "use memory",
        "comment on table t is 'x'",
        "create macro f(x) as x",
        "set variable x = 1",
        "merge into t using t as u on false when not matched then insert values (1, 'x')",
        "vacuum",
        "pivot t on i using count(*)",
        "select from where",
        "select " + "(" * 5000 + "1" + ")" * 5000,
    ],
)
def test_anything_but_one_select_is_refused(query: str) -> None:
    with pytest.raises(RefusedError):
        checked(query)


def test_a_refusal_says_what_is_allowed(database: Path) -> None:
    with pytest.raises(QueryError, match="a COPY statement is not allowed here") as caught:
        confine.select(database, "copy t to 'o.csv'")
    assert (caught.value.status_code, caught.value.code) == (0, "QUERY_FAILED")
    assert caught.value.details["response_body"]["query"] == "copy t to 'o.csv'"
    assert "SELECT" in str(caught.value.fix)


@pytest.mark.parametrize(
    "query",
    [
        "from read_csv('/etc/passwd')",
        "from read_text('/etc/passwd')",
        "from '/etc/passwd'",
        "from glob('/etc/*')",
        "from read_blob('/proc/self/environ')",
        "from read_csv('http://127.0.0.1:9/x')",
        "from read_blob('{database}')",
        "from '{database}'",
        "from read_text('{database}.wal')",
        "from glob('{directory}/*')",
        "from glob('../*')",
        "from glob('../../*')",
        "with gone as (delete from t returning *) from gone",
        "select nextval('s')",
        "from query('delete from t')",
        "from query('select 1; select 2')",
        "from query_table('/etc/passwd')",
        "from leak",
        "select content('/etc/passwd')",
        "from contents('/etc/passwd')",
        "from 'file:///etc/passwd'",
        "from '/proc/self/environ'",
        "from read_text('/proc/self/fd/3')",
        "from read_text('/dev/stdin')",
        "from sniff_csv('/etc/passwd')",
        "from read_json('/etc/passwd')",
        "from parquet_metadata('/etc/passwd')",
        "from read_duckdb('{database}')",
        "from sqlite_scan('/etc/passwd', 't')",
        "from duckdb_extensions()",
        "from enable_logging()",
        "from force_checkpoint()",
        "from json_execute_serialized_sql(json_serialize_sql('from read_text(''/etc/passwd'')'))",
        "from destroy_external_resource('read_text', '/etc/passwd')",
        "select getenv('HOME')",
        "from request",
        "from con",
        "from arrow_scan(1, 2, 3)",
        "from arrow_scan(null, null, null)",
        "from pandas_scan(1::pointer)",
    ],
)
def test_a_select_reaches_nothing_but_the_tables(database: Path, query: str) -> None:
    with pytest.raises(QueryError) as caught:
        confine.select(database, query.format(database=database, directory=database.parent))
    assert caught.value.fix


@pytest.mark.parametrize(
    "query",
    [
        "from glob('*')",
        "from glob('**')",
        "from read_text('data:,x')",
        "from duckdb_secrets()",
        "from which_secret('s3://x', 's3')",
        "from duckdb_logs()",
        "from duckdb_variables()",
    ],
)
def test_the_working_directory_and_stored_secrets_lead_nowhere(database: Path, query: str) -> None:
    assert confine.select(database, f"select count(*) from ({query})").rows == ((0,),)


def test_rows_and_bytes_are_cut_off_and_it_is_said(database: Path) -> None:
    some = confine.select(database, "from range(1000)", max_rows=10)
    assert (some.rows, some.truncated) == (tuple((n,) for n in range(10)), True)
    assert confine.select(database, "from range(10)", max_rows=10).truncated is False
    wide = confine.select(database, "select repeat('x', 1000) from range(100)", max_bytes=5000)
    assert (len(wide), wide.truncated) == (4, True)
    assert len(json.dumps(wide.to_dict()["rows"])) <= 5000
    with pytest.raises(QueryError, match="one row alone is larger than 5000 bytes"):
        confine.select(database, "select repeat('x', 6000)", max_bytes=5000)


def test_an_endless_query_whose_first_rows_are_enough_ends(database: Path) -> None:
    endless = "with recursive r as (select 1 as x union all select x + 1 from r) from r"
    got = confine.select(database, endless, max_rows=5, timeout_s=DEADLINE_S)
    assert (got.rows, got.truncated) == (((1,), (2,), (3,), (4,), (5,)), True)


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from (with recursive r as (select 1 as x union all select x + 1 from r) from r)",
        "select count(*) from range(1000000000) a, range(1000000000) b",
    ],
)
def test_time_is_bounded(database: Path, query: str) -> None:
    begun = time.monotonic()
    with pytest.raises(QueryError, match=r"took longer than 0\.5 s") as caught:
        confine.select(database, query, timeout_s=0.5)
    assert time.monotonic() - begun < DEADLINE_S
    assert "fewer" in str(caught.value.fix)


@pytest.mark.parametrize(
    "query",
    [
        "select repeat('x', 3000000000)",
        "select sum(x) from (select unnest(range(1000000000)) as x)",
        "select list(range) from range(300000000)",
        pytest.param("select string_agg(repeat('x', 1000), '') from range(3000000)", marks=pytest.mark.soak),
        pytest.param("select array_agg(repeat('x', 1000)) from range(3000000)", marks=pytest.mark.soak),
        "explain analyze select repeat('x', 3000000000)",
    ],
)
def test_memory_is_bounded_by_more_than_the_engines_word(database: Path, query: str) -> None:
    begun = time.monotonic()
    with pytest.raises(QueryError) as caught:
        confine.select(database, query, timeout_s=DEADLINE_S)
    assert time.monotonic() - begun < 2 * DEADLINE_S, "it computed on after its time"
    confine.end()  # so that its children count as ours
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2_000_000, "kB at most, of any child so far"
    assert "ask for less at once" in str(caught.value.fix)


def test_what_does_not_fit_into_memory_spills_and_leaves_nothing(database: Path) -> None:
    query = """select count(*), sum(length(p)) from (
        select range as z, repeat('x', 200) || range as p from range(2500000) order by hash(range), p)"""
    assert confine.select(database, query, timeout_s=60).rows[0][0] == 2_500_000


def descendants(pid: int) -> list[int]:
    """The processes that this one has started, those that they have started, and so on."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # any of them may end while it is looked at
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def wait_for(what: Callable[[], Any]) -> Any:
    """What it returns, once that is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.fixture
def fresh() -> None:
    """The next query starts the process that queries are run by."""
    confine.end()


def at_work(pid: int) -> bool:
    """Whether that process has computed for longer than starting takes: half a second."""
    user_ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    return 2 * int(user_ticks) >= os.sysconf("SC_CLK_TCK")


ENDLESS = "select count(*) from range(1000000000) a, range(1000000000) b"


def test_no_process_knows_anything_of_our_environment(
    database: Path, environment: pytest.MonkeyPatch, fresh: None
) -> None:
    environment.setenv("MP_SECRET", "canary")
    before, ending = set(descendants(os.getpid())), Ending()

    def ask() -> None:
        with endable(ending):
            confine.select(database, f"{ENDLESS} -- question", timeout_s=3600)

    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask)
        started = wait_for(lambda: len(found := set(descendants(os.getpid())) - before) == 2 and found)
        # Until it has replaced itself, a process's environment reads as that of the one that started it.
        wait_for(lambda: all(environ_of(pid).startswith(b"PYTHONPATH=") for pid in started))
        told = b"".join(environ_of(pid) + Path(f"/proc/{pid}/cmdline").read_bytes() for pid in started)
        ending.press()
        with pytest.raises(MixpanelDataError):
            asked.result()
    assert b"zygote" in told
    assert b"canary" not in told
    assert b"question" not in told


def environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_what_waits_holds_no_file_and_ends_with_us(database: Path, fresh: None) -> None:
    before = set(descendants(os.getpid()))
    confine.select(database, "select 1")
    idle = wait_for(lambda: len(found := set(descendants(os.getpid())) - before) == 2 and found)
    # the newest copy may be starting its engine, which reads a few files of the system's first
    wait_for(lambda: held_by(idle) == set())
    confine.end()
    assert not any(Path(f"/proc/{pid}").exists() for pid in idle)


def held_by(pids: Iterable[int]) -> set[str]:
    """The files that these processes have open, devices left out."""
    targets = set()
    for link in [link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir()]:
        with suppress(FileNotFoundError):  # closed meanwhile
            targets.add(str(link.readlink()))
    return {target for target in targets if target.startswith("/") and not target.startswith("/dev/")}


def test_a_query_is_quick_once_the_engine_is_ready(database: Path) -> None:
    """Each is asked by a copy, and not by an interpreter of its own with an engine of its own to load."""

    def took(fresh: bool) -> float:
        if fresh:
            confine.end()
        begun = time.monotonic()
        confine.select(database, "select count(*) from t")
        return time.monotonic() - begun

    loading = [took(fresh=True) for _ in range(3)]
    assert min(took(fresh=False) for _ in range(10)) < min(loading)


def test_each_query_meets_an_engine_of_its_own(database: Path) -> None:
    pid = "select regexp_extract(content, '[0-9]+') from read_text('/proc/self/stat')"
    with pytest.raises(QueryError):
        confine.select(database, pid)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(confine.select, database, f"select {n}, count(*) from t") for n in range(16)]
        assert [one.result().rows for one in asked] == [((n, 3),) for n in range(16)]


def test_no_more_than_a_few_queries_run_at_once(database: Path, fresh: None) -> None:
    most = 0
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(confine.select, database, ENDLESS, timeout_s=0.3) for _ in range(8)]
        while not all(one.done() for one in asked):
            most = max(most, len(descendants(confine.pid() or os.getpid())))
            time.sleep(0.01)
    assert all(isinstance(one.exception(), QueryError) for one in asked)
    assert 0 < most <= confine.AT_ONCE + 1, "one more waits for its turn"


def test_a_query_that_nobody_waits_for_ends_with_its_process(database: Path, fresh: None) -> None:
    ending, errors = Ending(), list[MixpanelDataError]()

    def ask() -> None:
        try:
            with endable(ending):
                confine.select(database, ENDLESS, timeout_s=3600)
        except MixpanelDataError as error:
            errors.append(error)

    def working() -> list[int]:
        there = descendants(zygote) if (zygote := confine.pid()) else []
        return [pid for pid in there if Path(f"/proc/{pid}").exists() and at_work(pid)]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    (pid,) = wait_for(working)
    ending.press()
    thread.join(DEADLINE_S)
    assert [error.code for error in errors] == ["CANCELLED"]
    assert not Path(f"/proc/{pid}").exists()
    assert confine.select(database, "select 1").rows == ((1,),)


def test_a_file_that_cannot_be_read_is_named(database: Path, tmp_path: Path) -> None:
    place = tmp_path / "directory.db"
    place.mkdir()
    with pytest.raises(StorageError, match=r"directory\.db"):
        confine.select(place, "select 1")


def test_a_process_that_was_ended_is_started_again(database: Path) -> None:
    confine.select(database, "select 1")
    os.kill(confine.pid() or 0, 9)
    assert confine.select(database, "select 2").rows == ((2,),)
    os.kill(confine.pid() or 0, 9)
    wait_for(lambda: Path(f"/proc/{confine.pid()}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert confine.select(database, "select 3").rows == ((3,),)


def test_a_copy_of_our_process_starts_its_own(database: Path) -> None:
    script = """if True:
        import os, sys
        from pathlib import Path
        from mixpanel_data.local import confine
        database = Path(sys.argv[1])
        confine.select(database, "select 1")
        first = confine.pid()
        child = os.fork()
        ours = confine.select(database, "select 2").rows
        assert (confine.pid() == first) is (child != 0), (child, first)
        assert ours == ((2,),)
        confine.end()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            assert not Path(f"/proc/{first}").exists()
            print("well")
        else:
            os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(database)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("well\n", "")


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_the_children_end_with_their_parent(database: Path, ends: str) -> None:
    script = (
        "import sys, threading; from pathlib import Path; from mixpanel_data.local import confine;"
        "threading.Thread(target=confine.select, args=(Path(sys.argv[1]), sys.argv[2]), daemon=True,"
        "kwargs={'timeout_s': 600}).start(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database), ENDLESS], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        children = wait_for(lambda: len(found := descendants(parent.pid)) == 2 and any(map(at_work, found)) and found)
        if ends == "killed":
            parent.kill()
    wait_for(lambda: not any(running(pid) for pid in children))
    assert confine.select(database, "select 1").rows == ((1,),), "and what it left behind is swept away"


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_writer_in_another_process_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0.3)
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        writer.stdout.readline()
        with pytest.raises(DatabaseLockedError) as caught:
            confine.select(path, "select 1")
        assert caught.value.details["holding_pid"] == writer.pid
        assert caught.value.message.count("is in use") == 1
        monkeypatch.setattr(store, "LOCK_WAIT_S", DEADLINE_S)
        threading.Timer(0.3, writer.stdin.close).start()
        assert confine.select(path, "select 1").rows == ((1,),)


def test_the_users_own_connection_is_named_as_what_is_in_the_way(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(database.read_bytes())
    with Workspace.open(path, read_only=False) as workspace:
        workspace.connection.execute("select 1")
        with pytest.raises(DatabaseLockedError, match=r"Workspace\.connection"):
            workspace.select("select 1")
    with Workspace.open(path) as workspace:
        assert workspace.connection.execute("select count(*) from t").fetchone() == (3,)
        assert workspace.select("select count(*) from t").rows == ((3,),)


def test_no_database_and_wrong_bounds_are_told(database: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotFoundError):
        confine.select(tmp_path / "none.db", "select 1")
    wrong: list[dict[str, Any]] = [{"max_rows": 0}, {"max_bytes": -1}, {"timeout_s": 0}]
    for bound in wrong:
        with pytest.raises(InvalidArgumentError):
            confine.select(database, "select 1", **bound)


def test_a_missing_table_says_to_fetch(database: Path) -> None:
    with pytest.raises(QueryError, match="events") as caught:
        confine.select(database, "from events")
    assert "fetch" in str(caught.value.fix)
