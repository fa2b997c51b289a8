"""Who comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, choices
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.results import FramedResult, Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

OVERALL = "$overall"
DAYS_OF = {"day": 1, "week": 7, "month": 30}
LONGEST_INTERVAL_DAYS = 90


@dataclass(frozen=True)
class CohortInfo(Result):
    """Those who did the first event in the same bucket.

    date: the bucket's first day, in the project's time zone
    size: how many users they are
    retention: for each interval the share of them that did the second event in it, 0 to 1; intervals roll from each
        user's own first event, index 0 is less than one interval later; 0.0 in a cohort of nobody. Intervals that are
        not over yet are there with what has happened so far.
    """

    date: str
    size: int
    retention: list[float]


@dataclass(frozen=True)
class RetentionResult(FramedResult):
    """How many of those who did one event did another later; `cohorts` by date."""

    born_event: str
    return_event: str
    from_date: str
    to_date: str
    unit: str
    cohorts: list[CohortInfo]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        longest = max((len(cohort.retention) for cohort in self.cohorts), default=0)
        columns = ["cohort_date", "cohort_size", *(f"period_{number}" for number in range(longest))]
        return columns, [
            (cohort.date, cohort.size, *cohort.retention, *[None] * (longest - len(cohort.retention)))
            for cohort in self.cohorts
        ]


def retention(
    client: MixpanelAPIClient,
    *,
    born_event: str,
    return_event: str,
    from_date: str,
    to_date: str,
    born_where: str | None = None,
    return_where: str | None = None,
    interval: int = 1,
    interval_count: int = 10,
    unit: str = "day",
) -> RetentionResult:
    """Source: reference/mixpanel-api.md, sections 7.13 and 14 (8)"""
    arguments.name("born_event", born_event)
    arguments.name("return_event", return_event)
    arguments.day_range(from_date, to_date)
    arguments.one_of("unit", unit, choices.TIME_UNITS)
    arguments.whole("interval", interval, 1, LONGEST_INTERVAL_DAYS // DAYS_OF[unit])
    arguments.whole("interval_count", interval_count, 1)
    # Both together are a server error, and without a unit an interval counts days.
    width = {"unit": unit} if interval == 1 else {"interval": interval * DAYS_OF[unit]}
    answer = client.call(
        ENDPOINTS["retention"],
        {
            "from_date": from_date,
            "to_date": to_date,
            "born_event": born_event,
            "event": return_event,
            "born_where": born_where,
            "where": return_where,
            "interval_count": interval_count,
            **width,
        },
    )
    cohorts = [_cohort(date, cohort) for date, cohort in Answer("retention", answer).members()]
    return RetentionResult(
        born_event=born_event,
        return_event=return_event,
        from_date=from_date,
        to_date=to_date,
        unit=unit,
        cohorts=sorted(cohorts, key=lambda cohort: cohort.date),
    )


def _cohort(date: str, answer: Answer) -> CohortInfo:
    cohort = answer.at(OVERALL) if answer.has(OVERALL) else answer
    size = cohort.at("first").whole()
    counts = [count.whole() for count in cohort.at("counts").elements()]
    return CohortInfo(date, size, [count / size if size else 0.0 for count in counts])
