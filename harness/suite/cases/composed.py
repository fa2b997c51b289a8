"""The composed tools: many queries, one finding."""

from harness.suite.case import Case, Exemption, Kind
from harness.suite.cases.scenes import BEFORE_ALL, JUNE
from harness.suite.expect import Count, Equal, Fails, Holds
from harness.suite.facts import Fact
from harness.suite.reasons import NO_LIMIT

SPAN = {"from_date": "2025-05-02", "to_date": "2025-06-30"}

CASES = (
    Case(
        "cohort_comparison",
        "the-two-that-differ",
        Kind.GOOD,
        (
            Equal("/cohort_a/user_count", Fact("cohorts/better/users")),
            Equal("/cohort_b/user_count", Fact("cohorts/worse/users")),
            Equal("/cohort_a/metrics/retention_week_1", Fact("cohorts/better/rate"), within=1e-4),
            Equal("/cohort_b/metrics/retention_week_1", Fact("cohorts/worse/rate"), within=1e-4),
            Equal("/statistical_significance/differ", value=True),
        ),
        {"cohort_a_filter": Fact("cohorts/better"), "cohort_b_filter": Fact("cohorts/worse"), **SPAN},
    ),
    Case(
        "cohort_comparison",
        "the-two-that-are-alike",
        Kind.GOOD,
        (Equal("/statistical_significance/differ", value=False),),
        {"cohort_a_filter": Fact("cohorts/equal/one"), "cohort_b_filter": Fact("cohorts/equal/other"), **SPAN},
    ),
    Case(
        "cohort_comparison",
        "nobody-in-one",
        Kind.EMPTY,
        (Equal("/cohort_a/user_count", 0),),
        {"cohort_a_filter": 'properties["plan"] == "zz"', "cohort_b_filter": 'properties["plan"] == "free"', **JUNE},
    ),
    Case(
        "cohort_comparison",
        "hostile-filter",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="cohort_a_filter", fix="condition"),),
        {
            "cohort_a_filter": 'properties["plan"] == "pro"); process.exit(); (1',
            "cohort_b_filter": 'properties["plan"] == "free"',
            **JUNE,
        },
    ),
    Case(
        "product_health_dashboard",
        "june",
        Kind.GOOD,
        (
            Equal("/acquisition/primary_metric", Fact("segmentation/Sign Up/total")),
            Count("/acquisition/trend", 30),
        ),
        {"acquisition_event": "Sign Up", "activation_event": "Add to Cart", "revenue_event": "Purchase", **JUNE},
    ),
    Case(
        "product_health_dashboard",
        "a-default-name-resolved",
        Kind.PECULIAR,
        (Equal("/acquisition/primary_metric", Fact("segmentation/Sign Up/total")),),
        JUNE,
    ),
    Case(
        "product_health_dashboard",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/acquisition/primary_metric", 0),),
        {"acquisition_event": "Sign Up", **BEFORE_ALL},
    ),
    Case(
        "product_health_dashboard",
        "unknown-event",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="Telephone"),),
        {"acquisition_event": "Telephone", **JUNE},
    ),
    Case(
        "gqm_investigation",
        "retention",
        Kind.GOOD,
        (Equal("/aarrr_category", "retention"), Holds("/schema_context/available_events", ("Sign Up", "App Open"))),
        {"goal": "improve retention", **JUNE},
    ),
    Case(
        "gqm_investigation",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/aarrr_category", "retention"),),
        {"goal": "improve retention", **BEFORE_ALL},
    ),
    Case(
        "gqm_investigation",
        "no-goal",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="goal"),),
        {"goal": ""},
    ),
)

EXEMPTIONS = tuple(
    Exemption(tool, Kind.LARGE, NO_LIMIT)
    for tool in (
        "cohort_comparison",
        "product_health_dashboard",
        "gqm_investigation",
    )
)
