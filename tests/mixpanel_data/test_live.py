"""Counts that Mixpanel computes: right against every event counted by hand, and doubted when the shape is odd."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, Workspace
from mixpanel_data.live import event_counts, property_counts, segmentation
from tests.fixtures.emulator import brute
from tests.support import crafted as known
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": known.FIRST.isoformat(), "to_date": known.LAST.isoformat()}
DAYS: dict[str, Any] = {"from_date": "2025-03-01", "to_date": "2025-03-03"}
VISIBLE = brute.within(brute.visible(known.rows(), 2**60), known.FIRST, known.LAST, known.ZONE)


def by_hand(rows: list[Any], unit: str, kind: str = "general") -> dict[str, float]:
    """Bucket → count, of every bucket of the range."""
    found = brute.by_bucket(rows, kind, lambda row: brute.key(brute.local(row.time_ms, known.ZONE), unit))
    return {bucket: found.get(bucket, 0) for bucket in brute.keys(known.FIRST, known.LAST, unit, known.ZONE)}


def of(event: str) -> list[Any]:
    return [row for row in VISIBLE if row.event == event]


@pytest.mark.parametrize("unit", ["minute", "hour", "day", "week", "month"])
def test_counts_are_those_of_the_raw_events(crafted_workspace: Workspace, unit: Any) -> None:
    got = crafted_workspace.segmentation("Visit", unit=unit, **RANGE)
    want = by_hand(of("Visit"), unit)
    assert got.series == {"Visit": want}
    assert list(got.series["Visit"]) == sorted(want)
    assert got.total == sum(want.values()) > 100
    both = crafted_workspace.event_counts(["Order", "Never Happened", "Visit"], unit=unit, **RANGE)
    assert list(both.series) == ["Order", "Never Happened", "Visit"]
    for event in both.events:
        assert {bucket: count for bucket, count in both.series[event].items() if count} == {
            bucket: count for bucket, count in by_hand(of(event), unit).items() if count
        }


@pytest.mark.parametrize("kind", ["general", "unique", "average"])
def test_each_way_of_counting(crafted_workspace: Workspace, kind: Any) -> None:
    got = crafted_workspace.event_counts(["Visit"], type=kind, **RANGE)
    assert got.series == {"Visit": pytest.approx(by_hand(of("Visit"), "day", kind))}
    assert got.type == kind
    by = crafted_workspace.property_counts("Visit", "plan", type=kind, unit="week", **RANGE)
    groups: dict[str, list[Any]] = {}
    for row in of("Visit"):
        groups.setdefault(brute.text(row.values.get("plan")), []).append(row)
    assert by.series == {label: pytest.approx(by_hand(rows, "week", kind)) for label, rows in groups.items()}
    assert [(row["date"], row["value"]) for row in by.to_table_dict()] == [
        (bucket, label) for label, cells in by.series.items() for bucket in cells
    ]


def test_segments_are_those_of_the_raw_events(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.segmentation("Visit", on="tags", where='properties["price"] > 3', **RANGE)
    groups: dict[str, list[Any]] = {}
    for row in of("Visit"):
        price = row.values.get("price")
        if isinstance(price, int | float) and price > 3:
            for label in brute.labels(row.values.get("tags")):
                groups.setdefault(label, []).append(row)
    assert got.series == {label: by_hand(rows, "day") for label, rows in groups.items()}
    assert (got.segment_property, got.total) == ("tags", sum(map(len, groups.values())))


@pytest.mark.parametrize("name", known.ODD_NAMES)
def test_odd_names_of_properties_reach_mixpanel_whole(crafted_workspace: Workspace, name: str) -> None:
    want = Counter(
        label for row in of("Visit") for label in brute.labels(row.values.get(name, None)) if label != "undefined"
    )
    by = crafted_workspace.segmentation("Visit", on=name, **RANGE)
    counts = crafted_workspace.property_counts("Visit", name, **RANGE)
    for got in (by.series, counts.series):
        assert {label: sum(cells.values()) for label, cells in got.items() if label != "undefined"} == want
    assert want


def test_values_that_are_asked_for_are_there(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.property_counts("Visit", "plan", values=["pro", "never"], limit=2, **RANGE)
    assert list(got.series) == ["pro", "never"]
    assert got.series["pro"] == by_hand([row for row in of("Visit") if row.values.get("plan") == "pro"], "day")
    assert set(got.series["never"].values()) == {0}
    assert len(got.series["never"]) == (known.LAST - known.FIRST).days + 1
    largest = crafted_workspace.property_counts("Visit", "plan", limit=2, **RANGE)
    counted = Counter(brute.text(row.values.get("plan")) for row in of("Visit"))
    assert list(largest.series) == sorted(counted, key=lambda label: (-counted[label], label))[:2]


@pytest.mark.parametrize("dense", ["always", "never"])
def test_sparse_and_unsorted_answers_are_the_same_answers(
    crafted_workspace: Workspace, crafted: Emulator, dense: str
) -> None:
    def ask() -> list[Any]:
        return [
            crafted_workspace.segmentation("Visit", on="plan", **RANGE).series,
            crafted_workspace.event_counts(["Visit", "Order"], **RANGE).series,
            crafted_workspace.property_counts("Visit", "plan", **RANGE).series,
            crafted_workspace.segmentation_numeric("Visit", on="price", **RANGE).series,
        ]

    usual = ask()
    with crafted.changed(dense=dense, shuffle_series=True):
        shuffled = ask()
    assert json.dumps(shuffled, sort_keys=False) == json.dumps(usual, sort_keys=False), "the order too"


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


def test_buckets_that_only_the_list_names_are_there(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope(["2025-03-03", "2025-02-24"], {"a": {"2025-03-03": 4}}))
    assert event_counts(client, ["a", "b"], unit="week", **DAYS).series == {
        "a": {"2025-02-24": 0, "2025-03-03": 4},
        "b": {"2025-02-24": 0, "2025-03-03": 0},
    }


def test_frames_have_the_contracts_columns_also_when_empty(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope(["2025-03-01"], {"pro": {"2025-03-01": 4}}))
    got = segmentation(client, "Song Played", from_date="2025-03-01", to_date="2025-03-01", on="plan")
    assert got.df is got.df
    assert got.df.to_dict("records") == [{"date": "2025-03-01", "segment": "pro", "count": 4}] == got.to_table_dict()
    server.say(envelope([], {}))
    assert list(segmentation(client, "Song Played", on="plan", **DAYS).df.columns) == ["date", "segment", "count"]
    assert list(property_counts(client, "a", "b", **DAYS).df.columns) == ["date", "value", "count"]
    counts = event_counts(client, ["a"], type="unique", unit="week", **DAYS)
    assert list(counts.df.columns) == ["date", "event", "count"]
    assert server.received[-1].parameters["event"] == '["a"]'
    assert counts.to_dict()["events"] == ["a"]


def test_an_event_that_never_happened_has_zeros(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope([], {}))
    assert segmentation(client, "Song Played", **DAYS).series == {
        "Song Played": {"2025-03-01": 0, "2025-03-02": 0, "2025-03-03": 0}
    }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "data"),
        ([], "it is a list"),
        ({"data": []}, "data"),
        ({"data": {"series": [], "values": []}}, "data.values is a list, not an object"),
        ({"data": {"series": None, "values": {}}}, "data.series is nothing, not a list"),
        ({"data": {"series": [1], "values": {}}}, r"data.series\[0\] is a number, not a text"),
        ({"data": {"series": [], "values": {"a": 3}}}, "data.values.a is a number"),
        ({"data": {"series": [], "values": {"a": {"2025-03-01": "3"}}}}, "data.values.a.2025-03-01 is a text"),
        ({"data": {"series": [], "values": {"a": {"2025-03-01": True}}}}, "is a boolean, not a number"),
    ],
)
def test_another_shape_is_an_api_error_that_names_the_place(
    client: MixpanelAPIClient, server: ScriptedServer, body: object, place: str
) -> None:
    server.say(Reply(body=json.dumps(body).encode()))
    with pytest.raises(APIError, match=place) as caught:
        segmentation(client, "Song Played", **DAYS)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"from_date": "2025-3-1"}, "from_date"),
        ({"to_date": "2025-02-30"}, "to_date"),
        ({"from_date": "2025-03-04"}, "from_date"),
        ({"unit": "fortnight"}, "unit"),
        ({"event": " "}, "event"),
        ({"on": ""}, "on"),
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


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"values": "pro"}, "values"),
        ({"values": []}, "values"),
        ({"values": [1]}, "values"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"type": "median"}, "type"),
        ({"property_name": ""}, "property_name"),
    ],
)
def test_wrong_arguments_of_property_counts(
    client: MixpanelAPIClient, server: ScriptedServer, wrong: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        property_counts(client, **{"event": "a", "property_name": "b", **DAYS, **wrong})
    assert caught.value.details["argument"] == argument
    assert not server.received


def test_an_event_named_twice_is_counted_once(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(envelope(["2025-03-01"], {"a": {"2025-03-01": 4}}))
    got = event_counts(client, ["a", "a"], **DAYS)
    assert Counter(got.events) == {"a": 1}
