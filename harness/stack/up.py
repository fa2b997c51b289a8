"""Bring a stack up: look, plan, then do, step by step, so that a cut anywhere leaves what can be put right."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import clock, faultpoints
from harness.errors import Exit, HarnessError
from harness.progress import Progress
from harness.settings import Settings
from harness.stack import look, ports, processes
from harness.stack.crew import Crew
from harness.stack.down import end_service, take_down
from harness.stack.plan import Condition, Deed, Step, check_names, in_order, plan_up
from harness.stack.service import Service, absent, misleading, of_stack
from harness.stack.services import live_credentials
from harness.stack.starting import Wish, Work, take
from harness.stack.state import Stack, StateDirectory
from harness.stack.timing import Spell, Timing

__all__ = ["LOCK_WAIT_S", "Upped", "Wish", "up"]

LOCK_WAIT_S = 180.0
FRESH_PORT_WAIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Upped:
    """What `up` found and did.

    deeds: service → keep, await, start or ask, in the order of the plan
    """

    stack: Stack
    deeds: Mapping[str, str]
    notes: tuple[str, ...]
    state_dir: str

    def to_dict(self) -> dict[str, Any]:
        """The same for programs: where each service is, and what the stack is made of."""
        return {
            "target": self.stack.launch["stack.target"],
            "services": [self._service(name, deed) for name, deed in self.deeds.items()],
            "facts": self.stack.facts,
            "notes": list(self.notes),
            "state_dir": self.state_dir,
        }

    def _service(self, name: str, deed: str) -> dict[str, Any]:
        member = self.stack.members.get(name)
        if member is None:
            url = self.stack.elsewhere[name]
            return {"name": name, "deed": deed, "pid": None, "port": None, "url": url, "ready_s": None}
        at = {"pid": member.process.pid, "port": member.port, "url": member.url, "ready_s": member.ready_s}
        return {"name": name, "deed": deed, **at}


def up(settings: Settings, services: Sequence[Service], wish: Wish, *, progress: Progress) -> Upped:
    """Bring the wanted services up; what already lives is left as it is, unless it is to be started again.

    Raises:
        HarnessError: OTHER_SETTINGS, UNKNOWN_SERVICE (exit 2); NOT_RUNNING (7) where nothing runs that could be
            started again; PORT_TAKEN (5); CREDENTIALS_MISSING (6); NOT_READY (124); DIED or the service's own error.
            What this call started is then taken down again.
    """
    state = StateDirectory(settings.state_dir)
    deadline_s = settings.values.stack.deadline_s
    deadline = clock.Deadline(deadline_s) if deadline_s else None
    with state.lock(deadline or clock.Deadline(LOCK_WAIT_S)), ports.Claims() as claims:
        faultpoints.reach("up.locked")
        known = state.read()
        if wish.again is not None and known is None:
            raise look.nothing_runs()
        if known is not None and not wish.fresh:
            settings = settings.relaunch(known.launch)
            _same_settings(settings, known)
        own = of_stack(services, settings)
        missing = absent(services, settings)
        wanted = _wanted(services, own, settings, wish, missing)
        if wish.again == () and known is not None:
            wanted = tuple(service.name for service in own if service.name in known.members)
        stack = known or _new_stack(settings)
        work = Work(state, settings, own, wish, progress, stack, deadline, {} if wanted else missing)
        if wish.fresh and known is not None:
            take_down(state, known, services, grace_s=settings.values.stack.grace_s, progress=progress)
        if wish.fresh or known is None:
            work.settings = ports.chosen(settings, own, known.launch if known else {}, claims)
            work.stack = _new_stack(work.settings)
        _end_for_anew(work)
        _sweep(work)
        found = {name: look.condition(member) for name, member in work.stack.members.items()}
        found |= {service.name: Condition.ELSEWHERE for service in own if service.elsewhere(settings)}
        steps = plan_up(own, wanted, found)
        faultpoints.reach("up.planned")
        _go(work, steps)
        deeds = {step.service.name: step.deed.value for step in steps}
        return Upped(work.stack, deeds, tuple(work.notes), str(state.path))


def _wanted(
    services: Sequence[Service], own: Sequence[Service], settings: Settings, wish: Wish, missing: Mapping[str, str]
) -> tuple[str, ...]:
    for name in wish.services:
        if name in missing:
            raise HarnessError(
                "CANNOT_RUN_HERE", f"{name} cannot run here: {missing[name]}", fix="start the others: harness up"
            )
    check_names(own, wish.services)
    check_names(services, settings.values.stack.services)
    names = {service.name for service in own}
    return wish.services or tuple(name for name in settings.values.stack.services if name in names)


def _new_stack(settings: Settings) -> Stack:
    return Stack(run_id=secrets.token_hex(8), started_at=clock.now().isoformat(), launch=settings.launch())


def _same_settings(settings: Settings, known: Stack) -> None:
    differing = settings.differences(known.launch)
    if differing:
        raise HarnessError(
            "OTHER_SETTINGS",
            f"a stack with other settings is running: {'; '.join(differing)}",
            fix="take it down first: harness down; or start it anew with these: harness up --fresh",
            exit_code=Exit.USAGE,
        )


def _sweep(work: Work) -> None:
    """End what an `up` that was cut short, or a service that died, left behind."""
    lost = look.strays(work.state, work.stack)
    if lost:
        work.note(f"ended {len(lost)} process(es) that an earlier run of this stack left behind")
        grace_s = work.settings.values.stack.grace_s
        left = processes.end(lambda: look.strays(work.state, work.stack), grace_s)
        if left:
            raise HarnessError(
                "WILL_NOT_END",
                f"processes of an earlier run live on after SIGKILL: {sorted(who.pid for who in left)}",
                fix="run harness down again later",
            )


def _end_for_anew(work: Work) -> None:
    """End what is to be started again; the rest runs on."""
    names = work.wish.again
    if names is None:
        return
    check_names(work.services, names)
    for name in reversed(in_order(work.services)):
        if name in work.stack.members and (name in names or not names):
            work.progress.stage(name, "ending, to start it again")
            end_service(work.state, work.stack, name, work.settings.values.stack.grace_s)
            left = {each: member for each, member in work.stack.members.items() if each != name}
            work.keep(work.stack.model_copy(update={"members": left}))


def _go(work: Work, steps: list[Step]) -> None:
    starting = [step.service for step in steps if step.deed is Deed.START]
    if starting:
        _make_way(work, starting)
    before = work.stack
    work.parts = frozenset({*before.members, *(step.service.name for step in steps)})
    doing = [step for step in steps if step.deed is not Deed.KEEP]
    if doing:
        if starting and not before.members:
            work.state.retire_logs()
        spells = {step.service.name: Spell(waited_for=_waits(step, doing)) for step in doing}
        work.keep(before.model_copy(update={"timing": Timing(started_at=clock.now().isoformat(), services=spells)}))
        faultpoints.reach("up.written")
    crew = work.crew = Crew(
        {step.service.name: lambda step=step: take(work, step) for step in steps},  # type: ignore[misc]  # bound early
        {step.service.name: step.service.waits_for for step in steps},
    )
    try:
        crew.run()
    except BaseException:
        crew.stop()
        _undo(work, before)
        raise
    finally:
        crew.join()
    if doing and work.stack.timing is not None:
        timing = work.stack.timing.model_copy(update={"took_s": work.seconds()})
        work.keep(work.stack.model_copy(update={"timing": timing}))


def _waits(step: Step, doing: list[Step]) -> tuple[str, ...]:
    return tuple(each.service.name for each in doing if each.service.name in step.service.waits_for)


def _make_way(work: Work, starting: list[Service]) -> None:
    """See to it, before anything is started, that all of it can be: credentials, ports, and nothing that misleads."""
    if work.settings.values.stack.target == "live" and any(service.name == "mcp" for service in starting):
        live_credentials(work.settings.environment)
    wanted = {service.name: service.port(work.settings) for service in starting}
    if work.wish.take_port:
        ports.take(wanted.values(), work.settings.values.stack.grace_s, work.note)
    ports.require_free(
        wanted,
        {service.name: service.port_setting for service in starting},
        FRESH_PORT_WAIT_S if work.stack.members or work.wish.again is not None else 0.0,
    )
    dropped = misleading(work.settings.environment)
    if dropped:
        said = ", ".join(f"{name} ({why})" for name, why in dropped.items())
        work.note(f"not passed on to the services: {said}")
    for name, why in work.missing.items():
        work.note(f"without {name}: {why}")


def _undo(work: Work, before: Stack) -> None:
    """Take down what this `up` started, the last one first; what ran before stays."""
    with work.lock:
        started = tuple(work.started)
    for name in reversed(started):
        work.progress.stage(name, "taking it down again")
        end_service(work.state, work.stack, name, work.settings.values.stack.grace_s)
        work.progress.done(name, "taken down again")
    kept = {name: member for name, member in before.members.items() if name not in started}
    if kept:
        work.keep(before.model_copy(update={"members": kept}))
    else:
        work.state.forget()
