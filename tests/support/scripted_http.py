"""A small HTTP server that answers what it was told to, for faults that a well-behaved server does not make."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# In the place of a status: the connection is closed without an answer.
HANG_UP = 0


@dataclass(frozen=True)
class Reply:
    """One answer.

    status: of HTTP, or HANG_UP
    missing: how many bytes of the body are announced and never sent
    stalls_s: how long the connection stays open without them, unless the server is closed before
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    stalls_s: float = 0.0


@dataclass(frozen=True)
class Received:
    """One request: its path, its parameters (each the last of its name), its headers in lower case, and its body."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    method: str = "GET"
    body: bytes = b""

    @property
    def form(self) -> dict[str, str]:
        """The fields of a body that is a form, each the last of its name."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


class ScriptedServer:
    """Answers with `replies` in order, the last one for ever; keeps what it received."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: deque[Reply] = deque([Reply(404)])
        self.received: list[Received] = []

    def say(self, *replies: Reply) -> None:
        """Answer so from now on."""
        self.replies = deque(replies)

    def next_reply(self) -> Reply:
        return self.replies.popleft() if len(self.replies) > 1 else self.replies[0]


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """The server on a free port of the loopback interface, gone afterwards."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are sent one after the other: the body would wait for the client's word that it has the head.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            script.received.append(
                Received(
                    parts.path,
                    {name: values[-1] for name, values in parse_qs(parts.query).items()},
                    {name.lower(): value for name, value in self.headers.items()},
                    self.command,
                    self.rfile.read(int(self.headers.get("content-length", 0))),
                )
            )
            reply = script.next_reply()
            if reply.status == HANG_UP:
                self.close_connection = True
                return
            self.send_response_only(reply.status)  # no Date or Server unless told to
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + reply.missing))
            self.end_headers()
            self.wfile.write(reply.body)
            self.wfile.flush()
            if reply.stalls_s:
                closing.wait(reply.stalls_s)
            self.close_connection = bool(reply.missing)

        do_POST = do_DELETE = do_GET  # noqa: N815  # the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Keep quiet."""

    closing = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script = ScriptedServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield script
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
