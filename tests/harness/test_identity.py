"""Who a process is, and who it is not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import clock
from harness.errors import HarnessError
from harness.stack import identity, readiness
from harness.stack.services import SERVICES
from harness.stack.state import StateDirectory
from tests.support.standin import wait_until


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the run `r1` that waits to be told to end."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, env={identity.RUN_ID: "r1"}
    )
    with process:
        # Between fork and exec it is still a copy of the caller.
        wait_until(lambda: identity.read_environment(process.pid) == {identity.RUN_ID: "r1"}, "the child")
        yield process
        process.kill()


def known(process: "subprocess.Popen[bytes]", run_id: str = "r1") -> identity.Identity:
    found = identity.identify(process.pid, run_id)
    assert found is not None
    return found


def test_a_process_is_itself_until_it_ends(child: "subprocess.Popen[bytes]") -> None:
    who = known(child)
    assert who.is_alive()
    assert who.command[-1] == "input()"
    child.kill()
    wait_until(lambda: (stat := identity.read_stat(child.pid)) is not None and stat.state == "Z", "a zombie")
    assert not who.is_alive()
    assert identity.identify(child.pid, "r1") is None
    child.wait()
    assert not who.is_alive()


def test_the_same_pid_is_another_process_with_another_start_or_machine(child: "subprocess.Popen[bytes]") -> None:
    who = known(child)
    assert not replace(who, started_ticks=who.started_ticks - 1).is_alive()
    assert not replace(who, boot="another").is_alive()


def test_a_rewritten_command_is_forgiven_to_who_carries_the_run_id(child: "subprocess.Popen[bytes]") -> None:
    who = replace(known(child), command=("npm run dev",))
    assert who.is_alive()
    assert not replace(who, run_id="r2").is_alive()


def test_a_command_with_brackets_and_blanks_is_read() -> None:
    stat = identity.read_stat(os.getpid())
    assert stat is not None
    assert stat.parent == os.getppid()
    assert {os.getpid(), os.getppid()} <= identity.ancestors(os.getpid())


def test_state_is_not_read_through_a_link(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    planted = tmp_path / "planted.json"
    planted.write_text('{"run_id": "r", "started_at": "", "launch": {"stack.target": "emulator"}}')
    (state.path / "stack.json").symlink_to(planted)
    assert state.read() is None
    (state.path / "stack.json").unlink()
    planted.rename(state.path / "stack.json")
    assert state.read() is not None


def test_a_service_whose_process_is_gone_is_not_ready_although_somebody_answers() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        climb = readiness.Climb(replace(SERVICES[0], ladder=("socket",)), other.getsockname()[1])
        gone = HarnessError("DIED", "it is gone", fix="")
        with pytest.raises(HarnessError, match="it is gone"):
            readiness.await_ready(climb, clock.Deadline(30), died=lambda: gone, watch=lambda _: None)
        readiness.await_ready(climb, clock.Deadline(30), died=lambda: None, watch=lambda _: None)
