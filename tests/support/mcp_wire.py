"""MCP over HTTP by hand, as thin as it can be: for measuring a server and not its client."""

import json
from typing import Any, Self

import httpx

MODERN = "2026-07-28"
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Wire:
    """A connection that calls tools in the modern era, one after the other.

    Args:
        url: the server's MCP endpoint
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(timeout=120, trust_env=False)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The result of a call that must succeed."""
        answer = self._http.post(self._url, content=body(tool, arguments), headers=headers(tool))
        return result_of(answer.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


def body(tool: str, arguments: dict[str, Any]) -> bytes:
    """One call."""
    params = {"name": tool, "arguments": arguments, "_meta": _META}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


def headers(tool: str) -> dict[str, str]:
    """What goes with it."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }


def message_of(text: str) -> dict[str, Any]:
    """The answer itself, which is JSON or the last event of a stream."""
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    message: dict[str, Any] = json.loads(events[-1] if events else text)
    return message


def result_of(text: str) -> dict[str, Any]:
    """The result in an answer that must have one."""
    message = message_of(text)
    assert "result" in message, message
    result: dict[str, Any] = message["result"]
    assert not result.get("isError"), result
    return result
