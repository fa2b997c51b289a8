"""The two tools that ask: what they find, counted over raw events, and what they do with each kind of answer.

Each is tried in both protocol eras: pushed, where the client keeps a session, and as required input, where it is called
again from the top; what was asked of Mixpanel is counted in the emulator's own list.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from math import fsum
from typing import Any
from urllib.parse import parse_qs

import pytest
from fastmcp import Client, FastMCP

from mp_mcp_server.server import Settings, build
from mp_mcp_server.tools import fetch
from tests.mp_mcp_server.calling import DAYS, Mcp, Raw, good, refused, rows, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.mp_mcp_server.people import Person
from tests.mp_mcp_server.upstream import Upstream
from tests.support.brute_force import between, day_of
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
FOCUSES = ["conversion", "retention", "engagement", "revenue"]
HOUR_S = 3600


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FastMCP:
    """One server for all tests of the module; it opens its store and its client anew for each."""
    return build(Settings(db=tmp_path_factory.mktemp("interactive") / "store.db"))


@pytest.fixture
def server(credentials: None, built: FastMCP) -> FastMCP:
    return built


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    """A table that no other test has."""
    return "t" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]


@asynccontextmanager
async def talking(server: FastMCP, era: str = "auto", person: Person | None = None) -> AsyncIterator[Mcp]:
    """A client on a server in memory; without a person nobody can be asked."""
    async with Client(server, mode=era, elicitation_handler=person) as client:
        yield client


async def stored_tables(mcp: Mcp) -> list[str]:
    """Their names; none before the first fetch."""
    return [one["name"] for one in await rows(mcp, "list_tables")]


# ── safe_large_fetch ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fetch_below_the_threshold_asks_nobody_and_tells_true_numbers(
    server: FastMCP, table: str, raw_events: Raw, emulator: Emulator
) -> None:
    person, upstream = Person(), Upstream(emulator)
    async with talking(server, person=person) as mcp:
        answer = await good(mcp, "safe_large_fetch", table=table, **DAYS)
        stored = await good(mcp, "sql_scalar", query=f"select count(*) from {table}")
        # what is there already is found before anything is asked of anybody
        asked = upstream.asked()
        again = await refused(mcp, "safe_large_fetch", table=table, confirmation_threshold=0, **DAYS)
    assert (told(again)["code"], person.asked, upstream.asked()) == ("TABLE_EXISTS", [], asked)
    count = len(raw_events)
    assert answer == {
        "status": "completed",
        "message": f"{count:,} events are in {table}.",
        "estimated_count": count,
        "estimation": {
            "estimated_count": count,
            "days_in_range": 10,
            "avg_per_day": round(count / 10, 1),
            "confidence": "high",
            "events_analyzed": len({event["event"] for event in raw_events}),
        },
        "actual_count": count,
        "table_name": table,
    }
    assert stored["result"] == count
    assert upstream.paths().count("events") == 1
    # they are counted, so that no day is fetched by itself to learn how many there are
    assert upstream.paths().count("export") == 1


async def test_what_is_counted_comes_in_pieces_of_that_size(
    server: FastMCP, table: str, raw_events: Raw, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = -(-len(raw_events) // 2)
    monkeypatch.setattr(fetch, "_EVENTS_A_PIECE", half)
    upstream = Upstream(emulator)
    async with talking(server) as mcp:
        answer = await good(mcp, "safe_large_fetch", table=table, **DAYS)
    assert (answer["status"], answer["actual_count"]) == ("completed", len(raw_events))
    exports = [parse_qs(json.loads(asked)[0]) for path, asked in upstream.asked() if path == "export"]
    # more than half of them are in the first half, which the rest is then cut by
    assert len(between(raw_events, FIRST_DAY, "2025-06-24")) > half
    assert [query["from_date"] for query in exports] == [[FIRST_DAY], ["2025-06-25"], ["2025-06-28"]]


async def test_only_the_named_events_are_counted_and_fetched_also_without_asking_when_told_so(
    server: FastMCP, table: str, raw_events: Raw
) -> None:
    names, person = ["Purchase", "Sign Up", "Purchase"], Person()
    async with talking(server, person=person) as mcp:
        answer = await good(
            mcp, "safe_large_fetch", events=names, table=table, confirmation_threshold=0, proceed=True, **DAYS
        )
    count = sum(event["event"] in names for event in raw_events)
    assert (answer["estimated_count"], answer["actual_count"], answer["table_name"]) == (count, count, table)
    assert answer["estimation"]["events_analyzed"] == 2
    assert person.asked == []


async def test_above_the_threshold_the_user_is_asked_and_nothing_is_counted_twice(
    server: FastMCP, table: str, raw_events: Raw, emulator: Emulator
) -> None:
    person, upstream = Person({"proceed": True}), Upstream(emulator)
    async with talking(server, person=person) as mcp:
        threshold = len(raw_events) - 1
        answer = await good(mcp, "safe_large_fetch", confirmation_threshold=threshold, table=table, **DAYS)
    assert (answer["status"], answer["actual_count"]) == ("completed", len(raw_events))
    assert person.forms == [{"proceed", "reduce_scope", "new_limit"}]
    assert f"{len(raw_events):,} events" in person.asked[0]
    asked = upstream.asked()
    assert len(asked) == len(set(asked))
    assert [path for path, _ in asked].count("events") == 1


@ERAS
async def test_without_a_yes_nothing_is_fetched(
    server: FastMCP, table: str, raw_events: Raw, emulator: Emulator, era: str
) -> None:
    outcomes: list[tuple[Any, str]] = [
        ("decline", "declined"),
        ({"proceed": False, "new_limit": 5}, "declined"),
        ("cancel", "cancelled"),
        (None, "elicitation_unavailable"),
    ]
    upstream = Upstream(emulator)
    for said, status in outcomes:
        async with talking(server, era, None if said is None else Person(said)) as mcp:
            answer = await good(mcp, "safe_large_fetch", confirmation_threshold=100, table=table, **DAYS)
            tables = await stored_tables(mcp)
        assert answer["status"] == status
        assert answer["estimated_count"] == len(raw_events)
        assert "Nothing was fetched" in answer["message"]
        assert ("proceed=true" in answer["message"]) is (said is None)
        assert "actual_count" not in answer
        assert table not in tables
    assert "export" not in upstream.paths()


async def test_a_smaller_fetch_is_as_small_as_the_user_said(server: FastMCP, table: str, raw_events: Raw) -> None:
    limits: list[tuple[dict[str, Any], int]] = [
        ({"reduce_scope": True, "new_limit": 70}, 70),
        ({"reduce_scope": True}, 100),
    ]
    for number, (said, stored) in enumerate(limits):
        async with talking(server, person=Person({"proceed": True, **said})) as mcp:
            name = f"{table}_{number}"
            answer = await good(mcp, "safe_large_fetch", confirmation_threshold=100, table=name, **DAYS)
            counted = await good(mcp, "sql_scalar", query=f"select count(*) from {name}")
        assert (answer["actual_count"], counted["result"]) == (stored, stored)
        assert answer["estimated_count"] == len(raw_events)
        assert f"the limit of {stored}" in answer["message"]


@pytest.mark.parametrize("limit", [0, 60])
async def test_more_days_than_one_fetch_takes_come_in_parts(
    server: FastMCP, table: str, raw_events: Raw, limit: int
) -> None:
    days = {"from_date": "2025-01-01", "to_date": LAST_DAY}
    async with talking(server, person=Person({"proceed": True, "new_limit": limit})) as mcp:
        answer = await good(mcp, "safe_large_fetch", confirmation_threshold=100, table=table, **days)
    assert answer["estimation"]["days_in_range"] == 180
    assert answer["estimated_count"] == len(raw_events)
    assert (answer["status"], answer["actual_count"]) == ("completed", limit or len(raw_events))


async def test_without_days_it_is_the_last_thirty_that_are_over(
    server: FastMCP, table: str, raw_events: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(server) as mcp:
        answer = await good(mcp, "safe_large_fetch", confirmation_threshold=0, table=table)
    assert (answer["estimation"]["days_in_range"], answer["estimated_count"]) == (30, len(raw_events))
    assert answer["estimation"]["confidence"] == "high"
    monkeypatch.setenv("MP_NOW", f"{LAST_DAY}T12:00:00")
    async with talking(server) as mcp:
        answer = await good(mcp, "safe_large_fetch", confirmation_threshold=0, table=table, **DAYS)
        # the day that goes on is not asked about by itself
        earlier = await good(mcp, "safe_large_fetch", confirmation_threshold=0, table=table)
    assert answer["estimation"]["confidence"] == "medium"
    assert earlier["estimated_count"] == sum(day_of(event) < LAST_DAY for event in raw_events)


async def test_a_wrong_argument_is_named_before_anybody_is_asked(server: FastMCP, table: str) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"events": ["Purchse"]}, "EVENT_NOT_FOUND", "Purchase"),
        ({"from_date": LAST_DAY, "to_date": FIRST_DAY}, "INVALID_ARGUMENT", "to_date"),
        ({"from_date": "yesterday"}, "INVALID_ARGUMENT", "YYYY-MM-DD"),
        ({"table": "a; drop table b"}, "INVALID_ARGUMENT", "invalid table name"),
        ({"confirmation_threshold": -1}, "INVALID_ARGUMENT", "confirmation_threshold"),
        ({"proceed": "yes"}, "INVALID_ARGUMENT", "proceed"),
    ]
    person = Person()
    async with talking(server, person=person) as mcp:
        for arguments, code, says in wrong:
            usual = {"confirmation_threshold": 0, "table": table, **DAYS}
            answer = await refused(mcp, "safe_large_fetch", **{**usual, **arguments})
            assert told(answer)["code"] == code
            assert says in json.dumps(told(answer))
    assert person.asked == []


@ERAS
async def test_an_answer_that_does_not_fit_says_which_field(server: FastMCP, table: str, era: str) -> None:
    async with talking(server, era, Person({"proceed": True, "new_limit": 10**9})) as mcp:
        answer = await refused(mcp, "safe_large_fetch", confirmation_threshold=0, table=table, **DAYS)
    assert told(answer)["code"] == "INVALID_ARGUMENT"
    assert "new_limit" in told(answer)["cause"]


async def test_what_fails_is_told_before_the_fetch_as_an_error_and_then_with_the_estimate(
    server: FastMCP, table: str, raw_events: Raw, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_EVENTS_A_PIECE", 1)
    async with talking(server) as mcp:
        with going_wrong(emulator, {"kind": "status", "value": 400, "path": "*/export"}):
            answer = await good(mcp, "safe_large_fetch", table=table, **DAYS)
        with going_wrong(emulator, {"kind": "status", "value": 400, "path": "*/query/events"}):
            early = await refused(mcp, "safe_large_fetch", table=table, **DAYS)
        # the third day of ten cannot be had: two are whole
        with going_wrong(emulator, {"kind": "status", "value": 400, "path": "*/export", "skip": 2}):
            broken = await good(mcp, "safe_large_fetch", table=table, **DAYS)
    assert (broken["status"], broken["actual_count"]) == (
        "error",
        sum(day_of(event) <= "2025-06-21" for event in raw_events),
    )
    assert "from_date=2025-06-22" in broken["message"]
    assert answer["status"] == "error"
    assert answer["message"].startswith("QUERY_FAILED: ")
    assert (answer["estimated_count"], answer["actual_count"]) == (len(raw_events), 0)
    assert told(early)["code"] == "QUERY_FAILED"


# ── guided_analysis ──────────────────────────────────────────────────────────────────────────────────────────────────


def at(event: dict[str, Any]) -> float:
    time: float = event["properties"]["time"]
    return time / 1000 if time > 10**11 else time


def user(event: dict[str, Any]) -> str:
    name: str = event["properties"]["distinct_id"]
    return name


def firsts(raw: Raw, name: str, last_day: str) -> dict[str, dict[str, Any]]:
    """Each user's first event of a name, of those who did it until a day."""
    found: dict[str, dict[str, Any]] = {}
    for event in sorted(raw, key=at):
        if event["event"] == name and day_of(event) <= last_day:
            found.setdefault(user(event), event)
    return found


STEPS = ("Sign Up", "View Item", "Add to Cart", "Checkout", "Purchase")


def through(raw: Raw, value: str | None) -> tuple[int, int]:
    """Users who signed up, and those who went on to a purchase step by step within a week."""
    began = {
        name: event
        for name, event in firsts(raw, STEPS[0], LAST_DAY).items()
        if value in (None, event["properties"]["$os"])
    }
    own: dict[str, list[tuple[float, str]]] = {name: [] for name in began}
    for event in raw:
        if user(event) in own:
            own[user(event)].append((at(event), event["event"]))
    done = 0
    for name, first in began.items():
        start = now = at(first)
        for step in STEPS[1:]:
            later = [time for time, kind in own[name] if kind == step and now < time <= start + 7 * 24 * HOUR_S]
            if not later:
                break
            now = min(later)
        else:
            done += 1
    return len(began), done


def back(raw: Raw, value: str | None) -> tuple[int, int]:
    """Users who signed up long enough ago, and those who opened the app a day later."""
    last = (date.fromisoformat(LAST_DAY) - timedelta(days=9)).isoformat()
    began = {
        name: at(event)
        for name, event in firsts(raw, "Sign Up", last).items()
        if value in (None, event["properties"]["$os"])
    }
    came = {
        user(event)
        for event in raw
        if event["event"] == "App Open"
        and user(event) in began
        and (at(event) - began[user(event)]) // (24 * HOUR_S) == 7
    }
    return len(began), len(came)


def often(raw: Raw, value: str | None) -> tuple[int, int]:
    """Users who opened the app in the last week, and those who did on three days or more."""
    days: dict[str, set[str]] = {}
    for event in raw:
        if (
            event["event"] == "App Open"
            and day_of(event) >= "2025-06-23"
            and value in (None, event["properties"].get("$os"))
        ):
            days.setdefault(user(event), set()).add(day_of(event))
    return len(days), sum(len(seen) >= 3 for seen in days.values())


def paid(raw: Raw, value: str | None) -> tuple[int, int]:
    """Users who opened the app, and users who paid."""
    did = {
        name: {
            user(event) for event in raw if event["event"] == name and value in (None, event["properties"].get("$os"))
        }
        for name in ("App Open", "Purchase")
    }
    return len(did["App Open"]), len(did["Purchase"])


COUNTED: dict[str, Callable[[Raw, str | None], tuple[int, int]]] = {
    "conversion": through,
    "retention": back,
    "engagement": often,
    "revenue": paid,
}


@pytest.mark.parametrize(("focus", "era"), [*((focus, "auto") for focus in FOCUSES), ("retention", "legacy")])
async def test_each_focus_finds_what_the_raw_events_say_and_asks_mixpanel_nothing_twice(
    server: FastMCP, raw_events: Raw, emulator: Emulator, focus: str, era: str
) -> None:
    upstream, person = Upstream(emulator), Person({"segment_index": 0})
    async with talking(server, era, person) as mcp:
        answer = await good(mcp, "guided_analysis", focus_area=focus, **DAYS)
    count = COUNTED[focus]
    whole = count(raw_events, None)
    assert whole[1] > 0
    overview, split = answer["initial_analysis"], answer["segment_analysis"]
    assert (answer["status"], answer["focus_area"], overview["focus_area"]) == ("completed", focus, focus)
    assert answer["period"] == overview["period"] == {"from": FIRST_DAY, "to": LAST_DAY}
    assert all(str(number) in " ".join(overview["findings"]) for number in whole)
    assert figures(focus, overview["metrics"]) == whole
    assert overview["segments"][0] == split["segment_property"] == "$os"
    for value, told_of in split["breakdown"].items():
        users, reached = count(raw_events, value)
        assert (told_of["users"], told_of["reached"]) == (users, reached)
        assert told_of["rate"] == (round(reached / users, 4) if users else 0)
    assert len(split["breakdown"]) > 2
    # three hundred users without a story: nothing is sure
    assert split["findings"] == ["No value of $os surely differs from the others."]
    assert not any(one["differs"] for one in split["breakdown"].values())
    assert answer["workflow_steps"][-2:] == ["choose a segment: accepted", "compare by $os: computed"]
    assert person.forms == [{"segment_index", "investigate_further"}]
    asked = upstream.asked()
    assert len(asked) == len(set(asked))


def figures(focus: str, metrics: dict[str, Any]) -> tuple[int, int]:
    if focus == "conversion":
        funnel = metrics["Sign-up to purchase"]
        return funnel["entered"], funnel["converted"]
    if focus == "retention":
        return metrics["day_7"]["users"], metrics["day_7"]["returned"]
    if focus == "engagement":
        return metrics["active_users"], metrics["three_days_or_more"]
    return metrics["active_users"], metrics["payers"]


async def test_revenue_is_the_sum_of_what_was_paid(server: FastMCP, raw_events: Raw) -> None:
    async with talking(server) as mcp:
        answer = await good(mcp, "guided_analysis", focus_area="revenue", **DAYS)
    metrics = answer["initial_analysis"]["metrics"]
    total = fsum(event["properties"]["amount"] for event in raw_events if event["event"] == "Purchase")
    assert metrics["property"] == "amount"
    assert metrics["sum"] == pytest.approx(total, abs=0.01)
    assert metrics["sum_a_payer"] == pytest.approx(total / metrics["payers"], abs=0.01)
    active, payers = paid(raw_events, None)
    first, second = answer["initial_analysis"]["findings"][:2]
    share = round(100 * payers / active, 1)
    assert first == f"{active} users did App Open in the period, and {payers} did Purchase: {share} %."
    # ten days: the last five against the five before them
    early, late = (
        fsum(event["properties"]["amount"] for event in between(raw_events, *days, "Purchase"))
        for days in ((FIRST_DAY, "2025-06-24"), ("2025-06-25", LAST_DAY))
    )
    change = round(100 * (late / early - 1), 1)
    assert second.endswith(f"{abs(change)} % {'more' if change > 0 else 'less'} at the end of the period than before.")


@pytest.mark.parametrize(
    ("last", "week"), [(LAST_DAY, ("2025-06-23", "2025-06-29")), ("2025-06-28", ("2025-06-16", "2025-06-22"))]
)
async def test_engagement_is_of_the_last_whole_week(server: FastMCP, last: str, week: tuple[str, str]) -> None:
    async with talking(server) as mcp:
        answer = await good(mcp, "guided_analysis", focus_area="engagement", from_date=FIRST_DAY, to_date=last)
    assert answer["initial_analysis"]["metrics"]["week"] == {"from": week[0], "to": week[1]}


@ERAS
async def test_without_a_focus_the_user_chooses_it_and_the_days(server: FastMCP, era: str) -> None:
    choice = {
        "focus_area": "engagement",
        "time_period": "custom",
        "custom_start": "2025-06-21",
        "custom_end": "2025-06-29",
    }
    person = Person(choice, {"segment_index": 1})
    async with talking(server, era, person) as mcp:
        answer = await good(mcp, "guided_analysis")
    assert person.forms[0] == {"focus_area", "time_period", "custom_start", "custom_end"}
    assert (answer["status"], answer["focus_area"]) == ("completed", "engagement")
    assert answer["period"] == {"from": "2025-06-21", "to": "2025-06-29"}
    assert answer["segment_analysis"]["segment_property"] == answer["initial_analysis"]["segments"][1]
    assert answer["workflow_steps"][0] == "choose a focus: accepted"


@ERAS
async def test_without_a_focus_and_a_choice_nothing_is_asked_of_mixpanel(
    server: FastMCP, emulator: Emulator, era: str
) -> None:
    upstream = Upstream(emulator)
    outcomes: list[tuple[Any, str, str]] = [
        ("decline", "declined", "declined"),
        ("cancel", "cancelled", "cancelled"),
        (None, "elicitation_unavailable", "unavailable"),
    ]
    for said, status, outcome in outcomes:
        async with talking(server, era, None if said is None else Person(said)) as mcp:
            answer = await good(mcp, "guided_analysis")
        assert answer["status"] == status
        assert answer["workflow_steps"] == [f"choose a focus: {outcome}"]
        assert answer["message"]
        assert "initial_analysis" not in answer
    assert upstream.asked() == []
    assert answer["focus_options"] == FOCUSES
    assert set(answer["example"]) <= {"focus_area", "time_period", "from_date", "to_date"}


async def test_without_a_segment_the_analysis_is_whole_and_says_what_there_is(server: FastMCP) -> None:
    outcomes: list[tuple[str, Any, str]] = [
        ("auto", "decline", "declined"),
        ("legacy", "cancel", "cancelled"),
        ("auto", None, "unavailable"),
        ("auto", {"segment_index": 0, "investigate_further": False}, "accepted"),
    ]
    for era, said, outcome in outcomes:
        async with talking(server, era, None if said is None else Person(said)) as mcp:
            answer = await good(mcp, "guided_analysis", focus_area="retention", **DAYS)
        assert answer["status"] == "completed"
        assert answer["workflow_steps"][-1] == f"choose a segment: {outcome}"
        assert answer["available_segments"] == answer["initial_analysis"]["segments"]
        assert "segment_analysis" not in answer


@ERAS
async def test_what_is_wrong_in_an_argument_or_an_answer_is_named(server: FastMCP, era: str) -> None:
    wrong: list[tuple[dict[str, Any], list[Any], str]] = [
        ({"focus_area": "retention", "time_period": "custom"}, [], "from_date"),
        ({"focus_area": "retention", "time_period": "last_7_days", "from_date": FIRST_DAY}, [], "time_period"),
        ({"focus_area": "churn"}, [], "focus_area"),
        ({}, [{"focus_area": "retention", "time_period": "custom"}], "from_date"),
        ({}, [{"focus_area": "retention", "custom_start": "last week"}], "custom_start"),
        ({}, [{"focus_area": "churn"}], "focus_area"),
        ({"focus_area": "retention", **DAYS}, [{"segment_index": 99}], "segment_index"),
        ({"focus_area": "retention", **DAYS}, [{"segment_index": -1}], "segment_index"),
        ({"focus_area": "retention", **DAYS}, [{}], "segment_index"),
    ]
    for arguments, answers, names in wrong:
        async with talking(server, era, Person(*answers)) as mcp:
            answer = await refused(mcp, "guided_analysis", **arguments)
        assert told(answer)["code"] == "INVALID_ARGUMENT"
        assert names in told(answer)["cause"]


async def test_what_is_left_in_a_form_beside_a_fixed_period_does_not_count(server: FastMCP) -> None:
    choice = {"focus_area": "retention", "time_period": "last_7_days", "custom_start": "2020-01-01"}
    async with talking(server, person=Person(choice, "decline")) as mcp:
        answer = await good(mcp, "guided_analysis")
    assert answer["period"] == {"from": "2025-06-23", "to": LAST_DAY}


async def test_days_without_any_event_are_an_answer_too(server: FastMCP) -> None:
    async with talking(server, person=Person()) as mcp:
        for focus in FOCUSES:
            answer = await good(mcp, "guided_analysis", focus_area=focus, from_date="2024-01-01", to_date="2024-01-10")
            assert answer["status"] == "completed"
            assert answer["initial_analysis"]["findings"]
            assert answer["initial_analysis"]["segments"] == []


async def test_what_mixpanel_refuses_is_an_error(server: FastMCP, emulator: Emulator) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 400, "path": "*/retention"}):
        async with talking(server, person=Person()) as mcp:
            answer = await refused(mcp, "guided_analysis", focus_area="retention", **DAYS)
    assert told(answer)["code"] == "QUERY_FAILED"


def test_the_brute_force_above_reads_times_as_they_are_written(raw_events: Raw) -> None:
    moments = [datetime.fromtimestamp(at(event), UTC).date().isoformat() for event in raw_events]
    assert (min(moments), max(moments)) == (FIRST_DAY, LAST_DAY)
