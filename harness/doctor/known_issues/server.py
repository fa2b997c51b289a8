"""Known issues that show in the MCP server's log, or in the emulator's.

Source: reference/mcp-and-vcr-facts.md
"""

from harness.doctor.known_issues.issue import KnownIssue, Weight

_FAILED = '2025-06-30 10:00:00,601 ERROR mp_mcp_server.audit: "{tool}" failed after 8.2 ms: {code}'


def _failed(tool: str, code: str) -> str:
    return _FAILED.format(tool=tool, code=code)


ISSUES: tuple[KnownIssue, ...] = (
    KnownIssue(
        id="credentials-refused",
        title="Mixpanel refuses the service account",
        symptoms=("failed after … ms: AUTH_FAILED", "Invalid credentials", "Unable to authenticate request"),
        cause="the secret is wrong, or the account lives in another region or may not read this project",
        solution="harness creds tells which of them it is",
        check="creds.accepted",
        matches=(
            _failed("list_events", "AUTH_FAILED"),
            '{"request": "/api/query/events/names?project_id=99", "error": "Unable to authenticate request"}',
        ),
        passes=(_failed("list_events", "RATE_LIMITED"), "credentials present"),
    ),
    KnownIssue(
        id="credentials-missing",
        title="there are no credentials, or only some of them",
        symptoms=(
            "failed after … ms: CONFIG_ERROR",
            "no Mixpanel credentials are configured",
            "some of the MP_* variables are set, but not",
            "CREDENTIALS_MISSING",
        ),
        cause="MP_USERNAME, MP_SECRET, MP_PROJECT_ID and MP_REGION are not all set where the server was started",
        solution="export all four in the shell that runs harness up --target live; or none, to work on the emulator",
        check="creds.present",
        matches=(
            _failed("list_events", "CONFIG_ERROR"),
            "Configuration error: some of the MP_* variables are set, but not: MP_SECRET, MP_PROJECT_ID, MP_REGION",
        ),
        passes=(_failed("list_events", "AUTH_FAILED"), "all of the MP_* variables are set"),
    ),
    KnownIssue(
        id="rate-limited",
        title="the project's budget of calls is spent",
        symptoms=("failed after … ms: RATE_LIMITED", '" 429', "429 Too Many Requests", "budget of … calls is used up"),
        cause="Mixpanel answers 60 queries an hour, five at once; the library counts and does not send the next one",
        solution="wait as long as retry_after_s says, or ask for more in one call; the emulator has no limits",
        check="mixpanel.budget",
        matches=(
            _failed("segmentation", "RATE_LIMITED"),
            'INFO: 127.0.0.1 - "GET /api/query/segmentation HTTP/1.1" 429 Too Many Requests',
            "the project's budget of query calls is used up: 60 of 60 in the last hour; Mixpanel was not asked",
        ),
        passes=(_failed("segmentation", "HTTP_ERROR"), '"segmentation" took 429.5 ms', "rate limits: off"),
    ),
    KnownIssue(
        id="mixpanel-unreachable",
        title="the server does not reach Mixpanel, or the emulator",
        symptoms=(
            "failed after … ms: HTTP_ERROR",
            "ConnectError: [Errno 111] Connection refused",
            "Name or service not known",
            "Temporary failure in name resolution",
            "getaddrinfo ENOTFOUND",
            "getaddrinfo EAI_AGAIN",
        ),
        cause="the emulator has died, the network or the name service is down, or MP_API_BASE_URL points elsewhere",
        solution="harness status tells whether the emulator lives, harness up brings it back; else check the network",
        check="mixpanel.reachable",
        matches=(
            _failed("list_events", "HTTP_ERROR"),
            "no answer from http://127.0.0.1:8201/api (ConnectError: [Errno 111] Connection refused)",
            "httpx.ConnectError: [Errno -2] Name or service not known",
        ),
        passes=(_failed("list_events", "AUTH_FAILED"), "connect ECONNREFUSED 127.0.0.1:8200"),
    ),
    KnownIssue(
        id="database-locked",
        title="another program holds the local store",
        symptoms=("failed after … ms: DATABASE_LOCKED", "Could not set lock on file", "Conflicting lock is held"),
        cause="DuckDB lets one process write: another server, a notebook or a DuckDB shell has the file open",
        solution="close it there; the error names the process",
        check="mcp.store",
        matches=(
            _failed("list_tables", "DATABASE_LOCKED"),
            'Could not set lock on file "/srv/state/data/1.db": Conflicting lock is held in python3 (PID 9705)',
        ),
        passes=(_failed("list_tables", "STORAGE_ERROR"), "the lock file was written"),
    ),
    KnownIssue(
        id="database-broken",
        title="the local store is not a DuckDB database, or of another version",
        symptoms=(
            "failed after … ms: STORAGE_ERROR",
            "is not a DuckDB database",
            "not a valid DuckDB database file",
            "Serialization Error",
        ),
        cause="the file was made by something else, was cut short, or by a newer DuckDB",
        solution="move the file away; harness status names the state directory, and tables come back with a fetch",
        check="mcp.store",
        matches=(
            _failed("list_tables", "STORAGE_ERROR"),
            "Local storage error: /srv/state/data/1.db is not a DuckDB database",
        ),
        passes=(_failed("list_tables", "DATABASE_LOCKED"), "1.db is a DuckDB database"),
    ),
    KnownIssue(
        id="session-missing",
        title="a request came without the handshake",
        symptoms=("Bad Request: Missing session ID", '"POST /mcp HTTP/1.1" 400', '"GET /mcp HTTP/1.1" 400'),
        cause="the server keeps sessions, and curl or a client sent a request before initialize",
        solution="nothing, if it was curl; the runbook's request works on a stateless server only: harness verify",
        unless="clients then report `Session not found`: they adopted the id that the 400 carried",
        unless_seen=("Session not found", "The MCP session expired"),
        check="mcp.sse",
        weight=Weight.HARMLESS,
        matches=(
            '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Bad Request: Missing session ID"}}',
            'INFO:     127.0.0.1:50326 - "GET /mcp HTTP/1.1" 400 Bad Request',
        ),
        passes=('INFO:     127.0.0.1:50328 - "POST /mcp HTTP/1.1" 200 OK', '"GET /mcpx HTTP/1.1" 400 Bad Request'),
    ),
    KnownIssue(
        id="not-acceptable",
        title="a request named only one of the two content types",
        symptoms=("Not Acceptable: Client must accept", '"POST /mcp HTTP/1.1" 406', '"GET /mcp HTTP/1.1" 406'),
        cause="an MCP server answers in JSON or as an event stream, and wants both in the Accept header",
        solution="add -H 'accept: application/json, text/event-stream' to the request",
        check="mcp.protocol",
        weight=Weight.HARMLESS,
        unless="it comes from the copilot and not from curl or a browser",
        matches=('INFO:     127.0.0.1:50326 - "POST /mcp HTTP/1.1" 406 Not Acceptable',),
        passes=('INFO:     127.0.0.1:50326 - "POST /mcp HTTP/1.1" 200 OK', "the terms are not acceptable"),
    ),
    KnownIssue(
        id="host-refused",
        title="the server refuses the Host or Origin header",
        symptoms=(
            "POSTing to endpoint (HTTP 421)",
            "POSTing to endpoint (HTTP 403)",
            '"POST /mcp HTTP/1.1" 421',
            '"POST /mcp HTTP/1.1" 403',
            "Invalid Host header",
            "Invalid Origin header",
        ),
        cause="the server takes requests for this machine only, against DNS rebinding; a proxy or a container sent"
        " another name",
        solution="let the proxy send Host 127.0.0.1, as the front door of harness up does",
        check="nginx.upstream",
        matches=(
            "MCP HTTP Transport Error: POSTing to endpoint (HTTP 421): Invalid Host header",
            'INFO:     172.17.0.2:50326 - "POST /mcp HTTP/1.1" 421 Misdirected Request',
        ),
        passes=('INFO:     127.0.0.1:50326 - "POST /mcp HTTP/1.1" 202 Accepted', "host: 127.0.0.1"),
    ),
    KnownIssue(
        id="call-left-behind",
        title="a call did not end when the server did",
        symptoms=("a call did not end in time and was left behind",),
        cause="the server was ended while a tool waited for Mixpanel or for a person",
        solution="nothing; call it again",
        check="mcp.process",
        weight=Weight.HARMLESS,
        unless="it was a fetch: what is whole is kept, the same call fetches the rest",
        matches=(
            "2025-06-30 10:00:00,601 WARNING mp_mcp_server.serving: a call did not end in time and was left behind",
        ),
        passes=("a call ended in time",),
    ),
    KnownIssue(
        id="tool-crashed",
        title="a tool failed with an error that nobody expected",
        symptoms=("mp_mcp_server.errors: … failed unexpectedly", "failed after … ms: INTERNAL_ERROR"),
        cause="a defect in the server or in the library; the traceback stands in the server's log",
        solution="report it with harness bundle",
        check="mcp.call",
        matches=("2025-06-30 10:00:00,601 ERROR mp_mcp_server.errors: sql failed unexpectedly",),
        passes=(_failed("sql", "QUERY_FAILED"), "the build failed unexpectedly"),
    ),
    KnownIssue(
        id="export-malformed",
        title="the export given with --data cannot be read",
        symptoms=("EXPORT_MALFORMED",),
        cause="a line of the file is no JSON object with event and properties",
        solution="the message names the line; export it again, one JSON object a line",
        check="emulator.process",
        matches=('{"code": "EXPORT_MALFORMED", "cause": "line 3 is no JSON object", "fix": "export it again"}',),
        passes=("the export was read: 65763 events",),
    ),
    KnownIssue(
        id="stories-need-more",
        title="the data set is too small for its planted stories",
        symptoms=("STORIES_NEED_MORE",),
        cause="a drop or a difference cannot be told from chance with so few users or days",
        solution="take at least 2000 users and 60 days, or --no-stories",
        check="emulator.process",
        matches=("STORIES_NEED_MORE: stories cannot be told significantly with 50 users over 10 days",),
        passes=("250000 events of 10000 users",),
    ),
    KnownIssue(
        id="leaked-at-exit",
        title="a library complains of leaks when a Python process ends",
        symptoms=("nanobind: leaked",),
        cause="the binding of DuckDB counts what is still held when the interpreter ends",
        solution="nothing; it is said at the very end and costs nothing",
        check="mcp.process",
        weight=Weight.HARMLESS,
        unless="it comes while the process is still meant to run",
        matches=("nanobind: leaked 2 instances!",),
        passes=("a secret leaked", "nanobind 2.4"),
    ),
)
