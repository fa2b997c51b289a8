"""The copilot: whether it lives, which tools it merged, how long it waits, and where it thinks that the server is.

Ours tells it by itself; of somebody's own checkout it is read from its files, its environment and its log.
"""

import re
from collections.abc import Mapping
from typing import Any

from harness import wire
from harness.doctor import fixes
from harness.doctor.check import Finding, bad, doubtful, good, unused
from harness.doctor.sight import Sight
from harness.doctor.subjects import checkout
from harness.stack import copilot as rows
from harness.stack import identity, logs, processes

ABOUT = "/_copilot/about"
PROBE_S = 8.0
LEAST_MS = 600_000
LEAST_CONNECT_MS = 30_000
_GOT = re.compile(r"\[MCP mixpanel_data\] Got (\d+) tools")
LOG_LINES = 20_000


def packages(sight: Sight) -> Finding:
    """Whether all that the lock file names is installed."""
    if sight.service("copilot") is None:
        return unused(sight.why_not("copilot"))
    directory = sight.settings.values.copilot.dir or rows.OURS
    if not (directory / "package-lock.json").exists():
        return good(f"{directory} locks no packages")
    if rows.installed(directory):
        return good("the packages are those of the lock file")
    if sight.settings.values.copilot.dir is not None:
        return bad(
            "NO_PACKAGES", f"{directory} lacks packages of its lock file", f"install them: cd {directory} && npm ci"
        )
    if sight.member("copilot") is None:
        return good("not all packages are there yet; harness up installs them")
    return bad("NO_PACKAGES", f"{directory} lacks packages of its lock file", fixes.restart(sight, "copilot"))


def health(sight: Sight) -> Finding:
    """GET of the copilot's health route, or of its page where it has none."""
    if (why := sight.absent("copilot")) is not None:
        return unused(why)
    place = sight.place("copilot")
    if sight.settings.values.copilot.dir is not None:
        answer = wire.get(place, "/", PROBE_S)
        if answer.status >= 500:
            return bad("STATUS", f"it answers {answer.status}: {answer.shown()}", "see why: harness logs copilot")
        return good(f"it answers {answer.status}")
    found = wire.get(place, "/health", PROBE_S).json_object()
    if found.get("name") != "mixpanel-copilot" or found.get("status") != "ok":
        return bad(
            "OTHER_PROGRAM",
            f"/health answers {str(found)[:100]}",
            "set another copilot.port, or see harness logs copilot",
        )
    return good("it says that it is well")


def tools(sight: Sight) -> Finding:
    """Whether all of the server's tools are among those that it merged."""
    if (why := sight.absent("copilot")) is not None:
        return unused(why)
    from mp_mcp_server.catalogue import TOOLS

    wanted = {tool.name for tool in TOOLS}
    if sight.settings.values.copilot.dir is not None:
        return _logged(sight, len(wanted))
    about = _about(sight)
    merged = set(about["tools"])
    renamed = [f"{each['name']}, there called {each['renamed']}" for each in about.get("collisions", ())]
    missing = sorted(name for name in wanted - merged if not any(each.endswith(name) for each in merged))
    if missing:
        there = len(wanted) - len(missing)
        what = f"{there} of the server's {len(wanted)} tools are merged; missing: {', '.join(missing)[:200]}"
        return bad("TOOLS", what, fixes.restart(sight, "copilot", safe=False), missing=missing)
    told = f"{len(merged)} tools, all of the server's among them"
    return good(f"{told}; in a second server, too: {'; '.join(renamed)}" if renamed else told, tools=len(merged))


def _logged(sight: Sight, wanted: int) -> Finding:
    told = [match for line in logs.tail(sight.state.log("copilot"), LOG_LINES) if (match := _GOT.search(line))]
    if not told:
        fix = "see that agent/mcp-client.ts is called at the start, or by a question: harness explain copilot.edit-app"
        return doubtful("NOT_TOLD", "its log does not say that it got the server's tools", fix)
    if int(told[-1][1]) != wanted:
        return bad("TOOLS", f"it got {told[-1][1]} tools, not {wanted}", fixes.restart(sight, "copilot", safe=False))
    return good(f"its log says that it got {wanted} tools")


def timeouts(sight: Sight) -> Finding:
    """How long it waits for a tool, for an answer's headers and for its body."""
    if (why := sight.absent("copilot")) is not None:
        return unused(why)
    directory = sight.settings.values.copilot.dir
    found = (
        checkout.timeouts_ms(directory) if directory else {k: float(v) for k, v in _about(sight)["timeouts_ms"].items()}
    )
    told = ", ".join(f"{name} {value / 1000:g} s" for name, value in found.items())
    # 0 is undici's word for no end at all.
    short = [
        name for name in ("tool", "body", "headers") if 0 < found.get(name, 0 if name == "tool" else 300_000) < LEAST_MS
    ]
    if short:
        what = f"{', '.join(short)} end before ten minutes: {told or 'undici waits 300 s by itself'}"
        return bad(
            "TOO_SHORT",
            what,
            "give undici's dispatcher 10 minutes for body and headers: harness explain copilot.edit-index",
        )
    if 0 < found.get("connect", LEAST_CONNECT_MS) < LEAST_CONNECT_MS:
        return doubtful("CONNECT_TOO_SHORT", f"connecting may take {told}", "give connect 30 s")
    return good(told, timeouts_ms=found)


def mcp_url(sight: Sight) -> Finding:
    """The address that it was given, against where the server is."""
    if (why := sight.absent("copilot")) is not None:
        return unused(why)
    member = sight.member("copilot")
    if sight.settings.values.copilot.dir is not None and member is not None:
        trees = processes.members_of(sight.state, sight.stack, "copilot")
        given = {identity.read_environment(who.pid).get("MIXPANEL_DATA_MCP_URL", "") for who in trees}
        url = next(iter(sorted(filter(None, given))), "")
    else:
        url = str(_about(sight).get("mcp_url") or "")
    wanted = sight.url("mcp")
    if not url:
        return bad(
            "NOT_SET",
            "MIXPANEL_DATA_MCP_URL is not set where it runs",
            "have generate-env.sh write what harness env prints",
        )
    if url.rstrip("/") != wanted:
        return bad(
            "OTHER_SERVER", f"it asks {url}, and the server is at {wanted}", fixes.restart(sight, "copilot", safe=False)
        )
    if url != wanted:
        return doubtful(
            "SLASH", f"it asks {url}: some servers redirect that, and clients refuse", f"set it to {wanted}"
        )
    return good(f"it asks {url}")


def _about(sight: Sight) -> Mapping[str, Any]:
    return wire.get(sight.place("copilot"), ABOUT, PROBE_S).json_object()
