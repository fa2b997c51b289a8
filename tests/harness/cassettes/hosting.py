"""Hosts as real processes: a server with its Mixpanel on tape."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.cassettes import launch
from harness.cassettes.journal import About, Session
from harness.cassettes.tape import Case
from harness.rpc import Session as Rpc
from tests.support.emulator import Emulator
from tests.support.ports import free_port
from tests.support.repository import ROOT

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Hosted:
    """A running host."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def post(self, path: str, body: object, content_type: str = "application/json") -> tuple[int, dict[str, Any]]:
        """Status and answer of the control route."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"content-type": content_type}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 -- loopback
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def good(self, path: str, body: object) -> dict[str, Any]:
        """The answer of a request that must succeed."""
        status, answer = self.post(path, body)
        assert status == 200, answer
        return answer

    def state(self) -> dict[str, Any]:
        """What the host says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_cassettes", timeout=PATIENCE_S) as answer:
            said: dict[str, Any] = json.load(answer)
            return said

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A tool's result, over streamable HTTP."""
        session = Rpc(self.port, "/mcp", PATIENCE_S)
        session.initialize()
        return session.call(tool, arguments)

    def record(self, case: Case) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Record a case; its results, and the host's report."""
        self.good("/_cassettes/begin", {"record": asdict(case)})
        made = [(each, self.call(each.tool, each.arguments)) for each in case.calls]
        calls = [{"call": asdict(each), "result": result} for each, result in made]
        return [result for _, result in made], self.good("/_cassettes/end", {"calls": calls})

    def play(self, case: Case) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Play a case; its results, and the host's report."""
        self.good("/_cassettes/begin", {"case": case.id})
        results = [self.call(each.tool, each.arguments) for each in case.calls]
        return results, self.good("/_cassettes/end", {})


def environment(home: Path, said: Mapping[str, str | None]) -> dict[str, str]:
    """The caller's, without anybody's account and with what is said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MP_", "HARNESS_"))}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT)} | {k: v for k, v in said.items() if v is not None}


@contextmanager
def started(command: tuple[str, ...], env: Mapping[str, str], log: Path, port: int) -> Iterator[Hosted]:
    """A host that answers, ended on leaving."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, env=dict(env), stdout=sink, stderr=sink, cwd=log.parent)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield Hosted(process, port, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)


@contextmanager
def recording(emulator: Emulator, session: Path, **said: str) -> Iterator[Hosted]:
    """A host that records from the emulator into a session, which is begun where it is not yet."""
    if Session(session).about() is None:
        Session(session).begin(About("emulator", emulator.about["now"], "us", {"of": "a test"}))
    port = free_port()
    credentials = {name: value for name, value in emulator.environment.items() if name != "MP_API_BASE_URL"}
    env = environment(session.parent, {**launch.record_environment(credentials, emulator.url), **said})
    with started(launch.record(session, _server(port)), env, session.parent / "record.log", port) as host:
        yield host


@contextmanager
def playing(
    tapes: Path, home: Path, *, shelf: bool = False, stores: Path | None = None, **said: str
) -> Iterator[Hosted]:
    """A host that plays tapes."""
    port = free_port()
    env = environment(home, {**launch.play_environment(), **said})
    with started(launch.play(tapes, _server(port), shelf=shelf, stores=stores), env, home / "play.log", port) as host:
        yield host


def refused(command: tuple[str, ...], env: Mapping[str, str], directory: Path) -> str:
    """What a host says that must not start."""
    ran = subprocess.run(
        command, env=dict(env), cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 1, ran
    return ran.stderr


def _server(port: int) -> tuple[str, ...]:
    return ("--transport", "http", "--port", str(port))
