"""A stack that lives as long as its terminal."""

import array
import fcntl
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from harness.stack import attach, ports
from harness.terminal import harmless
from tests.support.standin import SCRIPT, StandIn, standin, wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path) as made:
        yield made


def read_until(stream: int, wanted: str) -> str:
    """What comes from a terminal until a text has come."""
    seen = ""
    while wanted not in seen:
        seen += os.read(stream, 65536).decode(errors="replace")
    return seen


def test_lines_come_prefixed_and_ctrl_c_ends_all(stack: StandIn) -> None:
    with stack.start("up", "--attach") as up:
        assert up.stdout is not None
        seen = []
        for line in up.stdout:
            seen.append(line.rstrip("\n"))
            if line.startswith("try "):
                break
        stack.run("verify")
        assert any(line.startswith("mcp      | POST /mcp") for line in up.stdout), "and on"
        up.send_signal(signal.SIGINT)
        rest, _ = up.communicate()
    assert up.returncode == 130
    assert "emulator | emulator begins" in seen, "from its first line on"
    assert "\x1b" not in "".join(seen) + rest, "no colours where there is no terminal"
    assert stack.is_empty()
    assert stack.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_as_ctrl_c_does(stack: StandIn, number: signal.Signals) -> None:
    with stack.start("up", "--attach", STANDIN_MCP="--mute") as up:
        wait_until(lambda: not ports.is_free(stack.mcp_port), "the server's port")
        up.send_signal(number)
        up.communicate()
    assert up.returncode == 130
    assert stack.is_empty()


def test_a_second_ctrl_c_does_not_wait_for_anybodys_grace(stack: StandIn) -> None:
    hard = {"STANDIN_MCP": "--stubborn", "HARNESS_STACK_GRACE_S": "300"}
    with stack.start("up", "--attach", **hard) as up:
        assert up.stdout is not None
        assert any(line.startswith("try ") for line in up.stdout)
        up.send_signal(signal.SIGINT)
        assert up.stderr is not None
        assert any(line == "mcp: ending\n" for line in up.stderr), "the first one is heard"
        up.send_signal(signal.SIGINT)
        up.communicate()
    assert up.returncode == 130
    assert stack.is_empty()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_that_goes_away_takes_the_stack_with_it_and_has_colours_until_then(
    stack: StandIn, no_color: str
) -> None:
    ours, theirs = pty.openpty()
    environment = stack.environment({"TERM": "xterm", "NO_COLOR": no_color})
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "up", "--attach"],
        env=environment,
        cwd=stack.directory,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as up:
        os.close(theirs)
        seen = read_until(ours, "try  ")
        # The terminal's own end: whoever still writes to it fails.
        os.close(ours)
        with suppress(ProcessLookupError):
            os.killpg(up.pid, signal.SIGHUP)
        up.wait(60)
    assert up.returncode == 130
    assert bool(re.search(r"\x1b\[\d+memulator \|\x1b\[0m emulator begins", seen)) is not bool(no_color)
    assert stack.is_empty()


def test_a_reader_that_goes_away_is_as_good_as_ctrl_c(stack: StandIn) -> None:
    with stack.start("up", "--attach") as up:
        assert up.stdout is not None
        assert any(line.startswith("try ") for line in up.stdout)
        up.stdout.close()
        wait_until(lambda: stack.run("verify").code != 0 or up.poll() is not None, "the next line meets nobody")
        up.wait(60)
        assert up.stderr is not None
        up.stderr.read()
    assert up.returncode == 130
    assert stack.is_empty()


def test_a_reader_that_has_stopped_to_read_holds_nothing_up(stack: StandIn) -> None:
    with stack.start("up", "--attach") as up:
        assert up.stdout is not None
        assert any(line.startswith("try ") for line in up.stdout)
        stream, room = up.stdout, fcntl.fcntl(up.stdout, fcntl.F_GETPIPE_SZ)
        with stack.state.log("mcp").open("a") as log:
            log.writelines(f"{'x' * 1000}\n" for _ in range(2 * room // 1000))
        # As full as it gets: of its last page nobody says that there is room.
        wait_until(lambda: unread(stream) > room - 2 * resource.getpagesize(), "the pipe is full")
        up.send_signal(signal.SIGINT)
        up.wait(120)
        assert stack.is_empty()
        up.communicate()
    assert up.returncode == 130


def unread(stream: IO[str]) -> int:
    """How many bytes wait in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(stream, termios.FIONREAD, count)
    return count[0]


def test_who_dies_is_told_and_the_last_one_ends_it(stack: StandIn) -> None:
    with stack.start("up", "--attach") as up:
        assert up.stdout is not None
        assert any(line.startswith("try ") for line in up.stdout)
        for name in ("mcp", "emulator"):
            os.kill(stack.pid(name), signal.SIGKILL)
        _, err = up.communicate()
    assert up.returncode == 1
    assert "mcp died: signal SIGKILL at " in err
    assert stack.is_empty()


def test_with_json_each_line_is_one_value(stack: StandIn) -> None:
    with stack.start("up", "--attach", "--json") as up:
        assert up.stdout is not None
        lines = []
        for line in up.stdout:
            lines.append(json.loads(line))
            if "services" in lines[-1]:
                break
        up.send_signal(signal.SIGINT)
        up.communicate()
    assert {"service": "emulator", "line": "emulator begins"} in lines
    assert lines[-1]["services"][0]["deed"] == "start"


def test_a_line_gives_a_terminal_no_orders() -> None:
    assert harmless("plain ✓\ttabbed") == "plain ✓\ttabbed"
    assert harmless("\x1b]0;owned\x07") == "\\u001b]0;owned\\u0007"
    assert len(attach.COLOURS) == len(set(attach.COLOURS))
