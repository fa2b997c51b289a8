"""A real nginx for tests: a configuration directory like Debian's, on free ports, ended with the test."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.standin import wait_until

DEADLINE_S = 60.0
BINARY = Path(shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or "nginx-is-missing")
"""The nginx of the machine: a machine without one cannot prove anything here, and is red."""

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
UPSTREAM = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"name": sys.argv[1], "status": "ok", "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass
class Configuration:
    """A directory with an nginx.conf, sites-available, sites-enabled and snippets.

    started: whether a master runs with it
    """

    directory: Path
    started: bool = field(default=False)

    @property
    def main(self) -> Path:
        return self.directory / "nginx.conf"

    def write_main(self) -> None:
        """The main file: all that a site needs around it."""
        for name in ("sites-available", "sites-enabled", "snippets", "temp"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        temporary = "\n".join(f"    {name}_temp_path {self.directory}/temp/{name};" for name in TEMPORARY)
        user = "user root;" if os.geteuid() == 0 else ""
        self.main.write_text(
            f"{user}\npid {self.directory}/nginx.pid;\nerror_log {self.directory}/error.log;\n"
            f"worker_processes 1;\nevents {{ worker_connections 64; }}\n"
            f"http {{\n    access_log off;\n{temporary}\n    include sites-enabled/*;\n}}\n"
        )

    def start(self) -> None:
        """Have nginx run with it, as a daemon, as a system's nginx does."""
        subprocess.run([BINARY, "-c", self.main], check=True, capture_output=True, timeout=DEADLINE_S)
        self.started = True
        pid = self.directory / "nginx.pid"
        wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"), "nginx writes its pid")
        # Until it has a worker, a master notes a signal and then sleeps on: it would never end of one SIGTERM.
        master = int(pid.read_text())
        wait_until(lambda: bool(psutil.Process(master).children()), "nginx has a worker")

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        with suppress(FileNotFoundError, ValueError):
            pid = int((self.directory / "nginx.pid").read_text())
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: not _lives(pid), "nginx ends")
        self.started = False


@contextmanager
def configuration(directory: Path) -> Iterator[Configuration]:
    """A configuration without a site; whatever runs with it is ended afterwards."""
    made = Configuration(directory)
    made.write_main()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def upstream(name: str) -> Iterator[int]:
    """A program of that name behind a port of its own: GET answers `{name, status, path}`."""
    with subprocess.Popen([sys.executable, "-S", "-c", UPSTREAM, name], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def get(port: int, path: str = "/", host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    """One GET with a Host header of one's own: status, headers in lower case, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def get_json(port: int, path: str = "/", host: str = "127.0.0.1") -> Any:
    """The same, for an answer that is JSON."""
    return json.loads(get(port, path, host)[2])


def _lives(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"
