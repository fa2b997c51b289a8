"""MCP as JSON-RPC over plain HTTP: what a tool call takes, without the second that an MCP client costs to import.

It speaks the handshake era, which every server knows.

Source: reference/mcp-and-vcr-facts.md, "Two protocol eras" and "HTTP answers of /mcp"
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness import clock, wire
from harness.errors import HarnessError
from harness.wire import Fault, Place, WireError

PROTOCOL = "2025-11-25"
TYPES = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


class RpcError(Exception):
    """The server's own refusal of a request, or an answer that breaks the protocol."""


class Session:
    """One conversation with an MCP server, on a port of this machine or elsewhere.

    Args:
        timeout_s: how long all of it may take
    """

    def __init__(self, place: Place, path: str, timeout_s: float) -> None:
        self._place, self._path = place, path
        self._deadline = clock.Deadline(timeout_s)
        self._headers: dict[str, str] = dict(TYPES)
        self._ids = itertools.count(1)

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with each request; `mcp-session-id` among it once a server has given one."""
        return dict(self._headers)

    def initialize(self) -> dict[str, Any]:
        """Shake hands; returns what the server says of itself."""
        answer = self.ask(
            "initialize",
            {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "harness", "version": "1"}},
        )
        self._headers["mcp-protocol-version"] = str(answer.get("protocolVersion", PROTOCOL))
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def tools(self) -> list[dict[str, Any]]:
        """Every tool of the server, all pages."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.ask("tools/list", {"cursor": cursor} if cursor else {})
            tools = page.get("tools")
            if not isinstance(tools, list):
                raise RpcError("tools/list: the answer holds no tools")
            found += tools
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool; a tool that fails answers with `isError`, as the protocol has it."""
        return self.ask("tools/call", {"name": tool, "arguments": dict(arguments)})

    def close(self) -> None:
        """Give a stateful server's session back; a server without sessions has nothing to give back."""
        if "mcp-session-id" in self._headers:
            wire.request(
                self._place, "DELETE", self._path, timeout_s=max(1.0, self._deadline.left_s()), headers=self._headers
            )

    def ask(self, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its result.

        Raises:
            WireError: no answer worth reading
            RpcError: the server refused, or did not keep to the protocol
        """
        number = next(self._ids)
        return self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": dict(parameters)}, number)

    def _post(self, message: dict[str, Any], number: int | None = None) -> dict[str, Any]:
        if self._deadline.passed():
            raise WireError(Fault.SILENT, f"{message['method']} did not end in {self._deadline.seconds:.0f} s")
        with wire.opened(
            self._place,
            "POST",
            self._path,
            timeout_s=self._deadline.left_s(),
            headers=self._headers,
            body=json.dumps(message).encode(),
        ) as (status, headers, pieces):
            if number is None and status in (200, 202, 204):
                return {}
            if status == 200 and "mcp-session-id" in headers:
                self._headers["mcp-session-id"] = headers["mcp-session-id"]
            return result_of((status, headers, pieces), message["method"], number)


def tool_error(result: Mapping[str, Any]) -> HarnessError:
    """The error that an `isError` answer speaks of: code, cause and fix where the server gave them, else its text."""
    said = result.get("structuredContent")
    texts = [part.get("text", "") for part in result.get("content", []) if part.get("type") == "text"]
    if not isinstance(said, dict) or "cause" not in said:
        said = {"cause": " ".join(texts) or "the tool failed and said nothing"}
    return HarnessError(
        str(said.get("code") or "TOOL_FAILED"), str(said["cause"]), fix=str(said.get("fix") or "see harness logs mcp")
    )


def result_of(
    answer: tuple[int, Mapping[str, str], Iterator[bytes]], method: str, number: int | None
) -> dict[str, Any]:
    """The result of one request in the answer to its POST, as `wire.opened` hands it out.

    Raises:
        WireError, RpcError: as `Session.ask`
    """
    status, headers, pieces = answer
    if status != 200:
        raise _refused(status, headers, b"".join(pieces))
    return _result(wire.messages(headers.get("content-type", ""), pieces), method, number)


def _result(texts: Iterator[str], method: str, number: int | None) -> dict[str, Any]:
    """The result of one request among the messages that come: pings and notifications are passed over."""
    for text in texts:
        try:
            message = json.loads(text)
        except ValueError:
            # The parser tells a web page and another program apart.
            wire.Answer(200, {}, text.encode()).json_object()
            raise
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            raise WireError(Fault.OTHER_PROGRAM, f"{method}: the answer is JSON, but not JSON-RPC: {text[:120]}")
        if message.get("id") != number or "method" in message:
            continue
        if "error" in message:
            error = message["error"]
            raise RpcError(f"{method}: {error.get('message', error)} ({error.get('code')})")
        result = message.get("result")
        if not isinstance(result, dict):
            raise RpcError(f"{method}: the answer holds no result")
        return result
    raise WireError(Fault.CUT, f"{method}: the answer ended before the result came")


def _refused(status: int, headers: Mapping[str, str], body: bytes) -> Exception:
    answer = wire.Answer(status, headers, body)
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        try:
            answer.json_object()
        except WireError as error:
            return error
        return WireError(Fault.STATUS, f"HTTP {status}: {answer.shown()}")
    return RpcError(f"HTTP {status}: {message}")
