"""The SSE question, asked of servers that answer it in every way: real ones, and some that no library would make."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import fallback, real_client
from harness.fallback import SESSION, Verdict, question
from harness.real_client import RealClient
from harness.settings import load
from tests.mp_mcp_server.conftest import environment, running_server
from tests.support.emulator import Emulator, running_emulator
from tests.support.mcp_answers import JSON, STREAM, Behaviour, Reply, Serve, result, served
from tests.support.naive_server import naive_server
from tests.support.ports import free_port
from tests.support.repository import ROOT


@pytest.fixture
def serve() -> Iterator[Serve]:
    with served() as start:
        yield start


@pytest.fixture(scope="module")
def naive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with naive_server(port, tmp_path_factory.mktemp("naive") / "log"):
        yield port


def test_the_naive_servers_refusal_hands_out_a_dead_session(naive: int) -> None:
    found = question(naive, "/mcp")
    assert found.verdict is Verdict.UNSAFE
    assert found.verdict not in fallback.GOOD
    first, second, dead = found.evidence
    assert (first.method, first.path, first.status) == ("GET", "/mcp", 400)
    assert SESSION in first.headers
    assert "Missing session ID" in first.body
    assert second.status == 200
    # With the id that the refusal gave away nobody gets on.
    assert dead.status in (400, 404)
    assert dead.sent[SESSION] == first.headers[SESSION]
    assert (found.tools, found.called) == (2, True)
    assert "405" in str(found.fix)


def test_no_session_id_is_shown_whole(naive: int) -> None:
    shown = question(naive, "/mcp").to_dict()["evidence"]
    ids = [
        value for each in shown for part in ("sent", "headers") for name, value in each[part].items() if name == SESSION
    ]
    assert ids
    assert all(value.endswith("…") and len(value) == 5 for value in ids)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    place = tmp_path_factory.mktemp("emulator")
    with running_emulator(place / "log", "--users", "50", "--days", "10", "--no-stories", cache_dir=place) as running:
        yield running


@contextmanager
def our_server(emulator: Emulator, home: Path, *options: str) -> Iterator[int]:
    variables = environment(home, **emulator.environment)
    with running_server(variables, "--transport", "http", "--db", str(home / "a.db"), *options) as server:
        yield int(server.base.rpartition(":")[2])


def test_our_server_falls_back(emulator: Emulator, tmp_path: Path) -> None:
    with our_server(emulator, tmp_path) as port:
        found = question(port, "/mcp")
    assert (found.verdict, found.tools, found.called) == (Verdict.FALLS_BACK, 39, True)
    assert [each.status for each in found.evidence] == [405, 405]


def test_our_server_with_sessions_is_safe_and_opens_a_stream(emulator: Emulator, tmp_path: Path) -> None:
    with our_server(emulator, tmp_path, "--stateful") as port:
        found = question(port, "/mcp", push_s=0.2)
    # Its first ping comes after 15 s, so in this time nothing arrives; the soak waits for it.
    assert [each.status for each in found.evidence] == [405, 200]
    assert (found.verdict, found.tools, found.called) == (Verdict.BROKEN, 39, True)
    assert "proxy_buffering" in str(found.fix)


@pytest.mark.soak
def test_our_server_with_sessions_streams(emulator: Emulator, tmp_path: Path) -> None:
    with our_server(emulator, tmp_path, "--stateful") as port:
        found = question(port, "/mcp")
    assert (found.verdict, found.pushed, found.tools) == (Verdict.STREAMS, "a ping", 39)


def stateless(method: str, _: Mapping[str, str], body: Any) -> Reply:
    if method == "GET":
        return 405, {"allow": "POST"}, b""
    if method == "DELETE":
        return 200, {}, b""
    match body["method"]:
        case "initialize":
            return 200, JSON, result(body, {"protocolVersion": "2025-11-25"})
        case "tools/list":
            return 200, JSON, result(body, {"tools": [{"name": f"t{n}"} for n in range(39)]})
        case "tools/call":
            return 200, JSON, result(body, {"content": [], "isError": False})
    return 202, {}, b""


def with_answer_to_get(reply: Reply | None) -> Behaviour:
    return lambda method, headers, body: reply if method == "GET" else stateless(method, headers, body)


@pytest.mark.parametrize("status", [400, 405, 409])
def test_a_plain_refusal_is_a_fall_back(serve: Serve, status: int) -> None:
    found = question(serve(with_answer_to_get((status, {}, b""))), "/mcp")
    assert (found.verdict, found.tools, found.called, found.fix) == (Verdict.FALLS_BACK, 39, True, None)
    assert str(status) in found.meaning


@pytest.mark.parametrize("status", [400, 404, 405, 409])
def test_any_refusal_that_carries_a_session_id_is_unsafe(serve: Serve, status: int) -> None:
    found = question(serve(with_answer_to_get((status, {"mcp-session-id": "deadbeef"}, b""))), "/mcp")
    assert found.verdict is Verdict.UNSAFE


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((404, {}, b""), "404"),
        ((500, JSON, b'{"error": "x"}'), "500"),
        ((307, {"location": "http://127.0.0.1:9/other"}, b""), "redirect"),
        ((200, {"content-type": "text/html"}, b"<html>hello</html>"), "web page"),
        ((405, {"content-type": "text/html"}, b"<html>405 Not Allowed</html>"), "web page"),
        ((200, JSON, b'{"status": "ok"}'), "JSON"),
        (None, "cut"),
    ],
)
def test_what_is_no_refusal_is_broken(serve: Serve, reply: Reply | None, said: str) -> None:
    found = question(serve(with_answer_to_get(reply)), "/mcp")
    assert found.verdict is Verdict.BROKEN
    assert said in found.meaning
    assert found.fix


def test_a_client_that_does_not_get_on_afterwards_is_broken(serve: Serve) -> None:
    def deaf(method: str, headers: Mapping[str, str], body: Any) -> Reply:
        if method == "POST" and body["method"] == "tools/call":
            return 500, JSON, b'{"error": "x"}'
        return stateless(method, headers, body)

    found = question(serve(deaf), "/mcp")
    assert (found.verdict, found.tools, found.called) == (Verdict.BROKEN, 39, False)


def test_nobody_there_is_broken_and_says_so() -> None:
    found = question(free_port(), "/mcp")
    assert found.verdict is Verdict.BROKEN
    assert "nothing listens" in found.meaning
    assert [each.failure for each in found.evidence] != [None]


def streaming(pushed: bytes) -> Behaviour:
    def behave(method: str, headers: Mapping[str, str], body: Any) -> Reply:
        if method == "GET":
            return (200, STREAM, pushed) if SESSION in headers else (405, {}, b"")
        status, answered, content = stateless(method, headers, body)
        return status, {**answered, SESSION: "s1"}, content

    return behave


def test_a_stream_on_which_a_message_arrives_streams(serve: Serve) -> None:
    pushed = b'data: {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}\n\n'
    found = question(serve(streaming(pushed)), "/mcp")
    assert (found.verdict, found.pushed) == (Verdict.STREAMS, "notifications/tools/list_changed")


def test_a_ping_is_something_that_arrives(serve: Serve) -> None:
    assert question(serve(streaming(b": ping\n\n")), "/mcp").pushed == "a ping"


def test_a_real_message_arrives_on_a_real_stream(naive: int) -> None:
    assert question(naive, "/mcp").pushed == "notifications/tools/list_changed"


@pytest.fixture(scope="module")
def client() -> RealClient:
    found = real_client.find(load(environment={"PATH": os.environ["PATH"]}, directory=ROOT))
    if found is None:
        pytest.skip("the copilot's packages are not installed: npm ci in fixtures/copilot")
    return found


def test_the_real_client_says_how_it_gets_on(naive: int, client: RealClient) -> None:
    # On a busy machine one may be lost to the session that the refusal hands out; then the next one is luckier.
    tries = (client.ask(f"http://127.0.0.1:{naive}/mcp") for _ in range(10))
    defaults, handshake = next(pair for pair in tries if all(word.called for word in pair))
    assert defaults.library.startswith("@ai-sdk/mcp 2.")
    assert (defaults.mode, defaults.tools, defaults.called, defaults.said) == ("its defaults", 2, True, ())
    assert (handshake.mode, handshake.tools, handshake.called) == ("handshake", 2, True)
    assert any("GET SSE failed: 400" in said for said in handshake.said)
    text = real_client.text((defaults, handshake))
    assert "GET SSE failed: 400" in text
    assert text.count("✓") == 2


def test_the_real_client_says_what_it_complains_of(client: RealClient, tmp_path: Path) -> None:
    for word in client.ask(f"http://127.0.0.1:{free_port()}/mcp"):
        assert (word.tools, word.called) == (None, False)
        assert any("ECONNREFUSED" in said for said in word.said)
    (broken,) = replace(client, packages=tmp_path).ask("http://127.0.0.1:1/mcp")
    assert not broken.called
    assert broken.said[0] == "node ended with 1"
