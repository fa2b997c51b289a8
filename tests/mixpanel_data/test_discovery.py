"""What exists: all of it, whatever the plan allows, asked for once, and with a hint for who misspells it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mixpanel_data import (
    APIError,
    EventNotFoundError,
    InvalidArgumentError,
    MixpanelAPIClient,
    QueryError,
    Workspace,
    clock,
)
from mixpanel_data.discovery import (
    MOST_REMEMBERED,
    REMEMBERED_S,
    Remembered,
    cohorts,
    event_names,
    property_values,
    similar_events,
    top_events,
)
from tests.support.brute_force import between, day_of
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer


def test_the_emulators_names_come_sorted_and_are_asked_for_once(live_workspace: Workspace, emulator: Emulator) -> None:
    names = live_workspace.events()
    assert names == sorted({event["event"] for event in emulator.raw_events("2025-04-01", "2025-06-30")})
    names.append("mine")
    before = emulator.requests()
    assert "mine" not in live_workspace.events()
    assert emulator.requests_since(before) == []
    live_workspace.clear_discovery_cache()
    live_workspace.events()
    assert len(emulator.requests_since(before)) == 1


def test_properties_are_those_of_recent_events(live_workspace: Workspace, emulator: Emulator) -> None:
    recent = between(emulator.raw_events("2025-05-31", "2025-06-30"), "2025-05-31", "2025-06-30", "Purchase")
    beside = {"time", "distinct_id", "$insert_id"}
    want = sorted({name for event in recent for name in event["properties"]} - beside)
    assert live_workspace.properties("Purchase") == want
    assert len(want) > 10, "more than Mixpanel names without a limit"
    assert live_workspace.properties("Never Happened") == []


def test_values_come_with_the_most_frequent_first(live_workspace: Workspace, emulator: Emulator) -> None:
    recent = between(emulator.raw_events("2025-05-31", "2025-06-30"), "2025-05-31", "2025-06-30", "Purchase")
    counted = Counter(event["properties"]["category"] for event in recent)
    want = sorted(counted, key=lambda value: (-counted[value], value))
    assert live_workspace.property_values("category", event="Purchase") == want
    assert live_workspace.property_values("category", event="Purchase", limit=1) == want[:1]
    assert set(live_workspace.property_values("category")) >= set(want)
    assert live_workspace.property_values("nothing has this") == []


def test_todays_events_are_counted_up_to_now(live_workspace: Workspace, emulator: Emulator) -> None:
    events = emulator.raw_events("2025-06-29", "2025-06-30")
    days = {day: Counter(e["event"] for e in events if day_of(e) == day) for day in ("2025-06-29", "2025-06-30")}
    yesterday, today = days["2025-06-29"], days["2025-06-30"]
    got = live_workspace.top_events()
    assert {row.event: row.count for row in got if row.count} == today
    for row in got:
        before = yesterday[row.event]
        assert row.percent_change == pytest.approx((row.count - before) / before if before else 1.0)
    users = {
        (e["event"], e["properties"]["distinct_id"])
        for e in events
        if e["properties"]["distinct_id"] and day_of(e) == "2025-06-30"
    }
    assert {row.event: row.count for row in live_workspace.top_events(type="unique") if row.count} == Counter(
        event for event, _ in users
    )
    assert len(live_workspace.top_events(limit=2)) == 2
    before_asking = emulator.requests()
    live_workspace.top_events()
    assert len(emulator.requests_since(before_asking)) == 1, "today changes, so it is asked for every time"


def test_cohorts_come_by_name_and_are_remembered(live_workspace: Workspace, emulator: Emulator) -> None:
    found = live_workspace.cohorts()
    assert [row.name for row in found] == sorted(row.name for row in found)
    spenders = next(row for row in found if row.name == "Big spenders")
    assert list(spenders.to_dict()) == ["id", "name", "count", "description", "created", "is_visible"]
    assert spenders.is_visible is True
    assert spenders.count > 0
    before = emulator.requests()
    assert before[-1]["method"] == "POST"
    live_workspace.cohorts()
    assert emulator.requests_since(before) == []


def test_a_cohort_may_lack_what_is_beside_the_point(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b'[{"id": 3, "name": "b", "is_visible": 0}, {"id": 4, "name": "a", "data_group_id": 7}]'))
    assert [(row.id, row.is_visible, row.description, row.count) for row in cohorts(client)] == [
        (4, True, "", 0),
        (3, False, "", 0),
    ]


def test_what_is_remembered_is_told_apart(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(Reply(body=b'["x"]'))
    for arguments in ({}, {"event": "a"}, {"event": "b"}, {"limit": 5}):
        workspace.property_values("p", **arguments)
        workspace.property_values("p", **arguments)
    workspace.property_values("q")
    assert len(server.received) == 5
    workspace.clear_discovery_cache()
    workspace.property_values("q")
    assert len(server.received) == 6


def test_a_failure_is_not_remembered(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(Reply(403, b'{"error": "Permission denied"}'), Reply(body=b'["x"]'))
    with pytest.raises(QueryError):
        workspace.property_values("p")
    assert workspace.property_values("p") == ["x"]


def test_threads_that_ask_the_same_share_one_question() -> None:
    remembered, asked, go_on = Remembered(), [], threading.Event()

    def ask() -> list[int]:
        asked.append(1)
        assert go_on.wait(120)
        return [1]

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(remembered.get, "a", ask) for _ in range(8)]
        assert remembered.get("b", lambda: [2]) == [2], "another question does not wait"
        go_on.set()
        lists = [answer.result(20) for answer in answers]
    assert lists == [[1]] * 8
    assert len({id(answer) for answer in lists}) == 8
    assert len(asked) == 1


def test_what_is_remembered_is_bounded_in_number_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered, now = Remembered(), [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    for number in range(MOST_REMEMBERED):
        remembered.get(number, lambda: ["old"])
    assert remembered.get(0, lambda: ["new"]) == ["old"], "what is wanted again is remembered longer"
    remembered.get("one more", lambda: ["old"])
    assert remembered.get(0, lambda: ["new"]) == ["old"]
    assert remembered.get(1, lambda: ["new"]) == ["new"]
    now[0] += REMEMBERED_S - 1
    assert remembered.get(0, lambda: ["new"]) == ["old"]
    now[0] += 1
    assert remembered.get(0, lambda: ["new"]) == ["new"]
    assert remembered.get(0, lambda: ["newer"]) == ["new"]


def test_what_is_asked_while_it_is_forgotten_stays_forgotten() -> None:
    remembered = Remembered()

    def ask() -> list[str]:
        remembered.forget()
        return ["old"]

    assert remembered.get("a", ask) == ["old"]
    assert remembered.get("a", lambda: ["new"]) == ["new"]


KNOWN = [
    "Purchase",
    "Purchase Item",
    "Item Purchase Started",
    "Sign Up",
    "View Item",
    "sign up",
    "Übung",
    "$session_end",
]


@pytest.mark.parametrize(
    ("meant", "similar"),
    [
        ("sign UP", ["Sign Up", "sign up"]),
        ("purch", ["Purchase", "Purchase Item", "Item Purchase Started"]),
        ("PURCHASE", ["Purchase"]),
        ("Item Viewed", ["Item Purchase Started", "Purchase Item", "View Item"]),
        ("Purchase the Item", ["Item Purchase Started", "Purchase Item", "Purchase", "View Item"]),
        ("übung", ["Übung"]),
        ("session-start", ["$session_end"]),
        ("qqq", []),
    ],
)
def test_suggestions_are_the_same_name_else_parts_else_words(meant: str, similar: list[str]) -> None:
    assert similar_events(meant, KNOWN) == similar


def test_at_most_five_are_suggested() -> None:
    assert similar_events("a", [f"a{number}" for number in range(9)]) == ["a0", "a1", "a2", "a3", "a4"]


def test_an_event_that_mixpanel_refuses_is_not_found(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(Reply(400, b'{"error": "no such event"}'), Reply(body=b'["Purchase", "Sign Up"]'))
    with pytest.raises(EventNotFoundError) as caught:
        workspace.properties("purchase")
    assert caught.value.similar_events == ["Purchase"]
    assert "Purchase" in str(caught.value.fix)
    assert isinstance(caught.value.__cause__, QueryError)


def test_without_suggestions_the_event_is_not_found_all_the_same(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(Reply(400, b'{"error": "no such event"}'))
    with pytest.raises(EventNotFoundError) as caught:
        workspace.properties("purchase")
    assert caught.value.similar_events == []
    server.say(Reply(403, b'{"error": "Permission denied"}'))
    with pytest.raises(QueryError, match="Permission denied"):
        workspace.properties("purchase")


def test_all_days_are_asked_for(
    client: MixpanelAPIClient, server: ScriptedServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_NOW", "2025-06-30")
    server.say(Reply(body=b'["b", "a"]'))
    assert event_names(client) == ["a", "b"]
    asked = server.received[0].parameters
    assert (asked["from_date"], asked["to_date"], asked["limit"]) == ("2000-01-01", "2025-06-30", "5000")


def test_a_plan_with_a_short_history_is_asked_for_what_it_has(
    client: MixpanelAPIClient, server: ScriptedServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_NOW", "2025-06-30")
    refusal = Reply(403, json.dumps({"error": "Date range exceeds 90 days into the past"}).encode())
    server.say(refusal, Reply(body=b'["a"]'))
    assert event_names(client) == ["a"]
    assert server.received[1].parameters["from_date"] == "2025-04-01"


def test_another_refusal_is_not_asked_twice(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(403, b'{"error": "Permission denied"}'))
    with pytest.raises(QueryError, match="Permission denied"):
        event_names(client)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{}", "an object"),
        (b"[1]", r"\[0\] is a number"),
        (b'"a"', "a text"),
        (b"null", "nothing"),
        (b'[["a"]]', "list"),
    ],
)
def test_another_shape_is_an_api_error(
    client: MixpanelAPIClient, server: ScriptedServer, body: bytes, place: str
) -> None:
    server.say(Reply(body=body))
    with pytest.raises(APIError, match=place):
        event_names(client)


@pytest.mark.parametrize(
    ("ask", "argument"),
    [
        (lambda client: property_values(client, ""), "property_name"),
        (lambda client: property_values(client, "a", limit=0), "limit"),
        (lambda client: property_values(client, "a", event=""), "event"),
        (lambda client: top_events(client, type="most"), "type"),
        (lambda client: top_events(client, limit=-1), "limit"),
    ],
)
def test_wrong_arguments(client: MixpanelAPIClient, server: ScriptedServer, ask: Any, argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ask(client)
    assert caught.value.details["argument"] == argument
    assert not server.received
