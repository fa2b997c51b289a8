"""Take a stack down: what it started, all of it, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness import clock, faultpoints
from harness.errors import HarnessError
from harness.progress import Progress
from harness.stack import look, ports, processes
from harness.stack.identity import Identity
from harness.stack.plan import in_order
from harness.stack.services import Service
from harness.stack.state import Stack, StateDirectory

PORT_WAIT_S = 3.0
SWITCH = "nginx-switch"
"""Where in the state directory a switch of the system's nginx keeps what it needs for its undo."""


@dataclass(frozen=True, slots=True)
class Downed:
    """What was taken down.

    ended: names of services, in the order in which they were ended
    strays: how many processes were found by their environment alone
    ports: proved free
    restored: files of the system's nginx that are as they were before the switch
    """

    ended: tuple[str, ...]
    strays: int
    ports: tuple[int, ...]
    restored: tuple[str, ...] = ()


def down(
    state: StateDirectory,
    services: Sequence[Service],
    *,
    grace_s: float,
    deadline_s: float,
    ask: bool = False,
    progress: Progress,
) -> Downed:
    """End every process of the stack, prove that its ports are free, and undo what a switch of nginx has changed.

    Args:
        ask: whether somebody may be asked on the terminal, where the undo needs root

    Raises:
        HarnessError: NOT_RUNNING (exit 7), WILL_NOT_END, PORT_TAKEN (exit 5) when somebody else took a port meanwhile;
            exit 8 where everything has ended and the undo is left to do
    """
    with state.lock(clock.Deadline(deadline_s)):
        faultpoints.reach("down.locked")
        stack = state.read()
        if stack is None and not look.strays(state, None):
            state.forget()
            downed = None
        else:
            downed = take_down(state, stack, services, grace_s=grace_s, progress=progress)
        # Within the lock, so that nobody brings a stack up whose site is being led away.
        restored = _restore(state, ask=ask)
    if downed is None and not restored:
        raise look.nothing_runs()
    return replace(downed or Downed((), 0, ()), restored=restored)


def _restore(state: StateDirectory, *, ask: bool) -> tuple[str, ...]:
    if not (state.path / SWITCH).is_dir():
        return ()
    from harness.nginx.transaction import restore_for_down

    done = restore_for_down(state.path, ask=ask)
    return tuple(str(file) for file in done.files) if done.deed == "restored" else ()


def take_down(
    state: StateDirectory, stack: Stack | None, services: Sequence[Service], *, grace_s: float, progress: Progress
) -> Downed:
    """The same for a caller who holds the lock."""
    recorded = stack.members if stack else {}
    known = in_order(services)
    order = [*reversed([name for name in known if name in recorded]), *(name for name in recorded if name not in known)]
    for name in order:
        progress.stage(name, "ending")
        end_service(state, stack, name, grace_s)
        faultpoints.reach("down.ended")
        progress.done(name, "ended")
    lost = look.strays(state, stack)
    if lost:
        _all_gone(processes.end(lambda: look.strays(state, stack), grace_s), "the stack")
    if stack is not None:
        setting = {service.name: service.port_setting for service in services}
        ports.require_free(
            {name: member.port for name, member in recorded.items()},
            {name: setting.get(name, "the port") for name in recorded},
            PORT_WAIT_S,
        )
    faultpoints.reach("down.freed")
    state.forget()
    faultpoints.reach("down.forgotten")
    return Downed(tuple(order), len(lost), tuple(member.port for member in recorded.values()))


def end_service(state: StateDirectory, stack: Stack | None, name: str, grace_s: float) -> None:
    """End all that lives of one service.

    Raises:
        HarnessError: WILL_NOT_END
    """
    _all_gone(processes.end(lambda: processes.members_of(state, stack, name), grace_s), name)


def _all_gone(left: set[Identity], what: str) -> None:
    if left:
        pids = ", ".join(str(who.pid) for who in sorted(left, key=lambda who: who.pid))
        raise HarnessError(
            "WILL_NOT_END",
            f"{what} does not end: pid {pids} lives on after SIGKILL",
            fix="it hangs in the kernel (a disk or network file system?); run harness down again later",
        )
