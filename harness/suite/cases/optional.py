"""Every optional argument that no other case gives: what it narrows, splits or names shows in the answer."""

from harness.suite.case import Call, Case, Kind
from harness.suite.cases.scenes import FEW, JUNE, LAST_DAY, SOME_PROFILES, TABLE, said
from harness.suite.expect import Asks, Count, Equal, Holds
from harness.suite.facts import Fact

NEVER = 'properties["$browser"] == "Netscape"'
DEAR = 'properties["amount"] > 100'
FIRST_WEEK = {"from_date": "2025-06-01", "to_date": "2025-06-07"}
TWO_DAYS = {"from_date": "2025-06-29", "to_date": "2025-06-30", "events": FEW}
BIG_SPENDERS = 3015
BOUGHT_OFTEN = {
    "behaviors": [
        {"window": "30d", "name": "bought", "event_selectors": [{"event": "Purchase"}]},
        {"window": "30d", "name": "looked", "event_selectors": [{"event": "View Item"}]},
    ],
    "where": 'behaviors["bought"] > 100000 and behaviors["looked"] > 0',
    "as_of_timestamp": 1751241600,
}

CASES = (
    Case(
        "funnel",
        "split-by-browser",
        Kind.PECULIAR,
        (Equal("/steps/*/count", Fact("funnel/counts")),),
        {"funnel_id": 8801, "unit": "month", "on": "$browser", **JUNE},
    ),
    Case(
        "retention",
        "born-with-a-browser-that-nobody-has",
        Kind.PECULIAR,
        (Equal("/cohorts/*/size", [0] * 7),),
        {"born_event": "Sign Up", "born_where": NEVER, **FIRST_WEEK},
    ),
    Case(
        "retention",
        "back-with-a-browser-that-nobody-has",
        Kind.PECULIAR,
        (Equal("/cohorts/*/retention", [[0.0, 0.0]] * 4),),
        {
            "born_event": "Sign Up",
            "return_event": "App Open",
            "return_where": NEVER,
            "interval": 2,
            "interval_count": 2,
            **FIRST_WEEK,
        },
    ),
    Case(
        "property_counts",
        "users-of-two-systems",
        Kind.PECULIAR,
        (Count("/series", 2), Holds("/series", ("iOS", "Android")), *said(type="unique")),
        {
            "event": "Purchase",
            "property_name": "$os",
            "values": ["iOS", "Android"],
            "type": "unique",
            "unit": "month",
            **JUNE,
        },
    ),
    Case(
        "frequency",
        "with-a-browser-that-nobody-has",
        Kind.PECULIAR,
        (Equal("/data/2025-06-30", [0] * 24),),
        {"event": "App Open", "where": NEVER, **LAST_DAY},
    ),
    Case(
        "fetch_events",
        "the-dear-ones",
        Kind.PECULIAR,
        (Equal("/row_count", 2),),
        {"events": ["Purchase"], "where": DEAR, **LAST_DAY},
    ),
    Case(
        "fetch_events",
        "three-of-four",
        Kind.PECULIAR,
        (Equal("/row_count", 3),),
        {"events": ["Purchase"], "limit": 3, **LAST_DAY},
    ),
    Case(
        "fetch_events",
        "two-days-at-once",
        Kind.PECULIAR,
        (Equal("/row_count", Fact("export/last two days/few")),),
        {"parallel": True, "workers": 2, **TWO_DAYS},
    ),
    Case(
        "stream_events",
        "the-dear-ones",
        Kind.PECULIAR,
        (Equal("/result/*/properties/amount", [149.99, 149.99]),),
        {"events": ["Purchase"], "where": DEAR, **LAST_DAY},
    ),
    Case(
        "fetch_profiles",
        "of-a-cohort",
        Kind.PECULIAR,
        (Equal("/row_count", Fact("profiles/big spenders")),),
        {"cohort_id": BIG_SPENDERS, "include_all_users": True, "output_properties": ["plan"]},
    ),
    Case(
        "fetch_profiles",
        "one-more",
        Kind.PECULIAR,
        (Equal("/row_count", 1),),
        {"distinct_ids": ["user-000001", "user-000002"], "append": True, "table": "people"},
        before=(Call("fetch_profiles", {"distinct_id": "user-000001", "table": "people"}),),
    ),
    Case(
        "fetch_profiles",
        "who-bought-often",
        Kind.PECULIAR,
        (Equal("/row_count", 0), Equal("/status", "completed")),
        BOUGHT_OFTEN,
    ),
    Case(
        "fetch_profiles",
        "two-pages-at-once",
        Kind.PECULIAR,
        (Equal("/row_count", Fact("profiles/not free")),),
        {"parallel": True, "workers": 2, **SOME_PROFILES},
    ),
    Case(
        "stream_profiles",
        "of-a-cohort",
        Kind.PECULIAR,
        (Count("/result", Fact("profiles/big spenders")),),
        {"cohort_id": BIG_SPENDERS, "include_all_users": True, "output_properties": ["plan"]},
    ),
    Case(
        "stream_profiles",
        "two-users",
        Kind.PECULIAR,
        (Count("/result", 2),),
        {"distinct_ids": ["user-000001", "user-000002"]},
    ),
    Case("stream_profiles", "who-bought-often", Kind.PECULIAR, (Equal("/result", []),), BOUGHT_OFTEN),
    Case(
        "diagnose_metric_drop",
        "along-two-dimensions",
        Kind.PECULIAR,
        (
            Equal("/findings/drop_date", Fact("drop/day")),
            Holds("/findings/summary", (Fact("drop/segment/$os"), Fact("drop/segment/$browser"))),
        ),
        {"event": Fact("drop/event"), "date": Fact("drop/day"), "dimensions": ["$os", "$browser"]},
    ),
    Case(
        "ask_mixpanel",
        "within-given-days",
        Kind.PECULIAR,
        (Equal("/status", "success"), Holds("/answer", ("441", "2025-06-01", "2025-06-30"))),
        {"question": "How often was Sign Up done?", **JUNE},
    ),
    Case(
        "cohort_comparison",
        "by-two-dimensions",
        Kind.PECULIAR,
        (
            Equal("/cohort_a/name", "readers"),
            Equal("/cohort_b/name", "others"),
            Equal("/statistical_significance/differ", value=True),
        ),
        {
            "cohort_a_filter": Fact("cohorts/better"),
            "cohort_b_filter": Fact("cohorts/worse"),
            "cohort_a_name": "readers",
            "cohort_b_name": "others",
            "acquisition_event": "Sign Up",
            "compare_dimensions": ["event_frequency", "top_events"],
            **JUNE,
        },
    ),
    Case(
        "product_health_dashboard",
        "with-every-event-named",
        Kind.PECULIAR,
        (Equal("/acquisition/primary_metric", Fact("segmentation/Sign Up/total")),),
        {
            "acquisition_event": "Sign Up",
            "activation_event": "Add to Cart",
            "retention_event": "View Item",
            "revenue_event": "Purchase",
            "referral_event": "Invite Friend",
            "segment_by": "$os",
            **JUNE,
        },
    ),
    Case(
        "gqm_investigation",
        "two-questions",
        Kind.PECULIAR,
        (Equal("/aarrr_category", "retention"), Count("/questions", 2)),
        {"goal": "improve retention", "acquisition_event": "Landing View", "max_questions": 2, **JUNE},
    ),
    Case(
        "funnel_optimization_report",
        "by-two-properties",
        Kind.PECULIAR,
        (Equal("/status", "success"),),
        {"funnel_id": 8801, "segment_properties": ["signup_source", "$os"], **JUNE},
    ),
    Case(
        "guided_analysis",
        "a-period-by-name",
        Kind.PECULIAR,
        (Equal("/status", "completed"), Equal("/workflow_steps/3", "choose a segment: unavailable")),
        {"focus_area": "conversion", "time_period": "last_7_days"},
        nobody_to_ask=True,
    ),
    Case(
        "safe_large_fetch",
        "agreed-beforehand",
        Kind.PECULIAR,
        (
            Equal("/status", "completed"),
            Equal("/actual_count", Fact("export/last day/few")),
            Equal("/table_name", "agreed"),
            Asks(()),
        ),
        {
            "events": FEW,
            "table": "agreed",
            "confirmation_threshold": 20,
            "proceed": True,
            **LAST_DAY,
        },
    ),
    Case(
        "property_keys",
        "of-an-event-that-is-not-there",
        Kind.PECULIAR,
        (Equal("/result", []),),
        {"table": "orders", "event": "Search"},
        (TABLE,),
    ),
)
