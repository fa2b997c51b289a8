"""Discovery: what exists in the project and in the local store."""

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, cast

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from mixpanel_data import clock
from mixpanel_data.errors import MixpanelDataError
from mp_mcp_server.names import check_events, check_property
from mp_mcp_server.tools.arguments import CountType, Name
from mp_mcp_server.tools.bounded import Listing, listing
from mp_mcp_server.tools.local import TableEntry, list_tables

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace
    from mp_mcp_server.call import Call

ReportType = Literal["insights", "funnels", "retention", "flows", "launch-analysis"]

UNKNOWN = "unknown"
# As many recent events as show what kind of value a property has.
_LOOKED_AT = 200
_LOOKED_BACK_DAYS = 6
_ADVICE = "Names are in alphabetical order"


class Property(TypedDict):
    """type: JSON's name, several joined by |; unknown where nothing tells."""

    name: str
    type: str


class Funnel(TypedDict):
    """A saved funnel."""

    funnel_id: int
    name: str


class Cohort(TypedDict):
    """created: UTC."""

    id: int
    name: str
    count: int
    description: str
    created: str
    is_visible: bool


@with_config(ConfigDict(extra="allow"))
class Bookmark(TypedDict):
    """And what else the report has."""

    id: int
    name: str
    type: str
    project_id: int
    created: str
    modified: str


class Bookmarks(TypedDict):
    """total_count: with those left out."""

    bookmarks: list[Bookmark]
    truncated: bool
    total_count: int
    note: NotRequired[str]


class TopEvent(TypedDict):
    """percent_change: 0.25 is a quarter more."""

    event: str
    count: int | float
    percent_change: float


class Budget(TypedDict):
    """wait_s: of one more call, now."""

    used: int
    left: int
    of: int
    window_s: int
    wait_s: float


class WorkspaceSummary(TypedDict):
    """Nulls: no credentials."""

    project_id: str | None
    region: str | None
    tables: list[TableEntry]
    budget: dict[str, Budget]


def list_events(call: "Call") -> Listing[str]:
    """List the project's event names. Call this first: every other tool wants names spelled exactly as here.

    Returns:
        All names that ever occurred, in alphabetical order; at most 5000, the most frequent.

    Raises:
        AuthenticationError, RateLimitError, ConfigError: the project cannot be asked.

    Source: reference/mixpanel-api.md, section 7.1
    """
    return listing(call, "list_events", call.workspace.events(), advice=_ADVICE)


def list_properties(call: "Call", *, event: Name) -> Listing[Property]:
    """List an event's properties and their types. Use it before splitting or filtering by a property.

    Args:
        event: event name

    Returns:
        By name. Types come from Lexicon, else from recent events.

    Raises:
        EventNotFoundError: there is no such event; with the nearest names.

    Source: reference/mixpanel-api.md, sections 7.2, 8 and 9.4
    """
    names = call.workspace.properties(event)
    if not names:
        check_events(call.workspace, [event])
    types = _described(call.workspace, event)
    if any(types.get(name, UNKNOWN) == UNKNOWN for name in names):
        types = _observed(call.workspace, event) | types
    rows: list[Property] = [{"name": name, "type": types.get(name, UNKNOWN)} for name in names]
    return listing(call, "list_properties", rows, advice=_ADVICE)


def _described(workspace: "Workspace", event: str) -> dict[str, str]:
    """What Lexicon says, which is asked once for all events: it answers five questions a minute."""
    try:
        schemas = workspace.lexicon_schemas(entity_type="event")
    except MixpanelDataError:
        return {}  # names were asked for, and they are there
    return {
        name: described.type
        for schema in schemas
        if schema.name == event
        for name, described in schema.schema_json.properties.items()
        if described.type
    }


def _observed(workspace: "Workspace", event: str) -> dict[str, str]:
    """What recent events show."""
    today = clock.today()
    found: dict[str, set[str]] = {}
    try:
        stream = workspace.stream_events(
            from_date=(today - timedelta(days=_LOOKED_BACK_DAYS)).isoformat(),
            to_date=today.isoformat(),
            events=[event],
            limit=_LOOKED_AT,
            raw=True,
        )
        with closing(stream) as events:  # type: ignore[type-var]  # it is a generator, which a caller may close
            for one in events:
                for name, value in one["properties"].items():
                    found.setdefault(name, set()).add(_type(value))
    except MixpanelDataError:
        pass  # what has been seen until then is true all the same
    return {name: "|".join(sorted(kinds - {""})) or UNKNOWN for name, kinds in found.items()}


def _type(value: Any) -> str:
    """JSON Schema's word for the value, as Lexicon uses it; nothing for null, which every type may be."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, Mapping) else ""


def list_property_values(
    call: "Call", *, event: Name, property_name: Name, limit: Annotated[int, Field(ge=1, le=10_000)] = 100
) -> Listing[str]:
    """List a property's values, the most frequent first. Use it to spell a filter as the project does.

    Args:
        event: event name
        property_name: property name, no expression
        limit: at most so many

    Returns:
        Values of recent events, as text.

    Raises:
        EventNotFoundError, InvalidArgumentError: no such event or property; with the nearest names.

    Source: reference/mixpanel-api.md, section 7.3
    """
    values = call.workspace.property_values(property_name, event=event, limit=limit)
    if not values:
        check_property(call.workspace, event, "property_name", property_name)
    answer = listing(call, "list_property_values", values, advice="Ask with a lower limit")
    if len(values) >= limit and not answer["truncated"]:
        answer |= {"truncated": True, "note": f"Truncated: limit is {limit}, and there may be more values."}
    return answer


def list_funnels(call: "Call") -> Listing[Funnel]:
    """List saved funnels. Call this before funnel or funnel_optimization_report, which want an id.

    Returns:
        By name.

    Source: reference/mixpanel-api.md, section 7.11
    """
    rows: list[Funnel] = [{"funnel_id": one.funnel_id, "name": one.name} for one in call.workspace.funnels()]
    return listing(call, "list_funnels", rows, advice=_ADVICE)


def list_cohorts(call: "Call") -> Listing[Cohort]:
    """List saved cohorts with their sizes. Call this for the cohort_id of fetch_profiles.

    Returns:
        By name; count is the number of members when Mixpanel last counted.

    Source: reference/mixpanel-api.md, section 7.19
    """
    rows: list[Cohort] = [
        {
            "id": one.id,
            "name": one.name,
            "count": one.count,
            "description": one.description,
            "created": one.created,
            "is_visible": one.is_visible,
        }
        for one in call.workspace.cohorts()
    ]
    return listing(call, "list_cohorts", rows, advice=_ADVICE)


def list_bookmarks(
    workspace: "Workspace",
    *,
    bookmark_type: ReportType | None = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Bookmarks:
    """List the reports that people saved in Mixpanel. Use it to learn what a team looks at.

    Args:
        bookmark_type: only these reports
        limit: at most so many

    Returns:
        In Mixpanel's order.

    Source: reference/mixpanel-api.md, section 9.3
    """
    found = workspace.list_bookmarks(bookmark_type)
    shown = [cast("Bookmark", one.to_dict()) for one in found[:limit]]
    answer: Bookmarks = {"bookmarks": shown, "truncated": len(found) > limit, "total_count": len(found)}
    if answer["truncated"]:
        answer["note"] = f"Showing {limit} of {len(found)}: filter by bookmark_type, or raise limit (at most 500)."
    return answer


def top_events(
    workspace: "Workspace",
    *,
    limit: Annotated[int, Field(ge=1, le=100)] = 10,
    type: CountType = "general",  # noqa: A002 - the tool's public parameter name
) -> list[TopEvent]:
    """Show today's most frequent events and their change against yesterday.

    Args:
        limit: at most so many
        type: general: events; unique: users; average: events per user

    Returns:
        The most frequent first; today is the project's and not over.

    Source: reference/mixpanel-api.md, section 7.4
    """
    return [
        {"event": one.event, "count": one.count, "percent_change": one.percent_change}
        for one in workspace.top_events(type=type, limit=limit)
    ]


def workspace_info(workspace: "Workspace") -> WorkspaceSummary:
    """Show the connected project, the local tables and what is left of Mixpanel's rate budget.

    Call this before fetching again, or when credentials or budget are in doubt. Costs no query.

    Returns:
        tables as list_tables gives them; budget by kind of call, empty when nothing is limited.
    """
    info = workspace.info()
    return {
        "project_id": info.project_id,
        "region": info.region,
        "tables": list_tables(workspace),
        "budget": {} if info.project_id is None else _budget(workspace),
    }


def _budget(workspace: "Workspace") -> dict[str, Budget]:
    budget = workspace.api.budget
    left: dict[str, Budget] = {}
    for rate in ("query", "jql", "export", "lexicon", "app"):
        usage = budget.used(rate)
        if usage is not None:
            left[rate] = {
                "used": usage.used,
                "left": max(usage.of - usage.used, 0),
                "of": usage.of,
                "window_s": usage.window_s,
                "wait_s": round(budget.wait_s(rate), 1),
            }
    return left
