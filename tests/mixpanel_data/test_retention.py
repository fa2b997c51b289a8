"""Who comes back, and how often: user by user."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from mixpanel_data import InvalidArgumentError, MixpanelAPIClient, Workspace
from mixpanel_data.frequency import frequency
from mixpanel_data.retention import retention
from tests.fixtures.emulator import brute
from tests.fixtures.emulator.brute_retention import by_user
from tests.support import crafted
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": crafted.FIRST.isoformat(), "to_date": crafted.LAST.isoformat()}
DAYS: dict[str, Any] = {"from_date": "2025-03-01", "to_date": "2025-03-03"}
BOTH: dict[str, Any] = {"born_event": "Visit", "return_event": "Order"}
ROWS = brute.visible(crafted.rows(), 2**60)
DAY_MS = 86_400_000


def first_days(born: str, *, week: bool = False) -> dict[str, list[tuple[str, int]]]:
    """Cohort → its users, each with the instant of the first event in the range."""
    days = brute.keys(crafted.FIRST, crafted.LAST, "week" if week else "day", crafted.ZONE)
    cohorts: dict[str, list[tuple[str, int]]] = {day: [] for day in days}
    for user, ordered in by_user(brute.within(ROWS, crafted.FIRST, crafted.LAST, crafted.ZONE)).items():
        births = [row.time_ms for row in ordered if row.event == born]
        if births:
            day = brute.key(brute.local(births[0], crafted.ZONE), "week" if week else "day")
            cohorts[day].append((user, births[0]))
    return cohorts


def shares(users: list[tuple[str, int]], back: str, width_days: int, count: int, *, later: bool) -> list[float]:
    """The part of a cohort that came back in each interval."""
    came = [0] * count
    for user, birth in users:
        after = [row.time_ms - birth for row in ROWS if row.distinct_id == user and row.event == back]
        for place in {ms // (width_days * DAY_MS) for ms in after if ms > 0 or (ms == 0 and not later)}:
            if place < count:
                came[place] += 1
    return [number / len(users) if users else 0.0 for number in came]


@pytest.mark.parametrize(
    ("arguments", "width_days"),
    [({}, 1), ({"unit": "week", "interval_count": 2}, 7), ({"return_event": "Visit", "interval_count": 4}, 1)],
)
def test_cohorts_are_those_of_the_raw_events(
    crafted_workspace: Workspace, arguments: dict[str, Any], width_days: int
) -> None:
    got = crafted_workspace.retention(**{**BOTH, **RANGE, **arguments})
    cohorts = first_days("Visit", week=width_days == 7)
    back = arguments.get("return_event", "Order")
    count = arguments.get("interval_count", 10)
    assert {cohort.date: cohort.size for cohort in got.cohorts} == {day: len(users) for day, users in cohorts.items()}
    assert {cohort.date: cohort.retention for cohort in got.cohorts} == {
        day: pytest.approx(shares(users, back, width_days, count, later=back == "Visit"))
        for day, users in cohorts.items()
    }
    assert sum(cohort.size for cohort in got.cohorts) > 20
    assert any(any(cohort.retention) for cohort in got.cohorts)
    assert [cohort.date for cohort in got.cohorts] == sorted(cohorts)


def test_filters_of_both_events_reach_mixpanel(crafted_workspace: Workspace) -> None:
    where: dict[str, Any] = {"born_where": 'properties["price"] == 250', "return_where": 'properties["plan"] == "pro"'}
    everybody = crafted_workspace.retention(**BOTH, **RANGE, interval_count=3)
    some = crafted_workspace.retention(**BOTH, **RANGE, interval_count=3, **where)
    fewer = crafted_workspace.retention(**BOTH, **RANGE, interval_count=3, return_where=where["return_where"])
    sizes = [sum(cohort.size for cohort in result.cohorts) for result in (everybody, some, fewer)]
    assert sizes[0] == sizes[2] > sizes[1] > 0
    returns = [sum(cohort.size * sum(cohort.retention) for cohort in result.cohorts) for result in (everybody, fewer)]
    assert returns[0] > returns[1] > 0


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, {"unit": "day"}),
        ({"unit": "month"}, {"unit": "month"}),
        ({"interval": 3}, {"interval": "3"}),
        ({"interval": 2, "unit": "week"}, {"interval": "14"}),
        ({"interval": 3, "unit": "month"}, {"interval": "90"}),
    ],
)
def test_either_interval_or_unit_is_sent(
    client: MixpanelAPIClient, server: ScriptedServer, arguments: dict[str, Any], sent: dict[str, str]
) -> None:
    server.say(Reply(body=b"{}"))
    got = retention(client, **BOTH, **DAYS, **arguments)
    asked = server.received[0].parameters
    assert {name: asked[name] for name in ("interval", "unit") if name in asked} == sent
    assert got.unit == arguments.get("unit", "day")
    assert list(got.df.columns) == ["cohort_date", "cohort_size"]


def test_shares_are_of_the_cohort_and_sorted(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    cohorts = {
        "2025-03-02": {"first": 0, "counts": [0]},
        "2025-03-01": {"$overall": {"first": 4, "counts": [4, 1]}, "US": {"first": 4, "counts": [2, 1]}},
    }
    server.say(Reply(body=json.dumps(cohorts).encode()))
    got = retention(client, **BOTH, **DAYS)
    assert got.to_dict()["cohorts"] == [
        {"date": "2025-03-01", "size": 4, "retention": [1.0, 0.25]},
        {"date": "2025-03-02", "size": 0, "retention": [0.0]},
    ]
    assert got.to_table_dict() == [
        {"cohort_date": "2025-03-01", "cohort_size": 4, "period_0": 1.0, "period_1": 0.25},
        {"cohort_date": "2025-03-02", "cohort_size": 0, "period_0": 0.0, "period_1": None},
    ]


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": 91}, "interval"),
        ({"interval": 13, "unit": "week"}, "interval"),
        ({"interval_count": 0}, "interval_count"),
        ({"interval_count": 1.5}, "interval_count"),
        ({"unit": "hour"}, "unit"),
        ({"born_event": ""}, "born_event"),
        ({"return_event": None}, "return_event"),
    ],
)
def test_wrong_arguments(
    client: MixpanelAPIClient, server: ScriptedServer, wrong: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        retention(client, **{**BOTH, **DAYS, **wrong})
    assert caught.value.details["argument"] == argument
    assert not server.received


@pytest.mark.parametrize(
    ("unit", "inner", "event"), [("day", "hour", None), ("week", "day", "Visit"), ("month", "day", None)]
)
def test_frequency_counts_the_periods_of_each_user(
    crafted_workspace: Workspace, unit: Any, inner: Any, event: str | None
) -> None:
    got = crafted_workspace.frequency(unit=unit, addiction_unit=inner, event=event, **RANGE)
    active: dict[str, dict[str, set[str]]] = {}
    for row in brute.within(ROWS, crafted.FIRST, crafted.LAST, crafted.ZONE):
        if row.distinct_id and event in {None, row.event}:
            at = brute.local(row.time_ms, crafted.ZONE)
            users = active.setdefault(brute.key(at, unit), {})
            users.setdefault(row.distinct_id, set()).add(brute.key(at, inner))
    assert list(got.data) == sorted(active)
    for bucket, numbers in got.data.items():
        times = [len(periods) for periods in active[bucket].values()]
        assert numbers == [sum(time > place for time in times) for place in range(len(numbers))]
        assert len(numbers) >= max(times)
        if unit == "month":
            first = date.fromisoformat(bucket)
            assert len(numbers) == ((first + timedelta(days=31)).replace(day=1) - first).days
    records = got.to_table_dict()
    assert records[0]["period_1"] == next(iter(got.data.values()))[0]
    if unit == "month":
        assert records[1]["period_31"] is None, "April has no 31st day"


def test_frequency_is_sorted_and_checked(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b'{"data": {"2025-03-10": [3, 1], "2025-03-03": [2, 0]}}'))
    got = frequency(client, unit="week", addiction_unit="day", **DAYS)
    assert got.to_dict() == {
        "event": None,
        **DAYS,
        "unit": "week",
        "addiction_unit": "day",
        "data": {"2025-03-03": [2, 0], "2025-03-10": [3, 1]},
    }
    assert list(got.data) == ["2025-03-03", "2025-03-10"]
    assert "event" not in server.received[0].parameters
    for wrong in ({"unit": "hour"}, {"addiction_unit": "week"}, {"event": ""}):
        with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
            frequency(client, **DAYS, **wrong)
