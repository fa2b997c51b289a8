"""Fetches through server, library and emulator: true numbers, whole or resumable, told while they last."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import Workspace
from mixpanel_data.local import priority
from mp_mcp_server.call import Call, Outcome, Prompt, Question, Spoken
from mp_mcp_server.tools import fetch
from tests.mp_mcp_server.calling import DAYS, Mcp, Raw, good, refused, rows, text_of, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.mp_mcp_server.test_discovery import profiles_of
from tests.support.brute_force import between
from tests.support.emulator import Emulator
from tests.support.examples import examples
from tests.support.faults import going_wrong

pytestmark = pytest.mark.anyio

FOUR: dict[str, Any] = {"from_date": FIRST_DAY, "to_date": "2025-06-23"}
TWO: dict[str, Any] = {"from_date": FIRST_DAY, "to_date": "2025-06-21"}


class Listener:
    """A client that hears of progress, and that may cancel after some of it."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.heard: list[tuple[float, float | None, str]] = []
        self.cancelled = threading.Event()
        self._cancel_after = cancel_after

    def progress(self, done: float, total: float | None, message: str) -> None:
        self.heard.append((done, total, message))
        if len(self.heard) == self._cancel_after:
            self.cancelled.set()

    def put(self, key: str, question: Question) -> tuple[Outcome, Any]:
        raise AssertionError(f"{key}: {question}")

    def sample(self, key: str, prompt: Prompt) -> Spoken | None:
        raise AssertionError(f"{key}: {prompt}")


@pytest.fixture
def workspace(credentials: None, tmp_path: Path) -> Any:
    with Workspace(path=tmp_path / "store.db") as opened:
        yield opened


def calling(workspace: Workspace, listener: Listener) -> Call:
    return Call(workspace, listener, listener.cancelled)


@pytest.fixture
def by_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each day has as many events as a piece may have."""
    monkeypatch.setattr(fetch, "_EVENTS_A_PIECE", 1)


def exported(emulator: Emulator, before: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """First and last day of each export that was asked for."""
    asked = [request for request in emulator.requests_since(before) if request["path"].endswith("/export")]
    queries = [parse_qs(request["query"]) for request in asked]
    return [(query["from_date"][0], query["to_date"][0]) for query in queries]


async def test_many_days_come_in_pieces_and_the_numbers_are_those_of_the_whole(
    mcp: Mcp, emulator: Emulator, raw_events: Raw
) -> None:
    expected = between(raw_events, FIRST_DAY, FOUR["to_date"])
    before = emulator.requests()
    answer = await good(mcp, "fetch_events", table="four", **FOUR)
    assert exported(emulator, before) == [(FIRST_DAY, FIRST_DAY), ("2025-06-21", "2025-06-23")]
    assert {key: answer[key] for key in ("status", "table_name", "row_count", "days_fetched", "table", "rows")} == {
        "status": "completed",
        "table_name": "four",
        "row_count": len(expected),
        "days_fetched": 4,
        "table": "four",
        "rows": len(expected),
    }
    assert (answer["date_range"], answer["type"], answer["duplicates"]) == ([FIRST_DAY, FOUR["to_date"]], "events", 0)
    counted = await rows(mcp, "event_breakdown", table="four")
    assert {row["event_name"]: row["count"] for row in counted} == Counter(event["event"] for event in expected)


@pytest.mark.parametrize(
    ("a_piece", "longest"),
    [(1_000_000, [1, 9]), (300, [1, 2, 3, 2, 2]), (1, [1] * 10)],
    ids=["few events", "some", "very many"],
)
async def test_the_first_day_tells_how_many_days_come_at_once(
    mcp: Mcp, emulator: Emulator, raw_events: Raw, monkeypatch: pytest.MonkeyPatch, a_piece: int, longest: list[int]
) -> None:
    monkeypatch.setattr(fetch, "_EVENTS_A_PIECE", a_piece)
    before = emulator.requests()
    answer = await good(mcp, "fetch_events", **DAYS)
    pieces = exported(emulator, before)
    assert [fetch._days(*piece) for piece in pieces] == longest
    assert (pieces[0][0], pieces[-1][1]) == (FIRST_DAY, LAST_DAY)
    assert (answer["row_count"], answer["days_fetched"]) == (len(raw_events), 10)


async def test_a_long_time_without_any_event_costs_two_exports(mcp: Mcp, emulator: Emulator) -> None:
    before = emulator.requests()
    answer = await good(mcp, "fetch_events", from_date="2024-01-01", to_date="2024-03-31")
    assert exported(emulator, before) == [("2024-01-01", "2024-01-01"), ("2024-01-02", "2024-03-31")]
    assert (answer["status"], answer["row_count"], answer["days_fetched"]) == ("completed", 0, 91)


async def test_days_that_are_there_already_count_like_new_ones(mcp: Mcp, emulator: Emulator, by_the_day: None) -> None:
    await good(mcp, "fetch_events", **FOUR)
    before = emulator.requests()
    answer = await good(mcp, "fetch_events", append=True, **FOUR)
    assert (answer["row_count"], len(exported(emulator, before))) == (0, 4)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_fetch_lets_the_other_tools_go_first(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, parallel: bool
) -> None:
    gave_way: list[str] = []
    monkeypatch.setattr(priority, "give_way", lambda: gave_way.append(threading.current_thread().name))
    fetch.fetch_events(calling(workspace, Listener()), parallel=parallel, **TWO)
    assert "staging" in gave_way
    assert threading.current_thread().name not in gave_way


async def test_a_parallel_fetch_has_the_librarys_keys_and_ours(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "fetch_events", parallel=True, workers=2, **DAYS)
    assert (answer["status"], answer["row_count"], answer["total_rows"]) == (
        "completed",
        len(raw_events),
        len(raw_events),
    )
    assert (answer["days_fetched"], answer["has_failures"], answer["failed_date_ranges"]) == (10, False, [])
    assert answer["successful_batches"] >= 2
    assert answer["failed_batches"] == 0
    assert await good(mcp, "sql_scalar", query="select count(*) from events") == {"result": len(raw_events)}


async def test_a_parallel_fetch_with_a_gap_says_so_and_the_same_call_fills_it(
    mcp: Mcp, emulator: Emulator, raw_events: Raw
) -> None:
    failing = {"kind": "status", "value": 501, "path": "*/export", "skip": 1, "count": 1}
    with going_wrong(emulator, failing):
        answer = await good(mcp, "fetch_events", parallel=True, workers=1, **DAYS)
    assert answer["status"] == "partial"
    ((first, last),) = answer["failed_date_ranges"]
    missing = len(between(raw_events, first, last))
    assert f"{first} to {last}" in answer["message"]
    assert answer["row_count"] == len(raw_events) - missing
    (table,) = await rows(mcp, "list_tables")
    assert table["gaps"] == [[first, last]]
    again = await good(mcp, "fetch_events", parallel=True, **DAYS)
    assert (again["status"], again["row_count"]) == ("completed", missing)
    (table,) = await rows(mcp, "list_tables")
    assert "gaps" not in table


async def test_a_parallel_fetch_of_which_nothing_came_is_an_error(mcp: Mcp) -> None:
    answer = await refused(mcp, "fetch_events", parallel=True, where='properties["a"] +', **DAYS)
    assert told(answer)["code"] == "FETCH_FAILED"
    assert "Error in where" in told(answer)["cause"]
    assert (await rows(mcp, "list_tables")) == []


async def test_the_limit_holds_for_the_whole_fetch(mcp: Mcp, emulator: Emulator) -> None:
    answer = await good(mcp, "fetch_events", limit=77, **DAYS)
    assert (answer["row_count"], answer["days_fetched"]) == (77, 10)
    refusal = await refused(mcp, "fetch_events", table="other", limit=77, parallel=True, **DAYS)
    assert told(refusal)["code"] == "INVALID_ARGUMENT"
    assert "limit" in told(refusal)["cause"]


async def test_an_error_after_some_days_leaves_them_and_says_how_to_go_on(
    mcp: Mcp, emulator: Emulator, raw_events: Raw, by_the_day: None
) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 501, "path": "*/export", "skip": 2}):
        answer = await refused(mcp, "fetch_events", **FOUR)
    assert told(answer)["code"] == "SERVER_ERROR"
    assert "from_date=2025-06-22, to_date=2025-06-23, append=true" in told(answer)["fix"]
    stored = between(raw_events, FIRST_DAY, "2025-06-21")
    assert (await rows(mcp, "list_tables"))[0]["row_count"] == len(stored)
    rest = await good(mcp, "fetch_events", from_date="2025-06-22", to_date="2025-06-23", append=True)
    assert rest["row_count"] == len(between(raw_events, "2025-06-22", "2025-06-23"))


def test_progress_tells_how_far_how_fast_and_how_long(workspace: Workspace, raw_events: Raw, by_the_day: None) -> None:
    listener = Listener()
    fetch.fetch_events(calling(workspace, listener), **FOUR)
    assert [(done, total) for done, total, _ in listener.heard] == [(n, 4) for n in range(1, 5)]
    first, last = listener.heard[0][2], listener.heard[-1][2]
    assert "1 of 4 days" in first
    assert "/s, about " in first
    assert first.endswith(" s left")
    assert f"{len(between(raw_events, FIRST_DAY, FOUR['to_date'])):,} events" in last
    assert "left" not in last


def test_progress_within_a_piece_goes_by_what_the_days_before_had(
    workspace: Workspace, raw_events: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_TOLD_AFTER_S", 0.0)
    listener = Listener()
    fetch.fetch_events(calling(workspace, listener), **FOUR)
    first, rest = (len(between(raw_events, *days)) for days in ((FIRST_DAY, FIRST_DAY), ("2025-06-21", "2025-06-23")))
    done = [done for done, _, _ in listener.heard]
    assert done == sorted(done)
    assert done[-1] == 4
    assert {total for _, total, _ in listener.heard} == {4}
    # all of the first day has come, and nobody knows yet that it is all
    assert 0 < done[done.index(1) - 1] < 1
    assert "left" not in listener.heard[0][2]
    # all of the other three days has come, told by what the first one had
    at, _, told_last = listener.heard[-2]
    assert at == pytest.approx(1 + 3 * min(rest / (3 * first), 0.99), abs=0.01)
    assert told_last.startswith("1 of 4 days, ")
    assert f"{first + rest:,} events" in told_last
    assert told_last.endswith(" s left")


def test_a_cancelled_fetch_keeps_what_is_whole_and_goes_on_where_it_says(
    workspace: Workspace, raw_events: Raw, by_the_day: None
) -> None:
    listener = Listener(cancel_after=2)
    answer = fetch.fetch_events(calling(workspace, listener), **FOUR)
    stored = len(between(raw_events, FIRST_DAY, "2025-06-21"))
    assert (answer["status"], answer["row_count"], answer["days_fetched"]) == ("cancelled", stored, 2)
    assert "from_date=2025-06-22, to_date=2025-06-23, append=true" in answer["message"]
    assert workspace.tables()[0].row_count == stored
    rest = fetch.fetch_events(calling(workspace, Listener()), from_date="2025-06-22", to_date="2025-06-23", append=True)
    assert stored + rest["row_count"] == len(between(raw_events, FIRST_DAY, FOUR["to_date"]))


def test_a_fetch_that_is_cancelled_before_it_began_asks_nothing(workspace: Workspace, emulator: Emulator) -> None:
    listener = Listener()
    listener.cancelled.set()
    before = emulator.requests()
    answer = fetch.fetch_events(calling(workspace, listener), **FOUR)
    assert (answer["status"], answer["row_count"], answer["message"]) == ("cancelled", 0, "Nothing was fetched.")
    assert emulator.requests_since(before) == []
    assert workspace.tables() == []


def test_a_cancelled_parallel_fetch_is_finished_by_the_same_call(workspace: Workspace, raw_events: Raw) -> None:
    answer = fetch.fetch_events(calling(workspace, Listener(cancel_after=1)), parallel=True, workers=1, **DAYS)
    assert answer["status"] == "cancelled"
    assert "the same call fetches the rest" in answer["message"]
    assert 0 < answer["row_count"] == workspace.tables()[0].row_count < len(raw_events)
    again = fetch.fetch_events(calling(workspace, Listener()), parallel=True, workers=2, **DAYS)
    assert again["status"] == "completed"
    assert answer["row_count"] + again["row_count"] == len(raw_events)


@examples(60, 2000)
@given(
    st.integers(1, 100),
    st.one_of(st.none(), st.floats(0, 1e7)),
    st.lists(st.floats(0, 1e7), min_size=100, max_size=100),
)
def test_days_are_cut_without_gap_or_overlap_in_few_pieces_of_few_events(
    days: int, foretold: float | None, a_day: list[float]
) -> None:
    """Whatever was foretold, and whatever each day has."""
    cut: list[int] = []
    known = foretold
    while (done := sum(cut)) < days:
        piece = fetch.days_at_once(days - done, known, fetch._MOST_PIECES - len(cut))
        assert 1 <= piece <= days - done
        if known is not None and days <= fetch._MOST_PIECES:
            # a day less would have been no more events than a piece may have, as far as anybody knew
            assert (piece - 1) * known <= fetch._EVENTS_A_PIECE
        cut.append(piece)
        known = sum(a_day[: sum(cut)]) / sum(cut)
    assert sum(cut) == days
    assert len(cut) <= fetch._MOST_PIECES


@pytest.mark.parametrize(("days", "first"), [(1, 1), (3, 3), (4, 1), (100, 1)])
def test_a_day_is_fetched_by_itself_only_to_learn_about_many(days: int, first: int) -> None:
    assert fetch.days_at_once(days, None, fetch._MOST_PIECES) == first


async def test_fetch_profiles_stores_each_profile_once(mcp: Mcp, emulator: Emulator) -> None:
    expected = profiles_of(emulator)
    answer = await good(mcp, "fetch_profiles")
    assert {key: answer[key] for key in ("status", "table_name", "row_count", "pages_fetched", "table", "type")} == {
        "status": "completed",
        "table_name": "profiles",
        "row_count": len(expected),
        "pages_fetched": 1,
        "table": "profiles",
        "type": "profiles",
    }
    found = await rows(mcp, "sql", query="select properties->>'$.plan' as plan, count(*) as n from profiles group by 1")
    assert {row["plan"]: row["n"] for row in found} == Counter(one["$properties"].get("plan") for one in expected)


async def test_fetch_profiles_keeps_to_its_filters(mcp: Mcp, emulator: Emulator) -> None:
    pros = [one for one in profiles_of(emulator) if one["$properties"].get("plan") == "pro"]
    answer = await good(mcp, "fetch_profiles", table="pros", where='properties["plan"] == "pro"', parallel=True)
    assert answer["row_count"] == answer["total_rows"] == len(pros) > 0
    two = [one["$distinct_id"] for one in pros[:2]]
    answer = await good(mcp, "fetch_profiles", table="two", distinct_ids=two)
    assert answer["row_count"] == 2
    young = next(row for row in await rows(mcp, "list_cohorts") if row["name"] == "age_group: 18-24")
    answer = await good(mcp, "fetch_profiles", table="young", cohort_id=young["id"])
    assert answer["row_count"] == young["count"]


async def test_profiles_that_contradict_are_refused_before_anything_is_asked(mcp: Mcp, emulator: Emulator) -> None:
    before = emulator.requests()
    answer = await refused(mcp, "fetch_profiles", distinct_id="a", distinct_ids=["b"])
    assert told(answer)["code"] == "INVALID_ARGUMENT"
    assert "distinct_ids: distinct_id is given too" in told(answer)["cause"]
    assert emulator.requests_since(before) == []


def test_a_cancelled_profile_fetch_stores_nothing(workspace: Workspace) -> None:
    answer = fetch.fetch_profiles(calling(workspace, Listener(cancel_after=1)))
    assert (answer["status"], answer["row_count"], answer["pages_fetched"]) == ("cancelled", 0, 1)
    assert "Nothing was stored" in answer["message"]
    assert workspace.tables() == []


async def test_stream_events_shows_raw_events_and_stores_none(mcp: Mcp, raw_events: Raw) -> None:
    found = await rows(mcp, "stream_events", events=["Purchase"], **TWO)
    expected = [event for event in between(raw_events, FIRST_DAY, "2025-06-21") if event["event"] == "Purchase"]
    assert sorted(event["properties"]["$insert_id"] for event in found) == sorted(
        event["properties"]["$insert_id"] for event in expected
    )
    assert set(found[0]) == {"event", "properties"}
    assert await rows(mcp, "list_tables") == []


async def test_stream_events_is_bounded_and_the_rest_is_kept(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "stream_events", limit=1000, **DAYS)
    assert answer["truncated"] is True
    assert len(json.dumps(answer["result"])) < 300_000
    (content,) = await mcp.read_resource(answer["full_result"])
    assert json.loads(content.text)["total"] == 1000  # type: ignore[union-attr]  # JSON text
    few = await good(mcp, "stream_events", limit=3, **DAYS)
    assert (len(few["result"]), few["truncated"]) == (3, False)


async def test_stream_profiles_shows_raw_profiles(mcp: Mcp, emulator: Emulator) -> None:
    wanted = profiles_of(emulator)[7]
    assert await rows(mcp, "stream_profiles", distinct_id=wanted["$distinct_id"]) == [wanted]
    assert len(await rows(mcp, "stream_profiles")) == len(profiles_of(emulator))


async def test_an_export_that_breaks_off_stores_nothing(mcp: Mcp, emulator: Emulator) -> None:
    with going_wrong(emulator, {"kind": "terminated_early", "value": 3, "path": "*/export"}):
        answer = await refused(mcp, "fetch_events", **TWO)
    assert told(answer)["code"] == "EXPORT_INCOMPLETE"
    assert "Fetch again" in text_of(answer)
    assert await rows(mcp, "list_tables") == []


@pytest.mark.parametrize(
    "where", ['properties["a"] +', "1; drop table", '"' * 500, "properties[" * 200, "\u0000", "é" * 9]
)
async def test_a_hostile_where_is_refused_with_mixpanels_words(mcp: Mcp, where: str) -> None:
    for tool in ("fetch_events", "stream_events", "segmentation"):
        extra = {"event": "Purchase"} if tool == "segmentation" else {}
        answer = await refused(mcp, tool, where=where, **extra, **TWO)
        assert told(answer)["code"] == "QUERY_FAILED", (tool, told(answer))
        assert "where" in told(answer)["cause"]
    assert await rows(mcp, "list_tables") == []


async def test_dates_that_run_backwards_are_named(mcp: Mcp) -> None:
    for parallel in (False, True):
        answer = await refused(mcp, "fetch_events", from_date=LAST_DAY, to_date=FIRST_DAY, parallel=parallel)
        assert told(answer)["code"] == "INVALID_ARGUMENT"
        assert "from_date" in told(answer)["cause"]
