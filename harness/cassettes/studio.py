"""Where a recording is made: an emulator, unless live Mixpanel is asked, and a server whose requests go on tape.

Both are started as a stack's services are, in a state directory of their own; what a killed recording left running is
ended by the next one.
"""

import contextlib
import json
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from harness import clock, wire
from harness.cassettes import control, launch, written
from harness.cassettes.tape import Case, Exchange
from harness.errors import Exit, HarnessError
from harness.rpc import RpcError, Session
from harness.stack import logs, processes
from harness.stack.identity import Identity
from harness.stack.state import StateDirectory

READY_S = 180.0
CALL_S = 600.0
LOCK_S = 2.0
GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers."""

    name: str
    port: int
    state: StateDirectory

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{wire.HOST}:{self.port}"

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Its answer, a JSON object.

        Raises:
            HarnessError: the service's own, or NO_ANSWER
        """
        try:
            answer = wire.request(
                self.port,
                method,
                path,
                timeout_s=CALL_S,
                headers={"content-type": "application/json"},
                body=None if body is None else json.dumps(body).encode(),
            )
            if answer.status == 409:
                said = json.loads(answer.body)
                raise HarnessError(said["code"], said["cause"], fix=said["fix"])
            if answer.status == 201:
                answer = wire.Answer(200, answer.headers, answer.body)
            return answer.json_object()
        except wire.WireError as error:
            raise HarnessError(
                "NO_ANSWER",
                f"{self.name} does not answer: {error.what}",
                fix="see its last lines",
                log=logs.last_words(self.state, self.name),
            ) from None


class Caller(Protocol):
    """Makes a case's calls at a server."""

    def __call__(self, server: Running, case: Case, ready: Callable[[], None]) -> list[Exchange]:
        """All calls, one after the other.

        Args:
            ready: to be called when those before the last one are through: from then on things go wrong that shall
        """


def plainly(server: Running, case: Case, ready: Callable[[], None]) -> list[Exchange]:
    """The calls of a client that cannot be asked back, in a conversation of their own.

    Raises:
        HarnessError: NO_ANSWER; or what `ready` raises
    """
    session = Session(server.port, "/mcp", CALL_S)
    try:
        session.initialize()
        made = [Exchange(each, session.call(each.tool, each.arguments)) for each in case.before]
        ready()
        last = case.calls[-1]
        return [*made, Exchange(last, session.call(last.tool, last.arguments))]
    except (RpcError, wire.WireError) as error:
        raise HarnessError(
            "NO_ANSWER",
            f"{case.id}: the server does not answer as MCP has it: {error}",
            fix="see its last lines",
            log=logs.last_words(server.state, server.name),
        ) from None


@dataclass(frozen=True, slots=True)
class Host:
    """The server whose requests go on tape."""

    running: Running

    def record(self, case: Case) -> None:
        """Begin to record a case."""
        self.running.ask("POST", f"{control.PATH}/begin", {"record": asdict(case)})

    def play(self, case: str) -> None:
        """Begin to play a case."""
        self.running.ask("POST", f"{control.PATH}/begin", {"case": case})

    def end(self, exchanges: list[Exchange] | None = None) -> dict[str, Any]:
        """End the case; with its exchanges a tape is made of it."""
        calls = {} if exchanges is None else {"calls": [asdict(each) for each in exchanges]}
        return self.running.ask("POST", f"{control.PATH}/end", calls)


def take_case(host: Host, case: Case, emulator: Running | None, caller: Caller) -> dict[str, Any]:
    """Record a case, with the emulator going wrong as the case wants it; the host's report."""
    _go_wrong(emulator)
    host.record(case)
    exchanges = caller(host.running, case, lambda: _go_wrong(emulator, case.faults))
    report = host.end(exchanges)
    _go_wrong(emulator)
    return report


def account_of(said: Mapping[str, Any]) -> dict[str, str]:
    """The four MP_ variables of the account that an emulator has, as it says itself."""
    return {
        "MP_USERNAME": said["account"]["username"],
        "MP_SECRET": said["account"]["secret"],
        "MP_PROJECT_ID": str(said["project"]["id"]),
        "MP_REGION": said["project"]["region"],
    }


def _go_wrong(emulator: Running | None, faults: Sequence[Mapping[str, Any]] = ()) -> None:
    """With these faults from now on, and no others."""
    if emulator is not None:
        emulator.ask("DELETE", "/_emulator/faults")
        for fault in faults:
            emulator.ask("POST", "/_emulator/faults", dict(fault))


class Studio:
    """What runs for a recording.

    Args:
        directory: its state; private
        environment: the caller's
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.state = StateDirectory(directory)
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith(("MP_", "HARNESS_", "PYTHON"))
        }
        self._run_id = secrets.token_hex(8)

    @contextlib.contextmanager
    def opened(self) -> Iterator["Studio"]:
        """Alone in its directory; all that was started is gone afterwards.

        Raises:
            HarnessError: LOCKED (exit 124): another recording is going on there
        """
        with written.writing(self.state.path):
            self.state.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.state.lock(clock.Deadline(LOCK_S)):
            self._clear()
            try:
                yield self
            finally:
                self._clear()

    def emulator(self, *options: str, name: str = "emulator") -> tuple[Running, dict[str, Any]]:
        """Start an emulator; with what it says of itself."""
        port = free_port()
        command = (*launch.module("fixtures.emulator"), "--host", wire.HOST, "--port", str(port), *options)
        running = self.start(name, port, command, {}, "/_emulator/health")
        return running, running.ask("GET", "/_emulator/about")

    def host(self, session: Path, credentials: Mapping[str, str], base_url: str | None) -> Host:
        """Start a server that records into a session."""
        port = free_port()
        server = ("--transport", "http", "--host", wire.HOST, "--port", str(port))
        environment = launch.record_environment(credentials, base_url)
        return Host(self.start("mcp", port, launch.record(session, server), environment, "/health"))

    def seen_by(self, environment: Mapping[str, str | None]) -> dict[str, str]:
        """All that a program of the studio sees: the caller's environment with this in it; None removes a variable."""
        kept = {key: value for key, value in self._environment.items() if key not in environment}
        said = {key: value for key, value in environment.items() if value is not None}
        return {**kept, **said, "PYTHONUNBUFFERED": "1"}

    def start(
        self, name: str, port: int, command: tuple[str, ...], environment: Mapping[str, str | None], health: str
    ) -> Running:
        """Start a service, and wait until it answers.

        Raises:
            HarnessError: DIED, or its own; NOT_READY (exit 124)
        """
        processes.start(name, command, self.seen_by(environment), self.state, self._run_id)
        deadline = clock.Deadline(READY_S)
        while True:
            with contextlib.suppress(wire.WireError):
                if wire.get(port, health, 5.0).status == 200:
                    return Running(name, port, self.state)
            record = self.state.record(name)
            if deadline.passed() or (record is not None and record.ended_at is not None):
                words = logs.last_words(self.state, name)
                said_why = logs.refusal(words) or {}
                raise HarnessError(
                    said_why.get("code", "DIED" if not deadline.passed() else "NOT_READY"),
                    f"{name}: {said_why.get('cause', 'it ended before it was ready')}",
                    fix=said_why.get("fix", "see its last lines"),
                    exit_code=Exit.DEADLINE if deadline.passed() else Exit.FAILED,
                    log=words,
                )
            clock.sleep(0.05)

    def _clear(self) -> None:
        left = processes.end(again(lambda: set(processes.marked(self.state))), GRACE_S)
        if left:
            pids = ", ".join(str(who.pid) for who in left)
            raise HarnessError("WILL_NOT_END", f"pid {pids} lives on after SIGKILL", fix="run harness record again")


def again(look: Callable[[], set[Identity]]) -> Callable[[], set[Identity]]:
    """The look, which reads of every process that there is, taken again only when nothing that it found is alive."""
    living: set[Identity] = set()

    def looked() -> set[Identity]:
        nonlocal living
        living = {who for who in living if who.is_alive()} or look()
        return living

    return looked


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((wire.HOST, 0))
        port: int = probe.getsockname()[1]
        return port
