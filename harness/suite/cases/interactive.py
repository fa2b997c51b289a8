"""The interactive tools: they ask back."""

from harness.cassettes.tape import Reply
from harness.suite.case import Case, Exemption, Kind
from harness.suite.cases.scenes import BEFORE_ALL, FEW, LAST_DAY
from harness.suite.expect import Asks, Equal, Fails, Holds
from harness.suite.facts import Fact
from harness.suite.reasons import NO_LIMIT

LARGE = {"confirmation_threshold": 20, "events": FEW, **LAST_DAY}

CASES = (
    Case(
        "guided_analysis",
        "all-given",
        Kind.GOOD,
        (
            Equal("/status", "completed"),
            Equal("/initial_analysis/metrics/Sign-up to purchase/converted", Fact("funnel/converted")),
            Equal("/workflow_steps/3", "choose a segment: cancelled"),
        ),
        {"focus_area": "conversion", "from_date": "2025-06-01", "to_date": "2025-06-30"},
        replies=(Reply("cancel"),),
    ),
    Case(
        "guided_analysis",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/status", "completed"),),
        {"focus_area": "conversion", **BEFORE_ALL},
    ),
    Case(
        "guided_analysis",
        "unknown-focus",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="focus_area"),),
        {"focus_area": "astrology", "time_period": "last_30_days"},
    ),
    Case(
        "guided_analysis",
        "declined",
        Kind.PECULIAR,
        (Asks(("",)), Equal("/status", "declined")),
        {},
        replies=(Reply("decline"),),
    ),
    Case(
        "guided_analysis",
        "cancelled",
        Kind.PECULIAR,
        (Asks(("",)), Equal("/status", "cancelled")),
        {},
        replies=(Reply("cancel"),),
    ),
    Case(
        "safe_large_fetch",
        "below-the-threshold",
        Kind.GOOD,
        (Equal("/status", "completed"), Equal("/actual_count", Fact("export/last day/few")), Asks(())),
        {"events": FEW, **LAST_DAY},
    ),
    Case(
        "safe_large_fetch",
        "no-rows",
        Kind.EMPTY,
        (Equal("/actual_count", 0), Equal("/estimated_count", 0)),
        BEFORE_ALL,
    ),
    Case(
        "safe_large_fetch",
        "confirmed",
        Kind.LARGE,
        (
            Equal("/status", "completed"),
            Equal("/actual_count", Fact("export/last day/few")),
            Asks((Fact("export/last day/few/text"),)),
        ),
        LARGE,
        replies=(Reply("accept", {"proceed": True}),),
    ),
    Case(
        "safe_large_fetch",
        "declined",
        Kind.PECULIAR,
        (Equal("/status", "declined"),),
        LARGE,
        replies=(Reply("decline"),),
    ),
    Case(
        "safe_large_fetch",
        "nobody-to-ask",
        Kind.PECULIAR,
        (Equal("/status", "elicitation_unavailable"), Holds("/message", ("proceed",))),
        LARGE,
        nobody_to_ask=True,
    ),
    Case(
        "safe_large_fetch",
        "misspelt-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="Purchse", fix="Purchase"),),
        {"events": ["Purchse"], **LAST_DAY},
    ),
)

EXEMPTIONS = tuple(Exemption(tool, Kind.LARGE, NO_LIMIT) for tool in ("guided_analysis",))
