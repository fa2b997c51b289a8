"""Mixpanel's own example answers come through the readers, number by number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mixpanel_data import MixpanelAPIClient, Workspace
from tests.support import official
from tests.support.questions import ASKED, holds
from tests.support.scripted_http import Reply, ScriptedServer

# Method of a workspace → the operation that it asks.
OPERATIONS = {
    "events": "GET /events/names",
    "properties": "GET /events/properties/top",
    "property_values": "GET /events/properties/values",
    "top_events": "GET /events/top",
    "funnels": "GET /funnels/list",
    "cohorts": "POST /cohorts/list",
    "segmentation": "GET /segmentation",
    "event_counts": "GET /events",
    "property_counts": "GET /events/properties",
    "segmentation_numeric": "GET /segmentation/numeric",
    "segmentation_sum": "GET /segmentation/sum",
    "segmentation_average": "GET /segmentation/average",
    "funnel": "GET /funnels",
    "retention": "GET /retention",
    "frequency": "GET /retention/addiction",
    "activity_feed": "GET /stream/query",
    "query_saved_report": "GET /insights",
}


def numbers(value: Any) -> list[float]:
    """All numbers of a JSON value but zeros, which the readers fill in."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return sorted(number for each in inner for number in numbers(each))
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) and value else []


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_official_example_is_read(client: MixpanelAPIClient, server: ScriptedServer, name: str) -> None:
    official.require()
    said = official.response(official.document("query"), OPERATIONS[name], 200)
    assert said is not None
    assert said.examples
    for example in said.examples.values():
        server.say(Reply(body=json.dumps(example, default=str).encode()))
        found = ASKED[name][0](Workspace(_api_client=client))
        assert found
        holds(found)
        if hasattr(found, "series"):
            series = example["series"] if "series" in example else example["data"]["values"]
            assert numbers(found.series) == numbers(series)


def test_the_official_funnel_adds_up(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    official.require()
    said = official.response(official.document("query"), "GET /funnels", 200)
    assert said is not None
    (example,) = said.examples.values()
    server.say(Reply(body=json.dumps(example, default=str).encode()))
    got = Workspace(_api_client=client).funnel(4, from_date="2025-03-01", to_date="2025-03-02")
    for place, step in enumerate(got.steps):
        assert step.count == sum(date["steps"][place]["count"] for date in example["data"].values())
        assert step.event == next(iter(example["data"].values()))["steps"][place]["event"]


def test_the_official_retention_is_shares_of_each_cohort(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    official.require()
    said = official.response(official.document("query"), "GET /retention", 200)
    assert said is not None
    (example,) = said.examples.values()
    server.say(Reply(body=json.dumps(example, default=str).encode()))
    got = Workspace(_api_client=client).retention(
        born_event="a", return_event="b", from_date="2025-03-01", to_date="2025-03-02"
    )
    assert {cohort.date: (cohort.size, cohort.retention) for cohort in got.cohorts} == {
        date: (cohort["first"], [count / cohort["first"] for count in cohort["counts"]])
        for date, cohort in example.items()
    }
