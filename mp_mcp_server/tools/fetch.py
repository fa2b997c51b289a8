"""Fetch: raw rows come to the local store, where SQL reads them."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field
from typing_extensions import TypedDict

from mp_mcp_server.tools.arguments import Day, Name

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace


class FetchedEvents(TypedDict):
    """What a fetch left in the local store; fetched_at is ISO 8601 in UTC."""

    status: str
    table_name: str
    row_count: int
    days_fetched: int
    table: str
    rows: int
    type: str
    duration_seconds: float
    date_range: list[str] | None
    fetched_at: str
    duplicates: int
    skipped_lines: int
    skipped_sample: list[str]


def fetch_events(
    workspace: "Workspace",
    *,
    from_date: Day,
    to_date: Day,
    table: Name | None = None,
    events: Annotated[list[Name], Field(min_length=1)] | None = None,
    where: Name | None = None,
    limit: Annotated[int, Field(ge=1, le=100_000)] | None = None,
    append: bool = False,
) -> FetchedEvents:
    """Download raw events into a local table for the sql tool. Use it for questions that no live query answers.

    The table appears whole or not at all, each event once. Its columns: event_name, event_time (UTC timestamp),
    distinct_id, insert_id, properties (JSON, read as properties->>'$."plan"'). At most 100 days at a time; days are
    UTC days (for projects made before 2023, days of the project's time zone).

    Args:
        workspace: the project to ask and the store to fill
        from_date: first day, YYYY-MM-DD
        to_date: last day, inclusive, YYYY-MM-DD
        table: name of the local table: letters, digits, underscores; "events" when not given
        events: only events of these names
        where: filter expression, for example properties["plan"] == "pro"
        limit: at most so many events, 1 to 100000
        append: add to a table that is there; without it an existing table is refused and left as it is

    Returns:
        row_count is the number of rows that this fetch added, days_fetched the days asked for; duplicates were
        exported twice and kept once, skipped_lines of the export were no events.

    Raises:
        TableExistsError, TableNotFoundError: append does not fit what is there.
        DateRangeTooLargeError: more than 100 days.

    Source: reference/mixpanel-api.md, section 8
    """
    result = workspace.fetch_events(
        table if table is not None else "events",
        from_date=from_date,
        to_date=to_date,
        events=events,
        where=where,
        limit=limit,
        progress=False,
        append=append,
    )
    days = (date.fromisoformat(to_date) - date.fromisoformat(from_date)).days + 1
    told = {"status": "completed", "table_name": result.table, "row_count": result.rows, "days_fetched": days}
    return cast("FetchedEvents", told | result.to_dict())
