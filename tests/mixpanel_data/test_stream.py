"""Events as they arrive: every one once, in either shape, and no further than the caller wants."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from mixpanel_data import IncompleteExportError, InvalidArgumentError, Workspace, transform_event
from tests.support.emulator import Emulator
from tests.support.exported import exported
from tests.support.lines import JUNE, NOON, export, line
from tests.support.scripted_http import Reply, ScriptedServer

DAYS: dict[str, Any] = {"from_date": "2025-06-12", "to_date": "2025-06-20"}


def test_the_export_comes_as_it_is_or_as_rows(live_workspace: Workspace, emulator: Emulator) -> None:
    lines = exported(emulator, DAYS["from_date"], DAYS["to_date"])
    assert len(lines) > 100
    assert list(live_workspace.stream_events(**DAYS, raw=True)) == lines
    rows = list(live_workspace.stream_events(**DAYS))
    for row, event in zip(rows, lines, strict=True):
        properties = dict(event["properties"])
        assert row == {
            "event_name": event["event"],
            "event_time": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=properties.pop("time")),
            "distinct_id": properties.pop("distinct_id"),
            "insert_id": properties.pop("$insert_id"),
            "properties": properties,
        }
    assert live_workspace.tables() == []


def test_filters_are_sent_and_the_rows_are_those_of_a_table(live_workspace: Workspace) -> None:
    asked: dict[str, Any] = {**DAYS, "events": ["Sign Up"], "limit": 5}
    rows = list(live_workspace.stream_events(**asked))
    live_workspace.fetch_events(**asked)
    stored = live_workspace.sql_rows("select insert_id, epoch_ms(event_time) from events").rows
    assert {(row["insert_id"], round(row["event_time"].timestamp() * 1000)) for row in rows} == set(stored)
    assert {row["event_name"] for row in rows} == {"Sign Up"}


def test_wrong_arguments_are_refused_at_once(workspace: Workspace, server: ScriptedServer) -> None:
    wrong: dict[str, Any]
    for wrong in ({"limit": 0}, {"events": []}, {"from_date": "2025-07-01"}):
        with pytest.raises(InvalidArgumentError):
            workspace.stream_events(**{**JUNE, **wrong})
    assert not server.received


def test_a_caller_who_stops_ends_the_answer(
    emulator: Emulator, live_workspace: Workspace, environment: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    environment.setenv("MP_RATE_LIMITS", "export=1 at once")
    with Workspace(path=tmp_path / "bounded.db") as bounded:
        first = bounded.stream_events(**DAYS)
        assert len(list(islice(first, 3))) == 3
        first.close()  # type: ignore[attr-defined]  # an iterator of ours is a generator
        assert len(list(islice(bounded.stream_events(**DAYS), 3))) == 3, "the only place is free again"


def test_lines_are_cut_at_the_newline_byte_alone(workspace: Workspace, server: ScriptedServer) -> None:
    odd = "a\u2028b\u0085c\x0bd\re"
    server.say(export(line(insert="1", text=odd), b"\n", b" \r\n", line(insert="2", text="é" * 70_000)))
    assert [row["properties"]["text"] for row in workspace.stream_events(**JUNE)] == [odd, "é" * 70_000]


def test_lines_that_are_no_event_are_skipped_and_logged(
    workspace: Workspace, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mixpanel_data")
    server.say(export(b"oops\n", line(insert="1"), b"[1]\n", b'{"event":"x","properties":{}}\n', line(insert="2")))
    assert [row["insert_id"] for row in workspace.stream_events(**JUNE)] == ["1", "2"]
    assert "oops" in caplog.text
    assert "3 lines of the export were skipped" in caplog.text


def test_a_caller_is_told_of_lines_that_are_no_event(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(b"oops\n", line(insert="1"), b"[1]\n", line(insert="2")))
    told: list[int] = []
    assert len(list(workspace.stream_events(**JUNE, on_skipped=told.append))) == 2
    assert told == [1, 2]


@pytest.mark.parametrize("reply", [export(line(), b"terminated early\n"), Reply(200, b"<html></html>")])
def test_a_last_line_that_is_no_event_means_that_it_is_not_whole(
    workspace: Workspace, server: ScriptedServer, reply: Reply
) -> None:
    server.say(reply)
    with pytest.raises(IncompleteExportError):
        list(workspace.stream_events(**JUNE))


def test_a_row_says_the_same_as_the_stored_one(workspace: Workspace, server: ScriptedServer) -> None:
    """Events without an id get the id that they have in a table."""
    events = [line(time=NOON + 7, plan="pro", n=None), line(distinct_id="u", insert="", processed=5, tags=["ü", 1])]
    server.say(export(*events))
    workspace.fetch_events(**JUNE)
    stored = workspace.sql_rows("select event_name, distinct_id, insert_id, properties from events").rows
    rows = [transform_event(event) for event in events]
    assert {(r["event_name"], r["distinct_id"], r["insert_id"], json.dumps(r["properties"])) for r in rows} == {
        (name, user, insert, json.dumps(json.loads(text))) for name, user, insert, text in stored
    }


@pytest.mark.parametrize(
    "wrong", [{}, {"event": "x"}, {"event": "x", "properties": {"time": "noon"}}, line(time=1e30), line(time=True)]
)
def test_what_is_no_event_makes_no_row(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        transform_event(wrong)


@pytest.mark.parametrize(("time", "ms"), [(1, 1000), (NOON, NOON), (1.25, 1250), (str(NOON), NOON), (-5, -5000)])
def test_seconds_and_milliseconds_are_both_understood(time: Any, ms: int) -> None:
    at = transform_event(line(time=time))["event_time"]
    assert at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert at.tzinfo is UTC
