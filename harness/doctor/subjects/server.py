"""The MCP server: its health, both protocol eras, its tools, its answer to a stream's GET, and what it sends on."""

import importlib.metadata
import json
import secrets
from collections.abc import Mapping
from typing import Any

from harness import clock, wire
from harness.doctor import fixes
from harness.doctor.check import Finding, bad, doubtful, good, unused
from harness.doctor.sight import Sight
from harness.rpc import PROTOCOL, TYPES, Session, tool_error
from harness.settings import DISTRIBUTION

MODERN = "2026-07-28"
PROBE_S, CALL_S = 8.0, 30.0
SLOW_S = 5.0
SESSION = "mcp-session-id"
INTERNAL = "internal-source"
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
REFUSALS = (400, 404, 405, 406, 409)


def health(sight: Sight) -> Finding:
    """GET /health."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    answer = wire.get(sight.place("mcp"), "/health", PROBE_S).json_object()
    if answer.get("name") != "mixpanel":
        fix = "another program is on the server's port: end it, or set another mcp.port"
        return bad("OTHER_PROGRAM", f"the program there calls itself {answer.get('name')}, not mixpanel", fix)
    if answer.get("status") != "ok":
        return bad("UNWELL", f"its status is {answer.get('status')}", "see why: harness logs mcp")
    if answer.get("credentials") == "missing":
        return bad(
            "NO_CREDENTIALS", "the server was started without credentials", fixes.restart(sight, "mcp", safe=False)
        )
    return good(f"version {answer.get('version')}, {answer.get('tools')} tools", version=answer.get("version"))


def version(sight: Sight) -> Finding:
    """The version that /health tells, against the one that is installed."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    running, installed = sight.facts("mcp.health").get("version"), importlib.metadata.version(DISTRIBUTION)
    if running == installed:
        return good(f"both are {installed}")
    return doubtful(
        "OTHER_VERSION",
        f"the server that runs is {running}, and {installed} is installed here",
        fixes.restart(sight, "mcp", safe=False),
    )


def ready(sight: Sight) -> Finding:
    """GET /ready: whether Mixpanel takes the server's credentials."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    answer = wire.get(sight.place("mcp"), "/ready", CALL_S)
    if answer.status == 404:
        return unused("this server has no /ready")
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = {}
    if answer.status == 200 and told.get("status") == "ready":
        return good(f"project {told.get('project_id')} in {told.get('region')}, tried {told.get('age_s')} s ago")
    if "cause" not in told:
        return bad("STATUS", f"/ready answers {answer.status}: {answer.shown()}", "see why: harness logs mcp")
    return bad(str(told.get("code")), str(told["cause"]), str(told.get("fix") or "see harness logs mcp"))


def handshake(sight: Sight) -> Finding:
    """initialize and tools/list as clients of the handshake era send them."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    session = Session(sight.place("mcp"), sight.path("mcp"), CALL_S)
    about = session.initialize()
    names = [tool.get("name") for tool in session.tools()]
    session.close()
    spoken = about.get("protocolVersion")
    return good(f"speaks {spoken}, lists {len(names)} tools", tools=names, protocol=spoken)


def modern(sight: Sight) -> Finding:
    """tools/list as clients of the modern era send it: no handshake, all in one request."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": _META}}
    headers = {**TYPES, "mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
    answer = wire.request(
        sight.place("mcp"), "POST", sight.path("mcp"), timeout_s=CALL_S, headers=headers, body=json.dumps(body).encode()
    )
    message = _message(answer)
    if answer.status != 200 or "result" not in message:
        what = message.get("error", {}).get("message") if isinstance(message.get("error"), dict) else answer.shown()
        return bad(
            "PROTOCOL",
            f"HTTP {answer.status} to a request of {MODERN}: {what}",
            "update fastmcp: make setup; see harness logs mcp",
        )
    return good(f"speaks {MODERN}, lists {len(message['result'].get('tools', []))} tools")


def tools(sight: Sight) -> Finding:
    """The names that the server lists, against the catalogue's."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    from mp_mcp_server.catalogue import TOOLS

    wanted, listed = {tool.name for tool in TOOLS}, set(sight.facts("mcp.protocol")["tools"])
    if wanted == listed:
        return good(f"all {len(wanted)}, and no other")
    missing, more = sorted(wanted - listed), sorted(listed - wanted)
    parts = [f"missing: {', '.join(missing)}"] if missing else []
    parts += [f"not in the catalogue: {', '.join(more)}"] if more else []
    what = f"{len(listed)} tools, not {len(wanted)}; {'; '.join(parts)}"
    return bad("TOOLS", what, fixes.restart(sight, "mcp", safe=False), missing=missing, more=more)


def call(sight: Sight) -> Finding:
    """A real question: activity_feed for a user that nobody is, which no cache can answer; a recorded one on tapes."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    who = f"harness-doctor-{secrets.token_hex(4)}"
    tool, arguments = ("list_events", {}) if sight.replays else ("activity_feed", {"distinct_id": who})
    began = clock.monotonic()
    session = Session(sight.place("mcp"), sight.path("mcp"), CALL_S)
    session.initialize()
    result = session.call(tool, arguments)
    session.close()
    took_s = clock.monotonic() - began
    if result.get("isError"):
        error = tool_error(result)
        return bad(error.code, error.cause, error.fix)
    told = f"{tool} answered after {took_s:.2f} s"
    if took_s > SLOW_S:
        return doubtful("SLOW", told, "see what takes long: harness status --timing, harness logs mcp", asked_as=who)
    return good(told, asked_as=who, seconds=round(took_s, 3))


def store(sight: Sight) -> Finding:
    """list_tables: whether the server gets at its local store."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    session = Session(sight.place("mcp"), sight.path("mcp"), CALL_S)
    session.initialize()
    result = session.call("list_tables", {})
    session.close()
    if result.get("isError"):
        error = tool_error(result)
        return bad(error.code, error.cause, error.fix)
    return good("list_tables answered")


def stream(sight: Sight) -> Finding:
    """What a GET without a session, and one with a dead session, is answered."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    asked = {
        "without a session": {},
        "with a dead session": {SESSION: secrets.token_hex(16), "mcp-protocol-version": PROTOCOL},
    }
    seen: dict[str, tuple[int, Mapping[str, str]]] = {}
    for how, more in asked.items():
        headers = {"accept": "text/event-stream", **more}
        with wire.opened(sight.place("mcp"), "GET", sight.path("mcp"), timeout_s=PROBE_S, headers=headers) as (
            status,
            answered,
            _,
        ):
            seen[how] = status, answered
    told = "; ".join(f"{status} {how}" for how, (status, _) in seen.items())
    fix = "run it without --stateful, or with a guard that answers 405 and sends no session id with an error"
    facts = {how: status for how, (status, _) in seen.items()}
    for how, (status, answered) in seen.items():
        if status >= 400 and SESSION in answered:
            what = (
                f"a GET {how} is answered {status} and handed the id of a dead session: a client that adopts it is lost"
            )
            return bad("UNSAFE", what, fix, answers=facts)
        if status >= 400 and status not in REFUSALS:
            return bad("BROKEN", f"a GET {how} is answered {status}", fix, answers=facts)
    if seen["without a session"][0] == 400:
        what = f"{told}: clients log GET SSE failed: 400, and go on"
        return doubtful("FALLS_BACK", what, fix, answers=facts)
    return good(f"{told}: clients go on without a stream", answers=facts)


def endpoint(sight: Sight) -> Finding:
    """POST to the address with and without a slash at its end: neither may be sent elsewhere."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    for path in (sight.path("mcp"), sight.path("mcp").rstrip("/") + "/"):
        answer = wire.request(sight.place("mcp"), "POST", path, timeout_s=PROBE_S, headers=TYPES, body=body)
        if 300 <= answer.status < 400:
            what = (
                f"a POST to {path} is sent to {answer.headers.get('location')} ({answer.status}), which clients refuse"
            )
            return doubtful("REDIRECT", what, f"give clients exactly {sight.url('mcp')}")
    return good("answers with and without a slash at its end")


def internal_headers(sight: Sight) -> Finding:
    """The header in the emulator's own list of what it was asked, of the call that `mcp.call` has just made."""
    if (why := sight.absent("mcp") or sight.absent("emulator")) is not None:
        return unused(f"only an emulator shows what it was asked: {why}")
    who = sight.facts("mcp.call").get("asked_as", "")
    rows = wire.get(sight.place("emulator"), "/_emulator/requests", PROBE_S).json_object()["requests"]
    own = [row for row in rows if who and who in row["query"]]
    if not own:
        return doubtful(
            "NOT_SEEN", "the emulator has not seen the call: the server asks somebody else", "harness up --fresh"
        )
    value = own[-1]["headers"].get(INTERNAL)
    if not value:
        fix = "pass _INTERNAL_API_HEADERS on: Workspace(api_headers=…)"
        return bad("NO_HEADER", f"the server's call bore no {INTERNAL} header: Mixpanel counts it as a person's", fix)
    return good(f"{INTERNAL}: {value}")


def _message(answer: wire.Answer) -> dict[str, Any]:
    for text in wire.messages(answer.headers.get("content-type", ""), iter([answer.body])):
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict) and ("result" in found or "error" in found):
            return found
    return {}
