"""What some users did, event by event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.results import FramedResult, Result, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixpanel_data.api_client import MixpanelAPIClient

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Times are in seconds; beyond this, the year 5138, they can only be milliseconds.
LARGEST_SECONDS = 10**11


@dataclass(frozen=True)
class UserEvent(Result):
    """One event of a user.

    time: aware, UTC; ISO 8601 in JSON. A project made before 2023 keeps its own clock's time under that name.
    properties: as Mixpanel has them, `time` and the id included
    """

    event: str
    time: datetime
    properties: dict[str, Any]

    @property
    def distinct_id(self) -> str:
        """Whose event it is; empty where the answer does not say."""
        found = self.properties.get("distinct_id", self.properties.get("$distinct_id"))
        return "" if found is None else str(found)


@dataclass(frozen=True)
class ActivityFeedResult(FramedResult):
    """Everything that some users did, in order of time.

    distinct_ids: who was asked for
    from_date, to_date: None when they were left to Mixpanel
    """

    distinct_ids: list[str]
    from_date: str | None
    to_date: str | None
    events: list[UserEvent]

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready, and `event_count`."""
        return {**super().to_dict(), "event_count": len(self.events)}

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        fixed = ("event", "time", "distinct_id")
        rows = []
        for event in self.events:
            row: dict[str, Any] = dict(zip(fixed, (event.event, event.time, event.distinct_id), strict=True))
            for name, value in event.properties.items():
                if name not in {"time", "distinct_id", "$distinct_id"}:
                    # A property may be called as a column is.
                    row[f"properties.{name}" if name in fixed else name] = value
            rows.append(row)
        columns, records = table_of(rows)
        return columns or list(fixed), records


def activity_feed(
    client: MixpanelAPIClient,
    distinct_ids: Iterable[str],
    *,
    from_date: str | None = None,
    to_date: str | None = None,
) -> ActivityFeedResult:
    """Source: reference/mixpanel-api.md, section 7.15"""
    wanted = arguments.names("distinct_ids", distinct_ids)
    if from_date is not None and to_date is not None:
        arguments.day_range(from_date, to_date)
    for argument, day in (("from_date", from_date), ("to_date", to_date)):
        if day is not None:
            arguments.day(argument, day)
    answer = client.call(
        ENDPOINTS["activity_feed"], {"distinct_ids": wanted, "from_date": from_date, "to_date": to_date}
    )
    events = [_event(row) for row in Answer("stream/query", answer).at("results").at("events").elements()]
    return ActivityFeedResult(wanted, from_date, to_date, sorted(events, key=lambda event: event.time))


def _event(row: Answer) -> UserEvent:
    properties = row.at("properties")
    time = properties.at("time")
    seconds = time.number()
    if abs(seconds) >= LARGEST_SECONDS:
        seconds /= 1000
    try:
        at = EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise time.wrong("the seconds of a date") from None
    return UserEvent(row.at("event").text(), at, dict(properties.free_object()))
