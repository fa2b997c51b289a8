"""Fetch: raw rows come to the local store, where SQL reads them; or pass by, a few of them."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from mixpanel_data import clock
from mixpanel_data.errors import DateRangeTooLargeError, MixpanelDataError
from mp_mcp_server.names import check_events
from mp_mcp_server.tools.arguments import Day, Name, Names, Table
from mp_mcp_server.tools.bounded import Listing, listing

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import BatchProgress, FetchProgress, FetchResult, ProfileProgress
    from mp_mcp_server.call import Call

_MOST_DAYS = 100
# So many days come in one piece. Of more, the first day tells how many events there are, and the rest comes in pieces
# of about so many: some 64 MB, which are not lost when the next piece breaks off. Each is one of the 60 export calls of
# an hour, so that there are never more than this.
_DAYS_AT_ONCE, _EVENTS_A_PIECE, _MOST_PIECES = 3, 100_000, 10
# How much of a piece has come is told where nobody knows how large it is: of one of this size, a half.
_A_HALF_BYTES = 64_000_000
# A part that is quickly done is told when it is.
_TOLD_AFTER_S = 1.0

# What a kind of fetch adds to what all have, as the library's own result says it.
_AND_THE_LIBRARYS_KEYS = ConfigDict(extra="allow")

Workers = Annotated[int, Field(ge=1, le=20)]
Ids = Annotated[list[Name], Field(max_length=2000)]


class Fetched(TypedDict):
    """status: completed, partial or cancelled; message: how to go on."""

    status: str
    message: NotRequired[str]
    table_name: str
    row_count: int
    table: str
    duration_seconds: float
    fetched_at: str
    rows: NotRequired[int]
    type: NotRequired[str]


@with_config(_AND_THE_LIBRARYS_KEYS)
class FetchedEvents(Fetched):
    """status: completed, partial or cancelled; message: how to go on."""

    days_fetched: int
    date_range: NotRequired[list[str]]
    duplicates: NotRequired[int]
    skipped_lines: NotRequired[int]
    failed_date_ranges: NotRequired[list[list[str]]]


@with_config(_AND_THE_LIBRARYS_KEYS)
class FetchedProfiles(Fetched):
    """status: completed, or cancelled (nothing is stored)."""

    pages_fetched: int


_THE_SAME_CALL = "What is stored stays; the same call fetches the rest."


class _Cancelled(Exception):  # noqa: N818 - no error: nobody waits for the rest
    """Leaves the library's loop over pieces."""


def fetch_events(
    call: "Call",
    *,
    from_date: Day,
    to_date: Day,
    table: Table | None = None,
    events: Names | None = None,
    where: Name | None = None,
    limit: Annotated[int, Field(ge=1, le=100_000)] | None = None,
    append: bool = False,
    parallel: bool = False,
    workers: Workers = 4,
) -> FetchedEvents:
    """Download raw events into a local table for the sql tool. Use it for questions that no live query answers.

    Columns: event_name, event_time (UTC), distinct_id, insert_id, properties (JSON: properties->>'$."plan"'). At
    most 100 days unless parallel. What is stored before a cancel or an error stays; the answer says how to go on.

    Args:
        from_date: first day, UTC
        to_date: last day, inclusive
        table: local table; else events
        events: only these event names
        where: filter, such as properties["plan"] == "pro"
        limit: at most so many in all; not with parallel
        append: add to a table; days fetched again are replaced
        parallel: several parts at once; the same call gets parts that failed
        workers: how many at once

    Returns:
        row_count is what this fetch added.

    Raises:
        TableExistsError, TableNotFoundError: append does not fit what is there.
        DateRangeTooLargeError: more than 100 days.
        EventNotFoundError: there is no such event.

    Source: reference/mixpanel-api.md, section 8
    """
    if events is not None:
        check_events(call.workspace, events)
    wanted = {"events": events, "where": where, "limit": limit}
    task = EventsFetch(call, table or "events", from_date, to_date, wanted, append, expected=limit)
    return task.in_parallel(workers) if parallel else task.in_sequence()


@dataclass
class EventsFetch:
    """One fetch of events.

    wanted: events, where and limit, as the library takes them
    expected: about how many events will come, where that is known
    """

    call: "Call"
    table: str
    from_date: str
    to_date: str
    wanted: Mapping[str, Any]
    append: bool
    expected: int | None = None
    begun: float = field(default_factory=clock.monotonic)
    rows: int = 0
    days: int = 0
    _came: int = 0

    @property
    def of_days(self) -> int:
        """How many days are wanted; of days that run backwards none or fewer."""
        return (date.fromisoformat(self.to_date) - date.fromisoformat(self.from_date)).days + 1

    def in_sequence(self) -> FetchedEvents:
        """Piece by piece."""
        if self.of_days > _MOST_DAYS:
            raise DateRangeTooLargeError(self.from_date, self.to_date, self.of_days, _MOST_DAYS)
        done: list[FetchResult] = []
        while not done or self.days < self.of_days:
            first, last = self._next_piece(len(done))
            if self.call.cancelled.is_set():
                return self._cancelled(self._how_to_go_on(first) if done else "Nothing was fetched.")
            try:
                done.append(
                    self.call.workspace.fetch_events(
                        self.table,
                        from_date=first,
                        to_date=last,
                        progress=False,
                        append=self.append or bool(done),
                        cancelled=self.call.cancelled.is_set,
                        gives_way=True,
                        on_progress=self._within(first, last),
                        **self.wanted,
                    )
                )
            except MixpanelDataError as error:
                if error.code == "CANCELLED":
                    return self._cancelled(self._how_to_go_on(first) if done else "Nothing was stored.")
                if done:
                    error.add_note(self._how_to_go_on(first))
                raise
            self._count(done[-1].rows, first, last)
            self._tell(self.days, self.of_days, "days")
        return cast(
            "FetchedEvents",
            done[-1].to_dict()
            | self._told("completed")
            | {"rows": self.rows, "date_range": [self.from_date, self.to_date]}
            | {
                name: sum(getattr(one, name) for one in done)
                for name in ("duplicates", "skipped_lines", "removed_rows")
            },
        )

    def in_parallel(self, workers: int) -> FetchedEvents:
        """Several parts at once."""
        before = self._stored()
        failures: list[BatchProgress] = []

        def settled(piece: "BatchProgress") -> None:
            if piece.success:
                self._count(piece.rows, piece.from_date, piece.to_date)
            else:
                failures.append(piece)
            self._tell(piece.batch_index + 1, piece.total_batches, "parts")
            if self.call.cancelled.is_set():
                raise _Cancelled

        try:
            result = self.call.workspace.fetch_events(
                self.table,
                from_date=self.from_date,
                to_date=self.to_date,
                progress=False,
                append=self.append,
                parallel=True,
                max_workers=workers,
                on_batch_complete=settled,
                cancelled=self.call.cancelled.is_set,
                gives_way=True,
                **self.wanted,
            )
        except _Cancelled:
            return self._cancelled(_THE_SAME_CALL)
        except MixpanelDataError as error:
            if error.code != "CANCELLED":
                raise
            # A part may have been stored when nobody heard of it any more.
            self.rows = self._stored() - before
            return self._cancelled(_THE_SAME_CALL)
        told = {name: value for name, value in result.to_dict().items() if name not in {"batches", "cost"}}
        if not failures:
            return cast("FetchedEvents", told | self._told("completed"))
        missing = ", ".join(f"{piece.from_date} to {piece.to_date}" for piece in failures)
        if not told["successful_batches"]:
            why = failures[0].exception
            raise MixpanelDataError(
                f"nothing was fetched: {failures[0].error}",
                "FETCH_FAILED",
                {"failed_date_ranges": told["failed_date_ranges"]},
                fix=(why.fix if isinstance(why, MixpanelDataError) else None)
                or "correct what the text names, or try again in a moment",
            ) from why
        message = f"Missing: {missing} ({failures[0].error}). The same call fetches what is missing."
        return cast("FetchedEvents", told | self._told("partial") | {"message": message})

    def _count(self, rows: int, first: str, last: str) -> None:
        self.rows += rows
        self.days += _days(first, last)

    def _stored(self) -> int:
        return sum(one.row_count for one in self.call.workspace.tables() if one.name.lower() == self.table.lower())

    def _tell(self, done: int, of: int, what: str) -> None:
        self.call.progress(done, of, _pace(f"{done} of {of} {what}", self.rows, "events", self.begun, done / of))

    def _next_piece(self, done: int) -> tuple[str, str]:
        first, last = (date.fromisoformat(day) for day in (self.from_date, self.to_date))
        if self.wanted["limit"] is None:
            first += timedelta(days=self.days)
            days = days_at_once(self.of_days - self.days, self._events_a_day(), _MOST_PIECES - done)
            last = first + timedelta(days=days - 1)
        return first.isoformat(), last.isoformat()

    def _events_a_day(self) -> float | None:
        """As many as there were, or are to be if those are more; None where nobody knows yet."""
        counted = [self._came / self.days] if self.days else []
        if self.expected is not None:
            counted.append(self.expected / max(self.of_days, 1))
        return max(counted, default=None)

    def _within(self, first: str, last: str) -> "Callable[[FetchProgress], None]":
        """Hears how far a piece is, and tells it."""
        begun, before, stored = clock.monotonic(), self._came, self.rows
        days, a_day = _days(first, last), self._events_a_day()

        def tell(now: "FetchProgress") -> None:
            self._came = before + now.events
            if clock.monotonic() - begun < _TOLD_AFTER_S:
                return
            if a_day:
                share = min(now.events / (a_day * days), 0.99)
            else:
                share = now.bytes_received / (now.bytes_received + _A_HALF_BYTES)
            at = self.days + share * days
            left = at / self.of_days if a_day else None
            told = f"{self.days} of {self.of_days} days, {now.bytes_received / 1e6:,.1f} MB of the next received"
            self.call.progress(at, self.of_days, _pace(told, stored + now.events, "events", self.begun, left))

        return tell

    def _told(self, status: str) -> dict[str, Any]:
        return {
            "status": status,
            "table_name": self.table,
            "row_count": self.rows,
            "days_fetched": self.days,
            "duration_seconds": round(clock.monotonic() - self.begun, 3),
        }

    def _cancelled(self, message: str) -> FetchedEvents:
        told = {"table": self.table, "rows": self.rows, "fetched_at": clock.now().isoformat(), "message": message}
        return cast("FetchedEvents", told | self._told("cancelled"))

    def _how_to_go_on(self, next_day: str) -> str:
        before = (date.fromisoformat(next_day) - timedelta(days=1)).isoformat()
        return (
            f"{self.from_date} to {before} is stored in {self.table} ({self.rows} rows); go on with "
            f"from_date={next_day}, to_date={self.to_date}, append=true"
        )


def _days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days + 1


def days_at_once(left: int, events_a_day: float | None, pieces: int) -> int:
    """How many days the next piece is to have.

    Args:
        left: days that are not fetched yet; the library says what is wrong with days that run backwards
        events_a_day: about how many there are; None where nobody knows
        pieces: so many may there be at most
    """
    if events_a_day is None:
        return left if left <= _DAYS_AT_ONCE else 1
    wanted = math.ceil(left * events_a_day / _EVENTS_A_PIECE)
    return -(-left // max(min(wanted, pieces, left), 1))


def _pace(done: str, rows: int, what: str, begun: float, share: float | None) -> str:
    seconds = max(clock.monotonic() - begun, 0.001)
    text = f"{done}, {rows:,} {what}, {rows / seconds:,.0f}/s"
    if share and share < 1:
        text += f", about {seconds * (1 - share) / share:.0f} s left"
    return text


def fetch_profiles(
    call: "Call",
    *,
    table: Table | None = None,
    where: Name | None = None,
    cohort_id: int | str | None = None,
    output_properties: Names | None = None,
    distinct_id: Name | None = None,
    distinct_ids: Ids | None = None,
    group_id: Name | None = None,
    behaviors: list[dict[str, Any]] | None = None,
    as_of_timestamp: int | None = None,
    include_all_users: bool = False,
    append: bool = False,
    parallel: bool = False,
    workers: Annotated[int, Field(ge=1, le=5)] = 4,
) -> FetchedProfiles:
    """Download user profiles into a local table (distinct_id, properties JSON, last_seen), to join with events in sql.

    Whole or not at all. Each 1000 profiles are a query.

    Args:
        table: local table; else profiles
        where: filter, such as properties["plan"] == "pro"
        cohort_id: only its members; not with behaviors
        output_properties: only these properties
        distinct_id: only this profile
        distinct_ids: only these profiles
        group_id: profiles of this group key, not users
        behaviors: [{"window": "30d", "name": "n", "event_selectors": [{"event": "Search"}]}], in where: behaviors["n"]
        as_of_timestamp: unix seconds; behaviors end there
        include_all_users: also members without a profile
        append: add to a table; known profiles are replaced
        parallel: several pages at once
        workers: how many pages at once

    Returns:
        row_count is by how many rows the table grew.

    Raises:
        TableExistsError, TableNotFoundError: append does not fit what is there.

    Source: reference/mixpanel-api.md, section 7.16
    """
    begun = clock.monotonic()
    name, pages = table or "profiles", 0

    def settled(page: "ProfileProgress") -> None:
        nonlocal pages
        pages += page.success
        of = page.total_pages
        told = f"{pages} of {of} pages" if of else f"{pages} pages"
        share = pages / of if of else None
        call.progress(pages, of, _pace(told, page.cumulative_rows, "profiles", begun, share))
        if call.cancelled.is_set():
            raise _Cancelled

    try:
        result = call.workspace.fetch_profiles(
            name,
            where=where,
            cohort_id=cohort_id,
            output_properties=output_properties,
            distinct_id=distinct_id,
            distinct_ids=distinct_ids,
            group_id=group_id,
            behaviors=behaviors,
            as_of_timestamp=as_of_timestamp,
            include_all_users=include_all_users,
            progress=False,
            append=append,
            parallel=parallel,
            max_workers=workers,
            on_page_complete=settled,
        )
    except _Cancelled:
        told = {
            "table": name,
            "row_count": 0,
            "duration_seconds": round(clock.monotonic() - begun, 3),
            "fetched_at": clock.now().isoformat(),
            "message": "Nothing was stored: profiles come whole or not at all. Call again to fetch them.",
        }
        return cast("FetchedProfiles", told | {"status": "cancelled", "table_name": name, "pages_fetched": pages})
    told = result.to_dict()
    if told.get("has_failures"):
        raise MixpanelDataError(
            f"{told['failed_pages']} pages failed, nothing was stored: {told['error']}",
            "FETCH_FAILED",
            {"failed_page_indices": told["failed_page_indices"]},
            fix="try again in a moment; without parallel the error is told in full",
        )
    rows = told.get("rows", told.get("total_rows"))
    answer = {"status": "completed", "table_name": name, "row_count": rows, "pages_fetched": pages}
    return cast("FetchedProfiles", told | answer)


def stream_events(
    call: "Call",
    *,
    from_date: Day,
    to_date: Day,
    events: Names | None = None,
    where: Name | None = None,
    limit: Annotated[int, Field(ge=1, le=100_000)] = 1000,
) -> Listing[dict[str, Any]]:
    """Show raw events without storing them. Use it for a few; fetch_events for many.

    Args:
        from_date: first day, UTC
        to_date: last day, inclusive
        events: only these event names
        where: filter expression
        limit: at most so many events

    Returns:
        {event, properties} as Mixpanel exports them, in no order; properties.time is in milliseconds.

    Raises:
        EventNotFoundError: none came, and there is no such event.

    Source: reference/mixpanel-api.md, section 8
    """
    left_out = 0

    def skipped(number: int) -> None:
        nonlocal left_out
        left_out = number

    stream = call.workspace.stream_events(
        from_date=from_date, to_date=to_date, events=events, where=where, limit=limit, raw=True, on_skipped=skipped
    )
    answer = _passing(call, "stream_events", stream, "Ask for fewer days or a lower limit, or use fetch_events")
    if events is not None and not answer["result"]:
        check_events(call.workspace, events)
    if left_out:
        lines = "1 line" if left_out == 1 else f"{left_out} lines"
        said = f"Left out: {lines} of the export that cannot be read as an event."
        answer["note"] = f"{answer['note']} {said}" if "note" in answer else said
    return answer


def stream_profiles(
    call: "Call",
    *,
    where: Name | None = None,
    cohort_id: int | str | None = None,
    output_properties: Names | None = None,
    distinct_id: Name | None = None,
    distinct_ids: Ids | None = None,
    group_id: Name | None = None,
    behaviors: list[dict[str, Any]] | None = None,
    as_of_timestamp: int | None = None,
    include_all_users: bool = False,
) -> Listing[dict[str, Any]]:
    """Show user profiles without storing them. Use it for a few; fetch_profiles for many.

    Args:
        where: filter, such as properties["plan"] == "pro"
        cohort_id: only its members
        output_properties: only these properties
        distinct_id: only this profile
        distinct_ids: only these profiles
        group_id: profiles of this group key, not users
        behaviors: as in fetch_profiles
        as_of_timestamp: unix seconds; behaviors end there
        include_all_users: also members without a profile

    Returns:
        {$distinct_id, $properties} as Mixpanel sends them.

    Source: reference/mixpanel-api.md, section 7.16
    """
    stream = call.workspace.stream_profiles(
        where=where,
        cohort_id=cohort_id,
        output_properties=output_properties,
        distinct_id=distinct_id,
        distinct_ids=distinct_ids,
        group_id=group_id,
        behaviors=behaviors,
        as_of_timestamp=as_of_timestamp,
        include_all_users=include_all_users,
        raw=True,
    )
    return _passing(call, "stream_profiles", stream, "Filter, name output_properties, or use fetch_profiles")


def _passing(call: "Call", tool: str, stream: Iterator[dict[str, Any]], advice: str) -> Listing[dict[str, Any]]:
    """The first rows of a stream, which is ended when enough have come or nobody waits."""

    def rows() -> Iterator[dict[str, Any]]:
        for row in stream:
            if call.cancelled.is_set():
                return
            yield row

    with closing(stream):  # type: ignore[type-var]  # it is a generator, which a caller may close
        return listing(call, tool, rows(), advice=advice)
