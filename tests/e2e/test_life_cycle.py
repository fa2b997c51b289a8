"""Up, death, up again, down: with the real emulator and the real server."""

import json
import os
import select
import signal
import socket
import sys
from dataclasses import replace
from subprocess import Popen
from urllib.request import Request, urlopen

import pytest

from tests.support.stack import Stack

pytestmark = pytest.mark.e2e


def pids(stack: Stack) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in stack.good("status")["services"]}


def kill(pid: int) -> None:
    """`kill -9`, and wait until it is gone."""
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    ended, _, _ = select.select([handle], [], [], 120)
    os.close(handle)
    assert ended


def test_what_was_killed_is_named_and_alone_comes_back(fresh_stack: Stack) -> None:
    fresh_stack.good("up")
    before = pids(fresh_stack)
    for victim, survivor in (("emulator", "mcp"), ("mcp", "emulator")):
        kill(before[victim])

        status = fresh_stack.harness("status", "--json")
        while any(row["name"] == victim and row["state"] == "up" for row in status.json["services"]):
            status = fresh_stack.harness("status", "--json")
        (dead,) = [row for row in status.json["services"] if row["name"] == victim]
        assert status.exit_code == 1
        assert dead["state"] == "died"
        assert "SIGKILL" in str(dead)
        assert "UTC" in str(dead) or "T" in str(dead)

        fresh_stack.good("up")
        after = pids(fresh_stack)
        assert after[survivor] == before[survivor]
        assert after[victim] != before[victim]
        assert fresh_stack.good("call", "list_events")["result"]
        before = after

    fresh_stack.good("down")
    assert fresh_stack.processes() == []
    assert fresh_stack.ports_are_free()
    assert fresh_stack.harness("status", "--json").exit_code == 7
    assert fresh_stack.harness("verify", "--json").exit_code == 7


def test_a_second_up_changes_nothing(running_stack: Stack) -> None:
    before = pids(running_stack)
    running_stack.good("up")
    assert pids(running_stack) == before


def test_a_stranger_on_the_port_is_named_and_lives_on(fresh_stack: Stack) -> None:
    program = (
        "import socket, sys; listener = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "print('up', flush=True); sys.stdin.read()"
    )
    with Popen([sys.executable, "-c", program, str(fresh_stack.ports["mcp"])], stdin=-1, stdout=-1) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"up\n"
        refused = fresh_stack.harness("up", "--json")
        assert refused.exit_code == 5
        assert {"code", "cause", "fix"} <= set(refused.error)
        assert str(stranger.pid) in refused.error["cause"]
        assert str(fresh_stack.ports["mcp"]) in refused.error["cause"]
        assert stranger.poll() is None
        socket.create_connection(("127.0.0.1", fresh_stack.ports["mcp"]), timeout=60).close()
        assert fresh_stack.processes() == []
        stranger.kill()


def test_verify_climbs_the_whole_ladder(running_stack: Stack) -> None:
    report = str(running_stack.good("verify"))
    for rung in ("socket", "health", "initialize", "tools", "call"):
        assert rung in report


def test_logs_show_what_the_services_said(running_stack: Stack) -> None:
    assert str(running_stack.ports["emulator"]) in running_stack.harness("logs", "emulator").stdout


def test_the_whole_stack_is_a_page_and_its_tools_behind_one_door(fresh_stack: Stack) -> None:
    whole = replace(fresh_stack, settings={**fresh_stack.settings, "HARNESS_STACK_SERVICES": ""})
    up = whole.good("up", "--ports", "auto")
    urls = {each["name"]: each["url"] for each in up["services"]}
    assert list(urls) == ["emulator", "mcp", "copilot", "nginx"]
    with urlopen(urls["nginx"], timeout=120) as page:  # noqa: S310 - a loopback URL
        assert page.headers.get_content_type() == "text/html"
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    types = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    with urlopen(Request(f"{urls['nginx']}mcp", body, types), timeout=120) as answer:  # noqa: S310 - the same
        assert b"list_events" in answer.read()
    spells = whole.good("status")["timing"]["services"]
    assert spells["nginx"]["waited_for"] == []
    assert spells["nginx"]["begun_s"] < spells["emulator"]["ready_s"], "started beside the others"
    asked = whole.good("call", "ask_mixpanel", "question=How many users did Sign Up last week?")
    assert asked["worded_by"] == "endpoint", "with the copilot's voice"
    ours = {name: row["identity"] for name, row in ((row["service"], row) for row in whole.good("ports")["ports"])}
    assert set(ours.values()) == {"ours"}
    for name, pid in pids(whole).items():
        kill(pid)
        assert whole.good("up")["services"], f"{name} comes back"
    down = whole.good("down")
    assert down["ended"] == ["nginx", "copilot", "mcp", "emulator"]
    assert whole.processes() == []
