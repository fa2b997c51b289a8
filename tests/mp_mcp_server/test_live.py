"""Live queries through server, library and emulator: each number counted over the raw events in plain Python."""

import base64
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mixpanel_data.endpoints import ENDPOINTS
from mp_mcp_server.catalogue import TOOLS
from mp_mcp_server.results import ANSWER_BYTES
from tests.mp_mcp_server.calling import DAYS, Mcp, Raw, good, refused, rows, text_of, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.support.brute_force import day_of
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong

pytestmark = pytest.mark.anyio


def seconds(event: dict[str, Any]) -> float:
    time: float = event["properties"]["time"]
    return time / 1000 if time > 10**11 else time


def by_user(raw: Raw) -> dict[str, list[tuple[float, str]]]:
    """User → (time, event), in order of time."""
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for event in raw:
        if user := event["properties"].get("distinct_id"):
            found[user].append((seconds(event), event["event"]))
    return {user: sorted(events) for user, events in found.items()}


async def test_funnel_counts_users_through_its_steps(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "funnel", funnel_id=8801, unit="month", **DAYS)
    steps = [step["event"] for step in answer["steps"]]
    assert steps == ["Sign Up", "View Item", "Add to Cart", "Checkout", "Purchase"]
    reached = [0] * len(steps)
    for events in by_user(raw_events).values():
        begun = next((time for time, name in events if name == steps[0]), None)
        if begun is None:
            continue
        at, number = begun, 0
        for time, name in events:
            if number + 1 < len(steps) and name == steps[number + 1] and at <= time <= begun + 7 * 86400:
                at, number = time, number + 1
        for step in range(number + 1):
            reached[step] += 1
    assert [step["count"] for step in answer["steps"]] == reached
    assert reached[0] > reached[-1] > 0
    rates = [step["conversion_rate"] for step in answer["steps"]]
    assert rates == pytest.approx([1.0, *(after / before for before, after in pairwise(reached))])
    assert answer["conversion_rate"] == pytest.approx(reached[-1] / reached[0])


async def test_a_funnel_that_is_not_there_says_where_the_ids_are(mcp: Mcp) -> None:
    answer = await refused(mcp, "funnel", funnel_id=424242, **DAYS)
    assert told(answer)["code"] == "QUERY_FAILED"
    assert "424242 does not exist" in told(answer)["cause"]
    assert "list_funnels" in told(answer)["fix"]


async def test_retention_counts_who_came_back_from_each_users_own_first_event(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "retention", born_event="Sign Up", return_event="App Open", interval_count=3, **DAYS)
    expected: dict[str, list[set[str]]] = {}
    sizes: Counter[str] = Counter()
    for user, events in by_user(raw_events).items():
        born = next((time for time, name in events if name == "Sign Up"), None)
        if born is None:
            continue
        day = datetime.fromtimestamp(born, UTC).date().isoformat()
        sizes[day] += 1
        back = expected.setdefault(day, [set(), set(), set()])
        for time, name in events:
            interval = int((time - born) // 86400)
            if name == "App Open" and time >= born and interval < 3:  # to the second, as exported
                back[interval].add(user)
    for cohort in answer["cohorts"]:
        if cohort["size"]:
            back = expected[cohort["date"]]
            assert cohort["retention"] == pytest.approx([len(users) / cohort["size"] for users in back])
    assert {one["date"]: one["size"] for one in answer["cohorts"] if one["size"]} == dict(sizes)
    assert answer["return_event"] == "App Open"


async def test_retention_returns_to_the_born_event_unless_told_otherwise(mcp: Mcp) -> None:
    answer = await good(mcp, "retention", born_event="App Open", **DAYS)
    assert answer["return_event"] == "App Open"
    assert {len(cohort["retention"]) for cohort in answer["cohorts"]} == {7}


async def test_jql_runs_a_script_with_its_parameters(mcp: Mcp, raw_events: Raw) -> None:
    script = (
        "function main() { return Events({from_date: params.from, to_date: params.to})"
        '.groupBy(["name"], mixpanel.reducer.count()); }'
    )
    found = await rows(mcp, "jql", script=script, params={"from": FIRST_DAY, "to": LAST_DAY})
    assert {row["key"][0]: row["value"] for row in found} == Counter(event["event"] for event in raw_events)


async def test_a_script_that_does_not_compile_is_shown_where(mcp: Mcp) -> None:
    answer = await refused(mcp, "jql", script="function main() { return Events(; }")
    assert told(answer)["code"] == "JQL_SYNTAX_ERROR"
    assert told(answer)["cause"].startswith("JQL script error: SyntaxError: ")
    assert "return Events(;" in told(answer)["cause"]
    assert "^" in told(answer)["details"]["line_info"]


async def test_property_counts_counts_events_and_users_of_each_value(mcp: Mcp, raw_events: Raw) -> None:
    days = {"from_date": FIRST_DAY, "to_date": "2025-06-22"}
    asked = {"event": "App Open", "property_name": "$os", **days}
    general = await good(mcp, "property_counts", **asked)
    unique = await good(mcp, "property_counts", type="unique", **asked)
    events: Counter[tuple[str, str]] = Counter()
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in raw_events:
        if event["event"] == "App Open" and day_of(event) <= days["to_date"]:
            key = (event["properties"].get("$os", "undefined"), day_of(event))
            events[key] += 1
            users[key].add(event["properties"]["distinct_id"])
    cells = [(value, day) for value, buckets in general["series"].items() for day in buckets]
    assert set(events) <= set(cells)
    assert all(general["series"][value][day] == events[value, day] for value, day in cells)
    assert all(unique["series"][value][day] == len(users[value, day]) for value, day in cells)
    assert general["property_name"] == "$os"


async def test_property_counts_keeps_to_values_and_limit(mcp: Mcp) -> None:
    asked = {"event": "App Open", "property_name": "$browser", **DAYS}
    assert set((await good(mcp, "property_counts", values=["Safari"], **asked))["series"]) == {"Safari"}
    assert len((await good(mcp, "property_counts", limit=2, **asked))["series"]) == 2


async def test_activity_feed_shows_the_latest_of_a_users_events_in_order(mcp: Mcp, raw_events: Raw) -> None:
    busiest, number = Counter(event["properties"]["distinct_id"] for event in raw_events).most_common(2)[-1]
    expected = sorted(
        (event for event in raw_events if event["properties"]["distinct_id"] == busiest),
        key=seconds,
    )
    whole = await good(mcp, "activity_feed", distinct_id=busiest, limit=1000, **DAYS)
    assert sorted((e["properties"]["time"], e["event"]) for e in whole["events"]) == sorted(
        (int(seconds(event)), event["event"]) for event in expected
    )
    assert (whole["event_count"], whole["total_events"], whole["truncated"]) == (number, number, False)
    cut = await good(mcp, "activity_feed", distinct_id=busiest, limit=3, **DAYS)
    assert cut["events"] == whole["events"][-3:]
    assert (cut["event_count"], cut["total_events"], cut["truncated"]) == (3, number, True)
    assert cut["full_result"] in cut["note"]


async def test_frequency_counts_users_by_the_days_on_which_they_were_active(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "frequency", event="App Open", unit="week", addiction_unit="day", **DAYS)
    active: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for event in raw_events:
        if event["event"] == "App Open":
            day = date.fromisoformat(day_of(event))
            monday = (day - timedelta(days=day.weekday())).isoformat()
            active[monday][event["properties"]["distinct_id"]].add(day.isoformat())
    expected = {
        week: [sum(len(days) >= n for days in users.values()) for n in range(1, 8)] for week, users in active.items()
    }
    assert answer["data"] == expected
    assert len(expected) == 2


NOTHING: list[tuple[str, dict[str, Any]]] = [
    ("segmentation", {"event": "Purchse", **DAYS}),
    ("segmentation", {"event": "Purchse", "segment_property": "$os", **DAYS}),
    ("event_counts", {"events": ["App Open", "Purchse"], **DAYS}),
    ("property_counts", {"event": "Purchse", "property_name": "$os", **DAYS}),
    ("retention", {"born_event": "Purchse", **DAYS}),
    ("retention", {"born_event": "App Open", "return_event": "Purchse", **DAYS}),
    ("frequency", {"event": "Purchse", **DAYS}),
    ("stream_events", {"events": ["Purchse"], **DAYS}),
    ("fetch_events", {"events": ["Purchse"], **DAYS}),
]


async def test_a_misspelt_event_is_no_zero(mcp: Mcp) -> None:
    for tool, arguments in NOTHING:
        answer = await refused(mcp, tool, **arguments)
        assert told(answer)["code"] == "EVENT_NOT_FOUND", tool
        assert "Purchase" in told(answer)["fix"], tool
        assert told(answer)["details"]["event_name"] == "Purchse", tool


@pytest.mark.parametrize(
    ("tool", "arguments", "argument"),
    [
        ("segmentation", {"event": "App Open", "segment_property": "browser", **DAYS}, "segment_property"),
        ("property_counts", {"event": "App Open", "property_name": "browser", **DAYS}, "property_name"),
    ],
)
async def test_a_misspelt_property_is_named_as_the_tool_calls_it(
    mcp: Mcp, tool: str, arguments: dict[str, Any], argument: str
) -> None:
    answer = await refused(mcp, tool, **arguments)
    assert told(answer)["code"] == "INVALID_ARGUMENT"
    assert told(answer)["details"]["argument"] == argument
    assert "$browser" in told(answer)["fix"]


async def test_an_event_that_did_not_happen_in_those_days_is_a_zero(mcp: Mcp) -> None:
    answer = await good(mcp, "segmentation", event="Purchase", from_date="2025-01-01", to_date="2025-01-02")
    assert answer["total"] == 0


async def test_a_series_that_is_too_large_keeps_its_largest_segments_and_the_whole_is_kept(mcp: Mcp) -> None:
    days = {"from_date": FIRST_DAY, "to_date": "2025-06-22"}
    asked = {"event": "View Item", "segment_property": "$city", "unit": "hour", **days}
    whole = await good(mcp, "segmentation", **asked)
    assert "truncated" not in whole
    cut = await good(mcp, "segmentation", **asked | {"unit": "minute"})
    assert cut["truncated"] is True
    assert len(json.dumps(cut)) < ANSWER_BYTES * 1.3
    assert cut["total"] == whole["total"]
    assert set(cut["series"]) < set(whole["series"])
    size = {name: sum(buckets.values()) for name, buckets in whole["series"].items()}
    left_out = set(whole["series"]) - set(cut["series"])
    assert min(size[name] for name in cut["series"]) >= max(size[name] for name in left_out)
    assert cut["full_result"] in cut["note"]


ASKED: dict[str, dict[str, Any]] = {
    "list_properties": {"event": "Purchase"},
    "list_property_values": {"event": "Purchase", "property_name": "$os"},
    "list_funnels": {},
    "list_cohorts": {},
    "list_bookmarks": {},
    "top_events": {},
    "segmentation": {"event": "Purchase", **DAYS},
    "funnel": {"funnel_id": 8801, **DAYS},
    "retention": {"born_event": "Sign Up", **DAYS},
    "jql": {
        "script": "function main() { return Events({from_date: params.day, to_date: params.day}) }",
        "params": {"day": LAST_DAY},
    },
    "event_counts": {"events": ["Purchase"], **DAYS},
    "property_counts": {"event": "Purchase", "property_name": "$os", **DAYS},
    "activity_feed": {"distinct_id": "user-000001", **DAYS},
    "frequency": DAYS,
    "fetch_events": {"from_date": LAST_DAY, "to_date": LAST_DAY},
    "fetch_profiles": {},
    "stream_events": DAYS,
    "stream_profiles": {},
}
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "server error": ({"kind": "status", "value": 501}, "SERVER_ERROR"),
    "refused": ({"kind": "status", "value": 401}, "AUTH_FAILED"),
    "a page of HTML": ({"kind": "html", "value": 403}, "QUERY_FAILED"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_mixpanel_does_wrong_is_told_as_such_by_each_tool(mcp: Mcp, emulator: Emulator, fault: str) -> None:
    rule, code = FAULTS[fault]
    with going_wrong(emulator, rule | {"path": "/api/*"}):
        for tool, arguments in ASKED.items():
            answer = await refused(mcp, tool, **arguments)
            assert told(answer)["code"] == code, tool
            assert text_of(answer).count("Error Details:") == 1, tool
            assert len(text_of(answer)) < 8000, tool


async def test_each_tool_asks_what_its_row_says_and_nothing_else(mcp: Mcp, emulator: Emulator) -> None:
    paths = {
        re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(row.url("us", "")))): name for name, row in ENDPOINTS.items()
    }
    specs = {spec.name: spec for spec in TOOLS}
    for tool, arguments in ASKED.items():
        before = emulator.requests()
        await good(mcp, tool, **arguments)
        asked = [request["path"] for request in emulator.requests_since(before)]
        sent = {name for one in asked for path, name in paths.items() if path.fullmatch(one)}
        assert sent, tool
        assert specs[tool].endpoints[0] in sent, tool
        assert sent <= set(specs[tool].endpoints), tool


async def test_no_answer_and_no_line_of_the_log_has_the_secret(
    mcp: Mcp, emulator: Emulator, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    account = emulator.about["account"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    caplog.set_level("INFO")
    caplog.set_level("WARNING", logger="httpx")  # as the command line sets it: it logs URLs, with what was asked
    said: list[str] = []
    for tool, arguments in ASKED.items():
        # whoever knows it may send it: it comes back masked
        for more in ({}, {"where": account["secret"]}, {"script": f"{login} {account['secret']}"}, {"nothing": login}):
            taken = {spec.name: {one.name for one in spec.parameters} for spec in TOOLS}[tool]
            if set(more) <= taken | {"nothing"}:
                answer = await mcp.call_tool(tool, {**arguments, **more}, raise_on_error=False)
                said += [str(answer.content), json.dumps(answer.structured_content)]
    everything = "".join([*said, caplog.text, *capfd.readouterr()])
    assert "audit" in caplog.text
    assert account["secret"] not in everything
    assert login not in everything
