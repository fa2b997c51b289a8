"""Each tool through server, library and emulator over real HTTP; numbers are counted over the raw export lines."""

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from mixpanel_data import Workspace
from tests.mp_mcp_server.calling import DAYS, Mcp, Raw, good, refused, text_of, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.support.brute_force import between, daily_counts, daily_counts_by, day_of
from tests.support.emulator import Emulator

pytestmark = pytest.mark.anyio
EVENT = "Purchase"


async def test_list_events_names_what_occurred_in_order(mcp: Mcp, raw_events: Raw) -> None:
    answer = await mcp.call_tool("list_events")
    expected = sorted({event["event"] for event in raw_events})
    assert answer.structured_content == {"result": expected, "truncated": False}
    assert json.loads(text_of(answer)) == expected
    assert answer.data == expected


async def test_segmentation_counts_each_day(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "segmentation", event=EVENT, **DAYS)
    expected = daily_counts(raw_events, EVENT, FIRST_DAY, LAST_DAY)
    assert sum(expected.values()) > 0
    assert answer == {
        "event": EVENT,
        **DAYS,
        "unit": "day",
        "segment_property": None,
        "total": sum(expected.values()),
        "series": {EVENT: expected},
    }
    assert all(isinstance(count, int) for count in answer["series"][EVENT].values())


async def test_segmentation_splits_by_a_property(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "segmentation", event="App Open", segment_property="$browser", **DAYS)
    assert answer["segment_property"] == "$browser"
    assert answer["series"] == daily_counts_by(raw_events, "App Open", "$browser", FIRST_DAY, LAST_DAY)
    assert len(answer["series"]) > 1


async def test_event_counts_compares_events_by_unit(mcp: Mcp, raw_events: Raw) -> None:
    names = ["App Open", EVENT]
    answer = await good(mcp, "event_counts", events=names, unit="month", **DAYS)
    expected = {name: sum(event["event"] == name for event in raw_events) for name in names}
    assert {name: sum(buckets.values()) for name, buckets in answer["series"].items()} == expected
    assert {key: answer[key] for key in ("events", "unit", "type")} == {
        "events": names,
        "unit": "month",
        "type": "general",
    }


async def test_event_counts_counts_users_when_asked_for_unique(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "event_counts", events=["App Open"], type="unique", **DAYS)
    users: dict[str, set[str]] = {}
    for event in raw_events:
        if event["event"] == "App Open":
            users.setdefault(day_of(event), set()).add(event["properties"]["distinct_id"])
    assert {day: n for day, n in answer["series"]["App Open"].items() if n} == {
        day: len(seen) for day, seen in users.items()
    }


async def test_fetch_events_stores_every_event_once_and_sql_counts_them(mcp: Mcp, raw_events: Raw) -> None:
    events, last = between(raw_events, FIRST_DAY, "2025-06-22"), "2025-06-22"
    fetched = await good(mcp, "fetch_events", table="week", from_date=FIRST_DAY, to_date=last)
    assert fetched["status"] == "completed"
    assert (fetched["table_name"], fetched["row_count"], fetched["days_fetched"]) == ("week", len(events), 3)
    assert (fetched["table"], fetched["rows"], fetched["date_range"]) == ("week", len(events), [FIRST_DAY, last])

    rows = await good(mcp, "sql", query="select event_name, count(*) as n from week group by 1")
    assert {row["event_name"]: row["n"] for row in rows["result"]} == Counter(event["event"] for event in events)
    assert rows["truncated"] is False

    tables = await good(mcp, "list_tables")
    expected = {"name": "week", "type": "events", "row_count": len(events), "fetched_at": fetched["fetched_at"]}
    assert tables == {"result": [expected]}


async def test_fetch_events_keeps_to_the_events_and_the_limit_it_was_given(mcp: Mcp, raw_events: Raw) -> None:
    only = await good(mcp, "fetch_events", events=[EVENT], table="bought", from_date="2025-06-27", to_date=LAST_DAY)
    assert only["row_count"] == len(between(raw_events, "2025-06-27", LAST_DAY, EVENT))
    few = await good(mcp, "fetch_events", limit=7, table="few", **DAYS)
    assert few["row_count"] == 7


async def test_fetch_events_appends_only_what_is_new(mcp: Mcp, raw_events: Raw) -> None:
    first = await good(mcp, "fetch_events", from_date=FIRST_DAY, to_date="2025-06-22")
    more = await good(mcp, "fetch_events", from_date="2025-06-21", to_date="2025-06-23", append=True)
    assert first["row_count"] == len(between(raw_events, FIRST_DAY, "2025-06-22"))
    assert more["row_count"] == len(between(raw_events, "2025-06-23", "2025-06-23"))
    assert more["table_name"] == "events"


async def test_workspace_info_names_project_and_tables(mcp: Mcp, emulator: Emulator) -> None:
    project = emulator.about["project"]
    empty = await good(mcp, "workspace_info")
    assert empty == {"project_id": str(project["id"]), "region": project["region"], "tables": [], "budget": {}}
    await good(mcp, "fetch_events", limit=3, **DAYS)
    assert [table["row_count"] for table in (await good(mcp, "workspace_info"))["tables"]] == [3]


async def test_sql_says_when_rows_are_left_out(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", limit=5, **DAYS)
    answer = await mcp.call_tool("sql", {"query": "select * from range(50) as t(n) order by n", "limit": 20})
    assert answer.data == [{"n": n} for n in range(20)]
    assert told(answer)["truncated"] is True
    assert json.loads(text_of(answer)) == answer.data
    assert text_of(answer, 1) == told(answer)["note"]
    assert "first 20 rows" in told(answer)["note"]
    whole = await mcp.call_tool("sql", {"query": "select * from range(20)", "limit": 20})
    assert told(whole)["truncated"] is False
    assert len(whole.content) == 1


async def test_sql_bounds_the_size_of_an_answer(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", limit=5, **DAYS)
    answer = await good(mcp, "sql", query="select repeat('x', 1000) as text from range(5000)", limit=10000)
    assert answer["truncated"] is True
    assert 100 < len(answer["result"]) < 300


async def test_sql_keeps_columns_of_the_same_name_apart(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", limit=5, **DAYS)
    answer = await good(mcp, "sql", query="select 1 as a, 2 as a, 3 as a_1, 4 as a")
    assert answer["result"] == [{"a": 1, "a_2": 2, "a_1": 3, "a_3": 4}]


@pytest.mark.parametrize(
    "statement", ["drop table events", "copy events to 'out.csv'", "select 1; select 2", "select * from 'events.csv'"]
)
async def test_sql_neither_writes_nor_reaches_files(mcp: Mcp, statement: str) -> None:
    await good(mcp, "fetch_events", limit=5, **DAYS)
    answer = await refused(mcp, "sql", query=statement)
    assert told(answer)["code"] == "QUERY_FAILED"
    assert "query error" in text_of(answer).lower()
    assert (await good(mcp, "list_tables"))["result"][0]["row_count"] == 5


async def test_every_call_to_mixpanel_says_that_this_server_sends_it(mcp: Mcp, emulator: Emulator) -> None:
    before = emulator.requests()
    await mcp.call_tool("list_events")
    await mcp.call_tool("segmentation", {"event": EVENT, **DAYS})
    await mcp.call_tool("event_counts", {"events": [EVENT], **DAYS})
    await mcp.call_tool("fetch_events", {**DAYS, "limit": 5})
    sent = emulator.requests_since(before)
    assert [request["path"].rpartition("/")[2] for request in sent] == ["names", "segmentation", "events", "export"]
    for request in sent:
        headers = {name.lower(): value for name, value in request["headers"].items()}
        assert headers["internal-source"] == "mp-mcp-server"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("segmentation", {"event": EVENT, "from_date": "2025-02-30", "to_date": LAST_DAY}, "'2025-02-30' is not a day"),
        ("segmentation", {"event": EVENT, "from_date": "20250601", "to_date": LAST_DAY}, "write it as YYYY-MM-DD"),
        ("segmentation", {"event": EVENT, "from_date": LAST_DAY, "to_date": FIRST_DAY}, "from_date"),
        ("segmentation", {"event": EVENT, "from_date": FIRST_DAY}, "to_date is missing"),
        ("segmentation", {"event": EVENT, **DAYS, "unit": "year"}, "unit: should be 'minute', 'hour'"),
        ("segmentation", {"event": EVENT, **DAYS, "segment_propety": "$os"}, "did you mean segment_property?"),
        ("event_counts", {"events": [], **DAYS}, "events"),
        ("event_counts", {"events": EVENT, **DAYS}, "events: should be a valid array"),
        ("fetch_events", {**DAYS, "limit": 0}, "limit"),
        ("fetch_events", {**DAYS, "limit": "5"}, "limit: should be a valid integer"),
        ("fetch_events", {**DAYS, "table": "bad-name"}, "bad-name"),
        ("sql", {"query": ""}, "query"),
        ("list_tables", {"verbose": True}, "verbose is not an argument"),
    ],
)
async def test_a_wrong_argument_is_named_and_so_is_what_would_be_right(
    mcp: Mcp, tool: str, arguments: dict[str, Any], says: str
) -> None:
    answer = await refused(mcp, tool, **arguments)
    assert told(answer)["code"] == "INVALID_ARGUMENT"
    assert says in text_of(answer)


async def test_a_wrong_tool_name_gets_the_nearest_ones(mcp: Mcp) -> None:
    answer = await refused(mcp, "list_event")
    assert told(answer)["code"] == "UNKNOWN_TOOL"
    assert "list_events" in told(answer)["fix"]


async def test_an_existing_table_is_left_as_it_is(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", limit=5, **DAYS)
    answer = await refused(mcp, "fetch_events", **DAYS)
    assert told(answer)["code"] == "TABLE_EXISTS"
    assert "table exists" in text_of(answer).lower()
    assert (await good(mcp, "list_tables"))["result"][0]["row_count"] == 5


async def test_appending_to_nothing_says_what_is_missing(mcp: Mcp) -> None:
    answer = await refused(mcp, "fetch_events", table="nowhere", append=True, **DAYS)
    assert told(answer)["code"] == "TABLE_NOT_FOUND"
    assert "list_tables" in text_of(answer)


async def test_more_than_a_hundred_days_are_refused_with_the_number(mcp: Mcp) -> None:
    answer = await refused(mcp, "fetch_events", from_date="2025-01-01", to_date="2025-04-11")
    assert told(answer)["code"] == "DATE_RANGE_TOO_LARGE"
    assert "101 days requested" in told(answer)["cause"]
    assert "Maximum date range is 100 days" in text_of(answer)


async def test_sql_before_any_fetch_says_to_fetch(mcp: Mcp) -> None:
    answer = await refused(mcp, "sql", query="select 1")
    assert told(answer)["code"] == "DATABASE_NOT_FOUND"
    assert "fetch_events" in text_of(answer)


async def test_what_mixpanel_refuses_comes_with_its_own_words(mcp: Mcp) -> None:
    answer = await refused(mcp, "segmentation", event=EVENT, segment_property='properties["a"] +', **DAYS)
    assert told(answer)["code"] == "QUERY_FAILED"
    assert told(answer)["cause"].startswith("Query error (HTTP 400): ")


async def test_wrong_credentials_are_named_without_the_secret(mcp: Mcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_SECRET", "canary-7f3a")
    answer = await refused(mcp, "list_events")
    assert told(answer)["code"] == "AUTH_FAILED"
    assert "authentication failed" in text_of(answer).lower()
    assert "canary-7f3a" not in text_of(answer) + json.dumps(told(answer))


async def test_an_error_that_nobody_foresaw_is_told_and_logged_without_the_secret(
    mcp: Mcp, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account = emulator.about["account"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()

    def broken(_workspace: Workspace) -> list[str]:
        raise RuntimeError(f"sent {login} for {account['secret']}")

    monkeypatch.setattr(Workspace, "events", broken)
    answer = await refused(mcp, "list_events")
    assert told(answer)["cause"] == "Unexpected error: RuntimeError: sent *** for ***"
    everything = text_of(answer) + json.dumps(told(answer)) + caplog.text
    assert "broken" in caplog.text
    assert account["secret"] not in everything
    assert login not in everything


async def test_an_unreachable_mixpanel_is_an_answer_too(mcp: Mcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_BASE_URL", "http://127.0.0.1:9")
    answer = await refused(mcp, "list_events")
    assert told(answer)["code"] == "HTTP_ERROR"
    assert "MP_API_BASE_URL" in text_of(answer)


async def test_without_credentials_api_tools_say_what_to_set(mcp_without_credentials: Mcp) -> None:
    answer = await refused(mcp_without_credentials, "list_events")
    assert told(answer)["code"] == "CONFIG_ERROR"
    assert "MP_USERNAME" in told(answer)["fix"]


async def test_without_credentials_local_tools_work_on_the_store(
    mcp: Mcp, no_credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await good(mcp, "fetch_events", limit=9, **DAYS)
    for name in ("MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_REGION"):
        monkeypatch.delenv(name)
    from mp_mcp_server.server import Settings, build

    async with Client(build(Settings(db=tmp_path / "store.db"))) as alone:
        assert (await good(alone, "sql", query="select count(*) as n from events"))["result"] == [{"n": 9}]
        info = await good(alone, "workspace_info")
        assert (info["project_id"], info["region"], info["tables"][0]["row_count"]) == (None, None, 9)
        assert told(await refused(alone, "fetch_events", **DAYS))["code"] == "CONFIG_ERROR"


async def test_credentials_that_come_later_are_found(
    mcp_without_credentials: Mcp, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refused(mcp_without_credentials, "list_events")
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    assert (await good(mcp_without_credentials, "list_events"))["result"]
