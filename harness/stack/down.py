"""Take a stack down: what it started, all of it, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness import clock
from harness.errors import Exit, HarnessError
from harness.progress import Progress
from harness.stack import look, ports, processes
from harness.stack.identity import Identity
from harness.stack.plan import in_order
from harness.stack.services import Service
from harness.stack.state import Stack, StateDirectory

PORT_WAIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Downed:
    """What was taken down.

    ended: names of services, in the order in which they were ended
    strays: how many processes were found by their environment alone
    ports: proved free
    """

    ended: tuple[str, ...]
    strays: int
    ports: tuple[int, ...]


def down(
    state: StateDirectory, services: Sequence[Service], *, grace_s: float, deadline_s: float, progress: Progress
) -> Downed:
    """End every process of the stack and prove that its ports are free.

    Raises:
        HarnessError: NOT_RUNNING (exit 7), WILL_NOT_END, PORT_TAKEN (exit 5) when somebody else took a port meanwhile
    """
    with state.lock(clock.Deadline(deadline_s)):
        stack = state.read()
        if stack is None and not look.strays(state, None):
            state.forget()
            raise HarnessError(
                "NOT_RUNNING", "nothing is running", fix="start it: harness up", exit_code=Exit.NOT_RUNNING
            )
        return take_down(state, stack, services, grace_s=grace_s, progress=progress)


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
    state.forget()
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
