"""What surrounds a stack: the shell's variables, the state directory, the disk, the ports."""

import contextlib
import os
import shutil
import stat
import sys
from pathlib import Path

import pydantic

from harness import clock
from harness.doctor import fixes
from harness.doctor.check import Finding, bad, doubtful, good, unused
from harness.doctor.sight import Sight
from harness.stack import look, ports, processes
from harness.stack.identity import Identity
from harness.stack.plan import Condition
from harness.stack.service import misleading
from harness.stack.state import Stack

LEAST_BYTES, SCARCE_BYTES = 200 << 20, 1 << 30
SETTLE_S = 1.0


def virtual_environment(sight: Sight) -> Finding:
    """Whether VIRTUAL_ENV names the environment that this program runs in."""
    named = sight.settings.environment.get("VIRTUAL_ENV")
    if not named:
        return good("no virtual environment is activated")
    if Path(named).resolve() == Path(sys.prefix).resolve():
        return good(f"{named} is activated, and it is the one that runs here")
    return doubtful(
        "OTHER_ENVIRONMENT",
        f"VIRTUAL_ENV is {named}, and harness runs in {sys.prefix}: mp and python of this shell are other ones",
        "unset VIRTUAL_ENV, or deactivate; the services are started without it",
    )


def python_variables(sight: Sight) -> Finding:
    """Whether variables are set that change which packages Python and uv take."""
    found = {name: why for name, why in misleading(sight.settings.environment).items() if name != "VIRTUAL_ENV"}
    if not found:
        return good("none of PYTHONPATH, PYTHONHOME and UV_* is set")
    return doubtful(
        "MISLEADING",
        "; ".join(f"{name} {why}" for name, why in found.items()),
        f"unset {' '.join(found)}; the services are started without them",
        variables=sorted(found),
    )


def state_directory(sight: Sight) -> Finding:
    """Whether the state directory is a directory of the caller's alone that can be written to."""
    path = sight.state.path
    try:
        found = path.lstat()
    except FileNotFoundError:
        parent = next(parent for parent in path.parents if parent.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return good(f"{path} is not there yet and can be made")
        return bad(
            "NOT_WRITABLE", f"{path} cannot be made in {parent}", "set HARNESS_STATE_DIR to a directory of yours"
        )
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a directory of yours"
        return bad("UNSAFE", f"{path} is {what}", "remove it, or set HARNESS_STATE_DIR to a directory of your own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):o}"
        return bad("OPEN", f"others may look into {path}: its mode is {mode}", fixes.private(path), mode=mode)
    if not os.access(path, os.W_OK | os.X_OK):
        return bad("NOT_WRITABLE", f"{path} cannot be written to", f"chmod u+rwx {path}")
    return good(f"{path} is yours alone")


def state_file(sight: Sight) -> Finding:
    """Whether what is written down of the stack can be read."""
    path = sight.state.path / "stack.json"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return good("nothing is written down: no stack was started")
    try:
        stack = Stack.model_validate_json(text)
    except pydantic.ValidationError as error:
        what = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        return bad("DAMAGED", f"{path} cannot be read: {what}", fixes.forget(sight))
    return good(f"run {stack.run_id}, started {stack.started_at[:19].replace('T', ' ')} UTC", run_id=stack.run_id)


def strays(sight: Sight) -> Finding:
    """Whether processes of this stack live that nothing written down tells of."""
    deadline = clock.Deadline(SETTLE_S)
    while True:
        # A service that has just been started is on its way into the state.
        lost = look.strays(sight.state, sight.state.read())
        if not lost:
            return good("every process of this stack is written down")
        if deadline.passed():
            break
        clock.sleep(0.1)
    marks = processes.marked(sight.state)
    of = {marks.get(who, "") for who in lost}
    dead = {name for name in of if (member := sight.member(name)) and look.condition(member) is Condition.DIED}
    # What a dead service left behind is told by the service.
    blames = tuple(f"{name}.process" for name in sorted(dead)) if of == dead else ()
    told = "; ".join(f"pid {who.pid} ({' '.join(who.command)[:60]})" for who in sorted(lost, key=lambda who: who.pid))
    return doubtful(
        "LEFT_BEHIND", f"left behind by this stack: {told}", fixes.end_strays(sight), blames=blames, pids=_pids(lost)
    )


def disk(sight: Sight) -> Finding:
    """Room where the stack writes: its state and local tables, and the data sets."""
    places = {"the state": sight.state.path, "the data sets": sight.settings.values.emulator.cache_dir}
    found = {}
    for what, place in places.items():
        if place is None:
            continue
        there = next(path for path in (place, *place.parents) if path.exists())
        found[what] = (there, shutil.disk_usage(there).free)
    what, (there, free) = min(found.items(), key=lambda row: row[1][1])
    told = f"{free / (1 << 30):.1f} GiB are free at {there}, where {what} {'are' if what.endswith('s') else 'is'} kept"
    fix = "make room there, or move it: HARNESS_STATE_DIR, HARNESS_EMULATOR_CACHE_DIR"
    if free < LEAST_BYTES:
        return bad("FULL", told, fix, free_bytes=free)
    if free < SCARCE_BYTES:
        return doubtful("SCARCE", told, fix, free_bytes=free)
    return good(told, free_bytes=free)


def ports_free(sight: Sight) -> Finding:
    """Whether every service has its port, or could have it."""
    told, taken = [], []
    for service in sight.services:
        member = sight.member(service.name)
        if service.elsewhere(sight.settings) or (member is None and sight.settings.chooses_ports):
            continue
        number = sight.port(service.name)
        stranger = _stranger(sight, service.name, number)
        if stranger is None:
            told.append(f"{service.name} {number}")
        else:
            taken.append((service, number, stranger))
    if not taken:
        return good(f"free, or ours: {', '.join(told)}" if told else "up chooses free ports")
    what = "; ".join(f"port {number} of {service.name} is held by {holder}" for service, number, holder in taken)
    other = next((holder.state_dir for _, _, holder in taken if holder.state_dir), None)
    if other is not None:
        fix = f"it belongs to another stack; end that one: HARNESS_STATE_DIR={other} harness down"
    else:
        names = " or ".join(service.port_setting for service, _, _ in taken)
        fix = f"end it: harness up --take-port; or set another port: {names} in harness.toml"
    return bad(
        "TAKEN", what, fix, ports=[number for _, number, _ in taken], pids=[holder.pid for _, _, holder in taken]
    )


def _stranger(sight: Sight, name: str, number: int) -> processes.Owner | None:
    """Who holds a port and is not this stack's own service; None where nobody does any more, as in TIME_WAIT."""
    member = sight.member(name)
    if member is not None and processes.is_up(member) and _listens(member.process.pid, number):
        return None
    deadline = clock.Deadline(SETTLE_S)
    while not ports.is_free(number):
        holder = processes.owner(number)
        # What a killed process listened on is closed a moment after its end, and is nobody's until then.
        if holder is None or (holder.pid is None and not deadline.passed()):
            clock.sleep(0.05)
            continue
        own = {who.pid for who in processes.members_of(sight.state, sight.stack, name)}
        return None if holder.pid in own else holder
    return None


def _listens(pid: int, port: int) -> bool:
    """Whether this very process listens on a port: to look at all processes of the machine takes a while."""
    sockets = set()
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        # Address and port in hexadecimal, the state LISTEN, the socket's number.
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == "0A":
            sockets.add(f"socket:[{fields[9]}]")
    with contextlib.suppress(OSError):
        return any(str(each.readlink()) in sockets for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def process(sight: Sight, *, name: str) -> Finding:
    """Whether a service that was started lives, and nothing keeps it from running."""
    service, member = sight.service(name), sight.member(name)
    if service is not None and (url := service.elsewhere(sight.settings)):
        return good(f"somebody else runs it, at {url}: asked, never started")
    if service is None or member is None:
        return unused(sight.why_not(name))
    found = look.condition(member)
    if found is Condition.DIED:
        how = look.how_it_died(sight.state, name, member)
        # Where somebody else has its port by now, that is the root.
        blames = () if _stranger(sight, name, member.port) is None else ("ports.free",)
        return bad("DIED", f"{name} died: {how}", fixes.start(sight, name), blames=blames, pid=member.process.pid)
    if halted := look.how_it_is_halted(member):
        return bad("HALTED", f"{name} does nothing: {halted}", fixes.go_on(member), pid=member.process.pid)
    if found is Condition.STARTING:
        return doubtful("STARTING", f"{name} lives and has not answered yet", f"wait for it, or: harness up {name}")
    return good(f"pid {member.process.pid}, ready after {member.ready_s} s", pid=member.process.pid)


def _pids(found: set[Identity]) -> list[int]:
    return sorted(who.pid for who in found)
