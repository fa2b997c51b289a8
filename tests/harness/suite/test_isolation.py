"""A network of one's own: loopback works in it, nothing else does, the kernel counts who tries; else guards do."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cassettes import guarded, launch
from harness.suite import isolation, run
from harness.suite.cases import CASES
from harness.suite.page import page
from harness.suite.report import text
from tests.support.repository import ROOT

TAPES = ROOT / "fixtures" / "cassettes"
PATIENCE_S = 120.0

TRIES = """
import json, socket, sys
from harness.suite import isolation
alone = isolation.enter()
before = alone.attempts()
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname(), 5).close()
quiet = alone.attempts()
for family, host in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    with socket.socket(family) as asking:
        try:
            asking.connect((host, 443))
        except OSError:
            pass
found = {"alone": alone.alone, "said": alone.said, "before": before, "quiet": quiet, "after": alone.attempts()}
json.dump(found, sys.stdout)
"""


def test_whoever_wants_to_leave_is_counted_by_the_kernel(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TRIES], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    said = json.loads(ran.stdout)
    if not said["alone"]:
        pytest.skip(f"no namespace is to be had here: {said['said']}")
    assert (said["before"], said["quiet"]) == ([], [])
    assert said["after"] == ["the kernel turned away 2 packets that were meant for other machines"]


def test_where_none_is_to_be_had_there_are_guards_and_it_is_said_why(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CROWDED], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    alone, said, attempts = json.loads(ran.stdout)
    assert (alone, attempts) == (False, [])
    guards, _, why = said.partition("without a namespace: ")
    assert guards == "guards in Python and Node, "
    assert why


# Linux gives no user namespace to a process with threads: as where they are forbidden, but anywhere.
CROWDED = """
import json, sys, threading
from harness.suite import isolation
over = threading.Event()
threading.Thread(target=over.wait).start()
found = isolation.enter()
over.set()
json.dump([found.alone, found.said, found.attempts()], sys.stdout)
"""


def test_this_process_has_a_guard_while_it_is_watched() -> None:
    alone = isolation.guarded("a test")
    with socket.socket() as asking, alone.watched(), pytest.raises(OSError, match="a replay asks nobody"):
        asking.connect(("192.0.2.1", 443))
    assert alone.attempts() == ["192.0.2.1:443"]
    assert not alone.guard.on


def test_a_program_behind_a_guard_is_counted_whatever_becomes_of_it(tmp_path: Path) -> None:
    file = tmp_path / "attempts"
    ran = subprocess.run(
        [*launch.module(guarded.MODULE), str(file), "timeit", "-n1", "-r1", TRY_AND_DIE],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == -9, ran.stderr
    assert guarded.read(file) == ["192.0.2.1", "elsewhere.invalid"]


TRY_AND_DIE = """
import os, socket
for deed in (lambda: socket.create_connection(("192.0.2.1", 443)), lambda: socket.gethostbyname("elsewhere.invalid")):
    try:
        deed()
    except OSError:
        pass
os.kill(os.getpid(), 9)
"""


def test_a_server_that_wants_to_leave_is_red_whether_it_has_a_tape_or_an_emulator(
    tmp_path: Path, environment: dict[str, str], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(number: int) -> dict[str, str]:
        """The server asks a model elsewhere, and what runs its SQL asks somebody else."""
        planted = tmp_path / f"planted-{number}"
        planted.mkdir(exist_ok=True)
        (planted / "sitecustomize.py").write_text(LEAVING.replace("HOST", f"198.51.100.{number}"))
        model = {"MP_LLM_BASE_URL": f"http://192.0.2.{number}:8082/v1", "MP_LLM_MODEL": "any"}
        return model | {"PYTHONPATH": str(planted)}

    playing, recording = launch.play_environment, launch.record_environment
    monkeypatch.setattr(launch, "play_environment", lambda: playing() | elsewhere(1))
    monkeypatch.setattr(launch, "record_environment", lambda *said: recording(*said) | elsewhere(2))
    named = {case.id: case for case in CASES}
    asks, counts = named["ask_mixpanel--users-of-last-week"], named["sql_scalar--two-values"]
    cases = (asks, counts, *(replace(case, via="emulator-fault") for case in (asks, counts)))
    wish = run.Wish(tapes=TAPES, cases=cases, workers=1, cache_dir=cache_dir)
    report = run.run(wish, tmp_path / "stage", environment, isolation.guarded("a test"))
    assert [each.good for each in report.results if each.case.id == counts.id] == [True, True]
    assert len(report.results) == 4
    assert not report.good
    assert set(report.attempts) == {"192.0.2.1:8082", "192.0.2.2:8082", "198.51.100.1", "198.51.100.2"}
    for where in report.attempts:
        assert f"✗ tried to leave this machine: {where}" in text(report)
        assert where in page(report)
    assert "network: guards in Python and Node, without a namespace: a test" in text(report)
    assert "guards in Python and Node" in page(report)


# A copy of the process that runs SQL is forked for each query, and this is the first that it does.
LEAVING = """
import os, socket, sys
def leaving(fork=os.fork):
    pid = fork()
    if pid == 0:
        try:
            socket.create_connection(("HOST", 443), 1)
        except OSError:
            pass
    return pid
if "mixpanel_data.local.zygote" in sys.orig_argv:
    os.fork = leaving
"""


@pytest.mark.parametrize(
    ("command", "guarded_command"),
    [
        (["-m", "a.b", "-m", "c"], ["-m", guarded.MODULE, "FILE", "a.b", "-m", "c"]),
        (["-P", "-X", "utf8", "-m", "a.b"], ["-P", "-X", "utf8", "-m", guarded.MODULE, "FILE", "a.b"]),
        (["-m", guarded.MODULE, "other", "a.b"], ["-m", guarded.MODULE, "other", "a.b"]),
        (["-c", "pass", "-m", "a.b"], ["-c", "pass", "-m", "a.b"]),
        (["-X", "-m", "program.py", "-m"], ["-X", "-m", "program.py", "-m"]),
        ([], []),
    ],
)
def test_a_guard_stands_before_a_module_and_before_nothing_else(
    command: list[str], guarded_command: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "attempts"
    found = guarded.behind([sys.executable, *command], file)
    assert list(found) == [sys.executable, *(str(file) if word == "FILE" else word for word in guarded_command)]
    assert guarded.behind(["/bin/node", "-m", "a.b"], file) == ("/bin/node", "-m", "a.b")


def test_what_a_guarded_program_starts_is_behind_a_guard_too_and_nothing_is_afterwards(tmp_path: Path) -> None:
    file, before = tmp_path / "attempts", subprocess.Popen.__init__
    tries = [sys.executable, "-m", "timeit", "-n1", "-r1", TRY_AND_DIE.replace("192.0.2.1", "127.0.0.1")]
    with guarded.children(file):
        assert subprocess.run(tries, timeout=PATIENCE_S, check=False).returncode == -9
        assert subprocess.check_output(["echo", "no Python"], text=True) == "no Python\n"
    assert guarded.read(file) == ["elsewhere.invalid"]
    assert subprocess.Popen.__init__ is before


def test_this_process_is_not_in_one() -> None:
    # Whoever counts here would count somebody else's packets.
    assert socket.if_nameindex()
