"""The composed tools through server, library and emulator; every number counted over the raw events."""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import Workspace
from mixpanel_data.errors import InvalidArgumentError
from mp_mcp_server.call import Call
from mp_mcp_server.questions import Questions
from tests.mp_mcp_server.calling import DAYS, Mcp, Raw, good, refused, told
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.mp_mcp_server.test_fetch import Listener
from tests.support.brute_force import daily_counts, day_of
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong
from tests.support.scripted_http import Reply, scripted_server

pytestmark = pytest.mark.anyio
DAY_S = 86_400

FREE, PRO = 'properties["plan"] == "free"', 'properties["plan"] == "pro"'


def seconds(event: dict[str, Any]) -> float:
    """When it happened, in seconds since 1970."""
    time = event["properties"]["time"]
    return float(time / 1000 if time > 10**11 else time)


def members(raw: Raw, plan: str) -> dict[str, float]:
    """Users who signed up with a plan, and when."""
    return {
        event["properties"]["distinct_id"]: seconds(event)
        for event in raw
        if event["event"] == "Sign Up" and event["properties"]["plan"] == plan
    }


def returned(raw: Raw, born: dict[str, float], event: str, first_day: float, last_day: float) -> set[str]:
    """Which of the users did an event so many days after they were born."""
    found = set()
    for one in raw:
        who = one["properties"]["distinct_id"]
        if one["event"] == event and who in born:
            age = seconds(one) - born[who]
            if age > 0 and first_day * DAY_S <= age < last_day * DAY_S:
                found.add(who)
    return found


async def test_cohorts_are_counted_user_by_user(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(
        mcp, "cohort_comparison", cohort_a_filter=FREE, cohort_b_filter=PRO, cohort_b_name="Pro", **DAYS
    )
    groups = {"cohort_a": members(raw_events, "free"), "cohort_b": members(raw_events, "pro")}
    frequency = answer["comparisons"]["event_frequency"]
    rows = {row["event"]: row for row in frequency["differences"]}
    for key, born in groups.items():
        assert answer[key]["user_count"] == len(born)
        counts = Counter(
            one["event"]
            for one in raw_events
            if one["properties"]["distinct_id"] in born
            and one["event"] != "Sign Up"
            and seconds(one) >= born[one["properties"]["distinct_id"]]
        )
        for event in ("App Open", "Search"):
            assert rows[event][f"{key}_count"] == counts[event]
            assert frequency[f"{key}_frequency"][event] == pytest.approx(counts[event] / len(born), abs=1e-3)
    assert answer["cohort_b"]["name"] == "Pro"
    assert answer["cohort_a"]["filter"] == FREE
    assert answer["comparisons"]["retention"]["user_ratio"] == pytest.approx(
        len(groups["cohort_a"]) / len(groups["cohort_b"]), abs=1e-4
    )
    tops = answer["comparisons"]["top_events"]["cohort_a_top_events"]
    assert tops[0]["event"] == "App Open"
    assert [row["count"] for row in tops] == sorted((row["count"] for row in tops), reverse=True)
    assert answer["statistical_significance"]["correction"].startswith("Holm")
    assert "errors" not in answer


async def test_only_what_was_asked_is_compared(mcp: Mcp, emulator: Emulator) -> None:
    before = max((one["at"] for one in emulator.requests()), default="")
    answer = await good(
        mcp, "cohort_comparison", cohort_a_filter=FREE, cohort_b_filter=PRO, **DAYS, compare_dimensions=["retention"]
    )
    assert set(answer["comparisons"]) == {"retention"}
    asked = {one["path"].rpartition("/")[2] for one in emulator.requests() if one["at"] > before}
    assert "retention" in asked
    assert "jql" not in asked


async def test_an_empty_cohort_is_told(mcp: Mcp) -> None:
    none = 'properties["plan"] == "no such plan"'
    answer = await good(mcp, "cohort_comparison", cohort_a_filter=none, cohort_b_filter=PRO, **DAYS)
    assert answer["cohort_a"]["user_count"] == 0
    assert answer["key_differences"][0].startswith("There is nobody in Cohort A")
    assert not answer["statistical_significance"]["differ"]


async def test_without_scripts_retention_is_compared_and_the_rest_told(mcp: Mcp, emulator: Emulator) -> None:
    emulator.tell("PATCH", "settings", {"jql_removed": True})
    try:
        answer = await good(mcp, "cohort_comparison", cohort_a_filter=FREE, cohort_b_filter=PRO, **DAYS)
    finally:
        emulator.tell("PATCH", "settings", {"jql_removed": False})
    assert "need a script" in answer["errors"]["event_frequency"]
    assert answer["comparisons"]["retention"]["cohort_a_users"] > 0


HOSTILE = [
    'properties["plan',
    'properties["plan"] == "free"}]}); throw new Error("x"); ({a: [{b: "',
    "1; drop table events",
    "nonsense(1)",
    "plan == 'free'",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("argument", ["cohort_a_filter", "cohort_b_filter"])
async def test_a_hostile_filter_is_refused_as_an_expression(mcp: Mcp, argument: str, text: str) -> None:
    filters = {"cohort_a_filter": PRO, "cohort_b_filter": PRO, argument: text}
    answer = told(await refused(mcp, "cohort_comparison", **filters, **DAYS))
    assert (answer["code"], answer["details"]["argument"]) == ("INVALID_ARGUMENT", argument)
    assert answer["cause"].startswith(f"Invalid argument: {argument}: Mixpanel refuses the expression: Error in ")
    assert 'properties["plan"] ==' in answer["fix"]


@pytest.mark.parametrize("status", [403, 402])
async def test_what_is_refused_for_another_reason_is_no_fault_of_a_filter(
    mcp: Mcp, emulator: Emulator, status: int
) -> None:
    with going_wrong(emulator, {"kind": "status", "value": status, "path": "*/retention"}):
        answer = told(await refused(mcp, "cohort_comparison", cohort_a_filter=FREE, cohort_b_filter=PRO, **DAYS))
    assert answer["code"] == "QUERY_FAILED"
    assert "filter" not in answer["cause"]


async def test_a_filter_is_a_value_and_never_a_part_of_the_script(mcp: Mcp, raw_events: Raw) -> None:
    quoted = 'properties["plan"] == "free\\"}]}); return Events({}); //" or properties["plan"] == "free"'
    answer = await good(
        mcp,
        "cohort_comparison",
        cohort_a_filter=quoted,
        cohort_b_filter=PRO,
        **DAYS,
        compare_dimensions=["event_frequency"],
    )
    assert answer["cohort_a"]["user_count"] == len(members(raw_events, "free"))
    assert "errors" not in answer


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("cohort_comparison", {"cohort_a_filter": FREE, "cohort_b_filter": PRO, "acquisition_event": "Join"}, "Join"),
        ("cohort_comparison", {"cohort_a_filter": FREE, "cohort_b_filter": ""}, "cohort_b_filter"),
        ("cohort_comparison", {"cohort_a_filter": FREE, "cohort_b_filter": "x" * 2001}, "cohort_b_filter"),
        (
            "cohort_comparison",
            {"cohort_a_filter": FREE, "cohort_b_filter": PRO, "compare_dimensions": ["money"]},
            "event_frequency",
        ),
        ("product_health_dashboard", {"revenue_event": "Purchas"}, "'Purchase'"),
        ("gqm_investigation", {"goal": "grow", "max_questions": 9}, "max_questions"),
        ("gqm_investigation", {"goal": "grow", "acquisition_event": "Join"}, "'Sign Up'"),
    ],
)
async def test_a_wrong_argument_is_named_with_what_would_be_right(
    mcp: Mcp, tool: str, arguments: dict[str, Any], says: str
) -> None:
    answer = told(await refused(mcp, tool, **arguments))
    assert answer["code"] == "INVALID_ARGUMENT"
    assert says in answer["cause"] + answer["fix"]


async def test_health_is_what_was_counted(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(
        mcp,
        "product_health_dashboard",
        activation_event="Add to Cart",
        retention_event="App Open",
        revenue_event="Purchase",
        referral_event="Invite Friend",
        **DAYS,
    )
    born = members(raw_events, "free") | members(raw_events, "basic") | members(raw_events, "pro")
    assert answer["acquisition"]["primary_metric"] == len(born)
    assert answer["acquisition"]["trend"] == daily_counts(raw_events, "Sign Up", FIRST_DAY, LAST_DAY)
    day_of_birth = {
        event["properties"]["distinct_id"]: day_of(event) for event in raw_events if event["event"] == "Sign Up"
    }
    last = date.fromisoformat(LAST_DAY)

    def old(margin: int) -> dict[str, float]:
        limit = (last - timedelta(days=margin)).isoformat()
        return {who: at for who, at in born.items() if day_of_birth[who] <= limit}

    activated = answer["activation"]["metrics"]
    assert activated["users"] == len(old(8))
    assert activated["activated"] == len(returned(raw_events, old(8), "Add to Cart", 0, 7))
    day_1 = answer["retention"]["metrics"]["day_1"]
    assert day_1["users"] == len(old(3))
    assert day_1["returned"] == len(returned(raw_events, old(3), "App Open", 1, 2))
    assert "day_30" not in answer["retention"]["metrics"]
    spent = [event["properties"]["amount"] for event in raw_events if event["event"] == "Purchase"]
    assert answer["revenue"]["primary_metric"] == pytest.approx(sum(spent))
    assert "Revenue is the sum of amount over Purchase." in answer["notes"]
    inviters = {event["properties"]["distinct_id"] for event in raw_events if event["event"] == "Invite Friend"}
    assert answer["referral"]["primary_metric"] == len(inviters)
    assert answer["events"]["acquisition"] == "Sign Up"


async def test_parts_without_an_event_are_left_out(mcp: Mcp) -> None:
    answer = await good(mcp, "product_health_dashboard", **DAYS)
    assert [answer[part] for part in ("activation", "retention", "revenue", "referral")] == [None] * 4
    assert set(answer["health_score"]) == {"acquisition", "overall"}


async def test_segments_are_measured_like_the_whole(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(
        mcp, "product_health_dashboard", retention_event="App Open", revenue_event="Purchase", **DAYS, segment_by="plan"
    )
    segments = answer["acquisition"]["by_segment"]
    assert {plan: part["users"] for plan, part in segments.items()} == {
        plan: len(members(raw_events, plan)) for plan in ("free", "basic", "pro")
    }
    spent: Counter[str] = Counter()
    for event in raw_events:
        if event["event"] == "Purchase":
            spent[event["properties"]["plan"]] += round(100 * event["properties"]["amount"])
    assert {plan: round(100 * part["sum"]) for plan, part in answer["revenue"]["by_segment"].items()} == spent


async def test_a_part_that_fails_takes_no_other_with_it(mcp: Mcp, emulator: Emulator) -> None:
    emulator.tell("POST", "faults", {"kind": "status", "value": 400, "path": "*/segmentation/sum", "count": 9})
    try:
        answer = await good(mcp, "product_health_dashboard", revenue_event="Purchase", **DAYS)
    finally:
        emulator.tell("DELETE", "faults", {})
    assert answer["revenue"]["primary_metric"] == 0.0
    assert answer["revenue"]["by_segment"]["_error"]["code"] == "QUERY_FAILED"
    assert answer["acquisition"]["primary_metric"] > 0


async def test_a_goal_is_answered_question_by_question(mcp: Mcp, raw_events: Raw) -> None:
    answer = await good(mcp, "gqm_investigation", goal="Grow our revenue", max_questions=3, **DAYS)
    assert answer["aarrr_category"] == "revenue"
    assert [found["status"] for found in answer["findings"]] == ["success"] * 3
    spent = sum(round(100 * event["properties"]["amount"]) for event in raw_events if event["event"] == "Purchase")
    money, count, soon = (found["result"] for found in answer["findings"])
    assert round(100 * money["sum"]) == spent
    assert count["total"] == sum(event["event"] == "Purchase" for event in raw_events)
    assert soon["users"] > 0
    assert answer["synthesis"]["questions_answered"] == 3
    assert answer["synthesis"]["key_metrics"][0] == money["answer"]
    assert "Purchase" in answer["schema_context"]["available_events"]
    assert "Sign-up to purchase" in answer["schema_context"]["available_funnels"]


@pytest.mark.parametrize("goal", ["retention", "acquisition", "activation", "referrals"])
async def test_every_category_has_questions_that_are_answered(mcp: Mcp, goal: str) -> None:
    answer = await good(mcp, "gqm_investigation", goal=goal, max_questions=8, **DAYS)
    assert len(answer["findings"]) == len(answer["questions"]) >= 4
    assert all(found["status"] == "success" for found in answer["findings"]), answer["findings"]
    assert len(json.dumps(answer)) < 20_000


async def test_a_question_that_fails_is_told_and_the_others_answered(mcp: Mcp, emulator: Emulator) -> None:
    emulator.tell("POST", "faults", {"kind": "status", "value": 400, "path": "*/segmentation/sum", "count": 9})
    try:
        answer = await good(mcp, "gqm_investigation", goal="revenue", max_questions=3, **DAYS)
    finally:
        emulator.tell("DELETE", "faults", {})
    assert [found["status"] for found in answer["findings"]] == ["failed", "success", "success"]
    assert answer["findings"][0]["error"].startswith("QUERY_FAILED")
    assert answer["synthesis"]["questions_failed"] == 1


def test_of_many_events_as_many_are_named_as_can_be_read(
    no_credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [f"Event {number:02}" for number in range(50)]
    with scripted_server() as server:
        server.say(Reply(body=json.dumps(names).encode()))
        account = {"USERNAME": "u", "SECRET": "s3cret-canary", "PROJECT_ID": "1", "REGION": "us"}
        for name, value in {**account, "API_BASE_URL": server.url, "RATE_LIMITS": "off"}.items():
            monkeypatch.setenv(f"MP_{name}", value)
        with Workspace(path=tmp_path / "store.db") as workspace, pytest.raises(InvalidArgumentError) as refused:
            Questions(Call(workspace, Listener())).event("nothing like it")
    assert sum(name in str(refused.value.fix) for name in names) == 20
