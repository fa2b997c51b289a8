"""Whether an event's count fell around a day, by how much, and whose events are missing."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mixpanel_data.errors import InvalidArgumentError
from mp_mcp_server.analysis.drop import (
    DAYS_AFTER,
    DAYS_BEFORE,
    SMALLEST_FALL,
    SURE,
    TOLERANCE_DAYS,
    Conditions,
    Driver,
    Drop,
    Segment,
    find_drop,
    rivals,
    twins,
    worth_splitting,
)
from mp_mcp_server.expressions import accessor, all_of
from mp_mcp_server.properties import Splits, splits
from mp_mcp_server.questions import Period, Questions, fits

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import SegmentationResult, Workspace

MOST_OTHER_PROPERTIES = 8
_MOST_RIVALS = 3
_MOST_SEGMENTS = 60  # Mixpanel names no more of them
_SHOWN_SEGMENTS = 12
_WEEK = 7
_FEW_EVENTS_A_DAY = 5
_VERY_SURE = 1e-6

Ask = Callable[["Workspace"], "SegmentationResult"]


def diagnose(questions: Questions, event: str, asked: date, dimensions: Sequence[str] | None) -> dict[str, Any]:
    """Look for a fall of an event within three days of a day.

    Args:
        event: as it was said; the project's own spelling is looked for
        asked: the day on which somebody saw it
        dimensions: properties to look at; None: the familiar ones and others with few values

    Returns:
        findings, raw_data and what belongs to the answer, JSON-ready.

    Raises:
        InvalidArgumentError: there is no such event, or the day is not over.
        APIError and its kinds: the event's own counts cannot be had; of a dimension it is a caveat.
    """
    name = questions.event(event)
    period = _around(questions, asked)
    known = splits(questions, name, period, most_others=MOST_OTHER_PROPERTIES) if dimensions is None else None
    properties = tuple(known.names if known else dict.fromkeys(dimensions or ()))
    known = known or Splits(properties, {})
    look = _Look(questions, name, period, known)
    drop = _narrowed_down(look, properties, asked)
    elsewhere = _elsewhere(look, drop, asked)
    return {
        "event": name,
        "asked": asked.isoformat(),
        "findings": _told(look, drop, elsewhere, asked),
        "raw_data": look.raw(asked),
        "api_calls_used": questions.used,
        "notes": questions.notes,
    }


def _around(questions: Questions, asked: date) -> Period:
    last = questions.last_day()
    if asked > last + timedelta(days=TOLERANCE_DAYS):
        raise InvalidArgumentError(
            "date", f"{asked} is not over", fix=f"take a day until {last}, the project's last whole one"
        )
    if asked > last:
        questions.notes.append(f"{asked} is not over; only whole days, until {last}, were looked at.")
    return Period(min(asked, last) - timedelta(days=DAYS_BEFORE), min(asked + timedelta(days=DAYS_AFTER), last))


def _narrowed_down(look: "_Look", properties: Sequence[str], asked: date) -> Drop | None:
    """Look at each property, then within the clearest segment at each other one."""
    days, total = look.period.days, look.total
    single = look.by(properties)
    drop = find_drop(days, total, single, asked=asked)
    second = worth_splitting(drop, properties) if drop is not None else None
    if drop is None or second is None:
        return drop
    driver, others = second
    alike = twins(driver, single)
    pairs = look.by([name for name in others if name not in alike], within=driver.conditions)
    found = find_drop(days, total, [*single, *pairs], asked=asked)
    if found is None or not found.drivers or len(found.drivers[0].conditions) < 2:
        return found
    halves = {name for name, _ in found.drivers[0].conditions}
    (half,) = halves - {driver.conditions[0][0]} or {""}
    others_first = [
        one for one in rivals(driver, days.index(found.day), total, single) if one.conditions[0][0] not in halves
    ]
    for rival in others_first[:_MOST_RIVALS]:
        pairs += look.by([half], within=rival.conditions)
    return find_drop(days, total, [*single, *pairs], asked=asked)


class _Look:
    """The event split by one property after another, and what became of it."""

    def __init__(self, questions: Questions, event: str, period: Period, known: Splits) -> None:
        self.questions, self.event, self.period, self.known = questions, event, period, known
        self.total = self.counts(period)
        self.caveats: list[str] = []
        self._first: dict[str, list[Segment]] = {}

    def counts(self, period: Period, where: str | None = None) -> tuple[int, ...]:
        """The event's count on each day, or that of a part of it."""
        found = self.questions.ask(lambda w: w.segmentation(self.event, where=where, **period.dates))
        return _counts(found.series, self.event, period)

    def by(self, properties: Sequence[str], within: Conditions = ()) -> list[Segment]:
        """The segments of each property, all in the event or all within another segment."""
        before, where = within, self.where(within) if within else None

        def question(name: str) -> Ask:
            return lambda w: w.segmentation(self.event, on=accessor(name), where=where, **self.period.dates)

        found: list[Segment] = []
        answers = self.questions.ask_all([question(name) for name in properties], "properties looked at")
        for name, answer in zip(properties, answers, strict=True):
            if isinstance(answer, Exception):
                self.caveats.append(f"{name} could not be looked at: {_first_line(answer)}")
                continue
            segments = [
                Segment((*before, (name, label)), _counts(answer.series, label, self.period))
                for label in answer.series
                if fits(label)
            ]
            if len(segments) < len(answer.series):
                self.caveats.append(f"{name} has values that are too long to ask for; they were left out.")
            if len(segments) >= _MOST_SEGMENTS:
                self.caveats.append(
                    f"{name} has more values than Mixpanel splits by; the {len(segments)} largest count."
                )
            if not before:
                self._first[name] = segments
            found += segments
        return found

    def where(self, conditions: Sequence[tuple[str, str]]) -> str:
        return all_of([self.known.where(name, label) for name, label in conditions])

    def raw(self, asked: date) -> dict[str, Any]:
        """The contract's raw data: the seven days before the day asked about, and that day and the six after it."""
        at = (min(asked, self.period.last) - self.period.first).days
        spans = {"baseline": range(max(0, at - _WEEK), at), "drop_period": range(at, min(at + _WEEK, len(self.total)))}
        days = self.period.days

        def daily(span: range) -> dict[str, int]:
            return {days[place].isoformat(): self.total[place] for place in span}

        def by_segment(segments: list[Segment], span: range) -> dict[str, int]:
            shown = sorted(segments, key=lambda one: -sum(one.counts))[:_SHOWN_SEGMENTS]
            return {one.conditions[0][1]: sum(one.counts[place] for place in span) for one in shown}

        return {
            "baseline_data": daily(spans["baseline"]),
            "drop_data": daily(spans["drop_period"]),
            "segment_data": {
                name: {key: by_segment(segments, span) for key, span in spans.items()}
                for name, segments in self._first.items()
            },
            **{
                f"{key.removesuffix('_period')}_period": Period(days[span[0]], days[span[-1]]).told
                for key, span in spans.items()
            },
        }


def _counts(series: dict[str, dict[str, Any]], label: str, period: Period) -> tuple[int, ...]:
    counts = series.get(label, {})
    return tuple(int(counts.get(day.isoformat(), 0)) for day in period.days)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _elsewhere(look: _Look, drop: Drop | None, asked: date) -> Drop | None:
    """The fall that was found on a day far from the one asked about, if it is one, seen with the days around it."""
    if drop is None or abs((drop.day - asked).days) <= TOLERANCE_DAYS or drop.size < SMALLEST_FALL:
        return None
    if not drop.drivers:
        # so seen from this far that more days would be asked for in vain
        return find_drop(look.period.days, look.total, [], asked=drop.day) if drop.p_value < SURE else None
    first = drop.drivers[0].conditions
    period = Period(
        drop.day - timedelta(days=DAYS_BEFORE), min(drop.day + timedelta(days=DAYS_AFTER), look.questions.last_day())
    )
    parts = [Segment(first, look.counts(period, look.where(first)))]
    found = find_drop(period.days, look.counts(period), parts, asked=drop.day)
    return found if found is not None and found.confirmed else None


def _told(look: _Look, drop: Drop | None, elsewhere: Drop | None, asked: date) -> dict[str, Any]:
    confirmed = drop is not None and drop.confirmed
    shown = drop if confirmed else elsewhere
    drivers = [_driver(look, driver, shown) for driver in shown.drivers] if shown is not None else []
    summary = _summary(look, drop, elsewhere, asked, drivers)
    return {
        "drop_confirmed": confirmed,
        "drop_percentage": _percent(drop.size) if drop is not None and confirmed else 0.0,
        "primary_driver": drivers[0] if confirmed and drivers else None,
        "secondary_factors": drivers[1:] if confirmed else [],
        "recommendations": _recommendations(look, drop if confirmed else None, elsewhere, drivers),
        "confidence": _confidence(look, drop),
        "caveats": _caveats(look, drop),
        "raw_data": _figures(shown),
        "summary": summary,
        "drop_date": drop.day.isoformat() if drop is not None and confirmed else None,
        "elsewhere": None
        if elsewhere is None
        else {
            "drop_date": elsewhere.day.isoformat(),
            "drop_percentage": _percent(elsewhere.size),
            "primary_driver": drivers[0] if drivers else None,
        },
    }


def _figures(drop: Drop | None) -> dict[str, Any]:
    if drop is None:
        return {}
    return {
        "events_per_day_before": round(drop.before, 2),
        "events_per_day_since": round(drop.after, 2),
        "before": {"from": drop.baseline[0].isoformat(), "to": drop.baseline[1].isoformat()},
        "since": {"from": drop.since[0].isoformat(), "to": drop.since[1].isoformat()},
        "p_value": _p(drop.p_value),
    }


def _driver(look: _Look, driver: Driver, drop: Drop | None) -> dict[str, Any]:
    dimension = " + ".join(name for name, _ in driver.conditions)
    segment = " + ".join(label for _, label in driver.conditions)
    since = f" since {drop.day}" if drop is not None else ""
    return {
        "dimension": dimension,
        "segment": segment,
        "contribution_pct": _percent(driver.contribution),
        "baseline_value": round(driver.before, 2),
        "current_value": round(driver.after, 2),
        "description": (
            f"{look.event} where {dimension} is {segment} fell by {_percent(driver.fall)} %{since}, from "
            f"{round(driver.before, 1)} to {round(driver.after, 1)} events a day; that is "
            f"{_percent(driver.contribution)} % of all that is missing."
        ),
        "fall_pct": _percent(driver.fall),
        "p_value": _p(driver.p_value),
        "conditions": [{"property": name, "value": label} for name, label in driver.conditions],
        "where": look.where(driver.conditions),
    }


def _summary(look: _Look, drop: Drop | None, elsewhere: Drop | None, asked: date, drivers: list[dict[str, Any]]) -> str:
    event = look.event
    if drop is None:
        return (
            f"From {look.period.first} to {look.period.last}, {event} never happened or began within the last week: "
            "nothing can be said."
        )
    if drop.confirmed:
        whose = drivers[0]["description"] if drivers else "No single segment explains it: it fell for everybody alike."
        return (
            f"{event} fell by {_percent(drop.size)} % from {drop.day} on: {round(drop.after, 1)} events a day instead "
            f"of {round(drop.before, 1)}, weekdays compared with like weekdays. {whose}"
        )
    none = f"{event} did not fall within {TOLERANCE_DAYS} days of {asked}: what is seen there is chance or weekdays."
    if elsewhere is None:
        return none
    whose = f" {drivers[0]['description']}" if drivers else ""
    return f"{none} But it fell by {_percent(elsewhere.size)} % from {elsewhere.day} on.{whose}"


def _recommendations(
    look: _Look, drop: Drop | None, elsewhere: Drop | None, drivers: list[dict[str, Any]]
) -> list[str]:
    if drop is None and elsewhere is not None:
        return [f"Ask again with date {elsewhere.day}."]
    if drop is None:
        return ["Nothing to mend in this event; if a number somewhere else looks low, ask about that one."]
    if not drivers:
        return [
            f"Look at what changed for everybody on {drop.day}: tracking, an outage, a campaign that ended.",
            "Ask again with other dimensions if a segment is suspected.",
        ]
    told = " and ".join(f"{one['property']} = {one['value']}" for one in drivers[0]["conditions"])
    return [
        f"Look at what changed on {drop.day} for {told}: a release, the tracking code, an outage of a service.",
        f"Take where={drivers[0]['where']} in segmentation to watch it come back.",
        f"See with event_counts whether other events fell too: then users are missing, not only {look.event}.",
    ]


def _confidence(look: _Look, drop: Drop | None) -> str:
    rare = sum(look.total) < _FEW_EVENTS_A_DAY * len(look.total)
    if drop is None or rare:
        return "low"
    if drop.confirmed:
        return "high" if drop.p_value < _VERY_SURE else "medium"
    return "medium" if look.caveats else "high"


def _caveats(look: _Look, drop: Drop | None) -> list[str]:
    caveats = list(look.caveats)
    since = (look.period.last - drop.day).days + 1 if drop is not None else 0
    if drop is not None and drop.confirmed and since < _WEEK:
        caveats.append(f"Only {since} whole days since: whether it lasts is not known yet.")
    if sum(look.total) < _FEW_EVENTS_A_DAY * len(look.total):
        caveats.append("The event is rare: only a very large fall would show.")
    return caveats


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _p(value: float) -> float:
    return float(f"{value:.3g}")
