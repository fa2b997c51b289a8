"""Live queries: Mixpanel computes, nothing is stored."""

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field
from typing_extensions import TypedDict

from mp_mcp_server.tools.arguments import CountType, Day, Name, Unit

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace


class Segmentation(TypedDict):
    """How often one event happened; series is {segment: {bucket: count}}."""

    event: str
    from_date: str
    to_date: str
    unit: str
    segment_property: str | None
    total: int | float
    series: dict[str, dict[str, int | float]]


class EventCounts(TypedDict):
    """How often several events happened; series is {event: {bucket: count}}."""

    events: list[str]
    from_date: str
    to_date: str
    unit: str
    type: str
    series: dict[str, dict[str, int | float]]


def segmentation(
    workspace: "Workspace",
    *,
    event: Name,
    from_date: Day,
    to_date: Day,
    segment_property: Name | None = None,
    unit: Unit = "day",
    where: Name | None = None,
) -> Segmentation:
    """Count one event over time, split by a property if you name one. Use it for trends and for "by country" questions.

    Counts are events, not users. Days are those of the project's time zone. One Mixpanel query.

    Args:
        workspace: the project to ask
        event: event name, spelled as list_events gives it
        from_date: first day, YYYY-MM-DD
        to_date: last day, inclusive, YYYY-MM-DD
        segment_property: property to split by, for example $browser; an accessor such as properties["plan"] works too
        unit: width of a bucket; weeks start on Monday
        where: filter expression, for example properties["plan"] == "pro"

    Returns:
        total is the sum of all counts; series holds a count for each segment and bucket, or one segment named as the
        event when nothing is split. Events without the property are under "undefined"; the 60 largest segments.

    Raises:
        QueryError: an expression that Mixpanel refuses; its own words are in the details.

    Source: reference/mixpanel-api.md, section 7.7
    """
    result = workspace.segmentation(
        event, from_date=from_date, to_date=to_date, on=segment_property, unit=unit, where=where
    )
    return cast("Segmentation", result.to_dict())


def event_counts(
    workspace: "Workspace",
    *,
    events: Annotated[list[Name], Field(min_length=1)],
    from_date: Day,
    to_date: Day,
    unit: Unit = "day",
    type: CountType = "general",  # noqa: A002 - the tool's public parameter name
) -> EventCounts:
    """Compare several events over time in one query. Use segmentation instead to split one event by a property.

    Days are those of the project's time zone. One Mixpanel query.

    Args:
        workspace: the project to ask
        events: event names, spelled as list_events gives them
        from_date: first day, YYYY-MM-DD
        to_date: last day, inclusive, YYYY-MM-DD
        unit: width of a bucket; weeks start on Monday; minute and hour go with general only
        type: general counts events, unique counts users, average is events per user

    Returns:
        series holds a count for each event and bucket, zeros included.

    Source: reference/mixpanel-api.md, section 7.5
    """
    result = workspace.event_counts(events, from_date=from_date, to_date=to_date, type=type, unit=unit)
    return cast("EventCounts", result.to_dict())
