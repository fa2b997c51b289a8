"""An HTTP server that falls silent: it takes requests, answers none, and notices who hangs up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer

DEADLINE_S = 60.0


class MuteServer:
    """What it saw.

    url: its base URL
    asked: requests that came, the answered ones among them
    hung_up: connections that were closed although a request on them was not answered
    connections: how many there have been
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = self.hung_up = self.connections = 0
        self._answers: list[bytes] = []
        self._lock = threading.Lock()

    def say(self, *bodies: bytes) -> None:
        """Answer the next requests with these, as JSON, before falling silent again."""
        with self._lock:
            self._answers.extend(bodies)

    def until(self, *, asked: int = 0, hung_up: int = 0) -> None:
        """Wait until so many have come and gone."""
        deadline = time.monotonic() + DEADLINE_S
        while self.asked < asked or self.hung_up < hung_up:
            assert time.monotonic() < deadline, f"{self.asked} asked and {self.hung_up} hung up"
            time.sleep(0.01)

    def hear(self, connection: socket.socket, lines: Iterator[bytes]) -> None:
        """One connection, to its end."""
        with self._lock:
            self.connections += 1
        for line in lines:
            if line.strip():
                continue
            with self._lock:
                self.asked += 1
                body = self._answers.pop(0) if self._answers else None
            if body is None:
                with suppress(ConnectionError):
                    next(lines, b"")
                with self._lock:
                    self.hung_up += 1
                return
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)


@contextmanager
def mute_server() -> Iterator[MuteServer]:
    """The server on a free port of the loopback interface, gone afterwards with all its connections."""
    connections: list[socket.socket] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            connections.append(self.connection)
            with suppress(ConnectionError):
                mute.hear(self.connection, iter(self.rfile.readline, b""))

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        mute = MuteServer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield mute
        finally:
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            server.shutdown()
            thread.join()
