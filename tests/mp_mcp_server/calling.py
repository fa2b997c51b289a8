"""Calling a tool in a test: what must succeed, what must be refused, and the parts of an answer."""

import json
from typing import Any

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport

from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY

Mcp = Client[FastMCPTransport]
Raw = list[dict[str, Any]]

DAYS: dict[str, Any] = {"from_date": FIRST_DAY, "to_date": LAST_DAY}


async def good(mcp: Mcp, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured content of a call that must succeed."""
    answer = await mcp.call_tool(tool, arguments)
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content


async def rows(mcp: Mcp, tool: str, **arguments: Any) -> list[Any]:
    """The list of a call that must succeed."""
    listed: list[Any] = (await good(mcp, tool, **arguments))["result"]
    return listed


async def refused(mcp: Mcp, tool: str, **arguments: Any) -> CallToolResult:
    """The answer of a call that must fail, in both its forms."""
    answer = await mcp.call_tool(tool, arguments, raise_on_error=False)
    assert answer.is_error
    told = answer.structured_content
    assert told is not None
    assert set(told) == {"code", "cause", "fix", "retry_after_s", "details"}
    text = text_of(answer)
    assert text.startswith(told["cause"] + "\n\nError Details:\n{")
    assert f"\n\nSuggestions:\n- {told['fix']}" in text
    assert json.loads(text.split("Error Details:\n")[1].split("\n\nSuggestions:")[0])["code"] == told["code"]
    return answer


def told(answer: CallToolResult) -> dict[str, Any]:
    assert answer.structured_content is not None
    return answer.structured_content


def text_of(answer: CallToolResult, block: int = 0) -> str:
    text: str = answer.content[block].text  # type: ignore[union-attr]
    return text
