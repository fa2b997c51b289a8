"""Local SQL: DuckDB computes over what was fetched."""

import re
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from mixpanel_data.errors import InvalidArgumentError
from mp_mcp_server.results import ANSWER_BYTES, KEPT_BYTES, KEPT_ROWS, encoded
from mp_mcp_server.tools.arguments import Name, Table
from mp_mcp_server.tools.bounded import Listing, clipped, listing

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace
    from mp_mcp_server.call import Call

Scalar = str | int | float | bool | None
# The engine's parser takes time by the square of what it is given; nobody writes more by hand.
Query = Annotated[str, Field(min_length=1, max_length=50_000)]
Expression = Annotated[str, Field(min_length=1, max_length=500)]

# What an expression may hold in quotes, and what must not stand outside of them.
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$""", re.DOTALL)
_BEYOND_AN_EXPRESSION = re.compile(r";|--|/\*")
_EXPRESSION_FIX = "name a column, or give one expression over the columns, such as properties->>'$.\"plan\"'"


class TableEntry(TypedDict):
    """gaps: missing days, first and last; the same fetch gets them."""

    name: str
    type: str
    row_count: int
    fetched_at: str
    gaps: NotRequired[list[list[str]]]


class Column(TypedDict):
    """primary_key: part of the key."""

    name: str
    type: str
    nullable: bool
    primary_key: bool


class ColumnSummary(TypedDict):
    """min to q75: numbers, else text."""

    column_name: str
    column_type: str
    min: Any
    max: Any
    approx_unique: int
    avg: float | None
    std: float | None
    q25: Any
    q50: Any
    q75: Any
    count: int
    null_percentage: float


class Summary(TypedDict):
    """Columns in order."""

    table: str
    row_count: int
    columns: list[ColumnSummary]


class EventCount(TypedDict):
    """Rows of one event."""

    event_name: str
    count: int


class ColumnStats(TypedDict):
    """count leaves out nulls."""

    count: int
    distinct_count: int
    min_value: Any
    max_value: Any


class Dropped(TypedDict):
    """What was dropped."""

    success: bool
    message: str


def sql(
    call: "Call",
    *,
    query: Query,
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000,
) -> Listing[dict[str, Any]]:
    """Ask the local tables one question in SQL (DuckDB's dialect). Fetch first; aggregate here rather than list rows.

    One SELECT (or WITH, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN); it can neither write nor reach files. Times are UTC. JSON
    is read as properties->>'$."plan"'.

    Args:
        query: such as select event_name, count(*) as n from events group by 1 order by n desc
        limit: at most so many rows

    Returns:
        One object a row; truncated where limit or 256 KiB cut it.

    Raises:
        QueryError: DuckDB's own words, or which statements are allowed.
    """
    answer = call.workspace.select(query, max_rows=max(limit, KEPT_ROWS), max_bytes=KEPT_BYTES)
    columns = _apart(list(answer.columns))
    return listing(
        call,
        "sql",
        [dict(zip(columns, row, strict=True)) for row in answer.rows],
        limit=limit,
        advice="Aggregate, filter, or page with ORDER BY … LIMIT … OFFSET",
        complete=not answer.truncated,
    )


def sql_scalar(workspace: "Workspace", *, query: Query) -> Scalar:
    """Ask the local tables for one value in SQL, such as select count(*) from events. Bounded as sql is.

    Args:
        query: one SELECT whose first cell is the answer

    Returns:
        The first cell of the first row, null where there is none; a list or an object as JSON text.

    Raises:
        QueryError: as sql; or the value is larger than 256 KiB.
    """
    answer = workspace.select(query, max_rows=1, max_bytes=ANSWER_BYTES)
    value = answer.rows[0][0] if answer.rows else None
    return encoded(value).decode() if isinstance(value, list | tuple | dict) else cast("Scalar", value)


def list_tables(workspace: "Workspace") -> list[TableEntry]:
    """List the local tables that fetches have filled. Call this before sql.

    Returns:
        By name; type is events or profiles.
    """
    tables: list[TableEntry] = []
    for table in workspace.tables():
        entry: TableEntry = {
            "name": table.name,
            "type": table.type,
            "row_count": table.row_count,
            "fetched_at": table.fetched_at.isoformat(),
        }
        if table.gaps:
            entry["gaps"] = [[first.isoformat(), last.isoformat()] for first, last in table.gaps]
        tables.append(entry)
    return tables


def table_schema(workspace: "Workspace", *, table: Table) -> list[Column]:
    """Show a local table's columns and their types. For the keys inside properties use property_keys.

    Args:
        table: from list_tables

    Returns:
        In order, with DuckDB's types.

    Raises:
        TableNotFoundError: there is no such table.
    """
    return [
        {
            "name": column.name,
            "type": column.type,
            "nullable": column.nullable,
            "primary_key": column.primary_key,
        }
        for column in workspace.table_schema(table).columns
    ]


def sample(call: "Call", *, table: Table, limit: Annotated[int, Field(ge=1, le=1000)] = 10) -> Listing[dict[str, Any]]:
    """Show random rows of a local table, to see what the data looks like.

    Args:
        table: from list_tables
        limit: at most so many rows

    Returns:
        One object a row; JSON columns as text.

    Raises:
        TableNotFoundError: there is no such table.
    """
    columns = [column.name for column in call.workspace.table_schema(table).columns]
    query = f'select * from "{table}" using sample {limit} rows'  # noqa: S608 - a plain identifier, and a number
    answer = call.workspace.select(query, max_rows=limit, max_bytes=KEPT_BYTES)
    return listing(
        call,
        "sample",
        [dict(zip(columns, row, strict=True)) for row in answer.rows],
        advice="Ask for fewer",
        complete=not answer.truncated,
    )


def summarize(workspace: "Workspace", *, table: Table) -> Summary:
    """Show what each column of a local table holds: range, different values, quartiles, missing values.

    Args:
        table: from list_tables

    Returns:
        approx_unique is an estimate, null_percentage 0 to 100; texts are cut at 500 characters.

    Raises:
        TableNotFoundError: there is no such table.
    """
    found = workspace.summarize(table)
    columns = [
        {name: clipped(value) for name, value in column.to_dict().items()}  # a JSON column's least value is a document
        for column in found.columns
    ]
    return {"table": found.table, "row_count": found.row_count, "columns": cast("list[ColumnSummary]", columns)}


def event_breakdown(call: "Call", *, table: Table) -> Listing[EventCount]:
    """Count the rows of each event in a local table. See what a fetch brought.

    Args:
        table: from list_tables, of type events

    Returns:
        The most frequent first.

    Raises:
        TableNotFoundError: there is no such table.
        QueryError: it has not the columns of events.
    """
    rows: list[EventCount] = [
        {"event_name": one.event_name, "count": one.count} for one in call.workspace.event_breakdown(table).events
    ]
    return listing(call, "event_breakdown", rows, advice="Filter with sql")


def property_keys(call: "Call", *, table: Table, event: Name | None = None) -> Listing[str]:
    """List the properties that a local table's rows have. Use it to write properties->>'$."name"'.

    Args:
        table: from list_tables
        event: only rows of this event

    Returns:
        Names, in alphabetical order.

    Raises:
        TableNotFoundError: there is no such table.
    """
    keys = call.workspace.property_keys(table, event)
    return listing(call, "property_keys", keys, advice="Ask for one event")


def column_stats(workspace: "Workspace", *, table: Table, column: Expression) -> ColumnStats:
    """Count a local column's values and different values, with the least and the largest.

    Args:
        table: from list_tables
        column: its name, or one expression over columns, such as (properties->>'$."amount"')::double

    Returns:
        Texts are cut at 500 characters.

    Raises:
        InvalidArgumentError: neither a column nor one expression.
        QueryError: the engine refuses the expression.
        TableNotFoundError: there is no such table.

    Source: reference/public-contract.md, section 3.5
    """
    if _BEYOND_AN_EXPRESSION.search(_QUOTED.sub("''", column)):
        raise _no_expression(column)
    try:
        stats = workspace.column_stats(table, column, top_n=1)
    except InvalidArgumentError as error:
        raise _no_expression(column) from error
    # Now the text is known to be a column of the table or one expression.
    known = {one.name.lower(): one.name for one in workspace.table_schema(table).columns}
    own = known.get(column.lower())
    value = column if own is None else '"' + own.replace('"', '""') + '"'
    source = f'select ({value}\n) as value from "{table}"'  # noqa: S608 - as above; a plain identifier
    answer = workspace.select(
        f"select min(value), max(value) from ({source})",  # noqa: S608 - as above
        max_rows=1,
        max_bytes=KEPT_BYTES,
    )
    least, most = answer.rows[0] if answer.rows else (None, None)
    return {
        "count": stats.count,
        "distinct_count": stats.unique_count,
        "min_value": clipped(least),
        "max_value": clipped(most),
    }


def _no_expression(column: str) -> InvalidArgumentError:
    return InvalidArgumentError("column", f"invalid column expression {column[:100]!r}", fix=_EXPRESSION_FIX)


def drop_table(workspace: "Workspace", *, table: Table) -> Dropped:
    """Delete one local table. Nothing changes in Mixpanel, but only a new fetch brings the rows back.

    Args:
        table: from list_tables

    Returns:
        What was dropped.

    Raises:
        TableNotFoundError: there is no such table.
    """
    workspace.drop(table)
    return {"success": True, "message": f"Dropped table {table}"}


def drop_all_tables(workspace: "Workspace") -> Dropped:
    """Delete all fetched local tables. Nothing changes in Mixpanel, but only new fetches bring them back.

    Returns:
        What was dropped.
    """
    names = [table.name for table in workspace.tables()]
    workspace.drop_all()
    return {"success": True, "message": f"Dropped {len(names)} tables: {', '.join(names)}" if names else "No tables"}


def _apart(names: list[str]) -> list[str]:
    """Columns of one name get _1, _2 … in turn: as keys of an object, all but the last would be lost."""
    apart: list[str] = []
    for name in names:
        unique, n = name, 0
        while unique in apart or (n and unique in names):
            n += 1
            unique = f"{name}_{n}"
        apart.append(unique)
    return apart
