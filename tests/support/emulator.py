"""A real emulator process for tests: started on a free port, read until it answers, ended with the test."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Emulator:
    """A running emulator.

    url: its base URL, without a trailing slash
    about: what `GET /_emulator/about` said when it was ready
    """

    url: str
    about: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point `mixpanel_data` at this emulator."""
        project, account = self.about["project"], self.about["account"]
        return {
            "MP_USERNAME": account["username"],
            "MP_SECRET": account["secret"],
            "MP_PROJECT_ID": str(project["id"]),
            "MP_REGION": project["region"],
            "MP_API_BASE_URL": self.url,
        }

    def requests(self) -> list[dict[str, Any]]:
        """The last requests that clients sent, oldest first."""
        rows: list[dict[str, Any]] = _get_json(f"{self.url}/_emulator/requests")["requests"]
        return rows


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_emulator(log: Path, *arguments: str, cache_dir: Path) -> Iterator[Emulator]:
    """Start `python -m fixtures.emulator` with these arguments and end it on leaving.

    Args:
        log: file that takes what it prints
        arguments: further command-line arguments, such as "--users", "300"
        cache_dir: where the built data set is kept; shared by all tests of a session
    """
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "fixtures.emulator",
        "--port",
        str(port),
        "--cache-dir",
        str(cache_dir),
        *arguments,
    ]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        try:
            yield Emulator(f"http://127.0.0.1:{port}", _about_when_ready(process, port, log))
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def _about_when_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            _get_json(f"http://127.0.0.1:{port}/_emulator/health")
            return _get_json(f"http://127.0.0.1:{port}/_emulator/about")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise AssertionError(f"the emulator is not ready (exit status {process.poll()}):\n{log.read_text()}")


def _get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # a loopback URL made above
        decoded: dict[str, Any] = json.load(answer)
        return decoded
