"""Counts that Mixpanel computes: right against the emulator's own export, and doubted when the shape is odd."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, Workspace
from mixpanel_data.live import event_counts, on_expression, segmentation
from tests.support.brute_force import daily_counts, daily_counts_by
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": "2025-06-01", "to_date": "2025-06-14"}
DAYS: dict[str, str] = {"from_date": "2025-03-01", "to_date": "2025-03-03"}


def exported(workspace: Workspace) -> list[dict[str, Any]]:
    """The raw events of the range, parsed in plain Python from a table that holds them as they came."""
    workspace.fetch_events(**RANGE)
    rows = workspace.sql_rows("select event_name, epoch_ms(event_time), properties from events")
    return [{"event": name, "properties": {"time": ms, **json.loads(text)}} for name, ms, text in rows]


def test_counts_are_those_of_the_raw_events(live_workspace: Workspace) -> None:
    events = exported(live_workspace)
    got = live_workspace.segmentation("Purchase", **RANGE)
    want = daily_counts(events, "Purchase", "2025-06-01", "2025-06-14")
    assert got.series == {"Purchase": want}
    assert got.total == sum(want.values()) > 0

    by = live_workspace.segmentation("Purchase", on="$browser", **RANGE)
    assert by.series == daily_counts_by(events, "Purchase", "$browser", "2025-06-01", "2025-06-14")
    assert (by.segment_property, by.total) == ("$browser", got.total)

    both = live_workspace.event_counts(["Sign Up", "Never Happened", "Purchase"], **RANGE)
    assert both.series["Purchase"] == want
    assert both.series["Sign Up"] == daily_counts(events, "Sign Up", "2025-06-01", "2025-06-14")
    assert set(both.series["Never Happened"].values()) <= {0}
    assert list(both.series) == ["Sign Up", "Never Happened", "Purchase"]
    assert live_workspace.event_counts(["Never Happened"], **RANGE).series["Never Happened"] == dict.fromkeys(want, 0)


def envelope(series: object, values: object) -> Reply:
    return Reply(body=json.dumps({"legend_size": 1, "data": {"series": series, "values": values}}).encode())


def test_sparse_unsorted_answers_become_dense_and_sorted(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope(["2025-03-02", "2025-03-01"], {"pro": {"2025-03-02": 4}, "free": {"2025-03-03": 2.5}}))
    got = segmentation(client, "Song Played", on="plan", **DAYS)
    assert json.dumps(got.series) == json.dumps(
        {
            "pro": {"2025-03-01": 0, "2025-03-02": 4, "2025-03-03": 0},
            "free": {"2025-03-01": 0, "2025-03-02": 0, "2025-03-03": 2.5},
        }
    )
    assert got.total == 6.5
    assert got.to_dict() == {
        "event": "Song Played",
        **DAYS,
        "unit": "day",
        "segment_property": "plan",
        "total": 6.5,
        "series": got.series,
    }
    assert server.received[0].parameters["on"] == 'properties["plan"]'


def test_frames_have_the_contracts_columns_also_when_empty(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope(["2025-03-01"], {"pro": {"2025-03-01": 4}}))
    got = segmentation(client, "Song Played", from_date="2025-03-01", to_date="2025-03-01")
    assert got.df is got.df
    assert got.df.to_dict("records") == [{"date": "2025-03-01", "segment": "pro", "count": 4}] == got.to_table_dict()
    server.say(envelope([], {}))
    assert list(segmentation(client, "Song Played", **DAYS).df.columns) == ["date", "segment", "count"]
    counts = event_counts(client, ["a"], type="unique", unit="week", **DAYS)
    assert list(counts.df.columns) == ["date", "event", "count"]
    assert server.received[-1].parameters["event"] == '["a"]'
    assert counts.to_dict()["events"] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"data": []},
        {"data": {"series": [], "values": []}},
        {"data": {"series": None, "values": {}}},
        {"data": {"series": [1], "values": {}}},
        {"data": {"series": [], "values": {"a": 3}}},
        {"data": {"series": [], "values": {"a": {"2025-03-01": "3"}}}},
        {"data": {"series": [], "values": {"a": {"2025-03-01": True}}}},
    ],
)
def test_another_shape_is_an_api_error(client: MixpanelAPIClient, server: ScriptedServer, body: object) -> None:
    server.say(Reply(body=json.dumps(body).encode()))
    with pytest.raises(APIError, match="not a series of counts"):
        segmentation(client, "Song Played", **DAYS)


@pytest.mark.parametrize(
    ("on", "sent"),
    [
        ("country", 'properties["country"]'),
        ("$browser", 'properties["$browser"]'),
        ('a "b" \\ c', 'properties["a \\"b\\" \\\\ c"]'),
        ('properties["plan"]', 'properties["plan"]'),
        ('string(user["plan"])', 'string(user["plan"])'),
        ("my properties", 'properties["my properties"]'),
    ],
)
def test_a_bare_name_becomes_an_accessor_and_an_expression_stays(on: str, sent: str) -> None:
    assert on_expression(on) == sent


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"from_date": "2025-3-1"}, "from_date"),
        ({"to_date": "2025-02-30"}, "to_date"),
        ({"from_date": "2025-03-04"}, "from_date"),
        ({"unit": "fortnight"}, "unit"),
        ({"event": " "}, "event"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_sent(
    client: MixpanelAPIClient, server: ScriptedServer, wrong: dict[str, str], argument: str
) -> None:
    arguments: dict[str, Any] = {"event": "Song Played", **DAYS, **wrong}
    with pytest.raises(ValueError, match=argument) as caught:
        segmentation(client, **arguments)
    assert isinstance(caught.value, InvalidArgumentError)
    assert caught.value.details["argument"] == argument
    assert not server.received


@pytest.mark.parametrize("events", ["Song Played", [], [""], [3]])
def test_a_list_of_events_is_a_list_of_names(client: MixpanelAPIClient, server: ScriptedServer, events: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="events"):
        event_counts(client, events, **DAYS)
    with pytest.raises(InvalidArgumentError, match="type"):
        event_counts(client, ["a"], type="median", **DAYS)
    assert not server.received


def test_an_event_named_twice_is_counted_once(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope(["2025-03-01"], {"a": {"2025-03-01": 4}}))
    got = event_counts(client, ["a", "a"], **DAYS)
    assert Counter(got.events) == {"a": 1}
