"""FAULTS: for every check a way to break exactly that in a real stack; REASONS: why there is none for a few."""

from dataclasses import dataclass
from functools import partial

from harness.doctor.known_issues import KNOWN_ISSUES
from tests.harness.doctor import tapes
from tests.harness.doctor.breaking import (
    Breaking,
    bent,
    broken_minikube,
    clock_ahead,
    connected_too_early,
    damaged_state,
    edited_checkout,
    environment,
    few_files,
    fewer_tools,
    front_door,
    halted,
    hung_copilot,
    killed,
    line_in_a_log,
    live,
    locked_store,
    not_loaded,
    occupied,
    older_package,
    open_to_others,
    other_program,
    removed_log,
    restarted,
    small_disk,
    spent_budget,
    stray,
    switch_cut_short,
    upstream_fault,
)

REASONS = {
    "python.version": "the Python that would have to be too old is the one that the doctor and its tests run in",
    "machine.memory": "to use up the machine's memory would end other programs on it",
}


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    check: the one that it breaks; code: what the check calls it
    breaks: a context in which it is broken; gives the environment's changes
    mended: whether `--fix` claims to mend it, and so has to
    as_root: whether only root can break it so
    """

    check: str
    name: str
    code: str
    breaks: Breaking
    mended: bool = False
    as_root: bool = False


FORWARDED = "proxy_set_header X-Forwarded-Proto $scheme;"
# What it belongs to is skipped on an emulator, so that nobody can say that it is over.
UNSEEN = next(issue for issue in KNOWN_ISSUES if issue.check == "creds.present")
NO_TYPESCRIPT = '#!/bin/sh\n[ "$1" = --version ] && echo v24.0.0 || { echo "bad option: $1" >&2; exit 9; }\n'

FAULTS: tuple[Fault, ...] = (
    Fault("python.packages", "an older package comes first", "PACKAGES", older_package),
    Fault(
        "python.environment",
        "another environment is activated",
        "OTHER_ENVIRONMENT",
        partial(environment, VIRTUAL_ENV="/nonexistent/other"),
    ),
    Fault("python.variables", "PYTHONPATH is set", "MISLEADING", partial(environment, PYTHONPATH="/nonexistent/more")),
    Fault(
        "uv.version",
        "a script calls uv, and there is none",
        "MISSING",
        partial(edited_checkout, file="generate-env.sh", old="cat > .env", new="uv run true\ncat > .env"),
    ),
    Fault(
        "node.version",
        "a wrapper that is called node",
        "BROKEN",
        lambda bench: other_program(bench, "node", NO_TYPESCRIPT, npm=NO_TYPESCRIPT),
    ),
    Fault("state.directory", "chmod 755", "OPEN", open_to_others, mended=True),
    Fault("state.file", "cut short", "DAMAGED", damaged_state, mended=True),
    Fault("state.strays", "a process left behind", "LEFT_BEHIND", stray, mended=True),
    Fault("machine.disk", "a full disk", "FULL", small_disk, as_root=True),
    Fault("machine.files", "ulimit -n 128", "FEW_FILES", few_files),
    Fault("ports.free", "a stranger has a dead service's port", "TAKEN", partial(occupied, name="copilot")),
    Fault("creds.present", "one is unset", "NOT_SET", partial(live, MP_PROJECT_ID=None)),
    Fault("creds.present", "in ~/.bashrc, not loaded", "NOT_LOADED", not_loaded),
    Fault("creds.form", "a placeholder", "PLACEHOLDER", partial(live, MP_SECRET="your-secret-here")),
    Fault("creds.form", "a token for a project id", "MALFORMED", partial(live, MP_PROJECT_ID="0123456789abcdef" * 2)),
    Fault("creds.accepted", "a wrong secret", "WRONG_SECRET", partial(live, MP_SECRET="another")),
    Fault("creds.accepted", "another region", "WRONG_REGION", partial(live, MP_REGION="in")),
    Fault("creds.accepted", "another project", "WRONG_PROJECT", partial(live, MP_PROJECT_ID="17")),
    Fault(
        "creds.accepted",
        "a person's login",
        "WRONG_SECRET",
        partial(live, MP_USERNAME="me@example.test", MP_SECRET="x"),
    ),
    Fault(
        "mixpanel.reachable", "nobody there", "REFUSED", partial(live, MP_API_BASE_URL="http://127.0.0.1:1/{region}")
    ),
    Fault("mixpanel.clock", "an hour ahead", "SKEW", clock_ahead),
    Fault("emulator.process", "kill -9", "DIED", partial(killed, name="emulator"), mended=True),
    Fault("mcp.process", "kill -9", "DIED", partial(killed, name="mcp"), mended=True),
    Fault("mcp.health", "another program's name", "OTHER_PROGRAM", partial(bent, health={"name": "billing"})),
    Fault("mcp.health", "no credentials", "NO_CREDENTIALS", partial(bent, health={"credentials": "missing"})),
    Fault("mcp.version", "an older server runs", "OTHER_VERSION", partial(bent, health={"version": "0.0.9"})),
    Fault(
        "mcp.ready",
        "credentials revoked",
        "AUTH_FAILED",
        partial(bent, ready={"status": "not ready", "code": "AUTH_FAILED", "cause": "refused", "fix": "others"}),
    ),
    Fault("mcp.protocol", "no handshake", "PROTOCOL", partial(bent, refuse="initialize")),
    Fault("mcp.modern", "no modern era", "PROTOCOL", partial(bent, refuse="2026-07-28")),
    Fault("mcp.tools", "three tools less", "TOOLS", lambda bench: fewer_tools(bench, "sql", "funnel", "top_events")),
    Fault(
        "mcp.call",
        "Mixpanel refuses",
        "QUERY_FAILED",
        partial(upstream_fault, kind="status", value=400, path="/api/query/stream/query"),
    ),
    Fault(
        "mcp.call",
        "Mixpanel is slow",
        "SLOW",
        partial(upstream_fault, kind="latency", value=5200, path="/api/query/stream/query"),
    ),
    Fault("mcp.store", "somebody holds the database", "DATABASE_LOCKED", locked_store),
    Fault("mcp.sse", "400 with a dead session's id", "UNSAFE", partial(bent, get=400)),
    Fault("mcp.endpoint", "/mcp/ is redirected", "REDIRECT", partial(bent, slash=True)),
    Fault("mcp.internal-headers", "no Internal-Source", "NO_HEADER", partial(bent, anonymous=True)),
    Fault(
        "copilot.checkout",
        "no script dev",
        "NO_DEV_SCRIPT",
        partial(edited_checkout, file="package.json", old='"dev"', new='"x"'),
    ),
    Fault("copilot.packages", "no node_modules", "NO_PACKAGES", partial(edited_checkout, remove="node_modules")),
    Fault(
        "copilot.edit-client", "the file is missing", "MISSING", partial(edited_checkout, remove="agent/mcp-client.ts")
    ),
    Fault(
        "copilot.edit-app",
        "the call is commented out",
        "MISSING",
        partial(edited_checkout, file="server/app.ts", old="const tools = await", new="// const tools = await"),
    ),
    Fault(
        "copilot.edit-index",
        "no dispatcher",
        "MISSING",
        partial(edited_checkout, file="server/index.ts", old="setGlobalDispatcher(new", new="void (new"),
    ),
    Fault(
        "copilot.edit-env",
        "the variable only in a comment",
        "MISSING",
        partial(
            edited_checkout, file="generate-env.sh", old="\nMIXPANEL_DATA_MCP_URL=", new="\n# MIXPANEL_DATA_MCP_URL="
        ),
    ),
    Fault("copilot.process", "kill -STOP", "HALTED", partial(halted, name="copilot"), mended=True),
    Fault("copilot.process", "kill -9", "DIED", partial(killed, name="copilot"), mended=True),
    Fault("copilot.health", "it hangs", "SILENT", hung_copilot),
    Fault(
        "copilot.mcp-url",
        "another server's address",
        "OTHER_SERVER",
        partial(restarted, name="copilot", MIXPANEL_DATA_MCP_URL="http://127.0.0.1:1/mcp"),
    ),
    Fault("copilot.tools", "connected too early", "TOOLS", connected_too_early),
    Fault(
        "copilot.timeouts", "five minutes", "TOO_SHORT", partial(restarted, name="copilot", COPILOT_SILENCE_MS="300000")
    ),
    Fault(
        "copilot.timeouts",
        "five minutes in server/index.ts",
        "TOO_SHORT",
        partial(edited_checkout, file="server/index.ts", old="10 * 60", new="5 * 60"),
    ),
    Fault(
        "minikube.manifest",
        "the pod's own localhost",
        "LOCALHOST",
        partial(edited_checkout, file="k8s/copilot.yaml", old="host.minikube.internal", new="localhost"),
    ),
    Fault("minikube.host", "no way out of minikube", "NO_WAY", broken_minikube),
    Fault(
        "nginx.version",
        "a binary that is none",
        "NGINX_MISSING",
        partial(environment, HARNESS_NGINX_BINARY="/nonexistent"),
    ),
    Fault(
        "nginx.syntax", "a semicolon less", "SYNTAX", partial(front_door, old="gzip off;", new="gzip off"), mended=True
    ),
    Fault("nginx.process", "kill -9", "DIED", partial(killed, name="nginx"), mended=True),
    Fault(
        "nginx.health",
        "another program's name",
        "OTHER_PROGRAM",
        partial(front_door, old='"harness-nginx"', new='"billing"', reload=True),
        mended=True,
    ),
    Fault(
        "nginx.upstream",
        "it leads to minikube",
        "LEADS_ELSEWHERE",
        lambda bench: front_door(bench, f"127.0.0.1:{bench.ports['mcp']}", "192.168.49.2:30082"),
        mended=True,
    ),
    Fault(
        "nginx.buffering",
        "proxy_buffering on",
        "BUFFERS",
        partial(front_door, old="proxy_buffering off;", new="proxy_buffering on;"),
        mended=True,
    ),
    Fault(
        "nginx.read-timeout",
        "a minute",
        "TOO_SHORT",
        partial(front_door, old="proxy_read_timeout 900s;", new="proxy_read_timeout 60s;"),
        mended=True,
    ),
    Fault(
        "nginx.streaming",
        "it asks the server for JSON alone",
        "STATUS",
        partial(front_door, old=FORWARDED, new=f"{FORWARDED} proxy_set_header Accept application/json;", reload=True),
    ),
    Fault("nginx.switch", "cut short", "CUT_SHORT", switch_cut_short),
    Fault("cassettes.complete", "a tape is cut", "INCOMPLETE", tapes.cut),
    Fault("cassettes.complete", "a case has none", "INCOMPLETE", tapes.missing),
    Fault("cassettes.complete", "a tape has no case", "LEFT_OVER", tapes.left_over),
    Fault("cassettes.fresh", "recorded two years ago", "STALE", tapes.stale),
    Fault("cassettes.fresh", "one of another data set", "MIXED", tapes.mixed),
    Fault("cassettes.secrets", "a token in an answer", "SECRET", tapes.with_a_token),
    Fault(
        "logs.known-issues",
        "a fault that no check sees",
        "KNOWN_ISSUE",
        partial(line_in_a_log, service="mcp", line=UNSEEN.matches[0]),
    ),
    Fault("logs.known-issues", "a log is removed", "LOG_REMOVED", partial(removed_log, service="mcp")),
    Fault("mixpanel.budget", "every export spent", "SPENT", spent_budget),
)
