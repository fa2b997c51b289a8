"""What a client is shown, as a reviewed file: names, descriptions, schemas, annotations.

After a change that is meant: UPDATE_SURFACE=1 pytest tests/mp_mcp_server/test_surface.py, and read the difference.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client, FastMCP
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import Tool
from fastmcp.utilities.tests import asgi_client
from mcp_types import ListToolsRequest

import mp_mcp_server
from mp_mcp_server.server import Settings, build

pytestmark = pytest.mark.anyio
REVIEWED = Path(__file__).with_name("surface.json")


@pytest.fixture
async def surface() -> list[dict[str, Any]]:
    """tools/list as it goes over the wire."""
    async with Client(build(Settings())) as client:
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.list_tools()]


async def test_the_surface_is_the_reviewed_one(surface: list[dict[str, Any]]) -> None:
    written = json.dumps(surface, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SURFACE"):
        REVIEWED.write_text(written)
    assert written == REVIEWED.read_text(), (
        "if this is meant: UPDATE_SURFACE=1 pytest tests/mp_mcp_server/test_surface.py"
    )


async def test_every_input_property_says_what_it_is_and_nothing_else_is_taken(surface: list[dict[str, Any]]) -> None:
    for tool in surface:
        schema = tool["inputSchema"]
        assert schema["additionalProperties"] is False, tool["name"]
        assert all(entry.get("description") for entry in schema["properties"].values()), tool["name"]
        # some model providers refuse a whole list of tools for one combinator at the top of an input schema
        assert not {"anyOf", "oneOf", "allOf"} & set(schema), tool["name"]


async def test_no_output_schema_is_a_bare_object_and_each_allows_a_failure(surface: list[dict[str, Any]]) -> None:
    for tool in surface:
        schema = tool["outputSchema"]
        assert schema["type"] == "object", tool["name"]
        assert schema["properties"], tool["name"]
        success, failure = schema["anyOf"]
        assert set(success["required"]) <= set(schema["properties"]), tool["name"]
        assert failure == {"required": ["code", "cause", "fix"]}, tool["name"]
        assert not set(failure["required"]) & set(schema["properties"]), tool["name"]


async def test_the_surface_costs_a_client_no_more_than_its_share(surface: list[dict[str, Any]]) -> None:
    # of all 39 tools together: a client's context pays for each byte
    inputs = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in surface]
    assert len(json.dumps(inputs, separators=(",", ":"))) < 30_000
    assert len(json.dumps(surface, separators=(",", ":"))) < 60_000


class Listings(Middleware):
    """Counts how often the tools are listed, by whomever."""

    count = 0

    async def on_list_tools(
        self,
        context: MiddlewareContext[ListToolsRequest],
        call_next: CallNext[ListToolsRequest, Sequence[Tool]],
    ) -> Sequence[Tool]:
        self.count += 1
        return await call_next(context)


@pytest.mark.parametrize(("fast", "expected"), [(True, 0), (False, 1)])
async def test_a_call_in_the_modern_era_does_not_list_all_tools_first(
    fast: bool, expected: int, tmp_path: Path
) -> None:
    server, listings = build(Settings(db=tmp_path / "store.db")), Listings()
    server.add_middleware(listings)
    if not fast:  # what the server would do by itself: if that changes, ours may go
        server._mcp_server.get_tool_input_schema = None
    async with asgi_client(server) as client:
        assert client.protocol_version == "2026-07-28"
        await client.call_tool("sql", {"query": "select 1"}, raise_on_error=False)
    assert listings.count == expected


async def test_a_ready_server_can_be_imported() -> None:
    server = mp_mcp_server.mcp
    assert isinstance(server, FastMCP)
    assert server.name == "mixpanel"
    assert mp_mcp_server.mcp is server
