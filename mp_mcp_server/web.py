"""What the server says over HTTP besides the protocol: whether it lives, whether it is of use, and no dead sessions."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread
from fastmcp import FastMCP
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import mixpanel_data
from mixpanel_data import AuthenticationError, clock
from mp_mcp_server.errors import explain
from mp_mcp_server.questions import host
from mp_mcp_server.workspaces import Workspaces

# How long a finding is told again: a good one rarely changes, a bad one is being worked on.
_GOOD_FOR_S, _BAD_FOR_S = 30.0, 5.0
_PATIENCE_S = 10.0
_SESSION = "mcp-session-id"


def add_probes(server: FastMCP, workspaces: Workspaces, tools: int) -> None:
    """Serve /health, which says that the process lives, and /ready, which says whether Mixpanel takes its credentials.

    Args:
        workspaces: whose credentials
        tools: how many there are
    """
    readiness = Readiness(partial(_ask_who_we_are, workspaces), workspaces.mask)

    @server.custom_route("/health", methods=["GET"])
    async def health(_request: Request) -> JSONResponse:
        present = await anyio.to_thread.run_sync(workspaces.has_credentials)
        return JSONResponse(
            {
                "status": "ok",
                "name": server.name,
                "version": mixpanel_data.__version__,
                "tools": tools,
                "credentials": "present" if present else "missing",
            }
        )

    @server.custom_route("/ready", methods=["GET"])
    async def ready(_request: Request) -> JSONResponse:
        told = await readiness.told()
        return JSONResponse(told, status_code=200 if told["status"] == "ready" else 503)


def _ask_who_we_are(workspaces: Workspaces) -> dict[str, Any]:
    """Which project our credentials open; the question spends nothing of the project's budget.

    Source: reference/mixpanel-api.md, section 9.1
    """
    workspace = workspaces.asking()
    client = workspace.api
    answer = client.request("GET", f"{host(workspace)}/api/app/me", timeout=_PATIENCE_S)
    if client.project_id not in answer["results"]["projects"]:
        raise AuthenticationError(f"the service account may not read project {client.project_id}", status_code=403)
    return {"project_id": client.project_id, "region": client.region}


class Readiness:
    """Whether Mixpanel takes our credentials: tried when somebody asks, and not for everybody who does.

    Args:
        look: asks Mixpanel; raises where it refuses
        mask: takes secrets out of a text
    """

    def __init__(self, look: Callable[[], dict[str, Any]], mask: Callable[[str], str]) -> None:
        self._look, self._mask = look, mask
        self._found: dict[str, Any] | None = None
        self._found_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def told(self) -> dict[str, Any]:
        """status: ready, or not ready with code, cause, fix and retry_after_s; age_s: how old the finding is."""
        if not self._is_fresh():
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._try())
            # who does not wait for the end leaves it to the next one to ask
            await asyncio.wait({self._looking}, timeout=_PATIENCE_S)
        if self._found is None or not self._is_fresh():
            cause = f"Mixpanel has not answered within {_PATIENCE_S:.0f} s"
            fix = "check the network, and MP_API_BASE_URL if it is set; ask again"
            found = {"status": "not ready", "code": "TIMEOUT", "cause": cause, "fix": fix, "retry_after_s": None}
            return {**found, "age_s": 0.0}
        return {**self._found, "age_s": round(clock.monotonic() - self._found_at, 1)}

    def _is_fresh(self) -> bool:
        if self._found is None:
            return False
        good_for = _GOOD_FOR_S if self._found["status"] == "ready" else _BAD_FOR_S
        return clock.monotonic() - self._found_at < good_for

    async def _try(self) -> None:
        found = await anyio.to_thread.run_sync(self._tried)
        self._found, self._found_at = found, clock.monotonic()

    def _tried(self) -> dict[str, Any]:
        try:
            return {"status": "ready", **self._look()}
        except Exception as error:  # noqa: BLE001 - the rim: whatever it is, it is told
            told = explain(error, tool="ready", mask=self._mask).structured()
            return {"status": "not ready", **{key: value for key, value in told.items() if key != "details"}}


class OneEndpoint:
    """Serve /mcp/ as /mcp: a redirect is refused by clients that must not repeat a POST elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp/":
            scope = {**scope, "path": "/mcp", "raw_path": b"/mcp"}
        await self._app(scope, receive, send)


class NoDeadSessions:
    """Keep clients of the handshake era from adopting a session that is none, where sessions are kept.

    A GET before there is a session would be answered 400 with the id of a session that was discarded at once; who sees
    it after the answer to initialize takes it for its own, and is lost. Whoever may not have a second stream is told
    405 as well, which clients take for "there is none" and go on.

    Source: reference/mcp-and-vcr-facts.md
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/mcp":
            await self._app(scope, receive, send)
            return
        is_get = scope["method"] == "GET"
        if is_get and not any(name == _SESSION.encode() for name, _ in scope["headers"]):
            await Response(status_code=405, headers={"Allow": "POST, DELETE"})(scope, receive, send)
            return

        async def without(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                del MutableHeaders(scope=message)[_SESSION]
                if is_get and message["status"] == 409:
                    message["status"] = 405
            await send(message)

        await self._app(scope, receive, without)
