"""Live queries: Mixpanel computes, nothing is stored."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from mp_mcp_server.names import check_events, check_property
from mp_mcp_server.results import ANSWER_BYTES, encoded, fitting
from mp_mcp_server.tools.arguments import CountType, Day, LongUnit, Name, Names, Unit
from mp_mcp_server.tools.bounded import Cut, Listing, listing, shortened

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace
    from mp_mcp_server.call import Call

# How Mixpanel labels the events that lack a property.
_MISSING = "undefined"
_FEWER_BUCKETS = "Take a coarser unit or fewer days"


class Segmentation(Cut):
    """series is {segment: {bucket: count}}."""

    event: str
    from_date: str
    to_date: str
    unit: str
    segment_property: str | None
    total: int | float
    series: dict[str, dict[str, int | float]]


class FunnelStep(TypedDict):
    """conversion_rate: of the step before."""

    event: str
    count: int
    conversion_rate: float


class Funnel(TypedDict):
    """conversion_rate is last step by first."""

    funnel_id: int
    funnel_name: str
    from_date: str
    to_date: str
    conversion_rate: float
    steps: list[FunnelStep]


class RetentionCohort(TypedDict):
    """retention holds one fraction of size an interval."""

    date: str
    size: int
    retention: list[float]


class Retention(Cut):
    """cohorts are in order of date."""

    born_event: str
    return_event: str
    from_date: str
    to_date: str
    unit: str
    cohorts: list[RetentionCohort]


class EventCounts(Cut):
    """series is {event: {bucket: count}}."""

    events: list[str]
    from_date: str
    to_date: str
    unit: str
    type: str
    series: dict[str, dict[str, int | float]]


class PropertyCounts(Cut):
    """series is {value: {bucket: count}}."""

    event: str
    property_name: str
    from_date: str
    to_date: str
    unit: str
    type: str
    series: dict[str, dict[str, int | float]]


class UserEvent(TypedDict):
    """time: ISO 8601, UTC."""

    event: str
    time: str
    properties: dict[str, Any]


class ActivityFeed(Cut):
    """Of one user."""

    distinct_ids: list[str]
    from_date: str | None
    to_date: str | None
    events: list[UserEvent]
    event_count: int
    total_events: int


class Frequency(Cut):
    """data: start of period → users."""

    event: str | None
    from_date: str
    to_date: str
    unit: str
    addiction_unit: str
    data: dict[str, list[int]]


def segmentation(
    call: "Call",
    *,
    event: Name,
    from_date: Day,
    to_date: Day,
    segment_property: Name | None = None,
    unit: Unit = "day",
    where: Name | None = None,
) -> Segmentation:
    """Count one event over time, split by a property if you name one. Use it for trends and "by country" questions.

    Counts events, not users. Days are the project's. One Mixpanel query.

    Args:
        event: event name
        from_date: first day
        to_date: last day, inclusive
        segment_property: to split by, such as $browser or properties["plan"]
        unit: bucket width; weeks start on Monday
        where: filter expression, such as properties["plan"] == "pro"

    Returns:
        total is the sum of all counts. Events without the property are under "undefined"; the 60 largest segments.

    Raises:
        QueryError: an expression that Mixpanel refuses; its own words are in the details.
        EventNotFoundError, InvalidArgumentError: nothing is counted, and there is no such event or property.

    Source: reference/mixpanel-api.md, section 7.7
    """
    result = call.workspace.segmentation(
        event, from_date=from_date, to_date=to_date, on=segment_property, unit=unit, where=where
    )
    if segment_property is None and not result.total:
        check_events(call.workspace, [event])
    elif segment_property is not None and set(result.series) <= {_MISSING}:
        check_property(call.workspace, event, "segment_property", segment_property)
    answer = shortened(call, "segmentation", result.to_dict(), "series", result.to_table_dict(), advice=_FEWER_BUCKETS)
    return cast("Segmentation", answer)


def funnel(
    workspace: "Workspace",
    *,
    funnel_id: Annotated[int, Field(ge=1)],
    from_date: Day,
    to_date: Day,
    unit: LongUnit = "day",
    on: Name | None = None,
) -> Funnel:
    """Count users through the steps of a saved funnel. For why they stop, use funnel_optimization_report.

    Args:
        funnel_id: from list_funnels
        from_date: first day on which users began
        to_date: last such day, inclusive, not in the future
        unit: each bucket is a funnel of its own, whose counts are added up
        on: property to split by; steps are of all segments together

    Returns:
        Rates are fractions; funnel_name is empty, list_funnels has it.

    Raises:
        QueryError: there is no such funnel.

    Source: reference/mixpanel-api.md, section 7.12
    """
    result = workspace.funnel(funnel_id, from_date=from_date, to_date=to_date, unit=unit, on=on)
    return cast("Funnel", result.to_dict())


def retention(
    call: "Call",
    *,
    born_event: Name,
    from_date: Day,
    to_date: Day,
    return_event: Name | None = None,
    born_where: Name | None = None,
    return_where: Name | None = None,
    interval: Annotated[int, Field(ge=1, le=90)] = 1,
    interval_count: Annotated[int, Field(ge=1, le=365)] = 7,
    unit: LongUnit = "day",
) -> Retention:
    """Measure how many users come back after a first event, by the day, week or month in which they did it.

    Args:
        born_event: the first event
        from_date: first day of first events
        to_date: last such day, inclusive
        return_event: what counts as back; else born_event
        born_where: filter on first events
        return_where: filter on return events
        interval: units in an interval
        interval_count: how many intervals, the first one included
        unit: width of cohorts and intervals

    Returns:
        retention[i]: fraction of the cohort back in interval i after each user's own first event.

    Raises:
        EventNotFoundError: nobody is counted, and there is no such event.

    Source: reference/mixpanel-api.md, section 7.13
    """
    result = call.workspace.retention(
        born_event=born_event,
        return_event=return_event or born_event,
        from_date=from_date,
        to_date=to_date,
        born_where=born_where,
        return_where=return_where,
        interval=interval,
        interval_count=interval_count,
        unit=unit,
    )
    if not any(any(cohort.retention) for cohort in result.cohorts):
        check_events(call.workspace, [born_event, return_event or born_event])
    told = result.to_dict()
    answer = shortened(call, "retention", told, "cohorts", told["cohorts"], advice="Ask for fewer days or intervals")
    return cast("Retention", answer)


def jql(call: "Call", *, script: Name, params: Mapping[str, Any] | None = None) -> Listing[Any]:
    """Run a JQL script (JavaScript) over raw events and profiles, for what no other live query can answer.

    Such as function main() { return Events({from_date: params.from, to_date: params.to}).groupBy(["name"],
    mixpanel.reducer.count()); }. It can only read.

    Args:
        script: defines main()
        params: what the script reads as params; text from elsewhere belongs here

    Returns:
        The rows of the last collection, such as {key, value}.

    Raises:
        JQLSyntaxError: with the line of the script.

    Source: reference/mixpanel-api.md, section 10
    """
    rows = call.workspace.jql(script, None if params is None else dict(params)).raw
    return listing(call, "jql", rows, advice="Group or filter in the script")


def event_counts(
    call: "Call",
    *,
    events: Names,
    from_date: Day,
    to_date: Day,
    unit: Unit = "day",
    type: CountType = "general",  # noqa: A002 - the tool's public parameter name
) -> EventCounts:
    """Compare several events over time in one query. Use segmentation instead to split one event by a property.

    Args:
        events: event names
        from_date: first day
        to_date: last day, inclusive
        unit: bucket width; minute and hour: general only
        type: general: events; unique: users; average: events per user

    Returns:
        A count for each event and bucket, zeros included; days are the project's.

    Raises:
        EventNotFoundError: one is never counted, and there is no such event.

    Source: reference/mixpanel-api.md, section 7.5
    """
    result = call.workspace.event_counts(events, from_date=from_date, to_date=to_date, type=type, unit=unit)
    if silent := _silent(result.series, events):
        check_events(call.workspace, silent)
    answer = shortened(call, "event_counts", result.to_dict(), "series", result.to_table_dict(), advice=_FEWER_BUCKETS)
    return cast("EventCounts", answer)


def _silent(series: Mapping[str, Mapping[str, float]], names: Iterable[str]) -> list[str]:
    return [name for name in names if not any(series.get(name, {}).values())]


def property_counts(
    call: "Call",
    *,
    event: Name,
    property_name: Name,
    from_date: Day,
    to_date: Day,
    type: CountType = "general",  # noqa: A002 - the tool's public parameter name
    unit: Unit = "day",
    values: Names | None = None,
    limit: Annotated[int, Field(ge=1, le=255)] | None = None,
) -> PropertyCounts:
    """Count one event by a property's values, as events or as users. Use segmentation for filters.

    Args:
        event: event name
        property_name: property name, no expression
        from_date: first day
        to_date: last day, inclusive
        type: general: events; unique: users; average: events per user
        unit: bucket width; minute and hour: general only
        values: only these, as text
        limit: only so many values, the largest; else 255

    Returns:
        A count for each value and bucket; events without the property are under "undefined".

    Raises:
        EventNotFoundError, InvalidArgumentError: nothing is counted, and there is no such event or property.

    Source: reference/mixpanel-api.md, section 7.6
    """
    result = call.workspace.property_counts(
        event, property_name, from_date=from_date, to_date=to_date, type=type, unit=unit, values=values, limit=limit
    )
    counted = {value for value, buckets in result.series.items() if any(buckets.values())}
    if counted <= {_MISSING}:
        check_property(call.workspace, event, "property_name", property_name)
    answer = shortened(
        call, "property_counts", result.to_dict(), "series", result.to_table_dict(), advice=_FEWER_BUCKETS
    )
    return cast("PropertyCounts", answer)


def activity_feed(
    call: "Call",
    *,
    distinct_id: Name,
    from_date: Day | None = None,
    to_date: Day | None = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
) -> ActivityFeed:
    """Show what one user did, event by event. Use it for a single case, never to count.

    Args:
        distinct_id: the user's id
        from_date: first day
        to_date: last day, inclusive
        limit: at most so many events, the latest

    Returns:
        Oldest first; total_events counts those left out too.

    Source: reference/mixpanel-api.md, section 7.15
    """
    result = call.workspace.activity_feed([distinct_id], from_date=from_date, to_date=to_date)
    told = result.to_dict()
    events = told["events"]
    number = fitting([encoded(event) for event in reversed(events[-limit:])], ANSWER_BYTES)
    latest = events[len(events) - number :]
    answer = {**told, "events": latest, "event_count": number, "total_events": len(events)}
    answer["truncated"] = number < len(events)
    if answer["truncated"]:
        uri = answer["full_result"] = call.results.keep("activity_feed", events)
        answer["note"] = f"Truncated: the latest {number} of {len(events)}. Ask for fewer days; or read {uri}."
    return cast("ActivityFeed", answer)


def frequency(
    call: "Call",
    *,
    from_date: Day,
    to_date: Day,
    event: Name | None = None,
    unit: LongUnit = "day",
    addiction_unit: Literal["hour", "day"] = "hour",
    where: Name | None = None,
) -> Frequency:
    """Measure how often users are active: in how many hours of a day, or days of a week or month.

    Args:
        from_date: first day
        to_date: last day, inclusive
        event: what counts as active; else any event
        unit: width of periods
        addiction_unit: what is counted in each
        where: filter expression

    Returns:
        For each period the number of users active in at least 1, 2, 3 … hours or days of it.

    Raises:
        EventNotFoundError: nobody is counted, and there is no such event.

    Source: reference/mixpanel-api.md, section 7.14
    """
    result = call.workspace.frequency(
        from_date=from_date, to_date=to_date, unit=unit, addiction_unit=addiction_unit, event=event, where=where
    )
    if event is not None and not any(any(users) for users in result.data.values()):
        check_events(call.workspace, [event])
    answer = shortened(call, "frequency", result.to_dict(), "data", result.to_table_dict(), advice="Ask for fewer days")
    return cast("Frequency", answer)
