"""Four sides of a product, each measured as a short ladder of users: how many could, and how many of them did.

conversion   the steps of the longest saved funnel; without one, the payment (or the busiest event) within a week
retention    those who began, and those of them who came back on day 7 (day 1 of a short period)
engagement   those active in the last whole week, and those active on three days of it or more
revenue      those active in the period, and those who paid in it
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import fsum
from typing import Any, Literal

from typing_extensions import TypedDict

from mp_mcp_server.analysis.funnel import find_bottleneck
from mp_mcp_server.analysis.health import RETENTION_DAYS, Retained, growth, retained
from mp_mcp_server.expressions import accessor
from mp_mcp_server.findings.health import MONEY
from mp_mcp_server.questions import Period, Questions

FocusArea = Literal["conversion", "retention", "engagement", "revenue"]
FOCUS_AREAS: tuple[FocusArea, ...] = ("conversion", "retention", "engagement", "revenue")

_MOST_FUNNELS = 3
_SHOWN = 3
_OFTEN_DAYS = 3
_WEEK = timedelta(days=7)
# What events are usually called, the likeliest first; parts of words.
_BEGINNINGS = ("sign up", "signup", "sign_up", "register", "registration", "account created", "install", "first open")
_PAYMENTS = ("purchase", "payment", "paid", "order completed", "order", "subscri", "checkout", "buy")

Filter = str | None
Reached = tuple[int, ...]


class Subject(TypedDict):
    """What is measured again for a segment, JSON-ready.

    events: the one whose properties segments go by, then the other one
    number: of the funnel, or of the day of return; 0 where there is none
    """

    events: list[str]
    number: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """steps, reached: the users who took each; findings in sentences, and the metrics that they rest on"""

    steps: list[str]
    reached: Reached
    subject: Subject
    findings: list[str]
    metrics: dict[str, Any]


# ── conversion ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _conversion(questions: Questions, period: Period) -> Ladder:
    saved = questions.ask(lambda w: w.funnels())[:_MOST_FUNNELS]
    answers = questions.ask_all(
        [lambda w, one=one: w.funnel(one.funnel_id, unit="month", **period.dates) for one in saved],  # type: ignore[misc]  # bound early
        "funnels",
    )
    names = {one.funnel_id: one.name for one in saved}
    funnels = [answer for answer in answers if not isinstance(answer, Exception) and answer.steps]
    if not funnels:
        return _within_a_week(questions, period)
    main = max(funnels, key=lambda one: (len(one.steps), one.steps[0].count))
    steps, reached = [step.event for step in main.steps], tuple(step.count for step in main.steps)
    finding = find_bottleneck(steps, reached, {})
    said = [
        f"{names[main.funnel_id]}: {reached[-1]} of {reached[0]} users came through, {percent(finding.conversion)} %."
    ]
    worst = finding.bottleneck
    if worst is not None:
        how = "The bottleneck is" if finding.stands_out else "No step stands out; the worst is"
        said.append(
            f"{how} step {worst.number}, {worst.name}: {percent(1 - worst.rate)} % of those who took "
            f"{finding.steps[worst.number - 2].name} do not take it ({worst.lost} users)."
        )
    metrics = {
        names[one.funnel_id]: {
            "funnel_id": one.funnel_id,
            "entered": one.steps[0].count,
            "converted": one.steps[-1].count,
            "rate": rate(one.steps[-1].count, one.steps[0].count),
        }
        for one in funnels
    }
    return Ladder(steps, reached, {"events": steps[:1], "number": main.funnel_id}, said, metrics)


def _within_a_week(questions: Questions, period: Period) -> Ladder:
    born = _named(questions, _BEGINNINGS) or _busiest(questions, period, None)
    goal = _named(questions, _PAYMENTS) or _busiest(questions, period, born)
    if born is None or goal is None or born == goal:
        return _nothing("There is no saved funnel, and too few events to make one of.")
    whole = min(period.last, questions.last_day() - timedelta(days=8))
    if whole < period.first:
        return _nothing("There is no saved funnel, and nobody of the period has had a whole week yet.")
    reached = _did_within_a_week(questions, Period(period.first, whole), born, goal, None)
    said = (
        f"No funnel is saved. Of {reached[0]} users who did {born} until {whole}, {reached[1]} did {goal} within a "
        f"week: {percent(_share(reached))} %."
    )
    metrics = {"users": reached[0], "converted": reached[1], "rate": rate(reached[1], reached[0])}
    return Ladder([born, goal], reached, {"events": [born, goal], "number": 0}, [said], metrics)


def _conversion_again(questions: Questions, period: Period, subject: Subject, where: Filter) -> Reached:
    whole = Period(period.first, min(period.last, questions.last_day() - timedelta(days=8)))
    born, goal = subject["events"]
    return _did_within_a_week(questions, whole, born, goal, where)


def _did_within_a_week(questions: Questions, period: Period, born: str, goal: str, where: Filter) -> Reached:
    cohorts = questions.ask(
        lambda w: w.retention(
            born_event=born, return_event=goal, born_where=where, unit="week", interval_count=1, **period.dates
        )
    ).cohorts
    return (
        sum(one.size for one in cohorts),
        sum(round(one.retention[0] * one.size) for one in cohorts if one.retention),
    )


# ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _retention(questions: Questions, period: Period) -> Ladder:
    born = _named(questions, _BEGINNINGS) or _busiest(questions, period, None)
    back = _busiest(questions, period, born) or born
    if born is None or back is None:
        return _nothing("Nobody did anything in the period.")
    found = {one.day: one for one in _returned(questions, period, born, back, None)}
    shown = found.get(7) or found.get(1)
    if shown is None:
        return _nothing(f"Nobody who did {born} in the period has had the time to come back.")
    said = [
        f"Of {one.users} users who did {born} from {one.first} to {one.last}, {one.returned} came back with {back} on "
        f"day {one.day}: {percent(one.rate)} %."
        for one in found.values()
    ]
    metrics = {
        f"day_{one.day}": {"users": one.users, "returned": one.returned, "rate": round(one.rate, 4)}
        for one in found.values()
    }
    steps = [born, f"{back} on day {shown.day}"]
    return Ladder(steps, (shown.users, shown.returned), {"events": [born, back], "number": shown.day}, said, metrics)


def _retention_again(questions: Questions, period: Period, subject: Subject, where: Filter) -> Reached:
    born, back = subject["events"]
    for one in _returned(questions, period, born, back, where):
        if one.day == subject["number"]:
            return one.users, one.returned
    return 0, 0


def _returned(questions: Questions, period: Period, born: str, back: str, where: Filter) -> list[Retained]:
    cohorts = questions.ask(
        lambda w: w.retention(
            born_event=born,
            return_event=back,
            born_where=where,
            unit="day",
            interval_count=max(RETENTION_DAYS) + 1,
            **period.dates,
        )
    ).cohorts
    counts = {
        date.fromisoformat(one.date): (one.size, [round(share * one.size) for share in one.retention])
        for one in cohorts
    }
    return retained(counts, questions.last_day())


# ── engagement ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _engagement(questions: Questions, period: Period) -> Ladder:
    busiest = questions.busiest(period, most=_SHOWN)
    if not busiest:
        return _nothing("Nobody did anything in the period.")
    event = busiest[0]
    week = _last_week(period)
    users = _often(questions, week, event, None)
    daily = questions.ask(lambda w: w.event_counts(busiest, type="unique", **period.dates)).series
    active, often = users[0] if users else 0, _at_least(users, _OFTEN_DAYS)
    mean = round(sum(users) / active, 2) if active else 0.0
    weekly = (
        f"In the week from {week.first} to {week.last}, {active} users did {event}, on {mean} days each; {often} of "
        f"them ({percent(_share((active, often)))} %) on {_OFTEN_DAYS} days or more."
    )
    said = [weekly] + [
        f"{round(fsum(counts.values()) / len(counts), 1)} users a day did {name}; {_change(list(counts.values()))}."
        for name, counts in daily.items()
        if counts
    ]
    metrics = {
        "week": week.told,
        "active_users": active,
        "days_a_user": mean,
        "three_days_or_more": often,
        "rate": rate(often, active),
        "users_a_day": {name: round(fsum(c.values()) / len(c), 2) for name, c in daily.items() if c},
    }
    steps = [event, f"{event} on {_OFTEN_DAYS} days or more"]
    return Ladder(steps, (active, often), {"events": [event], "number": 0}, said, metrics)


def _engagement_again(questions: Questions, period: Period, subject: Subject, where: Filter) -> Reached:
    users = _often(questions, _last_week(period), subject["events"][0], where)
    return (users[0] if users else 0), _at_least(users, _OFTEN_DAYS)


def _last_week(period: Period) -> Period:
    """The last whole week, Monday to Sunday, of the period; of a short one it may begin before."""
    last = period.last - timedelta(days=(period.last.weekday() + 1) % 7)
    return Period(last - _WEEK + timedelta(days=1), last)


def _often(questions: Questions, week: Period, event: str, where: Filter) -> Sequence[int]:
    """How many users did it on at least 1, 2, 3 … days of the week."""
    found = questions.ask(
        lambda w: w.frequency(event=event, where=where, unit="week", addiction_unit="day", **week.dates)
    ).data
    return next(iter(found.values()), ())


def _at_least(users: Sequence[int], days: int) -> int:
    return users[days - 1] if len(users) >= days else 0


# ── revenue ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _revenue(questions: Questions, period: Period) -> Ladder:
    paid = _named(questions, _PAYMENTS)
    if paid is None:
        return _nothing("No event is called like a payment; product_health_dashboard takes any as revenue_event.")
    active = _busiest(questions, period, paid)
    if active is None:
        return _nothing("Nobody did anything but pay in the period.")
    reached = (_users(questions, period, active, None), _users(questions, period, paid, None))
    name, sums = _sums(questions, period, paid)
    total = round(fsum(sums), 2)
    each = round(total / reached[1], 2) if reached[1] else 0.0
    said = [
        f"{reached[0]} users did {active} in the period, and {reached[1]} did {paid}: {percent(_share(reached))} %."
    ]
    metrics: dict[str, Any] = {"payers": reached[1], "active_users": reached[0], "rate": rate(reached[1], reached[0])}
    if name is None:
        said.append(f"No property of {paid} looks like a sum of money.")
    else:
        said.append(f"{name} of {paid} comes to {total}, {each} a payer; {_change(sums)}.")
        metrics |= {"property": name, "sum": total, "sum_a_payer": each}
    return Ladder([active, paid], reached, {"events": [active, paid], "number": 0}, said, metrics)


def _revenue_again(questions: Questions, period: Period, subject: Subject, where: Filter) -> Reached:
    active, paid = subject["events"]
    return _users(questions, period, active, where), _users(questions, period, paid, where)


def _users(questions: Questions, period: Period, event: str, where: Filter) -> int:
    """Exactly so many users: each is born once in a period, so that the cohorts add up."""
    cohorts = questions.ask(
        lambda w: w.retention(
            born_event=event, return_event=event, born_where=where, unit="month", interval_count=1, **period.dates
        )
    ).cohorts
    return sum(one.size for one in cohorts)


def _sums(questions: Questions, period: Period, event: str) -> tuple[str | None, list[float]]:
    """The property that holds sums of money, and the sum of each day."""
    there = {name.casefold(): name for name in questions.ask(lambda w: w.properties(event))}
    for name in (there[usual] for usual in MONEY if usual in there):
        found = questions.ask(
            lambda w, name=name: w.segmentation_sum(event, on=accessor(name), **period.dates)  # type: ignore[misc]  # bound early
        ).results
        if any(found.values()):
            return name, [float(value) for _, value in sorted(found.items())]
    return None, []


def _nothing(why: str) -> Ladder:
    return Ladder(["nobody"], (0,), {"events": [], "number": 0}, [why], {})


def _named(questions: Questions, words: Sequence[str]) -> str | None:
    names = questions.events()
    return next((name for word in words for name in names if word in name.casefold()), None)


def _busiest(questions: Questions, period: Period, without: str | None) -> str | None:
    return next(iter(questions.busiest(period, without=without, most=1)), None)


def _change(daily: Sequence[float]) -> str:
    change = growth(daily)
    if change is None:
        return "none before, only at the end of the period"
    if abs(change) < 0.005:
        return "the end of the period is like its beginning"
    return f"{abs(percent(change))} % {'more' if change > 0 else 'less'} at the end of the period than before"


def _share(reached: Reached) -> float:
    return reached[-1] / reached[0] if reached[0] else 0.0


def rate(part: int, whole: int) -> float:
    """A share, 0 where there is nobody."""
    return round(part / whole, 4) if whole else 0.0


def percent(share: float) -> float:
    """As answers say it."""
    return round(100 * share, 1)


FIRST: Mapping[FocusArea, Callable[[Questions, Period], Ladder]] = {
    "conversion": _conversion,
    "retention": _retention,
    "engagement": _engagement,
    "revenue": _revenue,
}
AGAIN: Mapping[FocusArea, Callable[[Questions, Period, Subject, Filter], Reached]] = {
    "conversion": _conversion_again,
    "retention": _retention_again,
    "engagement": _engagement_again,
    "revenue": _revenue_again,
}
