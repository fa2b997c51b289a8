"""The life of a stack, with real processes in the services' place."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from select import select

import pytest

from harness.stack import identity, ports, processes
from harness.stack.look import how_it_died
from harness.stack.state import Record, StateDirectory
from tests.support.ports import free_port
from tests.support.standin import StandIn, standin, wait_until
from tests.support.strangers import stranger


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path) as made:
        yield made


@pytest.fixture
def running(stack: StandIn) -> StandIn:
    ran = stack.run("up", "--json")
    assert ran.code == 0, ran.err
    return stack


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, number)


def gone(pid: int) -> bool:
    stat = identity.read_stat(pid)
    return stat is None or stat.state in "ZX"


def test_up_starts_all_and_says_where_it_is_and_down_leaves_nothing(stack: StandIn) -> None:
    up = stack.run("up", "--json")
    assert up.code == 0, up.err
    found = up.json()
    assert [(each["name"], each["deed"]) for each in found["services"]] == [("emulator", "start"), ("mcp", "start")]
    assert found["services"][1]["url"] == f"http://127.0.0.1:{stack.mcp_port}/mcp"
    assert found["facts"]["emulator"]["event_count"] == 12345
    assert stack.run("status").code == 0
    down = stack.run("down", "--json")
    assert down.code == 0, down.err
    assert down.json() == {
        "ended": ["mcp", "emulator"],
        "strays": 0,
        "ports": [stack.emulator_port, stack.mcp_port],
        "restored": [],
    }
    assert stack.is_empty()
    assert stack.run("status").code == 7
    again = stack.run("down", "--json")
    assert again.code == 7
    assert again.error()["code"] == "NOT_RUNNING"


def test_the_server_is_given_the_emulators_account_and_nothing_that_misleads_it(stack: StandIn) -> None:
    caller = {
        "VIRTUAL_ENV": "/somewhere",
        "UV_CACHE_DIR": "/elsewhere",
        "MP_SECRET": "my-own",
        "MP_NOW": "2020-01-01",
        "MP_CONFIG_PATH": "/home/me/.mp/config.toml",
        "MP_LLM_MODEL": "kept",
        "HTTP_PROXY": "http://proxy.example:3128",
    }
    up = stack.run("up", **caller)
    (said,) = [line for line in up.err.splitlines() if "not passed on" in line]
    for name, why in (
        ("PYTHONPATH", "puts other packages before ours"),
        ("UV_CACHE_DIR", "lets uv choose"),
        ("VIRTUAL_ENV", "names another environment"),
    ):
        assert f"{name} ({why}" in said
    seen = stack.run("call", "environment", "--json").json()["result"]
    wanted = {
        "MP_USERNAME": "standin",
        "MP_SECRET": "standin-secret",
        "MP_PROJECT_ID": "4711",
        "MP_REGION": "eu",
        "MP_API_BASE_URL": f"http://127.0.0.1:{stack.emulator_port}",
        "MP_RATE_LIMITS": "off",
        "MP_LLM_MODEL": "kept",
        "NO_PROXY": "127.0.0.1,localhost",
        "HARNESS_STATE_DIR": str(stack.state.path),
    }
    assert {name: seen.get(name) for name in wanted} == wanted
    assert not {"VIRTUAL_ENV", "UV_CACHE_DIR", "PYTHONPATH", "MP_NOW", "MP_CONFIG_PATH"} & seen.keys()
    emulator = identity.read_environment(stack.pid("emulator"))
    assert not [name for name in emulator if name.startswith("MP_")]


def test_no_secret_is_written_down(running: StandIn) -> None:
    everything = [path.read_text() for path in running.state.path.rglob("*") if path.is_file()]
    assert any("4711" in text for text in everything)
    assert not [text for text in everything if "standin-secret" in text]


def test_a_second_up_changes_nothing(running: StandIn) -> None:
    before = running.stack.members
    again = running.run("up", "--json")
    assert [each["deed"] for each in again.json()["services"]] == ["keep", "keep"]
    assert running.stack.members == before


def test_some_services_start_with_what_they_need_and_the_rest_joins_them_later(stack: StandIn) -> None:
    assert stack.run("up", "emulator").code == 0
    assert list(stack.stack.members) == ["emulator"]
    pid = stack.pid("emulator")
    assert stack.run("up", "mcp").code == 0
    assert (stack.pid("emulator"), list(stack.stack.members)) == (pid, ["emulator", "mcp"])
    wrong = stack.run("up", "emulater", "--json")
    assert (wrong.code, wrong.error()["fix"]) == (2, "did you mean emulator?")


def test_who_was_killed_is_named_with_signal_and_time_and_alone_brought_back(running: StandIn) -> None:
    kill(running.pid("emulator"))
    server = running.pid("mcp")
    wait_until(lambda: gone(running.pid("emulator")), "the emulator's end")
    status = running.run("status", "--json")
    assert status.code == 1
    dead, alive = status.json()["services"]
    assert (dead["state"], alive["state"]) == ("died", "up")
    assert re.fullmatch(r"signal SIGKILL at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", dead["how"])
    assert running.run("verify", "--json").json()["services"][0]["rungs"][0]["broken"]["code"] == "DIED"
    up = running.run("up", "--json")
    assert [each["deed"] for each in up.json()["services"]] == ["start", "keep"]
    assert running.pid("mcp") == server
    assert running.run("down").code == 0
    assert running.is_empty()


def test_an_orderly_end_is_told_by_its_exit_status(running: StandIn) -> None:
    kill(running.stack.members["mcp"].keeper.pid, signal.SIGTERM)
    wait_until(lambda: gone(running.pid("mcp")), "the server's end, asked for through its keeper")
    assert "signal SIGTERM" in running.run("status").out
    call = running.run("call", "list_events", "--json")
    assert call.code == 7
    assert call.error()["cause"].startswith("mcp died: signal SIGTERM at ")


class WrittenMeanwhile(StateDirectory):
    """What is read of a keeper is as old as can be: it writes, and is gone, as soon as somebody has read."""

    def record(self, service: str) -> Record | None:
        found = super().record(service)
        keeper = (self.read() or pytest.fail("nothing is written down")).members[service].keeper
        if keeper.is_alive():
            kill(keeper.pid, signal.SIGCONT)
            wait_until(lambda: not keeper.is_alive(), "the keeper's end")
        return found


def test_an_end_that_is_written_down_while_it_is_looked_for_is_told(running: StandIn) -> None:
    member = running.stack.members["mcp"]
    kill(member.keeper.pid, signal.SIGSTOP)
    kill(member.process.pid)
    wait_until(lambda: gone(member.process.pid), "the server's end")
    assert how_it_died(WrittenMeanwhile(running.state.path), "mcp", member).startswith("signal SIGKILL at ")


def test_a_stack_outlives_its_keepers(running: StandIn) -> None:
    for member in running.stack.members.values():
        kill(member.keeper.pid)
    assert [each["state"] for each in running.run("status", "--json").json()["services"]] == ["up", "up"]
    assert running.run("verify").code == 0
    assert [each["deed"] for each in running.run("up", "--json").json()["services"]] == ["keep", "keep"]
    kill(running.pid("mcp"))
    wait_until(lambda: gone(running.pid("mcp")), "the server's end")
    assert "is not known" in running.run("status").out
    assert running.run("down").code == 0
    assert running.is_empty()


def halt(pid: int) -> None:
    """SIGSTOP, and wait until the kernel has done it."""
    kill(pid, signal.SIGSTOP)
    wait_until(lambda: (stat := identity.read_stat(pid)) is not None and stat.state == "T", "the halt")


def test_what_is_halted_is_told_as_such_and_up_has_it_go_on(running: StandIn) -> None:
    member = running.stack.members["mcp"]
    halt(member.process.pid)
    halt(member.keeper.pid)
    status = running.run("status", "--json")
    assert status.code == 1
    assert [each["state"] for each in status.json()["services"]] == ["up", "halted"]
    pids = ", ".join(map(str, sorted((member.process.pid, member.keeper.pid))))
    assert status.json()["services"][1]["how"] == f"pid {pids} are halted, as by SIGSTOP"
    assert "have what is halted go on: harness up" in running.run("status").out
    (rung,) = running.run("verify", "--json").json()["services"][1]["rungs"]
    assert rung["broken"]["code"] == "HALTED"
    call = running.run("call", "list_events", "--json")
    assert (call.code, call.error()["code"]) == (1, "HALTED")
    up = running.run("up", "--json")
    assert [each["deed"] for each in up.json()["services"]] == ["keep", "keep"]
    assert [note for note in up.json()["notes"] if "goes on" in note and str(member.process.pid) in note]
    assert running.pid("mcp") == member.process.pid
    assert running.run("status").code == 0


def test_what_is_halted_ends_in_order_all_the_same(running: StandIn) -> None:
    member = running.stack.members["mcp"]
    halt(member.process.pid)
    halt(member.keeper.pid)
    # Without a grace period that matters: it ends by what it is asked, not by what nobody survives.
    assert processes.end(lambda: processes.members_of(running.state, running.stack, "mcp"), grace_s=600.0) == set()
    record = running.state.record("mcp")
    assert record is not None
    assert record.signal == "SIGTERM"


def test_down_ends_the_stubborn_and_their_children(stack: StandIn) -> None:
    hard = {"STANDIN_MCP": "--stubborn --child", "HARNESS_STACK_GRACE_S": "0.2"}
    assert stack.run("up", **hard).code == 0
    names = [" ".join(who.command) for who in stack.living()]
    assert any(" orphan " in name for name in names)
    assert stack.run("down", **hard).code == 0
    assert stack.is_empty()


def test_what_a_dead_service_leaves_behind_is_ended_too(stack: StandIn) -> None:
    hard = {"STANDIN_MCP": "--child", "HARNESS_STACK_GRACE_S": "0.2"}
    assert stack.run("up", **hard).code == 0
    kill(stack.pid("mcp"))
    wait_until(lambda: gone(stack.pid("mcp")), "the server's end")
    up = stack.run("up", HARNESS_STACK_GRACE_S="0.2")
    assert "left behind" in up.err, up.err
    assert not [who for who in stack.living() if "orphan" in who.command]


def test_a_stranger_on_a_port_is_named_and_left_alone_and_nothing_is_started(stack: StandIn) -> None:
    # Started in a shell that names the stack's own directory, as a developer's may.
    with stranger(stack.mcp_port, "i-am-a-stranger", HARNESS_STATE_DIR=str(stack.state.path)) as other:
        up = stack.run("up", "--json")
        assert up.code == 5
        assert "another stack" not in up.error()["fix"]
        cause = up.error()["cause"]
        for part in (str(stack.mcp_port), f"pid {other.pid}", "i-am-a-stranger", "since 20", str(Path.cwd())):
            assert part in cause
        assert other.poll() is None
        assert not stack.living()
        assert stack.run("status").code == 7
        other.communicate(b"\n")


def test_a_port_of_another_stack_is_told_as_such(running: StandIn, tmp_path: Path) -> None:
    other = StandIn(tmp_path / "other", running.emulator_port, free_port())
    other.directory.mkdir()
    up = other.run("up", "--json")
    assert up.code == 5
    assert f"HARNESS_STATE_DIR={running.state.path} harness down" in up.error()["fix"]
    assert running.run("status").code == 0


def test_a_connection_in_time_wait_is_nobodys(stack: StandIn) -> None:
    with socket.create_server(("127.0.0.1", stack.mcp_port)) as server:
        client = socket.create_connection(("127.0.0.1", stack.mcp_port))
        accepted, _ = server.accept()
        accepted.close()
        client.recv(1)
        client.close()
    lingering = f":{stack.mcp_port:04X} "
    wait_until(
        lambda: any(lingering in line and " 06 " in line for line in Path("/proc/net/tcp").read_text().splitlines()),
        "TIME_WAIT",
    )
    assert ports.is_free(stack.mcp_port)
    with socket.create_server(("127.0.0.1", stack.mcp_port)):
        assert not ports.is_free(stack.mcp_port)


def test_down_fails_when_somebody_else_has_taken_a_port_meanwhile(running: StandIn) -> None:
    kill(running.pid("mcp"))
    wait_until(lambda: ports.is_free(running.mcp_port), "the port")
    with stranger(running.mcp_port) as other:
        down = running.run("down", "--json")
        assert (down.code, down.error()["code"]) == (5, "PORT_TAKEN")
        assert other.poll() is None
        other.communicate(b"\n")
    assert running.run("down").code == 0
    assert running.is_empty()


def test_a_service_that_dies_at_its_start_ends_the_wait_with_its_own_error(stack: StandIn) -> None:
    up = stack.run("up", "--json", STANDIN_MCP="--refuse")
    assert up.code == 2
    envelope = up.error()
    assert (envelope["code"], envelope["fix"]) == ("EXPORT_MALFORMED", "export it again")
    assert envelope["log"][0] == "mcp begins"
    assert stack.is_empty()
    assert stack.run("status").code == 7
    assert "line 3 is no JSON object" in stack.run("logs", "mcp").out


def test_what_ran_before_a_failed_up_runs_on(stack: StandIn) -> None:
    stack.run("up", "emulator")
    assert stack.run("up", STANDIN_MCP="--refuse").code == 2
    assert stack.run("status").code == 0
    assert [each["deed"] for each in stack.run("up", "--json").json()["services"]] == ["keep", "start"]


def test_a_wait_ends_at_its_deadline(stack: StandIn) -> None:
    up = stack.run("up", "--json", "--deadline", "1", STANDIN_EMULATOR="--slow 50")
    assert (up.code, up.error()["code"]) == (124, "NOT_READY")
    assert "nothing listens" in up.error()["cause"]
    assert stack.is_empty()


def test_a_service_that_lives_but_does_not_answer_is_waited_for_and_not_restarted(running: StandIn) -> None:
    pid = running.pid("mcp")
    silent = running.state.path / "silent"
    silent.touch()
    hung = running.run("up", "--json", "--deadline", "0.5")
    assert (hung.code, hung.error()["code"]) == (124, "NOT_READY")
    silent.unlink()
    assert [each["deed"] for each in running.run("up", "--json").json()["services"]] == ["keep", "keep"]
    assert running.pid("mcp") == pid


@pytest.mark.parametrize(
    ("oddity", "code", "said"),
    [
        ("redirect", "REDIRECT", "https://elsewhere.example/"),
        ("html", "HTML", "It works!"),
        ("stranger", "OTHER_PROGRAM", "billing"),
        ("noise", "NOT_HTTP", "does not speak HTTP"),
    ],
)
def test_verify_tells_apart_what_answers_on_a_port(running: StandIn, oddity: str, code: str, said: str) -> None:
    member = running.stack.members["mcp"]
    script = str(Path(__file__).parents[1] / "support" / "standin_service.py")
    with subprocess.Popen(
        [sys.executable, "-S", script, "mcp", str(port := free_port()), "--as", oddity], stderr=subprocess.DEVNULL
    ) as other:
        wait_until(lambda: not ports.is_free(port), "the other program")
        moved = {**running.stack.members, "mcp": member.model_copy(update={"port": port})}
        running.state.write(running.stack.model_copy(update={"members": moved}))
        verify = running.run("verify", "--json")
        other.kill()
    assert verify.code == 1
    broken = verify.json()["services"][1]["rungs"][-1]
    assert (broken["name"], broken["broken"]["code"]) == ("health", code)
    assert said in broken["broken"]["cause"]
    assert not verify.json()["runbook"]["alive"]


def test_verify_climbs_every_rung_and_knows_the_runbooks_request(running: StandIn) -> None:
    verify = running.run("verify", "--json")
    assert verify.code == 0
    climbed = {each["name"]: [rung["name"] for rung in each["rungs"]] for each in verify.json()["services"]}
    assert climbed == {
        "emulator": ["process", "socket", "health", "about"],
        "mcp": ["process", "socket", "health", "initialize", "tools", "call"],
    }
    assert verify.json()["runbook"]["status"] == 200


def test_up_with_other_settings_is_refused_unless_it_starts_anew(running: StandIn) -> None:
    pids = {member.process.pid for member in running.stack.members.values()}
    other = running.run("up", "--json", "--seed", "2")
    assert other.code == 2
    assert "emulator.seed: 1 runs, 2 is asked for" in other.error()["cause"]
    assert running.run("status").code == 0
    fresh = running.run("up", "--json", "--seed", "2", "--fresh")
    assert fresh.code == 0, fresh.err
    assert not pids & {member.process.pid for member in running.stack.members.values()}
    assert running.run("up").code == 0, "what nobody sets is as the stack has it"
    assert running.stack.launch["emulator.seed"] == 2


def test_live_needs_the_four_variables_and_starts_no_emulator(stack: StandIn) -> None:
    up = stack.run("up", "--json", "--target", "live", MP_USERNAME="me", MP_REGION="eu")
    assert up.code == 6
    assert "not set: MP_SECRET, MP_PROJECT_ID" in up.error()["cause"]
    four = {"MP_USERNAME": "me", "MP_SECRET": "s3cret", "MP_PROJECT_ID": "7", "MP_REGION": "eu"}
    live = stack.run("up", "--json", "--target", "live", **four)
    assert live.code == 0, live.err
    assert [each["name"] for each in live.json()["services"]] == ["mcp"]
    seen = stack.run("call", "environment", "--json").json()["result"]
    assert {name: seen[name] for name in four} == four
    assert "MP_API_BASE_URL" not in seen
    assert [each["deed"] for each in stack.run("up", "--json").json()["services"]] == ["keep"]
    assert "s3cret" not in "".join(path.read_text() for path in stack.state.path.rglob("*") if path.is_file())


def test_restart_starts_anew_what_is_named_and_leaves_the_rest(stack: StandIn) -> None:
    none = stack.run("restart", "--json")
    assert (none.code, none.error()["code"]) == (7, "NOT_RUNNING")
    assert stack.run("up", "--seed", "2").code == 0
    emulator, server = stack.pid("emulator"), stack.pid("mcp")
    one = stack.run("restart", "mcp", "--json")
    assert one.code == 0, one.err
    assert [(each["name"], each["deed"]) for each in one.json()["services"]] == [("emulator", "keep"), ("mcp", "start")]
    assert stack.pid("emulator") == emulator
    assert stack.pid("mcp") != server
    assert gone(server)
    wrong = stack.run("restart", "mpc", "--json")
    assert (wrong.code, wrong.error()["fix"]) == (2, "did you mean mcp?")
    assert stack.run("restart").code == 0
    assert stack.pid("emulator") != emulator
    assert stack.stack.launch["emulator.seed"] == 2, "with the settings that it had"


def test_a_restart_that_fails_leaves_the_others_running(running: StandIn) -> None:
    ran = running.run("restart", "mcp", "--json", STANDIN_MCP="--refuse")
    assert ran.code == 2
    states = {each["name"]: each["state"] for each in running.run("status", "--json").json()["services"]}
    assert states == {"emulator": "up", "mcp": "stopped"}
    assert running.run("up").code == 0


def test_two_ups_at_once_start_one_stack(stack: StandIn) -> None:
    first, second = stack.start("up", "--json"), stack.start("up", "--json")
    with first, second:
        said = [json.loads(process.communicate()[0]) for process in (first, second)]
    assert sorted(each["services"][0]["deed"] for each in said) == ["keep", "start"]
    assert len(stack.living()) == 4, "two services and their keepers"


@pytest.mark.parametrize("harm", ["{", "", '{"format": 99}', None])
def test_a_lost_or_damaged_state_file_is_survived(running: StandIn, harm: str | None) -> None:
    before = running.living()
    file = running.state.path / "stack.json"
    file.write_text(harm) if harm is not None else file.unlink()
    status = running.run("status", "--json")
    assert status.code == 1
    assert len(status.json()["strays"]) == len(before)
    up = running.run("up", "--json")
    assert up.code == 0, up.err
    assert not before & running.living()
    file.unlink()
    down = running.run("down", "--json")
    assert (down.code, down.json()["strays"]) == (0, 4)
    assert running.is_empty()


def test_an_interrupted_up_takes_down_what_it_started(stack: StandIn) -> None:
    with stack.start("up", STANDIN_MCP="--mute") as up:
        wait_until(lambda: not ports.is_free(stack.mcp_port), "the server's port")
        up.send_signal(signal.SIGINT)
        up.communicate()
    assert up.returncode == 130
    assert stack.is_empty()


def test_an_up_waits_no_longer_for_another_command_than_it_may(stack: StandIn) -> None:
    with stack.start("up", STANDIN_EMULATOR="--mute") as first:
        wait_until(lambda: not ports.is_free(stack.emulator_port), "the first command at work")
        second = stack.run("up", "--json", "--deadline", "0.3")
        assert (second.code, second.error()["code"]) == (124, "LOCKED")
        assert f"pid {first.pid}" in second.error()["cause"]
        first.send_signal(signal.SIGINT)
        first.communicate()


def test_processes_of_others_with_the_same_state_directory_are_left_alone(running: StandIn) -> None:
    shell = subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, env=running.environment(), text=True
    )
    with shell:
        assert running.run("down").code == 0
        assert shell.poll() is None
        shell.communicate("\n")


def test_a_command_that_was_given_a_run_id_itself_is_not_taken_for_part_of_the_stack(running: StandIn) -> None:
    with running.start("down", "--json", HARNESS_RUN_ID=running.stack.run_id) as down:
        out, _ = down.communicate()
    assert (down.returncode, json.loads(out)["strays"]) == (0, 0)
    assert running.is_empty()


def test_call_answers_and_tells_a_tools_error(running: StandIn) -> None:
    echo = running.run("call", "echo", "text=5", "names=Sign Up", "unit=day")
    assert json.loads(echo.out) == {"result": {"text": "5", "names": ["Sign Up"], "unit": "day"}}
    failed = running.run("call", "fail", "--json")
    assert failed.code == 1
    assert failed.error() == {"code": "QUERY_FAILED", "cause": "no such event", "fix": "call list_events"}
    unknown = running.run("call", "list_event", "--json")
    assert (unknown.code, unknown.error()["fix"]) == (2, "did you mean list_events?")
    late = running.run("call", "wait", "--timeout", "0.5", "--json")
    assert (late.code, late.error()["code"]) == (124, "TIMEOUT")


def test_a_log_that_is_removed_while_its_service_runs_is_told(running: StandIn) -> None:
    running.state.log("mcp").unlink()
    alone = running.run("logs", "mcp", "--json")
    assert (alone.code, alone.error()["code"]) == (1, "LOG_REMOVED")
    assert alone.error()["fix"] == "begin a new one: harness restart mcp"
    beside = running.run("logs")
    assert beside.code == 0
    assert "emulator begins" in beside.out
    assert beside.err == "note: removed while its service runs: the log of mcp\n"


def test_logs_show_the_last_lines_and_follow_new_ones(running: StandIn) -> None:
    assert running.run("logs", "emulator", "-n", "1").out.startswith("GET /_emulator/")
    with running.start("logs", "mcp", "-f", "-n", "0", "--json") as follow:
        lines = follow.stdout
        assert lines is not None
        wait_until(lambda: running.run("verify").code == 0 and bool(select([lines], [], [], 0.2)[0]), "a line")
        assert json.loads(lines.readline())["service"] == "mcp"
        follow.send_signal(signal.SIGINT)
        follow.communicate()
    assert follow.returncode == 130
    running.run("down")
    assert "mcp begins" in running.run("logs", "-n", "100000").out, "logs outlive the stack"
    running.run("up", "emulator")
    assert "mcp begins" not in running.run("logs").out, "but not the next run"


@pytest.mark.parametrize("part", ["", "run", "logs"])
def test_a_state_directory_that_is_a_symbolic_link_is_refused(stack: StandIn, part: str) -> None:
    elsewhere = stack.directory / "elsewhere"
    elsewhere.mkdir()
    place = stack.state.path / part
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    up = stack.run("up", "--json")
    assert (up.code, up.error()["code"]) == (5, "STATE_DIR_UNSAFE")
    assert not list(elsewhere.iterdir())


def test_a_planted_link_is_not_written_through_and_all_is_private(stack: StandIn) -> None:
    precious = stack.directory / "precious"
    precious.write_text("mine")
    stack.state.prepare()
    stack.state.path.chmod(0o755)
    stack.state.log("emulator").symlink_to(precious)
    (stack.state.path / "stack.json").symlink_to(precious)
    assert stack.run("up").code == 0
    assert precious.read_text() == "mine"
    modes = {path.stat().st_mode & 0o777 for path in stack.state.path.rglob("*") if not path.is_symlink()}
    modes.add(stack.state.path.stat().st_mode & 0o777)
    assert modes == {0o700, 0o600}
