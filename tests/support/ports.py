"""Ports that nobody listens on, and that no other test is given meanwhile."""

import os
import random
import socket
from collections import deque

_CHOICE = random.SystemRandom()
_MOST_HELD = 100

_held: deque[int] = deque()


def free_port() -> int:
    """A free port below those that the kernel hands out itself, so that no client takes it meanwhile.

    Nor is it given to another test, of this run or of one beside it, before this process has asked for a hundred more:
    so long is the UDP port of that number held, by a bare descriptor that ends with the process.
    """
    while True:
        port = _CHOICE.randrange(15_000, 32_000)
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _held.append(claim.detach())
        if len(_held) > _MOST_HELD:
            os.close(_held.popleft())
        return port
