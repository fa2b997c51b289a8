"""Processes of nobody's stack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LISTEN = (
    "import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
    "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print(flush=True); input()"
)


@contextmanager
def stranger(port: int, *more: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that listens on a port until its standard input says otherwise; gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", LISTEN, str(port), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()
