"""`python tests/bench/prepared.py FILE`: serves the bytes of one gzip file as every answer; prints its port."""

import shutil
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Sends the file, from the kernel's cache as a rule."""

    protocol_version = "HTTP/1.1"
    file = Path()

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(self.file.stat().st_size))
        self.end_headers()
        with self.file.open("rb") as source:
            shutil.copyfileobj(source, self.wfile, 1 << 20)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep quiet."""


if __name__ == "__main__":
    Handler.file = Path(sys.argv[1])
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
