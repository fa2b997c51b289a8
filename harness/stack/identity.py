"""Who a process is: pid, start time, machine start and command; a run id in its environment is further evidence.

A pid alone says nothing: it is given to somebody else once its owner is gone. All this reads /proc, and changes
nothing.
"""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

RUN_ID, STATE_DIR, SERVICE = "HARNESS_RUN_ID", "HARNESS_STATE_DIR", "HARNESS_SERVICE"
PROC = Path("/proc")
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from every other that will ever have its pid.

    started_ticks: its start, in clock ticks since the machine's start
    boot: the machine's start
    run_id: the stack that it was started for

    Two are equal when they are the same process: a command is what a program says of itself, and may change.
    """

    pid: int
    started_ticks: int
    boot: str
    command: tuple[str, ...] = field(compare=False)
    run_id: str = field(compare=False)

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        stat = read_stat(self.pid)
        if stat is None or stat.state in "ZX" or stat.started_ticks != self.started_ticks or self.boot != boot_id():
            return False
        now = read_command(self.pid)
        # Programs such as npm and nginx rewrite their command, and some of them keep the environment.
        return now == self.command or read_environment(self.pid).get(RUN_ID) == self.run_id or self._is_our_nginx(now)

    def is_halted(self) -> bool:
        """Whether this very process lives and is kept from running: by SIGSTOP, or by Ctrl-Z in its terminal."""
        stat = read_stat(self.pid)
        return stat is not None and stat.state == "T" and self.is_alive()

    def _is_our_nginx(self, now: tuple[str, ...]) -> bool:
        if not now or "nginx" not in now[0]:
            return False
        from harness.nginx.private import prefix_of

        # nginx overwrites its environment with its title; what stays is the directory that it was given.
        return (prefix := prefix_of(now)) is not None and prefix == prefix_of(self.command)


@dataclass(frozen=True, slots=True)
class Stat:
    """What the kernel says of a process at one moment."""

    pid: int
    state: str
    parent: int
    session: int
    started_ticks: int


@functools.cache
def boot_id() -> str:
    """The kernel's name for this start of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def read_stat(pid: int) -> Stat | None:
    """The process's line in /proc, or None when there is no such process."""
    text = _content(pid, "stat").decode(errors="replace")
    if not text:
        return None
    # The command stands in brackets and may itself hold brackets and blanks.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def read_command(pid: int) -> tuple[str, ...]:
    """The process's command line; empty when it is gone or not ours to read."""
    return tuple(_read_list(pid, "cmdline"))


def read_environment(pid: int) -> dict[str, str]:
    """The environment that the process was started with; empty when it is gone or not ours to read."""
    return dict(entry.split("=", 1) for entry in _read_list(pid, "environ") if "=" in entry)


def identify(pid: int, run_id: str) -> Identity | None:
    """The identity of a running process, or None when it has ended."""
    stat = read_stat(pid)
    if stat is None or stat.state in "ZX":
        return None
    return Identity(pid, stat.started_ticks, boot_id(), read_command(pid), run_id)


def processes() -> Iterator[Stat]:
    """Every process that runs now."""
    with os.scandir(PROC) as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdecimal()]
    for pid in pids:
        if (stat := read_stat(pid)) is not None and stat.state not in "ZX":
            yield stat


def ancestors(pid: int) -> set[int]:
    """The pid itself and everything above it."""
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        stat = read_stat(pid)
        pid = stat.parent if stat else 0
    return found


def _read_list(pid: int, name: str) -> list[str]:
    parts = _content(pid, name).decode(errors="surrogateescape").split("\0")
    return parts[:-1] if parts[-1] == "" else parts


def _content(pid: int, name: str) -> bytes:
    """A file of a process; empty when it is gone or not ours to read."""
    try:
        # Read for every process of the machine at every look: a Path costs as much as the kernel's answer.
        handle = os.open(f"{PROC}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
    try:
        return b"".join(iter(lambda: os.read(handle, _PIECE), b""))
    except (ProcessLookupError, PermissionError):
        return b""
    finally:
        os.close(handle)
