"""Statistics of one column, or of an expression over the columns of one table.

An expression may be somebody else's text: it has to parse as exactly one expression, and is computed where SQL of
somebody else is, out of reach of everything but the tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from mixpanel_data import arguments
from mixpanel_data.errors import InvalidArgumentError, TableNotFoundError
from mixpanel_data.local import confine, schema, store
from mixpanel_data.local.query import json_ready, resolved, rows
from mixpanel_data.results import FramedResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_data.local.place import Place
    from mixpanel_data.local.store import Connection

_WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = frozenset(
    ["FLOAT", "DOUBLE", "DECIMAL", "BIGNUM", *_WHOLE_NUMBERS, *(f"U{name}" for name in _WHOLE_NUMBERS)]
)
# The engine's parser takes time by the square of what it is given; nobody writes more by hand.
LONGEST_EXPRESSION = 5000
_OF_NUMBERS = "min(value), max(value), avg(value::double), stddev_samp(value::double)"
# What an expression over one row has no need of: other tables, all columns at once, values that come with the query.
_NOT_WITHIN = {"SUBQUERY": "a query", "STAR": "all columns", "PARAMETER": "a parameter"}


@dataclass(frozen=True)
class ColumnStatsResult(FramedResult):
    """What a column holds; the frame has the top values.

    column: as it was asked for
    dtype: the engine's own name of its type
    count, null_count: rows with and without a value; null_pct is of all rows, 0 to 100
    unique_count: different values; unique_pct is of the rows with a value, 0 to 100
    top_values: (value, count), the most frequent first, then by text; values are JSON-ready
    min, max, mean, std: None unless they are numbers; std is that of a sample
    """

    table: str
    column: str
    dtype: str
    count: int
    null_count: int
    null_pct: float
    unique_count: int
    unique_pct: float
    top_values: tuple[tuple[Any, int], ...]
    min: Any
    max: Any
    mean: float | None
    std: float | None

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return ["value", "count"], list(self.top_values)


def numeric_type(dtype: str) -> bool:
    """Whether a column of that type holds numbers."""
    return dtype.partition("(")[0] in _NUMBERS


def column_stats(place: Place, table: str, column: str, top_n: int) -> ColumnStatsResult:
    """What a column of the table holds, or an expression over its columns.

    Raises:
        InvalidArgumentError: it is neither.
        TableNotFoundError: there is no such table.
        QueryError: the engine refuses the expression, or it takes too much time or memory.
    """
    arguments.whole("top_n", top_n, 1)
    arguments.name("column", column)
    if not store.exists(place):
        raise TableNotFoundError(table)
    with store.understood(place), store.connection(place, "read") as con:
        name = resolved(con, table)
        known = {row[0].lower(): row[0] for row in con.execute(f"describe {schema.quoted(name)}").fetchall()}
        own = known.get(column.lower())
        value = one_expression(con, column) if own is None else schema.quoted(own)

    def ask(sql: str) -> tuple[Any, ...]:
        if own is None:
            return confine.select(place, sql).rows[0]
        return tuple(json_ready(rows(place, sql, read_only=True).rows[0]))

    source = f"select ({value}\n) as value from {schema.quoted(name)}"  # noqa: S608 -- quoted, or one expression
    (dtype,) = ask(f"select column_type from (describe {source})")  # noqa: S608 -- as above
    count, nulls, unique, top, least, most, mean, deviation = ask(
        f"""with told as materialized ({source}), counted as (
            select value, count(*) as n from told where value is not null group by value
        )
        select count(value), count(*) - count(value), (select count(*) from counted),
            (select list([to_json(value), to_json(n)] order by n desc, value::varchar) from (
                from counted order by n desc, value::varchar limit {top_n}
            )),
            {_OF_NUMBERS if numeric_type(dtype) else "null, null, null, null"}
        from told"""  # noqa: S608 -- as above
    )
    return ColumnStatsResult(
        table=name,
        column=column,
        dtype=dtype,
        count=count,
        null_count=nulls,
        null_pct=_percent(nulls, count + nulls),
        unique_count=unique,
        unique_pct=_percent(unique, count),
        top_values=tuple((json_ready(json.loads(one)), json.loads(n)) for one, n in top or ()),
        min=least,
        max=most,
        mean=mean,
        std=deviation,
    )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def one_expression(con: Connection, text: str) -> str:
    """The text, if the engine's own parser takes it as one expression over a row.

    Raises:
        InvalidArgumentError: it does not.
    """
    fix = "name a column, or give one expression over the columns, such as properties->>'$.\"plan\"'"
    if len(text) > LONGEST_EXPRESSION:
        raise InvalidArgumentError("column", f"an expression has at most {LONGEST_EXPRESSION} characters", fix=fix)
    try:
        # With parentheses it must be one value; without them nothing may stand behind it.
        whole, bare = (_parsed(con, select) for select in (f"select ({text}\n)", f"select {text}\n"))
        one = _is_one_value(whole) and _is_one_value(bare)
        parts = set(_classes(bare))
    except (RecursionError, duckdb.Error):
        one = False
    if not one:
        raise InvalidArgumentError("column", f"{text!r} is neither a column nor one expression", fix=fix)
    for part in sorted(parts & set(_NOT_WITHIN)):
        raise InvalidArgumentError("column", f"{text!r} asks for {_NOT_WITHIN[part]}", fix=fix)
    return text


def _parsed(con: Connection, select: str) -> dict[str, Any]:
    told = con.execute("select json_serialize_sql(?)", [select]).fetchone()
    document: dict[str, Any] = json.loads(told[0]) if told else {}
    return document


def _is_one_value(parsed: dict[str, Any]) -> bool:
    if parsed.get("error") is not False or len(parsed["statements"]) != 1:
        return False
    node = parsed["statements"][0]["node"]
    if node["type"] != "SELECT_NODE" or len(node["select_list"]) != 1 or node["select_list"][0]["alias"]:
        return False
    behind = ("where_clause", "having", "qualify", "sample", "modifiers", "group_expressions", "group_sets")
    return node["from_table"]["type"] == "EMPTY" and not any(node.get(part) for part in behind)


def _classes(parsed: Any) -> Iterator[str]:
    if isinstance(parsed, dict):
        if isinstance(parsed.get("class"), str):
            yield parsed["class"]
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for part in parsed:
            yield from _classes(part)
