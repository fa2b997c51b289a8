"""Fetches: raw rows come to us."""

from harness.suite.case import Call, Case, Fault, Kind
from harness.suite.cases.scenes import BEFORE_ALL, FEW, JUNE, LAST_DAY, LAST_DAYS, LAST_WEEK, SOME_PROFILES
from harness.suite.expect import Count, Equal, Fails, Holds
from harness.suite.facts import Fact

PROS = 'properties["plan"] == "pro"'
NOBODY = 'properties["plan"] == "nobody has this"'

CASES = (
    Case(
        "fetch_events",
        "a-day-of-a-city",
        Kind.GOOD,
        (
            Equal("/row_count", Fact("export/last day/London")),
            Equal("/table_name", "events"),
            Equal("/days_fetched", 1),
            Equal("/duplicates", 0),
        ),
        {"where": 'properties["$city"] == "London"', **LAST_DAY},
    ),
    Case(
        "fetch_events",
        "one-event",
        Kind.GOOD,
        (Equal("/row_count", Fact("export/June/Contact Support")), Equal("/table_name", "june")),
        {"events": ["Contact Support"], "table": "june", **JUNE},
    ),
    Case(
        "fetch_events",
        "appended-twice",
        Kind.PECULIAR,
        (Equal("/row_count", 0), Equal("/status", "completed")),
        {"events": ["Purchase"], "append": True, **LAST_DAY},
        before=(Call("fetch_events", {"events": ["Purchase"], **LAST_DAY}),),
    ),
    Case(
        "fetch_events",
        "no-rows",
        Kind.EMPTY,
        (Equal("/row_count", 0), Equal("/status", "completed")),
        {"events": ["Purchase"], **BEFORE_ALL},
    ),
    Case(
        "fetch_events",
        "two-days",
        Kind.LARGE,
        (Equal("/row_count", Fact("export/last two days/few")),),
        {"from_date": "2025-06-29", "to_date": "2025-06-30", "events": FEW},
    ),
    Case(
        "fetch_events",
        "misspelt-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="Purchse", fix="Purchase"),),
        {"events": ["Purchse"], **JUNE},
    ),
    Case(
        "fetch_events",
        "hostile-table",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="table"),),
        {"table": 'x"; drop table events; --', **LAST_DAY},
    ),
    Case(
        "fetch_events",
        "the-table-is-there",
        Kind.PECULIAR,
        (Fails("TABLE_EXISTS", cause="june", fix="append"),),
        {"events": ["Purchase"], "table": "june", **LAST_DAY},
        before=(Call("fetch_events", {"events": ["Purchase"], "table": "june", **LAST_DAY}),),
    ),
    Case(
        "fetch_events",
        "a-broken-line",
        Kind.MALFORMED,
        (
            Equal("/skipped_lines", 1),
            Equal("/row_count", Fact("table/Purchase less one")),
        ),
        {"events": ["Purchase"], **LAST_DAYS},
        fault=Fault("malformed_line", 1, path="/api/2.0/export", count=1),
    ),
    Case(
        "fetch_events",
        "cut-once",
        Kind.PECULIAR,
        (Equal("/row_count", Fact("export/last day/two events")), Equal("/status", "completed")),
        {"events": ["Purchase", "App Open"], **LAST_DAY},
        fault=Fault("cut", 2000, path="/api/2.0/export", count=1),
        via="emulator-fault",
    ),
    Case(
        "fetch_events",
        "cancelled-midway",
        Kind.PECULIAR,
        # A first fetch that went on would leave a table, and the second would find it there.
        (Equal("/row_count", Fact("export/last day/two events")), Equal("/status", "completed")),
        {"events": ["Purchase", "App Open"], **LAST_DAY},
        fault=Fault("stall", 2000, path="/api/2.0/export", count=1),
        via="emulator-fault",
        cancel_after_s=0.4,
    ),
    Case(
        "stream_events",
        "reset-midway",
        Kind.PECULIAR,
        (Fails("EXPORT_INCOMPLETE", cause="broke off", fix="again"),),
        {"events": ["Purchase", "App Open"], **LAST_DAY},
        fault=Fault("reset", 2000, path="/api/2.0/export", count=1),
        via="emulator-fault",
    ),
    Case(
        "stream_events",
        "stalled-midway",
        Kind.PECULIAR,
        (Fails("EXPORT_INCOMPLETE", cause="broke off", fix="again"),),
        {"events": ["Purchase", "App Open"], **LAST_DAY},
        fault=Fault("stall", 2000, path="/api/2.0/export", count=1),
        via="emulator-fault",
    ),
    Case(
        "fetch_profiles",
        "pros",
        Kind.GOOD,
        (Equal("/row_count", Fact("profiles/pro")), Equal("/table_name", "pros")),
        {"table": "pros", "where": PROS, "output_properties": ["plan"]},
    ),
    Case(
        "fetch_profiles",
        "nobody",
        Kind.EMPTY,
        (Equal("/row_count", 0), Equal("/status", "completed")),
        {"where": NOBODY},
    ),
    Case(
        "fetch_profiles",
        "all-pages",
        Kind.LARGE,
        (Equal("/row_count", Fact("profiles/not free")), Equal("/pages_fetched", 2)),
        SOME_PROFILES,
    ),
    Case(
        "fetch_profiles",
        "two-selections",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="distinct_id"),),
        {"distinct_id": "user-000001", "distinct_ids": ["user-000002"]},
    ),
    Case(
        "stream_events",
        "purchases-of-the-last-day",
        Kind.GOOD,
        (
            Count("/result", Fact("export/last day/Purchase")),
            Equal("/result/*/properties/amount", Fact("export/last day/amounts")),
            Equal("/truncated", value=False),
        ),
        {"events": ["Purchase"], "limit": 20, **LAST_DAY},
    ),
    Case(
        "stream_events",
        "no-events",
        Kind.EMPTY,
        (Equal("/result", []), Equal("/truncated", value=False)),
        {"events": ["Purchase"], **BEFORE_ALL},
    ),
    Case(
        "stream_events",
        "three-of-many",
        Kind.LARGE,
        (Count("/result", 3),),
        {"limit": 3, "events": ["Purchase"], **LAST_WEEK},
    ),
    Case(
        "stream_events",
        "misspelt-event",
        Kind.WRONG_ARGUMENT,
        (Fails("EVENT_NOT_FOUND", cause="Purchse", fix="Purchase"),),
        {"events": ["Purchse"], **JUNE},
    ),
    Case(
        "stream_events",
        "a-broken-line",
        Kind.MALFORMED,
        (Count("/result", Fact("export/last day/Purchase less one")), Holds("/note", ("1 line",))),
        {"events": ["Purchase"], **LAST_DAY},
        fault=Fault("malformed_line", 1, path="/api/2.0/export", count=1),
    ),
    Case(
        "stream_profiles",
        "one-user",
        Kind.GOOD,
        (Equal("/result/0/$distinct_id", "user-000001"), Count("/result", 1), Equal("/truncated", value=False)),
        {"distinct_id": "user-000001"},
    ),
    Case(
        "stream_profiles",
        "nobody",
        Kind.EMPTY,
        (Equal("/result", []), Equal("/truncated", value=False)),
        {"where": NOBODY},
    ),
    Case(
        "stream_profiles",
        "two-pages",
        Kind.LARGE,
        (Count("/result", Fact("profiles/not free")), Equal("/truncated", value=False)),
        SOME_PROFILES,
    ),
    Case(
        "stream_profiles",
        "two-selections",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="distinct_id"),),
        {"distinct_id": "user-000001", "distinct_ids": ["user-000002"]},
    ),
)

EXEMPTIONS = ()
