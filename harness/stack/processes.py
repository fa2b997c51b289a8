"""Start, watch and end processes: the one place that does, and only to what `harness` started."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness import clock, faultpoints
from harness.errors import HarnessError
from harness.stack import front_door, identity
from harness.stack.identity import Identity
from harness.stack.state import Member, Record, Stack, StateDirectory, older

if TYPE_CHECKING:
    from psutil._ntuples import sconn

KEEPER = Path(__file__).with_name("keeper.py")
LOG_LIMIT_BYTES = 16 << 20
LOOK_EVERY_S = 5.0
POLL_S = 0.02
SPAWN_DEADLINE_S = 30.0
KILL_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True)
class Started:
    """A service and its keeper, just started."""

    process: Identity
    keeper: Identity


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a port, as far as it may be known.

    since: an instant in UTC
    state_dir: of the stack that started it, None where none did
    uid: the user's number
    """

    pid: int | None
    command: str
    user: str
    since: datetime | None
    directory: str
    state_dir: str | None
    uid: int | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return f"a process of {self.user} that may not be looked at"
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else "unknown"
        return f"pid {self.pid} ({self.command}) of {self.user}, since {since}, in {self.directory}"


def start(
    service: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    state: StateDirectory,
    run_id: str,
    *,
    directory: Path | None = None,
) -> Started:
    """Start a service under its keeper, in a session of its own, its output in its log.

    Args:
        environment: everything that the service sees, but for the three variables that say whose it is
        directory: where it works, the state directory when None

    Raises:
        HarnessError: NOT_STARTED with the system's own words
    """
    record = state.record_path(service)
    record.unlink(missing_ok=True)
    marks = {identity.RUN_ID: run_id, identity.STATE_DIR: str(state.path), identity.SERVICE: service}
    log = state.new_log(service)
    try:
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(KEEPER), str(record), str(older(state.log(service)))),
                *(str(LOG_LIMIT_BYTES), str(LOOK_EVERY_S), *command),
            ],
            env={**environment, **marks},
            cwd=directory or state.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = clock.Deadline(SPAWN_DEADLINE_S)
    while True:
        parent, found = identity.identify(keeper.pid, run_id), state.record(service)
        if found is not None and found.pid is not None:
            process = identity.identify(found.pid, run_id)
            if found.ended_at is not None or process is None:
                # Gone already; whoever waits for it will tell how it ended.
                process = Identity(found.pid, 0, identity.boot_id(), tuple(command), run_id)
            # In the middle of its exec a process has no command yet, and would later be taken for another one.
            if process.command:
                _let_go(keeper)
                return Started(process, parent or Identity(keeper.pid, 0, identity.boot_id(), (), run_id))
        elif (found is not None and found.error is not None) or keeper.poll() is not None or deadline.passed():
            raise HarnessError(
                "NOT_STARTED",
                f"{service} could not be started: {how_it_ended(found) if found else 'its keeper did not answer'}",
                fix=f"see {state.log(service)}",
                log=tuple(state.log(service).read_text(errors="replace").splitlines()[-10:]),
            )
        clock.sleep(POLL_S / 2)


def run(
    service: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    state_dir: Path,
    run_id: str,
    *,
    directory: Path,
    tell: Callable[[str], None],
) -> int:
    """Run a program that a service needs to its end, handing out each line of what it writes.

    It belongs to the stack: whoever undoes the start ends it, and a later command finds it if this one is killed.

    Returns:
        its exit status; the negative number of the signal that ended it
    """
    marks = {identity.RUN_ID: run_id, identity.STATE_DIR: str(state_dir), identity.SERVICE: service}
    with subprocess.Popen(
        command,
        env={**environment, **marks},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        for line in process.stdout or ():
            tell(line.rstrip("\n"))
    return process.returncode


def how_it_ended(record: Record) -> str:
    """`exit status 3 at 2025-06-30 10:00:00 UTC`, or the signal's name, or why it never ran."""
    if record.error is not None:
        return record.error
    how = f"signal {record.signal}" if record.signal else f"exit status {record.exit_status}"
    if record.ended_at is None:
        return "still running"
    return f"{how} at {datetime.fromtimestamp(record.ended_at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def marked(state: StateDirectory) -> dict[Identity, str]:
    """Every process that belongs to this directory's stack, by its environment, with the service it is part of.

    Not the caller nor what is above it: a shell may have been given the same environment.
    """
    found: dict[Identity, str] = {}
    own = identity.ancestors(os.getpid())
    for stat in identity.processes():
        environment = identity.read_environment(stat.pid) if stat.pid not in own else {}
        run_id = environment.get(identity.RUN_ID)
        if run_id and environment.get(identity.STATE_DIR) == str(state.path):
            who = identity.identify(stat.pid, run_id)
            if who is not None:
                found[who] = environment.get(identity.SERVICE, "")
    for pid in front_door.pids(state.path) - own:
        if (who := identity.identify(pid, "")) is not None and who not in found:
            found[who] = "nginx"
    return found


def tree(roots: Collection[Identity]) -> set[Identity]:
    """The living among these processes, all that they started, and all that share a session which one of them leads."""
    living = {root.pid: root for root in roots if root.is_alive()}
    if not living:
        return set()
    run_id = next(iter(living.values())).run_id
    stats = list(identity.processes())
    pids = set(living)
    while True:
        more = {stat.pid for stat in stats if stat.parent in pids or stat.session in living} - pids
        if not more:
            break
        pids |= more
    own = identity.ancestors(os.getpid())
    found = (identity.identify(pid, run_id) for pid in pids - own - set(living))
    return {*living.values(), *(who for who in found if who is not None)}


def members_of(state: StateDirectory, stack: Stack | None, service: str) -> set[Identity]:
    """Everything that lives of one service: what was recorded, its tree, and what its environment gives away."""
    member = stack.members.get(service) if stack else None
    recorded = {member.process, member.keeper} if member else set()
    return tree(recorded | {who for who, of in marked(state).items() if of == service})


def end(look: Callable[[], set[Identity]], grace_s: float) -> set[Identity]:
    """End all that a look finds: SIGTERM once each, after the grace period SIGKILL; look again until nothing is left.

    Keepers are not asked to end: they do by themselves, once they have written down how their service ended.

    Returns:
        what would not end, which is empty but for processes that the kernel holds.
    """
    asked: set[Identity] = set()
    gone_by, killed_by = clock.Deadline(grace_s), clock.Deadline(grace_s + KILL_DEADLINE_S)
    while living := look():
        if killed_by.passed():
            return living
        if gone_by.passed():
            for who in living:
                send(who, signal.SIGKILL)
        else:
            for who in living - asked:
                if not _is_keeper(who):
                    send(who, signal.SIGTERM)
                # One that is halted could neither end in order nor write down how its service did.
                let_go_on(who)
            asked |= living
            faultpoints.reach("down.signalled")
        clock.sleep(POLL_S)
    for who in asked:
        # Only what this very command started is its child; the rest is waited for by its own parent.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(who.pid, os.WNOHANG)
    return set()


def halted(member: Member) -> set[Identity]:
    """What of a service is kept from running (SIGSTOP, Ctrl-Z): itself, its keeper, or something that they started."""
    return {who for who in tree({member.process, member.keeper}) if who.is_halted()}


def let_go_on(who: Identity) -> None:
    """Have a halted process go on from where it is."""
    send(who, signal.SIGCONT)


def send(who: Identity, number: signal.Signals) -> None:
    """Signal exactly this process, whatever happens to its pid in the meantime."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(who.pid)
        try:
            if who.is_alive():
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def kill_this_one() -> NoReturn:
    """End this very process at once, with nothing tidied up."""
    signal.raise_signal(signal.SIGKILL)
    raise AssertionError("SIGKILL was survived")


def is_up(member: Member) -> bool:
    """Whether the service's own process lives; its keeper may be gone."""
    return member.process.is_alive()


def owner(port: int) -> Owner | None:
    """Who holds a TCP port on this machine, or None when nobody does."""
    return next(iter(owners(port)), None)


def owners(port: int) -> tuple[Owner, ...]:
    """Everybody who holds a TCP port of this machine, who listens on it first; not those in TIME_WAIT, who are gone."""
    held = [connection for connection in _connections(port) if connection.status != "TIME_WAIT"]
    held.sort(key=lambda connection: connection.status != "LISTEN")
    pids = list(dict.fromkeys(connection.pid for connection in held if connection.pid))
    if held and not pids:
        return (Owner(None, "", "another user", None, "", None, None),)
    return tuple(found for pid in pids if (found := _owner(pid)) is not None)


def lingering(port: int) -> int:
    """How many ended connections of a port the kernel still remembers (TIME_WAIT): nobody holds it through them."""
    return sum(connection.status == "TIME_WAIT" for connection in _connections(port))


def holding(port: int) -> set[Identity]:
    """The processes that hold a port, to be ended; never this one or what is above it."""
    pids = {connection.pid for connection in _connections(port) if connection.pid and connection.status == "LISTEN"}
    found = (identity.identify(pid, "") for pid in pids - identity.ancestors(os.getpid()))
    return {who for who in found if who is not None}


def _connections(port: int) -> "list[sconn]":
    import psutil

    return [each for each in psutil.net_connections("tcp") if each.laddr and each.laddr.port == port]


def _owner(pid: int) -> Owner | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            command, user = " ".join(process.cmdline()).strip() or process.name(), process.username()
            uid, since = process.uids().real, datetime.fromtimestamp(process.create_time(), UTC)
    except psutil.NoSuchProcess:
        return None
    try:
        directory = process.cwd()
    except psutil.Error:
        directory = "an unknown directory"
    environment = identity.read_environment(pid)
    # A state directory alone may come from the shell that a stranger was started in; a run id comes from `harness`.
    state_dir = environment.get(identity.STATE_DIR) if identity.RUN_ID in environment else None
    state_dir = state_dir or front_door.state_dir_of(pid)
    return Owner(pid, command, user, since, directory, state_dir, uid)


@contextlib.contextmanager
def ending_by_signal() -> Iterator[None]:
    """Have SIGTERM and a terminal that goes away (SIGHUP) end what is under way as Ctrl-C does: in an orderly manner.

    A SIGHUP that the caller ignores, as `nohup` does, stays ignored.
    """
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _is_keeper(who: Identity) -> bool:
    return str(KEEPER) in who.command[:5]


def _let_go(keeper: subprocess.Popen[bytes]) -> None:
    # The keeper outlives this command on purpose; Popen would warn of a child that nobody waited for.
    keeper.returncode = 0
