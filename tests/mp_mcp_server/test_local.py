"""Local tools over a fetched table, numbers counted over the raw events; and what strangers may try with them."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import Workspace
from tests.mp_mcp_server.calling import Mcp, Raw, good, refused, rows, text_of, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.support.brute_force import between
from tests.support.emulator import Emulator

pytestmark = pytest.mark.anyio

DAY: dict[str, Any] = {"from_date": FIRST_DAY, "to_date": FIRST_DAY}
AMOUNT = """(properties->>'$."amount"')::double"""


@pytest.fixture
def day(raw_events: Raw) -> Raw:
    """The raw events of the one day that is fetched."""
    return [dict(event) for event in between(raw_events, FIRST_DAY, FIRST_DAY)]


@pytest.fixture(scope="module")
def stored_day(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with that day in its table `events`, fetched once; to be copied."""
    path = tmp_path_factory.mktemp("stored") / "store.db"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (emulator.environment | {"MP_NOW": LAST_DAY}).items():
            patch.setenv(name, value)
        with Workspace(path=path) as workspace:
            workspace.fetch_events(progress=False, **DAY)
    return path


@pytest.fixture
def fetched(mcp: Mcp, stored_day: Path, tmp_path: Path) -> Mcp:
    """A client whose server has a copy of that store; nothing has opened it yet."""
    shutil.copy(stored_day, tmp_path / "store.db")
    return mcp


async def test_sql_scalar_gives_one_value(fetched: Mcp, day: Raw) -> None:
    async def scalar(query: str) -> Any:
        return (await good(fetched, "sql_scalar", query=query))["result"]

    assert await scalar("select count(*) from events") == len(day)
    assert await scalar("select max(event_name) from events") == max(event["event"] for event in day)
    assert await scalar("select true") is True
    assert await scalar("select 1.5") == 1.5
    assert await scalar("select null") is None
    assert await scalar("select 1 where false") is None
    assert await scalar("select n from range(5, 9) t(n) order by n") == 5
    assert await scalar("select {'a': [1, 2]}") == '{"a":[1,2]}'


async def test_sql_scalar_refuses_a_value_that_is_too_large(fetched: Mcp) -> None:
    answer = await refused(fetched, "sql_scalar", query="select repeat('x', 300000)")
    assert told(answer)["code"] == "QUERY_FAILED"
    assert "larger than 262144 bytes" in told(answer)["cause"]


async def test_table_schema_names_columns_and_the_key(fetched: Mcp) -> None:
    columns = await rows(fetched, "table_schema", table="events")
    assert [(column["name"], column["type"]) for column in columns] == [
        ("event_name", "VARCHAR"),
        ("event_time", "TIMESTAMP"),
        ("distinct_id", "VARCHAR"),
        ("insert_id", "VARCHAR"),
        ("properties", "JSON"),
    ]
    assert [column["primary_key"] for column in columns] == [True] * 4 + [False]
    assert set(columns[0]) == {"name", "type", "nullable", "primary_key"}


async def test_sample_shows_rows_that_are_there(fetched: Mcp, day: Raw) -> None:
    shown = await rows(fetched, "sample", table="events", limit=7)
    ids = {event["properties"]["$insert_id"]: event for event in day}
    assert len({row["insert_id"] for row in shown}) == 7
    for row in shown:
        event = ids[row["insert_id"]]
        assert row["event_name"] == event["event"]
        properties = json.loads(row["properties"])
        assert properties.items() <= event["properties"].items()
    assert len(await rows(fetched, "sample", table="events", limit=1000)) == len(day)


async def test_summarize_describes_each_column(fetched: Mcp, day: Raw) -> None:
    summary = await good(fetched, "summarize", table="events")
    assert (summary["table"], summary["row_count"]) == ("events", len(day))
    columns = {column["column_name"]: column for column in summary["columns"]}
    names = [event["event"] for event in day]
    assert (columns["event_name"]["min"], columns["event_name"]["max"]) == (min(names), max(names))
    assert columns["event_name"]["count"] == len(day)
    assert columns["event_name"]["null_percentage"] == 0.0
    assert all(len(str(value)) <= 501 for column in columns.values() for value in column.values())


async def test_event_breakdown_counts_each_event(fetched: Mcp, day: Raw) -> None:
    found = await rows(fetched, "event_breakdown", table="events")
    assert {row["event_name"]: row["count"] for row in found} == Counter(event["event"] for event in day)
    assert [row["count"] for row in found] == sorted((row["count"] for row in found), reverse=True)
    assert set(found[0]) == {"event_name", "count"}


async def test_property_keys_names_what_rows_have(fetched: Mcp, day: Raw) -> None:
    apart = {"time", "distinct_id", "$insert_id"}
    every = {name for event in day for name in event["properties"]} - apart
    assert await rows(fetched, "property_keys", table="events") == sorted(every)
    searched = {name for event in day if event["event"] == "Search" for name in event["properties"]} - apart
    assert await rows(fetched, "property_keys", table="events", event="Search") == sorted(searched)
    assert searched < every


async def test_column_stats_counts_values_of_columns_and_expressions(fetched: Mcp, day: Raw) -> None:
    names = [event["event"] for event in day]
    assert await good(fetched, "column_stats", table="events", column="event_name") == {
        "count": len(names),
        "distinct_count": len(set(names)),
        "min_value": min(names),
        "max_value": max(names),
    }
    amounts = [event["properties"]["amount"] for event in day if "amount" in event["properties"]]
    assert await good(fetched, "column_stats", table="events", column=AMOUNT) == {
        "count": len(amounts),
        "distinct_count": len(set(amounts)),
        "min_value": min(amounts),
        "max_value": max(amounts),
    }


# Judged by parsing: none of these names is a statement, whatever words stand in it.
SOUND = [
    "EVENT_NAME",
    "properties->>'$.updated_at'",
    "properties->>'$.drop table; -- created'",
    "properties->>'$.it''s /* one */'",
    "upper(event_name) || 'select'",
    "case when event_name = 'Search' then 1 else 0 end",
    "date_trunc('hour', event_time)",
]


async def test_an_expression_is_judged_by_what_it_says_and_not_by_its_words(fetched: Mcp) -> None:
    for column in SOUND:
        assert (await good(fetched, "column_stats", table="events", column=column))["count"] >= 0, column


HOSTILE_COLUMNS = [
    "1; drop table events",
    "event_name; --",
    "event_name -- comment",
    "event_name /* comment */",
    "(select count(*) from events)",
    "event_name) from events; drop table events; select (1",
    "event_name from events where (true",
    "*",
    "drop table events",
    "count(*) over ()) as value from events --",
    "$1",
    "'",
    '"',
    "event_name, 1",
    "event_name as x",
    "(" * 200,
    "copy events to 'x'",
]


async def test_a_column_that_is_no_expression_is_refused(fetched: Mcp) -> None:
    for column in HOSTILE_COLUMNS:
        answer = await refused(fetched, "column_stats", table="events", column=column)
        assert told(answer)["code"] == "INVALID_ARGUMENT", column
        assert "invalid column expression" in text_of(answer), column
    assert (await rows(fetched, "list_tables"))[0]["name"] == "events"


@pytest.mark.parametrize(("tool", "argument", "length"), [("column_stats", "column", 501), ("sql", "query", 50_001)])
async def test_text_that_only_a_machine_writes_is_too_long(fetched: Mcp, tool: str, argument: str, length: int) -> None:
    extra = {"table": "events"} if tool == "column_stats" else {}
    answer = await refused(fetched, tool, **{argument: "(" * length}, **extra)
    assert told(answer)["code"] == "INVALID_ARGUMENT"
    assert f"{argument}: " in told(answer)["cause"]
    assert len(text_of(answer)) < 2000


async def test_an_expression_reaches_neither_files_nor_settings_nor_the_environment(
    fetched: Mcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-1b2c")
    for column in ("read_text('/etc/hostname')", "getenv('CANARY')", "nowhere", "query('select 1')", "\u0000"):
        answer = await refused(fetched, "column_stats", table="events", column=column)
        assert told(answer)["code"] in {"QUERY_FAILED", "INVALID_ARGUMENT"}, column
        assert "canary-1b2c" not in text_of(answer)


HOSTILE_TABLES = [
    "events; drop table events",
    'events" union select 1 --',
    "events'",
    "main.events",
    "/etc/passwd",
    "events.csv",
    "'events.csv'",
    "read_csv('x')",
    "_metadata",
    "",
    " events",
    "événements",
    "events\n",
    "events\u0000",
    "e" * 3000 + "-",
]
OF_TABLES = ("table_schema", "sample", "summarize", "event_breakdown", "property_keys", "column_stats", "drop_table")


@pytest.mark.parametrize("tool", OF_TABLES)
async def test_a_table_that_is_no_plain_name_is_refused(fetched: Mcp, tool: str) -> None:
    extra = {"column": "event_name"} if tool == "column_stats" else {}
    for table in HOSTILE_TABLES:
        answer = await refused(fetched, tool, table=table, **extra)
        assert told(answer)["code"] == "INVALID_ARGUMENT", table
        assert "invalid table name" in text_of(answer), table
        assert len(text_of(answer)) < 2000, table
    answer = await refused(fetched, tool, table="nowhere", **extra)
    assert told(answer)["code"] == "TABLE_NOT_FOUND"
    assert "list_tables" in told(answer)["fix"]
    assert (await rows(fetched, "list_tables"))[0]["name"] == "events"


async def test_a_fetch_into_a_table_that_is_no_plain_name_is_refused(mcp: Mcp) -> None:
    for tool in ("fetch_events", "fetch_profiles"):
        days = DAY if tool == "fetch_events" else {}
        answer = await refused(mcp, tool, table="a; drop table b", **days)
        assert "invalid table name" in text_of(answer)


HOSTILE_SQL = [
    "attach 'other.db'",
    "copy events to 'out.csv'",
    "copy (select 1) to 'out.parquet'",
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/hostname')",
    "select * from '/etc/passwd'",
    "select * from glob('/*')",
    "pragma database_list; select 1",
    "pragma disable_verification",
    "install httpfs",
    "load httpfs",
    "set memory_limit = '100GB'",
    "reset memory_limit",
    "set lock_configuration = false",
    "export database 'dump'",
    "import database 'dump'",
    "create table t as select 1",
    "insert into events select * from events",
    "delete from events",
    "update events set event_name = 'x'",
    "drop table events",
    "alter table events rename to gone",
    "begin",
    "checkpoint",
    "vacuum",
    "call pragma_version()",
    "prepare p as select 1",
    "select 1; select 2",
    "explain analyze delete from events",
    "with gone as (delete from events returning *) select * from gone",
    "select getenv('CANARY')",
    "select * from duckdb_secrets(); drop table events",
    "create secret s (type s3)",
    "select",
    ";",
    "-- nothing",
    "\u0000",
    "select * from nowhere",
    "select " + "(" * 200,
]


@pytest.mark.parametrize("tool", ["sql", "sql_scalar"])
async def test_hostile_sql_is_refused_and_changes_nothing(
    fetched: Mcp, day: Raw, tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARY", "canary-9d8e")
    before = {path.name for path in tmp_path.iterdir()}
    # the texts are the engine's business: one tool tries them all, the other the first of each kind
    for query in HOSTILE_SQL if tool == "sql" else HOSTILE_SQL[::6]:
        answer = await refused(fetched, tool, query=query)
        assert told(answer)["code"] == "QUERY_FAILED", (query, told(answer))
        assert "query error" in text_of(answer).lower(), query
        assert "canary-9d8e" not in text_of(answer), query
        assert len(text_of(answer)) < 12_000, query
    assert {path.name for path in tmp_path.iterdir()} == before
    assert await good(fetched, "sql_scalar", query="select count(*) from events") == {"result": len(day)}


BOUNDLESS = [
    "with recursive t(n) as (select 1 union all select n + 1 from t) select max(n) from t",
    "select count(*) from range(1000000) a, range(1000000) b, range(1000000) c",
    "select repeat('x', 3000000000)",
]


@pytest.mark.soak
@pytest.mark.parametrize("query", BOUNDLESS)
async def test_sql_without_an_end_is_ended(fetched: Mcp, query: str) -> None:
    answer = await refused(fetched, "sql", query=query)
    assert told(answer)["code"] == "QUERY_FAILED"
    assert "took longer than" in told(answer)["cause"] or "memory" in told(answer)["cause"].lower()
    assert (await rows(fetched, "list_tables"))[0]["name"] == "events"


async def test_sql_that_takes_too_long_is_ended_and_others_go_on(fetched: Mcp, monkeypatch: pytest.MonkeyPatch) -> None:
    select = Workspace.select

    def impatient(self: Workspace, query: str, **bounds: Any) -> Any:
        return select(self, query, **bounds | {"timeout_s": 0.5})

    monkeypatch.setattr(Workspace, "select", impatient)
    for query in BOUNDLESS[:2]:
        answer = await refused(fetched, "sql", query=query)
        assert told(answer)["code"] == "QUERY_FAILED"
        assert "took longer than 0.5 s" in told(answer)["cause"]
    assert await rows(fetched, "sql", query="select 1 as n") == [{"n": 1}]


async def test_drop_table_takes_one_and_drop_all_tables_the_rest(fetched: Mcp) -> None:
    await good(fetched, "fetch_events", table="second", limit=3, **DAY)
    await good(fetched, "fetch_events", table="third", limit=3, **DAY)
    dropped = await good(fetched, "drop_table", table="second")
    assert dropped == {"success": True, "message": "Dropped table second"}
    assert [row["name"] for row in await rows(fetched, "list_tables")] == ["events", "third"]
    dropped = await good(fetched, "drop_all_tables")
    assert dropped == {"success": True, "message": "Dropped 2 tables: events, third"}
    assert await rows(fetched, "list_tables") == []
    assert await good(fetched, "drop_all_tables") == {"success": True, "message": "No tables"}
    assert told(await refused(fetched, "drop_table", table="events"))["code"] == "TABLE_NOT_FOUND"


async def test_event_breakdown_of_profiles_says_what_is_missing(mcp: Mcp) -> None:
    await good(mcp, "fetch_profiles", distinct_id="user-000001")
    answer = await refused(mcp, "event_breakdown", table="profiles")
    assert told(answer)["code"] == "QUERY_FAILED"
    assert "event_name" in told(answer)["cause"]
