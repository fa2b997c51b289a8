"""mp-mcp-server itself, which can be told while it runs to go wrong in one way and to be right again.

    bendable_server.py OPTIONS-OF-THE-SERVER

`PUT /_bend` takes a JSON object: what bends, by name; an empty one makes all of it right again.

health     keys to put in place of those of /health
ready      what /ready answers, with status 503
drop       tools to leave out of tools/list
get        status of a GET for a stream, which then carries the id of a dead session
slash      whether /mcp/ is answered with a redirect
refuse     `initialize`, or the protocol version whose requests are refused
anonymous  whether what is asked of Mixpanel bears no Internal-Source
"""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

sys.path.insert(0, str(Path(__file__).parents[3]))

from mp_mcp_server import cli, server

BENT: dict[str, Any] = {}


class Bendable:
    """Between the clients and the real application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        instead = answer_instead(scope, body)
        if instead is not None:
            await instead(scope, receive, send)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, changed(send, scope, body) or send)


def answer_instead(scope: Scope, body: bytes) -> Response | None:
    """What is answered in the real application's place."""
    path, method = scope["path"], scope["method"]
    headers = dict(scope["headers"])
    if path == "/_bend":
        BENT.clear()
        BENT.update(json.loads(body))
        return JSONResponse({})
    if path == "/ready" and "ready" in BENT:
        return JSONResponse(BENT["ready"], 503)
    if path == "/mcp" and method == "GET" and "get" in BENT:
        return Response(status_code=BENT["get"], headers={"mcp-session-id": "5e551011dead"})
    if path == "/mcp/" and BENT.get("slash"):
        return RedirectResponse("/mcp", 307)
    refused = BENT.get("refuse", "").encode()
    if refused and (headers.get(b"mcp-protocol-version") == refused or b'"method": "%s"' % refused in body):
        return JSONResponse({"jsonrpc": "2.0", "id": 1, "error": {"code": -32600, "message": "bent"}}, 400)
    return None


def changed(send: Send, scope: Scope, body: bytes) -> Send | None:
    """A `send` that changes the whole answer, None for an answer that stays as it is."""
    is_list = scope["path"] == "/mcp" and b"tools/list" in body and "drop" in BENT
    if not is_list and not (scope["path"] == "/health" and "health" in BENT):
        return None
    held: list[Message] = []

    async def sent(message: Message) -> None:
        held.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            text = b"".join(each.get("body", b"") for each in held[1:])
            new = without_tools(text) if is_list else json.dumps(json.loads(text) | BENT["health"]).encode()
            start = held[0]
            plain = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            await send({**start, "headers": [*plain, (b"content-length", str(len(new)).encode())]})
            await send({"type": "http.response.body", "body": new})

    return sent


def without_tools(text: bytes) -> bytes:
    """An answer to tools/list, JSON or the event that it is in, without some of them."""
    lines = text.split(b"\n")
    for at, line in enumerate(lines):
        head, json_text = (b"data: ", line[6:]) if line.startswith(b"data: ") else (b"", line)
        if b'"tools"' in json_text:
            answer = json.loads(json_text)
            tools = answer["result"]["tools"]
            answer["result"]["tools"] = [tool for tool in tools if tool["name"] not in BENT["drop"]]
            lines[at] = head + json.dumps(answer).encode()
    return b"\n".join(lines)


def main() -> int:
    """Serve."""
    plain_send, plain_application = httpx.Client.send, server.application

    def send(self: httpx.Client, request: httpx.Request, **named: Any) -> httpx.Response:
        if BENT.get("anonymous"):
            request.headers.pop("Internal-Source", None)
        return plain_send(self, request, **named)

    def application(*arguments: Any, **named: Any) -> Any:
        return Bendable(plain_application(*arguments, **named))

    httpx.Client.send = send  # type: ignore[method-assign]  # the fault itself
    server.application = application
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
