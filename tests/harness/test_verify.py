"""`harness verify`: the ladders, the runbook's own request and the SSE question of a stack of stand-ins."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.verify import ALIVE, runbook_request
from tests.support.mcp_answers import JSON, STREAM, Reply, Serve, result, served
from tests.support.ports import free_port
from tests.support.standin import StandIn, standin


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path) as made:
        yield made


@pytest.fixture
def serve() -> Iterator[Serve]:
    with served() as start:
        yield start


def test_a_good_stack_is_verified_with_its_evidence(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    ran = stack.run("verify", "--json")
    found = ran.json()
    assert (ran.code, found["good"]) == (0, True)
    assert {service["name"] for service in found["services"]} == {"emulator", "mcp"}
    assert all(rung["broken"] is None for service in found["services"] for rung in service["rungs"])
    asked = found["runbook"]
    assert (asked["status"], asked["alive"], asked["failure"]) == (200, True, None)
    assert asked["request"]["method"] == "POST"
    assert asked["request"]["body"] == {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert asked["headers"]["content-type"] == "text/event-stream"
    assert "list_events" in asked["body"] or "ping" in asked["body"]
    assert found["streaming"]["verdict"] == "falls back"
    assert [each["status"] for each in found["streaming"]["evidence"]] == [405, 405]
    text = stack.run("verify").out
    assert "✓ curl" in text
    assert "✓ sse" in text


def test_what_broke_is_named_with_exit_1(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    stack.kill("emulator")
    ran = stack.run("verify", "--json")
    found = ran.json()
    assert (ran.code, found["good"]) == (1, False)
    broken = {service["name"]: service["rungs"][-1]["broken"] for service in found["services"]}
    assert broken["emulator"]["code"] == "DIED"
    assert broken["mcp"] is None


def test_a_server_that_is_gone_leaves_the_sse_question_answered_too(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    stack.kill("mcp")
    ran = stack.run("verify", "--json")
    found = ran.json()
    assert (ran.code, found["good"]) == (1, False)
    assert (found["runbook"]["alive"], found["runbook"]["failure"]) == (False, "nothing listens")
    asked = found["streaming"]
    assert (asked["verdict"], asked["tools"], asked["called"], asked["pushed"]) == ("broken", None, False, None)
    assert [(each["method"], each["status"]) for each in asked["evidence"]] == [("POST", None)]
    assert asked["evidence"][0]["failure"] == found["runbook"]["meaning"]
    assert "✗ sse" in stack.run("verify").out


def test_a_stack_without_an_mcp_server_has_nobody_to_ask(stack: StandIn) -> None:
    assert stack.run("up", "emulator", "--json").code == 0
    found = stack.run("verify", "--json").json()
    assert (found["good"], found["runbook"], found["streaming"]) == (True, None, None)


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ((307, {"location": "http://127.0.0.1:9/mcp"}, b""), "a redirect"),
        ((302, {"location": "/login"}, b"<html>"), "a redirect"),
        ((200, {"content-type": "text/html"}, b"<h1>hello</h1>"), "a web page"),
        ((405, {"content-type": "text/html"}, b"<html>405 Not Allowed</html>"), "a web page"),
        ((502, {"content-type": "text/html"}, b"<html>502 Bad Gateway</html>"), "a web page"),
        ((200, JSON, b'{"status": "ok", "name": "billing"}'), "another program"),
        ((400, JSON, b'{"error": "bad request"}'), "another program"),
        ((406, {}, b"nope"), "another program"),
        ((404, JSON, b"{}"), "another program"),
        ((200, {}, b""), "another program"),
        (None, "the connection was cut"),
    ],
)
def test_failures_are_told_apart(serve: Serve, reply: Reply | None, failure: str) -> None:
    found = runbook_request(serve(lambda *_: reply), "/mcp")
    assert (found.alive, found.failure) == (False, failure)
    assert found.meaning
    assert found.status == (reply[0] if reply else None)


def test_silence_and_nobody_are_two_more(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr("harness.stack.readiness.PROBE_S", 0.2)

    def silent(*_: Any) -> None:
        ended.wait(30)

    found = runbook_request(serve(silent), "/mcp")
    ended.set()
    assert (found.alive, found.failure, found.status) == (False, "no answer in time", None)
    assert runbook_request(free_port(), "/mcp").failure == "nothing listens"


ERROR = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "Missing session ID"}}'


@pytest.mark.parametrize("status", ALIVE)
def test_each_status_that_means_alive_has_its_meaning(serve: Serve, status: int) -> None:
    def server(_: str, __: Mapping[str, str], body: Any) -> Reply:
        if status == 200:
            return 200, STREAM, b"data: " + result(body, {"tools": []}) + b"\n\n"
        return status, JSON, b"" if status == 405 else ERROR

    found = runbook_request(serve(server), "/mcp")
    assert (found.status, found.alive, found.meaning, found.failure) == (status, True, ALIVE[status], None)
