"""Saved funnels: every user walked through by hand, and the shapes that answers take."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, QueryError, Workspace
from mixpanel_data.funnels import funnel, funnels
from tests.support.brute_force import day_of
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": "2025-06-01", "to_date": "2025-06-14"}
DAYS: dict[str, Any] = {"from_date": "2025-03-01", "to_date": "2025-03-02"}
DAY_S = 86_400


def walked(events: list[Any], steps: list[str], window_s: int, bucket: Any) -> list[int]:
    """How many users reach each step, summed over the buckets in which they begin."""
    users: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in sorted(events, key=lambda event: int(event["properties"]["time"])):
        users[event["properties"]["distinct_id"]].append((event["properties"]["time"], event["event"]))
    reached = [0] * len(steps)
    for done in users.values():
        begun: set[str] = set()
        for place, (time, event) in enumerate(done):
            here = bucket(time)
            if event != steps[0] or here is None or here in begun:
                continue
            begun.add(here)
            at, used = time, {place}
            reached[0] += 1
            for number, step in enumerate(steps[1:], 1):
                # Two seconds of grace let the next step be a little earlier.
                following = [
                    (other, where)
                    for where, (other, name) in enumerate(done)
                    if name == step and where not in used and at - 2 <= other <= time + window_s
                ]
                if not following:
                    break
                at, where = following[0]
                used.add(where)
                reached[number] += 1
    return reached


@pytest.mark.parametrize("unit", [None, "week", "month"])
def test_steps_are_those_that_users_take(live_workspace: Workspace, emulator: Emulator, unit: Any) -> None:
    events = emulator.raw_events("2025-05-20", "2025-06-30")

    def bucket(time: int) -> str | None:
        day = day_of({"properties": {"time": time}})
        if not RANGE["from_date"] <= day <= RANGE["to_date"]:
            return None
        # The first of June 2025 is a Sunday.
        return {"month": day[:7], "week": str((int(day[8:]) + 5) // 7)}.get(unit, day)

    got = live_workspace.funnel(8802, unit=unit, **RANGE)
    steps = ["App Open", "View Item", "Invite Friend"]
    want = walked(events, steps, DAY_S, bucket)
    assert [(step.event, step.count) for step in got.steps] == list(zip(steps, want, strict=True))
    assert want[0] > want[1] > want[2] > 0
    assert [step.conversion_rate for step in got.steps] == pytest.approx([1.0, want[1] / want[0], want[2] / want[1]])
    assert got.conversion_rate == pytest.approx(want[2] / want[0])
    assert (got.funnel_id, got.funnel_name) == (8802, "")
    by = live_workspace.funnel(8802, unit=unit, on="$browser", **RANGE)
    assert by.steps == got.steps, "segments are read from their sum"
    entered: dict[str, set[tuple[str, str]]] = {}
    for event in events:
        at = bucket(event["properties"]["time"])
        if event["event"] == steps[0] and at is not None:
            entered.setdefault(event["properties"]["$browser"], set()).add((at, event["properties"]["distinct_id"]))
    assert {name: reached[0].count for name, reached in by.segments.items()} == {
        name: len(users) for name, users in entered.items()
    }
    assert "segments" not in got.to_dict()


def test_saved_funnels_come_by_name_and_are_remembered(live_workspace: Workspace, emulator: Emulator) -> None:
    found = live_workspace.funnels()
    assert [row.to_dict() for row in found] == [
        {"funnel_id": 8803, "name": "Kitchen cart to order"},
        {"funnel_id": 8802, "name": "Session to invitation"},
        {"funnel_id": 8801, "name": "Sign-up to purchase"},
    ]
    found.clear()
    before = emulator.requests()
    assert len(live_workspace.funnels()) == 3
    assert emulator.requests_since(before) == []


def test_an_unknown_funnel_is_a_query_error(live_workspace: Workspace) -> None:
    with pytest.raises(QueryError, match="12345"):
        live_workspace.funnel(12345, **RANGE)


def step(event: str, count: object) -> dict[str, object]:
    return {"count": count, "avg_time": None, "goal": event, "event": event, "step_label": "x", "selector": {}}


def answered(server: ScriptedServer, data: object) -> None:
    server.say(Reply(body=json.dumps({"meta": {"dates": []}, "data": data}).encode()))


def test_counts_are_added_up_over_dates_each_segment_by_itself(
    client: MixpanelAPIClient, server: ScriptedServer
) -> None:
    answered(
        server,
        {
            "2025-03-02": {"$overall": [step("A", 6), step("B", 1.0)], "steps": [step("A", 5), step("B", 1)]},
            "2025-03-01": {"$overall": [step("A", 4), step("B", 4)], "US": [step("A", 4), step("B", 4)]},
        },
    )
    got = funnel(client, 88, on="country", **DAYS)
    assert got.to_dict() == {
        "funnel_id": 88,
        "funnel_name": "",
        **DAYS,
        "conversion_rate": 0.5,
        "steps": [
            {"event": "A", "count": 10, "conversion_rate": 1.0},
            {"event": "B", "count": 5, "conversion_rate": 0.5},
        ],
        "segments": {
            "steps": [
                {"event": "A", "count": 5, "conversion_rate": 1.0},
                {"event": "B", "count": 1, "conversion_rate": 0.2},
            ],
            "US": [
                {"event": "A", "count": 4, "conversion_rate": 1.0},
                {"event": "B", "count": 4, "conversion_rate": 1.0},
            ],
        },
    }
    assert got.df.to_dict("records") == [
        {"step": 1, "event": "A", "count": 10, "conversion_rate": 1.0},
        {"step": 2, "event": "B", "count": 5, "conversion_rate": 0.5},
    ]
    assert server.received[0].parameters["on"] == 'properties["country"]'


def test_nobody_is_no_division_by_zero(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"2025-03-01": {"steps": [step("A", 0), step("B", 0)], "analysis": {}}})
    got = funnel(client, 88, **DAYS)
    assert (got.conversion_rate, [row.conversion_rate for row in got.steps]) == (0.0, [1.0, 0.0])
    answered(server, {})
    got = funnel(client, 88, **DAYS)
    assert (got.conversion_rate, got.steps, list(got.df.columns)) == (
        0.0,
        [],
        ["step", "event", "count", "conversion_rate"],
    )


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([], "data is a list"),
        ({"2025-03-01": {}}, "data.2025-03-01.steps is nothing"),
        ({"2025-03-01": {"steps": [{"count": 1}]}}, r"steps\[0\].goal is nothing"),
        ({"2025-03-01": {"steps": [step("A", "1")]}}, r"steps\[0\].count is a text"),
        ({"2025-03-01": {"steps": [step("A", 1.5)]}}, "not a whole one"),
        ({"a": {"steps": [step("A", 1)]}, "b": {"steps": [step("B", 1)]}}, "data.b.steps"),
    ],
)
def test_another_shape_names_the_place(
    client: MixpanelAPIClient, server: ScriptedServer, data: object, place: str
) -> None:
    answered(server, data)
    with pytest.raises(APIError, match=place):
        funnel(client, 88, **DAYS)


def test_a_funnel_may_have_no_name(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b'[{"funnel_id": 2, "name": null}, {"funnel_id": 1, "name": "b"}]'))
    assert [(row.funnel_id, row.name) for row in funnels(client)] == [(2, ""), (1, "b")]


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"funnel_id": "88"}, "funnel_id"),
        ({"funnel_id": True}, "funnel_id"),
        ({"funnel_id": -1}, "funnel_id"),
        ({"unit": "hour"}, "unit"),
        ({"on": " "}, "on"),
        ({"to_date": "2025-02-01"}, "from_date"),
    ],
)
def test_wrong_arguments(
    client: MixpanelAPIClient, server: ScriptedServer, wrong: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        funnel(client, **{"funnel_id": 88, **DAYS, **wrong})
    assert caught.value.details["argument"] == argument
    assert not server.received
