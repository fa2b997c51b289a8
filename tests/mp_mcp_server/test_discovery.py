"""What exists: names, types and values as the raw events have them, and what is said of names that do not exist."""

import base64
import json
import urllib.request
from collections import Counter
from difflib import SequenceMatcher
from typing import Any

import pytest
from fastmcp import Client

from mixpanel_data import clock
from mp_mcp_server.names import nearest
from mp_mcp_server.server import Settings, build
from tests.mp_mcp_server.calling import Mcp, Raw, good, refused, rows, text_of, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.support.brute_force import day_of
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong

pytestmark = pytest.mark.anyio


def kind_of(value: Any) -> str:
    kinds = {bool: "boolean", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "number")


async def test_list_properties_names_what_events_have_with_the_types_of_their_values(mcp: Mcp, raw_events: Raw) -> None:
    found = await rows(mcp, "list_properties", event="Purchase")
    seen: dict[str, set[str]] = {}
    for event in raw_events:
        if event["event"] == "Purchase":
            for name, value in event["properties"].items():
                seen.setdefault(name, set()).add(kind_of(value))
    assert [row["name"] for row in found] == sorted(row["name"] for row in found)
    # properties that Mixpanel keeps apart are not listed
    assert {row["name"] for row in found} == set(seen) - {"time", "distinct_id", "$insert_id"}
    for row in found:
        # what Lexicon says may be one of several kinds that occur
        assert row["type"].replace("integer", "number") in seen[row["name"]], row
    assert len({row["type"] for row in found}) > 3


async def test_types_come_from_recent_events_where_lexicon_cannot_be_asked(mcp: Mcp, emulator: Emulator) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 403, "path": "*/schemas*"}):
        found = {row["name"]: row["type"] for row in await rows(mcp, "list_properties", event="Purchase")}
    assert found["amount"] == "number"
    assert found["newsletter"] == "boolean"
    assert found["items"] == "array"


async def test_types_are_unknown_only_where_nothing_tells(mcp: Mcp, emulator: Emulator) -> None:
    silent = [{"kind": "status", "value": 403, "path": path} for path in ("*/schemas*", "*/export*")]
    with going_wrong(emulator, *silent):
        found = await rows(mcp, "list_properties", event="Purchase")
    assert found
    assert {row["type"] for row in found} == {"unknown"}


@pytest.mark.parametrize(("wrong", "right"), [("Purchse", "Purchase"), ("purchase", "Purchase"), ("signup", "Sign Up")])
async def test_an_event_that_is_not_there_comes_with_the_nearest_names(mcp: Mcp, wrong: str, right: str) -> None:
    answer = await refused(mcp, "list_properties", event=wrong)
    assert told(answer)["code"] == "EVENT_NOT_FOUND"
    assert told(answer)["fix"].startswith(f"Did you mean {right}")
    assert text_of(answer).startswith(f"Event not found: {wrong}")


async def test_list_property_values_gives_the_most_frequent_first(mcp: Mcp, raw_events: Raw) -> None:
    found = await good(mcp, "list_property_values", event="App Open", property_name="$browser")
    counted = Counter(event["properties"].get("$browser") for event in raw_events if event["event"] == "App Open")
    counted.pop(None, None)
    assert found["result"] == [value for value, _ in counted.most_common()]
    assert found["truncated"] is False
    cut = await good(mcp, "list_property_values", event="App Open", property_name="$browser", limit=2)
    assert cut["result"] == found["result"][:2]
    assert cut["truncated"] is True


async def test_a_property_that_is_not_there_comes_with_the_nearest_names(mcp: Mcp) -> None:
    answer = await refused(mcp, "list_property_values", event="App Open", property_name="browser")
    assert told(answer)["code"] == "INVALID_ARGUMENT"
    assert "property_name: 'App Open' has had no property 'browser' lately" in told(answer)["cause"]
    assert "did you mean $browser" in told(answer)["fix"]


async def test_list_funnels_names_them_with_their_ids(mcp: Mcp) -> None:
    found = await rows(mcp, "list_funnels")
    assert {(row["funnel_id"], row["name"]) for row in found} >= {(8801, "Sign-up to purchase")}
    assert [row["name"] for row in found] == sorted(row["name"] for row in found)


async def test_list_cohorts_counts_their_members(mcp: Mcp, emulator: Emulator) -> None:
    found = {row["name"]: row for row in await rows(mcp, "list_cohorts")}
    young = found["age_group: 18-24"]
    assert set(young) == {"id", "name", "count", "description", "created", "is_visible"}
    members = [one for one in profiles_of(emulator) if one["$properties"].get("age_group") == "18-24"]
    assert young["count"] == len(members) > 0


async def test_list_bookmarks_says_what_it_leaves_out(mcp: Mcp) -> None:
    whole = await good(mcp, "list_bookmarks")
    assert whole["truncated"] is False
    assert whole["total_count"] == len(whole["bookmarks"]) > 2
    # what only some reports have is there where they have it
    assert {row.get("creator_name") for row in whole["bookmarks"]} == {"local-emulator"}
    cut = await good(mcp, "list_bookmarks", limit=2)
    assert cut["bookmarks"] == whole["bookmarks"][:2]
    assert (cut["truncated"], cut["total_count"]) == (True, whole["total_count"])
    assert f"2 of {whole['total_count']}" in cut["note"]
    flows = await good(mcp, "list_bookmarks", bookmark_type="flows")
    assert {row["type"] for row in flows["bookmarks"]} == {"flows"}


async def test_top_events_counts_today_and_the_change_against_yesterday(mcp: Mcp, raw_events: Raw) -> None:
    by_day = Counter((day_of(event), event["event"]) for event in raw_events)
    yesterday = "2025-06-28"
    found = await rows(mcp, "top_events", limit=5)
    assert len(found) == 5
    for row in found:
        now, before = by_day[LAST_DAY, row["event"]], by_day[yesterday, row["event"]]
        assert row["count"] == now
        assert row["percent_change"] == pytest.approx(now / before - 1)
    most = sorted((n for (day, _), n in by_day.items() if day == LAST_DAY), reverse=True)
    assert [row["count"] for row in found] == most[:5]


async def test_workspace_info_tells_what_is_left_of_the_budget(
    mcp: Mcp, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MP_RATE_LIMITS", "query=7/hour;2 at once, export=60/hour")
    async with Client(build(Settings())) as limited:
        assert (await good(limited, "workspace_info"))["budget"]["query"] == {
            "used": 0,
            "left": 7,
            "of": 7,
            "window_s": 3600,
            "wait_s": 0.0,
        }
        for _ in range(3):
            await good(limited, "segmentation", event="Purchase", from_date=LAST_DAY, to_date=LAST_DAY)
        budget = (await good(limited, "workspace_info"))["budget"]
        assert (budget["query"]["used"], budget["query"]["left"]) == (3, 4)
        assert budget["export"]["left"] == 60


async def test_a_spent_budget_says_how_long_to_wait_and_sends_nothing(
    mcp: Mcp, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"event": "Purchase", "from_date": FIRST_DAY, "to_date": LAST_DAY}
    monkeypatch.setenv("MP_RATE_LIMITS", "query=1/day")
    async with Client(build(Settings())) as limited:
        await good(limited, "segmentation", **asked)
        before = emulator.requests()
        answer = await refused(limited, "segmentation", **asked)
        assert emulator.requests_since(before) == []
        assert told(answer)["code"] == "RATE_LIMITED"
        assert told(answer)["retry_after_s"] > 3600
        assert "rate limited by mixpanel api" in text_of(answer).lower()
        left = (await good(limited, "workspace_info"))["budget"]["query"]
        assert (left["left"], left["wait_s"] > 3600) == (0, True)


def profiles_of(emulator: Emulator) -> list[dict[str, Any]]:
    """Every profile, page by page, over plain HTTP."""
    account, project = emulator.about["account"], emulator.about["project"]["id"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    found: list[dict[str, Any]] = []
    session, page = None, 0
    while True:
        asked = {"page": page} | ({"session_id": session} if session else {})
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{emulator.url}/api/2.0/engage?project_id={project}",
            data=json.dumps(asked).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            told_page = json.load(answer)
        found += told_page["results"]
        session, page = told_page["session_id"], page + 1
        if len(told_page["results"]) < told_page["page_size"]:
            return found


@pytest.mark.parametrize(
    ("meant", "first"),
    [("signup", "Sign Up"), ("SIGN_UP", "Sign Up"), ("Sing Up", "Sign Up"), ("cart", "Add to Cart"), ("zzz", None)],
)
def test_the_nearest_name_is_the_one_that_was_meant(meant: str, first: str | None) -> None:
    found = nearest(meant, ["App Open", "Sign Up", "Add to Cart", "Sign Up Failed", "Log In"])
    assert (found[0] if found else None) == first


def test_a_text_that_is_much_too_long_is_compared_with_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million letters against twenty names take a minute of everybody's time."""
    monkeypatch.setattr(SequenceMatcher, "ratio", lambda _: pytest.fail("it was compared letter by letter"))
    assert nearest("s" * 10_000, ["App Open", "Sign Up", "Add to Cart"]) == []


async def test_that_no_names_can_be_had_does_not_take_away_an_empty_answer(mcp: Mcp, emulator: Emulator) -> None:
    await good(mcp, "workspace_info")
    with going_wrong(emulator, {"kind": "status", "value": 403, "path": "*/events/names"}):
        found = await good(mcp, "segmentation", event="Nothing", from_date=LAST_DAY, to_date=LAST_DAY)
    assert found["total"] == 0


async def test_names_are_asked_for_anew_after_a_while(
    mcp: Mcp, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(before: list[dict[str, Any]]) -> list[str]:
        return [one["path"].rpartition("/")[2] for one in emulator.requests_since(before)]

    misspelt = {"event": "Purchse", "from_date": LAST_DAY, "to_date": LAST_DAY}
    before = emulator.requests()
    await refused(mcp, "segmentation", **misspelt)
    await refused(mcp, "segmentation", **misspelt)
    assert asked(before) == ["segmentation", "names", "segmentation"]
    before, later = emulator.requests(), clock.monotonic() + 301
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    await refused(mcp, "segmentation", **misspelt)
    assert asked(before) == ["segmentation", "names"]
