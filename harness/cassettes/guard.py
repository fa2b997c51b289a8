"""Whoever tries to leave this machine while tapes are played is stopped, and counted."""

import ipaddress
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

_LOCAL_NAMES = ("localhost", "ip6-localhost", "")
_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


class LeftError(OSError):
    """Something in this process tried to leave the machine."""


class Guard:
    """Stops every connection of this process but those to the machine itself.

    An audit hook sees what any library does, and cannot be taken away; a guard that is off lets pass.

    Args:
        tell: told each attempt as it is stopped, one at a time

    on: whether it stops anything
    attempts: where to, one entry for each attempt
    """

    def __init__(self, tell: Callable[[str], object] = lambda _: None) -> None:
        self._tell = tell
        self.on = False
        self.attempts: list[str] = []
        self._lock = threading.Lock()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or not event.startswith("socket."):
            return
        where = None
        if event in _CONNECTS:
            where = _elsewhere(arguments[0], arguments[1])
        elif event in _LOOKUPS:
            where = _foreign(arguments[0])
        if where is not None:
            with self._lock:
                self.attempts.append(where)
                self._tell(where)
            raise LeftError(f"a replay asks nobody outside of this machine, and this was about to ask {where}")


def _elsewhere(asking: Any, address: Any) -> str | None:
    if getattr(asking, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return None
    if not isinstance(address, tuple) or not address:
        return None  # one that is connected already was looked at when it was
    found = _foreign(address[0])
    return None if found is None else f"{found}:{address[1]}"


def _foreign(host: Any) -> str | None:
    name = host.decode("utf-8", "replace") if isinstance(host, bytes | bytearray) else host
    if name is None or name in _LOCAL_NAMES:
        return None
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return str(name)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return None if mapped.is_loopback or mapped.is_unspecified else str(name)
