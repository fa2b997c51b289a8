"""Logs: the last lines, new ones, the error in them, and their size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.stack import logs
from harness.stack.processes import KEEPER
from harness.stack.state import StateDirectory, older
from tests.support.standin import wait_until


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.prepare()
    return made


def test_the_last_lines_come_oldest_first(state: StateDirectory) -> None:
    path = state.log("mcp")
    assert logs.tail(path, 5) == []
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(200_000)) + b"bad \xff byte")
    assert logs.tail(path, 2) == ["line 199999", "bad \N{REPLACEMENT CHARACTER} byte"]
    assert logs.tail(path, 0) == []


def test_following_hands_out_whole_lines_through_restarts_and_cuts(state: StateDirectory) -> None:
    path = state.log("mcp")
    path.write_text("old\n")
    contents = iter(["old\nnew\nhal", "old\nnew\nhalf\n", "cut\n", None, "another\nfile\n"])

    def ends() -> bool:
        content = next(contents, "")
        if content is None:
            path.rename(older(path))
        elif content:
            path.write_text(content)
        return content == ""

    lines = [line for _, line in logs.follow(state, ["mcp"], ends=ends)]
    assert lines == ["new", "half", "cut", "another", "file"]


ENVELOPE = {"code": "EXPORT_MALFORMED", "cause": "line 3 is no JSON", "fix": "export again"}


@pytest.mark.parametrize(
    "lines",
    [
        ("begin", json.dumps(ENVELOPE)),
        ("begin", "mp-mcp-server: EXPORT_MALFORMED: line 3 is no JSON; fix: export again", "end"),
        ("EXPORT_MALFORMED: line 3 is no JSON (fix: export again)",),
        ("emulator: EXPORT_MALFORMED: line 3 is no JSON", "  fix: export again"),
    ],
)
def test_a_services_own_error_is_found_in_its_last_words(lines: tuple[str, ...]) -> None:
    assert logs.refusal(lines) == ENVELOPE


def test_plain_words_are_no_error() -> None:
    assert logs.refusal(("INFO: started; all is well", "Traceback: fix", "")) is None


def test_a_keeper_keeps_the_log_bounded_and_writes_down_the_end(state: StateDirectory) -> None:
    path, record = state.log("mcp"), state.record_path("mcp")
    code = "import sys, time\nfor n in range(100): print('x' * 99, n, flush=True); time.sleep(0.005)\nsys.exit(3)"
    command = [sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(path)), "2000", "0.02"]
    with path.open("a+") as log:
        keeper = subprocess.Popen([*command, sys.executable, "-I", "-S", "-c", code], stdout=log, stderr=log)
        assert keeper.wait(60) == 0
    found = state.record("mcp")
    assert found is not None
    assert (found.exit_status, found.signal) == (3, None)
    assert path.stat().st_size < 10_000 - 2000
    assert older(path).stat().st_size > 2000
    assert not list(path.parent.glob("*.1.*"))


def test_a_keeper_says_what_cannot_be_started(state: StateDirectory) -> None:
    record = state.record_path("mcp")
    keeper = [sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(state.log("mcp"))), "1", "1"]
    assert subprocess.run([*keeper, "/no/such/program"], check=False).returncode == 127
    found = state.record("mcp")
    assert found is not None
    assert found.error == "/no/such/program: No such file or directory"


def test_a_keeper_passes_signals_on(state: StateDirectory) -> None:
    record, path = state.record_path("mcp"), state.log("mcp")
    code = (
        "import signal, sys, threading; signal.signal(1, lambda *_: sys.exit(7)); print('set', flush=True);"
        "threading.Event().wait()"
    )
    command = [sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(path)), "2000", "5"]
    with path.open("a+") as log:
        keeper = subprocess.Popen([*command, sys.executable, "-I", "-S", "-c", code], stdout=log, stderr=log)
    wait_until(lambda: "set" in path.read_text(), "the handler")
    keeper.send_signal(1)
    assert keeper.wait(60) == 0
    found = state.record("mcp")
    assert found is not None
    assert found.exit_status == 7
