"""What Mixpanel computes: counts of events, over time and by segment.

A result class, the call that makes it and the decoder of its answer stand together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import APIError
from mixpanel_data.results import FramedResult

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

UNITS = ("minute", "hour", "day", "week", "month")
COUNT_TYPES = ("general", "unique", "average")

Series = dict[str, dict[str, int | float]]


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
        return ["date", "segment", "count"], _cells(self.series)


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
    arguments.one_of("unit", unit, UNITS)
    answer = client.call(
        ENDPOINTS["segmentation"],
        {
            "event": event,
            "from_date": from_date,
            "to_date": to_date,
            "on": None if on is None else on_expression(arguments.name("on", on)),
            "unit": unit,
            "where": where,
        },
    )
    series = _series(answer, "segmentation", _days(first, last) if unit == "day" else ())
    return SegmentationResult(
        event=event,
        from_date=from_date,
        to_date=to_date,
        unit=unit,
        segment_property=on,
        total=sum(sum(buckets.values()) for buckets in series.values()),
        series=series,
    )


def on_expression(on: str) -> str:
    """What Mixpanel takes as `on`: a bare property name becomes an accessor, an expression stays as it is.

    Source: reference/mixpanel-api.md, section 14 (6)
    """
    if re.search(r"\b(properties|user|event)\[\"", on):
        return on
    escaped = on.replace("\\", "\\\\").replace('"', '\\"')
    return f'properties["{escaped}"]'


@dataclass(frozen=True)
class EventCountsResult(FramedResult):
    """How often several events happened, over time.

    type: general (events), unique (users of each bucket) or average (events per user)
    series: event → bucket → count; every event that was asked for, and every day if the unit is day, zeros included,
        the buckets ascending, in the project's time zone
    """

    events: tuple[str, ...]
    from_date: str
    to_date: str
    unit: str
    type: str
    series: Series

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "event", "count"], _cells(self.series)


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
    arguments.one_of("type", type, COUNT_TYPES)
    arguments.one_of("unit", unit, UNITS)
    answer = client.call(
        ENDPOINTS["event_counts"],
        {"event": wanted, "type": type, "unit": unit, "from_date": from_date, "to_date": to_date},
    )
    return EventCountsResult(
        events=tuple(wanted),
        from_date=from_date,
        to_date=to_date,
        unit=unit,
        type=type,
        series=_series(answer, "events", _days(first, last) if unit == "day" else (), wanted),
    )


def _series(answer: Any, operation: str, buckets: Iterable[str], keys: Iterable[str] = ()) -> Series:
    """The envelope's values, dense and in order: some endpoints leave zeros out, and `series` comes unsorted.

    Args:
        buckets: those that are there whether or not anything happened in them; days are known beforehand, where a
            week begins is the project's setting
        keys: the same for the names of the series

    Source: reference/mixpanel-api.md, section 5.4
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or not _are_counts(data.get("values")) or not _are_texts(data.get("series")):
        raise APIError(f"the answer of {operation} is not a series of counts", status_code=200)
    values: Series = data["values"]
    ordered = sorted({*buckets, *data["series"], *(bucket for counts in values.values() for bucket in counts)})
    return {
        key: {bucket: values.get(key, {}).get(bucket, 0) for bucket in ordered}
        for key in dict.fromkeys([*keys, *values])
    }


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _are_counts(values: Any) -> bool:
    return isinstance(values, dict) and all(
        isinstance(counts, dict)
        and all(isinstance(count, int | float) and not isinstance(count, bool) for count in counts.values())
        for counts in values.values()
    )


def _cells(series: Series) -> list[tuple[Any, ...]]:
    return [(bucket, key, count) for key, buckets in series.items() for bucket, count in buckets.items()]
