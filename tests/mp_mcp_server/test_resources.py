"""Each resource and template through server, library and emulator; numbers are counted over the raw export lines."""

import base64
import json
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastmcp import Client, FastMCP
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from mp_mcp_server.catalogue import TOOLS
from mp_mcp_server.resources import RESOURCES
from mp_mcp_server.server import Settings, build
from tests.mp_mcp_server.calling import DAYS, Mcp, Raw, good
from tests.mp_mcp_server.conftest import LAST_DAY
from tests.support.brute_force import daily_counts, day_of
from tests.support.emulator import Emulator

pytestmark = pytest.mark.anyio

FIXED = [
    "workspace://info",
    "workspace://tables",
    "schema://events",
    "schema://funnels",
    "schema://cohorts",
    "schema://bookmarks",
    "recipes://weekly-review",
    "recipes://churn-investigation",
]
TEMPLATES = [
    "analysis://retention/{event}/weekly",
    "analysis://trends/{event}/{days}",
    "users://{user_id}/journey",
    "result://{result_id}{?offset,limit}",
]
WEEK_S = 7 * 24 * 3600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> FastMCP:
    """One for all tests that do not look at the store; what it opens, it opens anew for each."""
    return build(Settings(db=tmp_path_factory.mktemp("resources") / "store.db"))


@pytest.fixture
async def reading(credentials: None, server: FastMCP) -> AsyncIterator[Mcp]:
    async with Client(server) as client:
        yield client


async def read(mcp: Mcp, uri: str) -> Any:
    """The JSON of a resource."""
    [content] = await mcp.read_resource(uri)
    assert content.mime_type == "application/json"
    return json.loads(content.text)  # type: ignore[union-attr]


async def unread(mcp: Mcp, uri: str) -> dict[str, Any]:
    """The data of the error of a resource that cannot be read."""
    with pytest.raises(MCPError) as caught:
        await mcp.read_resource(uri)
    error = caught.value.error
    assert error.code == INTERNAL_ERROR
    assert isinstance(error.data, dict)
    assert {"code", "message", "fix", "retry_after_s"} <= set(error.data)
    return error.data


async def test_the_contracts_resources_are_there_and_say_what_they_are(mcp_without_credentials: Mcp) -> None:
    listed = await mcp_without_credentials.list_resources()
    assert [str(one.uri) for one in listed] == FIXED
    templates = await mcp_without_credentials.list_resource_templates()
    assert [one.uri_template for one in templates] == TEMPLATES
    assert all(len(one.description or "") > 20 and one.mime_type == "application/json" for one in listed)
    assert all(len(one.description or "") > 20 and one.mime_type == "application/json" for one in templates)
    assert len({spec.name for spec in RESOURCES}) == len(RESOURCES)


async def test_workspace_info_tells_where_it_looks(mcp: Mcp, emulator: Emulator) -> None:
    info = await read(mcp, "workspace://info")
    assert set(info) == {"project_id", "region", "account", "path", "size_mb", "created_at", "tables"}
    assert info["project_id"] == str(emulator.about["project"]["id"])
    assert info["path"].endswith("store.db")
    assert (info["size_mb"], info["tables"]) == (None, [])


async def test_local_tables_are_never_stale(mcp: Mcp) -> None:
    assert await read(mcp, "workspace://tables") == []
    await good(mcp, "fetch_events", limit=5, **DAYS)
    [table] = await read(mcp, "workspace://tables")
    assert (table["name"], table["row_count"]) == ("events", 5)
    assert [one["name"] for one in (await read(mcp, "workspace://info"))["tables"]] == ["events"]
    await good(mcp, "fetch_events", limit=3, table="more", **DAYS)
    assert [one["row_count"] for one in await read(mcp, "workspace://tables")] == [5, 3]
    await good(mcp, "drop_table", table="events")
    assert [one["name"] for one in await read(mcp, "workspace://tables")] == ["more"]
    assert [one["name"] for one in (await read(mcp, "workspace://info"))["tables"]] == ["more"]


async def test_the_schema_is_the_projects(reading: Mcp, raw_events: Raw) -> None:
    assert await read(reading, "schema://events") == sorted({event["event"] for event in raw_events})
    funnels = await read(reading, "schema://funnels")
    assert {"funnel_id", "name"} == set(funnels[0])
    assert (await good(reading, "list_funnels"))["result"] == funnels
    cohorts = await read(reading, "schema://cohorts")
    assert set(cohorts[0]) == {"id", "name", "count", "description", "created", "is_visible"}
    assert (await good(reading, "list_cohorts"))["result"] == cohorts
    bookmarks = await read(reading, "schema://bookmarks")
    assert bookmarks["total_count"] == len(bookmarks["bookmarks"]) > 0
    assert bookmarks["truncated"] is False


async def test_recipes_name_tools_that_exist_and_days_that_are_over(reading: Mcp) -> None:
    review = await read(reading, "recipes://weekly-review")
    assert set(review) == {
        "name",
        "description",
        "current_period",
        "comparison_period",
        "checklist",
        "report_template",
    }
    assert review["current_period"] == {"from_date": "2025-06-22", "to_date": "2025-06-28"}
    assert review["comparison_period"] == {"from_date": "2025-06-15", "to_date": "2025-06-21"}
    churn = await read(reading, "recipes://churn-investigation")
    assert set(churn) == {"name", "description", "analysis_period", "phases", "benchmarks"}
    assert churn["analysis_period"] == {"from_date": "2025-03-31", "to_date": "2025-06-28"}
    steps = [*review["checklist"], *(step for phase in churn["phases"] for step in phase["steps"])]
    assert {step["tool"] for step in steps} <= {spec.name for spec in TOOLS}


async def test_weekly_retention_counts_who_did_it_again(reading: Mcp, raw_events: Raw) -> None:
    answer = await read(reading, "analysis://retention/App%20Open/weekly")
    assert {key: answer[key] for key in ("event", "period", "weeks")} == {
        "event": "App Open",
        "period": "weekly",
        "weeks": 12,
    }
    assert (answer["from_date"], answer["to_date"]) == ("2025-04-07", LAST_DAY)
    times: dict[str, list[float]] = {}
    for event in raw_events:
        if event["event"] == "App Open":
            properties = event["properties"]
            times.setdefault(properties["distinct_id"], []).append(seconds(properties["time"]))
    expected: dict[str, list[int]] = {}
    for moments in times.values():
        first, *later = sorted(moments)
        day = datetime.fromtimestamp(first, UTC).date()
        cohort = expected.setdefault((day - timedelta(days=day.weekday())).isoformat(), [0, 0, 0])
        cohort[0] += 1
        for week in {int((moment - first) // WEEK_S) for moment in later}:
            cohort[1 + week] += 1
    found = {
        cohort["date"]: [cohort["size"], *(round(share * cohort["size"]) for share in cohort["retention"][:2])]
        for cohort in answer["data"]["cohorts"]
        if cohort["size"]
    }
    assert found == expected
    assert sum(size for size, *_ in expected.values()) > 100


def seconds(time: float) -> float:
    return time / 1000 if time > 10**11 else time


async def test_trends_count_each_of_so_many_days(reading: Mcp, raw_events: Raw) -> None:
    clamped = {"1": 1, "0": 7, "-3": 7, "9999": 365, "abc": 30, "1.5": 30, "٣": 30, "9" * 5000: 30}
    for said, days in clamped.items():
        answer = await read(reading, f"analysis://trends/Purchase/{quote(said)}")
        first = (date.fromisoformat(LAST_DAY) - timedelta(days=days - 1)).isoformat()
        assert {key: answer[key] for key in ("event", "days", "from_date", "to_date", "unit")} == {
            "event": "Purchase",
            "days": days,
            "from_date": first,
            "to_date": LAST_DAY,
            "unit": "day",
        }
        expected = daily_counts(raw_events, "Purchase", first, LAST_DAY)
        assert answer["data"]["series"] == {"Purchase": expected}
        assert answer["data"]["total"] == sum(expected.values()) > 0


async def test_a_journey_has_the_users_latest_events(reading: Mcp, raw_events: Raw) -> None:
    by_user = Counter(event["properties"]["distinct_id"] for event in raw_events)
    for user, number in [by_user.most_common(1)[0], by_user.most_common()[-1]]:
        answer = await read(reading, f"users://{quote(user, safe='')}/journey")
        own = [event for event in raw_events if event["properties"]["distinct_id"] == user]
        assert answer["distinct_id"] == user
        assert answer["period"] == {"from_date": "2025-04-01", "to_date": LAST_DAY}
        assert answer["summary"]["total_events"] == number == len(own)
        assert answer["summary"]["event_breakdown"] == Counter(event["event"] for event in own)
        assert answer["summary"]["unique_events"] == len({event["event"] for event in own})
        assert len(answer["events"]) == min(number, 100)
        assert answer["truncated"] is (number > 100)
        assert answer["events"][-1]["time"][:10] == max(map(day_of, own))


async def test_a_long_journey_is_cut_and_says_so(reading: Mcp, emulator: Emulator, raw_events: Raw) -> None:
    user, token = "someone/with a strange: id", emulator.about["project"]["token"]
    time = int(seconds(raw_events[0]["properties"]["time"]))
    sent = [
        {
            "event": "Search",
            "properties": {"token": token, "distinct_id": user, "time": time + n, "$insert_id": f"long-journey-{n}"},
        }
        for n in range(120)
    ]
    try:
        emulator_import(emulator, sent)
        answer = await read(reading, f"users://{quote(user, safe='')}/journey")
    finally:
        emulator.tell("POST", "reset", {})
    assert (answer["summary"]["total_events"], len(answer["events"]), answer["truncated"]) == (120, 100, True)
    assert [event["properties"]["$insert_id"] for event in answer["events"]] == [
        f"long-journey-{n}" for n in range(20, 120)
    ]


def emulator_import(emulator: Emulator, events: list[dict[str, Any]]) -> None:
    """Send events in, as a client of Mixpanel would."""
    account, project = emulator.about["account"], emulator.about["project"]["id"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{emulator.url}/import?strict=1&project_id={project}",
        json.dumps(events).encode(),
        {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        assert json.load(answer)["num_records_imported"] == len(events)


async def test_an_event_that_is_not_there_is_an_error_with_the_nearest(reading: Mcp) -> None:
    for uri in ("analysis://retention/{}/weekly", "analysis://trends/{}/7"):
        for name in ("Purchse", "../../etc/passwd", '"; drop table events; --', "a/b", "x" * 300):
            error = await unread(reading, uri.format(quote(name, safe="")))
            assert error["code"] == "EVENT_NOT_FOUND"
            assert "Purchase" in error["fix"] or name != "Purchse"


async def test_a_user_who_did_nothing_has_an_empty_journey(reading: Mcp) -> None:
    answer = await read(reading, "users://..%2F..%2Fnobody/journey")
    assert answer["distinct_id"] == "../../nobody"
    assert answer["summary"] == {"total_events": 0, "unique_events": 0, "event_breakdown": {}}


async def test_a_result_that_was_cut_can_be_read_piece_by_piece(reading: Mcp, raw_events: Raw) -> None:
    answer = await good(reading, "stream_events", limit=100_000, **DAYS)
    assert answer["truncated"]
    uri, rows = answer["full_result"], []
    while uri is not None:
        page = await read(reading, uri)
        rows += page["rows"]
        uri = page["next"]
    ids = Counter(row["properties"]["$insert_id"] for row in rows)
    assert ids == Counter(event["properties"]["$insert_id"] for event in raw_events)
    [piece] = (await read(reading, f"{answer['full_result']}?offset=3&limit=1"))["rows"]
    assert piece == rows[3]


async def test_a_result_that_is_not_there_says_so(mcp_without_credentials: Mcp) -> None:
    error = await unread(mcp_without_credentials, "result://nothing")
    assert error["code"] == "RESULT_NOT_FOUND"
    assert "call the tool again" in error["fix"]


async def test_without_credentials_only_what_asks_mixpanel_fails(mcp_without_credentials: Mcp) -> None:
    error = await unread(mcp_without_credentials, "workspace://tables")
    assert error["code"] == "DATABASE_NOT_FOUND"
    assert "fetch_events" in error["fix"]
    assert (await read(mcp_without_credentials, "recipes://weekly-review"))["checklist"]
    for uri in ("schema://events", "analysis://trends/Purchase/7", "users://someone/journey"):
        error = await unread(mcp_without_credentials, uri)
        assert error["code"] == "CONFIG_ERROR"
        assert "MP_USERNAME" in error["fix"]


async def test_without_credentials_the_local_store_is_shown(
    mcp: Mcp, no_credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await good(mcp, "fetch_events", limit=9, **DAYS)
    for name in ("MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_REGION"):
        monkeypatch.delenv(name)
    async with Client(build(Settings(db=tmp_path / "store.db"))) as alone:
        assert [one["row_count"] for one in await read(alone, "workspace://tables")] == [9]
        assert (await read(alone, "workspace://info"))["project_id"] is None


async def test_wrong_credentials_are_named_without_the_secret(
    mcp: Mcp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MP_SECRET", "canary-5d1e")
    with pytest.raises(MCPError) as caught:
        await mcp.read_resource("schema://events")
    error = caught.value.error
    assert (error.code, error.data["code"]) == (INTERNAL_ERROR, "AUTH_FAILED")
    assert "canary-5d1e" not in json.dumps(error.data) + error.message + caplog.text
    assert "Traceback" not in caplog.text


async def test_a_uri_that_is_not_there_is_refused(mcp_without_credentials: Mcp) -> None:
    for uri in ("schema://nothing", "users://someone", "analysis://trends/Purchase"):
        with pytest.raises(MCPError) as caught:
            await mcp_without_credentials.read_resource(uri)
        assert caught.value.error.code == INVALID_PARAMS
