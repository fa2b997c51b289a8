"""A small HTTP server that answers as a function says: as MCP servers may behave, and as none may."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Mapping[str, str], bytes]
Behaviour = Callable[[str, Mapping[str, str], Any], Reply | None]
Serve = Callable[[Behaviour], int]

JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def result(body: Any, value: Any) -> bytes:
    """The answer to a request."""
    return json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": value}).encode()


@contextmanager
def served() -> Iterator[Serve]:
    """Serve behaviours: (method, headers, parsed body) → (status, headers, body), or None to hang up."""
    servers: list[ThreadingHTTPServer] = []

    def start(behaviour: Behaviour) -> int:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                size = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(size)) if size else None
                reply = behaviour(self.command, {k.lower(): v for k, v in self.headers.items()}, body)
                if reply is None:
                    return
                status, headers, content = reply
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names that the base class looks for

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return int(server.server_address[1])

    try:
        yield start
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
