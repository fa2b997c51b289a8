"""Transports as processes: sessions where they are kept, readiness, and an end with calls in flight on each of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import SSETransport

from mp_mcp_server.catalogue import TOOLS
from mp_mcp_server.server import Settings, application, build
from tests.mp_mcp_server.conftest import Server, environment, running_server
from tests.support.emulator import Emulator

BOTH = {"Accept": "application/json, text/event-stream"}
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
SESSION = "mcp-session-id"
NAMES = [spec.name for spec in TOOLS]
DEADLINE_S = 120.0


def hello(version: str) -> dict[str, Any]:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def call(tool: str, number: int = 1, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def data_of(answer: httpx.Response) -> dict[str, Any]:
    """The message in an answer, which is JSON or the last event of a stream."""
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    decoded: dict[str, Any] = json.loads(lines[-1] if lines else answer.text)
    return decoded


@pytest.fixture(scope="module")
def stateful(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A process that keeps sessions."""
    home = tmp_path_factory.mktemp("stateful")
    options = ("--transport", "http", "--stateful", "--db", str(home / "store.db"))
    with running_server(environment(home, **emulator.environment), *options) as running:
        yield running


def greeted(server: Server, version: str = "2025-06-18") -> dict[str, str]:
    """The headers of a client that was given a session."""
    answer = httpx.post(server.url, json=hello(version), headers=BOTH, timeout=DEADLINE_S)
    return {**BOTH, SESSION: answer.headers[SESSION], "MCP-Protocol-Version": version}


def begun(server: Server, version: str = "2025-06-18") -> dict[str, str]:
    """The headers of a client that has shaken hands."""
    headers = greeted(server, version)
    said = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert httpx.post(server.url, json=said, headers=headers, timeout=DEADLINE_S).status_code == 202
    return headers


def test_a_get_before_there_is_a_session_is_answered_quietly(stateful: Server) -> None:
    for url in (stateful.url, stateful.url + "/"):
        answer = httpx.get(url, headers={"Accept": "text/event-stream"}, timeout=DEADLINE_S)
        assert answer.status_code == 405
        assert "POST" in answer.headers["allow"]
        assert SESSION not in answer.headers


def test_no_error_hands_out_a_session(stateful: Server) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    dead = {**BOTH, SESSION: "0" * 32}
    answers = [
        httpx.post(stateful.url, json=listing, headers=BOTH, timeout=DEADLINE_S),
        httpx.post(stateful.url, content=b"{", headers=BOTH | {"Content-Type": "application/json"}, timeout=DEADLINE_S),
        httpx.post(stateful.url, json=listing, headers=dead, timeout=DEADLINE_S),
        httpx.get(stateful.url, headers=dead, timeout=DEADLINE_S),
        httpx.request("DELETE", stateful.url, headers=BOTH, timeout=DEADLINE_S),
        httpx.post(stateful.url, json=hello("2025-06-18"), headers={"Accept": "text/html"}, timeout=DEADLINE_S),
    ]
    assert all(answer.status_code >= 400 for answer in answers)
    assert not any(SESSION in answer.headers for answer in answers)


def test_a_second_stream_of_a_session_is_refused_as_one_that_there_is_not(stateful: Server) -> None:
    headers = begun(stateful)
    with httpx.stream("GET", stateful.url, headers=headers, timeout=DEADLINE_S) as first:
        assert first.status_code == 200
        assert httpx.get(stateful.url, headers=headers, timeout=DEADLINE_S).status_code == 405
    assert httpx.delete(stateful.url, headers=headers, timeout=DEADLINE_S).status_code == 200
    assert httpx.post(stateful.url, json=call("list_tables"), headers=headers, timeout=DEADLINE_S).status_code == 404


def test_a_session_that_nobody_uses_is_let_go(stateful: Server, tmp_path: Path) -> None:
    """Beside one that keeps them for long, since a second may pass between any two questions."""
    ping = {"jsonrpc": "2.0", "id": 5, "method": "ping"}
    kept = begun(stateful)
    with running_server(environment(tmp_path), "--transport", "http", "--stateful", "--session-idle", "1") as forgetful:
        headers = greeted(forgetful)
        deadline = time.monotonic() + DEADLINE_S
        while httpx.post(forgetful.url, json=ping, headers=headers, timeout=DEADLINE_S).status_code != 404:
            assert time.monotonic() < deadline
            # each question would keep it alive
            time.sleep(2)
    assert httpx.post(stateful.url, json=ping, headers=kept, timeout=DEADLINE_S).status_code == 200


def test_foreign_hosts_are_refused_before_anything_else(stateful: Server) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert (
            httpx.request(method, stateful.url, headers={"Host": "evil.example"}, timeout=DEADLINE_S).status_code == 421
        )
        assert (
            httpx.request(
                method, stateful.url, headers={"Origin": "http://evil.example"}, timeout=DEADLINE_S
            ).status_code
            == 403
        )


@pytest.mark.parametrize("version", HANDSHAKE)
def test_each_version_of_the_handshake_is_spoken(stateful: Server, version: str) -> None:
    answer = httpx.post(stateful.url, json=hello(version), headers=BOTH, timeout=DEADLINE_S)
    assert data_of(answer)["result"]["protocolVersion"] == version
    told = httpx.post(stateful.url, json=call("list_events"), headers=begun(stateful, version), timeout=DEADLINE_S)
    assert not data_of(told)["result"].get("isError")


def test_a_version_that_nobody_knows_is_answered_with_one_that_we_speak(stateful: Server) -> None:
    answer = httpx.post(stateful.url, json=hello("2019-01-01"), headers=BOTH, timeout=DEADLINE_S)
    assert data_of(answer)["result"]["protocolVersion"] in HANDSHAKE
    headers = {**BOTH, "MCP-Protocol-Version": "2031-01-01"}
    assert httpx.post(stateful.url, json=call("list_tables"), headers=headers, timeout=DEADLINE_S).status_code == 400


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_clients_of_both_eras_are_served_side_by_side(stateful: Server, mode: str) -> None:
    async def decline(*_: Any) -> Any:
        return ElicitResult(action="decline")

    async with Client(stateful.url, mode=mode, elicitation_handler=decline) as client:
        assert [tool.name for tool in await client.list_tools()] == NAMES
        assert (await client.call_tool("list_events")).structured_content


def test_ready_says_which_project_is_open_and_since_when_it_knows(stateful: Server, emulator: Emulator) -> None:
    first = httpx.get(stateful.base + "/ready", timeout=DEADLINE_S)
    assert first.status_code == 200
    told = first.json()
    assert told == {
        "status": "ready",
        "project_id": emulator.environment["MP_PROJECT_ID"],
        "region": emulator.environment["MP_REGION"],
        "age_s": told["age_s"],
    }
    asked = [row for row in emulator.requests() if row["path"].endswith("/me")]
    assert httpx.get(stateful.base + "/ready", timeout=DEADLINE_S).json()["status"] == "ready"
    assert [row for row in emulator.requests() if row["path"].endswith("/me")] == asked
    assert httpx.get(stateful.base + "/ready", headers={"Host": "evil.example"}, timeout=DEADLINE_S).status_code == 421


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"MP_SECRET": "canary-wrong"}, "AUTH_FAILED"),
        ({"MP_USERNAME": ""}, "CONFIG_ERROR"),
        ({"MP_API_BASE_URL": "http://127.0.0.1:9"}, "HTTP_ERROR"),
    ],
)
async def test_not_ready_is_503_with_what_to_do(
    credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], code: str
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    transport = httpx.ASGITransport(application(build(Settings(db=tmp_path / "store.db")), "http"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/ready")
        assert answer.status_code == 503
        told = answer.json()
        assert (told["status"], told["code"]) == ("not ready", code)
        assert told["cause"]
        assert told["fix"]
        assert "canary" not in answer.text
        assert (await client.get("/health")).status_code == 200


@contextmanager
def silent_mixpanel() -> Iterator[socket.socket]:
    """A listener that takes calls and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def pointed_at(listener: socket.socket, home: Path) -> dict[str, str]:
    account = {"MP_USERNAME": "someone", "MP_SECRET": "canary-91c4", "MP_PROJECT_ID": "1", "MP_REGION": "us"}
    return environment(home, **account, MP_API_BASE_URL=f"http://127.0.0.1:{listener.getsockname()[1]}")


@contextmanager
def piped(
    env: dict[str, str], *arguments: str, program: str = "mp_mcp_server.cli"
) -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", program, *arguments]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def said_to(process: "subprocess.Popen[str]", *messages: dict[str, Any]) -> None:
    assert process.stdin is not None
    for message in messages:
        process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.mark.parametrize("how", ["stdin ends", "SIGTERM", "SIGINT"])
def test_over_stdio_it_ends_in_time_although_a_call_hangs(tmp_path: Path, how: str) -> None:
    with silent_mixpanel() as mixpanel, piped(pointed_at(mixpanel, tmp_path)) as process:
        said_to(process, hello("2025-06-18"), INITIALIZED, call("list_events"))
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        connection, _ = mixpanel.accept()
        with closing(connection):
            if how == "stdin ends":
                process.stdin.close()
            else:
                os.kill(process.pid, getattr(signal, how))
            process.wait(timeout=DEADLINE_S)
    assert process.returncode == (0 if how == "stdin ends" else 128 + getattr(signal, how))


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_over_stdio_a_signal_ends_an_idle_server_at_once(tmp_path: Path, how: str) -> None:
    with piped(environment(tmp_path), program="tests.support.patient_server") as process:
        said_to(process, hello("2025-06-18"))
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, getattr(signal, how))
        process.wait(timeout=DEADLINE_S)
    assert process.returncode == 128 + getattr(signal, how)


@pytest.mark.parametrize("options", [("--transport", "http", "--stateful"), ("--transport", "sse")])
def test_over_http_with_sessions_it_ends_in_time_although_a_call_hangs(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with (
        silent_mixpanel() as mixpanel,
        running_server(pointed_at(mixpanel, tmp_path), *options) as server,
    ):
        import anyio

        async def hanging() -> None:
            transport: Any = SSETransport(server.url) if "sse" in options else server.url
            async with Client(transport, mode="legacy", timeout=DEADLINE_S) as client:
                await client.call_tool("list_events")

        def ask() -> None:
            try:
                anyio.run(hanging)
            except BaseException:  # noqa: BLE001  # the server goes away below, and how the client says so is its affair
                return

        caller = threading.Thread(target=ask)
        caller.start()
        connection, _ = mixpanel.accept()
        with closing(connection):
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(timeout=DEADLINE_S)
        caller.join(timeout=DEADLINE_S)
        assert not caller.is_alive()


@pytest.mark.parametrize(
    ("variables", "options", "said"),
    [
        ({"MP_LLM_MODEL": "m"}, ("--transport", "http", "--port", "0"), "CONFIG_ERROR: MP_LLM_MODEL is set"),
        ({"MP_STATE_KEY": "canary"}, (), "CONFIG_ERROR: MP_STATE_KEY is shorter"),
    ],
)
def test_wrong_settings_are_one_line_before_anything_starts(
    tmp_path: Path, variables: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    command = [sys.executable, "-m", "mp_mcp_server.cli", *options]
    env = environment(tmp_path, **variables)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=env, input="")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"mp-mcp-server: {said}")
    assert "canary" not in ended.stderr
