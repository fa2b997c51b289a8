"""The feed of some users: every event of theirs, in order, and nobody else's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, Workspace
from mixpanel_data.activity import activity_feed
from tests.fixtures.emulator import brute
from tests.support import crafted
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": crafted.FIRST.isoformat(), "to_date": crafted.LAST.isoformat()}


def feed(*events: object) -> Reply:
    return Reply(body=json.dumps({"status": "ok", "results": {"events": events}}).encode())


def test_the_feed_is_what_these_users_did(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.activity_feed(["busy", "u3", "nobody"], **RANGE)
    rows = brute.within(brute.visible(crafted.rows(), 2**60), crafted.FIRST, crafted.LAST, crafted.ZONE)
    want = sorted(
        (row.time_ms // 1000, row.event, row.distinct_id, str(row.insert_id))
        for row in rows
        if row.distinct_id in {"busy", "u3"}
    )
    assert (
        sorted(
            (int(event.time.timestamp()), event.event, event.distinct_id, event.properties["$insert_id"])
            for event in got.events
        )
        == want
    )
    assert len(want) > 50
    assert [event.time for event in got.events] == sorted(event.time for event in got.events)
    assert all(event.time.utcoffset() is not None for event in got.events)
    assert got.to_dict()["event_count"] == len(want)
    by_id = {row.insert_id: row.values for row in rows}
    assert all(
        {name: event.properties.get(name) for name in by_id[event.properties["$insert_id"]]}
        == by_id[event.properties["$insert_id"]]
        for event in got.events
    )


def test_without_dates_they_are_left_to_mixpanel(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.activity_feed(["busy"])
    assert (got.from_date, got.to_date, got.events) == (None, None, [])
    assert list(got.df.columns) == ["event", "time", "distinct_id"]


def test_rows_have_fixed_columns_and_then_the_properties(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(
        feed(
            {"event": "B", "properties": {"time": 1740823260.5, "$distinct_id": "u9", "event": "odd", "n": [1]}},
            {"event": "A", "properties": {"time": 1740823200, "distinct_id": "u7", "artist": "The Lanterns"}},
        )
    )
    got = activity_feed(client, ["u7", "u9", "u7"])
    assert got.distinct_ids == ["u7", "u9"]
    assert list(got.df.columns) == ["event", "time", "distinct_id", "artist", "properties.event", "n"]
    first, second = got.to_table_dict()
    assert (first["event"], first["distinct_id"], first["artist"]) == ("A", "u7", "The Lanterns")
    assert (second["distinct_id"], second["properties.event"], second["artist"]) == ("u9", "odd", None)
    assert first["time"] == datetime(2025, 3, 1, 10, tzinfo=UTC)
    assert got.to_dict()["events"][1]["time"] == "2025-03-01T10:01:00.500000+00:00"
    assert json.loads(server.received[0].parameters["distinct_ids"]) == ["u7", "u9"]


def test_a_time_in_milliseconds_is_the_same_time(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(feed({"event": "A", "properties": {"time": 1740823200123, "distinct_id": "u7"}}))
    assert activity_feed(client, ["u7"]).events[0].time == datetime(2025, 3, 1, 10, 0, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize("time", [None, "x", True, 1e300, 10**30])
def test_an_event_without_a_time_is_an_api_error(
    client: MixpanelAPIClient, server: ScriptedServer, time: object
) -> None:
    server.say(feed({"event": "A", "properties": {"time": time}}))
    with pytest.raises(APIError, match=r"results.events\[0\].properties.time"):
        activity_feed(client, ["u7"])


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"distinct_ids": []}, "distinct_ids"),
        ({"distinct_ids": "u7"}, "distinct_ids"),
        ({"from_date": "2025-03-04", "to_date": "2025-03-03"}, "from_date"),
        ({"to_date": "yesterday"}, "to_date"),
        ({"from_date": "2025-3-4"}, "from_date"),
    ],
)
def test_wrong_arguments(
    client: MixpanelAPIClient, server: ScriptedServer, wrong: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        activity_feed(client, **{"distinct_ids": ["u7"], **wrong})
    assert caught.value.details["argument"] == argument
    assert not server.received
