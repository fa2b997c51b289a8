"""pytest's usual habits, as somebody meets them who has the package and tests of their own in a folder of their own."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cassettes import tape, written
from harness.suite import plugin
from tests.support.repository import ROOT

TAPES = ROOT / "fixtures" / "cassettes"
EVENTS, FUNNELS = "discovery/list_events--all", "discovery/list_funnels--all"
PATIENCE_S = 240.0

TESTS = """
import anyio, pytest
from fastmcp import Client
from harness.suite.cases import CASES

def ask(server, tool):
    async def asking():
        async with Client(server) as client:
            return (await client.call_tool_mcp(tool, {})).structured_content
    return anyio.run(asking)

@pytest.mark.recorded("list_events--all")
def test_named(taped_server):
    assert "Sign Up" in ask(taped_server, "list_events")["result"]

@pytest.mark.recorded("list_events--all")
def test_named_again(taped_server):
    assert "Sign Up" in ask(taped_server, "list_events")["result"]

@pytest.mark.recorded("list_events--all")
def test_asks_for_nothing(taped_server):
    pass

@pytest.mark.recorded("list_events--all")
def test_asks_for_something_else(taped_server):
    ask(taped_server, "list_events")
    ask(taped_server, "list_funnels")

@pytest.mark.parametrize("case", [case for case in CASES if case.id in ("list_funnels--all", "list_funnels--time-out")],
                         ids=lambda case: case.name)
def test_parametrized(case, taped_server):
    assert ask(taped_server, case.tool)["result"]

@pytest.mark.recorded
def test_of_no_case(taped_server):
    pass

def test_plain():
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A stranger's tests, with one tape."""
    (tmp_path / "test_mine.py").write_text(TESTS, encoding="utf-8")
    place = tape.place(tmp_path / "fixtures" / "cassettes", EVENTS)
    place.parent.mkdir(parents=True)
    shutil.copy(tape.place(TAPES, EVENTS), place)
    return tmp_path


def ran(project: Path, *arguments: str, cache_dir: Path | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MP_", "HARNESS_", "PYTEST_"))}
    own = {"HOME": str(project), "HARNESS_STATE_DIR": str(project / "state")}
    cache = {"HARNESS_EMULATOR_CACHE_DIR": str(cache_dir)} if cache_dir else {}
    options = ("-p", "harness.suite.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q", "-rA")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=project, env=kept | own | cache, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_a_test_plays_the_tape_of_its_case_and_is_held_to_it(project: Path) -> None:
    done = ran(project, "-m", "recorded")
    said = {line.rpartition(" - ")[0] or line for line in done.stdout.splitlines() if "test_mine.py::" in line}
    assert not any("test_plain" in line or "time-out" in line for line in said), "neither is of a case on tape"
    assert said >= {
        "PASSED test_mine.py::test_named",
        "PASSED test_mine.py::test_named_again",
        "ERROR test_mine.py::test_asks_for_nothing",
        "PASSED test_mine.py::test_asks_for_something_else",
        "ERROR test_mine.py::test_asks_for_something_else",
        "ERROR test_mine.py::test_parametrized[all]",
        "ERROR test_mine.py::test_of_no_case",
    }
    assert "on its tape and not asked for: request 1: GET https://mixpanel.com/api/query/events/names" in done.stdout
    assert f"the tape of {EVENTS} has no GET https://mixpanel.com/api/query/funnels/list" in done.stdout
    assert "record anew: pytest --record-mode=all" in done.stdout
    assert f"TAPE_MISSING: there is no tape of {FUNNELS}; fix: pytest --record-mode=once" in done.stdout
    assert "this test is of no case that is on tape; fix: name one, @pytest.mark.recorded(CASE)" in done.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("list_event--all", "there is no case 'list_event--all'; fix: did you mean list_events--all"),
        ("list_events--time-out", "no tape can hold list_events--time-out; fix: name another case, or run it"),
    ],
)
def test_a_marker_that_names_no_recorded_case_is_refused(request: pytest.FixtureRequest, name: str, why: str) -> None:
    request.node.add_marker(pytest.mark.recorded(name), append=False)
    with pytest.raises(pytest.UsageError, match=re.escape(f"{request.node.nodeid}: {why}")):
        plugin.case_of(request.node)


def test_several_processes_do_not_record(project: Path) -> None:
    done = ran(project, "-n", "2", "--record-mode", "once")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "recordings are made by one process; leave out -n, or record with -n 0" in done.stderr


@pytest.mark.soak
def test_what_hinders_a_recording_is_said_with_its_fix(project: Path) -> None:
    place = tape.place(project / "fixtures" / "cassettes", EVENTS)
    whole = place.read_bytes()
    place.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    cut = place.read_bytes()
    done = ran(project, "--record-mode", "all", "-k", "test_named")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--record-mode=all: TAPE_CUT: the tape of {EVENTS} is cut" in done.stderr
    assert "fix: take the whole file from version control" in done.stderr
    assert place.read_bytes() == cut


@pytest.mark.soak
def test_each_mode_records_what_it_says(project: Path, cache_dir: Path) -> None:
    tapes = project / "fixtures" / "cassettes"

    def recorded(mode: str) -> list[str]:
        done = ran(project, "--record-mode", mode, "-k", "named or parametrized and all", cache_dir=cache_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"^(\S+): \d+ asked, ", done.stdout, re.MULTILINE)

    assert recorded("once") == [FUNNELS]
    assert set(tape.found(tapes)) == {EVENTS, FUNNELS}
    assert recorded("once") == recorded("new_episodes") == recorded("none") == []
    whole = written.read(tapes, EVENTS)
    (exchange,) = whole.exchanges
    otherwise = replace(exchange, call=replace(exchange.call, arguments={"limit": 3}))
    written.write(tapes, replace(whole, exchanges=(otherwise,)))
    assert recorded("once") == []
    assert recorded("new_episodes") == [EVENTS]
    assert written.read(tapes, EVENTS).exchanges == whole.exchanges
    assert recorded("all") == recorded("rewrite") == [EVENTS, FUNNELS]
