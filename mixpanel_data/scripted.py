"""Discovery by script: what Mixpanel has no operation for, grouped on its side so that only the result travels.

The scripts are in `scripts/`; what callers say reaches them as `params` and is never a part of their text. Days are
those of the project's time zone.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments
from mixpanel_data.answers import Answer
from mixpanel_data.errors import InvalidArgumentError
from mixpanel_data.jql import jql
from mixpanel_data.results import FramedResult, Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixpanel_data.api_client import MixpanelAPIClient

DEFAULT_PERCENTILES = (25, 50, 75, 90, 95, 99)
DEFAULT_BUCKETS = (1, 2, 5, 10, 25, 50, 100)


@dataclass(frozen=True)
class PropertyValueCount(Result):
    """A value of a property.

    value: a text, number or boolean; of lists and objects their JSON text
    percentage: of all events that have the property, 0 to 100
    """

    value: str | int | float | bool
    count: int
    percentage: float


@dataclass(frozen=True)
class PropertyDistributionResult(FramedResult):
    """The most frequent values of a property.

    total_count: the events that have the property; null is as good as not having it
    values: the most frequent first, at most as many as were asked for
    """

    event: str
    property_name: str
    from_date: str
    to_date: str
    total_count: int
    values: list[PropertyValueCount]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["value", "count", "percentage"], [(row.value, row.count, row.percentage) for row in self.values]


@dataclass(frozen=True)
class NumericPropertySummaryResult(Result):
    """The numbers of a property; values that are no numbers are left out.

    count: how many numbers there are; without any, `sum` is 0 and the others are None
    stddev: of the population
    percentiles: percent → the number that so many percent do not exceed; Mixpanel's are approximate
    """

    event: str
    property_name: str
    from_date: str
    to_date: str
    count: int
    min: int | float | None
    max: int | float | None
    sum: int | float
    avg: float | None
    stddev: float | None
    percentiles: dict[int | float, int | float | None]

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready; the keys of `percentiles` are texts."""
        return {**super().to_dict(), "percentiles": {str(percent): at for percent, at in self.percentiles.items()}}


@dataclass(frozen=True)
class DailyCount(Result):
    """How often an event happened on a day."""

    date: str
    event: str
    count: int


@dataclass(frozen=True)
class DailyCountsResult(FramedResult):
    """How often each event happened on each day.

    events: None counts all
    counts: by date, then by event; a day on which an event did not happen is left out
    """

    from_date: str
    to_date: str
    events: list[str] | None
    counts: list[DailyCount]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "event", "count"], [(row.date, row.event, row.count) for row in self.counts]


@dataclass(frozen=True)
class EngagementBucket(Result):
    """The users with a number of events in a range.

    bucket_label: "1", "2-4", "100+"
    percentage: of all users, 0 to 100
    """

    bucket_min: int
    bucket_label: str
    user_count: int
    percentage: float


@dataclass(frozen=True)
class EngagementDistributionResult(FramedResult):
    """How many users did how many events.

    events: None counts all
    total_users: with at least one event, also when it is fewer than the first bucket wants
    buckets: all that were asked for, ascending
    """

    from_date: str
    to_date: str
    events: list[str] | None
    total_users: int
    buckets: list[EngagementBucket]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["bucket_min", "bucket_label", "user_count", "percentage"], [
            (row.bucket_min, row.bucket_label, row.user_count, row.percentage) for row in self.buckets
        ]


@dataclass(frozen=True)
class PropertyCoverage(Result):
    """How many events have a property.

    null_count: those that lack it or hold null
    coverage_percentage: 0 to 100; 0.0 where there is no event
    """

    property: str
    defined_count: int
    null_count: int
    coverage_percentage: float


@dataclass(frozen=True)
class PropertyCoverageResult(FramedResult):
    """How many events of a name have each of some properties, in the order in which they were asked for."""

    event: str
    from_date: str
    to_date: str
    total_events: int
    coverage: list[PropertyCoverage]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["property", "defined_count", "null_count", "coverage_percentage"], [
            (row.property, row.defined_count, row.null_count, row.coverage_percentage) for row in self.coverage
        ]


def property_distribution(
    client: MixpanelAPIClient,
    event: str,
    property: str,  # noqa: A002 -- the public contract's own name
    *,
    from_date: str,
    to_date: str,
    limit: int = 20,
) -> PropertyDistributionResult:
    """Source: reference/mixpanel-api.md, section 10"""
    answer = _run(
        client,
        "property_distribution",
        from_date,
        to_date,
        [arguments.name("event", event)],
        property=arguments.name("property", property),
        limit=arguments.whole("limit", limit, 1),
    )
    rows = list(answer.elements())
    # Nothing to reduce may be answered by no element at all.
    total = rows[0].at("total").whole() if rows else 0
    values = [
        PropertyValueCount(_value(row.at("value")), row.at("count").whole(), _percent(row.at("count").whole(), total))
        for row in (rows[0].at("values").elements() if rows else ())
    ]
    return PropertyDistributionResult(event, property, from_date, to_date, total, values)


def numeric_summary(
    client: MixpanelAPIClient,
    event: str,
    property: str,  # noqa: A002 -- the public contract's own name
    *,
    from_date: str,
    to_date: str,
    percentiles: Iterable[float] | None = None,
) -> NumericPropertySummaryResult:
    """Source: reference/mixpanel-api.md, sections 10 and 10.6"""
    wanted = _percentiles(DEFAULT_PERCENTILES if percentiles is None else percentiles)
    answer = _run(
        client,
        "numeric_summary",
        from_date,
        to_date,
        [arguments.name("event", event)],
        property=arguments.name("property", property),
        percentiles=wanted,
    )
    rows = list(answer.elements())
    found = list(rows[0].elements()) if rows else []
    if found and len(found) != 4:
        raise rows[0].wrong("the results of four reducers")
    if not found or found[0].at("count").whole() == 0:
        nothing = dict.fromkeys(wanted)
        return NumericPropertySummaryResult(
            event, property, from_date, to_date, 0, None, None, 0, None, None, {**nothing}
        )
    summary, least, most, ranks = found
    at = {rank.at("percentile").number(): rank.at("value").number() for rank in ranks.elements()}
    if missing := [percent for percent in wanted if percent not in at]:
        raise ranks.wrong(f"a list with the percentile {missing[0]}")
    return NumericPropertySummaryResult(
        event=event,
        property_name=property,
        from_date=from_date,
        to_date=to_date,
        count=summary.at("count").whole(),
        min=least.number(),
        max=most.number(),
        sum=summary.at("sum").number(),
        avg=float(summary.at("avg").number()),
        stddev=float(summary.at("stddev").number()),
        percentiles={percent: at[percent] for percent in wanted},
    )


def daily_counts(
    client: MixpanelAPIClient, *, from_date: str, to_date: str, events: Iterable[str] | None = None
) -> DailyCountsResult:
    """Source: reference/mixpanel-api.md, section 10"""
    wanted = None if events is None else arguments.names("events", events)
    counts = []
    for row in _run(client, "daily_counts", from_date, to_date, wanted).elements():
        day, event = _key(row, 2)
        counts.append(DailyCount(day.text(), event.text(), row.at("value").whole()))
    return DailyCountsResult(from_date, to_date, wanted, sorted(counts, key=lambda row: (row.date, row.event)))


def engagement_distribution(
    client: MixpanelAPIClient,
    *,
    from_date: str,
    to_date: str,
    events: Iterable[str] | None = None,
    buckets: Iterable[int] | None = None,
) -> EngagementDistributionResult:
    """Source: reference/mixpanel-api.md, sections 10.5 and 10.7"""
    wanted = None if events is None else arguments.names("events", events)
    bounds = _bounds(DEFAULT_BUCKETS if buckets is None else buckets)
    users = dict.fromkeys(bounds, 0)
    total = 0
    for row in _run(client, "engagement_distribution", from_date, to_date, wanted, buckets=bounds).elements():
        (bound,) = _key(row, 1)
        count = row.at("value").whole()
        total += count
        # Users with fewer events than the first bucket wants stand under null.
        if bound.is_there:
            if bound.whole() not in users:
                raise bound.wrong("one of the buckets")
            users[bound.whole()] += count
    return EngagementDistributionResult(
        from_date,
        to_date,
        wanted,
        total,
        [
            EngagementBucket(bound, label, users[bound], _percent(users[bound], total))
            for bound, label in _labels(bounds)
        ],
    )


def property_coverage(
    client: MixpanelAPIClient, event: str, properties: Iterable[str], *, from_date: str, to_date: str
) -> PropertyCoverageResult:
    """Source: reference/mixpanel-api.md, section 10"""
    wanted = arguments.names("properties", properties)
    answer = _run(client, "property_coverage", from_date, to_date, [arguments.name("event", event)], properties=wanted)
    rows = list(answer.elements())
    total = rows[0].at("total").whole() if rows else 0
    defined = [count.whole() for count in rows[0].at("defined").elements()] if rows else [0] * len(wanted)
    if len(defined) != len(wanted):
        raise rows[0].at("defined").wrong(f"{len(wanted)} numbers")
    coverage = [
        PropertyCoverage(name, count, total - count, _percent(count, total))
        for name, count in zip(wanted, defined, strict=True)
    ]
    return PropertyCoverageResult(event, from_date, to_date, total, coverage)


@functools.cache
def script(name: str) -> str:
    """The text of one of our scripts, complete."""
    folder = resources.files("mixpanel_data") / "scripts"
    return "\n".join((folder / f"{part}.js").read_text("utf-8") for part in ("events", name))


def _run(
    client: MixpanelAPIClient, name: str, from_date: str, to_date: str, events: list[str] | None, **more: Any
) -> Answer:
    arguments.day_range(from_date, to_date)
    params = {"from_date": from_date, "to_date": to_date, "events": events, **more}
    return Answer(f"the script {name}", jql(client, script(name), params).raw)


def _key(row: Answer, length: int) -> list[Answer]:
    parts = list(row.at("key").elements())
    if len(parts) != length:
        raise row.at("key").wrong(f"one of {length} parts")
    return parts


def _value(text: Answer) -> Any:
    try:
        value = json.loads(text.text())
    except (ValueError, RecursionError):
        raise text.wrong("JSON text") from None
    if isinstance(value, dict | list):
        return text.text()
    return value if isinstance(value, str | bool) else Answer(text.operation, value, text.place).number()


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _percentiles(wanted: Iterable[Any]) -> list[int | float]:
    found = list(wanted)
    for percent in found:
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
            raise InvalidArgumentError(
                "percentiles", f"{percent!r} is not a number from 0 to 100", fix="for example [50, 90, 99.9]"
            )
    if not found:
        raise InvalidArgumentError("percentiles", "the list is empty", fix="give at least one, or leave it out")
    return list(dict.fromkeys(found))


def _bounds(wanted: Iterable[int]) -> list[int]:
    found = [arguments.whole("buckets", bound, 1) for bound in wanted]
    if not found or any(high <= low for low, high in pairwise(found)):
        raise InvalidArgumentError("buckets", f"{found} does not ascend", fix="for example [1, 2, 5, 10]")
    return found


def _labels(bounds: list[int]) -> list[tuple[int, str]]:
    inner = [(low, str(low) if high == low + 1 else f"{low}-{high - 1}") for low, high in pairwise(bounds)]
    return [*inner, (bounds[-1], f"{bounds[-1]}+")]
