"""`harness record`: plans, asks, proves, puts in place; killed anywhere it leaves no half tape and goes on."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import wire
from harness.cassettes import record, tape, written
from harness.cassettes.journal import About, Session
from harness.cassettes.plan import Plan
from harness.cassettes.record import Outcome, Wish
from harness.cassettes.studio import Caller, Running, Studio, plainly
from harness.cassettes.tape import Case, Exchange
from harness.errors import HarnessError
from harness.stack import processes
from harness.suite import facts, taped
from tests.harness.cassettes.cases import BROKEN, EVENTS, JUNE, LOCAL, REFUSED, SIGN_UPS
from tests.harness.cassettes.hosting import environment
from tests.harness.cassettes.made import CLOCK, interaction
from tests.harness.cassettes.made import tape as made_tape
from tests.support.repository import ROOT

SMALL = ("--users", "300", "--days", "30", "--last-day", "2025-06-30", "--now", "2025-06-30", "--no-stories")
AGAIN = Case("live", "segmentation", "again", SIGN_UPS.arguments)
# Its answer is an accident, and the case does not say so: the emulator goes wrong by a rule that another case left.
SUDDEN = Case("live", "event_counts", "sudden", {"events": ["Sign Up"], **JUNE})
KILLED = """
import sys
from pathlib import Path
from tests.harness.cassettes.test_record import CASES, made
made(Path(sys.argv[1]), CASES)
"""
CASES = (EVENTS, SIGN_UPS, AGAIN, LOCAL, BROKEN, REFUSED)


def made(place: Path, cases: tuple[Case, ...], **said: Any) -> tuple[Outcome, list[Plan]]:
    """Record there, with the plans that were shown."""
    plans: list[Plan] = []
    wish = Wish(**{"tapes": place / "tapes", "data": SMALL, "cache_dir": place / "cache", **said})
    env = environment(place, {})
    return record.record(wish, cases, place / "state", env, show=plans.append, tell=lambda _: None), plans


def sudden(place: Path) -> Caller:
    """Makes calls as usual, and lets the emulator go wrong in SUDDEN by a rule that is none of the case's."""

    def caller(server: Running, case: Case, ready: Callable[[], None]) -> list[Exchange]:
        def ready_and_broken() -> None:
            ready()
            commands = [who.command for who in processes.marked(Studio(place / "state" / "studio", {}).state)]
            (emulator,) = (each for each in commands if each[2:4] == ("-m", "fixtures.emulator"))
            rule = json.dumps({"kind": "status", "value": 500, "count": 1}).encode()
            port = int(emulator[emulator.index("--port") + 1])
            wire.request(port, "POST", "/_emulator/faults", timeout_s=20, body=rule)

        return plainly(server, case, ready_and_broken if case == SUDDEN else ready)

    return caller


def left(place: Path) -> list[str]:
    """What still lives of a recording."""
    return [" ".join(who.command) for who in processes.marked(Studio(place / "state" / "studio", {}).state)]


def test_a_recording_that_is_killed_goes_on_and_what_it_left_running_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment(tmp_path, {}), cwd=ROOT
    ) as process:
        deadline = time.monotonic() + 120
        while len(tape.found(tmp_path / "tapes")) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    for case in tape.found(tmp_path / "tapes"):
        assert written.read(tmp_path / "tapes", case).interactions, "whole, or not there"
    before = tape.found(tmp_path / "tapes")
    outcome, (plan,) = made(tmp_path, (*CASES, SUDDEN), caller=sudden(tmp_path))
    assert list(outcome.bad) == [SUDDEN.id], "an accident makes no tape"
    assert "HTTP 500, which the case does not say that it is about" in outcome.bad[SUDDEN.id]
    assert set(plan.keep) == set(before)
    assert set(outcome.recorded) == {case.id for case in CASES} - set(before)
    assert outcome.known >= 1, "what was asked before the kill, or for another case, is not asked again"
    assert left(tmp_path) == []
    assert (tmp_path / "state" / "session").exists(), "there is a case to go on with"
    tapes = {case.id: written.read(tmp_path / "tapes", case.id) for case in CASES}
    assert tapes[AGAIN.id].interactions == tapes[SIGN_UPS.id].interactions
    assert [each.answer.status for each in tapes[REFUSED.id].interactions] == [429, 200]
    assert tapes[BROKEN.id].exchanges[0].result["isError"]

    # Those are on tape: nothing is started, and nothing asked.
    started = time.monotonic()
    outcome, (plan,) = made(tmp_path, CASES)
    assert (outcome, plan.record) == (Outcome([], {}), ())
    assert time.monotonic() - started < 5


def test_a_tape_that_cannot_be_read_is_not_recorded_over(tmp_path: Path) -> None:
    file = written.write(tmp_path / "tapes", made_tape(interaction(1), case=EVENTS.id))
    file.write_bytes(file.read_bytes()[:-10])
    before = file.read_bytes()
    with pytest.raises(HarnessError) as error:
        made(tmp_path, (EVENTS,), only=("list_events",))
    assert error.value.code == "TAPE_CUT"
    assert file.read_bytes() == before


def test_two_recordings_do_not_meet(tmp_path: Path) -> None:
    with Studio(tmp_path / "state" / "studio", {}).opened(), pytest.raises(HarnessError) as error:
        made(tmp_path, (EVENTS,))
    assert error.value.code == "LOCKED"


def test_live_mixpanel_wants_an_account(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as error:
        made(tmp_path, (EVENTS,), target="live")
    assert error.value.code == "CREDENTIALS_MISSING"
    assert not (tmp_path / "state" / "session").exists()


def test_a_session_of_live_mixpanel_keeps_its_clock(tmp_path: Path) -> None:
    session = Session(tmp_path / "session")
    session.begin(About("live", CLOCK, "us"))
    record._begin(session, About("live", "2026-01-01T00:00:00+00:00", "us"), anew=False)
    told = session.about()
    assert told is not None
    assert told.clock == CLOCK, "or its requests would be others than those that were answered"
    for other in (About("live", CLOCK, "eu"), About("emulator", CLOCK, "us", {"seed": 2})):
        with pytest.raises(HarnessError) as error:
            record._begin(session, other, anew=False)
        assert error.value.code == "OTHER_SESSION"
    record._begin(session, replace(told, clock="2026-01-01T00:00:00+00:00"), anew=True)
    told = session.about()
    assert told is not None
    assert told.clock == "2026-01-01T00:00:00+00:00"


def test_age_counts_in_a_plan_of_what_is_there(tmp_path: Path) -> None:
    old = made_tape(interaction(1), case=EVENTS.id, at="2025-01-01T00:00:00+00:00")
    written.write(tmp_path / "tapes", replace(old, exchanges=()))
    whole = replace(EVENTS, name="all")
    plan = record.planned(
        Wish(tmp_path / "tapes", older_than=timedelta(days=90)), (whole,), Session(tmp_path / "session")
    )
    assert [each.why for each in plan.record] == ["its calls are others than on its tape"]


def harness(place: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    env = environment(
        place, {"HARNESS_STATE_DIR": str(place / "state"), "HARNESS_EMULATOR_CACHE_DIR": str(place / "c")}
    )
    program = Path(sys.executable).with_name("harness")
    return subprocess.run(
        [str(program), "record", "--tapes", str(place / "tapes"), *words],
        env=env, cwd=place, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


def test_a_dry_run_shows_the_plan_and_starts_nothing(tmp_path: Path) -> None:
    ran = harness(tmp_path, "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    plan = json.loads(ran.stdout)
    assert [each["case"] for each in plan["record"]] == [case.id for case in taped.tape_cases(facts.load())]
    assert plan["requests"]["query"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"), [(("--only", "segmentatio"), "UNKNOWN_TOOL"), (("--stale", "soon"), "BAD_AGE")]
)
def test_a_wrong_word_is_refused_with_the_right_one(words: tuple[str, ...], code: str, tmp_path: Path) -> None:
    ran = harness(tmp_path, "--dry-run", "--json", *words)
    assert (ran.returncode, json.loads(ran.stderr)["code"]) == (2, code)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_every_case_is_recorded_and_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    ran = harness(tmp_path, "--json")
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout)
    assert (len(outcome["recorded"]), outcome["bad"]) == (len(taped.tape_cases(facts.load())), {})
    ran = harness(tmp_path, "--json")
    assert json.loads(ran.stdout) == {"recorded": [], "bad": {}, "sent": 0, "known": 0}
