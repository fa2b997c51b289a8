"""Discovery: what exists."""

from harness.suite.case import Case, Exemption, Kind
from harness.suite.expect import Count, Equal, Fails, Holds, SameItems
from harness.suite.facts import Fact
from harness.suite.reasons import ALL_HAVE_SOME, NEVER_EMPTY, NO_LIMIT

CASES = (
    Case("list_events", "all", Kind.GOOD, (Equal("/result", Fact("events")), Equal("/truncated", value=False))),
    Case(
        "list_properties",
        "of-sign-up",
        Kind.GOOD,
        (Equal("/result", Fact("properties/Sign Up")), Equal("/truncated", value=False)),
        {"event": "Sign Up"},
    ),
    Case(
        "list_properties",
        "unknown-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="Sing Up", fix="Sign Up"),),
        {"event": "Sing Up"},
    ),
    Case(
        "list_property_values",
        "browsers",
        Kind.GOOD,
        (SameItems("/result", Fact("values/Sign Up/$browser")), Equal("/truncated", value=False)),
        {"event": "Sign Up", "property_name": "$browser", "limit": 20},
    ),
    Case(
        "list_property_values",
        "one-of-them",
        Kind.LARGE,
        (Count("/result", 1), Equal("/truncated", value=True)),
        {"event": "Sign Up", "property_name": "$browser", "limit": 1},
    ),
    Case(
        "list_property_values",
        "an-event-without-it",
        Kind.PECULIAR,
        (Fails("INVALID_ARGUMENT", cause="'App Open' has had no property 'amount'"),),
        {"event": "App Open", "property_name": "amount"},
    ),
    Case(
        "list_property_values",
        "unknown-property",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="browser", fix="$browser"),),
        {"event": "Sign Up", "property_name": "browser"},
    ),
    Case(
        "list_funnels",
        "all",
        Kind.GOOD,
        (SameItems("/result", Fact("funnels")), Equal("/truncated", value=False)),
    ),
    Case(
        "list_cohorts",
        "all",
        Kind.GOOD,
        (
            SameItems("/result/*/name", Fact("names of cohorts")),
            Holds("/result/*/count", (Fact("profiles/big spenders"),)),
        ),
    ),
    Case(
        "list_bookmarks",
        "insights",
        Kind.GOOD,
        (SameItems("/bookmarks/*/id", Fact("bookmarks/insights")), Equal("/total_count", 2)),
        {"bookmark_type": "insights"},
    ),
    Case(
        "list_bookmarks",
        "unknown-type",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="should be 'insights'"),),
        {"bookmark_type": "pies"},
    ),
    Case(
        "list_bookmarks",
        "of-a-type-without-any",
        Kind.EMPTY,
        (Equal("/bookmarks", []), Equal("/total_count", 0)),
        {"bookmark_type": "launch-analysis"},
    ),
    Case(
        "list_bookmarks",
        "one-of-two",
        Kind.LARGE,
        (Count("/bookmarks", 1), Equal("/total_count", 2), Equal("/truncated", value=True)),
        {"bookmark_type": "insights", "limit": 1},
    ),
    Case("top_events", "the-first", Kind.LARGE, (Count("/result", 1),), {"limit": 1}),
    Case("top_events", "five", Kind.GOOD, (Equal("/result", Fact("today"), within=1e-6),), {"limit": 5}),
    Case(
        "top_events", "unknown-type", Kind.WRONG_ARGUMENT, (Fails("INVALID_ARGUMENT", cause="type"),), {"type": "odd"}
    ),
    Case(
        "workspace_info",
        "nothing-fetched",
        Kind.GOOD,
        (Equal("/project_id", "3100042"), Equal("/region", "us"), Equal("/tables", [])),
    ),
)

EXEMPTIONS = (
    *(
        Exemption(tool, Kind.EMPTY, NEVER_EMPTY)
        for tool in ("list_events", "list_funnels", "list_cohorts", "top_events", "workspace_info")
    ),
    *(
        Exemption(tool, Kind.LARGE, NO_LIMIT)
        for tool in ("list_events", "list_properties", "list_funnels", "list_cohorts", "workspace_info")
    ),
    *(Exemption(tool, Kind.EMPTY, ALL_HAVE_SOME) for tool in ("list_properties", "list_property_values")),
)
