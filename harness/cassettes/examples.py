"""One good case of each tool: the example of its row in the catalogue, and what has to be fetched before it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cassettes import limits
from harness.cassettes.plan import Question
from harness.cassettes.tape import Case, ToolCall
from mixpanel_data.endpoints import ENDPOINTS
from mp_mcp_server.catalogue import TOOLS, ToolSpec

NAME = "example"

_FEW: Mapping[str, Any] = {"from_date": "2025-06-24", "to_date": "2025-06-30", "events": ["Purchase"]}
# A month of everything is megabytes that nobody reviews.
_NARROWED: Mapping[str, Mapping[str, Any]] = {
    "fetch_events": _FEW,
    "safe_large_fetch": _FEW,
}


def cases() -> tuple[Case, ...]:
    """A case for each tool."""
    return tuple(
        Case(spec.category, spec.name, NAME, {**spec.example, **_NARROWED.get(spec.name, {})}, _before(spec))
        for spec in TOOLS
    )


def guess(case: Case) -> Sequence[Question]:
    """What a case without a tape may ask: each operation of each of its tools, once."""
    specs = {spec.name: spec for spec in TOOLS}
    found = []
    for call in case.calls:
        for name in specs[call.tool].endpoints if call.tool in specs else ():
            key = json.dumps([name, call.tool, dict(call.arguments)], sort_keys=True)
            found.append(Question(key, name, limits.kind(ENDPOINTS[name].url("us"))))
    return found


def _before(spec: ToolSpec) -> tuple[ToolCall, ...]:
    wants = spec.example.get("table", "events")
    if spec.category != "local":
        return ()
    return (ToolCall("fetch_events", {**_FEW, **({} if wants == "events" else {"table": wants})}),)
