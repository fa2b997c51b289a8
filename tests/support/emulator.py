"""A real emulator process for tests: started on a free port, read until it answers, ended with the test."""

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import forked
from tests.support.mortal import mortal
from tests.support.ports import free_port

DEADLINE_S = 120.0
_MODULE = "fixtures.emulator"
"""Of whatever has to come of it, on a machine that is busy."""


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
            "MP_RATE_LIMITS": "off",
        }

    def requests(self) -> list[dict[str, Any]]:
        """The last requests that clients sent, oldest first."""
        rows: list[dict[str, Any]] = _get_json(f"{self.url}/_emulator/requests")["requests"]
        return rows

    def tell(self, method: str, path: str, body: object) -> None:
        """Change what it does: settings, faults, reset, as `/_emulator/{path}` takes them."""
        request = urllib.request.Request(  # noqa: S310  # a loopback URL made above
            f"{self.url}/_emulator/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310  # the same
            answer.read()

    def requests_since(self, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What clients have sent after an earlier answer of `requests`; at most the last 50, as there."""
        now = self.requests()
        known = [number for number, request in enumerate(now) if before and request == before[-1]]
        return now[known[-1] + 1 :] if known else now

    def raw_events(self, first: str, last: str) -> list[dict[str, Any]]:
        """Every event of these days, read from the export line by line: what answers are counted against."""
        account, project = self.about["account"], self.about["project"]["id"]
        login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
        url = f"{self.url}/api/2.0/export?project_id={project}&from_date={first}&to_date={last}"
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})  # noqa: S310  # loopback
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310  # loopback
            return [json.loads(line) for line in answer.read().split(b"\n") if line]

    @contextmanager
    def changed(self, **settings: object) -> Iterator[None]:
        """With these switches or limits, and afterwards as before."""
        url = f"{self.url}/_emulator/settings"
        before = _get_json(url)
        _get_json(url, settings)
        try:
            yield
        finally:
            _get_json(url, {name: before[name] for name in settings})


@contextmanager
def running_emulator(log: Path, *arguments: str, cache_dir: Path, whole: bool = False) -> Iterator[Emulator]:
    """Start what `python -m fixtures.emulator` is, with these arguments, and end it on leaving, or with this process.

    Args:
        log: file that takes what it prints
        arguments: further command-line arguments, such as "--users", "300"
        cache_dir: where the built data set is kept; shared by all tests of a session
        whole: load everything, as a start by hand does, so that its time and memory are its own; else it is forked
    """
    port = free_port()
    options = ("--port", str(port), "--cache-dir", str(cache_dir), *arguments)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as sink:
        at = sink.fileno()
        process: forked.Forked | subprocess.Popen[bytes]
        if whole:
            process = subprocess.Popen(mortal(_MODULE, *options), stdout=at, stderr=at, env=environment)
        else:
            process = forked.start(forked.EMULATOR, _MODULE, *options, env=environment, stdout=at, stderr=at)
        try:
            yield Emulator(f"http://127.0.0.1:{port}", _about_when_ready(process, port, log))
        finally:
            process.terminate()
            try:
                process.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def _about_when_ready(process: "forked.Forked | subprocess.Popen[bytes]", port: int, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            _get_json(f"http://127.0.0.1:{port}/_emulator/health")
            return _get_json(f"http://127.0.0.1:{port}/_emulator/about")
        except OSError:  # refused, or no answer in time while it still builds
            time.sleep(0.02)
    raise AssertionError(f"the emulator is not ready (exit status {process.poll()}):\n{log.read_text()}")


def _get_json(url: str, patch: dict[str, Any] | None = None) -> dict[str, Any]:
    body = None if patch is None else json.dumps(patch).encode()
    request = urllib.request.Request(  # noqa: S310  # a loopback URL made above
        url, body, {"Content-Type": "application/json"}, method="GET" if patch is None else "PATCH"
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310  # the same
        decoded: dict[str, Any] = json.load(answer)
        return decoded
