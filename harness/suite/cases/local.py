"""Local SQL: DuckDB computes over what was fetched."""

from collections.abc import Iterator

from harness.cassettes.tape import Varies
from harness.suite.case import Call, Case, Exemption, Kind
from harness.suite.cases.scenes import BOUGHT, NOTHING, TABLE
from harness.suite.expect import Count, Equal, Fails, Holds
from harness.suite.facts import Fact
from harness.suite.reasons import NO_LIMIT

ON_TABLE = ("table_schema", "sample", "summarize", "event_breakdown", "property_keys", "drop_table")
AMOUNT = """(properties->>'$."amount"')::double"""
REVENUE = """select sum((properties->>'$."amount"')::double) from orders where event_name = 'Purchase'"""
DEAREST = """select max((properties->>'$."amount"')::double) from orders"""
HOSTILE: tuple[tuple[str, str], ...] = (
    ("attach", "attach '/tmp/x.db'"),
    ("copy", "copy orders to '/tmp/x.csv'"),
    ("read-csv", "select * from read_csv('/etc/passwd')"),
    ("pragma", "pragma database_list"),
    ("install", "install httpfs"),
    ("set", "set memory_limit='100GB'"),
    ("export", "export database '/tmp/x'"),
    ("two-statements", "select 1; drop table orders"),
    ("delete", "delete from orders"),
)


def _cases() -> Iterator[Case]:
    for tool in ON_TABLE:
        yield Case(
            tool,
            "table-missing",
            Kind.PECULIAR,
            (Fails("TABLE_NOT_FOUND", cause="nowhere", fix="list_tables"),),
            {"table": "nowhere"},
        )
        yield Case(
            tool,
            "hostile-table",
            Kind.WRONG_ARGUMENT,
            (Fails("INVALID_ARGUMENT", cause="table"),),
            {"table": 'orders"; drop table orders; --'},
        )
    for name, query in HOSTILE:
        for tool in ("sql", "sql_scalar"):
            yield Case(
                tool, f"hostile-{name}", Kind.WRONG_ARGUMENT, (Fails("QUERY_FAILED"),), {"query": query}, (BOUGHT,)
            )


CASES = (
    *_cases(),
    Case(
        "sql",
        "orders-by-name",
        Kind.GOOD,
        (Equal("/result", Fact("table/events")), Equal("/truncated", value=False)),
        {"query": "select event_name, count(*) as count from orders group by 1 order by 2 desc"},
        (TABLE,),
    ),
    Case("sql", "no-rows", Kind.EMPTY, (Equal("/result", []),), {"query": "select * from orders"}, (NOTHING,)),
    Case(
        "sql",
        "two-of-many",
        Kind.LARGE,
        (Count("/result", 2), Equal("/truncated", value=True), Holds("/note", ("truncated",))),
        {"query": "select distinct_id from orders", "limit": 2},
        (TABLE,),
    ),
    Case(
        "sql_scalar",
        "revenue",
        Kind.GOOD,
        (Equal("/result", Fact("table/amount/sum")),),
        {"query": REVENUE},
        (TABLE,),
    ),
    Case(
        "sql_scalar",
        "nothing",
        Kind.EMPTY,
        (Equal("/result", None),),
        {"query": DEAREST},
        (NOTHING,),
    ),
    Case("sql_scalar", "two-values", Kind.PECULIAR, (Equal("/result", 1),), {"query": "select 1, 2"}, (BOUGHT,)),
    Case(
        "sql_scalar",
        "a-very-long-text",
        Kind.LARGE,
        (Fails("QUERY_FAILED"),),
        {"query": "select repeat('x', 50000000)"},
        (BOUGHT,),
    ),
    Case(
        "list_tables",
        "one",
        Kind.GOOD,
        (
            Equal("/result/0/name", "orders"),
            Equal("/result/0/row_count", Fact("table/rows")),
            Count("/result", 1),
        ),
        before=(TABLE,),
    ),
    Case("list_tables", "none", Kind.EMPTY, (Equal("/result", []),)),
    Case(
        "table_schema",
        "orders",
        Kind.GOOD,
        (Equal("/result/*/name", ["event_name", "event_time", "distinct_id", "insert_id", "properties"]),),
        {"table": "orders"},
        (TABLE,),
    ),
    Case(
        "table_schema",
        "no-rows",
        Kind.EMPTY,
        (Equal("/result/*/name", ["event_name", "event_time", "distinct_id", "insert_id", "properties"]),),
        {"table": "orders"},
        (NOTHING,),
    ),
    Case("drop_table", "no-rows", Kind.EMPTY, (Equal("/success", value=True),), {"table": "orders"}, (NOTHING,)),
    Case(
        "sql",
        "more-than-fits",
        Kind.LARGE,
        (Count("/result", 13), Equal("/truncated", value=True), Holds("/note", ("13 rows of 14",))),
        {"query": "select repeat('long ', 4000) as words from range(14)"},
        (BOUGHT,),
    ),
    Case(
        "sample",
        "five",
        Kind.GOOD,
        (Count("/result", 5), Holds("/result/0", ("event_name", "event_time", "distinct_id", "properties"))),
        {"table": "orders", "limit": 5},
        (TABLE,),
        varies=(Varies("/result", "values", "which rows are drawn is chance"),),
    ),
    Case("sample", "no-rows", Kind.EMPTY, (Equal("/result", []),), {"table": "orders"}, (NOTHING,)),
    Case(
        "sample",
        "more-than-there-are",
        Kind.LARGE,
        (Count("/result", Fact("table/rows")),),
        {"table": "orders", "limit": 200},
        (TABLE,),
        varies=(Varies("/result", "order", "rows are drawn one after the other, by chance"),),
    ),
    Case(
        "summarize",
        "orders",
        Kind.GOOD,
        (
            Equal("/row_count", Fact("table/rows")),
            Equal("/columns/0/min", "Checkout"),
            Equal("/columns/0/max", "Purchase"),
        ),
        {"table": "orders"},
        (TABLE,),
    ),
    Case("summarize", "no-rows", Kind.EMPTY, (Equal("/row_count", 0),), {"table": "orders"}, (NOTHING,)),
    Case(
        "event_breakdown",
        "orders",
        Kind.GOOD,
        (Equal("/result", Fact("table/events")),),
        {"table": "orders"},
        (TABLE,),
    ),
    Case("event_breakdown", "no-rows", Kind.EMPTY, (Equal("/result", []),), {"table": "orders"}, (NOTHING,)),
    Case(
        "property_keys",
        "of-purchase",
        Kind.GOOD,
        (Equal("/result", Fact("table/keys/Purchase")), Equal("/truncated", value=False)),
        {"table": "orders", "event": "Purchase"},
        (TABLE,),
    ),
    Case("property_keys", "no-rows", Kind.EMPTY, (Equal("/result", []),), {"table": "orders"}, (NOTHING,)),
    Case(
        "column_stats",
        "amounts",
        Kind.GOOD,
        (
            Equal("/count", Fact("table/amount/count")),
            Equal("/distinct_count", Fact("table/amount/different")),
            Equal("/min_value", Fact("table/amount/min")),
            Equal("/max_value", Fact("table/amount/max")),
        ),
        {"table": "orders", "column": f"case when event_name = 'Purchase' then {AMOUNT} end"},
        (TABLE,),
    ),
    Case(
        "column_stats",
        "no-rows",
        Kind.EMPTY,
        (Equal("/count", 0), Equal("/min_value", None)),
        {"table": "orders", "column": "event_name"},
        (NOTHING,),
    ),
    Case(
        "column_stats",
        "table-missing",
        Kind.PECULIAR,
        (Fails("TABLE_NOT_FOUND", cause="nowhere", fix="list_tables"),),
        {"table": "nowhere", "column": "event_name"},
    ),
    Case(
        "column_stats",
        "hostile-column",
        Kind.WRONG_ARGUMENT,
        (Fails("INVALID_ARGUMENT", cause="column"),),
        {"table": "orders", "column": "(select content from read_text('/etc/passwd'))"},
        (TABLE,),
    ),
    Case(
        "column_stats",
        "no-such-column",
        Kind.WRONG_ARGUMENT,
        (Fails("QUERY_FAILED", cause="amounts"),),
        {"table": "orders", "column": "amounts"},
        (TABLE,),
    ),
    Case(
        "drop_table",
        "orders",
        Kind.GOOD,
        (Equal("/success", value=True), Holds("/message", ("orders",))),
        {"table": "orders"},
        (TABLE,),
    ),
    Case(
        "drop_all_tables",
        "one",
        Kind.GOOD,
        (Equal("/success", value=True), Holds("/message", ("orders",))),
        before=(TABLE,),
    ),
    Case("drop_all_tables", "none", Kind.EMPTY, (Equal("/success", value=True),)),
    Case(
        "list_tables",
        "after-a-drop",
        Kind.PECULIAR,
        (Equal("/result", []),),
        before=(TABLE, Call("drop_table", {"table": "orders"})),
    ),
)

EXEMPTIONS = tuple(
    Exemption(tool, Kind.LARGE, NO_LIMIT)
    for tool in (
        "list_tables",
        "table_schema",
        "summarize",
        "event_breakdown",
        "property_keys",
        "column_stats",
        "drop_table",
        "drop_all_tables",
    )
)
