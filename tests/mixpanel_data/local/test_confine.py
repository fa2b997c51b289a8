"""SQL of somebody else: what it may do, what it may not, and that its bounds hold."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mixpanel_data import DatabaseLockedError, DatabaseNotFoundError, InvalidArgumentError, QueryError, Workspace
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
        ("show tables", (("t",),)),
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
        "use memory",
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
    ],
)
def test_a_select_reaches_nothing_but_the_tables(database: Path, query: str) -> None:
    with pytest.raises(QueryError) as caught:
        confine.select(database, query.format(database=database, directory=database.parent))
    assert caught.value.fix


@pytest.mark.parametrize(
    "query",
    ["from glob('*')", "from glob('**')", "from duckdb_secrets()"],
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
    got = confine.select(database, endless, max_rows=5, timeout_s=20)
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
    assert time.monotonic() - begun < 20
    assert "fewer" in str(caught.value.fix)


@pytest.mark.parametrize(
    "query",
    [
        "select repeat('x', 3000000000)",
        "select sum(x) from (select unnest(range(1000000000)) as x)",
        "select list(range) from range(300000000)",
        "select string_agg(repeat('x', 1000), '') from range(3000000)",
    ],
)
def test_memory_is_bounded_by_more_than_the_engines_word(database: Path, query: str) -> None:
    begun = time.monotonic()
    with pytest.raises(QueryError) as caught:
        confine.select(database, query, timeout_s=10)
    assert time.monotonic() - begun < 30, "it computed on after its time"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2_000_000, "kB at most, of any child so far"
    assert "ask for less at once" in str(caught.value.fix)


def test_what_does_not_fit_into_memory_spills_and_leaves_nothing(database: Path) -> None:
    query = """select count(*), sum(length(p)) from (
        select range as z, repeat('x', 200) || range as p from range(2500000) order by hash(range), p)"""
    assert confine.select(database, query, timeout_s=60).rows[0][0] == 2_500_000


def test_the_child_knows_nothing_of_our_environment(
    database: Path, environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_SECRET", "canary")
    seen: list[bytes] = []
    popen = subprocess.Popen

    def watched(*args: Any, **options: Any) -> Any:
        child = popen(*args, **options)
        # Until it has replaced itself, the child's environment reads as ours.
        while not (found := Path(f"/proc/{child.pid}/environ").read_bytes()).startswith(b"PYTHONPATH="):
            time.sleep(0.005)
        seen.append(found + Path(f"/proc/{child.pid}/cmdline").read_bytes())
        return child

    monkeypatch.setattr(subprocess, "Popen", watched)
    assert confine.select(database, "select 'question'").rows == (("question",),)
    assert len(seen) == 1
    assert b"canary" not in seen[0]
    assert b"question" not in seen[0]


def at_work(pid: str | None) -> bool:
    """Whether that process has computed for longer than starting takes: one second."""
    if pid is None:
        return False
    user_ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    return int(user_ticks) >= os.sysconf("SC_CLK_TCK")


def test_the_child_ends_with_its_parent(database: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mixpanel_data.local import confine;"
        "query = 'select count(*) from range(1000000000) a, range(1000000000) b';"
        "confine.select(Path(sys.argv[1]), query, timeout_s=600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(database)])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    child = None
    deadline = time.monotonic() + DEADLINE_S
    while not at_work(child) and time.monotonic() < deadline:
        found = children.read_text().split()
        child = found[0] if found else None
        time.sleep(0.02)
    assert child is not None
    assert at_work(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()
    assert confine.select(database, "select 1").rows == ((1,),), "and what it left behind is swept away"


def test_a_writer_in_another_process_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    monkeypatch.setattr(store, "LOCK_WAIT_S", 1.0)
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
