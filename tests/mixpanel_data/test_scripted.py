"""Discovery by script: exact against every event counted by hand, cheap, and deaf to what names say."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, Workspace, scripted
from tests.fixtures.emulator import brute
from tests.support import crafted as known
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": known.FIRST.isoformat(), "to_date": known.LAST.isoformat()}
DAYS: dict[str, Any] = {"from_date": "2025-03-01", "to_date": "2025-03-03"}
VISIBLE = brute.within(brute.visible(known.rows(), 2**60), known.FIRST, known.LAST, known.ZONE)
VISITS = [row for row in VISIBLE if row.event == "Visit"]
SUMMARY: dict[str, Any] = {"count": 1, "sum": 1, "avg": 1, "stddev": 0}
NAMES = ("plan", "price", "tags", *known.ODD_NAMES)


@pytest.fixture(params=[0, 7], ids=["in one piece", "in pieces"])
def pieces(crafted: Emulator, request: pytest.FixtureRequest) -> Iterator[None]:
    """Mixpanel calls a script's own reducers with pieces, and with what they made of pieces."""
    with crafted.changed(jql_split=request.param):
        yield


def value_of(found: Any) -> Any:
    return json.dumps(found, separators=(",", ":")) if isinstance(found, list | dict) else found


def values_of(name: str) -> list[Any]:
    return [found for row in VISITS if (found := row.values.get(name)) is not None]


def counted(name: str) -> Counter[str]:
    """12 and "12", 1 and True are not the same value, so they are counted as JSON."""
    return Counter(json.dumps(value_of(value)) for value in values_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_distribution_counts_every_value(crafted_workspace: Workspace, name: str) -> None:
    got = crafted_workspace.property_distribution("Visit", name, **RANGE)
    assert {json.dumps(row.value): row.count for row in got.values} == counted(name)
    assert got.total_count == len(values_of(name)) > 0
    assert [row.count for row in got.values] == sorted(counted(name).values(), reverse=True)
    assert sum(row.percentage for row in got.values) == pytest.approx(100)
    assert list(got.df.columns) == ["value", "count", "percentage"]


@pytest.mark.usefixtures("pieces")
def test_the_largest_are_the_same_in_whatever_order_they_are_found(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.property_distribution("Visit", "price", limit=4, **RANGE)
    want = sorted(counted("price").items(), key=lambda item: (-item[1], item[0]))
    assert [(json.dumps(row.value), row.count) for row in got.values] == want[:4]
    assert got.total_count == len(values_of("price"))
    assert got.values[0].percentage == pytest.approx(100 * want[0][1] / len(values_of("price")))


@pytest.mark.usefixtures("pieces")
def test_coverage_takes_null_for_nothing(crafted_workspace: Workspace) -> None:
    names = [*NAMES, "toString", "never", "distinct_id", "time"]
    got = crafted_workspace.property_coverage("Visit", names, **RANGE)
    defined = {name: sum(row.values.get(name) is not None for row in VISITS) for name in names}
    defined |= {"distinct_id": sum(bool(row.distinct_id) for row in VISITS), "time": len(VISITS)}
    assert any(name in row.values and row.values[name] is None for row in VISITS for name in names)
    assert got.total_events == len(VISITS)
    assert [row.to_dict() for row in got.coverage] == [
        {
            "property": name,
            "defined_count": defined[name],
            "null_count": len(VISITS) - defined[name],
            "coverage_percentage": pytest.approx(100 * defined[name] / len(VISITS)),
        }
        for name in names
    ]
    assert got.to_table_dict() == [row.to_dict() for row in got.coverage]


def test_a_summary_is_of_the_numbers_alone(crafted_workspace: Workspace) -> None:
    numbers = sorted(
        found
        for row in VISITS
        if isinstance(found := row.values.get("price"), int | float) and not isinstance(found, bool)
    )
    got = crafted_workspace.numeric_summary("Visit", "price", percentiles=[0, 10, 50, 99.9, 100], **RANGE)
    assert (got.count, got.min, got.max) == (len(numbers), numbers[0], numbers[-1])
    assert got.sum == pytest.approx(sum(numbers))
    assert got.avg == pytest.approx(statistics.fmean(numbers))
    assert got.stddev == pytest.approx(statistics.pstdev(numbers))
    assert got.percentiles == {
        percent: numbers[max(0, math.ceil(percent * len(numbers) / 100) - 1)] for percent in (0, 10, 50, 99.9, 100)
    }
    assert list(got.to_dict()["percentiles"]) == ["0", "10", "50", "99.9", "100"]
    assert list(crafted_workspace.numeric_summary("Visit", "price", **RANGE).percentiles) == [25, 50, 75, 90, 95, 99]


def test_a_summary_of_nothing_says_so(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.numeric_summary("Visit", "toString", percentiles=[50], **RANGE)
    assert got.to_dict() == {
        "event": "Visit",
        "property_name": "toString",
        **RANGE,
        "count": 0,
        "min": None,
        "max": None,
        "sum": 0,
        "avg": None,
        "stddev": None,
        "percentiles": {"50": None},
    }


@pytest.mark.parametrize("events", [None, ["Order"], ["Order", "constructor", "Never Happened"]])
def test_days_are_those_of_the_project(crafted_workspace: Workspace, events: list[str] | None) -> None:
    got = crafted_workspace.daily_counts(events=events, **RANGE)
    want = Counter(
        (brute.key(brute.local(row.time_ms, known.ZONE), "day"), row.event)
        for row in VISIBLE
        if events is None or row.event in events
    )
    assert [(row.date, row.event, row.count) for row in got.counts] == sorted(
        (day, event, count) for (day, event), count in want.items()
    )
    assert got.events == events
    assert list(got.df.columns) == ["date", "event", "count"]


@pytest.mark.parametrize(
    ("buckets", "labels", "events"),
    [
        (None, ["1", "2-4", "5-9", "10-24", "25-49", "50-99", "100+"], None),
        ([1], ["1+"], ["Sign Up"]),
        ([2, 3, 12], ["2", "3-11", "12+"], ["Sign Up", "Order"]),
    ],
)
def test_users_are_counted_by_their_events(
    crafted_workspace: Workspace, buckets: list[int] | None, labels: list[str], events: list[str] | None
) -> None:
    got = crafted_workspace.engagement_distribution(buckets=buckets, events=events, **RANGE)
    users = Counter(row.distinct_id for row in VISIBLE if row.distinct_id and (events is None or row.event in events))
    bounds = [row.bucket_min for row in got.buckets]
    want = [
        sum(low <= done < high for done in users.values())
        for low, high in zip(bounds, [*bounds[1:], math.inf], strict=True)
    ]
    assert [row.bucket_label for row in got.buckets] == labels
    assert [row.user_count for row in got.buckets] == want
    assert got.total_users == len(users)
    assert [row.percentage for row in got.buckets] == pytest.approx([100 * count / len(users) for count in want])
    if bounds[0] == 1:
        assert sum(want) == len(users)


HOSTILE = ['"}); throw 1; ({"', "x'); Events(", "\\", "a\u2028b", "`${params}`", "\n}", "*/"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_callers_say_is_never_a_part_of_a_script(
    client: MixpanelAPIClient, server: ScriptedServer, text: str
) -> None:
    server.say(Reply(body=b"[]"))
    scripted.property_distribution(client, text, text, **DAYS)
    scripted.property_coverage(client, text, [text], **DAYS)
    scripted.numeric_summary(client, text, text, **DAYS)
    scripted.daily_counts(client, events=[text], **DAYS)
    scripted.engagement_distribution(client, events=[text], **DAYS)
    assert {request.form["script"] for request in server.received} == {scripted.script(name) for name in SCRIPTS}
    assert all(json.loads(request.form["params"])["events"] == [text] for request in server.received)


def test_hostile_names_are_names_that_nothing_has(crafted_workspace: Workspace) -> None:
    coverage = crafted_workspace.property_coverage("Visit", HOSTILE, **RANGE)
    assert [(row.property, row.defined_count) for row in coverage.coverage] == [(name, 0) for name in HOSTILE]
    assert coverage.total_events == len(VISITS)
    assert crafted_workspace.daily_counts(events=HOSTILE, **RANGE).counts == []


SCRIPTS = (
    "property_distribution",
    "property_coverage",
    "numeric_summary",
    "daily_counts",
    "engagement_distribution",
)


def test_only_what_is_grouped_travels(crafted_workspace: Workspace) -> None:
    answers = {
        name: crafted_workspace.jql(
            scripted.script(name),
            {
                **RANGE,
                "events": None,
                "property": "price",
                "properties": ["price"],
                "limit": 3,
                "percentiles": [50],
                "buckets": [1, 10],
            },
        ).row_count
        for name in SCRIPTS
    }
    days = (known.LAST - known.FIRST).days + 1
    assert answers.pop("daily_counts") <= days * len(known.EVENTS)
    assert answers.pop("engagement_distribution") == 2
    assert set(answers.values()) == {1}


def test_scripts_say_what_they_do_and_have_no_holes() -> None:
    folder = resources.files("mixpanel_data") / "scripts"
    assert {file.name for file in folder.iterdir()} == {f"{name}.js" for name in ("events", *SCRIPTS)}
    for name in SCRIPTS:
        text = scripted.script(name)
        assert text.startswith("//")
        assert text.count("function main()") == 1
        assert not re.search(r"%s|\{\}|\$\{|\{[a-z_]+\}", text)


@pytest.mark.parametrize(
    ("ask", "body", "place"),
    [
        ("property_distribution", [{"values": []}], "total is nothing"),
        ("property_distribution", [{"total": 1, "values": [{"value": "{", "count": 1}]}], "not JSON text"),
        ("property_distribution", [{"total": 1, "values": [{"value": "null", "count": 1}]}], "value is nothing"),
        ("numeric_summary", [[{"count": 1}, 1, 1]], "four reducers"),
        ("numeric_summary", [[SUMMARY, 1, 1, []]], "percentile 50"),
        ("numeric_summary", [[{**SUMMARY, "avg": None}, 1, 1, [{"percentile": 50, "value": 1}]]], "avg"),
        ("property_coverage", [{"total": 3, "defined": [1, 2]}], "1 numbers"),
        ("daily_counts", [{"key": ["2025-03-01"], "value": 1}], "2 parts"),
        ("engagement_distribution", [{"key": [3], "value": 1}], "one of the buckets"),
    ],
)  # fmt: skip
def test_another_shape_names_the_place(
    client: MixpanelAPIClient, server: ScriptedServer, ask: str, body: object, place: str
) -> None:
    server.say(Reply(body=json.dumps(body).encode()))
    with pytest.raises(APIError, match=place):
        call(client, ask)


def call(client: MixpanelAPIClient, ask: str, **more: Any) -> Any:
    arguments: dict[str, dict[str, Any]] = {
        "property_distribution": {"event": "a", "property": "b"},
        "numeric_summary": {"event": "a", "property": "b", "percentiles": [50]},
        "property_coverage": {"event": "a", "properties": ["b"]},
    }
    return getattr(scripted, ask)(client, **{**arguments.get(ask, {}), **DAYS, **more})


@pytest.mark.parametrize(
    ("ask", "wrong", "argument"),
    [
        ("property_distribution", {"limit": 0}, "limit"),
        ("property_distribution", {"property": ""}, "property"),
        ("numeric_summary", {"percentiles": [101]}, "percentiles"),
        ("numeric_summary", {"percentiles": [True]}, "percentiles"),
        ("numeric_summary", {"percentiles": []}, "percentiles"),
        ("numeric_summary", {"percentiles": [float("nan")]}, "percentiles"),
        ("daily_counts", {"events": []}, "events"),
        ("daily_counts", {"from_date": "x"}, "from_date"),
        ("engagement_distribution", {"buckets": [2, 1]}, "buckets"),
        ("engagement_distribution", {"buckets": [0, 1]}, "buckets"),
        ("engagement_distribution", {"buckets": []}, "buckets"),
        ("engagement_distribution", {"events": "a"}, "events"),
        ("property_coverage", {"properties": "b"}, "properties"),
        ("property_coverage", {"event": None}, "event"),
    ],
)
def test_wrong_arguments(
    client: MixpanelAPIClient, server: ScriptedServer, ask: str, wrong: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        call(client, ask, **wrong)
    assert caught.value.details["argument"] == argument
    assert not server.received
