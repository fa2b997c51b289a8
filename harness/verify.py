"""`harness verify`: the ladder of every running service again, the runbook's own request, and the SSE question."""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness import clock, fallback, wire
from harness.errors import Exit, HarnessError
from harness.fallback import Exchange, Streaming
from harness.real_client import RealClient, Word
from harness.rpc import TYPES
from harness.stack import look, readiness
from harness.stack.plan import Condition
from harness.stack.services import Service, for_target
from harness.stack.state import Stack, StateDirectory
from harness.wire import Fault, Place, WireError

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
    """One service: its rungs from the bottom up, none behind the first that broke.

    port: on this machine, or host and port of one that somebody else runs
    """

    name: str
    port: int | str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Runbook:
    """The runbook's curl request: the answer's status, and what it means.

    failure: how an answer that is no MCP server's failed, None where it is alive
    request, headers, body: the evidence: what was sent, and what came of it, the body's beginning only
    """

    status: int | None
    alive: bool
    meaning: str
    failure: str | None
    ms: float
    request: Mapping[str, Any]
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was verified.

    runbook, streaming: None where the stack has no MCP server
    clients: how the copilot's own client library gets on; empty where it is not installed
    """

    services: tuple[Verified, ...]
    runbook: Runbook | None
    streaming: Streaming | None
    clients: tuple[Word, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every rung holds."""
        rungs = [rung for service in self.services for rung in service.rungs]
        asked = self.runbook is None or self.runbook.alive
        streaming = self.streaming is None or self.streaming.verdict in fallback.GOOD
        clients = all(word.called for word in self.clients)
        return asked and streaming and clients and all(rung.broken is None for rung in rungs)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {"good": self.good, **asdict(self), "clients": [word.model_dump() for word in self.clients]}


def verify(
    state: StateDirectory,
    services: Sequence[Service],
    *,
    client: RealClient | None = None,
    push_s: float = fallback.PUSH_S,
) -> Report:
    """Climb the ladder of every service that was started, and ask the MCP server the runbook's questions.

    Args:
        client: the copilot's own client library, to be asked as well
        push_s: how many seconds something may take to arrive on a stream

    Raises:
        HarnessError: NOT_RUNNING (exit 7) when nothing was started
    """
    stack = state.read()
    if stack is None or not (stack.members or stack.elsewhere):
        raise HarnessError("NOT_RUNNING", "nothing is running", fix="start it: harness up", exit_code=Exit.NOT_RUNNING)
    own = for_target(services, stack.launch["stack.target"])
    there = [service for service in own if service.name in {*stack.members, *stack.elsewhere}]
    found = tuple(_verify(state, stack, service) for service in there)
    speaks = next((service for service in there if "initialize" in service.ladder), None)
    if speaks is None:
        return Report(found, None, None)
    row, place = _where(stack, speaks)
    runbook = runbook_request(place, row.path)
    if not runbook.alive:
        # Who does not speak MCP is not asked what takes a handshake.
        return Report(found, runbook, fallback.unasked(_evidence(runbook)))
    url = stack.elsewhere.get(row.name) or row.url(stack.members[row.name].port)
    words = client.ask(url) if client else ()
    return Report(found, runbook, fallback.question(place, row.path, push_s=push_s), words)


def runbook_request(place: Place, path: str) -> Runbook:
    """Send the runbook's literal curl request and say what its answer means."""
    began = clock.monotonic()
    body = json.dumps(REQUEST).encode()
    sent = {"method": "POST", "path": path, "headers": dict(TYPES), "body": REQUEST}
    try:
        answer = wire.request(place, "POST", path, timeout_s=readiness.PROBE_S, headers=TYPES, body=body)
        failure = _failure(answer)
    except WireError as error:
        return Runbook(None, False, error.what, error.fault.value, _ms(began), sent, {}, "")
    meaning = ALIVE.get(answer.status, "") if failure is None else _meaning(answer, failure)
    headers = {name: value for name, value in answer.headers.items() if name in fallback.SHOWN_HEADERS}
    return Runbook(
        answer.status, failure is None, meaning, failure, _ms(began), sent, fallback.masked(headers), answer.shown()
    )


def _evidence(runbook: Runbook) -> Exchange:
    request, failure = runbook.request, runbook.meaning if runbook.status is None else runbook.failure
    return Exchange(
        *("the runbook's request", request["method"], request["path"], request["headers"]),
        *(runbook.status, runbook.headers, runbook.body, failure),
    )


def _failure(answer: wire.Answer) -> str | None:
    """How an answer fails to be an MCP server's: a redirect, a web page, or another program; None where it is one's."""
    if 300 <= answer.status < 400:
        return Fault.REDIRECT.value
    if answer.is_page():
        return Fault.HTML.value
    # Only an answer with a body can be looked at; who refuses with 405 mostly says nothing more.
    if answer.status not in ALIVE or (answer.body.strip() and answer.status != 405 and not _is_mcp(answer)):
        return Fault.OTHER_PROGRAM.value
    return Fault.OTHER_PROGRAM.value if answer.status == 200 and not answer.body.strip() else None


def _meaning(answer: wire.Answer, failure: str) -> str:
    if failure == Fault.REDIRECT.value:
        to = answer.headers.get("location", "nowhere")
        return f"HTTP {answer.status}, a redirect to {to}: MCP clients do not follow one; give the exact address"
    if failure == Fault.HTML.value:
        return f"HTTP {answer.status} with a web page: another web server answers on this port"
    return f"HTTP {answer.status}, but another program: {answer.shown()}"


def _where(stack: Stack, service: Service) -> tuple[Service, Place]:
    """The row with the path that holds, and the place."""
    url = stack.elsewhere.get(service.name)
    if url is None:
        return service, stack.members[service.name].port
    return replace(service, path=urllib.parse.urlsplit(url).path), wire.elsewhere(url)


def _verify(state: StateDirectory, stack: Stack, service: Service) -> Verified:
    row, place = _where(stack, service)
    shown = place if isinstance(place, int) else str(place)
    began = clock.monotonic()
    member = stack.members.get(service.name)
    if member is not None and look.condition(member) is Condition.DIED:
        how = look.how_it_died(state, service.name, member)
        broken = {"code": "DIED", "cause": f"{service.name} died: {how}", "fix": "bring it back: harness up"}
        return Verified(service.name, shown, (Rung("process", _ms(began), None, broken),))
    if member is not None and (still := look.how_it_is_halted(member)):
        cause = f"{service.name} does nothing: {still}"
        broken = {"code": "HALTED", "cause": cause, "fix": "have it go on: harness up"}
        return Verified(service.name, shown, (Rung("process", _ms(began), None, broken),))
    rungs = [Rung("process", _ms(began), f"pid {member.process.pid}" if member else "somebody else's", None)]
    climb = readiness.Climb(row, place)
    for name in service.ladder:
        began = clock.monotonic()
        try:
            rungs.append(Rung(name, found=readiness.climb_rung(climb, name), ms=_ms(began), broken=None))
        except readiness.RungError as error:
            broken = {"code": error.code, "cause": error.cause, "fix": error.fix}
            rungs.append(Rung(name, _ms(began), None, broken))
            break
    return Verified(service.name, shown, tuple(rungs))


def _is_mcp(answer: wire.Answer) -> bool:
    texts = list(wire.messages(answer.headers.get("content-type", ""), iter([answer.body])))
    try:
        return any(json.loads(text).get("jsonrpc") == "2.0" for text in texts)
    except (ValueError, AttributeError):
        return False


def _ms(began: float) -> float:
    return round((clock.monotonic() - began) * 1000, 1)
