"""Who does not wait any more leaves nothing running: the question to Mixpanel is dropped, its thread is free."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from fastmcp import Client

from mixpanel_data import MixpanelDataError, Workspace
from mixpanel_data.interrupts import Ending, endable
from mp_mcp_server.call import Call
from mp_mcp_server.questions import Questions
from mp_mcp_server.server import Settings, build
from tests.mp_mcp_server.calling import DAYS, Mcp, good
from tests.mp_mcp_server.conftest import Server, environment, running_server
from tests.mp_mcp_server.test_fetch import Listener
from tests.mp_mcp_server.test_sessions import INITIALIZED, begun, call, hello, piped, said_to
from tests.support import mcp_wire
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong
from tests.support.mute_server import MuteServer, mute_server

pytestmark = pytest.mark.anyio

DEADLINE_S = 60.0
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])
LIVE_THREADS = 6
COUNTED = json.dumps({"data": {"series": ["2025-06-20"], "values": {"Search": {"2025-06-20": 3}}}, "legend_size": 1})
ONE_DAY: dict[str, Any] = {"from_date": "2025-06-20", "to_date": "2025-06-20"}
ACCOUNT = {"MP_USERNAME": "u", "MP_SECRET": "s3cret-canary", "MP_PROJECT_ID": "1", "MP_REGION": "us"}

# One that takes a thread's Workspace, one that takes a Call, and one that asks several at once.
QUESTIONS: dict[str, dict[str, Any]] = {
    "top_events": {},
    "segmentation": {"event": "Search", **DAYS},
    "stream_events": DAYS,
    "cohort_comparison": {"cohort_a_filter": "true", "cohort_b_filter": "true", **DAYS},
}


@pytest.fixture
def mute() -> Iterator[MuteServer]:
    with mute_server() as server:
        yield server


def pointed_at(mute: MuteServer) -> dict[str, str]:
    return {**ACCOUNT, "MP_API_BASE_URL": mute.url, "MP_RATE_LIMITS": "off"}


@pytest.fixture
def silenced(no_credentials: None, monkeypatch: pytest.MonkeyPatch, mute: MuteServer) -> None:
    """The variables that point the library at a Mixpanel that never answers."""
    for name, value in pointed_at(mute).items():
        monkeypatch.setenv(name, value)


@contextmanager
def serving(mute: MuteServer, home: Path, *options: str) -> Iterator[Server]:
    place = ("--transport", "http", "--db", str(home / "store.db"))
    with running_server(environment(home, **pointed_at(mute)), *place, *options) as running:
        yield running


def given_up(number: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}


async def ask(client: Mcp) -> dict[str, Any]:
    return await good(client, "segmentation", event="Search", **ONE_DAY)


async def until(mute: MuteServer, **seen: int) -> None:
    await anyio.to_thread.run_sync(partial(mute.until, **seen))


async def gone(server: Server, mute: MuteServer, headers: dict[str, str], tool: str, body: bytes) -> None:
    """A client asks, and is gone when Mixpanel was asked; so is the question then."""
    asked = mute.asked + 1
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.post, server.url, content=body, headers=headers))
        await until(mute, asked=asked)
        group.cancel_scope.cancel()
    await until(mute, hung_up=asked)
    assert mute.asked == asked, f"{tool} asked again"


async def test_a_client_that_disconnects_drops_its_question(mute: MuteServer, tmp_path: Path) -> None:
    with serving(mute, tmp_path) as server:
        for tool, arguments in QUESTIONS.items():
            headers = mcp_wire.headers(tool)
            await gone(server, mute, headers, tool, mcp_wire.body(tool, arguments))
            handshake = {name: value for name, value in headers.items() if not name.startswith("Mcp-")}
            handshake["MCP-Protocol-Version"] = "2025-06-18"
            await gone(server, mute, handshake, tool, mcp_wire.body(tool, arguments))


async def test_in_a_session_the_client_says_that_it_gives_up(mute: MuteServer, tmp_path: Path) -> None:
    """To lose the connection says nothing there; of who has no session, beside it, it says all."""
    with serving(mute, tmp_path, "--stateful") as server:
        headers = begun(server)
        async with httpx.AsyncClient(timeout=DEADLINE_S, headers=headers) as client, anyio.create_task_group() as group:
            for number, (tool, arguments) in enumerate(QUESTIONS.items(), start=1):
                group.start_soon(partial(client.post, server.url, json=call(tool, number, **arguments)))
                await until(mute, asked=number)
                told = await client.post(server.url, json=given_up(number))
                assert told.status_code == 202
                await until(mute, hung_up=number)
                assert mute.asked == number
            group.cancel_scope.cancel()
        for tool, arguments in QUESTIONS.items():
            await gone(server, mute, mcp_wire.headers(tool), tool, mcp_wire.body(tool, arguments))


def test_a_call_that_is_cancelled_drops_its_question_and_the_session_goes_on(mute: MuteServer, tmp_path: Path) -> None:
    with piped({**environment(tmp_path), **pointed_at(mute)}, "--db", str(tmp_path / "store.db")) as process:
        said_to(process, hello("2025-06-18"), INITIALIZED)
        assert process.stdout is not None
        process.stdout.readline()
        for number, (tool, arguments) in enumerate(QUESTIONS.items(), start=1):
            said_to(process, call(tool, number, **arguments))
            mute.until(asked=number)
            said_to(process, given_up(number))
            mute.until(hung_up=number)
            assert mute.asked == number
        said_to(process, call("list_tables", 90))
        answers = (json.loads(line) for line in process.stdout)
        told = next(answer for answer in answers if answer.get("id") == 90)
        assert told["result"]["structuredContent"] == {"result": []}


@ERAS
async def test_forty_calls_that_were_given_up_stall_no_other(
    silenced: None, mute: MuteServer, tmp_path: Path, era: str
) -> None:
    async with Client(build(Settings(db=tmp_path / "store.db")), mode=era) as client:
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(ask, client)
            await until(mute, asked=LIVE_THREADS)
            group.cancel_scope.cancel()
        await until(mute, hung_up=LIVE_THREADS)
        # a few may have had a thread before they were given up too
        mute.say(*[COUNTED.encode()] * 41)
        with anyio.fail_after(DEADLINE_S):
            told = await ask(client)
    assert told["total"] == 3
    assert mute.asked <= 41, "none of them was asked again"


@ERAS
async def test_calls_that_are_given_up_are_not_tried_again(
    credentials: None, emulator: Emulator, tmp_path: Path, era: str
) -> None:
    before = emulator.requests()
    async with Client(build(Settings(db=tmp_path / "store.db")), mode=era) as client:
        with going_wrong(emulator, {"kind": "rate_limited", "path": "*/segmentation"}):
            async with anyio.create_task_group() as group:
                for _ in range(LIVE_THREADS):
                    group.start_soon(ask, client)
                with anyio.fail_after(DEADLINE_S):
                    while len(emulator.requests_since(before)) < LIVE_THREADS:
                        await anyio.sleep(0.01)
                group.cancel_scope.cancel()
        with anyio.fail_after(DEADLINE_S):
            assert (await ask(client))["total"] > 0
    assert [one["status"] for one in emulator.requests_since(before)] == [429] * LIVE_THREADS + [200]


def test_questions_that_are_asked_at_once_are_dropped_at_once(silenced: None, mute: MuteServer, tmp_path: Path) -> None:
    ending, outcome = Ending(), list[MixpanelDataError]()

    def question(workspace: Workspace) -> Any:
        return workspace.segmentation("Search", **ONE_DAY)

    def work() -> None:
        with Workspace(path=tmp_path / "store.db") as workspace:
            try:
                with endable(ending):
                    Questions(Call(workspace, Listener())).ask_all([question] * 3)
            except MixpanelDataError as error:
                outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    mute.until(asked=3)
    ending.press()
    thread.join(DEADLINE_S)
    assert [error.code for error in outcome] == ["CANCELLED"]
    mute.until(hung_up=3)
    assert mute.asked == 3


async def test_a_resource_that_nobody_waits_for_is_not_read_on(
    silenced: None, mute: MuteServer, tmp_path: Path
) -> None:
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.read_resource, "schema://events"))
            await until(mute, asked=1)
            group.cancel_scope.cancel()
        await until(mute, hung_up=1)
        mute.say(b'["Search"]')
        with anyio.fail_after(DEADLINE_S):
            assert await client.read_resource("schema://events")
