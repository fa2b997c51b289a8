"""Calls that wait, long calls that move among the fetches, and calls that nobody waits for any more."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
import pytest
from fastmcp import Client
from typing_extensions import TypedDict

from mixpanel_data import Workspace
from mp_mcp_server.call import Call, Elsewhere
from mp_mcp_server.catalogue import ToolSpec
from mp_mcp_server.server import Settings, build
from mp_mcp_server.tools import interactive
from tests.mp_mcp_server.calling import DAYS, good
from tests.mp_mcp_server.conftest import environment, running_server
from tests.mp_mcp_server.test_fetch import Listener
from tests.support import mcp_wire
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong

pytestmark = pytest.mark.anyio

DEADLINE_S = 60.0
CALLERS = 40
FETCHES = 4  # at once


class Done(TypedDict):
    counted: int


class Movers:
    """A tool that counts first, moves among the fetches then, and stays there until it is let go."""

    def __init__(self) -> None:
        self.counted = self.fetching = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def spec(self) -> ToolSpec:
        def move(call: Call) -> Done:
            """Count, and fetch.

            Args:
                call: of this tool

            Returns:
                How often it counted.
            """
            counted = call.once("count", self._count)
            call.go_on_as("fetch")
            with self._lock:
                self.fetching += 1
            assert self.go_on.wait(DEADLINE_S)
            return {"counted": counted}

        return ToolSpec(move, "interactive", read_only=True)

    def _count(self) -> int:
        with self._lock:
            self.counted += 1
            return self.counted


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE_S):
        while not true():
            await anyio.sleep(0.01)


async def test_a_fetch_of_an_interactive_tool_takes_a_thread_of_the_fetches(credentials: None, tmp_path: Path) -> None:
    movers, callers = Movers(), FETCHES + 3
    told: list[Any] = []
    async with (
        Client(build(Settings(db=tmp_path / "store.db"), [movers.spec()])) as client,
        anyio.create_task_group() as group,
    ):

        async def move() -> None:
            told.append((await client.call_tool("move")).structured_content)

        for _ in range(callers):
            group.start_soon(move)
        # all have counted: who waits for a thread of the fetches holds none of the interactive tools'
        await until(lambda: movers.counted == callers and movers.fetching == FETCHES)
        movers.go_on.set()
    assert sorted(one["counted"] for one in told) == list(range(1, callers + 1)), "nothing is computed twice"
    assert movers.fetching == callers


def test_safe_large_fetch_moves_when_it_has_counted(credentials: None, tmp_path: Path) -> None:
    with Workspace(path=tmp_path / "store.db") as workspace:
        call = Call(workspace, Listener(), category="interactive")
        with pytest.raises(Elsewhere, match="fetch"):
            interactive.safe_large_fetch(call, **DAYS)
        assert "estimate" in call.known
        assert workspace.tables() == []
        there = Call(workspace, Listener(), known=call.known, category="fetch")
        told = interactive.safe_large_fetch(there, **DAYS)
        assert told["actual_count"] == told["estimated_count"] == workspace.tables()[0].row_count


WAITING: dict[str, dict[str, Any]] = {
    "segmentation": {"event": "Purchase", **DAYS},
    "product_health_dashboard": {},
    "diagnose_metric_drop": {"event": "Purchase", "date": DAYS["to_date"]},
}


@pytest.mark.parametrize("tool", WAITING)
async def test_calls_that_wait_for_the_budget_stall_no_local_sql(
    credentials: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tool: str
) -> None:
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
        await good(client, "fetch_events", **DAYS)
    monkeypatch.setenv("MP_RATE_LIMITS", "query=1/second, jql=1/second")
    ended, before = 0, emulator.requests()
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client, anyio.create_task_group() as group:

        async def ask(number: int) -> None:
            nonlocal ended
            await client.call_tool(tool, WAITING[tool], raise_on_error=False)
            ended += 1

        for number in range(CALLERS):
            group.start_soon(ask, number)
        # the budget of the first two seconds is spent
        await until(lambda: len(emulator.requests_since(before)) > 2)
        for _ in range(5):
            await good(client, "sql", query="select count(*) from events")
            await good(client, "list_tables")
            # the local ones waited for none of them
            assert ended < CALLERS
        group.cancel_scope.cancel()


HUNG_UP: list[tuple[str, dict[str, Any]]] = [
    ("fetch_events", {}),
    ("fetch_events", {"parallel": True}),
    ("safe_large_fetch", {"proceed": True}),
]


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_who_hangs_up_ends_the_fetch(emulator: Emulator, tmp_path: Path, era: str) -> None:
    home = tmp_path / "store"
    home.mkdir()
    env = environment(tmp_path, **emulator.environment, MP_NOW=DAYS["to_date"])
    with (
        running_server(env, "--transport", "http", "--db", str(home / "store.db")) as server,
        going_wrong(emulator, {"kind": "stall", "value": 2000, "path": "*/export"}),
    ):
        for tool, more in HUNG_UP:
            headers = mcp_wire.headers(tool)
            if era == "handshake":
                headers = {name: value for name, value in headers.items() if not name.startswith("Mcp-")}
                headers["MCP-Protocol-Version"] = "2025-06-18"
            body = mcp_wire.body(tool, {"from_date": DAYS["to_date"], "to_date": DAYS["to_date"], **more})
            async with httpx.AsyncClient(timeout=DEADLINE_S) as client, anyio.create_task_group() as group:
                group.start_soon(partial(client.post, server.url, content=body, headers=headers))
                await until(lambda: any("export" in one.name or "spool" in one.name for one in home.rglob("*")))
                group.cancel_scope.cancel()
            await until(lambda: not list(home.iterdir()))
        async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
            content = mcp_wire.body("list_tables", {})
            answer = await client.post(server.url, content=content, headers=mcp_wire.headers("list_tables"))
        assert mcp_wire.result_of(answer.text)["structuredContent"] == {"result": []}


@pytest.mark.parametrize(("zone", "confidence"), [("UTC", "high"), ("Asia/Kolkata", "medium")])
def test_an_estimate_is_less_sure_where_days_are_not_those_of_the_export(
    credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, zone: str, confidence: str
) -> None:
    monkeypatch.setattr(Workspace, "time_zone", lambda _self: ZoneInfo(zone))
    with Workspace(path=tmp_path / "store.db") as workspace:
        call = Call(workspace, Listener())
        told = interactive.safe_large_fetch(call, from_date="2025-06-20", to_date="2025-06-21")
        assert told["estimation"]["confidence"] == confidence
