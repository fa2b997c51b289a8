"""A network of one's own with nothing in it but the loopback interface, for this process and all that it starts.

Where the machine allows it, whatever tries to leave meets a kernel that has no way out and counts. Where it does not,
guards stop and count: one in this process, one in each server and emulator and in each program that these start in
Python, one in the copilot's client. What a library does below Python or Node is seen by the kernel alone.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.cassettes.guard import Guard

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x1, 0x8913, 0x8914
COUNTERS = (("/proc/net/snmp", "Ip"), ("/proc/net/snmp6", "Ip6OutNoRoutes"))


@dataclass(frozen=True, slots=True)
class Isolation:
    """How this run is kept from the network.

    alone: whether there is no network at all
    said: the same in words
    guard: this process's own
    """

    alone: bool
    said: str
    guard: Guard = field(default_factory=Guard, compare=False)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Nothing in this process leaves the machine for as long as this lasts."""
        self.guard.on = True
        try:
            yield
        finally:
            self.guard.on = False

    def attempts(self) -> list[str]:
        """Where this process tried to go, and what the kernel has counted: packets that had no way to go."""
        found = list(self.guard.attempts)
        if self.alone and (counted := unroutable()):
            found.append(f"the kernel turned away {counted} packets that were meant for other machines")
        return found


def enter() -> Isolation:
    """Move this process into a network of its own, for good; to be called before anything is started."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return guarded(os.strerror(ctypes.get_errno()))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _raise_loopback()
    return Isolation(alone=True, said="a namespace of its own with the loopback interface alone")


def guarded(why: str) -> Isolation:
    """As it is where no namespace is to be had."""
    return Isolation(alone=False, said=f"guards in Python and Node, without a namespace: {why}")


def unroutable() -> int:
    """How many packets the kernel had no route for, since this network is there."""
    found = 0
    for file, name in COUNTERS:
        try:
            lines = [line.split() for line in Path(file).read_text(encoding="ascii").splitlines()]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        if name == "Ip":
            names, values = (line for line in lines if line[0] == "Ip:")
            found += int(values[names.index("OutNoRoutes")])
        else:
            found += sum(int(line[1]) for line in lines if line[0] == name)
    return found


def _raise_loopback() -> None:
    """As `ip link set lo up`, which not every machine has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        flags = struct.unpack_from("16sh", fcntl.ioctl(asking, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0)))[1]
        fcntl.ioctl(asking, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
