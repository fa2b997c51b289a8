"""The storage engine that users know: rows of their own become tables, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mixpanel_data import (
    DatabaseNotFoundError,
    InvalidArgumentError,
    QueryError,
    StorageEngine,
    StorageError,
    TableExistsError,
    TableMetadata,
    TableNotFoundError,
    Workspace,
)

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
EVENTS = TableMetadata(type="events", fetched_at=NOON, filter_events=["A"], filter_where="true")
PROFILES = TableMetadata(type="profiles", fetched_at=NOON, filter_cohort_id="7", filter_output_properties=["plan"])


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "event_name": "A",
        "event_time": NOON + timedelta(hours=number),
        "distinct_id": f"u{number}",
        "insert_id": f"i{number}",
        "properties": {"n": number},
        **more,
    }


@pytest.fixture(params=["file", "ephemeral", "memory"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageEngine]:
    make: dict[str, Callable[[], StorageEngine]] = {
        "file": lambda: StorageEngine(tmp_path / "new" / "store.db"),
        "ephemeral": StorageEngine.ephemeral,
        "memory": StorageEngine.memory,
    }
    with make[request.param]() as made:
        yield made


def test_rows_of_events_become_a_table(engine: StorageEngine) -> None:
    told: list[int] = []
    rows = (event(number) for number in range(250))
    assert engine.create_events_table("events", rows, EVENTS, progress_callback=told.append, batch_size=100) == 250
    assert told == [100, 200, 250]
    again = [event(0, properties={"n": "new"}), event(250), event(250)]
    assert engine.append_events_table("events", again, EVENTS) == 1
    got = engine.execute_rows("select event_name, event_time, distinct_id, insert_id, properties from events")
    expected = {number: event(number) for number in range(251)} | {0: event(0, properties={"n": "new"})}
    assert {row[:4]: json.loads(row[4]) for row in got} == {
        ("A", one["event_time"].replace(tzinfo=None), one["distinct_id"], one["insert_id"]): one["properties"]
        for one in expected.values()
    }
    assert len(got) == 251
    assert [(one.name, one.type, one.row_count) for one in engine.list_tables()] == [("events", "events", 251)]
    meta = engine.get_metadata("Events")
    assert (meta.type, meta.fetched_at, meta.from_date, meta.to_date) == ("events", NOON, "2025-06-01", "2025-06-11")
    assert (meta.filter_events, meta.filter_where, meta.filter_cohort_id) == (["A"], "true", None)


def test_rows_of_profiles_become_a_table_and_are_refreshed(engine: StorageEngine) -> None:
    rows: list[dict[str, Any]] = [
        {"distinct_id": "a", "properties": {"plan": "free", "none": None}, "last_seen": NOON},
        {"distinct_id": "b", "properties": None, "last_seen": "2025-06-01T14:00:00+02:00"},
        {"distinct_id": "a", "properties": {"plan": "twice"}},
    ]
    assert engine.create_profiles_table("profiles", rows, PROFILES) == 2
    assert (
        engine.append_profiles_table("profiles", [{"distinct_id": "b", "properties": {"plan": "pro"}}], PROFILES) == 0
    )
    got = {who: (json.loads(text), seen) for who, text, seen in engine.execute_rows("from profiles")}
    assert got == {
        "a": ({"plan": "free", "none": None}, NOON.replace(tzinfo=None)),
        "b": ({"plan": "pro"}, None),
    }
    meta = engine.get_metadata("profiles")
    assert (meta.type, meta.from_date, meta.filter_cohort_id, meta.filter_output_properties) == (
        "profiles",
        None,
        "7",
        ["plan"],
    )


def test_times_are_taken_as_instants(engine: StorageEngine) -> None:
    times = [NOON.astimezone(timezone(timedelta(hours=5))), "2025-06-01T12:00:00", "2025-06-01 14:00:00+02:00"]
    rows = [event(0, event_time=time, insert_id=str(number)) for number, time in enumerate(times)]
    engine.create_events_table("events", rows, EVENTS)
    assert engine.execute_rows("select distinct event_time from events") == [(NOON.replace(tzinfo=None),)]


def test_an_event_without_an_id_gets_the_same_one_again(engine: StorageEngine) -> None:
    engine.create_events_table("events", [event(0, insert_id=None)], EVENTS)
    assert engine.append_events_table("events", [event(0, insert_id="")], EVENTS) == 0
    assert engine.execute_scalar("select count(*) from events where insert_id <> ''") == 1


@pytest.mark.parametrize(
    "row",
    [
        {"event_time": NOON},
        event(0, event_name=None),
        event(0, event_time=None),
        event(0, event_time="noon"),
        event(0, event_time=5),
        event(0, properties={"x": object()}),
        event(0, properties={"x": float("nan")}),
    ],
)
def test_a_wrong_row_leaves_nothing(engine: StorageEngine, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="data") as caught:
        engine.create_events_table("events", [event(1), row], EVENTS)
    assert caught.value.fix
    assert engine.list_tables() == []
    assert not engine.table_exists("events")


def test_names_types_and_sizes_are_checked_before_a_row_is_taken(engine: StorageEngine) -> None:
    def never() -> Iterator[dict[str, Any]]:
        raise AssertionError("a row was taken")
        yield {}

    with pytest.raises(TableNotFoundError):
        engine.append_events_table("events", never(), EVENTS)
    engine.create_events_table("events", [], EVENTS)
    with pytest.raises(TableExistsError):
        engine.create_profiles_table("events", never(), PROFILES)
    wrong: list[Callable[[], object]] = [
        lambda: engine.create_events_table("_own", never(), EVENTS),
        lambda: engine.create_events_table("other", never(), PROFILES),
        lambda: engine.create_events_table("other", never(), EVENTS, batch_size=1),
        lambda: engine.append_profiles_table("events", never(), PROFILES),
    ]
    for ask in wrong:
        with pytest.raises(InvalidArgumentError):
            ask()


def test_sql_in_each_of_its_forms(engine: StorageEngine) -> None:
    engine.execute("create table t as select range as i from range(5)")
    assert engine.execute("from t").filter("i > 2").order("i desc").fetchall() == [(4,), (3,)]
    assert engine.execute("insert into t values (5)").fetchall() in ([], [(1,)])
    assert engine.execute_scalar("select count(*) from t") == 6
    assert engine.execute_rows("select i from t where i < 2 order by i") == [(0,), (1,)]
    assert engine.execute_rows_params("select i from t where i between ? and ? order by i", [1, 2]) == [(1,), (2,)]
    assert engine.execute_df("select max(i) as m from t").to_dict("list") == {"m": [5]}
    assert [one.name for one in engine.get_schema("t").columns] == ["i"]
    assert engine.table_exists("T")
    assert engine.connection is engine.connection
    for ask in (engine.execute, engine.execute_df, engine.execute_scalar, engine.execute_rows):
        with pytest.raises(QueryError):
            ask("select nonsense")
    with pytest.raises(TableNotFoundError):
        engine.get_metadata("t")
    engine.drop_table("t")
    with pytest.raises(TableNotFoundError):
        engine.drop_table("t")


def test_what_is_open_is_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    lost: list[Callable[[], object]] = [
        lambda: StorageEngine.open_existing(path),
        lambda: StorageEngine.open_existing(path, read_only=False),
        lambda: StorageEngine(path, read_only=True),
    ]
    for ask in lost:
        with pytest.raises(DatabaseNotFoundError):
            ask()
    engine = StorageEngine(str(path))
    assert (engine.path, engine.read_only, path.exists()) == (path, False, False)
    assert engine.list_tables() == []
    engine.create_events_table("events", [event(0)], EVENTS)
    with duckdb.connect(str(path), config={"threads": 1}) as other:
        assert other.execute("select count(*) from events").fetchone() == (1,), "nobody holds the file"
    with StorageEngine.open_existing(path) as reader:
        assert reader.read_only
        assert reader.execute_scalar("select count(*) from events") == 1
        assert reader.connection.execute("select 1").fetchone() == (1,)
        with pytest.raises(StorageError, match="read-only"):
            reader.drop_table("events")
        with pytest.raises(StorageError, match="read-only"):
            reader.create_events_table("b", [], EVENTS)
    engine.cleanup()
    assert path.exists()


def test_a_workspace_on_a_storage_of_ones_own(workspace: Workspace) -> None:
    storage = StorageEngine.memory()
    storage.create_events_table("events", [event(0)], EVENTS)
    with Workspace(_api_client=workspace.api, _storage=storage) as made:
        assert made.storage is storage
        assert made.db_path is None
        assert [table.name for table in made.tables()] == ["events"]
        assert made.connection is storage.connection
    assert workspace.storage.path == workspace.db_path
    assert workspace.storage.read_only is False
