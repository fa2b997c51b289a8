"""What a client is shown, as reviewed files: names, descriptions, schemas, annotations of tools and all else.

After a change that is meant: UPDATE_SURFACE=1 pytest tests/mp_mcp_server/test_surface.py, and read the difference. The
failing test says which changes break somebody.
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
from harness.suite.surface import changes
from mp_mcp_server.server import Settings, build

pytestmark = pytest.mark.anyio
REVIEWED = {
    "tools": Path(__file__).with_name("surface.json"),
    "beside tools": Path(__file__).with_name("surface_beside_tools.json"),
}
UPDATE = "if this is meant: UPDATE_SURFACE=1 pytest tests/mp_mcp_server/test_surface.py"


@pytest.fixture
async def surface() -> list[dict[str, Any]]:
    """tools/list as it goes over the wire."""
    async with Client(build(Settings())) as client:
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.list_tools()]


@pytest.fixture
async def beside_tools() -> dict[str, Any]:
    """What else is listed."""
    async with Client(build(Settings())) as client:
        listed = {
            "resources": await client.list_resources(),
            "templates": await client.list_resource_templates(),
            "prompts": await client.list_prompts(),
        }
    return {
        part: [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in each]
        for part, each in listed.items()
    }


def judged(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What a reader of a red test needs: each change, those that break somebody first."""
    found = sorted(changes(before, after), key=lambda change: not change.breaking)
    breaking = sum(change.breaking for change in found)
    told = f"{breaking} breaking and {len(found) - breaking} harmless changes"
    return "\n".join([told, *map(str, found), UPDATE])


async def test_the_surface_is_the_reviewed_one(surface: list[dict[str, Any]], beside_tools: dict[str, Any]) -> None:
    shown: dict[str, Any] = {"tools": surface, "beside tools": beside_tools}
    written = {
        part: json.dumps(each, indent=2, ensure_ascii=False, sort_keys=True) + "\n" for part, each in shown.items()
    }
    if os.environ.get("UPDATE_SURFACE"):
        for part, text in written.items():
            REVIEWED[part].write_text(text)
    before = {part: file.read_text() for part, file in REVIEWED.items()}
    told = judged(
        {"tools": json.loads(before["tools"]), **json.loads(before["beside tools"])}, {"tools": surface, **beside_tools}
    )
    assert written == before, told


def test_a_red_lock_tells_what_breaks_somebody_from_what_does_not() -> None:
    tools = json.loads(REVIEWED["tools"].read_text())
    after = [{**tool, "description": "Other words."} for tool in tools if tool["name"] != "jql"]
    told = judged({"tools": tools}, {"tools": after}).splitlines()
    assert told[0] == f"1 breaking and {len(after)} harmless changes"
    assert told[1] == "breaking: tools/jql: is gone"
    assert told[2].startswith("harmless: tools/")
    assert told[-1] == UPDATE


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
