"""The ways in: each calls the tools of a server, and the same is expected whichever it is."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import wire
from harness.cassettes.tape import AskedBack
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
    "safe_large_fetch--confirmed",
    "diagnose_metric_drop--sampling-that-invents-a-number",
)
"""What goes by stdio and by sse: a good, a large, a refused and a limited call, one with a table, and two
that ask back, which in the handshake era they can by these ways alone."""
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
    if way == "handshake" and (case.replies is not None or case.samples is not None):
        return "without a session nobody can be asked back"
    return None


class Sse:
    """A client of the old transport: a stream that answers come on, and an address for what is said."""

    def __init__(self, place: Place, path: str) -> None:
        self._place, self._path = place, path

    def call(self, tool: str, arguments: Mapping[str, Any], person: Person, timeout_s: float) -> dict[str, Any]:
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

            talk = _Conversation(say, (json.loads(text) for text in events), person)
            talk.greet(person.capabilities)
            return talk.call(tool, arguments)


class Piped:
    """A client of a server that is a child of its own.

    Args:
        offers: what it says that it can, once for all of its calls
    """

    def __init__(self, program: Program, offers: Mapping[str, Any]) -> None:
        self._program, self._offers = program, offers
        self._begun = False

    def call(self, tool: str, arguments: Mapping[str, Any], person: Person, timeout_s: float) -> dict[str, Any]:
        """See Client."""
        talk = _Conversation(self._program.say, self._program.heard(timeout_s), person)
        if not self._begun:
            self._begun = True
            talk.greet(self._offers)
        return talk.call(tool, arguments)


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
                person.asked += [AskedBack(**each) for each in message["asked"]]
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


class _Conversation:
    """With a server of the handshake era that can ask its client back: what it asks is answered as it comes."""

    def __init__(
        self, say: Callable[[Mapping[str, Any]], None], heard: Iterator[dict[str, Any]], person: Person
    ) -> None:
        self._say, self._heard, self._person = say, heard, person

    def greet(self, offers: Mapping[str, Any]) -> None:
        client = {"name": "harness suite", "version": "1"}
        self._ask(1, "initialize", {"protocolVersion": PROTOCOL, "capabilities": offers, "clientInfo": client})
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask(2, "tools/call", {"name": tool, "arguments": dict(arguments)})

    def _ask(self, number: int, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._say({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
        for message in self._heard:
            if "method" in message:
                if "id" in message:
                    reply = self._person.answer(message["method"], message.get("params") or {})
                    self._say({"jsonrpc": "2.0", "id": message["id"], "result": reply})
            elif message.get("id") == number:
                if "result" not in message:
                    raise RpcError(f"{method}: {message.get('error')}")
                result: dict[str, Any] = message["result"]
                return result
        raise RpcError(f"{method}: the stream ended before the result came")


def _events(pieces: Iterator[bytes]) -> Iterator[str]:
    stream = EventStream()
    for piece in pieces:
        yield from stream.feed(piece)
