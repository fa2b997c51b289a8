"""From staged events to a table of the store: one transaction brings the rows, the metadata and the ledger, or nothing.

What Mixpanel says of a day now is what the table has of it then: the rows of the days and event names that were asked
for are replaced. A row that has gone there goes here. That is done only where the answer can be told to be the whole of
that slice; else rows are merged one by one by their identity, and nothing goes. The answer is not the whole, or it
cannot be told what it is the whole of:

- with `limit`, and when a line of it was skipped;
- with `where`, unless all that the table has of these days was asked for with the same one;
- when it held rows of other days or names than were asked for. (A day is that of the exported `time`, for projects of
  every age: those made since 2023 export UTC days and UTC times, older ones the days and the wall clock of their zone.)

Source: reference/mixpanel-api.md, sections 5.1, 8 and 11.4
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import duckdb

from mixpanel_data import interrupts
from mixpanel_data.errors import InvalidArgumentError, TableExistsError, TableNotFoundError
from mixpanel_data.local import ledger, schema, store
from mixpanel_data.local.ledger import Days, Entry, Filters
from mixpanel_data.local.load import Loaded, Staging, engine_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mixpanel_data.local.place import Place

# A merge comes after a download that nobody wants to repeat: it is more patient than a question is.
MERGE_WAIT_S = 60.0

_SAME = " and ".join(f"known.{column} = staged.{column}" for column in schema.EVENT_KEY)
_COLUMNS = ", ".join(schema.EVENT_COLUMNS)
# The columns are the schema's own, the names are checked or quoted, and whatever else is put in is a literal.
_ADD = "insert into {table} select {columns} from {source}"
_KNOWN_ALREADY = "select count(*) from {source} as staged semi join (from {table} where {slice}) as known on {same}"
_REPLACE_OLDER = """
delete from {table} as known using {source} as staged
where {same} and known.event_time between {first} and {last}
and coalesce(staged.processing_ms, -1)
    >= coalesce(try_cast(known.properties ->> '$."mp_processing_time_ms"' as bigint), -1)
"""
_ADD_UNKNOWN = """
insert into {table} select {columns} from {source} as staged
where not exists (from {table} as known where {same} and known.event_time between {first} and {last})
"""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did.

    added: rows that the table did not have
    removed: rows that it had, and that Mixpanel no longer has
    """

    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What is merged.

    days: of this piece
    asked: of the whole fetch
    pieces: of the whole fetch, when this is the first of them to be stored
    append: whether the table must be there already, or must not
    """

    table: str
    days: Days
    asked: Days
    filters: Filters
    fetched_at: datetime
    received_bytes: int
    append: bool
    pieces: Sequence[Days] = ()


def merge(staging: Staging, loaded: Loaded, place: Place, piece: Piece) -> Merged:
    """Bring the staged events into the store's table.

    Raises:
        TableExistsError, TableNotFoundError, InvalidArgumentError: as `check_target`.
        DatabaseLockedError: others kept the store for a minute.
        StorageError: disk or memory ran out; the store is as it was.
    """
    with engine_errors("the events cannot be stored"):
        if store.is_open(place):
            # A second instance of what is open, as by the user's own connection, cannot be.
            parquet = schema.literal(str(staging.directory / "staged.parquet"))
            with interrupts.current().heard_by(staging.con.interrupt):
                staging.con.execute(f"copy staged to {parquet} (format parquet)")
            with store.connection(place, "write", wait_s=MERGE_WAIT_S) as con:
                return _Merge(con, "main", f"read_parquet({parquet})", piece, loaded).run()
        with store.attached(staging.con, place, "store", wait_s=MERGE_WAIT_S):
            return _Merge(staging.con, "store.main", "staged", piece, loaded).run()


class _Merge:
    def __init__(self, con: duckdb.DuckDBPyConnection, home: str, source: str, piece: Piece, loaded: Loaded) -> None:
        self._con, self._home, self._piece, self._loaded = con, home, piece, loaded
        self._parts = {
            "table": f"{home}.{schema.quoted(piece.table)}",
            "source": source,
            "columns": _COLUMNS,
            "same": _SAME,
            "slice": _slice(piece),
        }

    def run(self) -> Merged:
        con = self._con
        con.execute("begin transaction")
        try:
            with interrupts.current().heard_by(con.interrupt):
                merged = self._bring()
                interrupts.current().check()
            con.execute("commit")
        except BaseException:
            # The failure may have ended the transaction already; the first error is the one to tell.
            with suppress(duckdb.Error):
                con.execute("rollback")
            raise
        return merged

    def _bring(self) -> Merged:
        con, home, piece, loaded = self._con, self._home, self._piece, self._loaded
        con.execute(schema.CREATE_METADATA.format(schema=home))
        con.execute(schema.CREATE_LEDGER.format(schema=home))
        check_target(con, piece.table, append=piece.append, schema_name=home)
        if not piece.append:
            ledger.forget(con, home, piece.table)
            con.execute(schema.CREATE_EVENTS.format(table=self._parts["table"]))
        outside = self._count("select count(*) from {source} where not ({slice})")
        merged = self._store(outside)
        if piece.pieces:
            ledger.plan(con, home, piece.table, asked=piece.asked, wanted=piece.filters, pieces=piece.pieces)
        ledger.complete(
            con,
            home,
            Entry(
                table=piece.table,
                kind="events",
                days=piece.days,
                asked=piece.asked,
                filters=piece.filters,
                fetched_at=piece.fetched_at,
                rows=loaded.rows,
                duplicates=loaded.duplicates,
                skipped_lines=loaded.skipped,
                skipped_sample=loaded.sample,
                outside=outside,
                received_bytes=piece.received_bytes,
            ),
        )
        self._note()
        return merged

    def _store(self, outside: int) -> Merged:
        if not self._piece.append:
            self._run(_ADD)
            return Merged(self._loaded.rows, 0)
        if self._is_whole_slice(outside):
            return self._replace_slice()
        return self._merge_by_identity()

    def _is_whole_slice(self, outside: int) -> bool:
        asked = self._piece.filters
        if outside or asked.is_limited or self._loaded.skipped:
            return False
        if ledger.strays(self._con, self._home, self._piece.table):
            return False
        return asked.where is None or ledger.is_of_one_kind(
            self._con, self._home, self._piece.table, self._piece.days, asked.where
        )

    def _replace_slice(self) -> Merged:
        before = self._count("select count(*) from {table} where {slice}")
        known = 0
        if before:
            known = self._count(_KNOWN_ALREADY)
            self._run("delete from {table} where {slice}")
        self._run(_ADD)
        return Merged(added=self._loaded.rows - known, removed=before - known)

    def _merge_by_identity(self) -> Merged:
        span = self._con.execute(self._sql("select min(event_time), max(event_time) from {source}")).fetchone()
        if span is None or span[0] is None:
            return Merged(0, 0)
        first, last = (f"timestamp {schema.literal(instant.isoformat(sep=' '))}" for instant in span)
        before = self._count("select count(*) from {table}")
        for statement in (_REPLACE_OLDER, _ADD_UNKNOWN):
            self._con.execute(statement.format(**self._parts, first=first, last=last))
        return Merged(self._count("select count(*) from {table}") - before, 0)

    def _note(self) -> None:
        piece, home = self._piece, self._home
        known = self._con.execute(
            f'select from_date, to_date, table_name from {home}."_metadata" where lower(table_name) = lower(?)',  # noqa: S608 -- our own name
            [piece.table],
        ).fetchone()
        first, last, name = *piece.days, known[2] if known else piece.table
        if piece.append and known:
            first = min(first, known[0] or first)
            last = max(last, known[1] or last)
        rows = self._count("select count(*) from {table}")
        self._con.execute(
            f'insert or replace into {home}."_metadata" values (?, ?, ?, ?, ?, ?)',  # noqa: S608 -- our own name
            [name, "events", piece.fetched_at.astimezone(UTC).replace(tzinfo=None), first, last, rows],
        )

    def _sql(self, statement: str) -> str:
        return statement.format(**self._parts)

    def _run(self, statement: str) -> None:
        self._con.execute(self._sql(statement))

    def _count(self, statement: str) -> int:
        row = self._con.execute(self._sql(statement)).fetchone()
        return int(row[0]) if row else 0


def _slice(piece: Piece) -> str:
    """The rows that were asked for, as far as days and names say."""
    first, last = piece.days
    texts = [f"event_time >= timestamp '{first}'", f"event_time < timestamp '{last}' + interval 1 day"]
    if piece.filters.events is not None:
        texts.append(f"event_name in ({', '.join(schema.literal(name) for name in piece.filters.events)})")
    return " and ".join(texts)


def check_target(
    con: duckdb.DuckDBPyConnection, table: str, *, append: bool, schema_name: str = "main", kind: str = "events"
) -> None:
    """Refuse a fetch into a table that must not, or must, be there.

    Raises:
        TableExistsError: it is there and append is off.
        TableNotFoundError: it is not and append is on.
        InvalidArgumentError: append is on, and it is not a table of that kind that a fetch made.
    """
    catalog = schema_name.rpartition(".")[0]
    if not append:
        if has_table(con, table, catalog):
            raise TableExistsError(table)
        return
    if not has_table(con, table, catalog):
        raise TableNotFoundError(table)
    found = None
    if has_table(con, "_metadata", catalog):
        found = con.execute(
            f'select type from {schema_name}."_metadata" where lower(table_name) = lower(?)',  # noqa: S608 -- our own name
            [table],
        ).fetchone()
    if found != (kind,):
        raise InvalidArgumentError("name", f"table {table!r} is not one of fetched {kind}", fix="take another name")


def has_table(con: duckdb.DuckDBPyConnection, table: str, catalog: str = "") -> bool:
    """Whether there is a table of that name, compared as the engine does: without regard to case."""
    return con.execute(
        """select count(*) from information_schema.tables
        where lower(table_name) = lower(?) and table_schema = 'main'
        and table_catalog = coalesce(nullif(?, ''), current_database())""",
        [table, catalog],
    ).fetchone() != (0,)


def unfinished(place: Place, table: str, asked: Days, wanted: Filters, *, append: bool) -> list[Days]:
    """The pieces that an earlier fetch of the same left missing; none when this fetch may begin from the start.

    Raises:
        As `check_target`.
    """
    if store.exists(place):
        with store.glance(place) as con:
            if has_table(con, table) and has_table(con, "_ledger"):
                rest = ledger.missing(con, "main", table, asked, wanted)
                if rest:
                    return rest
            check_target(con, table, append=append)
    elif append:
        raise TableNotFoundError(table)
    return []
