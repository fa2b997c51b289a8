"""Logs: the last lines, new ones, the error in them, and their size."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.doctor.log_scan import scan_run
from harness.stack import identity, logs
from harness.stack.processes import KEEPER
from harness.stack.state import StateDirectory, older
from tests.support.standin import StandIn, standin, wait_until


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


UNTIL_CUT = """
import os, sys, time
size, keeper = 0, os.getppid()
while os.fstat(1).st_size >= size and os.getppid() == keeper:
    size = os.fstat(1).st_size
    print("x" * 99, flush=True)
    time.sleep(0.005)
print("after", flush=True)
sys.exit(3)
"""
"""Writes until its log has become smaller, however long its keeper takes to look; not without one."""


def test_a_keeper_keeps_the_log_bounded_and_writes_down_the_end(state: StateDirectory) -> None:
    path, record = state.log("mcp"), state.record_path("mcp")
    command = [sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(path)), "2000", "0.02"]
    with path.open("a+") as log:
        keeper = subprocess.Popen([*command, sys.executable, "-I", "-S", "-c", UNTIL_CUT], stdout=log, stderr=log)
        assert keeper.wait(120) == 0
    found = state.record("mcp")
    assert found is not None
    assert (found.exit_status, found.signal) == (3, None)
    assert path.read_text().endswith("after\n")
    assert path.stat().st_size < 2000 == older(path).stat().st_size, "of what was written only the end is kept"
    assert not list(path.parent.glob("*.1.*"))


def test_a_keeper_that_cannot_keep_what_is_older_keeps_the_log_bounded_all_the_same(state: StateDirectory) -> None:
    path, nowhere = state.log("mcp"), state.path / "no" / "such" / "place"
    command = [sys.executable, "-I", "-S", str(KEEPER), str(state.record_path("mcp")), str(nowhere), "2000", "0.02"]
    with path.open("a+") as log:
        keeper = subprocess.Popen([*command, sys.executable, "-I", "-S", "-c", UNTIL_CUT], stdout=log, stderr=log)
        assert keeper.wait(120) == 0
    found = state.record("mcp")
    assert found is not None
    assert found.exit_status == 3
    assert path.read_text().endswith("after\n")
    assert path.stat().st_size < 2000


def test_a_keeper_says_what_cannot_be_started(state: StateDirectory) -> None:
    record = state.record_path("mcp")
    keeper = [sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(state.log("mcp"))), "1", "1"]
    assert subprocess.run([*keeper, "/no/such/program"], check=False).returncode == 127
    found = state.record("mcp")
    assert found is not None
    assert found.error == "/no/such/program: No such file or directory"


@pytest.mark.parametrize("halts", [0, 5])
def test_a_keeper_passes_signals_on_also_after_it_was_halted(state: StateDirectory, halts: int) -> None:
    record, path = state.record_path("mcp"), state.log("mcp")
    code = (
        "import os, signal, sys, time; signal.signal(1, lambda *_: sys.exit(7)); print('set', flush=True)\n"
        "keeper = os.getppid()\n"
        "while os.getppid() == keeper: time.sleep(0.05)"
    )
    command = [sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(path)), "2000", "0.02"]
    with path.open("a+") as log:
        keeper = subprocess.Popen([*command, sys.executable, "-I", "-S", "-c", code], stdout=log, stderr=log)
    wait_until(lambda: "set" in path.read_text(), "the handler")
    for _ in range(halts):
        keeper.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_halted(keeper.pid), "the halt")
        # Longer than it waits from one look to the next.
        time.sleep(0.05)
        keeper.send_signal(signal.SIGCONT)
        wait_until(lambda: not is_halted(keeper.pid), "the keeper's going on")
    keeper.send_signal(1)
    assert keeper.wait(60) == 0
    found = state.record("mcp")
    assert found is not None
    assert found.exit_status == 7
    assert path.read_text() == "set\n", "neither of the two has complained"


def is_halted(pid: int) -> bool:
    stat = identity.read_stat(pid)
    return stat is not None and stat.state == "T"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path) as made:
        yield made


TAKEN = "Error: listen EADDRINUSE: address already in use 127.0.0.1:8082"


def test_known_issues_are_marked_as_they_pass(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    with stack.state.log("mcp").open("a") as log:
        log.write(f"{TAKEN}\nGET SSE failed: 400 Bad Request\n{TAKEN}\n")
    text = stack.run("logs", "mcp").out
    assert f"{TAKEN}\n    ✗ port-taken: the port is already in use\n      fix: harness ports" in text
    assert "· get-sse-refused" in text
    assert "✗ port-taken, as above" in text
    rows = [json.loads(line) for line in stack.run("logs", "mcp", "--json").out.splitlines()]
    assert rows[-1] == {"service": "mcp", "line": TAKEN, "issues": [{"id": "port-taken", "weight": "fault"}]}
    assert rows[-2]["issues"] == [{"id": "get-sse-refused", "weight": "harmless"}]
    assert rows[0]["issues"] == []


def test_they_are_marked_in_new_lines_too(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    with stack.start("logs", "-f", "-n", "0") as following:
        output = following.stdout
        assert output is not None
        seen: list[str] = []
        reading = threading.Thread(target=lambda: seen.extend(iter(output.readline, "")))
        reading.start()

        def marked() -> bool:
            # It may not have begun when the first lines are written.
            with stack.state.log("emulator").open("a") as log:
                log.write(f"{TAKEN}\n")
            return any("port-taken" in line for line in seen)

        try:
            wait_until(marked, "the mark")
        finally:
            following.kill()
            reading.join(60)


def test_a_log_that_somebody_else_writes_is_shown_and_marked(stack: StandIn, tmp_path: Path) -> None:
    foreign = tmp_path / "copilot-dev.log"
    foreign.write_text("[MCP mixpanel_data] Got 39 tools: list_events\n")
    rows = [
        json.loads(line)
        for line in stack.run("logs", "copilot", "--json", HARNESS_LOGS_COPILOT=str(foreign)).out.splitlines()
    ]
    assert [row["issues"] for row in rows] == [[{"id": "tools-merged", "weight": "good"}]]


def test_a_log_from_anywhere_is_scanned(stack: StandIn, tmp_path: Path) -> None:
    log = tmp_path / "from-a-colleague.log"
    log.write_text(f"fine\n{TAKEN}\n{TAKEN}")
    ran = stack.run("logs", "--scan", str(log), "--json")
    report = ran.json()
    assert (ran.code, report["faults"]) == (1, 1)
    (found,) = report["findings"]
    assert (found["id"], found["number"], found["count"], found["line"]) == ("port-taken", 2, 2, TAKEN)
    assert "port-taken" in stack.run("logs", "--scan", str(log)).out
    log.write_text("GET SSE failed: 405\n")
    assert stack.run("logs", "--scan", str(log)).code == 0
    os.mkfifo(tmp_path / "pipe")
    for name in ("no-such.log", str(tmp_path / "pipe"), str(tmp_path)):
        refused = stack.run("logs", "--scan", name, "--json")
        assert (refused.code, refused.error()["code"]) == (2, "NO_LOG")


def test_standard_input_is_scanned_as_it_comes(stack: StandIn) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "harness.cli", "logs", "--scan", "-", "--json"],
        input=f"x\n{TAKEN}", capture_output=True, text=True, env=stack.environment(), cwd=stack.directory, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert [each["id"] for each in json.loads(ran.stdout)["findings"]] == ["port-taken"]


def test_only_this_run_counts(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    with stack.state.log("mcp").open("a") as log:
        log.write(f"{TAKEN}\n")
    found = [finding.issue.id for finding in scan_run(stack.state, ["emulator", "mcp"])]
    assert found == ["port-taken"]
    # A service that is started again in the same run has put its log aside; a new run has logs of its own.
    stack.kill("mcp")
    assert stack.run("up", "--json").code == 0
    assert [finding.issue.id for finding in scan_run(stack.state, ["mcp"])] == ["port-taken"]
    with stack.state.log("mcp").open("a") as log:
        log.write(f"{TAKEN}\n")
    assert stack.run("up", "--fresh", "--json").code == 0
    assert scan_run(stack.state, ["emulator", "mcp"]) == []


def test_a_foreign_log_of_before_this_run_does_not_count(stack: StandIn, tmp_path: Path) -> None:
    foreign = tmp_path / "copilot.log"
    foreign.write_text(f"{TAKEN}\n")
    os.utime(foreign, (0, 0))
    assert stack.run("up", "--json").code == 0
    assert scan_run(stack.state, ["copilot"], {"copilot": foreign}) == []
    foreign.write_text(f"{TAKEN}\n")
    assert [finding.issue.id for finding in scan_run(stack.state, ["copilot"], {"copilot": foreign})] == ["port-taken"]


def test_a_service_that_dies_while_starting_is_explained(stack: StandIn) -> None:
    words = "ModuleNotFoundError: No module named fastmcp"
    ran = stack.run("up", "--json", STANDIN_MCP=f"--last-words '{words}'")
    error = ran.error()
    assert error["code"] == "DIED"
    assert "a Python package is not installed" in error["cause"]
    assert "make setup" in error["fix"]
    assert "ModuleNotFoundError" in "".join(error["log"])
