"""A proxy in front of a service that collects each answer before it passes it on, and may change its date or body."""

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "date", "server", "content-encoding"}


@contextlib.contextmanager
def proxy(port: int, clock_s: float = 0.0, changed: Callable[[bytes], bytes] = bytes) -> Iterator[int]:
    """Pass requests on to a port of this machine; the answers' dates are so many seconds off, their bodies changed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            plain = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            sent = self.rfile.read(int(self.headers.get("content-length", 0))) or None
            request = urllib.request.Request(f"http://127.0.0.1:{port}{self.path}", sent, plain)  # loopback
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # the same
                    status, headers, body = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as refusal:
                status, headers, body = refusal.code, refusal.headers, refusal.read()
            body = changed(body)
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            when = datetime.now(UTC) + timedelta(seconds=clock_s)
            self.send_header("Date", format_datetime(when, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing is written."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
