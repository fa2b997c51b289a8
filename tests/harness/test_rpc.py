"""MCP over plain HTTP against servers that behave in every way that one may, and some that none may."""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.rpc import RpcError, Session, tool_error
from harness.stack.services import SERVICES
from harness.verify import ALIVE, runbook_request
from harness.wire import Fault, WireError
from tests.support.mcp_answers import JSON, STREAM, Reply, Serve, result, served
from tests.support.ports import free_port


@pytest.fixture
def serve() -> Iterator[Serve]:
    with served() as start:
        yield start


def test_a_stateful_servers_session_is_used_and_given_back(serve: Serve) -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    def stateful(method: str, headers: Mapping[str, str], body: Any) -> Reply:
        name = body["method"] if body else method
        seen.append((name, headers.get("mcp-session-id"), headers.get("mcp-protocol-version")))
        if name == "initialize":
            return 200, {**JSON, "mcp-session-id": "s1"}, result(body, {"protocolVersion": "2025-06-18"})
        if name == "notifications/initialized":
            return 202, {}, b""
        if name == "tools/list":
            after = body["params"].get("cursor")
            page = {"tools": [{"name": "b"}]} if after else {"tools": [{"name": "a"}], "nextCursor": "more"}
            return 200, JSON, result(body, page)
        return 200, {}, b""

    session = Session(serve(stateful), "/mcp", 30)
    session.initialize()
    assert [tool["name"] for tool in session.tools()] == ["a", "b"]
    session.close()
    assert seen[0] == ("initialize", None, None)
    assert seen[1:] == [
        (name, "s1", "2025-06-18") for name in ("notifications/initialized", "tools/list", "tools/list", "DELETE")
    ]


def test_an_answer_is_found_among_pings_notifications_and_other_peoples_answers(serve: Serve) -> None:
    def chatty(_: str, __: Mapping[str, str], body: Any) -> Reply:
        other = {"jsonrpc": "2.0", "id": 999, "result": {"wrong": True}}
        asked = {"jsonrpc": "2.0", "id": body["id"], "method": "sampling/createMessage"}
        parts = [json.dumps(other), json.dumps(asked), result(body, {"right": True}).decode()]
        whole = ": ping\r\n\r\n" + "".join(f"event: message\r\ndata: {part}\r\n\r\n" for part in parts)
        return 200, STREAM, whole.encode()

    assert Session(serve(chatty), "/mcp", 30).ask("tools/list", {}) == {"right": True}


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ((307, {"location": "http://elsewhere.example/mcp"}, b""), Fault.REDIRECT),
        ((200, {"content-type": "text/html"}, b"<h1>hello</h1>"), Fault.HTML),
        ((404, JSON, b'{"error": "no"}'), Fault.STATUS),
        ((502, {"content-type": "text/html"}, b"<h1>Bad Gateway</h1>"), Fault.HTML),
        ((200, JSON, b'{"status": "ok"}'), Fault.OTHER_PROGRAM),
        ((200, {"content-type": "text/plain"}, b"hello"), Fault.OTHER_PROGRAM),
        ((200, STREAM, b": ping\n\n"), Fault.CUT),
        (None, Fault.CUT),
    ],
)
def test_what_is_no_mcp_server_is_told_apart(serve: Serve, reply: Reply | None, fault: Fault) -> None:
    with pytest.raises(WireError) as caught:
        Session(serve(lambda *_: reply), "/mcp", 30).initialize()
    assert caught.value.fault is fault


def test_silence_and_nobody_are_two_things(serve: Serve) -> None:
    silent = threading.Event()

    def wait(*_: Any) -> None:
        silent.wait(30)

    port = serve(wait)
    with pytest.raises(WireError) as caught:
        Session(port, "/mcp", 0.2).initialize()
    silent.set()
    assert caught.value.fault is Fault.SILENT
    with pytest.raises(WireError) as caught:
        Session(free_port(), "/mcp", 5).initialize()
    assert caught.value.fault is Fault.REFUSED


def test_a_servers_own_refusal_is_passed_on(serve: Serve) -> None:
    def refuse(_: str, __: Mapping[str, str], body: Any) -> Reply:
        error = {"code": -32601, "message": "Method not found"}
        return 200, JSON, json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": error}).encode()

    with pytest.raises(RpcError, match=r"initialize: Method not found \(-32601\)"):
        Session(serve(refuse), "/mcp", 30).initialize()
    bad = json.dumps({"jsonrpc": "2.0", "error": {"code": -32600, "message": "Missing session ID"}}).encode()
    with pytest.raises(RpcError, match="HTTP 400: Missing session ID"):
        Session(serve(lambda *_: (400, JSON, bad)), "/mcp", 30).initialize()


@pytest.mark.parametrize("status", ALIVE)
def test_the_runbooks_request_knows_who_is_alive(serve: Serve, status: int) -> None:
    sent: list[tuple[str, str, str, Any]] = []

    def server(method: str, headers: Mapping[str, str], body: Any) -> Reply:
        sent.append((method, headers["content-type"], headers["accept"], body))
        return status, STREAM, b"data: " + result(body, {"tools": []}) + b"\n\n"

    found = runbook_request(serve(server), "/mcp")
    assert (found.status, found.alive, found.meaning) == (status, True, ALIVE[status])
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert sent == [("POST", "application/json", "application/json, text/event-stream", request)]


@pytest.mark.parametrize(
    "reply", [(200, {}, b"<p>"), (307, {"location": "/"}, b""), (404, JSON, b"{}"), (200, JSON, b'{"a": 1}'), None]
)
def test_the_runbooks_request_knows_who_is_not(serve: Serve, reply: Reply | None) -> None:
    assert not runbook_request(serve(lambda *_: reply), "/mcp").alive


def test_an_error_without_structure_is_told_by_its_text() -> None:
    error = tool_error({"content": [{"type": "text", "text": "it broke"}], "isError": True})
    assert (error.code, error.cause) == ("TOOL_FAILED", "it broke")


def test_every_service_explains_itself_and_climbs_known_rungs() -> None:
    from harness.stack.readiness import RUNGS

    assert len({service.name for service in SERVICES}) == len(SERVICES)
    for service in SERVICES:
        assert service.purpose
        assert set(service.ladder) <= RUNGS.keys()
        assert service.ladder[0] == "socket"
