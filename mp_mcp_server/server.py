"""build(settings) makes the FastMCP server out of the catalogue; nothing here lives at module level but constants."""

import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread
from fastmcp import FastMCP
from fastmcp.tools import Tool, ToolResult
from mcp_types import TextContent, ToolAnnotations
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

import mixpanel_data
from mixpanel_data import ConfigError, Credentials, Workspace
from mixpanel_data.credentials import resolve
from mp_mcp_server.catalogue import TOOLS, ToolSpec
from mp_mcp_server.errors import translated
from mp_mcp_server.middleware import AnswerFailures

# Mixpanel tells calls of this server from a person's own by it
_INTERNAL_API_HEADERS = {"Internal-Source": "mp-mcp-server"}

_INSTRUCTIONS = """\
Mixpanel analytics. Start with list_events for exact event names. segmentation and event_counts are computed by
Mixpanel; for what they cannot answer, fetch_events once into a local table, then ask it with sql as often as you like.
Days are YYYY-MM-DD, inclusive, in the project's time zone; times in local tables are UTC.
A failed call answers with code, cause and fix."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    account: name of a configured account; None: the environment, then the default account
    db: file of the local store; None: the library's own place for the project
    """

    account: str | None = None
    db: Path | None = None


class Workspaces:
    """The one Workspace of a server, opened when the first tool asks for it, so that it starts without credentials."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._with_credentials: Workspace | None = None
        self._store_alone: Workspace | None = None

    def serving(self, spec: ToolSpec) -> Workspace:
        """The Workspace for a tool; one that asks no Mixpanel is content with the store.

        Raises:
            ConfigError: credentials are missing, and the tool needs them or --db does not say where the store is.
        """
        with self._lock:
            try:
                return self._open()
            except ConfigError:
                if spec.needs_credentials or self._settings.db is None:
                    raise
                return self._open_store(self._settings.db)

    def has_credentials(self) -> bool:
        """Whether credentials are set; whether Mixpanel accepts them is not asked."""
        return self._credentials() is not None

    def mask(self, text: str) -> str:
        """The text without the secret."""
        credentials = self._credentials()
        return credentials.mask(text) if credentials else text

    def close(self) -> None:
        """Let go of files and sockets; the next use opens anew."""
        with self._lock:
            opened = [self._with_credentials, self._store_alone]
            self._with_credentials = self._store_alone = None
        for workspace in opened:
            if workspace is not None:
                workspace.close()

    def _credentials(self) -> Credentials | None:
        try:
            return resolve(self._settings.account)
        except ConfigError:
            return None

    def _open(self) -> Workspace:
        # not kept when it fails: credentials may be set up while the server runs
        if self._with_credentials is None:
            self._with_credentials = Workspace(
                account=self._settings.account, path=self._settings.db, api_headers=_INTERNAL_API_HEADERS
            )
        return self._with_credentials

    def _open_store(self, db: Path) -> Workspace:
        if self._store_alone is None:
            self._store_alone = Workspace.open(db)
        return self._store_alone


def build(settings: Settings | None = None) -> FastMCP:
    """Make the server: every tool of the catalogue, /health, errors as answers.

    Args:
        settings: which account and which store; the defaults of the library when left out

    Returns:
        A FastMCP named mixpanel that has opened nothing yet.
    """
    workspaces = Workspaces(settings or Settings())

    @asynccontextmanager
    async def lifespan(_server: FastMCP) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {}
        finally:
            await anyio.to_thread.run_sync(workspaces.close)

    server: FastMCP = FastMCP(
        "mixpanel",
        instructions=_INSTRUCTIONS,
        version=mixpanel_data.__version__,
        lifespan=lifespan,
        middleware=[AnswerFailures()],
        on_duplicate="error",
        mask_error_details=True,
        strict_input_validation=True,
        client_log_level="error",
    )
    tools = [_tool(spec, workspaces) for spec in TOOLS]
    for tool in tools:
        server.add_tool(tool)
    # without it every call in the modern era lists all tools first, to look at this one's schema
    server._mcp_server.get_tool_input_schema = {tool.name: tool.parameters for tool in tools}.get

    @server.custom_route("/health", methods=["GET"])
    async def health(_request: Request) -> JSONResponse:
        present = await anyio.to_thread.run_sync(workspaces.has_credentials)
        return JSONResponse(
            {
                "status": "ok",
                "name": server.name,
                "version": mixpanel_data.__version__,
                "tools": len(tools),
                "credentials": "present" if present else "missing",
            }
        )

    return server


def application(server: FastMCP, transport: Literal["http", "sse"]) -> Starlette:
    """The server as an ASGI application.

    Args:
        server: from build()
        transport: http is streamable HTTP at /mcp and /mcp/, nothing kept per client; sse has its stream at /sse

    Returns:
        A Starlette application that refuses foreign Host and Origin headers on loopback addresses.
    """
    if transport == "sse":
        return server.http_app(transport="sse", path="/sse", host_origin_protection="auto")
    return server.http_app(
        transport="http",
        path="/mcp",
        stateless_http=True,
        json_response=False,
        host_origin_protection="auto",
        middleware=[Middleware(_OneEndpoint)],
    )


class _OneEndpoint:
    """Serve /mcp/ as /mcp: a redirect is refused by clients that must not repeat a POST elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp/":
            scope = {**scope, "path": "/mcp", "raw_path": b"/mcp"}
        await self._app(scope, receive, send)


def _tool(spec: ToolSpec, workspaces: Workspaces) -> Tool:
    tool = Tool.from_function(
        _bound(spec, workspaces),
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
    if tool.output_schema is None:
        raise TypeError(f"{spec.name} must say what it returns: a TypedDict, or a list of a known type")
    tool.output_schema = _or_a_failure(tool.output_schema)
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


def _bound(spec: ToolSpec, workspaces: Workspaces) -> Callable[..., Any]:
    """The spec's function without its Workspace: what fastmcp reads the schemas from and calls in a worker thread."""

    def call(**arguments: Any) -> Any:
        with translated(spec.name, workspaces.mask):
            value = spec.run(workspaces.serving(spec), **arguments)
        return _listing(value) if isinstance(value, dict) and "result" in value else value

    signature = inspect.signature(spec.run)
    hints = {parameter.name: parameter.annotation for parameter in spec.parameters}
    call.__name__ = spec.name
    call.__signature__ = signature.replace(parameters=spec.parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {**hints, "return": signature.return_annotation}
    return call


def _listing(value: dict[str, Any]) -> ToolResult:
    """A list with something to say about it: the text stays the list alone, the note follows as a text of its own."""
    texts = [to_json(value["result"], inf_nan_mode="null").decode()]
    if "note" in value:
        texts.append(value["note"])
    return ToolResult(
        content=[TextContent(type="text", text=text) for text in texts],
        structured_content=value,
        meta={"fastmcp": {"wrap_result": True}},
    )
