"""Local SQL: DuckDB computes over what was fetched."""

from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from mp_mcp_server.tools.arguments import Name

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace

# An answer travels twice, as text and as structured content, and clients of the handshake era stop at 1 MiB an event.
_ANSWER_BYTES = 256 * 1024


class TableEntry(TypedDict):
    """One local table; fetched_at is ISO 8601 in UTC."""

    name: str
    type: str
    row_count: int
    fetched_at: str


class Rows(TypedDict):
    """Rows as objects, column by name; truncated says that there are more, note says what to do then."""

    result: list[dict[str, Any]]
    truncated: bool
    note: NotRequired[str]


def list_tables(workspace: "Workspace") -> list[TableEntry]:
    """List the local tables that fetches have filled. Call this before sql, to know what can be asked.

    Returns:
        One entry a table, by name: its type (events or profiles), rows, and when it was fetched (UTC).
    """
    return [
        {
            "name": entry["name"],
            "type": entry["type"],
            "row_count": entry["row_count"],
            "fetched_at": entry["fetched_at"],
        }
        for entry in (table.to_dict() for table in workspace.tables())
    ]


def sql(
    workspace: "Workspace",
    *,
    query: Name,
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000,
) -> Rows:
    """Ask the local tables one question in SQL (DuckDB's dialect). Fetch first; aggregate here rather than list rows.

    Exactly one SELECT (WITH, DESCRIBE, SUMMARIZE, SHOW and EXPLAIN of one count too). It can neither write nor reach
    files, and is bounded in time and memory. Times in event tables are UTC. JSON is read as properties->>'$."plan"'.

    Args:
        workspace: the store to read
        query: the statement, for example select event_name, count(*) as n from events group by 1 order by n desc
        limit: at most so many rows, 1 to 10000

    Returns:
        result holds one object a row; truncated is true when rows were left out, because of limit or because the
        answer grew past 256 KiB.

    Raises:
        QueryError: DuckDB's own words, or which statements are allowed.
    """
    answer = workspace.select(query, max_rows=limit, max_bytes=_ANSWER_BYTES)
    table = answer.to_dict()
    columns = _apart(table["columns"])
    rows: Rows = {
        "result": [dict(zip(columns, row, strict=True)) for row in table["rows"]],
        "truncated": answer.truncated,
    }
    if answer.truncated:
        rows["note"] = (
            f"Truncated: these are the first {len(rows['result'])} rows and there are more. "
            "Aggregate, filter, or page with ORDER BY … LIMIT … OFFSET; limit may be at most 10000."
        )
    return rows


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
