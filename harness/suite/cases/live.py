"""Live queries: Mixpanel computes."""

from harness.suite.case import Case, Exemption, Kind
from harness.suite.cases.scenes import BEFORE_ALL, JUNE, LAST_DAY, LAST_WEEK, said
from harness.suite.expect import Count, Equal, Fails, Holds, SameItems
from harness.suite.facts import Fact
from harness.suite.reasons import NO_LIMIT

BY_NAME = (
    "function main() { return Events({from_date: params.from, to_date: params.to})"
    '.groupBy(["name"], mixpanel.reducer.count()); }'
)
ROWS = (
    "function main() { return Events({from_date: params.from, to_date: params.to})"
    ".map(function (event) { return [event.name, event.time]; }); }"
)
DAYS_OF_JUNE = {"from": "2025-06-01", "to": "2025-06-30"}

CASES = (
    Case(
        "segmentation",
        "by-browser",
        Kind.GOOD,
        (
            Equal("/series", Fact("segmentation/Sign Up/$browser")),
            Equal("/total", Fact("segmentation/Sign Up/total")),
            *said(event="Sign Up", segment_property="$browser", unit="day", **JUNE),
        ),
        {"event": "Sign Up", "segment_property": "$browser", **JUNE},
    ),
    Case(
        "segmentation",
        "filtered-by-week",
        Kind.GOOD,
        (Equal("/series/Purchase", Fact("segmentation/Purchase/US")),),
        {"event": "Purchase", "unit": "week", "where": 'properties["mp_country_code"] == "US"', **JUNE},
    ),
    Case(
        "segmentation",
        "the-event-that-falls",
        Kind.GOOD,
        (Equal("/series/Search", Fact("segmentation/Search")),),
        {"event": "Search", **JUNE},
    ),
    Case(
        "segmentation",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/total", 0), Count("/series/Search", 7)),
        {"event": "Search", **BEFORE_ALL},
    ),
    Case(
        "segmentation",
        "by-city-and-hour",
        Kind.LARGE,
        (Equal("/total", Fact("events/View Item/last three days")), Count("/series", Fact("cities of View Item"))),
        {
            "event": "View Item",
            "segment_property": "$city",
            "unit": "hour",
            "from_date": "2025-06-28",
            "to_date": "2025-06-30",
        },
    ),
    Case(
        "segmentation",
        "misspelt-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="Serch", fix="Search"),),
        {"event": "Serch", **JUNE},
    ),
    Case(
        "segmentation",
        "hostile-where",
        Kind.WRONG_ARGUMENT,
        (Fails("QUERY_FAILED", cause="400"),),
        {"event": "Search", "where": '"); drop table events; --', **JUNE},
    ),
    Case(
        "segmentation",
        "days-the-wrong-way-round",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="from_date"),),
        {"event": "Search", "from_date": "2025-06-30", "to_date": "2025-06-01"},
    ),
    Case(
        "funnel",
        "sign-up-to-purchase",
        Kind.GOOD,
        (
            Equal("/steps/*/count", Fact("funnel/counts")),
            Equal("/steps/*/conversion_rate", Fact("funnel/rates")),
            Equal("/conversion_rate", Fact("funnel/rate")),
            *said(funnel_id=8801, **JUNE),
        ),
        {"funnel_id": 8801, "unit": "month", **JUNE},
    ),
    Case(
        "funnel",
        "nobody-began",
        Kind.EMPTY,
        (Equal("/steps/*/count", [0, 0, 0, 0, 0]), Equal("/conversion_rate", 0.0)),
        {"funnel_id": 8801, **BEFORE_ALL},
    ),
    Case(
        "funnel",
        "unknown-id",
        Kind.WRONG_ARGUMENT,
        (Fails("QUERY_FAILED", cause="424242 does not exist", fix="list_funnels"),),
        {"funnel_id": 424242, **JUNE},
    ),
    Case(
        "retention",
        "back-to-the-app",
        Kind.GOOD,
        (
            Equal("/cohorts", Fact("retention/Sign Up to App Open")),
            *said(born_event="Sign Up", return_event="App Open", unit="day", **JUNE),
        ),
        {"born_event": "Sign Up", "return_event": "App Open", "interval_count": 3, **JUNE},
    ),
    Case(
        "retention",
        "nobody-was-born",
        Kind.EMPTY,
        (Equal("/cohorts/*/size", [0] * 7),),
        {"born_event": "Sign Up", **BEFORE_ALL},
    ),
    Case(
        "retention",
        "misspelt-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="signupp", fix="Sign Up"),),
        {"born_event": "signupp", **JUNE},
    ),
    Case(
        "jql",
        "events-by-name",
        Kind.GOOD,
        (SameItems("/result", Fact("jql/counts")), Equal("/truncated", value=False)),
        {"script": BY_NAME, "params": DAYS_OF_JUNE},
    ),
    Case(
        "jql",
        "no-events",
        Kind.EMPTY,
        (Equal("/result", []),),
        {"script": BY_NAME, "params": {"from": "2024-01-01", "to": "2024-01-07"}},
    ),
    Case(
        "jql",
        "a-row-an-event",
        Kind.LARGE,
        (Count("/result", Fact("export/last day")), Equal("/truncated", value=False)),
        {"script": ROWS, "params": {"from": "2025-06-30", "to": "2025-06-30"}},
    ),
    Case(
        "jql",
        "does-not-compile",
        Kind.WRONG_ARGUMENT,
        (Fails("JQL_SYNTAX_ERROR", cause="SyntaxError", fix="script"),),
        {"script": "function main() { return Events(; }"},
    ),
    Case(
        "event_counts",
        "users-by-week",
        Kind.GOOD,
        (
            Equal("/series", Fact("event_counts/unique")),
            *said(events=["Sign Up", "Purchase"], unit="week", type="unique", **JUNE),
        ),
        {"events": ["Sign Up", "Purchase"], "unit": "week", "type": "unique", **JUNE},
    ),
    Case(
        "event_counts",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/series/Search/2024-01-01", 0), Count("/series/Search", 7)),
        {"events": ["Search"], **BEFORE_ALL},
    ),
    Case(
        "event_counts",
        "misspelt-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="Serch", fix="Search"),),
        {"events": ["Purchase", "Serch"], **JUNE},
    ),
    Case(
        "property_counts",
        "purchases-by-system",
        Kind.GOOD,
        (
            Equal("/series", Fact("property_counts/Purchase/$os")),
            *said(event="Purchase", property_name="$os", unit="month", type="general", **JUNE),
        ),
        {"event": "Purchase", "property_name": "$os", "unit": "month", "limit": 10, **JUNE},
    ),
    Case(
        "property_counts",
        "no-values",
        Kind.EMPTY,
        (Equal("/series", {}),),
        {"event": "Search", "property_name": "$os", **BEFORE_ALL},
    ),
    Case(
        "property_counts",
        "the-two-largest",
        Kind.LARGE,
        (Count("/series", 2), Holds("/series", ("iOS", "Android"))),
        {"event": "Purchase", "property_name": "$os", "unit": "month", "limit": 2, **JUNE},
    ),
    Case(
        "property_counts",
        "misspelt-property",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="browser", fix="$browser"),),
        {"event": "Purchase", "property_name": "browser", **JUNE},
    ),
    Case(
        "activity_feed",
        "the-busiest-user",
        Kind.GOOD,
        (
            Equal("/total_events", Fact("busiest/number")),
            SameItems("/events/*/event", Fact("busiest/events")),
            Equal("/truncated", value=False),
        ),
        {"distinct_id": Fact("busiest"), "limit": 1000, **LAST_WEEK},
    ),
    Case(
        "activity_feed",
        "nobody",
        Kind.EMPTY,
        (Equal("/events", []), Equal("/total_events", 0)),
        {"distinct_id": "nobody", **JUNE},
    ),
    Case(
        "activity_feed",
        "the-last-three",
        Kind.LARGE,
        (
            Equal("/event_count", 3),
            Equal("/total_events", Fact("busiest/number")),
            Equal("/truncated", value=True),
            SameItems("/events/*/event", Fact("busiest/last three")),
        ),
        {"distinct_id": Fact("busiest"), "limit": 3, **LAST_WEEK},
    ),
    Case(
        "activity_feed",
        "no-user",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="distinct_id"),),
        {"distinct_id": "", **LAST_DAY},
    ),
    Case(
        "frequency",
        "days-of-a-week",
        Kind.GOOD,
        (
            Equal("/data", Fact("frequency/App Open")),
            *said(event="App Open", unit="week", addiction_unit="day", **JUNE),
        ),
        {"event": "App Open", "unit": "week", "addiction_unit": "day", **JUNE},
    ),
    Case(
        "frequency",
        "before-there-was-anything",
        Kind.EMPTY,
        (Equal("/data/2024-01-01", [0] * 24),),
        {"event": "App Open", **BEFORE_ALL},
    ),
    Case(
        "frequency",
        "an-addiction-unit-that-is-none",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="addiction_unit"),),
        {"event": "App Open", "unit": "day", "addiction_unit": "year", **JUNE},
    ),
)

EXEMPTIONS = tuple(
    Exemption(tool, Kind.LARGE, NO_LIMIT)
    for tool in (
        "funnel",
        "retention",
        "event_counts",
        "frequency",
    )
)
