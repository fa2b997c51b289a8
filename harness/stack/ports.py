"""Whether a port can be had, found out by trying to have it."""

import errno
import socket
from collections.abc import Mapping

from harness import clock
from harness.errors import Exit, HarnessError
from harness.stack import processes
from harness.stack.services import HOST

POLL_S = 0.05


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


def _taken(service: str, port: int, setting: str) -> HarnessError:
    holder = processes.owner(port)
    who = str(holder) if holder else "a process that is already gone"
    fix = f"end it (it was left alone), or set another port: {setting} in harness.toml"
    if holder and holder.state_dir:
        fix = f"it belongs to another stack; end that one: HARNESS_STATE_DIR={holder.state_dir} harness down"
    return HarnessError("PORT_TAKEN", f"port {port} of {service} is held by {who}", fix=fix, exit_code=Exit.CONFLICT)
