"""Saved reports: the list of them, and what they say, against the questions that they are made of."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, QueryError, Workspace
from mixpanel_data.reports import bookmarks, flows, saved_report
from tests.support.brute_force import between, day_of
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

SESSIONS, REVENUE, FUNNEL, RETENTION, FLOW = 64001, 64002, 64003, 64004, 64005
OFFSET = "T00:00:00+00:00"


def test_the_list_has_what_was_saved(live_workspace: Workspace, emulator: Emulator) -> None:
    found = live_workspace.list_bookmarks()
    assert {row.id: row.type for row in found} == {
        SESSIONS: "insights",
        REVENUE: "insights",
        FUNNEL: "funnels",
        RETENTION: "retention",
        FLOW: "flows",
    }
    assert [row.modified for row in found] == sorted((row.modified for row in found), reverse=True)
    assert [row.id for row in live_workspace.list_bookmarks("flows")] == [FLOW]
    assert live_workspace.list_bookmarks("launch-analysis") == []
    assert list(found[0].to_dict()) == [
        "id", "name", "type", "project_id", "created", "modified", "creator_id", "creator_name",
    ]  # fmt: skip
    before = emulator.requests()
    live_workspace.list_bookmarks()
    asked = emulator.requests_since(before)
    assert len(asked) == 1, "saved reports are asked for every time"
    assert "project_id" not in asked[-1]["query"], "the project is in the path, and nowhere else"


def test_insights_are_counted_right(live_workspace: Workspace, emulator: Emulator) -> None:
    events = between(emulator.raw_events("2025-06-01", "2025-06-30"), "2025-06-01", "2025-06-30", "App Open")
    users = Counter(
        day_of(event) for event in {(day_of(e), e["properties"]["distinct_id"]): e for e in events}.values()
    )
    got = live_workspace.query_saved_report(SESSIONS)
    assert got.report_type == "insights"
    assert got.series["App Open - Unique"] == {
        f"2025-06-{day:02}{OFFSET}": users[f"2025-06-{day:02}"] for day in range(1, 31)
    }
    assert (got.from_date, got.to_date) == (f"2025-06-01{OFFSET}", "2025-06-30T23:59:59.999000+00:00")
    assert got.to_table_dict()[0] == {
        "date": f"2025-06-01{OFFSET}",
        "event": "App Open - Unique",
        "count": users["2025-06-01"],
    }
    assert len(got.df) == 30
    sums = live_workspace.query_saved_report(REVENUE)
    purchases = between(emulator.raw_events("2025-04-01", "2025-06-30"), "2025-04-08", "2025-06-30", "Purchase")
    amounts = [event["properties"].get("amount", 0) for event in purchases]
    assert sum(sums.series["Purchase - Sum of amount"].values()) == pytest.approx(sum(amounts))
    assert sum(amounts) > 0


def test_a_saved_funnel_is_the_funnel(live_workspace: Workspace) -> None:
    got = live_workspace.query_saved_report(FUNNEL)
    assert got.report_type == "funnel"
    counts = got.series["Sign-up to purchase"]["count"]
    asked = live_workspace.funnel(8801, from_date="2025-06-01", to_date="2025-06-30", unit="month")
    assert [cell["all"] for cell in counts.values()] == [step.count for step in asked.steps]
    assert list(got.df.columns) == ["series"]
    assert got.to_table_dict() == [{"series": got.series}]


def test_saved_retention_is_the_retention(live_workspace: Workspace) -> None:
    got = live_workspace.query_saved_report(RETENTION)
    assert got.report_type == "retention"
    saved = got.series["Sign Up and then App Open"]
    asked = live_workspace.retention(
        born_event="Sign Up",
        return_event="App Open",
        unit="week",
        from_date=got.from_date[:10],
        to_date=got.to_date[:10],
        interval_count=13,
    )
    for cohort in asked.cohorts:
        assert saved[cohort.date + OFFSET]["first"] == cohort.size
        assert saved[cohort.date + OFFSET]["rates"] == pytest.approx(cohort.retention)
    assert sum(cohort.size for cohort in asked.cohorts) > 0


def test_a_saved_flow_has_its_steps(live_workspace: Workspace) -> None:
    got = live_workspace.query_flows(FLOW)
    began = sum(node["totalCount"] for node in got.steps[0]["nodes"])
    went = sum(node["totalCount"] for node in got.steps[-1]["nodes"])
    assert got.overall_conversion_rate == pytest.approx(went / began)
    assert list(got.df.columns) == ["step", "nodes"]
    assert got.metadata == {"bookmark_id": FLOW, "event": "App Open"}
    assert list(got.to_dict()) == [
        "bookmark_id", "computed_at", "steps", "breakdowns", "overall_conversion_rate", "metadata",
    ]  # fmt: skip


def test_each_kind_is_asked_for_in_its_own_place(live_workspace: Workspace) -> None:
    for ask, wrong in ((live_workspace.query_saved_report, FLOW), (live_workspace.query_flows, FUNNEL)):
        with pytest.raises(QueryError) as caught:
            ask(wrong)
        assert caught.value.status_code == 404


def test_a_nested_list_is_the_same_list(live_workspace: Workspace, emulator: Emulator) -> None:
    flat = live_workspace.list_bookmarks()
    with emulator.changed(bookmarks_nested=True):
        assert live_workspace.list_bookmarks() == flat


def test_an_error_that_comes_as_a_success_is_an_error(live_workspace: Workspace, emulator: Emulator) -> None:
    with emulator.changed(errors_as_200=True), pytest.raises(QueryError, match="bookmark 1 not found"):
        live_workspace.query_saved_report(1)


def answered(server: ScriptedServer, *answers: object) -> None:
    server.say(*(Reply(body=json.dumps(answer).encode()) for answer in answers))


ROW = {"id": 7, "name": "A", "type": "flows", "project_id": 3, "created": "a", "modified": "b"}


def test_nested_and_paged_lists_are_read_to_their_end(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"status": "ok", "results": {"results": [ROW]}})
    assert [row.id for row in bookmarks(client)] == [7]
    pages = [
        {"results": [ROW], "pagination": {"next_cursor": "one"}},
        {"results": [{**ROW, "id": 8, "name": None}], "pagination": {"next_cursor": "two"}},
        {"results": [{**ROW, "id": 9, "dashboard_id": 4}], "pagination": {"next_cursor": "one"}},
    ]
    answered(server, *pages)
    found = bookmarks(client, "flows")
    assert [(row.id, row.name, row.dashboard_id) for row in found] == [(7, "A", None), (8, "", None), (9, "A", 4)]
    assert found[2].to_dict() == {**ROW, "id": 9, "dashboard_id": 4}
    asked = [request.parameters for request in server.received[1:]]
    assert asked == [{"v": "2", "type": "flows", **more} for more in ({}, {"cursor": "one"}, {"cursor": "two"})]
    assert server.received[0].path == "/api/app/projects/4100200/bookmarks"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        (["$event"], "insights"),
        ([], "insights"),
        (["x $retention y"], "retention"),
        (["$country", "$funnel"], "funnel"),
    ],
)
def test_the_headers_say_the_kind(
    client: MixpanelAPIClient, server: ScriptedServer, headers: list[str], kind: str
) -> None:
    answered(server, {"headers": headers, "series": {}})
    assert saved_report(client, 1).report_type == kind


def test_an_empty_answer_is_an_empty_report(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {})
    assert saved_report(client, 5).to_dict() == {
        "bookmark_id": 5, "computed_at": "", "from_date": "", "to_date": "", "headers": [], "series": {},
        "report_type": "insights",
    }  # fmt: skip
    assert list(saved_report(client, 5).df.columns) == ["date", "event", "count"]


def test_breakdowns_and_bare_numbers_are_rows_too(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"headers": ["$event", "$os"], "series": {
        "A - Total": {"$overall": {"2025-03-01": 5}, "iOS": {"2025-03-01": 3}},
        "B - Total": {"all": 4},
        "C - Total": 6,
    }})  # fmt: skip
    assert [tuple(row.values()) for row in saved_report(client, 5).to_table_dict()] == [
        ("2025-03-01", "A - Total / $overall", 5),
        ("2025-03-01", "A - Total / iOS", 3),
        ("all", "B - Total", 4),
        (None, "C - Total", 6),
    ]


def test_an_error_inside_a_200_is_an_error(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"error": "the report is gone"})
    for ask in (saved_report, flows):
        with pytest.raises(QueryError, match="the report is gone"):
            ask(client, 5)


def test_a_flow_needs_its_steps(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"computed_at": "x", "steps": [{"a": 1}, {"b": 2}]})
    got = flows(client, 5)
    assert (got.overall_conversion_rate, got.breakdowns, got.metadata) == (0.0, [], {})
    assert got.to_table_dict() == [{"a": 1, "b": None}, {"a": None, "b": 2}]
    assert server.received[0].parameters["query_type"] == "flows_sankey"
    answered(server, {"computed_at": "x"})
    with pytest.raises(APIError, match="steps is nothing"):
        flows(client, 5)


@pytest.mark.parametrize("wrong", ["5", None, -1, 1.0, True])
def test_an_id_is_a_whole_number(client: MixpanelAPIClient, server: ScriptedServer, wrong: Any) -> None:
    for ask in (saved_report, flows):
        with pytest.raises(InvalidArgumentError, match="bookmark_id"):
            ask(client, wrong)
    with pytest.raises(InvalidArgumentError, match="bookmark_type"):
        bookmarks(client, "funnel")
    assert not server.received
