"""From an export to a table: every event once, as it came, or no table at all."""

from __future__ import annotations

import gzip
import json
import resource
import signal
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import (
    DateRangeTooLargeError,
    IncompleteExportError,
    InvalidArgumentError,
    MixpanelDataError,
    StorageError,
    TableExistsError,
    TableNotFoundError,
    Workspace,
)
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.local import load, merge
from mixpanel_data.local.inflow import Inflow
from mixpanel_data.local.ledger import filters
from mixpanel_data.local.load import Staging
from mixpanel_data.local.merge import Piece
from tests.support.examples import examples
from tests.support.lines import JUNE, NOON, export, line, stored
from tests.support.scripted_http import Reply, ScriptedServer
from tests.support.stores import file_of


def nothing_is_left(workspace: Workspace) -> bool:
    beside = [path.name for path in file_of(workspace).parent.iterdir() if path.name != "home"]
    return workspace.tables() == [] and set(beside) <= {file_of(workspace).name}


@pytest.mark.parametrize("packed", [True, False])
def test_an_event_becomes_a_row_with_everything_it_had(
    workspace: Workspace, server: ScriptedServer, packed: bool
) -> None:
    server.say(
        export(line(time=NOON + 1, distinct_id="u7", insert="i1", processed=5, plan="pro", n=None), packed=packed)
    )
    result = workspace.fetch_events(**JUNE, events=["Song Played"], where='properties["plan"] == "pro"', limit=10)
    assert stored(workspace) == [
        ("Song Played", NOON + 1, "u7", "i1", {"mp_processing_time_ms": 5, "plan": "pro", "n": None})
    ]
    (request,) = server.received
    assert request.path == "/api/2.0/export"
    assert request.parameters == {
        "project_id": "4100200",
        **JUNE,
        "event": '["Song Played"]',
        "where": 'properties["plan"] == "pro"',
        "limit": "10",
        "time_in_ms": "true",
    }
    assert (result.table, result.rows, result.type, result.date_range) == (
        "events",
        1,
        "events",
        ("2025-06-01", "2025-06-30"),
    )
    assert datetime.fromisoformat(result.to_dict()["fetched_at"]).utcoffset() == UTC.utcoffset(None)
    (table,) = workspace.tables()
    assert (table.name, table.type, table.row_count, table.fetched_at) == ("events", "events", 1, result.fetched_at)


def test_the_table_and_its_metadata_have_the_contracts_columns(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(distinct_id="u", insert="i")))
    workspace.fetch_events("june", **JUNE)
    shape = "select column_name, data_type, is_nullable from information_schema.columns where table_name = '{}'"
    assert workspace.sql_rows(shape.format("june")).rows == (
        ("event_name", "VARCHAR", "NO"),
        ("event_time", "TIMESTAMP", "NO"),
        ("distinct_id", "VARCHAR", "NO"),
        ("insert_id", "VARCHAR", "NO"),
        ("properties", "JSON", "YES"),
    )
    assert [row[:2] for row in workspace.sql_rows(shape.format("_metadata"))] == [
        ("table_name", "VARCHAR"),
        ("type", "VARCHAR"),
        ("fetched_at", "TIMESTAMP"),
        ("from_date", "DATE"),
        ("to_date", "DATE"),
        ("row_count", "INTEGER"),
    ]
    kept = workspace.sql_rows('select * exclude (fetched_at) from "_metadata"')
    assert kept.rows == (("june", "events", date(2025, 6, 1), date(2025, 6, 30), 1),)
    assert workspace.sql_scalar("select count(*) from duckdb_indexes() where table_name = 'june'") == 0


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        (NOON, NOON),
        (NOON // 1000, NOON),
        (NOON / 1000 + 0.25, NOON + 250),
        (str(NOON // 1000), NOON),
        (float(NOON), NOON),
        (946684800, 946684800000),
    ],
)
def test_seconds_and_milliseconds_are_both_understood(
    workspace: Workspace, server: ScriptedServer, time: Any, ms: int
) -> None:
    server.say(export(line(time=time)))
    workspace.fetch_events(**JUNE)
    assert [row[1] for row in stored(workspace)] == [ms]


def test_copies_of_an_event_collapse_to_the_newest_and_shared_ids_stay_apart(
    workspace: Workspace, server: ScriptedServer
) -> None:
    server.say(
        export(
            line(distinct_id="u", insert="i", processed=2, v="new"),
            line(distinct_id="u", insert="i", processed=1, v="old"),
            line(distinct_id="u", insert="i", v="unprocessed"),
            line(distinct_id="u", insert="i", time=NOON + 1, v="later"),
            line(distinct_id="w", insert="i", v="another user"),
            line("Ad Skipped", distinct_id="u", insert="i", v="another event"),
            line(distinct_id="t", insert="i", processed=3, v="first"),
            line(distinct_id="t", insert="i", processed=3, v="last"),
        )
    )
    result = workspace.fetch_events(**JUNE)
    assert sorted(row[4]["v"] for row in stored(workspace)) == ["another event", "another user", "last", "later", "new"]
    assert (result.rows, result.duplicates) == (5, 3)


def test_events_without_an_id_or_a_user_are_kept_and_found_again(workspace: Workspace, server: ScriptedServer) -> None:
    events = [
        line(),
        line(),
        line(distinct_id=None, insert=""),
        line(v=1, processed=1),
        line(v=2, distinct_id=5, insert=7),
    ]
    server.say(export(*events), export(*[*events, line(v=3)]), export(line(v=1, processed=9)))
    assert workspace.fetch_events(**JUNE).rows == 5
    first = stored(workspace)
    assert [row[2] for row in first].count("") == 4
    assert ("5", "7") in [(row[2], row[3]) for row in first]
    assert workspace.fetch_events(**JUNE, append=True).rows == 1, "the same lines came back, and one new one"
    last = workspace.fetch_events(**JUNE, append=True)
    assert (last.rows, last.removed_rows) == (0, 5), "processed again, it is the same event; the others are gone"
    assert [row[4] for row in stored(workspace)] == [{"v": 1, "mp_processing_time_ms": 9}]


def test_lines_that_are_no_event_are_skipped_counted_and_shown(workspace: Workspace, server: ScriptedServer) -> None:
    bad = [
        b"not json\n",
        b'{"event": "cut", "prop\n',
        b'{"event": "a\xff", "properties": {"time": 1}}\n',
        b'{"event": "no time", "properties": {}}\n',
        b'{"event": "odd time", "properties": {"time": "noon"}}\n',
        b'{"event": "no object", "properties": [1]}\n',
        b'{"properties": {"time": 1}}\n',
        b"[1]\n",
    ]
    server.say(export(bad[0], line(insert="a"), b"\n", b"  \n", *bad[1:], b"\r\n", line(insert="b")))
    result = workspace.fetch_events(**JUNE)
    assert [row[3] for row in stored(workspace)] == ["a", "b"]
    assert result.skipped_lines == len(bad)
    assert result.skipped_sample == tuple(text.decode("utf-8", "replace").strip() for text in bad[:5])


def test_line_breaks_of_other_scripts_do_not_break_a_line(workspace: Workspace, server: ScriptedServer) -> None:
    odd = "a\u2028b\u2029c\u0085d\x0be\x1cf\r\ng\u0000"
    server.say(export(line("E\u2028F", distinct_id="u\u0085", insert="i", text=odd)))
    workspace.fetch_events(**JUNE)
    assert stored(workspace) == [("E\u2028F", NOON, "u\u0085", "i", {"text": odd})]


def test_an_empty_export_makes_an_empty_table(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(Reply(200, b""), export(line(insert="a")), export())
    assert workspace.fetch_events(**JUNE).rows == 0
    assert [table.row_count for table in workspace.tables()] == [0]
    assert workspace.fetch_events(**JUNE, append=True).rows == 1
    assert workspace.fetch_events(**JUNE, append=True).rows == 0


CUT = gzip.compress(json.dumps(line()).encode() * 2000)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (export(line(insert="a"), b"terminated early\n"), IncompleteExportError),
        (export(line(insert="a"), b"export terminated early"), IncompleteExportError),
        (export(line(insert="a"), b"\n", b'{"event": "Song Pla', packed=False), IncompleteExportError),
        (Reply(200, CUT[: len(CUT) // 2], {"Content-Encoding": "gzip"}), IncompleteExportError),
        (Reply(200, json.dumps(line()).encode() + b"\n", missing=20), IncompleteExportError),
        (Reply(200, b"<html>gateway</html>"), IncompleteExportError),
        (Reply(429, b"slow down"), MixpanelDataError),
        (Reply(503, b""), MixpanelDataError),
    ],
    ids=["terminated", "terminated without newline", "cut line", "cut gzip", "cut body", "a page", "429", "503"],
)
def test_a_broken_export_leaves_no_table_and_no_file(
    workspace: Workspace, server: ScriptedServer, reply: Reply, kind: type[MixpanelDataError]
) -> None:
    server.say(reply, export(line(insert="a")))
    with pytest.raises(kind) as caught:
        workspace.fetch_events(**JUNE)
    assert caught.value.fix
    assert nothing_is_left(workspace)
    assert workspace.fetch_events(**JUNE).rows == 1, "and the next try works"


def test_a_broken_append_leaves_the_table_as_it_was(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(insert="a")), export(line(insert="b"), b"terminated early"))
    workspace.fetch_events(**JUNE)
    before = (stored(workspace), workspace.tables())
    with pytest.raises(IncompleteExportError):
        workspace.fetch_events(**JUNE, append=True)
    assert (stored(workspace), workspace.tables()) == before


def test_a_merge_that_fails_midway_leaves_the_table_as_it_was(
    workspace: Workspace, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.say(export(line(insert="a", processed=1)), export(line(insert="a", processed=2), line(insert="b")))
    workspace.fetch_events(**JUNE)
    before = (stored(workspace), workspace.tables())
    monkeypatch.setattr(merge, "_ADD", "select error('the disk is full')")
    with pytest.raises(StorageError, match="the disk is full"):
        workspace.fetch_events(**JUNE, append=True)
    assert (stored(workspace), workspace.tables()) == before


def test_tables_are_checked_before_anything_is_downloaded(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(insert="a")))
    with pytest.raises(TableNotFoundError):
        workspace.fetch_events(**JUNE, append=True)
    assert not server.received
    workspace.fetch_events(**JUNE)
    workspace.sql("create table mine as select 1 as x")
    del server.received[:]
    for name in ("events", "Events", "mine"):
        with pytest.raises(TableExistsError):
            workspace.fetch_events(name, **JUNE)
    with pytest.raises(InvalidArgumentError, match="mine"):
        workspace.fetch_events("mine", **JUNE, append=True)
    assert not server.received


def test_a_table_that_appears_during_the_download_is_not_touched(
    workspace: Workspace, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.say(export(line(insert="a")))
    finish = Staging.finish

    def meanwhile(self: Staging) -> load.Loaded:
        workspace.sql_rows("create table events as select 1 as x")
        return finish(self)

    monkeypatch.setattr(Staging, "finish", meanwhile)
    with pytest.raises(TableExistsError):
        workspace.fetch_events(**JUNE)
    assert workspace.sql_rows("from events").rows == ((1,),)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"from_date": "June"}, InvalidArgumentError),
        ({"from_date": "2025-07-01"}, InvalidArgumentError),
        ({"from_date": "2025-03-22"}, DateRangeTooLargeError),
        ({"name": "_metadata"}, InvalidArgumentError),
        ({"name": 'x"; drop table y'}, InvalidArgumentError),
        ({"name": ""}, InvalidArgumentError),
        ({"name": "naïve"}, InvalidArgumentError),
        ({"limit": 0}, InvalidArgumentError),
        ({"limit": 100_001}, InvalidArgumentError),
        ({"events": []}, InvalidArgumentError),
        ({"events": "Sign Up"}, InvalidArgumentError),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_downloaded(
    workspace: Workspace, server: ScriptedServer, wrong: dict[str, Any], kind: type[MixpanelDataError]
) -> None:
    with pytest.raises(kind) as caught:
        workspace.fetch_events(**{**JUNE, **wrong})
    assert caught.value.fix
    assert not server.received


def test_a_hundred_days_are_one_fetch(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line()))
    assert workspace.fetch_events(from_date="2025-03-23", to_date="2025-06-30").rows == 1


def test_a_read_only_workspace_fetches_nothing(workspace: Workspace, server: ScriptedServer, tmp_path: Path) -> None:
    reader = Workspace(path=tmp_path / "store.db", read_only=True, _api_client=workspace.api)
    with pytest.raises(StorageError, match="read-only"):
        reader.fetch_events(**JUNE)
    assert not server.received


def test_a_fetch_works_while_the_users_own_connection_is_open(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(insert="a", v=1)), export(line(insert="a", v=1), line(insert="b", v=1)))
    own = workspace.connection
    assert own is workspace.connection
    workspace.fetch_events(**JUNE)
    assert own.execute("select count(*) from events").fetchone() == (1,)
    workspace.fetch_events(**JUNE, append=True)
    assert [row[4] for row in stored(workspace)] == [{"v": 1}, {"v": 1}]
    assert [table.row_count for table in workspace.tables()] == [2]
    kinds = dict(own.execute("select column_name, data_type from information_schema.columns").fetchall())
    assert kinds["properties"] == "JSON"


def test_fetches_and_questions_of_many_threads_get_on(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(*(line(insert=str(n)) for n in range(200))))
    workspace.fetch_events("base", **JUNE)
    wrong: list[BaseException] = []

    def fetch(name: str) -> None:
        try:
            workspace.fetch_events(name, **JUNE)
        except BaseException as error:  # noqa: BLE001  # shown by the test
            wrong.append(error)

    def ask() -> None:
        try:
            for _ in range(10):
                assert workspace.sql_scalar("select count(*) from base") == 200
                assert {table.row_count for table in workspace.tables()} == {200}
        except BaseException as error:  # noqa: BLE001  # shown by the test
            wrong.append(error)

    threads = [threading.Thread(target=fetch, args=(f"t{n}",)) for n in range(4)]
    threads += [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [table.name for table in workspace.tables()] == ["base", "t0", "t1", "t2", "t3"]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab$."\\ü', min_size=1), inner, max_size=3),
    max_leaves=8,
)


@examples(6, 15)
@given(
    events=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            st.integers(100_000_000_001, 4_102_444_800_000),
            st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
                    lambda key: key not in {"time", "distinct_id", "$insert_id", "mp_processing_time_ms"}
                ),
                JSON_VALUES,
                max_size=4,
            ),
        ),
        max_size=6,
    )
)
def test_every_event_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, dict[str, Any]]]
) -> None:
    home = tmp_path_factory.mktemp("round")
    lines = [
        {"event": name, "properties": {**properties, "time": ms, "distinct_id": "u", "$insert_id": str(number)}}
        for number, (name, ms, properties) in enumerate(events)
    ]
    now = datetime(2025, 6, 1, tzinfo=UTC)
    days = (now.date(), now.date())
    with Staging(home) as staging, Inflow(staging, home) as inflow:
        inflow.write(b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in lines))
        loaded = inflow.finish()
        merge.merge(staging, loaded, home / "store.db", Piece("t", days, days, filters(), now, 0, append=False))
    with Workspace.open(home / "store.db") as workspace:
        got = {row[3]: (row[0], row[1], row[4]) for row in stored(workspace, "t")}
    assert loaded.skipped == 0
    assert got == {str(number): (name, ms, properties) for number, (name, ms, properties) in enumerate(events)}


@pytest.mark.parametrize(
    "text",
    [
        '{"time":T,"distinct_id":"u","$insert_id":"i","a":1}',
        '{"time":T,"distinct_id":"u","$insert_id":"i"}',
        '{"time":T,"distinct_id":"u","a":1,"$insert_id":"i","b":[2]}',
        '{"time":T,"distinct_id":"u","a":{"$insert_id":"i"},"$insert_id":"i"}',
        '{"time":T,"distinct_id":"u","$insert_id":"i","a":{"x":1,"$insert_id":"i"}}',
        '{"time":T,"distinct_id":"u","$insert_id":"i","a":{"time":3,"distinct_id":"v"}}',
        '{"time":T,"distinct_id":"u","$insert_id":"i","a":",\\"$insert_id\\":\\"i\\""}',
        '{"a\\"$insert_id":"i","time":T,"distinct_id":"u","$insert_id":"i"}',
        '{"time":T,"distinct_id":"u","a\\"$insert_id":"i","$insert_id":"i"}',
        '{ "$insert_id" : "i" , "distinct_id" : "u" , "time" : T , "a" : 1.50 }',
        '{"time":T,"distinct_id":"u\\"v\\\\","$insert_id":"i\\u0041","a":"é"}',
        '{"time":T,"distinct_id":"ü名","$insert_id":"é","a":"ü"}',
        '{"time":T,"distinct_id":5,"$insert_id":6,"a":1}',
        '{"time":T.0,"distinct_id":"u","$insert_id":"i","a":1}',
        '{"time":"T","distinct_id":"u","$insert_id":"i","a":1}',
        '{"time":T,"distinct_id":"","$insert_id":"i","":1}',
        '{"time":T,"distinct_id":"u","\\u0024insert_id":"i","a":"x"}',
    ],
)
def test_what_has_a_column_is_no_property_however_it_is_written(
    workspace: Workspace, server: ScriptedServer, text: str
) -> None:
    raw = '{"event":"E","properties":' + text.replace("T", str(NOON)) + "}\n"
    properties = json.loads(raw)["properties"]
    del properties["time"]
    server.say(export(raw.encode()))
    workspace.fetch_events(**JUNE)
    ((_, _, user, insert, held),) = stored(workspace)
    assert (user, insert) == (str(properties.pop("distinct_id")), str(properties.pop("$insert_id")))
    assert held == properties


def test_the_emulators_export_arrives_event_by_event(live_workspace: Workspace, tmp_path: Path) -> None:
    spool = tmp_path / "raw"
    with spool.open("wb") as target:
        got = live_workspace.api.download(ENDPOINTS["export"], {**JUNE, "time_in_ms": True}, target)
    text = gzip.decompress(spool.read_bytes()) if got.gzipped else spool.read_bytes()
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for raw in text.split(b"\n")[:-1]:
        event = json.loads(raw)
        properties = event["properties"]
        key = (event["event"], properties.pop("time"), properties.pop("distinct_id", ""), properties.pop("$insert_id"))
        known = newest.get(key)
        if known is None or properties["mp_processing_time_ms"] >= known["mp_processing_time_ms"]:
            newest[key] = properties
    result = live_workspace.fetch_events(**JUNE)
    assert result.rows == len(newest) > 1000
    assert {row[:4]: row[4] for row in stored(live_workspace)} == newest


def test_the_spool_of_a_process_that_died_is_swept_away(workspace: Workspace, server: ScriptedServer) -> None:
    home = file_of(workspace).parent / ".store.db.work"
    (home / "dead").mkdir(parents=True)
    (home / "dead" / "lock").touch()
    (home / "dead" / "export").write_bytes(b"left over")
    server.say(export(line()))
    workspace.fetch_events(**JUNE)
    assert not home.exists()


def test_a_database_that_is_not_one_is_named(workspace: Workspace, server: ScriptedServer) -> None:
    file_of(workspace).write_bytes(b"something else" * 1000)
    with pytest.raises(StorageError, match="not a DuckDB database"):
        workspace.fetch_events(**JUNE)
    assert not server.received


def test_a_place_that_cannot_hold_a_database_is_named_before_the_download(
    workspace: Workspace, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    lost = Workspace(path=tmp_path / "file" / "store.db", _api_client=workspace.api)
    with pytest.raises(StorageError, match="Not a directory"):
        lost.fetch_events(**JUNE)
    assert not server.received


def test_a_full_disk_is_an_error_of_the_store_and_leaves_nothing(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(text="x" * 100_000), packed=False))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        with pytest.raises(StorageError, match="cannot be kept on disk"):
            workspace.fetch_events(**JUNE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert nothing_is_left(workspace)


def test_what_is_fetched_is_an_ordinary_duckdb_file(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(insert="a")))
    workspace.fetch_events(**JUNE)
    with duckdb.connect(str(file_of(workspace)), read_only=True) as con:
        assert con.execute("select insert_id from events").fetchall() == [("a",)]
