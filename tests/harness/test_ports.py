"""Who holds a port, who may be ended for it, and stacks that choose their own."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import settings
from harness.errors import HarnessError
from harness.stack import holders, identity, ports, processes
from harness.stack.services import SERVICES
from tests.support.ports import free_port
from tests.support.standin import StandIn, standin, wait_until
from tests.support.strangers import stranger


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path) as made:
        yield made


def listed(stack: StandIn) -> dict[str, dict[str, Any]]:
    """What `harness ports` says, by service."""
    ran = stack.run("ports", "--json")
    assert ran.code == 0, ran.err
    return {row["service"]: row for row in ran.json()["ports"]}


def gone(pid: int) -> bool:
    stat = identity.read_stat(pid)
    return stat is None or stat.state in "ZX"


def test_ports_tell_ours_stale_strangers_and_free_ones(stack: StandIn) -> None:
    assert {row["identity"] for row in listed(stack).values()} == {"free"}
    assert stack.run("up").code == 0
    emulator, server = stack.pid("emulator"), stack.pid("mcp")
    found = listed(stack)
    assert (found["emulator"]["identity"], found["emulator"]["owner"]["pid"]) == ("ours", emulator)
    assert found["emulator"]["owner"]["directory"] == str(stack.state.path)
    left = {name: member for name, member in stack.stack.members.items() if name != "mcp"}
    stack.state.write(stack.stack.model_copy(update={"members": left}))
    assert (listed(stack)["mcp"]["identity"], listed(stack)["mcp"]["owner"]["pid"]) == ("stale ours", server)
    with stranger(stack.nginx_port, "who-am-i") as other:
        row = listed(stack)["nginx"]
        assert (row["identity"], row["owner"]["pid"], row["owner"]["state_dir"]) == ("stranger", other.pid, None)
        assert "who-am-i" in row["owner"]["command"]
        assert f"stranger: pid {other.pid} (" in stack.run("ports").out


def test_free_ends_ours_and_stale_ones_and_leaves_strangers(stack: StandIn) -> None:
    assert stack.run("up").code == 0
    server, emulator = stack.pid("mcp"), stack.pid("emulator")
    freed = stack.run("ports", "free", str(stack.mcp_port), "--json")
    assert freed.json() == {"ended": [[server, stack.mcp_port]], "services": ["mcp"], "ports": [stack.mcp_port]}
    assert gone(server)
    status = {each["name"]: each["state"] for each in stack.run("status", "--json").json()["services"]}
    assert status == {"emulator": "up", "mcp": "stopped"}, "it was ended on purpose: it has not died"
    (stack.state.path / "stack.json").unlink()
    with stranger(stack.mcp_port) as other:
        refused = stack.run("ports", "free", "--json")
        assert (refused.code, refused.error()["code"]) == (5, "PORT_TAKEN")
        assert f"pid {other.pid}" in refused.error()["cause"]
        assert other.poll() is None
        assert gone(emulator), "the stale one is ended all the same"
        taken = stack.run("ports", "free", "--take-port")
        assert taken.code == 0, taken.err
        assert f"ending pid {other.pid}" in taken.err
        assert gone(other.pid)
    assert stack.run("ports", "free", "--json").json()["ended"] == []


def test_take_port_says_so_and_ends_a_stranger_of_the_same_user(stack: StandIn) -> None:
    with stranger(stack.mcp_port) as other:
        assert "--take-port" in stack.run("up", "--json").error()["fix"]
        up = stack.run("up", "--take-port")
        assert up.code == 0, up.err
        assert f"note: ending pid {other.pid}" in up.err
        assert up.err.index("note: ending") < up.err.index("emulator: starting")
        assert gone(other.pid)


def test_a_process_of_another_user_is_never_ended(stack: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger(stack.mcp_port) as other:
        monkeypatch.setattr("os.getuid", lambda: os.geteuid() + 1)
        with pytest.raises(HarnessError, match="who is not you") as caught:
            ports.take([stack.mcp_port], 0.1, lambda _: None)
        assert caught.value.exit_code == 5
        assert other.poll() is None


def test_this_very_command_and_what_is_above_it_is_never_ended() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = mine.getsockname()[1]
        assert processes.owner(port) is not None
        assert processes.holding(port) == set()
        with pytest.raises(HarnessError, match="still held"):
            ports.take([port], 0.1, lambda _: None)


def test_a_connection_that_lingers_is_told_apart_from_an_owner(stack: StandIn) -> None:
    import socket

    port = stack.mcp_port
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.recv(1)
        client.close()
    wait_until(lambda: processes.lingering(port) > 0, "TIME_WAIT")
    row = listed(stack)["mcp"]
    assert (row["identity"], row["owner"]) == ("free", None)
    assert row["lingering"] > 0
    assert "TIME_WAIT" in stack.run("ports").out


def test_a_stack_with_a_name_stands_beside_the_one_without(stack: StandIn) -> None:
    assert stack.run("up").code == 0
    names = ("one", "two")
    with ThreadPoolExecutor() as pool:
        for code, said in pool.map(lambda name: begun(stack, "up", "--stack", name, "--json"), names):
            assert code == 0, said
    statuses = [stack.run("status", "--stack", name, "--json").json() for name in names]
    chosen = [service["port"] for status in statuses for service in status["services"]]
    assert len({*chosen, stack.emulator_port, stack.mcp_port}) == len(chosen) + 2, "no two share a port"
    assert len({status["run_id"] for status in statuses} | {stack.stack.run_id}) == 3
    for name in names:
        again = stack.run("up", "--stack", name, "--json")
        assert [each["deed"] for each in again.json()["services"]] == ["keep", "keep"]
        url = stack.run("env", "--stack", name, "--json").json()["MIXPANEL_DATA_MCP_URL"]
        assert url == again.json()["services"][1]["url"]
        assert stack.run("call", "list_events", "--stack", name, "--json").code == 0
        rows = stack.run("ports", "--stack", name, "--json").json()["ports"]
        assert {row["port"] for row in rows if row["identity"] == "ours"} == {
            each["port"] for each in again.json()["services"]
        }
    assert stack.run("down", "--stack", "one").code == 0
    assert stack.run("down", "--stack", "two").code == 0
    assert stack.run("ports", "--stack", "one", "--json").json() == {"ports": []}
    assert "chooses its ports" in stack.run("ports", "--stack", "one").out
    assert stack.run("ports", "free", "--take-port", "--stack", "one", "--json").json()["ended"] == []
    assert stack.run("status").code == 0, "the one without a name runs on"
    assert stack.run("env", "--stack", "one", "--json").error()["code"] == "NOT_RUNNING"


def begun(stack: StandIn, *words: str) -> tuple[int, str]:
    """A command in a process of its own, its fixed ports not said."""
    with stack.start(*words) as process:
        out, err = process.communicate()
    return process.returncode, out + err


def test_chosen_ports_are_kept_over_a_fresh_start_and_never_anothers_choice() -> None:
    found = settings.load({"stack.ports": "auto"}, directory=Path("/"), environment={})
    with ports.Claims() as first, ports.Claims() as second:
        one = ports.chosen(found, SERVICES, {}, first)
        launch = one.launch()
        other = ports.chosen(found, SERVICES, launch, second)
        mine = {service.port(one) for service in SERVICES}
        assert len(mine) == len(SERVICES)
        assert not mine & {service.port(other) for service in SERVICES}
    with ports.Claims() as third:
        again = ports.chosen(found, SERVICES, launch, third)
        assert {service.port(again) for service in SERVICES} == mine


def test_a_port_that_was_said_more_strongly_than_the_choice_holds(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("[mcp]\nport = 9000\n[copilot]\nport = 9001\n")
    found = settings.load(
        {"stack.ports": "auto"}, directory=tmp_path, environment={"HARNESS_COPILOT_PORT": str(free_port())}
    )
    assert not {"mcp.port", "copilot.port"} & set(found.explicit), "an option is stronger than both"
    found = settings.load(
        None, directory=tmp_path, environment={"HARNESS_STACK_PORTS": "auto", "HARNESS_COPILOT_PORT": "9002"}
    )
    with ports.Claims() as claims:
        chosen = ports.chosen(found, SERVICES, {}, claims)
    assert chosen.values.copilot.port == 9002
    assert chosen.values.mcp.port != 9000


def test_the_port_of_a_foreign_number_can_be_freed_too(stack: StandIn) -> None:
    port = free_port()
    with stranger(port) as other:
        freed = stack.run("ports", "free", str(port), "--take-port", "--json")
        assert freed.json()["ended"] == [[other.pid, port]]


def test_a_row_reads_as_a_line() -> None:
    row = holders.Holder("mcp", 8200, holders.FREE, None, 0)
    assert str(row).split() == ["8200", "mcp", "free"]
    assert json.dumps(row.to_dict())


def test_what_a_stranger_is_called_gives_the_terminal_no_orders(stack: StandIn) -> None:
    with stranger(stack.nginx_port, "\x1b]0;owned\x07", os.fsdecode(b"caf\xe9")):
        said = [stack.run("ports").out, stack.run("ports", "--json").out, stack.run("up", "nginx").err]
        (owner,) = [row["owner"] for row in json.loads(said[1])["ports"] if row["owner"]]
        assert owner["command"].endswith(" \x1b]0;owned\x07 caf\udce9")
    for text in said:
        assert "\\u001b]0;owned\\u0007 caf\\udce9" in text
        assert text.replace("\n", "").isprintable()
