"""What is fetched again: the table says what Mixpanel says now, as far as that can be told."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from mixpanel_data import Workspace
from tests.support.lines import DAY, JUNE, NOON, export, line, stored
from tests.support.scripted_http import ScriptedServer


def metadata(workspace: Workspace) -> tuple[tuple[Any, ...], ...]:
    return workspace.sql_rows(
        'select table_name, from_date::varchar, to_date::varchar, row_count from "_metadata"'
    ).rows


def test_a_day_that_is_fetched_again_is_replaced_and_the_range_widens(
    workspace: Workspace, server: ScriptedServer
) -> None:
    server.say(
        export(
            line(insert="a", processed=5, v=1), line(insert="gone", v=1), line(time=NOON + 7 * DAY, insert="c", v=1)
        ),
        export(line(insert="a", processed=6, v=2), line(insert="new", v=2), line(time=NOON - 7 * DAY, insert="d", v=2)),
    )
    workspace.fetch_events(from_date="2025-06-01", to_date="2025-06-10")
    result = workspace.fetch_events("EVENTS", from_date="2025-05-20", to_date="2025-06-05", append=True)
    assert {row[3]: row[4]["v"] for row in stored(workspace)} == {"a": 2, "new": 2, "c": 1, "d": 2}
    assert (result.rows, result.removed_rows) == (2, 1)
    assert metadata(workspace) == (("events", "2025-05-20", "2025-06-10", 4),)
    again = workspace.fetch_events("EVENTS", from_date="2025-05-20", to_date="2025-06-05", append=True)
    assert (again.rows, again.removed_rows) == (0, 0)


def test_only_the_names_that_were_asked_for_are_replaced(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(
        export(line("A", insert="1"), line("A", insert="2"), line("B", insert="3"), line("a'b{}", insert="4")),
        export(line("A", insert="1", v=2)),
        export(),
    )
    workspace.fetch_events(**JUNE)
    workspace.fetch_events(**JUNE, events=["A"], append=True)
    assert [(row[0], row[3], row[4]) for row in stored(workspace)] == [
        ("A", "1", {"v": 2}),
        ("B", "3", {}),
        ("a'b{}", "4", {}),
    ]
    assert workspace.fetch_events(**JUNE, events=["a'b{}", "B"], append=True).removed_rows == 2


@pytest.mark.parametrize(
    ("first", "second", "stray"),
    [
        ({}, {"limit": 1}, None),
        ({}, {"where": "x"}, None),
        ({"where": "y"}, {"where": "x"}, None),
        ({}, {}, b"not json\n"),
        ({}, {}, json.dumps(line(time=NOON - 40 * DAY, insert="stray")).encode() + b"\n"),
        ({}, {"events": ["Song Played"]}, json.dumps(line("Ad", insert="stray")).encode() + b"\n"),
    ],
    ids=["limit", "where", "another where", "a skipped line", "another day", "another name"],
)
def test_what_may_not_be_the_whole_of_a_day_replaces_nothing(
    workspace: Workspace, server: ScriptedServer, first: dict[str, Any], second: dict[str, Any], stray: bytes | None
) -> None:
    server.say(
        export(line(insert="a", processed=5, v=1), line(insert="b", processed=5, v=1), line(insert="c", v=1)),
        export(
            *([stray] if stray else []),
            line(insert="a", processed=6, v=2),
            line(insert="b", processed=4, v=2),
            line(insert="d", v=2),
        ),
    )
    workspace.fetch_events(**JUNE, **first)
    result = workspace.fetch_events(**JUNE, **second, append=True)
    found = {row[3]: row[4].get("v") for row in stored(workspace)}
    found.pop("stray", None)
    assert found == {"a": 2, "b": 1, "c": 1, "d": 2}, "of copies the newest stays, and nothing goes"
    assert result.removed_rows == 0


def test_the_same_where_replaces_what_it_fetched_before(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(export(line(insert="a"), line(insert="b")), export(line(insert="b")))
    workspace.fetch_events(**JUNE, where="x")
    assert workspace.fetch_events(**JUNE, where="x", append=True).removed_rows == 1
    assert [row[3] for row in stored(workspace)] == ["b"]


def test_the_ledger_says_what_came(workspace: Workspace, server: ScriptedServer) -> None:
    reply = export(line(insert="a"), line(insert="a"), b"oops\n", line(insert="b"), line(time=1, insert="old"))
    server.say(reply)
    result = workspace.fetch_events(**JUNE, events=["Song Played"])
    assert workspace.sql_rows('select * exclude (fetched_at) from "_ledger"').rows == (
        (
            *("events", "events", date(2025, 6, 1), date(2025, 6, 30), date(2025, 6, 1), date(2025, 6, 30)),
            *('{"events":["Song Played"]}', "complete", 3, 1, 1, '["oops"]', 1, len(reply.body)),
        ),
    )
    assert workspace.sql_scalar('select fetched_at from "_ledger"') == result.fetched_at.replace(tzinfo=None)
    workspace.fetch_events(**JUNE, events=["Song Played"], append=True)
    assert workspace.sql_scalar('select count(*) from "_ledger"') == 1, "the same piece is in the place of the old one"
