"""Whether two groups of new users behave differently, judged user by user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mixpanel_data.errors import APIError, InvalidArgumentError, JQLSyntaxError, QueryError
from mp_mcp_server.analysis.cohorts import SURE, CohortFinding, Difference, Returned, compare
from mp_mcp_server.analysis.significance import Sample, detectable
from mp_mcp_server.questions import Period, Questions, script

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import RetentionResult, Workspace

DIMENSIONS = ("event_frequency", "retention", "top_events")
WEEKS = 4
MOST_EVENTS = 15
_WEEK = 7
# A day that is not over for all users of a day counts them as gone; for changes of the clock one more.
_MARGIN_DAYS = 1
_SHOWN = 5
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Asked:
    """A cohort: the users with an acquisition event in the period that fulfils the filter."""

    name: str
    filter: str


@dataclass(slots=True)
class _Group:
    asked: Asked
    users: int
    returned: dict[str, Returned]
    events: dict[str, tuple[int, Sample]]


def comparison(
    questions: Questions, cohorts: tuple[Asked, Asked], event: str, period: Period, dimensions: Sequence[str]
) -> dict[str, Any]:
    """Put the same questions to both cohorts.

    Args:
        event: the acquisition event, as it was said
        dimensions: some of DIMENSIONS

    Returns:
        The contract's keys and more, JSON-ready; what could not be asked is under errors.

    Raises:
        InvalidArgumentError: a filter that Mixpanel refuses; says which.
    """
    born = questions.event(event, "acquisition_event")
    others = questions.busiest(period, without=born, most=MOST_EVENTS)
    errors: dict[str, str] = {}
    groups = [
        _sized(questions, cohort, argument, born, period)
        for cohort, argument in zip(cohorts, ("cohort_a_filter", "cohort_b_filter"), strict=True)
    ]
    back = ""
    if "retention" in dimensions and others:
        back = others[0]
        for group in groups:
            group.returned = _returned(questions, group.asked, born, back, period)
    if {"event_frequency", "top_events"} & set(dimensions):
        errors = _count_events(questions, groups, born, others, period)
    a, b = groups
    # together: a correction must know of every question that was asked
    finding = compare(
        {week: (a.returned[week], b.returned[week]) for week in a.returned if week in b.returned},
        {name: (a.events[name][1], b.events[name][1]) for name in a.events if name in b.events}
        if "event_frequency" in dimensions
        else {},
    )
    answer = {
        "cohort_a": _cohort(a),
        "cohort_b": _cohort(b),
        "period": period.told,
        "comparisons": _comparisons(a, b, finding, dimensions, back),
        "statistical_significance": _significance(finding),
        "key_differences": _sentences(a, b, finding, born),
        "api_calls_used": questions.used,
        "notes": [
            f"A cohort is the users with a {born} in the period that fulfils its filter.",
            *questions.notes,
            *_hints(a, b, finding),
        ],
    }
    return answer | ({"errors": errors} if errors else {})


def _sized(questions: Questions, cohort: Asked, argument: str, born: str, period: Period) -> _Group:
    try:
        # each user is born once in a period, so that its cohorts add up to its users
        found = questions.ask(
            lambda w: w.retention(
                born_event=born,
                return_event=born,
                born_where=cohort.filter,
                unit="month",
                interval_count=1,
                **period.dates,
            )
        )
    except QueryError as error:
        if error.status_code != _BAD_REQUEST:
            raise
        # The event is one of the project's, and the days have been answered for: the filter alone is the caller's own.
        raise _refused(argument, error) from error
    return _Group(cohort, sum(one.size for one in found.cohorts), {}, {})


def _refused(argument: str, error: QueryError) -> InvalidArgumentError:
    said = error.message.removeprefix(f"query error (HTTP {_BAD_REQUEST}): ")
    return InvalidArgumentError(
        argument,
        f"Mixpanel refuses the expression: {said}",
        fix='write a condition such as properties["plan"] == "pro", several of them joined by and, or, not; '
        "list_properties names what an event has",
    )


def _returned(questions: Questions, cohort: Asked, born: str, back: str, period: Period) -> dict[str, Returned]:
    """Who came back in the first weeks after the first; only those count who have had the time."""
    whole = min(questions.last_day(), period.last + timedelta(days=_WEEK * (WEEKS + 1)))
    latest = whole - timedelta(days=2 * _WEEK + _MARGIN_DAYS)
    if latest < period.first:
        return {}
    asked = Period(period.first, min(period.last, latest))
    found = questions.ask(
        lambda w: w.retention(
            born_event=born,
            return_event=back,
            born_where=cohort.filter,
            unit="week",
            interval_count=WEEKS + 1,
            **asked.dates,
        )
    )
    weeks = {f"week_{week}": _in_week(found, week, asked.last, whole) for week in range(1, WEEKS + 1)}
    return {week: returned for week, returned in weeks.items() if returned.users}


def _in_week(found: "RetentionResult", week: int, last_born: date, whole: date) -> Returned:
    old = [
        one
        for one in found.cohorts
        if min(date.fromisoformat(one.date) + timedelta(days=_WEEK - 1), last_born)
        <= whole - timedelta(days=_WEEK * (week + 1) + _MARGIN_DAYS)
        and len(one.retention) > week
    ]
    users = sum(one.size for one in old)
    return Returned(users, sum(round(one.retention[week] * one.size) for one in old))


def _count_events(
    questions: Questions, groups: list[_Group], born: str, events: list[str], period: Period
) -> dict[str, str]:
    """Fill in what either group did, or say why not."""
    for group in groups:
        try:
            group.events = questions.ask(lambda w, of=group.asked: _per_user(w, of, born, events, period))  # type: ignore[misc]  # bound early
        except APIError as error:
            for each in groups:
                each.events = {}
            said = error.error_message if isinstance(error, JQLSyntaxError) else error.message
            why = f"Events a user need a script, which failed for {group.asked.name}: {said[:300]}"
            if isinstance(error, QueryError):
                why += " (its filter must do as a script's selector, which knows properties[…] of events only)"
            return {"event_frequency": why}
    return {}


def _per_user(
    workspace: "Workspace", cohort: Asked, born: str, events: list[str], period: Period
) -> dict[str, tuple[int, Sample]]:
    """The filter goes in as a parameter, and is never a part of the script.

    Source: reference/mixpanel-api.md, sections 10.4 and 10.6
    """
    params = {"born_event": born, "filter": cohort.filter, "events": events, **period.dates}
    rows = workspace.jql(script("per_user"), params).raw
    if not rows:
        return {}
    users, sums, squares = rows[0]["users"], rows[0]["sums"], rows[0]["squares"]
    return {
        name: (int(total), Sample.of_sums(users, total, square))
        for name, total, square in zip(events, sums, squares, strict=True)
    }


def _cohort(group: _Group) -> dict[str, Any]:
    metrics: dict[str, Any] = {f"retention_{week}": round(one.rate, 4) for week, one in group.returned.items()}
    metrics |= {f"{name} per user": round(sample.mean, 3) for name, (_, sample) in group.events.items()}
    return {"name": group.asked.name, "filter": group.asked.filter, "user_count": group.users, "metrics": metrics}


def _comparisons(a: _Group, b: _Group, finding: CohortFinding, dimensions: Sequence[str], back: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if "event_frequency" in dimensions and a.events and b.events:
        told["event_frequency"] = {
            "cohort_a_frequency": {name: round(sample.mean, 3) for name, (_, sample) in a.events.items()},
            "cohort_b_frequency": {name: round(sample.mean, 3) for name, (_, sample) in b.events.items()},
            "differences": [_difference(one, a, b) for one in finding.frequency],
        }
    if "retention" in dimensions:
        told["retention"] = {
            "cohort_a_users": a.users,
            "cohort_b_users": b.users,
            "user_ratio": _ratio(a.users, b.users),
            "note": f"Users with {back} in the week so many weeks after their own first event; only those who had the "
            "time are counted."
            if a.returned and b.returned
            else "No user of the period has had two whole weeks yet, or nothing else ever happened.",
            "return_event": back or None,
            "periods": [_period(one, a.returned[one.name], b.returned[one.name]) for one in finding.retention],
        }
    if "top_events" in dimensions and a.events and b.events:
        for key, group in (("cohort_a_top_events", a), ("cohort_b_top_events", b)):
            ranked = sorted(group.events.items(), key=lambda pair: (-pair[1][0], pair[0]))
            told.setdefault("top_events", {})[key] = [
                {"event": name, "count": total} for name, (total, _) in ranked[: 2 * _SHOWN] if total
            ]
    return told


def _difference(one: Difference, a: _Group, b: _Group) -> dict[str, Any]:
    if one.differs and one.ratio is not None:
        said = f"{a.asked.name} do it {round(one.ratio, 2)} times as often a user as {b.asked.name}"
    elif one.differs:
        said = f"only {a.asked.name} do it"
    else:
        said = "no sure difference"
    return {
        "event": one.name,
        "cohort_a_count": a.events[one.name][0],
        "cohort_b_count": b.events[one.name][0],
        "ratio": None if one.ratio is None else round(one.ratio, 3),
        "interpretation": said,
        "cohort_a_per_user": round(one.a, 3),
        "cohort_b_per_user": round(one.b, 3),
        "p_value": float(f"{one.p_value:.3g}"),
        "differs": one.differs,
    }


def _period(one: Difference, a: Returned, b: Returned) -> dict[str, Any]:
    return {
        "period": one.name,
        "cohort_a_users": a.users,
        "cohort_a_returned": a.returned,
        "cohort_a_rate": round(a.rate, 4),
        "cohort_b_users": b.users,
        "cohort_b_returned": b.returned,
        "cohort_b_rate": round(b.rate, 4),
        "ratio": None if one.ratio is None else round(one.ratio, 3),
        "p_value": float(f"{one.p_value:.3g}"),
        "differs": one.differs,
    }


def _significance(finding: CohortFinding) -> dict[str, Any]:
    asked = [("retention", one) for one in finding.retention] + [("event_frequency", one) for one in finding.frequency]
    return {
        "test": "two proportions (z, Fisher's exact where few) for retention, Welch's for events a user",
        "alpha": SURE,
        "correction": "Holm, over all that was compared; half of the risk for retention, half for events a user",
        "compared": [
            {
                "dimension": dimension,
                "name": one.name,
                "p_value": float(f"{one.p_value:.3g}"),
                "differs": one.differs,
            }
            for dimension, one in asked
        ],
        "differ": finding.differ,
    }


def _sentences(a: _Group, b: _Group, finding: CohortFinding, born: str) -> list[str]:
    if not min(a.users, b.users):
        empty = " and ".join(group.asked.name for group in (a, b) if not group.users)
        return [f"There is nobody in {empty}: no {born} of the period fulfils the filter."]
    said = [
        f"{_plainly(one.name)} after {born}, {round(100 * one.a, 1)} % of {a.asked.name} and "
        f"{round(100 * one.b, 1)} % of {b.asked.name} came back (p = {one.p_value:.2g}, corrected)."
        for one in finding.retention
        if one.differs
    ]
    said += [
        f"{one.name}: {round(one.a, 2)} times a user in {a.asked.name}, {round(one.b, 2)} in {b.asked.name} "
        f"(p = {one.p_value:.2g}, corrected)."
        for one in sorted(finding.frequency, key=lambda one: one.p_value)
        if one.differs
    ][:_SHOWN]
    return said or ["No sure difference was found in anything that was compared."]


def _hints(a: _Group, b: _Group, finding: CohortFinding) -> list[str]:
    """What may be there and is not sure, and how large a difference would have been told."""
    said = [
        f"Not sure, and may be chance: {one.name}, {round(one.a, 3)} in {a.asked.name} and {round(one.b, 3)} in "
        f"{b.asked.name} (p = {one.p_value:.2g}, corrected)."
        for one in finding.perhaps[:_SHOWN]
    ]
    (week, *_) = a.returned if finding.retention else [""]
    if not week or any(one.differs for one in finding.retention):
        return said
    first, second = a.returned[week], b.returned[week]
    rate = (first.returned + second.returned) / (first.users + second.users)
    asked = len(finding.retention) + len(finding.frequency)
    points = 100 * detectable(rate, first.users, second.users, sure=SURE / asked)
    return [
        *said,
        (
            f"{_plainly(week)} has {first.users} and {second.users} users: a difference in return of some {points:.0f} "
            "points or more would most likely have been told, a smaller one may be there all the same. An earlier "
            "from_date brings more users."
        ),
    ]


def _plainly(week: str) -> str:
    return week.replace("_", " ").capitalize()


def _ratio(a: int, b: int) -> float | None:
    return round(a / b, 4) if b else None
