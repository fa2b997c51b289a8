"""Acquisition, activation, retention, revenue and referral of a product over a period."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import fsum
from typing import Any

from mixpanel_data.errors import MixpanelDataError
from mp_mcp_server.analysis.health import (
    ACTIVATION_BOUNDS,
    GROWTH_BOUNDS,
    HIGHEST_SCORE,
    RETENTION_BOUNDS,
    RETENTION_DAYS,
    SHARE_BOUNDS,
    growth,
    retained,
    score,
)
from mp_mcp_server.expressions import accessor, is_labelled
from mp_mcp_server.properties import MOST_VALUES
from mp_mcp_server.questions import Period, Questions, fits

ACTIVATION_DAYS = 7
# So many days must lie behind a user's first week; a change of the clock costs one more.
_ACTIVATION_MARGIN = ACTIVATION_DAYS + 1
MOST_SEGMENTS = 5
# What sums of money are called, the likeliest first.
MONEY = (
    "amount",
    "revenue",
    "total",
    "order_total",
    "total_price",
    "price",
    "value",
    "$amount",
    "sum",
    "gross",
    "cost",
)

Filter = str | None


@dataclass(frozen=True, slots=True)
class Events:
    """The events that stand for the parts; None leaves a part out."""

    acquisition: str
    activation: str | None
    retention: str | None
    revenue: str | None
    referral: str | None


@dataclass(slots=True)
class _Part:
    """metric: what it comes to; score: 1 to 10, None where nothing can be said; figures: what it is made of"""

    metric: float
    score: int | None
    figures: dict[str, Any]


def dashboard(questions: Questions, events: Events, period: Period, segment_by: str | None) -> dict[str, Any]:
    """Measure each part by itself: one that fails says so and takes no other with it.

    Args:
        events: as they were said
        segment_by: a property of events, whose largest segments are measured too

    Returns:
        The contract's keys and more, JSON-ready.

    Raises:
        InvalidArgumentError: an event is not the project's.
    """
    named = Events(
        questions.event(events.acquisition, "acquisition_event"),
        *(
            None if name is None else questions.event(name, f"{part}_event")
            for part, name in zip(("activation", "retention", "revenue", "referral"), _all(events)[1:], strict=True)
        ),
    )
    look = _Look(questions, named, period)
    labels = look.labels(segment_by) if segment_by else {}
    parts = {
        "acquisition": look.part("acquisition", named.acquisition, look.acquisition, labels),
        "activation": look.part("activation", named.activation, look.activation, labels),
        "retention": look.part("retention", named.retention, look.retention, labels),
        "revenue": look.part("revenue", named.revenue, look.revenue, labels),
        "referral": look.part("referral", named.referral, look.referral, labels),
    }
    scores = {name: part["score"] for name, part in parts.items() if part is not None and part["score"] is not None}
    overall = {"overall": round(sum(scores.values()) / len(scores), 1)} if scores else {}
    return {
        "period": period.told,
        **parts,
        "health_score": scores | overall,
        "events": {name: getattr(named, name) for name in parts},
        "api_calls_used": questions.used,
        "notes": questions.notes,
    }


class _Look:
    def __init__(self, questions: Questions, events: Events, period: Period) -> None:
        self.questions, self.events, self.period = questions, events, period
        self.whole = min(questions.last_day(), period.last + timedelta(days=max(RETENTION_DAYS) + 2))
        self._amount: str | None = None
        self._users: dict[tuple[str, Filter], int] = {}
        self._trends: dict[str, dict[str, float]] = {}
        self._summed: dict[tuple[str, Filter], dict[str, float]] = {}

    def labels(self, name: str) -> dict[str, str]:
        """The largest segments of the acquired, and the expression for each."""
        series = self.questions.ask(
            lambda w: w.segmentation(self.events.acquisition, on=accessor(name), **self.period.dates)
        ).series
        largest = sorted(filter(fits, series), key=lambda label: -sum(series[label].values()))
        if len(largest) > MOST_SEGMENTS:
            self.questions.notes.append(
                f"{name} has {len(largest)}{'' if len(largest) <= MOST_VALUES else ' or more'} values; the "
                f"{MOST_SEGMENTS} largest among the acquired were measured."
            )
        return {label: is_labelled(name, label) for label in largest[:MOST_SEGMENTS]}

    def part(
        self, category: str, event: str | None, measure: Callable[[Filter], _Part], labels: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """One part of the answer; None where it has no event."""
        if event is None:
            return None
        told: dict[str, Any] = {
            "category": category,
            "primary_metric": 0.0,
            "trend": {},
            "by_segment": None,
            "score": None,
            "metrics": {},
        }
        try:
            whole = measure(None)
            told |= {"primary_metric": whole.metric, "score": whole.score, "metrics": whole.figures}
            told["trend"] = self._trend(category, event)
            if labels:
                told["by_segment"] = {
                    label: {"primary_metric": found.metric, **found.figures}
                    for label, found in ((label, measure(where)) for label, where in labels.items())
                }
        except MixpanelDataError as error:
            told["by_segment"] = {"_error": {"message": error.message, "code": error.code}}
        return told

    def acquisition(self, where: Filter) -> _Part:
        """Users who did it."""
        users = self._users_of(self.events.acquisition, where)
        if where is not None:
            return _Part(users, None, {"users": users})
        change = growth(list(self._trend("acquisition", self.events.acquisition).values()))
        # what began within the period has grown as much as anything can
        mark = HIGHEST_SCORE if change is None else score(change, GROWTH_BOUNDS)
        return _Part(users, mark, {"users": users, "growth": None if change is None else round(change, 4)})

    def activation(self, where: Filter) -> _Part:
        """Of the users who have had a week, those who were activated in it."""
        event = _given(self.events.activation)
        last = min(self.period.last, self.whole - timedelta(days=_ACTIVATION_MARGIN))
        if last < self.period.first:
            return _Part(0.0, None, {"users": 0, "activated": 0, "rate": 0.0})
        asked = Period(self.period.first, last)
        cohorts = self.questions.ask(
            lambda w: w.retention(
                born_event=self.events.acquisition,
                return_event=event,
                born_where=where,
                unit="week",
                interval_count=1,
                **asked.dates,
            )
        ).cohorts
        users = sum(one.size for one in cohorts)
        activated = sum(round(one.retention[0] * one.size) for one in cohorts if one.retention)
        rate = activated / users if users else 0.0
        figures = {"users": users, "activated": activated, "rate": round(rate, 4), "acquired": asked.told}
        return _Part(round(rate, 4), score(rate, ACTIVATION_BOUNDS) if users else None, figures)

    def retention(self, where: Filter) -> _Part:
        """Of the users who have had the time, those who came back on day 1, 7 and 30; day 7 counts."""
        event = _given(self.events.retention)
        cohorts = self.questions.ask(
            lambda w: w.retention(
                born_event=self.events.acquisition,
                return_event=event,
                born_where=where,
                unit="day",
                interval_count=max(RETENTION_DAYS) + 1,
                **self.period.dates,
            )
        ).cohorts
        counts = {
            date.fromisoformat(one.date): (one.size, [round(share * one.size) for share in one.retention])
            for one in cohorts
        }
        found = {one.day: one for one in retained(counts, self.whole)}
        figures = {
            f"day_{day}": {
                "users": one.users,
                "returned": one.returned,
                "rate": round(one.rate, 4),
                "acquired": Period(one.first, one.last).told,
            }
            for day, one in found.items()
        }
        shown = found.get(7) or found.get(1)
        if shown is None:
            return _Part(0.0, None, figures)
        return _Part(round(shown.rate, 4), score(shown.rate, RETENTION_BOUNDS), figures)

    def revenue(self, where: Filter) -> _Part:
        """The sum of what was paid, and by how many."""
        event = _given(self.events.revenue)
        name = self._amount_of(event)
        payers, active = self._users_of(event, where), self._active(where)
        figures: dict[str, Any] = {"payers": payers, "payers_share": round(payers / active, 4) if active else 0.0}
        marks = score(payers / active, SHARE_BOUNDS) if active else None
        if name is None:
            return _Part(0.0, marks, {"property": None, **figures})
        total = round(fsum(self._sums(event, name, where).values()), 2)
        return _Part(total, marks, {"property": name, "sum": total, **figures})

    def referral(self, where: Filter) -> _Part:
        """Users who brought in others."""
        event = _given(self.events.referral)
        inviters, active = self._users_of(event, where), self._active(where)
        figures = {"users": inviters, "users_share": round(inviters / active, 4) if active else 0.0}
        return _Part(inviters, score(inviters / active, SHARE_BOUNDS) if active else None, figures)

    def _trend(self, category: str, event: str) -> dict[str, float]:
        if event not in self._trends:
            names = list(dict.fromkeys(name for name in _all(self.events) if name is not None))
            found = self.questions.ask(lambda w: w.event_counts(names, **self.period.dates)).series
            self._trends = {name: dict(counts) for name, counts in found.items()}
        if category == "revenue" and self._amount is not None:
            return self._sums(event, self._amount, None)
        return self._trends[event]

    def _active(self, where: Filter) -> int:
        return self._users_of(self.events.retention or self.events.acquisition, where)

    def _users_of(self, event: str, where: Filter) -> int:
        """Exactly so many users: each is born once in a period, so that the cohorts add up."""
        key = (event, where)
        if key not in self._users:
            cohorts = self.questions.ask(
                lambda w: w.retention(
                    born_event=event,
                    return_event=event,
                    born_where=where,
                    unit="month",
                    interval_count=1,
                    **self.period.dates,
                )
            ).cohorts
            self._users[key] = sum(one.size for one in cohorts)
        return self._users[key]

    def _amount_of(self, event: str) -> str | None:
        """The property that holds the sums: of the usual names the first that holds numbers."""
        if self._amount is None:
            there = {name.casefold(): name for name in self.questions.ask(lambda w: w.properties(event))}
            for name in (there[usual] for usual in MONEY if usual in there):
                if any(self._sums(event, name, None).values()):
                    self._amount = name
                    self.questions.notes.append(f"Revenue is the sum of {name} over {event}.")
                    return name
            self.questions.notes.append(f"No property of {event} looks like a sum of money ({', '.join(MONEY)}).")
        return self._amount

    def _sums(self, event: str, name: str, where: Filter) -> dict[str, float]:
        key = (name, where)
        if key not in self._summed:
            # what is no number would count as 0, and so it does not matter
            found = self.questions.ask(
                lambda w: w.segmentation_sum(event, on=accessor(name), where=where, **self.period.dates)
            )
            self._summed[key] = {day: round(float(value), 2) for day, value in found.results.items()}
        return self._summed[key]


def _all(events: Events) -> Sequence[str | None]:
    return (events.acquisition, events.activation, events.retention, events.revenue, events.referral)


def _given(event: str | None) -> str:
    if event is None:
        raise TypeError("a part without an event is not measured")
    return event
