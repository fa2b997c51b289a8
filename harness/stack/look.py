"""What is there: each service's condition, and processes of the stack that nobody wrote down. Looks only."""

import urllib.parse
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from harness import clock, wire
from harness.errors import Exit, HarnessError
from harness.stack import identity, processes, timing
from harness.stack.identity import Identity
from harness.stack.plan import Condition
from harness.stack.services import Service, for_target
from harness.stack.state import Member, Stack, StateDirectory
from harness.stack.timing import Timing

HALTED = "halted"
RECORD_WAIT_S = 5.0
"""Only a keeper that is itself held up takes so long: one that is gone is not waited for."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as it is now.

    state: up, starting, halted, died, stopped, or elsewhere for one that somebody else runs
    since: its start, ISO instant in UTC; uptime_s: seconds since then while it lives
    how: how it ended, when it died; what of it is kept from running, when it is halted
    """

    name: str
    state: str
    pid: int | None = None
    port: int | None = None
    url: str | None = None
    since: str | None = None
    uptime_s: float | None = None
    ready_s: float | None = None
    how: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A stack as it is now.

    strays: processes that belong to this state directory although nothing of them is written down
    """

    target: str | None
    run_id: str | None
    services: tuple[ServiceStatus, ...]
    facts: dict[str, dict[str, Any]]
    strays: tuple[int, ...]
    state_dir: str
    timing: Timing | None = None

    @property
    def exit_code(self) -> Exit:
        """Good while all that was started lives, failed when something died, not running when there is nothing."""
        if any(service.state in (Condition.DIED.value, HALTED) for service in self.services) or self.strays:
            return Exit.FAILED
        living = (Condition.UP.value, Condition.STARTING.value, Condition.ELSEWHERE.value)
        if any(service.state in living for service in self.services):
            return Exit.GOOD
        return Exit.NOT_RUNNING

    def to_dict(self) -> dict[str, Any]:
        """The same for programs, the last start among it."""
        return {**asdict(self), "timing": timing.to_dict(self.timing) if self.timing else None}


def condition(member: Member | None) -> Condition:
    """How a service was found."""
    if member is None:
        return Condition.STOPPED
    if not processes.is_up(member):
        return Condition.DIED
    return Condition.UP if member.ready_s is not None else Condition.STARTING


def how_it_died(state: StateDirectory, service: str, member: Member) -> str:
    """When and how a service ended, as its keeper saw it."""
    deadline = clock.Deadline(RECORD_WAIT_S)
    while True:
        # Before its record is read: it ends as soon as it has written.
        kept = member.keeper.is_alive()
        record = state.record(service)
        known = record is not None and record.pid == member.process.pid and record.ended_at is not None
        if known and record is not None:
            return processes.how_it_ended(record)
        if member.process.boot != identity.boot_id():
            return "the machine was started anew since"
        # It writes within milliseconds of the end, unless it was killed too.
        if not kept:
            return "when and how is not known: what kept watch over it is gone too"
        if deadline.passed():
            return f"how is not known: what keeps watch over it (pid {member.keeper.pid}) has not said so"
        clock.sleep(processes.POLL_S)


def how_it_is_halted(member: Member) -> str | None:
    """Which processes of a service live and are kept from running, None where none is."""
    pids = _pids(processes.halted(member))
    if not pids:
        return None
    return f"pid {', '.join(map(str, pids))} {'is' if len(pids) == 1 else 'are'} halted, as by SIGSTOP"


def without_a_log(state: StateDirectory) -> tuple[str, ...]:
    """The services that live and whose log somebody has removed: what they write is lost."""
    stack = state.read()
    members = stack.members.items() if stack else ()
    return tuple(name for name, member in members if processes.is_up(member) and not state.log(name).exists())


def strays(state: StateDirectory, stack: Stack | None) -> set[Identity]:
    """Living processes of this state directory that are no part of a recorded and living service."""
    members = stack.members.values() if stack else ()
    living = [member for member in members if processes.is_up(member)]
    roots = {who for member in living for who in (member.process, member.keeper)}
    found = set(processes.marked(state))
    return found - processes.tree(roots) if found else found


def nothing_runs() -> HarnessError:
    """The error of a command that needs a stack."""
    return HarnessError("NOT_RUNNING", "nothing is running", fix="start it: harness up", exit_code=Exit.NOT_RUNNING)


def running(state: StateDirectory, services: Sequence[Service], name: str) -> tuple[Service, wire.Place]:
    """A service that lives or is somebody else's, and where it is.

    Raises:
        HarnessError: NOT_RUNNING (exit 7), saying how it died if it did; HALTED
    """
    stack = state.read()
    member = stack.members.get(name) if stack else None
    service = next(service for service in services if service.name == name)
    if stack and member is None and (url := stack.elsewhere.get(name)):
        return replace(service, path=urllib.parse.urlsplit(url).path), wire.elsewhere(url)
    if member is None:
        raise HarnessError(
            "NOT_RUNNING", f"{name} is not running", fix="start it: harness up", exit_code=Exit.NOT_RUNNING
        )
    if condition(member) is Condition.DIED:
        how = how_it_died(state, name, member)
        raise HarnessError(
            "NOT_RUNNING", f"{name} died: {how}", fix="bring it back: harness up", exit_code=Exit.NOT_RUNNING
        )
    if still := how_it_is_halted(member):
        raise HarnessError("HALTED", f"{name} does nothing: {still}", fix="have it go on: harness up")
    return service, member.port


def status(state: StateDirectory, services: Sequence[Service], usual: Collection[str] | None = None) -> Status:
    """Look at the whole stack.

    Args:
        usual: the services to tell of although they were not started, all when None
    """
    stack = state.read()
    lost = strays(state, stack)
    if usual is not None:
        known = {*usual, *(stack.members if stack else ())}
        services = [service for service in services if service.name in known]
    if stack is None:
        stopped = tuple(ServiceStatus(service.name, Condition.STOPPED.value) for service in services)
        return Status(None, None, stopped, {}, _pids(lost), str(state.path))
    found = tuple(
        ServiceStatus(service.name, Condition.ELSEWHERE.value, url=stack.elsewhere[service.name])
        if service.name in stack.elsewhere
        else _service_status(state, service.name, stack.members.get(service.name))
        for service in for_target(services, stack.launch["stack.target"])
    )
    dead = {name for name, member in stack.members.items() if condition(member) is Condition.DIED}
    marks = processes.marked(state)
    # What a dead service left behind is told by the service, not by its pid.
    unknown = {who for who in lost if marks.get(who) not in dead}
    target, run_id = stack.launch["stack.target"], stack.run_id
    return Status(target, run_id, found, stack.facts, _pids(unknown), str(state.path), stack.timing)


def _service_status(state: StateDirectory, name: str, member: Member | None) -> ServiceStatus:
    found = condition(member)
    if member is None:
        return ServiceStatus(name, found.value)
    if found is Condition.DIED:
        how = how_it_died(state, name, member)
        return ServiceStatus(name, found.value, member.process.pid, member.port, member.url, member.started_at, how=how)
    uptime_s = (clock.now() - datetime.fromisoformat(member.started_at).astimezone(UTC)).total_seconds()
    still = how_it_is_halted(member)
    return ServiceStatus(
        name,
        HALTED if still else found.value,
        member.process.pid,
        member.port,
        member.url,
        member.started_at,
        round(uptime_s, 1),
        member.ready_s,
        still,
    )


def _pids(found: set[Identity]) -> tuple[int, ...]:
    return tuple(sorted(who.pid for who in found))
