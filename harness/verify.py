"""`harness verify`: the ladder of every running service again, with times, and the runbook's own request."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness import clock, wire
from harness.errors import Exit, HarnessError
from harness.rpc import TYPES
from harness.stack import look, readiness
from harness.stack.plan import Condition
from harness.stack.services import Service, for_target
from harness.stack.state import Stack, StateDirectory
from harness.wire import WireError

REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ALIVE: dict[int, str] = {
    200: "alive, and answers without a handshake: it keeps no sessions",
    400: "alive: it keeps sessions and wants the handshake first",
    405: "alive: it offers no stream of its own to a GET, and clients go on without one",
    406: "alive: it wants an Accept header with application/json and text/event-stream",
}
"""What the runbook's request may be answered with. Source: reference/mcp-and-vcr-facts.md, "HTTP answers of /mcp"."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung as it was found; `broken` holds code, cause and fix where it does not hold."""

    name: str
    ms: float
    found: str | None
    broken: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Verified:
    """One service: its rungs from the bottom up, none behind the first that broke."""

    name: str
    port: int
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Runbook:
    """The runbook's curl request: the answer's status, and what it means."""

    status: int | None
    alive: bool
    meaning: str
    ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was verified."""

    services: tuple[Verified, ...]
    runbook: Runbook | None

    @property
    def good(self) -> bool:
        """Whether every rung holds."""
        rungs = [rung for service in self.services for rung in service.rungs]
        return all(rung.broken is None for rung in rungs) and (self.runbook is None or self.runbook.alive)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {"good": self.good, **asdict(self)}


def verify(state: StateDirectory, services: Sequence[Service]) -> Report:
    """Climb the ladder of every service that was started.

    Raises:
        HarnessError: NOT_RUNNING (exit 7) when nothing was started
    """
    stack = state.read()
    if stack is None or not stack.members:
        raise HarnessError("NOT_RUNNING", "nothing is running", fix="start it: harness up", exit_code=Exit.NOT_RUNNING)
    own = [service for service in for_target(services, stack.launch["stack.target"]) if service.name in stack.members]
    found = tuple(_verify(state, stack, service) for service in own)
    speaks = next((service for service in own if "initialize" in service.ladder), None)
    return Report(found, runbook_request(stack.members[speaks.name].port, speaks.path) if speaks else None)


def runbook_request(port: int, path: str) -> Runbook:
    """Send the runbook's literal curl request and say what its answer means."""
    began = clock.monotonic()
    status: int | None = None
    try:
        answer = wire.request(
            port, "POST", path, timeout_s=readiness.PROBE_S, headers=TYPES, body=json.dumps(REQUEST).encode()
        )
        status = answer.status
        meaning = ALIVE.get(status) or f"HTTP {status}, which an MCP server does not answer here: {answer.shown()}"
        if status == 200 and not _is_mcp(answer):
            status, meaning = 200, f"HTTP 200, but another program: {answer.shown()}"
            return Runbook(status, alive=False, meaning=meaning, ms=_ms(began))
    except WireError as error:
        meaning = error.what
    return Runbook(status, alive=status in ALIVE, meaning=meaning, ms=_ms(began))


def _verify(state: StateDirectory, stack: Stack, service: Service) -> Verified:
    member = stack.members[service.name]
    began = clock.monotonic()
    if look.condition(member) is Condition.DIED:
        how = look.how_it_died(state, service.name, member)
        broken = {"code": "DIED", "cause": f"{service.name} died: {how}", "fix": "bring it back: harness up"}
        return Verified(service.name, member.port, (Rung("process", _ms(began), None, broken),))
    rungs = [Rung("process", _ms(began), f"pid {member.process.pid}", None)]
    climb = readiness.Climb(service, member.port)
    for name in service.ladder:
        began = clock.monotonic()
        try:
            rungs.append(Rung(name, found=readiness.climb_rung(climb, name), ms=_ms(began), broken=None))
        except readiness.RungError as error:
            broken = {"code": error.code, "cause": error.cause, "fix": error.fix}
            rungs.append(Rung(name, _ms(began), None, broken))
            break
    return Verified(service.name, member.port, tuple(rungs))


def _is_mcp(answer: wire.Answer) -> bool:
    texts = list(wire.messages(answer.headers.get("content-type", ""), iter([answer.body])))
    try:
        return any(json.loads(text).get("jsonrpc") == "2.0" for text in texts)
    except (ValueError, AttributeError):
        return False


def _ms(began: float) -> float:
    return round((clock.monotonic() - began) * 1000, 1)
