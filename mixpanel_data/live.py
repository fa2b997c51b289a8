"""What Mixpanel counts: events over time, by segment, and by the values of a property.

A result class, the call that makes it and the decoder of its answer stand together, here and in the modules beside:
funnels, retention, frequency, numeric, activity, reports, jql, scripted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, choices
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.expressions import normalize_on_expression
from mixpanel_data.results import FramedResult
from mixpanel_data.series import Series, cells, days, dense

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient


@dataclass(frozen=True)
class SegmentationResult(FramedResult):
    """How often one event happened, over time and by segment.

    unit: minute, hour, day, week or month
    segment_property: the caller's own spelling of `on`, None when not segmented
    total: the sum of all cells
    series: segment → bucket → count; the buckets ascending and the same for every segment, in the project's time
        zone, every day of the range among them if the unit is day; not segmented, the one key is the event's name.
        Mixpanel names at most 60 segments, the largest.
    """

    event: str
    from_date: str
    to_date: str
    unit: str
    segment_property: str | None
    total: int | float
    series: Series

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "segment", "count"], cells(self.series)


def segmentation(
    client: MixpanelAPIClient,
    event: str,
    *,
    from_date: str,
    to_date: str,
    on: str | None = None,
    unit: str = "day",
    where: str | None = None,
) -> SegmentationResult:
    """Source: reference/mixpanel-api.md, sections 5 and 7.7"""
    arguments.name("event", event)
    first, last = arguments.day_range(from_date, to_date)
    arguments.one_of("unit", unit, choices.BUCKET_UNITS)
    answer = client.call(
        ENDPOINTS["segmentation"],
        {
            "event": event,
            "from_date": from_date,
            "to_date": to_date,
            "on": None if on is None else normalize_on_expression(arguments.name("on", on)),
            "unit": unit,
            "where": where,
        },
    )
    series = dense(Answer("segmentation", answer), days(first, last, unit), () if on is not None else [event])
    return SegmentationResult(
        event=event,
        from_date=from_date,
        to_date=to_date,
        unit=unit,
        segment_property=on,
        total=sum(sum(buckets.values()) for buckets in series.values()),
        series=series,
    )


@dataclass(frozen=True)
class EventCountsResult(FramedResult):
    """How often several events happened, over time.

    type: general (events), unique (users of each bucket) or average (events per user)
    series: event → bucket → count; every event that was asked for, and every day if the unit is day, zeros included,
        the buckets ascending, in the project's time zone
    """

    events: list[str]
    from_date: str
    to_date: str
    unit: str
    type: str
    series: Series

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "event", "count"], cells(self.series)


def event_counts(
    client: MixpanelAPIClient,
    events: Iterable[str],
    *,
    from_date: str,
    to_date: str,
    type: str = "general",  # noqa: A002 -- the public contract's own name
    unit: str = "day",
) -> EventCountsResult:
    """Source: reference/mixpanel-api.md, sections 5 and 7.5"""
    wanted = arguments.names("events", events)
    first, last = arguments.day_range(from_date, to_date)
    arguments.one_of("type", type, choices.COUNT_TYPES)
    arguments.one_of("unit", unit, choices.BUCKET_UNITS)
    answer = client.call(
        ENDPOINTS["event_counts"],
        {"event": wanted, "type": type, "unit": unit, "from_date": from_date, "to_date": to_date},
    )
    return EventCountsResult(
        events=wanted,
        from_date=from_date,
        to_date=to_date,
        unit=unit,
        type=type,
        series=dense(Answer("events", answer), days(first, last, unit), wanted),
    )


@dataclass(frozen=True)
class PropertyCountsResult(FramedResult):
    """How often one event happened with each value of a property, over time.

    series: value, as text → bucket → count; the largest first, every value that was asked for, and every day if the
        unit is day, zeros included. Unless values were asked for, events without the property are under "undefined".
    """

    event: str
    property_name: str
    from_date: str
    to_date: str
    unit: str
    type: str
    series: Series

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "value", "count"], cells(self.series)


def property_counts(
    client: MixpanelAPIClient,
    event: str,
    property_name: str,
    *,
    from_date: str,
    to_date: str,
    type: str = "general",  # noqa: A002 -- the public contract's own name
    unit: str = "day",
    values: Iterable[str] | None = None,
    limit: int | None = None,
) -> PropertyCountsResult:
    """Source: reference/mixpanel-api.md, sections 5 and 7.6"""
    arguments.name("event", event)
    arguments.name("property_name", property_name)
    first, last = arguments.day_range(from_date, to_date)
    arguments.one_of("type", type, choices.COUNT_TYPES)
    arguments.one_of("unit", unit, choices.BUCKET_UNITS)
    wanted = None if values is None else arguments.texts("values", values)
    answer = client.call(
        ENDPOINTS["property_counts"],
        {
            "event": event,
            "name": property_name,
            "values": wanted,
            "type": type,
            "unit": unit,
            "from_date": from_date,
            "to_date": to_date,
            "limit": None if limit is None else arguments.whole("limit", limit, 1),
        },
    )
    return PropertyCountsResult(
        event=event,
        property_name=property_name,
        from_date=from_date,
        to_date=to_date,
        unit=unit,
        type=type,
        series=dense(Answer("events/properties", answer), days(first, last, unit), wanted or ()),
    )
