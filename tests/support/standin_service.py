"""A small service in the place of emulator, MCP server or copilot: real process, real HTTP, standard library only.

    standin_service.py emulator|mcp|copilot PORT [--slow S] [--refuse] [--stubborn] [--child] [--mute] [--as WHAT]

--slow S    answers only S seconds after its start
--refuse    ends at once with status 2 and an error as JSON
--last-words TEXT  ends at once with status 1 and this on its last line
--stubborn  does not end at SIGTERM
--child     starts a process of its own in a session of its own, which does not end at SIGTERM either
--mute      takes connections and never answers
--as WHAT   redirect, html, noise or stranger: another program on the port

While there is a file `silent` in the directory where it works, it takes requests and does not answer them.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ABOUT = {
    "name": "mixpanel-emulator",
    "version": "1",
    "source": "seed",
    "project": {"id": 4711, "name": "Stand-in", "timezone": "UTC", "region": "eu", "token": "t"},
    "account": {"username": "standin", "secret": "standin-secret"},
    "first_day": "2025-03-03",
    "last_day": "2025-06-30",
    "now": None,
    "event_count": 12345,
    "limits": "off",
}
TOOLS: dict[str, dict[str, Any]] = {
    "list_events": {"type": "object", "properties": {"limit": {"type": "integer"}}},
    "environment": {"type": "object", "properties": {}},
    "echo": {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "names": {"type": "array", "items": {"type": "string"}},
            "unit": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["text"],
    },
    "fail": {"type": "object", "properties": {}},
    "wait": {"type": "object", "properties": {}},
}
ODDITIES = {
    "redirect": (307, "text/plain", b"", "https://elsewhere.example/"),
    "html": (200, "text/html", b"<html><body>It works!</body></html>", None),
    "stranger": (200, "application/json", b'{"status": "ok", "name": "billing"}', None),
}


def answer_tool(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The result of a tools/call."""
    if name == "fail":
        error = {"code": "QUERY_FAILED", "cause": "no such event", "fix": "call list_events"}
        return {"content": [{"type": "text", "text": "text"}], "structuredContent": error, "isError": True}
    if name == "wait":
        time.sleep(30)
    value = {
        "list_events": {"result": ["Sign Up"]},
        "environment": {"result": dict(os.environ)},
        "echo": {"result": arguments},
    }[name]
    return {"content": [{"type": "text", "text": json.dumps(value)}], "structuredContent": value, "isError": False}


def answer_rpc(message: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a request; None for a notification."""
    match message["method"]:
        case "initialize":
            info = {"name": "mixpanel", "version": "1"}
            return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": [{"name": name, "inputSchema": schema} for name, schema in TOOLS.items()]}
        case "tools/call":
            return answer_tool(message["params"]["name"], message["params"]["arguments"])
    return None


class Handler(BaseHTTPRequestHandler):
    """The routes that the harness asks for."""

    options: argparse.Namespace

    def do_GET(self) -> None:
        """Health and what the service says of itself."""
        if self._odd():
            return
        if self.path == "/_emulator/health":
            self._send({"status": "ok"})
        elif self.path == "/_emulator/about":
            self._send(ABOUT)
        elif self.path == "/health":
            name = {"mcp": "mixpanel", "copilot": "mixpanel-copilot"}[self.options.role]
            self._send({"status": "ok", "name": name, "version": "1", "tools": len(TOOLS)})
        elif self.path == "/_copilot/about":
            self._send({"name": "mixpanel-copilot", "mcp_url": os.environ.get("MIXPANEL_DATA_MCP_URL")})
        elif self.path == "/mcp":
            # No stream of its own, as the real server without sessions has none.
            self.send_response(405)
            self.send_header("content-length", "0")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """MCP: each answer as a stream with a ping and a notification before it."""
        if self._odd():
            return
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        result = answer_rpc(message)
        if result is None and "id" in message:
            # It knows the handshake era only, and says so to who asks in another.
            error = {"code": -32601, "message": "Method not found"}
            self._send({"jsonrpc": "2.0", "id": message["id"], "error": error})
            return
        if result is None:
            self.send_response(202)
            self.end_headers()
            return
        noise = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        body = f": ping\r\n\r\nevent: message\r\ndata: {json.dumps(noise)}\r\n\r\ndata: {json.dumps(answer)}\r\n\r\n"
        self._send(body, "text/event-stream")

    def log_message(self, *_: Any) -> None:
        """One line a request, as real services write them."""
        sys.stderr.write(f"{self.command} {self.path}\n")

    def _odd(self) -> bool:
        while Path("silent").exists():
            time.sleep(0.01)
        what = self.options.odd
        if what is None:
            return False
        if what == "noise":
            self.wfile.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            return True
        status, kind, body, location = ODDITIES[what]
        self.send_response(status)
        self.send_header("content-type", kind)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def _send(self, body: Any, kind: str = "application/json") -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("emulator", "mcp", "copilot", "orphan"))
    parser.add_argument("port", type=int)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--refuse", action="store_true")
    parser.add_argument("--last-words")
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--mute", action="store_true")
    parser.add_argument("--as", dest="odd", choices=(*ODDITIES, "noise"))
    options = parser.parse_args()
    sys.stderr.write(f"{options.role} begins\n")
    if options.refuse:
        error = {"code": "EXPORT_MALFORMED", "cause": "line 3 is no JSON object", "fix": "export it again"}
        sys.stderr.write(json.dumps(error) + "\n")
        return 2
    if options.last_words:
        sys.stderr.write(options.last_words + "\n")
        return 1
    if options.stubborn or options.role == "orphan":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.role == "orphan":
        threading.Event().wait()
    if options.child:
        subprocess.Popen([sys.executable, __file__, "orphan", "0"], start_new_session=True)
    time.sleep(options.slow)
    Handler.options = options
    with ThreadingHTTPServer(("127.0.0.1", options.port), Handler) as server:
        server.daemon_threads = True
        if options.mute:
            threading.Event().wait()
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
