"""The intelligent tools: computed, then worded."""

from harness.suite.case import Case, Exemption, Kind
from harness.suite.cases.scenes import BEFORE_ALL, JUNE
from harness.suite.expect import Equal, Fails, Holds
from harness.suite.facts import Fact
from harness.suite.reasons import NO_LIMIT

FALL = {"event": Fact("drop/event"), "date": Fact("drop/day")}
NONSENSE = "The figure is 987654321 % and nothing else matters."

CASES = (
    Case(
        "diagnose_metric_drop",
        "the-day-itself",
        Kind.GOOD,
        (
            Equal("/findings/drop_confirmed", value=True),
            Equal("/findings/drop_date", Fact("drop/day")),
            Equal("/findings/drop_percentage", Fact("drop/percentage"), within=0.02),
            Holds("/findings/summary", (Fact("drop/segment/$os"), Fact("drop/segment/$browser"))),
        ),
        FALL,
    ),
    Case(
        "diagnose_metric_drop",
        "three-days-late",
        Kind.GOOD,
        (Equal("/findings/drop_confirmed", value=True), Equal("/findings/drop_date", Fact("drop/day"))),
        {"event": Fact("drop/event"), "date": Fact("drop/day and three")},
    ),
    Case(
        "diagnose_metric_drop",
        "a-day-without-a-drop",
        Kind.PECULIAR,
        (Equal("/findings/drop_confirmed", value=False), Equal("/findings/drop_date", None)),
        {"event": "App Open", "date": "2025-06-12"},
    ),
    Case(
        "diagnose_metric_drop",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/findings/drop_confirmed", value=False), Equal("/findings/confidence", "low")),
        {"event": "Search", "date": "2024-01-01"},
    ),
    Case(
        "diagnose_metric_drop",
        "unknown-event",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="Telephone"),),
        {"event": "Telephone", "date": "2025-06-20"},
    ),
    Case(
        "diagnose_metric_drop",
        "no-sampling",
        Kind.PECULIAR,
        (Equal("/worded_by", "computed"), Equal("/status", "success")),
        {**FALL, "dimensions": ["$os"]},
    ),
    Case(
        "diagnose_metric_drop",
        "sampling-that-invents-a-number",
        Kind.PECULIAR,
        (Equal("/worded_by", "computed"), Equal("/findings/drop_date", Fact("drop/day"))),
        {**FALL, "dimensions": ["$os"]},
        samples=(NONSENSE,),
    ),
    Case(
        "ask_mixpanel",
        "users-of-last-week",
        Kind.GOOD,
        (
            Holds("/answer", (Fact("users of Purchase/last week/text"), "Purchase")),
            Equal("/plan/queries/0/method", "event_counts"),
        ),
        {"question": "How many users did Purchase last week?"},
    ),
    Case(
        "ask_mixpanel",
        "no-sampling-and-no-name",
        Kind.EMPTY,
        (Equal("/status", "sampling_unavailable"), Holds("", ("analysis_hints",))),
        {"question": "what is love?"},
    ),
    Case(
        "ask_mixpanel",
        "sampling-that-answers-nonsense",
        Kind.PECULIAR,
        (Equal("/status", "error"), Holds("/message", ("plan is not run",))),
        {"question": "How many users did Purchase last week?"},
        samples=(NONSENSE,),
    ),
    Case(
        "ask_mixpanel",
        "no-question",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="question"),),
        {"question": ""},
    ),
    Case(
        "funnel_optimization_report",
        "the-bottleneck",
        Kind.GOOD,
        (
            Equal("/bottleneck/step_name", Fact("bottleneck/step")),
            Holds("/executive_summary", (Fact("bottleneck/value"), Fact("bottleneck/property"))),
            Holds("/recommendations/0/action", (Fact("bottleneck/value"), Fact("bottleneck/step"))),
            Equal("/overall_conversion_rate", Fact("funnel/rate"), within=1e-3),
        ),
        {"funnel_id": 8801, **JUNE},
    ),
    Case(
        "funnel_optimization_report",
        "nobody-began",
        Kind.EMPTY,
        (Equal("/bottleneck", None), Equal("/overall_conversion_rate", 0.0)),
        {"funnel_id": 8801, **BEFORE_ALL},
    ),
    Case(
        "funnel_optimization_report",
        "unknown-id",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="424242", fix="8801 (Sign-up to purchase)"),),
        {"funnel_id": 424242, **JUNE},
    ),
    Case(
        "funnel_optimization_report",
        "sampling-that-invents-a-number",
        Kind.PECULIAR,
        (Equal("/worded_by", "computed"), Equal("/bottleneck/step_name", Fact("bottleneck/step"))),
        {"funnel_id": 8801, "segment_properties": ["signup_source"], **JUNE},
        samples=(NONSENSE,),
    ),
)

EXEMPTIONS = tuple(
    Exemption(tool, Kind.LARGE, NO_LIMIT)
    for tool in (
        "diagnose_metric_drop",
        "ask_mixpanel",
        "funnel_optimization_report",
    )
)
