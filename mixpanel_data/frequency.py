"""How often users are active within a day, a week or a month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, choices
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.results import FramedResult

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient


@dataclass(frozen=True)
class FrequencyResult(FramedResult):
    """In how many inner periods of each outer period users were active.

    event: None counts any event
    unit, addiction_unit: the outer period (day, week, month) and the inner one (hour, day)
    data: first day of the outer period, in the project's time zone → the number of users who were active in at least
        1, 2, 3, … inner periods, so that no number is larger than the one before it; outer periods ascending
    """

    event: str | None
    from_date: str
    to_date: str
    unit: str
    addiction_unit: str
    data: dict[str, list[int]]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        longest = max(map(len, self.data.values()), default=0)
        columns = ["date", *(f"period_{number}" for number in range(1, longest + 1))]
        # Months are of different lengths: what a shorter one does not have is no 0.
        return columns, [(date, *users, *[None] * (longest - len(users))) for date, users in self.data.items()]


def frequency(
    client: MixpanelAPIClient,
    *,
    from_date: str,
    to_date: str,
    unit: str = "day",
    addiction_unit: str = "hour",
    event: str | None = None,
    where: str | None = None,
) -> FrequencyResult:
    """Source: reference/mixpanel-api.md, section 7.14"""
    arguments.day_range(from_date, to_date)
    arguments.one_of("unit", unit, choices.TIME_UNITS)
    arguments.one_of("addiction_unit", addiction_unit, choices.HOUR_DAY_UNITS)
    answer = client.call(
        ENDPOINTS["frequency"],
        {
            "from_date": from_date,
            "to_date": to_date,
            "unit": unit,
            "addiction_unit": addiction_unit,
            "event": None if event is None else arguments.name("event", event),
            "where": where,
        },
    )
    data = {
        date: [number.whole() for number in users.elements()]
        for date, users in Answer("retention/addiction", answer).at("data").members()
    }
    return FrequencyResult(event, from_date, to_date, unit, addiction_unit, dict(sorted(data.items())))
