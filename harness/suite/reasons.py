"""Why a tool may have no case of some kind: each reason with a test of the catalogue that says whether it is true."""

from collections.abc import Callable, Mapping

from mp_mcp_server.catalogue import ToolSpec

ASKS_NOTHING = "asks Mixpanel nothing"
NEVER_EMPTY = "has no argument that makes its answer empty"
ALL_HAVE_SOME = "answers an error where there is nothing: a property that an event has not is a wrong argument"
NO_LIMIT = "has no limit to reach, and what it answers is short by its nature"

_NARROWING = frozenset(
    {"event", "events", "where", "from_date", "table", "query", "column", "script", "distinct_id", "bookmark_type"}
)


def taken(spec: ToolSpec) -> set[str]:
    """The names of a tool's arguments."""
    return {parameter.name for parameter in spec.parameters}


REASONS: Mapping[str, Callable[[ToolSpec], bool]] = {
    ASKS_NOTHING: lambda spec: not spec.endpoints,
    NEVER_EMPTY: lambda spec: not _NARROWING & taken(spec),
    ALL_HAVE_SOME: lambda spec: spec.name in ("list_properties", "list_property_values"),
    NO_LIMIT: lambda spec: "limit" not in taken(spec),
}
