"""One service's part in an `up`: it is started, awaited, asked or left as it is, in a thread of its own."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import clock, faultpoints, wire
from harness.errors import Exit, HarnessError
from harness.progress import Progress
from harness.settings import Settings
from harness.stack import logs, look, processes, readiness
from harness.stack.crew import Crew
from harness.stack.plan import Deed, Step, plan_up
from harness.stack.service import Launch, Service, complete_environment
from harness.stack.state import Member, Stack, StateDirectory
from harness.stack.timing import Spell
from harness.wire import WireError

ELSEWHERE_WAIT_S = 10.0
SECRET_FACTS = ("account",)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of an `up`.

    services: their names, those of the settings when empty, else all
    fresh: take a running stack down first
    again: end these first, though they live; None for an `up` that leaves alone what lives
    take_port: end a stranger of the same user who holds a port
    """

    services: tuple[str, ...] = ()
    fresh: bool = False
    again: tuple[str, ...] | None = None
    take_port: bool = False


@dataclass(slots=True)
class Work:
    """What one `up` knows and changes while its services start, each in a thread; `lock` is held for a change."""

    state: StateDirectory
    settings: Settings
    services: tuple[Service, ...]
    wish: Wish
    progress: Progress
    stack: Stack
    deadline: clock.Deadline | None
    missing: Mapping[str, str]
    began: float = field(default_factory=clock.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    crew: Crew | None = None
    parts: frozenset[str] = frozenset()
    started: list[str] = field(default_factory=list)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.progress.note(text)

    def keep(self, stack: Stack) -> None:
        with self.lock:
            self.stack = stack
            self.state.write(stack)

    def know(self, name: str, **news: Any) -> None:
        """Write down what is new of a service's start, beside whatever else changed meanwhile."""
        with self.lock:
            self.stack = _with_spell(self.stack, name, **news)

    def seconds(self) -> float:
        return round(clock.monotonic() - self.began, 3)


class _GivenUp(Exception):  # noqa: N818 - no error of its own: another service's failure ended this one's start
    """Another service failed, so this one need not go on."""


def take(work: Work, step: Step) -> None:
    service, name = step.service, step.service.name
    began = clock.monotonic()
    work.know(name, begun_s=work.seconds())
    if step.deed is Deed.ASK:
        _ask(work, service)
        return
    if step.deed is Deed.START:
        member = _start(work, service)
    else:
        member = work.stack.members[name]
        for who in processes.halted(member):
            work.note(f"{name} was halted, as by SIGSTOP: pid {who.pid} goes on")
            processes.let_go_on(who)
        if step.deed is Deed.KEEP and readiness.answers(service, member.port, work.deadline):
            work.progress.done(name, f"already up at {member.url}")
            return
    _await(work, service, member, began)


def _ask(work: Work, service: Service) -> None:
    """A service that somebody else runs: it has to answer, and is neither started nor ended."""
    name, url = service.name, service.elsewhere(work.settings) or ""
    work.note(f"{name} runs elsewhere, at {url}: asked, and neither started nor ended here")
    _climb(work, service, readiness.Climb(service, wire.elsewhere(url)), ELSEWHERE_WAIT_S, lambda: None)
    with work.lock:
        work.keep(work.stack.model_copy(update={"elsewhere": {**work.stack.elsewhere, name: url}}))
    work.progress.done(name, f"answers at {url}")


def _start(work: Work, service: Service) -> Member:
    name = service.name
    work.progress.stage(name, "starting")
    launch = Launch(
        _settled(work),
        work.state.path,
        _about_needs(work, service),
        work.parts,
        work.stack.run_id,
    )
    with work.lock:
        work.started.append(name)
    if service.prepare is not None and service.prepare(launch, lambda text: work.progress.stage(name, text)):
        work.know(name, prepared_s=work.seconds())
    with work.lock:
        # Whoever undoes holds the lock first: nothing is started behind its back.
        if work.crew is None or work.crew.stopped:
            raise _GivenUp
        started = processes.start(
            name,
            service.command(launch),
            complete_environment(service, launch),
            work.state,
            work.stack.run_id,
            directory=service.directory(launch) if service.directory else None,
        )
        faultpoints.reach("up.spawned")
        port = service.port(work.settings)
        member = Member(
            process=started.process,
            keeper=started.keeper,
            port=port,
            url=service.url(port),
            started_at=clock.now().isoformat(),
        )
        work.know(name, spawned_s=work.seconds())
        work.keep(work.stack.model_copy(update={"members": {**work.stack.members, name: member}}))
        faultpoints.reach("up.recorded")
    return member


def _settled(work: Work) -> Settings:
    """The settings of a service that is started again: "yesterday" stays what it was when the stack came up."""
    days = [facts["last_day"] for facts in work.stack.facts.values() if facts.get("last_day")]
    if not days or work.settings.values.emulator.data or work.settings.values.emulator.last_day:
        return work.settings
    return work.settings.relaunch({**work.stack.launch, "emulator.last_day": days[0]})


def _about_needs(work: Work, service: Service) -> dict[str, dict[str, Any]]:
    by_name = {each.name: each for each in work.services}
    for step in plan_up(work.services, service.waits_for, {}) if service.waits_for else ():
        need = step.service.name
        if need not in work.about and by_name[need].about and need in work.stack.members:
            try:
                work.about[need] = readiness.fetch_about(by_name[need], work.stack.members[need].port)
            except WireError as error:
                raise HarnessError(
                    error.fault.name, f"{need} does not say what it is: {error.what}", fix=f"harness logs {need}"
                ) from None
    return work.about


def _climb(
    work: Work, service: Service, climb: readiness.Climb, deadline_s: float, died: Callable[[], HarnessError | None]
) -> None:
    name = service.name

    def held(rung: str) -> None:
        spell = work.stack.timing.services.get(name, Spell()) if work.stack.timing else Spell()
        work.know(name, rungs={**spell.rungs, rung: work.seconds()})

    def ended() -> HarnessError | None:
        if work.crew is None or work.crew.stopped:
            raise _GivenUp
        return died()

    readiness.await_ready(
        climb,
        work.deadline or clock.Deadline(deadline_s),
        died=ended,
        watch=lambda rung: work.progress.stage(name, f"waiting for {rung}"),
        held=held,
    )
    work.know(name, ready_s=work.seconds())


def _await(work: Work, service: Service, member: Member, began: float) -> None:
    name = service.name
    climb = readiness.Climb(service, member.port)
    _climb(work, service, climb, service.start_deadline_s, _death(work, name, member))
    faultpoints.reach("up.answered")
    ready_s = round(clock.monotonic() - began, 3)
    with work.lock:
        facts = work.stack.facts
        if climb.about:
            work.about[name] = climb.about
            facts = {**facts, name: {key: value for key, value in climb.about.items() if key not in SECRET_FACTS}}
            if climb.about.get("now"):
                names = ", ".join(each.name for each in work.services)
                work.note(f"the clock stands at {climb.about['now']} for {names}")
        ready = member.model_copy(update={"ready_s": ready_s})
        work.keep(work.stack.model_copy(update={"members": {**work.stack.members, name: ready}, "facts": facts}))
    faultpoints.reach("up.ready")
    work.progress.done(name, f"ready in {ready_s:.2f} s at {member.url}")


def _with_spell(stack: Stack, name: str, **news: Any) -> Stack:
    if stack.timing is None or name not in stack.timing.services:
        return stack
    spells = {**stack.timing.services, name: stack.timing.services[name].model_copy(update=news)}
    return stack.model_copy(update={"timing": stack.timing.model_copy(update={"services": spells})})


def _death(work: Work, name: str, member: Member) -> Callable[[], HarnessError | None]:
    def died() -> HarnessError | None:
        if processes.is_up(member):
            return None
        # Only now: nobody who starts well has to load all that may go wrong.
        from harness.doctor.known_issues import worst

        how = look.how_it_died(work.state, name, member)
        words = logs.last_words(work.state, name)
        said = logs.refusal(words)
        record = work.state.record(name)
        usage = record is not None and record.exit_status == Exit.USAGE
        code = Exit.USAGE if usage or said else Exit.FAILED
        if said:
            # Somebody was quicker on the port between our look and the service's.
            code = Exit.CONFLICT if said["code"].startswith("PORT_") else code
            more = tuple(word for word in words if said["code"] not in word)
            return HarnessError(said["code"], f"{name}: {said['cause']}", fix=said["fix"], exit_code=code, log=more)
        known = worst(words)
        why, fix = (f"; {known.issue.title}", known.issue.solution) if known else ("", f"see harness logs {name}")
        return HarnessError("DIED", f"{name} ended before it was ready: {how}{why}", fix=fix, exit_code=code, log=words)

    return died
