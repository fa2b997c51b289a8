"""The ways in: each calls the tools of a server, and the same is expected whichever it is."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import wire
from harness.errors import HarnessError
from harness.rpc import PROTOCOL, TYPES, RpcError
from harness.sse import EventStream
from harness.suite.case import Case
from harness.suite.client import Client, Handshake, Modern, Person
from harness.suite.lines import Program
from harness.wire import Place

WAYS: Mapping[str, str] = {
    "http": "streamable HTTP, the protocol's modern era",
    "handshake": "streamable HTTP, the handshake era, without sessions",
    "copilot": "the copilot's own TypeScript client",
    "stdio": "a server of its own for each case, over its standard input and output",
    "sse": "the old transport over server-sent events",
}
SAMPLE = (
    "list_events--all",
    "segmentation--by-browser",
    "segmentation--misspelt-event",
    "segmentation--rate-limited",
    "sql--orders-by-name",
    "stream_profiles--two-pages",
)
"""What goes by stdio and by sse: a good, a large, a refused and a limited call, and one with a table."""
SAMPLED = ("stdio", "sse")

CLIENT = Path(__file__).with_name("copilot_client.mjs")


def cannot(way: str, case: Case) -> str | None:
    """Why a case does not go by a way; None where it does."""
    if way in SAMPLED and case.id not in SAMPLE:
        return "a sample goes this way"
    if way == "copilot":
        if case.samples is not None:
            return "its client knows no sampling"
        if case.nobody_to_ask:
            return "its client can always be asked"
        return None
    if way != "http" and (case.replies is not None or case.samples is not None):
        return "without a session nobody can be asked back"
    return None


class Sse:
    """A client of the old transport: a stream that answers come on, and an address for what is said."""

    def __init__(self, place: Place, path: str) -> None:
        self._place, self._path = place, path

    def call(self, tool: str, arguments: Mapping[str, Any], _person: Person, timeout_s: float) -> dict[str, Any]:
        """See Client."""
        headers = {"accept": "text/event-stream"}
        with wire.opened(self._place, "GET", self._path, timeout_s=timeout_s, headers=headers) as (status, _, pieces):
            if status != 200:
                raise RpcError(f"HTTP {status}: no stream of events")
            events = _events(pieces)
            address = next(events, None)
            if address is None:
                raise RpcError("the stream ended before it said where to speak to")

            def say(message: Mapping[str, Any]) -> None:
                body = json.dumps(message).encode()
                answer = wire.request(self._place, "POST", address, timeout_s=timeout_s, headers=TYPES, body=body)
                if answer.status not in (200, 202):
                    raise RpcError(f"HTTP {answer.status}: {answer.shown()}")

            return _conversation(say, (json.loads(text) for text in events), tool, arguments)


class Piped:
    """A client of a server that is a child of its own."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._begun = False

    def call(self, tool: str, arguments: Mapping[str, Any], _person: Person, timeout_s: float) -> dict[str, Any]:
        """See Client."""
        first, self._begun = not self._begun, True
        return _conversation(self._program.say, self._program.heard(timeout_s), tool, arguments, greets=first)


class Copilot:
    """The copilot's client, kept by a program that reads calls and writes results."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def call(self, tool: str, arguments: Mapping[str, Any], person: Person, timeout_s: float) -> dict[str, Any]:
        """See Client."""
        replies = [reply.to_dict() for reply in person.replies or ()]
        self._program.say({"tool": tool, "arguments": dict(arguments), "replies": replies})
        for message in self._program.heard(timeout_s):
            if "result" in message:
                person.asked += message["asked"]
                result: dict[str, Any] = message["result"]
                return result
            raise RpcError(f"the copilot's client: {message.get('error', message)}")
        raise RpcError("the copilot's client has no more to say")

    def end(self) -> None:
        """End it."""
        self._program.end()

    def attempts(self) -> list[str]:
        """Where it tried to go beyond this machine."""
        self._program.say({"attempts": True})
        for message in self._program.heard(30.0):
            if "attempts" in message:
                found: list[str] = message["attempts"]
                return found
        return []


def over_http(way: str, place: Place) -> Client:
    """The client of a way that needs nothing but an address.

    Raises:
        HarnessError: there is none of that name.
    """
    kinds: Mapping[str, Callable[[], Client]] = {
        "http": lambda: Modern(place, "/mcp"),
        "handshake": lambda: Handshake(place, "/mcp"),
        "sse": lambda: Sse(place, "/sse"),
    }
    if way not in kinds:
        raise HarnessError("UNKNOWN_WAY", f"{way} is no way over HTTP alone", fix=f"take one of {', '.join(kinds)}")
    return kinds[way]()


def _conversation(
    say: Callable[[Mapping[str, Any]], None],
    heard: Iterator[dict[str, Any]],
    tool: str,
    arguments: Mapping[str, Any],
    *,
    greets: bool = True,
) -> dict[str, Any]:
    if greets:
        who = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "harness suite", "version": "1"}}
        say({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": who})
        _result(heard, 1, "initialize")
        say({"jsonrpc": "2.0", "method": "notifications/initialized"})
    parameters = {"name": tool, "arguments": dict(arguments)}
    say({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": parameters})
    return _result(heard, 2, "tools/call")


def _result(heard: Iterator[dict[str, Any]], number: int, method: str) -> dict[str, Any]:
    for message in heard:
        if message.get("id") == number and "method" not in message:
            if "result" not in message:
                raise RpcError(f"{method}: {message.get('error')}")
            result: dict[str, Any] = message["result"]
            return result
    raise RpcError(f"{method}: the stream ended before the result came")


def _events(pieces: Iterator[bytes]) -> Iterator[str]:
    stream = EventStream()
    for piece in pieces:
        yield from stream.feed(piece)
