"""What Mixpanel computes of numbers: how they are distributed, their sum, their mean."""

from __future__ import annotations

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
class NumericBucketResult(FramedResult):
    """How often an event happened with a number in each of several ranges, over time.

    property_expr: the caller's own spelling of `on`
    series: range as Mixpanel writes it ("1,000 - 1,100", its end not included) → hour or day → count, zeros included;
        Mixpanel chooses the ranges
    """

    event: str
    from_date: str
    to_date: str
    property_expr: str
    unit: str
    series: Series

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "bucket", "count"], cells(self.series)


@dataclass(frozen=True)
class NumericSumResult(FramedResult):
    """The sum of a number over an event, for each hour or day.

    property_expr: the caller's own spelling of `on`
    results: bucket → sum, ascending; every day of the range if the unit is day
    computed_at: ISO 8601, None when Mixpanel does not say
    """

    event: str
    from_date: str
    to_date: str
    property_expr: str
    unit: str
    results: dict[str, int | float]
    computed_at: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready; `computed_at` only when there is one."""
        whole = super().to_dict()
        if self.computed_at is None:
            del whole["computed_at"]
        return whole

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "sum"], list(self.results.items())


@dataclass(frozen=True)
class NumericAverageResult(FramedResult):
    """The mean of a number over an event, for each hour or day.

    property_expr: the caller's own spelling of `on`
    results: bucket → mean, ascending; buckets without an event have none
    """

    event: str
    from_date: str
    to_date: str
    property_expr: str
    unit: str
    results: dict[str, int | float]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["date", "average"], list(self.results.items())


def segmentation_numeric(
    client: MixpanelAPIClient,
    event: str,
    *,
    from_date: str,
    to_date: str,
    on: str,
    unit: str = "day",
    where: str | None = None,
    type: str = "general",  # noqa: A002 -- the public contract's own name
) -> NumericBucketResult:
    """Source: reference/mixpanel-api.md, sections 5 and 7.8"""
    asked = _asked(event, on, from_date=from_date, to_date=to_date, unit=unit, where=where)
    arguments.one_of("type", type, choices.COUNT_TYPES)
    answer = client.call(ENDPOINTS["segmentation_numeric"], {**asked, "type": type})
    series = dense(Answer("segmentation/numeric", answer), _known(from_date, to_date, unit))
    return NumericBucketResult(event, from_date, to_date, on, unit, series)


def segmentation_sum(
    client: MixpanelAPIClient,
    event: str,
    *,
    from_date: str,
    to_date: str,
    on: str,
    unit: str = "day",
    where: str | None = None,
) -> NumericSumResult:
    """Source: reference/mixpanel-api.md, sections 5 and 7.9"""
    asked = _asked(event, on, from_date=from_date, to_date=to_date, unit=unit, where=where)
    answer = Answer("segmentation/sum", client.call(ENDPOINTS["segmentation_sum"], asked))
    found = {**dict.fromkeys(_known(from_date, to_date, unit), 0), **answer.at("results").numbers()}
    computed_at = answer.at("computed_at").text("") or None
    return NumericSumResult(event, from_date, to_date, on, unit, dict(sorted(found.items())), computed_at)


def segmentation_average(
    client: MixpanelAPIClient,
    event: str,
    *,
    from_date: str,
    to_date: str,
    on: str,
    unit: str = "day",
    where: str | None = None,
) -> NumericAverageResult:
    """Source: reference/mixpanel-api.md, sections 5 and 7.10"""
    asked = _asked(event, on, from_date=from_date, to_date=to_date, unit=unit, where=where)
    answer = Answer("segmentation/average", client.call(ENDPOINTS["segmentation_average"], asked))
    # A mean of nothing is not 0, so days without an event are not filled in.
    found = dict(sorted(answer.at("results").numbers().items()))
    return NumericAverageResult(event, from_date, to_date, on, unit, found)


def _asked(event: str, on: str, *, from_date: str, to_date: str, unit: str, where: str | None) -> dict[str, Any]:
    arguments.name("event", event)
    arguments.day_range(from_date, to_date)
    arguments.one_of("unit", unit, choices.HOUR_DAY_UNITS)
    return {
        "event": event,
        "from_date": from_date,
        "to_date": to_date,
        "on": normalize_on_expression(arguments.name("on", on)),
        "unit": unit,
        "where": where,
    }


def _known(from_date: str, to_date: str, unit: str) -> list[str]:
    return days(*arguments.day_range(from_date, to_date), unit)
