"""`harness record`: plans, asks, proves, puts in place; killed anywhere it leaves no half tape and goes on."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
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
from harness.cassettes.tape import AskedBack, Case, Exchange, Reply, Tape, Target, ToolCall, Varies
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


def nobody(_server: Running, case: Case, _ready: Callable[[], None]) -> list[Exchange]:
    """A caller that must not be asked."""
    raise AssertionError(case.id)


def written_to(place: Path) -> dict[Path, int]:
    """Every file of a recording's services, and when it was last written to."""
    return {path: path.stat().st_mtime_ns for path in (place / "state").rglob("*") if path.is_file()}


def left(place: Path) -> list[str]:
    """What still lives of a recording."""
    return [" ".join(who.command) for who in processes.marked(Studio(place / "state" / "studio", {}).state)]


@pytest.fixture
def cleared(tmp_path: Path) -> Iterator[None]:
    """What a recording left running is ended also where its test breaks off."""
    yield
    with Studio(tmp_path / "state" / "studio", {}).opened():
        pass


@pytest.mark.usefixtures("cleared")
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

    # Those are on tape: nothing is asked, and nothing started, which would write its log.
    logs = written_to(tmp_path)
    outcome, (plan,) = made(tmp_path, CASES, caller=nobody)
    assert (outcome, plan.record) == (Outcome([], {}), ())
    assert written_to(tmp_path) == logs


LONG = Case("fetch", "stream_profiles", "all", {"output_properties": ["plan", "$city", "$email", "theme", "age_group"]})
AT_ONCE = Case("fetch", "fetch_profiles", "at-once", {"parallel": True, "workers": 3, "output_properties": ["plan"]})
HIDDEN = Case("live", "segmentation", "hostile", {**SIGN_UPS.arguments, "where": '"); drop table events; --'})
FEED = Case("live", "activity_feed", "three", {"distinct_id": "user-000001", "limit": 1, **JUNE})
DRAWN = Case(
    "local", "sample", "drawn", {"table": "events", "limit": 5},
    (ToolCall("fetch_events", {"from_date": "2025-06-30", "to_date": "2025-06-30", "events": ["Search"]}),),
    varies=(Varies("/result", "values", "which rows are drawn is chance"),),
)  # fmt: skip
TURNED = replace(
    DRAWN, name="all", arguments={"table": "events", "limit": 1000},
    varies=(Varies("/result", "order", "in which order rows are drawn is chance"),),
)  # fmt: skip

DATED = replace(REFUSED, name="refused-until", faults=({**REFUSED.faults[0], "value": "http_date"},))
ASKED = Case(
    "interactive", "safe_large_fetch", "declined",
    {"from_date": "2025-06-30", "to_date": "2025-06-30", "confirmation_threshold": 2},
    replies=(Reply("decline"),),
)  # fmt: skip


def test_what_is_recorded_again_from_an_emulator_on_another_port_is_the_same_file(tmp_path: Path) -> None:
    cases = (EVENTS, LOCAL, BROKEN, REFUSED, DATED, HIDDEN, LONG, AT_ONCE, FEED, DRAWN, TURNED, ASKED)
    tools = tuple({case.tool for case in cases})
    outcome, _ = made(tmp_path, cases, caller=taped.answering)
    assert outcome.bad == {}
    before = {case: file.read_text() for case, file in tape.found(tmp_path / "tapes").items()}
    assert set(before) == {case.id for case in cases}
    with ExitStack() as held:
        # Whoever takes a free port meanwhile gets another one.
        for _ in range(3):
            held.enter_context(socket.create_server(("127.0.0.1", 0)))
        outcome, (plan,) = made(tmp_path, cases, only=tools, caller=taped.answering)
    assert (outcome.bad, len(plan.record), set(outcome.recorded)) == ({}, len(cases), set(before))
    # A tape with anything new on it would have been put in the other's place, with a date of its own.
    for case, file in tape.found(tmp_path / "tapes").items():
        assert file.read_text() == before[case]
        assert "127.0.0.1" not in before[case]
    assert "https://mixpanel.com/api/query/segmentation" in before[HIDDEN.id].partition("calls:")[2]
    assert "session_id-1" in before[AT_ONCE.id]
    assert "result://1" in before[FEED.id]
    (question,) = written.read(tmp_path / "tapes", ASKED.id).exchanges[0].asked_back
    assert "Fetch them into events?" in question.params["message"]
    assert question.reply == {"action": "decline"}


def test_a_tape_that_says_nothing_new_stays_unless_its_age_is_why_it_is_recorded(tmp_path: Path) -> None:
    old = made_tape(interaction(1), case=EVENTS.id)
    later = replace(old, recorded=replace(old.recorded, at="2026-01-01T00:00:00+00:00", versions={"vcrpy": "10"}))
    other = replace(later, interactions=(interaction(2),))
    for made_of, wish, written_anew in (
        (later, Wish(tmp_path), False),
        (later, Wish(tmp_path, older_than=timedelta(90)), True),
        (other, Wish(tmp_path), True),
    ):
        file = written.write(tmp_path, old)
        host: Any = None
        record._Recording(wish, Session(tmp_path), host, None, print)._put(made_of)
        assert file.read_text() == written.text_of(made_of if written_anew else old)


def test_what_varies_without_saying_so_and_what_says_so_and_does_not_get_no_tape(tmp_path: Path) -> None:
    silent = replace(TURNED, varies=())
    needless = replace(EVENTS, varies=(Varies("/result", "order", "there is none"),))
    outcome, _ = made(tmp_path, (silent, needless))
    assert outcome.recorded == []
    assert "played back, sample answers otherwise: /result/" in outcome.bad[silent.id]
    assert outcome.bad[needless.id] == "it says that /result varies, and it does not"
    assert tape.found(tmp_path / "tapes") == {}


def test_a_tape_that_cannot_be_read_is_not_recorded_over(tmp_path: Path) -> None:
    file = written.write(tmp_path / "tapes", made_tape(interaction(1), case=EVENTS.id))
    file.write_bytes(file.read_bytes().removesuffix(b"end: 1\n"))
    before = file.read_bytes()
    with pytest.raises(HarnessError) as error:
        made(tmp_path, (EVENTS,), only=("list_events",))
    assert error.value.code == "TAPE_CUT"
    assert file.read_bytes() == before


def test_two_recordings_do_not_meet(tmp_path: Path) -> None:
    with Studio(tmp_path / "state" / "studio", {}).opened(), pytest.raises(HarnessError) as error:
        made(tmp_path, (EVENTS,))
    assert error.value.code == "LOCKED"


class Replaying:
    """In a host's place: live Mixpanel is not to be had, and a replay of its tapes answers what is said here."""

    running: Any = None

    def __init__(self, *results: dict[str, Any], asked_back: list[dict[str, Any]]) -> None:
        self._results, self._asked_back = list(results), asked_back

    def play(self, _case: str) -> None:
        """See Host."""

    def end(self, exchanges: list[Exchange]) -> dict[str, Any]:
        told = [{"call": {}, "result": result, "asked_back": self._asked_back} for result in self._results]
        assert len(told) == len(exchanges)
        return {"misses": [], "unused": [], "exchanges": told}


@pytest.mark.parametrize("target", ["live", "emulator"])
def test_where_people_were_replaced_the_tape_has_what_its_own_answers_come_to(target: Target, tmp_path: Path) -> None:
    def answered(*names: str, failed: bool = False) -> dict[str, Any]:
        return {"isError": failed, "structuredContent": {"result": sorted(names)}, "content": []}

    question = AskedBack("elicitation/create", {"message": "Go?"}, {"action": "accept"})

    def proved(then: dict[str, Any], now: dict[str, Any], asks: str = "Go?") -> tuple[Tape, str | None]:
        exchanges = [Exchange(EVENTS.calls[0], then, (question,))]
        made_of = replace(made_tape(interaction(1), case=EVENTS.id), exchanges=tuple(exchanges))
        wish = Wish(tmp_path, target=target, caller=lambda *_: exchanges)
        host: Any = Replaying(now, asked_back=[asdict(question) | {"params": {"message": asks}}])
        return record._Recording(wish, Session(tmp_path), host, None, print)._proved(EVENTS, made_of)

    same, why = proved(answered("a", "b"), answered("a", "b"))
    assert (why, same.exchanges[0].result) == (None, answered("a", "b"))
    changed, why = proved(answered("ann", "zoe"), answered("person-9", "person-1"))
    if target == "live":
        assert (why, changed.exchanges[0].result) == (None, answered("person-1", "person-9"))
    else:
        assert why == 'played back, list_events answers otherwise: /result/0 was "ann" and is "person-1"'
    _, why = proved(answered("a"), answered("a", failed=True))
    assert why == "played back, list_events answers otherwise: isError was false and is true"
    again, why = proved(answered("a"), answered("a"), asks="Stay?")
    if target == "live":
        assert (why, again.exchanges[0].asked_back[0].params) == (None, {"message": "Stay?"})
    else:
        assert why == (
            'played back, list_events answers otherwise: what it asked back/0/params/message was "Go?" and is "Stay?"'
        )


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
