"""Who holds the stack's ports, and their release."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import clock
from harness.errors import Exit, HarnessError
from harness.settings import Settings
from harness.stack import look, ports, processes
from harness.stack.down import end_service
from harness.stack.processes import Owner
from harness.stack.service import Service
from harness.stack.state import Stack, StateDirectory

OURS, STALE, STRANGER, FREE = "ours", "stale ours", "stranger", "free"


@dataclass(frozen=True, slots=True)
class Holder:
    """One port of the stack.

    service: None for a port that no service of it has
    identity: ours, stale ours (of this stack by its environment, but not written down), stranger, free
    owner: who holds it, None where it is free or its holder has just gone
    lingering: ended connections that the kernel still remembers (TIME_WAIT); nobody holds the port through them
    """

    service: str | None
    port: int
    identity: str
    owner: Owner | None
    lingering: int

    def to_dict(self) -> dict[str, Any]:
        """The same for programs; `since` is an instant in UTC."""
        return {
            "service": self.service,
            "port": self.port,
            "identity": self.identity,
            "owner": _owner(self.owner) if self.owner else None,
            "lingering": self.lingering,
        }

    def __str__(self) -> str:
        held = f"{self.identity}: {self.owner}" if self.owner else self.identity
        if self.identity == FREE and self.lingering:
            held += f" ({self.lingering} ended connection(s) linger in TIME_WAIT, which hinders nobody)"
        if self.owner and self.identity == STRANGER and self.owner.state_dir:
            held += f", of the stack in {self.owner.state_dir}"
        return f"{self.port:<7}{self.service or '-':<10}{held}"


@dataclass(frozen=True, slots=True)
class Freed:
    """What `ports free` did.

    ended: pids, with the port that each one held
    services: names of this stack's services that were ended whole
    """

    ended: tuple[tuple[int, int], ...]
    services: tuple[str, ...]
    ports: tuple[int, ...]


def survey(state: StateDirectory, services: Sequence[Service], settings: Settings) -> tuple[Holder, ...]:
    """Every port of the stack as it is now: of a running one, else of the settings where those will hold."""
    stack = state.read()
    return tuple(look_at(state, stack, name, port) for name, port in _ports(stack, services, settings).items())


def look_at(state: StateDirectory, stack: Stack | None, service: str | None, port: int) -> Holder:
    """One port as it is now."""
    lingering = processes.lingering(port)
    if ports.is_free(port):
        return Holder(service, port, FREE, None, lingering)
    owner = processes.owner(port)
    identity = STRANGER
    if owner is not None and owner.pid is not None:
        members = stack.members if stack else {}
        if any(owner.pid in _pids(state, stack, name) for name in members):
            identity = OURS
        elif owner.pid in {who.pid for who in look.strays(state, stack)}:
            identity = STALE
    return Holder(service, port, identity, owner, lingering)


def free(
    state: StateDirectory,
    services: Sequence[Service],
    settings: Settings,
    *,
    port: int | None,
    take_port: bool,
    tell: Callable[[str], None],
    deadline_s: float,
) -> Freed:
    """End who holds a port of the stack, or all of them: ours and stale ones, strangers only if they may be taken.

    Args:
        port: the one to free, also one that no service of the stack has; all of the stack's when None
        take_port: end strangers of the same user, too

    Raises:
        HarnessError: PORT_TAKEN (exit 5) where a stranger is left; WILL_NOT_END
    """
    strangers: list[Holder] = []
    with state.lock(clock.Deadline(deadline_s)):
        work = _Release(state, state.read(), settings.values.stack.grace_s, tell)
        known = _ports(work.stack, services, settings)
        by_port = {number: name for name, number in known.items()}
        chosen = [port] if port is not None else list(known.values())
        for number in chosen:
            found = look_at(state, work.stack, by_port.get(number), number)
            if found.identity == STRANGER and not take_port:
                strangers.append(found)
            elif found.identity == STRANGER:
                work.ended += [(pid, number) for pid in ports.take([number], work.grace_s, tell)]
            elif found.identity != FREE:
                work.release(found)
    if strangers:
        left = "; ".join(f"port {each.port} by {each.owner}" for each in strangers)
        raise HarnessError(
            "PORT_TAKEN",
            f"held by strangers, who were left alone: {left}",
            fix="harness ports free --take-port ends those of your own",
            exit_code=Exit.CONFLICT,
        )
    return Freed(tuple(work.ended), tuple(work.services), tuple(chosen))


@dataclass(slots=True)
class _Release:
    """What `free` knows and changes while it goes from port to port."""

    state: StateDirectory
    stack: Stack | None
    grace_s: float
    tell: Callable[[str], None]
    ended: list[tuple[int, int]] = field(default_factory=list)
    services: list[str] = field(default_factory=list)

    def release(self, found: Holder) -> None:
        """End a process of this stack with all that belongs to it, and take it out of what is written down."""
        pid = found.owner.pid if found.owner else None
        if pid is None:
            return
        self.tell(f"ending {found.owner}, who holds port {found.port}")
        self.ended.append((pid, found.port))
        name = next((n for n in self._members() if pid in _pids(self.state, self.stack, n)), None)
        if name is not None and self.stack is not None:
            end_service(self.state, self.stack, name, self.grace_s)
            self.services.append(name)
            left = {each: member for each, member in self.stack.members.items() if each != name}
            self.stack = self.stack.model_copy(update={"members": left})
            if left:
                self.state.write(self.stack)
            else:
                self.state.forget()
        elif hard := processes.end(lambda: look.strays(self.state, self.stack), self.grace_s):
            raise HarnessError(
                "WILL_NOT_END",
                f"pid {sorted(who.pid for who in hard)} lives on after SIGKILL",
                fix="it hangs in the kernel; run this again later",
            )

    def _members(self) -> tuple[str, ...]:
        return tuple(self.stack.members) if self.stack else ()


def _ports(stack: Stack | None, services: Sequence[Service], settings: Settings) -> dict[str, int]:
    here = [service for service in services if not service.elsewhere(settings)]
    if stack is None and settings.chooses_ports:
        # Whoever holds the usual ports may be another stack, and is in nobody's way.
        here = [service for service in here if service.port_setting in settings.explicit]
    found = {service.name: service.port(settings) for service in here}
    return found | ({name: member.port for name, member in stack.members.items()} if stack else {})


def _pids(state: StateDirectory, stack: Stack | None, name: str) -> set[int]:
    return {who.pid for who in processes.members_of(state, stack, name)}


def _owner(owner: Owner) -> dict[str, Any]:
    return {
        "pid": owner.pid,
        "command": owner.command,
        "user": owner.user,
        "since": owner.since.isoformat() if owner.since else None,
        "directory": owner.directory,
        "state_dir": owner.state_dir,
    }
