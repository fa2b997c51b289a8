"""Whether a port can be had, found out by trying to have it; free ones for a stack that chooses its own."""

import errno
import os
import random
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from harness import clock
from harness.errors import Exit, HarnessError
from harness.settings import Settings
from harness.stack import processes
from harness.stack.service import HOST, Service

POLL_S = 0.05
CHOICE = (15_000, 32_000)
"""Below what the kernel hands out for a connection's own end."""
TRIES = 500


def is_free(port: int) -> bool:
    """Whether a server could listen here now.

    SO_REUSEADDR, as servers set it: a connection that lingers in TIME_WAIT is nobody's; a listener still refuses.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise HarnessError(
                    "PORT_NOT_ALLOWED",
                    f"port {port} is not yours to listen on",
                    fix="set a port above 1023",
                    exit_code=Exit.USAGE,
                ) from None
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def require_free(ports: Mapping[str, int], settings: Mapping[str, str], wait_s: float = 0.0) -> None:
    """Refuse to go on unless every port can be had.

    Args:
        ports: service → port
        settings: service → the setting that holds its port
        wait_s: how long to wait for ports whose owner has just ended

    Raises:
        HarnessError: PORT_TAKEN (exit 5) naming who holds it
    """
    deadline = clock.Deadline(wait_s)
    for service, port in ports.items():
        while not is_free(port):
            if deadline.passed():
                raise _taken(service, port, settings[service])
            clock.sleep(POLL_S)


def take(ports: Iterable[int], grace_s: float, tell: Callable[[str], None]) -> tuple[int, ...]:
    """End whoever holds these ports, after saying so; only processes of the same user.

    Returns:
        the pids that were ended

    Raises:
        HarnessError: PORT_TAKEN (exit 5) where a holder is somebody else's; WILL_NOT_END
    """
    ended: list[int] = []
    for port in ports:
        if is_free(port):
            continue
        holders = processes.owners(port)
        for holder in holders:
            if holder.pid is None or holder.uid != os.getuid():
                raise HarnessError(
                    "PORT_TAKEN",
                    f"port {port} is held by {holder}, who is not you: it was left alone",
                    fix="have them end it, or set another port",
                    exit_code=Exit.CONFLICT,
                )
            tell(f"ending {holder}, who holds port {port}")
        if processes.end(lambda port=port: processes.holding(port), grace_s) or not _freed(port):  # type: ignore[misc]  # bound early
            raise HarnessError(
                "WILL_NOT_END",
                f"port {port} is still held: {processes.owner(port)}",
                fix="something starts it again, or it is above this very command: end that",
                exit_code=Exit.CONFLICT,
            )
        ended += [holder.pid for holder in holders if holder.pid is not None]
    return tuple(ended)


class Claims:
    """Ports that this command has chosen, so that no other one chooses them meanwhile.

    A claim is a name in the kernel that only one process can have and that goes with its owner, however that ends.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._held:
            held.close()

    def port(self, but: Collection[int], rather: int | None = None) -> int:
        """A free port that is none of `but` and nobody else's choice, the preferred one if it can be had.

        Raises:
            HarnessError: NO_PORT (exit 5) when none was found
        """
        random_ports = (random.SystemRandom().randrange(*CHOICE) for _ in range(TRIES))
        for port in [*([rather] if rather else []), *random_ports]:
            if port not in but and self._claim(port):
                if is_free(port):
                    return port
                self._held.pop().close()
        raise HarnessError(
            "NO_PORT", f"no free port was found from {CHOICE[0]} on", fix="set the ports", exit_code=Exit.CONFLICT
        )

    def _claim(self, port: int) -> bool:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            held.bind(f"\0mixpanel-harness-port-{port}")
        except OSError:
            held.close()
            return False
        self._held.append(held)
        return True


def chosen(settings: Settings, services: Sequence[Service], before: Mapping[str, Any], claims: Claims) -> Settings:
    """The settings of a new stack with its ports chosen, if they leave them to choice.

    Args:
        before: the launch of the stack that this one takes the place of; its chosen ports are taken again
    """
    if not settings.chooses_ports:
        return settings
    found: dict[str, int] = {}
    taken = {service.port(settings) for service in services if service.port_setting in settings.explicit}
    for service in services:
        if service.port_setting not in settings.explicit:
            rather = before.get(service.port_setting) if before.get("stack.ports") == "auto" else None
            port = claims.port(taken, rather)
            taken.add(port)
            found[service.port_setting.partition(".")[0]] = port
    return settings.with_ports(found)


def _freed(port: int) -> bool:
    deadline = clock.Deadline(1.0)
    while not is_free(port):
        if deadline.passed():
            return False
        clock.sleep(POLL_S)
    return True


def _taken(service: str, port: int, setting: str) -> HarnessError:
    holder = processes.owner(port)
    who = str(holder) if holder else "a process that is already gone"
    fix = f"end it (it was left alone): harness up --take-port; or set another port: {setting} in harness.toml"
    if holder and holder.state_dir:
        fix = f"it belongs to another stack; end that one: HARNESS_STATE_DIR={holder.state_dir} harness down"
    elif holder and holder.uid != os.getuid():
        fix = f"it is not yours to end, and was left alone; set another port: {setting} in harness.toml"
    return HarnessError("PORT_TAKEN", f"port {port} of {service} is held by {who}", fix=fix, exit_code=Exit.CONFLICT)
