"""Each tool meets each class of error that it can meet, through server, library and emulator, and tells which it is.

Which it can meet follows from its row of the catalogue; of what is otherwise, there is a table.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mixpanel_data import MixpanelAPIClient
from mixpanel_data.local import store
from mp_mcp_server.catalogue import TOOLS
from tests.mp_mcp_server.calling import DAYS, Mcp, good, refused, told
from tests.mp_mcp_server.conftest import LAST_DAY, environment, running_server
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong
from tests.support.mcp_wire import body, headers, message_of

pytestmark = pytest.mark.anyio

BY_NAME = {spec.name: spec for spec in TOOLS}
ASKING = [spec.name for spec in TOOLS if spec.needs_credentials]
OF_A_TABLE = [spec.name for spec in TOOLS if spec.category == "local" and "table" in spec.example]
LOCAL = [spec.name for spec in TOOLS if spec.category == "local"]
# Where a question goes to a person first, the answer to it.
MORE: Mapping[str, dict[str, Any]] = {"guided_analysis": {"focus_area": "retention"}}

EXPORTS = ("fetch_events", "stream_events")

# What goes wrong at Mixpanel, the code that tells it, and tools that tell it by another one.
FAULTS: Mapping[str, tuple[dict[str, Any], str, Mapping[str, str]]] = {
    "401": ({"kind": "status", "value": 401}, "AUTH_FAILED", {}),
    "403": ({"kind": "status", "value": 403}, "QUERY_FAILED", {}),
    "429, and when to come again": ({"kind": "rate_limited", "value": "seconds"}, "RATE_LIMITED", {}),
    "429 without a word": ({"kind": "rate_limited", "value": "absent"}, "RATE_LIMITED", {}),
    "500": ({"kind": "status", "value": 500}, "SERVER_ERROR", {}),
    "503 with no body": ({"kind": "empty", "value": 503}, "SERVER_ERROR", {}),
    "an error under a 200": ({"kind": "error_as_200"}, "QUERY_FAILED", dict.fromkeys(EXPORTS, "EXPORT_INCOMPLETE")),
    "no answer in time": ({"kind": "latency", "value": 1500}, "HTTP_ERROR", {}),
    "a body that breaks off": (
        {"kind": "cut", "value": 1},
        "HTTP_ERROR",
        dict.fromkeys([*EXPORTS, "fetch_profiles"], "EXPORT_INCOMPLETE"),
    ),
}


def arguments(tool: str) -> dict[str, Any]:
    example = BY_NAME[tool].example
    return {**example, **{name: day for name, day in DAYS.items() if name in example}, **MORE.get(tool, {})}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that tries once and does not wait long: what it does otherwise is its own tests' affair."""
    defaults = MixpanelAPIClient.__init__.__kwdefaults__
    assert defaults is not None
    for name, value in {"max_retries": 0, "timeout": 0.3, "export_timeout": 0.3}.items():
        monkeypatch.setitem(defaults, name, value)


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_goes_wrong_at_mixpanel(impatient: None, mcp: Mcp, emulator: Emulator, fault: str) -> None:
    rule, usual, otherwise = FAULTS[fault]
    found = {}
    with going_wrong(emulator, rule | {"path": "/api/*"}):
        for tool in ASKING:
            answer = told(await refused(mcp, tool, **arguments(tool)))
            found[tool] = answer["code"]
            assert (answer["retry_after_s"] is not None) == (fault == "429, and when to come again"), tool
    assert found == {tool: otherwise.get(tool, usual) for tool in ASKING}


async def test_an_argument_that_there_is_not(mcp_without_credentials: Mcp) -> None:
    for tool in BY_NAME:
        answer = told(await refused(mcp_without_credentials, tool, **arguments(tool), nonsense=1))
        assert answer["code"] == "INVALID_ARGUMENT", tool
        assert "nonsense" in answer["cause"], tool


async def test_an_argument_of_another_kind(mcp_without_credentials: Mcp) -> None:
    for tool, spec in BY_NAME.items():
        for name in [parameter.name for parameter in spec.parameters][:1]:
            wrong = {**arguments(tool), name: {"of": ["another", "kind"]}}
            answer = told(await refused(mcp_without_credentials, tool, **wrong))
            assert answer["code"] == "INVALID_ARGUMENT", tool
            assert [one["name"] for one in answer["details"]["arguments"]] == [name], tool


async def test_no_credentials(mcp_without_credentials: Mcp) -> None:
    for tool in ASKING:
        answer = told(await refused(mcp_without_credentials, tool, **arguments(tool)))
        assert answer["code"] == "CONFIG_ERROR", tool
        assert "MP_USERNAME" in answer["fix"], tool


async def test_a_table_that_there_is_not(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", table="other", **DAYS)
    for tool in OF_A_TABLE:
        answer = told(await refused(mcp, tool, **{**arguments(tool), "table": "no_such"}))
        assert answer["code"] == "TABLE_NOT_FOUND", tool
        assert "no_such" in answer["cause"], tool
    for tool in ("sql", "sql_scalar"):
        answer = told(await refused(mcp, tool, query="select count(*) from no_such"))
        assert answer["code"] == "QUERY_FAILED", tool
        assert "no_such" in answer["cause"], tool
    for tool in ("fetch_events", "fetch_profiles"):
        answer = told(await refused(mcp, tool, **{**arguments(tool), "table": "no_such", "append": True}))
        assert answer["code"] == "TABLE_NOT_FOUND", tool


async def test_a_table_that_is_there_already(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", table="there", **DAYS)
    for tool in ("fetch_events", "fetch_profiles", "safe_large_fetch"):
        answer = told(await refused(mcp, tool, **{**arguments(tool), "table": "there"}))
        assert answer["code"] == "TABLE_EXISTS", tool
        assert "there" in answer["cause"], tool


async def test_a_store_that_another_process_keeps(mcp: Mcp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await good(mcp, "fetch_events", **DAYS)
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(tmp_path / "store.db")]
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0.1)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            for tool in [*LOCAL, "workspace_info"]:
                answer = told(await refused(mcp, tool, **arguments(tool)))
                assert answer["code"] == "DATABASE_LOCKED", tool
                assert str(other.pid) in answer["fix"], tool
        finally:
            other.kill()


def test_every_tool_is_met_by_what_it_can_meet() -> None:
    local = {spec.name for spec in TOOLS if not spec.needs_credentials}
    assert set(ASKING) | local == set(BY_NAME)
    assert local == {*LOCAL, "workspace_info"}
    assert set(LOCAL) - set(OF_A_TABLE) == {"sql", "sql_scalar", "list_tables", "drop_all_tables"}


# As JSON says it, in an argument and in an argument's name.
HALVES = ("\\ud800", "\\udc00\\ud800", "a\\udfff")


def test_half_a_character_is_named_and_breaks_no_answer(emulator: Emulator, tmp_path: Path) -> None:
    """JSON can say it, and nothing can write it."""
    options = ("--transport", "http", "--db", str(tmp_path / "store.db"))
    with (
        running_server(environment(tmp_path, **emulator.environment, MP_NOW=LAST_DAY), *options) as server,
        httpx.Client(timeout=120, trust_env=False) as client,
    ):
        for number, (tool, spec) in enumerate(BY_NAME.items()):
            half = HALVES[number % len(HALVES)]
            for name in [*(parameter.name for parameter in spec.parameters), half]:
                asked = body(tool, {**arguments(tool), "HERE": ["THIS"]}).decode()
                asked = asked.replace("HERE", name).replace("THIS", half)
                answer = client.post(server.url, content=asked.encode(), headers=headers(tool))
                told = message_of(answer.text)["result"]["structuredContent"]
                assert (told["code"], told["details"]["arguments"][0]["name"]) == ("INVALID_ARGUMENT", name), tool
                assert "half a character" in told["cause"], tool
                assert told["fix"], tool


async def test_what_is_too_long_for_a_url(mcp: Mcp, emulator: Emulator) -> None:
    before = emulator.requests()
    for tool, text in {
        "segmentation": "x" * 100_000,
        "fetch_events": "é" * 20_000,
        "stream_events": " " * 70_000,
    }.items():
        event = {"event": "Search"} if tool == "segmentation" else {}
        answer = told(await refused(mcp, tool, where=text, **event, **DAYS))
        assert (answer["code"], answer["details"]["argument"]) == ("INVALID_ARGUMENT", "where"), tool
        assert f"it is too long to be asked for ({len(text):,} characters)" in answer["cause"], tool
    asked = [one["path"].rpartition("/")[2] for one in emulator.requests_since(before)]
    assert {"export", "segmentation"} & set(asked) == set()
