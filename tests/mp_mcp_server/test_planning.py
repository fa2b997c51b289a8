"""Plans: what a question names is found, and what a model plans is let through only where it reads and is bounded."""

import json
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from mixpanel_data import FunnelInfo
from mp_mcp_server.findings.goals import category_of
from mp_mcp_server.planning import METHODS, Known, Plan, by_names, days_named, events_named, plan_task
from mp_mcp_server.questions import Period

EVENTS = ("Add to Cart", "App Open", "Purchase", "Search", "Sign Up", "Share Item", "Category View")
JUNE = {"from_date": "2025-06-01", "to_date": "2025-06-30"}
PERIOD = Period(date(2025, 6, 1), date(2025, 6, 30))
KNOWN = Known(EVENTS, [FunnelInfo(8801, "Sign-up to purchase")], ["$os", "mp_country_code", "plan", "signup_source"])


@pytest.mark.parametrize(
    ("question", "events"),
    [
        ("How many purchases were there?", ["Purchase"]),
        ("signups by plan", ["Sign Up"]),
        ("do people who sign up add to cart?", ["Add to Cart", "Sign Up"]),
        ("AppOpen and category views", ["Category View", "App Open"]),
        ("researchers", []),
        ("", []),
    ],
)
def test_events_are_found_by_their_words(question: str, events: list[str]) -> None:
    assert events_named(question, EVENTS) == events


@pytest.mark.parametrize(
    ("question", "method", "params"),
    [
        ("How often is Search used?", "event_counts", {"events": ["Search"], "type": "general"}),
        ("How many users did Purchase?", "event_counts", {"events": ["Purchase"], "type": "unique"}),
        ("purchases by country", "segmentation", {"event": "Purchase", "segment_property": "mp_country_code"}),
        ("Which plan has the most searches?", "segmentation", {"event": "Search", "segment_property": "plan"}),
        ("sign up retention by app open", "retention", {"born_event": "Sign Up", "return_event": "App Open"}),
        ("How does Sign-up to Purchase convert?", "funnel", {"funnel_id": 8801}),
        (
            "What is the retention from Sign Up to Purchase?",
            "retention",
            {"born_event": "Sign Up", "return_event": "Purchase"},
        ),
    ],
)
def test_a_question_without_a_model_is_planned_by_the_names_in_it(
    question: str, method: str, params: dict[str, Any]
) -> None:
    plan = by_names(question, KNOWN, PERIOD)
    assert plan is not None
    (query,) = plan.model_dump(mode="json")["queries"]
    assert query["method"] == method
    assert params.items() <= query["params"].items()
    assert JUNE.items() <= query["params"].items()


def test_a_question_that_names_nothing_is_not_planned() -> None:
    assert by_names("What is the meaning of it all?", KNOWN, PERIOD) is None


@pytest.mark.parametrize(
    ("question", "days"),
    [
        ("last 7 days", ("2025-06-24", "2025-06-30")),
        ("in the past week", ("2025-06-24", "2025-06-30")),
        ("yesterday", ("2025-06-30", "2025-06-30")),
        ("from 2025-06-01 to 2025-06-10", ("2025-06-01", "2025-06-10")),
        ("last 999 years", ("2024-06-30", "2025-06-30")),
        ("ever", None),
        ("2025-02-31", None),
    ],
)
def test_days_are_found_in_a_question(question: str, days: tuple[str, str] | None) -> None:
    found = days_named(question, date(2025, 6, 30))
    assert (found and (found[0].isoformat(), found[1].isoformat())) == days


def planned(*queries: Any, **more: Any) -> str:
    return json.dumps({"intent": "i", "queries": queries, **more})


GOOD = {"method": "segmentation", "params": {"event": "Search", **JUNE}}


def test_a_plan_of_a_model_is_taken_as_it_is() -> None:
    plan = Plan.model_validate_json(planned(GOOD, query_type="trend", confidence=0.9))
    assert plan.queries[0].method == "segmentation"


@pytest.mark.parametrize(
    "text",
    [
        planned(),
        planned(*[GOOD] * 6),
        planned({"method": "jql", "params": {"script": "function main() {}"}}),
        planned({"method": "drop_all_tables", "params": {}}),
        planned({"method": "fetch_events", "params": JUNE}),
        planned({"method": "segmentation", "params": {"event": "Search", **JUNE, "limit": 10_000}}),
        planned({**GOOD, "script": "x"}),
        planned(
            {
                "method": "segmentation",
                "params": {"event": "Search", "from_date": "2020-01-01", "to_date": "2025-06-30"},
            }
        ),
        planned(
            {
                "method": "segmentation",
                "params": {"event": "Search", "from_date": "2025-06-30", "to_date": "2025-06-01"},
            }
        ),
        planned({"method": "segmentation", "params": {"event": "Search", **JUNE, "where": "x" * 1001}}),
        planned({"method": "segmentation", "params": {"event": "Search", **JUNE, "unit": "second"}}),
        planned({"method": "event_counts", "params": {"events": ["a"] * 11, **JUNE}}),
        planned(
            {"method": "retention", "params": {"born_event": "a", "return_event": "b", **JUNE, "interval_count": 500}}
        ),
        planned({"method": "funnel", "params": {"funnel_id": "8801", **JUNE}}),
        planned({"method": "activity_feed", "params": {"distinct_ids": ["a"], **JUNE}}),
        "[]",
        "{",
    ],
)
def test_a_plan_that_does_more_than_read_a_little_is_not_run(text: str) -> None:
    with pytest.raises(ValidationError):
        Plan.model_validate_json(text)


def test_the_task_names_every_method_and_what_it_needs() -> None:
    task = plan_task()
    assert all(f"\n{name}: from_date*" in task for name in METHODS)
    assert "jql" not in task
    assert len(task) < 2500


@pytest.mark.parametrize(
    ("goal", "category"),
    [
        ("improve retention", "retention"),
        ("grow revenue", "revenue"),
        ("get more sign ups", "acquisition"),
        ("a better onboarding", "activation"),
        ("make word of mouth work", "referral"),
        ("understand users by country", "retention"),
    ],
)
def test_a_goal_belongs_to_the_category_whose_words_it_has(goal: str, category: str) -> None:
    assert category_of(goal) == category
