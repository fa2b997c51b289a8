"""Saved funnels: which there are, and how many users get how far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, choices
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.expressions import normalize_on_expression
from mixpanel_data.results import FramedResult, Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

# Present in a segmented answer beside the segments, and never the name of one.
OVERALL = "$overall"


@dataclass(frozen=True)
class FunnelInfo(Result):
    """A saved funnel; its id is what `funnel` takes, and is not the id of a saved report."""

    funnel_id: int
    name: str


@dataclass(frozen=True)
class FunnelStep(Result):
    """A step of a funnel.

    event: as Mixpanel names it; a custom event is `$custom_event:<id>`
    count: the users who reached the step, added up over the dates of the answer
    conversion_rate: their share of those of the step before, 0 to 1; 1.0 for the first step
    """

    event: str
    count: int
    conversion_rate: float


@dataclass(frozen=True)
class FunnelResult(FramedResult):
    """How far users get in a saved funnel.

    funnel_name: always empty: Mixpanel's answer does not have it, `funnels()` does
    from_date, to_date: the days on which users began, both included, in the project's time zone
    conversion_rate: the last step's count by the first's, 0 to 1; 0.0 when nobody began
    steps: in their order. Each date of the answer is a funnel of its own, so that who begins on two of them counts
        twice; ask by week or month for fewer of them.
    """

    funnel_id: int
    funnel_name: str
    from_date: str
    to_date: str
    conversion_rate: float
    steps: list[FunnelStep]
    segments: dict[str, list[FunnelStep]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As every result; `segments` only if there are any."""
        document = super().to_dict()
        return document if self.segments else {name: value for name, value in document.items() if name != "segments"}

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["step", "event", "count", "conversion_rate"], [
            (number, step.event, step.count, step.conversion_rate) for number, step in enumerate(self.steps, 1)
        ]


def funnels(client: MixpanelAPIClient) -> list[FunnelInfo]:
    """Source: reference/mixpanel-api.md, section 7.11"""
    answer = Answer("funnels/list", client.call(ENDPOINTS["funnels"], {}))
    found = [FunnelInfo(row.at("funnel_id").whole(), row.at("name").text("")) for row in answer.elements()]
    return sorted(found, key=lambda funnel: (funnel.name, funnel.funnel_id))


def funnel(
    client: MixpanelAPIClient,
    funnel_id: int,
    *,
    from_date: str,
    to_date: str,
    unit: str | None = None,
    on: str | None = None,
) -> FunnelResult:
    """Source: reference/mixpanel-api.md, section 7.12"""
    arguments.whole("funnel_id", funnel_id, 0)
    arguments.day_range(from_date, to_date)
    if unit is not None:
        arguments.one_of("unit", unit, choices.TIME_UNITS)
    answer = client.call(
        ENDPOINTS["funnel"],
        {
            "funnel_id": funnel_id,
            "from_date": from_date,
            "to_date": to_date,
            "unit": unit,
            "on": None if on is None else normalize_on_expression(arguments.name("on", on)),
        },
    )
    dates = [date for _, date in Answer("funnels", answer).at("data").members()]
    # A segment may be called "steps", so the sum of all segments is looked for first.
    reached = _summed([date.at(OVERALL if date.has(OVERALL) else "steps") for date in dates])
    segments: dict[str, list[Answer]] = {}
    for date in dates:
        for name, segment in date.members() if date.has(OVERALL) else ():
            if name != OVERALL:
                segments.setdefault(name, []).append(segment)
    steps = _steps(reached)
    return FunnelResult(
        funnel_id=funnel_id,
        funnel_name="",
        from_date=from_date,
        to_date=to_date,
        conversion_rate=_share(steps[-1].count, steps[0].count) if steps else 0.0,
        steps=steps,
        segments={name: _steps(_summed(dated)) for name, dated in segments.items()},
    )


def _summed(dated: Iterable[Answer]) -> list[tuple[str, int]]:
    """Each step's event and its count, added up over the dates."""
    reached: list[tuple[str, int]] = []
    for steps in dated:
        here = [(_event(step), step.at("count").whole()) for step in steps.elements()]
        if not reached:
            reached = here
        elif here:
            if [event for event, _ in here] != [event for event, _ in reached]:
                raise steps.wrong("the steps of the dates before")
            reached = [(event, count + more) for (event, count), (_, more) in zip(reached, here, strict=True)]
    return reached


def _steps(reached: list[tuple[str, int]]) -> list[FunnelStep]:
    before = [count for _, count in reached[:1]] + [count for _, count in reached]
    return [
        FunnelStep(event, count, _share(count, before[number]) if number else 1.0)
        for number, (event, count) in enumerate(reached)
    ]


def _event(step: Answer) -> str:
    return step.at("event" if step.has("event") else "goal").text()


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
