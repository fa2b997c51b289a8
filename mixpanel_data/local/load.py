"""From a spool of exported lines to a table: DuckDB reads, deduplicates and merges; Python never parses a line.

Reading happens in an instance of its own, bounded in memory, that nobody else knows; the store is entered only for
the merge, one transaction that brings the table and its metadata in whole or not at all.
"""

from __future__ import annotations

import gzip
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb

from mixpanel_data import clock
from mixpanel_data.errors import InvalidArgumentError, StorageError, TableExistsError, TableNotFoundError
from mixpanel_data.local import schema, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

MEMORY_LIMIT = "1GB"
# A merge comes after a download that nobody wants to repeat: it is more patient than a question is.
MERGE_WAIT_S = 60.0
SAMPLE_LINES = 5
SAMPLE_CHARACTERS = 200
# No event is in the year 5138 in seconds, nor before March 1973 in milliseconds.
_LARGEST_SECONDS = 100_000_000_000
_LAST_MS = 253_402_300_799_999

# Milliseconds were asked for, and both are understood. A leading `$` would make a key a path, hence the quotes.
# What begins with a brace is an object: the reader writes JSON without blanks, and asking for its type parses it again.
_READ = """
create table staged as
with lines as (
    select event, properties,
        json_extract_string(
            properties, ['$."time"', '$."distinct_id"', '$."$insert_id"', '$."mp_processing_time_ms"']
        ) as keys
    from read_json(
        {file}, format = 'newline_delimited', compression = {compression}, ignore_errors = true,
        columns = {{event: 'VARCHAR', properties: 'JSON'}}
    )
), timed as (
    select event, properties, keys,
        case when abs(time) > {largest_seconds} then round(time) else round(time * 1000) end as time_ms
    from (select event, properties, keys, try_cast(keys[1] as double) as time from lines)
)
select event as event_name,
    case when starts_with(properties::varchar, '{{') and abs(time_ms) <= {last_ms}
        then make_timestamp_ms(time_ms::bigint) end as event_time,
    coalesce(keys[2], '') as distinct_id,
    nullif(keys[3], '') as insert_id,
    json_merge_patch(properties, '{{"time":null,"distinct_id":null,"$insert_id":null}}') as properties,
    try_cast(keys[4] as bigint) as processing_ms
from timed
"""

_IS_EVENT = "event_name is not null and event_time is not null"

# An event without an id is known by what it says; alike ones are told apart by their number, so that the same lines
# always get the same ids, and a second fetch finds them again.
_DERIVE_IDS = """
update staged set insert_id = derived.id from (
    select line, 'derived-' || said || case when copy > 1 then '-' || copy else '' end as id from (
        select line, said, row_number() over (partition by said order by line) as copy from (
            select rowid as line, md5(concat_ws(
                chr(31), event_name, epoch_ms(event_time), distinct_id,
                json_merge_patch(properties, '{"mp_processing_time_ms":null}')
            )) as said
            from staged where insert_id is null and event_name is not null and event_time is not null
        )
    )
) as derived where staged.rowid = derived.line
"""

# By hash first: only the few rows whose hash repeats are worth comparing.
_MARK_DUPLICATES = """
create table duplicates as
select line from (
    select rowid as line, row_number() over (
        partition by event_name, event_time, distinct_id, insert_id order by processing_ms desc nulls last, rowid desc
    ) as place
    from staged
    where hash(event_name, event_time, distinct_id, insert_id) in (
        select identity from (
            select hash(event_name, event_time, distinct_id, insert_id) as identity from staged
        ) group by identity having count(*) > 1
    )
) where place > 1
"""

_SAME = " and ".join(f"known.{column} = staged.{column}" for column in schema.EVENT_KEY)
_REPLACE = f"""
delete from {{table}} as known using {{source}} as staged
where {_SAME} and known.event_time between {{first}} and {{last}}
and coalesce(staged.processing_ms, -1)
    >= coalesce(try_cast(known.properties ->> '$."mp_processing_time_ms"' as bigint), -1)
"""  # noqa: S608 -- the columns are the schema's own
_ADD = f"""
insert into {{table}} select {", ".join(schema.EVENT_COLUMNS)} from {{source}} as staged
where not exists (
    from {{table}} as known where {_SAME} and known.event_time between {{first}} and {{last}}
)
"""  # noqa: S608 -- the columns are the schema's own


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a spool held.

    lines: that are not blank
    skipped: lines that are not an event, in number and the first few as text
    last_line: the text of the last line if it is not an event, else None
    duplicates: events that another one replaces
    """

    lines: int
    skipped: int
    sample: tuple[str, ...]
    last_line: str | None
    duplicates: int


class Staging:
    """A private instance in memory that spills into `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._con = duckdb.connect(
            ":memory:", config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(directory / "spill")}
        )
        store.quiet(self._con)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def read(self, spool: Path, *, gzipped: bool) -> Loaded:
        """Read the spool; afterwards `staged` holds its events, each once.

        Raises:
            StorageError: memory or disk ran out.

        Source: reference/mixpanel-api.md, sections 8 and 11.4
        """
        with _engine_errors("the events cannot be staged"):
            self._con.execute(
                _READ.format(
                    file=schema.literal(str(spool)),
                    compression="'gzip'" if gzipped else "'none'",
                    largest_seconds=_LARGEST_SECONDS,
                    last_ms=_LAST_MS,
                )
            )
            lines, skipped, nameless = self._counts()
            sample: tuple[str, ...] = ()
            last_line = None
            if skipped:
                numbers = [
                    row[0]
                    for row in self._con.execute(
                        f"select rowid from staged where not ({_IS_EVENT}) order by rowid"  # noqa: S608 -- our own text
                    ).fetchmany(SAMPLE_LINES)
                ]
                ends_badly = self._one(
                    f"select not ({_IS_EVENT}) from staged where rowid = {lines - 1}"  # noqa: S608 -- our own text
                )
                texts = _lines(spool, gzipped=gzipped, numbers=[*numbers, lines - 1])
                sample = tuple(texts[number] for number in numbers)
                last_line = texts[lines - 1] if ends_badly else None
                self._con.execute(f"delete from staged where not ({_IS_EVENT})")  # noqa: S608 -- our own text
            if nameless:
                self._con.execute(_DERIVE_IDS)
            self._con.execute(_MARK_DUPLICATES)
            duplicates = int(self._one("select count(*) from duplicates"))
            if duplicates:
                self._con.execute("delete from staged where rowid in (select line from duplicates)")
        return Loaded(lines, skipped, sample, last_line, duplicates)

    def merge(
        self, path: Path, table: str, *, from_date: date, to_date: date, append: bool, fetched_at: datetime
    ) -> int:
        """Bring the staged events into the store's table; returns by how many rows it grew.

        Raises:
            TableExistsError, TableNotFoundError, InvalidArgumentError: as `check_target`.
            DatabaseLockedError: others kept the file for a minute.
            StorageError: disk or memory ran out; the store is as it was.
        """
        at = store.door(path)
        job = _Merge(table, from_date, to_date, append=append, fetched_at=fetched_at)
        with _engine_errors("the events cannot be stored"):
            if at.held:
                # The user's own connection keeps the file open, and a second instance of it cannot be.
                parquet = self._directory / "staged.parquet"
                self._con.execute(f"copy staged to {schema.literal(str(parquet))} (format parquet)")
                with store.connection(path, "write", wait_s=MERGE_WAIT_S) as con:
                    return job.run(con, source=f"read_parquet({schema.literal(str(parquet))})", catalog=None)
            with at.entered(object(), MERGE_WAIT_S):
                store.prepare(path)
                attach = f"attach {schema.literal(str(path))} as store"
                deadline = clock.monotonic() + MERGE_WAIT_S
                with at.opening:
                    store.patiently(lambda: self._con.execute(attach), path, deadline)
                try:
                    return job.run(self._con, source="staged", catalog="store")
                finally:
                    with at.opening:
                        self._con.execute("detach store")

    def _counts(self) -> tuple[int, int, int]:
        row = self._con.execute(
            f"""select count(*), count(*) filter (not ({_IS_EVENT})),
                count(*) filter (insert_id is null and {_IS_EVENT}) from staged"""  # noqa: S608 -- our own text
        ).fetchone()
        assert row is not None  # noqa: S101 -- an aggregate has one row
        return int(row[0]), int(row[1]), int(row[2])

    def _one(self, sql: str) -> int:
        row = self._con.execute(sql).fetchone()
        return row[0] if row else 0


@dataclass(frozen=True)
class _Merge:
    table: str
    from_date: date
    to_date: date
    append: bool
    fetched_at: datetime

    def run(self, con: duckdb.DuckDBPyConnection, *, source: str, catalog: str | None) -> int:
        home = f"{catalog}.main" if catalog else "main"
        table = f"{home}.{schema.quoted(self.table)}"
        con.execute("begin transaction")
        try:
            con.execute(schema.CREATE_METADATA.format(schema=home))
            check_target(con, self.table, append=self.append, schema_name=home)
            if not self.append:
                con.execute(schema.CREATE_EVENTS.format(table=table))
            before = _count(con, table)
            self._add(con, table, source)
            after = _count(con, table)
            self._note(con, home, after)
            con.execute("commit")
        except BaseException:
            # The failure may have ended the transaction already; the first error is the one to tell.
            with suppress(duckdb.Error):
                con.execute("rollback")
            raise
        return after - before

    def _add(self, con: duckdb.DuckDBPyConnection, table: str, source: str) -> None:
        if not self.append:
            columns = ", ".join(schema.EVENT_COLUMNS)
            con.execute(f"insert into {table} select {columns} from {source}")  # noqa: S608 -- checked names
            return
        span = con.execute(f"select min(event_time), max(event_time) from {source}").fetchone()  # noqa: S608 -- as above
        if span is None or span[0] is None:
            return
        first, last = (f"timestamp {schema.literal(instant.isoformat(sep=' '))}" for instant in span)
        for statement in (_REPLACE, _ADD):
            con.execute(statement.format(table=table, source=source, first=first, last=last))

    def _note(self, con: duckdb.DuckDBPyConnection, home: str, rows: int) -> None:
        known = con.execute(
            f'select from_date, to_date, table_name from {home}."_metadata" where lower(table_name) = lower(?)',  # noqa: S608 -- checked names
            [self.table],
        ).fetchone()
        first, last, name = self.from_date, self.to_date, known[2] if known else self.table
        if self.append and known:
            first = min(first, known[0] or first)
            last = max(last, known[1] or last)
        con.execute(
            f'insert or replace into {home}."_metadata" values (?, ?, ?, ?, ?, ?)',  # noqa: S608 -- checked names
            [name, "events", self.fetched_at.astimezone(UTC).replace(tzinfo=None), first, last, rows],
        )


def check_target(con: duckdb.DuckDBPyConnection, table: str, *, append: bool, schema_name: str = "main") -> None:
    """Refuse a fetch into a table that must not, or must, be there.

    Raises:
        TableExistsError: it is there and append is off.
        TableNotFoundError: it is not and append is on.
        InvalidArgumentError: append is on, and it is not a table of events that a fetch made.
    """
    catalog = schema_name.rpartition(".")[0]
    if not append:
        if _has_table(con, table, catalog):
            raise TableExistsError(table)
        return
    if not _has_table(con, table, catalog):
        raise TableNotFoundError(table)
    kind = None
    if _has_table(con, "_metadata", catalog):
        kind = con.execute(
            f'select type from {schema_name}."_metadata" where lower(table_name) = lower(?)',  # noqa: S608 -- our own name
            [table],
        ).fetchone()
    if kind != ("events",):
        raise InvalidArgumentError("name", f"table {table!r} is not one of fetched events", fix="take another name")


def _has_table(con: duckdb.DuckDBPyConnection, table: str, catalog: str) -> bool:
    # Names are compared as the engine does: without regard to case.
    return con.execute(
        """select count(*) from information_schema.tables
        where lower(table_name) = lower(?) and table_schema = 'main'
        and table_catalog = coalesce(nullif(?, ''), current_database())""",
        [table, catalog],
    ).fetchone() != (0,)


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 -- a checked name
    return int(row[0]) if row else 0


def _lines(spool: Path, *, gzipped: bool, numbers: list[int]) -> dict[int, str]:
    """Those lines of the spool, counted as the engine counts them: from 0, blank ones left out."""
    wanted, found = set(numbers), {}
    with gzip.open(spool) if gzipped else spool.open("rb") as file:
        for number, line in islice(enumerate(line for line in file if line.strip()), max(wanted) + 1):
            if number in wanted:
                found[number] = line.strip()[: 4 * SAMPLE_CHARACTERS].decode("utf-8", "replace")[:SAMPLE_CHARACTERS]
    return found


@contextmanager
def _engine_errors(what: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise StorageError(
            f"{what}: {str(error).splitlines()[0]}",
            fix="free disk space or memory, then fetch again; nothing was stored",
        ) from error
