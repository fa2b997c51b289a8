"""The SSE question: does a client that asks for an event stream get one, and if not, does it get on without?

A client of the handshake era sends GET before it has a session, and again when it has one. Whatever is answered, it has
to work afterwards.

Source: reference/mcp-and-vcr-facts.md, "GET SSE failed: 400 Bad Request" and "HTTP answers of /mcp"
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from harness import clock, wire
from harness.rpc import TYPES, RpcError, Session
from harness.sse import EventStream
from harness.wire import Fault, Place, WireError

SESSION = "mcp-session-id"
TOOL = "list_events"
REFUSALS = (400, 405, 409)
PROBE_S, CALL_S = 5.0, 30.0
PUSH_S = 20.0
"""Longer than the 15 s between two pings, which a server that has nothing else to say pushes."""
SHOWN_HEADERS = ("content-type", "allow", "location", "server", "cache-control", "x-accel-buffering", SESSION)


class Verdict(StrEnum):
    """What became of the question."""

    STREAMS = "streams"
    FALLS_BACK = "falls back"
    UNSAFE = "falls back, unsafe"
    BROKEN = "broken"


GOOD = (Verdict.STREAMS, Verdict.FALLS_BACK)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it: the evidence.

    sent, headers: header names in lower case; a session id is cut short, since who has it has the session
    status: None where nothing was answered, as `failure` says
    body: its beginning
    """

    what: str
    method: str
    path: str
    sent: Mapping[str, str]
    status: int | None
    headers: Mapping[str, str]
    body: str
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Streaming:
    """The answer to the question, with all that was seen.

    pushed: what arrived on the stream by itself: the name of a message, or a ping; None where nothing did
    tools: how many the same client listed afterwards, None where it could not; called: whether its call was answered
    """

    verdict: Verdict
    meaning: str
    fix: str | None
    tools: int | None
    called: bool
    pushed: str | None
    evidence: tuple[Exchange, ...]
    ms: float

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


@dataclass(slots=True)
class _Asked:
    """What one walk through the question has brought so far."""

    place: Place
    path: str
    push_s: float
    evidence: list[Exchange] = field(default_factory=list)
    refusals: list[Exchange] = field(default_factory=list)
    given_away: str | None = None
    pushed: str | None = None
    streamed: bool = False
    tools: int | None = None
    called: bool = False
    failure: str | None = None

    def get(self, what: str, session: Session | None) -> None:
        """Ask for a stream; where there is one within a session, wait for something to arrive on it."""
        sent = {**(session.headers if session else {}), "accept": "text/event-stream"}
        sent.pop("content-type", None)
        status, headers, body, failure = None, dict[str, str](), "", None
        try:
            deadline = clock.Deadline(PROBE_S + (CALL_S + self.push_s if session else 0.0))
            with wire.opened(self.place, "GET", self.path, timeout_s=deadline, headers=sent) as (status, seen, pieces):
                headers = dict(seen)
                if not _is_stream(status, headers):
                    answer = wire.Answer(status, headers, b"".join(pieces))
                    body, failure = answer.shown(), _failure(answer)
                elif session is not None:
                    self.streamed = True
                    self._use(session)
                    deadline.end_within(self.push_s)
                    self.pushed = _first(pieces)
        except WireError as error:
            # A stream on which nothing comes ends here as well; that it was one is known by then.
            failure = None if self.streamed and status == 200 else error.what
        shown = {name: value for name, value in headers.items() if name in SHOWN_HEADERS}
        exchange = Exchange(what, "GET", self.path, masked(sent), status, masked(shown), body, failure)
        self.evidence.append(exchange)
        if not _is_stream(status, headers):
            self.refusals.append(exchange)
            own = sent.get(SESSION)
            if status is not None and status >= 400 and headers.get(SESSION) not in (None, own):
                self.given_away = headers[SESSION]

    def use_given(self) -> None:
        """Take the session id of a refusal for one's own, as a fast client does."""
        if self.given_away is not None:
            sent = {**TYPES, SESSION: self.given_away}
            listing = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
            what = "POST with the session id of the refusal"
            try:
                answer = wire.request(self.place, "POST", self.path, timeout_s=PROBE_S, headers=sent, body=listing)
                shown = {name: value for name, value in answer.headers.items() if name in SHOWN_HEADERS}
                self.evidence.append(
                    Exchange(what, "POST", self.path, masked(sent), answer.status, masked(shown), answer.shown())
                )
            except WireError as error:
                self.evidence.append(Exchange(what, "POST", self.path, masked(sent), None, {}, "", error.what))

    def go_on(self, session: Session) -> None:
        """List and call with the same client, unless that was done while the stream was open."""
        if not self.called and self.failure is None:
            self._use(session)

    def _use(self, session: Session) -> None:
        try:
            self.tools = len(session.tools())
            self.called = not session.call(TOOL, {}).get("isError")
        except (WireError, RpcError) as error:
            self.failure = str(error)


def question(place: Place, path: str, *, push_s: float = PUSH_S) -> Streaming:
    """Ask a server the SSE question.

    Args:
        push_s: how many seconds something may take to arrive on a stream
    """
    began = clock.monotonic()
    asked = _Asked(place, path, push_s)
    asked.get("GET before there is a session", None)
    session = Session(place, path, PROBE_S + 2 * CALL_S + push_s)
    try:
        session.initialize()
        asked.get("GET with a valid session" if SESSION in session.headers else "GET after the handshake", session)
        asked.go_on(session)
        # To give a session back is a courtesy; who does not take it is no worse a server.
        with contextlib.suppress(WireError):
            session.close()
    except (WireError, RpcError) as error:
        asked.failure = str(error)
    asked.use_given()
    verdict, meaning, fix = _judged(asked)
    return Streaming(
        verdict,
        meaning,
        fix,
        tools=asked.tools,
        called=asked.called,
        pushed=asked.pushed,
        evidence=tuple(asked.evidence),
        ms=round((clock.monotonic() - began) * 1000, 1),
    )


def unasked(evidence: Exchange) -> Streaming:
    """The answer where no MCP server was found that could be asked: broken, by what was seen of whoever is there."""
    return Streaming(
        Verdict.BROKEN,
        "it cannot be asked: no MCP server answers there",
        "see who does, and why: harness ports; harness logs mcp",
        tools=None,
        called=False,
        pushed=None,
        evidence=(evidence,),
        ms=0.0,
    )


def text(streaming: Streaming) -> str:
    """The verdict as a line of the ladder, with what mends it."""
    mark = "✓" if streaming.verdict in GOOD else "✗"
    line = f"  {mark} {'sse':<12}{streaming.ms:>8.1f} ms  {streaming.verdict}: {streaming.meaning}"
    return line + (f"\n      fix: {streaming.fix}" if streaming.fix else "")


def _judged(asked: _Asked) -> tuple[Verdict, str, str | None]:
    if asked.failure is not None or not asked.called:
        why = asked.failure or f"{TOOL} answered with an error"
        return Verdict.BROKEN, f"the client does not get on: {why}", "see why: harness logs mcp"
    if asked.given_away is not None:
        where = " and ".join(f"{each.what} ({each.status})" for each in asked.refusals if SESSION in each.headers)
        return (
            Verdict.UNSAFE,
            f"the answer to {where} carries the id of a session that is dead; a fast client adopts it and is lost",
            "run the server stateless, or answer such a GET with 405 and without mcp-session-id",
        )
    wrong = [each for each in asked.refusals if each.failure or each.status not in REFUSALS]
    if wrong:
        said = wrong[0].failure or f"HTTP {wrong[0].status}"
        return Verdict.BROKEN, f"{wrong[0].what}: {said}", "see who answers there: harness ports; harness logs mcp"
    if asked.streamed and asked.pushed is None:
        return (
            Verdict.BROKEN,
            f"a stream opens, and nothing arrives on it in {asked.push_s:g} s",
            "something before the server holds answers back: proxy_buffering off",
        )
    if asked.streamed:
        return Verdict.STREAMS, f"a stream opens, and {asked.pushed} arrives on it; {asked.tools} tools", None
    status = asked.refusals[-1].status
    return Verdict.FALLS_BACK, f"GET is refused with {status}; the client goes on, {asked.tools} tools, a call", None


def _first(pieces: Iterator[bytes]) -> str | None:
    """What arrives first: a message by its name, or a ping."""
    stream = EventStream()
    for piece in pieces:
        for datum in stream.feed(piece):
            if name := _method(datum):
                return name
        if piece.lstrip().startswith(b":"):
            return "a ping"
    return None


def _method(datum: str) -> str | None:
    try:
        message = json.loads(datum)
    except ValueError:
        return None
    return str(message["method"]) if isinstance(message, dict) and message.get("method") else None


def _is_stream(status: int | None, headers: Mapping[str, str]) -> bool:
    return status == 200 and headers.get("content-type", "").partition(";")[0].strip() == "text/event-stream"


def _failure(answer: wire.Answer) -> str | None:
    """What is wrong with a refusal that is none of an MCP server's."""
    if answer.status in REFUSALS and not answer.is_page():
        return None
    try:
        answer.json_object()
    except WireError as error:
        return None if error.fault is Fault.STATUS else error.what
    return f"HTTP {answer.status} with JSON, where a stream or a refusal was due"


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers to be shown: who has a whole session id has the session."""
    return {name: f"{value[:4]}…" if name == SESSION else value for name, value in headers.items()}
