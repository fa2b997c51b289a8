"""The cases of this room's tests, and what of their results is the same at every call."""

from collections.abc import Mapping
from typing import Any

from harness.cassettes.tape import Case, ToolCall

JUNE: dict[str, Any] = {"from_date": "2025-06-01", "to_date": "2025-06-30"}
FETCH = ToolCall("fetch_events", {"from_date": "2025-06-28", "to_date": "2025-06-30"})
BY_DAY = "select event_name, count(*) as n from events group by 1 order by n desc, 1"

EVENTS = Case("discovery", "list_events", "all")
SIGN_UPS = Case("live", "segmentation", "june", {"event": "Sign Up", **JUNE, "segment_property": "$browser"})
UNKNOWN = Case("live", "segmentation", "unknown-event", {"event": "No Such Event", **JUNE})
COUNT = "function main() { return Events(params).groupBy(['name'], mixpanel.reducer.count()); }"
SCRIPT = Case("live", "jql", "count", {"script": COUNT, "params": JUNE})
BROKEN = Case("live", "jql", "broken", {"script": "function main() { return 1; }"})
LOCAL = Case("local", "sql", "by-day", {"query": BY_DAY}, (FETCH,))
PROFILES = Case("fetch", "fetch_profiles", "all")
REFUSED = Case(
    "live", "segmentation", "refused-once", {"event": "Sign Up", **JUNE},
    faults=({"kind": "rate_limited", "value": "seconds", "path": "/api/query/segmentation", "count": 1},),
)  # fmt: skip
ALL = (EVENTS, SIGN_UPS, UNKNOWN, SCRIPT, BROKEN, LOCAL, PROFILES, REFUSED)


def case_of(said: Mapping[str, Any]) -> Case:
    """The case that its JSON describes."""
    before = tuple(ToolCall(each["tool"], each["arguments"]) for each in said["before"])
    return Case(**{**said, "before": before, "faults": tuple(said["faults"])})


def steady(result: Mapping[str, Any]) -> Any:
    """What a call answered, without how long it took, and of a failure what is not about where it was asked."""
    told = result.get("structuredContent")
    if not isinstance(told, dict):
        return result
    return {name: value for name, value in told.items() if name not in {"duration_seconds", "details"}}
