"""The real process over each transport: what a client meets before any tool, how it starts, how it ends."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastmcp import Client
from fastmcp.client.transports import SSETransport

from mp_mcp_server.catalogue import TOOLS
from tests.mp_mcp_server.conftest import Server, environment, running_server
from tests.support.emulator import Emulator

BOTH = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
NAMES = [spec.name for spec in TOOLS]
PATIENT = "tests.support.patient_server"
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def server(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process over streamable HTTP, pointed at the emulator, that the module's tests leave as it is."""
    home = tmp_path_factory.mktemp("server")
    with running_server(
        environment(home, **emulator.environment), "--transport", "http", "--db", str(home / "store.db")
    ) as running:
        yield running


@pytest.fixture
def silent_mixpanel() -> Iterator[socket.socket]:
    """A listener that answers when the test does, and not before."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def pointed_at(listener: socket.socket, home: Path) -> dict[str, str]:
    return environment(
        home,
        MP_USERNAME="someone",
        MP_SECRET="canary-91c4",
        MP_PROJECT_ID="1",
        MP_REGION="us",
        MP_API_BASE_URL=f"http://127.0.0.1:{listener.getsockname()[1]}",
    )


def listed(answer: httpx.Response) -> list[str]:
    """The tool names in a tools/list answer, which comes as one event."""
    data = next(line for line in answer.text.splitlines() if line.startswith("data: "))
    return [tool["name"] for tool in json.loads(data.removeprefix("data: "))["result"]["tools"]]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.01)


def post(url: str, message: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(url, json=message, headers=BOTH | headers, timeout=DEADLINE_S)


@pytest.mark.parametrize("slash", ["", "/"])
def test_mcp_answers_with_and_without_a_slash_and_keeps_nothing_of_the_client(server: Server, slash: str) -> None:
    answer = post(server.url + slash, LIST)
    assert answer.status_code == 200
    assert listed(answer) == NAMES
    assert "mcp-session-id" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_there_is_no_stream_to_get_and_no_session_to_delete(server: Server, method: str, slash: str) -> None:
    answer = httpx.request(method, server.url + slash, headers={"Accept": "text/event-stream"}, timeout=DEADLINE_S)
    assert answer.status_code == 405
    assert "mcp-session-id" not in answer.headers


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/health"])
def test_foreign_hosts_and_origins_are_refused(server: Server, path: str) -> None:
    url = server.base + path
    assert httpx.get(url, headers={"Host": "evil.example"}, timeout=DEADLINE_S).status_code == 421
    assert httpx.get(url, headers={"Origin": "http://evil.example"}, timeout=DEADLINE_S).status_code == 403


def test_health_tells_who_answers_without_asking_mixpanel(server: Server, emulator: Emulator) -> None:
    before = emulator.requests()
    health = httpx.get(server.base + "/health", timeout=DEADLINE_S)
    assert health.headers["content-type"] == "application/json"
    expected = {"status": "ok", "name": "mixpanel", "version": "0.1.0", "tools": len(TOOLS), "credentials": "present"}
    assert health.json() == expected
    assert emulator.requests() == before


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_client_of_either_era_calls_tools_over_http(server: Server, era: str) -> None:
    async with Client(server.url, mode=era) as client:
        assert [tool.name for tool in await client.list_tools()] == NAMES
        assert (await client.call_tool("list_events")).data
        failed = await client.call_tool("sql", {"query": "select nonsense"}, raise_on_error=False)
        assert failed.is_error


@pytest.mark.anyio
async def test_sse_serves_older_clients_and_ends_with_one_connected(emulator: Emulator, tmp_path: Path) -> None:
    env = environment(tmp_path, **emulator.environment)
    options = ("--transport", "sse", "--db", str(tmp_path / "store.db"))
    with running_server(env, *options, program=PATIENT) as server:
        assert server.url.endswith("/sse")
        async with Client(SSETransport(server.url)) as client:
            assert [tool.name for tool in await client.list_tools()] == NAMES
            assert (await client.call_tool("list_events")).data
        assert httpx.get(server.base + "/health", timeout=DEADLINE_S).json()["status"] == "ok"
        assert httpx.get(server.url, headers={"Host": "evil.example"}, timeout=DEADLINE_S).status_code == 421
        with httpx.stream("GET", server.url, timeout=DEADLINE_S) as stream:
            assert stream.status_code == 200
            assert terminated(server) in (0, -signal.SIGTERM)


def test_stdio_answers_and_its_stdout_holds_nothing_but_the_protocol(emulator: Emulator, tmp_path: Path) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_events", "arguments": {}}},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "no_such_tool", "arguments": {}}},
    ]
    command = [sys.executable, "-m", "mp_mcp_server.cli", "--db", str(tmp_path / "store.db")]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment(tmp_path, **emulator.environment)
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            if "id" in message:
                answers.append(json.loads(process.stdout.readline()))
        rest, _ = process.communicate(timeout=DEADLINE_S)
    assert rest == ""
    assert process.returncode == 0
    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert answers[0]["result"]["serverInfo"]["name"] == "mixpanel"
    assert "App Open" in answers[1]["result"]["structuredContent"]["result"]
    assert answers[2]["result"]["structuredContent"]["code"] == "UNKNOWN_TOOL"


def terminated(server: Server) -> int:
    """The exit status after SIGTERM."""
    server.process.send_signal(signal.SIGTERM)
    return server.process.wait(timeout=DEADLINE_S)


def test_without_credentials_it_starts_and_says_so(tmp_path: Path) -> None:
    with running_server(environment(tmp_path), "--transport", "http", program=PATIENT) as server:
        assert httpx.get(server.base + "/health", timeout=DEADLINE_S).json()["credentials"] == "missing"
        assert terminated(server) in (0, -signal.SIGTERM)


def test_it_ends_in_time_although_a_call_hangs(silent_mixpanel: socket.socket, tmp_path: Path) -> None:
    with running_server(pointed_at(silent_mixpanel, tmp_path), "--transport", "http") as server:
        hanging = threading.Thread(target=swallowing(lambda: post(server.url, call("list_events"))))
        hanging.start()
        connection, _ = silent_mixpanel.accept()
        with closing(connection):
            # By itself, since its question is dropped; on a busy machine the last resort may be there before.
            assert terminated(server) in {-signal.SIGTERM, 128 + signal.SIGTERM}
        hanging.join(timeout=DEADLINE_S)
        assert not hanging.is_alive()


def test_a_call_that_cannot_be_dropped_does_not_keep_it(tmp_path: Path) -> None:
    """While a connection is being made nothing can be shut: its thread would hold the process until that times out."""
    with closing(socket.socket()) as crowded, ExitStack() as crowd:
        crowded.bind(("127.0.0.1", 0))
        crowded.listen(0)
        address = crowded.getsockname()
        fill(crowd, address)
        with running_server(pointed_at(crowded, tmp_path), "--transport", "http") as server:
            hanging = threading.Thread(target=swallowing(lambda: post(server.url, call("list_events"))))
            hanging.start()
            process = psutil.Process(server.process.pid)
            until(
                lambda: any(
                    each.status == psutil.CONN_SYN_SENT and each.raddr == address for each in process.net_connections()
                ),
                "the server to ask",
            )
            assert terminated(server) == 128 + signal.SIGTERM
            hanging.join(timeout=DEADLINE_S)
            assert not hanging.is_alive()


def fill(crowd: ExitStack, address: tuple[str, int]) -> None:
    """Connect to a listener that accepts nobody until it no longer answers."""
    for _ in range(8):
        visitor = crowd.enter_context(closing(socket.socket()))
        visitor.settimeout(1)
        try:
            visitor.connect(address)
        except TimeoutError:
            return
    pytest.fail("the listener is never full")


def test_a_call_that_ends_in_time_is_answered(silent_mixpanel: socket.socket, tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    # Far more time than it really gets: a busy machine may need all of a second.
    options = ("--grace", str(int(DEADLINE_S)), "--transport", "http")
    with running_server(pointed_at(silent_mixpanel, tmp_path), *options, program=PATIENT) as server:
        caller = threading.Thread(target=swallowing(lambda: answers.append(post(server.url, call("list_events")))))
        caller.start()
        connection, _ = silent_mixpanel.accept()
        with closing(connection):
            server.process.send_signal(signal.SIGTERM)
            until(
                lambda: any("Waiting for connections" in line for line in list(server.log)), "the server to shut down"
            )
            # open streams are looked at every half second: an answer before the first look proves nothing
            time.sleep(0.6)
            connection.sendall(
                b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n["One 1"]'
            )
            caller.join(timeout=DEADLINE_S)
            assert server.process.wait(timeout=DEADLINE_S) in {0, -signal.SIGTERM}
    (answer,) = answers
    assert "One 1" in answer.text


def call(tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


def swallowing(ask: Callable[[], object]) -> Callable[[], None]:
    """The same call, but a connection that ends with the server is no error."""

    def asked() -> None:
        try:
            ask()
        except httpx.TransportError:
            return

    return asked


def run(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mp_mcp_server.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment(home)
    )


def test_a_taken_port_is_one_line_with_code_cause_and_fix(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = stranger.getsockname()[1]
        ended = run(tmp_path, "--transport", "http", "--port", str(port))
    assert ended.returncode == 1
    assert ended.stdout == ""
    line = ended.stderr.removesuffix("\n")
    assert "\n" not in line
    assert line.startswith(f"mp-mcp-server: PORT_UNAVAILABLE: cannot listen on 127.0.0.1:{port}: ")
    assert "; fix: " in line


def test_an_unknown_account_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = run(tmp_path, "--transport", "http", "--port", "0", "--account", "nobody")
    assert ended.returncode == 1
    assert "mp-mcp-server: ACCOUNT_NOT_FOUND: " in ended.stderr
    assert "nobody" in ended.stderr
    assert "listening" not in ended.stderr


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "x"], ["--transport", "telnet"], ["--bogus"]])
def test_wrong_options_are_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: mp-mcp-server")


def test_version_is_told_without_starting(tmp_path: Path) -> None:
    ended = run(tmp_path, "--version")
    assert (ended.returncode, ended.stdout) == (0, "mp-mcp-server version 0.1.0\n")
