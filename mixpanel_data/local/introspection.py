"""What the tables hold: their columns, samples, statistics; and how they go.

Names of tables are compared as the engine does, without regard to case; whatever exists can be looked at, the user's
own tables too.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from mixpanel_data import arguments
from mixpanel_data.errors import InvalidArgumentError, QueryError, StorageError, TableNotFoundError
from mixpanel_data.local import ledger, schema, store
from mixpanel_data.local.columns import numeric_type
from mixpanel_data.local.merge import has_table
from mixpanel_data.local.query import framed, json_ready, resolved, sql_errors
from mixpanel_data.results import FramedResult, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from mixpanel_data.local.place import Place
    from mixpanel_data.local.store import Connection

TYPES = ("events", "profiles")
# Those who write are at a store together, and the engine refuses the second of two who drop the same table.
_dropping = threading.Lock()
_KEYS = {"events": schema.EVENT_KEY, "profiles": schema.PROFILE_KEY}


@dataclass(frozen=True)
class ColumnInfo(Result):
    """A column.

    type: the engine's own name for it
    primary_key: whether it is part of what tells rows apart: in fetched tables the service's own identity, which no
        index holds
    """

    name: str
    type: str
    nullable: bool
    primary_key: bool


@dataclass(frozen=True)
class TableSchema(Result):
    """The columns of a table, in order."""

    table_name: str
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class ColumnSummary(Result):
    """What a column holds.

    min, max, q25, q50, q75: numbers in a column of numbers, else the engine's text; None where there is no such value
    approx_unique: about how many different values
    avg, std: None unless it is a column of numbers
    count: rows, those without a value included
    null_percentage: of rows without a value, 0 to 100, to two places
    """

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


@dataclass(frozen=True)
class SummaryResult(FramedResult):
    """What each column of a table holds, in order of the columns; the frame has a row for each."""

    table: str
    row_count: int
    columns: tuple[ColumnSummary, ...]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return _table_of(ColumnSummary, self.columns)


@dataclass(frozen=True)
class EventStats(Result):
    """How often an event happened.

    unique_users: different distinct ids; events without one are nobody's
    first_seen, last_seen: aware, UTC
    pct_of_total: of all events in the table, 0 to 100
    """

    event_name: str
    count: int
    unique_users: int
    first_seen: datetime
    last_seen: datetime
    pct_of_total: float


@dataclass(frozen=True)
class EventBreakdownResult(FramedResult):
    """How often each event of a table happened, the most frequent first, then by name; the frame has a row for each.

    date_range: the first and the last event's time, aware, UTC; None in an empty table
    """

    table: str
    total_events: int
    total_users: int
    date_range: tuple[datetime, datetime] | None
    events: tuple[EventStats, ...]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return _table_of(EventStats, self.events)


def _table_of(kind: type[Result], rows: Sequence[Result]) -> tuple[list[str], list[tuple[Any, ...]]]:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return names, [tuple(getattr(row, name) for name in names) for row in rows]


def table_schema(place: Place, table: str) -> TableSchema:
    """The table's columns.

    Raises:
        TableNotFoundError: there is none of that name.
    """
    with _looking_at(place, table) as (con, name):
        key = _key(con, name)
        rows = con.execute(
            """select column_name, data_type, is_nullable = 'YES' from information_schema.columns
            where table_name = ? and table_schema = 'main' and table_catalog = current_database()
            order by ordinal_position""",
            [name],
        ).fetchall()
    return TableSchema(
        name, tuple(ColumnInfo(column, kind, nullable, column in key) for column, kind, nullable in rows)
    )


def _key(con: Connection, name: str) -> tuple[str, ...]:
    kind = _kind(con, name)
    if kind in _KEYS:
        return _KEYS[kind]
    found = con.execute(
        """select constraint_column_names from duckdb_constraints() where table_name = ? and schema_name = 'main'
        and database_name = current_database() and constraint_type = 'PRIMARY KEY'""",
        [name],
    ).fetchone()
    return tuple(found[0]) if found else ()


def _kind(con: Connection, name: str) -> str | None:
    if not has_table(con, "_metadata"):
        return None
    found = con.execute('select type from "_metadata" where lower(table_name) = lower(?)', [name]).fetchone()
    return found[0] if found else None


def sample(place: Place, table: str, n: int) -> pd.DataFrame:
    """So many rows, drawn at random; all of them where there are fewer."""
    arguments.whole("n", n, 1)
    with _looking_at(place, table) as (con, name):
        return framed(con, f"select * from {schema.quoted(name)} using sample {n} rows")  # noqa: S608 -- quoted


def summarize(place: Place, table: str) -> SummaryResult:
    """What each column holds."""
    with _looking_at(place, table) as (con, name):
        rows = con.execute(f"summarize {schema.quoted(name)}").fetchall()
        count = _one(con, f"select count(*) from {schema.quoted(name)}")  # noqa: S608 -- quoted
    return SummaryResult(name, count, tuple(map(_summary, rows)))


def _summary(row: tuple[Any, ...]) -> ColumnSummary:
    name, kind, least, most, unique, mean, deviation, q25, q50, q75, count, nulls = row
    number = _as_number if numeric_type(kind) else (lambda text: text)
    return ColumnSummary(
        column_name=name,
        column_type=kind,
        min=number(least),
        max=number(most),
        approx_unique=unique,
        avg=float(mean) if numeric_type(kind) and mean is not None else None,
        std=float(deviation) if numeric_type(kind) and deviation is not None else None,
        q25=number(q25),
        q50=number(q50),
        q75=number(q75),
        count=count,
        null_percentage=float(nulls or 0),
    )


def _as_number(text: str | None) -> Any:
    if text is None:
        return None
    with suppress(ValueError):
        return json_ready(int(text))
    return json_ready(float(text))


def event_breakdown(place: Place, table: str) -> EventBreakdownResult:
    """How often each event happened.

    Raises:
        TableNotFoundError: there is no such table.
        QueryError: it has not the columns of events.
    """
    with _looking_at(place, table) as (con, name):
        _need_columns(con, name, "event_name", "event_time", "distinct_id")
        source = schema.quoted(name)
        rows = con.execute(
            f"""select event_name, count(*), count(distinct nullif(distinct_id, '')), min(event_time), max(event_time)
            from {source} group by event_name order by 2 desc, 1"""  # noqa: S608 -- quoted
        ).fetchall()
        users = _one(con, f"select count(distinct nullif(distinct_id, '')) from {source}")  # noqa: S608 -- quoted
    total = sum(row[1] for row in rows)
    stats = tuple(
        EventStats(event, count, unique, _utc(first), _utc(last), 100 * count / total)
        for event, count, unique, first, last in rows
    )
    span = (min(one.first_seen for one in stats), max(one.last_seen for one in stats)) if stats else None
    return EventBreakdownResult(name, total, users, span, stats)


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)


def property_keys(place: Place, table: str, event: str | None) -> list[str]:
    """The names of the properties that rows have, sorted.

    Args:
        event: of this event's rows only; None takes all

    Raises:
        TableNotFoundError: there is no such table.
        QueryError: it has no column properties, or with `event` no event_name.
    """
    with _looking_at(place, table) as (con, name):
        _need_columns(con, name, "properties", *(() if event is None else ("event_name",)))
        asked = f"select distinct unnest(json_keys(properties)) from {schema.quoted(name)}"  # noqa: S608 -- quoted
        with sql_errors(asked):
            if event is None:
                rows = con.execute(asked).fetchall()
            else:
                rows = con.execute(f"{asked} where event_name = ?", [event]).fetchall()
    return sorted(row[0] for row in rows)


def drop(place: Place, names: Sequence[str]) -> None:
    """Drop these tables, all of them or, if one is not there, none.

    Raises:
        TableNotFoundError: one of them is not there.
        InvalidArgumentError: it is one of the store's own, whose names begin with an underscore, or a view.
    """
    for name in names:
        if name.startswith("_"):
            raise InvalidArgumentError("names", f"{name!r} is one of the store's own tables", fix="leave it out")
    if not names:
        return
    if not store.exists(place):
        raise TableNotFoundError(names[0])
    with _dropping, store.understood(place), store.connection(place, "write") as con:
        _drop(con, [resolved(con, name) for name in names])


def drop_all(place: Place, kind: str | None) -> None:
    """Drop the fetched tables, those of one kind or all.

    Raises:
        InvalidArgumentError: there is no such kind.
    """
    if kind is not None:
        arguments.one_of("type", kind, TYPES)
    if not store.exists(place):
        return
    with _dropping, store.understood(place), store.connection(place, "write") as con:
        if has_table(con, "_metadata"):
            fetched = con.execute(
                'select table_name from "_metadata" where type = coalesce(?, type) order by all', [kind]
            ).fetchall()
            _drop(con, [name for (name,) in fetched if has_table(con, name)])


def _drop(con: Connection, names: Sequence[str]) -> None:
    con.execute("begin transaction")
    try:
        for name in dict.fromkeys(names):
            con.execute(f"drop table {schema.quoted(name)}")
            if has_table(con, "_metadata"):
                con.execute('delete from "_metadata" where lower(table_name) = lower(?)', [name])
            if has_table(con, "_ledger"):
                ledger.forget(con, "main", name)
        con.execute("commit")
    except duckdb.Error as error:
        with suppress(duckdb.Error):
            con.execute("rollback")
        raise StorageError(f"nothing was dropped: {error}", fix="drop it by SQL, in its own way") from error


@contextmanager
def _looking_at(place: Place, table: str) -> Iterator[tuple[Connection, str]]:
    """The store, opened to be read, and the table's name as it is written there."""
    if not store.exists(place):
        raise TableNotFoundError(table)
    with store.understood(place), store.connection(place, "read") as con:
        yield con, resolved(con, table)


def _need_columns(con: Connection, name: str, *needed: str) -> None:
    asked = f"describe {schema.quoted(name)}"
    known = {row[0].lower() for row in con.execute(asked).fetchall()}
    if lacking := [column for column in needed if column not in known]:
        problem = f"table {name!r} has no column {', '.join(lacking)}"
        raise QueryError(
            problem,
            status_code=0,
            details={"response_body": {"query": asked, "error": problem}},
            fix="name a table of fetched events",
        )


def _one(con: Connection, sql: str) -> Any:
    row = con.execute(sql).fetchone()
    return row[0] if row else None
