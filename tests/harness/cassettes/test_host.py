"""Recorded from one process and played by another, which asks nobody; killed and stopped, nothing is lost."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import canonical, launch, scan, tape, written
from harness.cassettes.journal import Session
from harness.cassettes.tape import Case, ToolCall
from harness.errors import HarnessError
from harness.rpc import RpcError
from harness.wire import WireError
from tests.harness.cassettes.cases import ALL, EVENTS, LOCAL, REFUSED, SIGN_UPS, steady
from tests.harness.cassettes.hosting import Hosted, environment, playing, recording, refused
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong
from tests.support.repository import ROOT

HAS_NAMESPACES = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0

# One call after the other, so that at any moment one is under way.
SLOW = Case(
    "live", "event_counts", "many",
    {"events": ["Sign Up"], "from_date": "2025-06-01", "to_date": "2025-06-30"},
    tuple(ToolCall("event_counts", {"events": ["Sign Up"], "from_date": f"2025-06-{day:02}", "to_date": "2025-06-30"})
          for day in range(2, 14)),
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What was recorded: the tapes, and each case's results with the report."""

    tapes: Path
    results: dict[str, list[dict[str, Any]]]
    reports: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def made(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Every case of this room, recorded in one host."""
    home = tmp_path_factory.mktemp("recording")
    results, reports = {}, {}
    with recording(emulator, home / "session") as host:
        for case in ALL:
            with going_wrong(emulator, *map(dict, case.faults)):
                results[case.id], reports[case.id] = host.record(case)
    return Made(home / "session" / "tapes", results, reports)


@pytest.fixture(scope="module")
def one_player(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A host that plays those."""
    with playing(made.tapes, tmp_path_factory.mktemp("playing")) as host:
        yield host


@pytest.fixture
def player(one_player: Hosted) -> Iterator[Hosted]:
    """The same, with no case on."""
    yield one_player
    if one_player.state()["case"] is not None:
        one_player.good("/_cassettes/end", {})


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_another_process_answers_as_the_first_one_did(case: Case, made: Made, player: Hosted) -> None:
    results, report = player.play(case)
    assert [steady(each) for each in results] == [steady(each) for each in made.results[case.id]]
    assert report["misses"] == report["unused"] == []
    assert (report["sent"], report["attempts_to_leave"]) == (0, 0)
    assert report["played"] == made.reports[case.id]["sent"] + made.reports[case.id]["played"]


def test_it_does_so_where_there_is_no_network(made: Made, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.harness.cassettes.isolated", str(made.tapes), str(tmp_path)]
    command.append(json.dumps([asdict(case) for case in ALL]))
    if HAS_NAMESPACES:
        command = ["unshare", "-rn", *command]
    ran = subprocess.run(
        command, env=environment(tmp_path, {}), capture_output=True, text=True, timeout=200, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    if HAS_NAMESPACES:
        assert found["out"], "there was a way out of the namespace"
    assert found["attempts"] == []
    for case, (results, report) in zip(ALL, found["played"], strict=True):
        assert [steady(each) for each in results] == [steady(each) for each in made.results[case.id]]
        assert report["misses"] == report["unused"] == []


def test_a_wait_after_a_refusal_takes_no_time_and_is_written_down(made: Made, player: Hosted) -> None:
    on_tape = [each.answer for each in written.read(made.tapes, REFUSED.id).interactions]
    assert [each.status for each in on_tape] == [429, 200]
    _, report = player.play(REFUSED)
    assert report["slept"] == [float(on_tape[0].headers["retry-after"])]


def test_a_player_that_is_killed_leaves_its_stores_where_they_go_with_whoever_started_it(
    made: Made, tmp_path: Path
) -> None:
    elsewhere, own = tmp_path / "tmp", tmp_path / "stack" / "cases"
    elsewhere.mkdir()
    with playing(made.tapes, tmp_path, stores=own, TMPDIR=str(elsewhere)) as host:
        host.good("/_cassettes/begin", {"case": LOCAL.id})
        host.call(LOCAL.before[0].tool, LOCAL.before[0].arguments)
        host.process.kill()
        host.process.wait()
    assert list(own.rglob("store.db"))
    assert list(elsewhere.iterdir()) == []
    (own / "somebody's").touch()
    with playing(made.tapes, tmp_path, stores=own, TMPDIR=str(elsewhere)) as host:
        assert list(own.rglob("store.db")) == [], "the next one there begins with nothing"
        host.play(LOCAL)
    assert [file.name for file in own.iterdir()] == ["somebody's"]
    assert list(elsewhere.iterdir()) == []


def test_a_case_finds_nothing_of_the_one_before(player: Hosted) -> None:
    player.play(LOCAL)
    # Another case's tables, names and answers would leave this one's recordings unused.
    for _ in range(2):
        _, report = player.play(EVENTS)
        assert (report["played"], report["unused"]) == (1, [])
    player.good("/_cassettes/begin", {"case": EVENTS.id})
    assert player.call("list_tables", {})["structuredContent"]["result"] == []
    player.good("/_cassettes/end", {})


def test_time_stands_where_it_stood(made: Made, player: Hosted) -> None:
    player.good("/_cassettes/begin", {"case": LOCAL.id})
    assert player.state()["clock"] == written.read(made.tapes, LOCAL.id).recorded.clock
    told = player.call(LOCAL.before[0].tool, LOCAL.before[0].arguments)["structuredContent"]
    assert told["fetched_at"].startswith("2025-06-30T23:59:59")
    player.good("/_cassettes/end", {})


def test_a_question_that_is_not_on_tape_names_the_nearest_and_goes_nowhere(player: Hosted) -> None:
    player.good("/_cassettes/begin", {"case": SIGN_UPS.id})
    result = player.call("segmentation", {**SIGN_UPS.arguments, "segment_property": "$city"})
    report = player.good("/_cassettes/end", {})
    assert result["isError"]
    assert "the nearest is request 1: on is" in result["content"][0]["text"]
    assert len(report["misses"]) == len(report["unused"]) == 1
    assert report["attempts_to_leave"] == 0


def test_what_is_asked_between_cases_is_answered_by_nobody(player: Hosted) -> None:
    assert player.call("list_events", {})["isError"]
    assert "no case is on" in player.state()["between_cases"]["misses"][-1]


def test_the_control_route_refuses_what_makes_no_sense(player: Hosted, made: Made) -> None:
    assert player.post("/_cassettes/begin", {"case": "../../etc/passwd"})[1]["code"] == "NO_SUCH_CASE"
    assert player.post("/_cassettes/begin", {"case": "live/funnel--gone"})[1]["code"] == "TAPE_MISSING"
    assert player.post("/_cassettes/begin", [])[0] == 409
    assert player.post("/_cassettes/begin", {"case": EVENTS.id}, content_type="text/plain")[0] == 409, "as a page sends"
    assert player.post("/_cassettes/begin", {"record": asdict(EVENTS)})[1]["code"] == "NOT_RECORDING"
    for wrong in (7, {}, {**asdict(EVENTS), "name": "../x"}, {**asdict(EVENTS), "more": 1}):
        assert player.post("/_cassettes/begin", {"record": wrong})[1]["code"] in {"BAD_REQUEST", "NOT_RECORDING"}, wrong
    assert player.post("/_cassettes/end", {"calls": 5})[1]["code"] == "BAD_REQUEST"
    player.good("/_cassettes/begin", {"case": EVENTS.id})
    status, error = player.post("/_cassettes/begin", {"case": LOCAL.id})
    assert (status, error["code"]) == (409, "CASE_IS_ON")
    report = player.good("/_cassettes/end", {})
    assert len(report["unused"]) == 1, "a case that asked nothing"
    assert player.good("/_cassettes/end", {})["case"] is None


def test_a_shelf_answers_whatever_was_recorded_as_often_as_it_is_asked_beside_another_host(
    made: Made, player: Hosted, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    with playing(made.tapes, tmp_path, shelf=True, TMPDIR=str(tmp_path / "tmp")) as host:
        player.good("/_cassettes/begin", {"case": SIGN_UPS.id})
        for case in (SIGN_UPS, EVENTS, SIGN_UPS):
            told = host.call(case.tool, case.arguments)
            assert steady(told) == steady(made.results[case.id][-1])
        host.play(EVENTS)
        told = host.call(SIGN_UPS.tool, SIGN_UPS.arguments)
        assert steady(told) == steady(made.results[SIGN_UPS.id][-1]), "after a case it is the shelf again"
        assert len(player.good("/_cassettes/end", {})["unused"]) == 1, (
            "what another host is asked is none of this one's"
        )


@pytest.mark.parametrize("bad", [b"", b"format: 1\n", b"\xff\xfe"])
def test_a_tape_that_cannot_be_read_is_an_error_and_stays_as_it_is(
    bad: bytes, made: Made, player: Hosted, tmp_path: Path
) -> None:
    file = tape.place(made.tapes, EVENTS.id)
    whole = file.read_bytes()
    file.write_bytes(bad)
    try:
        status, error = player.post("/_cassettes/begin", {"case": EVENTS.id})
        assert (status, error["code"][:5]) == (409, "TAPE_")
        assert player.state()["case"] is None
        if not bad:
            command = launch.play(made.tapes, ("--transport", "http", "--port", "1"))
            said = refused(command, environment(tmp_path, launch.play_environment()), tmp_path)
            assert "mp-mcp-server: TAPE_CUT: the tape of discovery/list_events--all is cut" in said
        assert file.read_bytes() == bad
    finally:
        file.write_bytes(whole)


def test_no_credentials_are_on_tape(made: Made, emulator: Emulator) -> None:
    account = emulator.about["account"]
    found = scan.scan(scan.everything(made.tapes.parent), canaries=[account["secret"], account["username"]])
    assert found == []


def test_a_tape_says_where_it_is_from_and_asks_mixpanel_by_its_own_name(made: Made, emulator: Emulator) -> None:
    whole = written.read(made.tapes, LOCAL.id)
    assert whole.recorded.target == "emulator"
    assert whole.recorded.data == {"of": "a test"}
    assert set(whole.recorded.versions) == {"mixpanel-data", "vcrpy", "httpx", "fastmcp"}
    assert {each.asked.url for each in whole.interactions} == {"https://data.mixpanel.com/api/2.0/export"}
    assert emulator.url not in written.text_of(whole)
    assert [each.call for each in whole.exchanges] == list(LOCAL.calls)
    assert written.read(made.tapes, REFUSED.id).faults == REFUSED.faults


def test_each_request_is_on_disk_before_its_answer_is_given(emulator: Emulator, tmp_path: Path) -> None:
    with recording(emulator, tmp_path / "session") as host:
        host.good("/_cassettes/begin", {"record": asdict(SLOW)})
        for number, call in enumerate(SLOW.calls):
            host.call(call.tool, call.arguments)
            assert len(Session(tmp_path / "session").journal(SLOW.id).read()) == number + 1
        host.process.send_signal(signal.SIGTERM)
        host.process.wait(timeout=30)
    assert len(Session(tmp_path / "session").journal(SLOW.id).read()) == len(SLOW.calls), "and nothing is written late"
    left = {each.name for each in (tmp_path / "session").iterdir()}
    assert left == {"session.json", "journals"}, "neither a tape nor a database"


def stopped_and_gone_on(emulator: Emulator, home: Path, seed: int, kills: int) -> None:
    """Record SLOW, killing the host at moments of the seed's choice, and go on until it is done."""
    chance, before = random.Random(seed), emulator.requests()  # noqa: S311 -- when to kill, and no secret
    sent: list[dict[str, Any]] = []
    for _ in range(kills):
        with recording(emulator, home / "session") as host:
            known = len(Session(home / "session").journal(SLOW.id).read())
            worker = threading.Thread(target=_until_it_breaks, args=[host])
            worker.start()
            wanted = min(known + chance.randrange(1, 5), len(SLOW.calls) - 1)
            while len(Session(home / "session").journal(SLOW.id).read()) < wanted:
                assert host.process.poll() is None
            os.kill(host.process.pid, signal.SIGKILL)
            host.process.wait()
            worker.join()
        sent += emulator.requests_since(before)
        before = emulator.requests()
    with recording(emulator, home / "session") as host:
        host.record(SLOW)
    sent += emulator.requests_since(before)
    assert len(SLOW.calls) <= len(sent) <= len(SLOW.calls) + kills, "each kill costs the call under way at most"
    whole = written.read(home / "session" / "tapes", SLOW.id)
    assert len(whole.interactions) == len({canonical.key(each.asked) for each in whole.interactions}) == len(SLOW.calls)


def _until_it_breaks(host: Hosted) -> None:
    # A killed server breaks off in many ways; that it was killed, and how far it had come, is seen by the test.
    with contextlib.suppress(HarnessError, RpcError, WireError, OSError):
        host.record(SLOW)


def test_a_killed_recording_goes_on_and_repeats_no_call(emulator: Emulator, tmp_path: Path) -> None:
    stopped_and_gone_on(emulator, tmp_path, seed=1, kills=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 22))
def test_a_recording_that_is_killed_again_and_again_goes_on(seed: int, emulator: Emulator, tmp_path: Path) -> None:
    stopped_and_gone_on(emulator, tmp_path, seed=seed, kills=4)
