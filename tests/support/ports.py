"""Ports that nobody listens on."""

import random
import socket

_CHOICE = random.SystemRandom()


def free_port() -> int:
    """A free port below those that the kernel hands out itself, so that no client takes it meanwhile."""
    while True:
        port = _CHOICE.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
