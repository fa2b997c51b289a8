"""Bring a stack up: look, plan, then do, step by step, so that a cut anywhere leaves what can be put right."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import clock
from harness.errors import Exit, HarnessError
from harness.progress import Progress
from harness.settings import Settings
from harness.stack import logs, look, ports, processes, readiness
from harness.stack.down import end_service, take_down
from harness.stack.plan import Deed, Step, plan_up
from harness.stack.services import (
    Launch,
    Service,
    complete_environment,
    for_target,
    live_credentials,
    misleading,
)
from harness.stack.state import Member, Stack, StateDirectory
from harness.wire import WireError

LOCK_WAIT_S = 180.0
FRESH_PORT_WAIT_S = 3.0
SECRET_FACTS = ("account",)


@dataclass(frozen=True, slots=True)
class Upped:
    """What `up` found and did.

    deeds: service → keep, await or start, in the order of the plan
    """

    stack: Stack
    deeds: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    """What one `up` knows and changes while it goes through its steps."""

    state: StateDirectory
    settings: Settings
    services: tuple[Service, ...]
    progress: Progress
    stack: Stack
    deadline: clock.Deadline | None
    started: list[str] = field(default_factory=list)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.progress.note(text)

    def keep(self, stack: Stack) -> None:
        self.stack = stack
        self.state.write(stack)


def up(
    settings: Settings,
    services: Sequence[Service],
    *,
    wanted: Collection[str] = (),
    fresh: bool = False,
    progress: Progress,
) -> Upped:
    """Bring the wanted services up, all when none is named; what already lives is left as it is.

    Args:
        fresh: take a running stack down first

    Raises:
        HarnessError: OTHER_SETTINGS, UNKNOWN_SERVICE (exit 2); PORT_TAKEN (5); CREDENTIALS_MISSING (6);
            NOT_READY (124); DIED or the service's own error. What this call started is then taken down again.
    """
    state = StateDirectory(settings.state_dir)
    deadline_s = settings.values.stack.deadline_s
    deadline = clock.Deadline(deadline_s) if deadline_s else None
    with state.lock(deadline or clock.Deadline(LOCK_WAIT_S)):
        known = state.read()
        if known is not None and not fresh:
            settings = settings.relaunch(known.launch)
            _same_settings(settings, known)
        own = for_target(services, settings.values.stack.target)
        plan_up(own, wanted, {})
        work = _Work(state, settings, own, progress, known or _new_stack(settings), deadline)
        if fresh and known is not None:
            take_down(state, known, services, grace_s=settings.values.stack.grace_s, progress=progress)
            work.stack = _new_stack(settings)
        _sweep(work)
        found = {name: look.condition(member) for name, member in work.stack.members.items()}
        steps = plan_up(own, wanted, found)
        _go(work, steps)
        return Upped(work.stack, {step.service.name: step.deed.value for step in steps}, tuple(work.notes))


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


def _sweep(work: _Work) -> None:
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


def _go(work: _Work, steps: list[Step]) -> None:
    starting = [step.service for step in steps if step.deed is Deed.START]
    if starting and work.settings.values.stack.target == "live":
        live_credentials(work.settings.environment)
    ports.require_free(
        {service.name: service.port(work.settings) for service in starting},
        {service.name: service.port_setting for service in starting},
        FRESH_PORT_WAIT_S if work.stack.members else 0.0,
    )
    dropped = misleading(work.settings.environment)
    if starting and dropped:
        work.note(f"not passed on, since they would change which packages the services load: {', '.join(dropped)}")
    before = work.stack
    if starting:
        if not before.members:
            work.state.retire_logs()
        work.keep(before)
    try:
        for step in steps:
            _take(work, step)
    except BaseException:
        _undo(work, before)
        raise


def _take(work: _Work, step: Step) -> None:
    service, name = step.service, step.service.name
    if step.deed is Deed.KEEP:
        member = work.stack.members[name]
        if readiness.answers(service, member.port, work.deadline):
            work.progress.done(name, f"already up at {member.url}")
            return
        began = clock.monotonic()
    elif step.deed is Deed.AWAIT:
        member, began = work.stack.members[name], clock.monotonic()
    else:
        began = clock.monotonic()
        member = _start(work, service)
    _await(work, service, member, began)


def _start(work: _Work, service: Service) -> Member:
    name = service.name
    work.started.append(name)
    work.progress.stage(name, "starting")
    launch = Launch(_settled(work), work.state.path, _about_needs(work, service))
    started = processes.start(
        name, service.command(launch), complete_environment(service, launch), work.state, work.stack.run_id
    )
    port = service.port(work.settings)
    member = Member(
        process=started.process,
        keeper=started.keeper,
        port=port,
        url=service.url(port),
        started_at=clock.now().isoformat(),
    )
    work.keep(work.stack.model_copy(update={"members": {**work.stack.members, name: member}}))
    return member


def _settled(work: _Work) -> Settings:
    """The settings of a service that is started again: "yesterday" stays what it was when the stack came up."""
    days = [facts["last_day"] for facts in work.stack.facts.values() if facts.get("last_day")]
    if not days or work.settings.values.emulator.data or work.settings.values.emulator.last_day:
        return work.settings
    return work.settings.relaunch({**work.stack.launch, "emulator.last_day": days[0]})


def _about_needs(work: _Work, service: Service) -> dict[str, dict[str, Any]]:
    by_name = {each.name: each for each in work.services}
    for need in service.needs:
        if need not in work.about and by_name[need].about:
            try:
                work.about[need] = readiness.fetch_about(by_name[need], work.stack.members[need].port)
            except WireError as error:
                raise HarnessError(
                    error.fault.name, f"{need} does not say what it is: {error.what}", fix=f"harness logs {need}"
                ) from None
    return work.about


def _await(work: _Work, service: Service, member: Member, began: float) -> None:
    name = service.name
    climb = readiness.Climb(service, member.port)
    readiness.await_ready(
        climb,
        work.deadline or clock.Deadline(service.start_deadline_s),
        died=_death(work, name, member),
        watch=lambda rung: work.progress.stage(name, f"waiting for {rung}"),
    )
    ready_s = round(clock.monotonic() - began, 3)
    facts = work.stack.facts
    if climb.about:
        work.about[name] = climb.about
        facts = {**facts, name: {key: value for key, value in climb.about.items() if key not in SECRET_FACTS}}
        if climb.about.get("now"):
            work.note(f"the clock stands at {climb.about['now']} for {', '.join(each.name for each in work.services)}")
    ready = member.model_copy(update={"ready_s": ready_s})
    work.keep(work.stack.model_copy(update={"members": {**work.stack.members, name: ready}, "facts": facts}))
    work.progress.done(name, f"ready in {ready_s:.2f} s at {member.url}")


def _death(work: _Work, name: str, member: Member) -> Callable[[], HarnessError | None]:
    def died() -> HarnessError | None:
        if processes.is_up(member):
            return None
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
        return HarnessError(
            "DIED",
            f"{name} ended before it was ready: {how}",
            fix=f"see harness logs {name}",
            exit_code=code,
            log=words,
        )

    return died


def _undo(work: _Work, before: Stack) -> None:
    """Take down what this `up` started, the last one first; what ran before stays."""
    for name in reversed(work.started):
        work.progress.stage(name, "taking it down again")
        end_service(work.state, work.stack, name, work.settings.values.stack.grace_s)
        work.progress.done(name, "taken down again")
    kept = {name: member for name, member in before.members.items() if name not in work.started}
    if kept:
        work.keep(before.model_copy(update={"members": kept}))
    else:
        work.state.forget()
