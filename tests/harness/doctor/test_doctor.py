"""`harness doctor` and `harness explain` as commands: exit codes, JUnit, --only, what is told when nothing runs."""

import contextlib
import io
import json
import os
import pty
import re
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from harness.cli import main
from harness.doctor.catalogue import CHECKS
from harness.doctor.known_issues import KNOWN_ISSUES
from tests.harness.doctor.bench import FOREIGN, PARTS
from tests.support import schemas
from tests.support.ports import free_port


@dataclass(frozen=True)
class Machine:
    """A machine on which nothing was started."""

    directory: Path
    ports: dict[str, int]

    def environment(self, **more: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        ports = {f"HARNESS_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        state = {"HARNESS_STATE_DIR": str(self.directory / "state"), "HOME": str(self.directory)}
        return {**plain, **ports, **state, **more}

    def run(self, *words: str, **more: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command, in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(**more), clear=True),
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(list(words))
        schemas.hold(words, out.getvalue(), err.getvalue())
        return code, out.getvalue(), err.getvalue()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {name: free_port() for name in PARTS})


@contextlib.contextmanager
def stranger_on(port: int) -> Iterator[None]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", port))
        held.listen()
        yield


def test_where_nothing_runs_nothing_is_wrong(machine: Machine) -> None:
    code, out, _ = machine.run("doctor", "--strict", "--json")
    found = json.loads(out)
    assert code == 0, found["roots"]
    assert found["counts"]["warn"] == found["counts"]["fail"] == found["counts"]["unknown"] == 0
    assert [row["id"] for row in found["checks"]] == [check.id for check in CHECKS]
    skipped = [row for row in found["checks"] if row["state"] == "skip"]
    assert all(row["what"] for row in skipped)
    assert not (machine.directory / "state").exists(), "looking has made something"


def test_a_fault_is_exit_1_and_is_told_first(machine: Machine) -> None:
    with stranger_on(machine.ports["mcp"]):
        code, out, _ = machine.run("doctor")
    assert code == 1
    assert re.match(
        rf"✗ ports: port {machine.ports['mcp']} of mcp is held by pid {os.getpid()} .*\[ports.free\]\n    fix: ", out
    )


def test_warnings_are_exit_3_with_strict_only(machine: Machine) -> None:
    assert machine.run("doctor", "--only", "python.environment", VIRTUAL_ENV="/nonexistent")[0] == 0
    assert machine.run("doctor", "--only", "python.environment", "--strict", VIRTUAL_ENV="/nonexistent")[0] == 3


def test_what_nobody_knows_is_exit_4(machine: Machine) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("on purpose")

    with mock.patch("harness.doctor.subjects.place.shutil.disk_usage", crash):
        code, out, _ = machine.run("doctor", "--only", "machine.disk", "--json")
    assert code == 4
    assert json.loads(out)["roots"] == [{"id": "machine.disk", "consequences": []}]


def test_only_brings_what_it_needs_and_a_wrong_id_is_exit_2(machine: Machine) -> None:
    code, out, _ = machine.run("doctor", "--only", "mcp.version", "--json")
    assert code == 0
    assert {row["id"] for row in json.loads(out)["checks"]} == {
        "mcp.version", "mcp.health", "mcp.process", "state.file", "state.directory",
    }  # fmt: skip
    code, _, err = machine.run("doctor", "--only", "mcp.versio", "--json")
    assert code == 2
    assert "mcp.version" in json.loads(err)["fix"]


def test_junit_has_a_case_a_check_with_its_time(machine: Machine) -> None:
    target = machine.directory / "doctor.xml"
    with stranger_on(machine.ports["emulator"]):
        code, _, _ = machine.run("doctor", "--junit", str(target))
    suite = ET.fromstring(target.read_text())  # noqa: S314  # our own
    assert code == 1
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) == len(CHECKS)
    (failure,) = suite.findall("testcase/failure")
    assert failure.attrib["type"] == "TAKEN"
    assert "fix: " in (failure.text or "")
    assert len(suite.findall("testcase/skipped")) == int(suite.attrib["skipped"]) > 0
    assert all(float(case.attrib["time"]) >= 0 for case in suite.findall("testcase"))
    assert list(machine.directory.glob(".doctor.xml*")) == []


def test_junit_that_cannot_be_written_is_an_error_with_a_fix(machine: Machine) -> None:
    code, _, err = machine.run("doctor", "--only", "python.version", "--junit", "/nonexistent/x.xml", "--json")
    assert (code, json.loads(err)["code"]) == (2, "NOT_WRITTEN")


def test_without_a_terminal_nothing_changes_unless_yes(machine: Machine) -> None:
    state = machine.directory / "state"
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    choice = ("doctor", "--only", "state.directory", "--json")
    code, out, _ = machine.run(*choice, "--fix")
    assert (code, json.loads(out)["fixes"][0]["outcome"], state.stat().st_mode & 0o777) == (1, "declined", 0o755)
    assert "without a terminal nothing changes" in machine.run(*choice[:-1], "--fix")[1]
    code, out, _ = machine.run(*choice, "--dry-run")
    assert (code, json.loads(out)["fixes"][0]["outcome"], state.stat().st_mode & 0o777) == (1, "would", 0o755)
    code, out, _ = machine.run(*choice, "--fix", "--yes")
    found = json.loads(out)
    assert (code, found["fixes"][0]["outcome"], state.stat().st_mode & 0o777) == (0, "mended", 0o700)
    assert found["before"] == [{"id": "state.directory", "consequences": []}]


def test_yes_alone_is_no_choice(machine: Machine) -> None:
    assert machine.run("doctor", "--yes", "--only", "python.version")[0] == 2


@pytest.mark.parametrize(("said", "mode"), [("y", 0o700), ("n", 0o755)])
def test_on_a_terminal_it_asks_first(machine: Machine, said: str, mode: int) -> None:
    state = machine.directory / "state"
    state.mkdir()
    state.chmod(0o755)
    terminal, other_end = pty.openpty()
    command = [sys.executable, "-m", "harness.cli", "doctor", "--fix", "--only", "state.directory"]
    with subprocess.Popen(
        command, cwd=machine.directory, env=machine.environment(), stdin=other_end, stdout=other_end, stderr=other_end
    ):
        os.close(other_end)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, f"{said}\n".encode())
        with contextlib.suppress(OSError):  # the terminal's end
            while more := os.read(terminal, 4096):
                shown += more
    os.close(terminal)
    assert state.stat().st_mode & 0o777 == mode
    assert (b"mended" in shown) == (said == "y"), shown


def test_a_secret_that_an_error_repeats_is_not_told(machine: Machine) -> None:
    canary = "c4n4ry-s3cret-that-nobody-may-see"

    def leak(*_: object) -> None:
        raise RuntimeError(f"no room for {canary}")

    live = {"HARNESS_STACK_TARGET": "live", "MP_USERNAME": "a.0a1b2c.mp-service-account", "MP_SECRET": canary}
    where = {"MP_PROJECT_ID": "7", "MP_REGION": "us", "MP_API_BASE_URL": "http://127.0.0.1:1/{region}"}
    with mock.patch("harness.doctor.subjects.place.shutil.disk_usage", leak):
        for words in (["doctor"], ["doctor", "--json"], ["doctor", "--junit", str(machine.directory / "x.xml")]):
            _, out, err = machine.run(*words, **live, **where)
            assert "no room for" in out
            assert canary not in out + err
    assert canary not in (machine.directory / "x.xml").read_text()


def test_a_hung_check_keeps_the_command_from_nothing(machine: Machine) -> None:
    script = (
        "import sys, threading, dataclasses\n"
        "from harness.doctor import catalogue\n"
        "one = next(check for check in catalogue.CHECKS if check.id == 'machine.disk')\n"
        "hung = dataclasses.replace(one, look=lambda _: threading.Event().wait(), deadline_s=0.2)\n"
        "catalogue.CHECKS = tuple(hung if each is one else each for each in catalogue.CHECKS)\n"
        "from harness.cli import main\n"
        "sys.exit(main(['doctor', '--only', 'machine.disk', '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=machine.directory, env=machine.environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["checks"][-1]["code"] == "HUNG"


@pytest.mark.parametrize("check", CHECKS[::10], ids=lambda check: check.id)
def test_explain_tells_of_a_check(machine: Machine, check: object) -> None:
    one = next(each for each in CHECKS if each is check)
    code, out, _ = machine.run("explain", one.id)
    assert code == 0
    assert all(text in out for text in (one.symptom, one.cause, one.solution, one.looks_at))


def test_explain_tells_of_a_line_from_anywhere(machine: Machine) -> None:
    issue = next(each for each in KNOWN_ISSUES if each.id == "get-sse-refused")
    code, out, _ = machine.run("explain", "GET SSE failed: 400 Bad Request", "--json")
    assert code == 0
    (told,) = json.loads(out)["issues"]
    assert (told["id"], told["solution"]) == (issue.id, issue.solution)
    assert "harmless" in machine.run("explain", "GET SSE failed: 400 Bad Request")[1]


def test_explain_does_not_guess(machine: Machine) -> None:
    code, _, err = machine.run("explain", "all is well", "--json")
    assert (code, json.loads(err)["code"]) == (2, "NOT_KNOWN")
    code, _, err = machine.run("explain", "ports.fre", "--json")
    assert (code, "ports.free" in json.loads(err)["fix"]) == (2, True)
