"""Record what a target answers: plan, ask, prove, put in place; stopped anywhere it goes on where it was.

A case's tape gets to its place only after it has been played back to the same server: every request on it, and every
recording used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness import clock
from harness.cassettes import steady, tape, written
from harness.cassettes.journal import About, Session
from harness.cassettes.plan import Plan, guess, plan
from harness.cassettes.studio import Caller, Host, Running, Studio, account_of, plainly, take_case
from harness.cassettes.tape import AskedBack, Case, Exchange, Tape, Target, Varies
from harness.errors import Exit, HarnessError, nearest

LAST_DAY = "2025-06-30"
DATA = ("--seed", "7", "--users", "2000", "--days", "60", "--last-day", LAST_DAY, "--now", LAST_DAY)
"""What the emulator serves for tapes: large enough for the planted stories, small enough for tapes that are read."""

TRIES = 5
"""Calls by which what varies has to show that it does."""

OF_DATA = ("source", "first_day", "last_day", "event_count", "now", "version")

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be recorded, and of what.

    tapes: where tapes are put
    only: tools whose cases are recorded whatever their tapes are like; all cases that need it when empty
    older_than: tapes of that age are recorded anew
    anew: forget what a stopped recording has asked so far
    data: what the emulator serves, as its own options
    cache_dir: where it keeps its data sets; its own place when None
    caller: how a case's calls are made; otherwise than plainly where somebody must answer the server's questions
    """

    tapes: Path
    target: Target = "emulator"
    only: tuple[str, ...] = ()
    older_than: timedelta | None = None
    anew: bool = False
    data: tuple[str, ...] = DATA
    cache_dir: Path | None = None
    caller: Caller = plainly


@dataclass(slots=True)
class Outcome:
    """What became of a recording.

    recorded: cases with a new tape
    bad: cases without one, with the reason
    sent: requests that the target got; known: those that were answered by what it had been asked already
    """

    recorded: list[str]
    bad: dict[str, str]
    sent: int = 0
    known: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"recorded": self.recorded, "bad": self.bad, "sent": self.sent, "known": self.known}


def planned(wish: Wish, cases: Sequence[Case], session: Session) -> Plan:
    """What a recording would do.

    Raises:
        HarnessError: UNKNOWN_TOOL (exit 2); TAPE_CUT, TAPE_UNREADABLE: it is not recorded over behind anybody's back
    """
    tools = sorted({case.tool for case in cases})
    for tool in wish.only:
        if tool not in tools:
            raise HarnessError(
                "UNKNOWN_TOOL", f"no case is of a tool {tool!r}", fix=nearest(tool, tools), exit_code=Exit.USAGE
            )
    ids = {case.id for case in cases}
    return plan(
        cases,
        {case: written.read(wish.tapes, case) for case in tape.found(wish.tapes) if case in ids},
        target=wish.target,
        only=wish.only,
        older_than=wish.older_than,
        now=clock.now(),
        answered=() if wish.anew else session.known(),
        guess=guess,
    )


def record(
    wish: Wish,
    cases: Sequence[Case],
    directory: Path,
    environment: Mapping[str, str],
    *,
    show: Callable[[Plan], object],
    tell: Tell,
) -> Outcome:
    """Record every case that needs it.

    Args:
        directory: private to recordings; what is asked is kept there until all of it is on tapes
        environment: the caller's, with the account for live Mixpanel
        show: shown the plan before anything is asked
        tell: told what happens

    Raises:
        HarnessError: RATE_LIMITED, CREDENTIALS (exit 6): stopped, to be gone on with by the same command; OTHER_SESSION
            (exit 2); what `planned` and the services say
    """
    session = Session(directory / "session")
    found = planned(wish, cases, session)
    show(found)
    if not found.record:
        return Outcome([], {})
    with Studio(directory / "studio", environment).opened() as studio:
        written.sweep(wish.tapes)
        emulator, credentials, about = _target(wish, studio, environment)
        _begin(session, about, anew=wish.anew)
        host = studio.host(session.directory, credentials, emulator.url if emulator else None)
        recording = _Recording(wish, session, host, emulator, tell)
        for each in found.record:
            recording.take(each.case)
    if not recording.outcome.bad:
        session.forget()
    return recording.outcome


def live_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The four variables.

    Raises:
        HarnessError: CREDENTIALS_MISSING (exit 6)
    """
    from harness.stack import services

    return services.live_credentials(environment)


def _target(
    wish: Wish, studio: Studio, environment: Mapping[str, str]
) -> tuple[Running | None, Mapping[str, str], About]:
    if wish.target == "live":
        credentials = live_credentials(environment)
        now = clock.now().isoformat(timespec="seconds")
        return None, credentials, About("live", now, credentials["MP_REGION"])
    cache = ("--cache-dir", str(wish.cache_dir)) if wish.cache_dir else ()
    emulator, said = studio.emulator(*wish.data, *cache)
    data = {name: said[name] for name in OF_DATA} | {"options": " ".join(wish.data)}
    return emulator, account_of(said), About("emulator", said["now"], said["project"]["region"], data)


def _begin(session: Session, about: About, *, anew: bool) -> None:
    before = None if anew else session.about()
    if before is None:
        session.begin(about)
        return
    # Live data moves on; the clock of a session does not, or its requests would be others every time.
    same = (before.target, before.region, before.data) == (about.target, about.region, about.data)
    if not same:
        raise HarnessError(
            "OTHER_SESSION",
            f"a recording of {before.target} was begun and not ended, and its data is not the same",
            fix="go on with it as it was begun, or forget it: harness record --anew",
            exit_code=Exit.USAGE,
        )


class _Recording:
    """Case after case, in one studio."""

    def __init__(self, wish: Wish, session: Session, host: Host, emulator: Running | None, tell: Tell) -> None:
        self._wish, self._session, self._tell = wish, session, tell
        self._host, self._emulator = host, emulator
        self.outcome = Outcome([], {})

    def take(self, case: Case) -> None:
        """A case's tape to its place, or why there is none to the outcome."""
        report = take_case(self._host, case, self._emulator, self._wish.caller)
        self.outcome.sent += report["sent"]
        self.outcome.known += report["played"]
        if report["stopped"]:
            raise _stopped(report["stopped"], self.outcome)
        why = report["misses"][0] if report["misses"] else None
        if report["unused"]:
            # Gone on with, it would end the same way.
            self._session.journal(case.id, apart=bool(case.faults)).clear()
            why = "it no longer asks what it asked when it was stopped; the next recording begins it anew"
        made = written.read(self._session.tapes, case.id)
        if why is None:
            made, why = self._proved(case, made)
        if why is None:
            told = self._put(made)
            self.outcome.recorded.append(case.id)
            self._tell(f"{case.id}: {report['sent']} asked, {report['played']} known{told}")
            return
        if report["refused"]:
            statuses = ", ".join(report["refused"])
            why = f"the target answered with HTTP {statuses}, which the case does not say that it is about; {why}"
        self.outcome.bad[case.id] = why
        self._tell(f"{case.id}: no tape: {why}")

    def _put(self, made: Tape) -> str:
        """A tape to its place; one that says nothing new stays as it was, unless its age is what it is recorded for."""
        try:
            old = written.read(self._wish.tapes, made.case)
        except HarnessError:
            old = None
        if old is not None and self._wish.older_than is None and same(old, made):
            return "; its tape stays"
        written.write(self._wish.tapes, made)
        return ""

    def _proved(self, case: Case, made: Tape) -> tuple[Tape, str | None]:
        """The tape, and why it cannot be played; None where it can."""
        exchanges, report = self._played(case)
        if report["misses"]:
            return made, f"it cannot be played back: {report['misses'][0]}"
        if report["unused"]:
            return made, f"it cannot be played back: not asked again: {report['unused'][0]}"
        again = [
            Exchange(was.call, now["result"], tuple(AskedBack(**each) for each in now["asked_back"]))
            for was, now in zip(made.exchanges, report["exchanges"], strict=True)
        ]
        for was, now in zip(made.exchanges, again, strict=True):
            asked_back = steady.first_otherwise_asked(was.asked_back, now.asked_back)
            found = asked_back or steady.first_difference(was.result, now.result)
            where, one, other = found or ("", "", "")
            # Of live Mixpanel other people are on the tape than were told of, by names that sort otherwise.
            if where and (self._wish.target == "emulator" or where == "isError"):
                return made, f"played back, {was.call.tool} answers otherwise: {where} was {one} and is {other}"
        return replace(made, exchanges=tuple(again)), self._needless(case, exchanges)

    def _needless(self, case: Case, exchanges: list[Exchange]) -> str | None:
        """What a case declares to vary and does not, as far as a few calls can tell; None where all does."""
        left: Sequence[Varies] = case.varies
        for _ in range(TRIES):
            if not left:
                return None
            again, _report = self._played(case)
            left = steady.needless(left, exchanges[-1].result, again[-1].result)
        return f"it says that {left[0].place} varies, and it does not" if left else None

    def _played(self, case: Case) -> tuple[list[Exchange], dict[str, Any]]:
        self._host.play(case.id)
        exchanges = self._wish.caller(self._host.running, case, lambda: None)
        return exchanges, self._host.end(exchanges)


def same(old: Tape, new: Tape) -> bool:
    """Whether two tapes differ at most in when and with what they were recorded."""
    recorded = replace(new.recorded, at=old.recorded.at, versions=old.recorded.versions)
    return written.text_of(replace(new, recorded=recorded)) == written.text_of(old)


def _stopped(why: Mapping[str, Any], outcome: Outcome) -> HarnessError:
    done = f"{len(outcome.recorded)} cases are on tape, and nothing that was asked is asked again"
    if why.get("status") in (401, 402):
        return HarnessError(
            "CREDENTIALS", f"{why['cause']}; {done}", fix="check the account: mp auth test", exit_code=Exit.CREDENTIALS
        )
    later = f" from {why['until']} on" if why.get("until") else " in an hour"
    if why.get("retry_after"):
        later = f" in {why['retry_after']} s"
    return HarnessError("RATE_LIMITED", f"{why['cause']}; {done}", fix=f"go on{later} with the same command")
