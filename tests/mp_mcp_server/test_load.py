"""Many clients at once, of both eras: no error, no growth, nothing kept of those that went away without a word."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.mp_mcp_server.conftest import Server, environment, running_server
from tests.support.emulator import Emulator
from tests.support.mcp_wire import body, headers, result_of

HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "load", "version": "1"}},
}
BOTH = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
# So that two hundred of them leave two cores something to spare, and the client's own loop is not what is measured.
PAUSE_S = 2.0
TOOLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_tables", {}),
    ("list_events", {}),
    ("workspace_info", {}),
    ("list_tables", {}),
)
# What an interpreter takes and gives back as it goes.
SLACK_MB = 25


class Crowd:
    """Clients that call until they are told to stop.

    answered: how many calls, by era
    failures: what was no answer
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self._newest: dict[str, str] = {}

    async def run(self, clients: int, *, calls: int | None = None, seconds: float = 0.0) -> None:
        """Each client makes so many calls, or calls for so long; every second one shakes hands first."""
        ends = time.monotonic() + seconds
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as http, asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(http, number, calls, ends))

    async def _client(self, http: httpx.AsyncClient, number: int, calls: int | None, ends: float) -> None:
        try:
            session = await self._session(http) if number % 2 else None
            made = 0
            while made < calls if calls is not None else time.monotonic() < ends:
                tool, arguments = TOOLS[(number + made) % len(TOOLS)]
                await self._call(http, session, tool, arguments)
                made += 1
                if calls is None:
                    await asyncio.sleep(PAUSE_S)
        except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
            self.failures.append(f"{type(error).__name__}: {error}"[:300])

    async def _session(self, http: httpx.AsyncClient) -> dict[str, str]:
        answer = await http.post(self.server.url, json=HELLO, headers=BOTH)
        assert answer.status_code == 200, answer.text
        return {
            **BOTH,
            "mcp-session-id": answer.headers["mcp-session-id"],
            "MCP-Protocol-Version": "2025-06-18",
        }

    async def _call(
        self, http: httpx.AsyncClient, session: dict[str, str] | None, tool: str, arguments: dict[str, Any]
    ) -> None:
        if session is None:
            answer = await http.post(self.server.url, content=body(tool, arguments), headers=headers(tool))
        else:
            params = {"name": tool, "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answer = await http.post(self.server.url, content=json.dumps(message), headers=session)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:200]}"
        result_of(answer.text)
        self._newest = session or self._newest
        self.answered["modern" if session is None else "handshake"] += 1

    def wait_until_let_go(self, idle_s: float) -> None:
        """Until the session that was used last is gone; to ask for it earlier would keep it."""
        deadline = time.monotonic() + 60 + idle_s
        while time.monotonic() < deadline:
            time.sleep(idle_s + 1)
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            if httpx.post(self.server.url, json=message, headers=self._newest, timeout=60).status_code == 404:
                return
        raise AssertionError("a session that nobody uses is kept")

    def memory_mb(self) -> float:
        return float(psutil.Process(self.server.process.pid).memory_info().rss) / 1e6


def options(home: Path) -> tuple[str, ...]:
    return ("--transport", "http", "--stateful", "--db", str(home / "store.db"))


def test_forty_clients_of_both_eras_are_all_answered(emulator: Emulator, tmp_path: Path) -> None:
    with running_server(environment(tmp_path, **emulator.environment), *options(tmp_path)) as server:
        crowd = Crowd(server)
        asyncio.run(crowd.run(40, calls=4))
    assert crowd.failures == []
    assert crowd.answered == {"modern": 80, "handshake": 80}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_two_hundred_clients_for_a_minute_meet_no_error_and_no_memory_grows(emulator: Emulator, tmp_path: Path) -> None:
    with running_server(environment(tmp_path, **emulator.environment), *options(tmp_path)) as server:
        crowd = Crowd(server)

        async def minute() -> tuple[float, float]:
            async with asyncio.TaskGroup() as group:
                group.create_task(crowd.run(200, seconds=60))
                await asyncio.sleep(10)
                after_ten = crowd.memory_mb()
                await asyncio.sleep(45)
                return after_ten, crowd.memory_mb()

        after_ten, at_the_end = asyncio.run(minute())
    assert crowd.failures == []
    assert min(crowd.answered.values()) > 200
    assert at_the_end < after_ten + SLACK_MB, crowd.answered


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_sessions_of_clients_that_went_away_without_a_word_are_let_go(emulator: Emulator, tmp_path: Path) -> None:
    """In waves, each of which is let go before the next one comes: a session that is gone answers 404."""
    let_go = ("--session-idle", "15")
    with running_server(environment(tmp_path, **emulator.environment), *options(tmp_path), *let_go) as server:
        crowd = Crowd(server)
        sizes = []
        for _ in range(4):
            asyncio.run(crowd.run(200, calls=1))
            crowd.wait_until_let_go(15)
            sizes.append(crowd.memory_mb())
    assert crowd.failures == []
    # two hundred sessions hold 15 MB
    assert sizes[-1] < sizes[1] + 10, sizes
