"""Mixpanel's questions answered over raw export lines in plain Python: slow, short, obviously right."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

RawEvent = Mapping[str, Any]


def day_of(event: RawEvent) -> str:
    """The UTC day of an event as the export writes it, in seconds or in milliseconds."""
    time = event["properties"]["time"]
    return datetime.fromtimestamp(time / 1000 if time > 10**11 else time, UTC).date().isoformat()


def days_between(first: str, last: str) -> list[str]:
    """Every day of the range, both ends included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(n)).isoformat() for n in range((end - start).days + 1)]


def between(events: Iterable[RawEvent], first: str, last: str, name: str | None = None) -> list[RawEvent]:
    """The events of these UTC days, of one name or of all."""
    return [event for event in events if first <= day_of(event) <= last and name in (None, event["event"])]


def daily_counts(events: Iterable[RawEvent], name: str, first: str, last: str) -> dict[str, int]:
    """Day → number of events of this name, zeros included."""
    found = Counter(day_of(event) for event in between(events, first, last, name))
    return {day: found[day] for day in days_between(first, last)}


def daily_counts_by(
    events: Iterable[RawEvent], name: str, key: str, first: str, last: str
) -> dict[str, dict[str, int]]:
    """Value of a property → day → number of events, zeros included; `undefined` where the property is missing."""
    found: dict[str, Counter[str]] = {}
    for event in between(events, first, last, name):
        found.setdefault(event["properties"].get(key) or "undefined", Counter())[day_of(event)] += 1
    return {value: {day: counts[day] for day in days_between(first, last)} for value, counts in found.items()}
