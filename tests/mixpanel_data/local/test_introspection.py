"""What the tables hold, against a count over the exported events and the profiles themselves in plain Python."""

from __future__ import annotations

import json
import math
import statistics
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import (
    Credentials,
    InvalidArgumentError,
    MixpanelAPIClient,
    MixpanelDataError,
    QueryError,
    StorageError,
    TableExistsError,
    TableNotFoundError,
    Workspace,
)
from mixpanel_data.local import ledger
from tests.support.emulator import Emulator

FIRST, LAST = "2025-06-21", "2025-06-30"


@pytest.fixture(scope="module")
def fetched(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with ten days of events and all profiles; no test changes it."""
    told = emulator.environment
    fields = {name: told[f"MP_{name.upper()}"] for name in ("username", "secret", "project_id", "region")}
    client = MixpanelAPIClient(Credentials.model_validate(fields), base_url=emulator.url)
    path = tmp_path_factory.mktemp("fetched") / "store.db"
    with Workspace(path=path, _api_client=client) as workspace:
        workspace.fetch_events(from_date=FIRST, to_date=LAST)
        workspace.fetch_profiles()
        yield workspace


@pytest.fixture(scope="module")
def events(emulator: Emulator) -> list[dict[str, Any]]:
    """The same events as they were exported, each once, the newest copy of it."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in emulator.raw_events(FIRST, LAST):
        told = event["properties"]
        key = (event["event"], told["time"], told.get("distinct_id", ""), told["$insert_id"])
        known = newest.get(key)
        if known is None or told["mp_processing_time_ms"] >= known["properties"]["mp_processing_time_ms"]:
            newest[key] = event
    assert len(newest) > 100
    return list(newest.values())


def second_of(event: dict[str, Any]) -> datetime:
    """What the export tells of an event's time when it is not asked for milliseconds."""
    return datetime.fromtimestamp(event["properties"]["time"], UTC)


def test_columns_are_told_with_what_identifies_a_row(fetched: Workspace) -> None:
    told = fetched.table_schema("Events")
    assert told.table_name == "events"
    assert [(one.name, one.type, one.nullable, one.primary_key) for one in told.columns] == [
        ("event_name", "VARCHAR", False, True),
        ("event_time", "TIMESTAMP", False, True),
        ("distinct_id", "VARCHAR", False, True),
        ("insert_id", "VARCHAR", False, True),
        ("properties", "JSON", True, False),
    ]
    assert [
        (one.name, one.type, one.nullable, one.primary_key) for one in fetched.table_schema("profiles").columns
    ] == [
        ("distinct_id", "VARCHAR", False, True),
        ("properties", "JSON", True, False),
        ("last_seen", "TIMESTAMP", True, False),
    ]
    assert told.to_dict()["columns"][0] == {
        "name": "event_name",
        "type": "VARCHAR",
        "nullable": False,
        "primary_key": True,
    }


def test_a_table_of_the_users_own_tells_its_own_key(workspace: Workspace) -> None:
    workspace.sql_rows('create table "My ""Table" (a integer, "b c" varchar, primary key (a, "b c"))')
    columns = workspace.table_schema('my "table').columns
    assert [(one.name, one.primary_key) for one in columns] == [("a", True), ("b c", True)]


def test_a_sample_is_rows_of_the_table(fetched: Workspace) -> None:
    frame = fetched.sample("events", 7)
    everything = {tuple(row) for row in fetched.sql_rows("select insert_id, event_name from events")}
    assert len(frame) == 7
    assert {(row["insert_id"], row["event_name"]) for row in frame.to_dict("records")} <= everything
    rows = fetched.sql_scalar("select count(*) from profiles")
    assert len(fetched.sample("profiles", 100_000)) == rows
    assert set(fetched.sample("events").columns) == {one.name for one in fetched.table_schema("events").columns}


def test_a_summary_counts_what_is_there(fetched: Workspace, events: list[dict[str, Any]]) -> None:
    told = fetched.summarize("events")
    columns = {one.column_name: one for one in told.columns}
    names = [event["event"] for event in events]
    assert (told.table, told.row_count) == ("events", len(events))
    assert (columns["event_name"].min, columns["event_name"].max) == (min(names), max(names))
    assert (columns["event_name"].count, columns["event_name"].null_percentage) == (len(events), 0.0)
    assert columns["event_name"].avg is None
    assert len(told.df) == len(told.columns) == 5
    assert json.dumps(told.to_dict())


def test_a_summary_of_numbers_is_numbers(workspace: Workspace) -> None:
    workspace.sql_rows("create table t as select case when range > 0 then range * 1.5::double end as x from range(5)")
    (x,) = workspace.summarize("t").columns
    values = [1.5, 3.0, 4.5, 6.0]
    assert (x.min, x.max, x.avg, x.null_percentage, x.count) == (1.5, 6.0, statistics.mean(values), 20.0, 5)
    assert x.std is not None
    assert math.isclose(x.std, statistics.stdev(values))
    assert 1.5 <= x.q25 <= x.q50 <= x.q75 <= 6.0


def test_a_breakdown_counts_events_and_users(fetched: Workspace, events: list[dict[str, Any]]) -> None:
    counts = Counter(event["event"] for event in events)
    users: dict[str, set[str]] = defaultdict(set)
    times: dict[str, list[datetime]] = defaultdict(list)
    for event in events:
        times[event["event"]].append(second_of(event))
        if event["properties"].get("distinct_id"):
            users[event["event"]].add(event["properties"]["distinct_id"])
    told = fetched.event_breakdown("events")
    assert [(one.event_name, one.count) for one in told.events] == sorted(
        counts.items(), key=lambda kv: (-kv[1], kv[0])
    )
    for one in told.events:
        assert one.unique_users == len(users[one.event_name])
        assert (one.first_seen.replace(microsecond=0), one.last_seen.replace(microsecond=0)) == (
            min(times[one.event_name]),
            max(times[one.event_name]),
        )
        assert math.isclose(one.pct_of_total, 100 * one.count / len(events))
    assert (told.total_events, told.total_users) == (len(events), len(set().union(*users.values())))
    assert told.date_range == (
        min(one.first_seen for one in told.events),
        max(one.last_seen for one in told.events),
    )
    assert list(told.df["event_name"]) == [one.event_name for one in told.events]
    assert json.dumps(told.to_dict())


def test_a_breakdown_of_nothing(workspace: Workspace) -> None:
    workspace.sql_rows("create table none (event_name varchar, event_time timestamp, distinct_id varchar)")
    told = workspace.event_breakdown("none")
    assert (told.total_events, told.total_users, told.date_range, told.events) == (0, 0, None, ())


def test_property_keys_are_those_of_the_rows(fetched: Workspace, events: list[dict[str, Any]]) -> None:
    apart = {"time", "distinct_id", "$insert_id"}
    keys: dict[str, set[str]] = defaultdict(set)
    for event in events:
        keys[event["event"]] |= set(event["properties"]) - apart
    assert fetched.property_keys("events") == sorted(set().union(*keys.values()))
    name = min(keys)
    assert fetched.property_keys("events", name) == sorted(keys[name])
    assert fetched.property_keys("events", event=name) != []
    assert fetched.property_keys("events", "O'Brien; drop table events") == []
    profiles = list(fetched.stream_profiles())
    assert fetched.property_keys("profiles") == sorted({key for one in profiles for key in one["properties"]})


ODD = ['quote"', "it's", "dot.ted", "$dollar", "na\u00efve", "\u4e2d", "back\\slash", "a b", "x->>'y'", ""]


def test_property_names_may_be_anything(workspace: Workspace) -> None:
    workspace.sql_rows("create table t (properties json)")
    workspace.storage.execute_rows_params("insert into t values (?)", [json.dumps(dict.fromkeys(ODD, 1))])
    assert workspace.property_keys("t") == sorted(ODD)
    for name in ODD[:-1]:
        # A name that begins with a dollar would be taken for a path, and a path cannot hold every name.
        path = '$."$dollar"' if name == "$dollar" else name
        stats = workspace.column_stats("t", "properties->>'" + path.replace("'", "''") + "'")
        assert stats.top_values == (("1", 1),), name


def test_what_has_not_the_columns_is_told(fetched: Workspace) -> None:
    for ask in (fetched.event_breakdown, lambda table: fetched.property_keys(table, "Sign Up")):
        with pytest.raises(QueryError, match="has no column event_name") as caught:
            ask("profiles")
        assert caught.value.status_code == 0
        assert caught.value.details["response_body"]["query"]
        assert caught.value.fix


@pytest.mark.parametrize("column", ["event_name", "Event_Name", "(event_name)", "lower(upper(event_name))"])
def test_statistics_of_texts(fetched: Workspace, events: list[dict[str, Any]], column: str) -> None:
    names = [event["event"] for event in events]
    if "lower" in column:
        names = [name.lower() for name in names]
    counts = Counter(names)
    told = fetched.column_stats("events", column, top_n=3)
    assert told.top_values == tuple(sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))[:3])
    assert (told.count, told.null_count, told.null_pct) == (len(names), 0, 0.0)
    assert (told.unique_count, told.unique_pct) == (len(counts), 100 * len(counts) / len(names))
    assert (told.min, told.max, told.mean, told.std) == (None, None, None, None)
    assert (told.table, told.column, told.dtype) == ("events", column, "VARCHAR")
    assert told.to_dict()["top_values"] == [list(pair) for pair in told.top_values]
    assert list(told.df["count"]) == [count for _, count in told.top_values]


def test_statistics_of_an_expression_over_properties(fetched: Workspace, events: list[dict[str, Any]]) -> None:
    values = [event["properties"].get("$browser") for event in events]
    there = [value for value in values if value is not None]
    told = fetched.column_stats("events", "properties->>'$.\"$browser\"' -- the browser", top_n=1000)
    assert dict(told.top_values) == Counter(there)
    assert (told.count, told.null_count) == (len(there), len(values) - len(there))
    assert math.isclose(told.null_pct, 100 * told.null_count / len(values))


def test_statistics_of_numbers(fetched: Workspace, events: list[dict[str, Any]]) -> None:
    numbers = [event["properties"]["mp_processing_time_ms"] for event in events]
    told = fetched.column_stats("events", "(properties->>'mp_processing_time_ms')::bigint")
    assert (told.dtype, told.min, told.max, told.count) == ("BIGINT", min(numbers), max(numbers), len(numbers))
    assert told.mean is not None
    assert told.std is not None
    assert math.isclose(told.mean, statistics.mean(numbers), rel_tol=1e-9)
    assert math.isclose(told.std, statistics.stdev(numbers), rel_tol=1e-6)
    assert json.dumps(told.to_dict())


def test_statistics_of_nothing_and_of_every_type(workspace: Workspace) -> None:
    workspace.sql_rows(
        """create table t as select 1.50::decimal(9, 2) as price, date '2025-06-01' as day, true as yes,
        [1, 2] as list, {'a': 1} as struct, null::integer as none, 'inf'::double as much, '{"a": 1}'::json as j"""
    )
    told = {
        column: workspace.column_stats("t", column)
        for column in ("price", "day", "yes", "list", "struct", "none", "much", "j")
    }
    assert told["price"].top_values == ((1.5, 1),)
    assert (told["price"].min, told["price"].std) == (1.5, None)
    assert told["day"].top_values == (("2025-06-01", 1),)
    assert told["yes"].top_values == ((True, 1),)
    assert told["list"].top_values == (([1, 2], 1),)
    assert told["struct"].top_values == (({"a": 1}, 1),)
    assert told["j"].top_values == (({"a": 1}, 1),)
    assert (told["none"].count, told["none"].null_pct, told["none"].unique_pct, told["none"].min) == (
        0,
        100.0,
        0.0,
        None,
    )
    for one in told.values():
        assert json.dumps(one.to_dict(), allow_nan=False)


@pytest.mark.parametrize("column", ["word", "number", "lower(word)"])
def test_statistics_of_a_table_without_rows(workspace: Workspace, column: str) -> None:
    workspace.sql_rows("create table t (word varchar, number integer)")
    told = workspace.column_stats("t", column)
    assert (told.count, told.null_count, told.unique_count, told.top_values) == (0, 0, 0, ())
    assert (told.null_pct, told.unique_pct, told.min, told.max, told.mean) == (0.0, 0.0, None, None, None)


@pytest.mark.parametrize(
    "column",
    [
        "1 from profiles",
        "1) from profiles where (1=1",
        "1) union select (2",
        "1), (2",
        "event_name, insert_id",
        "event_name; drop table events",
        "1; select 2",
        "event_name as x",
        "event_name x",
        "distinct event_name",
        "event_name order by 1",
        "event_name limit 1",
        "event_name where true",
        "event_name group by all",
        "event_name using sample 3",
        "(select max(secret) from other)",
        "exists (from profiles)",
        "1 + (select 1)",
        "event_name in (select 1)",
        "*",
        "columns('e.*')",
        "?",
        "$1",
        "",
        " ",
        "-- nothing",
        "/* */",
        "'",
        "nonsense(",
        "(" * 3000 + "1" + ")" * 3000,
    ],
)
def test_what_is_not_one_expression_is_refused(fetched: Workspace, column: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        fetched.column_stats("events", column)
    assert caught.value.fix


@pytest.mark.parametrize(
    "column",
    ["nothing_of_the_kind", "getenv('HOME')", "nextval('s')", "repeat('x', 3000000000)", "sum(1) + event_name"],
)
def test_an_expression_that_does_not_work_is_a_query_error(fetched: Workspace, column: str) -> None:
    with pytest.raises(QueryError) as caught:
        fetched.column_stats("events", column)
    assert caught.value.fix


def test_unknown_tables_are_named_and_wrong_numbers_refused(fetched: Workspace, workspace: Workspace) -> None:
    for there in (fetched, workspace):
        for ask in (
            there.table_schema,
            there.sample,
            there.summarize,
            there.event_breakdown,
            there.property_keys,
            lambda table, where=there: where.column_stats(table, "x"),
        ):
            with pytest.raises(TableNotFoundError) as caught:
                ask("nothing'; drop table events --")
            assert caught.value.table_name == "nothing'; drop table events --"
    assert workspace.db_path is not None
    assert not workspace.db_path.exists()
    for number in (0, -1, True):
        with pytest.raises(InvalidArgumentError):
            fetched.sample("events", number)
        with pytest.raises(InvalidArgumentError):
            fetched.column_stats("events", "event_name", top_n=number)


@pytest.fixture
def copied(fetched: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of it that may be changed."""
    assert fetched.db_path is not None
    path = tmp_path / "copy.db"
    path.write_bytes(fetched.db_path.read_bytes())
    with Workspace(path=path, _api_client=fetched.api) as workspace:
        yield workspace


def test_tables_are_dropped_together_or_not_at_all(copied: Workspace) -> None:
    with pytest.raises(TableNotFoundError) as caught:
        copied.drop("events", "none")
    assert caught.value.table_name == "none"
    assert [table.name for table in copied.tables()] == ["events", "profiles"]
    for own in ("_metadata", "_ledger"):
        with pytest.raises(InvalidArgumentError):
            copied.drop(own)
    copied.sql_rows("create view seen as select 1")
    with pytest.raises(StorageError, match="nothing was dropped"):
        copied.drop("events", "seen")
    copied.drop("EVENTS", "profiles", "profiles")
    assert copied.tables() == []
    assert copied.sql_scalar('select count(*) from "_metadata"') == 0
    assert copied.sql_scalar('select count(*) from "_ledger"') == 0
    copied.drop()
    copied.fetch_profiles()
    assert [table.name for table in copied.tables()] == ["profiles"]


def test_all_tables_of_a_type_are_dropped(copied: Workspace) -> None:
    copied.sql_rows("create table mine as select 1 as x")
    with pytest.raises(InvalidArgumentError):
        copied.drop_all("rubbish")  # type: ignore[arg-type]  # what a type checker would have seen
    copied.drop_all("profiles")
    assert [table.name for table in copied.tables()] == ["events"]
    with pytest.raises(TableExistsError):
        copied.fetch_events(from_date=FIRST, to_date=FIRST)
    copied.drop_all()
    assert copied.tables() == []
    assert copied.sql_scalar("from mine") == 1, "the user's own tables stay"


def test_of_two_who_drop_a_table_at_once_the_second_finds_it_gone(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_way, over, outcome = threading.Event(), threading.Event(), list[Exception]()
    forget = ledger.forget

    def slowly(con: Any, schema: str, name: str) -> None:
        if not half_way.is_set():
            half_way.set()
            over.wait(0.5)  # time for the second to be refused, if it is not kept waiting
        forget(con, schema, name)

    def second() -> None:
        assert half_way.wait(60)
        try:
            copied.drop("events")
        except MixpanelDataError as error:
            outcome.append(error)
        over.set()

    monkeypatch.setattr(ledger, "forget", slowly)
    thread = threading.Thread(target=second, daemon=True)
    thread.start()
    copied.drop_all("events")
    thread.join(60)
    assert [type(error) for error in outcome] == [TableNotFoundError]


def test_a_read_only_workspace_drops_nothing(fetched: Workspace) -> None:
    assert fetched.db_path is not None
    with Workspace.open(fetched.db_path) as reader:
        with pytest.raises(StorageError, match="read-only"):
            reader.drop("events")
        with pytest.raises(StorageError, match="read-only"):
            reader.drop_all()
        assert len(reader.tables()) == 2
