"""A client of the server over streamable HTTP, in both protocol eras, with somebody who answers what it is asked.

Source: reference/mcp-and-vcr-facts.md, "Two protocol eras"
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness import wire
from harness.cassettes.tape import AskedBack, Reply
from harness.rpc import TYPES, RpcError, Session, result_of
from harness.wire import Place

MODERN = "2026-07-28"
ELICIT, SAMPLE = "elicitation/create", "sampling/createMessage"
CALL_S = 120.0
MOST_ROUNDS = 10
"""More questions than any tool has: a server that goes on asking would never end."""


@dataclass(slots=True)
class Person:
    """Who answers what a tool asks back.

    replies, samples: what is answered, in turn; the last sample again and again; None where the client offers neither
    asked: what was asked so far, with what was answered; nothing where there was no answer left
    """

    replies: Sequence[Reply] | None = None
    samples: Sequence[str] | None = None
    asked: list[AskedBack] = field(default_factory=list)

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the client says that it can."""
        found: dict[str, Any] = {}
        if self.replies is not None:
            found["elicitation"] = {"form": {}}
        if self.samples is not None:
            found["sampling"] = {}
        return found

    def answer(self, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request of the server.

        Raises:
            RpcError: it asks what it may not, or oftener than the case has answers.
        """
        before = sum(each.method == method for each in self.asked)
        reply: dict[str, Any] = {}
        if method == ELICIT and self.replies is not None and before < len(self.replies):
            reply = self.replies[before].to_dict()
        elif method == SAMPLE and self.samples:
            reply = sampled(self.samples[min(before, len(self.samples) - 1)])
        self.asked.append(AskedBack(method, parameters, reply))
        if reply:
            return reply
        if method == ELICIT and self.replies is not None:
            said = parameters.get("message", "")
            raise RpcError(f"the tool asks once more than the case has replies: {said}")
        raise RpcError(f"the server asks for {method}, which the client does not offer")


def sampled(text: str) -> dict[str, Any]:
    """What a model says, as the protocol has it."""
    return {"role": "assistant", "model": "suite", "content": {"type": "text", "text": text}}


class Client(Protocol):
    """Calls tools of one server."""

    def call(self, tool: str, arguments: Mapping[str, Any], person: Person, timeout_s: float) -> dict[str, Any]:
        """The result of `tools/call`, a failure's too.

        Raises:
            RpcError, WireError: there is none.
        """


class Handshake:
    """A client of the handshake era without a session, so nobody can be asked."""

    def __init__(self, place: Place, path: str) -> None:
        self._place, self._path = place, path

    def call(self, tool: str, arguments: Mapping[str, Any], person: Person, timeout_s: float) -> dict[str, Any]:
        """See Client."""
        if person.capabilities:
            raise RpcError("without a session nobody can be asked back")
        session = Session(self._place, self._path, timeout_s)
        session.initialize()
        return session.call(tool, arguments)


class Modern:
    """A client of the modern era: whoever has to answer gets the question as the result, and calls again."""

    def __init__(self, place: Place, path: str) -> None:
        self._place, self._path = place, path
        self._ids = itertools.count(1)

    def call(self, tool: str, arguments: Mapping[str, Any], person: Person, timeout_s: float) -> dict[str, Any]:
        """See Client."""
        parameters: dict[str, Any] = {"name": tool, "arguments": dict(arguments)}
        for _ in range(MOST_ROUNDS):
            result = self._post(tool, {**parameters, "_meta": _meta(person)}, timeout_s)
            if result.get("resultType") != "input_required":
                return result
            wanted: Mapping[str, Any] = result.get("inputRequests") or {}
            parameters["inputResponses"] = {
                key: person.answer(each["method"], each.get("params") or {}) for key, each in wanted.items()
            }
            if result.get("requestState") is not None:
                parameters["requestState"] = result["requestState"]
        raise RpcError(f"{tool} asked {MOST_ROUNDS} times and is not done")

    def _post(self, tool: str, parameters: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters}
        headers = {**TYPES, "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}
        body = json.dumps(message).encode()
        with wire.opened(self._place, "POST", self._path, timeout_s=timeout_s, headers=headers, body=body) as answer:
            return result_of(answer, "tools/call", number)


def _meta(person: Person) -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "harness suite", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": person.capabilities,
    }
