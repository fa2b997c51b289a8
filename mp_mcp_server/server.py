"""build(settings) makes the FastMCP server out of the catalogue; nothing here lives at module level but constants."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio.to_thread
from fastmcp import FastMCP
from fastmcp.server.middleware.timing import TimingMiddleware
from fastmcp.tools import Tool
from fastmcp.utilities.versions import VersionSpec
from mcp.server.request_state import RequestStateSecurity
from mcp_types import ToolAnnotations
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware

import mixpanel_data
from mp_mcp_server.catalogue import TOOLS, ToolSpec
from mp_mcp_server.lines import PATIENCE_S
from mp_mcp_server.middleware import (
    AnswerFailures,
    AuditMiddleware,
    MixpanelRateLimitMiddleware,
    create_caching_middleware,
)
from mp_mcp_server.model_endpoint import Endpoint
from mp_mcp_server.prompts import add_prompts
from mp_mcp_server.resources import add_resources
from mp_mcp_server.results import Results
from mp_mcp_server.running import Running
from mp_mcp_server.schemas import short_input, short_output
from mp_mcp_server.settings import Settings
from mp_mcp_server.web import NoDeadSessions, OneEndpoint, add_probes
from mp_mcp_server.workspaces import Workspaces

__all__ = ["Settings", "application", "build"]

# Mixpanel tells calls of this server from a person's own by it
_INTERNAL_API_HEADERS = {"Internal-Source": "mp-mcp-server"}

_INSTRUCTIONS = """\
Mixpanel analytics. Start with list_events for exact event names. segmentation and event_counts are computed by
Mixpanel; for what they cannot answer, fetch_events once into a local table, then ask it with sql as often as you like.
Days are YYYY-MM-DD, inclusive, in the project's time zone; times in local tables are UTC.
A failed call answers with code, cause and fix."""


class _Server(FastMCP):
    """Finds a tool by its name at once; fastmcp looks through all that it serves, at each call."""

    by_name: Mapping[str, Tool]

    async def get_tool(self, name: str, version: VersionSpec | None = None) -> Tool | None:
        """The tool of the catalogue; of anything else fastmcp knows whether it is there."""
        return self.by_name.get(name) or await super().get_tool(name, version)


def build(settings: Settings | None = None, specs: Sequence[ToolSpec] = TOOLS) -> FastMCP:
    """Make the server: every tool of the catalogue, /health and /ready, errors as answers.

    Args:
        settings: which account and which store; the defaults of the library when left out
        specs: its tools

    Returns:
        A FastMCP named mixpanel that has opened nothing yet.
    """
    chosen = settings or Settings()
    workspaces = Workspaces(chosen, _INTERNAL_API_HEADERS)
    results = Results()
    running = Running(workspaces, results, Endpoint(chosen.model) if chosen.model else None)

    @asynccontextmanager
    async def lifespan(_server: FastMCP) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {}
        finally:
            await anyio.to_thread.run_sync(workspaces.close)

    server = _Server(
        "mixpanel",
        instructions=_INSTRUCTIONS,
        version=mixpanel_data.__version__,
        lifespan=lifespan,
        middleware=[
            AuditMiddleware(mask=workspaces.mask),
            TimingMiddleware(logging.getLogger("mp_mcp_server.timing"), logging.DEBUG),
            AnswerFailures(mask=workspaces.mask),
            create_caching_middleware(),
            MixpanelRateLimitMiddleware(specs, workspaces.wait_s),
        ],
        on_duplicate="error",
        mask_error_details=True,
        strict_input_validation=True,
        client_log_level="error",
        request_state_security=_sealing(chosen.state_key),
    )
    tools = [_tool(spec, running) for spec in specs]
    for tool in tools:
        server.add_tool(tool)
    server.by_name = {tool.name: tool for tool in tools}
    add_resources(server, workspaces, results)
    add_prompts(server)
    # without it every call in the modern era lists all tools first, to look at this one's schema
    server._mcp_server.get_tool_input_schema = {tool.name: tool.parameters for tool in tools}.get

    add_probes(server, workspaces, len(tools))
    return server


def application(server: FastMCP, transport: Literal["http", "sse"], settings: Settings | None = None) -> Starlette:
    """The server as an ASGI application.

    Args:
        server: from build()
        transport: http is streamable HTTP at /mcp and /mcp/; sse has its stream at /sse
        settings: whether something is kept of each client, and how long; nothing is when left out

    Returns:
        A Starlette application that refuses foreign Host and Origin headers on loopback addresses.
    """
    if transport == "sse":
        return server.http_app(transport="sse", path="/sse", host_origin_protection="auto")
    stateful = settings is not None and settings.stateful
    return server.http_app(
        transport="http",
        path="/mcp",
        stateless_http=not stateful,
        json_response=False,
        host_origin_protection="auto",
        session_idle_timeout=settings.session_idle_s if settings is not None else None,
        middleware=[Middleware(OneEndpoint), *([Middleware(NoDeadSessions)] if stateful else [])],
    )


def _sealing(key: SecretStr | None) -> RequestStateSecurity:
    """How what travels with a question is sealed: encrypted, good for the same tool and arguments, for a while."""
    if key is None:
        return RequestStateSecurity.ephemeral(ttl=PATIENCE_S)
    return RequestStateSecurity(keys=[key.get_secret_value()], ttl=PATIENCE_S)


def _tool(spec: ToolSpec, running: Running) -> Tool:
    tool = Tool.from_function(
        running.bound(spec),
        name=spec.name,
        description=spec.description,
        tags={spec.category},
        annotations=ToolAnnotations(
            read_only_hint=spec.read_only,
            destructive_hint=spec.destructive,
            idempotent_hint=spec.idempotent,
            open_world_hint=spec.needs_credentials,
        ),
    )
    for name, text in spec.parameter_texts.items():
        tool.parameters["properties"][name]["description"] = text
    tool.parameters = short_input(tool.parameters)
    if tool.output_schema is None:
        raise TypeError(f"{spec.name} must say what it returns: a TypedDict, or a list of a known type")
    tool.output_schema = _or_a_failure(short_output(tool.output_schema))
    return tool


def _or_a_failure(schema: dict[str, Any]) -> dict[str, Any]:
    """Let the schema allow a failure's structured content too.

    The TypeScript SDK 1.x checks structured content against the output schema even when isError is set, and would
    show its own complaint in place of ours.
    """
    required = schema.pop("required")
    schema["anyOf"] = [{"required": required}, {"required": ["code", "cause", "fix"]}]
    if "result" in schema["properties"]:
        schema["x-fastmcp-wrap-result"] = True
    return schema
